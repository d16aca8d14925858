//! Loom models of the batches: crossing, breaking, the panicking action, reset. The conventions are those of
//! `barrier/models.rs`.

use super::batches::Batches;
use crate::error::{Broken, Cause};
use crate::explore_models::explore;
use crate::primitive::{AtomicU32, Ordering};
use crate::wait::{Limit, Plan};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

const IMPATIENT: Limit = Limit::After(Duration::ZERO);

struct Stage {
    batches: Batches,
    data: Vec<AtomicU32>,
    /// Written by the action.
    acted: AtomicU32,
}

impl Stage {
    fn new(parties: usize, callers: usize, parks: bool) -> Arc<Self> {
        // Near the wrap of the batch number (C6).
        let batches = Batches::new(parties, u64::MAX).with_plan(Plan::modelled(parks));
        Arc::new(Self { batches, data: (0..callers).map(|_| AtomicU32::new(0)).collect(), acted: AtomicU32::new(0) })
    }

    /// One crossing of caller `who`, whose data the action and all others must see, as they must see the action's.
    fn cross(&self, who: usize, trip: u32, limit: Limit) -> Result<usize, Broken> {
        self.data[who].store(trip, Ordering::Relaxed);
        let action = || {
            self.data.iter().for_each(|datum| assert_eq!(datum.load(Ordering::Relaxed), trip, "the action"));
            self.acted.store(trip, Ordering::Relaxed);
            Ok(())
        };
        let index = self.batches.cross(limit, action)?;
        for datum in self.data.iter().chain([&self.acted]) {
            let seen = datum.load(Ordering::Relaxed);
            assert!((trip..=trip + 1).contains(&seen), "{who} sees {seen} after trip {trip}");
        }
        Ok(index)
    }
}

/// The outcomes of one trip: all told the same, or each index once.
fn agree(mut trip: Vec<Result<usize, Broken>>) {
    trip.sort_by_key(|outcome| outcome.as_ref().ok().copied());
    let complete = trip.iter().enumerate().all(|(index, outcome)| *outcome == Ok(index));
    let broken = trip.iter().all(|outcome| outcome.is_err() && *outcome == trip[0]);
    assert!(complete || broken, "{trip:?}");
}

fn two_trips(bound: usize, parks: bool, impatient: bool) {
    explore(bound, move || {
        let stage = Stage::new(2, 2, parks);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || [1, 2].map(|trip| stage.cross(0, trip, Limit::Never)))
        };
        let limit = if impatient { IMPATIENT } else { Limit::Never };
        let mine = [stage.cross(1, 1, Limit::Never), stage.cross(1, 2, limit)];
        for (mine, other) in mine.into_iter().zip(other.join().unwrap()) {
            agree(vec![mine, other]);
        }
    });
}

#[test]
fn compat_callers_cross() {
    two_trips(3, false, false);
}

#[test]
fn compat_callers_sleep() {
    two_trips(3, true, false);
}

#[test]
fn compat_one_caller_is_impatient() {
    two_trips(3, false, true);
}

#[test]
fn compat_a_sleeper_meets_an_impatient_caller() {
    two_trips(3, true, true);
}

#[test]
fn compat_three_callers_cross() {
    explore(2, || {
        let stage = Stage::new(3, 3, false);
        let others: Vec<_> = (1..3)
            .map(|who| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || [1, 2].map(|trip| stage.cross(who, trip, Limit::Never)))
            })
            .collect();
        let mine = [1, 2].map(|trip| stage.cross(0, trip, Limit::Never));
        let all: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).chain([mine]).collect();
        for trip in 0..2 {
            agree(all.iter().map(|outcomes| outcomes[trip].clone()).collect());
        }
    });
}

/// An abort breaks the batch that has too few callers; one that is full goes on its way, and its callers may learn from
/// `state` that it is over.
#[test]
fn compat_is_aborted() {
    is_aborted(2, false);
}

#[test]
fn compat_sleepers_are_aborted() {
    is_aborted(2, true);
}

fn is_aborted(bound: usize, parks: bool) {
    explore(bound, move || {
        let stage = Stage::new(2, 2, parks);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || [1, 2].map(|trip| stage.cross(0, trip, Limit::Never)))
        };
        let aborter = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.break_open(&Cause::Aborted { reason: "model".into() }))
        };
        let mine = [1, 2].map(|trip| stage.cross(1, trip, Limit::Never));
        for (mine, other) in mine.into_iter().zip(other.join().unwrap()) {
            agree(vec![mine, other]);
        }
        drop(aborter.join().unwrap());
    });
}

