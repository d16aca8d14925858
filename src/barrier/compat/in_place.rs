//! A barrier in 32 bytes that the caller owns: for `pthread_barrier_t` (`crates/phalanx-preload`), and for memory that several
//! processes share.
//!
//! Nothing can be broken here, since nobody could be told: `pthread_barrier_wait` has no errors. What is left of
//! [`compat::Barrier`](super::Barrier) then is a count, and it needs neither a lock nor a second word for the release: one word
//! counts all arrivals that there ever were, and a batch is over when the count has reached its end. A caller more than `parties` is
//! the first of the next batch.
//!
//! Pedigree: the ticket of Reed and Kanodia, "Synchronization with eventcounts and sequencers", CACM 22(2), 1979: one count that is
//! advanced and awaited. Cost per trip, n callers: one read-modify-write of the count each and one of `left`, in the same line if the
//! caller has aligned it; the last arrival is the release, so two parties need two transfers of one line (docs/preload.md has times).
//!
//! # State
//!
//! | word | writers | meaning |
//! |---|---|---|
//! | `count` bits 1.. | each caller, +1 | arrivals so far; 2^63 of them take 292 years at one a nanosecond |
//! | `count` bit 0 | `wait/hatch.rs` | somebody may be asleep |
//! | `bell` | `wait/hatch.rs` | wakes so far, modulo 2^32; what sleepers sleep on |
//! | `left` | each caller, +1 | callers who have left, modulo 2^32 |
//! | `parties` | nobody | callers of a batch |
//! | `note` | whoever made the barrier | bit 0: [`Reach`]; the rest is the maker's |
//! | `lessons` | long waits | how long they were |
//!
//! # Protocol
//!
//! 1. `fetch_add` to `count`. The old count p is the place: batch `p / n`, index `p % n`.
//! 2. Index n - 1, the last of its batch: everybody is released by step 1. Ring if there was a mark.
//! 3. The others wait until the count is `(p / n + 1) * n` or more. Where waits are far apart (`wait/hatch.rs`) they sleep at once, or yield
//!    a few times before that, and in some rounds of a contest beside rivals (`wait/contest.rs`) they sleep.
//! 4. Everybody: `left` + 1, and nothing is touched behind it.
//! 5. To give the memory back: refuse if the count is no multiple of n (somebody waits); wait until `left` is the count.
//!
//! # Memory ordering
//!
//! - arrivals → everybody: `count`, released by each arrival (`arrive`), whose release sequence no read-modify-write cuts, and acquired
//!   by the last (`arrive`) and by the look of the others (`count-look`, `count-own`).
//! - everybody's last use → giving back: `left`, release (`leave`) and acquire (`leave-look`).
//!
//! # Limits
//!
//! A process that is killed while it waits is counted for ever, as in every pthread barrier. Where waits are far apart, and in a contest,
//! nobody looks up from a sleep by itself once a wake from within the process has ended one, at whichever barrier: a system call filter that begins to
//! refuse wakes behind that leaves such sleepers asleep, as in the C library. Destroying a barrier while somebody waits is refused; while
//! somebody leaves, it waits for those.

use crate::observe::watchdog::{Thread, watch_by_number};
use crate::primitive::{
    AtomicU32, AtomicU64, Futex, Ordering, Presence, now, owning_looks, owning_looks_if_known, settle,
};
use crate::topology::{affordable, available_cpus, current_cpus, exact_cpus, startup_mask};
use crate::wait::{Calibration, Hatch, Plan, Settings, Stint, WaitPolicy, calibration, outlast};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

pub use crate::primitive::Reach;

/// An arrival, above the mark.
const ARRIVAL: u64 = 2;

/// A barrier in place: 32 bytes, aligned to 8, all of them atomic, nothing behind them.
#[derive(Debug)]
#[repr(C)]
pub struct InPlace {
    count: AtomicU64,
    bell: Futex,
    left: AtomicU32,
    parties: AtomicU32,
    note: AtomicU32,
    lessons: AtomicU64,
    presence: Presence,
}

