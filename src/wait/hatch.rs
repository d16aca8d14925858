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
        epoch: Instant,
        ready: &dyn Fn() -> bool,
        every: Option<Duration>,
        look: &mut dyn FnMut(Duration),
    ) -> Stint {
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let start = now();
        let seldom = plan.learns && lessons.are_long_ago(epoch, start, plan.spin);
        let plan = if seldom || plan.learns && lessons.pause > 0 { plan.at_once() } else { plan };
        let mut pace = Pace::resume(plan, (u64::from(lessons.average) * GRAIN, lessons.penance));
        let mut stint = Stint::default();
        for polls in 1..=pace.lingering() {
            if ready() {
                return stint;
            }
            relax(polls);
        }
        let (mut looked, mut due) = (start, every);
        let stay = Stay { hatch: self, met_rival: Cell::new(false) };
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
        let in_vain = stint.parks > 0 || stay.met_rival.get();
        let after = if seldom {
            // A pause is slept through without a limit, so only where wakes have come.
            lessons.after_one_of_few(in_vain && Futex::obeys())
        } else {
            lessons.after(pace.lessons(), in_vain)
        };
        let learned = after.at(epoch, start + waited);
        if learned != lessons {
            self.lessons.store(learned.pack(), Ordering::Relaxed);
        }
        stint
    }

    /// Whether waits are far apart, and to be slept through for a while.
    #[inline(always)]
    pub(crate) fn sleeps_through(self) -> bool {
        // Relaxed: a hint.
        self.lessons.load(Ordering::Relaxed) & APART != 0
    }

    /// Sleeps until `ready` answers true, without a look at the clock and without a limit, if [`sleeps_through`](Self::sleeps_through) and
    /// within a process. What times are counted from is asked for by the last wait of a pause, which may do without it.
    ///
    /// A wait that comes long after the last one finds nothing of itself in the caches, so this one touches little: the barrier, and code
    /// that is in one piece. It is the parking of `long_wait.rs` without the plan and the clock. What it saves:
    /// docs/results/2026-11-29-epyc-2cpu-preload/sleepers.md.
    #[inline(always)]
    pub(crate) fn sleep_through(self, epoch: impl Fn() -> Option<Instant>, ready: impl Fn() -> bool) {
        let mut sleeps: u32 = 0;
        let mut woken = true;
        loop {
            let kept = self.announce(); // (1) and (2)
            if ready() {
                break; // (3)
            }
            // (4)
            if let Err(failure) = self.bell.doze(kept) {
                self.bell.recover_from_doze(failure, kept, sleeps);
                woken = false;
            }
            if ready() {
                break;
            }
            sleeps = sleeps.saturating_add(1);
            woken = false;
        }
        // What others have made of it meanwhile, since each of them counts one too.
        let word = self.lessons.load(Ordering::Relaxed);
        if woken && word & PAUSES > ONE_PAUSE {
            self.lessons.store(word - ONE_PAUSE, Ordering::Relaxed); // Relaxed: a hint.
        } else {
            self.end_pause(word, epoch());
        }
    }

    /// The end of a pause: the next wait wants to know how far apart they are. It comes early where something else than a wake ends a sleep.
    #[cold]
    #[inline(never)]
    fn end_pause(self, word: u64, epoch: Option<Instant>) {
        let lessons = Lessons { pause: 0, apart: false, ..Lessons::unpack(word) };
        let lessons = epoch.map_or(lessons, |epoch| lessons.at(epoch, now()));
        self.lessons.store(lessons.pack(), Ordering::Relaxed); // Relaxed: a hint.
    }

    /// Says that the barrier is made now: a first wait long behind that is one of those that are far apart.
    pub(crate) fn begin(self, epoch: Instant) {
        // Relaxed: a hint.
        self.lessons.store(Lessons::default().at(epoch, now()).pack(), Ordering::Relaxed);
    }

    /// Steps (1) and (2).
    #[inline(always)]
    fn announce(self) -> u32 {
        loop {
            // Relaxed: the order of the word's modifications decides.
            self.word.fetch_or(Self::MARK, Ordering::Relaxed); // (1)
            // [kept] Acquire: pairs with `ring`; whoever sees that bell sees its clearing of the mark.
            let kept = self.bell.word().load(Ordering::Acquire); // (2)
            // Relaxed: ordered by the line above.
            if self.word.load(Ordering::Relaxed) & Self::MARK != 0 {
                return kept;
            }
        }
    }

    /// Steps (b) and (c), for a releaser that has found the mark.
    #[inline]
    pub(crate) fn ring(self) {
        // Relaxed: the mark carries nothing.
        self.word.fetch_and(!Self::MARK, Ordering::Relaxed);
        // [ring] Release: a parker that reads this bell comes behind the line above.
        self.bell.word().fetch_add(1, Ordering::Release);
        self.bell.wake_all_within(self.reach);
    }

    /// Begins a pause, the longest that there is.
    #[cfg(test)]
    pub(crate) fn pause(self) {
        let pause = Lessons { pause: PAUSE << DOUBLED, apart: true, ..Lessons::default() };
        self.lessons.store(pause.pack(), Ordering::Relaxed); // Relaxed: a hint, in a test.
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
        false
    }

    fn note_slow_yield(&self, _generation: u64) {
        self.met_rival.set(true);
    }

    fn announce(&self, _generation: u64) -> u32 {
        self.hatch.announce()
    }

    fn sleep(&self, kept: u32, expires: Option<Instant>, fruitless: u32) -> bool {
        self.hatch.bell.sleep_within(self.hatch.reach, kept, expires, fruitless)
    }
}

