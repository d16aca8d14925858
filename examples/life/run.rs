//! The lockstep loop: pinned threads, one band each, one trip per tick.
//!
//! ```text
//! publish edges of tick 0
//! for each tick:  meet  ->  fetch the neighbours' edges  ->  step the band  ->  publish the new edges
//! ```
//!
//! # What the numbers mean
//!
//! *Time* runs from the first trip to a party's last step, so starting threads and making bands is not in it. *Waiting*
//! is the time inside `meet`, on all trips but the first. The two looks at the clock cost some 50 ns per trip, with any
//! barrier. Looking on one trip in 17 and scaling would save that, and was tried: on a busy machine most of the waiting
//! is in a few trips during which the system had taken a party off its CPU, and the estimates went up to 250 % of the
//! run.
//!
//! The party that waits least is the straggler: the others wait for it. In a run with equal bands that is where the
//! cells are.

use crate::grid::{Band, Size};
use crate::halo::Halos;
use crate::meet::{self, Kind, Meet};
use crate::rle::Pattern;
use phalanx::Broken;
use phalanx::topology::{Placement, current_cpu, pin_current};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How often the caller of [`run`] is told how far the run has come.
const LOOK: Duration = Duration::from_millis(100);

/// What to compute.
pub(crate) struct Plan<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) size: Size,
    pub(crate) ticks: u64,
    /// How many parties there are, and the CPU of each that may not float.
    pub(crate) placement: Placement,
}

impl Plan<'_> {
    /// The distance between two reports of progress, a power of two: some ten milliseconds of a dense grid, so that the
    /// word is written rarely and a slow grid still shows that it moves.
    fn report(&self) -> u64 {
        let words = (self.size.words() * self.size.height) as u64;
        ((1 << 22) / words).clamp(1, 4096).next_power_of_two()
    }
}

/// What one party did.
pub(crate) struct PartyReport {
    /// The CPU that it was on at the end, by the system's account; `None` where that cannot be asked.
    pub(crate) cpu: Option<usize>,
    /// Whether it was bound to the CPU that the plan gave it, and if not, why.
    pub(crate) bound: Result<bool, String>,
    pub(crate) rows: usize,
    pub(crate) elapsed: Duration,
    pub(crate) waited: Duration,
}

/// What came out.
pub(crate) struct Outcome {
    pub(crate) parties: Vec<PartyReport>,
    /// From the first trip to the last step of the last party.
    pub(crate) elapsed: Duration,
    pub(crate) population: u64,
    bands: Vec<Band>,
    /// The first tick with a live cell on the border.
    pub(crate) reached_border: Option<u64>,
}

impl Outcome {
    /// The words of the final grid, row by row.
    pub(crate) fn picture(&self) -> Vec<u64> {
        self.bands.iter().flat_map(Band::picture).collect()
    }
}

/// Why there is no outcome.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The pattern (width and height) does not fit on the grid.
    TooSmall { grid: Size, pattern: (u32, u32) },
    /// The barrier could not be made.
    Barrier(Box<dyn Error + Send + Sync>),
    /// The system gave no thread for this rank.
    Spawn { rank: usize, error: std::io::Error },
    /// A worker panicked.
    Panicked { rank: usize, message: String },
    /// The barrier broke.
    Broken(Broken),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::TooSmall { grid, pattern: (width, height) } => {
                write!(f, "a grid of {grid} is too small for a pattern of {width} x {height}")
            }
            RunError::Barrier(error) => write!(f, "cannot make the barrier: {error}"),
            RunError::Spawn { rank, error } => {
                write!(f, "cannot start the thread of rank {rank}: {error}")
            }
            RunError::Panicked { rank, message } => write!(f, "rank {rank} panicked: {message}"),
            RunError::Broken(broken) => write!(f, "{broken}"),
        }
    }
}

impl Error for RunError {}

/// Runs the plan with a barrier of this kind; `watch` is called with the tick about ten times a second.
pub(crate) fn run(plan: &Plan, kind: Kind, watch: Option<&mut dyn FnMut(u64)>) -> Result<Outcome, RunError> {
    let parties = plan.placement.parties();
    match kind {
        Kind::Phalanx => run_with(plan, meet::phalanx_parties(parties).map_err(RunError::Barrier)?, watch),
        Kind::Std => run_with(plan, meet::std_parties(parties), watch),
        Kind::Condvar => run_with(plan, meet::condvar_parties(parties), watch),
    }
}

