//! The barrier without handles, beyond what the conformance suite covers: as a drop-in for `std::sync::Barrier` (the
//! first tests run from one source over both), served in batches, with arrival indices, an action, and breaks. Contract
//! points: C2 all or none, C6 wrap, C7 one leader, C11 misuse.

mod common;

use common::watch::{Job, Step, message_of, panic_quietly};
use common::{Watch, few, patience, scaled, until, watched};
use phalanx::Cause;
use phalanx::compat::Barrier;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Tests that must compile and pass whichever barrier the `use` line names.
macro_rules! written_for_std {
    ($name:ident, $path:path) => {
        mod $name {
            use super::*;
            use $path as Barrier;

            static START: Barrier = Barrier::new(3);

            const fn made_when_compiled() -> Barrier {
                Barrier::new(1)
            }

            #[test]
            fn a_static_barrier_is_shared() {
                watched(concat!(stringify!($name), "::static"), patience(), |watch| {
                    let leaders = crew(watch, 3, |_| (0..scaled(20)).filter(|_| START.wait().is_leader()).count());
                    assert_eq!(leaders.iter().sum::<usize>(), scaled(20));
                });
            }

            #[test]
            fn an_arc_is_cloned_into_threads() {
                watched(concat!(stringify!($name), "::arc"), patience(), |_| {
                    let barrier = Arc::new(Barrier::new(4));
                    let threads: Vec<_> = (0..4)
                        .map(|_| {
                            let barrier = Arc::clone(&barrier);
                            thread::spawn(move || barrier.wait().is_leader())
                        })
                        .collect();
                    let leaders = threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|leader| *leader);
                    assert_eq!(leaders.count(), 1);
                });
            }

            #[test]
            fn none_is_one_and_one_does_not_wait() {
                for n in few([0, 1]) {
                    let barrier = Barrier::new(n);
                    assert!((0..3).all(|_| barrier.wait().is_leader()));
                }
                let once = const { made_when_compiled() };
                assert!(once.wait().is_leader());
                assert!(format!("{:?}", once.wait()).starts_with("BarrierWaitResult { is_leader: true"));
                assert_eq!(format!("{once:?}"), "Barrier { .. }");
            }

            #[test]
            fn more_callers_than_parties_are_served_in_batches() {
                watched(concat!(stringify!($name), "::batches"), patience(), |watch| {
                    for (parties, callers) in few([(1, 4), (2, 5), (3, 7), (4, 12)]) {
                        let barrier = Barrier::new(parties);
                        let (total, tickets) = (parties * scaled(60), AtomicUsize::new(0));
                        let leads = |_| {
                            let mine = || tickets.fetch_add(1, Relaxed) < total;
                            std::iter::from_fn(|| mine().then(|| barrier.wait().is_leader()))
                                .filter(|leader| *leader)
                                .count()
                        };
                        let leaders: usize = crew(watch, callers, leads).iter().sum();
                        assert_eq!(leaders, total / parties, "{parties} parties, {callers} callers");
                    }
                });
            }
        }
    };
}

written_for_std!(with_std, std::sync::Barrier);
written_for_std!(with_phalanx, phalanx::compat::Barrier);

