//! What was chosen for a barrier, and why.

use crate::algo::choice::{Choice, Rated, Reason};
use crate::algo::seat::Detail;
use crate::algo::select::Algorithm;
use crate::model::Prediction;
use crate::primitive::Fences;
use crate::topology::Placement;
use crate::wait::{Plan, WaitPolicy};
use std::fmt;
use std::time::Duration;

/// What was chosen for a barrier, and why; from [`Barrier::explain`](crate::Barrier::explain).
///
/// Printed, it takes a few lines:
///
/// ```text
/// hierarchical (groups of 8) for 64 parties, predicted 364/312 ns together/straggler
///   why: one of the least of 4 predictions; next: dissemination-4 (across) 393/361 ns, dissemination-4 462/481 ns, hierarchical (groups of 4) 608/591 ns
///   where: 64 ranks on 64 CPUs: 0-63; 8 LLC groups, 1 node, 1 package
///   waiting: adaptive, spins up to 40µs, then sleeps; the fences of a trip cost nothing (membarrier)
/// ```
#[derive(Clone, Debug)]
pub struct Explanation {
    algorithm: Algorithm,
    detail: Detail,
    parties: usize,
    wish: Algorithm,
    reason: Reason,
    rootless: Option<Algorithm>,
    place: String,
    cpus: usize,
    policy: WaitPolicy,
    spin: Duration,
    scarce: bool,
    fences: Fences,
}

/// Rivals that are named.
const RUNNERS_UP: usize = 3;

impl Explanation {
    pub(super) fn new(
        wish: Algorithm,
        choice: &Choice,
        placement: &Placement,
        cpus: usize,
        policy: WaitPolicy,
        plan: &Plan,
        fences: Fences,
    ) -> Self {
        Self {
            algorithm: choice.blueprint.algorithm(),
            detail: choice.blueprint.detail(),
            parties: placement.parties(),
            wish,
            reason: choice.reason.clone(),
            rootless: choice.rootless,
            place: if placement.is_complete() {
                placement.to_string()
            } else {
                "not known (Builder::placement tells): all pairs are taken to be equally far apart".into()
            },
            cpus,
            policy,
            spin: plan.spin,
            scarce: plan.scarce,
            fences,
        }
    }

    /// The algorithm; never [`Algorithm::Auto`].
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How large a group is at most, if the algorithm has groups.
    #[must_use]
    pub fn group_size(&self) -> Option<usize> {
        self.detail.groups()
    }

    /// What a trip is predicted to cost, if the cost model was asked; evaluated quickly, with the first and the last rank
    /// as stragglers only ([`Algorithm::recommend`] takes its time).
    #[must_use]
    pub fn prediction(&self) -> Option<Prediction> {
        match &self.reason {
            Reason::Predicted(rated) => rated.first().map(|rated| rated.prediction),
            _ => None,
        }
    }

    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(super) fn of_a_model() -> Self {
        Self {
            algorithm: Algorithm::Central,
            detail: Detail::None,
            parties: 0,
            wish: Algorithm::Central,
            reason: Reason::Named,
            rootless: None,
            place: String::new(),
            cpus: 0,
            policy: WaitPolicy::Spin,
            spin: Duration::ZERO,
            scarce: false,
            fences: Fences::Symmetric,
        }
    }

