//! The lockstep engine: the right state on any number of members and at any barrier, and the state before the tick when a
//! tick fails, whatever makes it fail, whoever, and wherever.

mod common;

#[path = "lockstep/ring.rs"]
mod ring;

use common::{few, nap, scaled, watched};
use phalanx::team::lockstep::{ChoiceError, Ended, Failure, Lockstep, LockstepError, Meeting, RetryPolicy, Stop};
use phalanx::team::rendezvous::{Scene, Script};
use phalanx::team::{RunError, Team};
use phalanx::{CancelToken, Cause};
use ring::{Ring, Trouble, expected};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = common::limit(60);
const CELLS: usize = 23;

fn team(threads: usize) -> Team {
    Team::builder().threads(threads).build().unwrap()
}

fn meetings() -> [Meeting; 4] {
    [Meeting::Phalanx, Meeting::Std, Meeting::Condvar, Meeting::Scripted(Script::new())]
}

fn state(engine: &Lockstep<'_, Ring>) -> Vec<u64> {
    engine.parts().flatten().copied().collect()
}

#[test]
fn the_state_is_the_same_for_all_members_barriers_and_phases() {
    watched("the_state_is_the_same_for_all_members_barriers_and_phases", LIMIT, |_| {
        for members in few([1, 2, 3, 4, 7]) {
            let team = team(members);
            for meeting in few(meetings()) {
                for phases in few(1..=4) {
                    let ring = Ring { phases, ..Ring::new(CELLS) };
                    let mut engine = Lockstep::builder(ring).barrier(meeting.clone()).build(&team).unwrap();
                    let mut tick = 0;
                    for ticks in few([0, 1, 5, 2, 13]) {
                        let report = engine.run(Stop::after(ticks)).unwrap();
                        tick += ticks;
                        assert_eq!((report.ticks(), report.tick(), report.ended()), (ticks, tick, &Ended::Ticks));
                        assert_eq!(engine.tick(), tick);
                        assert_eq!(state(&engine), expected(CELLS, phases, tick), "{members} {meeting:?} {phases}");
                    }
                }
            }
        }
    });
}

#[test]
fn several_ticks_to_a_trip_are_as_good_as_one() {
    watched("several_ticks_to_a_trip_are_as_good_as_one", LIMIT, |_| {
        for members in few([1, 2, 3, 5]) {
            let team = team(members);
            for ticks_per_trip in few([1, 2, 3, 8]) {
                let ring = Ring { halo: 8, ..Ring::new(CELLS) };
                let mut engine = Lockstep::builder(ring).ticks_per_trip(ticks_per_trip).build(&team).unwrap();
                for ticks in few([1, 7, 10]) {
                    assert_eq!(engine.run(Stop::after(ticks)).unwrap().ticks(), ticks);
                    assert_eq!(state(&engine), expected(CELLS, 1, engine.tick()));
                }
            }
        }
    });
}

/// A fault and a panic of every rank, at every tick and phase: everybody's state is the one before the tick, and the run
/// goes on from there.
#[test]
fn a_tick_that_fails_anywhere_leaves_the_state_before_it() {
    watched("a_tick_that_fails_anywhere_leaves_the_state_before_it", LIMIT, |_| {
        let members = 3;
        let team = team(members);
        for meeting in few(meetings()) {
            for phases in few([1, 2, 3]) {
                for (tick, phase, rank) in
                    (0..4).flat_map(|t| (0..phases).flat_map(move |p| (0..3).map(move |r| (t, p, r))))
                {
                    for panics in few([false, true]) {
                        let trouble = if panics { Trouble::Panic } else { Trouble::Fault };
                        let ring = Ring { phases, ..Ring::new(CELLS) };
                        ring.trouble(tick, phase, rank, trouble);
                        let mut engine = Lockstep::builder(ring).barrier(meeting.clone()).build(&team).unwrap();
                        let error = engine.run(Stop::after(6)).unwrap_err();
                        let LockstepError::Tick { tick: failed, failure, attempts: 1 } = error else {
                            panic!("{error:?}")
                        };
                        assert_eq!(failed, tick);
                        match (panics, failure) {
                            (false, Failure::Fault { rank: who, fault }) => {
                                assert_eq!((who, fault.to_string().as_str()), (rank, "as planned"));
                            }
                            (true, Failure::Panicked { rank: who, message }) => {
                                assert_eq!((who, message.as_str()), (rank, "as planned"));
                            }
                            (_, other) => panic!("{other:?}"),
                        }
                        assert_eq!(engine.tick(), tick);
                        assert_eq!(
                            state(&engine),
                            expected(CELLS, phases, tick),
                            "{meeting:?}, tick {tick} phase {phase}"
                        );
                        assert_eq!(engine.run(Stop::after(6 - tick)).unwrap().tick(), 6);
                        assert_eq!(state(&engine), expected(CELLS, phases, 6));
                    }
                }
            }
        }
    });
}

