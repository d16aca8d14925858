//! The story in twenty lines: threads in step, one leader per trip, and a word instead of a hang when somebody leaves.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use phalanx::{Barrier, Broken, Cause, Party};
use std::error::Error;
use std::thread;

const TRIPS: u64 = 1000;

/// Works in step with the others; tells how many trips it led, and why there was no further one.
fn work(mut party: Party) -> (u64, Option<Broken>) {
    let mut led = 0;
    loop {
        if party.rank() == 3 && party.generation() == TRIPS {
            return (led, None); // leaves early: its handle is dropped
        }
        match party.wait() {
            Ok(trip) => led += u64::from(trip.is_leader()),
            Err(broken) => return (led, Some(broken)),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let parties = Barrier::new(4)?.take_parties()?;
    let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(|| work(party))).collect();
    let told: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect();

    let led: u64 = told.iter().map(|(led, _)| led).sum();
    println!("{led} leaders in {TRIPS} trips");
    assert_eq!(led, TRIPS);
    for (rank, (_, broken)) in told.iter().enumerate().take(3) {
        let broken = broken.as_ref().expect("only rank 3 leaves of its own accord");
        println!("rank {rank} was told: {broken}");
        assert_eq!((broken.cause(), broken.generation()), (&Cause::Dropped { rank: 3 }, TRIPS));
    }
    Ok(())
}
