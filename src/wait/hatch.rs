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
use super::lessons::{APART, FOURTH, GRAIN, Lessons, ONE_PAUSE, PAUSES, TOGETHER};
use super::long_wait::{Goal, LongWait, Nook};
use super::{Limit, Pace, Plan, Seen, Stop, note_overslept};
use crate::primitive::{AtomicU64, Futex, Ordering, Reach, now, relax, yield_now};
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

/// Yields before the sleep where all come together: one lets everybody else on the CPU run who can.
const YIELDS: u32 = if cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) { 1 } else { 4 };

/// So many times as long as among trips in quick succession a yield may take that hands the CPU to a party out of a long sleep, whose memory is in no
/// cache, and still be none of a rival's.
const COLD: u32 = 4;

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
        let Lessons { pause, together, shy, .. } = outset.lessons;
        // Between two pauses, to find out; in one, to see whether it is still so.
        let tries = seldom && wakes_come && shy == 0 && (pause == 0 || together);
        let meeting = if tries { self.meet_in_time(start, plan.slow_yield, ready) } else { Meeting::default() };
        let doze = if meeting.met { Doze::NONE } else { self.doze_until(!wakes_come, ready) };
        let end = now();
        if seldom {
            // Where parties outnumber CPUs a short way there may be as long.
            let counts_as = if plan.scarce { end } else { Lessons::end_of_doze(start, end, plan.spin) };
            self.learn_of_doze(outset.lessons, doze, meeting, epoch, counts_as);
        }
        let waited = end.saturating_duration_since(start);
        Stint { waited, spins: 0, yields: meeting.yields, parks: doze.sleeps }
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
        // Others may have found these out meanwhile.
        let Lessons { together, shy, .. } = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let learned = Lessons { together, shy, ..after }.at(epoch, start + waited);
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
    /// within a process; those who come together yield before that, on each fourth trip by the clock. Of those who wait for a trip one `counts`
    /// it. The plan, and what times are counted from, are asked for where the clock is, and may be missing.
    ///
    /// A wait that comes long after the last one finds nothing of itself in the caches, so this one touches little: the barrier, and code
    /// that is in one piece. It is the parking of `long_wait.rs` without the plan and the clock. What it saves:
    /// docs/results/2026-11-29-epyc-2cpu-preload/sleepers.md.
    #[inline(always)]
    pub(crate) fn sleep_through(
        self,
        counts: bool,
        means: impl Fn() -> Option<(Plan, Instant)>,
        ready: impl Fn() -> bool,
    ) {
        // Relaxed: a hint.
        let word = self.lessons.load(Ordering::Relaxed);
        let met = word & TOGETHER != 0
            && (ready() || if word & FOURTH == 0 { self.meets_in_time(means(), &ready) } else { self.meets(&ready) });
        let woken = met || self.doze_until(false, &ready).woken;
        // What others have made of it meanwhile: somebody may have ended the pause.
        let word = self.lessons.load(Ordering::Relaxed);
        if woken && counts && word & PAUSES > ONE_PAUSE {
            self.lessons.store(word - ONE_PAUSE, Ordering::Relaxed); // Relaxed: a hint.
        } else if !woken && word & APART != 0 {
            self.end_pause(means().map(|(_, epoch)| epoch));
        }
    }

    /// Gives the CPU to those who have not come yet, a few times: whether `ready` has answered true.
    #[inline(always)]
    fn meets(self, ready: &impl Fn() -> bool) -> bool {
        (1..=YIELDS).any(|yields| {
            yield_now(yields);
            ready()
        })
    }

    /// [`meets`](Self::meets) by the clock.
    #[cold]
    #[inline(never)]
    fn meets_in_time(self, means: Option<(Plan, Instant)>, ready: &dyn Fn() -> bool) -> bool {
        let slow_yield = means.map_or(Duration::MAX, |(plan, _)| plan.slow_yield);
        self.meet_in_time(now(), slow_yield, &ready).met
    }

    /// Gives the CPU to those who have not come yet, a few times, and no more once that was slow, which all are told. The clock was last looked at
    /// when it is said.
    #[inline(always)]
    fn meet_in_time(self, mut looked: Instant, slow_yield: Duration, ready: &impl Fn() -> bool) -> Meeting {
        let slow = slow_yield.saturating_mul(COLD);
        let mut meeting = Meeting::default();
        while meeting.yields < YIELDS && !meeting.met {
            meeting.yields += 1;
            yield_now(meeting.yields);
            meeting.met = ready();
            let before = std::mem::replace(&mut looked, now());
            if looked.saturating_duration_since(before) >= slow {
                self.note_rivals();
                break;
            }
        }
        meeting
    }

    #[cold]
    #[inline(never)]
    fn note_rivals(self) {
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        self.lessons.store(lessons.beside_rivals().pack(), Ordering::Relaxed); // Relaxed: a hint.
    }

    /// Sleeps until `ready` answers true, with or without a limit for each sleep.
    #[inline(always)]
    fn doze_until(self, limited: bool, ready: &impl Fn() -> bool) -> Doze {
        let mut doze = Doze::NONE;
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
    fn learn_of_doze(self, before: Lessons, doze: Doze, meeting: Meeting, epoch: Instant, end: Instant) {
        // What others have made of it meanwhile.
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let mut learned = lessons;
        // Else somebody has learned, mostly of the same trip, and one lesson of each is enough.
        if lessons.ended == before.ended {
            // A pause is slept through without a limit, so only where wakes come, and no look of one's own has ended this sleep.
            let far = meeting.met || (doze.sleeps > 0 && !doze.overslept);
            learned = Lessons { together: false, ..lessons };
            learned = learned.after_one_of_few(far && Futex::wakes_come()).at(epoch, end);
        }
        // But whoever has met the others knows it better than those who had to sleep.
        if meeting.met {
            learned = learned.of_one_who_met();
        }
        if learned != lessons {
            self.lessons.store(learned.pack(), Ordering::Relaxed); // Relaxed: a hint.
        }
    }

    /// Where the contest of this barrier would be: within a process, whose threads have one place for it.
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
    fn end_pause(self, epoch: Option<Instant>) {
        let lessons = Lessons::unpack(self.lessons.load(Ordering::Relaxed));
        let lessons = Lessons { pause: 0, apart: false, ..lessons };
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
        self.pause_of(false);
    }

    /// Begins a pause, the longest that there is, of those who come together or of others.
    #[cfg(test)]
    pub(crate) fn pause_of(self, together: bool) {
        let lessons = Lessons { together, ..Lessons::longest_pause() };
        self.lessons.store(lessons.pack(), Ordering::Relaxed); // Relaxed: a hint, in a test.
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

/// What yields before a sleep have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meeting {
    yields: u32,
    /// Whether what was waited for has come.
    met: bool,
}

impl Doze {
    const NONE: Self = Self { sleeps: 0, woken: true, overslept: false };
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
mod tests;
