//! The one door of waiting: every wait of every algorithm goes through [`Door::until`].
//!
//! A waiter polls what its algorithm told it to poll, looks now and then at the barrier's *attention word* and at the
//! clock, and in the end sleeps on that same word. Abort, timeout, break, parking and the counts of all that
//! (`tally.rs`, which the watchdog reads) therefore exist once, here, and an algorithm knows only words and ranks. The barrier in the
//! caller's 32 bytes has no room for a door; its hatch (`hatch.rs`) leads to the same long wait (`long_wait.rs`), or to a sleep without
//! clock and limit.
//!
//! # State: the attention word
//!
//! One `u32` per barrier, alone on its cache line, and never written while all goes well: each party reads it once per
//! trip, from its own L1, after it has seen that all have arrived ([`Door::look`]). That load, and one of a word that
//! never changes (which fences to use), are all that the whole failure layer and parking cost on the fast path.
//!
//! | bits | name | meaning | set by | cleared by |
//! |---|---|---|---|---|
//! | 0, 1 | `PARKED` | somebody may be asleep on this word, waiting for a trip of even (0) or odd (1) number | a party about to sleep | whoever wakes the sleepers, together with a step of the count |
//! | 2 | `BREAKING` | somebody is deciding the trip's fate under the lock of `fate` | the breaker | the breaker |
//! | 3 | `BROKEN` | no further trip of this word completes: one is broken, or all are held elsewhere | the breaker; who supersedes the era | nobody |
//! | 4 | `TURNING` | the era ends with a trip that was not complete when this was set: whoever completes one asks `fate` | who changes the membership | nobody |
//! | 5.. | wake count | changes with each wake, so that nobody falls asleep on an old look | whoever wakes | - |
//!
//! Two bits for sleepers, because everybody who leaves a trip looks, and the first to leave may be asleep again, for
//! the next trip, before the last one looks: with one bit each of n parties would wake all the others. Parties are at
//! most one trip apart, so two are enough. Callers without handles may be farther apart: batches that share a bit then wake each
//! other for nothing, and whoever lets a batch go wakes for that one, which need not be its own (`compat/batches.rs`).
//!
//! # Protocol: parking
//!
//! A parker (1) sets the `PARKED` bit of its trip and keeps the value that it left behind, (2) does the heavy fence,
//! (3) looks once more at what it waits for, (4) sleeps if the word still has the kept value. A releaser (a) publishes,
//! (b) does the light fence, (c) reads the word, and only if that bit of its trip is set (d) clears it while stepping
//! the count, in one CAS, and (e) wakes all sleepers.
//!
//! No wake is lost. Take the parker's fence (2) and the releaser's fence (b). If (b) is first, then what the releaser
//! published is visible to look (3), and the parker does not sleep. If (2) is first, then (c) sees the parker's (1) or
//! a later value: either `PARKED` is set and (d) changes the word, or another waker cleared it after (1) and thereby
//! changed it too. In both cases the kept value is gone: sleep (4) returns at once, or has begun and wake (e), which
//! follows the change, ends it. Either way the parker starts over at (1).
//!
//! Who publishes? In an algorithm with a root, the party that brings it about, which then completes. In all others the
//! "releaser" is whoever completes the trip, and nothing that a party publishes on the way is a reason to wake anybody:
//! look (3) there also asks whether all have arrived, by their slots (`all_here`). Of the parties that stored their
//! slot, the one whose fence (2) or (b) comes last sees all others, so at least one completes without being woken, and
//! every party that sleeps has set `PARKED` before that one's (c).
//!
//! Should the kernel lose or refuse a wake all the same, the sleeper looks again after a second (`primitive/queue.rs`).
//!
//! # Nobody waits for a party that has arrived
//!
//! In a tree or a dissemination a party waits for others that have arrived but do not run just now: they sleep, or lost
//! their CPU. So whoever is about to give its CPU away, finds somebody asleep, or has spun for long, asks the slots
//! whether all have arrived; if so the trip is complete, whatever the algorithm's flags say yet. (What the party owes
//! to others it then publishes at once: it is true.) The fast path never asks.
//!
//! # Memory ordering
//!
//! All accesses to the word are `Relaxed`: it carries no data. What a waiter waits for is acquired by its own look
//! (`ready`); a verdict is read under a mutex; and the two fences order the word against everything else. A sleeper
//! that wakes starts over at (1), whose read-modify-write comes after the waker's in the word's modification order, so
//! that the fences order the waker's publication before the next look (3).

