//! A door for a barrier that has no room for one: the caller's 32 bytes of `compat/in_place.rs`.
//!
//! What differs from [`Door`](super::Door): nothing is ever broken here; the mark of a sleeper stands in the word that the last
//! arrival changes by a read-modify-write in any case, so neither side needs a fence; what all parties have learned of their
//! waits is one word, because there are no handles that could keep it (`lessons.rs`); and beside rivals two ways of waiting compete
//! (`contest.rs`).
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

use super::contest::{Contest, Look, Wait, Way, place_of};
use super::lessons::{APART, GRAIN, Lessons, ONE_PAUSE, PAUSES};
use super::long_wait::{Goal, LongWait, Nook};
use super::{Limit, Pace, Plan, Seen, Stop, note_overslept};
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

    /// Stays until `ready` answers true, as [`Door::until`](super::Door::until) does behind its first polls.
    #[inline(always)]
    pub(crate) fn long_wait(self, plan: Plan, epoch: Instant, ready: &impl Fn() -> bool) -> Stint {
        let outset = self.outset(plan, epoch);
        let Outset { start, way, seldom, .. } = outset;
        let wakes_come = Futex::wakes_come();
        let dozes = seldom || (wakes_come && way == Some(Way::Asleep));
        if !dozes || self.reach != Reach::Process || !Futex::obeys() {
            return self.stay(plan, epoch, outset, ready, None, &mut |_| {});
        }
        let doze = self.doze_until(!wakes_come, ready);
        let end = now();
        if seldom {
            // Where parties outnumber CPUs a short way there may be as long.
            let counts_as = if plan.scarce { end } else { Lessons::end_of_doze(start, end, plan.spin) };
            self.learn_of_doze(outset.lessons, doze, epoch, counts_as);
        }
        Stint { waited: end.saturating_duration_since(start), parks: doze.sleeps, ..Stint::default() }
    }

    /// [`long_wait`](Self::long_wait) of somebody who looks up: `look` is called each `every` with the time waited so far.
    pub(crate) fn watched_wait(
        self,
        plan: Plan,
        epoch: Instant,
        ready: &dyn Fn() -> bool,
        every: Duration,
        look: &mut dyn FnMut(Duration),
    ) -> Stint {
        self.stay(plan, epoch, self.outset(plan, epoch), ready, Some(every), look)
    }

    #[inline(always)]
    fn outset(self, plan: Plan, epoch: Instant) -> Outset {
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let start = now();
        let contest = self.contest(plan);
        let way = contest.and_then(|contest| contest.way(self.look(epoch, start)));
        let seldom = plan.learns && way.is_none() && lessons.are_long_ago(epoch, start, plan.spin);
        Outset { lessons, start, contest, way, seldom }
    }

    #[cold]
    #[inline(never)]
    fn stay(
        self,
        plan: Plan,
        epoch: Instant,
        outset: Outset,
        ready: &dyn Fn() -> bool,
        every: Option<Duration>,
        look: &mut dyn FnMut(Duration),
    ) -> Stint {
        let Outset { lessons, start, contest, way, seldom } = outset;
        let pause = plan.learns && way.map_or(lessons.pause > 0, |way| way == Way::Asleep);
        let plan = if seldom || pause { plan.at_once() } else { plan };
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
        let met_rival = stay.met_rival.get().then(|| self.look(epoch, start + waited));
        let in_vain = stint.parks > 0 || met_rival.is_some();
        let wait = Wait { who: self.who(), start: start.saturating_duration_since(epoch), met_rival };
        let contends = contest.is_some_and(|contest| contest.note(wait));
        let after = if seldom {
            let may_pause = match self.reach {
                // A pause is slept through without a limit, so only where wakes come.
                Reach::Process => Futex::wakes_come(),
                Reach::Machine => Futex::obeys(),
            };
            lessons.after_one_of_few(in_vain && may_pause)
        } else if contends {
            lessons.with(pace.lessons())
        } else {
            lessons.after(pace.lessons(), in_vain)
        };
        let learned = after.at(epoch, start + waited);
        if learned != lessons {
            self.lessons.store(learned.pack(), Ordering::Relaxed);
        }
        stint
    }

    /// Whether waits are far apart, and this one is to be slept through: not one for the last trip of a pause, which looks at the clock.
    #[inline(always)]
    pub(crate) fn sleeps_through(self) -> bool {
        // Relaxed: a hint.
        let word = self.lessons.load(Ordering::Relaxed);
        word & APART != 0 && word & PAUSES > ONE_PAUSE
    }

    /// Sleeps until `ready` answers true, without a look at the clock and without a limit, if [`sleeps_through`](Self::sleeps_through) and
    /// within a process. Of those who wait for a trip one `counts` it. What times are counted from is asked for where something else than a
    /// wake has ended the sleep, and may be missing.
    ///
    /// A wait that comes long after the last one finds nothing of itself in the caches, so this one touches little: the barrier, and code
    /// that is in one piece. It is the parking of `long_wait.rs` without the plan and the clock. What it saves:
    /// docs/results/2026-11-29-epyc-2cpu-preload/sleepers.md.
    #[inline(always)]
    pub(crate) fn sleep_through(self, counts: bool, epoch: impl Fn() -> Option<Instant>, ready: impl Fn() -> bool) {
        let Doze { woken, .. } = self.doze_until(false, &ready);
        // What others have made of it meanwhile: somebody may have ended the pause.
        let word = self.lessons.load(Ordering::Relaxed);
        if woken && counts && word & PAUSES > ONE_PAUSE {
            self.lessons.store(word - ONE_PAUSE, Ordering::Relaxed); // Relaxed: a hint.
        } else if !woken && word & APART != 0 {
            self.end_pause(word, epoch());
        }
    }

    /// Sleeps until `ready` answers true, with or without a limit for each sleep.
    #[inline(always)]
    fn doze_until(self, limited: bool, ready: &impl Fn() -> bool) -> Doze {
        let mut doze = Doze { sleeps: 0, woken: true, overslept: false };
        loop {
            let kept = self.announce(); // (1) and (2)
            if ready() {
                break; // (3)
            }
            // (4)
            let mut slept_through = false;
            if let Err(failure) = self.bell.doze(kept, limited) {
                slept_through = self.bell.recover_from_doze(failure, kept, doze.sleeps);
                doze.woken = false;
            }
            doze.sleeps = doze.sleeps.saturating_add(1);
            if ready() {
                if limited && slept_through {
                    note_overslept();
                    doze.overslept = true;
                }
                break;
            }
            doze.woken = false;
        }
        doze
    }

    /// The lesson of a wait far apart, at whose beginning the lessons were these.
    #[inline(always)]
    fn learn_of_doze(self, before: Lessons, doze: Doze, epoch: Instant, end: Instant) {
        // What others have made of it meanwhile.
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        // Else somebody has learned, mostly of the same trip, and one lesson of each is enough.
        if lessons.ended == before.ended {
            // A pause is slept through without a limit, so only where wakes come, and no look of one's own has ended this sleep.
            let in_vain = doze.sleeps > 0 && !doze.overslept && Futex::wakes_come();
            self.lessons.store(lessons.after_one_of_few(in_vain).at(epoch, end).pack(), Ordering::Relaxed); // Relaxed: a hint.
        }
    }

    /// Where the contest of this barrier would be: within a process, whose threads have one clock and one place for it.
    fn contest(self, plan: Plan) -> Option<&'static Contest> {
        if plan.learns && self.reach == Reach::Process { place_of(self.who()) } else { None }
    }

    /// The barrier, as the contest knows it.
    fn who(self) -> u64 {
        std::ptr::from_ref(self.word).addr() as u64
    }

    fn look(self, epoch: Instant, time: Instant) -> Look {
        // Relaxed: arrivals are counted for a rate. They are above the mark.
        let arrivals = self.word.load(Ordering::Relaxed) / (2 * Self::MARK);
        Look { who: self.who(), time: time.saturating_duration_since(epoch), arrivals }
    }

    /// The end of a pause, where something else than a wake has ended a sleep (a signal, say). The next wait, if it begins right behind this
    /// one, is taken for one close to it.
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
        self.lessons.store(Lessons::longest_pause().pack(), Ordering::Relaxed); // Relaxed: a hint, in a test.
    }

    /// How much of a pause is left.
    #[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
    pub(crate) fn pause_left(self) -> u16 {
        Lessons::unpack(self.lessons.load(Ordering::Relaxed)).pause // Relaxed: as above.
    }

    /// Wakes all sleepers for no reason, for tests (C12).
    pub(crate) fn wake_spuriously(self) {
        // Relaxed: says nothing of the mark.
        self.bell.word().fetch_add(1, Ordering::Relaxed);
        self.bell.wake_all_within(self.reach);
    }
}