#[cfg(all(target_os = "linux", not(miri), not(all(test, any(phalanx_loom, phalanx_shuttle)))))]
const _: () = assert!(size_of::<InPlace>() == 32 && align_of::<InPlace>() == 8);

/// Somebody waits at a barrier that was to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// How many do.
    pub waiting: u32,
}

/// What a caller sees who looks up from a long wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The caller's batch.
    pub batch: u64,
    /// How many callers of that batch have arrived.
    pub arrived: u32,
    /// How long the caller has waited.
    pub waited: Duration,
}

/// How a crossing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The batch, counted from 0.
    pub batch: u64,
    /// The caller's arrival index: 0 for the first, parties - 1 for the last.
    pub index: u32,
    /// How long the wait was, as far as it took a look at the clock.
    pub waited: Duration,
    /// Looks of the long wait, with the CPU kept.
    pub spins: u32,
    /// How often the CPU was given away.
    pub yields: u32,
    /// Sleeps.
    pub parks: u32,
}

/// What waiting costs, and what it may cost, in this process.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    policy: WaitPolicy,
    spin: Option<Duration>,
    cpus: usize,
    /// CPUs of the mask, of which a quota may leave less.
    mask: usize,
    costs: Calibration,
    /// What times are counted from, also those that a barrier keeps.
    epoch: Instant,
    /// The plan where everybody has a CPU.
    plenty: Plan,
}

impl Means {
    /// By the environment (`PHALANX_WAIT_POLICY`, `PHALANX_SPIN`), the mask and the quota. Nothing is measured, since that takes a
    /// second thread, and the program may not be prepared for one.
    ///
    /// `cpus`: those of the mask that the process started with, as [`cpus`] counts them. `addressed`: whether the environment may have
    /// any of the variables; it is not looked at otherwise.
    #[must_use]
    pub fn here(cpus: usize, addressed: bool) -> Self {
        Self::by_environment(addressed, affordable(cpus), cpus)
    }

    /// [`here`](Self::here) without the quota, for whom no file may be opened: a wait of a process that makes no barriers. (The environment
    /// is not looked at if it has been before.)
    #[must_use]
    pub fn without_quota(cpus: usize, addressed: bool) -> Self {
        Self::by_environment(addressed, cpus, cpus)
    }

    fn by_environment(addressed: bool, cpus: usize, mask: usize) -> Self {
        let environment = if addressed { Settings::from_env() } else { Settings::default() };
        let policy = environment.policy.unwrap_or(WaitPolicy::Adaptive);
        Self::new(policy, environment.spin, cpus, mask, Calibration::unmeasured())
    }

    /// The same with times counted from the start of the system, which was `uptime` ago by the clock of [`Instant`]. Processes that share a
    /// barrier need that: when its last wait ended is kept in it, and counted from a time of one process it would be long ago for an older
    /// one, which would not stay awake.
    #[must_use]
    pub fn counting_from_boot(self, uptime: impl Fn() -> Duration) -> Self {
        let mut epoch = self.epoch;
        // Again if somebody else had the CPU between two looks at the clock.
        for _ in 0..4 {
            let start = now();
            epoch = start.checked_sub(uptime()).unwrap_or(self.epoch);
            if start.elapsed() < Duration::from_millis(1) {
                break;
            }
        }
        Self { epoch, ..self }
    }

    /// What times are counted from.
    #[must_use]
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// By a policy of the caller's, and what waiting costs here as measured.
    #[must_use]
    pub fn with_policy(policy: WaitPolicy) -> Self {
        Self::new(policy, None, available_cpus(), startup_mask().len(), calibration())
    }

    /// By the calling thread's mask alone: no environment, no allocation, no thread, no file.
    #[must_use]
    pub fn plain() -> Self {
        let cpus = current_cpus().max(1);
        Self::new(WaitPolicy::Adaptive, None, cpus, cpus, Calibration::unmeasured())
    }

    fn new(policy: WaitPolicy, spin: Option<Duration>, cpus: usize, mask: usize, costs: Calibration) -> Self {
        let plenty = Plan::new(policy, spin, 1, cpus, &costs);
        Self { policy, spin, cpus, mask, costs, epoch: now(), plenty }
    }

