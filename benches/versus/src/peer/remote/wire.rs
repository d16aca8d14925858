//! What the harness and a peer in another process say to each other: one JSON line for each question and each answer.

use crate::peer::regions::Regions;
use crate::seat::{Lap, Walk};
use crate::shape::imbalance::Waits;
use crate::shape::straggler::Lateness;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::time::Duration;

/// A method of [`Seat`](crate::seat::Seat), or parallel regions.
#[derive(Serialize, Deserialize)]
pub enum Command {
    BackToBack { opening: u64, trips: u64 },
    Phases { opening: u64, trips: u64, steps: u64 },
    Straggle(Lateness),
    Until { ticks: u64 },
    LongWait { trips: u64, work: Duration },
    Verified { trips: u64 },
    Regions { cpus: Vec<i32>, regions: Regions },
    End,
}

#[derive(Serialize, Deserialize)]
pub enum Reply {
    /// The first line, without a question: the processes, and what the runtime calls itself.
    Ready {
        pids: Vec<i64>,
        version: String,
    },
    Lap(Lap),
    Walk(Walk),
    Waits(Waits),
    /// What the checks found.
    Checked(Vec<String>),
    Failed(String),
}

/// Writes one line.
pub fn send(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one line; `None` at the end.
pub fn receive<T: serde::de::DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}
