//! The scorecard: as text for whoever looks on, as a page for `docs/results`, and as JSON.

use super::cell::{Kind, PARTIES};
use super::score::Score;
use phalanx::{Algorithm, WaitPolicy};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Every cause that this crate's barriers can tell.
pub(crate) const CAUSES: [&str; 12] = [
    "timed_out",
    "aborted",
    "panicked",
    "dropped",
    "action_panicked",
    "operator_panicked",
    "mismatched",
    "no_such_rank",
    "cancelled",
    "failed",
    "reentered",
    "reset",
];

/// `1234567` as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn time(nanos: u64) -> String {
    format!("{:.3?}", Duration::from_nanos(nanos))
}

/// One line for those who wait.
pub(crate) fn line(score: &Score) -> String {
    let rate = |count: u64| count as f64 / score.seconds.max(1e-9);
    format!(
        "{:7.1} s: {} rounds, {} trips ({:.2} M/s), {} broken ({:.0}/s), {} injected ({:.0}/s), {} outcomes compared, {} disagreements, {} hangs",
        score.seconds,
        grouped(score.rounds),
        grouped(score.trips),
        rate(score.trips) / 1e6,
        grouped(score.all_breaks()),
        rate(score.all_breaks()),
        grouped(score.all_injected()),
        rate(score.all_injected()),
        grouped(score.outcomes_compared),
        score.disagreements,
        score.hangs
    )
}

/// What has not occurred and should have.
pub(crate) fn gaps(score: &Score, kinds: &[Kind]) -> Vec<String> {
    let mut gaps = Vec::new();
    for kind in kinds {
        for cell in kind.cells() {
            let place = format!("{} x {}", cell.algorithm_name(), cell.policy_name());
            let rounds = score.rounds_by_cell.get(kind.name()).and_then(|row| row.get(&place));
            if rounds.is_none_or(|rounds| *rounds == 0) {
                gaps.push(format!("no round of {} over {place}", kind.name()));
            }
            let trips = score.trips_by_cell.get(&cell.algorithm_name()).and_then(|row| row.get(&cell.policy_name()));
            if trips.is_none_or(|trips| *trips == 0) {
                gaps.push(format!("no trip of {place}"));
            }
        }
        if score.trips_by_kind.get(kind.name()).is_none_or(|trips| *trips == 0) {
            gaps.push(format!("no trip of {}", kind.name()));
        }
    }
    if kinds.len() == Kind::ALL.len() {
        for cause in CAUSES {
            if score.breaks.get(cause).is_none_or(|count| *count == 0) {
                gaps.push(format!("no break by {cause}"));
            }
        }
        let seen = [
            ("join", score.joins),
            ("leave", score.leaves),
            ("reset", score.resets),
            ("claim", score.claims),
            ("value", score.values_checked),
            ("run of an action", score.action_runs),
            ("report of the watchdog", score.watchdog_reports),
            ("round over a wrap", score.rounds_over_a_wrap),
        ];
        gaps.extend(seen.iter().filter(|(_, count)| *count == 0).map(|(what, _)| format!("no {what}")));
        let sizes = PARTIES.iter().filter(|(parties, _)| score.trips_by_parties.get(parties).is_none_or(|n| *n == 0));
        gaps.extend(sizes.map(|(parties, _)| format!("no trip of {parties} parties")));
    }
    gaps.dedup();
    gaps
}

/// How many combinations of kind, algorithm, policy and party count there are.
fn combinations(kinds: &[Kind]) -> usize {
    kinds.iter().map(|kind| kind.cells().len()).sum::<usize>() * PARTIES.len()
}

