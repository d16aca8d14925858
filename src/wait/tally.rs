//! What one party leaves for whoever watches it: counts of its long waits, since when it waits, what it was doing last.
//!
//! # State
//!
//! | word | written | meaning |
//! |---|---|---|
//! | `waits`, `spins`, `yields`, `parks` | at the end of a long wait | how many there were; fruitless polls that kept the CPU, that gave it away, sleeps |
//! | `wakes` | when it has made a system call to wake others | how many there were |
//! | `since` | at both ends of a long wait, and of what comes behind one if an alarm for a later trip ends it | when it began (nanoseconds of [`nanos`], plus 1), or 0 |
//! | `arrived` | at the beginning of a long wait | the same, kept until the next one: when the party was last seen to arrive |
//! | `thread` | at the beginning of a long wait, at the first wait, when the rank is claimed | the kernel's number of the thread that waits, or 0: a handle may move from one thread to another |
//! | `looks`, `first`, `last` | on the trips that the party looks at (`observe/eye.rs`) | how many there were; on how many nobody, or everybody else, had come before it |
//! | `label` | when its owner says so | the number of what it says it does |
//!
//! One writer, the party (one handle after another), and lines that nobody else writes; readers take them now and then.
//! Nothing of it is written on a trip that is over within the first polls and is not looked at, so the fast path pays one
//! comparison for all of it. Trips and arrivals are counted nowhere: the arrival slots say them (`barrier/ledger.rs`).
//!
//! # Memory ordering
//!
//! None: these are numbers for people ([`Meter`]).

use crate::primitive::{Meter, now, thread_id};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One party's counts, on lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    pub(crate) waits: Meter,
    pub(crate) spins: Meter,
    pub(crate) yields: Meter,
    pub(crate) parks: Meter,
    pub(crate) wakes: Meter,
    pub(crate) looks: Meter,
    pub(crate) first: Meter,
    pub(crate) last: Meter,
    pub(crate) label: Meter,
    since: Meter,
    arrived: Meter,
    thread: Meter,
}

/// What one long wait came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) polls: u32,
    pub(super) yields: u32,
    pub(super) parks: u32,
}

impl Tally {
    /// A long wait begins whose trip first looked at the clock at `start`.
    pub(super) fn begin(&self, start: Instant) {
        let at = nanos(start) + 1;
        self.since.set(at);
        self.arrived.set(at);
        self.note_thread();
    }

    /// The calling thread is the one that waits.
    pub(crate) fn note_thread(&self) {
        self.thread.set(thread_id().map_or(0, u64::from));
    }

    /// Whoever waited has the handle no more, and who has it now has not done or said anything yet.
    pub(crate) fn forget(&self) {
        [&self.thread, &self.arrived, &self.label].iter().for_each(|word| word.set(0));
    }

    /// Whether the party waits on although an alarm for a later trip has ended its long wait.
    pub(crate) fn outlasts(&self, waits: bool) {
        self.since.set(if waits { self.arrived.get() } else { 0 });
    }

    /// It has ended.
    pub(super) fn end(&self, spent: Spent) {
        self.since.set(0);
        self.waits.add(1);
        self.spins.add(u64::from(spent.polls.saturating_sub(spent.yields)));
        // The party has been released, and this is on its way out: most waits do neither.
        if spent.yields | spent.parks != 0 {
            self.yields.add(u64::from(spent.yields));
            self.parks.add(u64::from(spent.parks));
        }
    }

    /// A long wait begins now, for tests.
    #[cfg(test)]
    pub(crate) fn since_now(&self) {
        nanos(now());
        self.begin(now());
    }

    /// Since when the party has been in a long wait, if it is in one.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        instant(self.since.get())
    }

    /// When its last long wait began, whether it is over or not.
    pub(crate) fn last_arrived(&self) -> Option<Instant> {
        instant(self.arrived.get())
    }

    /// The kernel's number of the thread of the last long wait, or of the first wait.
    pub(crate) fn last_thread(&self) -> Option<u32> {
        u32::try_from(self.thread.get()).ok().filter(|&thread| thread != 0)
    }
}

/// Where the process counts time from: the first time that somebody asked.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(now)
}

/// An instant as a number: nanoseconds since the process first asked, 0 for what was before.
pub(crate) fn nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(origin()).as_nanos()).unwrap_or(u64::MAX - 1)
}

/// The instant behind a number one above that of [`nanos`]; 0 is none.
fn instant(number: u64) -> Option<Instant> {
    origin().checked_add(Duration::from_nanos(number.checked_sub(1)?))
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_seen_while_it_lasts_and_counted_when_it_ends() {
        let tally = Tally::default();
        assert_eq!((tally.waiting_since(), tally.last_arrived()), (None, None));
        // Not before the origin.
        nanos(now());
        let start = now();
        tally.begin(start);
        assert_eq!((tally.waiting_since(), tally.last_arrived()), (Some(start), Some(start)));
        tally.end(Spent { polls: 7, yields: 3, parks: 1 });
        assert_eq!((tally.waiting_since(), tally.last_arrived()), (None, Some(start)));
        let counts = [&tally.waits, &tally.spins, &tally.yields, &tally.parks].map(Meter::get);
        assert_eq!(counts, [1, 4, 3, 1]);
    }

    #[test]
    fn yields_without_a_sleep_and_sleeps_without_a_yield_are_counted() {
        let tally = Tally::default();
        tally.end(Spent { polls: 2, yields: 2, parks: 0 });
        tally.end(Spent { polls: 1, yields: 0, parks: 1 });
        tally.end(Spent { polls: 3, yields: 3, parks: 3 });
        assert_eq!([&tally.waits, &tally.spins, &tally.yields, &tally.parks].map(Meter::get), [3, 1, 5, 4]);
    }

    #[test]
    fn the_thread_that_waits_is_known_until_its_handle_goes() {
        let tally = Tally::default();
        assert_eq!(tally.last_thread(), None);
        tally.note_thread();
        assert_eq!(tally.last_thread(), thread_id());
        nanos(now());
        tally.begin(now());
        tally.outlasts(false);
        assert_eq!(tally.waiting_since(), None);
        tally.outlasts(true);
        assert_eq!((tally.waiting_since(), tally.last_arrived().is_some()), (tally.last_arrived(), true));
        tally.label.set(3);
        tally.forget();
        assert_eq!((tally.last_thread(), tally.last_arrived(), tally.label.get()), (None, None, 0));
    }

    #[test]
    fn a_tally_disturbs_no_neighbour() {
        assert_eq!((size_of::<Tally>(), align_of::<Tally>()), (128, 128));
    }
}
