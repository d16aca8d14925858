//! What looks as if it were stuck, and is not.

use crate::common::{patience, until, watched};
use crate::support::{AFTER, let_time_pass, none, on_thread, watched_barrier};
use phalanx::Barrier;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn barriers_at_rest_broken_or_ended_are_never_reported() {
    watched("at rest", patience(), |_| {
        let (fresh, r1) = watched_barrier("fresh", 2);
        let (used, r2) = watched_barrier("used", 2);
        let mut parties = used.take_parties().unwrap();
        thread::scope(|s| {
            for party in &mut parties {
                s.spawn(|| party.wait().unwrap());
            }
        });
        let (broken, r3) = watched_barrier("broken", 3);
        let mut told = broken.claim(0).unwrap();
        broken.abort("by hand");
        assert!(told.wait().is_err());
        let (panicked, r4) = watched_barrier("panicked", 2);
        let one = panicked.claim(1).unwrap();
        let zero = on_thread("waits", panicked.claim(0).unwrap(), |party| party.wait().map(drop));
        let dies = on_thread("panics", one, |_| crate::common::watch::panic_quietly());
        assert!(dies.join().is_err());
        assert!(zero.join().unwrap().is_err());
        let (dropped, r5) = watched_barrier("dropped", 2);
        let zero = on_thread("waits", dropped.claim(0).unwrap(), |party| party.wait().map(drop));
        drop(dropped.claim(1).unwrap());
        assert!(zero.join().unwrap().is_err());
        let (ended, r6) = watched_barrier("ended", 2);
        ended.take_parties().unwrap().into_iter().for_each(|party| party.leave());
        assert!(ended.has_ended());
        // All have arrived, nobody waits: complete, and the work behind the arrivals may take as long as it likes.
        let (split, r7) = watched_barrier("split", 2);
        let mut both = split.take_parties().unwrap();
        let arrivals: Vec<_> = both.iter_mut().map(|party| party.arrive()).collect();
        // Everything has to be at rest by now, however slow the machine: what came before is none of the test's.
        for reports in [&r1, &r2, &r3, &r4, &r5, &r6, &r7] {
            while reports.try_recv().is_ok() {}
        }
        let_time_pass();
        for reports in [&r1, &r2, &r3, &r4, &r5, &r6, &r7] {
            none(reports);
        }
        arrivals.into_iter().for_each(|arrival| assert!(arrival.wait().is_ok()));
        drop((fresh, parties));
    });
}

/// A party that is always late, by more and more, up to just about the limit; each trip is timed from outside, and a report is
/// only right on one that was open for as long as the limit.
#[test]
fn trips_that_are_slow_but_complete_in_time_are_not_reported() {
    watched("slow but moving", patience(), |_| {
        let (barrier, reports) = watched_barrier("slow", 2);
        let mut parties = barrier.take_parties().unwrap().into_iter();
        let quick = on_thread("quick", parties.next().unwrap(), |party| {
            let mut opened = Vec::new();
            while {
                opened.push(Instant::now());
                party.wait().is_ok()
            } {}
            opened
        });
        let mut slow = parties.next().unwrap();
        let mut over = Vec::new();
        for tenths in [5, 5, 5, 9, 9, 10, 5, 9, 10, 5] {
            thread::sleep(AFTER * tenths / 10);
            slow.wait().unwrap();
            over.push(Instant::now());
        }
        drop(slow);
        let opened = quick.join().unwrap();
        for report in reports.try_iter() {
            let trip = report.generation() as usize;
            let open = over[trip] - opened[trip];
            assert!(open >= AFTER, "trip {trip} was open for {open:?}: {report}");
        }
    });
}

#[test]
fn a_trip_that_is_reset_again_and_again_is_not_reported() {
    watched("reset in between", patience(), |_| {
        let (barrier, reports) = watched_barrier("reset", 2);
        let waiting = on_thread("waits", barrier.claim(0).unwrap(), |party| {
            let mut waits = Vec::new();
            loop {
                let began = Instant::now();
                let broken = party.wait().unwrap_err();
                waits.push((broken.generation(), began.elapsed()));
                if broken.cause().kind() != "reset" {
                    return waits;
                }
            }
        });
        let kept = barrier.claim(1).unwrap();
        for _ in 0..20 {
            until(|| barrier.arrived() == 1);
            thread::sleep(AFTER / 4);
            barrier.reset().unwrap();
        }
        barrier.abort("over");
        let waits = waiting.join().unwrap();
        for report in reports.try_iter() {
            let wait = waits.iter().find(|(trip, _)| *trip == report.generation()).unwrap().1;
            assert!(wait >= AFTER, "it waited for {wait:?}: {report}");
        }
        drop(kept);
    });
}

/// Where nobody asks for it, nobody watches.
#[test]
fn a_barrier_without_a_watchdog_is_only_named() {
    let barrier = Barrier::builder(2).name("plain").timeout(Duration::from_millis(1)).build().unwrap();
    assert_eq!(barrier.name(), "plain");
    assert!(barrier.claim(0).unwrap().wait().is_err());
}
