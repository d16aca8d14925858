//! The timeline, read back as a trace viewer would read it: every event well-formed, every interval where it belongs, no
//! release before the last arrival; bounded; and whole while the parties go on.
#![cfg(feature = "timeline")]

mod common;

#[path = "timeline/trace.rs"]
mod trace;

use common::watch::panic_quietly;
use common::{few, patience, scaled, until, watched};
use phalanx::observe::{Ending, Mark, Timeline};
use phalanx::{Algorithm, Barrier, Broken, BuildError, Party};
use std::thread;
use std::time::Duration;
use trace::Trace;

/// Runs `life` on a thread for each party, and names the threads.
fn run<T: Send>(barrier: &Barrier, life: impl Fn(Party) -> T + Sync) -> Vec<T> {
    let life = &life;
    thread::scope(|scope| {
        let start = |party: Party| {
            let name = format!("worker-{}", party.rank());
            thread::Builder::new().name(name).spawn_scoped(scope, move || life(party)).unwrap()
        };
        let threads: Vec<_> = barrier.take_parties().unwrap().into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn timeline(barrier: &Barrier) -> Timeline {
    barrier.timeline().unwrap()
}

#[test]
fn every_interval_is_where_it_belongs() {
    watched("every_interval_is_where_it_belongs", patience(), |_| {
        let trips = scaled(150) as u64;
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([2, 3, 5, 8]) {
                let barrier =
                    Barrier::builder(parties).name("halo").algorithm(algorithm).timeline(1 << 12).build().unwrap();
                run(&barrier, |mut party| (0..trips).for_each(|_| _ = party.wait().unwrap()));
                let trace = Trace::of(&timeline(&barrier));
                assert_eq!(trace.process, "halo");
                assert_eq!(trace.tracks.len(), parties);
                for (rank, track) in &trace.tracks {
                    assert_eq!(track.name, format!("rank {rank} (worker-{rank})"));
                    assert_eq!((track.waits().count() as u64, track.dropped), (trips, 0), "{algorithm:?}");
                }
                assert_eq!(trace.check_trips(parties), trips, "{algorithm:?}, {parties} parties");
                // With the first handle that went, when all was done.
                let causes: Vec<_> = trace.marks.iter().map(|(_, mark)| mark["args"]["cause"].as_str()).collect();
                assert_eq!(causes, [Some("dropped")]);
            }
        }
    });
}

/// The party that is late is the last to arrive, and the others are shown to wait for it as long as it was planted.
#[test]
fn a_straggler_stands_out() {
    const LATE: Duration = Duration::from_millis(3);
    watched("a_straggler_stands_out", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([2, 3, 4, 7]) {
                let straggler = parties / 2;
                let barrier = Barrier::builder(parties).algorithm(algorithm).timeline(64).build().unwrap();
                run(&barrier, |mut party| {
                    for trip in 0..20 {
                        if party.rank() == straggler && trip == 11 {
                            until(|| barrier.generation() == trip && barrier.arrived() == parties - 1);
                            thread::sleep(LATE);
                        }
                        party.wait().unwrap();
                    }
                });
                let trace = Trace::of(&timeline(&barrier));
                trace.check_trips(parties);
                let (last, first_out) = trace.ends_of(11);
                assert_eq!(last, straggler, "{algorithm:?}, {parties} parties");
                for (&rank, track) in trace.tracks.iter().filter(|(rank, _)| **rank != straggler) {
                    let wait = track.waits().find(|wait| wait.trip == 11).unwrap();
                    let long = wait.to - wait.from;
                    // The rate of the counter is measured, not known.
                    assert!(u128::from(long) >= LATE.as_nanos() * 99 / 100, "rank {rank} waited {long} ns");
                    assert!(wait.to >= first_out);
                }
            }
        }
    });
}

