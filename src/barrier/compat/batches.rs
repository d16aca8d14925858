//! The mechanism of the barrier for callers without a handle: batches of callers, counted in one word.
//!
//! A central barrier (`algo/central.rs` has the pedigree) whose arrivals have no rank: whoever calls takes the next
//! place in the open batch. So there are no arrival slots to name the missing or to decide a dispute; instead the count
//! and the mark of a break share one word, and the order of that word's modifications decides.
//!
//! Cost per trip, n callers: one `fetch_add` each, one more and a `fetch_add` of the go flag for the last; a fence for
//! the last, so that it may look for sleepers. Rooted: yes.
//!
//! # State
//!
//! | word | writers | meaning |
//! |---|---|---|
//! | `state` bits 0..24 | each caller, +1; the last of a batch, -n; whoever is told of a break, -1 | `count`: callers who have a place and are neither let go nor told |
//! | `state` bit 24 | whoever breaks | `BROKEN`: the batch that had too few callers when this was set is broken, and nobody gets a place any more |
//! | `state` bits 25.. | the last caller, +1 | the open batch, modulo 2^39 |
//! | `go` | the last caller, +1; a reset | batches that are over, modulo 2^64: batch g is over when `go` is beyond g |
//! | `untold` | whoever resets, and those who are told | breaks from before a reset of which somebody has not been told yet |
//! | attention word | `wait/mod.rs` | sleepers; alarm while `state` is broken |
//!
//! # Protocol
//!
//! 1. `fetch_add` of 1 to `state`. `BROKEN` in the old value: step 5. Else the old count p is the place: batch `open +
//!    p / n`, index `p % n`. (p is n or more while the last of a full batch is on its way, or runs the action.)
//! 2. Index n - 1, the last of its batch: wait until the batch is the open one, run the action, take n from the count
//!    and step the open batch in one `fetch_add`, step `go`, look for sleepers. The last of the next batch may step `go` between
//!    the two; so the sleepers to wake are those of the batch that the own step of `go` has let go.
//! 3. The others wait until `go` is beyond their batch. Then, unless `untold` is 0, step 5.
//! 4. A break is a CAS of `state` that sets `BROKEN`, under the lock of `breaks`. It breaks the batch `open + count /
//!    n`, the one that has too few callers; a full one before it is complete and goes on its way. Whoever wanted to
//!    break a batch that turns out to be full breaks nothing. Only a panic of the action breaks a full batch.
//! 5. To be told: under the lock, take 1 from the count and return the record for the batch; after a reset, the record
//!    is among the past ones, and goes with the last who is told. Whether there is one and whether the batch is over is one
//!    look: between two of them a break and a reset fit.
//! 6. Reset: under the lock, once no full batch is on its way: open the batch after all that had places; file the
//!    records with the count, which is how many have still to be told; let them go (`go`). An action that resets its
//!    own barrier leaves this step to its caller.
//!
//! # Memory ordering
//!
//! - arrivals → last: `state`, `AcqRel` read-modify-writes of one word (`place`).
//! - last → others: `go`, release and acquire; by the first edge it carries everybody's arrival. A caller that learns
//!   from `state` that its batch is over (`state-look`) acquires the arrivals, whose release sequence no later
//!   read-modify-write cuts, and what the action did (`step`).
//! - record → told: the mutex. `untold` is stored before `go` is stepped (release) and read behind the acquire of `go`,
//!   so whoever was let go by a reset sees it.
//! - sleepers: the last does a `SeqCst` fence between `go` and the attention word (`Door::look`).
//!
//! # Reuse
//!
//! A caller of the next batch that comes early is counted above n, and stays counted when the batch moves on. All
//! counters may wrap: batches are compared modulo 2^39.

use crate::error::{Broken, Cause};
use crate::observe::watchdog::{Duty, END_OF_PATIENCE, Lookout};
use crate::primitive::{AtomicU32, AtomicU64, Fences, Mutex, Ordering, lock};
use crate::wait::{Door, Limit, Pace, Plan, Settings, Stay, Stop, WaitPolicy, calibration, give_way, outlast};
use crossbeam_utils::CachePadded;
use std::sync::OnceLock;

