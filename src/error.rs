//! What can go wrong: before the first trip ([`BuildError`], [`ClaimError`], [`JoinError`]), during one ([`Broken`], with
//! its [`Cause`]), and when a broken barrier is put back into service ([`ResetError`]).

use std::{collections::BTreeSet, fmt, sync::Arc, sync::Mutex, time::Duration};

/// The most parties a barrier can have.
pub const MAX_PARTIES: usize = 1 << 16;

/// Why a barrier could not be built.
///
/// # Examples
///
/// ```
/// let error = phalanx::Barrier::new(0).unwrap_err();
/// assert_eq!(error.to_string(), "a barrier needs 1 to 65536 parties, not 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No party, or more than [`MAX_PARTIES`].
    Parties {
        /// The number asked for.
        parties: usize,
    },
    /// The placement is for another number of ranks.
    Placement {
        /// The parties of the barrier.
        parties: usize,
        /// The ranks of the placement.
        placed: usize,
    },
    /// The costs of hops are for another number of ranks.
    Hops {
        /// The parties of the barrier.
        parties: usize,
        /// The ranks whose hops are given.
        ranks: usize,
    },
    /// Another barrier has the action already, built from a clone of this builder.
    ActionTaken,
    /// A timeline of more events for each party than it can keep.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    Timeline {
        /// The number asked for.
        events: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parties { parties } => {
                write!(f, "a barrier needs 1 to {MAX_PARTIES} parties, not {parties}")
            }
            Self::Placement { parties, placed } => {
                write!(f, "the barrier has {parties} parties, but its placement is for {placed}")
            }
            Self::Hops { parties, ranks } => {
                write!(f, "the barrier has {parties} parties, but hops are given between {ranks} ranks")
            }
            Self::ActionTaken => {
                f.write_str("the action belongs to a barrier that was built from a clone of this builder")
            }
            #[cfg(feature = "timeline")]
            Self::Timeline { events } => {
                let most = crate::observe::timeline::MAX_EVENTS;
                write!(f, "a timeline keeps at most {most} events for each party, not {events}")
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Why a rank could not be claimed.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::new(2)?;
/// let party = barrier.claim(0)?;
/// assert_eq!(barrier.claim(0).unwrap_err().to_string(), "rank 0 is claimed already");
/// assert_eq!(barrier.claim(2).unwrap_err().to_string(), "there is no rank 2: the barrier has 2 parties, ranks 0 to 1");
/// # drop(party);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// The barrier has no such rank.
    NoSuchRank {
        /// The rank asked for.
        rank: usize,
        /// The ranks are `0..parties`.
        parties: usize,
    },
    /// A living [`Party`](crate::Party) holds the rank.
    Taken {
        /// The rank asked for.
        rank: usize,
    },
    /// The rank's party has [left](crate::Party::leave), and nobody has [joined](crate::Barrier::join) in its place.
    Left {
        /// The rank asked for.
        rank: usize,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchRank { rank, parties } => write!(
                f,
                "there is no rank {rank}: the barrier has {parties} parties, ranks 0 to {}",
                parties.saturating_sub(1)
            ),
            Self::Taken { rank } => write!(f, "rank {rank} is claimed already"),
            Self::Left { rank } => write!(f, "the party of rank {rank} has left; `join` gives out such ranks anew"),
        }
    }
}

impl std::error::Error for ClaimError {}

/// Why a broken barrier could not be returned to service.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::new(2)?;
/// drop(barrier.claim(1)?);
/// let error = barrier.reset().unwrap_err();
/// assert_eq!(error.to_string(), "nobody would come for rank 1: its handle was dropped; claim it again before the reset");
/// let restarted = barrier.claim(1)?;
/// barrier.reset()?;
/// # drop(restarted);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetError {
    /// Handles of these ranks were dropped, so the next trip could never complete.
    Deserted {
        /// The ranks, ascending.
        ranks: Vec<usize>,
    },
    /// All parties have [left](crate::Party::leave): there will be no further trip.
    Ended,
    /// A [`CancelToken`](crate::CancelToken) that the barrier is bound to was cancelled.
    Cancelled {
        /// What its caller said.
        reason: String,
    },
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("all parties have left the barrier"),
            Self::Cancelled { reason } => write!(f, "the barrier was cancelled for good: {reason}"),
            Self::Deserted { ranks } => {
                let (whom, what) = match ranks.len() {
                    1 => ("its handle was", "it"),
                    _ => ("their handles were", "them"),
                };
                write!(f, "nobody would come for {}: {whom} dropped; claim {what} again before the reset", Ranks(ranks))
            }
        }
    }
}

impl std::error::Error for ResetError {}