/// What the parties of one barrier have learned, in one word: hints, of which a lost update costs a few microseconds.
///
/// Beyond the averages of `pace.rs`: whether it was in vain that they stayed awake. A wait that ended with a sleep, or met a yield that
/// took a time slice, was; after three in a row nobody stays awake for a while, and then one is enough for twice as long. Spinning in
/// vain costs its budget where everybody has a CPU. Where the one who is missing has been kept out by it (threads of unequal real-time
/// priority on one CPU), it is what the wait consists of, and no average tells: the wait is as long as the budget.
/// Waits that are far apart are paused for in the same way, though not for as many: there nobody stays awake in any case, not even for
/// the bare polls, and the pause does without the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lessons {
    /// Average of the long waits, in units of 64 ns; some four milliseconds at most.
    average: u16,
    /// Long waits left without spinning.
    penance: u8,
    /// Long waits in vain in a row.
    vain: u8,
    /// How often the next pause is to be doubled.
    doubled: u8,
    /// Long waits left for which everybody sleeps at once.
    pause: u16,
    /// When the last one ended, in units of 65.536 µs, modulo 2^26.
    ended: u32,
    /// Whether the pause is one of waits that are far apart.
    apart: bool,
}

/// The unit of the average, and that of the time.
const GRAIN: u64 = 64;
const TICK: u128 = 1 << 16;

/// Bits of the time.
const ENDED: u32 = 26;

/// In the word: a pause of waits that are far apart; a wait of a pause, and all of them.
const APART: u64 = 1 << 63;
const ONE_PAUSE: u64 = 1 << 26;
const PAUSES: u64 = 2047 << 26;

/// Where the last long wait ended so many spin budgets ago, spinning gains less than a hundredth, and in a program that sleeps
/// in between costs a multiple of all else: nobody stays awake.
const SELDOM: u32 = 100;

/// Who does not spin yields where CPUs are scarce: that too is worth its while among trips in quick succession.
const LEAST_SPIN: Duration = Duration::from_micros(10);

/// Long waits in a row that have to be in vain: everything else on the machine needs a CPU now and then.
const ACCIDENTS: u8 = 3;

/// The first pause, in long waits, and how often it is doubled at most.
const PAUSE: u16 = 16;
const DOUBLED: u8 = 6;

/// The same for waits that are far apart: should trips come in quick succession all at once, 64 of them are slept through at most.
const DOUBLED_FOR_FEW: u8 = 2;

impl Lessons {
    fn unpack(word: u64) -> Self {
        let bits = |from: u32, count: u32| (word >> from & ((1 << count) - 1)) as u32;
        Self {
            average: bits(0, 16) as u16,
            penance: bits(16, 5) as u8,
            vain: bits(21, 2) as u8,
            doubled: bits(23, 3) as u8,
            pause: bits(26, 11) as u16,
            ended: bits(37, ENDED),
            apart: word & APART != 0,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.average)
            | u64::from(self.penance.min(31)) << 16
            | u64::from(self.vain.min(3)) << 21
            | u64::from(self.doubled.min(7)) << 23
            | (u64::from(self.pause.min(2047)) * ONE_PAUSE)
            | u64::from(self.ended) << 37
            | if self.apart { APART } else { 0 }
    }

