//! The action: a closure that runs once per trip, after the last arrival and before any release.

use crate::primitive::{Mutex, lock};
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

type Closure = Box<dyn FnMut(&TripInfo) + Send>;

/// The action of one barrier.
pub(crate) struct Action {
    /// Held by the root while it runs, which is alone by the protocol: the lock is free whenever it is asked for.
    closure: Mutex<Closure>,
}

impl Action {
    pub(crate) fn new(closure: Closure) -> Self {
        Self { closure: Mutex::new(closure) }
    }

    /// Runs it for the barrier known by `address`; the message of its panic, if it panics.
    pub(crate) fn run(&self, address: usize, info: &TripInfo) -> Result<(), String> {
        within(address, || lock(&self.closure)(info))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Action")
    }
}

thread_local! {
    /// The address of the barrier whose action this thread runs, or 0.
    static ACTING: Cell<usize> = const { Cell::new(0) };
}

/// Runs part of the action of the barrier known by `address`, a number that is not 0 and no other barrier's; the message
/// of its panic, if it panics.
pub(crate) fn within(address: usize, part: impl FnOnce()) -> Result<(), String> {
    // An action may cross another barrier, whose action then runs inside this one.
    let outer = ACTING.replace(address);
    let result = catch_unwind(AssertUnwindSafe(part));
    ACTING.set(outer);
    result.map_err(|panicked| message_of(&*panicked))
}

/// Whether this thread is inside the action of the barrier known by `address`.
pub(crate) fn is_within(address: usize) -> bool {
    ACTING.get() == address
}

/// The text of a panic, if it has one.
pub(crate) fn message_of(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)").to_owned()
}
