//! Heat in a rod until it is steady. The action, run once per step by whoever arrives last, swaps the two buffers, adds
//! up how much has changed, and decides whether there is another step.
//!
//! ```text
//! cargo run --release --example action
//! ```

use phalanx::{Barrier, Broken};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::{array, error::Error, sync::Arc, thread};

const PARTIES: usize = 3;
const CELLS: usize = 60;

/// Two copies of the rod, `front` to read and the other to write; each party's changes; what the action finds.
struct Rod {
    copies: [[AtomicU64; CELLS]; 2],
    front: AtomicUsize,
    changes: [AtomicU64; PARTIES],
    steady: AtomicBool,
}

fn get(cell: &AtomicU64) -> f64 {
    f64::from_bits(cell.load(Relaxed))
}

fn main() -> Result<(), Box<dyn Error>> {
    let heat = |cell| AtomicU64::new(if cell == CELLS - 1 { 1_f64 } else { 0.0 }.to_bits());
    let copies = [array::from_fn(heat), array::from_fn(heat)];
    let rod = Arc::new(Rod { copies, front: 0.into(), changes: Default::default(), steady: false.into() });
    let seen = Arc::clone(&rod);
    let between_steps = move |_: &phalanx::TripInfo| {
        seen.front.fetch_xor(1, Relaxed); // everybody has written, nobody reads yet
        seen.steady.store(seen.changes.iter().map(get).sum::<f64>() < 1e-9, Relaxed);
    };
    let parties = Barrier::builder(PARTIES).action(between_steps).build()?.take_parties()?;
    let steps = thread::scope(|s| {
        let work = |mut party: phalanx::Party| -> Result<u64, Broken> {
            let own = (1..CELLS - 1).skip(party.rank()).step_by(PARTIES);
            while !rod.steady.load(Relaxed) {
                let front = rod.front.load(Relaxed);
                let (old, new) = (&rod.copies[front], &rod.copies[1 - front]);
                let step = |cell: usize| (get(&old[cell - 1]) + get(&old[cell + 1])) / 2.0;
                let change: f64 = own.clone().map(|cell| (step(cell) - get(&old[cell])).abs()).sum();
                own.clone().for_each(|cell| new[cell].store(step(cell).to_bits(), Relaxed));
                rod.changes[party.rank()].store(change.to_bits(), Relaxed);
                let _ = party.wait()?;
            }
            Ok(party.generation())
        };
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(move || work(party))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
    })?;
    let steady = &rod.copies[rod.front.load(Relaxed)];
    let off = (0..CELLS).map(|cell| (get(&steady[cell]) - cell as f64 / (CELLS - 1) as f64).abs()).fold(0.0, f64::max);
    println!("steady after {} steps, {off:.0e} off a straight line", steps[0]);
    assert!(off < 1e-6 && steps.iter().all(|&count| count == steps[0]));
    Ok(())
}