/// How sleeping through a wait went.
#[derive(Clone, Copy, Debug)]
struct Doze {
    sleeps: u32,
    /// Whether a wake that was meant ended the only sleep, if there was one.
    woken: bool,
    /// Whether nothing but the limit ended the last sleep, and what was waited for had come.
    overslept: bool,
}

/// What a long wait finds at its beginning.
#[derive(Clone, Copy)]
struct Outset {
    lessons: Lessons,
    start: Instant,
    contest: Option<&'static Contest>,
    way: Option<Way>,
    /// One of those far apart, which are slept through.
    seldom: bool,
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

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::super::lessons::{PAUSE, PAUSE_OF_FEW};
    use super::*;
    use crate::wait::WaitPolicy;

    #[test]
    fn who_may_not_learn_stays_awake_whatever_was_in_vain() {
        let words =
            (AtomicU64::new(0), Futex::new(0), AtomicU64::new(Lessons { pause: 9, ..Lessons::default() }.pack()));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        // Another test may have left a contest at this address.
        place_of(hatch.who()).unwrap().end(hatch.who());
        let wait = |policy| {
            let plan = Plan::new(policy, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
            let looks = Cell::new(0);
            let ready = || looks.replace(looks.get() + 1) > 3 || words.0.load(Ordering::Relaxed) != 0;
            hatch.long_wait(plan, now(), &ready);
            words.0.swap(0, Ordering::Relaxed) == Hatch::MARK
        };
        let slept = [WaitPolicy::SpinPark, WaitPolicy::SpinYield].map(wait);
        // By Miri's clock every look takes as long as one without a CPU.
        assert!(slept == [false; 2] || cfg!(miri), "{slept:?}");
        let looks = Cell::new(0);
        let plan = Plan::new(WaitPolicy::Adaptive, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
        let ready = || looks.replace(looks.get() + 1) > 100 || words.0.load(Ordering::Relaxed) != 0;
        hatch.long_wait(plan, now(), &ready);
        assert_eq!(words.0.load(Ordering::Relaxed), Hatch::MARK, "it goes to sleep at its first look");
        assert_eq!(Lessons::unpack(words.2.load(Ordering::Relaxed)).pause, 6);
    }

    /// Whether a slow yield has begun a contest, in whose second round all sleep at once. Not always: other tests may have the place, and who
    /// loses his CPU for long comes behind a round.
    fn contends() -> bool {
        let (epoch, costs) = (now(), crate::wait::Calibration::unmeasured());
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let place = place_of(hatch.who()).unwrap();
        let way = || place.way(hatch.look(epoch, now()));
        let (looks, marked) = (Cell::new(0), || words.0.load(Ordering::Relaxed) != 0);
        let scarce = Plan::new(WaitPolicy::Adaptive, Some(Duration::ZERO), 2, 1, &costs);
        let each_yield_is_slow = Plan { slow_yield: Duration::ZERO, scarce_yields: Duration::MAX, ..scarce };
        let soon = || looks.replace(looks.get() + 1) > 3;
        hatch.long_wait(each_yield_is_slow, epoch, &soon);
        if way() != Some(Way::Awake) {
            return false;
        }
        let plan = Plan::new(WaitPolicy::Adaptive, Some(Duration::MAX), 2, 2, &costs);
        let sleeps = || {
            words.0.store(0, Ordering::Relaxed);
            looks.set(0);
            let ready = || looks.replace(looks.get() + 1) > 100 || marked();
            hatch.watched_wait(plan, epoch, &ready, Duration::from_secs(3600), &mut |_| {});
            marked()
        };
        let first = sleeps();
        std::thread::sleep(Duration::from_millis(1));
        let met_rival = Some(hatch.look(epoch, now()));
        place.note(Wait { who: hatch.who(), start: now().saturating_duration_since(epoch), met_rival });
        while way() == Some(Way::Awake) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let second = sleeps();
        a_wake_ends_a_sleep();
        // Who sleeps without a limit is not seen to do anything else.
        words.0.store(0, Ordering::Relaxed);
        let stint = hatch.long_wait(plan, epoch, &marked);
        let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
        let quiet = (stint.spins, stint.yields, lessons.vain, lessons.pause) == (0, 0, 0, 0);
        !first && second && quiet && way() == Some(Way::Asleep)
    }

    #[test]
    fn a_slow_yield_begins_a_contest_in_which_all_sleep_at_once_for_a_round() {
        // By Miri's clock rounds are over before they have begun.
        assert!(cfg!(miri) || (0..100).any(|_| contends()));
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
    fn a_pause_is_slept_through_without_the_clock_until_its_last_trip_which_one_for_each_counts() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
        let epoch = now();
        assert!(!hatch.sleeps_through(), "there is no pause");
        hatch.pause();
        assert_eq!((hatch.sleeps_through(), lessons().pause), (true, Lessons::longest_pause().pause));
        // Comes between the announcement and the sleep.
        let marked = || words.0.load(Ordering::Relaxed) != 0;
        for _ in 0..6 {
            words.0.store(0, Ordering::Relaxed);
            hatch.sleep_through(false, || unreachable!(), marked);
        }
        hatch.sleep_through(true, || unreachable!(), marked);
        assert_eq!(
            (lessons().pause, lessons().apart, lessons().ended),
            ((Lessons::longest_pause().pause) - 1, true, 0)
        );
        let pause = |left| Lessons { pause: left, vain: 2, doubled: 1, apart: true, ..Lessons::default() };
        for left in [9, 2, 1, 0] {
            words.0.store(0, Ordering::Relaxed);
            words.2.store(Lessons { apart: left > 0, ..pause(left) }.pack(), Ordering::Relaxed);
            assert_eq!(hatch.sleeps_through(), left > 1, "the last one looks at the clock");
            // That there were more when the wait began.
            hatch.sleep_through(true, || unreachable!(), marked);
            let rest = if left > 1 { pause(left - 1) } else { Lessons { apart: left > 0, ..pause(left) } };
            assert_eq!(lessons(), rest);
        }
        a_wake_ends_a_sleep();
        if !Futex::obeys() {
            return; // Another test has had something refused.
        }
        // The last one, far apart: that it did not sleep is no lesson, and that it did is the end.
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
        place_of(hatch.who()).unwrap().end(hatch.who());
        let before = pause(1).long_before(epoch, epoch);
        words.0.store(0, Ordering::Relaxed);
        words.2.store(before.pack(), Ordering::Relaxed);
        hatch.long_wait(plan, epoch, &marked);
        assert_eq!(Lessons { ended: 0, ..lessons() }, pause(1));
        words.2.store(before.pack(), Ordering::Relaxed);
        hatch.learn_of_doze(before, Doze { sleeps: 1, woken: true, overslept: false }, epoch, now());
        assert_eq!(Lessons { ended: 0, ..lessons() }, Lessons { apart: false, ..pause(0) });
    }

    #[test]
    fn of_those_who_waited_far_apart_for_the_same_trip_one_has_learned_of_it() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
        let epoch = now();
        let slept = Doze { sleeps: 1, woken: true, overslept: false };
        words.2.store(Lessons::default().at(epoch, epoch).pack(), Ordering::Relaxed);
        let at = |millis| epoch + Duration::from_millis(millis);
        // Three wait for each trip, whose ends count as one after the other.
        let trip = |millis| {
            let before = lessons();
            (0..3).for_each(|after| hatch.learn_of_doze(before, slept, epoch, at(millis + after)));
            (lessons().vain, lessons().pause, lessons() == Lessons { ..lessons() }.at(epoch, at(millis)))
        };
        a_wake_ends_a_sleep();
        let trips = [10, 20, 30, 40].map(trip);
        if !Futex::obeys() {
            return; // Another test has had something refused.
        }
        assert_eq!(trips, [(1, 0, true), (2, 0, true), (2, PAUSE, true), (2, PAUSE - 1, true)]);
        for (millis, no_lesson) in
            [(60, Doze { sleeps: 0, ..slept }), (70, Doze { overslept: true, woken: false, ..slept })]
        {
            let before = lessons();
            hatch.learn_of_doze(before, no_lesson, epoch, at(millis));
            assert_eq!(lessons(), before.at(epoch, at(millis)));
        }
    }

    #[test]
    fn a_wait_right_behind_a_long_sleep_is_far_apart_as_well_but_not_where_parties_outnumber_cpus() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        place_of(hatch.who()).unwrap().end(hatch.who());
        let next_is_far = |cpus| {
            let plan = Plan::new(WaitPolicy::Adaptive, None, 2, cpus, &crate::wait::Calibration::unmeasured());
            let epoch = now();
            words.0.store(0, Ordering::Relaxed);
            words.2.store(Lessons::default().long_before(epoch, epoch).pack(), Ordering::Relaxed);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(50));
                    words.0.fetch_add(2, Ordering::Relaxed);
                    hatch.ring();
                });
                hatch.long_wait(plan, epoch, &|| words.0.load(Ordering::Relaxed) >= 2);
            });
            let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
            lessons.are_long_ago(epoch, epoch + Duration::from_millis(50), plan.spin)
        };
        // Who is kept from his CPU begins late. (By Miri's clock anything may take as long.)
        assert!(cfg!(miri) || !Futex::obeys() || (0..5).any(|_| next_is_far(2)));
        assert!(!next_is_far(1));
    }

    // The other queue knows no limits.
    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn who_dozes_with_a_limit_looks_each_second_and_says_that_nobody_rang() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let (start, overslept) = (now(), crate::wait::overslept());
        let come = std::sync::atomic::AtomicBool::new(false);
        let doze = std::thread::scope(|scope| {
            scope.spawn(|| {
                while words.0.load(Ordering::Relaxed) & Hatch::MARK == 0 {
                    std::thread::yield_now();
                }
                // Nobody rings.
                come.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            hatch.doze_until(true, &|| come.load(std::sync::atomic::Ordering::SeqCst))
        });
        if !Futex::obeys() {
            return; // Another test has had something refused.
        }
        // Who sees it at once does not sleep.
        let slept = doze.sleeps > 0;
        assert_eq!((doze.overslept, doze.woken), (slept, !slept));
        assert!(!slept || (start.elapsed() >= Duration::from_secs(1) && crate::wait::overslept() > overslept));
    }

    /// So that others sleep without a limit, unless another test has had something refused.
    fn a_wake_ends_a_sleep() {
        let bell = Futex::new(0);
        while Futex::obeys() && !Futex::wakes_come() {
            let kept = bell.word().load(Ordering::Relaxed);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(1));
                    bell.word().fetch_add(1, Ordering::Relaxed);
                    bell.wake_all();
                });
                bell.sleep(kept, None, 0);
            });
        }
    }

    /// Whether somebody looks up within 1.5 seconds of sleep, who waits far apart with such lessons.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn looks_up(lessons: Lessons, reach: Reach, every: Option<Duration>) -> bool {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach };
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
        // Other tests may have had a contest at this address.
        place_of(hatch.who()).unwrap().end(hatch.who());
        let epoch = now();
        words.2.store(lessons.long_before(epoch, epoch).pack(), Ordering::Relaxed);
        let ready = || words.0.load(Ordering::Relaxed) >= 2;
        let stint = std::thread::scope(|scope| {
            scope.spawn(|| {
                while words.0.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(Duration::from_millis(1500));
                if words.0.fetch_add(2, Ordering::Relaxed) & Hatch::MARK != 0 {
                    hatch.ring();
                }
            });
            match every {
                Some(every) => hatch.watched_wait(plan, epoch, &ready, every, &mut |_| {}),
                None => hatch.long_wait(plan, epoch, &ready),
            }
        });
        assert_eq!((stint.spins, stint.yields), (0, 0));
        stint.parks > 1
    }

    // The other queue knows no limits.
    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn once_a_wake_has_ended_a_sleep_a_wait_far_apart_has_no_limit_unless_somebody_wants_the_time() {
        let lessons = |pause, doubled| Lessons { average: 70, vain: 2, doubled, pause, ..Lessons::default() };
        let hour = Some(Duration::from_secs(3600));
        a_wake_ends_a_sleep();
        if !Futex::obeys() {
            return; // Another test has had something refused.
        }
        let cases = [
            (false, 0, 0, Reach::Process, None),
            (false, 9, 1, Reach::Process, None),
            (false, 0, 1, Reach::Process, None),
            (true, 0, 1, Reach::Process, hour),
            (true, 0, 1, Reach::Machine, None),
        ];
        std::thread::scope(|scope| {
            for (expected, pause, doubled, reach, every) in cases {
                // Who is kept from his CPU falls asleep late.
                let met = move || (0..5).any(|_| looks_up(lessons(pause, doubled), reach, every) == expected);
                scope.spawn(move || assert!(met(), "{expected} {pause} {doubled} {reach:?} {every:?}"));
            }
        });
    }

    #[test]
    fn a_wait_far_apart_that_did_not_sleep_is_no_lesson() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
        let epoch = now();
        place_of(hatch.who()).unwrap().end(hatch.who());
        for doubled in [0, 1] {
            let before = Lessons { average: 70, vain: 2, doubled, ..Lessons::default() }.long_before(epoch, epoch);
            words.0.store(0, Ordering::Relaxed);
            words.2.store(before.pack(), Ordering::Relaxed);
            // Comes between the announcement and the sleep, and whoever dozes does not look before.
            let first = Cell::new(None);
            let ready = || {
                let marked = words.0.load(Ordering::Relaxed) != 0;
                first.set(first.get().or(Some(marked)));
                marked
            };
            assert_eq!(hatch.long_wait(plan, epoch, &ready).parks, 0);
            let behind = Lessons::unpack(words.2.load(Ordering::Relaxed));
            assert_eq!((first.get(), Lessons { ended: 0, ..behind }), (Some(true), Lessons { ended: 0, ..before }));
            assert_ne!(behind.ended, before.ended);
        }
    }

    #[test]
    fn a_wait_far_apart_that_slept_without_a_limit_begins_the_next_pause() {
        a_wake_ends_a_sleep();
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        // Another test may have left a contest at this address.
        place_of(hatch.who()).unwrap().end(hatch.who());
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
        let learned = |millis| {
            let epoch = now();
            let before = Lessons { vain: 2, doubled: 1, ..Lessons::default() }.at(epoch, epoch);
            words.0.store(0, Ordering::Relaxed);
            words.2.store(before.pack(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
            // As in the test above.
            let first = Cell::new(None);
            let ready = || {
                let word = words.0.load(Ordering::Relaxed);
                first.set(first.get().or(Some(word == Hatch::MARK)));
                word >= 2
            };
            let stint = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(millis));
                    if words.0.fetch_add(2, Ordering::Relaxed) & Hatch::MARK != 0 {
                        hatch.ring();
                    }
                });
                hatch.long_wait(plan, epoch, &ready)
            });
            let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
            (first.get(), stint.spins, stint.yields, stint.parks > 0, lessons.pause, lessons.apart)
        };
        // Who comes too late for the sleep may come earlier the next time.
        let expected = (Some(true), 0, 0, true, PAUSE_OF_FEW, true);
        assert!([5, 50, 500].into_iter().any(|millis| learned(millis) == expected));
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
            hatch.sleep_through(false, || Some(now()), || looks.replace(looks.get() + 1) == 3);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        assert_eq!((looks.get(), hatch.sleeps_through()), (4, false));
    }

    #[test]
    fn a_wait_that_ends_with_a_sleep_was_in_vain_and_one_without_was_not() {
        let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
        let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
        // Another test may have left a contest at this address.
        place_of(hatch.who()).unwrap().end(hatch.who());
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
            let stint = hatch.long_wait(plan(WaitPolicy::Park), epoch, &twice);
            assert_eq!((stint.parks, stint.yields), (1, 0));
        });
        assert_eq!(lessons().vain, 1);
        if cfg!(miri) {
            return; // By its clock every look takes as long as one without a CPU.
        }
        let looks = Cell::new(0);
        let soon = || looks.replace(looks.get() + 1) > 50;
        let stint = hatch.long_wait(plan(WaitPolicy::SpinYield), epoch, &soon);
        assert_eq!((stint.spins, stint.yields, stint.parks), (51, 0, 0));
        assert_eq!(lessons().vain, 0);
        let (looks, plan) = (Cell::new(0), plan(WaitPolicy::SpinYield).at_once());
        let yields = Plan { yields: Duration::MAX, ..plan };
        let soon = || looks.replace(looks.get() + 1) > 50;
        let stint = hatch.long_wait(yields, epoch, &soon);
        assert_eq!((stint.spins, stint.yields, stint.parks), (0, 51, 0));
    }
}
