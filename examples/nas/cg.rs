//! NAS CG: the smallest eigenvalue of a large, sparse, random matrix, by inverse iteration with 25 steps of conjugate
//! gradients each.
//!
//! D. Bailey et al., "The NAS Parallel Benchmarks", RNR-94-007 (1994), section 2.4, and the verification values of NPB 3.
//! Written from the description; sizes, seeds and the order of the random numbers are fixed by it.
//!
//! # What is shared out
//!
//! Rows, in [`BLOCKS`] blocks that do not depend on the number of members. Sums are made per block, put up for all, and added
//! in the order of the blocks by everybody, so every number of members gives the same bits. Only the vector that the matrix is
//! multiplied by is read by all: it is made of atomics, read and written with relaxed accesses; the trips order them. Each
//! member copies it before it multiplies, which moves each line once and leaves the product plain doubles. Three trips per step.

use crate::random::Random;
use phalanx::Broken;
use phalanx::team::rendezvous::Rendezvous;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The published problem sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Class {
    S,
    W,
    A,
}

pub(crate) struct Problem {
    /// The order of the matrix.
    pub(crate) n: usize,
    /// Nonzeros in each of the random vectors that it is made of.
    nonzeros: usize,
    shift: f64,
    /// What it has to come to, to within 1e-10 of it.
    pub(crate) zeta: f64,
}

/// Inverse iterations, and steps of each.
pub(crate) const ITERATIONS: usize = 15;
const STEPS: usize = 25;
const RCOND: f64 = 0.1;

impl Class {
    pub(crate) fn problem(self) -> Problem {
        let (n, nonzeros, shift, zeta) = match self {
            Class::S => (1_400, 7, 10.0, 8.597_177_507_864_8),
            Class::W => (7_000, 8, 12.0, 10.362_595_087_124),
            Class::A => (14_000, 11, 20.0, 17.130_235_054_029),
        };
        Problem { n, nonzeros, shift, zeta }
    }
}

impl Problem {
    /// Floating-point operations in all, as the benchmark counts them.
    pub(crate) fn operations(&self) -> f64 {
        let row = (self.nonzeros * (self.nonzeros + 1)) as f64;
        2.0 * ITERATIONS as f64 * self.n as f64 * (3.0 + row + STEPS as f64 * (5.0 + row) + 3.0)
    }

    pub(crate) fn verified(&self, zeta: f64) -> bool {
        ((zeta - self.zeta) / self.zeta).abs() <= 1e-10
    }
}

/// Blocks of rows; more members than these have nothing to do.
pub(crate) const BLOCKS: usize = 64;

/// The rows of a block.
fn rows(block: usize, n: usize) -> Range<usize> {
    n * block / BLOCKS..n * (block + 1) / BLOCKS
}

/// The matrix, row by row.
pub(crate) struct Matrix {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Matrix {
    /// The sum of the outer products of `n` sparse random vectors with themselves, each weighed less than the one before, and
    /// a shifted multiple of the identity.
    pub(crate) fn new(problem: &Problem) -> Matrix {
        let n = problem.n;
        let mut random = Random::new(314_159_265);
        random.next();
        let range = n.next_power_of_two();
        let vectors: Vec<Vec<(usize, f64)>> =
            (0..n).map(|row| sparse_vector(&mut random, n, range, problem.nonzeros, row)).collect();

        let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::new(); n];
        let ratio = RCOND.powf(1.0 / n as f64);
        let mut weight = 1.0;
        for (i, vector) in vectors.iter().enumerate() {
            for &(row, left) in vector {
                for &(column, right) in vector {
                    let mut value = right * (weight * left);
                    if row == i && column == i {
                        value += RCOND - problem.shift;
                    }
                    let entries = &mut rows[row];
                    match entries.binary_search_by_key(&(column as u32), |entry| entry.0) {
                        Ok(place) => entries[place].1 += value,
                        Err(place) => entries.insert(place, (column as u32, value)),
                    }
                }
            }
            weight *= ratio;
        }
        let total = rows.iter().map(Vec::len).sum();
        let (mut columns, mut values) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut starts = vec![0];
        for row in rows {
            columns.extend(row.iter().map(|entry| entry.0));
            values.extend(row.iter().map(|entry| entry.1));
            starts.push(columns.len());
        }
        Matrix { starts, columns, values }
    }

