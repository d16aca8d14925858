//! One test for each class of bug that other barriers have had, named by its number: B1 to B12, B15 to B17, B20, B21.
//! The classes are those of a survey of issue trackers (glibc, musl, HPX, Curator, tokio, LLVM and others);
//! docs/verification.md lists them with the proof of each.
//!
//! Stress alone proves little for the classes that are races of a few instructions (B1, B2, B4, B5): there the proof is
//! a loom model of the same code, and the test here only keeps the shape alive on real hardware. B10 (an arrival whose
//! wait was given up leaves a ghost) is tested by `histories.rs`, B19 and B26 by `bystanders.rs`.

mod common;

use common::watch::{Job, Step, panic_quietly};
use common::{Watch, few, patience, scaled, until, watched};
use phalanx::{Algorithm, Barrier, Broken, Builder, Cause, Party, Trip, WaitPolicy, compat};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The policies with which more parties than CPUs get on.
const POLITE: [WaitPolicy; 4] = [WaitPolicy::SpinYield, WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive];

/// Every algorithm with each of `policies`.
fn kinds(policies: &[WaitPolicy]) -> impl Iterator<Item = (Algorithm, WaitPolicy)> {
    Algorithm::NAMED.into_iter().flat_map(move |algorithm| policies.iter().map(move |policy| (algorithm, *policy)))
}

fn builder(parties: usize, (algorithm, policy): (Algorithm, WaitPolicy)) -> Builder {
    Barrier::builder(parties).algorithm(algorithm).wait_policy(policy)
}

