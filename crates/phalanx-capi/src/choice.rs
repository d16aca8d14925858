//! Choices that C makes by a number: checked here, and only then what they are in the library.

use crate::status::Failure;
use phalanx::{Algorithm, Radix, WaitPolicy, Wake};
use std::ffi::c_int;

/// How the news that all have arrived gets to everybody. Changes what a trip costs, and nothing else.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum phalanx_algorithm {
    /// Chosen when the barrier is made, by number of parties and CPUs. Right unless measured otherwise.
    PHALANX_AUTO = 0,
    /// Everyone reads everyone: for a few parties that share a cache.
    PHALANX_EXCHANGE = 1,
    /// One counter and one flag: for more parties than CPUs.
    PHALANX_CENTRAL = 2,
    /// A tree of counters.
    PHALANX_COMBINING = 3,
    /// Mellor-Crummey and Scott's tree, its root releasing all by flags.
    PHALANX_STATIC_TREE = 4,
    /// The same, releasing along a binary tree.
    PHALANX_STATIC_TREE_WAKE_TREE = 5,
    /// Rounds of pairs with fixed winners.
    PHALANX_TOURNAMENT = 6,
    /// Rounds in which everybody hears from one other.
    PHALANX_DISSEMINATION_2 = 7,
    /// Rounds in which everybody hears from three others.
    PHALANX_DISSEMINATION_4 = 8,
    /// Within each cache first, then between caches.
    PHALANX_HIERARCHICAL = 9,
}

/// What waiting parties do with their CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum phalanx_wait_policy {
    /// As the environment says (PHALANX_WAIT_POLICY), else PHALANX_WAIT_ADAPTIVE.
    PHALANX_WAIT_DEFAULT = 0,
    /// Spins, yields or sleeps, by what this machine and the past waits suggest.
    PHALANX_WAIT_ADAPTIVE = 1,
    /// Polls, and keeps its CPU whatever happens: only for CPUs that nothing else uses.
    PHALANX_WAIT_SPIN = 2,
    /// Polls for a while, then yields between looks; never sleeps.
    PHALANX_WAIT_SPIN_YIELD = 3,
    /// Polls for a while, then sleeps.
    PHALANX_WAIT_SPIN_PARK = 4,
    /// Sleeps at once.
    PHALANX_WAIT_PARK = 5,
}

/// How the values of all parties become one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum phalanx_op {
    /// The sum, from rank 0 upwards. Of int64 modulo 2^64.
    PHALANX_SUM = 0,
    /// The least. Of doubles like fmin(): a NaN gives way to a number.
    PHALANX_MIN = 1,
    /// The greatest. Of doubles like fmax().
    PHALANX_MAX = 2,
}

use phalanx_op::*;

pub(crate) fn algorithm(number: c_int) -> Result<Algorithm, Failure> {
    const NAMES: [Algorithm; 10] = [
        Algorithm::Auto,
        Algorithm::Exchange,
        Algorithm::Central,
        Algorithm::Combining,
        Algorithm::StaticTree(Wake::Flags),
        Algorithm::StaticTree(Wake::Tree),
        Algorithm::Tournament,
        Algorithm::Dissemination(Radix::Two),
        Algorithm::Dissemination(Radix::Four),
        Algorithm::Hierarchical,
    ];
    let named = usize::try_from(number).ok().and_then(|place| NAMES.get(place));
    named.copied().ok_or_else(|| Failure::invalid(format!("no algorithm has the number {number}; they are 0 to 9")))
}

/// `None`: as the environment says.
pub(crate) fn wait_policy(number: c_int) -> Result<Option<WaitPolicy>, Failure> {
    const NAMES: [Option<WaitPolicy>; 6] = [
        None,
        Some(WaitPolicy::Adaptive),
        Some(WaitPolicy::Spin),
        Some(WaitPolicy::SpinYield),
        Some(WaitPolicy::SpinPark),
        Some(WaitPolicy::Park),
    ];
    let named = usize::try_from(number).ok().and_then(|place| NAMES.get(place));
    named.copied().ok_or_else(|| Failure::invalid(format!("no wait policy has the number {number}; they are 0 to 5")))
}

#[inline]
pub(crate) fn op(number: c_int) -> Result<phalanx_op, Failure> {
    [PHALANX_SUM, PHALANX_MIN, PHALANX_MAX]
        .into_iter()
        .find(|op| *op as c_int == number)
        .ok_or_else(|| Failure::invalid(format!("no operator has the number {number}; they are 0 to 2")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_algorithm::*;
    use phalanx_wait_policy::*;

    #[test]
    fn numbers_are_what_they_are_called() {
        let algorithms = [
            (PHALANX_AUTO, "auto"),
            (PHALANX_EXCHANGE, "exchange"),
            (PHALANX_CENTRAL, "central"),
            (PHALANX_COMBINING, "combining"),
            (PHALANX_STATIC_TREE, "static-tree"),
            (PHALANX_STATIC_TREE_WAKE_TREE, "static-tree-wake-tree"),
            (PHALANX_TOURNAMENT, "tournament"),
            (PHALANX_DISSEMINATION_2, "dissemination-2"),
            (PHALANX_DISSEMINATION_4, "dissemination-4"),
            (PHALANX_HIERARCHICAL, "hierarchical"),
        ];
        for (number, name) in algorithms {
            assert_eq!(algorithm(number as c_int).unwrap().to_string(), name);
        }
        let policies = [
            (PHALANX_WAIT_ADAPTIVE, "adaptive"),
            (PHALANX_WAIT_SPIN, "spin"),
            (PHALANX_WAIT_SPIN_YIELD, "spin-yield"),
            (PHALANX_WAIT_SPIN_PARK, "spin-park"),
            (PHALANX_WAIT_PARK, "park"),
        ];
        assert_eq!(wait_policy(PHALANX_WAIT_DEFAULT as c_int).unwrap(), None);
        for (number, name) in policies {
            assert_eq!(wait_policy(number as c_int).unwrap().unwrap().to_string(), name);
        }
        for none in [-1, 10, c_int::MAX, c_int::MIN] {
            assert!(algorithm(none).is_err() && wait_policy(none).is_err() && op(none).is_err());
        }
    }
}
