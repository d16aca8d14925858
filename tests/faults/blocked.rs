//! What a party costs that waits for long, and how soon it goes on: hardly any CPU time while blocked (R15), and no sleep that
//! ends late because it polls with growing pauses (B20).

use super::common::{cpu_time, patience, scaled, watched};
use super::{SLEEPING, barrier};
use phalanx::{Algorithm, WaitPolicy, compat};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// CPU time of a thread of its own that waits for about `time`, and how long the wait was.
fn cost_of(time: Duration, wait: impl FnOnce() + Send, release: impl FnOnce()) -> Option<(Duration, Duration)> {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let (start, before) = (Instant::now(), cpu_time()?);
            wait();
            Some((cpu_time()? - before, start.elapsed()))
        });
        thread::sleep(time);
        release();
        waiter.join().unwrap()
    })
}

/// Three seconds, so that the look every second is part of it.
#[test]
fn a_blocked_party_uses_less_than_a_hundredth_of_a_cpu() {
    watched("faults: blocked", patience(), |_| {
        let time = Duration::from_millis(3200);
        let judge = |what: String, measure: &dyn Fn() -> Option<(Duration, Duration)>| {
            // A neighbour may disturb the first polls; it does not do so every time.
            for attempt in 1.. {
                let Some((used, waited)) = measure() else { return println!("SKIPPED: no scheduler statistics here") };
                println!("{what}: {used:?} of CPU time in {waited:?}");
                if used * 100 < waited {
                    return;
                }
                assert!(attempt < 3, "{what}: {used:?} of CPU time in {waited:?}, three times in a row");
            }
        };
        thread::scope(|scope| {
            for policy in SLEEPING {
                for parties in [2, 3] {
                    scope.spawn(move || {
                        judge(format!("{policy} {parties}"), &|| {
                            let barrier = barrier(parties, Algorithm::Auto, policy);
                            let mut handles = barrier.take_parties().unwrap();
                            let mut waiting = handles.pop().unwrap();
                            let wait = || assert!(waiting.wait().is_ok());
                            cost_of(time, wait, || {
                                thread::scope(|scope| {
                                    handles.iter_mut().for_each(|party| {
                                        scope.spawn(move || party.wait().unwrap());
                                    });
                                });
                            })
                        });
                    });
                }
            }
            scope.spawn(move || {
                judge("compat 2".into(), &|| {
                    let barrier = compat::Barrier::new(2);
                    let cross = || {
                        barrier.wait();
                    };
                    cost_of(time, cross, cross)
                });
            });
        });
    });
}

/// From the last arrival to the first instruction of the one that has waited for it, of `waits`, sorted.
fn latencies(waits: usize, mut cross: impl FnMut(usize) + Send + Clone) -> Vec<Duration> {
    let start = Instant::now();
    let arrived = &AtomicU64::new(0);
    let nanos = move || start.elapsed().as_nanos() as u64;
    let mut latencies: Vec<u64> = thread::scope(|scope| {
        let mut also = cross.clone();
        let waiter = scope.spawn(move || {
            let wait = |_| {
                also(1);
                let latency = nanos().saturating_sub(arrived.load(SeqCst));
                also(1); // so that the next arrival is not noted before this one is read
                latency
            };
            (0..waits).map(wait).collect()
        });
        for _ in 0..waits {
            thread::sleep(Duration::from_millis(5));
            arrived.store(nanos(), SeqCst);
            cross(0);
            cross(0);
        }
        waiter.join().unwrap()
    });
    latencies.sort_unstable();
    latencies.into_iter().map(Duration::from_nanos).collect()
}

/// Beside std's barrier in the same run, at the tail: a barrier that polls with growing sleeps is late every time. With
/// `PHALANX_TEST_SCALE=50` there are enough waits for a 99.9th percentile.
#[test]
fn the_end_of_a_long_wait_is_not_late_at_the_tail() {
    watched("faults: tail", patience(), |_| {
        let waits = scaled(40);
        let tail = |sorted: &[Duration]| sorted[(sorted.len() * 999 / 1000).min(sorted.len() - 1)];
        let measure = |policy: WaitPolicy| {
            let theirs = std::sync::Barrier::new(2);
            let theirs = latencies(waits, |_| {
                theirs.wait();
            });
            let barrier = barrier(2, Algorithm::Auto, policy);
            let parties: Vec<_> = barrier.take_parties().unwrap().into_iter().map(std::sync::Mutex::new).collect();
            (latencies(waits, |rank| assert!(parties[rank].lock().unwrap().wait().is_ok())), theirs)
        };
        for policy in SLEEPING {
            // Neighbours make tails, so the best of three counts; a back-off is late in each.
            for attempt in 1.. {
                let (ours, theirs) = measure(policy);
                let (late, allowed) = (tail(&ours), tail(&theirs) * 10 + Duration::from_millis(5));
                println!(
                    "{policy}: median {:?}, tail {late:?} of {waits}; std {:?}, {:?}",
                    ours[waits / 2],
                    theirs[waits / 2],
                    tail(&theirs)
                );
                if late <= allowed {
                    break;
                }
                assert!(attempt < 3, "{policy}: {late:?} late, {allowed:?} allowed, three times in a row");
            }
        }
    });
}