/// Why nobody could be added to a barrier.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::new(1)?;
/// barrier.claim(0)?.leave();
/// assert_eq!(barrier.join().unwrap_err().to_string(), "all parties have left: the barrier has ended");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// All parties have [left](crate::Party::leave): there will be no further trip.
    Ended,
    /// There are [`MAX_PARTIES`] already.
    Full,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("all parties have left: the barrier has ended"),
            Self::Full => write!(f, "a barrier has at most {MAX_PARTIES} parties, and this one has as many"),
        }
    }
}

impl std::error::Error for JoinError {}

/// What can ride on a trip beside the rendezvous; named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Party::all_reduce`](crate::Party::all_reduce).
    AllReduce,
    /// [`Party::reduce`](crate::Party::reduce).
    Reduce,
    /// [`Party::broadcast`](crate::Party::broadcast).
    Broadcast,
    /// [`Party::all_gather`](crate::Party::all_gather).
    AllGather,
    /// [`Party::exclusive_scan`](crate::Party::exclusive_scan).
    ExclusiveScan,
    /// [`Party::serial`](crate::Party::serial).
    Serial,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AllReduce => "all_reduce",
            Self::Reduce => "reduce",
            Self::Broadcast => "broadcast",
            Self::AllGather => "all_gather",
            Self::ExclusiveScan => "exclusive_scan",
            Self::Serial => "serial",
        })
    }
}

/// Why a trip was broken, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A party waited as long as it was told to, and somebody had still not arrived.
    TimedOut {
        /// The party whose patience ended.
        rank: usize,
        /// How long it had waited.
        after: Duration,
    },
    /// Somebody called `abort`.
    Aborted {
        /// What the caller said.
        reason: String,
    },
    /// A party's handle was dropped while its thread was panicking.
    Panicked {
        /// The party that panicked.
        rank: usize,
    },
    /// A party's handle was dropped: it comes no more. Also the cause when the last [`Barrier`](crate::Barrier) handle
    /// is dropped and a rank that nobody claimed can never be claimed.
    Dropped {
        /// The party that left.
        rank: usize,
    },
    /// The action that runs once per trip panicked.
    ActionPanicked {
        /// The panic's message, if it was text.
        message: String,
    },
    /// A closure that rides on a trip panicked: the operator of a reduction, or a serial section.
    OperatorPanicked {
        /// The party that ran it.
        rank: usize,
        /// What it was doing.
        operation: Operation,
        /// The panic's message, if it was text.
        message: String,
    },
    /// On the trip before this one, two parties did not do the same: one [reduced](crate::Party::all_reduce) while the
    /// other just waited, or waited for another type, or named another rank. Their trip itself was complete.
    Mismatched {
        /// The party that found out.
        rank: usize,
        /// What it called.
        called: String,
        /// A party that called something else.
        other: usize,
        /// What that one called.
        instead: String,
    },
    /// A party named a rank that the barrier does not have, to receive or to send a value.
    NoSuchRank {
        /// The party that named it.
        rank: usize,
        /// The rank that it named.
        named: usize,
    },
    /// A [`CancelToken`](crate::CancelToken) that the barrier is bound to was cancelled.
    Cancelled {
        /// What the caller said.
        reason: String,
    },
    /// A member of a [team](crate::team) returned an error.
    Failed {
        /// The member that failed.
        rank: usize,
        /// The text of its error.
        message: String,
    },
    /// The barrier's own action waited at the barrier. The call is refused, and nothing is broken by it.
    Reentered {
        /// The party with which it waited; for parties without ranks 0.
        rank: usize,
    },
    /// Somebody called `reset` while parties were waiting.
    Reset,
}

/// All that [`Cause::kind`] can say.
#[cfg(feature = "metrics")]
pub(crate) const KINDS: [&str; 12] = [
    "timed_out",
    "aborted",
    "panicked",
    "dropped",
    "action_panicked",
    "operator_panicked",
    "mismatched",
    "no_such_rank",
    "cancelled",
    "failed",
    "reentered",
    "reset",
];

