//! What concerns the whole process: the one thread, and the environment. In child processes, where nobody else watches.

use crate::common::{patience, until, watched};
use phalanx::{Barrier, compat};
use std::process::{Command, Output};
use std::time::Duration;

/// Runs a test of this binary in a process of its own.
fn child(part: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("process::{part}"), "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("PHALANX_WATCHDOG").env_remove("PHALANX_WAIT_POLICY").env_remove("PHALANX_SPIN");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    assert!(output.status.success(), "{part} with {variables:?}: {}{}", text[0], text[1]);
    output
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The watchdog's threads, by the name that the kernel keeps: 15 bytes of it.
fn watchdogs() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(|task| name(task.ok()?)).filter(|name| name.trim_end() == "phalanx-watchdo").count()
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_one_thread() {
    watched("one thread", patience(), |_| {
        let plain = Barrier::new(2).unwrap();
        assert_eq!(watchdogs(), 0, "nobody is watched");
        let watched = |_| Barrier::builder(3).watchdog(Duration::from_millis(20), |_| ()).build().unwrap();
        for round in 0..3 {
            let mut barriers: Vec<Barrier> = (0..50).map(watched).collect();
            until(|| watchdogs() == 1);
            // Some trips are stuck meanwhile, and reported.
            let mut party = barriers[round].claim(0).unwrap();
            assert!(party.wait_timeout(Duration::from_millis(60)).is_err());
            assert_eq!(watchdogs(), 1);
            barriers.truncate(1);
            // A handle keeps a barrier alive, whoever has it.
            let last = barriers.remove(0).claim(1).unwrap();
            assert_eq!(watchdogs(), 1);
            drop((party, last));
            until(|| watchdogs() == 0);
        }
        drop(plain);
    });
}

#[test]
fn however_many_barriers_there_is_one_thread_and_behind_the_last_there_is_none() {
    child("child_one_thread", &[]);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_waits() {
    watched("a child that waits", patience(), |_| {
        let barrier = Barrier::builder(2).name("night").build().unwrap();
        let mut party = barrier.claim(0).unwrap();
        let limit = std::env::var("TEST_LIMIT_MS").unwrap().parse().unwrap();
        println!("\ntold: {}", party.wait_timeout(Duration::from_millis(limit)).unwrap_err());
    });
}

#[test]
fn the_environment_has_every_barrier_watched() {
    // Far more than the watchdog needs, on any machine, and less than the test has.
    let output = child("child_waits", &[("PHALANX_WATCHDOG", "40ms"), ("TEST_LIMIT_MS", "1500")]);
    let errors = errors(&output);
    assert!(errors.contains("phalanx: barrier `night`: trip 0 is stuck for "), "{errors}");
    assert!(errors.contains("\n  cause: rank 1 was never claimed"), "{errors}");
    assert!(errors.contains("(report 2)"), "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("timed out"), "it breaks nothing");

    for off in ["0", "infinite", "1h"] {
        let output = child("child_waits", &[("PHALANX_WATCHDOG", off), ("TEST_LIMIT_MS", "200")]);
        assert!(!self::errors(&output).contains("phalanx: "), "{off}: {}", self::errors(&output));
    }
}

#[test]
fn the_environment_has_a_stuck_trip_broken() {
    // The limit of the wait is none: only the watchdog ends it.
    let variables = [("PHALANX_WATCHDOG", "40ms, break=150ms"), ("TEST_LIMIT_MS", "100000000")];
    let output = child("child_waits", &variables);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let reason = "aborted: stuck for longer than the watchdog was told to put up with; not arrived: rank 1";
    assert!(told.contains(&format!("told: trip 0 broken: {reason}\n")), "{told}");
    assert!(errors(&output).contains("is stuck for"), "{}", errors(&output));
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_without_handles() {
    watched("a child without handles", patience(), |_| {
        static BARRIER: compat::Barrier = compat::Barrier::new(3);
        let call = || BARRIER.try_wait().map(drop);
        let threads: Vec<_> =
            (0..2).map(|n| std::thread::Builder::new().name(format!("caller-{n}")).spawn(call).unwrap()).collect();
        for thread in threads {
            println!("\ntold: {}", thread.join().unwrap().unwrap_err());
        }
    });
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_action() {
    watched("a child with an action", patience(), |_| {
        let (go, gone) = std::sync::mpsc::channel();
        let barrier = compat::Barrier::with_action(2, move || gone.recv().unwrap());
        std::thread::scope(|s| {
            let pair = [(); 2].map(|()| s.spawn(|| barrier.try_wait()));
            // For several reports, and beyond the time to break it, which a complete trip is safe from.
            std::thread::sleep(Duration::from_millis(600));
            go.send(()).unwrap();
            pair.into_iter().for_each(|thread| assert!(thread.join().unwrap().is_ok()));
        });
        // At rest, and a trip that is over at once.
        std::thread::scope(|s| (0..2).for_each(|_| drop(s.spawn(|| go.send(()).map(|()| barrier.try_wait())))));
    });
}

#[test]
fn callers_without_handles_are_counted() {
    let output = child("child_without_handles", &[("PHALANX_WATCHDOG", "60ms, break=200ms")]);
    let errors = errors(&output);
    assert!(errors.contains("phalanx: barrier `compat`: trip 0 is stuck for "), "{errors}");
    // On a busy machine the second caller may come behind the first report.
    assert!(errors.contains(" 2 of 3 parties have arrived"), "{errors}");
    assert!(errors.contains("\n  here: the first caller, `caller-"), "{errors}");
    assert!(errors.contains("\n  cause: 1 more call to `wait` would complete the trip"), "{errors}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let reason =
        "told: trip 0 broken: aborted: stuck for longer than the watchdog was told to put up with; 2 of 3 had arrived";
    assert_eq!(told.matches(reason).count(), 2, "{told}");

    let errors = self::errors(&child("child_action", &[("PHALANX_WATCHDOG", "60ms, break=200ms")]));
    assert!(errors.contains("all 2 parties have arrived, and 1 wait to be let go"), "{errors}");
    assert!(errors.contains("the action of the last one takes its time"), "{errors}");
}

#[test]
fn a_bad_value_is_reported_once_and_ignored() {
    for (bad, why) in [("30", "unit"), ("soon", "number"), ("30s,stop=1m", "break=DURATION"), ("", "number")] {
        let output = child("child_waits", &[("PHALANX_WATCHDOG", bad), ("TEST_LIMIT_MS", "100")]);
        let errors = errors(&output);
        let complaints: Vec<&str> = errors.lines().filter(|line| line.starts_with("phalanx: ")).collect();
        let [complaint] = complaints[..] else { panic!("{bad:?}: {errors}") };
        for part in ["PHALANX_WATCHDOG", &format!("{bad:?}"), why] {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_builder() {
    watched("a child that chooses", patience(), |_| {
        let barrier = Barrier::builder(2).watchdog(Duration::from_secs(3600), |_| println!("\nwrong")).build().unwrap();
        let mut party = barrier.claim(0).unwrap();
        assert!(party.wait_timeout(Duration::from_millis(300)).is_err());
    });
}

#[test]
fn the_builder_beats_the_environment() {
    let output = child("child_builder", &[("PHALANX_WATCHDOG", "20ms")]);
    assert!(!errors(&output).contains("stuck"), "{}", errors(&output));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("wrong"));
}