/// Gives each party of a new barrier a thread, and `work`.
fn crew<T: Send>(watch: &Watch, builder: Builder, work: impl Fn(Party, &Barrier) -> T + Sync) -> Vec<T> {
    let (barrier, work) = (&builder.build().unwrap(), &work);
    let shown = barrier.clone();
    watch.show(move || format!("{shown:?}"));
    let parties = barrier.take_parties().unwrap().into_iter();
    let results = watch.crew(parties.map(|party| Box::new(move || work(party, barrier)) as Job<'_, T>).collect());
    watch.forget();
    results
}

fn cross(watch: &Watch, party: &mut Party) -> Trip {
    watch.mark(party.rank(), party.generation(), Step::Waiting);
    let trip = party.wait().expect("nothing breaks");
    watch.mark(party.rank(), trip.generation(), Step::Checking);
    trip
}

/// The next round's arrival must not join the old round. (Proof: loom.)
#[test]
fn b01_a_fast_party_does_not_join_the_old_round() {
    watched("b01", patience(), |watch| {
        for kind in few(kinds(&POLITE)) {
            for parties in few(1..=6) {
                let trips = scaled(150 / parties);
                let came: Vec<_> = (0..trips).map(|_| AtomicUsize::new(0)).collect();
                crew(watch, builder(parties, kind), |mut party, _| {
                    let mut rng = watch.rng().fork(party.rank());
                    for (trip, came) in came.iter().enumerate() {
                        if party.rank() == trip % parties {
                            rng.dawdle(); // one is slow to come, and therefore slow to leave the one before
                        }
                        came.fetch_add(1, Relaxed);
                        let crossed = cross(watch, &mut party);
                        assert_eq!((crossed.generation(), came.load(Relaxed)), (trip as u64, parties), "{kind:?}");
                    }
                });
            }
        }
    });
}

/// The last to arrive wakes the others and at once sleeps in the next round, where the same word is slept on: a wake
/// that went to it would be missed by another. (Proof: loom.)
#[test]
fn b02_the_wake_of_one_round_is_not_taken_by_the_next() {
    watched("b02", patience(), |watch| {
        for kind in few(kinds(&[WaitPolicy::Park, WaitPolicy::SpinPark])) {
            crew(watch, builder(4, kind).spin_budget(Duration::ZERO), |mut party, barrier| {
                for trip in 0..scaled(60) {
                    if trip % 4 == party.rank() {
                        until(|| barrier.arrived() == 3);
                        thread::sleep(Duration::from_micros(100)); // now they sleep
                    }
                    assert_eq!(cross(watch, &mut party).generation(), trip as u64);
                }
            });
        }
    });
}

/// A wake without a reason, at every moment, and nobody passes. (Over all kinds: conformance `spurious`.)
#[test]
fn b03_a_spurious_wake_does_not_pass() {
    watched("b03", patience(), |watch| {
        for kind in few(kinds(&[WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive])) {
            let passed = AtomicUsize::new(0);
            crew(watch, builder(3, kind), |mut party, barrier| {
                if party.rank() == 0 {
                    until(|| barrier.arrived() == 2);
                    for _ in 0..scaled(40) {
                        barrier.wake_spuriously();
                        thread::sleep(Duration::from_micros(60));
                    }
                    assert_eq!(passed.load(SeqCst), 0, "{kind:?}");
                }
                let _ = cross(watch, &mut party);
                passed.fetch_add(1, SeqCst);
            });
        }
    });
}

/// All that was written before is there after, many lines of it, without an ordering of their own. (Proof: loom and
/// Miri; x86 hides most of it.)
#[test]
fn b04_arrival_releases_and_departure_acquires() {
    const WORDS: usize = if cfg!(miri) { 1 } else { 64 };
    watched("b04", patience(), |watch| {
        for kind in few(kinds(&POLITE)) {
            let board: Vec<Vec<AtomicU64>> =
                (0..3).map(|_| (0..WORDS * 8).map(|_| AtomicU64::new(0)).collect()).collect();
            crew(watch, builder(3, kind), |mut party, _| {
                for trip in 1..=scaled(60) as u64 {
                    board[party.rank()].iter().rev().for_each(|word| word.store(trip, Relaxed));
                    let _ = cross(watch, &mut party);
                    assert!(board.iter().flatten().all(|word| word.load(Relaxed) == trip), "{kind:?}");
                    let _ = cross(watch, &mut party);
                }
            });
        }
    });
}

/// Arrivals swept over the moment at which the others go from spinning to sleeping. (Proof: loom.)
#[test]
fn b05_no_wake_is_lost_between_the_last_look_and_the_sleep() {
    watched("b05", patience(), |watch| {
        let budget = Duration::from_micros(20);
        for kind in few(kinds(&[WaitPolicy::SpinPark, WaitPolicy::Adaptive])) {
            crew(watch, builder(2, kind).spin_budget(budget), |mut party, barrier| {
                for trip in 0..scaled(400) as u32 {
                    if trip as usize % 2 == party.rank() {
                        until(|| barrier.arrived() == 1);
                        let (since, delay) = (Instant::now(), budget / 2 + budget * (trip % 100) / 100);
                        while since.elapsed() < delay {
                            std::hint::spin_loop();
                        }
                    }
                    let _ = cross(watch, &mut party);
                }
            });
        }
    });
}

/// The parties, the last handle and the barrier go while others are still on their way out. (With freed memory watched:
/// `freed.rs`.)
#[test]
fn b06_a_barrier_goes_while_others_leave() {
    watched("b06", patience(), |watch| {
        for kind in few(kinds(&POLITE)) {
            for _ in 0..scaled(25) {
                let barrier = builder(3, kind).build().unwrap();
                let parties = barrier.take_parties().unwrap();
                drop(barrier);
                let jobs = parties.into_iter().map(|mut party| Box::new(move || party.wait().map(drop)) as Job<'_, _>);
                assert_eq!(watch.crew(jobs.collect()), [Ok(()), Ok(()), Ok(())]);
            }
        }
    });
}

#[test]
fn b07_a_timed_out_party_is_not_counted() {
    watched("b07", patience(), |_| {
        for kind in few(kinds(&WaitPolicy::ALL)) {
            let barrier = builder(3, kind).build().unwrap();
            let mut parties = barrier.take_parties().unwrap();
            let told = parties[0].wait_timeout(Duration::from_millis(1)).unwrap_err();
            assert_eq!(told.cause(), &Cause::TimedOut { rank: 0, after: Duration::from_millis(1) });
            // The other two come after all: they are not released, and not without the first one either.
            assert_eq!(parties[1].wait().unwrap_err(), told);
            assert_eq!(parties[2].wait_timeout(Duration::from_secs(9)).unwrap_err(), told);
            assert_eq!(barrier.reset(), Ok(1));
            assert_eq!(barrier.arrived(), 0);
            // Two of three are not three, whoever had come before.
            let [first, second, third] = &mut parties[..] else { unreachable!() };
            thread::scope(|scope| {
                let waiting = scope.spawn(|| first.wait());
                until(|| barrier.arrived() == 1);
                let told = second.wait_timeout(Duration::from_millis(1)).unwrap_err();
                assert_eq!((told.generation(), told.missing()[0].rank, told.missing().len()), (1, 2, 1));
                assert_eq!(waiting.join().unwrap(), Err(told.clone()));
                assert_eq!(third.wait(), Err(told));
            });
        }
    });
}

/// A limit holds in every kind of wait: while spinning for ever, while yielding, while asleep, and while woken for
/// nothing all the time.
#[test]
fn b08_a_timeout_is_honoured_in_every_internal_wait() {
    watched("b08", patience(), |_| {
        let limit = Duration::from_millis(8);
        for (kind, budget) in
            few(kinds(&WaitPolicy::ALL).flat_map(|kind| [(kind, Duration::MAX), (kind, Duration::ZERO)]))
        {
            for woken in few([false, true]) {
                let barrier = builder(3, kind).spin_budget(budget).timeout(limit).build().unwrap();
                let (mut party, over) = (barrier.claim(0).unwrap(), AtomicBool::new(false));
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while woken && !over.load(SeqCst) {
                            barrier.wake_spuriously();
                            thread::yield_now();
                        }
                    });
                    let start = Instant::now();
                    let told = party.wait().unwrap_err();
                    let waited = start.elapsed();
                    over.store(true, SeqCst);
                    assert_eq!(told.cause(), &Cause::TimedOut { rank: 0, after: limit });
                    assert!((limit..limit + Duration::from_secs(10)).contains(&waited), "{kind:?}: {waited:?}");
                });
            }
        }
    });
}

