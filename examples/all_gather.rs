//! Sorting by sampling: each party sorts its part and shows a few samples to all; from the same samples everybody finds
//! the same borders, deals its part out by them, and sorts what it has been dealt.
//!
//! ```text
//! cargo run --release --example all_gather
//! ```

use phalanx::{Barrier, Broken, Party};
use std::error::Error;
use std::sync::Mutex;
use std::thread;

const PARTIES: usize = 4;
const NUMBERS: usize = 20_000; // of each party
const SAMPLES: usize = 8;

type Dealt = [Mutex<Vec<u32>>; PARTIES];

/// The numbers that a party begins with: as good as random.
fn numbers(rank: usize) -> Vec<u32> {
    let first = (rank * NUMBERS) as u32;
    (first..first + NUMBERS as u32).map(|n| n.wrapping_mul(2_654_435_769).rotate_left(n % 31)).collect()
}

fn work(mut party: Party, dealt: &Dealt) -> Result<Vec<u32>, Broken> {
    let rank = party.rank();
    let mut own = numbers(rank);
    own.sort_unstable();
    let samples: [u32; SAMPLES] = std::array::from_fn(|n| own[n * NUMBERS / SAMPLES]);
    let mut all = party.all_gather(samples)?.concat();
    all.sort_unstable();
    for (to, pile) in dealt.iter().enumerate() {
        // From border `to` to the next; the first part begins at the start, the last one ends at the end.
        let from = |to: usize| if to == 0 { 0 } else { own.partition_point(|n| *n < all[to * SAMPLES]) };
        let end = if to + 1 == PARTIES { NUMBERS } else { from(to + 1) };
        pile.lock().expect("nobody panics").extend(&own[from(to)..end]);
    }
    let _ = party.wait()?;
    let mut pile = std::mem::take(&mut *dealt[rank].lock().expect("nobody panics"));
    pile.sort_unstable();
    Ok(pile)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dealt = Dealt::default();
    let parties = Barrier::new(PARTIES)?.take_parties()?;
    let piles = thread::scope(|s| {
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(|| work(party, &dealt))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
    })?;
    let mut alone: Vec<u32> = (0..PARTIES).flat_map(numbers).collect();
    alone.sort_unstable();
    println!("{} numbers sorted in parts of {:?}", alone.len(), piles.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(piles.concat(), alone);
    Ok(())
}