#[test]
fn split_phase_is_three_intervals() {
    const WORK: Duration = Duration::from_millis(3);
    watched("split_phase_is_three_intervals", patience(), |_| {
        let trips = scaled(60) as u64;
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([2, 3, 4]) {
                let barrier = Barrier::builder(parties).algorithm(algorithm).timeline(1 << 10).build().unwrap();
                run(&barrier, |mut party| {
                    for trip in 0..trips {
                        let mut arrival = party.arrive();
                        match trip % 4 {
                            0 => _ = arrival.wait().unwrap(),
                            1 => {
                                if trip == 1 {
                                    thread::sleep(WORK);
                                }
                                until(|| arrival.try_wait().unwrap().is_some());
                            }
                            2 => while arrival.wait_timeout(Duration::from_micros(20)).unwrap().is_none() {},
                            // Seen to the end by whatever comes next.
                            _ => drop(arrival),
                        }
                    }
                    // Nobody goes before all have seen the end of the last one.
                    party.wait().unwrap();
                });
                let trace = Trace::of(&timeline(&barrier));
                assert_eq!(trace.check_trips(parties), trips + 1, "{algorithm:?}, {parties} parties");
                for track in trace.tracks.values() {
                    let overlap = track.spans.iter().find(|span| span.name == "overlap" && span.trip == 1).unwrap();
                    let long = overlap.to - overlap.from;
                    // The rate of the counter is measured, not known.
                    assert!(u128::from(long) >= WORK.as_nanos() * 99 / 100, "worked for {long} ns before it asked");
                }
            }
        }
    });
}

/// Every party that is told of a break has it on its track; those that go on behind the reset have that as well.
#[test]
fn a_break_is_marked_for_every_party_that_was_told() {
    watched("a_break_is_marked_for_every_party_that_was_told", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([2, 3, 6]) {
                let barrier = Barrier::builder(parties).algorithm(algorithm).timeline(256).build().unwrap();
                let told = run(&barrier, |mut party| -> Broken {
                    for _ in 0..7 {
                        party.wait().unwrap();
                    }
                    if party.rank() == 1 {
                        until(|| barrier.generation() == 7 && barrier.arrived() == parties - 1);
                        barrier.abort("as \"planned\"\n");
                    }
                    let told = party.wait().unwrap_err();
                    // All the same: the handle is not to be dropped before the reset.
                    until(|| timeline(&barrier).tracks().iter().all(|track| track.events().len() == 8));
                    if party.rank() == 0 {
                        assert_eq!(barrier.reset().unwrap(), 8);
                    }
                    until(|| !barrier.is_broken());
                    for _ in 0..5 {
                        party.wait().unwrap();
                    }
                    told
                });
                let timeline = timeline(&barrier);
                let trace = Trace::of(&timeline);
                assert_eq!(trace.check_trips(parties), 7 + 5, "{algorithm:?}, {parties} parties");
                for track in trace.tracks.values() {
                    let broken: Vec<_> = track.waits().filter(|wait| wait.outcome == "broken").collect();
                    assert_eq!(broken.iter().map(|wait| wait.trip).collect::<Vec<_>>(), [7]);
                    assert_eq!(track.told, [(broken[0].to, 7)]);
                    assert_eq!(track.waits().count(), 13);
                }
                let [(_, Mark::Broken(first)), (_, Mark::Reset { next: 8 })] = &timeline.marks()[..2] else {
                    panic!("{:?}", timeline.marks())
                };
                assert!(told.iter().all(|told| told == first));
                let [(at, broken), (later, reset)] = &trace.marks[..2] else { panic!("{:?}", trace.marks) };
                assert!(at <= later);
                assert_eq!(
                    (broken["name"].as_str(), broken["args"]["cause"].as_str()),
                    (Some("break"), Some("aborted"))
                );
                assert_eq!(broken["args"]["text"].as_str(), Some(first.to_string().as_str()));
                assert_eq!((reset["name"].as_str(), reset["args"]["next"].as_u64()), (Some("reset"), Some(8)));
            }
        }
    });
}

