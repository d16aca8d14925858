//! docs/failure.md shows what the library says: every likely cause that there is stands on the page, word by word.

use phalanx::observe::watchdog::Hint;
use phalanx::{Barrier, Cause};

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
    for cause in [Cause::Panicked { rank: 2 }, Cause::Dropped { rank: 2 }, Cause::Reset] {
        assert!(page.contains(&plain(&cause.to_string())), "the page does not say: {cause}");
    }
    let barrier = Barrier::new(1).unwrap();
    assert!(barrier.abort("why").to_string().contains("aborted: why") && page.contains("`aborted: ...`"));
}
