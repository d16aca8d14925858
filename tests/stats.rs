//! `Barrier::stats`: the counts are those of a reference, whoever reads them sees them grow, and a planted straggler is
//! found. (Counts against a model over everything that can happen: `storm`.)

mod common;

use common::watch::{Job, panic_quietly};
use common::{Rng, few, nap, patience, scaled, watched};
use phalanx::observe::Stats;
use phalanx::{Algorithm, Barrier, Broken, Party, WaitPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const PARTIES: [usize; 4] = [2, 3, 4, 8];

/// All parties of `barrier` make `trips` trips, each doing `before` with its rank and the trip's number before it arrives.
fn run(watch: &common::Watch, barrier: &Barrier, trips: u64, before: impl Fn(usize, u64) + Sync) {
    let before = &before;
    let job = |mut party: Party| -> Job<'_, ()> {
        Box::new(move || {
            for trip in 0..trips {
                before(party.rank(), trip);
                party.wait().unwrap();
            }
        })
    };
    watch.crew(barrier.take_parties().unwrap().into_iter().map(job).collect());
}

/// Makes so many trips.
fn cross(party: &mut Party, trips: usize) {
    for _ in 0..trips {
        party.wait().unwrap();
    }
}

fn named(algorithm: Algorithm, parties: usize) -> Barrier {
    Barrier::builder(parties).algorithm(algorithm).build().unwrap()
}

#[test]
fn every_party_arrives_once_per_trip_whatever_the_algorithm() {
    watched("every_party_arrives_once_per_trip", patience(), |watch| {
        let trips = scaled(500) as u64;
        for algorithm in few(Algorithm::NAMED) {
            for parties in few(PARTIES) {
                let barrier = named(algorithm, parties);
                run(watch, &barrier, trips, |_, _| {});
                let stats = barrier.stats();
                let text = format!("{algorithm} with {parties}\n{stats}");
                // The first handle to go breaks the trip behind the last one.
                assert_eq!((stats.trips, stats.all_breaks(), stats.breaks_of("dropped")), (trips, 1, 1), "{text}");
                assert_eq!(stats.per_party.len(), parties, "{text}");
                for (rank, party) in stats.per_party.iter().enumerate() {
                    assert_eq!((party.rank, party.arrivals), (rank, trips), "{text}");
                    // All look at the same trips: one in 64, give or take.
                    assert_eq!(party.looks, stats.per_party[0].looks, "{text}");
                    assert!(party.looks.abs_diff(trips / 64) <= 2, "{text}");
                    assert!(party.first <= party.looks && party.last <= party.looks, "{text}");
                }
            }
        }
    });
}

/// What one party was told.
#[derive(Default)]
struct Told {
    complete: u64,
    breaks: BTreeMap<u64, Broken>,
}

/// Parties with little patience, somebody who aborts and resets, and readers: at the end the counts are those of what the
/// parties were told, and no reader ever saw one shrink.
#[test]
fn counts_agree_with_what_the_parties_were_told_and_only_grow() {
    watched("counts_agree_with_what_the_parties_were_told", patience(), |watch| {
        for (turn, algorithm) in Algorithm::NAMED.into_iter().enumerate() {
            for parties in few([2, 3, 5]) {
                storm(watch, algorithm, parties, turn % 2 == 0);
            }
        }
    });
}

