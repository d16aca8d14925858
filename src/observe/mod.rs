//! What can be seen of a barrier from outside: is it moving, how long do parties wait, who is late, who is missing, and what
//! was it doing.
//!
//! - `eye`: how a party has a look at some of its trips.
//! - `stats`: a snapshot of the counts, to read and to subtract; `table`: how it is printed.
//! - `timed` (feature `hdr`): waits and arrivals timed on some trips; `timing`: what came of it, `histogram`: in which form.

pub(crate) mod eye;
#[cfg(feature = "hdr")]
mod histogram;
mod stats;
mod table;
#[cfg(feature = "hdr")]
mod timed;
#[cfg(feature = "hdr")]
mod timing;

use crate::error::Broken;
use crate::wait::Tally;
pub use eye::Sampling;
use eye::{Eye, Witness};
#[cfg(feature = "hdr")]
#[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
pub use histogram::Histogram;
pub use stats::{PartyStats, Stats};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "hdr")]
use timed::Timed;
#[cfg(feature = "hdr")]
#[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
pub use timing::{PartyTiming, Timing};

/// What a builder is told to have watch its barriers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    pub(crate) name: Option<String>,
    /// Which trips are timed.
    #[cfg(feature = "hdr")]
    pub(crate) statistics: Option<Sampling>,
}

impl Choices {
    /// Those who watch one barrier.
    pub(crate) fn observers(&self) -> Observers {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only that no two are the same matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = self.name.clone().unwrap_or_else(|| format!("barrier-{number}"));
        let observers = Observers::of(name.into(), number);
        #[cfg(feature = "hdr")]
        let observers = observers.timing_these(self.statistics);
        observers
    }
}

/// Those who watch one barrier.
#[derive(Debug)]
pub(crate) struct Observers {
    name: Arc<str>,
    number: u64,
    witnesses: Vec<Arc<dyn Witness>>,
    #[cfg(feature = "hdr")]
    timed: Option<Arc<Timed>>,
}

impl Default for Observers {
    /// Those of a barrier for which nobody has asked for any.
    fn default() -> Self {
        Choices::default().observers()
    }
}

impl Observers {
    /// Nobody yet.
    fn of(name: Arc<str>, number: u64) -> Self {
        Self {
            name,
            number,
            witnesses: Vec::new(),
            #[cfg(feature = "hdr")]
            timed: None,
        }
    }

    /// Times these trips, if any.
    #[cfg(feature = "hdr")]
    fn timing_these(mut self, trips: Option<Sampling>) -> Self {
        self.timed = trips.map(|trips| Arc::new(Timed::new(trips)));
        self.witnesses.extend(self.timed.clone().map(|timed| timed as Arc<dyn Witness>));
        self
    }

    /// What was timed, if that was asked for.
    #[cfg(feature = "hdr")]
    pub(crate) fn timing(&self) -> Option<Timing> {
        self.timed.as_ref().map(|timed| timed.timing())
    }

    /// What people call the barrier.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What tells it from all others of the process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The eye of the party of `rank`, which counts in `tally`.
    pub(crate) fn eye(&self, rank: usize, tally: Arc<Tally>) -> Eye {
        let wanted = self.witnesses.iter().map(|witness| witness.sampling()).max();
        let bystanders = self.witnesses.iter().filter_map(|witness| Arc::clone(witness).bystander(rank)).collect();
        Eye::new(tally, wanted.unwrap_or(Sampling::NEVER).max(Sampling::USUAL), bystanders)
    }

    /// Tells all of a break.
    pub(crate) fn broken(&self, broken: &Broken) {
        self.witnesses.iter().for_each(|witness| quietly(|| witness.broken(broken)));
    }

    /// Tells all that the barrier is in service again.
    pub(crate) fn reset(&self, first: u64) {
        self.witnesses.iter().for_each(|witness| quietly(|| witness.reset(first)));
    }
}

/// Calls somebody who watches: a panic there is reported by the panic hook, and changes nothing for the barrier (the caller
/// may be the drop of a handle in a thread that panics already).
pub(crate) fn quietly(call: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(call)));
}
