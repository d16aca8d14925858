//! Conway's Life on a bit-packed grid, the rows shared out among pinned threads that meet once per tick.
//!
//! ```text
//! cargo run --release --example life                                   # Acorn, 5206 ticks, all CPUs
//! cargo run --release --example life -- --barrier std                  # the same with std::sync::Barrier
//! cargo run --release --example life -- glider.rle --ticks 400 --size 256x256 --image glider.png
//! ```
//!
//! It prints the population, the ticks per second, and the time that each party spent waiting. For the patterns in
//! `examples/data` it says whether the population is the known one.
//!
//! Where things are: `life/run.rs` puts the grid on the lockstep engine, `life/grid.rs` is a band of rows, `life/kernel.rs`
//! the rule, `life/rle.rs` reads patterns. With `--features ctrl-c` the first Ctrl-C ends the run behind a whole tick, and the
//! report is that of the ticks done.

#[path = "life/fault.rs"]
mod fault;
#[path = "life/grid.rs"]
mod grid;
#[path = "life/kernel.rs"]
mod kernel;
#[path = "common/kind.rs"]
mod kind;
#[path = "life/known.rs"]
mod known;
#[path = "life/picture.rs"]
mod picture;
#[path = "life/rle.rs"]
mod rle;
#[path = "life/run.rs"]
mod run;

