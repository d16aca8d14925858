//! Which algorithm a barrier uses: a name, or what `Auto` makes of parties and CPUs.

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
    /// Chooses when the barrier is built: [`Exchange`](Self::Exchange) for up to 8 parties that each have a CPU, else
    /// [`Central`](Self::Central).
    #[default]
    Auto,
    /// Everyone reads everyone: one line transfer per trip for two parties, and the shortest path for a few that share
    /// a cache. With more parties than CPUs each look costs a line per party.
    Exchange,
    /// One counter and one go flag: a trip needs nobody but the last to arrive to have a CPU.
    Central,
}

impl Algorithm {
    /// All algorithms that can be named, for tests and tables.
    pub const NAMED: [Self; 2] = [Self::Exchange, Self::Central];

    /// What is used for `parties` on `cpus`.
    pub(crate) fn resolve(self, parties: usize, cpus: usize) -> Self {
        match self {
            Self::Auto if parties <= EXCHANGE_AT_MOST && parties <= cpus => Self::Exchange,
            Self::Auto => Self::Central,
            named => named,
        }
    }
}

/// Beyond this everyone reading everyone costs more than a counter. From the cost model of the literature (n - 1
/// overlapping reads against n - 1 queued read-modify-writes); to be measured where there are cores for it.
const EXCHANGE_AT_MOST: usize = 8;

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Exchange => "exchange",
            Self::Central => "central",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_needs_a_cpu_for_each_party_to_exchange() {
        assert_eq!(Algorithm::Auto.resolve(2, 2), Algorithm::Exchange);
        assert_eq!(Algorithm::Auto.resolve(8, 64), Algorithm::Exchange);
        assert_eq!(Algorithm::Auto.resolve(9, 64), Algorithm::Central);
        assert_eq!(Algorithm::Auto.resolve(3, 2), Algorithm::Central);
        assert_eq!(Algorithm::Exchange.resolve(100, 2), Algorithm::Exchange);
    }
}
