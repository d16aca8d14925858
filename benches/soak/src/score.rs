//! What has been seen so far.

use super::cell::Cell;
use serde::Serialize;
use std::collections::BTreeMap;

/// The counts of a soak. What each means is said where it is printed (`report.rs`).
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Score {
    pub(crate) seconds: f64,
    pub(crate) rounds: u64,
    pub(crate) barriers_built: u64,
    pub(crate) rounds_over_a_wrap: u64,
    pub(crate) trips: u64,
    pub(crate) party_waits: u64,
    pub(crate) outcomes_compared: u64,
    pub(crate) values_checked: u64,
    pub(crate) trips_by_parties: BTreeMap<usize, u64>,
    pub(crate) trips_by_kind: BTreeMap<&'static str, u64>,
    /// By algorithm, then by policy.
    pub(crate) trips_by_cell: BTreeMap<String, BTreeMap<String, u64>>,
    /// By kind, then by algorithm and policy.
    pub(crate) rounds_by_cell: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// By kind, algorithm, policy and party count.
    #[serde(skip)]
    pub(crate) combinations: BTreeMap<String, u64>,
    /// Broken trips, by cause.
    pub(crate) breaks: BTreeMap<String, u64>,
    /// Acts that were to break a trip, or to get in its way, by what they were.
    pub(crate) injected: BTreeMap<&'static str, u64>,
    pub(crate) resets: u64,
    pub(crate) claims: u64,
    pub(crate) joins: u64,
    pub(crate) leaves: u64,
    pub(crate) action_runs: u64,
    pub(crate) watchdog_reports: u64,
    /// Of a wait with nobody late by intent, in nanoseconds, by policy; and of how many parties.
    pub(crate) longest_wait: BTreeMap<String, (u64, usize)>,
    /// The same where no CPU has more than one party.
    pub(crate) longest_wait_with_a_cpu_each: BTreeMap<String, u64>,
    /// The most that a limit was overrun by, in nanoseconds.
    pub(crate) longest_overrun: u64,
    pub(crate) early_releases: u64,
    pub(crate) early_limits: u64,
    pub(crate) disagreements: u64,
    pub(crate) hangs: u64,
    /// What was wrong, in full, of the first few.
    pub(crate) faults: Vec<String>,
}

/// Faults that are told in full.
const TOLD: usize = 20;

impl Score {
    /// A round of `cell` begins.
    pub(crate) fn begin(&mut self, cell: &Cell) {
        self.rounds += 1;
        let place = format!("{} x {}", cell.algorithm_name(), cell.policy_name());
        *self.rounds_by_cell.entry(cell.kind.name()).or_default().entry(place).or_default() += 1;
        *self.combinations.entry(cell.to_string()).or_default() += 1;
    }

    /// So many complete trips of `cell`.
    pub(crate) fn cross(&mut self, cell: &Cell, trips: u64) {
        self.trips += trips;
        self.party_waits += trips * cell.parties as u64;
        *self.trips_by_parties.entry(cell.parties).or_default() += trips;
        *self.trips_by_kind.entry(cell.kind.name()).or_default() += trips;
        let row = self.trips_by_cell.entry(cell.algorithm_name()).or_default();
        *row.entry(cell.policy_name()).or_default() += trips;
    }

    pub(crate) fn inject(&mut self, what: &'static str, count: u64) {
        if count > 0 {
            *self.injected.entry(what).or_default() += count;
        }
    }

    pub(crate) fn break_by(&mut self, cause: &str, count: u64) {
        *self.breaks.entry(cause.to_owned()).or_default() += count;
    }

    pub(crate) fn all_breaks(&self) -> u64 {
        self.breaks.values().sum()
    }

    pub(crate) fn all_injected(&self) -> u64 {
        self.injected.values().sum()
    }

    pub(crate) fn waited(&mut self, cell: &Cell, nanos: u64, cpus: usize) {
        let longest = self.longest_wait.entry(cell.policy_name()).or_default();
        *longest = (*longest).max((nanos, cell.parties));
        if cell.parties <= cpus {
            let longest = self.longest_wait_with_a_cpu_each.entry(cell.policy_name()).or_default();
            *longest = (*longest).max(nanos);
        }
    }

    pub(crate) fn fault(&mut self, text: String) {
        self.disagreements += 1;
        if text.contains("released before") || text.contains("ahead or behind") {
            self.early_releases += 1;
        }
        if text.contains("early:") {
            self.early_limits += 1;
        }
        if self.faults.len() < TOLD {
            eprintln!("DISAGREEMENT {text}");
            self.faults.push(text);
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.disagreements == 0 && self.hangs == 0
    }
}
