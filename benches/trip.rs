//! Two parties, each pinned to a core of its own, cross back to back: the time per trip.
//!
//! The floor is the exchange of arrivals with nothing else; it tells how the machine fares today, and no barrier can be
//! faster.

mod common;

use common::meet::{self, own};
use common::{Table, back_to_back, by_first_rank, may_spin, places};
use phalanx::Algorithm;
use std::iter;

fn main() {
    common::bench(|criterion| {
        let mut table = Table { group: criterion.benchmark_group("trip"), places: places(2), instances: 8 };
        if may_spin() {
            table.row("floor", meet::floor, back_to_back, by_first_rank);
        }
        for algorithm in iter::once(Algorithm::Auto).chain(Algorithm::NAMED) {
            table.row(&algorithm.to_string(), |parties| own(parties, algorithm), back_to_back, by_first_rank);
        }
        table.row("compat", meet::compat, back_to_back, by_first_rank);
        table.row("std", meet::std, back_to_back, by_first_rank);
    });
}
