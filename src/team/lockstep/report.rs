//! What came of a run.

use std::fmt;
use std::time::Duration;

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The ticks that were asked for are complete.
    Ticks,
    /// The condition holds.
    Condition,
    /// Somebody called [`Handle::stop`](super::Handle::stop).
    Stopped,
    /// A token was cancelled. The tick that was under way does not count.
    Cancelled {
        /// What the token's caller said.
        reason: String,
    },
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticks => f.write_str("all ticks done"),
            Self::Condition => f.write_str("the condition holds"),
            Self::Stopped => f.write_str("stopped"),
            Self::Cancelled { reason } => write!(f, "cancelled: {reason}"),
        }
    }
}

/// What came of a run, and where its time went.
#[derive(Clone, Debug)]
pub struct Report<M> {
    pub(super) ended: Ended,
    pub(super) ticks: u64,
    pub(super) tick: u64,
    pub(super) elapsed: Duration,
    pub(super) waited: Option<Vec<Duration>>,
    pub(super) retries: u64,
    pub(super) measure: Option<M>,
}

impl<M: Copy> Report<M> {
    /// Why it ended.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// How many ticks this run has completed.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// How many ticks are complete in all, earlier runs included.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// The time that it took, pauses and retries included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How long each member waited at the trips of this run, by rank, those of ticks that failed included; `None` if nobody looked
    /// ([`Builder::timing`](super::Builder::timing)).
    #[must_use]
    pub fn waited(&self) -> Option<&[Duration]> {
        self.waited.as_deref()
    }

    /// The member that waited least, for which the others waited: where to look first if the run is to be faster. `None` with
    /// one member, or without timing.
    #[must_use]
    pub fn straggler(&self) -> Option<usize> {
        let waited = self.waited.as_ref().filter(|waited| waited.len() > 1)?;
        (0..waited.len()).min_by_key(|&rank| waited[rank])
    }

    /// How many times a tick was tried again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// The measure of all parts when it was last asked for in this run.
    #[must_use]
    pub fn measure(&self) -> Option<M> {
        self.measure
    }
}

impl<M: Copy> fmt::Display for Report<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.ticks as f64 / seconds } else { 0.0 };
        writeln!(f, "ended       {}, at tick {}", self.ended, self.tick)?;
        write!(f, "ticks       {} in {seconds:.3} s, {rate:.0} ticks/s", self.ticks)?;
        if self.retries > 0 {
            write!(f, ", {} tried again", self.retries)?;
        }
        for (rank, waited) in self.waited.iter().flatten().enumerate() {
            let waited = waited.as_secs_f64();
            let share = 100.0 * waited / seconds.max(f64::MIN_POSITIVE);
            write!(f, "\nwaiting     rank {rank:>3} {waited:>10.3} s  {share:>5.1} %")?;
        }
        if let Some(rank) = self.straggler() {
            write!(f, "\nstraggler   rank {rank} waited least: the others waited for it")?;
        }
        Ok(())
    }
}
