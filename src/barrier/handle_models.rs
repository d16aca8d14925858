//! Loom models of whole barriers with their handles: a party that drops its own, and a reset. The conventions are those of
//! `models.rs`; the first trip is 0.

use super::models::{barrier_from, explore};
use crate::algo::select::{Algorithm, Algorithm::*, Radix, Wake};
use crate::error::Cause;
use loom::thread;
use std::time::Duration;

/// A party that stops after the first trip is missed on the second, and the first is not taken back.
fn early_drop(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let barrier = barrier_from(0, algorithm, 2, parks, None);
        let [mut stayer, mut leaver] = <[_; 2]>::try_from(barrier.take_parties().unwrap()).unwrap();
        let leaving = thread::spawn(move || leaver.wait().map(drop));
        let first = stayer.wait().map(drop);
        let second = stayer.wait().map(drop);
        assert_eq!((first, leaving.join().unwrap()), (Ok(()), Ok(())));
        assert_eq!(second.unwrap_err().cause(), &Cause::Dropped { rank: 1 });
    });
}

/// A break, a reset by one party, and a trip of the new era: the other party is told once, whenever it comes, and no
/// stale arrival counts.
fn reset(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let barrier = barrier_from(0, algorithm, 2, parks, None);
        let [mut late, mut hasty] = <[_; 2]>::try_from(barrier.take_parties().unwrap()).unwrap();
        let resetting = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let first = hasty.wait_timeout(Duration::ZERO).map(|trip| trip.generation());
                if first.is_err() {
                    barrier.reset().unwrap();
                }
                (first, hasty.wait().map(|trip| trip.generation()), hasty)
            })
        };
        let first = late.wait().map(|trip| trip.generation());
        let mut second = late.wait().map(|trip| trip.generation());
        while first.is_err() && second == first {
            thread::yield_now(); // told again: the reset has not come yet
            second = late.wait().map(|trip| trip.generation());
        }
        let (hasty_first, hasty_second, hasty) = resetting.join().unwrap();
        assert_eq!(first, hasty_first);
        assert_eq!((&second, &hasty_second), (&Ok(1), &Ok(1)));
        drop((late, hasty));
    });
}

/// One test for each line: name, what happens, preemption bound, algorithm, whether parties sleep.
macro_rules! models {
    ($($name:ident: $what:ident, $bound:literal, $algorithm:expr, $parks:literal;)*) => {
        $(#[test] fn $name() { $what($bound, $algorithm, $parks) })*
    };
}

models! {
    exchange_misses_a_dropped_party: early_drop, 3, Exchange, false;
    central_misses_a_dropped_party: early_drop, 3, Central, false;
    combining_misses_a_dropped_party: early_drop, 3, Combining, false;
    static_tree_misses_a_dropped_party: early_drop, 3, StaticTree(Wake::Flags), false;
    wake_tree_misses_a_dropped_party: early_drop, 3, StaticTree(Wake::Tree), false;
    tournament_misses_a_dropped_party: early_drop, 3, Tournament, false;
    dissemination_misses_a_dropped_party: early_drop, 3, Dissemination(Radix::Two), false;
    dissemination_4_misses_a_dropped_party: early_drop, 3, Dissemination(Radix::Four), false;
    hierarchical_misses_a_dropped_party: early_drop, 3, Hierarchical, false;
    sleepers_of_an_exchange_miss_a_dropped_party: early_drop, 3, Exchange, true;
    sleepers_of_a_tree_miss_a_dropped_party: early_drop, 3, StaticTree(Wake::Tree), true;
    sleepers_miss_a_dropped_party: early_drop, 3, Central, true;

    exchange_is_reset: reset, 3, Exchange, false;
    central_is_reset: reset, 3, Central, false;
    combining_is_reset: reset, 3, Combining, false;
    static_tree_is_reset: reset, 3, StaticTree(Wake::Flags), false;
    wake_tree_is_reset: reset, 3, StaticTree(Wake::Tree), false;
    tournament_is_reset: reset, 3, Tournament, false;
    dissemination_is_reset: reset, 3, Dissemination(Radix::Two), false;
    dissemination_4_is_reset: reset, 3, Dissemination(Radix::Four), false;
    hierarchical_is_reset: reset, 3, Hierarchical, false;
    exchange_is_reset_over_a_sleeper: reset, 2, Exchange, true;
    central_is_reset_over_a_sleeper: reset, 2, Central, true;
    wake_tree_is_reset_over_a_sleeper: reset, 2, StaticTree(Wake::Tree), true;
}
