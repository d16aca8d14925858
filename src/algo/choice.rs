//! How `Auto` chooses: topology, placement, parties and CPUs in, algorithm and group size out, with the reason.
//!
//! 1. One party, or two: nothing to choose. One hop is the least that a barrier of two can cost, and the exchange costs
//!    that.
//! 2. More parties than CPUs: the cost is in context switches, of which the cost model knows nothing. What counts is
//!    that whoever runs can see whether all have arrived, and that this is cheap: [`crowd`] goes by measurements.
//! 3. Otherwise: the cost model (`model`) evaluates each candidate's own graph for these parties in these places, for
//!    all arriving together and for a straggler. Loops are something in between, so what counts is the mean of the two.
//!    Of those within [`NEAR`] of the least the one that moves the fewest lines is taken: the model is not exact, and
//!    knows nothing of links that fill up.

use super::seat::{ACROSS, Blueprint, Detail};
use super::select::{Algorithm, Radix};
use super::static_tree;
use crate::error::MAX_PARTIES;
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
    pub(crate) demand: Demand,
}

/// What rides on the trips, if that limits the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing that an algorithm has to know of.
    #[default]
    Nothing,
    /// Work between arrival and wait: no party may be needed to run in between. A wish, which a named algorithm beats.
    Split,
    /// An action at the root: there has to be one.
    Root,
}

impl Demand {
    fn allows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Nothing => true,
            Self::Split => algorithm.splits(),
            Self::Root => algorithm.is_rooted(),
        }
    }
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

/// Up to this many parties the exchange is a candidate: each further one is a line more for everybody to read.
const EXCHANGE_AT_MOST: usize = 16;

/// Predictions that differ by less are not different. A guess between what the model gets right (the order of
/// algorithms) and what it is off by (up to a third).
const NEAR: f64 = 1.15;

/// The algorithm for more parties than CPUs. Measured on two CPUs (docs/results): the exchange is ahead of the counter
/// by 8 % for 4 parties, equal for 8 and 16, and behind by an eighth for 64 and by half for 256. (5 and 6 are from a
/// quick run that was not kept: ahead by 1 to 4 %.) Two on one CPU are alike with both, and two that only a quota
/// makes a crowd have a CPU each, where the exchange takes a third of the counter's time.
fn crowd(parties: usize) -> Algorithm {
    if matches!(parties, 2 | 4..=6) { Algorithm::Exchange } else { Algorithm::Central }
}

/// The algorithms that a wish allows for so many parties, each with the group sizes to try.
///
/// For `Auto` those that the model finds best on some machine at some number of parties (docs/choosing.md): the others
/// would only take time. Where most of those are ruled out, all that are not.
fn candidates(wish: Algorithm, parties: usize, demand: Demand) -> Vec<(Algorithm, usize)> {
    let sizes = |algorithm: Algorithm| -> &'static [usize] {
        match algorithm {
            Algorithm::Combining => &[4, 8],
            Algorithm::Hierarchical => &[4, 8, 16],
            Algorithm::StaticTree(_) => &[static_tree::FAN_IN],
            Algorithm::Dissemination(_) => &[0, ACROSS],
            _ => &[0],
        }
    };
    let named = Algorithm::NAMED.into_iter().filter(|&algorithm| match wish {
        Algorithm::Auto => {
            demand.allows(algorithm)
                && match algorithm {
                    Algorithm::Exchange => parties <= EXCHANGE_AT_MOST,
                    Algorithm::Dissemination(Radix::Four) | Algorithm::Hierarchical => demand == Demand::Nothing,
                    other => demand != Demand::Nothing && demand.allows(other),
                }
        }
        named => named == algorithm,
    });
    named.flat_map(|algorithm| sizes(algorithm).iter().map(move |&size| (algorithm, size))).collect()
}

/// A choice, and how it came about.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) blueprint: Blueprint,
    pub(crate) reason: Reason,
    /// What was asked for, if it has no root for the action.
    pub(crate) rootless: Option<Algorithm>,
}

/// Why this algorithm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    /// There was nothing to choose.
    Named,
    /// The cost model has no answer, since the hops given make no sense.
    Unpredicted,
    /// One or two parties.
    Few,
    /// More parties than CPUs.
    Crowd,
    /// One of the least of the predictions, which stand behind it in ascending order.
    Predicted(Vec<Rated>),
}