mod calibrate;
mod contest;
#[cfg(any(test, phalanx_fuzz))]
pub(crate) mod fuzzing;
mod hatch;
mod lessons;
mod long_wait;
mod pace;
mod policy;
mod rivals;
mod tally;

use crate::primitive::{Fences, Futex, Meter, Ordering, doze, fence, now, relax, yield_now};
pub use calibrate::{Calibration, calibration};
use crossbeam_utils::CachePadded;
pub(crate) use hatch::{Hatch, Stint};
use long_wait::{Goal, LongWait, Nook};
pub(crate) use pace::{Pace, Plan};
pub use policy::{ParseWaitPolicyError, WaitPolicy};
pub(crate) use policy::{Settings, Watchdog};
use rivals::Rivals;
use std::time::{Duration, Instant};
pub(crate) use tally::{Tally, nanos};

const PARKED: u32 = 0b11;
const BREAKING: u32 = 1 << 2;
const BROKEN: u32 = 1 << 3;
const ALARM: u32 = BREAKING | BROKEN;
const TURNING: u32 = 1 << 4;
const WAKE: u32 = 1 << 5;

/// The `PARKED` bit of a trip.
fn parked_for(generation: u64) -> u32 {
    1 << (generation & 1)
}

/// How long a waiter may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// As long as was said when the barrier was built.
    Usual,
    /// Until the trip is decided.
    Never,
    /// So long, counted from the first look at the clock: a wait that is over before it needs the clock never reads it.
    After(Duration),
    /// Until then.
    At(Instant),
}

/// The end of a stay on the clock, and how long it will have been by then.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Instant,
    after: Duration,
}

impl Limit {
    /// Fixes the end on the clock. A duration that ends beyond the clock's range is no limit.
    fn end(self, start: Instant, usual: Option<Duration>) -> Option<End> {
        let after = |after| start.checked_add(after).map(|at| End { at, after });
        match self {
            Self::Usual => after(usual?),
            Self::Never => None,
            Self::After(duration) => after(duration),
            Self::At(at) => Some(End { at, after: at.saturating_duration_since(start) }),
        }
    }
}

impl Limit {
    /// When it ends if it begins at `start`; never for what was said when the barrier was built.
    pub(crate) fn ends_at(self, start: Instant) -> Option<Instant> {
        self.end(start, None).map(|end| end.at)
    }

    /// Whether it is a point in time that has come.
    pub(crate) fn has_come(self) -> bool {
        matches!(self, Self::At(at) if now() >= at)
    }
}

/// What a party brings to the door: its trip, its pace, and how long it may stay.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    pub(crate) generation: u64,
    pub(crate) pace: &'a mut Pace,
    /// Borrowed: a copy would be made on every trip, for the few that need the clock.
    pub(crate) limit: &'a Limit,
}

impl Stay<'_> {
    /// The same stay for one of several waits of a trip: the limit is counted from the first of them.
    #[inline(always)]
    pub(crate) fn again(&mut self) -> Stay<'_> {
        Stay { generation: self.generation, pace: &mut *self.pace, limit: self.limit }
    }
}

/// How a wait ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What it waited for has come.
    Ready,
    /// Not yet, but all have arrived.
    AllHere,
}

/// Why a wait ended although what it waited for has not been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The trip is being broken, or is broken: ask `fate`.
    Alarm,
    /// The limit has passed: the party has waited so long.
    Expired(Duration),
}

/// What a releaser found on the attention word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attention(u32);

impl Attention {
    /// Nobody sleeps, nothing is wrong and nothing changes.
    #[inline(always)]
    pub(crate) fn undisturbed(self) -> bool {
        self.0 & (PARKED | ALARM | TURNING) == 0
    }

    /// Whoever completes a trip has to ask `fate` what became of it.
    pub(crate) fn asks(self) -> bool {
        self.0 & (ALARM | TURNING) != 0
    }

    /// The trip is being broken, or is broken.
    pub(crate) fn alarmed(self) -> bool {
        self.0 & ALARM != 0
    }
}

