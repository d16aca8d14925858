//! A pool of pinned workers that take orders: rank 0 reads a script and gives out one command per trip, everybody does
//! its part of it, and the last command ends them all.
//!
//! ```text
//! cargo run --release --example broadcast
//! ```

use phalanx::{Barrier, Broken, Party};
use std::error::Error;
use std::thread;

const PARTIES: usize = 3;
const SCRIPT: &str = "count\nscale 3\nshift -1\nscale 2\nstop";

#[derive(Clone, Copy, Debug)]
enum Command {
    Count,
    Scale(i64),
    Shift(i64),
    Stop,
}

fn parse(line: &str) -> Option<Command> {
    let (verb, number) = line.split_once(' ').unwrap_or((line, ""));
    match (verb, number.parse()) {
        ("count", _) => Some(Command::Count),
        ("scale", Ok(factor)) => Some(Command::Scale(factor)),
        ("shift", Ok(by)) => Some(Command::Shift(by)),
        ("stop", _) => Some(Command::Stop),
        _ => None,
    }
}

fn work(mut party: Party) -> Result<Vec<i64>, Broken> {
    let (mut part, mut script) = (vec![0; 4], SCRIPT.lines());
    loop {
        // Only rank 0 reads. A line that is no command, or none, ends the work, and not with a hang.
        let command = party.broadcast(0, || script.next().and_then(parse).unwrap_or(Command::Stop))?;
        match command {
            Command::Count => part = (0..4).map(|n| (n * PARTIES + party.rank()) as i64).collect(),
            Command::Scale(factor) => part.iter_mut().for_each(|cell| *cell *= factor),
            Command::Shift(by) => part.iter_mut().for_each(|cell| *cell += by),
            Command::Stop => return Ok(part),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let parties = Barrier::new(PARTIES)?.take_parties()?;
    let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(|| work(party))).collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().expect("no worker panics")?);
    }
    all.sort_unstable();
    println!("{all:?}");
    assert_eq!(all, (0..12).map(|n| (n * 3 - 1) * 2).collect::<Vec<i64>>());
    Ok(())
}
