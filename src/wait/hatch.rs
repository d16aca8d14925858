//! A door for a barrier that has no room for one: the caller's 32 bytes of `compat/in_place.rs`.
//!
//! What differs from [`Door`](super::Door): nothing is ever broken here; the mark of a sleeper stands in the word that the last
//! arrival changes by a read-modify-write in any case, so neither side needs a fence; and what all parties have learned of their
//! waits is one word, because there are no handles that could keep it.
//!
//! # Protocol: parking
//!
//! Two words: the barrier's own, with one bit for [`Hatch::MARK`], and the *bell*, a count of wakes that threads sleep on.
//!
//! A parker (1) sets the mark by a read-modify-write, (2) reads the bell, and starts over if the mark is gone, (3) looks at what it waits
//! for, (4) sleeps if the bell still has the value of (2). A releaser (a) publishes by a read-modify-write of the word with the mark, and
//! if it finds the mark in the old value, (b) clears it, (c) rings: adds 1 to the bell and wakes all sleepers.
//!
//! No wake is lost. (1) and (a) are in one order. If (a) is first, look (3) finds what was published. Else somebody clears the mark
//! behind (1): the releaser, or another one before it. Take the first (b) behind (1), and its (c). If the bell of (2) is older than that
//! (c), sleep (4) returns at once or is ended by it. If not, the parker has seen (c) and therefore (b): it finds the mark gone and starts
//! over, or set again by another parker behind (b); then the next (b) and (c) are for both.
//!
//! # Memory ordering
//!
//! (2) acquires and (c) releases: who has seen the new bell finds the mark as (b) left it, or later. (1), (b) and the look at the mark
//! are relaxed: they carry nothing, and a read-modify-write does not cut the release sequences of the word.

use super::long_wait::{Goal, LongWait, Nook};
use super::{Limit, Pace, Plan, Seen, Stop};
use crate::primitive::{AtomicU64, Futex, Ordering, Reach, now, relax};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The words of one barrier, as its waits see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hatch<'a> {
    /// The word with the mark.
    pub(crate) word: &'a AtomicU64,
    pub(crate) bell: &'a Futex,
    pub(crate) lessons: &'a AtomicU64,
    pub(crate) reach: Reach,
}

/// What a long wait has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stint {
    pub(crate) waited: Duration,
    pub(crate) spins: u32,
    pub(crate) yields: u32,
    pub(crate) parks: u32,
}

impl Hatch<'_> {
    /// The bit of a sleeper.
    pub(crate) const MARK: u64 = 1;

    /// Stays until `ready` answers true, as [`Door::until`](super::Door::until) does behind its first polls. `look` is called each
    /// `every`, if that is given, with the time waited so far.
    #[cold]
    #[inline(never)]
    pub(crate) fn long_wait(
        self,
        plan: Plan,
        ready: &dyn Fn() -> bool,
        every: Option<Duration>,
        look: &mut dyn FnMut(Duration),
    ) -> Stint {
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let mut pace = Pace::resume(plan, (u64::from(lessons.average), lessons.penance));
        let mut stint = Stint::default();
        for polls in 1..=pace.lingering() {
            if ready() {
                return stint;
            }
            relax(polls);
        }
        let start = now();
        let (mut looked, mut due) = (start, every);
        let stay = Stay { hatch: self, shuns_yields: lessons.no_yields > 0, met_rival: Cell::new(false) };
        let waited = loop {
            let end = due.and_then(|due| Limit::After(due).end(start, None));
            let mut wait = LongWait::new(&stay, Goal { ready, all_here: None }, 0, (start, looked), end);
            let outcome = wait.run(&mut pace);
            let spent = wait.spent();
            stint.spins = stint.spins.saturating_add(spent.polls - spent.yields);
            stint.yields = stint.yields.saturating_add(spent.yields);
            stint.parks = stint.parks.saturating_add(spent.parks);
            match outcome {
                Ok(Seen::Ready | Seen::AllHere) => break wait.waited(),
                Err(Stop::Alarm | Stop::Expired(_)) => look(wait.waited()),
            }
            looked = now();
            due = every.map(|every| (looked - start) + every);
        };
        pace.learn(waited);
        stint.waited = waited;
        let learned = lessons.after(pace.lessons(), stay.met_rival.get());
        if learned != lessons {
            self.lessons.store(learned.pack(), Ordering::Relaxed);
        }
        stint
    }

    /// Steps (b) and (c), for a releaser that has found the mark.
    #[cold]
    pub(crate) fn ring(self) {
        // Relaxed: the mark carries nothing.
        self.word.fetch_and(!Self::MARK, Ordering::Relaxed);
        // [ring] Release: a parker that reads this bell comes behind the line above.
        self.bell.word().fetch_add(1, Ordering::Release);
        self.bell.wake_all_within(self.reach);
    }

    /// Wakes all sleepers for no reason, for tests (C12).
    pub(crate) fn wake_spuriously(self) {
        // Relaxed: says nothing of the mark.
        self.bell.word().fetch_add(1, Ordering::Relaxed);
        self.bell.wake_all_within(self.reach);
    }
}

