//! What rides on a trip, small enough for an interpreter: values travel in cells that the compiler cannot check (`Berth`,
//! `Sole` in `src/primitive.rs`).

mod common;

use common::{few, patience, watched};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, WaitPolicy, Wake};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

const SOME: [Algorithm; 4] =
    [Algorithm::Exchange, Algorithm::Central, Algorithm::StaticTree(Wake::Flags), Algorithm::Combining];

/// Runs `work` with every party of a barrier, on threads of their own.
fn all<R: Send>(barrier: &Barrier, work: impl Fn(Party) -> R + Sync) -> Vec<R> {
    thread::scope(|s| {
        let parties = barrier.take_parties().unwrap();
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(|| work(party))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Padding, pointers, one word and more, moved and copied; across the wrap, so that each place is used again.
#[test]
fn values_of_all_shapes_arrive() {
    watched("values_of_all_shapes_arrive", patience(), |_| {
        for algorithm in few(SOME) {
            for parties in few([1, 2, 3]) {
                let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(WaitPolicy::SpinYield);
                let barrier = builder.first_generation(u64::MAX - 4).build().unwrap();
                all(&barrier, |mut party| trade(&mut party, parties).unwrap());
            }
        }
    });
}

fn trade(party: &mut Party, parties: usize) -> Result<(), Broken> {
    static TABLE: [u64; 3] = [1, 2, 3];
    let rank = party.rank();
    for step in 0..if cfg!(miri) { 2 } else { 3 } {
        let padded = party.all_reduce((rank as u8, 1_u32), |a, b| (a.0 + b.0, a.1 + b.1))?;
        assert_eq!(padded.1 as usize, parties);
        let wide = party.all_reduce((1_u8, step, "text"), |a, b| (a.0 + b.0, a.1, b.2))?;
        assert_eq!(wide, (parties as u8, step, "text"));
        assert_eq!(*party.broadcast(parties - 1, || &TABLE[1])?, 2);
        assert_eq!(party.all_gather(Some(rank))?, (0..parties).map(Some).collect::<Vec<_>>());
        assert_eq!(party.exclusive_scan(5_i8, 1, |a, b| a + b)?, 5 + rank as i8);
        let _ = party.wait()?;
        assert_eq!(party.reduce(0, [rank; 20], |a, b| [a[0] + b[19]; 20])?.is_some(), rank == 0);
        assert_eq!(party.cloning().all_gather(format!("{rank}"))?.len(), parties);
        assert_eq!(party.serial(|| vec![step; 2])?, [step; 2]);
        let _ = party.arrive().wait()?;
    }
    Ok(())
}

/// A panic that all share breaks the trip for all; what was sent is dropped once.
#[test]
fn panics_leave_nothing_behind() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[derive(Debug)]
    struct Counted;
    impl Counted {
        fn new() -> Self {
            ALIVE.fetch_add(1, Relaxed);
            Self
        }
    }
    impl Clone for Counted {
        fn clone(&self) -> Self {
            Self::new()
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Relaxed);
        }
    }
    watched("panics_leave_nothing_behind", patience(), |_| {
        for algorithm in few(SOME) {
            let barrier = Barrier::builder(2).algorithm(algorithm).build().unwrap();
            let told = all(&barrier, |mut party| {
                party.cloning().all_reduce(Counted::new(), |first, _| first).unwrap();
                let told =
                    party.cloning().all_reduce(Counted::new(), |_, _| common::watch::panic_quietly()).unwrap_err();
                let reduced = party.all_reduce(1, |_, _| common::watch::panic_quietly()).unwrap_err();
                assert_eq!(told, reduced, "told again until the reset");
                told
            });
            assert_eq!(told[0], told[1]);
            assert!(matches!(told[0].cause(), Cause::OperatorPanicked { .. }), "{}", told[0]);
            drop(barrier);
            assert_eq!(ALIVE.load(Relaxed), 0, "{algorithm}");
        }
    });
}

/// An operator that panics on one party only: its panic is its own if the other has left, and else both are told.
#[test]
fn a_lonely_panic_is_nobodys_mixture() {
    watched("a_lonely_panic_is_nobodys_mixture", patience(), |_| {
        for _ in 0..common::scaled(100) {
            let barrier = Barrier::new(2).unwrap();
            let outcomes = all(&barrier, |mut party| {
                let rank = party.rank();
                let operator = |a, b| if rank == 1 { common::watch::panic_quietly() } else { a + b };
                let outcome = catch_unwind(AssertUnwindSafe(|| party.all_reduce(1, operator)));
                (outcome.ok(), party)
            });
            match (&outcomes[0].0, &outcomes[1].0) {
                (Some(Ok(2)), None) => {}
                (Some(Err(one)), Some(Err(other))) => assert_eq!(one, other),
                mixed => panic!("{mixed:?}"),
            }
        }
    });
}

/// The action has its closure to itself, whoever is the root, and with members that come and go.
#[test]
fn actions_take_turns() {
    watched("actions_take_turns", patience(), |_| {
        let mut trips = Vec::new();
        let action = move |trip: &phalanx::TripInfo| {
            assert_eq!(trip.generation, trips.len() as u64);
            trips.push(trip.rank);
        };
        let barrier = Barrier::builder(2).wait_policy(WaitPolicy::SpinYield).action(action).build().unwrap();
        thread::scope(|s| {
            for mut party in barrier.take_parties().unwrap() {
                let barrier = barrier.clone();
                s.spawn(move || {
                    for trip in 0..common::scaled(100) {
                        let _ = party.wait().unwrap();
                        if party.rank() == 0 && trip % 3 == 0 {
                            let mut newcomer = barrier.join().unwrap();
                            s.spawn(move || {
                                let _ = newcomer.wait().unwrap();
                                newcomer.leave();
                            });
                        }
                    }
                    party.leave();
                });
            }
        });
        assert!(barrier.has_ended());
    });
}

#[test]
fn an_action_is_for_one_barrier() {
    let builder = Barrier::builder(1).action(|_| ());
    let first = builder.clone().build().unwrap();
    assert_eq!(builder.build().unwrap_err(), phalanx::BuildError::ActionTaken);
    assert!(first.claim(0).unwrap().wait().is_ok());
}

/// The worst that an action can do: let newcomers leave inside it, of whom one is the last to arrive at the next trip.
#[test]
fn an_action_does_not_run_inside_itself() {
    watched("an_action_does_not_run_inside_itself", patience(), |_| {
        let newcomer: std::sync::Arc<std::sync::Mutex<Option<Party>>> = std::sync::Arc::default();
        let (inside, runs) = (newcomer.clone(), std::sync::Arc::new(AtomicUsize::new(0)));
        let (counted, mut running) = (runs.clone(), false);
        let action = move |_: &phalanx::TripInfo| {
            assert!(!std::mem::replace(&mut running, true));
            counted.fetch_add(1, Relaxed);
            let newcomer = inside.lock().unwrap().take();
            newcomer.into_iter().for_each(Party::leave);
            running = false;
        };
        let barrier = Barrier::builder(1).action(action).build().unwrap();
        let party = barrier.claim(0).unwrap();
        *newcomer.lock().unwrap() = Some(barrier.join().unwrap());
        party.leave(); // runs the action, in which the only member of the next trip leaves with it
        assert_eq!(runs.load(Relaxed), 1);
        assert!(barrier.has_ended());
        assert_eq!(barrier.broken().unwrap().cause(), &Cause::Reentered { rank: 1 });
    });
}
