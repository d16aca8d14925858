//! What can be stormed: the kinds of storm, and over which algorithms, policies and party counts each of them goes.

use super::rng::Rng;
use phalanx::{Algorithm, WaitPolicy};
use std::fmt;

/// What goes wrong in a round, or rides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Plain,
    Timeouts,
    Aborts,
    Panics,
    Drops,
    Resets,
    Members,
    Split,
    Values,
    Misuse,
    Actions,
    Cancels,
    Wakes,
    Watchdog,
    Mixed,
    Compat,
    CompatFaults,
    Team,
    Lockstep,
}

impl Kind {
    pub(crate) const ALL: [Self; 19] = [
        Self::Plain,
        Self::Timeouts,
        Self::Aborts,
        Self::Panics,
        Self::Drops,
        Self::Resets,
        Self::Members,
        Self::Split,
        Self::Values,
        Self::Misuse,
        Self::Actions,
        Self::Cancels,
        Self::Wakes,
        Self::Watchdog,
        Self::Mixed,
        Self::Compat,
        Self::CompatFaults,
        Self::Team,
        Self::Lockstep,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Timeouts => "timeouts",
            Self::Aborts => "aborts",
            Self::Panics => "panics",
            Self::Drops => "drops",
            Self::Resets => "resets",
            Self::Members => "members",
            Self::Split => "split",
            Self::Values => "values",
            Self::Misuse => "misuse",
            Self::Actions => "actions",
            Self::Cancels => "cancels",
            Self::Wakes => "wakes",
            Self::Watchdog => "watchdog",
            Self::Mixed => "mixed",
            Self::Compat => "compat",
            Self::CompatFaults => "compat-faults",
            Self::Team => "team",
            Self::Lockstep => "lockstep",
        }
    }

    /// Whether a barrier of this kind can be told its algorithm.
    fn has_algorithm(self) -> bool {
        self.has_policy() && !matches!(self, Self::Team | Self::Lockstep)
    }

    fn has_policy(self) -> bool {
        !matches!(self, Self::Compat | Self::CompatFaults)
    }

    /// All cells of this kind, with the party count still open.
    pub(crate) fn cells(self) -> Vec<Cell> {
        let algorithms = self.has_algorithm().then_some(Algorithm::NAMED.map(Some).to_vec()).unwrap_or(vec![None]);
        let policies = self.has_policy().then_some(WaitPolicy::ALL.map(Some).to_vec()).unwrap_or(vec![None]);
        let with = |algorithm| policies.iter().map(move |&policy| Cell { kind: self, algorithm, policy, parties: 2 });
        algorithms.into_iter().flat_map(with).collect()
    }
}

/// The party counts, and how often each is drawn, of a hundred.
pub(crate) const PARTIES: [(usize, u64); 9] =
    [(1, 5), (2, 37), (3, 16), (4, 14), (5, 8), (7, 6), (8, 6), (16, 5), (33, 3)];

/// One round's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) policy: Option<WaitPolicy>,
    pub(crate) parties: usize,
}

impl Cell {
    /// The same with a party count drawn by weight. Parties that only spin take time slices where they outnumber the CPUs, so
    /// large counts are drawn less often for them.
    pub(crate) fn sized(mut self, rng: &mut Rng, cpus: usize) -> Self {
        loop {
            let mut ticket = rng.below(100);
            let drawn = PARTIES.iter().find(|(_, weight)| {
                let found = ticket < *weight;
                ticket = ticket.wrapping_sub(*weight);
                found
            });
            self.parties = drawn.map_or(2, |(parties, _)| *parties);
            if !self.takes_slices(cpus) || self.parties <= 3 || rng.once_in(self.parties as u64 / 2) {
                return self;
            }
        }
    }

    /// Whether a trip costs scheduler time slices.
    pub(crate) fn takes_slices(&self, cpus: usize) -> bool {
        self.policy == Some(WaitPolicy::Spin) && self.parties > cpus
    }

    pub(crate) fn algorithm_name(&self) -> String {
        match (self.algorithm, self.kind) {
            (Some(algorithm), _) => algorithm.to_string(),
            (None, Kind::Compat | Kind::CompatFaults) => "compat".into(),
            (None, _) => "team (auto)".into(),
        }
    }

    pub(crate) fn policy_name(&self) -> String {
        self.policy.map_or("its own".into(), |policy| policy.to_string())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} x {} x {} x {} parties",
            self.kind.name(),
            self.algorithm_name(),
            self.policy_name(),
            self.parties
        )
    }
}
