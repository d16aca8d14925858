//! Loom models of what rides on a trip: values that everybody reads, values that one party works on, split phase. The
//! conventions are those of `barrier/models.rs`.
//!
//! Values lie in loom's cells, so that a read or a write that nothing keeps apart from another is found as such.

use crate::algo::select::{Algorithm, Algorithm::*, Radix, Wake};
use crate::barrier::Barrier;
use crate::barrier::member::Member;
use crate::barrier::models::{Waits, barrier_from, describe, era, explore};
use crate::barrier::party::{Party, Trip};
use crate::error::{Broken, Cause};
use crate::primitive::{AtomicU32, Fences::Asymmetric, Ordering, relax};
use crate::wait::Limit;
use loom::thread;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Near the wrap, so that the second trip crosses it (C6).
const FIRST: u64 = u64::MAX;

fn parties_of<const N: usize>(barrier: &Barrier) -> [Party; N] {
    <[_; N]>::try_from(barrier.take_parties().unwrap()).unwrap()
}

/// What one party got from one trip with values on board.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Value(u64),
    Told(Broken),
    /// Its operator panicked, and the panic was its own.
    Panicked,
}

/// Which size travels.
#[derive(Clone, Copy)]
enum Size {
    /// On the line of the slot.
    Small,
    /// On a line of its own.
    Large,
    /// In a box, to the root.
    Boxed,
}
use Size::{Boxed, Large, Small};

/// What the operator of this rank does on this trip: whether it panics.
type Fails = fn(rank: usize, trip: u64) -> bool;

const NEVER: Fails = |_, _| false;

#[derive(Clone, Copy)]
struct Scene {
    algorithm: Algorithm,
    parties: usize,
    parks: bool,
    trips: u64,
    size: Size,
    fails: Fails,
    aborts: bool,
}

const PLAIN: Scene =
    Scene { algorithm: Exchange, parties: 2, parks: false, trips: 3, size: Small, fails: NEVER, aborts: false };

/// What rank `rank` brings to trip `trip`: the digit at its place.
fn brings(rank: usize, trip: u64) -> u64 {
    (trip + 1) * 10 + rank as u64
}

/// One reduction, whose operator is not commutative, so that the order shows.
fn reduce(party: &mut Party, trip: u64, scene: Scene) -> Got {
    let (rank, value) = (party.rank(), brings(party.rank(), trip));
    let operator = |a: u64, b: u64| {
        if (scene.fails)(rank, trip) {
            // Not `panic!`, which would print a message for each execution.
            resume_unwind(Box::new("model"));
        }
        a * 100 + b
    };
    let result = catch_unwind(AssertUnwindSafe(|| match scene.size {
        Small => party.all_reduce(value, operator),
        Large => party.all_reduce([value, value], |[a, x], [b, _]| [operator(a, b), x]).map(|[value, _]| value),
        Boxed => party.cloning().all_reduce(value, operator),
    }));
    match result {
        Ok(Ok(value)) => Got::Value(value),
        Ok(Err(broken)) => Got::Told(broken),
        Err(_) => Got::Panicked,
    }
}

/// Takes `party` through all trips, or to the first that is broken.
fn ride(mut party: Party, scene: Scene) -> (Vec<Got>, Party) {
    let mut got = Vec::new();
    for trip in 0..scene.trips {
        got.push(reduce(&mut party, trip, scene));
        if matches!(got.last(), Some(Got::Told(_))) {
            break;
        }
    }
    (got, party)
}

/// All got the same from each trip, and what they should.
fn agree(all: &[Vec<Got>], scene: Scene) {
    for trip in 0..all.iter().map(Vec::len).max().unwrap_or(0) {
        let got: Vec<&Got> = all.iter().filter_map(|party| party.get(trip)).collect();
        assert_eq!(got.len(), all.len(), "some left after fewer trips: {all:?}");
        let told: Vec<_> = got.iter().filter(|got| matches!(got, Got::Told(_))).collect();
        assert!(told.is_empty() || told.len() == all.len(), "mixed: {all:?}");
        assert!(told.iter().all(|other| *other == told[0]), "different: {all:?}");
        let sum = (0..all.len()).fold(0, |sum, rank| sum * 100 + brings(rank, trip as u64));
        for (rank, got) in got.iter().enumerate() {
            match got {
                Got::Value(value) => assert_eq!(*value, sum, "rank {rank} after trip {trip}"),
                Got::Panicked => assert!((scene.fails)(rank, trip as u64)),
                Got::Told(broken) => assert_eq!(broken.generation(), FIRST.wrapping_add(trip as u64)),
            }
        }
    }
}

