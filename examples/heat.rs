//! The steady temperature of a plate, by Jacobi's method on the lockstep engine: until it has converged, and against the
//! solution that analysis knows.
//!
//! ```text
//! cargo run --release --example heat
//! cargo run --release --example heat -- --size 257 --threads 2 --image plate.pgm
//! cargo run --release --example heat -- --barrier std
//! ```
//!
//! The plate is the unit square; three edges are held at 0, the fourth, y = 1, at sin(pi x). Laplace's equation then has the
//! solution u = sin(pi x) sinh(pi y) / sinh(pi). On a grid of spacing h the five-point formula has the solution
//! sin(pi x) sinh(k y) / sinh(k), where cosh(k h) = 2 - cos(pi h) (separate the variables; e.g. Young, "Iterative Solution of
//! Large Linear Systems", 1971, ch. 1). The program checks both: the grid's solution to within the tolerance, and the plate's
//! to within the h^2 of the formula.
//!
//! Members own bands of rows. The residual is reduced over all members every `--every` ticks, and decides when to stop.

#[path = "common/kind.rs"]
mod kind;

use clap::Parser;
use kind::{DEADLINE, Kind};
use phalanx::team::Team;
use phalanx::team::lockstep::{At, Ended, Fault, Front, Lockstep, Meeting, Stop, World};
use phalanx::topology::{Bind, available_cpus};
use std::error::Error;
use std::f64::consts::PI;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

/// The steady temperature of a plate by Jacobi's method, against the analytic solution
#[derive(Parser)]
#[command(name = "heat", version)]
struct Options {
    /// Points along each side of the grid, the edges included
    #[arg(long, default_value_t = 65, value_parser = clap::value_parser!(u16).range(3..=4097))]
    size: u16,
    /// Ends when no point changes by more than this
    #[arg(long, default_value_t = 1e-9)]
    tolerance: f64,
    /// Ticks between two looks at the residual
    #[arg(long, default_value_t = 50)]
    every: u64,
    /// Threads [default: the CPUs that this process may use]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// What the threads meet at
    #[arg(long, value_enum, default_value_t = Kind::Phalanx)]
    barrier: Kind,
    /// Where the threads run
    #[arg(long, default_value = "close")]
    bind: Bind,
    /// Write the temperatures to this file, as a PGM
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// The plate: `size` points along each side.
struct Plate {
    size: usize,
}

/// The rows of one member, and by how much the last tick has changed them at most.
#[derive(Clone)]
struct Band {
    rows: Range<usize>,
    cells: Vec<f64>,
    change: f64,
}

impl Plate {
    fn h(&self) -> f64 {
        1.0 / (self.size - 1) as f64
    }

    /// The temperature of the edge y = 1.
    fn edge(&self, x: usize) -> f64 {
        (PI * x as f64 * self.h()).sin()
    }

    /// What the grid should come to, and the plate, at a point.
    fn exact(&self, x: usize, y: usize) -> (f64, f64) {
        let (h, y) = (self.h(), y as f64 * self.h());
        let k = (2.0 - (PI * h).cos()).acosh() / h;
        let profile = |k: f64| (k * y).sinh() / k.sinh();
        (self.edge(x) * profile(k), self.edge(x) * profile(PI))
    }

    fn row<'a>(&self, band: &'a Band, row: usize) -> &'a [f64] {
        &band.cells[(row - band.rows.start) * self.size..][..self.size]
    }
}

impl World for Plate {
    type Part = Band;
    type Measure = f64;

    fn part(&self, index: usize, parts: usize) -> Band {
        let rows = self.size * index / parts..self.size * (index + 1) / parts;
        let mut cells = vec![0.0; rows.len() * self.size];
        if rows.end == self.size && !rows.is_empty() {
            let last = cells.len() - self.size;
            cells[last..].iter_mut().enumerate().for_each(|(x, cell)| *cell = self.edge(x));
        }
        Band { rows, cells, change: f64::INFINITY }
    }

