//! Bugs that these tests found in this crate, each with its smallest reproducer, so that none comes back. Contract
//! points: C3 no silent hang, C4 deadlines, C5 reset, C7 one leader.
//!
//! One more has no small reproducer: with the central algorithm a trip could be completed without a leader, when the
//! next one was broken between the last party's store of its slot and its step of the count. The storms of the
//! conformance suite audit the leaders (`conformance/ledger.rs`).

mod common;

use common::watch::{Job, Step, panic_quietly};
use common::{few, patience, scaled, until, watched};
use phalanx::{Algorithm, Barrier, Cause, WaitPolicy, Wake, compat};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A rank could be claimed again while the drop of its handle was still under way; the drop then broke the trip after
/// the reset.
#[test]
fn a_drop_does_not_break_what_was_reset_after_it() {
    watched("found: drop, claim, reset", patience(), |_| {
        for _ in 0..scaled(500) {
            let barrier = Barrier::new(2).unwrap();
            let (party, _other) = (barrier.claim(0).unwrap(), barrier.claim(1).unwrap());
            thread::scope(|scope| {
                let leaving = scope.spawn(move || drop(party));
                let mut claimed = barrier.claim(0);
                while claimed.is_err() {
                    claimed = barrier.claim(0);
                }
                barrier.reset().expect("all ranks are held");
                leaving.join().unwrap();
                assert_eq!(barrier.broken(), None);
            });
        }
    });
}

/// A reset that saw somebody wait broke the next trip, at which nobody was, if that trip completed in between.
#[test]
fn a_reset_breaks_no_trip_that_nobody_waits_at() {
    watched("found: reset of nothing", patience(), |watch| {
        let barrier = Barrier::builder(2).wait_policy(WaitPolicy::SpinYield).build().unwrap();
        let over = AtomicBool::new(false);
        let parties = barrier.take_parties().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut rng = watch.rng();
                for _ in 0..scaled(30_000) {
                    barrier.reset().expect("nobody leaves");
                    rng.dawdle();
                }
                over.store(true, SeqCst);
                barrier.abort("end");
            });
            let jobs = parties.into_iter().map(|mut party| {
                let (over, mut rng) = (&over, watch.rng().fork(party.rank()));
                let job = move || {
                    while !over.load(SeqCst) {
                        rng.dawdle();
                        watch.mark(party.rank(), party.generation(), Step::Waiting);
                        if let Err(broken) = party.wait() {
                            assert!(*broken.cause() != Cause::Reset || broken.arrived() > 0, "{broken}");
                        }
                    }
                    party // not dropped before all have come to the end
                };
                Box::new(job) as Job<'_, _>
            });
            drop(watch.crew(jobs.collect()));
        });
    });
}

/// A barrier whose action says that it has begun, and then takes its time.
fn slow_action() -> (compat::Barrier, Arc<AtomicBool>) {
    let begun = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&begun);
    let action = move || {
        noted.store(true, SeqCst);
        thread::sleep(Duration::from_secs(2));
    };
    (compat::Barrier::with_action(2, action), begun)
}

/// A caller that came early for the next batch sat through the action of the one before, whatever its limit.
#[test]
fn an_early_callers_limit_holds_while_the_action_runs() {
    watched("found: early caller", patience(), |_| {
        let (barrier, begun) = slow_action();
        thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(|| barrier.try_wait().map(drop))));
            until(|| begun.load(SeqCst));
            let start = Instant::now();
            assert!(barrier.wait_timeout(Duration::from_millis(5)).is_err());
            assert!(start.elapsed() < Duration::from_secs(1), "5 ms took {:?}", start.elapsed());
        });
    });
}

/// An action that gives up by `abort`, or tidies up by `reset`, waited for itself.
#[test]
fn an_action_may_abort_and_reset() {
    for reset in few([false, true]) {
        let barrier: Arc<OnceLock<compat::Barrier>> = Arc::new(OnceLock::new());
        let seen = Arc::downgrade(&barrier);
        let action = move || {
            let barrier = seen.upgrade().expect("somebody waits at it");
            match reset {
                true => barrier.get().unwrap().reset(),
                false => drop(barrier.get().unwrap().abort("from the action")),
            }
        };
        barrier.set(compat::Barrier::with_action(1, action)).unwrap();
        let (done, ended) = mpsc::channel();
        // A thread of its own, which is left behind if it hangs.
        thread::spawn(move || done.send(barrier.get().unwrap().try_wait().map(drop)));
        assert!(ended.recv_timeout(Duration::from_secs(10)).is_ok(), "hangs (reset: {reset})");
    }
}

/// What is told of a broken barrier changed when late parties came to be told: all were missing again, at the same
/// generation.
#[test]
fn a_broken_barrier_goes_on_telling_who_was_missing() {
    let barrier = Barrier::new(3).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    parties[0].wait_timeout(Duration::ZERO).unwrap_err();
    assert_eq!((barrier.generation(), barrier.arrived(), barrier.missing()), (0, 1, vec![1, 2]));
    parties[1].wait().unwrap_err();
    parties[2].wait().unwrap_err();
    assert_eq!((barrier.generation(), barrier.arrived(), barrier.missing()), (0, 1, vec![1, 2]));
}