/// A candidate with its prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rated {
    pub(crate) algorithm: Algorithm,
    pub(crate) detail: Detail,
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
        write!(f, "{}{} {together:.0}/{straggler:.0} ns", self.algorithm, self.detail)
    }
}

/// Chooses for `wish`.
pub(crate) fn choose(wish: Algorithm, situation: Situation<'_>) -> Choice {
    let demand = situation.demand;
    let rootless = (wish != Algorithm::Auto && demand == Demand::Root && !wish.is_rooted()).then_some(wish);
    let wish = if rootless.is_some() { Algorithm::Auto } else { wish };
    Choice { rootless, ..choose_among(wish, situation) }
}

fn choose_among(wish: Algorithm, situation: Situation<'_>) -> Choice {
    let (parties, demand) = (situation.parties(), situation.demand);
    let sites = Sites::of(situation.placement);
    let settled = |algorithm: Algorithm, reason| Choice {
        blueprint: Blueprint::new(algorithm, algorithm.usual_fan(), &sites),
        reason,
        rootless: None,
    };
    if wish == Algorithm::Auto && parties <= 2 && situation.has_room() {
        let few = if demand == Demand::Root { Algorithm::Central } else { Algorithm::Exchange };
        return settled(few, Reason::Few);
    }
    if !situation.has_room() {
        return if wish == Algorithm::Auto {
            let crowd = if demand == Demand::Root { Algorithm::Central } else { crowd(parties) };
            settled(crowd, Reason::Crowd)
        } else {
            settled(wish, Reason::Named)
        };
    }
    let candidates = candidates(wish, parties, demand);
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
    rated.sort_by(|(_, one), (_, other)| one.cost().total_cmp(&other.cost()));
    let near = rated.first().map_or(0.0, |(_, best)| NEAR * best.cost());
    let rivals = rated.iter().take_while(|(_, rated)| rated.cost() <= near).enumerate();
    let taken = rivals.min_by_key(|(_, (blueprint, _))| blueprint.traffic()).map_or(0, |(index, _)| index);
    if rated.is_empty() {
        return settled(if wish == Algorithm::Auto { Algorithm::Central } else { wish }, Reason::Unpredicted);
    }
    let (blueprint, best) = rated.remove(taken);
    let others = rated.into_iter().map(|(_, rated)| rated);
    Choice { blueprint, reason: Reason::Predicted(std::iter::once(best).chain(others).collect()), rootless: None }
}

/// Whether a prediction is to be had: an exchange of n parties is a graph of n² reads, a gigabyte from some 5000 on.
pub(crate) fn is_predictable(algorithm: Algorithm, parties: usize) -> bool {
    (1..=if algorithm == Algorithm::Exchange { 1024 } else { MAX_PARTIES }).contains(&parties)
}

fn rate(
    candidates: &[(Algorithm, usize)],
    sites: &Sites,
    hops: &Hops,
    constants: &Constants,
    effort: Effort,
) -> Vec<(Blueprint, Rated)> {
    let mut scratch = Scratch::default();
    let mut rated: Vec<(Blueprint, Rated)> = Vec::with_capacity(candidates.len());
    for &(algorithm, fan) in candidates {
        let blueprint = Blueprint::new(algorithm, fan, sites);
        if rated.iter().any(|(other, _)| other.is_same_as(&blueprint)) {
            continue;
        }
        if let Some(prediction) = evaluate(&blueprint.graph(sites), hops, constants, effort, &mut scratch) {
            let detail = blueprint.detail();
            rated.push((blueprint, Rated { algorithm, detail, prediction }));
        }
    }
    rated
}

