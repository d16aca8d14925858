//! Loom models of the barrier in place: crossing, sleeping, batches, giving the memory back. The conventions are those of
//! `barrier/models.rs`.

use super::in_place::{InPlace, Means, Reach};
use crate::explore_models::explore;
use crate::primitive::{AtomicU32, Ordering};
use crate::wait::Plan;
use loom::thread;
use std::num::NonZeroU32;
use std::sync::Arc;

struct Stage {
    barrier: InPlace,
    means: Means,
    data: Vec<AtomicU32>,
}

impl Stage {
    /// Callers who sleep without a plan, since waits of the past were slept through.
    fn pausing(parties: u32, together: bool) -> Arc<Self> {
        let barrier = InPlace::new(NonZeroU32::new(parties).unwrap(), Reach::Process, 0);
        barrier.pause(together);
        let means = Means::modelled(Plan { learns: true, ..Plan::modelled(false) });
        Arc::new(Self { barrier, means, data: (0..parties).map(|_| AtomicU32::new(0)).collect() })
    }

    fn new(parties: u32, callers: usize, parks: bool) -> Arc<Self> {
        let parties = NonZeroU32::new(parties).unwrap();
        // Near the wrap of `left` (C6).
        let first = u64::from(u32::MAX / parties);
        Arc::new(Self {
            barrier: InPlace::new(parties, Reach::Process, first),
            means: Means::modelled(Plan::modelled(parks)),
            data: (0..callers).map(|_| AtomicU32::new(0)).collect(),
        })
    }

    /// One crossing of caller `who`, whose data all others of the trip must see; all callers are parties.
    fn cross(&self, who: usize, trip: u32) -> bool {
        self.data[who].store(trip, Ordering::Relaxed);
        let last = self.barrier.wait(&self.means);
        for datum in &self.data {
            let seen = datum.load(Ordering::Relaxed);
            assert!((trip..=trip + 1).contains(&seen), "{who} sees {seen} after trip {trip}");
        }
        last
    }
}

/// `callers` cross twice, and whoever is the last of the second trip gives the memory back at once.
fn two_trips(bound: usize, callers: u32, stage: impl Fn() -> Arc<Stage> + Send + Sync + 'static) {
    explore(bound, move || {
        let stage = stage();
        let cross = |stage: Arc<Stage>, who| {
            let lasts = [stage.cross(who, 1), stage.cross(who, 2)];
            if lasts[1] {
                stage.barrier.retire().unwrap();
                stage.barrier.give_back();
            }
            lasts
        };
        let others: Vec<_> = (1..callers)
            .map(|who| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || cross(stage, who as usize))
            })
            .collect();
        let mine = cross(stage, 0);
        let all: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).chain([mine]).collect();
        for trip in 0..2 {
            assert_eq!(all.iter().filter(|lasts| lasts[trip]).count(), 1, "one last caller of trip {trip}");
        }
    });
}

#[test]
fn compat_in_place_callers_cross() {
    two_trips(4, 2, || Stage::new(2, 2, false));
}

/// Two of two look so as to own the line, three never do.
#[test]
fn compat_in_place_three_callers_cross() {
    two_trips(2, 3, || Stage::new(3, 3, false));
}

#[test]
fn compat_in_place_callers_sleep() {
    two_trips(3, 2, || Stage::new(2, 2, true));
}

#[test]
fn compat_in_place_three_callers_sleep() {
    two_trips(1, 3, || Stage::new(3, 3, true));
}

/// Two who sleep through a pause of many waits, with a plan that would spin for ever.
#[test]
fn compat_in_place_callers_sleep_through() {
    two_trips(3, 2, || Stage::pausing(2, false));
}

/// Two who yield before that, by the clock for the first trip and without one for the second.
#[test]
fn compat_in_place_callers_come_together() {
    two_trips(3, 2, || Stage::pausing(2, true));
}

/// Four callers of two parties: two batches, in whichever order, and each caller sees one that it can have met.
fn in_batches(bound: usize, parks: bool) {
    explore(bound, move || {
        let stage = Stage::new(2, 4, parks);
        let cross = |stage: Arc<Stage>, who: usize| {
            stage.data[who].store(1, Ordering::Relaxed);
            let last = stage.barrier.wait(&stage.means);
            let met = stage.data.iter().filter(|datum| datum.load(Ordering::Relaxed) == 1).count();
            assert!(met >= 2, "{who} is alone");
            last
        };
        let others: Vec<_> = (1..4)
            .map(|who| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || cross(stage, who))
            })
            .collect();
        let mine = cross(Arc::clone(&stage), 0);
        let lasts = others.into_iter().map(|other| other.join().unwrap()).chain([mine]).filter(|&last| last).count();
        assert_eq!(lasts, 2, "one last caller of each batch");
        stage.barrier.retire().unwrap();
        stage.barrier.give_back();
    });
}

#[test]
fn compat_in_place_batches_cross() {
    in_batches(2, false);
}

#[test]
fn compat_in_place_batches_sleep() {
    in_batches(1, true);
}

/// Two sleepers of two batches: a parker of the second meets the ringing for the first.
#[test]
fn compat_in_place_a_sleeper_meets_a_ring_for_others() {
    explore(3, || {
        let stage = Stage::new(2, 2, true);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || [1, 2, 3].map(|trip| stage.cross(0, trip)))
        };
        let mine = [1, 2, 3].map(|trip| stage.cross(1, trip));
        for (mine, other) in mine.into_iter().zip(other.join().unwrap()) {
            assert!(mine != other);
        }
    });
}

/// Somebody wakes the sleepers for no reason (C12).
#[test]
fn compat_in_place_a_spurious_wake_releases_nobody() {
    explore(2, || {
        let stage = Stage::new(2, 2, true);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.cross(0, 1))
        };
        stage.barrier.wake_spuriously();
        let mine = stage.cross(1, 1);
        assert!(mine != other.join().unwrap());
    });
}

/// Whoever still has to come is waited for, and the memory is not given back before.
#[test]
fn compat_in_place_is_busy_while_somebody_waits() {
    explore(3, || {
        let stage = Stage::new(2, 2, true);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.cross(0, 1))
        };
        match stage.barrier.retire() {
            Ok(()) => {}
            Err(busy) => assert_eq!(busy.waiting, 1),
        }
        let mine = stage.cross(1, 1);
        stage.barrier.retire().unwrap();
        stage.barrier.give_back();
        assert!(mine != other.join().unwrap());
    });
}
