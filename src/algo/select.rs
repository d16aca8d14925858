//! The names of the algorithms; what `Auto` makes of them is in `choice.rs`.

use super::static_tree;
use std::fmt;

/// How the news that all have arrived gets to everybody.
///
/// OpenMP runtimes know this as the barrier pattern (`KMP_PLAIN_BARRIER_PATTERN`). The choice changes what a trip costs
/// and nothing else: every algorithm gives the same guarantees.
///
/// # Examples
///
/// ```
/// use phalanx::{Algorithm, Barrier};
///
/// let barrier = Barrier::builder(4).algorithm(Algorithm::Central).build()?;
/// assert_eq!(barrier.algorithm(), Algorithm::Central);
/// assert_ne!(Barrier::new(4)?.algorithm(), Algorithm::Auto); // a built barrier has made up its mind
/// # Ok::<(), phalanx::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Chooses when the barrier is built, by the cost model if every party has a CPU.
    #[default]
    Auto,
    /// Everyone reads everyone: one line transfer per trip for two parties, and the shortest path for a few that share
    /// a cache. With more parties than CPUs each look costs a line per party.
    Exchange,
    /// One counter and one go flag: a trip needs nobody but the last to arrive to have a CPU.
    Central,
    /// A tree of counters, climbed by the last to arrive at each: [`Central`](Self::Central) for many parties.
    Combining,
    /// The tree of Mellor-Crummey and Scott: each parent gathers four children.
    StaticTree(Wake),
    /// Rounds of pairs with fixed winners, for comparison.
    Tournament,
    /// In each round everybody hears from those a fixed distance away: the fewest steps for many parties at equal
    /// distances.
    Dissemination(Radix),
    /// Gathers within each cache, exchanges between leaders, and releases cache by cache: for chiplets and sockets. It
    /// needs to know who sits where ([`Builder::placement`](crate::Builder::placement)).
    Hierarchical,
}

/// How the root of a [static tree](Algorithm::StaticTree) lets the others go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// One go flag for up to 16 parties of one cache.
    Flags,
    /// Down a binary tree, each parent for two children.
    Tree,
}

/// How many parties know of each other after one round of [dissemination](Algorithm::Dissemination).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Radix {
    /// Two: each hears from one other per round.
    Two,
    /// Four: each hears from three others per round, at overlapping cost.
    Four,
}

impl Radix {
    pub(crate) fn value(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

impl Algorithm {
    /// All algorithms that can be named, for tests and tables.
    pub const NAMED: [Self; 9] = [
        Self::Exchange,
        Self::Central,
        Self::Combining,
        Self::StaticTree(Wake::Flags),
        Self::StaticTree(Wake::Tree),
        Self::Tournament,
        Self::Dissemination(Radix::Two),
        Self::Dissemination(Radix::Four),
        Self::Hierarchical,
    ];

    /// Whether it has, on each trip, one instant at which all have arrived and none is released.
    pub(crate) fn is_rooted(self) -> bool {
        matches!(self, Self::Central | Self::Combining)
    }

    /// Whether a party that is busy between its arrival and its wait holds up nobody.
    pub(crate) fn splits(self) -> bool {
        matches!(self, Self::Exchange | Self::Central | Self::Combining)
    }

    /// The size of its groups where the cost model is not asked. Guesses, but for the static tree's.
    pub(crate) fn usual_fan(self) -> usize {
        match self {
            Self::StaticTree(_) => static_tree::FAN_IN,
            Self::Combining => 8,
            _ => 16,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Exchange => "exchange",
            Self::Central => "central",
            Self::Combining => "combining",
            Self::StaticTree(Wake::Flags) => "static-tree",
            Self::StaticTree(Wake::Tree) => "static-tree-wake-tree",
            Self::Tournament => "tournament",
            Self::Dissemination(Radix::Two) => "dissemination-2",
            Self::Dissemination(Radix::Four) => "dissemination-4",
            Self::Hierarchical => "hierarchical",
        })
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::seat::Detail;

    #[test]
    fn what_is_known_of_each_algorithm() {
        let of = |such: fn(Algorithm) -> bool| Algorithm::NAMED.map(such);
        assert_eq!(of(Algorithm::is_rooted), [false, true, true, false, false, false, false, false, false]);
        assert_eq!(of(Algorithm::splits), [true, true, true, false, false, false, false, false, false]);
        assert_eq!(Algorithm::NAMED.map(Algorithm::usual_fan), [16, 16, 8, 4, 4, 16, 16, 16, 16]);
        assert_eq!([Radix::Two, Radix::Four].map(Radix::value), [2, 4]);
        assert_eq!([Detail::None, Detail::Groups(3), Detail::Across].map(Detail::groups), [None, Some(3), None]);
    }
}