impl Algorithm {
    /// Predicts what a trip costs for ranks in these places, with these costs of a hop.
    ///
    /// What Smelt's simulator does for its trees (Kaestle and others, OSDI 2016): the dependencies of one trip are
    /// followed step by step, trip after trip, until the period is steady. Where the algorithm has groups, their best
    /// size is taken; `Auto` is the least of its candidates, from which what it takes may differ by 15 %
    /// ([`recommend`](Self::recommend)). The [model](crate::model) says what is assumed, and how far it was off. `None`
    /// if `hops` is for another number of ranks, if there are none or more than [`MAX_PARTIES`], and for an exchange of
    /// more than 1024, whose graph would fill the memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Classes, Constants, Hops};
    /// use phalanx::topology::{Bind, Topology};
    /// use phalanx::Algorithm;
    ///
    /// // Two sockets with four caches of eight cores each.
    /// let machine = Topology::regular(2, 1, 4, 8, 1)?;
    /// let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
    /// let placement = machine.place(&Bind::Close, 64, &mask)?;
    /// let hops = Hops::from_cpus(machine.cpus(), &Classes::EPYC_7763);
    ///
    /// let predict = |algorithm: Algorithm| algorithm.predict(&placement, &hops, &Constants::default()).unwrap();
    /// let tree = predict(Algorithm::Hierarchical);
    /// let counter = predict(Algorithm::Central);
    /// assert!(3.0 * tree.together < counter.together);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn predict(self, placement: &Placement, hops: &Hops, constants: &Constants) -> Option<Prediction> {
        if hops.parties() != placement.parties() || !is_predictable(self, placement.parties()) {
            return None;
        }
        let sites = Sites::of(placement);
        let rated =
            rate(&candidates(self, placement.parties(), Demand::Nothing), &sites, hops, constants, Effort::Full);
        let best = rated.into_iter().map(|(_, rated)| rated).min_by(|one, other| one.cost().total_cmp(&other.cost()));
        best.map(|rated| rated.prediction)
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::select::Wake;
    use crate::algo::tiers::tests::tested;
    use crate::topology::{Bind, CpuSet, Topology};

    fn placed(machine: &Topology, parties: usize) -> Placement {
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        machine.place(&Bind::Close, parties, &mask).unwrap()
    }

    fn chosen(placement: &Placement, cpus: usize) -> (Algorithm, Reason) {
        let choice = choose(Algorithm::Auto, Situation { placement, hops: None, cpus, demand: Demand::Nothing });
        (choice.blueprint.algorithm(), choice.reason)
    }

    #[test]
    fn two_parties_exchange_and_a_crowd_counts() {
        assert_eq!(chosen(&Placement::anywhere(2), 2), (Algorithm::Exchange, Reason::Few));
        assert_eq!(chosen(&Placement::anywhere(1), 1), (Algorithm::Exchange, Reason::Few));
        assert_eq!(chosen(&Placement::anywhere(3), 2), (Algorithm::Central, Reason::Crowd));
        assert_eq!(chosen(&Placement::anywhere(2), 1), (Algorithm::Exchange, Reason::Crowd));
        assert_eq!(chosen(&Placement::anywhere(4), 2), (Algorithm::Exchange, Reason::Crowd));
        assert_eq!(chosen(&Placement::anywhere(33), 32), (Algorithm::Central, Reason::Crowd));
        let shared = Topology::regular(1, 1, 1, 2, 1).unwrap();
        assert_eq!(chosen(&placed(&shared, 3), 64), (Algorithm::Central, Reason::Crowd), "two ranks on one CPU");
    }

