//! NAS MG: four multigrid V-cycles on Poisson's equation in a periodic cube.
//!
//! D. Bailey et al., "The NAS Parallel Benchmarks", RNR-94-007 (1994), section 2.5, and the verification values of NPB 3.
//! Written from the description: the charges are where the ten largest and the ten smallest of n^3 random numbers fall, and the
//! four operators (residual, smoother, projection, interpolation) have the coefficients that are given there.
//!
//! # Layout
//!
//! A grid is a stack of planes; a plane of n x n points has a margin of one point around it, with copies of the opposite edges,
//! so that a row can be computed without a thought of the border. Planes are neighbours modulo n.
//!
//! # What is shared out
//!
//! Planes of every level. A member's planes of one array are a slab behind a lock of its own, and an operator takes its own
//! slab of the target for writing and all of the source for reading: with `try_`, so that members out of step are found and
//! not waited for. A trip after each operator. Every point is computed alike wherever the planes are cut, and the norm is added
//! up plane by plane, so every number of members gives the same bits.

use crate::random::Random;
use phalanx::Broken;
use phalanx::team::rendezvous::Rendezvous;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{RwLock, RwLockReadGuard};

/// The published problem sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Class {
    S,
    W,
    A,
}

pub(crate) struct Problem {
    /// Points along each edge: 2 to the power of the number of levels.
    pub(crate) n: usize,
    /// What the norm of the residual has to come to, to within 1e-8 of it.
    pub(crate) norm: f64,
}

/// V-cycles, in all of these classes.
pub(crate) const CYCLES: usize = 4;

impl Class {
    pub(crate) fn problem(self) -> Problem {
        let (n, norm) = match self {
            Class::S => (32, 0.530_770_700_573_4e-4),
            Class::W => (128, 0.646_732_937_533_9e-5),
            Class::A => (256, 0.243_336_530_906_9e-5),
        };
        Problem { n, norm }
    }
}

impl Problem {
    /// Floating-point operations in all, as the benchmark counts them.
    pub(crate) fn operations(&self) -> f64 {
        58.0 * CYCLES as f64 * (self.n as f64).powi(3)
    }

    pub(crate) fn verified(&self, norm: f64) -> bool {
        ((norm - self.norm) / self.norm).abs() <= 1e-8
    }

