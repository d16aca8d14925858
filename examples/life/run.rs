//! Life on the lockstep engine: a band of rows for each member, one trip per tick.
//!
//! # What the numbers mean
//!
//! *Time* is that of the ticks: starting threads and making bands is not in it. *Waiting* is the time at the trips. The two
//! looks at the clock cost some 50 ns per trip, with any barrier.
//!
//! The party that waits least is the straggler: the others wait for it. In a run with equal bands that is where the
//! cells are.

use crate::grid::{Band, Size};
use crate::kind::DEADLINE;
use crate::rle::Pattern;
use phalanx::team::lockstep::{At, Ended, Fault, Front, Handle, Lockstep, LockstepError, Meeting, Stop, World};
use phalanx::team::{Team, TeamError};
use phalanx::topology::{Placement, current_cpu};
use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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

/// The grid, as the engine sees it.
struct Life<'a> {
    pattern: &'a Pattern,
    size: Size,
    /// Column and row of the pattern's corner.
    origin: (usize, usize),
}

impl World for Life<'_> {
    type Part = Band;
    type Measure = ();

    fn part(&self, index: usize, parts: usize) -> Band {
        Band::new(self.size, self.size.rows_of(index, parts), self.pattern, self.origin)
    }

    fn step(&self, at: At, front: Front<'_, Band>, back: &mut Band) -> Result<(), Fault> {
        let above = at.index.checked_sub(1).map(|above| front.part(above));
        let below = (at.index + 1 < at.parts).then(|| front.part(at.index + 1));
        back.follow(front.own(), above, below, at.tick + 1);
        Ok(())
    }

    fn measure(&self, _: &Band) {}

    fn combine(&self, (): (), (): ()) {}
}

/// What one party did.
pub(crate) struct PartyReport {
    /// The CPU that it was on at the end, by the system's account; `None` where that cannot be asked.
    pub(crate) cpu: Option<usize>,
    /// Whether it was bound to the CPU that the plan gave it.
    pub(crate) bound: bool,
    pub(crate) rows: usize,
    pub(crate) waited: Duration,
}

/// What came out.
pub(crate) struct Outcome {
    pub(crate) parties: Vec<PartyReport>,
    pub(crate) elapsed: Duration,
    /// Ticks done: fewer than planned if somebody has interrupted the run.
    pub(crate) ticks: u64,
    pub(crate) ended: Ended,
    pub(crate) straggler: Option<usize>,
    pub(crate) population: u64,
    /// The words of the final grid, row by row.
    pub(crate) picture: Vec<u64>,
    /// The first tick with a live cell on the border.
    pub(crate) reached_border: Option<u64>,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The pattern (width and height) does not fit on the grid.
    TooSmall { grid: Size, pattern: (u32, u32) },
    /// There is no team.
    Team(TeamError),
    /// A tick failed.
    Engine(LockstepError),
    /// Ctrl-C cannot be caught.
    #[cfg(feature = "ctrl-c")]
    CtrlC(phalanx::CtrlCError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::TooSmall { grid, pattern: (width, height) } => {
                write!(f, "a grid of {grid} is too small for a pattern of {width} x {height}")
            }
            RunError::Team(error) => write!(f, "{error}"),
            RunError::Engine(error) => write!(f, "{error}"),
            #[cfg(feature = "ctrl-c")]
            RunError::CtrlC(error) => write!(f, "{error}"),
        }
    }
}

impl Error for RunError {}

impl From<LockstepError> for RunError {
    fn from(error: LockstepError) -> RunError {
        RunError::Engine(error)
    }
}

/// Runs the plan with a barrier of this kind; `watch` is called with the tick about ten times a second.
pub(crate) fn run(plan: &Plan, meeting: Meeting, watch: Option<&mut dyn FnMut(u64)>) -> Result<Outcome, RunError> {
    let (width, height) = (plan.pattern.width, plan.pattern.height);
    let too_small = RunError::TooSmall { grid: plan.size, pattern: (width, height) };
    let origin = plan.size.centre(plan.pattern).ok_or(too_small)?;
    let parties = plan.placement.parties();
    let team = Team::builder().threads(parties).place(plan.placement.clone()).name("life").build();
    let team = team.map_err(RunError::Team)?;

    let world = Life { pattern: plan.pattern, size: plan.size, origin };
    let mut builder = Lockstep::builder(world);
    if matches!(meeting, Meeting::Phalanx) {
        builder = builder.tick_deadline(DEADLINE);
    }
    #[cfg(feature = "ctrl-c")]
    {
        builder = builder.cancel_on(&phalanx::CancelToken::on_ctrl_c().map_err(RunError::CtrlC)?);
    }
    let builder = builder.barrier(meeting);
    // Where the run goes on in another thread, so that this one can watch, that thread is rank 0: it is the one to be pinned,
    // before it makes its part of the grid.
    let go = |tell: Option<mpsc::Sender<Handle>>| -> Result<_, RunError> {
        let pinned = team.pin_caller().ok().flatten();
        let mut life = builder.build(&team)?;
        if let Some(tell) = &tell {
            // Nobody listens if the watcher has gone: then nobody wants to know.
            drop(tell.send(life.handle()));
        }
        let report = life.run(Stop::after(plan.ticks))?;
        let cpus = team.run(|_| current_cpu()).map_err(LockstepError::from)?;
        let bound = |rank| if rank == 0 { pinned.is_some() } else { team.is_pinned(rank) };
        let waited = report.waited().unwrap_or_default();
        let party = |((rank, band), cpu): ((usize, &Band), Option<usize>)| PartyReport {
            cpu,
            bound: bound(rank),
            rows: band.rows(),
            waited: waited.get(rank).copied().unwrap_or_default(),
        };
        Ok(Outcome {
            parties: life.parts().enumerate().zip(cpus).map(party).collect(),
            elapsed: report.elapsed(),
            ticks: report.ticks(),
            ended: report.ended().clone(),
            straggler: report.straggler(),
            population: life.parts().map(Band::population).sum(),
            picture: life.parts().flat_map(Band::picture).collect(),
            reached_border: life.parts().filter_map(Band::reached_border).min(),
        })
    };
    let Some(watch) = watch else { return go(None) };
    thread::scope(|s| {
        let (tell, told) = mpsc::channel();
        let running = s.spawn(move || go(Some(tell)));
        if let Ok(handle) = told.recv() {
            // Until the sender goes, at the end of the run.
            while matches!(told.recv_timeout(LOOK), Err(mpsc::RecvTimeoutError::Timeout)) {
                watch(handle.tick());
            }
        }
        running.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}
