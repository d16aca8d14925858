//! Who is told, how often, and what they may do.

use crate::common::watch::panic_quietly;
use crate::common::{patience, watched};
use crate::support::{AFTER, next, on_thread, watched_barrier};
use phalanx::{Barrier, Cause, WaitPolicy};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

#[test]
fn a_stuck_trip_is_reported_ever_more_seldom() {
    watched("back-off", patience(), |_| {
        let (barrier, reports) = watched_barrier("stuck", 2);
        let party = on_thread("waits", barrier.claim(0).unwrap(), |party| party.wait().unwrap_err());
        for count in 1..=4 {
            let report = next(&reports);
            assert_eq!((report.count(), report.after()), (count, AFTER));
            // On a busy machine later, never sooner.
            assert!(report.stuck_for() >= AFTER * (1 << (count - 1)), "{report}");
            assert_eq!(report.to_string().contains(&format!("(report {count})")), count > 1, "{report}");
        }
        barrier.abort("over");
        party.join().unwrap();
    });
}

#[test]
fn a_sink_may_break_the_trip_and_nothing_but_that_trip() {
    watched("break on request", patience(), |_| {
        let (tell, told) = mpsc::channel();
        let builder = Barrier::builder(4).name("doomed").wait_policy(WaitPolicy::Adaptive);
        let barrier = builder
            .watchdog(AFTER, move |report| {
                if report.generation() > 0 || report.present().len() < 3 {
                    return;
                }
                let broken = report.break_trip(format!("rank {} is missing", report.missing()[0].rank()));
                tell.send((report.clone(), broken)).unwrap();
            })
            .build()
            .unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let lazy = parties.remove(2);
        let threads: Vec<_> =
            parties.into_iter().map(|party| on_thread("waits", party, |party| party.wait().unwrap_err())).collect();
        let (report, broken) = told.recv().unwrap();
        let broken = broken.expect("it is stuck");
        assert_eq!(broken.cause(), &Cause::Aborted { reason: "rank 2 is missing".into() });
        assert_eq!((broken.generation(), broken.missing().len(), broken.arrived()), (0, 1, 3));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), broken);
        }
        // The one that was missing is told as well, and the trip cannot be broken again.
        assert_eq!(report.break_trip("again"), None);
        let mut lazy = lazy;
        assert_eq!(lazy.wait().unwrap_err(), broken);
        // Those that were released have dropped their handles.
        let mut others: Vec<_> = [0, 1, 3].map(|rank| barrier.claim(rank).unwrap()).into();
        assert_eq!(barrier.reset().unwrap(), 1);
        assert_eq!(report.break_trip("a later trip is none of its"), None);
        assert!(!barrier.is_broken());
        others.push(lazy);
        let threads: Vec<_> =
            others.into_iter().map(|party| on_thread("goes", party, |party| party.wait().is_ok())).collect();
        drop(barrier);
        // Either all complete trip 1, or somebody was released with a break by a handle that was dropped later: no.
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert_eq!(report.break_trip("it is gone"), None);
    });
}

#[test]
fn a_sink_that_panics_stops_nobody() {
    watched("a sink that panics", patience(), |_| {
        let calls = Arc::new(AtomicUsize::new(0));
        let barrier = Barrier::builder(2)
            .watchdog(AFTER / 4, {
                let calls = Arc::clone(&calls);
                move |_| {
                    calls.fetch_add(1, SeqCst);
                    panic_quietly()
                }
            })
            .build()
            .unwrap();
        let party = on_thread("waits", barrier.claim(0).unwrap(), |party| party.wait().unwrap_err());
        let (other, reports) = watched_barrier("other", 2);
        let waits = on_thread("waits", other.claim(0).unwrap(), |party| party.wait().unwrap_err());
        assert_eq!(next(&reports).barrier(), "other");
        crate::common::until(|| calls.load(SeqCst) >= 3);
        barrier.abort("over");
        other.abort("over");
        party.join().unwrap();
        waits.join().unwrap();
    });
}

#[test]
fn a_sink_may_build_and_drop_barriers_even_the_last_handle_of_its_own() {
    watched("a sink that builds", patience(), |_| {
        let (tell, told) = mpsc::channel();
        let (kept, keep) = mpsc::channel::<Barrier>();
        let keep = std::sync::Mutex::new(keep);
        let barrier = Barrier::builder(2)
            .watchdog(AFTER, move |_| {
                let inner = Barrier::builder(2).watchdog(AFTER, |_| ()).build().unwrap();
                drop(inner);
                // The last control handle: the rank that nobody has claimed breaks the trip.
                drop(keep.lock().unwrap().recv().unwrap());
                tell.send(()).unwrap();
            })
            .build()
            .unwrap();
        let party = on_thread("waits", barrier.claim(0).unwrap(), |party| party.wait().unwrap_err());
        kept.send(barrier).unwrap();
        told.recv().unwrap();
        assert_eq!(party.join().unwrap().cause(), &Cause::Dropped { rank: 1 });
    });
}
