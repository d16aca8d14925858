//! The reference: the contract in its plainest form, one mutex and one condition variable, no cleverness. It goes
//! through the same suite as the library's barriers, so that a property that nobody could have, or that a right barrier
//! only has by luck, shows here.

use super::subject::{Control, Crossing, Failure, Family, Outcome, Seat, Stay};
use phalanx::Cause;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference;

impl Family for Reference {
    type Control = Arc<Shared>;

    fn build(self, parties: usize, first: u64) -> Self::Control {
        let state = State {
            generation: first,
            arrived: vec![false; parties],
            deserted: vec![false; parties],
            verdict: None,
            past: Vec::new(),
        };
        Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() })
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The open trip, or the broken one.
    generation: u64,
    arrived: Vec<bool>,
    deserted: Vec<bool>,
    verdict: Option<Failure>,
    /// Verdicts from before each reset; their number is the number of the present era.
    past: Vec<Failure>,
}

impl State {
    fn missing(&self) -> Vec<usize> {
        (0..self.arrived.len()).filter(|rank| !self.arrived[*rank]).collect()
    }

    fn break_open(&mut self, cause: Cause) -> Failure {
        let (generation, missing) = (self.generation, self.missing());
        let arrived = self.arrived.len() - missing.len();
        let failure = || Failure { generation, cause, missing, arrived, text: String::new() };
        self.verdict.get_or_insert_with(failure).clone()
    }

    /// What became of trip `generation` of era `era`: undecided, complete, or broken.
    fn ruling(&self, era: usize, generation: u64) -> Option<Result<(), Failure>> {
        match self.past.get(era).or(self.verdict.as_ref()) {
            Some(verdict) if verdict.generation == generation => Some(Err(verdict.clone())),
            None if self.generation == generation => None,
            _ => Some(Ok(())),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Assertions of a test may fail while a party holds this; the others have to go on to tell their part.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Control for Arc<Shared> {
    type Seat = Member;

    fn claim(&self, rank: usize) -> Member {
        let mut state = self.lock();
        state.deserted[rank] = false;
        Member { shared: Arc::clone(self), rank, era: state.past.len(), told: state.verdict.is_some() }
    }

    fn abort(&self, reason: &str) -> Failure {
        let failure = self.lock().break_open(Cause::Aborted { reason: reason.to_owned() });
        self.changed.notify_all();
        failure
    }

    fn reset(&self) -> bool {
        let mut state = self.lock();
        if state.deserted.contains(&true) {
            return false;
        }
        if state.verdict.is_some() || state.arrived.contains(&true) {
            let failure = state.break_open(Cause::Reset);
            state.verdict = None;
            state.generation = failure.generation.wrapping_add(1);
            state.past.push(failure);
            state.arrived.fill(false);
            self.changed.notify_all();
        }
        true
    }

    fn arrived(&self) -> usize {
        let state = self.lock();
        state.arrived.len() - state.missing().len()
    }

    fn is_broken(&self) -> bool {
        self.lock().verdict.is_some()
    }

    fn wake_spuriously(&self) {
        self.changed.notify_all();
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    shared: Arc<Shared>,
    rank: usize,
    era: usize,
    told: bool,
}

impl Seat for Member {
    fn wait(&mut self, stay: Stay) -> Outcome {
        let start = Instant::now();
        let (end, patience) = match stay {
            Stay::Forever => (None, Duration::ZERO),
            Stay::Timeout(timeout) => (start.checked_add(timeout), timeout),
            Stay::Deadline(end) => (Some(end), end.saturating_duration_since(start)),
        };
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if self.era < state.past.len() {
            if !self.told {
                self.told = true;
                return Err(state.past[self.era].clone());
            }
            (self.era, self.told) = (state.past.len(), false);
        }
        if let Some(verdict) = &state.verdict {
            self.told = true;
            return Err(verdict.clone());
        }
        let generation = state.generation;
        state.arrived[self.rank] = true;
        if state.missing().is_empty() {
            state.arrived.fill(false);
            state.generation = generation.wrapping_add(1);
            shared.changed.notify_all();
            return Ok(Crossing { generation, leader: true });
        }
        loop {
            match state.ruling(self.era, generation) {
                Some(Ok(())) => return Ok(Crossing { generation, leader: false }),
                Some(Err(failure)) => {
                    self.told = true;
                    return Err(failure);
                }
                None => {}
            }
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => shared.changed.wait(state).unwrap(),
                Some(Duration::ZERO) => {
                    state.break_open(Cause::TimedOut { rank: self.rank, after: patience });
                    shared.changed.notify_all();
                    state
                }
                Some(left) => shared.changed.wait_timeout(state, left).unwrap().0,
            };
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let rank = self.rank;
        let mut state = self.shared.lock();
        state.deserted[rank] = true;
        state.break_open(if thread::panicking() { Cause::Panicked { rank } } else { Cause::Dropped { rank } });
        self.shared.changed.notify_all();
    }
}
