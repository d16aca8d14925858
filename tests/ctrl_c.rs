//! Ctrl-C as a cancellation (feature `ctrl-c`): the first ends a run behind a whole tick, the second ends the process.
#![cfg(all(feature = "ctrl-c", unix, not(miri)))]

mod common;

use common::watched;
use phalanx::CancelToken;
use phalanx::team::Team;
use phalanx::team::lockstep::{At, Ended, Fault, Front, Lockstep, Stop, World};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

struct Count;

impl World for Count {
    type Part = u64;
    type Measure = ();

    fn part(&self, _: usize, _: usize) -> u64 {
        0
    }

    fn step(&self, _: At, front: Front<'_, u64>, back: &mut u64) -> Result<(), Fault> {
        *back = front.own() + 1;
        Ok(())
    }

    fn measure(&self, _: &u64) {}

    fn combine(&self, (): (), (): ()) {}
}

/// Not a test by itself: what the others start as a process of their own.
#[test]
#[ignore = "a child of the tests below"]
fn child_that_runs_until_it_is_interrupted() {
    // Should nobody interrupt it, because its parent has failed.
    std::thread::spawn(|| {
        std::thread::sleep(2 * LIMIT);
        std::process::exit(1);
    });
    let token = CancelToken::on_ctrl_c().unwrap();
    assert!(CancelToken::on_ctrl_c().unwrap().is_same(&token));
    let team = Team::builder().threads(2).build().unwrap();
    let mut count = Lockstep::builder(Count).cancel_on(&token).build(&team).unwrap();
    // Not "running": the harness says that before this.
    println!("under way");
    let report = count.run(Stop::never()).unwrap();
    assert_eq!(report.ended(), &Ended::Cancelled { reason: "interrupted".into() });
    assert!(count.parts().all(|part| *part == report.tick()), "half a tick");
    println!("whole");
    // For the second one.
    std::thread::sleep(LIMIT);
}

fn start() -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "--nocapture", "child_that_runs_until_it_is_interrupted"]);
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    until(&mut lines, "under way");
    (child, lines)
}

fn until(lines: &mut impl BufRead, word: &str) {
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child has ended without {word:?}");
    }
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn the_first_ends_the_run_and_the_second_the_process() {
    watched("the_first_ends_the_run_and_the_second_the_process", LIMIT, |_| {
        let (mut child, mut lines) = start();
        interrupt(&child);
        until(&mut lines, "whole");
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
    });
}