const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const BROKEN: u64 = 1 << COUNT_BITS;
const BATCH: u64 = BROKEN << 1;
const BATCH_BITS: u32 = 64 - COUNT_BITS - 1;

/// A value of `state`: `{ batch, broken, count }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    fn count(self) -> u64 {
        self.0 & COUNT
    }

    fn is_broken(self) -> bool {
        self.0 & BROKEN != 0
    }

    fn batch(self) -> u64 {
        self.0 >> (COUNT_BITS + 1)
    }
}

/// The batch `by` after `batch`, modulo 2^39.
fn later(batch: u64, by: u64) -> u64 {
    State(batch.wrapping_add(by).wrapping_mul(BATCH)).batch()
}

/// `a - b` for batch numbers modulo 2^39, as a signed distance.
fn distance(a: u64, b: u64) -> i64 {
    (a.wrapping_sub(b) << (64 - BATCH_BITS)) as i64 >> (64 - BATCH_BITS)
}

/// A caller's place: its batch and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    batch: u64,
    index: u64,
}

/// The words that callers meet on.
#[derive(Debug)]
pub(super) struct Batches {
    parties: u64,
    state: CachePadded<AtomicU64>,
    go: CachePadded<AtomicU64>,
    door: Door,
    untold: AtomicU32,
    breaks: Mutex<Breaks>,
    plan: OnceLock<Plan>,
}

/// The breaks that somebody has not been told of.
#[derive(Debug)]
struct Breaks {
    /// While `state` is broken.
    present: Option<Break>,
    /// From before a reset, with the number of those who have still to be told.
    past: Vec<(Break, u64)>,
    /// The action wants a reset as soon as its batch is over.
    reset_when_over: bool,
}

/// What is told while `state` is broken, from the mark to the reset.
#[derive(Debug)]
struct Break {
    /// The open batch when the mark was set: what callers find who come too late for a place.
    open: u64,
    /// The batch after the last one that had places.
    end: u64,
    /// From which batch on which record is told, latest first: a broken batch, and before it perhaps a full one whose
    /// action panicked.
    records: Vec<(u64, Broken)>,
}

impl Break {
    /// What a caller with a place in `batch` is told, if that batch is broken.
    fn told_in(&self, batch: u64) -> Option<&Broken> {
        let of_this_break = distance(self.end, batch) > 0;
        let mut records = self.records.iter().filter(|_| of_this_break);
        records.find(|(from, _)| distance(batch, *from) >= 0).map(|(_, broken)| broken)
    }

    /// What a caller without a place is told, who found `open` open.
    fn told_outside(&self, open: u64) -> Option<&Broken> {
        let of_this_break = distance(open, self.open) >= 0 && distance(self.end, open) > 0;
        self.records.first().filter(|_| of_this_break).map(|(_, broken)| broken)
    }

    /// The first batch that is broken.
    fn first(&self) -> u64 {
        self.records.last().map_or(self.end, |(from, _)| *from)
    }
}

/// What became of a batch, for a caller that is in it.
enum Ruling {
    Broken(Broken),
    /// All have arrived, and the next batch is open.
    Over,
    /// Still open, or full with its last caller on its way.
    Open,
}

impl Batches {
    constant_unless_modelled! {
        /// Batches of `parties`, the first numbered `first`.
        pub(super) fn new(parties: usize, first: u64) -> Self {
            // Above half of what the word can count there could be no two batches in it. So many threads cannot be
            // either.
            let parties = if parties == 0 { 1 } else if parties as u64 > COUNT / 2 { COUNT / 2 } else { parties as u64 };
            Self {
                parties,
                state: CachePadded::new(AtomicU64::new(first.wrapping_mul(BATCH))),
                go: CachePadded::new(AtomicU64::new(first)),
                door: Door::new(Fences::Symmetric),
                untold: AtomicU32::new(0),
                breaks: Mutex::new(Breaks { present: None, past: Vec::new(), reset_when_over: false }),
                plan: OnceLock::new(),
            }
        }
    }

    /// With the budgets fixed: a model must not measure.
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(super) fn with_plan(mut self, plan: Plan) -> Self {
        self.plan = OnceLock::from(plan);
        self
    }

