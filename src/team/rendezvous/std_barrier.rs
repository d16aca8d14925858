//! `std::sync::Barrier` behind the seam: what a loop would cost, and how it would hang, without phalanx.

use super::board::Board;
use super::{Rendezvous, sealed};
use crate::barrier::party::Trip;
use crate::error::Broken;
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// One thread's place at a `std::sync::Barrier`.
///
/// It can neither give up nor be told that somebody will not come: a worker that panics or returns early leaves all
/// others waiting for ever. For comparison, not for use.
#[derive(Debug)]
pub struct StdParty {
    shared: Arc<Shared>,
    rank: usize,
    parties: usize,
    generation: u64,
    reductions: u64,
}

#[derive(Debug)]
struct Shared {
    barrier: Barrier,
    board: Board,
}

/// Makes the parties of a new `std::sync::Barrier`, in the order of the ranks.
///
/// # Examples
///
/// ```
/// use phalanx::team::rendezvous::{Rendezvous, std_parties};
///
/// let mut alone = std_parties(1);
/// assert!(alone[0].wait()?.is_leader());
/// assert_eq!(alone[0].all_reduce(5, |a, b| a + b)?, 5);
/// # Ok::<(), phalanx::Broken>(())
/// ```
#[must_use]
pub fn std_parties(parties: usize) -> Vec<StdParty> {
    let shared = Arc::new(Shared { barrier: Barrier::new(parties), board: Board::new(parties) });
    let party = |rank| StdParty { shared: Arc::clone(&shared), rank, parties, generation: 0, reductions: 0 };
    (0..parties).map(party).collect()
}

impl sealed::Sealed for StdParty {}

impl Rendezvous for StdParty {
    fn rank(&self) -> usize {
        self.rank
    }

    fn parties(&self) -> usize {
        self.parties
    }

    fn wait(&mut self) -> Result<Trip, Broken> {
        let leader = self.shared.barrier.wait().is_leader();
        let generation = self.generation;
        self.generation = generation.wrapping_add(1);
        Ok(Trip::new(generation, leader))
    }

    fn wait_deadline(&mut self, _: Instant) -> Result<Trip, Broken> {
        self.wait()
    }

    fn keeps_deadlines(&self) -> bool {
        false
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