    fn plan(&self, parties: u32) -> Plan {
        let parties = parties as usize;
        if parties <= self.cpus {
            return self.plenty;
        }
        Plan::new(self.policy, self.spin, parties, self.cpus, &self.costs).with_a_cpu_each(parties <= self.mask)
    }

    /// How many bare polls a wait begins with. Where parties outnumber CPUs, one: the others need this one. A quota is no such reason, as
    /// in [`Plan::with_a_cpu_each`].
    #[inline(always)]
    fn tight(&self, parties: u32) -> u32 {
        if parties as usize <= self.mask { self.plenty.tight } else { 1 }
    }

    /// With the budgets fixed: a model must not measure.
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(super) fn modelled(plan: Plan) -> Self {
        Self {
            cpus: usize::MAX,
            mask: usize::MAX,
            plenty: plan,
            ..Self::new(WaitPolicy::Adaptive, None, 1, 1, Calibration::unmeasured())
        }
    }
}

/// How many CPUs the calling thread may run on.
#[must_use]
pub fn cpus() -> usize {
    exact_cpus()
}

/// After what time a trip that is stuck is to be reported, by `PHALANX_WATCHDOG`.
#[must_use]
pub fn patience() -> Option<Duration> {
    Settings::from_env().watchdog.map(|watchdog| watchdog.after)
}

/// What threads of this process are doing, by their numbers and the names that they had; takes some milliseconds.
#[must_use]
pub fn threads(ids: Vec<(u32, String)>) -> Vec<Thread> {
    watch_by_number(ids)
}

/// Two parties have stayed awake with success: how to look is worth a question from here on.
#[cold]
#[inline(never)]
fn find_out_how_to_look() {
    owning_looks();
}

/// A caller's place.
struct Place {
    /// What the count is when the batch is over, or more.
    end: u64,
    /// The index in the batch.
    index: u32,
}

impl InPlace {
    constant_unless_modelled! {
        /// A barrier for `parties` callers, whose first batch has the number `first` (tests begin where counts wrap).
        #[must_use]
        pub fn new(parties: NonZeroU32, reach: Reach, first: u64) -> Self {
            let arrivals = first.wrapping_mul(parties.get() as u64);
            Self {
                count: AtomicU64::new(arrivals.wrapping_mul(ARRIVAL)),
                bell: Futex::new(u32::MAX),
                left: AtomicU32::new(arrivals as u32),
                parties: AtomicU32::new(parties.get()),
                note: AtomicU32::new(matches!(reach, Reach::Machine) as u32),
                lessons: AtomicU64::new(0),
                presence: Presence::new(),
            }
        }
    }

    /// How many callers make a trip.
    #[inline(always)]
    pub fn parties(&self) -> u32 {
        // Relaxed, as all that never changes: the caller's hand-over of the barrier orders it.
        self.parties.load(Ordering::Relaxed)
    }

    /// The maker's 31 bits.
    #[inline(always)]
    pub fn note(&self) -> u32 {
        self.note.load(Ordering::Relaxed) >> 1
    }

    /// Sets the maker's 31 bits, before anybody waits.
    pub fn set_note(&self, note: u32) {
        let reach = self.note.load(Ordering::Relaxed) & 1;
        self.note.store(note << 1 | reach, Ordering::Relaxed);
    }

    /// The batch that has too few callers, and how many it has, as a snapshot.
    pub fn now_open(&self) -> (u64, u32) {
        let arrivals = self.count.load(Ordering::Relaxed) / ARRIVAL;
        let parties = u64::from(self.parties());
        (arrivals / parties, (arrivals % parties) as u32)
    }

    /// Says that the barrier is made now, so that its first wait can be known for one that comes long after. May be left out.
    pub fn begin(&self, means: &Means) {
        self.hatch().begin(means.epoch);
    }

    /// Arrives, and stays until as many callers as the barrier has parties have arrived; true for the last of them.
    #[inline]
    pub fn wait(&self, means: &Means) -> bool {
        self.wait_with(|| Some(means), Means::plain)
    }