    fn tick(epoch: Instant, time: Instant) -> u32 {
        let ticks = time.saturating_duration_since(epoch).as_nanos() / TICK;
        ticks as u32 & ((1 << ENDED) - 1)
    }

    /// Whether the last long wait ended [`SELDOM`] spin budgets before `start`. (Processes that share a barrier have clocks of their own
    /// here, and so may find it long ago when it was not.)
    fn are_long_ago(self, epoch: Instant, start: Instant, spin: Duration) -> bool {
        let since = Self::tick(epoch, start).wrapping_sub(self.ended) & ((1 << ENDED) - 1);
        // What ended in the tick that is 0 is told as of the next, and may seem to lie ahead.
        let behind = self.ended != 0 && since < 1 << (ENDED - 1);
        behind && u128::from(since) * TICK > spin.max(LEAST_SPIN).saturating_mul(SELDOM).as_nanos()
    }

    /// With a wait that ended then.
    fn at(self, epoch: Instant, end: Instant) -> Self {
        // 0 is never.
        Self { ended: Self::tick(epoch, end).max(1), ..self }
    }

    /// Behind one more long wait that came long after the last. That it was soon over says nothing of those in quick succession.
    fn after_one_of_few(self, in_vain: bool) -> Self {
        if !in_vain {
            return self;
        }
        let few = Self { doubled: self.doubled.min(DOUBLED_FOR_FEW), ..self };
        let after = few.after((u64::from(self.average) * GRAIN, self.penance), true);
        Self { apart: after.pause > 0, ..after }
    }