/// The last that an algorithm counts ran the action, or a serial section, even if it came to a trip that was broken.
#[test]
fn nothing_is_done_for_a_broken_trip() {
    for algorithm in few(Algorithm::NAMED) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let builder = Barrier::builder(2).algorithm(algorithm).action(move |_| _ = counted.fetch_add(1, SeqCst));
        let barrier = builder.build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let _ = parties[0].arrive();
        let told = barrier.abort("too late");
        assert_eq!(parties[1].serial(|| runs.fetch_add(1, SeqCst)), Err(told), "{algorithm}");
        assert_eq!(runs.load(SeqCst), 0, "{algorithm}");
    }
}

/// A party whose operator panicked for itself alone, on the last trip before a change of the members, stayed behind: its
/// next trip was never held where it waited.
#[test]
fn a_panic_of_ones_own_leaves_nobody_behind() {
    watched("found: a panic and a change", patience(), |_| {
        let barrier = Barrier::new(2).unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let mut newcomer = barrier.join().unwrap();
        let (mut well, mut ill) = (parties.remove(0), parties.remove(0));
        let (has_left, left) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                assert_eq!(well.all_reduce(1, |a, b| a + b), Ok(2));
                has_left.send(()).unwrap();
                well.wait().unwrap()
            });
            scope.spawn(move || {
                let late = |_, _| {
                    left.recv().unwrap();
                    panic_quietly()
                };
                assert!(catch_unwind(AssertUnwindSafe(|| ill.all_reduce(1, late))).is_err());
                assert_eq!(ill.wait().unwrap().generation(), 1);
            });
            assert_eq!(newcomer.wait().unwrap().generation(), 1);
        });
    });
}

/// Who joined and did not come at once held on to words that hold no trip, once others joined or left behind it: it was
/// wrong about its place, took a rank of its trip for none, and its arrival was lost until it asked.
#[test]
fn a_newcomer_that_takes_its_time_keeps_up_with_the_others() {
    let barrier = Barrier::new(2).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let mut early = barrier.join().unwrap();
    let mut late = barrier.join().unwrap();
    parties.remove(0).leave();
    parties.remove(0).leave();
    assert_eq!((early.rank(), early.generation(), early.index(), early.parties()), (2, 1, 0, 2));
    let _ = early.arrive();
    assert_eq!(barrier.missing(), [3]);
    assert_eq!(late.wait().unwrap().generation(), 1);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(early.broadcast(3, || unreachable!("made by rank 3")), Ok(7)));
        assert_eq!(late.broadcast(3, || 7), Ok(7));
    });
}

/// Of two who joined for the same trip, the first took the second for nobody.
#[test]
fn newcomers_know_each_other() {
    let barrier = Barrier::new(1).unwrap();
    let mut old = barrier.claim(0).unwrap();
    let (mut first, mut second) = (barrier.join().unwrap(), barrier.join().unwrap());
    assert_eq!((first.index(), first.parties(), second.index(), second.parties()), (1, 3, 2, 3));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(first.broadcast(2, || unreachable!("made by rank 2")), Ok(7)));
        scope.spawn(|| assert_eq!(second.broadcast(2, || 7), Ok(7)));
        assert_eq!(old.wait().unwrap().generation(), 0);
        assert_eq!(old.broadcast(2, || unreachable!("made by rank 2")), Ok(7));
    });
}

/// Who dropped its handle behind its arrival broke the next trip with the members of the one before in the record.
#[test]
fn the_record_of_the_next_trip_names_its_own_members() {
    let barrier = Barrier::new(2).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let mut newcomer = barrier.join().unwrap();
    let mut deserter = parties.remove(1);
    let _ = deserter.arrive();
    drop(deserter);
    assert_eq!(parties[0].wait().unwrap().generation(), 0);
    let told = newcomer.wait().unwrap_err();
    assert_eq!((told.cause(), told.generation(), told.parties()), (&Cause::Dropped { rank: 1 }, 1, 3));
    assert_eq!(parties[0].wait(), Err(told));
}