/// A trip that all have crossed and that breaks for what rides on it is a broken one on every track, beside good ones; and is
/// not timed.
#[test]
fn a_trip_that_an_operator_breaks_is_broken_on_every_track() {
    watched("a_trip_that_an_operator_breaks_is_broken_on_every_track", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for (parties, alone) in few([(2, false), (2, true), (3, false), (5, true)]) {
                let builder = Barrier::builder(parties).algorithm(algorithm).timeline(64);
                #[cfg(feature = "hdr")]
                let builder = builder.statistics(phalanx::observe::Sampling::ALL);
                let barrier = builder.build().unwrap();
                run(&barrier, |mut party| {
                    assert_eq!(party.all_reduce(1, |a, b| a + b).unwrap(), parties);
                    party.arrive().wait().unwrap();
                    let rank = party.rank();
                    let operator = |a: usize, b: usize| {
                        if alone && rank > 0 {
                            until(|| barrier.is_broken());
                            return a + b;
                        }
                        panic_quietly()
                    };
                    assert_eq!(party.all_reduce(1, operator).unwrap_err().generation(), 2);
                    // The handle is not to be dropped before the reset.
                    until(|| timeline(&barrier).tracks().iter().all(|track| track.events().len() == 3));
                    if rank == 0 {
                        assert_eq!(barrier.reset().unwrap(), 3);
                    }
                    until(|| !barrier.is_broken());
                    assert_eq!(party.cloning().all_reduce(1, |a, b| a + b).unwrap(), parties);
                    assert_eq!(party.all_gather(rank as u64).unwrap().len(), parties);
                    party.wait().unwrap();
                });
                let timeline = timeline(&barrier);
                let trace = Trace::of(&timeline);
                assert_eq!(trace.check_trips(parties), 5, "{algorithm:?}, {parties} parties, alone: {alone}");
                for track in timeline.tracks() {
                    let trips: Vec<_> = track
                        .events()
                        .iter()
                        .map(|event| (event.generation(), event.ending() == Ending::Broken))
                        .collect();
                    assert_eq!(trips, [0, 1, 2, 3, 4, 5].map(|trip| (trip, trip == 2)), "{algorithm:?}");
                }
                #[cfg(feature = "hdr")]
                for rank in 0..parties {
                    assert_eq!(barrier.stats().timing.unwrap().party(rank).unwrap().wait.count(), 5);
                }
            }
        }
    });
}

/// What is done for all breaks the trip even where it is made up for, because who was to do it left: see `Party::leave`.
#[test]
fn a_trip_that_breaks_behind_a_leaver_is_broken_on_every_track() {
    watched("a_trip_that_breaks_behind_a_leaver_is_broken_on_every_track", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for breaks in few([false, true]) {
                let barrier = Barrier::builder(3).algorithm(algorithm).timeline(64).build().unwrap();
                // Nobody goes before all were told.
                let kept = run(&barrier, |mut party| {
                    if party.rank() == 0 {
                        until(|| barrier.arrived() == 2);
                        party.leave();
                        return None;
                    }
                    let served = party.serial(|| if breaks { panic_quietly() } else { 7 });
                    match served {
                        Ok(7) => party.wait().map(drop).unwrap(),
                        served => assert_eq!(served.unwrap_err().generation(), 0),
                    }
                    Some(party)
                });
                for track in &timeline(&barrier).tracks()[1..] {
                    let trips: Vec<_> = track
                        .events()
                        .iter()
                        .map(|event| (event.generation(), event.ending() == Ending::Broken))
                        .collect();
                    let expected: &[_] = if breaks { &[(0, true)] } else { &[(0, false), (1, false)] };
                    assert_eq!(trips, expected, "{algorithm:?}");
                }
                drop(kept);
            }
        }
    });
}