    /// [`wait`](Self::wait), with means that are looked up by those alone who look at the clock; where there are none, with those that `make` makes
    /// for this wait.
    #[inline(always)]
    pub fn wait_with<'m>(&self, means: impl Fn() -> Option<&'m Means>, make: fn() -> Means) -> bool {
        let parties = self.parties();
        let Place { end, index } = self.arrive();
        let last = index + 1 == parties;
        if !last {
            let hatch = self.hatch();
            // What has been learned of a barrier that processes share may be another one's, whose waits go by another policy.
            if hatch.sleeps_through() && hatch.reach == Reach::Process {
                let means = || means().map(|means| (means.plan(parties), means.epoch));
                hatch.sleep_through(index == 0, means, || self.is_over(end));
            } else if let Some(means) = means() {
                if !self.is_over_soon(end, parties, means) {
                    self.wait_longer(end, means);
                }
            } else {
                self.wait_with_new(end, make);
            }
        }
        self.leave();
        last
    }

    #[cold]
    #[inline(never)]
    fn wait_with_new(&self, end: u64, make: fn() -> Means) {
        self.wait_longer(end, &make());
    }

    /// Step 3, behind the bare polls.
    #[cold]
    #[inline(never)]
    fn wait_longer(&self, end: u64, means: &Means) {
        let parties = self.parties();
        let stint = self.hatch().long_wait(means.plan(parties), means.epoch, &|| self.is_over(end));
        if parties == 2 && stint.spins > 0 && stint.parks == 0 {
            find_out_how_to_look();
        }
    }

    /// [`wait`](Self::wait), and says how it went. `look` is called each `every`, as long as the trip is not complete.
    #[cold]
    pub fn wait_watched(&self, means: &Means, every: Option<Duration>, look: &mut dyn FnMut(Sight)) -> Passage {
        let parties = self.parties();
        let Place { end, index } = self.arrive();
        let batch = end / ARRIVAL / u64::from(parties) - 1;
        let mut stint = Stint::default();
        if index + 1 < parties && !self.is_over_soon(end, parties, means) {
            let (hatch, plan, over) = (self.hatch(), means.plan(parties), || self.is_over(end));
            let mut look = |waited| look(Sight { batch, arrived: self.arrived_at(end), waited });
            stint = match every {
                Some(every) => hatch.watched_wait(plan, means.epoch, &over, every, &mut look),
                None => hatch.long_wait(plan, means.epoch, &over),
            };
        }
        self.leave();
        let Stint { waited, spins, yields, parks } = stint;
        Passage { batch, index, waited, spins, yields, parks }
    }

    /// Returns when nobody uses the memory any more.
    ///
    /// # Errors
    ///
    /// [`Busy`] if callers wait for others; nothing changes then.
    pub fn retire(&self) -> Result<(), Busy> {
        let mut polls = 0;
        loop {
            let arrivals = self.count.load(Ordering::Relaxed) / ARRIVAL;
            let waiting = (arrivals % u64::from(self.parties())) as u32;
            if waiting > 0 {
                return Err(Busy { waiting });
            }
            // [leave-look] Acquire: pairs with `leave`.
            if self.left.load(Ordering::Acquire) == arrivals as u32 {
                return Ok(());
            }
            polls += 1;
            outlast(polls);
        }
    }

    /// The memory is used by nobody behind this: checked in a model.
    #[cfg(all(test, phalanx_loom))]
    pub(super) fn give_back(&self) {
        self.presence.give_back();
    }

    /// Long waits are slept through from here on, by those who come together or by others: checked in a model.
    #[cfg(all(test, phalanx_loom))]
    pub(super) fn pause(&self, together: bool) {
        self.hatch().pause_of(together);
    }

    /// Wakes every sleeping caller for no reason, for tests (C12).
    pub fn wake_spuriously(&self) {
        self.hatch().wake_spuriously();
    }

    /// Steps 1 and 2.
    #[inline(always)]
    fn arrive(&self) -> Place {
        // [arrive] AcqRel: releases this arrival to whoever sees the batch over, and if this is the last, acquires all others'.
        let old = self.count.fetch_add(ARRIVAL, Ordering::AcqRel);
        let (arrivals, parties) = (old / ARRIVAL, u64::from(self.parties()));
        let index = arrivals % parties;
        if index + 1 == parties && old & Hatch::MARK != 0 {
            self.hatch().ring();
        }
        Place { end: (arrivals - index + parties) * ARRIVAL, index: index as u32 }
    }

    /// Step 3, the bare polls.
    #[inline(always)]
    fn is_over_soon(&self, end: u64, parties: u32, means: &Means) -> bool {
        let tight = means.tight(parties);
        if parties > 2 {
            return (0..tight).any(|_| self.is_over(end));
        }
        match owning_looks_if_known() {
            Some(true) => (0..tight).any(|_| self.is_over_to_own(end)),
            Some(false) => (0..tight).any(|_| self.is_over(end)),
            None => {
                let over = (0..tight).any(|_| self.is_over(end));
                if over {
                    find_out_how_to_look();
                }
                over
            }
        }
    }

    /// [`is_over`](Self::is_over), asked by a thread that writes to the same line next (`owning_looks`): a compare and swap that
    /// always fails.
    #[inline(always)]
    fn is_over_to_own(&self, end: u64) -> bool {
        // [count-own] Acquire: as `count-look`.
        let count = match self.count.compare_exchange(u64::MAX, u64::MAX, Ordering::Relaxed, Ordering::Acquire) {
            Ok(count) | Err(count) => count,
        };
        let over = count >= end;
        if !over {
            settle();
        }
        over
    }

    #[inline(always)]
    fn is_over(&self, end: u64) -> bool {
        // [count-look] Acquire: pairs with every `arrive` up to the value read.
        self.count.load(Ordering::Acquire) >= end
    }

    /// How many of the batch that is over at `end` have arrived.
    fn arrived_at(&self, end: u64) -> u32 {
        let missing = end.saturating_sub(self.count.load(Ordering::Relaxed)).div_ceil(ARRIVAL);
        self.parties().saturating_sub(missing as u32)
    }

    /// Step 4.
    #[inline(always)]
    fn leave(&self) {
        self.presence.last_use();
        // [leave] Release: pairs with `leave-look`; whoever gives the memory back comes behind all that this caller did to it.
        self.left.fetch_add(1, Ordering::Release);
    }

    #[inline(always)]
    fn hatch(&self) -> Hatch<'_> {
        let reach = if self.note.load(Ordering::Relaxed) & 1 == 0 { Reach::Process } else { Reach::Machine };
        Hatch { word: &self.count, bell: &self.bell, lessons: &self.lessons, reach }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::thread;

    fn of(parties: u32, reach: Reach, first: u64) -> InPlace {
        InPlace::new(NonZeroU32::new(parties).unwrap(), reach, first)
    }

    #[test]
    fn the_note_and_the_reach_share_a_word() {
        for reach in [Reach::Process, Reach::Machine] {
            let barrier = of(3, reach, 0);
            assert_eq!((barrier.note(), barrier.hatch().reach), (0, reach));
            barrier.set_note((1 << 31) - 1);
            assert_eq!((barrier.note(), barrier.hatch().reach, barrier.parties()), ((1 << 31) - 1, reach, 3));
            barrier.set_note(5);
            assert_eq!((barrier.note(), barrier.hatch().reach), (5, reach));
        }
    }

    #[test]
    fn one_party_never_waits_and_its_batches_are_counted() {
        let (barrier, means) = (of(1, Reach::Process, u64::from(u32::MAX)), Means::plain());
        for trip in 0..3 {
            assert_eq!(barrier.now_open(), (u64::from(u32::MAX) + trip, 0));
            let passage = barrier.wait_watched(&means, None, &mut |_| unreachable!());
            assert_eq!((passage.batch, passage.index), (u64::from(u32::MAX) + trip, 0));
            assert!(passage.waited.is_zero() && passage.spins + passage.yields + passage.parks == 0);
            assert_eq!(barrier.retire(), Ok(()));
        }
        assert!(barrier.wait(&means));
    }

    #[test]
    fn who_waits_is_seen_from_outside_and_looks_up_now_and_then() {
        for reach in [Reach::Process, Reach::Machine] {
            let (barrier, means) = (of(3, reach, 7), Means::with_policy(WaitPolicy::Park));
            thread::scope(|scope| {
                let wait = || {
                    let mut sights = Vec::new();
                    let every = Duration::from_millis(5);
                    (barrier.wait_watched(&means, Some(every), &mut |sight| sights.push(sight)), sights)
                };
                let first = scope.spawn(wait);
                while barrier.now_open() != (7, 1) {
                    thread::yield_now();
                }
                assert_eq!(barrier.retire(), Err(Busy { waiting: 1 }));
                let second = scope.spawn(wait);
                while barrier.now_open() != (7, 2) {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(30));
                assert!(barrier.wait(&means));
                let (first, second) = (first.join().unwrap(), second.join().unwrap());
                assert_eq!((first.0.batch, first.0.index, second.0.index), (7, 0, 1));
                for (passage, sights) in [first, second] {
                    let waits = sights.iter().map(|sight| sight.waited).collect::<Vec<_>>();
                    assert!(
                        !sights.is_empty() && waits.is_sorted() && waits[0] >= Duration::from_millis(5),
                        "{waits:?}"
                    );
                    assert!(sights.iter().all(|sight| sight.batch == 7 && (1..=3).contains(&sight.arrived)));
                    assert!(sights.iter().any(|sight| sight.arrived == 2));
                    assert!((cfg!(miri) || passage.parks > 0) && passage.waited >= *waits.last().unwrap());
                }
                assert_eq!(barrier.retire(), Ok(()));
                assert_eq!(barrier.now_open(), (8, 0));
            });
        }
    }

    /// By how much a pause is shorter behind eight trips, for each of which all but one sleep.
    fn counted_of_eight(parties: u32) -> u16 {
        let (barrier, means) = (of(parties, Reach::Process, 0), Means::plain());
        barrier.hatch().pause();
        let before = barrier.hatch().pause_left();
        thread::scope(|scope| {
            for rank in 0..parties {
                let (barrier, means) = (&barrier, &means);
                scope.spawn(move || {
                    for _ in 0..8 {
                        if rank == 0 {
                            thread::sleep(Duration::from_millis(5));
                        }
                        barrier.wait(means);
                    }
                });
            }
        });
        before - barrier.hatch().pause_left()
    }

    #[test]
    fn a_pause_of_waits_far_apart_is_counted_by_trips() {
        // Whom the bell of one trip wakes who already sleeps for the next ends the pause, so not always.
        assert!([2, 3].iter().all(|&parties| (0..5).any(|_| counted_of_eight(parties) == 8)));
    }

    /// Of two processes that shared a barrier, the older one took each wait of the other for one of long ago, and slept at once.
    #[test]
    fn what_one_process_keeps_in_a_barrier_is_not_long_ago_for_an_older_one() {
        let boot = now();
        let made = |counting: bool| {
            let means = Means::plain();
            if counting { means.counting_from_boot(|| boot.elapsed()) } else { means }
        };
        let apart = |counting: bool| {
            let older = made(counting);
            thread::sleep(Duration::from_millis(20));
            made(counting).epoch().saturating_duration_since(older.epoch())
        };
        assert!(apart(false) >= Duration::from_millis(20), "else this shows nothing");
        // Somebody else may have the CPU at each of the looks.
        assert!((0..50).any(|_| apart(true) < Duration::from_millis(10)));
        let means = Means::plain();
        assert_eq!(means.counting_from_boot(|| Duration::MAX).epoch(), means.epoch(), "there is no such time");
    }

    #[test]
    fn plans_follow_the_cpus() {
        let means = Means::new(WaitPolicy::Adaptive, None, 2, 4, Calibration::unmeasured());
        assert_eq!(means.plan(2), Plan::new(WaitPolicy::Adaptive, None, 2, 2, &Calibration::unmeasured()));
        assert!(!means.plan(2).scarce && means.plan(3).scarce);
        assert!(means.plan(4).tight > means.plan(5).tight, "a CPU each, but no time on it");
        assert!((1..6).all(|parties| means.tight(parties) == means.plan(parties).tight));
    }
}
