//! Compaction: each party keeps some of its part, and `exclusive_scan` of how many tells each where in the common
//! output its own begin. One trip, no lock, and the order of the input is kept.
//!
//! ```text
//! cargo run --release --example exclusive_scan
//! ```

use phalanx::{Barrier, Broken, Party};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

const PARTIES: usize = 4;
const NUMBERS: usize = 100_000;

fn is_prime(n: usize) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

/// Writes the primes of this party's part where they belong; tells how many there are in all parts up to its own.
fn work(mut party: Party, output: &[AtomicUsize]) -> Result<usize, Broken> {
    let (index, parties) = (party.index(), party.parties());
    let part = index * NUMBERS / parties..(index + 1) * NUMBERS / parties;
    let primes: Vec<usize> = part.filter(|&n| is_prime(n)).collect();
    let start = party.exclusive_scan(0, primes.len(), |before, more| before + more)?;
    for (place, prime) in output[start..].iter().zip(&primes) {
        place.store(*prime, Relaxed);
    }
    let _ = party.wait()?; // from here on all of the output is there, for whoever needs it
    Ok(start + primes.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let output: Vec<AtomicUsize> = (0..NUMBERS).map(|_| AtomicUsize::new(0)).collect();
    let parties = Barrier::new(PARTIES)?.take_parties()?;
    let ends = thread::scope(|s| {
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(|| work(party, &output))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
    })?;
    let found: Vec<usize> = output[..ends[PARTIES - 1]].iter().map(|place| place.load(Relaxed)).collect();
    println!("{} primes below {NUMBERS}; the parties' parts end at {ends:?}", found.len());
    assert_eq!(found.len(), 9_592);
    assert!(found.is_sorted() && found.iter().all(|&n| is_prime(n)));
    Ok(())
}