use clap::Parser;
use grid::Size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kind::Kind;
use known::Known;
use phalanx::topology::{Bind, Topology, available_cpus, startup_mask};
use rle::Pattern;
use run::{Outcome, Plan};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Conway's Life in lockstep: pinned threads, one barrier trip per tick
#[derive(Parser)]
#[command(name = "life", version)]
struct Options {
    /// The pattern, in RLE format
    #[arg(value_name = "PATTERN.rle", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/acorn.rle"))]
    pattern: PathBuf,
    /// Ticks to compute [default: up to the known answer for the patterns in examples/data, else 1000]
    #[arg(long)]
    ticks: Option<u64>,
    /// Threads [default: the CPUs that this process may use]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Width and height of the grid in cells; beyond it cells are dead
    #[arg(long, value_name = "WxH", default_value = "2560x2560")]
    size: Size,
    /// What the threads meet at
    #[arg(long, value_enum, default_value_t = Kind::Phalanx)]
    barrier: Kind,
    /// Where the threads run: none, close, spread, per-llc, per-node, or a list of CPUs such as 0-3,8
    /// [default: PHALANX_BIND, else close]
    #[arg(long)]
    bind: Option<Bind>,
    /// Write the final grid to this file, .pgm or .png
    #[arg(long, value_name = "FILE")]
    image: Option<picture::Target>,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

/// What this run is about, and what it came to.
struct Report<'a> {
    options: &'a Options,
    plan: &'a Plan<'a>,
    bind: &'a Bind,
    known: Option<Known>,
    outcome: &'a Outcome,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match play(&options) {
        Ok(()) => ExitCode::SUCCESS,
        // `life | head`: whoever reads has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Not eprintln!, which panics when stderr is closed.
            _ = writeln!(io::stderr(), "life: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> Result<(), Box<dyn Error>> {
    let file = options.pattern.display();
    let bytes = std::fs::read(&options.pattern).map_err(|error| format!("cannot read {file}: {error}"))?;
    let pattern = rle::parse(&bytes).map_err(|error| format!("{file}:{error}"))?;
    let known = Known::about(&pattern);

    let threads = match options.threads {
        Some(threads) => usize::from(threads),
        None => available_cpus(),
    };
    let bind = match &options.bind {
        Some(bind) => bind.clone(),
        None if std::env::var_os("PHALANX_BIND").is_some() => Bind::from_env(),
        None => Bind::Close,
    };
    let plan = Plan {
        pattern: &pattern,
        size: options.size,
        ticks: options.ticks.unwrap_or(known.map_or(1000, |known| known.tick)),
        placement: Topology::detect().place(&bind, threads, startup_mask())?,
    };
    let mut bar = Bar::new(plan.ticks);
    // The bar costs the compute threads nothing, but without anyone to see it there is no need to wake up for it.
    let seen = !options.quiet && io::stderr().is_terminal();
    let mut draw = |tick| bar.draw(tick);
    let outcome = run::run(&plan, options.barrier.into(), seen.then_some(&mut draw));
    bar.clear(); // before any error is printed
    let outcome = outcome?;

    // The file first: a reader of the report that goes away early must not cost the picture.
    if let Some(image) = &options.image {
        let path = image.path().display();
        image.save(plan.size, &outcome.picture).map_err(|error| format!("cannot write {path}: {error}"))?;
    }
    let report = Report { options, plan: &plan, bind: &bind, known, outcome: &outcome };
    let mut out = io::stdout().lock();
    report.print(&mut out)?;
    out.flush()?;
    report.verdict()
}

impl Report<'_> {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Report { options, plan, outcome, .. } = self;
        let Pattern { name, width, height, .. } = plan.pattern;
        let name = name.as_deref().unwrap_or("unnamed");
        let live = plan.pattern.population();
        writeln!(out, "pattern     {name}, {width} x {height}, {live} live cells ({})", options.pattern.display())?;
        writeln!(out, "grid        {}, dead beyond its border", plan.size)?;
        writeln!(out, "parties     {} at a {} barrier, bind {}", plan.placement.parties(), options.barrier, self.bind)?;
        let seconds = outcome.elapsed.as_secs_f64();
        let rate = if outcome.ticks == 0 { 0.0 } else { outcome.ticks as f64 / seconds };
        let short =
            if outcome.ticks == plan.ticks { String::new() } else { format!(" of {}, {}", plan.ticks, outcome.ended) };
        writeln!(out, "ticks       {}{short} in {seconds:.3} s, {rate:.0} ticks/s", outcome.ticks)?;
        writeln!(out, "population  {}{}", outcome.population, self.judgement())?;
        if let Some(tick) = outcome.reached_border {
            writeln!(out, "border      reached at tick {tick}: from there on this is not Life on an unbounded plane")?;
        }
        if let Some(image) = &options.image {
            writeln!(out, "picture     {}", image.path().display())?;
        }
        self.print_waiting(out)
    }

    fn print_waiting(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "waiting")?;
        writeln!(out, "  rank   cpu           rows       waited   share")?;
        let seconds = self.outcome.elapsed.as_secs_f64();
        for (rank, party) in self.outcome.parties.iter().enumerate() {
            let cpu = party.cpu.map_or("?".into(), |cpu| cpu.to_string());
            let cpu = if party.bound { cpu } else { format!("{cpu} (floats)") };
            let waited = party.waited.as_secs_f64();
            let share = 100.0 * waited / seconds.max(f64::MIN_POSITIVE);
            writeln!(out, "  {rank:>4}   {cpu:<12} {:>5} {waited:>10.3} s  {share:>5.1} %", party.rows)?;
        }
        match self.outcome.straggler {
            Some(rank) if self.plan.ticks > 1 => {
                writeln!(out, "straggler   rank {rank} waited least: the others waited for it")
            }
            _ => Ok(()),
        }
    }

    /// The known population at the end of this run, if there is one.
    fn expected(&self) -> Option<Known> {
        self.known.filter(|known| known.tick == self.outcome.ticks)
    }

    fn judgement(&self) -> String {
        match self.expected() {
            Some(known) if known.population == self.outcome.population => {
                format!(", as is known of {} at tick {}", known.name, known.tick)
            }
            Some(known) => format!(", but {} has {} at tick {}", known.name, known.population, known.tick),
            None => String::new(),
        }
    }

    /// A wrong population is an error, unless the grid was too small to get it right.
    fn verdict(&self) -> Result<(), Box<dyn Error>> {
        match self.expected() {
            Some(known) if known.population != self.outcome.population && self.outcome.reached_border.is_none() => {
                Err(format!(
                    "wrong result: {} live cells at tick {} instead of {}; the parties were not in step",
                    self.outcome.population, known.tick, known.population
                )
                .into())
            }
            _ => Ok(()),
        }
    }
}

/// A progress bar that appears only when a run takes longer than a second. Drawn by the main thread, which computes
/// nothing.
struct Bar {
    bar: ProgressBar,
    hidden: bool,
}

impl Bar {
    fn new(ticks: u64) -> Bar {
        // Hidden, but counting: its estimate of the end knows the first second, too.
        let bar = ProgressBar::with_draw_target(Some(ticks), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} ticks, {eta} left");
        Bar { bar: bar.with_style(style.expect("a constant, well formed")), hidden: true }
    }

    fn draw(&mut self, tick: u64) {
        if self.hidden && self.bar.elapsed() > Duration::from_secs(1) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.hidden = false;
        }
        self.bar.set_position(tick);
    }

    fn clear(self) {
        self.bar.finish_and_clear();
    }
}
