//! The kernel MG of the NAS Parallel Benchmarks on a team: multigrid V-cycles, some 18 trips to each.
//!
//! ```text
//! cargo run --release --example nas_mg                       # class S on all CPUs
//! cargo run --release --example nas_mg -- --class W --threads 2
//! cargo run --release --example nas_mg -- --class A --barrier std
//! cargo run --release --example nas_mg -- --barrier rayon    # parallel loops instead of a team
//! ```
//!
//! Verified by the published norm of the residual, to within 1e-8. It has the same bits for every number of threads.

#[path = "common/kind.rs"]
mod kind;
#[path = "nas/mg.rs"]
mod mg;
#[path = "nas/random.rs"]
mod random;
#[path = "nas/show.rs"]
mod show;

use clap::Parser;
use kind::{DEADLINE, Spmd, spmd};
use mg::{CYCLES, Class, Planes, Stack};
use phalanx::Broken;
use phalanx::team::Team;
use phalanx::team::rendezvous::Rendezvous;
use show::{Engine, Run};
use std::error::Error;
use std::time::Instant;

/// NAS MG: multigrid V-cycles on Poisson's equation in a periodic cube
#[derive(Parser)]
#[command(name = "nas_mg", version)]
struct Options {
    /// The problem's size
    #[arg(long, value_enum, default_value_t = Class::S)]
    class: Class,
    #[command(flatten)]
    run: show::Options,
}

struct Solve(Stack);

impl Spmd for Solve {
    type Output = f64;

    fn run<M: Rendezvous>(&self, party: &mut M) -> Result<f64, Broken> {
        mg::solve(&self.0, party)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let problem = options.class.problem();
    let threads = options.run.threads();
    println!("NAS MG      class {:?}, {n} x {n} x {n} points, {CYCLES} cycles", options.class, n = problem.n);

    let mut waited = Vec::new();
    let (norm, elapsed) = match options.run.barrier.kind() {
        None => {
            let pool = show::pool(&options.run)?;
            let mut planes = Planes::new(&problem);
            mg::solve_with_rayon(&mut planes, &pool);
            let began = Instant::now();
            let norm = mg::solve_with_rayon(&mut planes, &pool);
            (norm, began.elapsed())
        }
        Some(kind) => {
            let team = Team::builder()
                .threads(threads)
                .place(options.run.bind.clone())
                .name("mg")
                .timeout(DEADLINE)
                .build()?;
            // Rank 0 is this thread; a system that cannot pin runs it unpinned.
            let _pinned = team.pin_caller().ok();
            let solve = Solve(Stack::new(&problem, threads));
            // Once to touch everything, as the benchmark has it.
            spmd(&team, kind, &solve)?;
            let began = Instant::now();
            let results = spmd(&team, kind, &solve)?;
            let elapsed = began.elapsed();
            waited = results.iter().map(|(_, waited)| *waited).collect();
            (results[0].0, elapsed)
        }
    };
    println!("norm        {norm:.13e}, published {:.13e}", problem.norm);
    Run { engine: Engine(&options.run), elapsed, operations: problem.operations(), waited }.print();
    if problem.verified(norm) { show::verified() } else { Err("verification failed".into()) }
}