impl Cause {
    /// The kind of cause, in one word with underscores: for counts, labels of metrics, and logs.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(phalanx::Cause::Dropped { rank: 3 }.kind(), "dropped");
    /// ```
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::Aborted { .. } => "aborted",
            Self::Panicked { .. } => "panicked",
            Self::Dropped { .. } => "dropped",
            Self::ActionPanicked { .. } => "action_panicked",
            Self::OperatorPanicked { .. } => "operator_panicked",
            Self::Mismatched { .. } => "mismatched",
            Self::NoSuchRank { .. } => "no_such_rank",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
            Self::Reentered { .. } => "reentered",
            Self::Reset => "reset",
        }
    }

    /// Who caused it, where it was one party.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match *self {
            Self::TimedOut { rank, .. }
            | Self::Panicked { rank }
            | Self::Dropped { rank }
            | Self::OperatorPanicked { rank, .. }
            | Self::Mismatched { rank, .. }
            | Self::NoSuchRank { rank, .. }
            | Self::Failed { rank, .. }
            | Self::Reentered { rank } => Some(rank),
            Self::Aborted { .. } | Self::Cancelled { .. } | Self::ActionPanicked { .. } | Self::Reset => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { rank, after } => write!(f, "rank {rank} timed out after {}", duration_text(*after)),
            Self::Aborted { reason } => write!(f, "aborted: {reason}"),
            Self::Panicked { rank } => write!(f, "rank {rank} panicked"),
            Self::Dropped { rank } => write!(f, "rank {rank} dropped its handle and comes no more"),
            Self::ActionPanicked { message } => write!(f, "the action panicked: {message}"),
            Self::OperatorPanicked { rank, operation, message } => {
                write!(f, "the closure of {operation} panicked on rank {rank}: {message}")
            }
            Self::Mismatched { rank, called, other, instead } => {
                write!(f, "on the trip before, rank {rank} called {called} and rank {other} called {instead}")
            }
            Self::NoSuchRank { rank, named } => {
                write!(f, "rank {rank} named rank {named}, which the barrier does not have")
            }
            Self::Cancelled { reason } => write!(f, "cancelled: {reason}"),
            Self::Failed { rank, message } => write!(f, "rank {rank} failed: {message}"),
            Self::Reentered { rank } => write!(f, "refused: rank {rank} waited inside the barrier's own action"),
            Self::Reset => f.write_str("the barrier was reset while parties were waiting"),
        }
    }
}

/// A rank that had not arrived when its trip was broken, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The rank.
    pub rank: usize,
    /// The name of the thread that last waited with this rank's handle: std's, or where that has none, what the system calls the
    /// thread (on Linux; 15 bytes) unless it calls the program so. `None` if it has no name or never waited.
    pub thread: Option<String>,
    /// The CPU on which that thread last ran, where the system tells.
    pub cpu: Option<usize>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rank)?;
        match (&self.thread, self.cpu) {
            (None, None) => Ok(()),
            (Some(thread), None) => write!(f, " (`{thread}`)"),
            (None, Some(cpu)) => write!(f, " (on cpu {cpu})"),
            (Some(thread), Some(cpu)) => write!(f, " (`{thread}` on cpu {cpu})"),
        }
    }
}

/// The trip was broken: not one of its parties crossed, and all of them are told the same.
///
/// Java and Python raise `BrokenBarrierException` and `BrokenBarrierError` here and leave the rest to be guessed; this
/// says why ([`cause`](Self::cause)), which trip ([`generation`](Self::generation)), and who had not arrived when it
/// was decided ([`missing`](Self::missing)). The barrier stays broken, and each further wait returns the same error,
/// until somebody calls `reset`.
///
/// Cheap to clone: all parties of a broken trip share one record.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::{Barrier, Cause};
///
/// let barrier = Barrier::new(2)?;
/// let mut parties = barrier.take_parties()?;
/// let broken = parties[1].wait_timeout(Duration::from_millis(5)).unwrap_err();
/// assert_eq!(broken.cause(), &Cause::TimedOut { rank: 1, after: Duration::from_millis(5) });
/// assert_eq!(broken.generation(), 0);
/// assert_eq!(broken.missing()[0].rank, 0);
/// assert_eq!(broken.to_string(), "trip 0 broken: rank 1 timed out after 5 ms; not arrived: rank 0");
/// assert_eq!(parties[0].wait().unwrap_err(), broken); // the late one is told the same
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Broken(Arc<Record>);

#[derive(Debug, PartialEq, Eq)]
struct Record {
    cause: Cause,
    generation: u64,
    parties: usize,
    arrived: usize,
    missing: Vec<Missing>,
}

impl Broken {
    /// A trip broken with `missing` of `parties` not arrived.
    pub(crate) fn by_rank(cause: Cause, generation: u64, parties: usize, missing: Vec<Missing>) -> Self {
        let arrived = parties.saturating_sub(missing.len());
        Self(Arc::new(Record { cause, generation, parties, arrived, missing }))
    }

    /// A trip of parties without ranks, broken when `arrived` of `parties` were there.
    pub(crate) fn by_count(cause: Cause, generation: u64, parties: usize, arrived: usize) -> Self {
        Self(Arc::new(Record { cause, generation, parties, arrived, missing: Vec::new() }))
    }