    /// The points with a charge, and it: plane, row, column.
    pub(crate) fn charges(&self) -> Vec<([usize; 3], f64)> {
        let n = self.n;
        let mut random = Random::new(314_159_265);
        // Ascending, and descending.
        let (mut largest, mut smallest) = (vec![(0.0, 0); 10], vec![(1.0, 0); 10]);
        for point in 0..n * n * n {
            let number = random.next();
            if number > largest[0].0 {
                largest[0] = (number, point);
                largest.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
            if number < smallest[0].0 {
                smallest[0] = (number, point);
                smallest.sort_by(|a, b| b.0.total_cmp(&a.0));
            }
        }
        let place = |point: usize| [point / (n * n), point / n % n, point % n];
        let charged = |points: Vec<(f64, usize)>, charge: f64| points.into_iter().map(move |it| (place(it.1), charge));
        charged(largest, 1.0).chain(charged(smallest, -1.0)).collect()
    }
}

/// The operator: centre, edges' middles and corners (the faces' coefficient is 0).
const A: [f64; 3] = [-8.0 / 3.0, 1.0 / 6.0, 1.0 / 12.0];
/// The smoother of these classes: centre, faces, edges' middles (the corners' coefficient is 0).
const C: [f64; 3] = [-3.0 / 8.0, 1.0 / 32.0, -1.0 / 64.0];

/// Words of a plane with its margin.
fn plane_of(n: usize) -> usize {
    (n + 2) * (n + 2)
}

/// Row `row` of a plane, margin included; -1 is row 0.
#[inline(always)]
fn row(plane: &[f64], n: usize, row: usize) -> &[f64] {
    &plane[row * (n + 2)..][..n + 2]
}

/// Copies the edges into the opposite margins.
fn close(plane: &mut [f64], n: usize) {
    let stride = n + 2;
    for row in plane.chunks_exact_mut(stride).skip(1).take(n) {
        (row[0], row[n + 1]) = (row[n], row[1]);
    }
    plane.copy_within(n * stride..(n + 1) * stride, 0);
    plane.copy_within(stride..2 * stride, (n + 1) * stride);
}

/// Sums of the four rows around row `i` of the middle plane, and of the four at the corners.
#[inline(always)]
fn around([below, here, above]: [&[f64]; 3], n: usize, i: usize, cross: &mut [f64], corners: &mut [f64]) {
    let rows = [row(here, n, i - 1), row(here, n, i + 1), row(below, n, i), row(above, n, i)];
    for (x, cross) in cross.iter_mut().enumerate() {
        *cross = rows[0][x] + rows[1][x] + rows[2][x] + rows[3][x];
    }
    let rows = [row(below, n, i - 1), row(below, n, i + 1), row(above, n, i - 1), row(above, n, i + 1)];
    for (x, corner) in corners.iter_mut().enumerate() {
        *corner = rows[0][x] + rows[1][x] + rows[2][x] + rows[3][x];
    }
}

/// r = v - A u; without a `v`, r itself.
fn residual(u: [&[f64]; 3], v: Option<&[f64]>, r: &mut [f64], n: usize) {
    let (mut cross, mut corners) = (vec![0.0; n + 2], vec![0.0; n + 2]);
    for i in 1..=n {
        around(u, n, i, &mut cross, &mut corners);
        let here = row(u[1], n, i);
        let target = &mut r[i * (n + 2)..][..n + 2];
        let source = v.map(|v| row(v, n, i));
        for x in 1..=n {
            let v = source.map_or(target[x], |v| v[x]);
            let middles = corners[x] + cross[x - 1] + cross[x + 1];
            target[x] = v - A[0] * here[x] - A[1] * middles - A[2] * (corners[x - 1] + corners[x + 1]);
        }
    }
    close(r, n);
}

/// u = u + C r; `fresh` where u is 0.
fn smooth(r: [&[f64]; 3], u: &mut [f64], n: usize, fresh: bool) {
    let (mut cross, mut corners) = (vec![0.0; n + 2], vec![0.0; n + 2]);
    for i in 1..=n {
        around(r, n, i, &mut cross, &mut corners);
        let here = row(r[1], n, i);
        let target = &mut u[i * (n + 2)..][..n + 2];
        for x in 1..=n {
            let faces = here[x - 1] + here[x + 1] + cross[x];
            let middles = corners[x] + cross[x - 1] + cross[x + 1];
            let old = if fresh { 0.0 } else { target[x] };
            target[x] = old + C[0] * here[x] + C[1] * faces + C[2] * middles;
        }
    }
    close(u, n);
}

/// One plane of the coarser grid (n x n) from three of the finer one: weights 1/2, 1/4, 1/8, 1/16 by distance.
fn project(fine: [&[f64]; 3], coarse: &mut [f64], n: usize) {
    let wide = 2 * n;
    let (mut cross, mut corners) = (vec![0.0; wide + 2], vec![0.0; wide + 2]);
    for i in 1..=n {
        around(fine, wide, 2 * i, &mut cross, &mut corners);
        let here = row(fine[1], wide, 2 * i);
        let target = &mut coarse[i * (n + 2)..][..n + 2];
        for (x, target) in target.iter_mut().enumerate().skip(1).take(n) {
            let at = 2 * x;
            let faces = here[at - 1] + here[at + 1] + cross[at];
            let middles = corners[at] + cross[at - 1] + cross[at + 1];
            let ends = corners[at - 1] + corners[at + 1];
            *target = 0.5 * here[at] + 0.25 * faces + 0.125 * middles + 0.0625 * ends;
        }
    }
    close(coarse, n);
}

/// Adds to one plane of the finer grid what is between the planes of the coarser one (n x n): on it, if `upper` is `None`.
fn interpolate(lower: &[f64], upper: Option<&[f64]>, fine: &mut [f64], n: usize, fresh: bool) {
    let wide = 2 * n;
    let mut line = vec![0.0; n + 2];
    for i in 1..=wide {
        // Row i is row i / 2 of the coarser grid, or between that and the one before.
        let rows: &[usize] = if i % 2 == 0 { &[i / 2] } else { &[i / 2, i / 2 + 1] };
        line.fill(0.0);
        for plane in [Some(lower), upper].into_iter().flatten() {
            for &coarse in rows {
                line.iter_mut().zip(row(plane, n, coarse)).for_each(|(line, z)| *line += z);
            }
        }
        let weight = 1.0 / (rows.len() * if upper.is_some() { 2 } else { 1 }) as f64;
        let target = &mut fine[i * (wide + 2)..][..wide + 2];
        if fresh {
            target.fill(0.0);
        }
        for (x, pair) in line.windows(2).enumerate().take(n) {
            target[2 * x + 1] += 0.5 * weight * (pair[0] + pair[1]);
            target[2 * x + 2] += weight * pair[1];
        }
    }
    close(fine, wide);
}

/// The sum of squares of a plane, row by row.
fn squares(plane: &[f64], n: usize) -> f64 {
    (1..=n).map(|i| row(plane, n, i)[1..=n].iter().map(|r| r * r).sum::<f64>()).sum()
}

/// The planes of a member, of `members`.
fn share(n: usize, rank: usize, members: usize) -> Range<usize> {
    n * rank / members..n * (rank + 1) / members
}

/// The three planes around plane k, of n, in a ring.
fn ring(k: usize, n: usize) -> [usize; 3] {
    [(k + n - 1) % n, k, (k + 1) % n]
}

/// Where the planes of the finer grid come from: the coarser plane below, and the one above if they are between two.
fn sources(k: usize, n: usize) -> (usize, Option<usize>) {
    // Plane k is on coarser plane k / 2 if it is odd, else between that and the one before.
    if k % 2 == 1 { (k / 2, None) } else { ((k / 2 + n - 1) % n, Some(k / 2)) }
}

/// One array of one level, a slab for each member.
struct Grid {
    n: usize,
    slabs: Vec<RwLock<Vec<f64>>>,
}

/// All of a grid, to read.
struct View<'a> {
    n: usize,
    slabs: Vec<RwLockReadGuard<'a, Vec<f64>>>,
}

