//! Parts that run in a process of their own: this test binary once more, with one test and an order for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};

const ORDER: &str = "PHALANX_TEST_FAULTS";

/// The exit status of a child that may not do here what it was told.
const SKIPPED: i32 = 77;

/// What this process is to do, if it is a child.
pub(crate) fn order() -> Option<String> {
    std::env::var(ORDER).ok()
}

/// One line of a child's answer, on a line of its own whatever the test's harness has begun to say.
pub(crate) fn say(line: &str) {
    println!("\n> {line}");
}

/// Ends the whole process if `work` panics: a party that is gone would only leave the others waiting for the watchdog.
pub(crate) fn or_die<T>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| std::process::exit(101))
}

/// Ends a child that can do nothing here.
pub(crate) fn skip(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(SKIPPED)
}

/// Runs the ignored test `part` with `order`; `None` and a line for the reader if it may not do that here.
pub(crate) fn run(part: &str, order: &str) -> Option<Output> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", part, "--include-ignored", "--nocapture", "--test-threads=1"]).env(ORDER, order);
    command.env_remove("PHALANX_SPIN").env_remove("PHALANX_WAIT_POLICY").env_remove("PHALANX_WATCHDOG");
    let output = command.output().unwrap();
    if output.status.code() == Some(SKIPPED) {
        println!("SKIPPED: {part} {order}: {}", err(&output).trim());
        return None;
    }
    assert!(out(&output).contains("running 1 test"), "{part}: the child ran nothing: {}", out(&output));
    Some(output)
}

/// The lines that a child has marked as its answer; a child that failed fails its parent.
pub(crate) fn answer(part: &str, order: &str) -> Option<Vec<String>> {
    let output = run(part, order)?;
    assert!(output.status.success(), "{part} {order}: {}\n{}{}", output.status, out(&output), err(&output));
    let lines = out(&output).lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect::<Vec<_>>();
    assert!(!lines.is_empty(), "{part} {order} said nothing");
    Some(lines)
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
