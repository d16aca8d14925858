//! The barriers to choose from, behind the one call that a lockstep loop needs.
//!
//! phalanx hands out one [`Party`] per thread; the other two are shared by all. They differ in more than speed: when a
//! worker panics, its unwinding drops the `Party`, the trip breaks, and all others are told who and why. Behind
//! `std::sync::Barrier`, or the condition variable below, the others wait for ever: neither knows who takes part, nor
//! has a deadline. The example keeps it that way, for that is what the comparison is about.

use phalanx::{Barrier, Broken, Party};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Which barrier the parties meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// phalanx::Barrier, with a deadline of 30 s
    Phalanx,
    /// std::sync::Barrier
    Std,
    /// a mutex, a counter and a condition variable, as in the textbooks
    Condvar,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Phalanx => "phalanx",
            Kind::Std => "std",
            Kind::Condvar => "condvar",
        })
    }
}

/// Ends a trip for good when a party is this late. Far above any tick, so that only a worker that is stuck meets it.
const DEADLINE: Duration = Duration::from_secs(30);

/// One thread's place at a barrier.
pub(crate) trait Meet: Send {
    /// Waits for all others; tells one of them that it is the leader of this trip.
    fn meet(&mut self) -> Result<bool, Broken>;
}

impl Meet for Party {
    fn meet(&mut self) -> Result<bool, Broken> {
        self.wait().map(|trip| trip.is_leader())
    }
}

impl Meet for Arc<std::sync::Barrier> {
    fn meet(&mut self) -> Result<bool, Broken> {
        Ok(self.wait().is_leader())
    }
}

/// The barrier of the textbooks: the last to come starts the next generation and wakes all others.
pub(crate) struct CondvarBarrier {
    parties: usize,
    /// Parties that have come, and the generation that they have come to.
    state: Mutex<(usize, u64)>,
    next: Condvar,
}

impl Meet for Arc<CondvarBarrier> {
    fn meet(&mut self) -> Result<bool, Broken> {
        // Nothing in here panics while it holds the lock.
        let mut state = self.state.lock().expect("never poisoned");
        state.0 += 1;
        if state.0 == self.parties {
            *state = (0, state.1 + 1);
            self.next.notify_all();
            return Ok(true);
        }
        // The generation, not the count, is what is waited for: the count may be full again before this thread runs.
        let generation = state.1;
        drop(self.next.wait_while(state, |state| state.1 == generation).expect("never poisoned"));
        Ok(false)
    }
}

/// The parties of a new phalanx barrier.
pub(crate) fn phalanx_parties(parties: usize) -> Result<Vec<Party>, Box<dyn Error + Send + Sync>> {
    Ok(Barrier::builder(parties).timeout(DEADLINE).build()?.take_parties()?)
}

/// The parties of a new `std::sync::Barrier`.
pub(crate) fn std_parties(parties: usize) -> Vec<Arc<std::sync::Barrier>> {
    let barrier = Arc::new(std::sync::Barrier::new(parties));
    (0..parties).map(|_| Arc::clone(&barrier)).collect()
}

/// The parties of a new [`CondvarBarrier`].
pub(crate) fn condvar_parties(parties: usize) -> Vec<Arc<CondvarBarrier>> {
    let barrier = Arc::new(CondvarBarrier { parties, state: Mutex::new((0, 0)), next: Condvar::new() });
    (0..parties).map(|_| Arc::clone(&barrier)).collect()
}
