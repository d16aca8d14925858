//! The algorithms: how the news that all have arrived gets to everybody.
//!
//! - [`exchange`]: everyone reads everyone's slot; one hop, no root.
//! - [`central`]: a counter, and a go flag on another line; rooted.
//! - [`combining`]: a tree of counters, climbed by the last to arrive; rooted.
//! - [`relay`]: what all that are made of flags have in common; [`dissemination`], [`static_tree`], [`tournament`] and
//!   [`hierarchical`] say who awaits whom, with the help of [`tiers`] and [`gates`].
//! - [`seat`]: one of them, chosen at run time.
//! - [`select`]: their names; [`choice`]: which one `Auto` takes, and why; [`recommend`]: the same for
//!   machines that are not here.
//!
//! An algorithm knows words and ranks and the one door of waiting. It knows nothing of deadlines, breaks, sleepers or
//! reset: a party that the door turns away ([`Stop`]) leaves the algorithm where it is, and after a break the
//! algorithm's state is never used again (see `fate/README.md`).

pub(crate) mod central;
pub(crate) mod choice;
pub(crate) mod combining;
pub(crate) mod dissemination;
pub(crate) mod exchange;
pub(crate) mod gates;
pub(crate) mod hierarchical;
pub(crate) mod recommend;
pub(crate) mod relay;
pub(crate) mod seat;
pub(crate) mod select;
pub(crate) mod static_tree;
pub(crate) mod tiers;
pub(crate) mod tournament;

use crate::wait::{Door, Stay, Stop};

/// Keeps [`Algorithm`] to this crate: the contract below is not yet one that others could be held to.
pub(crate) mod sealed {
    pub(crate) trait Sealed {}
}

/// One party's seat at a way to learn that all parties have arrived. What the seats share, they reach by one pointer.
///
/// What each owes: [`arrive`](Self::arrive) stores the party's slot first (it names the missing and decides disputes),
/// with release; when [`complete`](Self::complete) answers `Ok`, every party's `arrive` for that trip happens before
/// the answer.
pub(crate) trait Algorithm: sealed::Sealed + Send {
    /// Publishes that the party has arrived at `generation`. Never blocks.
    fn arrive(&mut self, generation: u64);

    /// Stays at the door until all have arrived at the trip of `stay`. May be called again after a [`Stop`].
    fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop>;

    /// [`Algorithm::complete`] without the stay: whether all have arrived.
    fn try_complete(&mut self, generation: u64) -> bool;

    /// Whether the party leads the trip that it has just completed: exactly one does.
    fn leads(&self) -> bool;
}

/// An algorithm with one instant per trip at which all have arrived and none is released.
pub(crate) trait Rooted: Algorithm {
    /// Whether this party has brought that instant about by its arrival, and has not released the others yet.
    fn is_root(&self) -> bool;

    /// Lets everybody go. By the root, once; [`Algorithm::complete`] does it as well.
    fn release(&mut self, generation: u64);
}

/// What a party of a rooted algorithm is in the open trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Not the last to arrive: waits to be released.
    Waiter,
    /// The last to arrive, and has not released the others yet.
    Root,
    /// The last to arrive, and has.
    ReleasedRoot,
}
