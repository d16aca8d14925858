//! More parties than CPUs, dealt out over them: the time per trip when most of those who wait must give up their CPU
//! for it to happen.
//!
//! The floor here is a counter whose waiters yield, since a trip then costs each party one turn on a CPU and hardly
//! anything else. Dealt out and not left floating, because the scheduler may keep a floating crowd on one CPU or spread
//! it, and changes its mind between two runs. `Auto` stands for all algorithms; `phalanx-versus --only family` has them
//! one by one.
//!
//! On a machine with a CPU for each party there would be no crowd; such a size is left out, and said so. `taskset -c
//! 0,1 cargo bench --bench oversubscribed` makes any machine small enough.

mod common;

use common::meet::{self, own};
use common::{Table, back_to_back, by_first_rank, places};
use criterion::{Criterion, SamplingMode};
use phalanx::Algorithm::Auto;
use phalanx::topology::available_cpus;

const SIZES: [usize; 3] = [4, 16, 64];

fn table(criterion: &mut Criterion, parties: usize) {
    let cpus = available_cpus();
    if parties <= cpus {
        eprintln!("{parties} parties are no crowd on {cpus} CPUs: left out; try `taskset -c 0,1`");
        return;
    }
    let group = criterion.benchmark_group(format!("oversubscribed {parties}"));
    // One barrier per row: where its lines lie does not matter beside a context switch.
    let mut table = Table { group, places: places(parties), instances: 1 };
    // Samples of equal length: the slowest rows could not afford ascending ones.
    table.group.sampling_mode(SamplingMode::Flat);
    table.row("yielding", meet::yielding, back_to_back, by_first_rank);
    table.row("auto", |parties| own(parties, Auto), back_to_back, by_first_rank);
    table.row("compat", meet::compat, back_to_back, by_first_rank);
    table.row("std", meet::std, back_to_back, by_first_rank);
}

fn main() {
    common::bench(|criterion| SIZES.into_iter().for_each(|parties| table(criterion, parties)));
}