fn storm(watch: &common::Watch, algorithm: Algorithm, parties: usize, acts: bool) {
    let rng = Mutex::new(watch.rng());
    let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(WaitPolicy::SpinPark);
    let dice = Mutex::new(watch.rng());
    let builder = if acts {
        builder.action(move |_| {
            if dice.lock().unwrap().below(40) == 0 {
                panic_quietly();
            }
        })
    } else {
        builder
    };
    let barrier = builder.build().unwrap();
    let (over, resets) = (AtomicBool::new(false), Mutex::new(0));
    let calls = scaled(400);
    let fork = |rank| rng.lock().unwrap().fork(rank);
    let handles = barrier.take_parties().unwrap();
    let left = Mutex::new(BTreeSet::from_iter(0..parties));
    let (left, others) = (&left, &barrier);
    let mut jobs: Vec<Job<'_, Told>> = Vec::new();
    for mut party in handles {
        let mut rng: Rng = fork(party.rank());
        jobs.push(Box::new(move || {
            let mut told = Told::default();
            for _ in 0..calls {
                let limit = Duration::from_micros(if rng.below(20) == 0 { rng.below(50) } else { 50_000 });
                match party.wait_timeout(limit) {
                    Ok(_) => told.complete += 1,
                    Err(broken) => {
                        told.breaks.insert(broken.generation(), broken);
                        // Otherwise all calls are over before whoever resets it has the CPU.
                        common::until(|| !others.is_broken() || left.lock().unwrap().len() < parties);
                    }
                }
            }
            left.lock().unwrap().remove(&party.rank());
            told
        }));
    }
    // Puts the barrier back into service as long as all are there; the rest are told of the first that is not.
    let over = &over;
    let mut rng = fork(parties);
    let counted = &resets;
    jobs.push(Box::new(move || {
        while left.lock().unwrap().len() == parties {
            rng.dawdle();
            if rng.below(10) == 0 {
                others.abort("storm");
            }
            if others.is_broken() && others.reset().is_ok() {
                *counted.lock().unwrap() += 1;
            }
        }
        Told::default()
    }));
    jobs.push(Box::new(move || {
        let mut last = others.stats();
        while !over.load(Ordering::Relaxed) {
            let next = others.stats();
            check_growth(&last, &next);
            last = next;
            over.store(left.lock().unwrap().is_empty(), Ordering::Relaxed);
        }
        Told::default()
    }));
    let told = watch.crew(jobs);
    let stats = barrier.stats();
    let text = format!("{algorithm} with {parties}\n{stats}");
    // One more may be counted that an action's panic has broken, and no trip has come behind it.
    let late = stats.breaks_of("action_panicked").min(1);
    for (party, told) in stats.per_party.iter().zip(&told) {
        let complete = told.complete;
        assert!((complete..=complete + late).contains(&stats.trips), "rank {}: {complete}; {text}", party.rank);
        assert!(party.arrivals >= told.complete, "{text}");
        assert!(party.arrivals <= told.complete + stats.all_breaks() + late, "{text}");
    }
    let heard: BTreeMap<u64, &Broken> =
        told.iter().flat_map(|told| &told.breaks).map(|(&number, broken)| (number, broken)).collect();
    for told in &told {
        assert!(told.breaks.iter().all(|(number, broken)| heard[number] == broken), "told differently; {text}");
    }
    // A break of which nobody heard: behind an abort came a reset before anybody had come.
    assert!(stats.all_breaks() >= heard.len() as u64, "{} heard of; {text}", heard.len());
    for kind in ["timed_out", "action_panicked"] {
        let times = heard.values().filter(|broken| broken.cause().kind() == kind).count() as u64;
        assert!(stats.breaks_of(kind) == times, "{kind}: {times} heard of; {text}");
    }
    assert_eq!(stats.resets, *resets.lock().unwrap(), "{text}");
    assert!(cfg!(miri) || (stats.trips > 0 && stats.all_breaks() > 0), "{text}");
}

fn check_growth(last: &Stats, next: &Stats) {
    let grows = next.trips >= last.trips
        && next.resets >= last.resets
        && last.breaks.iter().all(|(kind, count)| next.breaks_of(kind) >= *count)
        && last.per_party.iter().all(|before| {
            let now = next.party(before.rank).expect("ranks stay");
            let of = |party: &phalanx::observe::PartyStats| {
                let phalanx::observe::PartyStats { arrivals, looks, first, last, waits, spins, .. } = *party;
                [arrivals, looks, first, last, waits, spins, party.yields, party.parks, party.wakes]
            };
            of(before).iter().zip(of(now)).all(|(before, now)| now >= *before)
        });
    assert!(grows, "{last}\nand then\n{next}");
}

/// The reading itself finds out that the members have changed, and has what was before in its sum.
#[test]
fn members_who_change_between_two_readings_are_in_the_next_one() {
    let barrier = Barrier::new(2).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let third = barrier.join().unwrap();
    let [mut one, other] = [parties.remove(0), parties.remove(0)];
    other.leave();
    let _ = one.arrive();
    // Nobody has asked whether the first two parties' only trip is complete.
    let stats = barrier.stats();
    let arrivals = |stats: &Stats| stats.per_party.iter().map(|party| party.arrivals).collect::<Vec<_>>();
    assert_eq!((stats.trips, arrivals(&stats)), (1, vec![1, 1, 0]));
    assert_eq!(stats.parties, 2);
    one.leave();
    third.leave();
    let stats = barrier.stats();
    assert_eq!((stats.trips, arrivals(&stats), stats.parties), (2, vec![2, 1, 1], 0));
    assert_eq!(stats.all_breaks(), 0);
}

