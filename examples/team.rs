//! A team of pinned threads: a histogram, a reduction and a prefix sum in one parallel section, and what becomes of a member
//! that fails.
//!
//! ```text
//! cargo run --release --example team
//! ```

use phalanx::Broken;
use phalanx::team::{RunError, Team};
use phalanx::topology::Bind;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let team = Team::builder().threads(4).place(Bind::Close).name("worker").build()?;
    let values: Vec<u64> = (0..1_000_000_u64).map(|i| i * i % 1009).collect();

    // One closure on all members; it borrows from here, and what each returns comes back by rank.
    let shares = team.try_run(|m| -> Result<(u64, usize), Broken> {
        let part = &values[m.chunk(0..values.len())];
        let largest = m.all_reduce(part.iter().copied().max().unwrap_or(0), u64::max)?;
        let found = part.iter().filter(|value| **value == largest).count();
        // How many of them members before this one have found.
        let before = m.exclusive_scan(0, found, |a, b| a + b)?;
        Ok((largest, before + found))
    })?;
    let largest = values.iter().copied().max().unwrap_or(0);
    let count = values.iter().filter(|value| **value == largest).count();
    assert!(shares.iter().all(|share| share.0 == largest));
    assert_eq!(shares[3].1, count);
    println!("the largest of {} values is {largest}, {count} times", values.len());

    // A member that fails releases the others from their barrier, and the caller is told who it was.
    let failed = team.try_run(|m| -> Result<(), String> {
        if m.rank() == 2 {
            return Err("the disk is full".into());
        }
        m.barrier().map(drop).map_err(|broken| broken.to_string())
    });
    assert!(matches!(&failed, Err(RunError::Failed { rank: 2, error }) if error == "the disk is full"));
    println!("{}", failed.unwrap_err());

    // And the team is as good as before.
    assert_eq!(team.run(|m| m.rank())?, [0, 1, 2, 3]);
    Ok(())
}