/// The attention word of one barrier (of one era of it) and the ways through it.
#[derive(Debug)]
pub(crate) struct Door {
    attention: CachePadded<Futex>,
    rivals: Rivals,
    fences: Fences,
}

impl Door {
    constant_unless_modelled! {
        /// A door at which nobody waits.
        pub(crate) fn new(fences: Fences) -> Self {
            Self { attention: CachePadded::new(Futex::new(0)), rivals: Rivals::new(), fences }
        }
    }

    /// Stays until `ready` answers true, or there is a reason to stop.
    ///
    /// `ready` must acquire what it has seen when it answers true; it is called any number of times. The first polls
    /// are bare and inline, everything else is out of the way.
    #[inline(always)]
    pub(crate) fn until(&self, stay: Stay<'_>, ready: impl Fn() -> bool + Copy) -> Result<(), Stop> {
        self.until_closely(stay, ready, ready)
    }

    /// [`Door::until`] with another way to look as long as nothing is done between two looks, `closely`.
    #[inline(always)]
    pub(crate) fn until_closely(
        &self,
        stay: Stay<'_>,
        closely: impl Fn() -> bool,
        ready: impl Fn() -> bool + Copy,
    ) -> Result<(), Stop> {
        for _ in 0..stay.pace.tight() {
            if closely() {
                return Ok(());
            }
        }
        // A copy, so that the polls above keep what they poll in registers.
        let polled = ready;
        self.long_wait(stay.generation, stay.pace, stay.limit, &polled, None).map(drop)
    }

    /// [`Door::until`] for a wait that `all_here` makes needless: whether all parties have arrived at the trip. Asked
    /// only when this party is about to give its CPU away, or others have.
    #[inline(always)]
    pub(crate) fn until_or(
        &self,
        stay: Stay<'_>,
        ready: impl Fn() -> bool + Copy,
        all_here: &dyn Fn() -> bool,
    ) -> Result<Seen, Stop> {
        for _ in 0..stay.pace.tight() {
            if ready() {
                return Ok(Seen::Ready);
            }
        }
        let polled = ready;
        self.long_wait(stay.generation, stay.pace, stay.limit, &polled, Some(all_here))
    }

    /// The light fence, then the attention word: what a party does once it knows that all have arrived, before it
    /// believes it.
    #[inline(always)]
    pub(crate) fn look(&self) -> Attention {
        // [light] Between what this party has seen or published and its look: pairs with the heavy fences of
        // `raise_alarm` and `park`.
        self.fences.light();
        Attention(self.attention.word().load(Ordering::Relaxed))
    }

    /// A full fence, whatever the light one is.
    pub(crate) fn fully(&self) {
        // [split] For the one who calls it: `Member::arrive`.
        fence(Ordering::SeqCst);
    }

    /// Wakes whoever sleeps for trip `generation`, which is complete (steps (d) and (e)); whether anybody may have. Call
    /// after publishing and after [`Door::look`].
    #[cold]
    pub(crate) fn wake_sleepers(&self, generation: u64) -> bool {
        self.wake(parked_for(generation))
    }