#[test]
fn several_members_that_fail_at_once_are_one_failure() {
    watched("several_members_that_fail_at_once_are_one_failure", LIMIT, |_| {
        let team = team(3);
        for _ in 0..scaled(50) {
            let ring = Ring::new(CELLS);
            (0..3).for_each(|rank| ring.trouble(2, 0, rank, Trouble::Fault));
            let mut engine = Lockstep::builder(ring).build(&team).unwrap();
            match engine.run(Stop::after(5)).unwrap_err() {
                LockstepError::Tick { tick: 2, failure: Failure::Fault { rank: 0, .. }, .. } => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(state(&engine), expected(CELLS, 1, 2));
        }
    });
}

#[test]
fn a_cancellation_at_every_tick_is_a_stop_with_a_whole_state() {
    watched("a_cancellation_at_every_tick_is_a_stop_with_a_whole_state", LIMIT, |_| {
        let team = team(3);
        for meeting in few(meetings()) {
            for phases in few([1, 2]) {
                for (tick, rank) in (0..5).flat_map(|tick| (0..3).map(move |rank| (tick, rank))) {
                    let token = CancelToken::new();
                    let ring = Ring { phases, ..Ring::new(CELLS) };
                    ring.trouble(tick, phases - 1, rank, Trouble::Cancel(token.clone()));
                    let builder = Lockstep::builder(ring).barrier(meeting.clone()).cancel_on(&token);
                    let mut engine = builder.build(&team).unwrap();
                    let report = engine.run(Stop::after(1_000_000)).unwrap();
                    assert_eq!(report.ended(), &Ended::Cancelled { reason: "as planned".into() });
                    // The tick under way may count, and where the trip cannot be broken the one behind it.
                    assert!((tick..=tick + 2).contains(&engine.tick()), "{tick} {}", engine.tick());
                    assert_eq!(state(&engine), expected(CELLS, phases, engine.tick()));
                    let again = engine.run(Stop::after(1)).unwrap();
                    assert_eq!((again.ticks(), again.ended()), (0, report.ended()));
                }
            }
        }
    });
}

#[test]
fn a_cancelled_team_ends_a_run() {
    watched("a_cancelled_team_ends_a_run", LIMIT, |_| {
        let token = CancelToken::new();
        let team = Team::builder().threads(2).cancel_on(&token).build().unwrap();
        let mut engine = Lockstep::builder(Ring::new(CELLS)).build(&team).unwrap();
        engine.run(Stop::after(3)).unwrap();
        token.cancel("team");
        let report = engine.run(Stop::after(3)).unwrap();
        assert_eq!((report.ticks(), report.ended()), (0, &Ended::Cancelled { reason: "team".into() }));
        assert_eq!(state(&engine), expected(CELLS, 1, 3));
    });
}

#[test]
fn a_member_that_is_late_breaks_the_tick_by_the_deadline() {
    watched("a_member_that_is_late_breaks_the_tick_by_the_deadline", LIMIT, |_| {
        let team = team(3);
        for meeting in few([Meeting::Phalanx, Meeting::Condvar]) {
            for asks in few([false, true]) {
                let deadline = nap(20);
                let ring = Ring::new(CELLS);
                ring.trouble(2, 0, 1, Trouble::Sleep(deadline * 5));
                let builder = Lockstep::builder(ring).barrier(meeting.clone()).tick_deadline(deadline);
                let mut engine = builder.build(&team).unwrap();
                let stop = if asks { Stop::when(1, |_| false).or_after(5) } else { Stop::after(5) };
                match engine.run(stop).unwrap_err() {
                    LockstepError::Tick { tick: 2, failure: Failure::Broken(broken), .. } => {
                        assert!(matches!(broken.cause(), Cause::TimedOut { .. }), "{broken}");
                        assert!(broken.missing().iter().any(|missing| missing.rank == 1), "{broken}");
                    }
                    other => panic!("{meeting:?} {other:?}"),
                }
                assert_eq!(state(&engine), expected(CELLS, 1, 2));
                engine.run(Stop::after(3)).unwrap();
                assert_eq!(state(&engine), expected(CELLS, 1, 5));
            }
        }
    });
}

#[test]
fn a_failed_tick_is_tried_again_as_the_policy_says() {
    watched("a_failed_tick_is_tried_again_as_the_policy_says", LIMIT, |_| {
        let team = team(2);
        let aborted = || Scene::Break(Cause::Aborted { reason: "script".into() });
        // Trip 3 of the first try, and the first two trips of the next two tries.
        let script = || Script::new().at(3, 1, aborted()).at(0, 0, aborted()).at(0, 1, aborted());
        let run = |script: Script, retry| {
            let builder = Lockstep::builder(Ring::new(CELLS)).barrier(Meeting::Scripted(script.clone())).retry(retry);
            let mut engine = builder.build(&team).unwrap();
            let result = engine.run(Stop::after(8));
            (result, engine.tick(), state(&engine), script)
        };
        // The family of the first try plays at(0, ..) first: so the run fails at tick 0 twice, then at tick 3.
        let (result, _, state, script) = run(script(), RetryPolicy::attempts(3).back_off(Duration::from_millis(1)));
        let report = result.unwrap();
        assert_eq!((report.ticks(), report.retries()), (8, 2));
        assert_eq!(state, expected(CELLS, 1, 8));
        assert!(script.unplayed().len() <= 1);

        let (result, tick, state, _) = run(Script::new().at(3, 1, aborted()), RetryPolicy::attempts(1));
        assert!(matches!(result, Err(LockstepError::Tick { tick: 3, attempts: 1, .. })), "{result:?}");
        assert_eq!((tick, state), (3, expected(CELLS, 1, 3)));

        let always = (0..10).fold(Script::new().at(2, 0, aborted()), |script, _| script.at(0, 0, aborted()));
        let (result, ..) = run(always, RetryPolicy::attempts(4));
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with("tick 0 failed 4 times, the last time: trip 0 broken: aborted: script"), "{text}");

        // Only what the policy accepts.
        let policy = RetryPolicy::attempts(9).only(|failure| !matches!(failure, Failure::Broken(_)));
        let (result, ..) = run(Script::new().at(1, 0, aborted()), policy);
        assert!(matches!(result, Err(LockstepError::Tick { tick: 1, attempts: 1, .. })));
    });
}

