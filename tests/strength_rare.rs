//! Rare moments, brought about on purpose: who leaves as the last to arrive, who leaves inside an action, an alarm while an
//! action runs. Written against mutants that nothing else killed (`.ci/strength`).

mod common;

use common::{limit, nap, until, watched};
use phalanx::{Algorithm, Barrier, Party};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = limit(20);

/// Three parties, the last of which is about to leave, on an algorithm whose last arriver lets the others go.
fn two_and_a_leaver() -> (Barrier, Vec<Party>, Party) {
    let barrier = Barrier::builder(3).algorithm(Algorithm::Central).build().unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let leaver = parties.pop().unwrap();
    (barrier, parties, leaver)
}

fn sums(parties: Vec<Party>, meanwhile: impl FnOnce()) {
    thread::scope(|s| {
        let started: Vec<_> = parties
            .into_iter()
            .map(|mut party| {
                s.spawn(move || {
                    let sums = [1_u32, 10].map(|own| party.cloning().all_reduce(own, |a, b| a + b));
                    (sums, party)
                })
            })
            .collect();
        meanwhile();
        // The handles live until all have been told: one that is dropped is another story.
        let told: Vec<_> = started.into_iter().map(|one| one.join().unwrap()).collect();
        told.iter().for_each(|(sums, _)| assert_eq!(sums, &[Ok(2), Ok(20)]));
    });
}

#[test]
fn two_work_for_themselves_whom_one_that_leaves_has_let_go() {
    watched("two_work_for_themselves_whom_one_that_leaves_has_let_go", LIMIT, |_| {
        let (barrier, parties, leaver) = two_and_a_leaver();
        sums(parties, || {
            until(|| barrier.arrived() == 2);
            leaver.leave();
        });
    });
}

#[test]
fn work_is_done_once_behind_one_that_left_before() {
    watched("work_is_done_once_behind_one_that_left_before", LIMIT, |_| {
        let (_barrier, parties, leaver) = two_and_a_leaver();
        leaver.leave();
        sums(parties, || {});
    });
}

#[test]
fn an_action_may_cross_another_barrier_that_has_one() {
    watched("an_action_may_cross_another_barrier_that_has_one", LIMIT, |_| {
        let ran = Arc::new(AtomicU32::new(0));
        let count = |by: u32| {
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(by, Ordering::Relaxed);
            }
        };
        let (within, around) = (count(1), count(10));
        let inner = Barrier::builder(1).action(move |_| within()).build().unwrap();
        let mut crosses = inner.claim(0).unwrap();
        let outer = Barrier::builder(1).action(move |_| {
            crosses.wait().unwrap();
            around();
        });
        let outer = outer.build().unwrap();
        let mut party = outer.claim(0).unwrap();
        (0..2).for_each(|trip| assert_eq!(party.wait().unwrap().generation(), trip));
        assert_eq!(ran.load(Ordering::Relaxed), 22);
    });
}

#[test]
fn nobody_acts_while_one_that_has_left_does() {
    watched("nobody_acts_while_one_that_has_left_does", LIMIT, |_| {
        let other: Arc<Mutex<Option<Party>>> = Arc::default();
        let (go, gone) = mpsc::channel();
        let acting = Arc::new(AtomicU32::new(0));
        let together = Arc::new(AtomicU32::new(0));
        let action = {
            let (other, acting, together) = (Arc::clone(&other), Arc::clone(&acting), Arc::clone(&together));
            move |trip: &phalanx::TripInfo| {
                together.fetch_max(acting.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                if trip.generation == 0 {
                    // One newcomer leaves here, and the other may come: it is complete now without this party.
                    let leaver = other.lock().unwrap().take();
                    leaver.unwrap().leave();
                    go.send(()).unwrap();
                    thread::sleep(nap(50));
                }
                acting.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let barrier = Barrier::builder(1).algorithm(Algorithm::Central).action(action).build().unwrap();
        let old = barrier.claim(0).unwrap();
        *other.lock().unwrap() = Some(barrier.join().unwrap());
        let mut new = barrier.join().unwrap();
        thread::scope(|s| {
            s.spawn(|| old.leave());
            gone.recv().unwrap();
            assert_eq!(new.wait().unwrap().generation(), 1);
        });
        assert_eq!(together.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_deadline_that_passes_behind_an_alarm_while_the_action_runs_changes_nothing() {
    watched("a_deadline_that_passes_behind_an_alarm_while_the_action_runs_changes_nothing", LIMIT, |_| {
        let (inside, entered) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let action = move |_: &phalanx::TripInfo| {
            inside.send(()).unwrap();
            may_end.recv().unwrap();
        };
        let barrier = Barrier::builder(2).algorithm(Algorithm::Central).action(action).build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let mut last = parties.pop().unwrap();
        let mut first = parties.pop().unwrap();
        let deadline = Instant::now() + nap(100);
        thread::scope(|s| {
            let told = s.spawn(move || (first.wait_deadline(deadline), first));
            until(|| barrier.arrived() == 1);
            let acted = s.spawn(move || (last.wait(), last));
            entered.recv().unwrap();
            assert_eq!(barrier.abort("no more").generation(), 1);
            thread::sleep(deadline.saturating_duration_since(Instant::now()) + nap(10));
            end.send(()).unwrap();
            let outcomes = [told, acted].map(|party| party.join().unwrap());
            outcomes.iter().for_each(|(trip, _)| assert_eq!(trip.as_ref().unwrap().generation(), 0));
        });
    });
}

#[test]
fn a_barrier_has_ended_when_the_last_has_left_and_not_before() {
    let barrier = Barrier::new(2).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    assert!(!barrier.has_ended());
    parties.remove(0).leave();
    assert!(!barrier.has_ended());
    parties.remove(0).leave();
    assert!(barrier.has_ended());
}