    fn why(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parties, cpus, .. } = self;
        if let Some(rootless) = self.rootless {
            write!(f, "{rootless} has no root for the action; of those that have one: ")?;
        }
        match &self.reason {
            Reason::Named => f.write_str("it was asked for"),
            Reason::Unpredicted => f.write_str("the cost model has no answer for these hops; a counter is never wrong"),
            Reason::Few if *parties == 1 => f.write_str("there is nobody to wait for"),
            Reason::Few if self.algorithm == Algorithm::Central => f.write_str("the last of two to arrive is the root"),
            Reason::Few => f.write_str("one hop is the least in which two can meet"),
            Reason::Crowd if parties > cpus => {
                write!(f, "{parties} parties on {cpus} CPUs: context switches decide, and it was measured to be best")
            }
            Reason::Crowd => {
                f.write_str("parties share a CPU: context switches decide, and it was measured to be best")
            }
            Reason::Predicted(rated) => {
                let asked = if self.wish == Algorithm::Auto { "" } else { "it was asked for; its groups have " };
                write!(f, "{asked}one of the least of {} predictions", rated.len())?;
                let others = rated.iter().skip(1).take(RUNNERS_UP).map(Rated::to_string).collect::<Vec<_>>().join(", ");
                if others.is_empty() { Ok(()) } else { write!(f, "; next: {others}") }
            }
        }
    }

    fn waiting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, ", self.policy)?;
        match self.policy {
            WaitPolicy::Spin => f.write_str("for ever")?,
            WaitPolicy::Park => f.write_str("sleeps at once")?,
            _ if self.scarce => f.write_str("does not spin, since CPUs are scarce")?,
            WaitPolicy::SpinYield => write!(f, "spins up to {:.0?}, then yields", self.spin)?,
            _ => write!(f, "spins up to {:.0?}, then sleeps", self.spin)?,
        }
        f.write_str(match self.fences {
            Fences::Asymmetric => "; the fences of a trip cost nothing (membarrier)",
            Fences::Symmetric => "; one full fence per trip",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parties = match self.parties {
            1 => "1 party".to_owned(),
            parties => format!("{parties} parties"),
        };
        write!(f, "{}{} for {parties}", self.algorithm, self.detail)?;
        if let Some(Prediction { together, straggler }) = self.prediction() {
            write!(f, ", predicted {together:.0}/{straggler:.0} ns together/straggler")?;
        }
        f.write_str("\n  why: ")?;
        self.why(f)?;
        write!(f, "\n  where: {}\n  waiting: ", self.place)?;
        self.waiting(f)
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::choice::{Demand, Situation, choose};
    use crate::topology::{Bind, CpuSet, Topology};
    use crate::wait::calibration;

    fn explain(wish: Algorithm, placement: &Placement, cpus: usize, policy: WaitPolicy) -> String {
        let choice = choose(wish, Situation { placement, hops: None, cpus, demand: Demand::Nothing });
        let spin = Some(Duration::from_micros(40));
        let plan = Plan::new(policy, spin, placement.parties(), cpus, &calibration());
        Explanation::new(wish, &choice, placement, cpus, policy, &plan, Fences::Asymmetric).to_string()
    }

    #[test]
    fn a_few_lines_say_what_and_why() {
        let machine = Topology::regular(1, 1, 8, 8, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let placement = machine.place(&Bind::Close, 64, &mask).unwrap();
        let text = explain(Algorithm::Auto, &placement, 64, WaitPolicy::Adaptive);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("hierarchical (groups of 8) for 64 parties, predicted "), "{text}");
        assert!(
            lines[1].starts_with("  why: one of the least of 4 predictions; next: dissemination-4 (across) "),
            "{text}"
        );
        assert_eq!(lines[2], "  where: 64 ranks on 64 CPUs: 0-63; 8 LLC groups, 1 node, 1 package");
        assert_eq!(
            lines[3],
            "  waiting: adaptive, spins up to 40µs, then sleeps; the fences of a trip cost nothing (membarrier)"
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn each_policy_says_how_it_waits() {
        let waiting = |policy, cpus| -> String {
            let text = explain(Algorithm::Central, &Placement::anywhere(2), cpus, policy);
            text.lines().last().unwrap().split(';').next().unwrap().trim_start().into()
        };
        assert_eq!(waiting(WaitPolicy::Spin, 2), "waiting: spin, for ever");
        assert_eq!(waiting(WaitPolicy::Park, 2), "waiting: park, sleeps at once");
        assert_eq!(waiting(WaitPolicy::SpinYield, 2), "waiting: spin-yield, spins up to 40µs, then yields");
        assert_eq!(waiting(WaitPolicy::SpinPark, 1), "waiting: spin-park, does not spin, since CPUs are scarce");
        let text = explain(Algorithm::Combining, &Placement::anywhere(16), 16, WaitPolicy::Spin);
        assert!(text.contains("combining (groups of"), "{text}");
    }

    #[test]
    fn crowds_pairs_and_wishes_have_their_reasons() {
        let why = |wish, parties, cpus, policy| -> String {
            let text = explain(wish, &Placement::anywhere(parties), cpus, policy);
            text.lines().nth(1).unwrap().trim_start().into()
        };
        let crowd = "why: 33 parties on 2 CPUs: context switches decide, and it was measured to be best";
        assert_eq!(why(Algorithm::Auto, 33, 2, WaitPolicy::Adaptive), crowd);
        assert_eq!(why(Algorithm::Auto, 2, 2, WaitPolicy::Park), "why: one hop is the least in which two can meet");
        assert_eq!(why(Algorithm::Auto, 1, 2, WaitPolicy::Spin), "why: there is nobody to wait for");
        assert_eq!(why(Algorithm::Tournament, 8, 8, WaitPolicy::Spin), "why: it was asked for");
        let machine = Topology::regular(1, 1, 1, 1, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let shared = machine.place(&Bind::Close, 2, &mask).unwrap();
        for cpus in [2, 64] {
            let text = explain(Algorithm::Auto, &shared, cpus, WaitPolicy::Adaptive);
            assert!(text.contains("why: parties share a CPU: context switches decide"), "{text}");
        }
        let action = |wish| {
            let placement = Placement::anywhere(2);
            let choice = choose(wish, Situation { placement: &placement, hops: None, cpus: 2, demand: Demand::Root });
            let plan = Plan::new(WaitPolicy::Park, None, 2, 2, &calibration());
            let text = Explanation::new(wish, &choice, &placement, 2, WaitPolicy::Park, &plan, Fences::Symmetric);
            text.to_string().lines().nth(1).unwrap().trim_start().to_owned()
        };
        assert_eq!(
            action(Algorithm::Tournament),
            "why: tournament has no root for the action; of those that have one: the last of two to arrive is the root"
        );
        assert_eq!(action(Algorithm::Central), "why: it was asked for");
        let groups = why(Algorithm::Combining, 16, 16, WaitPolicy::Spin);
        assert!(
            groups.starts_with("why: it was asked for; its groups have one of the least of 2 predictions"),
            "{groups}"
        );
    }
}
