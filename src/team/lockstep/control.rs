//! Pausing, stepping and stopping a run from another thread.
//!
//! # Protocol
//!
//! Wishes are looked at by one member, rank 0, between two ticks, and turned into what all members find behind the same
//! trip (`flight.rs`). A pause has the number of that trip, and an answer that is given once: to go on, or to stop. So all
//! members that hold at it leave it the same way, whatever is wished for by the time that the last of them wakes up.

use crate::barrier::cancel::CancelToken;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Looks at a run and steers it, from any thread: a user interface, a debugger.
///
/// From [`Lockstep::handle`](super::Lockstep::handle); cheap to clone.
///
/// # Examples
///
/// ```
/// # use phalanx::team::{Team, lockstep::{At, Fault, Front, Lockstep, Stop, World}};
/// # struct Count;
/// # impl World for Count {
/// #     type Part = u64;
/// #     type Measure = ();
/// #     fn part(&self, _: usize, _: usize) -> u64 { 0 }
/// #     fn step(&self, _: At, front: Front<'_, u64>, back: &mut u64) -> Result<(), Fault> { *back = front.own() + 1; Ok(()) }
/// #     fn measure(&self, _: &u64) {}
/// #     fn combine(&self, _: (), _: ()) {}
/// # }
/// let team = Team::builder().threads(2).build()?;
/// let mut count = Lockstep::builder(Count).build(&team)?;
/// let handle = count.handle();
/// handle.pause();
/// std::thread::scope(|s| {
///     let running = s.spawn(|| count.run(Stop::never()));
///     handle.step(3); // does three ticks, and holds again
///     while handle.tick() < 3 {
///         std::thread::yield_now();
///     }
///     handle.stop();
///     assert_eq!(running.join().unwrap().unwrap().ticks(), 3);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    /// Complete ticks, as far as rank 0 has said.
    tick: AtomicU64,
    /// Whether anything below is to be looked at.
    wished: AtomicBool,
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

#[derive(Default)]
struct Wishes {
    paused: bool,
    stop: bool,
    /// Ticks to do although it is paused.
    steps: u64,
    /// The pause that members hold at, or held at last.
    pause: Option<Pause>,
}

#[derive(Clone, Copy)]
struct Pause {
    number: u64,
    answer: Option<Answer>,
}

/// How a pause ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    GoOn,
    Stop,
}

/// What rank 0 does between two ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// To hold behind the next tick.
    Pause,
    /// To end behind the next tick.
    Stop,
}

impl Handle {
    pub(super) fn new(tick: u64) -> Self {
        let (tick, wished) = (AtomicU64::new(tick), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { tick, wished, wishes: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Holds all members behind a tick, the one that is under way or the one after it. They sleep, and no deadline runs. A run
    /// that begins while paused holds before its first tick.
    pub fn pause(&self) {
        self.change(|wishes| wishes.paused = true);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.change(|wishes| {
            (wishes.paused, wishes.steps) = (false, 0);
            wishes.answer(Answer::GoOn);
        });
    }

    /// Lets them do `ticks` more ticks, or trips where a trip has several ticks, and holds them again.
    pub fn step(&self, ticks: u64) {
        self.change(|wishes| {
            wishes.paused = true;
            wishes.steps = wishes.steps.saturating_add(ticks);
            if wishes.steps > 0 {
                wishes.answer(Answer::GoOn);
            }
        });
    }

    /// Ends the run behind a tick, the one that is under way or the one after it; at once, if it is paused. Without a run, the
    /// next one ends before its first tick.
    pub fn stop(&self) {
        self.change(|wishes| {
            wishes.stop = true;
            wishes.answer(Answer::Stop);
        });
    }

    /// How many ticks are complete, by an account that may lag behind by one.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.shared.tick.load(Ordering::Relaxed)
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.shared.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        let mut wishes = self.wishes();
        change(&mut wishes);
        // Relaxed: the wishes themselves are read under the lock.
        self.shared.wished.store(wishes.paused || wishes.stop, Ordering::Relaxed);
        self.shared.changed.notify_all();
    }

    #[inline]
    pub(super) fn set_tick(&self, tick: u64) {
        self.shared.tick.store(tick, Ordering::Relaxed);
    }

    /// What to do behind the tick that begins now; only rank 0 asks. One load, if nobody wishes anything.
    #[inline]
    pub(super) fn wish(&self) -> Wish {
        if self.shared.wished.load(Ordering::Relaxed) { self.wish_slowly() } else { Wish::Nothing }
    }

    #[cold]
    fn wish_slowly(&self) -> Wish {
        let mut wishes = self.wishes();
        if wishes.stop {
            return Wish::Stop;
        }
        if !wishes.paused {
            return Wish::Nothing;
        }
        wishes.steps = wishes.steps.saturating_sub(1);
        if wishes.steps > 0 { Wish::Nothing } else { Wish::Pause }
    }

    /// Makes pause `number` one that members can hold at; by rank 0, before they do.
    pub(super) fn open_pause(&self, number: u64) {
        let mut wishes = self.wishes();
        let answer = if wishes.stop { Some(Answer::Stop) } else { (!wishes.paused).then_some(Answer::GoOn) };
        wishes.pause = Some(Pause { number, answer });
    }

    /// Holds at pause `number` until there is an answer, or a token is cancelled.
    pub(super) fn hold(&self, number: u64, tokens: &[CancelToken]) -> Answer {
        let mut wishes = self.wishes();
        loop {
            match wishes.pause {
                Some(Pause { number: held, answer: None }) if held == number => {}
                Some(Pause { number: held, answer: Some(answer) }) if held == number => return answer,
                // The next pause is open already: this one was answered, and rank 0 went on.
                _ => return Answer::GoOn,
            }
            if tokens.iter().any(CancelToken::is_cancelled) {
                wishes.answer(Answer::Stop);
                self.shared.changed.notify_all();
                continue;
            }
            // A token has nobody to call here, so it is asked.
            let patience = if tokens.is_empty() { Duration::from_secs(3600) } else { ASK };
            wishes = self.shared.changed.wait_timeout(wishes, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Holds before the first tick of a run, if it is paused; whether to stop.
    pub(super) fn hold_before(&self, tokens: &[CancelToken]) -> Answer {
        let mut wishes = self.wishes();
        if wishes.stop {
            return Answer::Stop;
        }
        if !wishes.paused || wishes.steps > 0 {
            return Answer::GoOn;
        }
        wishes.pause = Some(Pause { number: BEFORE, answer: None });
        drop(wishes);
        self.hold(BEFORE, tokens)
    }

    /// Sleeps so long, or until somebody wishes to stop or cancels.
    pub(super) fn rest(&self, time: Duration, tokens: &[CancelToken]) {
        let end = Instant::now().checked_add(time);
        let mut wishes = self.wishes();
        while !wishes.stop && !tokens.iter().any(CancelToken::is_cancelled) {
            let left = end.map_or(ASK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            let patience = if tokens.is_empty() { left } else { left.min(ASK) };
            wishes = self.shared.changed.wait_timeout(wishes, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A run has ended because of it: the next one may go.
    pub(super) fn take_stop(&self) {
        self.change(|wishes| wishes.stop = false);
    }
}

/// The pause before a run; no trip has this number.
const BEFORE: u64 = u64::MAX;

/// How often a token is asked during a pause or a rest.
const ASK: Duration = Duration::from_millis(10);

impl Wishes {
    fn answer(&mut self, answer: Answer) {
        if let Some(pause) = &mut self.pause {
            pause.answer.get_or_insert(answer);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("tick", &self.tick()).finish_non_exhaustive()
    }
}