fn check(bound: usize, scene: Scene) {
    explore(bound, move || {
        let barrier = barrier_from(FIRST, scene.algorithm, scene.parties, scene.parks, None);
        let mut parties = barrier.take_parties().unwrap();
        let mine = parties.remove(0);
        let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(move || ride(party, scene))).collect();
        let aborting = scene.aborts.then(|| {
            let barrier = barrier.clone();
            thread::spawn(move || drop(barrier.abort("model")))
        });
        // Handles are kept to the end: who drops one wakes all.
        let mut all = vec![ride(mine, scene)];
        all.extend(threads.into_iter().map(|party| party.join().unwrap()));
        if let Some(aborting) = aborting {
            aborting.join().unwrap();
        }
        let (got, _kept): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        agree(&got, scene);
    });
}

/// One test for each line: name, preemption bound, scene.
macro_rules! models {
    ($($name:ident: $bound:literal, $scene:expr;)*) => {
        $(#[test] fn $name() { check($bound, $scene) })*
    };
}

const ALL: Fails = |_, trip| trip == 1;
const LAST: Fails = |rank, trip| rank == 1 && trip == 0;
const LATER: Fails = |rank, trip| rank == 1 && trip == 1;

models! {
    carry_for_two: 2, PLAIN;
    carry_large_for_two: 2, Scene { size: Large, ..PLAIN };
    carry_for_three_by_central: 1, Scene { algorithm: Central, parties: 3, ..PLAIN };
    carry_for_three_by_exchange: 0, Scene { parties: 3, ..PLAIN };
    carry_for_three_by_tree: 1, Scene { algorithm: StaticTree(Wake::Tree), parties: 3, size: Large, ..PLAIN };
    carry_for_sleepers: 1, Scene { parks: true, ..PLAIN };
    carry_for_sleepers_by_dissemination: 1, Scene { algorithm: Dissemination(Radix::Two), parks: true, ..PLAIN };
    carry_all_panic: 2, Scene { fails: ALL, ..PLAIN };
    carry_all_three_panic: 1, Scene { algorithm: Central, parties: 3, trips: 2, fails: ALL, ..PLAIN };
    carry_one_panics: 2, Scene { fails: LAST, trips: 2, ..PLAIN };
    carry_one_of_three_panics: 1, Scene { algorithm: Central, parties: 3, trips: 1, fails: LAST, ..PLAIN };
    carry_one_of_three_panics_later: 0, Scene { algorithm: Central, parties: 3, trips: 2, fails: LATER, ..PLAIN };
    carry_for_two_by_combining: 3, Scene { algorithm: Combining, trips: 2, ..PLAIN };
    carry_for_two_by_tournament: 3, Scene { algorithm: Tournament, trips: 2, ..PLAIN };
    carry_for_two_by_dissemination_4: 3, Scene { algorithm: Dissemination(Radix::Four), trips: 2, ..PLAIN };
    carry_for_two_by_hierarchy: 3, Scene { algorithm: Hierarchical, trips: 2, ..PLAIN };
    carry_one_of_sleepers_panics: 1, Scene { fails: LAST, trips: 2, parks: true, ..PLAIN };
    carry_is_aborted: 2, Scene { trips: 2, aborts: true, ..PLAIN };
    carry_one_panics_and_is_aborted: 2, Scene { trips: 1, fails: LAST, aborts: true, ..PLAIN };
    carry_one_panics_later_and_is_aborted: 1, Scene { trips: 2, fails: LATER, aborts: true, ..PLAIN };

    assemble_by_central: 2, Scene { algorithm: Central, size: Boxed, trips: 2, ..PLAIN };
    assemble_by_exchange: 2, Scene { size: Boxed, trips: 2, ..PLAIN };
    assemble_for_sleepers: 1, Scene { size: Boxed, parks: true, trips: 2, ..PLAIN };
    assemble_for_three_by_tree: 0, Scene { algorithm: StaticTree(Wake::Flags), parties: 3, size: Boxed, trips: 2, ..PLAIN };
    assemble_all_panic: 2, Scene { algorithm: Central, size: Boxed, trips: 2, fails: ALL, ..PLAIN };
    assemble_elected_panics: 1, Scene { size: Boxed, trips: 2, fails: ALL, ..PLAIN };
    assemble_is_aborted: 1, Scene { algorithm: Central, size: Boxed, trips: 2, aborts: true, ..PLAIN };
}

/// Two parties do not call the same: both trips end for both, and who can have no value is told of the same break.
#[test]
fn carry_mismatched() {
    explore(2, || {
        let barrier = barrier_from(FIRST, Exchange, 2, false, None);
        let [mut one, mut other] = parties_of(&barrier);
        let waiting = thread::spawn(move || (other.wait().map(Trip::generation), other.wait(), other));
        let mine = one.all_reduce(1u64, |a, b| a + b).unwrap_err();
        let (first, second, _kept) = waiting.join().unwrap();
        assert_eq!((first, second.unwrap_err()), (Ok(FIRST), mine.clone()));
        assert!(matches!(mine.cause(), Cause::Mismatched { rank: 0, .. }) && mine.generation() == 0, "{mine}");
    });
}

/// The panic of an operator is its party's own, on the last trip of an era: that party goes where all go. (It
/// once waited for ever in the era that had ended.)
#[test]
fn carry_one_panics_where_an_era_ends() {
    explore(1, || {
        let scene = Scene { fails: LAST, parks: true, trips: 1, ..PLAIN };
        let barrier = barrier_from(FIRST, Exchange, 2, true, None);
        let [one, other] = parties_of(&barrier);
        let mut newcomer = barrier.join().unwrap();
        let riding = thread::spawn(move || {
            let (got, mut party) = ride(other, scene);
            (got, party.wait().map(Trip::generation), party)
        });
        let joining = thread::spawn(move || (newcomer.wait().map(Trip::generation), newcomer));
        let (mine, mut one) = ride(one, scene);
        let next = one.wait().map(Trip::generation);
        let (others, others_next, _other) = riding.join().unwrap();
        let (newcomers_next, _newcomer) = joining.join().unwrap();
        agree(&[mine, others], scene);
        assert_eq!((&others_next, &newcomers_next), (&next, &next));
        assert!(next.is_err() || next == Ok(0), "{next:?}");
    });
}

/// One party arrives and goes away, the other sleeps and must be released; twice.
fn releases_a_sleeper(bound: usize, algorithm: Algorithm) {
    explore(bound, move || {
        let barrier = barrier_from(FIRST, algorithm, 2, true, None);
        let data = Arc::new([0, 1].map(|_| AtomicU32::new(0)));
        let [mut going, mut staying] = parties_of(&barrier);
        for trip in 1..=2 {
            let sleeping = {
                let data = Arc::clone(&data);
                thread::spawn(move || {
                    data[1].store(trip, Ordering::Relaxed);
                    let outcome = staying.wait().unwrap();
                    assert_eq!(data[0].load(Ordering::Relaxed), trip);
                    (outcome, staying)
                })
            };
            data[0].store(trip, Ordering::Relaxed);
            let mut arrival = going.arrive();
            let slept = sleeping.join().unwrap();
            staying = slept.1;
            let mine = arrival.try_wait().unwrap().expect("decided: the other has left");
            assert_eq!(data[1].load(Ordering::Relaxed), trip);
            assert_eq!(mine.generation(), slept.0.generation());
            assert!(mine.is_leader() != slept.0.is_leader());
        }
    });
}

/// One test for each line: name, what happens, preemption bound, algorithm.
macro_rules! split_models {
    ($($name:ident: $what:ident, $bound:literal, $algorithm:expr;)*) => {
        $(#[test] fn $name() { $what($bound, $algorithm) })*
    };
}

split_models! {
    split_exchange_releases_a_sleeper: releases_a_sleeper, 3, Exchange;
    split_central_releases_a_sleeper: releases_a_sleeper, 3, Central;
    split_combining_releases_a_sleeper: releases_a_sleeper, 3, Combining;
    split_static_tree_releases_a_sleeper: releases_a_sleeper, 3, StaticTree(Wake::Flags);
    split_tree_releases_a_sleeper: releases_a_sleeper, 3, StaticTree(Wake::Tree);
    split_tournament_releases_a_sleeper: releases_a_sleeper, 3, Tournament;
    split_dissemination_releases_a_sleeper: releases_a_sleeper, 3, Dissemination(Radix::Two);
    split_dissemination_4_releases_a_sleeper: releases_a_sleeper, 3, Dissemination(Radix::Four);
    split_hierarchical_releases_a_sleeper: releases_a_sleeper, 3, Hierarchical;

    split_exchange_two_of_three_go_away: two_go_away, 2, Exchange;
    split_central_two_of_three_go_away: two_go_away, 2, Central;
    split_combining_two_of_three_go_away: two_go_away, 2, Combining;
    split_static_tree_two_of_three_go_away: two_go_away, 2, StaticTree(Wake::Flags);
    split_wake_tree_two_of_three_go_away: two_go_away, 2, StaticTree(Wake::Tree);
    split_tournament_two_of_three_go_away: two_go_away, 2, Tournament;
    split_dissemination_two_of_three_go_away: two_go_away, 2, Dissemination(Radix::Two);
    split_hierarchical_two_of_three_go_away: two_go_away, 2, Hierarchical;

    split_exchange_two_of_three_go_away_twice: two_go_away_twice, 1, Exchange;
    split_central_two_of_three_go_away_twice: two_go_away_twice, 1, Central;
    split_combining_two_of_three_go_away_twice: two_go_away_twice, 1, Combining;
    split_static_tree_two_of_three_go_away_twice: two_go_away_twice, 1, StaticTree(Wake::Flags);
    split_wake_tree_two_of_three_go_away_twice: two_go_away_twice, 1, StaticTree(Wake::Tree);
    split_tournament_two_of_three_go_away_twice: two_go_away_twice, 1, Tournament;
    split_dissemination_two_of_three_go_away_twice: two_go_away_twice, 1, Dissemination(Radix::Two);
    split_hierarchical_two_of_three_go_away_twice: two_go_away_twice, 1, Hierarchical;

    split_exchange_two_of_three_go_away_from_a_sleeper: two_go_away_from_a_sleeper, 2, Exchange;
    split_dissemination_two_of_three_go_away_from_a_sleeper: two_go_away_from_a_sleeper, 2, Dissemination(Radix::Two);
    split_tournament_two_of_three_go_away_from_a_sleeper: two_go_away_from_a_sleeper, 2, Tournament;
}

/// Two of three arrive and go away, the third sleeps.
fn go_away(bound: usize, algorithm: Algorithm, trips: u64) {
    explore(bound, move || {
        let barrier = barrier_from(FIRST, algorithm, 3, true, None);
        let [mut going, mut gone, mut staying] = parties_of(&barrier);
        for trip in 0..trips {
            let generation = FIRST.wrapping_add(trip);
            let arriving = thread::spawn(move || {
                // The arrival stands; what becomes of it is asked below.
                let _ = gone.arrive();
                gone
            });
            let sleeping = thread::spawn(move || (staying.wait().map(Trip::generation), staying));
            let mut arrival = going.arrive();
            let slept = sleeping.join().unwrap();
            gone = arriving.join().unwrap();
            let mine = arrival.try_wait().unwrap().expect("decided: one has left").generation();
            assert_eq!((mine, slept.0), (generation, Ok(generation)));
            staying = slept.1;
        }
        // The next arrival first sees to the end of the one that was let go.
        let mut next = gone.arrive();
        assert_eq!(next.try_wait(), Ok(None));
    });
}

fn two_go_away(bound: usize, algorithm: Algorithm) {
    go_away(bound, algorithm, 1);
}

fn two_go_away_twice(bound: usize, algorithm: Algorithm) {
    go_away(bound, algorithm, 2);
}

/// One sleeps already when the other two come and go away: only the fence between arrival and look shows one of them that
/// all are here. (With light fences that are full ones it would be needless, so these are not.)
fn two_go_away_from_a_sleeper(bound: usize, algorithm: Algorithm) {
    explore(bound, move || {
        let era = era(algorithm, 3, Asymmetric, Waits::Sleeps);
        let sleeping = {
            let era = Arc::clone(&era);
            thread::spawn(move || Member::new(&era, 2).cross(&Limit::Never, describe))
        };
        let mut polls = 0;
        while era.door().look().undisturbed() {
            relax(polls);
            polls += 1;
        }
        let going = {
            let era = Arc::clone(&era);
            thread::spawn(move || Member::new(&era, 1).arrive(None))
        };
        assert_eq!(Member::new(&era, 0).arrive(None), Ok(()));
        assert_eq!(going.join().unwrap(), Ok(()));
        assert_eq!(sleeping.join().unwrap(), Ok(false));
    });
}

/// What becomes of a split trip and the one behind it.
type Books = [Result<Trip, Broken>; 2];

/// Both were told the same of the first trip that is broken, and of those before.
fn same(mine: &Books, others: &Books) {
    for (mine, others) in mine.iter().zip(others) {
        match (mine, others) {
            (Ok(mine), Ok(others)) => {
                assert_eq!(mine.generation(), others.generation());
                assert!(mine.is_leader() != others.is_leader());
            }
            _ => assert_eq!(mine, others),
        }
    }
}

/// One party arrives, asks, and waits; the other waits with what patience it has.
fn is_impatient(bound: usize, algorithm: Algorithm, limits: [Duration; 2], aborts: bool) {
    explore(bound, move || {
        let barrier = barrier_from(FIRST, algorithm, 2, false, None);
        let [mut splitting, mut waiting] = parties_of(&barrier);
        let other = thread::spawn(move || (limits.map(|limit| waiting.wait_timeout(limit)), waiting));
        let aborting = aborts.then(|| {
            let barrier = barrier.clone();
            thread::spawn(move || drop(barrier.abort("model")))
        });
        let mine = [(); 2].map(|()| {
            let mut arrival = splitting.arrive();
            let mut polls = 0;
            loop {
                match arrival.try_wait() {
                    Ok(None) => {}
                    decided => return decided.map(Option::unwrap),
                }
                relax(polls);
                polls += 1;
            }
        });
        let (others, _kept) = other.join().unwrap();
        if let Some(aborting) = aborting {
            aborting.join().unwrap();
        }
        same(&mine, &others);
    });
}

const PATIENT: Duration = Duration::MAX;
const IMPATIENT: Duration = Duration::ZERO;

#[test]
fn split_exchange_meets_an_impatient_party() {
    is_impatient(2, Exchange, [PATIENT, IMPATIENT], false);
}

#[test]
fn split_central_meets_an_impatient_party() {
    is_impatient(2, Central, [IMPATIENT, PATIENT], false);
}

#[test]
fn split_tree_meets_an_impatient_party() {
    is_impatient(2, StaticTree(Wake::Tree), [IMPATIENT, IMPATIENT], false);
}

#[test]
fn split_dissemination_meets_an_impatient_party() {
    is_impatient(2, Dissemination(Radix::Two), [PATIENT, IMPATIENT], false);
}

#[test]
fn split_tournament_meets_an_impatient_party() {
    is_impatient(2, Tournament, [PATIENT, IMPATIENT], false);
}

#[test]
fn split_exchange_is_aborted() {
    is_impatient(1, Exchange, [PATIENT, PATIENT], true);
}

#[test]
fn split_hierarchical_is_aborted() {
    is_impatient(1, Hierarchical, [PATIENT, PATIENT], true);
}

#[test]
fn split_central_is_aborted() {
    is_impatient(1, Central, [PATIENT, PATIENT], true);
}

/// A wait whose time is up breaks nothing: the trip completes for both.
#[test]
fn split_limits_break_nothing() {
    explore(3, || {
        let barrier = barrier_from(FIRST, Exchange, 2, true, None);
        let [mut splitting, mut waiting] = parties_of(&barrier);
        let other = thread::spawn(move || (waiting.wait().map(Trip::generation), waiting));
        let mut arrival = splitting.arrive();
        let mine = match arrival.wait_timeout(Duration::ZERO) {
            Ok(None) => arrival.wait(),
            decided => decided.map(Option::unwrap),
        };
        assert_eq!((mine.map(Trip::generation), other.join().unwrap().0), (Ok(FIRST), Ok(FIRST)));
    });
}