/// One wait at a hatch.
struct Stay<'a> {
    hatch: Hatch<'a>,
    shuns_yields: bool,
    met_rival: Cell<bool>,
}

impl Nook for Stay<'_> {
    fn alarmed(&self) -> bool {
        false
    }

    fn has_sleepers(&self, _generation: u64) -> bool {
        false
    }

    fn has_rivals(&self, _generation: u64) -> bool {
        self.shuns_yields
    }

    fn note_slow_yield(&self, _generation: u64) {
        self.met_rival.set(true);
    }

    fn announce(&self, _generation: u64) -> u32 {
        loop {
            // Relaxed: the order of the word's modifications decides.
            self.hatch.word.fetch_or(Hatch::MARK, Ordering::Relaxed); // (1)
            // [kept] Acquire: pairs with `ring`; whoever sees that bell sees its clearing of the mark.
            let kept = self.hatch.bell.word().load(Ordering::Acquire); // (2)
            // Relaxed: ordered by the line above.
            if self.hatch.word.load(Ordering::Relaxed) & Hatch::MARK != 0 {
                return kept;
            }
        }
    }

    fn sleep(&self, kept: u32, expires: Option<Instant>, fruitless: u32) -> bool {
        self.hatch.bell.sleep_within(self.hatch.reach, kept, expires, fruitless)
    }
}

/// What the parties of one barrier have learned, in one word: hints, of which a lost update costs a few microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lessons {
    /// Average of the long waits, in nanoseconds; some four seconds at most.
    average: u32,
    /// Long waits left without spinning.
    penance: u8,
    /// Long waits in a row that met a rival: a yield that took a time slice (`rivals.rs`).
    slow: u8,
    /// Long waits left without yields.
    no_yields: u16,
}

/// Long waits in a row with a slow yield that show a rival: everything else on the machine needs a CPU now and then.
const ACCIDENTS: u8 = 3;

/// Long waits without yields then.
const PAUSE: u16 = 512;

impl Lessons {
    fn unpack(word: u64) -> Self {
        Self {
            average: word as u32,
            penance: (word >> 32) as u8,
            slow: (word >> 40) as u8,
            no_yields: (word >> 48) as u16,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.average)
            | u64::from(self.penance) << 32
            | u64::from(self.slow) << 40
            | u64::from(self.no_yields) << 48
    }

    /// Behind one more long wait.
    fn after(self, (average, penance): (u64, u8), met_rival: bool) -> Self {
        let average = u32::try_from(average).unwrap_or(u32::MAX);
        if self.no_yields > 0 {
            // On trial behind it: one slow yield more is enough.
            return Self { average, penance, slow: ACCIDENTS - 1, no_yields: self.no_yields - 1 };
        }
        let slow = if met_rival { self.slow + 1 } else { 0 };
        let no_yields = if slow >= ACCIDENTS { PAUSE } else { 0 };
        Self { average, penance, slow: slow % ACCIDENTS, no_yields }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn lessons_survive_the_word() {
        let lessons = Lessons { average: 0xDEAD_BEEF, penance: 0x12, slow: 0x34, no_yields: 0x5678 };
        assert_eq!(Lessons::unpack(lessons.pack()), lessons);
        assert_eq!(Lessons::unpack(0), Lessons::default());
        let long = Lessons::default().after((u64::MAX, 3), false);
        assert_eq!((long.average, long.penance), (u32::MAX, 3));
    }

    #[test]
    fn three_slow_yields_in_a_row_are_a_rival_and_then_one_is() {
        let met = |lessons: Lessons, times: &[bool]| times.iter().fold(lessons, |l, &met| l.after((0, 0), met));
        assert_eq!(met(Lessons::default(), &[true, true, false, true, true]).no_yields, 0);
        let rival = met(Lessons::default(), &[true, true, true]);
        assert_eq!((rival.no_yields, rival.slow), (PAUSE, 0));
        let behind = met(rival, &vec![false; usize::from(PAUSE)]);
        assert_eq!(behind.no_yields, 0);
        assert_eq!(met(behind, &[true]).no_yields, PAUSE);
        assert_eq!(met(behind, &[false, true]).no_yields, 0);
    }
}
