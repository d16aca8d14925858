//! Why a tick failed, and why an engine could not be built.

use crate::error::Broken;
use crate::team::error::RunError;
use std::{error, fmt};

/// Why a step came to nothing, as the world says.
///
/// Made from any error by `?`, and from whatever can be shown by [`Fault::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    /// Makes one of a text, or of an error that is no [`Error`](error::Error), such as one in a box.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Not an `Error` itself, so that every error can be turned into one.
impl<E: error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What made a tick fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The world said so.
    Fault {
        /// The member.
        rank: usize,
        /// What it said.
        fault: Fault,
    },
    /// The world panicked, or the observer.
    Panicked {
        /// The member.
        rank: usize,
        /// What it said, if it was text.
        message: String,
    },
    /// The trip behind a step broke: somebody did not come within the tick's deadline, or it was aborted.
    Broken(Broken),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { rank, fault } => write!(f, "rank {rank}: {fault}"),
            Self::Panicked { rank, message } => write!(f, "rank {rank} panicked: {message}"),
            Self::Broken(broken) => write!(f, "{broken}"),
        }
    }
}

/// Why a run ended before it was to end. The state is the one before the tick that failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockstepError {
    /// A tick failed, and was not to be tried again.
    Tick {
        /// The tick that is not complete: so many are.
        tick: u64,
        /// What made it fail, the last time.
        failure: Failure,
        /// How often it was tried.
        attempts: u32,
    },
    /// The team could not be run.
    Team(RunError),
    /// A choice that cannot be had.
    Choice(ChoiceError),
}

impl fmt::Display for LockstepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick { tick, failure, attempts: 1 } => write!(f, "tick {tick} failed: {failure}"),
            Self::Tick { tick, failure, attempts } => {
                write!(f, "tick {tick} failed {attempts} times, the last time: {failure}")
            }
            Self::Team(error) => write!(f, "the team could not be run: {error}"),
            Self::Choice(error) => write!(f, "{error}"),
        }
    }
}

impl error::Error for LockstepError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Tick { failure: Failure::Broken(broken), .. } => Some(broken),
            Self::Tick { .. } => None,
            Self::Team(error) => Some(error),
            Self::Choice(error) => Some(error),
        }
    }
}

impl From<RunError> for LockstepError {
    fn from(error: RunError) -> Self {
        Self::Team(error)
    }
}

impl From<ChoiceError> for LockstepError {
    fn from(error: ChoiceError) -> Self {
        Self::Choice(error)
    }
}

/// A choice for an engine that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceError {
    /// A world says that it has no phases.
    NoPhases,
    /// More ticks per trip than the world's halo allows, or none.
    TicksPerTrip {
        /// The number asked for.
        ticks: u64,
        /// The world's halo.
        halo: u64,
    },
    /// Several ticks per trip, and several phases per tick: phases have to meet.
    TicksPerTripWithPhases {
        /// The number asked for.
        ticks: u64,
        /// The world's phases.
        phases: usize,
    },
    /// A deadline, at a barrier that keeps none.
    NoDeadlines,
}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPhases => f.write_str("the world has 0 phases: a tick has at least one"),
            Self::TicksPerTrip { ticks, halo } => {
                write!(f, "{ticks} ticks per trip: the world's halo allows 1 to {halo}")
            }
            Self::TicksPerTripWithPhases { ticks, phases } => {
                write!(f, "{ticks} ticks per trip: the world has {phases} phases per tick, and members meet after each")
            }
            Self::NoDeadlines => f.write_str("a deadline per tick: `std::sync::Barrier` keeps none"),
        }
    }
}

impl error::Error for ChoiceError {}