/// The time that an operator takes is none of the wait.
#[test]
fn an_operator_works_behind_the_release() {
    const LONG: Duration = Duration::from_millis(20);
    watched("an_operator_works_behind_the_release", patience(), |_| {
        let barrier = Barrier::builder(2).timeline(8).build().unwrap();
        let worked = run(&barrier, |mut party| {
            let mut began = None;
            let operator = |a: u32, b: u32| {
                began = Some(std::time::Instant::now());
                thread::sleep(LONG);
                a + b
            };
            party.all_reduce(1, operator).unwrap();
            party.wait().unwrap();
            began.unwrap().elapsed()
        });
        for (track, worked) in timeline(&barrier).tracks().iter().zip(worked) {
            let [first, second] = track.events() else { panic!("{track:?}") };
            let between = second.arrived() - first.released();
            assert!(worked >= LONG && between >= LONG * 99 / 100, "{between:?} of {worked:?}");
        }
    });
}

/// A handle that is dropped and claimed anew goes on in the same track.
#[test]
fn a_restarted_worker_keeps_its_track() {
    watched("a_restarted_worker_keeps_its_track", patience(), |_| {
        let barrier = Barrier::builder(2).timeline(64).build().unwrap();
        for round in 0..3u64 {
            run(&barrier, |mut party| {
                if round > 0 && party.rank() == 0 {
                    barrier.reset().unwrap();
                }
                until(|| !barrier.is_broken());
                (0..4).for_each(|_| _ = party.wait().unwrap());
            });
            assert!(barrier.is_broken());
        }
        let timeline = timeline(&barrier);
        assert_eq!(Trace::of(&timeline).check_trips(2), 12);
        for track in timeline.tracks() {
            let trips: Vec<u64> = track.events().iter().map(|event| event.generation()).collect();
            // Each round's end broke a trip that nobody came to.
            assert_eq!(trips, [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]);
        }
    });
}

#[test]
fn a_timeline_is_bounded_and_counts_what_it_drops() {
    watched("a_timeline_is_bounded_and_counts_what_it_drops", patience(), |_| {
        for (kept, trips) in few([(16, 1000), (16, 10), (1, 7), (0, 5)]) {
            let barrier = Barrier::builder(3).timeline(kept).build().unwrap();
            run(&barrier, |mut party| (0..trips).for_each(|_| _ = party.wait().unwrap()));
            let timeline = timeline(&barrier);
            let trace = Trace::of(&timeline);
            for track in timeline.tracks() {
                let held = kept.min(trips as usize);
                assert_eq!((track.events().len(), track.dropped()), (held, trips - held as u64));
                assert!(track.events().last().is_none_or(|event| event.generation() == trips - 1));
                assert_eq!(trace.tracks[&track.rank()].dropped, track.dropped());
            }
        }
    });
}

#[test]
fn more_than_a_timeline_can_keep_is_refused() {
    let error = Barrier::builder(2).timeline(usize::MAX).build().unwrap_err();
    assert_eq!(error, BuildError::Timeline { events: usize::MAX });
    assert!(
        error.to_string().starts_with("a timeline keeps at most 16777216 events for each party, not 18"),
        "{error}"
    );
    assert!(Barrier::new(2).unwrap().timeline().is_none());
}

/// Copies made beside the parties are as good as those made at rest, but for their ends: each party's may be elsewhere.
#[test]
fn a_copy_made_while_the_parties_go_on_is_consistent() {
    watched("a_copy_made_while_the_parties_go_on_is_consistent", patience(), |_| {
        for parties in few([2, 3, 4]) {
            let barrier = Barrier::builder(parties).timeline(50).build().unwrap();
            let trips = scaled(30_000) as u64;
            let watching = barrier.clone();
            thread::scope(|scope| {
                let parties_done =
                    scope.spawn(|| run(&barrier, |mut party| (0..trips).for_each(|_| _ = party.wait().unwrap())));
                let mut copies = 0;
                while !parties_done.is_finished() || copies == 0 {
                    let timeline = timeline(&watching);
                    for track in timeline.tracks() {
                        for (number, event) in (track.dropped()..).zip(track.events()) {
                            assert_eq!(event.generation(), number);
                            assert_ne!(event.ending(), Ending::Broken);
                        }
                    }
                    Trace::of(&timeline).check_trips(parties);
                    copies += 1;
                }
            });
        }
    });
}