#[test]
fn b09_all_parties_may_time_out_together() {
    watched("b09", patience(), |watch| {
        for kind in few(kinds(&POLITE)) {
            for round in 0..scaled(8) {
                let deadline = Instant::now() + Duration::from_millis(3);
                // One more than those that come, so that nobody crosses.
                let told: Vec<Option<Broken>> = crew(watch, builder(5, kind), |mut party, _| {
                    let comes = party.rank() != round % 5;
                    if !comes {
                        thread::sleep(Duration::from_millis(4));
                    }
                    comes.then(|| party.wait_deadline(deadline).unwrap_err())
                });
                let told: Vec<_> = told.into_iter().flatten().collect();
                assert!(told.len() == 4 && told.iter().all(|broken| *broken == told[0]), "{told:?}");
                let culprit = told[0].cause().rank().unwrap();
                // The one that did not come drops its handle a little later, and may be first where the others were
                // held up.
                assert!((culprit == round % 5) == matches!(told[0].cause(), Cause::Dropped { .. }), "{}", told[0]);
            }
        }
    });
}

#[test]
fn b11_a_panic_at_any_step_releases_all_the_others() {
    watched("b11", patience(), |watch| {
        for kind in few(kinds(&POLITE)) {
            for (victim, falls_at) in few((0..3).flat_map(|victim| (0..4).map(move |step| (victim, step)))) {
                let told = crew(watch, builder(3, kind), |mut party, _| {
                    let rank = party.rank();
                    let work = move || {
                        for step in 0.. {
                            if (rank, step) == (victim, falls_at) {
                                panic_quietly();
                            }
                            watch.mark(rank, step, Step::Waiting);
                            if let Err(broken) = party.wait() {
                                return broken;
                            }
                        }
                        unreachable!("until somebody falls")
                    };
                    catch_unwind(AssertUnwindSafe(work)).ok()
                });
                assert!(told[victim].is_none(), "who panicked is told nothing");
                let told: Vec<_> = told.into_iter().flatten().collect();
                assert_eq!((told.len(), &told[0]), (2, &told[1]));
                assert_eq!((told[0].generation(), told[0].cause()), (falls_at, &Cause::Panicked { rank: victim }));
            }
        }
    });
}

