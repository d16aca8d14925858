//! The barrier of the textbooks, a mutex and a condition variable, with the failures of a phalanx barrier: slow, and
//! obviously correct.

use super::board::Board;
use super::{Rendezvous, sealed};
use crate::barrier::party::Trip;
use crate::error::{Broken, Cause, Missing};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One thread's place at a barrier made of a mutex and a condition variable.
///
/// As a [`Party`](crate::Party) it breaks the trip when it is dropped or its deadline passes, and everybody is told the
/// same. A broken one stays broken: there is no reset.
#[derive(Debug)]
pub struct CondvarParty {
    shared: Arc<Shared>,
    rank: usize,
    reductions: u64,
    /// The limit of waits that name none.
    patience: Option<Duration>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    next: Condvar,
    board: Board,
}

#[derive(Debug)]
struct State {
    generation: u64,
    /// By rank.
    arrived: Vec<bool>,
    /// Parties whose handle is gone, with the cause of it.
    gone: Vec<(usize, Cause)>,
    broken: Option<Broken>,
}

/// Makes the parties of a new barrier of this kind, in the order of the ranks.
///
/// # Examples
///
/// ```
/// use phalanx::Cause;
/// use phalanx::team::rendezvous::{Rendezvous, condvar_parties};
///
/// let mut parties = condvar_parties(2);
/// drop(parties.pop());
/// assert_eq!(parties[0].wait().unwrap_err().cause(), &Cause::Dropped { rank: 1 });
/// ```
#[must_use]
pub fn condvar_parties(parties: usize) -> Vec<CondvarParty> {
    condvar_parties_within(parties, None)
}

/// The same, with a limit for waits that name none.
pub(in crate::team) fn condvar_parties_within(parties: usize, patience: Option<Duration>) -> Vec<CondvarParty> {
    let state = State { generation: 0, arrived: vec![false; parties], gone: Vec::new(), broken: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), next: Condvar::new(), board: Board::new(parties) });
    (0..parties).map(|rank| CondvarParty { shared: Arc::clone(&shared), rank, reductions: 0, patience }).collect()
}

impl State {
    /// Breaks the open trip.
    fn break_trip(&mut self, cause: Cause) -> Broken {
        let missing = (0..self.arrived.len()).filter(|&rank| !self.arrived[rank]);
        let missing = missing.map(|rank| Missing { rank, thread: None, cpu: None }).collect();
        let broken = Broken::by_rank(cause, self.generation, self.arrived.len(), missing);
        self.broken.insert(broken).clone()
    }
}

impl CondvarParty {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks the open trip for everybody; what they are told, which is an earlier break's record if there was one.
    pub(super) fn break_trip(&mut self, cause: Cause) -> Broken {
        let mut state = self.state();
        let broken = state.broken.clone().unwrap_or_else(|| state.break_trip(cause));
        self.shared.next.notify_all();
        broken
    }

    /// Stays until these have arrived at the open trip.
    pub(super) fn await_turn(&mut self, others: &[usize]) -> Result<(), Broken> {
        let mut state = self.state();
        loop {
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if others.iter().all(|&rank| state.arrived[rank]) {
                return Ok(());
            }
            if let Some((_, cause)) = state.gone.iter().find(|(rank, _)| others.contains(rank)).cloned() {
                self.shared.next.notify_all();
                return Err(state.break_trip(cause));
            }
            state = self.shared.next.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn cross(&mut self, deadline: Option<Instant>) -> Result<Trip, Broken> {
        let began = Instant::now();
        let mut state = self.state();
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let generation = state.generation;
        state.arrived[self.rank] = true;
        // Also for those who wait for their turn.
        self.shared.next.notify_all();
        if state.arrived.iter().all(|&arrived| arrived) {
            state.generation = generation.wrapping_add(1);
            state.arrived.fill(false);
            return Ok(Trip::new(generation, true));
        }
        if let Some((_, cause)) = state.gone.first().cloned() {
            return Err(state.break_trip(cause));
        }
        loop {
            if state.generation != generation {
                return Ok(Trip::new(generation, false));
            }
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.shared.next.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    self.shared.next.notify_all();
                    return Err(state.break_trip(Cause::TimedOut { rank: self.rank, after: began.elapsed() }));
                }
                Some(left) => self.shared.next.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl sealed::Sealed for CondvarParty {}

impl Rendezvous for CondvarParty {
    fn rank(&self) -> usize {
        self.rank
    }

    fn parties(&self) -> usize {
        self.state().arrived.len()
    }

    fn wait(&mut self) -> Result<Trip, Broken> {
        self.cross(self.patience.and_then(|patience| Instant::now().checked_add(patience)))
    }

    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.cross(Some(deadline))
    }

    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        let count = self.reductions;
        self.reductions = count.wrapping_add(1);
        self.shared.board.pin(count, self.rank, value);
        let trip = self.wait()?;
        self.shared.board.combine(count, self.rank, trip.generation(), combine)
    }
}

impl Drop for CondvarParty {
    fn drop(&mut self) {
        let rank = self.rank;
        let cause = if thread::panicking() { Cause::Panicked { rank } } else { Cause::Dropped { rank } };
        let mut state = self.state();
        if state.broken.is_none() && state.arrived.contains(&true) {
            state.break_trip(cause);
        } else {
            state.gone.push((rank, cause));
        }
        self.shared.next.notify_all();
    }
}
