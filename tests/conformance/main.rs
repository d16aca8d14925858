//! The contract, point by point, over every algorithm, every wait policy and many party counts; over the barrier
//! without handles, where it applies; and over a slow reference with a mutex and a condition variable, which tests the
//! suite itself.
//!
//! | property | contract | file |
//! |---|---|---|
//! | `separation` | C1: nobody is seen ahead or behind, all earlier writes are visible; C7: one leader | `properties.rs` |
//! | `wrap` | C6: generations near the wrap, with a break and a reset across it | `properties.rs` |
//! | `deadlines` | C4: never early, not ignored; zero, past, far future, for ever | `properties.rs` |
//! | `spurious` | C12: wakes for no reason release nobody | `properties.rs` |
//! | `crowd` | C10: 33 parties get along on few CPUs | `properties.rs` |
//! | `rounds` | C2: all or none, round by round, under timeouts and aborts | `faults.rs` |
//! | `duel` | C2, C5: last arrival against timeout, within nanoseconds | `faults.rs` |
//! | `late` | C5: who missed a broken trip is told once, and stale arrivals do not count | `faults.rs` |
//! | `storm` | C2, C3, C5, C7: everything at once, audited afterwards from all sides | `storm.rs`, `ledger.rs` |
//! | shapes | C1, C2, C7 on machines that are not here: sockets, chiplets, uneven groups, 130 parties | `shapes.rs` |
//! | `in_rank_order`, `once_for_all` | reductions, broadcast, gather, scan, serial section: to the bit what one thread computes | `riders/values.rs` |
//! | `alike`, `alone` | C2: panicking operators and serial sections | `riders/panics.rs` |
//! | `acts_...` | the action: once per trip, in between; panics (B12), delays, calls of its own barrier | `riders/action.rs` |
//! | `halves`, `last_is_busy`, `races`, `left_behind` | C1, C2, C7 in split phase; arrivals left behind | `riders/split.rs` |
//! | `steps`, `peaceful`, `stormy` | who is a member of which trip, through joins, leaves, drops (B14) | `riders/membership.rs`, `riders/turnover.rs` |
//! | `strangers`, `nobody_of_that_rank` | C11: parties that do not do the same | `riders/mismatch.rs` |
//! | misuse | C11: typed errors, auto traits | `misuse.rs` |
//!
//! Stress finds behaviour bugs, not missing fences: those are proved by the loom models of the crate.

#![allow(clippy::result_large_err)] // what a party was told is kept whole, to be compared

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod ledger;
mod misuse;
mod properties;
mod reference;
mod riders;
mod shapes;
mod storm;
mod subject;

/// The suite for one family: a module of tests.
macro_rules! conforms {
    ($name:ident, $family:expr; $($property:ident in $file:ident),+ $(,)?) => {
        mod $name {
            use super::*;
            #[allow(unused_imports)] // some of them, by family
            use phalanx::{Algorithm::*, Radix, Wake, WaitPolicy::*};
            $(
                #[test]
                fn $property() {
                    if subject::sits_out($family) {
                        return;
                    }
                    let name = concat!(module_path!(), "::", stringify!($property));
                    common::watched(name, common::patience(), |watch| $file::$property($family, watch));
                }
            )+
        }
    };
    ($name:ident, $family:expr) => {
        conforms!($name, $family;
            separation in properties, wrap in properties, deadlines in properties, spurious in properties, crowd in properties,
            rounds in faults, late in faults, duel in faults, storm in storm);
    };
}

conforms!(reference_itself, reference::Reference);
/// What rides on a trip, for one family of barriers with handles.
macro_rules! carries {
    ($name:ident, $family:expr) => {
        conforms!($name, $family;
            in_rank_order in values, once_for_all in values, alike in panics, alone in panics,
            acts_once in action, acts_and_panics in action, acts_at_leisure in action, acts_beyond_limits in action,
            acts_on_its_barrier in action, acts_with_a_party in action, halves in split, last_is_busy in split, races in split, left_behind in split,
            steps in membership, peaceful in turnover, stormy in turnover, strangers in mismatch,
            nobody_of_that_rank in mismatch);
    };
}

/// The suite for every wait policy of one algorithm.
macro_rules! conforms_with_every_policy {
    ($($name:ident: $algorithm:expr;)+) => {
        $(
            mod $name {
                use super::*;
                conforms!(spin, subject::Phalanx($algorithm, Spin));
                conforms!(spin_yield, subject::Phalanx($algorithm, SpinYield));
                conforms!(spin_park, subject::Phalanx($algorithm, SpinPark));
                conforms!(park, subject::Phalanx($algorithm, Park));
                conforms!(adaptive, subject::Phalanx($algorithm, Adaptive));
                mod riding {
                    use super::*;
                    use riders::{action, membership, mismatch, panics, split, turnover, values};
                    carries!(spin, subject::Phalanx($algorithm, Spin));
                    carries!(spin_yield, subject::Phalanx($algorithm, SpinYield));
                    carries!(spin_park, subject::Phalanx($algorithm, SpinPark));
                    carries!(park, subject::Phalanx($algorithm, Park));
                    carries!(adaptive, subject::Phalanx($algorithm, Adaptive));
                }
            }
        )+
        const COVERED: &[phalanx::Algorithm] = { use phalanx::{Algorithm::*, Radix, Wake}; &[$($algorithm),+] };
    };
}

conforms_with_every_policy! {
    exchange: Exchange;
    central: Central;
    combining: Combining;
    static_tree: StaticTree(Wake::Flags);
    static_tree_wake_tree: StaticTree(Wake::Tree);
    tournament: Tournament;
    dissemination_2: Dissemination(Radix::Two);
    dissemination_4: Dissemination(Radix::Four);
    hierarchical: Hierarchical;
}
conforms!(compat_barrier, subject::Compat;
    separation in properties, wrap in properties, deadlines in properties, spurious in properties, crowd in properties, rounds in faults);

#[test]
fn the_lists_above_are_complete() {
    assert_eq!(COVERED, phalanx::Algorithm::NAMED);
    assert_eq!(phalanx::WaitPolicy::ALL.len(), 5, "a new one needs its line above");
}
