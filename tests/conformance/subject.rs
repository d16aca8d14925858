//! What the suite needs of a barrier, as small as can be: so that the library's barriers and the slow reference pass
//! through the same tests.

use phalanx::{Algorithm, Barrier, Broken, Cause, Party, Trip, WaitPolicy, compat};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A completed trip, as one party sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) generation: u64,
    pub(crate) leader: bool,
}

/// A broken trip, as one party is told of it. `text` is everything else that it was told: all parties must be told the
/// same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) generation: u64,
    pub(crate) cause: Cause,
    pub(crate) missing: Vec<usize>,
    pub(crate) arrived: usize,
    pub(crate) text: String,
}

pub(crate) type Outcome = Result<Crossing, Failure>;

/// How long a party stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    Forever,
    Timeout(Duration),
    Deadline(Instant),
}

/// One party.
pub(crate) trait Seat: Send {
    fn wait(&mut self, stay: Stay) -> Outcome;
}

/// The handle that watches over the parties.
pub(crate) trait Control: Clone + Debug + Send + Sync + 'static {
    type Seat: Seat;
    fn claim(&self, rank: usize) -> Self::Seat;
    fn abort(&self, reason: &str) -> Failure;
    /// False if the rank of a dropped party was not claimed again.
    fn reset(&self) -> bool;
    fn arrived(&self) -> usize;
    fn is_broken(&self) -> bool;
    fn wake_spuriously(&self);
}

/// How barriers of one kind are made.
pub(crate) trait Family: Copy + Debug + Sync {
    type Control: Control;
    /// Parties have ranks: drops are noticed, the missing are named, and a late party is told of the break that it
    /// missed.
    const RANKED: bool = true;
    /// Of so many families that differ in their wait policy alone this is one.
    const ONE_OF: u64 = 1;
    fn build(self, parties: usize, first: u64) -> Self::Control;
    /// Each trip of this many parties takes whole time slices of the scheduler.
    fn takes_slices(self, _parties: usize) -> bool {
        false
    }
}

/// Under Miri a seed plays each property of an algorithm with one wait policy or so, drawn: all of them take an hour. (Every
/// policy of every algorithm is crossed with each seed by `tests/seeds.rs`.)
pub(crate) fn sits_out<F: Family>(_: F) -> bool {
    cfg!(miri) && crate::common::drawn(F::ONE_OF) != 0
}

/// `phalanx::Barrier`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phalanx(pub(crate) Algorithm, pub(crate) WaitPolicy);

impl Family for Phalanx {
    type Control = Barrier;
    const ONE_OF: u64 = WaitPolicy::ALL.len() as u64;

    fn build(self, parties: usize, first: u64) -> Barrier {
        let barrier = Barrier::builder(parties).algorithm(self.0).wait_policy(self.1).first_generation(first);
        let barrier = barrier.build().unwrap();
        assert_eq!((barrier.parties(), barrier.algorithm(), barrier.wait_policy()), (parties, self.0, self.1));
        barrier
    }

    fn takes_slices(self, parties: usize) -> bool {
        self.1 == WaitPolicy::Spin && parties > crate::common::cpus()
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self {
            generation: broken.generation(),
            cause: broken.cause().clone(),
            missing: broken.missing().iter().map(|missing| missing.rank).collect(),
            arrived: broken.arrived(),
            text: format!("{broken} {broken:?}"),
        }
    }
}

impl From<Trip> for Crossing {
    fn from(trip: Trip) -> Self {
        Self { generation: trip.generation(), leader: trip.is_leader() }
    }
}

impl Seat for Party {
    fn wait(&mut self, stay: Stay) -> Outcome {
        let outcome = match stay {
            Stay::Forever => self.wait(),
            Stay::Timeout(timeout) => self.wait_timeout(timeout),
            Stay::Deadline(deadline) => self.wait_deadline(deadline),
        };
        outcome.map(Crossing::from).map_err(Failure::from)
    }
}

impl Control for Barrier {
    type Seat = Party;

    fn claim(&self, rank: usize) -> Party {
        self.claim(rank).unwrap()
    }

    fn abort(&self, reason: &str) -> Failure {
        self.abort(reason).into()
    }

    fn reset(&self) -> bool {
        self.reset().is_ok()
    }

    fn arrived(&self) -> usize {
        self.arrived()
    }

    fn is_broken(&self) -> bool {
        self.is_broken()
    }

    fn wake_spuriously(&self) {
        self.wake_spuriously();
    }
}

/// `phalanx::compat::Barrier`. Its parties are whoever calls, so a seat counts its own crossings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compat;

impl Family for Compat {
    type Control = Arc<compat::Barrier>;
    const RANKED: bool = false;

    fn build(self, parties: usize, first: u64) -> Self::Control {
        Arc::new(compat::Barrier::new(parties).starting_at(first))
    }
}

/// A caller.
#[derive(Debug)]
pub(crate) struct Caller {
    barrier: Arc<compat::Barrier>,
    crossings: u64,
}

impl Seat for Caller {
    fn wait(&mut self, stay: Stay) -> Outcome {
        let result = match stay {
            Stay::Forever => self.barrier.try_wait(),
            Stay::Timeout(timeout) => self.barrier.wait_timeout(timeout),
            Stay::Deadline(deadline) => self.barrier.wait_deadline(deadline),
        }?;
        assert_eq!(result.is_leader(), result.index() + 1 == self.barrier.parties(), "the last to arrive leads");
        let generation = self.crossings;
        self.crossings += 1;
        Ok(Crossing { generation, leader: result.is_leader() })
    }
}

impl Control for Arc<compat::Barrier> {
    type Seat = Caller;

    fn claim(&self, _rank: usize) -> Caller {
        Caller { barrier: Arc::clone(self), crossings: 0 }
    }

    fn abort(&self, reason: &str) -> Failure {
        compat::Barrier::abort(self, reason).into()
    }

    fn reset(&self) -> bool {
        compat::Barrier::reset(self);
        true
    }

    fn arrived(&self) -> usize {
        compat::Barrier::arrived(self)
    }

    fn is_broken(&self) -> bool {
        compat::Barrier::is_broken(self)
    }

    fn wake_spuriously(&self) {
        compat::Barrier::wake_spuriously(self);
    }
}