    /// Clears those of the `which` bits that are set, and wakes all sleepers if any was; whether one was.
    fn wake(&self, which: u32) -> bool {
        let word = self.attention.word();
        let mut value = word.load(Ordering::Relaxed);
        while value & which != 0 {
            let woken = (value & !which).wrapping_add(WAKE);
            match word.compare_exchange_weak(value, woken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.attention.wake_all();
                    return true;
                }
                Err(actual) => value = actual,
            }
        }
        false
    }

    /// Announces a break, with the heavy fence behind it: whoever completes a trip from here on asks for the verdict,
    /// and whoever completed one before has arrivals that are visible from here on. Only under the lock of `fate`.
    pub(crate) fn raise_alarm(&self) {
        self.attention.word().fetch_or(BREAKING, Ordering::Relaxed);
        // [heavy] Between the alarm and the census: pairs with the light fence of `look` (fate/README.md).
        self.fences.heavy();
    }

    /// Announces that this era ends with the trip that is open, with the heavy fence behind it, so that everybody who
    /// completes that trip asks. Waiting parties take no notice. Only under the lock of `fate`.
    pub(crate) fn announce_turn(&self) {
        self.attention.word().fetch_or(TURNING, Ordering::Relaxed);
        // [turn] Between the announcement and the census: pairs with the light fence of `look` (fate/README.md).
        self.fences.heavy();
    }

    /// Takes the announcement back: the trip was complete.
    pub(crate) fn lower_alarm(&self) {
        self.attention.word().fetch_and(!BREAKING, Ordering::Relaxed);
    }

    /// Makes the announcement final and wakes every sleeper for it.
    pub(crate) fn settle_alarm(&self) {
        self.attention.word().fetch_or(BROKEN, Ordering::Relaxed);
        self.lower_alarm();
        self.wake(PARKED);
    }

    /// Withdraws a final announcement; for barriers that are reset in place, which keep their own record of what was
    /// broken.
    pub(crate) fn clear_alarm(&self) {
        self.attention.word().fetch_and(!ALARM, Ordering::Relaxed);
        self.look();
        self.wake(PARKED);
    }

    /// Whether a break has become final.
    pub(crate) fn is_broken(&self) -> bool {
        self.attention.word().load(Ordering::Relaxed) & BROKEN != 0
    }

    /// Wakes all sleepers for no reason: what a kernel may do at any time, for tests (C12).
    pub(crate) fn wake_spuriously(&self) {
        self.attention.word().fetch_add(WAKE, Ordering::Relaxed);
        self.attention.wake_all();
    }

    /// The long wait: spin, yield, park, as the pace says. Not generic, so that it exists once. It takes a [`Stay`] in pieces,
    /// which live in registers: as a whole it would be laid into memory on every trip, for a call that is hardly ever made.
    #[cold]
    #[inline(never)]
    fn long_wait(
        &self,
        generation: u64,
        pace: &mut Pace,
        limit: &Limit,
        ready: &dyn Fn() -> bool,
        all_here: Option<&dyn Fn() -> bool>,
    ) -> Result<Seen, Stop> {
        for polls in 1..=pace.lingering() {
            if ready() {
                return Ok(Seen::Ready);
            }
            relax(polls);
        }
        let looked = now();
        let start = pace.start_of(generation, looked);
        let end = pace.end_of(*limit, start);
        let mut wait = LongWait::new(self, Goal { ready, all_here }, generation, (start, looked), end);
        if let Some(tally) = pace.tally() {
            tally.begin(start);
        }
        let outcome = wait.run(pace);
        pace.learn(wait.waited());
        if let Some(tally) = pace.tally() {
            tally.end(wait.spent());
        }
        outcome
    }
}

impl Nook for Door {
    fn alarmed(&self) -> bool {
        Attention(self.attention.word().load(Ordering::Relaxed)).alarmed()
    }

    fn has_sleepers(&self, generation: u64) -> bool {
        self.look().0 & parked_for(generation) != 0
    }

    fn has_rivals(&self, generation: u64) -> bool {
        self.rivals.are_there(generation)
    }

    fn note_slow_yield(&self, generation: u64) {
        self.rivals.slow_yield(generation);
    }

    fn announce(&self, generation: u64) -> u32 {
        let parked = parked_for(generation);
        let kept = self.attention.word().fetch_or(parked, Ordering::Relaxed) | parked; // (1)
        // [park] Between the announcement and the look: pairs with the light fence of `look` (module essay).
        self.fences.heavy(); // (2)
        kept
    }

    fn sleep(&self, kept: u32, expires: Option<Instant>, fruitless: u32) -> bool {
        self.attention.sleep(kept, expires, fruitless)
    }
}

/// Waits of this process that a wake should have ended and that nothing but the sleeper's own look has (`primitive/queue.rs`).
static OVERSLEPT: Meter = Meter::new();

fn note_overslept() {
    OVERSLEPT.add(1);
}

/// How many waits of this process should have been ended by a wake, and were not. (A look may also come just before the wake
/// does, once in a long while.)
pub(crate) fn overslept() -> u64 {
    OVERSLEPT.get()
}

/// Passes time until somebody who is at work for all is done, where the attention word says nothing of it: an alarm for
/// a later trip stays there for good. `polls` counts the looks so far.
///
/// Yields are not enough: under `SCHED_FIFO` they let nobody of a lower priority run, and that somebody may be one.
pub(crate) fn outlast(polls: u32) {
    if polls < 100 { yield_now(polls) } else { doze(polls) }
}