    #[test]
    fn every_party_count_gets_an_algorithm_that_the_model_finds_near_the_best() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        for parties in tested(3..=128) {
            let (algorithm, reason) = chosen(&placed(&machine, parties), 128);
            let Reason::Predicted(rated) = reason else { panic!("{parties}: {reason:?}") };
            assert_eq!(rated[0].algorithm, algorithm);
            assert!(rated.iter().all(|other| NEAR * other.cost() >= rated[0].cost()), "{parties}: {rated:?}");
        }
    }

    // Pure arithmetic on 12 ranks and more, which takes an interpreter minutes.
    #[cfg(not(miri))]
    #[test]
    fn chiplets_and_sockets_get_the_hierarchy() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        for parties in [12, 24, 48, 64, 96] {
            assert_eq!(chosen(&placed(&machine, parties), 128).0, Algorithm::Hierarchical, "{parties}");
        }
    }

    #[test]
    fn a_named_algorithm_stays_with_the_group_size_that_the_model_finds_best() {
        let parties = if cfg!(miri) { 4 } else { 16 };
        let machine = Topology::regular(1, 1, 1, parties, 1).unwrap();
        let placement = placed(&machine, parties);
        for algorithm in Algorithm::NAMED {
            let choice = choose(
                algorithm,
                Situation { placement: &placement, hops: None, cpus: parties, demand: Demand::Nothing },
            );
            assert_eq!(choice.blueprint.algorithm(), algorithm);
            if let Reason::Predicted(rated) = choice.reason {
                assert_eq!(rated[0].detail, choice.blueprint.detail());
                assert!(rated[1..].iter().all(|other| NEAR * other.cost() >= rated[0].cost()), "{rated:?}");
            }
        }
    }

    #[test]
    fn what_rides_on_a_trip_limits_the_choice() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        for parties in tested([1, 2, 3, 8, 16, 17, 64, 128]) {
            let placement = placed(&machine, parties);
            let chosen = |wish, demand, cpus| {
                let choice = choose(wish, Situation { placement: &placement, hops: None, cpus, demand });
                (choice.blueprint.algorithm(), choice.rootless)
            };
            for cpus in [1, 128] {
                let (algorithm, rootless) = chosen(Algorithm::Auto, Demand::Root, cpus);
                assert!(algorithm.is_rooted() && rootless.is_none(), "{parties}: {algorithm}");
                let (algorithm, _) = chosen(Algorithm::Auto, Demand::Split, cpus);
                assert!(algorithm.splits(), "{parties}: {algorithm}");
                for wish in Algorithm::NAMED {
                    let (algorithm, rootless) = chosen(wish, Demand::Root, cpus);
                    assert!(algorithm.is_rooted(), "{wish}");
                    assert_eq!(rootless, (algorithm != wish).then_some(wish));
                    assert_eq!(chosen(wish, Demand::Split, cpus), (wish, None));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_predicted_is_not_and_there_is_a_barrier_all_the_same() {
        let placement = Placement::anywhere(4);
        let hops = Hops::uniform(4, f64::INFINITY);
        let choice = choose(
            Algorithm::Auto,
            Situation { placement: &placement, hops: Some(&hops), cpus: 4, demand: Demand::Nothing },
        );
        assert_eq!((choice.blueprint.algorithm(), choice.reason), (Algorithm::Central, Reason::Unpredicted));
        let crowd = |parties| (Placement::anywhere(parties), Hops::uniform(parties, 50.0));
        let (placement, hops) = crowd(MAX_PARTIES);
        assert_eq!(Algorithm::Exchange.predict(&placement, &hops, &Constants::default()), None);
        let (placement, hops) = crowd(MAX_PARTIES + 1);
        assert_eq!(Algorithm::Central.predict(&placement, &hops, &Constants::default()), None);
        let (placement, hops) = crowd(0);
        assert_eq!(Algorithm::Central.predict(&placement, &hops, &Constants::default()), None);
    }

    #[test]
    fn hops_between_other_ranks_predict_nothing() {
        for ranks in [3, 5] {
            let (placement, hops) = (Placement::anywhere(4), Hops::uniform(ranks, 50.0));
            assert_eq!(Algorithm::Central.predict(&placement, &hops, &Constants::default()), None, "{ranks} ranks");
        }
    }

    #[test]
    fn the_most_parties_that_there_may_be_are_predictable() {
        assert!(
            is_predictable(Algorithm::Central, MAX_PARTIES) && !is_predictable(Algorithm::Central, MAX_PARTIES + 1)
        );
        assert!(is_predictable(Algorithm::Exchange, 1024) && !is_predictable(Algorithm::Exchange, 1025));
        assert!(is_predictable(Algorithm::Auto, 1) && !is_predictable(Algorithm::Auto, 0));
    }

    #[test]
    fn a_static_tree_is_predicted_with_the_children_that_it_will_have() {
        for wake in [Wake::Flags, Wake::Tree] {
            let wish = Algorithm::StaticTree(wake);
            assert_eq!(candidates(wish, 64, Demand::Nothing), [(wish, wish.usual_fan())]);
        }
    }

    // Pure arithmetic on 32 ranks, which takes an interpreter minutes.
    #[cfg(not(miri))]
    #[test]
    fn of_those_near_the_least_the_one_that_moves_the_fewest_lines_is_taken() {
        let machine = Topology::regular(2, 1, 8, 8, 1).unwrap();
        let (algorithm, Reason::Predicted(rated)) = chosen(&placed(&machine, 32), 128) else { panic!() };
        let least = rated[1..].iter().min_by(|one, other| one.cost().total_cmp(&other.cost())).unwrap();
        assert!(least.cost() < rated[0].cost() && rated[0].cost() <= NEAR * least.cost(), "{rated:?}");
        assert_ne!(least.algorithm, algorithm);
    }

    /// No party leaves before all have come, in the model either: each graph is that of a barrier.
    #[test]
    fn every_graph_can_be_evaluated() {
        for parties in tested([1, 2, 3, 5, 8, 17, 64, 130]) {
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