    /// Why the trip was broken.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The number of the trip, counted from 0.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Who had not arrived when the break was decided, by ascending rank. Empty for parties without ranks
    /// ([`compat::Barrier`](crate::compat::Barrier)): there [`arrived`](Self::arrived) says how many had.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.0.missing
    }

    /// How many had arrived when the break was decided.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.0.arrived
    }

    /// How many parties the barrier has.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.0.parties
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { cause, generation, parties, arrived, missing } = &*self.0;
        f.debug_struct("Broken")
            .field("cause", cause)
            .field("generation", generation)
            .field("parties", parties)
            .field("arrived", arrived)
            .field("missing", missing)
            .finish()
    }
}

/// Ranks named in full before the rest is only counted.
const NAMED: usize = 16;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { cause, generation, parties, arrived, missing } = &*self.0;
        write!(f, "trip {generation} broken: {cause}")?;
        match missing.as_slice() {
            [] if arrived < parties => write!(f, "; {arrived} of {parties} had arrived"),
            [] => Ok(()),
            missing => write!(f, "; not arrived: {}", Ranks(missing)),
        }
    }
}

impl std::error::Error for Broken {}

/// `rank 0`, or `ranks 0, 3`, or `ranks 0, 1, .. and 200 more`.
struct Ranks<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Ranks<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "rank " } else { "ranks " })?;
        for (position, rank) in self.0.iter().take(NAMED).enumerate() {
            write!(f, "{}{rank}", if position == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A duration as a person writes it: `5 s`, `20 µs`, `1.5 ms`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let text = format!("{duration:?}");
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    format!("{} {}", &text[..unit], &text[unit..])
}

/// Says on stderr, once per variable and process, that an environment variable's value is ignored, and why.
pub(crate) fn report_ignored(variable: &'static str, value: &str, why: &dyn fmt::Display) {
    static REPORTED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut reported = REPORTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if reported.insert(variable) {
        let shown: String = value.chars().take(80).collect();
        crate::primitive::direct::say(&format!("phalanx: {variable}={shown:?} is ignored: {why}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(rank: usize, thread: Option<&str>, cpu: Option<usize>) -> Missing {
        Missing { rank, thread: thread.map(str::to_owned), cpu }
    }

    #[test]
    fn a_person_on_call_can_act_on_it() {
        let broken = Broken::by_rank(
            Cause::TimedOut { rank: 2, after: Duration::from_secs(5) },
            4711,
            4,
            vec![missing(0, None, None), missing(3, Some("solver-3"), Some(7))],
        );
        assert_eq!(
            broken.to_string(),
            "trip 4711 broken: rank 2 timed out after 5 s; not arrived: ranks 0, 3 (`solver-3` on cpu 7)"
        );
        assert_eq!((broken.arrived(), broken.parties(), broken.cause().rank()), (2, 4, Some(2)));
    }

    #[test]
    #[cfg(feature = "metrics")]
    fn each_kind_of_cause_is_in_the_list_and_the_list_has_no_other() {
        let (rank, operation) = (0, Operation::Serial);
        let text = String::new;
        let causes = [
            Cause::TimedOut { rank, after: Duration::ZERO },
            Cause::Aborted { reason: text() },
            Cause::Panicked { rank },
            Cause::Dropped { rank },
            Cause::ActionPanicked { message: text() },
            Cause::OperatorPanicked { rank, operation, message: text() },
            Cause::Mismatched { rank, called: text(), other: 1, instead: text() },
            Cause::NoSuchRank { rank, named: 1 },
            Cause::Cancelled { reason: text() },
            Cause::Failed { rank, message: text() },
            Cause::Reentered { rank },
            Cause::Reset,
        ];
        assert_eq!(causes.map(|cause| cause.kind()), KINDS);
    }

    #[test]
    fn the_list_of_missing_ranks_is_bounded() {
        let all = (0..1000).map(|rank| missing(rank, None, None)).collect();
        let text = Broken::by_rank(Cause::Reset, 1, 1000, all).to_string();
        assert!(text.ends_with("14, 15 and 984 more"), "{text}");
    }

    #[test]
    fn parties_without_ranks_are_counted() {
        let text = Broken::by_count(Cause::Aborted { reason: "stop".into() }, 3, 4, 2).to_string();
        assert_eq!(text, "trip 3 broken: aborted: stop; 2 of 4 had arrived");
        let text = Broken::by_count(Cause::ActionPanicked { message: "boom".into() }, 3, 4, 4).to_string();
        assert_eq!(text, "trip 3 broken: the action panicked: boom");
    }

    #[test]
    fn durations_are_written_for_people() {
        assert_eq!(duration_text(Duration::from_secs(5)), "5 s");
        assert_eq!(duration_text(Duration::from_micros(20)), "20 µs");
        assert_eq!(duration_text(Duration::from_micros(1500)), "1.5 ms");
        assert_eq!(duration_text(Duration::from_nanos(7)), "7 ns");
    }
}
