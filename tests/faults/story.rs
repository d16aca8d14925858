//! One story that every child plays, whatever fails: everything that a barrier does, with what came of it in words. The words have to
//! be the same with and without faults.

use super::child::or_die;
use super::common::{Watch, until};
use super::{POLITE, SLEEPING, barrier};
use phalanx::compat::in_place::{InPlace, Means, Reach};
use phalanx::team::Team;
use phalanx::{Algorithm, Barrier, Broken, Party, Trip, WaitPolicy, compat};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Plays all of it. `midway` comes when the first barriers have been built and crossed, and parties are asleep at them.
pub(crate) fn play(watch: &Watch, midway: impl FnOnce()) -> Vec<String> {
    let mut told = asleep_when(midway);
    let trips = super::common::scaled(6);
    for algorithm in Algorithm::NAMED {
        for policy in POLITE {
            for parties in [2, 3] {
                told.push(crossing(
                    barrier(parties, algorithm, policy),
                    trips,
                    &format!("{algorithm} {policy} {parties}"),
                ));
            }
        }
    }
    for policy in SLEEPING {
        for algorithm in [Algorithm::NAMED[0], Algorithm::NAMED[Algorithm::NAMED.len() - 1]] {
            told.extend(failures(algorithm, policy).into_iter().map(|words| format!("{algorithm} {policy}: {words}")));
        }
    }
    told.push(callers(watch));
    told.push(far_apart());
    told.push(team());
    told
}

fn words(outcome: Result<Trip, Broken>) -> String {
    match outcome {
        Ok(trip) => format!("trip {}", trip.generation()),
        Err(broken) => {
            let (cause, missing) =
                (broken.cause(), broken.missing().iter().map(|missing| missing.rank).collect::<Vec<_>>());
            let who = cause.rank().map_or(String::new(), |rank| format!(" of {rank}"));
            format!("{}{who} at {}, missing {missing:?}", cause.kind(), broken.generation())
        }
    }
}

/// Parties that sleep when something begins to fail, with fences on one side (two parties) and on both.
fn asleep_when(midway: impl FnOnce()) -> Vec<String> {
    let barriers = [(2, WaitPolicy::SpinPark), (2, WaitPolicy::Adaptive), (3, WaitPolicy::Park)];
    let barriers = barriers.map(|(parties, policy)| barrier(parties, Algorithm::Central, policy));
    thread::scope(|scope| {
        let mut last = Vec::new();
        let mut others = Vec::new();
        for barrier in &barriers {
            let mut parties = barrier.take_parties().unwrap();
            last.push(parties.pop().unwrap());
            let wait = |mut party: Party| scope.spawn(move || words(party.wait()));
            others.push(parties.into_iter().map(wait).collect::<Vec<_>>());
        }
        until(|| barriers.iter().all(|barrier| barrier.arrived() + 1 == barrier.parties()));
        thread::sleep(Duration::from_millis(20));
        midway();
        let mut told = Vec::new();
        for (mut party, others) in last.into_iter().zip(others) {
            let mine = words(party.wait());
            let others: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
            told.push(format!("asleep: {mine}, {others:?}"));
        }
        told
    })
}

/// Trips with a late party each, so that the others fall asleep; nobody is released before all have come.
fn crossing(barrier: Barrier, trips: usize, what: &str) -> String {
    let parties = barrier.parties();
    let came: Vec<_> = (0..trips).map(|_| AtomicUsize::new(0)).collect();
    let leaders = AtomicUsize::new(0);
    thread::scope(|scope| {
        for mut party in barrier.take_parties().unwrap() {
            let (came, leaders) = (&came, &leaders);
            scope.spawn(move || {
                for (trip, came) in came.iter().enumerate() {
                    if trip % parties == party.rank() {
                        thread::sleep(Duration::from_micros(200));
                    }
                    came.fetch_add(1, SeqCst);
                    let crossed = party.wait().expect("nothing breaks");
                    or_die(|| assert_eq!(came.load(SeqCst), parties, "released early"));
                    assert_eq!(crossed.generation(), trip as u64);
                    leaders.fetch_add(usize::from(crossed.is_leader()), SeqCst);
                }
            });
        }
    });
    format!("{what}: {} trips, {} leaders", barrier.generation(), leaders.into_inner())
}