#[test]
fn faults_are_retried_until_they_cease() {
    watched("faults_are_retried_until_they_cease", LIMIT, |_| {
        let team = team(2);
        for phases in few([1, 3]) {
            let ring = Ring { phases, ..Ring::new(CELLS) };
            // One after the other, each played once.
            (0..3).for_each(|_| ring.trouble(4, phases - 1, 1, Trouble::Fault));
            ring.trouble(4, 0, 0, Trouble::Panic);
            let mut engine = Lockstep::builder(ring).retry(RetryPolicy::attempts(5)).build(&team).unwrap();
            let report = engine.run(Stop::after(9)).unwrap();
            assert!((3..=4).contains(&report.retries()), "{}", report.retries());
            assert_eq!(state(&engine), expected(CELLS, phases, 9));
        }
    });
}

#[test]
fn a_scripted_panic_at_a_trip_is_a_failed_tick() {
    watched("a_scripted_panic_at_a_trip_is_a_failed_tick", LIMIT, |_| {
        let team = team(3);
        for rank in 0..3 {
            let script = Script::new().at(2, rank, Scene::Panic("at the trip".into()));
            let mut engine =
                Lockstep::builder(Ring::new(CELLS)).barrier(Meeting::Scripted(script)).build(&team).unwrap();
            match engine.run(Stop::after(5)).unwrap_err() {
                LockstepError::Tick { tick: 2, failure: Failure::Panicked { rank: who, message }, .. } => {
                    assert_eq!((who, message.as_str()), (rank, "at the trip"));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(state(&engine), expected(CELLS, 1, 2));
            engine.run(Stop::after(3)).unwrap();
            assert_eq!(state(&engine), expected(CELLS, 1, 5));
        }
    });
}

#[test]
fn a_condition_stops_at_its_very_tick() {
    watched("a_condition_stops_at_its_very_tick", LIMIT, |_| {
        for members in few([1, 2, 3]) {
            let team = team(members);
            for meeting in few(meetings()) {
                for every in few([1, 3]) {
                    let target = expected(CELLS, 1, 12).iter().fold(0u64, |a, b| a.wrapping_add(*b));
                    let ring = Ring { halo: 4, ..Ring::new(CELLS) };
                    let builder = Lockstep::builder(ring).barrier(meeting.clone()).ticks_per_trip(4);
                    let mut engine = builder.build(&team).unwrap();
                    let report = engine.run(Stop::when(every, move |sum| sum == target).or_after(100)).unwrap();
                    assert_eq!((report.ended(), report.tick()), (&Ended::Condition, 12), "{meeting:?}");
                    assert_eq!(report.measure(), Some(target));
                    assert_eq!(state(&engine), expected(CELLS, 1, 12));
                    let report = engine.run(Stop::when(every, |_| false).or_after(2)).unwrap();
                    assert_eq!((report.ended(), report.tick()), (&Ended::Ticks, 14));
                }
            }
        }
    });
}

#[test]
fn a_run_is_paused_stepped_resumed_and_stopped_from_outside() {
    watched("a_run_is_paused_stepped_resumed_and_stopped_from_outside", LIMIT, |_| {
        for meeting in few(meetings()) {
            let team = team(3);
            let mut engine = Lockstep::builder(Ring::new(CELLS)).barrier(meeting).build(&team).unwrap();
            let handle = engine.handle();
            let settled = || {
                // Until nothing moves: a pause holds behind the tick that is under way or the next one. Miri shows old words, not
                // always.
                let looks = if cfg!(miri) { 30 } else { 1 };
                let mut tick = handle.tick();
                loop {
                    let still = |_| {
                        thread::sleep(nap(5));
                        handle.tick() == tick
                    };
                    if (0..looks).all(still) {
                        return tick;
                    }
                    tick = handle.tick();
                }
            };
            thread::scope(|s| {
                let running = s.spawn(|| {
                    let report = engine.run(Stop::never()).unwrap();
                    (report, &engine)
                });
                while handle.tick() < 10 {
                    thread::yield_now();
                }
                handle.pause();
                let held = settled();
                for steps in [1, 1, 4] {
                    handle.step(steps);
                    while handle.tick() < held + steps {
                        thread::yield_now();
                    }
                    assert_eq!(settled(), handle.tick());
                }
                assert_eq!(handle.tick(), held + 6);
                handle.resume();
                while handle.tick() < held + if cfg!(miri) { 10 } else { 100 } {
                    thread::yield_now();
                }
                handle.pause();
                let held = settled();
                handle.stop();
                let (report, engine) = running.join().unwrap();
                assert_eq!((report.ended(), report.tick()), (&Ended::Stopped, held));
                assert_eq!(state(engine), expected(CELLS, 1, held));
            });
            // The stop is used up; it is still paused.
            handle.resume();
            assert_eq!(engine.run(Stop::after(2)).unwrap().ticks(), 2);
            handle.stop();
            let report = engine.run(Stop::after(2)).unwrap();
            assert_eq!((report.ended(), report.ticks()), (&Ended::Stopped, 0));
        }
    });
}

#[test]
fn storms_of_wishes_leave_a_whole_state() {
    watched("storms_of_wishes_leave_a_whole_state", LIMIT, |watch| {
        let mut rng = watch.rng();
        let team = team(3);
        let ticks = if cfg!(miri) { 40 } else { 2_000 };
        for round in 0..scaled(40) {
            let mut engine = Lockstep::builder(Ring::new(CELLS)).timing(round % 2 == 0).build(&team).unwrap();
            let handle = engine.handle();
            thread::scope(|s| {
                let running = s.spawn(|| engine.run(Stop::after(ticks)).unwrap());
                for _ in 0..rng.below(60) {
                    match rng.below(4) {
                        0 => handle.pause(),
                        1 => handle.resume(),
                        2 => handle.step(1 + rng.below(3)),
                        _ => thread::yield_now(),
                    }
                }
                if rng.below(2) == 0 {
                    handle.stop();
                } else {
                    handle.resume();
                }
                let report = running.join().unwrap();
                assert!(report.ended() == &Ended::Stopped || report.tick() == ticks);
            });
            assert_eq!(state(&engine), expected(CELLS, 1, engine.tick()));
        }
    });
}

#[test]
fn a_cancellation_ends_a_pause() {
    watched("a_cancellation_ends_a_pause", LIMIT, |_| {
        for meeting in few(meetings()) {
            let (team, token) = (team(2), CancelToken::new());
            let builder = Lockstep::builder(Ring::new(CELLS)).barrier(meeting).cancel_on(&token);
            let mut engine = builder.build(&team).unwrap();
            let handle = engine.handle();
            thread::scope(|s| {
                let running = s.spawn(|| engine.run(Stop::never()).unwrap());
                while handle.tick() < 5 {
                    thread::yield_now();
                }
                handle.pause();
                thread::sleep(Duration::from_millis(5));
                token.cancel("enough");
                assert_eq!(running.join().unwrap().ended(), &Ended::Cancelled { reason: "enough".into() });
            });
            assert_eq!(state(&engine), expected(CELLS, 1, engine.tick()));
        }
    });
}

#[test]
fn an_observer_sees_every_state_once_and_whole() {
    watched("an_observer_sees_every_state_once_and_whole", LIMIT, |_| {
        for members in few([1, 2, 3]) {
            for every in few([1, 4]) {
                let (team, seen) = (team(members), Mutex::new(Vec::new()));
                {
                    let builder = Lockstep::builder(Ring { halo: 8, ..Ring::new(CELLS) }).ticks_per_trip(8);
                    let builder = builder.observe(every, |snapshot| {
                        let state: Vec<u64> = snapshot.front.iter().flatten().copied().collect();
                        assert_eq!(state, expected(CELLS, 1, snapshot.tick));
                        seen.lock().unwrap().push(snapshot.tick);
                    });
                    let mut engine = builder.build(&team).unwrap();
                    engine.run(Stop::after(9)).unwrap();
                    engine.run(Stop::after(8)).unwrap();
                }
                let expected: Vec<u64> = (1..=17).filter(|tick| tick % every == 0).collect();
                assert_eq!(seen.into_inner().unwrap(), expected);
            }
        }
    });
}

#[test]
fn an_observer_that_panics_fails_the_tick_and_is_told() {
    watched("an_observer_that_panics_fails_the_tick_and_is_told", LIMIT, |_| {
        let (team, calls) = (team(2), AtomicU64::new(0));
        let builder = Lockstep::builder(Ring::new(CELLS)).observe(3, |_| {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("too much"));
            }
        });
        let mut engine = builder.build(&team).unwrap();
        match engine.run(Stop::after(9)).unwrap_err() {
            LockstepError::Tick { tick: 3, failure: Failure::Panicked { rank: 0, message }, .. } => {
                assert_eq!(message, "too much");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(state(&engine), expected(CELLS, 1, 3));
        engine.run(Stop::after(6)).unwrap();
        assert_eq!(state(&engine), expected(CELLS, 1, 9));
    });
}

#[test]
fn what_cannot_be_had_is_refused_with_the_value() {
    let team = team(2);
    let refused = |ring: Ring, ticks: u64, meeting: Meeting, deadline: Option<Duration>| {
        let builder = Lockstep::builder(ring).ticks_per_trip(ticks).barrier(meeting);
        let builder = deadline.into_iter().fold(builder, |builder, deadline| builder.tick_deadline(deadline));
        match builder.build(&team).unwrap_err() {
            LockstepError::Choice(choice) => choice,
            other => panic!("{other}"),
        }
    };
    let ring = |phases, halo| Ring { phases, halo, ..Ring::new(CELLS) };
    let none = refused(ring(0, 1), 1, Meeting::Phalanx, None);
    assert_eq!(none, ChoiceError::NoPhases);
    let many = refused(ring(1, 4), 5, Meeting::Phalanx, None);
    assert_eq!(many.to_string(), "5 ticks per trip: the world's halo allows 1 to 4");
    assert_eq!(refused(ring(1, 4), 0, Meeting::Phalanx, None), ChoiceError::TicksPerTrip { ticks: 0, halo: 4 });
    let phased = refused(ring(2, 4), 2, Meeting::Phalanx, None);
    assert_eq!(phased, ChoiceError::TicksPerTripWithPhases { ticks: 2, phases: 2 });
    assert_eq!(refused(ring(1, 1), 1, Meeting::Std, Some(LIMIT)), ChoiceError::NoDeadlines);
    // A team that is at work.
    let mut engine = Lockstep::builder(Ring::new(CELLS)).build(&team).unwrap();
    let nested = team.run(|m| (m.rank() == 0).then(|| Lockstep::builder(Ring::new(CELLS)).build(&team).err())).unwrap();
    assert!(matches!(nested[0], Some(Some(LockstepError::Team(RunError::Nested)))));
    engine.run(Stop::after(1)).unwrap();
}

#[test]
fn the_state_may_be_changed_between_runs() {
    watched("the_state_may_be_changed_between_runs", LIMIT, |_| {
        let team = team(2);
        for phases in few([1, 2]) {
            let mut engine = Lockstep::builder(Ring { phases, ..Ring::new(CELLS) }).build(&team).unwrap();
            engine.run(Stop::after(5)).unwrap();
            let first = expected(CELLS, phases, 0);
            let mut cells = first.iter();
            engine.parts_mut().flatten().for_each(|cell| *cell = *cells.next().unwrap());
            engine.run(Stop::after(2)).unwrap();
            // The rule knows the tick: five more than from the start.
            assert_eq!(state(&engine), ring::expected_from(first, phases, 5..7));
        }
    });
}

#[test]
fn the_report_names_the_straggler() {
    watched("the_report_names_the_straggler", LIMIT, |_| {
        let team = team(2);
        let ring = Ring::new(CELLS);
        (0..5).for_each(|tick| ring.trouble(tick, 0, 1, Trouble::Sleep(nap(10))));
        let mut engine = Lockstep::builder(ring).build(&team).unwrap();
        let report = engine.run(Stop::after(5)).unwrap();
        assert_eq!(report.straggler(), Some(1));
        let waited = report.waited().unwrap();
        assert!(waited[0] >= nap(45) && waited[0] > waited[1], "{waited:?}");
        assert!(report.elapsed() >= nap(50));
        let text = report.to_string();
        assert!(text.contains("all ticks done, at tick 5") && text.contains("rank 1 waited least"), "{text}");
        let mut silent = Lockstep::builder(Ring::new(CELLS)).timing(false).build(&team).unwrap();
        assert_eq!(silent.run(Stop::after(1)).unwrap().straggler(), None);
    });
}

/// One that says something else each time it is asked would send some members home and let the others wait.
#[test]
fn a_condition_that_remembers_is_asked_once_for_all() {
    watched("a_condition_that_remembers_is_asked_once_for_all", LIMIT, |_| {
        let team = team(3);
        for meeting in few(meetings()) {
            let mut engine = Lockstep::builder(Ring::new(CELLS)).barrier(meeting).build(&team).unwrap();
            let calls = std::sync::Arc::new(AtomicU64::new(0));
            let asked = std::sync::Arc::clone(&calls);
            let report = engine.run(Stop::when(1, move |_| asked.fetch_add(1, Ordering::Relaxed) == 6)).unwrap();
            assert_eq!((report.ended(), report.tick()), (&Ended::Condition, 7));
            assert_eq!(calls.load(Ordering::Relaxed), 7);
            let panics = Stop::when(1, |_| std::panic::resume_unwind(Box::new("no idea")));
            match engine.run(panics).unwrap_err() {
                LockstepError::Tick { tick: 8, failure: Failure::Panicked { message, .. }, .. } => {
                    assert_eq!(message, "no idea");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(state(&engine), expected(CELLS, 1, 8));
        }
    });
}

/// A panic payload whose own drop panics must not get past the engine, or the others would wait.
#[test]
fn a_panic_over_a_panic_is_one_failure() {
    struct Grudge;
    impl Drop for Grudge {
        fn drop(&mut self) {
            // Of no size: this one is forgotten, or there would be no end of it.
            std::panic::resume_unwind(Box::new(()));
        }
    }
    watched("a_panic_over_a_panic_is_one_failure", LIMIT, |_| {
        let team = team(3);
        for meeting in few(meetings()) {
            let calls = AtomicU64::new(0);
            let mut engine = Lockstep::builder(Ring::new(CELLS))
                .barrier(meeting)
                .observe(2, |_| {
                    if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                        std::panic::resume_unwind(Box::new(Grudge));
                    }
                })
                .build(&team)
                .unwrap();
            let error = engine.run(Stop::after(4)).unwrap_err();
            assert!(
                matches!(error, LockstepError::Tick { tick: 2, failure: Failure::Panicked { .. }, .. }),
                "{error:?}"
            );
            assert_eq!(engine.run(Stop::after(2)).unwrap().tick(), 4);
            assert_eq!(state(&engine), expected(CELLS, 1, 4));
        }
    });
}

#[test]
fn a_deadline_beyond_the_clock_is_none() {
    watched("a_deadline_beyond_the_clock_is_none", LIMIT, |_| {
        let team = team(2);
        let mut engine = Lockstep::builder(Ring::new(CELLS)).tick_deadline(Duration::MAX).build(&team).unwrap();
        engine.run(Stop::when(2, |_| false).or_after(5)).unwrap();
        assert_eq!(engine.step().unwrap().tick(), 6);
        let cells: Vec<u64> = engine.into_parts().into_iter().flatten().collect();
        assert_eq!(cells, expected(CELLS, 1, 6));
    });
}

#[test]
fn a_stop_ends_a_back_off() {
    watched("a_stop_ends_a_back_off", LIMIT, |_| {
        let team = team(2);
        let ring = Ring::new(CELLS);
        ring.trouble(3, 0, 0, Trouble::Fault);
        let retry = RetryPolicy::attempts(2).back_off(LIMIT * 10);
        let mut engine = Lockstep::builder(ring).retry(retry).build(&team).unwrap();
        let handle = engine.handle();
        thread::scope(|s| {
            let running = s.spawn(|| engine.run(Stop::after(9)).unwrap());
            while handle.tick() < 3 {
                thread::yield_now();
            }
            handle.stop();
            assert_eq!(running.join().unwrap().ended(), &Ended::Stopped);
        });
        assert_eq!(state(&engine), expected(CELLS, 1, 3));
    });
}

#[test]
fn a_token_of_the_team_ends_a_run_at_any_barrier() {
    watched("a_token_of_the_team_ends_a_run_at_any_barrier", LIMIT, |_| {
        for meeting in few(meetings()) {
            let token = CancelToken::new();
            let team = Team::builder().threads(2).cancel_on(&token).build().unwrap();
            let mut engine = Lockstep::builder(Ring::new(CELLS)).barrier(meeting).build(&team).unwrap();
            let handle = engine.handle();
            thread::scope(|s| {
                let running = s.spawn(|| engine.run(Stop::never()).unwrap());
                while handle.tick() < 5 {
                    thread::yield_now();
                }
                token.cancel("team");
                assert_eq!(running.join().unwrap().ended(), &Ended::Cancelled { reason: "team".into() });
            });
            assert_eq!(state(&engine), expected(CELLS, 1, engine.tick()));
        }
    });
}

/// Small enough for Miri, and with everything in it that is unsafe: layers, phases, a failed tick, an observer.
#[test]
fn all_that_is_unsafe_under_miri() {
    watched("all_that_is_unsafe_under_miri", LIMIT * 10, |_| {
        let team = team(2);
        for phases in few([1, 2]) {
            let ring = Ring { phases, ..Ring::new(5) };
            ring.trouble(2, phases - 1, 1, Trouble::Fault);
            let mut engine = Lockstep::builder(ring)
                .observe(1, |snapshot| assert_eq!(snapshot.front.iter().map(Vec::len).sum::<usize>(), 5))
                .retry(RetryPolicy::attempts(2))
                .build(&team)
                .unwrap();
            assert_eq!(engine.run(Stop::when(2, |_| false).or_after(4)).unwrap().retries(), 1);
            assert_eq!(state(&engine), expected(5, phases, 4));
        }
    });
}

/// Counts ticks; two measures of 3 cannot be combined.
struct Sour;

impl phalanx::team::lockstep::World for Sour {
    type Part = u64;
    type Measure = u64;

    fn part(&self, _: usize, _: usize) -> u64 {
        0
    }

    fn step(
        &self,
        _: phalanx::team::lockstep::At,
        front: phalanx::team::lockstep::Front<'_, u64>,
        back: &mut u64,
    ) -> Result<(), phalanx::team::lockstep::Fault> {
        *back = front.own() + 1;
        Ok(())
    }

    fn measure(&self, part: &u64) -> u64 {
        *part
    }

    fn combine(&self, a: u64, b: u64) -> u64 {
        if (a, b) == (3, 3) {
            std::panic::resume_unwind(Box::new("sour"));
        }
        a.max(b)
    }
}

#[test]
fn a_combination_that_panics_fails_behind_its_tick_and_nobody_asks_an_old_measure() {
    watched("a_combination_that_panics_fails_behind_its_tick_and_nobody_asks_an_old_measure", LIMIT, |_| {
        let team = team(3);
        for meeting in few(meetings()) {
            for last in few([3, 9]) {
                let mut engine = Lockstep::builder(Sour).barrier(meeting.clone()).build(&team).unwrap();
                let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
                let told = std::sync::Arc::clone(&asked);
                let stop = Stop::when(1, move |measure| {
                    told.lock().unwrap().push(measure);
                    false
                });
                match engine.run(stop.or_after(last)).unwrap_err() {
                    LockstepError::Tick { tick: 3, failure: Failure::Panicked { message, .. }, .. } => {
                        assert_eq!(message, "sour");
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(*asked.lock().unwrap(), [1, 2]);
                assert!(engine.parts().all(|part| *part == 3));
                assert_eq!(engine.run(Stop::when(1, |measure| measure == 5)).unwrap().tick(), 5);
            }
        }
    });
}
