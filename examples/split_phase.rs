//! Heat in a ring, each party with a part of its own: it hands its edges to its neighbours, arrives, works on the
//! inside, which needs nobody, and only then waits for the others' edges. The result has the bits of one thread's.
//!
//! ```text
//! cargo run --release --example split_phase
//! ```

use phalanx::{Barrier, Broken, Party};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{error::Error, thread};

const PARTIES: usize = 3;
const CELLS: usize = 40; // of each party
const ALL: usize = PARTIES * CELLS;

const START: fn(usize) -> f64 = |cell| (cell % 17) as f64;

/// The first and the last cell of each party, for steps of even and odd number: who is ahead writes the other.
type Edges = [[[AtomicU64; 2]; PARTIES]; 2];

fn mix(left: f64, own: f64, right: f64) -> f64 {
    0.25 * left + 0.5 * own + 0.25 * right
}

fn work(mut party: Party, edges: &Edges) -> Result<Vec<f64>, Broken> {
    let rank = party.rank();
    let mut own: Vec<f64> = (rank * CELLS..(rank + 1) * CELLS).map(START).collect();
    for step in 0..500 {
        let halo = &edges[step % 2];
        halo[rank][0].store(own[0].to_bits(), Relaxed);
        halo[rank][1].store(own[CELLS - 1].to_bits(), Relaxed);
        let arrival = party.arrive();
        let mut next: Vec<f64> = own.windows(3).map(|near| mix(near[0], near[1], near[2])).collect();
        let _ = arrival.wait()?;
        let edge = |rank: usize, side: usize| f64::from_bits(halo[rank % PARTIES][side].load(Relaxed)); // of a ring
        next.insert(0, mix(edge(rank + PARTIES - 1, 1), own[0], own[1]));
        next.push(mix(own[CELLS - 2], own[CELLS - 1], edge(rank + 1, 0)));
        own = next;
    }
    Ok(own)
}

fn main() -> Result<(), Box<dyn Error>> {
    let edges = Edges::default();
    let parties = Barrier::builder(PARTIES).split_phase().build()?.take_parties()?;
    let rod = thread::scope(|s| {
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(|| work(party, &edges))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    let mut alone: Vec<f64> = (0..ALL).map(START).collect();
    for _ in 0..500 {
        alone = (0..ALL).map(|cell| mix(alone[(cell + ALL - 1) % ALL], alone[cell], alone[(cell + 1) % ALL])).collect();
    }
    println!("500 steps: heat {:.3} at cell 0; on one thread {:.3}", rod[0], alone[0]);
    assert_eq!(rod, alone);
    Ok(())
}