/// Runs the plan with these parties, by rank.
pub(crate) fn run_with<M: Meet>(
    plan: &Plan,
    parties: Vec<M>,
    watch: Option<&mut dyn FnMut(u64)>,
) -> Result<Outcome, RunError> {
    let (width, height) = (plan.pattern.width, plan.pattern.height);
    let too_small = RunError::TooSmall { grid: plan.size, pattern: (width, height) };
    let origin = plan.size.centre(plan.pattern).ok_or(too_small)?;
    let halos = Halos::new(parties.len().min(plan.size.height), plan.size.words());
    let progress = AtomicU64::new(0);
    // Held until all threads run. If one cannot be started the gate says no: behind std's barrier those already there
    // would otherwise wait for it for ever.
    let gate = RwLock::new(false);
    let (running, finished) = mpsc::channel::<()>();

    let results = thread::scope(|scope| {
        let mut open = gate.write().expect("never poisoned");
        let mut threads = Vec::with_capacity(parties.len());
        for (rank, party) in parties.into_iter().enumerate() {
            let (running, gate, halos, progress) = (running.clone(), &gate, &halos, &progress);
            let worker = move || {
                let _running = running; // dropped at the end, in a panic too: that is the signal to the watcher
                let started = *gate.read().expect("never poisoned");
                started.then(|| work(plan, origin, rank, party, halos, progress))
            };
            let thread = thread::Builder::new().name(format!("life-{rank}")).spawn_scoped(scope, worker);
            threads.push(thread.map_err(|error| RunError::Spawn { rank, error })?);
        }
        *open = true;
        drop(open);
        drop(running);
        if let Some(watch) = watch {
            while finished.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                watch(progress.load(Relaxed));
            }
        }
        Ok(threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>())
    })?;
    assemble(results)
}

type Worked = Option<Result<(Band, PartyReport), Broken>>;

/// Puts the bands together, or finds the error that explains the others.
fn assemble(results: Vec<thread::Result<Worked>>) -> Result<Outcome, RunError> {
    let mut outcome = Outcome {
        parties: Vec::new(),
        elapsed: Duration::ZERO,
        population: 0,
        bands: Vec::new(),
        reached_border: None,
    };
    let mut broken = None;
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            // First of all a panic: it broke the barrier, not the other way round.
            Err(payload) => {
                return Err(RunError::Panicked { rank, message: message(payload.as_ref()) });
            }
            Ok(Some(Ok((band, report)))) => {
                outcome.elapsed = outcome.elapsed.max(report.elapsed);
                outcome.population += band.population();
                outcome.reached_border = match (outcome.reached_border, band.reached_border()) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                outcome.parties.push(report);
                outcome.bands.push(band);
            }
            Ok(Some(Err(error))) => broken = broken.or(Some(error)),
            Ok(None) => unreachable!("the gate is closed only when a thread is missing"),
        }
    }
    broken.map_or(Ok(outcome), |broken| Err(RunError::Broken(broken)))
}

/// What a panic said.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").into()
}

/// One party's run.
fn work<M: Meet>(
    plan: &Plan,
    origin: (usize, usize),
    rank: usize,
    mut party: M,
    halos: &Halos,
    progress: &AtomicU64,
) -> Result<(Band, PartyReport), Broken> {
    let pin = plan.placement.cpu(rank).map(|cpu| pin_current(cpu.id));
    let mut band = Band::new(plan.size, plan.size.rows_of(rank, plan.placement.parties()), plan.pattern, origin);
    halos.publish(rank, 0, &band);

    let report = plan.report();
    let (mut started, mut waited) = (Instant::now(), Duration::ZERO);
    for tick in 0..plan.ticks {
        let before = Instant::now();
        let leader = party.meet()?;
        let after = Instant::now();
        if tick == 0 {
            started = after; // until now others were still starting
        } else {
            waited += after - before;
        }
        // One writer, and seldom: the line it shares with the watcher stays out of the other ticks.
        if leader && tick & (report - 1) == 0 {
            progress.store(tick, Relaxed);
        }
        halos.fetch(rank, tick, &mut band);
        band.step();
        halos.publish(rank, tick + 1, &band);
    }
    let elapsed = started.elapsed();
    let bound =
        pin.as_ref().map_or(Ok(false), |pin| pin.as_ref().map_or_else(|error| Err(error.to_string()), |_| Ok(true)));
    let report = PartyReport { cpu: current_cpu(), bound, rows: band.rows(), elapsed, waited };
    Ok((band, report))
}
