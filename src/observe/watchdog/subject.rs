//! What the watchdog needs of a barrier. The barrier's side is in `barrier/subject.rs`.

use crate::error::Broken;
use crate::wait::Tally;
use std::sync::Arc;
use std::time::Instant;

/// A barrier that is watched. No method may wait for a party; all may take the barrier's locks.
pub(crate) trait Subject: Send + Sync {
    /// What people call it.
    fn name(&self) -> Arc<str>;

    /// What tells it from all others of the process.
    fn number(&self) -> u64;

    /// Whether somebody waits, in few words: asked again and again.
    fn sight(&self) -> Sight;

    /// The same in all words; `None` if nobody waits.
    fn snapshot(&self) -> Option<Snapshot>;

    /// Breaks that very trip, unless it is decided; what its parties are told.
    fn break_trip(&self, trip: TripId, reason: String) -> Option<Broken>;
}

/// What tells a trip from every other of its barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TripId {
    /// The era that holds it, as a number that is its own while it lasts.
    pub(crate) era: usize,
    pub(crate) generation: u64,
    /// All have arrived, and somebody does not let them go.
    pub(crate) held: bool,
}

/// A barrier in few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nobody has arrived at the open trip, or the barrier is broken, or has ended.
    AtRest,
    /// Somebody has arrived at this trip; since when at least one waits there, if one has waited for some time.
    Open { trip: TripId, since: Option<Instant> },
}

/// A barrier in all words, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) trip: TripId,
    /// How many parties the trip has.
    pub(crate) parties: usize,
    pub(crate) ranks: Vec<Seat>,
}

impl Snapshot {
    /// Whether nothing has moved between the two.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let who = |snapshot: &Self| {
            snapshot.ranks.iter().map(|seat| (seat.rank, seat.presence, seat.handle)).collect::<Vec<_>>()
        };
        self.trip == other.trip && who(self) == who(other)
    }
}

/// One rank of a trip.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) rank: usize,
    pub(crate) presence: Presence,
    pub(crate) handle: Handle,
    /// Who waits with its handle, if anybody ever has.
    pub(crate) thread: Option<Known>,
    pub(crate) tally: Arc<Tally>,
    /// What it says it does.
    pub(crate) phase: Option<&'static str>,
    /// How often it has arrived, at whatever trip.
    pub(crate) arrivals: u64,
}

impl Seat {
    /// The thread that waits with its handle: the one of the last long wait, or else the one that waited first.
    pub(crate) fn known(&self) -> Option<Known> {
        let first = self.thread.clone()?;
        match self.tally.last_thread() {
            Some(last) if first.id != Some(last) => Some(Known { name: None, id: Some(last), start: None }),
            _ => Some(first),
        }
    }
}

/// A thread, as it was when it said who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<u32>,
    /// What tells it from a later one of the same number.
    pub(crate) start: Option<u64>,
}

/// Where a rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has arrived.
    Arrived,
    /// It has not; at a trip that is held, it does not wait with the others.
    Missing,
    /// It takes part from the next trip on, and waits there already.
    Ahead,
}

/// What has become of the right to arrive with a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Handle {
    /// Nobody has claimed the rank.
    Unclaimed,
    /// Somebody has its handle.
    Held,
    /// Its handle was dropped, and the rank not claimed again.
    Dropped,
}