const OUT_OF_STEP: &str = "the members are out of step";

impl Grid {
    fn new(n: usize, members: usize) -> Grid {
        let slab = |rank| RwLock::new(vec![0.0; share(n, rank, members).len() * plane_of(n)]);
        Grid { n, slabs: (0..members).map(slab).collect() }
    }

    fn read(&self) -> View<'_> {
        View { n: self.n, slabs: self.slabs.iter().map(|slab| slab.try_read().expect(OUT_OF_STEP)).collect() }
    }

    /// Calls `work` with each plane of a member and its number.
    fn write(&self, rank: usize, mut work: impl FnMut(usize, &mut [f64])) {
        let mut slab = self.slabs[rank].try_write().expect(OUT_OF_STEP);
        let own = share(self.n, rank, self.slabs.len());
        own.zip(slab.chunks_exact_mut(plane_of(self.n))).for_each(|(k, plane)| work(k, plane));
    }
}

impl View<'_> {
    fn plane(&self, k: usize) -> &[f64] {
        let members = self.slabs.len();
        // The last rank whose planes begin at k or before.
        let rank = ((k + 1) * members - 1) / self.n;
        let first = share(self.n, rank, members).start;
        &self.slabs[rank][(k - first) * plane_of(self.n)..][..plane_of(self.n)]
    }

    fn ring(&self, k: usize) -> [&[f64]; 3] {
        ring(k, self.n).map(|k| self.plane(k))
    }
}

