//! The example `nas_mg`: the published norm, with the same bits for every number of members and at every barrier.
#![cfg_attr(miri, allow(dead_code, unused_imports))] // of the example Miri runs only what ends within its time

mod common;

#[path = "../examples/common/kind.rs"]
mod kind;
#[allow(dead_code)]
#[path = "../examples/nas/mg.rs"]
mod mg;
#[path = "../examples/nas/random.rs"]
mod random;

use common::watched;
use kind::{Kind, Spmd, spmd};
use mg::{Class, Planes, Stack};
use phalanx::Broken;
use phalanx::team::Team;
use phalanx::team::rendezvous::Rendezvous;
use std::time::Duration;

const LIMIT: Duration = common::limit(300);

struct Solve(Stack);

impl Spmd for Solve {
    type Output = f64;

    fn run<M: Rendezvous>(&self, party: &mut M) -> Result<f64, Broken> {
        mg::solve(&self.0, party)
    }
}

// Hundreds of millions of operations.
#[cfg(not(miri))]
#[test]
fn class_s_is_verified_with_the_same_bits_everywhere() {
    watched("mg_class_s_is_verified_with_the_same_bits_everywhere", LIMIT, |_| class_s());
}

#[cfg(not(miri))]
fn class_s() {
    let problem = Class::S.problem();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let norm = mg::solve_with_rayon(&mut Planes::new(&problem), &pool);
    assert!(problem.verified(norm), "{norm:e}");
    // More members than planes as well.
    for members in [1, 2, 3, 5, 33] {
        let team = Team::builder().threads(members).build().unwrap();
        let solve = Solve(Stack::new(&problem, members));
        for kind in Kind::ALL {
            // The second time on arrays that are not zero any more.
            for _ in 0..2 {
                for (rank, (result, _)) in spmd(&team, kind, &solve).unwrap().into_iter().enumerate() {
                    assert_eq!(result.to_bits(), norm.to_bits(), "rank {rank} of {members} at {kind}");
                }
            }
        }
    }
}

#[test]
fn charges_are_ten_of_each_sign_at_different_points() {
    let mut charges = Class::S.problem().charges();
    assert_eq!(charges.iter().filter(|it| it.1 == 1.0).count(), 10);
    assert_eq!(charges.iter().map(|it| it.1).sum::<f64>(), 0.0);
    charges.sort_by_key(|it| it.0);
    charges.dedup_by_key(|it| it.0);
    assert_eq!(charges.len(), 20);
}

#[test]
fn a_wrong_norm_is_not_verified() {
    let problem = Class::S.problem();
    assert!(problem.verified(problem.norm) && !problem.verified(problem.norm * (1.0 + 2e-8)));
    assert!(!problem.verified(f64::NAN));
}
