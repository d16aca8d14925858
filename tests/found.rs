//! Bugs that these tests found in this crate, each with its smallest reproducer, so that none comes back. Contract
//! points: C3 no silent hang, C4 deadlines, C5 reset, C7 one leader.
//!
//! One more has no small reproducer: with the central algorithm a trip could be completed without a leader, when the
//! next one was broken between the last party's store of its slot and its step of the count. The storms of the
//! conformance suite audit the leaders (`conformance/ledger.rs`).

mod common;

use common::watch::{Job, Step};
use common::{patience, scaled, until, watched};
use phalanx::{Barrier, Cause, WaitPolicy, compat};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
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
    for reset in [false, true] {
        let barrier: Arc<OnceLock<compat::Barrier>> = Arc::new(OnceLock::new());
        let seen = Arc::clone(&barrier);
        let action = move || match reset {
            true => seen.get().unwrap().reset(),
            false => drop(seen.get().unwrap().abort("from the action")),
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