/// What the members share: the arrays of all levels, the coarsest (2 x 2 x 2) first.
pub(crate) struct Stack {
    u: Vec<Grid>,
    r: Vec<Grid>,
    v: Grid,
    charges: Vec<([usize; 3], f64)>,
    /// By plane, the sum of squares of the residual.
    sums: Vec<AtomicU64>,
}

impl Stack {
    pub(crate) fn new(problem: &Problem, members: usize) -> Stack {
        let n = problem.n;
        let sizes = || (1..=n.ilog2()).map(|level| 1 << level);
        let grids = || sizes().map(|n| Grid::new(n, members)).collect();
        let sums = (0..n).map(|_| AtomicU64::new(0)).collect();
        Stack { u: grids(), r: grids(), v: Grid::new(n, members), charges: problem.charges(), sums }
    }
}

/// One member's way through the benchmark.
struct Climber<'a, M> {
    stack: &'a Stack,
    party: &'a mut M,
    rank: usize,
}

/// One member's part of the whole benchmark; the norm of the residual, the same for all.
pub(crate) fn solve<M: Rendezvous>(stack: &Stack, party: &mut M) -> Result<f64, Broken> {
    let rank = party.rank();
    let top = stack.u.len() - 1;
    let n = stack.v.n;
    let mut climber = Climber { stack, party, rank };
    stack.v.write(rank, |k, plane| {
        plane.fill(0.0);
        for ([_, i, x], charge) in stack.charges.iter().filter(|it| it.0[0] == k) {
            plane[(i + 1) * (n + 2) + x + 1] = *charge;
        }
        close(plane, n);
    });
    stack.u[top].write(rank, |_, plane| plane.fill(0.0));
    climber.meet()?;
    climber.residual_of_top(top)?;
    for _ in 0..CYCLES {
        for level in (1..=top).rev() {
            climber.project(level)?;
        }
        climber.smooth(0, true)?;
        for level in 1..top {
            climber.interpolate(level, true)?;
            climber.residual(level)?;
            climber.smooth(level, false)?;
        }
        climber.interpolate(top, false)?;
        climber.residual_of_top(top)?;
        climber.smooth(top, false)?;
        climber.residual_of_top(top)?;
    }
    stack.r[top].write(rank, |k, plane| stack.sums[k].store(squares(plane, n).to_bits(), Relaxed));
    climber.meet()?;
    let sum: f64 = stack.sums.iter().map(|sum| f64::from_bits(sum.load(Relaxed))).sum();
    Ok((sum / (n as f64).powi(3)).sqrt())
}

impl<M: Rendezvous> Climber<'_, M> {
    fn meet(&mut self) -> Result<(), Broken> {
        self.party.wait().map(drop)
    }

    fn residual_of_top(&mut self, top: usize) -> Result<(), Broken> {
        let (u, v) = (self.stack.u[top].read(), self.stack.v.read());
        self.stack.r[top].write(self.rank, |k, r| residual(u.ring(k), Some(v.plane(k)), r, u.n));
        drop((u, v));
        self.meet()
    }

    fn residual(&mut self, level: usize) -> Result<(), Broken> {
        let u = self.stack.u[level].read();
        self.stack.r[level].write(self.rank, |k, r| residual(u.ring(k), None, r, u.n));
        drop(u);
        self.meet()
    }

    fn smooth(&mut self, level: usize, fresh: bool) -> Result<(), Broken> {
        let r = self.stack.r[level].read();
        self.stack.u[level].write(self.rank, |k, u| smooth(r.ring(k), u, r.n, fresh));
        drop(r);
        self.meet()
    }

    /// From `level` to the one below.
    fn project(&mut self, level: usize) -> Result<(), Broken> {
        let fine = self.stack.r[level].read();
        let n = fine.n / 2;
        self.stack.r[level - 1].write(self.rank, |k, coarse| project(fine.ring(2 * k + 1), coarse, n));
        drop(fine);
        self.meet()
    }

    /// From the level below to `level`.
    fn interpolate(&mut self, level: usize, fresh: bool) -> Result<(), Broken> {
        let coarse = self.stack.u[level - 1].read();
        self.stack.u[level].write(self.rank, |k, fine| {
            let (lower, upper) = sources(k, coarse.n);
            interpolate(coarse.plane(lower), upper.map(|upper| coarse.plane(upper)), fine, coarse.n, fresh);
        });
        drop(coarse);
        self.meet()
    }
}

