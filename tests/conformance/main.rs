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
//! | misuse | C11: typed errors, auto traits | `misuse.rs` |
//!
//! Stress finds behaviour bugs, not missing fences: those are proved by the loom models of the crate.

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod ledger;
mod misuse;
mod properties;
mod reference;
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