/// The page.
pub(crate) fn page(score: &Score, kinds: &[Kind], facts: &[(&'static str, String)], gaps: &[String]) -> String {
    let mut out = String::new();
    let verdict = if score.is_clean() && gaps.is_empty() { "nothing was wrong" } else { "SOMETHING WAS WRONG" };
    let _ = writeln!(out, "# Soak: {verdict}\n");
    let _ = writeln!(out, "What the words mean, and what is compared with what: `docs/verification/soak.md`.\n");
    let _ = writeln!(out, "| run | |\n|---|---|");
    for (key, value) in facts {
        let _ = writeln!(out, "| {key} | {} |", value.replace('|', "\\|"));
    }
    scorecard(&mut out, score, kinds, gaps);
    by_size_and_kind(&mut out, score);
    by_cell(&mut out, score);
    for (title, table) in [("Broken trips, by cause", &score.breaks)] {
        let _ = writeln!(out, "\n## {title}\n\n| cause | trips |\n|---|---|");
        for (what, count) in table {
            let _ = writeln!(out, "| `{what}` | {} |", grouped(*count));
        }
    }
    let _ = writeln!(out, "\n## Injected, by kind\n\n| what | times |\n|---|---|");
    for (what, count) in &score.injected {
        let _ = writeln!(out, "| {what} | {} |", grouped(*count));
    }
    longest(&mut out, score);
    if !gaps.is_empty() {
        let _ = writeln!(out, "\n## Not seen\n");
        for gap in gaps {
            let _ = writeln!(out, "- {gap}");
        }
    }
    if !score.faults.is_empty() {
        let _ = writeln!(out, "\n## Disagreements, the first of them\n");
        for fault in &score.faults {
            let _ = writeln!(out, "- {fault}");
        }
    }
    out
}

fn scorecard(out: &mut String, score: &Score, kinds: &[Kind], gaps: &[String]) {
    let _ = writeln!(out, "\n## Scorecard\n\n| figure | value |\n|---|---|");
    let mut row = |what: &str, value: String| {
        let _ = writeln!(out, "| {what} | {value} |");
    };
    row("time", format!("{:.0} s", score.seconds));
    row("rounds", grouped(score.rounds));
    row("trips, complete", grouped(score.trips));
    row("party-waits of these", grouped(score.party_waits));
    row("trips, broken", grouped(score.all_breaks()));
    row("failures injected", grouped(score.all_injected()));
    row("outcomes compared", grouped(score.outcomes_compared));
    row("values checked", grouped(score.values_checked));
    row("**disagreements**", format!("**{}**", score.disagreements));
    row("**hangs**", format!("**{}**", score.hangs));
    row("parties released early", score.early_releases.to_string());
    row("limits that passed early", score.early_limits.to_string());
    row("the most that a limit was overrun by", time(score.longest_overrun));
    row("barriers built", grouped(score.barriers_built));
    row("of these counting over a wrap", grouped(score.rounds_over_a_wrap));
    row("resets", grouped(score.resets));
    row("ranks claimed again", grouped(score.claims));
    row("joins, leaves", format!("{}, {}", grouped(score.joins), grouped(score.leaves)));
    row("runs of an action", grouped(score.action_runs));
    row("reports of the watchdog", grouped(score.watchdog_reports));
    let (seen, all) = (score.combinations.len(), combinations(kinds));
    row("combinations of kind, algorithm, policy and party count that occurred", format!("{seen} of {all}"));
    row("kinds, algorithms, policies, causes that did not occur", gaps.len().to_string());
}

fn by_size_and_kind(out: &mut String, score: &Score) {
    let _ = writeln!(out, "\n## Trips, by parties\n\n| parties | complete trips |\n|---|---|");
    for (parties, trips) in &score.trips_by_parties {
        let _ = writeln!(out, "| {parties} | {} |", grouped(*trips));
    }
    let _ = writeln!(out, "\n## Trips and rounds, by kind\n\n| kind | complete trips | rounds |\n|---|---|---|");
    for (kind, trips) in &score.trips_by_kind {
        let rounds = score.rounds_by_cell.get(kind).map_or(0, |row| row.values().sum());
        let _ = writeln!(out, "| {kind} | {} | {} |", grouped(*trips), grouped(rounds));
    }
}

fn by_cell(out: &mut String, score: &Score) {
    let policies = WaitPolicy::ALL.map(|policy| policy.to_string());
    let _ = writeln!(out, "\n## Trips, by algorithm and policy\n\n| algorithm | {} |", policies.join(" | "));
    let _ = writeln!(out, "|---{}|", "|---".repeat(policies.len()));
    let named = Algorithm::NAMED.map(|algorithm| algorithm.to_string());
    for algorithm in named.iter().chain([&"team (auto)".to_owned()]) {
        let row = score.trips_by_cell.get(algorithm);
        let of = |policy| grouped(row.and_then(|row| row.get(policy)).copied().unwrap_or(0));
        let _ = writeln!(out, "| {algorithm} | {} |", policies.iter().map(of).collect::<Vec<_>>().join(" | "));
    }
    let compat = score.trips_by_cell.get("compat").map_or(0, |row| row.values().sum());
    let _ = writeln!(out, "\n`compat::Barrier`, which has no choice of either: {}.", grouped(compat));
}

fn longest(out: &mut String, score: &Score) {
    let _ = writeln!(
        out,
        "\n## Longest wait with nobody late by intent\n\n| policy | of all | with so many parties | of groups with a CPU for each |\n|---|---|---|---|"
    );
    for (policy, (nanos, parties)) in &score.longest_wait {
        let each = score.longest_wait_with_a_cpu_each.get(policy).map_or("-".into(), |nanos| time(*nanos));
        let _ = writeln!(out, "| {policy} | {} | {parties} | {each} |", time(*nanos));
    }
}

/// Writes page and numbers.
pub(crate) fn write(folder: &Path, page: &str, score: &Score, facts: &[(&'static str, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("README.md"), page)?;
    let facts: serde_json::Map<_, _> = facts.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let whole = json!({ "run": facts, "score": score, "broken_trips": score.all_breaks(), "injected_failures": score.all_injected() });
    std::fs::write(folder.join("soak.json"), serde_json::to_string_pretty(&whole)? + "\n")
}