/// Arrivals that are made good elsewhere, because somebody joins, end on the track where they began.
#[test]
fn who_joins_and_leaves_has_a_track() {
    watched("who_joins_and_leaves_has_a_track", patience(), |_| {
        let barrier = Barrier::builder(1).timeline(64).build().unwrap();
        let mut first = barrier.claim(0).unwrap();
        first.wait().unwrap();
        let mut second = barrier.join().unwrap();
        let arrival = second.arrive();
        let mut third = barrier.join().unwrap();
        thread::scope(|scope| {
            // Arrives where its trip is not held any more, and is sent on.
            let third = scope.spawn(|| third.wait().unwrap().generation());
            let mut fourth = loop {
                if timeline(&barrier).tracks().len() == 3 {
                    break barrier.join().unwrap();
                }
            };
            assert_eq!(first.wait().unwrap().generation(), 1);
            let fourth = scope.spawn(move || {
                let trip = fourth.wait().unwrap().generation();
                fourth.leave();
                trip
            });
            assert_eq!(first.wait().unwrap().generation(), 2);
            assert_eq!(arrival.wait().unwrap().generation(), 2);
            assert_eq!((third.join().unwrap(), fourth.join().unwrap()), (2, 2));
        });
        let timeline = timeline(&barrier);
        let trips = |rank: usize| -> Vec<u64> {
            timeline.tracks()[rank].events().iter().map(|event| event.generation()).collect()
        };
        assert_eq!((trips(0), trips(1), trips(2), trips(3)), (vec![0, 1, 2], vec![2], vec![2], vec![2]));
        let trace = Trace::of(&timeline);
        let (_, first_out) = trace.ends_of(2);
        let arrivals = timeline.tracks().iter().map(|track| track.events().last().unwrap().arrived());
        assert!(u128::from(first_out) >= arrivals.max().unwrap().as_nanos());
    });
}

#[test]
fn names_and_numbers_survive_the_way() {
    watched("names_and_numbers_survive_the_way", patience(), |_| {
        let name = "a \"name\"\nof \\ two lines, Größe \u{1f600}";
        let barrier = Barrier::builder(2).name(name).first_generation(u64::MAX - 2).timeline(8).build().unwrap();
        run(&barrier, |mut party| (0..6).for_each(|_| _ = party.wait().unwrap()));
        let trace = Trace::of(&timeline(&barrier));
        assert_eq!(trace.process, name);
        for track in trace.tracks.values() {
            let trips: Vec<u64> = track.waits().map(|wait| wait.trip).collect();
            assert_eq!(trips, [u64::MAX - 2, u64::MAX - 1, u64::MAX, 0, 1, 2]);
        }
        assert_eq!(trace.check_trips(2), 6);
    });
}

/// Two barriers of one process are two processes of one trace, on one clock.
#[test]
fn several_barriers_can_be_laid_beside_each_other() {
    let barriers = [(); 2].map(|()| Barrier::builder(1).timeline(4).build().unwrap());
    let traces = barriers.map(|barrier| {
        barrier.claim(0).unwrap().wait().unwrap();
        Trace::of(&timeline(&barrier))
    });
    assert_ne!(traces[0].pid, traces[1].pid);
    let end = |trace: &Trace| trace.tracks[&0].spans.last().unwrap().to;
    assert!(end(&traces[0]) <= end(&traces[1]));
}

#[test]
fn a_writer_that_fails_is_told() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let barrier = Barrier::builder(1).timeline(4).build().unwrap();
    let error = timeline(&barrier).write_chrome(Full).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
