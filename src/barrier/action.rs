//! The action: a closure that runs once per trip, after the last arrival and before any release.

use crate::primitive::{Mutex, MutexGuard, lock};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What an action is told of its trip; see [`Builder::action`](crate::Builder::action).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TripInfo {
    /// The number of the trip, counted from 0.
    pub generation: u64,
    /// How many parties take part in it.
    pub parties: usize,
    /// The party whose thread runs the action: the last to arrive.
    pub rank: usize,
}

/// The closure of an action; `phase/action.rs` has the one that there is.
pub(crate) trait Act: Send + Sync + fmt::Debug {
    /// Runs it for a trip whose arrivals are complete and of which nobody has been let go. By its root, and so one at a
    /// time: an action of one trip ends before that of the next begins, also across eras ([`Handover`]).
    fn run(&self, info: &TripInfo);
}

/// What keeps the actions of two eras apart.
///
/// Within an era the trips do it: whoever is the root of trip g + 1 has been let go from trip g, behind its action. So it
/// is between two eras for all who take part in both. But who leaves does not: if it is the last to arrive, it runs the
/// action of its last trip, and the newcomers of the next era may already be complete without it. So who leaves holds
/// this lock until it has arrived; and the first root of each era takes it once, before its action.
#[derive(Debug)]
pub(crate) struct Handover(Mutex<()>);

impl Handover {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(()))
    }

    /// For as long as somebody who leaves may run an action.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        lock(&self.0)
    }
}

/// The barriers whose actions a thread runs, by address, each inside the one before: an action may cross another barrier,
/// which has an action as well. Beyond this depth everything counts as inside.
#[derive(Clone, Copy)]
struct Acting {
    depth: usize,
    barriers: [usize; 8],
}

per_thread! {
    static ACTING: Cell<Acting> = Cell::new(Acting { depth: 0, barriers: [0; 8] });
}

/// Runs part of the action of the barrier known by `address`; the message of its panic, if it panics.
pub(crate) fn within(address: usize, part: impl FnOnce()) -> Result<(), String> {
    let outer = ACTING.with(Cell::get);
    let mut inner = outer;
    if let Some(place) = inner.barriers.get_mut(outer.depth) {
        *place = address;
    }
    inner.depth += 1;
    ACTING.with(|acting| acting.set(inner));
    let result = catch_unwind(AssertUnwindSafe(part));
    ACTING.with(|acting| acting.set(outer));
    result.map_err(|panicked| message_of(&*panicked))
}

/// Whether this thread is inside the action of the barrier known by `address`.
pub(crate) fn is_within(address: usize) -> bool {
    let Acting { depth, barriers } = ACTING.with(Cell::get);
    barriers.get(..depth).is_none_or(|barriers| barriers.contains(&address))
}

/// The text of a panic, if it has one.
pub(crate) fn message_of(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)").to_owned()
}