/// The same work on `callers` threads.
fn crew<T: Send>(watch: &Watch, callers: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    watch.crew((0..callers).map(|caller| Box::new(move || work(caller)) as Job<'_, T>).collect())
}

#[test]
fn each_index_is_given_once_per_trip() {
    watched("compat: each_index_is_given_once_per_trip", patience(), |watch| {
        for (parties, first) in [(1, 0), (3, 0), (5, u64::MAX - 3), (4, (1 << 39) - 3), (8, (1 << 63) - 2)] {
            let barrier = Barrier::new(parties).starting_at(first);
            let trips = scaled(60);
            let given: Vec<_> = (0..trips * parties).map(|_| AtomicUsize::new(0)).collect();
            crew(watch, parties, |caller| {
                for trip in 0..trips {
                    watch.mark(caller, trip as u64, Step::Waiting);
                    let result = barrier.wait();
                    assert_eq!(result.is_leader(), result.index() == parties - 1);
                    given[trip * parties + result.index()].fetch_add(1, Relaxed);
                }
            });
            assert!(given.iter().all(|count| count.load(Relaxed) == 1), "{parties} parties from {first}: {given:?}");
            assert_eq!(barrier.arrived(), 0);
        }
    });
}

#[test]
fn the_action_runs_once_per_trip_before_any_release_and_sees_all_arrivals() {
    watched("compat: the_action_runs_once", patience(), |watch| {
        for parties in few([1, 2, 5]) {
            let trips = scaled(80);
            let (ran, here) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let barrier = Barrier::with_action(parties, {
                let (ran, here) = (Arc::clone(&ran), Arc::clone(&here));
                move || {
                    let trip = ran.load(Relaxed) + 1;
                    assert_eq!(here.load(Relaxed), trip * parties, "not all are here");
                    thread::yield_now(); // whoever was let go too early would now be seen below
                    ran.store(trip, Relaxed);
                }
            });
            crew(watch, parties, |_| {
                for trip in 0..trips {
                    here.fetch_add(1, Relaxed);
                    barrier.wait();
                    // Exactly: the next trip's action needs this caller.
                    assert_eq!(ran.load(Relaxed), trip + 1);
                }
            });
        }
    });
}

/// B12.
#[test]
fn a_panicking_action_breaks_the_trip_for_all_until_a_reset() {
    watched("compat: a_panicking_action", patience(), |watch| {
        let parties = 3;
        for _ in 0..scaled(20) {
            let runs = Arc::new(AtomicUsize::new(0));
            let barrier = Barrier::with_action(parties, {
                let runs = Arc::clone(&runs);
                move || {
                    if runs.fetch_add(1, Relaxed) == 1 {
                        panic_quietly();
                    }
                }
            });
            let meet = std::sync::Barrier::new(parties);
            crew(watch, parties, |caller| {
                barrier.wait();
                let told = barrier.try_wait().expect_err("the second action panics");
                assert_eq!(told.cause(), &Cause::ActionPanicked { message: "planned".into() });
                assert_eq!((told.generation(), told.arrived()), (1, parties));
                assert_eq!(barrier.try_wait().expect_err("still broken"), told);
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let hook_stays_quiet = barrier.try_wait().map(drop).map_err(|broken| broken.to_string());
                    std::panic::resume_unwind(Box::new(hook_stays_quiet.unwrap_err()));
                }));
                assert!(message_of(&*panicked.unwrap_err()).starts_with("trip 1 broken: the action panicked: planned"));
                meet.wait();
                if caller == 0 {
                    barrier.reset();
                }
                meet.wait();
                assert!(barrier.try_wait().is_ok() && barrier.try_wait().is_ok());
            });
            assert_eq!(runs.load(Relaxed), 4);
        }
    });
}

#[test]
fn a_broken_barrier_panics_where_the_signature_leaves_no_other_way() {
    let barrier = Barrier::new(2);
    let told = barrier.abort("no more");
    let panicked = thread::scope(|scope| {
        let thread = thread::Builder::new().name("panics as planned".into());
        thread.spawn_scoped(scope, || barrier.wait().is_leader()).unwrap().join().unwrap_err()
    });
    assert_eq!(message_of(&*panicked), told.to_string());
}

