//! Random schedules of the barrier in place, with 8 to 16 callers: sleepers, batches, and a barrier that whoever is the last of the last
//! trip retires under the others. See `explore_shuttle.rs` for how.

use super::in_place::{InPlace, Means, Reach};
use crate::explore_shuttle::Ending::{self, Whole};
use crate::explore_shuttle::{dawdle, explore_alone};
use crate::wait::Plan;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

struct Stage {
    barrier: InPlace,
    means: Means,
    /// Arrivals, counted before each.
    arrived: AtomicU32,
    lasts: AtomicU32,
    /// Crossings left.
    tickets: AtomicU32,
}

/// As many parties as callers, or fewer; whoever takes a ticket crosses once, and there are as many as places, so that nobody waits for a
/// batch that cannot be full.
fn play(batches: bool) -> Ending {
    let callers: u32 = thread_rng().gen_range(8..=16);
    let parties = if batches { thread_rng().gen_range(1..=6) } else { callers };
    let trips = thread_rng().gen_range(2..=4) * callers.div_ceil(parties);
    // `left` wraps on the way.
    let first = u64::from(u32::MAX / parties);
    let stage = Arc::new(Stage {
        barrier: InPlace::new(NonZeroU32::new(parties).unwrap(), Reach::Process, first),
        means: Means::modelled(Plan::modelled(thread_rng().gen_bool(0.7))),
        arrived: AtomicU32::new(0),
        lasts: AtomicU32::new(0),
        tickets: AtomicU32::new(trips * parties),
    });
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                for trip in 1.. {
                    dawdle(3);
                    if batches && !takes_a_ticket(&stage.tickets) || !batches && trip > trips {
                        return;
                    }
                    cross(&stage, trip, parties, callers, trip == trips);
                }
            })
        })
        .collect();
    if thread_rng().gen_bool(0.3) {
        dawdle(20);
        stage.barrier.wake_spuriously();
    }
    threads.into_iter().for_each(|caller| caller.join().unwrap());
    assert_eq!(stage.lasts.load(Ordering::Relaxed), trips, "one last caller of each batch");
    assert_eq!(stage.barrier.retire(), Ok(()));
    Whole
}

fn takes_a_ticket(tickets: &AtomicU32) -> bool {
    tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn cross(stage: &Stage, trip: u32, parties: u32, callers: u32, ends: bool) {
    stage.arrived.fetch_add(1, Ordering::Relaxed);
    let last = stage.barrier.wait(&stage.means);
    stage.lasts.fetch_add(u32::from(last), Ordering::Relaxed);
    if parties == callers {
        let seen = stage.arrived.load(Ordering::Relaxed);
        assert!((trip * parties..=(trip + 1) * parties).contains(&seen), "{seen} arrivals seen after trip {trip}");
        if last && ends {
            assert_eq!(stage.barrier.retire(), Ok(()));
        }
    }
}

#[test]
fn in_place_callers_cross() {
    explore_alone(3_000, &[Whole], || play(false));
}

#[test]
fn in_place_batches_cross() {
    explore_alone(3_000, &[Whole], || play(true));
}