    fn step(&self, _: At, front: Front<'_, Band>, back: &mut Band) -> Result<(), Fault> {
        let own = front.own();
        // A neighbour without rows has others behind it.
        let find = |row: usize| front.iter().find(|band| band.rows.contains(&row)).map(|band| self.row(band, row));
        let mut change = 0.0_f64;
        for row in own.rows.clone() {
            let at = (row - own.rows.start) * self.size;
            let target = &mut back.cells[at..at + self.size];
            if row == 0 || row + 1 == self.size {
                target.copy_from_slice(self.row(own, row));
                continue;
            }
            let inside = |row: usize| own.rows.contains(&row).then(|| self.row(own, row)).or_else(|| find(row));
            let (Some(above), Some(below)) = (inside(row - 1), inside(row + 1)) else {
                return Err(Fault::new(format!("row {row} has no neighbours")));
            };
            let here = self.row(own, row);
            (target[0], target[self.size - 1]) = (here[0], here[self.size - 1]);
            for x in 1..self.size - 1 {
                target[x] = 0.25 * (above[x] + below[x] + here[x - 1] + here[x + 1]);
                change = change.max((target[x] - here[x]).abs());
            }
        }
        back.change = change;
        Ok(())
    }

    fn measure(&self, band: &Band) -> f64 {
        band.change
    }

    fn combine(&self, a: f64, b: f64) -> f64 {
        a.max(b)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let threads = options.threads.map_or_else(available_cpus, usize::from);
    let team = Team::builder().threads(threads).place(options.bind.clone()).name("heat").build()?;
    // Rank 0 is this thread; a system that cannot pin runs it unpinned.
    let _pinned = team.pin_caller().ok();
    let plate = Plate { size: options.size.into() };
    let mut builder = Lockstep::builder(plate).barrier(Meeting::from(options.barrier));
    if options.barrier == Kind::Phalanx {
        builder = builder.tick_deadline(DEADLINE);
    }
    let mut heat = builder.build(&team)?;
    let tolerance = options.tolerance;
    // Jacobi's method needs some 2 n^2 ln(1 / tolerance) / pi^2 ticks; ten times as many are too many.
    let most = 20 * u64::from(options.size).pow(2) * (1.0 / tolerance).ln().max(1.0) as u64 / 9;
    let report = heat.run(Stop::when(options.every, move |change| change < tolerance).or_after(most))?;

    let cells: Vec<f64> = heat.parts().flat_map(|band| band.cells.iter().copied()).collect();
    if let Some(path) = &options.image {
        write_pgm(path, heat.world().size, &cells)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let plate = heat.world();
    let (mut of_grid, mut of_plate) = (0.0_f64, 0.0_f64);
    for (i, &cell) in cells.iter().enumerate() {
        let (grid, exact) = plate.exact(i % plate.size, i / plate.size);
        of_grid = of_grid.max((cell - grid).abs());
        of_plate = of_plate.max((cell - exact).abs());
    }
    println!("plate       {0} x {0} points, {threads} members at a {1} barrier", plate.size, options.barrier);
    println!("{report}");
    println!("residual    {:.3e}", report.measure().unwrap_or(f64::NAN));
    // A step changes each mode by 1 - lambda of its error, and the slowest has lambda = cos(pi h).
    let slowest = 1.0 - (PI * plate.h()).cos();
    let (bound_of_grid, bound_of_plate) = (2.0 * tolerance / slowest, 2.0 * tolerance / slowest + plate.h().powi(2));
    println!("error       {of_grid:.3e} from the grid's solution (bound {bound_of_grid:.3e})");
    println!("            {of_plate:.3e} from the plate's (bound {bound_of_plate:.3e})");
    if report.ended() != &Ended::Condition {
        return Err(format!("not converged after {} ticks", report.ticks()).into());
    }
    if of_grid > bound_of_grid || of_plate > bound_of_plate {
        return Err("wrong result".into());
    }
    println!("verified");
    Ok(())
}

/// The temperatures from 0, black, to 1, white.
fn write_pgm(path: &std::path::Path, size: usize, cells: &[f64]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    write!(file, "P5\n{size} {size}\n255\n")?;
    let pixels: Vec<u8> = cells.iter().map(|cell| (cell.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    file.write_all(&pixels)?;
    file.flush()
}
