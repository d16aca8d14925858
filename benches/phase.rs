//! What rides on a trip of two pinned parties, next to the bare trip: a reduction, an action, and the two halves of a
//! trip apart.
//!
//! Each row is compared with itself in an earlier run. What a rider costs over the bare trip is measured by
//! `phalanx-versus --only riders`, which interleaves.

mod common;

use common::meet::{Meet, own};
use common::{Table, back_to_back, by_first_rank, fail, places};
use phalanx::{Algorithm, Barrier, Party};

/// A reduction on every trip.
struct Summing {
    party: Party,
    trip: f64,
}

impl Meet for Summing {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.trip += 1.0;
        let sum = self.party.all_reduce(self.trip, |a, b| a + b).unwrap_or_else(|broken| fail(broken));
        if sum != 2.0 * self.trip {
            fail(format!("the sum of two times {} is {sum}", self.trip));
        }
        false
    }

    fn generation(&self) -> Option<u64> {
        Some(self.party.generation())
    }
}

fn summing(parties: usize) -> Vec<Summing> {
    own(parties, Algorithm::Auto).into_iter().map(|party| Summing { party, trip: 0.0 }).collect()
}

/// An action that does nothing on every trip.
fn acting(parties: usize) -> Vec<Party> {
    let barrier = Barrier::builder(parties).action(|_| {}).build().unwrap_or_else(|why| fail(why));
    barrier.take_parties().unwrap_or_else(|why| fail(why))
}

/// Arrival and wait apart.
struct Halves(Party);

impl Meet for Halves {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.0.arrive().wait().unwrap_or_else(|broken| fail(broken)).is_leader()
    }

    fn generation(&self) -> Option<u64> {
        Some(self.0.generation())
    }
}

fn halves(parties: usize) -> Vec<Halves> {
    own(parties, Algorithm::Auto).into_iter().map(Halves).collect()
}

fn main() {
    common::bench(|criterion| {
        let mut table = Table { group: criterion.benchmark_group("phase"), places: places(2), instances: 8 };
        table.row("bare", |parties| own(parties, Algorithm::Auto), back_to_back, by_first_rank);
        table.row("all_reduce", summing, back_to_back, by_first_rank);
        // The action needs a root, so its like is the counter.
        table.row("bare central", |parties| own(parties, Algorithm::Central), back_to_back, by_first_rank);
        table.row("action", acting, back_to_back, by_first_rank);
        table.row("arrive and wait", halves, back_to_back, by_first_rank);
    });
}
