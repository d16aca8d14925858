//! How `Auto` chooses: topology, placement, parties and CPUs in, algorithm and group size out, with the reason.
//!
//! 1. One party, or two: nothing to choose. One hop is the least that a barrier of two can cost, and the exchange costs
//!    that.
//! 2. More parties than CPUs: the cost is in context switches, of which the cost model knows nothing. What counts is
//!    that nobody but the last to arrive has to run before the release; `CROWD` says which of the algorithms with that
//!    property was measured to be best.
//! 3. Otherwise: the cost model (`model`) evaluates each candidate's own graph for these parties in these places, for
//!    all arriving together and for a straggler. Loops are something in between, so the candidate with the least mean of
//!    the two is taken; of equals, the simplest.

use super::seat::Blueprint;
use super::select::{Algorithm, Wake};
use super::static_tree;
use crate::model::{Classes, Constants, Effort, Hops, Prediction, Scratch, evaluate};
use crate::topology::{Placement, Sites};
use std::fmt;

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) placement: &'a Placement,
    /// What a hop costs between any two ranks; guessed from the placement if there is none.
    pub(crate) hops: Option<&'a Hops>,
    /// CPUs that this process may keep busy.
    pub(crate) cpus: usize,
}

impl Situation<'_> {
    fn parties(&self) -> usize {
        self.placement.parties()
    }

    /// Whether each party can have a CPU for itself.
    pub(crate) fn has_room(&self) -> bool {
        self.parties() <= self.cpus && self.placement.most_on_one_cpu() <= 1
    }
}

/// What hops cost, as far as the placement tells: by distance class if all ranks have a CPU, else all the same.
fn guess(placement: &Placement) -> Hops {
    let classes = Classes::default();
    let cpus: Option<Vec<_>> = (0..placement.parties()).map(|rank| placement.cpu(rank).copied()).collect();
    cpus.map_or_else(|| Hops::uniform(placement.parties(), classes.llc), |cpus| Hops::from_cpus(&cpus, &classes))
}

/// Up to this many parties the exchange and the central counter are candidates: beyond it one line is everybody's.
const FEW: usize = 32;
/// Up to this many parties all others are; beyond it only those with the shortest paths.
const MANY: usize = 192;
/// The algorithm for more parties than CPUs.
const CROWD: Algorithm = Algorithm::Central;

/// The algorithms that a wish allows for so many parties, each with the group sizes to try.
fn candidates(wish: Algorithm, parties: usize) -> Vec<(Algorithm, usize)> {
    let sizes = |algorithm: Algorithm| -> &'static [usize] {
        match algorithm {
            Algorithm::Combining => &[4, 8],
            Algorithm::Hierarchical if parties > MANY => &[8, 16],
            Algorithm::Hierarchical => &[4, 8, 16],
            Algorithm::StaticTree(_) => &[static_tree::FAN_IN],
            _ => &[2],
        }
    };
    let named = Algorithm::NAMED.into_iter().filter(|&algorithm| match wish {
        Algorithm::Auto => match algorithm {
            Algorithm::Exchange | Algorithm::Central => parties <= FEW,
            Algorithm::Combining | Algorithm::Tournament | Algorithm::StaticTree(Wake::Tree) => parties <= MANY,
            _ => true,
        },
        named => named == algorithm,
    });
    named.flat_map(|algorithm| sizes(algorithm).iter().map(move |&size| (algorithm, size))).collect()
}

/// A choice, and how it came about.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) blueprint: Blueprint,
    pub(crate) reason: Reason,
}

/// Why this algorithm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    /// There was nothing to choose.
    Named,
    /// One or two parties.
    Few,
    /// More parties than CPUs.
    Crowd,
    /// The least of the predictions, which are here in ascending order.
    Predicted(Vec<Rated>),
}

/// A candidate with its prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rated {
    pub(crate) algorithm: Algorithm,
    pub(crate) fan: Option<usize>,
    pub(crate) prediction: Prediction,
}

impl Rated {
    fn cost(&self) -> f64 {
        f64::midpoint(self.prediction.together, self.prediction.straggler)
    }
}

impl fmt::Display for Rated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prediction { together, straggler } = self.prediction;
        write!(f, "{}{} {together:.0}/{straggler:.0} ns", self.algorithm, Groups(self.fan))
    }
}

/// The size of groups, where there are such.
pub(crate) struct Groups(pub(crate) Option<usize>);

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |fan| write!(f, " (groups of {fan})"))
    }
}

/// Chooses for `wish`.
pub(crate) fn choose(wish: Algorithm, situation: Situation<'_>) -> Choice {
    let parties = situation.parties();
    let sites = Sites::of(situation.placement);
    let settled = |algorithm: Algorithm, reason| Choice {
        blueprint: Blueprint::new(algorithm, algorithm.usual_fan(), &sites),
        reason,
    };
    if wish == Algorithm::Auto && parties <= 2 && situation.has_room() {
        return settled(Algorithm::Exchange, Reason::Few);
    }
    if !situation.has_room() {
        return if wish == Algorithm::Auto { settled(CROWD, Reason::Crowd) } else { settled(wish, Reason::Named) };
    }
    let candidates = candidates(wish, parties);
    if candidates.len() == 1 {
        return settled(wish, Reason::Named);
    }
    let guessed;
    let hops = match situation.hops {
        Some(hops) => hops,
        None => {
            guessed = guess(situation.placement);
            &guessed
        }
    };
    let mut rated = rate(&candidates, &sites, hops, &Constants::default(), Effort::Quick);
    // Stable: of equals the first, and the simplest come first.
    rated.sort_by(|(_, one), (_, other)| one.cost().total_cmp(&other.cost()));
    if rated.is_empty() {
        return settled(if wish == Algorithm::Auto { CROWD } else { wish }, Reason::Named);
    }
    let reason = Reason::Predicted(rated.iter().map(|(_, rated)| *rated).collect());
    Choice { blueprint: rated.swap_remove(0).0, reason }
}