/// The action of the last trip before a change fails when that trip has been counted, by itself: it is a break all the same.
#[test]
fn a_trip_that_breaks_when_it_has_been_counted_is_taken_back() {
    watched("a_trip_that_breaks_when_it_has_been_counted", patience(), |_| {
        let own = Arc::new(OnceLock::<Barrier>::new());
        let barrier = {
            let own = Arc::downgrade(&own);
            Barrier::builder(1).action(move |trip| {
                if trip.generation == 0 {
                    assert_eq!(own.upgrade().unwrap().get().unwrap().stats().trips, 1);
                    panic_quietly();
                }
            })
        };
        let barrier = barrier.build().unwrap();
        own.set(barrier.clone()).unwrap();
        let mut party = barrier.claim(0).unwrap();
        let mut newcomer = barrier.join().unwrap();
        assert_eq!(party.wait().unwrap_err().cause().kind(), "action_panicked");
        assert_eq!(barrier.stats().breaks, BTreeMap::from([("action_panicked".to_owned(), 1)]));
        barrier.reset().unwrap();
        assert!(newcomer.wait().is_err());
        for trips in 1..4 {
            std::thread::scope(|scope| {
                scope.spawn(|| party.wait().unwrap());
                newcomer.wait().unwrap();
            });
            let stats = barrier.stats();
            assert_eq!((stats.trips, stats.all_breaks()), (trips, 1), "{stats}");
            assert_eq!(stats.per_party[0].arrivals, trips + 1, "{stats}");
        }
    });
}

/// Only a newcomer goes on: it does not wait until those who leave have arrived, and their trip counts all the same.
#[test]
fn the_last_trip_of_those_who_all_leave_is_counted() {
    let barrier = Barrier::new(2).unwrap();
    let parties = barrier.take_parties().unwrap();
    let mut newcomer = barrier.join().unwrap();
    parties.into_iter().for_each(Party::leave);
    for trip in 1..=3 {
        newcomer.wait().unwrap();
        let stats = barrier.stats();
        assert_eq!((stats.trips, stats.party(2).unwrap().arrivals), (trip + 1, trip));
    }
}

#[test]
fn a_difference_is_what_came_between() {
    watched("a_difference_is_what_came_between", patience(), |_| {
        let barrier = Barrier::builder(1).name("between").build().unwrap();
        let mut party = barrier.claim(0).unwrap();
        barrier.abort("before");
        assert!(party.wait().is_err());
        barrier.reset().unwrap();
        cross(&mut party, 10);
        let before = barrier.stats();
        assert_eq!((before.trips, before.resets, before.aborts(), before.per_party[0].arrivals), (10, 1, 1, 10));
        let nothing = before.since(&before);
        assert_eq!((nothing.trips, nothing.resets, nothing.all_breaks(), nothing.per_party[0].arrivals), (0, 0, 0, 0));
        assert_eq!(before.since(&nothing), before);
        cross(&mut party, 7);
        let mut newcomer = barrier.join().unwrap();
        party.wait().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| party.wait().unwrap());
            newcomer.wait().unwrap();
        });
        drop(newcomer);
        let between = barrier.stats().since(&before);
        assert_eq!((between.trips, between.resets, between.parties), (9, 0, 2));
        assert_eq!(between.breaks, BTreeMap::from([("dropped".to_owned(), 1)]));
        let arrivals: Vec<u64> = between.per_party.iter().map(|party| party.arrivals).collect();
        assert_eq!(arrivals, [9, 1]);
        assert_eq!((between.name.as_str(), between.aborts(), between.timeouts()), ("between", 0, 0));
    });
}

#[test]
fn a_wait_counts_what_it_does() {
    watched("a_wait_counts_what_it_does", patience(), |watch| {
        let wait = |policy| {
            let barrier = Barrier::builder(2).wait_policy(policy).build().unwrap();
            let late = |rank, _| std::thread::sleep(nap(if rank == 1 { 5 } else { 0 }));
            run(watch, &barrier, scaled(10) as u64, late);
            barrier.stats()
        };
        let stats = wait(WaitPolicy::Park);
        assert!(stats.parks() > 0 && stats.wakes() > 0 && stats.waits() > 0, "{stats}");
        let stats = wait(WaitPolicy::Spin);
        assert!(stats.spins() > 0 && stats.parks() == 0 && stats.yields() == 0, "{stats}");
        assert!(stats.per_party[0].waits > 0, "{stats}");
        let stats = wait(WaitPolicy::SpinYield);
        assert!(stats.yields() > 0, "{stats}");
    });
}

