//! The barrier in the caller's 32 bytes (`compat::in_place`), natively and under Miri: separation, one last caller, batches, wrapping
//! counts, and memory that is freed by the last caller while others are still leaving. Contract points: C1, C6, C7, C9, C12.

mod common;

use common::{few, party_counts, patience, scaled, watched};
use phalanx::WaitPolicy;
use phalanx::compat::in_place::{InPlace, Means, Reach};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Acquire, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn made(parties: usize, reach: Reach, first: u64) -> InPlace {
    InPlace::new(NonZeroU32::new(parties as u32).unwrap(), reach, first)
}

fn policies(parties: usize) -> Vec<WaitPolicy> {
    WaitPolicy::ALL.into_iter().filter(|&policy| policy != WaitPolicy::Spin || parties <= common::cpus()).collect()
}

#[test]
fn nobody_is_early_and_one_is_last() {
    watched("in place: crossing", patience(), |watch| {
        for &parties in party_counts() {
            for policy in few(policies(parties)) {
                for reach in few([Reach::Process, Reach::Machine]) {
                    let trips = scaled(200);
                    // `left` wraps within the run.
                    let barrier = made(parties, reach, u64::from(u32::MAX) / parties as u64 - 1);
                    let (arrived, lasts) = (AtomicUsize::new(0), AtomicUsize::new(0));
                    let means = Means::with_policy(policy);
                    watch.crew(
                        (0..parties)
                            .map(|_| {
                                let job = || {
                                    for trip in 1..=trips {
                                        arrived.fetch_add(1, Relaxed);
                                        if barrier.wait(&means) {
                                            lasts.fetch_add(1, Relaxed);
                                        }
                                        let seen = arrived.load(Relaxed);
                                        let due = trip * parties..=(trip + 1) * parties;
                                        assert!(
                                            due.contains(&seen),
                                            "{seen} arrivals seen after trip {trip} of {parties}"
                                        );
                                    }
                                };
                                Box::new(job) as common::watch::Job<'_, ()>
                            })
                            .collect(),
                    );
                    assert_eq!(lasts.into_inner(), trips);
                    assert_eq!(barrier.retire(), Ok(()));
                }
            }
        }
    });
}