/// C2 without handles: an `Ok` says nothing of its trip, but of every complete trip each index is given once, so that
/// after any number of trips each index was given as often as any other. One caller released from a trip that broke for
/// another would show in the sums.
#[test]
fn timeouts_aborts_and_resets_race_all_or_none() {
    watched("compat: all or none", patience(), |watch| {
        let mut crossed_at_all = 0;
        for (parties, callers) in few([(1, 2), (2, 2), (2, 3), (3, 3), (3, 7), (5, 9)]) {
            for first in [0, (1 << 39) - 4] {
                let barrier = Arc::new(Barrier::new(parties).starting_at(first));
                let shown = Arc::clone(&barrier);
                watch.show(move || format!("arrived {}, broken {}", shown.arrived(), shown.is_broken()));
                let over = AtomicBool::new(false);
                let given: Vec<_> = (0..parties).map(|_| AtomicUsize::new(0)).collect();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        disturb(&barrier, watch);
                        over.store(true, SeqCst);
                        barrier.abort("end");
                    });
                    crew(watch, callers, |caller| call_on(&barrier, watch, caller, callers, &over, &given));
                });
                let given: Vec<_> = given.iter().map(|count| count.load(Relaxed)).collect();
                assert!(given.iter().all(|count| *count == given[0]), "{parties} of {callers}: {given:?}");
                crossed_at_all += given[0];
                until(|| barrier.is_broken());
                barrier.reset();
                assert_eq!((barrier.arrived(), barrier.is_broken()), (0, false));
                crew(watch, parties, |_| barrier.try_wait().map(drop).expect("calm again"));
            }
        }
        assert!(crate::common::is_short() || crossed_at_all > 50, "{crossed_at_all} trips: nothing was tested");
    });
}

fn disturb(barrier: &Barrier, watch: &Watch) {
    let mut rng = watch.rng().fork(99);
    for act in 0..scaled(100) {
        match rng.below(4) {
            0 => drop(barrier.abort(format!("abort {act}"))),
            _ => barrier.reset(),
        }
        rng.dawdle();
        if rng.once_in(4) {
            thread::sleep(Duration::from_micros(rng.below(1000)));
        }
    }
}

/// Calls again and again, until all is over; counts the indices of complete trips.
fn call_on(barrier: &Barrier, watch: &Watch, caller: usize, callers: usize, over: &AtomicBool, given: &[AtomicUsize]) {
    let mut rng = watch.rng().fork(caller);
    for round in 0.. {
        rng.dawdle();
        watch.mark(caller, round, Step::Waiting);
        let outcome = match rng.below(6 * callers as u64) {
            0 => barrier.wait_timeout(Duration::from_micros(rng.below(300))),
            1 => barrier.wait_timeout(Duration::from_millis(rng.below(3))),
            _ => barrier.try_wait(),
        };
        match outcome {
            Ok(result) => drop(given[result.index()].fetch_add(1, Relaxed)),
            Err(_) if over.load(SeqCst) => return,
            Err(broken) => {
                assert!(broken.arrived() < broken.parties(), "all had arrived, yet it broke: {broken}");
                thread::sleep(Duration::from_micros(20));
            }
        }
    }
}

/// A caller that came early for the next batch keeps its place when the batch before it breaks off at the action, and
/// is told the same.
#[test]
fn early_callers_of_the_next_batch_are_told_of_a_panicking_action() {
    watched("compat: early_callers", patience(), |watch| {
        for _ in 0..scaled(20) {
            let entered = Arc::new(AtomicBool::new(false));
            let go_on = Arc::new(AtomicBool::new(false));
            let barrier = Barrier::with_action(2, {
                let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
                move || {
                    entered.store(true, SeqCst);
                    until(|| go_on.load(SeqCst));
                    panic_quietly();
                }
            });
            let told = Mutex::new(Vec::new());
            crew(watch, 4, |caller| {
                if caller >= 2 {
                    until(|| entered.load(SeqCst));
                }
                if caller == 3 {
                    // One early caller is surely there: the open batch is full, and this is one more.
                    until(|| barrier.arrived() == 1);
                    go_on.store(true, SeqCst);
                    return;
                }
                let broken = barrier.try_wait().expect_err("the action panics");
                told.lock().unwrap().push(broken);
            });
            let told = told.into_inner().unwrap();
            assert!(told.len() == 3 && told.iter().all(|broken| *broken == told[0]), "{told:?}");
            barrier.reset();
            assert_eq!((barrier.arrived(), barrier.is_broken()), (0, false), "nobody is left over");
        }
    });
}