/// The same for one trip, at a larger bound.
#[test]
fn compat_is_aborted_once() {
    explore(3, || {
        let stage = Stage::new(2, 2, false);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.cross(0, 1, Limit::Never))
        };
        let aborter = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.break_open(&Cause::Aborted { reason: "model".into() }))
        };
        let mine = stage.cross(1, 1, Limit::Never);
        agree(vec![mine, other.join().unwrap()]);
        drop(aborter.join().unwrap());
    });
}

/// Four callers of a barrier for two: two batches, each complete, whoever is in which.
#[test]
fn compat_serves_batches() {
    explore(2, || {
        let stage = Stage::new(2, 0, false);
        let others: Vec<_> = (0..3)
            .map(|_| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.batches.cross(Limit::Never, || Ok(())).unwrap())
            })
            .collect();
        let mine = stage.batches.cross(Limit::Never, || Ok(())).unwrap();
        let mut indices: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).chain([mine]).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 0, 1, 1]);
    });
}

/// A caller that is told late, behind a reset and a whole new trip, is still told; and the callers of the new trip
/// cross.
#[test]
fn compat_is_reset_behind_a_late_caller() {
    explore(3, || {
        let stage = Stage::new(2, 0, false);
        let late = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.cross(Limit::Never, || Ok(())))
        };
        while stage.batches.arrived() == 0 {
            thread::yield_now();
        }
        let broken = stage.batches.break_open(&Cause::Aborted { reason: "model".into() });
        stage.batches.reset(false);
        let partner = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.cross(Limit::Never, || Ok(())))
        };
        let mine = stage.batches.cross(Limit::Never, || Ok(()));
        agree(vec![mine, partner.join().unwrap()]);
        assert_eq!(late.join().unwrap(), Err(broken));
    });
}

/// The last of a full batch may have to wait until the batch before it is over, whose action panics; it is told of that, even
/// if it looks only behind a reset. (It once looked for a break only while there was one, and then waited for ever.)
#[test]
fn compat_is_reset_before_one_who_awaits_its_turn() {
    explore(3, || {
        let stage = Stage::new(1, 0, false);
        let panics = || Err("model".to_owned());
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.cross(Limit::Never, panics).unwrap_err())
        };
        let mine = stage.batches.cross(Limit::Never, panics).unwrap_err();
        stage.batches.reset(false);
        let others = other.join().unwrap();
        for told in [mine, others] {
            assert!(matches!(told.cause(), Cause::ActionPanicked { .. }), "{told}");
        }
    });
}

/// An action that panics breaks a full batch, for all of it, also against an abort.
#[test]
fn compat_action_panics() {
    explore(2, || {
        let stage = Stage::new(2, 0, false);
        let panics = || Err("model".to_owned());
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.cross(Limit::Never, panics))
        };
        let aborter = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.batches.break_open(&Cause::Aborted { reason: "model".into() }))
        };
        let mine = stage.batches.cross(Limit::Never, panics);
        let other = other.join().unwrap();
        assert!(mine.is_err() && mine == other, "{mine:?} {other:?}");
        drop(aborter.join().unwrap());
    });
}

/// The last of a batch may step `go` before the last of the batch before does, whose step then lets the sleepers of both go. (It
/// woke those of its own batch, and the others slept for ever: found by random schedules.)
#[test]
fn compat_one_who_is_overtaken_wakes_the_sleepers_of_both() {
    explore(2, || {
        let stage = Stage::new(2, 0, true);
        stage.batches.take_a_place();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.batches.cross(Limit::Never, || Ok(())).unwrap())
            })
            .collect();
        let mine = stage.batches.cross(Limit::Never, || Ok(())).unwrap();
        let mut indices: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).chain([mine]).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 1]);
    });
}

/// A caller that looks for a break, before the last of its batch has panicked, and then at the batch that is open, behind a reset: it
/// once took its batch for complete, and the others were told of the panic.
#[test]
fn compat_is_reset_between_the_two_looks_of_a_caller() {
    explore(3, || {
        let stage = Stage::new(2, 0, false);
        let acting = Arc::new(AtomicU32::new(0));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (stage, acting) = (Arc::clone(&stage), Arc::clone(&acting));
                thread::spawn(move || {
                    let panics = || {
                        acting.store(1, Ordering::Relaxed);
                        Err("model".to_owned())
                    };
                    stage.batches.cross(Limit::Never, panics)
                })
            })
            .collect();
        while acting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        // Somebody early, so that the reset has something to break, and raises the alarm.
        stage.batches.take_a_place();
        stage.batches.reset(false);
        let told: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert!(told[0].is_err() && told[0] == told[1], "{told:?}");
    });
}