    /// Behind one more long wait.
    fn after(self, (average, penance): (u64, u8), in_vain: bool) -> Self {
        let average = u16::try_from(average / GRAIN).unwrap_or(u16::MAX);
        let same = Self { average, penance, ..self };
        if self.pause > 0 {
            let pause = self.pause - 1;
            return Self { pause, apart: self.apart && pause > 0, ..same };
        }
        if !in_vain {
            return Self { vain: 0, doubled: 0, ..same };
        }
        if self.vain + 1 < ACCIDENTS {
            return Self { vain: self.vain + 1, ..same };
        }
        let doubled = self.doubled.min(DOUBLED);
        Self { pause: PAUSE << doubled, doubled: (doubled + 1).min(DOUBLED), vain: ACCIDENTS - 1, ..same }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::wait::WaitPolicy;

    #[test]
    fn lessons_survive_the_word() {
        for apart in [false, true] {
            let lessons =
                Lessons { average: 0xBEEF, penance: 17, vain: 2, doubled: 6, pause: 1024, ended: 0x2AB_CDEF, apart };
            assert_eq!(Lessons::unpack(lessons.pack()), lessons);
        }
        assert_eq!(Lessons::unpack(0), Lessons::default());
        let long = Lessons::default().after((u64::MAX, 3), false);
        assert_eq!((long.average, long.penance), (u16::MAX, 3));
        let ended = (1 << ENDED) - 1;
        let most = Lessons { average: u16::MAX, penance: 31, vain: 3, doubled: 7, pause: 2047, ended, apart: true };
        assert_eq!((most.pack(), Lessons::unpack(u64::MAX)), (u64::MAX, most));
        assert_eq!(Lessons::unpack(PAUSES), Lessons { pause: 2047, ..Lessons::default() });
        assert_eq!(Lessons::unpack(most.pack() - ONE_PAUSE), Lessons { pause: 2046, ..most });
    }

    #[test]
    fn three_waits_in_vain_in_a_row_are_a_pause_and_then_one_is_for_twice_as_long() {
        let met = |lessons: Lessons, times: &[bool]| times.iter().fold(lessons, |l, &vain| l.after((0, 0), vain));
        assert_eq!(met(Lessons::default(), &[true, true, false, true, true]).pause, 0);
        let mut lessons = met(Lessons::default(), &[true, true, true]);
        for doubled in [0, 1, 2, 3, 4, 5, 6, 6, 6] {
            assert_eq!(lessons.pause, PAUSE << doubled);
            lessons = met(lessons, &vec![true; usize::from(lessons.pause)]);
            assert_eq!(lessons.pause, 0);
            lessons = met(lessons, &[true]);
        }
        let behind = met(lessons, &vec![false; usize::from(lessons.pause) + 1]);
        assert_eq!((behind.vain, behind.doubled, met(behind, &[true, true]).pause), (0, 0, 0));
    }

    #[test]
    fn who_may_not_learn_stays_awake_whatever_was_in_vain() {
        let words =
            (AtomicU64::new(0), Futex::new(0), AtomicU64::new(Lessons { pause: 9, ..Lessons::default() }.pack()));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let wait = |policy| {
            let plan = Plan::new(policy, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
            let looks = Cell::new(0);
            let ready = || looks.replace(looks.get() + 1) > 3 || words.0.load(Ordering::Relaxed) != 0;
            hatch.long_wait(plan, now(), &ready, None, &mut |_| {});
            words.0.swap(0, Ordering::Relaxed) == Hatch::MARK
        };
        let slept = [WaitPolicy::SpinPark, WaitPolicy::SpinYield].map(wait);
        // By Miri's clock every look takes as long as one without a CPU.
        assert!(slept == [false; 2] || cfg!(miri), "{slept:?}");
        let looks = Cell::new(0);
        let plan = Plan::new(WaitPolicy::Adaptive, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
        let ready = || looks.replace(looks.get() + 1) > 100 || words.0.load(Ordering::Relaxed) != 0;
        hatch.long_wait(plan, now(), &ready, None, &mut |_| {});
        assert_eq!(words.0.load(Ordering::Relaxed), Hatch::MARK, "it goes to sleep at its first look");
        assert_eq!(Lessons::unpack(words.2.load(Ordering::Relaxed)).pause, 6);
    }

    #[test]
    fn nobody_stays_awake_for_trips_that_are_far_apart() {
        let (epoch, spin) = (now(), Duration::from_micros(40));
        let at = |millis| epoch + Duration::from_millis(millis);
        let lessons = Lessons::default();
        assert!(!lessons.are_long_ago(epoch, at(1000), spin), "there has been none");
        let lessons = lessons.at(epoch, at(1000));
        let seldom = [1000, 1003, 1005, 1010].map(|millis| lessons.are_long_ago(epoch, at(millis), spin));
        assert_eq!(seldom, [false, false, true, true]);
        let without_spinning = [1000, 1003].map(|millis| lessons.are_long_ago(epoch, at(millis), Duration::ZERO));
        assert_eq!(without_spinning, [false, true]);
        // Across the end of the time that fits.
        let wrap = Duration::from_nanos((TICK as u64) << ENDED); // Some seventy minutes.
        let lessons = lessons.at(epoch, epoch + wrap - Duration::from_millis(1));
        assert!(
            !lessons.are_long_ago(epoch, epoch + wrap, spin)
                && lessons.are_long_ago(epoch, epoch + wrap + spin * 150, spin)
        );
        let first = Lessons::default().at(epoch, epoch);
        assert_eq!((first.ended, first.are_long_ago(epoch, epoch, spin)), (1, false));
    }

    #[test]
    fn waits_far_apart_are_slept_through_after_three_that_slept_and_not_for_as_many_as_waits_in_vain() {
        let met = |lessons: Lessons, times: &[bool]| times.iter().fold(lessons, |l, &vain| l.after_one_of_few(vain));
        // One that was soon over says nothing, and does not begin the row anew.
        let fresh = Lessons { average: 70, penance: 3, ..Lessons::default() };
        assert_eq!(met(fresh, &[false, true, false, true, false]), Lessons { vain: 2, ..fresh });
        let mut lessons = met(fresh, &[true, true, true]);
        for doubled in [0, 1, 2, 2, 2] {
            assert_eq!((lessons.pause, lessons.average, lessons.penance), (PAUSE << doubled, 70, 3));
            assert!(lessons.apart);
            // Of those who look at the clock all the same, since somebody wants the time, each counts one, too.
            lessons = met(lessons, &vec![true; usize::from(lessons.pause)]);
            assert_eq!((lessons.pause, lessons.apart), (0, false));
            lessons = met(lessons, &[true]);
        }
        let behind = Lessons { pause: 0, apart: false, ..lessons }.after((0, 0), false);
        assert_eq!((behind.vain, behind.doubled), (0, 0), "one in quick succession that was worth staying awake for");
        let in_vain = [true; 3].iter().fold(fresh, |lessons, &vain| lessons.after((0, 0), vain));
        assert_eq!((in_vain.pause, in_vain.apart), (PAUSE, false), "waits in quick succession begin another pause");
    }

    #[test]
    fn a_first_wait_long_behind_the_making_is_one_of_those_far_apart() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let (epoch, spin) = (now(), Duration::from_micros(10));
        let long_ago =
            |after| Lessons::unpack(words.2.load(Ordering::Relaxed)).are_long_ago(epoch, now() + after, spin);
        assert!(!long_ago(Duration::from_secs(1)), "nobody has said when it was made");
        hatch.begin(epoch);
        assert!(long_ago(Duration::from_secs(1)) && (!long_ago(Duration::ZERO) || cfg!(miri)));
    }

    #[test]
    fn a_pause_is_slept_through_without_the_clock_until_its_last_wait() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
        let epoch = now();
        assert!(!hatch.sleeps_through(), "there is no pause");
        hatch.pause();
        assert_eq!((hatch.sleeps_through(), lessons().pause), (true, PAUSE << DOUBLED));
        // Comes between the announcement and the sleep.
        let marked = || words.0.load(Ordering::Relaxed) != 0;
        hatch.sleep_through(|| unreachable!(), marked);
        assert_eq!((lessons().pause, lessons().apart, lessons().ended), ((PAUSE << DOUBLED) - 1, true, 0));
        for (left, knows) in [(2, false), (1, true), (1, false)] {
            words.0.store(0, Ordering::Relaxed);
            let pause = Lessons { pause: left, vain: 2, apart: true, ..Lessons::default() };
            words.2.store(pause.pack(), Ordering::Relaxed);
            hatch.sleep_through(|| knows.then_some(epoch), marked);
            let rest = Lessons { pause: left - 1, apart: left > 1, ended: 0, ..pause };
            assert_eq!((Lessons { ended: 0, ..lessons() }, lessons().ended > 0), (rest, knows));
        }
        assert!(!hatch.sleeps_through(), "the pause is over");
    }

    #[test]
    fn a_sleep_that_nobody_ends_for_good_ends_the_pause() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        hatch.pause();
        let looks = Cell::new(0);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                    hatch.wake_spuriously();
                }
            });
            // Behind the second sleep.
            hatch.sleep_through(|| Some(now()), || looks.replace(looks.get() + 1) == 3);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        assert_eq!((looks.get(), hatch.sleeps_through()), (4, false));
    }

    #[test]
    fn a_wait_that_ends_with_a_sleep_was_in_vain_and_one_without_was_not() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
        let plan = |policy| Plan::new(policy, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
        let epoch = now();
        // Comes at the second look behind the announcement of a sleep.
        let marked = || words.0.load(Ordering::Relaxed) != 0;
        let looks = Cell::new(0);
        let twice = || marked() && looks.replace(looks.get() + 1) > 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !marked() {
                    std::thread::yield_now();
                }
                hatch.wake_spuriously();
            });
            let stint = hatch.long_wait(plan(WaitPolicy::Park), epoch, &twice, None, &mut |_| {});
            assert_eq!((stint.parks, stint.yields), (1, 0));
        });
        assert_eq!(lessons().vain, 1);
        if cfg!(miri) {
            return; // By its clock every look takes as long as one without a CPU.
        }
        let looks = Cell::new(0);
        let soon = || looks.replace(looks.get() + 1) > 50;
        let stint = hatch.long_wait(plan(WaitPolicy::SpinYield), epoch, &soon, None, &mut |_| {});
        assert_eq!((stint.spins, stint.yields, stint.parks), (51, 0, 0));
        assert_eq!(lessons().vain, 0);
        let (looks, plan) = (Cell::new(0), plan(WaitPolicy::SpinYield).at_once());
        let yields = Plan { yields: Duration::MAX, ..plan };
        let soon = || looks.replace(looks.get() + 1) > 50;
        let stint = hatch.long_wait(yields, epoch, &soon, None, &mut |_| {});
        assert_eq!((stint.spins, stint.yields, stint.parks), (0, 51, 0));
    }
}
