//! Those who only stand by: what one barrier, one sleeper or one leaver is in for must not become the trouble of others
//! (bug classes B19, B22, B26; `bug_classes.rs` has the rest).

mod common;

use common::watch::{Job, panic_quietly};
use common::{few, patience, scaled, until, watched};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, WaitPolicy, compat};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const CROWD: usize = 8;

/// How long it takes, from the last arrival, until each of a crowd of sleepers runs again: the median of some trips.
fn release_of_all(cross: impl Fn(usize) + Sync) -> Duration {
    let trips = scaled(11);
    let (start, arrived, awake) = (Instant::now(), AtomicU64::new(0), AtomicUsize::new(0));
    let nanos = || start.elapsed().as_nanos() as u64;
    let late: Vec<AtomicU64> = (0..trips).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for rank in 1..CROWD {
            let (cross, awake, late, arrived, nanos) = (&cross, &awake, &late, &arrived, &nanos);
            scope.spawn(move || {
                for late in late {
                    cross(rank);
                    late.fetch_max(nanos().saturating_sub(arrived.load(SeqCst)), SeqCst);
                    awake.fetch_add(1, SeqCst);
                    cross(rank); // nobody sleeps for the next trip before all have been timed in this one
                }
            });
        }
        for trip in 0..trips {
            thread::sleep(Duration::from_millis(4)); // by now they sleep, or poll as rarely as they ever will
            arrived.store(nanos(), SeqCst);
            cross(0);
            until(|| awake.load(SeqCst) == (trip + 1) * (CROWD - 1));
            cross(0);
        }
    });
    let mut late: Vec<u64> = late.into_iter().map(AtomicU64::into_inner).collect();
    late.sort_unstable();
    Duration::from_nanos(late[late.len() / 2])
}

/// A cascade of wakes through a tree, each sleeper waking the next, costs a schedule per level (LLVM #195473). Compared with
/// std's barrier in the same run, and generously, as B20 is.
#[test]
#[cfg(not(miri))] // it measures, and Miri has no time of its own
fn b19_a_crowd_of_sleepers_is_released_like_one() {
    watched("b19", patience(), |_| {
        let theirs = std::sync::Barrier::new(CROWD);
        let theirs = release_of_all(|_| {
            let _ = theirs.wait();
        });
        for (algorithm, policy) in Algorithm::NAMED
            .into_iter()
            .flat_map(|algorithm| [WaitPolicy::Park, WaitPolicy::Adaptive].map(|policy| (algorithm, policy)))
        {
            let barrier = Barrier::builder(CROWD).algorithm(algorithm).wait_policy(policy).build().unwrap();
            let parties: Vec<_> = barrier.take_parties().unwrap().into_iter().map(Mutex::new).collect();
            let ours = release_of_all(|rank| assert!(parties[rank].lock().unwrap().wait().is_ok()));
            let most = theirs * 10 + Duration::from_millis(5);
            assert!(ours <= most, "{algorithm} {policy:?}: {ours:?}, std {theirs:?}");
        }
        let barrier = compat::Barrier::new(CROWD);
        let ours = release_of_all(|_| {
            let _ = barrier.wait();
        });
        assert!(ours <= theirs * 10 + Duration::from_millis(5), "compat: {ours:?}, std {theirs:?}");
    });
}

/// A party of one barrier falls, in every way there is, and the parties of another one, on the very threads that fall and are
/// told of it, go on.
#[test]
fn b26_the_fall_of_one_barrier_does_not_concern_another() {
    watched("b26", patience(), |watch| {
        let ways: [fn(&Barrier, Party) -> Option<Party>; 5] = [
            |barrier, party| {
                let _ = barrier.abort("it falls");
                Some(party)
            },
            |_, mut party| {
                while party.wait_timeout(Duration::ZERO).is_ok() {}
                Some(party)
            },
            |_, party| {
                let fall = move || {
                    let _party = party;
                    panic_quietly();
                };
                assert!(catch_unwind(AssertUnwindSafe(fall)).is_err());
                None
            },
            |_, party| {
                drop(party);
                None
            },
            |barrier, party| {
                until(|| barrier.arrived() == 2);
                barrier.reset().unwrap();
                Some(party)
            },
        ];
        let ways = ways.iter().enumerate();
        for (algorithm, (way, fall)) in
            few(Algorithm::NAMED.into_iter().flat_map(|named| ways.clone().map(move |way| (named, way))))
        {
            let build = || Barrier::builder(3).algorithm(algorithm).wait_policy(WaitPolicy::SpinYield).build().unwrap();
            let (falls, stands) = (build(), build());
            // Of the last two the others reach one without the party that falls, however late its fall is.
            let trips = scaled(40).max(4) as u64;
            let pairs = falls.take_parties().unwrap().into_iter().zip(stands.take_parties().unwrap());
            let falls = &falls;
            let jobs = pairs.map(|(one, mut other): (Party, Party)| {
                let job = move || -> Option<Broken> {
                    let rank = one.rank();
                    let (mut one, mut told) = (Some(one), None);
                    for trip in 0..trips {
                        assert_eq!(other.wait().expect("nobody breaks this one").generation(), trip);
                        if (rank, trip) == (1, trips / 2) {
                            one = one.and_then(|party| fall(falls, party));
                        }
                        if let Some(Err(broken)) = one.as_mut().map(Party::wait) {
                            told = Some(broken);
                            one = None;
                        }
                    }
                    told
                };
                Box::new(job) as Job<'_, _>
            });
            let told: Vec<Option<Broken>> = watch.crew(jobs.collect());
            assert!(stands.generation() == trips, "{algorithm}, way {way}: {stands:?}");
            let causes: Vec<&Cause> = told.iter().flatten().map(Broken::cause).collect();
            assert!(
                told[0].is_some() && told[0] == told[2] && causes.iter().all(|cause| *cause == causes[0]),
                "{algorithm}, way {way}: {told:?}"
            );
        }
    });
}
