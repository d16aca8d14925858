//! Conjugate gradients: every dot product is an `all_reduce`, so all parties see the same residual and stop on the same
//! step. The sums are those of the ranks from left to right, so every algorithm prints the same bits, run after run.
//!
//! ```text
//! cargo run --release --example all_reduce
//! ```

use phalanx::{Algorithm, Barrier, Broken, Party};
use std::error::Error;
use std::thread;

const PARTIES: usize = 4;
const ROWS: usize = 16; // of each party; the matrix is tridiagonal: -1, 2.1, -1

fn dot(party: &mut Party, a: &[f64], b: &[f64]) -> Result<f64, Broken> {
    let part = a.iter().zip(b).map(|(a, b)| a * b).sum();
    party.all_reduce(part, |left: f64, right| left + right)
}

/// The own rows of the product with a vector, of whose other rows only the edges are needed.
fn multiply(party: &mut Party, x: &[f64]) -> Result<Vec<f64>, Broken> {
    let edges = party.all_gather([x[0], x[ROWS - 1]])?;
    let index = party.index();
    let before = if index == 0 { 0.0 } else { edges[index - 1][1] };
    let after = edges.get(index + 1).map_or(0.0, |edge| edge[0]);
    let padded = [&[before], x, &[after]].concat();
    Ok(padded.windows(3).map(|near| 2.1 * near[1] - near[0] - near[2]).collect())
}

fn solve(mut party: Party) -> Result<(u64, f64), Broken> {
    let mut x = [0.0; ROWS];
    let mut residual: Vec<f64> = (0..ROWS).map(|row| (party.rank() * ROWS + row) as f64).collect();
    let mut direction = residual.clone();
    let mut rest = dot(&mut party, &residual, &residual)?;
    while rest > 1e-18 {
        let product = multiply(&mut party, &direction)?;
        let step = rest / dot(&mut party, &direction, &product)?;
        x.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
        residual.iter_mut().zip(&product).for_each(|(r, p)| *r -= step * p);
        let before = std::mem::replace(&mut rest, dot(&mut party, &residual, &residual)?);
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + rest / before * *d);
    }
    Ok((party.generation(), dot(&mut party, &x, &x)?.sqrt()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut results = Vec::new();
    for algorithm in Algorithm::NAMED {
        let parties = Barrier::builder(PARTIES).algorithm(algorithm).build()?.take_parties()?;
        let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(|| solve(party))).collect();
        for thread in threads {
            results.push(thread.join().expect("no worker panics")?);
        }
        let (trips, norm) = results[results.len() - 1];
        println!("{:22} {trips} trips, norm {norm:.9} = {:#x}", algorithm.to_string(), norm.to_bits());
    }
    assert!(results.iter().all(|one| *one == results[0]), "the same bits everywhere");
    Ok(())
}