    /// A caller has a place, and no more is heard of it.
    #[cfg(all(test, phalanx_loom))]
    pub(super) fn take_a_place(&self) {
        self.state.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn parties(&self) -> usize {
        self.parties as usize
    }

    /// Callers of the batch that has too few, as a snapshot; once it is broken, those it had then.
    pub(super) fn arrived(&self) -> usize {
        match &lock(&self.breaks).present {
            Some(present) => present.records.first().map_or(0, |(_, broken)| broken.arrived()),
            None => (self.state().count() % self.parties) as usize,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().is_broken()
    }

    pub(super) fn wake_spuriously(&self) {
        self.door.wake_spuriously();
    }

    fn state(&self) -> State {
        // [state-look] Acquire: pairs with the Release of `place` and `step`; a caller that learns here that its batch
        // is over leaves on it.
        State(self.state.load(Ordering::Acquire))
    }

    /// One crossing; `action` is run by the last caller, before any release. The caller's index in its batch.
    pub(super) fn cross(&self, limit: Limit, action: impl FnOnce() -> Result<(), String>) -> Result<usize, Broken> {
        // [place] Step 1. AcqRel: releases this arrival to the last caller, and if this is the last, acquires all the
        // others'.
        let old = State(self.state.fetch_add(1, Ordering::AcqRel));
        if old.is_broken() {
            return Err(self.be_told(|breaks| breaks.told_outside(old.batch())));
        }
        let early = old.count() >= self.parties;
        let place = if early {
            Place { batch: later(old.batch(), old.count() / self.parties), index: old.count() % self.parties }
        } else {
            Place { batch: old.batch(), index: old.count() }
        };
        if place.index + 1 < self.parties {
            self.stay(place, limit)?;
        } else {
            if early {
                self.await_turn(place)?;
            }
            action().map_err(|message| self.break_full(place, message))?;
            self.release();
        }
        Ok(place.index as usize)
    }

    /// Step 2, after the action.
    #[inline]
    fn release(&self) {
        // [step] The open batch moves on, and n callers are no longer counted, at once. Release: carries what the
        // action did to whoever learns from `state` that the batch is over.
        let before = State(self.state.fetch_add(BATCH.wrapping_sub(self.parties), Ordering::Release));
        // [over] Release: pairs with the Acquire load of `is_over`; carries every caller's arrival.
        let over = self.go.fetch_add(1, Ordering::Release);
        // Of the batch that this step has let go: another one than this caller's, if the last of the next batch was faster between
        // the two steps.
        if !self.door.look().undisturbed() {
            self.door.wake_sleepers(over);
        }
        if before.is_broken() {
            self.reset_if_wanted();
        }
    }

    /// The last of a batch behind another one whose last is still on its way lets that one go first.
    #[cold]
    fn await_turn(&self, place: Place) -> Result<(), Broken> {
        let mut polls = 0;
        loop {
            let state = self.state();
            if state.batch() == place.batch {
                return Ok(());
            }
            // Only a reset can have gone past a batch that this caller has not released.
            if state.is_broken() || distance(state.batch(), place.batch) > 0 {
                if let Ruling::Broken(broken) = self.rule(place.batch) {
                    return Err(broken);
                }
            }
            polls += 1;
            outlast(polls);
        }
    }

    /// Step 3.
    fn stay(&self, place: Place, mut limit: Limit) -> Result<(), Broken> {
        let mut pace = Pace::new(self.plan());
        // Who comes first looks after the others, if that is wanted.
        let mut lookout = if place.index == 0 { Lookout::begin(|start| limit.ends_at(start)) } else { None };
        let mut polls = 0;
        loop {
            let due = lookout.as_ref().and_then(Lookout::wakes_at);
            let stays = due.map_or(limit, Limit::At);
            let stay = Stay { generation: place.batch, pace: &mut pace, limit: &stays };
            match self.door.until(stay, || self.is_over(place.batch)) {
                Ok(()) => break,
                Err(Stop::Alarm) => {}
                Err(Stop::Expired(_)) if due.is_some() => {
                    if let Some(lookout) = &mut lookout {
                        self.look_out(lookout, place.batch);
                    }
                }
                Err(Stop::Expired(after)) => {
                    limit = Limit::Never;
                    self.break_batch(place.batch, &Cause::TimedOut { rank: place.index as usize, after });
                }
            }
            match self.rule(place.batch) {
                Ruling::Broken(broken) => return Err(broken),
                Ruling::Over => return Ok(()),
                // Full, and its last caller on its way, perhaps through the action; the alarm, if any, is for a later
                // batch.
                Ruling::Open => give_way(&mut polls),
            }
        }
        // Relaxed: ordered by the acquire of `go`.
        if self.untold.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match self.rule(place.batch) {
            Ruling::Broken(broken) => Err(broken),
            Ruling::Over | Ruling::Open => Ok(()),
        }
    }

    /// A report on `batch`, if one is due and it is not over yet.
    #[cold]
    fn look_out(&self, lookout: &mut Lookout, batch: u64) {
        let (Duty::Report { breaks }, Some(arrived)) = (lookout.look(), self.arrived_at(batch)) else { return };
        lookout.report(batch, arrived, self.parties());
        if breaks {
            let reason = END_OF_PATIENCE.to_owned();
            self.break_batch(batch, &Cause::Aborted { reason });
        }
    }

    /// How many have a place in `batch`, if that is the open one and not broken.
    fn arrived_at(&self, batch: u64) -> Option<usize> {
        let state = self.state();
        let is_open = !state.is_broken() && state.batch() == batch;
        is_open.then(|| state.count().min(self.parties) as usize)
    }

    fn is_over(&self, batch: u64) -> bool {
        // [over-look] Acquire: pairs with the Release steps of `go`.
        distance(self.go.load(Ordering::Acquire), batch) > 0
    }

    /// What became of `batch`, for a caller who has a place in it; one `Broken` answer each, since it takes the caller
    /// out of the count.
    #[cold]
    fn rule(&self, batch: u64) -> Ruling {
        // One look at both: between two, the batch may be broken and a reset go past it.
        let mut breaks = lock(&self.breaks);
        match self.tell_by(&mut breaks, |breaks| breaks.told_in(batch)) {
            Some(broken) => Ruling::Broken(broken),
            None if distance(self.state().batch(), batch) > 0 => Ruling::Over,
            None => Ruling::Open,
        }
    }

    /// Step 5: finds the record, and takes the caller out of the count of those who are to be told.
    fn tell(&self, record: impl Fn(&Break) -> Option<&Broken>) -> Option<Broken> {
        self.tell_by(&mut lock(&self.breaks), record)
    }

    fn tell_by(&self, breaks: &mut Breaks, record: impl Fn(&Break) -> Option<&Broken>) -> Option<Broken> {
        if let Some(broken) = breaks.present.as_ref().and_then(&record).cloned() {
            // Relaxed: whoever reads the count of a broken state for more than a hint holds the lock.
            self.state.fetch_sub(1, Ordering::Relaxed);
            return Some(broken);
        }
        let position = breaks.past.iter().position(|(past, _)| record(past).is_some())?;
        let (past, untold) = &mut breaks.past[position];
        let broken = record(past).cloned();
        *untold -= 1;
        if *untold == 0 {
            breaks.past.swap_remove(position);
            self.untold.store(breaks.past.len() as u32, Ordering::Relaxed);
        }
        broken
    }

    /// Step 5 for a caller who has seen the mark: the record is there, or about to be.
    #[cold]
    fn be_told(&self, record: impl Fn(&Break) -> Option<&Broken>) -> Broken {
        let mut polls = 0;
        loop {
            if let Some(broken) = self.tell(&record) {
                return broken;
            }
            give_way(&mut polls);
        }
    }

    /// Step 4 for a caller whose patience has ended: breaks `batch`, unless it is full or over, or something is broken
    /// already.
    #[cold]
    fn break_batch(&self, batch: u64, cause: &Cause) {
        let mut breaks = lock(&self.breaks);
        while breaks.present.is_none() && self.incomplete(self.state()) == batch {
            if self.try_break(&mut breaks, self.state(), cause).is_some() {
                return;
            }
        }
    }

    /// Step 4 for somebody outside: breaks whichever batch has too few callers. What they are told, or were already.
    #[cold]
    pub(super) fn break_open(&self, cause: &Cause) -> Broken {
        let mut breaks = lock(&self.breaks);
        loop {
            if let Some((_, broken)) = breaks.present.as_ref().and_then(|present| present.records.first()) {
                return broken.clone();
            }
            self.try_break(&mut breaks, self.state(), cause);
        }
    }

    /// What a caller is told who gets no place, for a reason of its own.
    #[cold]
    pub(super) fn refuse(&self, cause: &Cause) -> Broken {
        let state = self.state();
        let arrived = state.count() % self.parties;
        Broken::by_count(cause.clone(), self.incomplete(state), self.parties(), arrived as usize)
    }

    /// The batch that has too few callers.
    fn incomplete(&self, state: State) -> u64 {
        later(state.batch(), state.count() / self.parties)
    }

    /// Breaks the incomplete batch of `state`, if that is still the state.
    fn try_break(&self, breaks: &mut Breaks, state: State, cause: &Cause) -> Option<Broken> {
        // Relaxed: the order of the word's modifications decides between the last arrival and this, and a
        // read-modify-write does not cut the release sequence of the arrivals.
        let marked = self.state.compare_exchange(state.0, state.0 | BROKEN, Ordering::Relaxed, Ordering::Relaxed);
        marked.ok()?;
        let (batch, arrived) = (self.incomplete(state), state.count() % self.parties);
        let broken = Broken::by_count(cause.clone(), batch, self.parties(), arrived as usize);
        let end = later(batch, 1);
        breaks.present = Some(Break { open: state.batch(), end, records: vec![(batch, broken.clone())] });
        self.raise_alarm();
        Some(broken)
    }

    /// Breaks a full batch, whose action panicked; what its last caller is told.
    #[cold]
    fn break_full(&self, place: Place, message: String) -> Broken {
        {
            let mut breaks = lock(&self.breaks);
            // Relaxed: as in `try_break`.
            let full = State(self.state.fetch_or(BROKEN, Ordering::Relaxed));
            let broken =
                Broken::by_count(Cause::ActionPanicked { message }, place.batch, self.parties(), self.parties());
            // Callers who came early for later batches are told too, unless an earlier break has a record for them.
            let end = later(place.batch, full.count().div_ceil(self.parties));
            let fresh = Break { open: place.batch, end, records: Vec::new() };
            breaks.present.get_or_insert(fresh).records.push((place.batch, broken));
            self.raise_alarm();
        }
        let broken = self.be_told(|breaks| breaks.told_in(place.batch));
        self.reset_if_wanted();
        broken
    }

    fn raise_alarm(&self) {
        self.door.raise_alarm();
        self.door.settle_alarm();
    }

    /// Step 6. Callers that wait are told [`Cause::Reset`]; with nobody there and nothing broken, nothing happens.
    /// `acting`: the action asks.
    pub(super) fn reset(&self, acting: bool) {
        for polls in 1.. {
            {
                let mut breaks = lock(&self.breaks);
                while breaks.present.is_none() {
                    let state = self.state();
                    if state.count() % self.parties == 0 {
                        return;
                    }
                    self.try_break(&mut breaks, state, &Cause::Reset);
                }
                if self.reopen(&mut breaks) {
                    return;
                }
                if acting {
                    breaks.reset_when_over = true;
                    return;
                }
            }
            // A full batch is on its way, and its last caller may need the lock.
            outlast(polls);
        }
    }

    #[cold]
    fn reset_if_wanted(&self) {
        let mut breaks = lock(&self.breaks);
        if breaks.reset_when_over {
            self.reopen(&mut breaks);
        }
    }

    /// Step 6, unless there is nothing to reset (which is as good) or a full batch is on its way: then false.
    fn reopen(&self, breaks: &mut Breaks) -> bool {
        let Some(present) = breaks.present.as_ref() else { return true };
        let mut state = self.state();
        if distance(present.first(), state.batch()) > 0 {
            return false;
        }
        breaks.reset_when_over = false;
        let Some(present) = breaks.present.take() else { return true };
        let opened = present.end.wrapping_mul(BATCH);
        // Callers without a place still come and are counted. Relaxed: as in `try_break`.
        while let Err(actual) = self.state.compare_exchange_weak(state.0, opened, Ordering::Relaxed, Ordering::Relaxed)
        {
            state = State(actual);
        }
        let batches = distance(present.end, state.batch()) as u64;
        if state.count() > 0 {
            breaks.past.push((present, state.count()));
            self.untold.store(breaks.past.len() as u32, Ordering::Relaxed);
        }
        // [let-go] Release: carries `untold` to whoever is let go by this.
        self.go.fetch_add(batches, Ordering::Release);
        self.door.clear_alarm();
        true
    }

    /// The budgets of a wait: made by the first caller that has to wait, because a `const` constructor cannot.
    fn plan(&self) -> Plan {
        *self.plan.get_or_init(|| {
            let environment = Settings::from_env();
            let policy = environment.policy.unwrap_or(WaitPolicy::Adaptive);
            let cpus = crate::topology::available_cpus();
            let each = self.parties() <= crate::topology::startup_mask().len();
            Plan::new(policy, environment.spin, self.parties(), cpus, &calibration()).with_a_cpu_each(each)
        })
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::compat::tests::in_time;

    /// Batches of `parties` as `count` callers leave them that have taken a place each and done no more.
    fn with_callers(parties: usize, count: u64) -> Batches {
        let batches = Batches::new(parties, 0);
        batches.state.fetch_add(count, Ordering::Relaxed);
        batches
    }

    fn abort(reason: &str) -> Cause {
        Cause::Aborted { reason: reason.into() }
    }

    /// `{ batch, broken, count }`, and how many batches are over.
    fn shown(batches: &Batches) -> (u64, bool, u64, u64) {
        let state = batches.state();
        (state.batch(), state.is_broken(), state.count(), batches.go.load(Ordering::Relaxed))
    }

    /// What a caller with a place in `batch` is told, if that is broken.
    fn told(batches: &Batches, batch: u64) -> Option<Cause> {
        match batches.rule(batch) {
            Ruling::Broken(broken) => Some(broken.cause().clone()),
            Ruling::Over | Ruling::Open => None,
        }
    }

    #[test]
    fn who_is_told_late_is_told_of_the_break_that_it_met_and_the_last_one_takes_the_record_along() {
        in_time(|| {
            let batches = with_callers(2, 1);
            let (first, second) = (abort("first"), abort("second"));
            let without_place = |batches: &Batches| State(batches.state.fetch_add(1, Ordering::Relaxed)).batch();
            let told_outside =
                |open| batches.tell(|breaks| breaks.told_outside(open)).map(|broken| broken.cause().clone());
            batches.break_open(&first);
            let (one, other) = (without_place(&batches), without_place(&batches));
            batches.reset(false);
            batches.break_open(&second);
            assert_eq!((one, told_outside(one).as_ref()), (0, Some(&first)));
            let third = without_place(&batches);
            batches.reset(false);
            assert_eq!((third, told_outside(third).as_ref()), (1, Some(&second)));
            assert_eq!((shown(&batches), batches.untold.load(Ordering::Relaxed)), ((2, false, 0, 2), 1));
            assert_eq!((told_outside(other).as_ref(), told(&batches, 0).as_ref()), (Some(&first), Some(&first)));
            assert_eq!((lock(&batches.breaks).past.len(), batches.untold.load(Ordering::Relaxed)), (0, 0));
            assert_eq!((told(&batches, 0), told_outside(2)), (None, None));
        });
    }

    #[test]
    fn the_last_caller_of_a_batch_waits_for_the_one_before_or_is_told_of_its_break() {
        in_time(|| {
            let [first, next, later] = [0, 1, 2].map(|batch| Place { batch, index: 1 });
            let turn = |batches: &Batches, place| batches.await_turn(place).map_err(|broken| broken.cause().clone());
            // Two full batches, and the action panics on behalf of the first.
            let batches = with_callers(2, 4);
            assert_eq!(turn(&batches, first), Ok(()));
            let boom = Cause::ActionPanicked { message: "boom".into() };
            assert_eq!(batches.break_full(first, "boom".into()).cause(), &boom);
            assert_eq!(turn(&batches, next), Err(boom.clone()));
            // One that looks only behind the reset.
            batches.reset(false);
            assert_eq!(shown(&batches), (2, false, 0, 2));
            assert_eq!((turn(&batches, next), told(&batches, 0)), (Err(boom.clone()), Some(boom)));
            assert_eq!(turn(&batches, later), Ok(()));
        });
    }

    #[test]
    fn a_batch_is_over_when_its_last_caller_has_opened_the_next_one() {
        let batches = with_callers(2, 3);
        assert!(matches!(batches.rule(0), Ruling::Open) && !batches.is_over(0));
        batches.release();
        assert_eq!(shown(&batches), (1, false, 1, 1));
        assert!(matches!(batches.rule(0), Ruling::Over) && batches.is_over(0));
        assert!(matches!(batches.rule(1), Ruling::Open) && !batches.is_over(1));
    }

    #[test]
    fn only_an_open_batch_is_looked_after() {
        in_time(|| {
            let batches = with_callers(3, 2);
            assert_eq!([0, 1].map(|batch| batches.arrived_at(batch)), [Some(2), None]);
            batches.state.fetch_add(3, Ordering::Relaxed);
            assert_eq!(batches.arrived_at(0), Some(3), "full, and two are early for the next");
            batches.release();
            assert_eq!([0, 1].map(|batch| batches.arrived_at(batch)), [None, Some(2)]);
            batches.break_open(&abort("enough"));
            assert_eq!(batches.arrived_at(1), None);
        });
    }

    #[test]
    fn whose_patience_ends_breaks_its_own_batch_or_nothing() {
        in_time(|| {
            let full = with_callers(2, 2);
            full.break_batch(0, &abort("late"));
            assert_eq!(shown(&full), (0, false, 2, 0));
            full.release();
            full.break_batch(0, &abort("late"));
            assert_eq!(shown(&full), (1, false, 0, 1));
            let waiting = with_callers(2, 1);
            waiting.break_batch(0, &abort("in time"));
            waiting.break_batch(0, &abort("second"));
            assert_eq!((waiting.arrived(), told(&waiting, 0)), (1, Some(abort("in time"))));
        });
    }

    #[test]
    fn who_is_refused_hears_how_many_wait() {
        let refused = with_callers(3, 5).refuse(&Cause::Reentered { rank: 0 });
        assert_eq!((refused.generation(), refused.arrived(), refused.parties()), (1, 2, 3));
    }

    #[test]
    fn a_reset_tells_those_who_wait_and_does_nothing_if_nobody_does() {
        in_time(|| {
            let nobody = Batches::new(2, 0);
            nobody.reset(false);
            assert_eq!(shown(&nobody), (0, false, 0, 0));
            nobody.break_open(&abort("enough"));
            nobody.reset(false);
            assert_eq!(
                (shown(&nobody), lock(&nobody.breaks).past.len()),
                ((1, false, 0, 1), 0),
                "nobody is to be told"
            );
            let waiting = with_callers(2, 1);
            waiting.reset(false);
            assert_eq!(shown(&waiting), (1, false, 0, 1));
            assert_eq!((told(&waiting, 0), told(&waiting, 0)), (Some(Cause::Reset), None));
            let full = with_callers(2, 2);
            full.reset(false);
            assert_eq!(shown(&full), (0, false, 2, 0), "complete, and stays so");
        });
    }

    #[test]
    fn a_reset_by_the_action_takes_effect_behind_its_batch() {
        in_time(|| {
            // A full batch whose action runs, and an early caller of the next one, which breaks.
            let batches = with_callers(2, 3);
            batches.break_open(&abort("early"));
            batches.reset(true);
            assert_eq!(shown(&batches), (0, true, 3, 0), "not before");
            batches.release();
            assert_eq!(shown(&batches), (2, false, 0, 2));
            assert_eq!(told(&batches, 1), Some(abort("early")));
            assert!(!lock(&batches.breaks).reset_when_over);
        });
    }
}
