//! A barrier on the threads of a rayon pool: a prefix sum in two sweeps, with one trip between them.
//!
//! ```text
//! cargo run --release --features rayon --example rayon
//! ```

use phalanx::team::rayon::{SpmdError, pinned, try_run};
use phalanx::topology::{Bind, Topology, startup_mask};
use phalanx::{Barrier, Broken};
use std::sync::Mutex;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = 4;
    let placement = Topology::detect().place(&Bind::Close, threads, startup_mask())?;
    let pool = pinned(rayon::ThreadPoolBuilder::new(), &placement)?;

    let mut values: Vec<u64> = (1..=1_000_000).collect();
    let parts = values.len().div_ceil(threads);
    {
        let parts: Vec<_> = values.chunks_mut(parts).map(Mutex::new).collect();
        try_run(&pool, Barrier::builder(threads), |party| -> Result<(), Broken> {
            let mut part = parts[party.rank()].lock().expect("never poisoned");
            let sum = part.iter().sum();
            // Where this part begins: the sum of all before it.
            let mut sum = party.exclusive_scan(0, sum, |a, b| a + b)?;
            for value in part.iter_mut() {
                sum += *value;
                *value = sum;
            }
            Ok(())
        })?;
    }
    for (i, &sum) in (1..).zip(&values) {
        assert_eq!(sum, i * (i + 1) / 2);
    }
    println!("{} prefix sums on {threads} threads of a pool, the last one {}", values.len(), values[values.len() - 1]);

    // What would deadlock is refused.
    let refused = try_run(&pool, Barrier::builder(threads + 1), |_| Ok::<(), Broken>(()));
    assert!(matches!(refused, Err(SpmdError::TooFewThreads { .. })));
    println!("{}", refused.unwrap_err());
    Ok(())
}
