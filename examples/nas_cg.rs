//! The kernel CG of the NAS Parallel Benchmarks on a team: sparse matrix times vector, and three trips for each.
//!
//! ```text
//! cargo run --release --example nas_cg                       # class S on all CPUs
//! cargo run --release --example nas_cg -- --class W --threads 2
//! cargo run --release --example nas_cg -- --class A --barrier std
//! cargo run --release --example nas_cg -- --barrier rayon    # parallel loops instead of a team
//! ```
//!
//! Verified by the published eigenvalue, to within 1e-10. It has the same bits for every number of threads.

#[path = "nas/cg.rs"]
mod cg;
#[path = "common/kind.rs"]
mod kind;
#[path = "nas/random.rs"]
mod random;
#[path = "nas/show.rs"]
mod show;

use cg::{Answer, Board, Class, ITERATIONS, Matrix, Problem};
use clap::Parser;
use kind::{DEADLINE, Spmd, spmd};
use phalanx::Broken;
use phalanx::team::Team;
use phalanx::team::rendezvous::Rendezvous;
use show::{Engine, Run};
use std::error::Error;
use std::time::Instant;

/// NAS CG: the smallest eigenvalue of a sparse matrix by inverse iteration and conjugate gradients
#[derive(Parser)]
#[command(name = "nas_cg", version)]
struct Options {
    /// The problem's size
    #[arg(long, value_enum, default_value_t = Class::S)]
    class: Class,
    #[command(flatten)]
    run: show::Options,
}

struct Solve<'a> {
    problem: &'a Problem,
    matrix: &'a Matrix,
    board: Board,
}

impl Spmd for Solve<'_> {
    type Output = Answer;

    fn run<M: Rendezvous>(&self, party: &mut M) -> Result<Answer, Broken> {
        cg::solve(self.problem, self.matrix, &self.board, party)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let problem = options.class.problem();
    let matrix = Matrix::new(&problem);
    let threads = options.run.threads();
    println!("NAS CG      class {:?}, order {}, {ITERATIONS} iterations", options.class, problem.n);

    let mut waited = Vec::new();
    let (answer, elapsed) = match options.run.barrier.kind() {
        None => {
            let pool = show::pool(&options.run)?;
            cg::solve_with_rayon(&problem, &matrix, &pool);
            let began = Instant::now();
            (cg::solve_with_rayon(&problem, &matrix, &pool), began.elapsed())
        }
        Some(kind) => {
            let team = Team::builder()
                .threads(threads)
                .place(options.run.bind.clone())
                .name("cg")
                .timeout(DEADLINE)
                .build()?;
            // Rank 0 is this thread; a system that cannot pin runs it unpinned.
            let _pinned = team.pin_caller().ok();
            let solve = || Solve { problem: &problem, matrix: &matrix, board: Board::new(&problem) };
            // Once to touch everything, as the benchmark has it.
            spmd(&team, kind, &solve())?;
            let again = solve();
            let began = Instant::now();
            let results = spmd(&team, kind, &again)?;
            let elapsed = began.elapsed();
            waited = results.iter().map(|(_, waited)| *waited).collect();
            (results[0].0, elapsed)
        }
    };
    println!("zeta        {:.13}, published {:.13}", answer.zeta, problem.zeta);
    println!("residual    {:.3e}", answer.residual);
    Run { engine: Engine(&options.run), elapsed, operations: problem.operations(), waited }.print();
    if problem.verified(answer.zeta) { show::verified() } else { Err("verification failed".into()) }
}
