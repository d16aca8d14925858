//! What a choice comes to on a machine that is not here.

use super::choice::{Demand, Situation, choose, is_predictable};
use super::select::Algorithm;
use crate::model::{Constants, Effort, Hops, Prediction, Scratch, evaluate};
use crate::topology::{Placement, Sites};

/// What a choice comes to for ranks in given places; from [`Algorithm::recommend`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recommendation {
    /// The algorithm; never [`Algorithm::Auto`].
    pub algorithm: Algorithm,
    /// How large a group is at most, if the algorithm has groups.
    pub group_size: Option<usize>,
    /// What a trip of just this is predicted to cost.
    pub prediction: Prediction,
}

impl Algorithm {
    /// Says what this choice comes to on a machine with a CPU for each of these ranks, whichever machine this is.
    ///
    /// The same choice as [`Barrier::explain`](crate::Barrier::explain) reports there, without going there: what
    /// [`Algorithm::Auto`] takes, or the group size of an algorithm that has groups, and what it costs with the
    /// default [`Constants`]. `None` if `hops` is for another number of ranks, if there are none, or if two of them
    /// share a CPU: then the cost is in context switches, of which the [model](crate::model) knows nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::Algorithm;
    /// use phalanx::model::{Classes, Hops};
    /// use phalanx::topology::{Bind, Topology};
    ///
    /// // Two sockets with eight caches of eight cores each.
    /// let machine = Topology::regular(2, 1, 8, 8, 1)?;
    /// let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
    /// let placement = machine.place(&Bind::Close, 64, &mask)?;
    /// let hops = Hops::from_cpus(&machine.cpus()[..64], &Classes::EPYC_7763);
    ///
    /// let auto = Algorithm::Auto.recommend(&placement, &hops).expect("a CPU each");
    /// assert_eq!(auto.algorithm, Algorithm::Hierarchical);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn recommend(self, placement: &Placement, hops: &Hops) -> Option<Recommendation> {
        let parties = placement.parties();
        let situation = Situation { placement, hops: Some(hops), cpus: parties, demand: Demand::Nothing };
        if hops.parties() != parties || !is_predictable(self, parties) || !situation.has_room() {
            return None;
        }
        let blueprint = choose(self, situation).blueprint;
        let graph = blueprint.graph(&Sites::of(placement));
        let prediction = evaluate(&graph, hops, &Constants::default(), Effort::Full, &mut Scratch::default())?;
        Some(Recommendation { algorithm: blueprint.algorithm(), group_size: blueprint.detail().groups(), prediction })
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::topology::{Bind, Topology};

    #[test]
    fn named_algorithms_stay_and_groups_are_those_of_the_best_prediction() {
        let machine = Topology::regular(2, 1, 2, 6, 1).unwrap();
        let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let parties = if cfg!(miri) { 4 } else { 24 };
        let placement = machine.place(&Bind::Close, parties, &mask).unwrap();
        let hops = Hops::uniform(parties, 50.0);
        for algorithm in Algorithm::NAMED {
            let here = algorithm.recommend(&placement, &hops).unwrap();
            assert_eq!(here.algorithm, algorithm);
            let best = algorithm.predict(&placement, &hops, &Constants::default()).unwrap();
            let cost = |prediction: Prediction| prediction.together + prediction.straggler;
            // As near as Auto wants it (15 %), and what a quick evaluation is off by.
            assert!(cost(here.prediction) <= 1.25 * cost(best), "{algorithm}: {here:?}, {best:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_ranks_that_share_a_cpu_or_of_other_ranks() {
        let machine = Topology::regular(1, 1, 1, 2, 1).unwrap();
        let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let crowd = machine.place(&Bind::Close, 3, &mask).unwrap();
        assert_eq!(Algorithm::Auto.recommend(&crowd, &Hops::uniform(3, 50.0)), None);
        assert_eq!(Algorithm::Auto.recommend(&Placement::anywhere(3), &Hops::uniform(2, 50.0)), None);
        assert_eq!(Algorithm::Auto.recommend(&Placement::anywhere(0), &Hops::uniform(0, 50.0)), None);
        let two = Algorithm::Auto.recommend(&Placement::anywhere(2), &Hops::uniform(2, 50.0)).unwrap();
        assert_eq!((two.algorithm, two.group_size), (Algorithm::Exchange, None));
    }
}
