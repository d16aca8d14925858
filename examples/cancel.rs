//! One token for a whole program: two groups of workers, each at a barrier of its own, stopped together.
//!
//! ```text
//! cargo run --release --example cancel
//! ```

use phalanx::{Barrier, Broken, CancelToken, Cause, Party};
use std::thread;
use std::time::Duration;

/// Works until somebody says stop; how far it came, and what it was told.
fn work(mut party: Party) -> (u64, Broken) {
    loop {
        // A step on the part of party.rank()
        if let Err(broken) = party.wait() {
            return (party.generation(), broken);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shutdown = CancelToken::new();
    let groups = [
        ("physics", Barrier::builder(2).cancel_on(&shutdown).build()?),
        ("render", Barrier::builder(3).cancel_on(&shutdown).build()?),
    ];
    thread::scope(|s| -> Result<(), Box<dyn std::error::Error>> {
        let mut workers = Vec::new();
        for (name, barrier) in &groups {
            for party in barrier.take_parties()? {
                workers.push((*name, s.spawn(move || work(party))));
            }
        }
        thread::sleep(Duration::from_millis(20));
        shutdown.cancel("the window was closed");

        let mut ends = Vec::new();
        for (name, worker) in workers {
            ends.push((name, worker.join().expect("no panic")));
        }
        for (name, _) in &groups {
            let group: Vec<_> = ends.iter().filter(|end| end.0 == *name).map(|end| &end.1).collect();
            assert!(group.iter().all(|end| *end == group[0]), "a group does not stop at different steps");
            assert_eq!(group[0].1.cause(), &Cause::Cancelled { reason: "the window was closed".into() });
            println!("{name}: {} parties, {}", group.len(), group[0].1);
        }
        Ok(())
    })?;
    assert!(groups.iter().all(|(_, barrier)| barrier.reset().is_err()), "a cancellation is final");
    Ok(())
}