    /// One row times a vector. In four sums, whatever the number of members: one alone would wait for its own last addition.
    #[inline]
    fn row(&self, row: usize, vector: &[f64]) -> f64 {
        let entries = self.starts[row]..self.starts[row + 1];
        let (columns, values) = (self.columns[entries.clone()].chunks_exact(4), self.values[entries].chunks_exact(4));
        let left = columns.remainder().iter().zip(values.remainder());
        let mut sums = [0.0; 4];
        for (columns, values) in columns.zip(values) {
            for (sum, (&column, value)) in sums.iter_mut().zip(columns.iter().zip(values)) {
                *sum += value * vector[column as usize];
            }
        }
        for (sum, (&column, value)) in sums.iter_mut().zip(left) {
            *sum += value * vector[column as usize];
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}

/// A vector with `nonzeros` random entries at random places, and 0.5 at `own`.
fn sparse_vector(random: &mut Random, n: usize, range: usize, nonzeros: usize, own: usize) -> Vec<(usize, f64)> {
    let mut entries: Vec<(usize, f64)> = Vec::with_capacity(nonzeros + 1);
    while entries.len() < nonzeros {
        let value = random.next();
        let place = (range as f64 * random.next()) as usize;
        if place < n && entries.iter().all(|entry| entry.0 != place) {
            entries.push((place, value));
        }
    }
    match entries.iter_mut().find(|entry| entry.0 == own) {
        Some(entry) => entry.1 = 0.5,
        None => entries.push((own, 0.5)),
    }
    entries
}

/// A vector that all read and each writes a part of, between trips.
struct Shared(Vec<AtomicU64>);

impl Shared {
    fn new(n: usize) -> Shared {
        Shared((0..n).map(|_| AtomicU64::new(0)).collect())
    }

    #[inline]
    fn copy_to(&self, to: &mut [f64]) {
        to.iter_mut().zip(&self.0).for_each(|(to, from)| *to = f64::from_bits(from.load(Relaxed)));
    }

    #[inline]
    fn set(&self, i: usize, value: f64) {
        self.0[i].store(value.to_bits(), Relaxed);
    }
}

/// A sum for each block. Aligned, so that the sums of two members' blocks are on different lines as far as can be.
#[derive(Default)]
struct Sums([SumsOfALine; BLOCKS / 8]);

#[derive(Default)]
#[repr(align(64))]
struct SumsOfALine([AtomicU64; 8]);

impl Sums {
    fn set(&self, block: usize, sum: f64) {
        self.0[block / 8].0[block % 8].store(sum.to_bits(), Relaxed);
    }

    /// In the order of the blocks.
    fn total(&self) -> f64 {
        self.0.iter().flat_map(|line| &line.0).map(|sum| f64::from_bits(sum.load(Relaxed))).sum()
    }
}

/// What the members share beside the matrix.
pub(crate) struct Board {
    /// What the matrix is multiplied by.
    direction: Shared,
    /// Two sets, used in turn, so that one trip is enough.
    sums: [Sums; 2],
}

impl Board {
    pub(crate) fn new(problem: &Problem) -> Board {
        Board { direction: Shared::new(problem.n), sums: Default::default() }
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) zeta: f64,
    /// |x - A z| of the last iteration: how well the 25 steps have solved it.
    pub(crate) residual: f64,
}

/// A block's own rows of the vectors that nobody else reads.
struct Rows {
    at: Range<usize>,
    x: Vec<f64>,
    z: Vec<f64>,
    r: Vec<f64>,
    q: Vec<f64>,
    p: Vec<f64>,
}

impl Rows {
    fn new(at: Range<usize>) -> Rows {
        let zeros = || vec![0.0; at.len()];
        Rows { x: vec![1.0; at.len()], z: zeros(), r: zeros(), q: zeros(), p: zeros(), at }
    }

    fn begin(&mut self) -> f64 {
        self.z.fill(0.0);
        self.r.clone_from(&self.x);
        self.p.clone_from(&self.x);
        dot(&self.r, &self.r)
    }

    fn multiply(&mut self, matrix: &Matrix, direction: &[f64]) -> f64 {
        for (q, row) in self.q.iter_mut().zip(self.at.clone()) {
            *q = matrix.row(row, direction);
        }
        dot(&self.p, &self.q)
    }

    fn advance(&mut self, alpha: f64) -> f64 {
        for (z, p) in self.z.iter_mut().zip(&self.p) {
            *z += alpha * p;
        }
        for (r, q) in self.r.iter_mut().zip(&self.q) {
            *r -= alpha * q;
        }
        dot(&self.r, &self.r)
    }

    fn turn(&mut self, beta: f64) {
        for (p, r) in self.p.iter_mut().zip(&self.r) {
            *p = r + beta * *p;
        }
    }

    /// The square of this part of x - A z.
    fn residual(&self, matrix: &Matrix, z: &[f64]) -> f64 {
        let part = |(x, row): (&f64, usize)| x - matrix.row(row, z);
        self.x.iter().zip(self.at.clone()).map(part).map(|d| d * d).sum()
    }

    fn norms(&self) -> [f64; 2] {
        [dot(&self.x, &self.z), dot(&self.z, &self.z)]
    }

    fn normalise(&mut self, factor: f64) {
        for (x, z) in self.x.iter_mut().zip(&self.z) {
            *x = factor * z;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// One member's part of the whole benchmark; the answer, the same for all.
pub(crate) fn solve<M: Rendezvous>(
    problem: &Problem,
    matrix: &Matrix,
    board: &Board,
    party: &mut M,
) -> Result<Answer, Broken> {
    let (rank, members) = (party.rank(), party.parties());
    let own = BLOCKS * rank / members..BLOCKS * (rank + 1) / members;
    let mut blocks: Vec<(usize, Rows)> = own.map(|block| (block, Rows::new(rows(block, problem.n)))).collect();
    let mut adder = Adder { board, party, turn: 0 };
    let mut seen = vec![0.0; problem.n];
    let mut answer = Answer { zeta: 0.0, residual: 0.0 };
    for _ in 0..ITERATIONS {
        let mut rho = adder.sum(&mut blocks, |rows| {
            let rho = rows.begin();
            show(board, &rows.at, &rows.p);
            rho
        })?;
        for _ in 0..STEPS {
            board.direction.copy_to(&mut seen);
            let d = adder.sum(&mut blocks, |rows| rows.multiply(matrix, &seen))?;
            let alpha = rho / d;
            let last = rho;
            rho = adder.sum(&mut blocks, |rows| rows.advance(alpha))?;
            let beta = rho / last;
            for (_, rows) in &mut blocks {
                rows.turn(beta);
                show(board, &rows.at, &rows.p);
            }
            adder.party.wait()?;
        }
        blocks.iter().for_each(|(_, rows)| show(board, &rows.at, &rows.z));
        let xz = adder.sum(&mut blocks, |rows| rows.norms()[0])?;
        let zz = adder.sum(&mut blocks, |rows| rows.norms()[1])?;
        board.direction.copy_to(&mut seen);
        let residual = adder.sum(&mut blocks, |rows| rows.residual(matrix, &seen))?;
        answer = Answer { zeta: problem.shift + 1.0 / xz, residual: residual.sqrt() };
        blocks.iter_mut().for_each(|(_, rows)| rows.normalise(1.0 / zz.sqrt()));
    }
    Ok(answer)
}

/// Shows all others these rows of a vector.
fn show(board: &Board, at: &Range<usize>, part: &[f64]) {
    at.clone().zip(part).for_each(|(i, &value)| board.direction.set(i, value));
}

/// Adds over all blocks, in their order.
struct Adder<'a, M> {
    board: &'a Board,
    party: &'a mut M,
    turn: usize,
}

impl<M: Rendezvous> Adder<'_, M> {
    fn sum(&mut self, blocks: &mut [(usize, Rows)], part: impl Fn(&mut Rows) -> f64) -> Result<f64, Broken> {
        let sums = &self.board.sums[self.turn % 2];
        self.turn += 1;
        for (block, rows) in blocks {
            sums.set(*block, part(rows));
        }
        self.party.wait()?;
        Ok(sums.total())
    }
}

/// The same as a rayon user writes it: a parallel loop for each phase.
pub(crate) fn solve_with_rayon(problem: &Problem, matrix: &Matrix, pool: &rayon::ThreadPool) -> Answer {
    let sums = Sums::default();
    // In the order of the blocks, whoever computes which.
    let sum = |blocks: &mut [Rows], part: &(dyn Fn(&mut Rows) -> f64 + Sync)| -> f64 {
        blocks.par_iter_mut().enumerate().for_each(|(block, rows)| sums.set(block, part(rows)));
        sums.total()
    };
    pool.install(|| {
        let mut blocks: Vec<Rows> = (0..BLOCKS).map(|block| Rows::new(rows(block, problem.n))).collect();
        let mut seen = vec![0.0; problem.n];
        let mut answer = Answer { zeta: 0.0, residual: 0.0 };
        for _ in 0..ITERATIONS {
            let mut rho = sum(&mut blocks, &Rows::begin);
            collect(&mut blocks, &mut seen, |rows| &rows.p);
            for _ in 0..STEPS {
                let d = sum(&mut blocks, &|rows| rows.multiply(matrix, &seen));
                let alpha = rho / d;
                let last = rho;
                rho = sum(&mut blocks, &|rows| rows.advance(alpha));
                let beta = rho / last;
                collect(&mut blocks, &mut seen, |rows| {
                    rows.turn(beta);
                    &rows.p
                });
            }
            let xz = sum(&mut blocks, &|rows| rows.norms()[0]);
            let zz = sum(&mut blocks, &|rows| rows.norms()[1]);
            collect(&mut blocks, &mut seen, |rows| &rows.z);
            let residual = sum(&mut blocks, &|rows| rows.residual(matrix, &seen));
            answer = Answer { zeta: problem.shift + 1.0 / xz, residual: residual.sqrt() };
            blocks.par_iter_mut().for_each(|rows| rows.normalise(1.0 / zz.sqrt()));
        }
        answer
    })
}

/// Puts the parts of all blocks together, each where it belongs, in parallel.
fn collect(blocks: &mut [Rows], whole: &mut [f64], part: impl Fn(&mut Rows) -> &[f64] + Sync) {
    let mut rest = whole;
    let mut places = Vec::with_capacity(BLOCKS);
    for rows in blocks.iter() {
        let (place, behind) = std::mem::take(&mut rest).split_at_mut(rows.at.len());
        places.push(place);
        rest = behind;
    }
    blocks.par_iter_mut().zip(places).for_each(|(rows, place)| place.copy_from_slice(part(rows)));
}