/// The order of arrivals needs no clock: the usual look at one trip in 64.
#[test]
fn who_is_waited_for_is_last_on_the_trips_that_are_looked_at() {
    watched("who_is_waited_for_is_last", patience(), |watch| {
        let barrier = Barrier::builder(3).wait_policy(WaitPolicy::Park).build().unwrap();
        let trips = 200;
        run(watch, &barrier, trips, |rank, _| std::thread::sleep(nap(if rank == 1 { 2 } else { 0 })));
        let stats = barrier.stats();
        let late = stats.party(1).unwrap();
        assert!(late.looks >= 2, "{stats}");
        // Looks are relaxed, and Miri shows them old words.
        if !cfg!(miri) {
            // On a busy machine another one is late now and then.
            assert!(late.last_share() >= Some(0.5), "{stats}");
            assert_eq!(stats.to_string().lines().nth(2).unwrap().split_whitespace().next(), Some("1"), "{stats}");
        }
    });
}

#[cfg(feature = "serde")]
#[test]
fn what_is_written_down_is_read_back() {
    let barrier = Barrier::builder(1).name("written").build().unwrap();
    let mut party = barrier.claim(0).unwrap();
    cross(&mut party, 100);
    barrier.abort("enough");
    let stats = barrier.stats();
    let text = serde_json::to_string(&stats).unwrap();
    assert!(text.contains(r#""breaks":{"aborted":1}"#), "{text}");
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
    // Of the same name, and told from it.
    let other = Barrier::builder(1).name("written").build().unwrap().stats();
    assert!(stats.number > 0 && other.number > stats.number && stats.since(&other).number == stats.number);
    // Written before there were numbers.
    let plain = text.replacen(r#""number":"#, r#""other":"#, 1);
    assert_eq!(serde_json::from_str::<Stats>(&plain).unwrap().number, 0);
}

#[cfg(feature = "hdr")]
mod timed {
    use super::*;
    use phalanx::observe::{Sampling, Timing};

    fn timed(algorithm: Algorithm, parties: usize, policy: WaitPolicy, trips: Sampling) -> Barrier {
        let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
        builder.statistics(trips).build().unwrap()
    }

    fn timing(barrier: &Barrier) -> Timing {
        barrier.stats().timing.expect("asked for")
    }

    #[test]
    fn nobody_is_timed_unasked() {
        assert_eq!(Barrier::new(2).unwrap().stats().timing, None);
    }

    #[test]
    fn every_trip_is_timed_and_compared_whatever_the_algorithm() {
        watched("every_trip_is_timed", patience(), |watch| {
            let trips = scaled(200) as u64;
            for algorithm in few(Algorithm::NAMED) {
                for parties in few(PARTIES) {
                    let barrier = timed(algorithm, parties, WaitPolicy::Adaptive, Sampling::ALL);
                    run(watch, &barrier, trips, |_, _| {});
                    let (stats, timing) = (barrier.stats(), timing(&barrier));
                    let text = format!("{algorithm} with {parties}\n{stats}");
                    assert_eq!(timing.skew.count(), trips, "{text}");
                    assert_eq!(timing.wait().count(), trips * parties as u64, "{text}");
                    for (party, counts) in timing.per_party.iter().zip(&stats.per_party) {
                        assert_eq!((party.compared, party.span_trips, counts.looks), (trips, trips, trips), "{text}");
                        assert!(
                            party.latest <= timing.skew.max() && party.late <= party.latest * trips as u32,
                            "{text}"
                        );
                        assert!(party.waited <= party.span, "{text}");
                    }
                    // On every trip somebody is the first.
                    assert!(timing.per_party.iter().any(|party| party.late < party.latest * trips as u32), "{text}");
                    let imbalance = timing.imbalance().unwrap();
                    assert!((1.0..=parties as f64 + 1e-9).contains(&imbalance), "{imbalance}; {text}");
                }
            }
        });
    }

    #[test]
    fn a_planted_straggler_is_found_and_measured() {
        watched("a_planted_straggler", patience(), |watch| {
            // Far longer than a busy machine keeps the others from arriving, most of the time.
            let nap = nap(20);
            for algorithm in few(Algorithm::NAMED) {
                let barrier = timed(algorithm, 4, WaitPolicy::Park, Sampling::ALL);
                run(watch, &barrier, 10, |rank, _| {
                    if rank == 2 {
                        std::thread::sleep(nap);
                    }
                });
                let (stats, timing) = (barrier.stats(), timing(&barrier));
                let text = format!("{algorithm}\n{stats}");
                assert_eq!(timing.stragglers()[0], 2, "{text}");
                assert!(cfg!(miri) || stats.party(2).unwrap().last_share() >= Some(0.6), "{text}");
                // Sleeps are never shorter.
                assert!(timing.skew.quantile(0.5) >= nap / 2, "{text}");
                let late = timing.party(2).unwrap();
                assert!(late.mean_lateness() >= Some(nap / 2), "{text}");
                for party in timing.per_party.iter().filter(|party| party.rank != 2) {
                    assert!(party.wait.quantile(0.5) >= nap / 2, "{text}");
                    assert!(party.waiting_share() > late.waiting_share(), "{text}");
                    assert!(party.busy() < late.busy(), "{text}");
                }
                assert!(timing.imbalance() > Some(1.2), "{text}");
                assert!(timing.waiting_share() > Some(0.3), "{text}");
                let first = stats.to_string().lines().nth(2).map(str::to_owned).unwrap();
                assert!(cfg!(miri) || first.split_whitespace().next() == Some("2"), "{text}");
            }
        });
    }

    #[test]
    fn work_between_arrival_and_wait_is_no_waiting() {
        watched("work_between_arrival_and_wait", patience(), |_| {
            let nap = nap(10);
            let barrier = timed(Algorithm::Central, 1, WaitPolicy::Park, Sampling::ALL);
            let mut party = barrier.claim(0).unwrap();
            for _ in 0..10 {
                let arrival = party.arrive();
                std::thread::sleep(nap);
                arrival.wait().unwrap();
            }
            let mut arrival = party.arrive();
            std::thread::sleep(nap);
            assert!(arrival.try_wait().unwrap().is_some());
            let timing = timing(&barrier);
            assert_eq!(timing.wait().count(), 11);
            assert!(timing.wait().quantile(0.5) < nap, "{timing}");
            assert!(timing.per_party[0].busy() >= Some(nap / 2), "{timing}");
        });
    }

    #[test]
    fn broken_trips_are_not_timed_and_newcomers_are() {
        watched("broken_trips_are_not_timed", patience(), |_| {
            let barrier = timed(Algorithm::Auto, 1, WaitPolicy::Park, Sampling::ALL);
            let mut party = barrier.claim(0).unwrap();
            party.wait().unwrap();
            barrier.abort("now");
            assert!(party.wait().is_err());
            barrier.reset().unwrap();
            let mut newcomer = barrier.join().unwrap();
            party.wait().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| cross(&mut party, 5));
                cross(&mut newcomer, 5);
            });
            newcomer.leave();
            party.wait().unwrap();
            let timing = timing(&barrier);
            let waits: Vec<u64> = timing.per_party.iter().map(|party| party.wait.count()).collect();
            // Who leaves does not wait.
            assert_eq!(waits, [8, 5]);
            assert!(timing.party(0).unwrap().compared >= 7, "{timing}");
        });
    }

    #[test]
    fn a_sample_is_a_sample() {
        watched("a_sample_is_a_sample", patience(), |watch| {
            let barrier = timed(Algorithm::Auto, 2, WaitPolicy::Adaptive, Sampling::one_in(16));
            run(watch, &barrier, 1600, |_, _| {});
            let before = barrier.stats();
            let timing = before.timing.clone().unwrap();
            let count = timing.per_party[0].wait.count();
            assert!((95..=105).contains(&count), "{before}");
            assert_eq!(before.per_party[0].looks, count);
            assert_eq!(timing.per_party[0].span_trips / 16, 99, "{before}");
            let nothing = barrier.stats().since(&before).timing.unwrap();
            assert!(nothing.wait().is_empty() && nothing.skew.is_empty(), "{nothing}");
            assert_eq!((nothing.per_party[1].compared, nothing.imbalance()), (0, None));
        });
    }

    #[cfg(feature = "serde")]
    #[test]
    fn histograms_are_written_down_as_lists() {
        let barrier = timed(Algorithm::Auto, 1, WaitPolicy::Park, Sampling::ALL);
        let mut party = barrier.claim(0).unwrap();
        cross(&mut party, 100);
        let stats = barrier.stats();
        let text = serde_json::to_string(&stats).unwrap();
        assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
        assert!(text.contains(r#""skew":[[0,100]]"#), "{text}");
        // Written by a build without `hdr`.
        let plain = text.replacen(r#""timing":"#, r#""other":"#, 1);
        assert_eq!(serde_json::from_str::<Stats>(&plain).unwrap().timing, None);
    }
}
