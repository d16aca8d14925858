//! What can be seen of a barrier from outside: is it moving, how long do parties wait, who is late, who is missing, and what
//! was it doing.
//!
//! - `eye`: how a party has a look at some of its trips.
//! - `log`: one line per trip or per break.
//! - `timeline`: what each party did when, from a `ring` of events with the `ticks` of the processor's counter; `chrome` writes
//!   it down for a trace viewer (feature `timeline`).

#[cfg(feature = "timeline")]
mod chrome;
pub(crate) mod eye;
mod log;
#[cfg(any(feature = "timeline", all(test, phalanx_loom)))]
mod ring;
#[cfg(all(test, phalanx_loom))]
mod ring_models;
#[cfg(feature = "timeline")]
mod ticks;
#[cfg(feature = "timeline")]
pub(crate) mod timeline;

use crate::error::{Broken, BuildError};
use crate::wait::Tally;
pub use eye::Sampling;
use eye::{Eye, Witness};
pub use log::Log;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "timeline")]
pub use timeline::{Ending, Event, Mark, Timeline, Track};

/// What a builder is told to have watch its barriers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    pub(crate) name: Option<String>,
    pub(crate) logs: Vec<Log>,
    /// Events for each party.
    #[cfg(feature = "timeline")]
    pub(crate) timeline: Option<usize>,
}

impl Choices {
    /// Whether all that was asked for can be had.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        #[cfg(feature = "timeline")]
        if let Some(events) = self.timeline.filter(|&events| events > timeline::MAX_EVENTS) {
            return Err(BuildError::Timeline { events });
        }
        Ok(())
    }

    /// Those who watch one barrier.
    pub(crate) fn observers(&self) -> Observers {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only that no two are the same matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = self.name.clone().unwrap_or_else(|| format!("barrier-{number}"));
        let name: Arc<str> = name.into();
        let mut witnesses: Vec<Arc<dyn Witness>> = Vec::new();
        #[cfg(feature = "timeline")]
        let recorder = self.timeline.map(|events| Arc::new(timeline::Recorder::new(events)));
        #[cfg(feature = "timeline")]
        witnesses.extend(recorder.iter().map(|recorder| Arc::clone(recorder) as Arc<dyn Witness>));
        witnesses.extend(self.logs.iter().map(|log| Arc::new(log.of(&name)) as Arc<dyn Witness>));
        Observers {
            name,
            number,
            witnesses,
            #[cfg(feature = "timeline")]
            recorder,
        }
    }
}

/// Those who watch one barrier.
#[derive(Debug)]
pub(crate) struct Observers {
    name: Arc<str>,
    number: u64,
    witnesses: Vec<Arc<dyn Witness>>,
    #[cfg(feature = "timeline")]
    recorder: Option<Arc<timeline::Recorder>>,
}

impl Default for Observers {
    /// Those of a barrier for which nobody has asked for any.
    fn default() -> Self {
        Choices::default().observers()
    }
}

impl Observers {
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
        let wanted = self.witnesses.iter().map(|witness| witness.sampling()).fold(Sampling::USUAL, Sampling::max);
        let standings = self.witnesses.iter().map(|witness| witness.standings()).fold(Sampling::USUAL, Sampling::max);
        let bystanders = self.witnesses.iter().filter_map(|witness| Arc::clone(witness).bystander(rank)).collect();
        let eye = Eye::new(tally, (wanted, standings), bystanders);
        #[cfg(feature = "timeline")]
        let eye = eye.noted_by(self.recorder.as_ref().map(|recorder| recorder.scribe(rank)));
        eye
    }

    /// A copy of the timeline, if one was asked for.
    #[cfg(feature = "timeline")]
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        Some(self.recorder.as_ref()?.timeline(Arc::clone(&self.name), self.number))
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