/// Long enough for a contest between staying awake and sleeping to take some turns (`src/wait/contest.rs`), which begins by chance.
#[test]
fn beside_busy_threads_nobody_is_early_whichever_way_all_wait() {
    if cfg!(miri) {
        return; // No thread of its scheduler is ever in another's way.
    }
    watched("in place: beside busy threads", patience(), |watch| {
        for parties in [2, 3, 8] {
            let (barrier, means) = (made(parties, Reach::Process, 0), Means::with_policy(WaitPolicy::Adaptive));
            let (arrived, lasts, last_trip) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
            let end = Instant::now() + Duration::from_millis(200);
            let party = |rank: usize| {
                let mut trip = 0;
                while trip < last_trip.load(Relaxed) {
                    trip += 1;
                    if rank == 0 && last_trip.load(Relaxed) == usize::MAX && Instant::now() >= end {
                        last_trip.store(trip + 1, Relaxed); // Known to all behind this trip.
                    }
                    arrived.fetch_add(1, Relaxed);
                    if barrier.wait(&means) {
                        lasts.fetch_add(1, Relaxed);
                    }
                    let seen = arrived.load(Relaxed);
                    let due = trip * parties..=(trip + 1) * parties;
                    assert!(due.contains(&seen), "{seen} arrivals seen after trip {trip} of {parties}");
                }
            };
            let rival = || {
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            };
            let (party, rival) = (&party, &rival);
            let parties = (0..parties).map(|rank| Box::new(move || party(rank)) as common::watch::Job<'_, ()>);
            let rivals = (0..common::cpus()).map(|_| Box::new(rival) as common::watch::Job<'_, ()>);
            watch.crew(parties.chain(rivals).collect());
            assert_eq!(lasts.into_inner(), last_trip.into_inner());
            assert_eq!(barrier.retire(), Ok(()));
        }
    });
}

#[test]
fn more_callers_than_parties_are_served_in_batches() {
    watched("in place: batches", patience(), |watch| {
        for (parties, callers) in few([(1, 4), (2, 5), (3, 7), (4, 12)]) {
            for policy in few([WaitPolicy::Park, WaitPolicy::Adaptive]) {
                let (barrier, means) = (made(parties, Reach::Process, 0), Means::with_policy(policy));
                let (total, tickets, lasts) = (parties * scaled(100), AtomicUsize::new(0), AtomicUsize::new(0));
                watch.crew(
                    (0..callers)
                        .map(|_| {
                            let job = || {
                                while tickets.fetch_add(1, Relaxed) < total {
                                    lasts.fetch_add(usize::from(barrier.wait(&means)), Relaxed);
                                }
                            };
                            Box::new(job) as common::watch::Job<'_, ()>
                        })
                        .collect(),
                );
                assert_eq!(lasts.into_inner(), total / parties, "{parties} parties, {callers} callers");
            }
        }
    });
}

/// The last caller overwrites and frees the memory as soon as `retire` lets it, while the others are on their way out, and a new barrier
/// is made elsewhere. Under Miri it only overwrites the count, and the memory is freed when all threads have ended: Miri's words to
/// sleep on have padding, which a reference that is still an argument of a function at its end protects even against being made a
/// `Box` again, and on some targets they own memory themselves. (The real 32 bytes have neither.) A late look at the count is a race
/// all the same, and the models check the rest.
#[test]
fn the_last_caller_frees_the_memory_under_the_others() {
    watched("in place: freed", patience(), |watch| {
        for parties in few([2, 3, 5]) {
            for policy in few([WaitPolicy::Park, WaitPolicy::Adaptive]) {
                let means = Means::with_policy(policy);
                let place = AtomicPtr::new(Box::into_raw(Box::new(made(parties, Reach::Process, 0))));
                let (rounds, next) = (scaled(500), Barrier::new(parties));
                let (ended, kept) = (AtomicBool::new(false), Mutex::new(Vec::new()));
                watch.crew(
                    (0..parties)
                        .map(|_| {
                            let job = || {
                                for round in 0..rounds {
                                    // SAFETY: made by `Box::into_raw`, and freed by the one caller that is last, which comes behind
                                    // this one's last use of it by `retire`.
                                    let last = unsafe { (*place.load(Acquire)).wait(&means) };
                                    if last {
                                        let old = place.load(Acquire);
                                        // SAFETY: as above; nobody but the last caller gets here.
                                        unsafe { (*old).retire() }.expect("nobody waits");
                                        // SAFETY: nobody uses it any more: that is what `retire` has waited for. The count stands
                                        // at the beginning of the memory, which is freed once, here or through the list.
                                        unsafe {
                                            if cfg!(miri) {
                                                old.cast::<u64>().write(0xA5);
                                                kept.lock().unwrap().push(AtomicPtr::new(old));
                                            } else {
                                                old.cast::<u8>().write_bytes(0xA5, size_of::<InPlace>());
                                                drop(Box::from_raw(old.cast::<MaybeUninit<InPlace>>()));
                                            }
                                        }
                                        ended.store(round + 1 == rounds, Relaxed);
                                        let fresh = made(parties, Reach::Process, round as u64);
                                        place.store(Box::into_raw(Box::new(fresh)), Relaxed);
                                    }
                                    next.wait();
                                }
                            };
                            Box::new(job) as common::watch::Job<'_, ()>
                        })
                        .collect(),
                );
                assert!(ended.into_inner());
                for old in kept.into_inner().unwrap().into_iter().chain([place]) {
                    // SAFETY: of the list, or the last that was made; all threads have ended.
                    drop(unsafe { Box::from_raw(old.into_inner()) });
                }
            }
        }
    });
}

#[test]
fn a_spurious_wake_releases_nobody() {
    watched("in place: spurious", patience(), |_| {
        let (barrier, means) = (made(2, Reach::Process, 0), Means::with_policy(WaitPolicy::Park));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let last = barrier.wait(&means);
                (last, over.load(Relaxed))
            });
            common::until(|| barrier.now_open() == (0, 1));
            for _ in 0..scaled(50) {
                barrier.wake_spuriously();
                thread::yield_now();
            }
            assert!(!sleeper.is_finished());
            over.store(true, Relaxed);
            assert!(barrier.wait(&means));
            assert_eq!(sleeper.join().unwrap(), (false, true));
        });
    });
}