/// [`outlast`] for waits that a model must not give up on: counts by itself.
pub(crate) fn give_way(polls: &mut u32) {
    if *polls < 100 {
        yield_now(0)
    } else {
        doze(0)
    }
    *polls = polls.saturating_add(1);
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;

    /// A wait that ended with a wake was learned as if it had ended with the spin budget, so that the next one spun in
    /// vain as well.
    #[test]
    fn a_wait_that_was_slept_through_is_learned_in_full() {
        let door = Door::new(Fences::Symmetric);
        let come = AtomicBool::new(false);
        let budget = Duration::from_micros(20);
        let mut pace = Pace::new(Plan::new(WaitPolicy::Adaptive, Some(budget), 2, 2, &calibration()));
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                come.store(true, SeqCst);
                door.look();
                door.wake_sleepers(0);
            });
            let stay = Stay { generation: 0, pace: &mut pace, limit: &Limit::Never };
            door.until(stay, || come.load(SeqCst)).unwrap();
        });
        // An eighth, or nothing at all if the CPU was lost meanwhile.
        assert!(pace.spin_budget() <= budget / 8, "{pace:?}");
    }

    #[test]
    fn trips_that_follow_each_other_have_bits_of_their_own() {
        let of = |trips: [u64; 4]| trips.map(parked_for);
        assert_eq!((of([0, 1, 2, 3]), parked_for(u64::MAX)), ([1, 2, 1, 2], 2));
        assert_eq!(PARKED, parked_for(4) | parked_for(5));
        let all = [parked_for(0), parked_for(1), BREAKING, BROKEN, TURNING];
        assert_eq!(all.iter().sum::<u32>(), WAKE - 1, "no bit twice, and the count above them");
        assert_eq!(ALARM, BREAKING + BROKEN);
    }

    #[test]
    fn a_wake_takes_its_trips_bit_and_steps_the_count() {
        let door = Door::new(Fences::Symmetric);
        assert!(!door.wake_sleepers(4), "nobody is asleep");
        door.attention.word().fetch_or(PARKED | TURNING, crate::primitive::Ordering::Relaxed);
        assert!(door.wake_sleepers(4) && !door.wake_sleepers(4));
        assert_eq!(door.look().0, WAKE + parked_for(5) + TURNING);
        assert!(door.wake(PARKED));
        assert_eq!(door.look().0, 2 * WAKE + TURNING);
    }

    #[test]
    fn what_is_announced_is_seen_and_taken_back() {
        let door = Door::new(Fences::Symmetric);
        let seen = |door: &Door| {
            let word = door.look();
            (word.undisturbed(), word.asks(), word.alarmed(), door.alarmed(), door.is_broken())
        };
        assert_eq!(seen(&door), (true, false, false, false, false));
        door.raise_alarm();
        assert_eq!(seen(&door), (false, true, true, true, false));
        door.lower_alarm();
        assert_eq!(seen(&door), (true, false, false, false, false));
        door.announce_turn();
        assert_eq!(seen(&door), (false, true, false, false, false));
        door.attention.word().fetch_or(parked_for(1), crate::primitive::Ordering::Relaxed);
        door.raise_alarm();
        door.settle_alarm();
        assert_eq!(seen(&door), (false, true, true, true, true));
        assert_eq!(door.look().0, TURNING + BROKEN + WAKE, "those who sleep are woken for it");
        door.clear_alarm();
        assert_eq!(seen(&door), (false, true, false, false, false));
        door.wake_spuriously();
        assert_eq!(door.look().0, TURNING + 2 * WAKE);
    }

    #[test]
    fn a_limit_has_come_when_its_time_is_there() {
        let start = now();
        let second = Duration::from_secs(1);
        assert_eq!(Limit::After(second).ends_at(start), Some(start + second));
        assert_eq!((Limit::Usual.ends_at(start), Limit::Never.ends_at(start)), (None, None));
        assert_eq!(
            Limit::Usual.end(start, Some(second)).map(|end| (end.at, end.after)),
            Some((start + second, second))
        );
        assert!(Limit::After(Duration::MAX).ends_at(start).is_none());
        assert_eq!(Limit::At(start + second).end(start, None).map(|end| end.after), Some(second));
        let hour = Duration::from_secs(3600);
        assert!(
            Limit::At(start).has_come()
                && !Limit::At(start + hour).has_come()
                && !Limit::After(Duration::ZERO).has_come()
        );
    }
}
