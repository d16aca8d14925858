//! The example `nas_cg`: the published eigenvalue, with the same bits for every number of members and at every barrier.
#![cfg_attr(miri, allow(dead_code, unused_imports))] // of the example Miri runs only what ends within its time

mod common;

#[allow(dead_code)]
#[path = "../examples/nas/cg.rs"]
mod cg;
#[path = "../examples/common/kind.rs"]
mod kind;
#[path = "../examples/nas/random.rs"]
mod random;

use cg::{Answer, Board, Class, Matrix, Problem};
use common::watched;
use kind::{Kind, Spmd, spmd};
use phalanx::Broken;
use phalanx::team::Team;
use phalanx::team::rendezvous::Rendezvous;
use random::{A, Random};
use std::time::Duration;

const LIMIT: Duration = common::limit(300);

struct Solve<'a>(&'a Problem, &'a Matrix, Board);

impl Spmd for Solve<'_> {
    type Output = Answer;

    fn run<M: Rendezvous>(&self, party: &mut M) -> Result<Answer, Broken> {
        cg::solve(self.0, self.1, &self.2, party)
    }
}

// Hundreds of millions of operations.
#[cfg(not(miri))]
#[test]
fn class_s_is_verified_with_the_same_bits_everywhere() {
    watched("cg_class_s_is_verified_with_the_same_bits_everywhere", LIMIT, |_| class_s());
}

#[cfg(not(miri))]
fn class_s() {
    let problem = Class::S.problem();
    let matrix = Matrix::new(&problem);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let answer = cg::solve_with_rayon(&problem, &matrix, &pool);
    assert!(problem.verified(answer.zeta) && answer.residual < 1e-12, "{answer:?}");
    for members in [1, 2, 3, 4, 7, 33] {
        let team = Team::builder().threads(members).build().unwrap();
        for kind in Kind::ALL {
            if members == 33 && kind != Kind::Phalanx {
                continue; // a thousand trips of 33 threads at these take minutes
            }
            let results = spmd(&team, kind, &Solve(&problem, &matrix, Board::new(&problem))).unwrap();
            for (rank, (result, _)) in results.into_iter().enumerate() {
                assert_eq!(result.zeta.to_bits(), answer.zeta.to_bits(), "rank {rank} of {members} at {kind}");
            }
        }
    }
}

#[test]
fn a_wrong_eigenvalue_is_not_verified() {
    let problem = Class::S.problem();
    assert!(problem.verified(problem.zeta) && !problem.verified(problem.zeta * (1.0 + 2e-10)));
    assert!(!problem.verified(f64::NAN));
}

/// The report gives no numbers, but a way to skip ahead: the two have to agree, also around the whole period of 2^44.
#[test]
fn random_numbers_can_be_skipped() {
    for seed in [314_159_265, 271_828_183, 1] {
        let mut one_by_one = Random::new(seed);
        let numbers: Vec<f64> = (0..1000).map(|_| one_by_one.next()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 1000.0;
        assert!(seed == 1 || (mean - 0.5).abs() < 0.05, "{mean}");
        for skipped in [0, 1, 2, 63, 999] {
            let mut random = Random::new(seed);
            random.skip(skipped);
            assert_eq!(random.next(), numbers[skipped as usize]);
        }
        let mut around = Random::new(seed);
        around.skip(1 << 44);
        assert_eq!(around, Random::new(seed));
    }
    assert_eq!(A, 5_u64.pow(13));
}
