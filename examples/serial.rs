//! Counting words in rounds: whoever `serial` picks reads the next lines for all, and hands everybody the same chunk;
//! each counts its share, and `cloning` merges the counts.
//!
//! ```text
//! cargo run --release --example serial
//! ```

use phalanx::{Barrier, Broken, Party};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Cursor};
use std::sync::{Arc, Mutex};
use std::thread;

const PARTIES: usize = 3;
const CHUNK: usize = 16; // lines

type Counts = BTreeMap<String, usize>;

fn count<'a>(lines: impl IntoIterator<Item = &'a String>) -> Counts {
    let mut counts = Counts::new();
    for word in lines.into_iter().flat_map(|line| line.split_whitespace()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

fn merge(mut left: Counts, right: Counts) -> Counts {
    right.into_iter().for_each(|(word, more)| *left.entry(word).or_default() += more);
    left
}

fn work(mut party: Party, input: &Mutex<impl BufRead>) -> Result<Counts, Broken> {
    let mut own = Counts::new();
    loop {
        let chunk: Arc<Vec<String>> = party.serial(|| {
            let mut input = input.lock().expect("nobody panics");
            Arc::new(input.by_ref().lines().take(CHUNK).map(|line| line.expect("it is text")).collect())
        })?;
        if chunk.is_empty() {
            return party.cloning().all_reduce(own, merge); // everybody sees the same chunk, so all come here
        }
        own = merge(own, count(chunk.iter().skip(party.index()).step_by(party.parties())));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = include_str!("../README.md");
    let input = Mutex::new(Cursor::new(text));
    let parties = Barrier::new(PARTIES)?.take_parties()?;
    let counts = thread::scope(|s| {
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(|| work(party, &input))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect::<Result<Vec<_>, _>>()
    })?;
    let alone = count(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    println!("{} different words; `threads` {} times", counts[0].len(), counts[0]["threads"]);
    assert!(counts.iter().all(|one| *one == alone));
    Ok(())
}
