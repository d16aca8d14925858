//! A report that only one party prints: every party has the mean and the variance of its own samples, and `reduce`
//! merges them, in the order of the ranks, for rank 0.
//!
//! ```text
//! cargo run --release --example reduce
//! ```

use phalanx::{Barrier, Broken, Party};
use std::{error::Error, thread};

const PARTIES: usize = 4;
const SAMPLES: u64 = 10_000; // of each party and round

/// Count, mean, and sum of squared distances from the mean (Chan, Golub and LeVeque 1979 merge two such).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Of one sample: the fractions of the golden ratio's multiples are as good as uniform in 0..1.
    fn of(number: u64) -> Self {
        Self { count: 1.0, mean: (number as f64 * 0.618_033_988_749_894_9).fract(), squares: 0.0 }
    }

    fn merge(self, other: Self) -> Self {
        let (count, apart) = (self.count + other.count, other.mean - self.mean);
        let squares = self.squares + other.squares + apart * apart * self.count * other.count / count;
        Self { count, mean: self.mean + apart * other.count / count, squares }
    }
}

fn work(mut party: Party) -> Result<Vec<Moments>, Broken> {
    let mut reports = Vec::new();
    for round in 0..3 {
        let first = (round * PARTIES as u64 + party.rank() as u64) * SAMPLES;
        let own = (first..first + SAMPLES).map(Moments::of).reduce(Moments::merge).unwrap_or_default();
        reports.extend(party.reduce(0, own, Moments::merge)?); // `None` but for rank 0
    }
    Ok(reports)
}

fn main() -> Result<(), Box<dyn Error>> {
    let parties = Barrier::new(PARTIES)?.take_parties()?;
    let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(|| work(party))).collect();
    let mut reports = Vec::new();
    for thread in threads {
        reports.push(thread.join().expect("no worker panics")?);
    }
    assert!(reports[1..].iter().all(Vec::is_empty), "only rank 0 has something to report");
    for Moments { count, mean, squares } in &reports[0] {
        println!("{count} samples: mean {mean:.6}, variance {:.6}", squares / count);
        assert!((mean - 0.5).abs() < 1e-3 && (squares / count - 1.0 / 12.0).abs() < 1e-3);
    }
    assert_eq!(reports[0].len(), 3);
    Ok(())
}