/// The arrays of all levels as a rayon user has them: planes, without locks.
pub(crate) struct Planes {
    u: Vec<Vec<Vec<f64>>>,
    r: Vec<Vec<Vec<f64>>>,
    v: Vec<Vec<f64>>,
    charges: Vec<([usize; 3], f64)>,
}

impl Planes {
    pub(crate) fn new(problem: &Problem) -> Planes {
        let n = problem.n;
        let grid = |n: usize| vec![vec![0.0; plane_of(n)]; n];
        let grids = || (1..=n.ilog2()).map(|level| grid(1 << level)).collect();
        Planes { u: grids(), r: grids(), v: grid(n), charges: problem.charges() }
    }
}

/// The same as a rayon user writes it: a parallel loop over the planes for each operator.
pub(crate) fn solve_with_rayon(planes: &mut Planes, pool: &rayon::ThreadPool) -> f64 {
    fn three(planes: &[Vec<f64>], k: usize) -> [&[f64]; 3] {
        ring(k, planes.len()).map(|k| &*planes[k])
    }
    fn each(planes: &mut [Vec<f64>], work: impl Fn(usize, &mut [f64]) + Sync) {
        planes.par_iter_mut().enumerate().for_each(|(k, plane)| work(k, plane));
    }
    let Planes { u, r, v, charges } = planes;
    let (n, top) = (v.len(), u.len() - 1);
    pool.install(|| {
        each(v, |k, plane| {
            plane.fill(0.0);
            for ([_, i, x], charge) in charges.iter().filter(|it| it.0[0] == k) {
                plane[(i + 1) * (n + 2) + x + 1] = *charge;
            }
            close(plane, n);
        });
        each(&mut u[top], |_, plane| plane.fill(0.0));
        let of_top = |u: &[Vec<f64>], r: &mut [Vec<f64>]| each(r, |k, r| residual(three(u, k), Some(&v[k]), r, n));
        of_top(&u[top], &mut r[top]);
        for _ in 0..CYCLES {
            for level in (1..=top).rev() {
                let (low, high) = r.split_at_mut(level);
                each(&mut low[level - 1], |k, coarse| project(three(&high[0], 2 * k + 1), coarse, 1 << level));
            }
            each(&mut u[0], |k, u| smooth(three(&r[0], k), u, 2, true));
            for level in 1..=top {
                let (low, high) = u.split_at_mut(level);
                let (coarse, n) = (&low[level - 1], 1 << level);
                each(&mut high[0], |k, fine| {
                    let (lower, upper) = sources(k, n);
                    interpolate(&coarse[lower], upper.map(|upper| &*coarse[upper]), fine, n, level < top);
                });
                if level < top {
                    each(&mut r[level], |k, r| residual(three(&u[level], k), None, r, 2 * n));
                } else {
                    of_top(&u[top], &mut r[top]);
                }
                each(&mut u[level], |k, u| smooth(three(&r[level], k), u, 2 * n, false));
            }
            of_top(&u[top], &mut r[top]);
        }
        let sum: f64 = r[top].par_iter().map(|plane| squares(plane, n)).collect::<Vec<_>>().into_iter().sum();
        (sum / (n as f64).powi(3)).sqrt()
    })
}