/// The action panics again and again, and each time all are told and a reset repairs it. (More: `compat.rs`.)
#[test]
fn b12_a_panicking_action_does_not_wedge_the_barrier() {
    watched("b12", patience(), |watch| {
        let barrier = &compat::Barrier::with_action(3, || panic_quietly());
        let (meet, trips) = (&std::sync::Barrier::new(3), scaled(100));
        let job = |caller: usize| {
            let job = move || {
                for trip in 0..trips as u64 {
                    let told = barrier.try_wait().unwrap_err();
                    assert_eq!(told.generation(), trip);
                    assert!(matches!(told.cause(), Cause::ActionPanicked { .. }), "{told}");
                    meet.wait();
                    (caller == 0).then(|| barrier.reset());
                    meet.wait();
                }
            };
            Box::new(job) as Job<'_, ()>
        };
        watch.crew((0..3).map(job).collect());
    });
}

/// Counts of 8, 16, 31, 32, 39, 63 and 64 bits would show here.
#[test]
fn b15_no_count_is_too_narrow() {
    watched("b15", patience(), |watch| {
        for (kind, bits) in few(kinds(&POLITE).flat_map(|kind| [8, 16, 31, 32, 39, 63, 64].map(|bits| (kind, bits)))) {
            let first = (1u128 << bits) as u64;
            let first = first.wrapping_sub(3);
            crew(watch, builder(3, kind).first_generation(first), |mut party, _| {
                for trip in 0..6 {
                    assert_eq!(cross(watch, &mut party).generation(), first.wrapping_add(trip));
                }
            });
        }
        // And by going there, where it is not far.
        crew(watch, builder(2, (Algorithm::Central, WaitPolicy::SpinYield)), |mut party, _| {
            for trip in 0..scaled(700) as u64 {
                assert_eq!(cross(watch, &mut party).generation(), trip);
            }
        });
    });
}

/// With handles there cannot be one more (a rank is held once, and waits through `&mut`); callers without handles wait
/// for a batch of their own.
#[test]
fn b16_one_caller_too_many_is_not_released() {
    watched("b16", patience(), |_| {
        let (barrier, released) = (compat::Barrier::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    barrier.wait();
                    released.fetch_add(1, SeqCst);
                });
            }
            until(|| released.load(SeqCst) == 2 && barrier.arrived() == 1);
            thread::sleep(Duration::from_millis(5));
            let before = (released.load(SeqCst), barrier.arrived());
            assert_eq!(barrier.wait().index(), 1);
            assert_eq!(before, (2, 1));
        });
        assert_eq!(released.load(SeqCst), 3);
    });
}

#[test]
fn b17_any_number_of_parties_works() {
    watched("b17", patience(), |watch| {
        assert!(Barrier::new(0).is_err());
        // Up to 16 parties every number of trips from 1 to 7, beyond only the last of these: it begins with the others.
        let counts = 1..=if cfg!(miri) { 5 } else { 66 };
        let trips = |parties| if parties <= 16 { 1..=7 } else { 7..=7 };
        let shapes = counts.flat_map(|parties| trips(parties).map(move |trips| (parties, trips)));
        for ((parties, trips), algorithm) in
            few(shapes.flat_map(|shape| Algorithm::NAMED.map(|algorithm| (shape, algorithm))))
        {
            let leaders = crew(watch, builder(parties, (algorithm, WaitPolicy::Adaptive)), |mut party, _| {
                (0..trips).filter(|_| cross(watch, &mut party).is_leader()).count()
            });
            assert_eq!(leaders.iter().sum::<usize>(), trips, "{parties} parties, {algorithm}");
        }
    });
}

