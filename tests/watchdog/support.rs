//! A barrier that is watched, the reports on it, and their text without what differs from run to run.

use phalanx::observe::watchdog::Report;
use phalanx::{Barrier, Broken, Builder, Party, WaitPolicy};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a trip may take before it is reported.
pub(crate) const AFTER: Duration = Duration::from_millis(80);

/// Has reports sent to a channel.
pub(crate) fn reporting(builder: Builder, after: Duration) -> (Builder, Receiver<Report>) {
    let (tell, told) = channel();
    // Whoever has heard enough is gone.
    (builder.watchdog(after, move |report| drop(tell.send(report.clone()))), told)
}

/// A barrier whose parties sleep while they wait, so that reports say the same each time.
pub(crate) fn watched_barrier(name: &str, parties: usize) -> (Barrier, Receiver<Report>) {
    let builder = Barrier::builder(parties).name(name).wait_policy(WaitPolicy::Park);
    let (builder, reports) = reporting(builder, AFTER);
    (builder.build().unwrap(), reports)
}

/// The next report; the test's own watchdog is the limit.
pub(crate) fn next(reports: &Receiver<Report>) -> Report {
    reports.recv().expect("the watchdog is there")
}

/// On a machine that is busy enough, somebody may be late who is not meant to be, or not yet where the test wants it: so a
/// later report on the same trip will do.
const LATER: u32 = 6;

/// The first report on this trip that is as it should be, or else the last one that will do.
pub(crate) fn next_like(reports: &Receiver<Report>, generation: u64, like: impl Fn(&Report) -> bool) -> Report {
    loop {
        let report = next(reports);
        if report.generation() == generation && (report.count() >= LATER || like(&report)) {
            return report;
        }
    }
}

/// Runs one party on a thread of its own that nobody has to join: it may be stuck for good.
pub(crate) fn on_thread<R: Send + 'static>(
    name: &str,
    mut party: Party,
    life: impl FnOnce(&mut Party) -> R + Send + 'static,
) -> JoinHandle<R> {
    thread::Builder::new().name(name.into()).spawn(move || life(&mut party)).expect("a thread")
}

/// Crosses one trip and comes to the next, which nobody completes.
pub(crate) fn cross_and_wait(party: &mut Party) -> Broken {
    party.set_phase("compute");
    party.wait().expect("the first trip");
    party.set_phase("exchange");
    party.wait().expect_err("somebody is missing")
}

/// More than any test takes; the process does not wait for those who sleep it.
pub(crate) fn sleep_long() {
    thread::sleep(Duration::from_secs(3600));
}

/// The text of a report, without times, numbers of threads and processes, CPUs, and the kernel's own names.
pub(crate) fn plain(report: &Report) -> String {
    let text = report.to_string();
    text.lines().filter(|line| !line.contains("kernel stack:")).map(plain_line).collect::<Vec<_>>().join("\n")
}

fn plain_line(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let before = words.last().cloned().unwrap_or_default();
        let is_number = !bare.is_empty() && bare.parse::<f64>().is_ok();
        let behind_number = before.parse::<f64>().is_ok();
        if matches!(bare, "ns" | "µs" | "ms" | "s") && behind_number {
            words.pop();
            words.push(word.replace(bare, "#"));
        } else if (is_number && matches!(before.trim_start_matches('('), "thread" | "cpu" | "-p" | "share"))
            || (bare == "CPU" || bare == "CPUs") && before == "#"
        {
            words.push(word.replace(bare, if is_number { "#" } else { "CPUs" }));
        } else if word.starts_with('(') && words.iter().rev().nth(1).is_some_and(|word| word == "in") {
            // The function of the kernel that it sleeps in.
            let rest = word.trim_start_matches(|c| c != ')').trim_start_matches(')');
            words.last_mut().expect("a call before it").push_str(rest);
        } else {
            words.push(word.to_owned());
        }
    }
    // Whether it is known when it arrived last is a matter of whether it waited long then.
    let [sure, between] = ["last arrived # ago", "last arrived # to # ago"];
    let line = words
        .join(" ")
        .replace(between, sure)
        .replace(" ago or earlier", " ago")
        .replace(sure, "last arrived # ago or earlier");
    line.split_once(" (report ").map_or(line.clone(), |(line, _)| line.to_owned())
}

/// Waits for a report on this trip that says what it should; a line begins behind the bar.
#[track_caller]
pub(crate) fn assert_says(reports: &Receiver<Report>, generation: u64, golden: &str) -> Report {
    let golden: Vec<&str> = golden.lines().filter_map(|line| line.trim_start().strip_prefix('|')).collect();
    let golden = golden.join("\n");
    let report = next_like(reports, generation, |report| plain(report) == golden);
    let said = plain(&report);
    assert!(said == golden, "it says\n{said}\n\nand should say\n{golden}\n\nin full\n{report}");
    report
}

/// So long that there would have been several reports: as many as another barrier, which is stuck for sure, has had.
pub(crate) fn let_time_pass() {
    let (stuck, reports) = watched_barrier("really stuck", 2);
    let party = on_thread("stuck", stuck.claim(0).unwrap(), |party| party.wait().map(drop));
    while reports.recv().unwrap().count() < 4 {}
    stuck.abort("over");
    party.join().unwrap().unwrap_err();
}

pub(crate) fn none(reports: &Receiver<Report>) {
    let said: Vec<String> = reports.try_iter().map(|report| report.to_string()).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}
