//! The members between runs: what they share, what each has for itself, and the life of a worker.
//!
//! # Looking after the others
//!
//! A member that has returned will not come to the team's barrier any more in this run; if others wait for it there, they
//! wait for ever, and nobody else can tell. So whoever has nothing left to do looks after them: while the run is not over
//! it wakes up now and then ([`LOOKS`]), and if somebody waits at a trip that lacks this very member, it breaks that trip.
//!
//! Never a false alarm: it looks at the arrivals first, then whether the next run has been called. If not, the arrivals
//! that it saw were made in this run, in which this member does not arrive again, so that trip can never complete. (An
//! arrival of the next run comes behind `go` of the next run, and who acquires the one sees the other.)

use super::dispatch::{Dispatch, FIRST};
use super::error::MemberPanic;
use super::share::Tally;
use super::turnstile::{Turnstile, thread_token};
use crate::barrier::Barrier;
use crate::barrier::party::Party;
use crate::error::{Broken, Cause};
use crate::primitive::{AtomicU32, Mutex, Ordering, lock};
use crate::wait::{Limit, Pace};
use std::any::Any;
use std::cell::Cell;
use std::time::Duration;

/// What one member has for itself, from run to run.
pub(super) struct Seat {
    pub(super) rank: usize,
    pub(super) party: Party,
}

/// One call of all members, with its types forgotten. All that a member needs to know lies in the line that calls it: a
/// pointer to more would cost a further transfer.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// Makes the call on behalf of a seat.
    pub(super) make: unsafe fn(Data, &mut Seat, &Shared),
    pub(super) data: Data,
}

/// What a call is given, and where its results go: lives until all have reported.
#[derive(Clone, Copy)]
pub(super) struct Data {
    pub(super) body: *const (),
    pub(super) results: *mut (),
}

// SAFETY: `data` is only given to `make`, by members between the call and their reports; whoever makes a `Call` promises
// that this is sound on other threads (`Team::run`).
#[allow(unsafe_code)]
unsafe impl Send for Call {}

/// What all members share.
pub(super) struct Shared {
    size: usize,
    pub(super) dispatch: Dispatch<Call>,
    tally: Tally,
    turnstile: Turnstile,
    /// The panics of this run, the first one first.
    panics: Mutex<Vec<MemberPanic>>,
    /// 1 if there are any: nobody takes the lock for nothing.
    any_panics: AtomicU32,
    /// The barrier that the members meet at, until it breaks.
    region: Mutex<Barrier>,
    /// A new barrier's parties on their way to their members, by rank.
    fresh: Mutex<Vec<Option<Party>>>,
}

impl Shared {
    pub(super) fn new(size: usize, dispatch: Dispatch<Call>, region: Barrier) -> Self {
        Self {
            size,
            dispatch,
            tally: Tally::new(),
            turnstile: Turnstile::new(),
            panics: Mutex::new(Vec::new()),
            any_panics: AtomicU32::new(0),
            region: Mutex::new(region),
            fresh: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn region(&self) -> Barrier {
        lock(&self.region).clone()
    }

    /// Puts a new barrier in the place of the old one; the members fetch their parties with [`Shared::refit`].
    pub(super) fn renew(&self, region: Barrier, parties: Vec<Party>) {
        *lock(&self.fresh) = parties.into_iter().map(Some).collect();
        *lock(&self.region) = region;
    }

    /// Gives a member its party of the new barrier.
    pub(super) fn refit(&self, seat: &mut Seat) {
        let fresh = lock(&self.fresh).get_mut(seat.rank).and_then(Option::take);
        if let Some(party) = fresh {
            seat.party = party;
        }
    }

    /// Takes the team for a run of the calling thread; `Err` says whether it is this thread's own run that is under way.
    pub(super) fn enter(&self) -> Result<(), Taken> {
        let token = thread_token();
        match self.turnstile.enter(token) {
            Ok(()) => Ok(()),
            Err(_) if WORKS_FOR.with(Cell::get) == self.address() => Err(Taken::ByOwnRun),
            Err(caller) if caller == token => Err(Taken::ByOwnRun),
            Err(_) => Err(Taken::ByAnother),
        }
    }

    pub(super) fn exit(&self) {
        self.turnstile.exit();
    }

    /// Takes note of a member's panic, and releases the others.
    #[cold]
    pub(super) fn panicked(&self, seat: &Seat, payload: Box<dyn Any + Send>) {
        lock(&self.panics).push(MemberPanic::new(seat.rank, payload));
        // Relaxed: the caller looks behind this member's report.
        self.any_panics.store(1, Ordering::Relaxed);
        self.break_trip(seat, Cause::Panicked { rank: seat.rank });
    }

    /// Breaks the open trip of the team's barrier; what its parties are told.
    #[cold]
    pub(super) fn break_trip(&self, seat: &Seat, cause: Cause) -> Broken {
        seat.party.control.break_open_trip(&cause)
    }

    /// The panics of the run that is over, if there were any.
    #[inline]
    pub(super) fn take_panics(&self) -> Option<Vec<MemberPanic>> {
        // Relaxed: behind all reports.
        if self.any_panics.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.any_panics.store(0, Ordering::Relaxed);
        Some(std::mem::take(&mut *lock(&self.panics)))
    }

    /// What a member does that has nothing to do while the others are still at call `number`: the module essay. Whether the
    /// call is over.
    #[cold]
    pub(super) fn look_after_others(&self, number: u64, seat: &Seat) -> bool {
        if self.dispatch.is_over(number) {
            return true;
        }
        let awaited = seat.party.is_awaited();
        if awaited && !self.dispatch.is_called(number.wrapping_add(1)) {
            seat.party.control.break_trip_of_waiters(&Cause::Dropped { rank: seat.rank });
        }
        false
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Whose run keeps a team from being run.
pub(super) enum Taken {
    ByOwnRun,
    ByAnother,
}

per_thread! {
    /// The team that this thread was started for, by address.
    static WORKS_FOR: Cell<usize> = Cell::new(0);
}

/// When an idle member looks after the others: first after so long, then after twice that, and so on, but at least every
/// tenth of a second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// The times of a member's looks, counted from the end of its own work.
pub(super) struct Looks {
    total: Duration,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self { total: LOOKS.0 }
    }

    pub(super) fn limit(&self) -> Limit {
        Limit::After(self.total)
    }

    pub(super) fn next(&mut self) {
        self.total += self.total.min(LOOKS.1);
    }
}

/// The life of a worker: waits for a call, makes it, reports; until there is nothing in it.
#[allow(unsafe_code)]
pub(super) fn work(shared: &Shared, mut seat: Seat, mut pace: Pace) {
    WORKS_FOR.with(|team| team.set(shared.address()));
    let mut number = FIRST;
    // Before the first call there is nobody to look after.
    let mut looks: Option<Looks> = None;
    loop {
        let limit = looks.as_ref().map_or(Limit::Never, Looks::limit);
        let Ok(call) = shared.dispatch.await_call(number, &mut pace, limit) else {
            let over = shared.look_after_others(number.wrapping_sub(1), &seat);
            looks = looks.filter(|_| !over);
            if let Some(looks) = &mut looks {
                looks.next();
            }
            continue;
        };
        let Some(Call { make, data }) = call else { return };
        // SAFETY: the caller of the run made `data` for `make`, and does not return before this member has reported, below.
        unsafe { make(data, &mut seat, shared) };
        shared.dispatch.report(number, seat.rank);
        number = number.wrapping_add(1);
        looks = Some(Looks::new());
    }
}