/// From the last arrival to the first instruction of the one that had waited 30 ms for it: the median of some, after
/// waits long enough for any back-off to grow.
#[cfg(not(miri))]
fn release_latency(mut cross: impl FnMut(usize) + Send + Clone) -> Duration {
    let start = Instant::now();
    let arrived = &AtomicU64::new(0);
    let nanos = move || start.elapsed().as_nanos() as u64;
    let mut latencies: Vec<u64> = thread::scope(|scope| {
        let mut also = cross.clone();
        let waiter = scope.spawn(move || {
            let mut wait = |_| {
                also(1);
                let latency = nanos().saturating_sub(arrived.load(SeqCst));
                also(1); // so that the next arrival is not noted before this one is read
                latency
            };
            (0..15).map(&mut wait).collect()
        });
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(30));
            arrived.store(nanos(), SeqCst);
            cross(0);
            cross(0);
        }
        waiter.join().unwrap()
    });
    latencies.sort_unstable();
    Duration::from_nanos(latencies[latencies.len() / 2])
}

/// Compared with std's barrier in the same run, and generously: a barrier that polls with growing sleeps is tens of
/// milliseconds late.
// Miri's clock counts the steps of the interpreter.
#[cfg(not(miri))]
#[test]
fn b20_a_long_wait_ends_soon_after_the_last_arrival() {
    watched("b20", patience(), |_| {
        let theirs = std::sync::Barrier::new(2);
        let theirs = release_latency(|_| {
            let _ = theirs.wait();
        });
        for kind in few(kinds(&POLITE)) {
            let barrier = builder(2, kind).build().unwrap();
            let parties: Vec<_> = barrier.take_parties().unwrap().into_iter().map(std::sync::Mutex::new).collect();
            let ours = release_latency(|rank| assert!(parties[rank].lock().unwrap().wait().is_ok()));
            assert!(ours <= theirs * 10 + Duration::from_millis(5), "{kind:?}: {ours:?}, std {theirs:?}");
        }
        let barrier = compat::Barrier::new(2);
        let ours = release_latency(|_| {
            let _ = barrier.wait();
        });
        assert!(ours <= theirs * 10 + Duration::from_millis(5), "compat: {ours:?}, std {theirs:?}");
    });
}

#[cfg(not(miri))]
const B21_CHILD: &str = "PHALANX_TEST_B21_CHILD";

#[cfg(not(miri))]
#[test]
#[ignore = "a child process of the next test"]
fn b21_child() {
    if std::env::var_os(B21_CHILD).is_none() {
        return; // run by hand, with all CPUs
    }
    watched("b21 child", patience(), |watch| {
        assert_eq!(common::cpus(), 1, "restricted to one CPU");
        for kind in few(kinds(&WaitPolicy::ALL)) {
            // `Spin` asks for a CPU per party, and says so: it needs time slices here, but it gets there.
            let trips = if kind.1 == WaitPolicy::Spin { 3 } else { scaled(200) as u32 };
            let used = crew(watch, builder(4, kind), |mut party, _| {
                let before = common::cpu_time();
                (0..trips).for_each(|_| assert!(cross(watch, &mut party).generation() < u64::from(trips)));
                common::cpu_time()?.checked_sub(before?)
            });
            // Who does not let the late party run, burns a time slice (3 ms or so) instead.
            let used: Duration = used.into_iter().flatten().sum();
            let each = used / trips;
            assert!(
                kind.1 == WaitPolicy::Spin || each < Duration::from_millis(1),
                "{kind:?}: {each:?} of CPU per trip"
            );
        }
        let barrier = &compat::Barrier::new(4);
        let leads = || (0..scaled(200)).filter(|_| barrier.wait().is_leader()).count();
        let leaders = watch.crew((0..4).map(|_| Box::new(leads) as Job<'_, usize>).collect());
        assert_eq!(leaders.iter().sum::<usize>(), scaled(200));
    });
}

/// One CPU for all: whoever waits must let the late one run.
// Starts a process, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn b21_waiting_does_not_starve_the_late_party() {
    watched("b21", patience(), |_| {
        let mut command = std::process::Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe().unwrap()).env(B21_CHILD, "1");
        match command.args(["--exact", "b21_child", "--include-ignored", "--nocapture"]).output() {
            Ok(output) if output.status.success() => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran nothing");
            }
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("failed to set") => {
                println!("skipped: CPU 0 may not be used here, and the test knows no other");
            }
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => println!("skipped: no taskset here to restrict a process with ({error})"),
        }
    });
}
