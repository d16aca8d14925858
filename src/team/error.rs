//! Why there is no team, and why a run came to nothing.

use crate::error::{Broken, BuildError, MAX_PARTIES};
use crate::topology::{PinError, PlaceError};
use std::any::Any;
use std::convert::Infallible;
use std::{error, fmt, io};

/// Why a team could not be made. Whatever threads had been started have ended again.
#[derive(Debug)]
#[non_exhaustive]
pub enum TeamError {
    /// No members, or more than [`MAX_PARTIES`].
    Threads {
        /// The number asked for.
        threads: usize,
    },
    /// The members cannot be placed.
    Place(PlaceError),
    /// The placement is for another number of members.
    Placement {
        /// The number of members.
        threads: usize,
        /// The number of ranks that are placed.
        placed: usize,
    },
    /// The team's barrier cannot be made.
    Barrier(BuildError),
    /// The system gave no thread for this rank.
    Spawn {
        /// The rank.
        rank: usize,
        /// What the system said.
        error: io::Error,
    },
    /// The thread of this rank could not be pinned to the CPU that the plan gives it.
    Pin {
        /// The rank.
        rank: usize,
        /// Why not.
        error: PinError,
    },
}

impl fmt::Display for TeamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads { threads } => write!(f, "a team has 1 to {MAX_PARTIES} members, not {threads}"),
            Self::Place(error) => write!(f, "the members cannot be placed: {error}"),
            Self::Placement { threads, placed } => {
                write!(f, "the team has {threads} members, but the placement is for {placed}")
            }
            Self::Barrier(error) => write!(f, "the team's barrier cannot be made: {error}"),
            Self::Spawn { rank, error } => write!(f, "the system gave no thread for rank {rank}: {error}"),
            Self::Pin { rank, error } => write!(f, "rank {rank} cannot be pinned: {error}"),
        }
    }
}

impl error::Error for TeamError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Threads { .. } | Self::Placement { .. } => None,
            Self::Place(error) => Some(error),
            Self::Barrier(error) => Some(error),
            Self::Spawn { error, .. } => Some(error),
            Self::Pin { error, .. } => Some(error),
        }
    }
}

impl From<PlaceError> for TeamError {
    fn from(error: PlaceError) -> Self {
        Self::Place(error)
    }
}

impl From<BuildError> for TeamError {
    fn from(error: BuildError) -> Self {
        Self::Barrier(error)
    }
}

/// Why a run came to nothing: what broke the team's trip first.
///
/// All members have ended what they did before anybody is given this, and the team can be used again at once.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError<E = Infallible> {
    /// A member panicked; the others were released from their barrier.
    Panicked(MemberPanic),
    /// A member returned an error; the others were released from their barrier.
    Failed {
        /// The member.
        rank: usize,
        /// What it returned.
        error: E,
    },
    /// The team's trip was broken by something else: a deadline, an abort, a cancellation, a member that returned while
    /// others waited for it.
    Broken(Broken),
    /// Called from inside a run of this very team, whose members are all at work.
    Nested,
    /// Another thread's run of this team is under way.
    Busy,
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => write!(f, "{panic}"),
            Self::Failed { rank, error } => write!(f, "rank {rank} failed: {error}"),
            Self::Broken(broken) => write!(f, "{broken}"),
            Self::Nested => f.write_str("refused: a member of the team cannot run the team, all of which is at work"),
            Self::Busy => f.write_str("refused: another thread's run of this team is under way"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> error::Error for RunError<E> {}

impl<E> RunError<E> {
    /// Who caused it, where it was one member.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Panicked(panic) => Some(panic.rank),
            Self::Failed { rank, .. } => Some(*rank),
            Self::Broken(broken) => broken.cause().rank(),
            Self::Nested | Self::Busy => None,
        }
    }
}

/// A member's panic.
pub struct MemberPanic {
    rank: usize,
    message: String,
    payload: Box<dyn Any + Send>,
}

impl MemberPanic {
    pub(super) fn new(rank: usize, payload: Box<dyn Any + Send>) -> Self {
        let message = crate::barrier::action::message_of(&*payload);
        Self { rank, message, payload }
    }

    /// The member that panicked first.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What it said, if it was text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What it panicked with, to be passed on with [`std::panic::resume_unwind`].
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
    }
}

impl fmt::Debug for MemberPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberPanic").field("rank", &self.rank).field("message", &self.message).finish_non_exhaustive()
    }
}

impl fmt::Display for MemberPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} panicked: {}", self.rank, self.message)
    }
}