fn rate(
    candidates: &[(Algorithm, usize)],
    sites: &Sites,
    hops: &Hops,
    constants: &Constants,
    effort: Effort,
) -> Vec<(Blueprint, Rated)> {
    let mut scratch = Scratch::default();
    let rated = candidates.iter().filter_map(|&(algorithm, fan)| {
        let blueprint = Blueprint::new(algorithm, fan, sites);
        let prediction = evaluate(&blueprint.graph(sites), hops, constants, effort, &mut scratch)?;
        let rated = Rated { algorithm, fan: blueprint.fan(), prediction };
        Some((blueprint, rated))
    });
    rated.collect()
}

impl Algorithm {
    /// Predicts what a trip costs for ranks in these places, with these costs of a hop.
    ///
    /// What Smelt's simulator does for its trees (Kaestle and others, OSDI 2016): the dependencies of one trip are
    /// followed step by step, trip after trip, until the period is steady. Where the algorithm has groups, their best
    /// size is taken; `Auto` is the algorithm that [`Algorithm::Auto`] would take. The [model](crate::model) says what
    /// is assumed, and how far it was off. `None` if `hops` is for another number of ranks, or there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Classes, Constants, Hops};
    /// use phalanx::topology::{Bind, Topology};
    /// use phalanx::{Algorithm, Radix};
    ///
    /// // Two sockets with four caches of eight cores each.
    /// let machine = Topology::regular(2, 1, 4, 8, 1)?;
    /// let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
    /// let placement = machine.place(&Bind::Close, 64, &mask)?;
    /// let hops = Hops::from_cpus(machine.cpus(), &Classes::EPYC_7763);
    ///
    /// let predict = |algorithm: Algorithm| algorithm.predict(&placement, &hops, &Constants::default()).unwrap();
    /// let tree = predict(Algorithm::Hierarchical);
    /// let rounds = predict(Algorithm::Dissemination(Radix::Two));
    /// assert!(tree.together < rounds.together);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn predict(self, placement: &Placement, hops: &Hops, constants: &Constants) -> Option<Prediction> {
        if hops.parties() != placement.parties() || placement.parties() == 0 {
            return None;
        }
        let sites = Sites::of(placement);
        let rated = rate(&candidates(self, placement.parties()), &sites, hops, constants, Effort::Full);
        let best = rated.into_iter().map(|(_, rated)| rated).min_by(|one, other| one.cost().total_cmp(&other.cost()));
        best.map(|rated| rated.prediction)
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::topology::{Bind, CpuSet, Topology};

    fn placed(machine: &Topology, parties: usize) -> Placement {
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        machine.place(&Bind::Close, parties, &mask).unwrap()
    }

    fn chosen(placement: &Placement, cpus: usize) -> (Algorithm, Reason) {
        let choice = choose(Algorithm::Auto, Situation { placement, hops: None, cpus });
        (choice.blueprint.algorithm(), choice.reason)
    }

    #[test]
    fn two_parties_exchange_and_a_crowd_counts() {
        assert_eq!(chosen(&Placement::anywhere(2), 2), (Algorithm::Exchange, Reason::Few));
        assert_eq!(chosen(&Placement::anywhere(1), 1), (Algorithm::Exchange, Reason::Few));
        assert_eq!(chosen(&Placement::anywhere(3), 2), (CROWD, Reason::Crowd));
        assert_eq!(chosen(&Placement::anywhere(2), 1), (CROWD, Reason::Crowd));
        let shared = Topology::regular(1, 1, 1, 2, 1).unwrap();
        assert_eq!(chosen(&placed(&shared, 3), 64), (CROWD, Reason::Crowd), "two ranks on one CPU");
    }

    #[test]
    fn every_party_count_gets_an_algorithm_that_the_model_finds_best() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        for parties in 3..=128 {
            let (algorithm, reason) = chosen(&placed(&machine, parties), 128);
            let Reason::Predicted(rated) = reason else { panic!("{parties}: {reason:?}") };
            assert_eq!(rated[0].algorithm, algorithm);
            assert!(rated.iter().all(|other| other.cost() >= rated[0].cost()), "{parties}: {rated:?}");
        }
    }

    #[test]
    fn chiplets_and_sockets_get_the_hierarchy() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        assert_eq!(chosen(&placed(&machine, 128), 128).0, Algorithm::Hierarchical);
    }

    #[test]
    fn a_named_algorithm_stays_with_the_group_size_that_the_model_finds_best() {
        let machine = Topology::regular(1, 1, 1, 16, 1).unwrap();
        let placement = placed(&machine, 16);
        for algorithm in Algorithm::NAMED {
            let choice = choose(algorithm, Situation { placement: &placement, hops: None, cpus: 16 });
            assert_eq!(choice.blueprint.algorithm(), algorithm);
        }
    }

    /// No party leaves before all have come, in the model either: each graph is that of a barrier.
    #[test]
    fn every_graph_can_be_evaluated() {
        for parties in [1, 2, 3, 5, 8, 17, 64, 130] {
            let hops = Hops::uniform(parties, 50.0);
            for algorithm in Algorithm::NAMED {
                let predicted = algorithm.predict(&Placement::anywhere(parties), &hops, &Constants::default());
                let Prediction { together, straggler } = predicted.expect("a barrier completes");
                let least = if parties > 1 { 50.0 } else { 0.0 };
                assert!(together >= least && straggler >= least, "{algorithm}, {parties}: {predicted:?}");
            }
        }
    }
}
