//! docs/failure.md shows what the library says: every likely cause that there is stands on the page, word by word.

use phalanx::observe::watchdog::Hint;
use phalanx::{Barrier, Cause, Operation};
use std::time::Duration;

/// Numbers and names are those of one run.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let plain: String = word.chars().filter(|char| !char.is_ascii_digit()).collect();
        plain
    });
    words.collect::<Vec<_>>().join(" ").replace("CPUs with", "CPU with").replace("calls to `wait`", "call to `wait`")
}

#[test]
fn every_likely_cause_is_on_the_page() {
    let page = plain(include_str!("../docs/failure.md"));
    let elsewhere =
        |crosswise| Hint::WaitsElsewhere { rank: 1, barrier: "b".into(), generation: 1, as_rank: 1, crosswise };
    let hints = [
        Hint::Unclaimed { rank: 2 },
        Hint::Dropped { rank: 1 },
        Hint::NeverCame { rank: 1 },
        Hint::DeadThread { rank: 0, thread: 14_611 },
        elsewhere(true),
        elsewhere(false),
        Hint::TwoHandles { rank: 1, waits_as: 0 },
        Hint::Stopped { rank: 1, thread: 4712 },
        Hint::Oversubscribed { rank: 1, parties: 2, cpus: 1 },
        Hint::Working { rank: 1 },
        Hint::Asleep { rank: 0, call: Some("clock_nanosleep".into()) },
        Hint::Asleep { rank: 0, call: Some("futex".into()) },
        Hint::Blocked { rank: 1 },
        Hint::Holds { rank: 1 },
        Hint::Anonymous { missing: 2 },
        Hint::Acting,
    ];
    for hint in hints {
        let text = plain(&hint.to_string());
        assert!(page.contains(&text), "the page does not say: {hint}");
    }
}

#[test]
fn the_texts_of_breaks_are_on_the_page() {
    let page = plain(include_str!("../docs/failure.md"));
    let dots = || "...".to_owned();
    let causes = [
        Cause::TimedOut { rank: 2, after: Duration::from_secs(5) },
        Cause::Aborted { reason: dots() },
        Cause::Panicked { rank: 2 },
        Cause::Dropped { rank: 2 },
        Cause::ActionPanicked { message: dots() },
        Cause::OperatorPanicked { rank: 2, operation: Operation::AllReduce, message: dots() },
        Cause::Mismatched { rank: 0, called: "all_reduce of f64".into(), other: 1, instead: "wait".into() },
        Cause::NoSuchRank { rank: 0, named: 7 },
        Cause::Cancelled { reason: dots() },
        Cause::Failed { rank: 2, message: dots() },
        Cause::Reentered { rank: 0 },
        Cause::Reset,
    ];
    for cause in causes {
        assert!(page.contains(&plain(&cause.to_string())), "the page does not say: {cause}");
    }
    assert!(!page.contains('@'), "something was to be filled in");
}

/// The only test of this program that makes barriers.
#[test]
fn barriers_without_a_name_are_numbered_from_1() {
    let name = || Barrier::new(1).unwrap().name().to_owned();
    assert_eq!([name(), name()], ["barrier-1", "barrier-2"]);
}