/// An arrival of a newcomer that had gone to work was lost when others joined behind it, until it asked.
#[test]
fn the_arrival_of_a_newcomer_is_carried_along_when_others_join_behind_it() {
    watched("the_arrival_of_a_newcomer_is_carried_along", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for drops in few([false, true]) {
                let barrier = Barrier::builder(2).algorithm(algorithm).build().unwrap();
                let mut others = barrier.take_parties().unwrap();
                let mut early = barrier.join().unwrap();
                // The others cross the newcomer's first trip while it is busy with something else.
                thread::scope(|scope| {
                    let arrival = early.arrive();
                    others.push(barrier.join().unwrap());
                    others.push(barrier.join().unwrap());
                    for mut party in others.drain(..) {
                        scope.spawn(move || {
                            while party.generation() < 2 {
                                let _ = party.wait().unwrap();
                            }
                            party.leave();
                        });
                    }
                    until(|| barrier.generation() == 2);
                    if drops {
                        drop(arrival);
                    } else {
                        assert_eq!(arrival.wait().unwrap().generation(), 1);
                    }
                    assert_eq!(early.wait().unwrap().generation(), 2);
                    assert_eq!(early.wait().unwrap().generation(), 3, "alone");
                });
            }
        }
    });
}

/// The only member of a trip had arrived before it was sent there, and nobody was left to let it go.
#[test]
fn a_carried_arrival_is_not_the_last_one() {
    watched("a_carried_arrival_is_not_the_last_one", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for newcomers in few([1, 2]) {
                let barrier = Barrier::builder(1).algorithm(algorithm).build().unwrap();
                let old = barrier.claim(0).unwrap();
                let mut parties: Vec<_> = (0..newcomers).map(|_| barrier.join().unwrap()).collect();
                let arrivals: Vec<_> = parties.iter_mut().map(|party| party.arrive()).collect();
                old.leave();
                thread::scope(|scope| {
                    for arrival in arrivals {
                        scope.spawn(|| assert_eq!(arrival.wait().unwrap().generation(), 1));
                    }
                });
            }
        }
    });
}

/// Who joined while others left was taken for one who had come behind a break, if its first words were replaced before it
/// had its handle; of the break that came then it was not told, and it waited at a trip to which nobody else came.
#[test]
fn who_joins_while_others_leave_is_told_of_the_next_break() {
    watched("found: join, leave, break", patience(), |_| {
        for _ in 0..scaled(1_000) {
            let barrier = Barrier::new(4).unwrap();
            let mut parties = barrier.take_parties().unwrap();
            let mut stayer = parties.remove(0);
            let mut newcomers = thread::scope(|scope| {
                parties.into_iter().for_each(|party| drop(scope.spawn(|| party.leave())));
                [(); 4].map(|()| barrier.join().unwrap())
            });
            assert_eq!(stayer.wait().unwrap().generation(), 0);
            let told = barrier.abort("nobody waits");
            assert_eq!((told.generation(), told.parties()), (1, 5));
            barrier.reset().expect("nobody deserts");
            // Without patience: who is told of nothing waits for the others.
            newcomers.iter_mut().for_each(|party| assert_eq!(party.wait_timeout(Duration::ZERO), Err(told.clone())));
        }
    });
}

/// Parties that found on the same trip that another had not called what they had each broke a trip of the barrier: who was
/// slower than a reset broke it again, behind the reset, and was not told of the break that it had missed.
#[test]
fn who_finds_a_mismatch_late_does_not_break_what_was_reset_since() {
    watched("found: late mismatch", patience(), |_| {
        for _ in 0..scaled(100) {
            let builder = Barrier::builder(6).algorithm(Algorithm::StaticTree(Wake::Tree));
            let barrier = builder.wait_policy(WaitPolicy::SpinPark).build().unwrap();
            let mut parties = barrier.take_parties().unwrap();
            let mut other = parties.remove(0);
            let told: Vec<_> = thread::scope(|scope| {
                scope.spawn(|| assert_eq!(other.wait().unwrap().generation(), 0));
                let find = |mut party: phalanx::Party| {
                    let barrier = &barrier;
                    let job = move || {
                        let told = party.all_reduce(1_u8, |a, b| a + b).unwrap_err();
                        barrier.reset().expect("nobody deserts");
                        (party, told)
                    };
                    scope.spawn(job)
                };
                let threads: Vec<_> = parties.into_iter().map(find).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (_, first) = &told[0];
            assert!(matches!(first.cause(), Cause::Mismatched { other: 0, .. }), "{first}");
            assert!(told.iter().all(|(_, told)| told == first && told.generation() == 1), "{told:?}");
        }
    });
}

/// Two breaks beside each other, each told to all of its trip: a newcomer that does not wait for ever for the trip before its own to be
/// over breaks its own, and an abort then the open one. The storm took that for two answers about one trip.
#[test]
fn a_newcomer_out_of_patience_and_an_abort_break_a_trip_each() {
    watched("found: newcomer and abort", patience(), |_| {
        let barrier = Barrier::new(2).unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let mut newcomer = barrier.join().unwrap();
        let own = newcomer.wait_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(own.cause(), Cause::TimedOut { rank: 2, .. }), "{own}");
        assert_eq!((own.generation(), barrier.is_broken()), (1, false));
        let open = barrier.abort("storm");
        assert_eq!(open.generation(), 0);
        for party in parties.iter_mut().chain([&mut newcomer]) {
            assert_eq!(party.wait().unwrap_err(), open);
        }
        barrier.reset().unwrap();
    });
}