/// A limit that passes, an abort, a drop, a reset and a leave, each while the others sleep.
fn failures(algorithm: Algorithm, policy: WaitPolicy) -> Vec<String> {
    let barrier = barrier(3, algorithm, policy);
    let mut parties = barrier.take_parties().unwrap();
    let mut third = parties.pop().unwrap();
    let mut second = parties.pop().unwrap();
    let mut first = parties.pop().unwrap();
    let mut told = Vec::new();

    let limit = Duration::from_millis(15);
    told.push(thread::scope(|scope| {
        let other = scope.spawn(|| words(second.wait()));
        until(|| barrier.arrived() == 1);
        let start = Instant::now();
        let mine = words(first.wait_timeout(limit));
        assert!(start.elapsed() >= limit, "{:?} is early", start.elapsed());
        format!("limit: {mine}; {}; {}", other.join().unwrap(), words(third.wait()))
    }));
    barrier.reset().unwrap();

    told.push(thread::scope(|scope| {
        let others = [&mut first, &mut second].map(|party| scope.spawn(|| words(party.wait())));
        until(|| barrier.arrived() == 2);
        thread::sleep(Duration::from_millis(2));
        barrier.abort("enough");
        format!("abort: {:?}; {}", others.map(|other| other.join().unwrap()), words(third.wait()))
    }));
    barrier.reset().unwrap();

    told.push(thread::scope(|scope| {
        let others = [&mut first, &mut second].map(|party| scope.spawn(|| words(party.wait())));
        until(|| barrier.arrived() == 2);
        drop(third);
        format!("drop: {:?}", others.map(|other| other.join().unwrap()))
    }));
    let mut third = barrier.claim(2).unwrap();
    barrier.reset().unwrap();

    told.push(thread::scope(|scope| {
        let others = [&mut first, &mut second].map(|party| scope.spawn(|| [words(party.wait()), words(party.wait())]));
        let mine = words(third.wait());
        third.leave();
        format!("leave: {mine}, {:?}", others.map(|other| other.join().unwrap()))
    }));
    told
}

/// Callers without handles, and one whose limit passes.
fn callers(watch: &Watch) -> String {
    let (barrier, trips) = (compat::Barrier::new(3), 20);
    // What callers settle at their first wait, they settle behind a lock of std, which does not survive wakes that fail.
    assert!(barrier.wait_timeout(Duration::ZERO).is_err());
    barrier.reset();
    let lead = || {
        let mut rng = watch.rng();
        (0..trips)
            .filter(|_| {
                rng.dawdle();
                barrier.wait().is_leader()
            })
            .count()
    };
    let leaders: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(lead)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let late = barrier.wait_timeout(Duration::from_millis(5)).unwrap_err();
    format!("callers: {leaders} leaders, then {} at {}", late.cause().kind(), late.generation())
}

/// Callers of a barrier in place whose trips are so far apart that they would sleep without a limit, if wakes came.
pub(crate) fn far_apart() -> String {
    let (barrier, means) = (InPlace::new(NonZeroU32::MIN.saturating_add(1), Reach::Process, 0), Means::plain());
    barrier.begin(&means);
    // So that the first wait is one of those far apart.
    thread::sleep(Duration::from_millis(10));
    let came = [0; 16].map(AtomicUsize::new);
    let cross = |rank| {
        let lasts = came.iter().enumerate().filter(|(trip, came)| {
            if trip % 2 == rank {
                thread::sleep(Duration::from_millis(6));
            }
            came.fetch_add(1, SeqCst);
            let last = barrier.wait(&means);
            or_die(|| assert_eq!(came.load(SeqCst), 2, "released early"));
            last
        });
        lasts.count()
    };
    let lasts: usize = thread::scope(|scope| {
        let threads = [0, 1].map(|rank| scope.spawn(move || cross(rank)));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    format!("far apart: {} trips, {lasts} last callers", came.len())
}

fn team() -> String {
    let team = Team::builder().threads(3).wait_policy(WaitPolicy::Park).build().unwrap();
    let sums = team.run(|m| m.all_reduce(m.rank() + 1, |a, b| a + b).unwrap()).unwrap();
    let broken = team.try_run(|m| if m.rank() == 1 { Err("no") } else { m.barrier().map(drop).map_err(|_| "told") });
    format!("team: {sums:?}, then {}", broken.is_err())
}
