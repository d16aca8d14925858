//! What can be seen of a barrier from outside: is it moving, how long do parties wait, who is late, who is missing, and what
//! was it doing.
//!
//! - `eye`: how a party has a look at some of its trips.
//! - `labels`: what a party says it does.
//! - [`watchdog`]: says when a trip is stuck, who is missing, and why.
//! - `log`: one line per trip or per break.
//! - `timeline` (feature `timeline`): what each party did when, from a `ring` of events with the `ticks` of the processor's
//!   counter; `chrome` writes it down for a trace viewer.
//! - `stats`: a snapshot of the counts, to read and to subtract; `table`: how it is printed.
//! - `timed` (feature `hdr`): waits and arrivals timed on some trips; `timing`: what came of it, `histogram`: in which form.
//! - `publisher` (feature `metrics`): snapshots through the facade `metrics`.
//! - `tracing` (feature `tracing`): breaks, resets and reports of the watchdog as events.

#[cfg(feature = "timeline")]
mod chrome;
pub(crate) mod eye;
#[cfg(all(any(test, phalanx_fuzz), feature = "serde", feature = "hdr", feature = "timeline"))]
pub(crate) mod fuzzing;
#[cfg(feature = "hdr")]
mod histogram;
pub(crate) mod labels;
mod log;
#[cfg(feature = "metrics")]
mod publisher;
#[cfg(any(feature = "timeline", all(test, phalanx_loom)))]
mod ring;
#[cfg(all(test, phalanx_loom))]
mod ring_models;
mod stats;
mod table;
#[cfg(feature = "timeline")]
mod ticks;
#[cfg(feature = "hdr")]
mod timed;
#[cfg(feature = "timeline")]
pub(crate) mod timeline;
#[cfg(feature = "hdr")]
mod timing;
#[cfg(feature = "tracing")]
mod tracing;
pub mod watchdog;

use crate::error::{Broken, BuildError};
use crate::wait::{Settings, Tally, Watchdog};
pub use eye::Sampling;
use eye::{Eye, Witness};
#[cfg(feature = "hdr")]
#[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
pub use histogram::Histogram;
use labels::Labels;
pub use log::Log;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use publisher::Publisher;
pub use stats::{PartyStats, Stats};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(feature = "hdr")]
use timed::Timed;
#[cfg(feature = "timeline")]
#[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
pub use timeline::{Ending, Event, Mark, Timeline, Track};
#[cfg(feature = "hdr")]
#[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
pub use timing::{PartyTiming, Timing};
use watchdog::{Orders, Sink, Watched};

/// What a builder is told to have watch its barriers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    pub(crate) name: Option<String>,
    pub(crate) watchdog: Option<(Orders, Sink)>,
    pub(crate) logs: Vec<Log>,
    /// Events for each party.
    #[cfg(feature = "timeline")]
    pub(crate) timeline: Option<usize>,
    /// Which trips are timed.
    #[cfg(feature = "hdr")]
    pub(crate) statistics: Option<Sampling>,
}

impl Choices {
    /// With what the environment says where the builder was told nothing.
    pub(crate) fn completed_by(mut self, environment: &Settings) -> Self {
        let orders = environment.watchdog.map(|Watchdog { after, break_after }| Orders { after, break_after });
        self.watchdog = self.watchdog.or_else(|| orders.map(|orders| (orders, Sink::stderr())));
        // A model has nobody who looks.
        self.watchdog = self.watchdog.filter(|_| !cfg!(all(test, any(phalanx_loom, phalanx_shuttle))));
        self
    }

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
        let mut observers = Observers::of(name.into(), number);
        observers.is_watched = self.watchdog.is_some();
        // First, so that its stamps are not those of what others do.
        #[cfg(feature = "timeline")]
        observers.record(self.timeline);
        #[cfg(feature = "hdr")]
        observers.time(self.statistics);
        #[cfg(feature = "tracing")]
        observers.witnesses.push(Arc::new(tracing::Teller::new(Arc::clone(&observers.name))));
        observers.witnesses.extend(self.logs.iter().map(|log| Arc::new(log.of(&observers.name)) as Arc<dyn Witness>));
        observers
    }
}

/// Those who watch one barrier.
#[derive(Debug)]
pub(crate) struct Observers {
    name: Arc<str>,
    number: u64,
    witnesses: Vec<Arc<dyn Witness>>,
    labels: Labels,
    is_watched: bool,
    /// Its place on the watchdog's list.
    watched: OnceLock<Watched>,
    #[cfg(feature = "timeline")]
    recorder: Option<Arc<timeline::Recorder>>,
    #[cfg(feature = "hdr")]
    timed: Option<Arc<Timed>>,
}

impl Observers {
    /// Those of a barrier that has no name and no number yet.
    pub(crate) fn nobody() -> Self {
        Self::of("".into(), 0)
    }

    /// Nobody yet.
    fn of(name: Arc<str>, number: u64) -> Self {
        Self {
            name,
            number,
            witnesses: Vec::new(),
            labels: Labels::default(),
            is_watched: false,
            watched: OnceLock::new(),
            #[cfg(feature = "timeline")]
            recorder: None,
            #[cfg(feature = "hdr")]
            timed: None,
        }
    }

    /// Keeps so many events for each party, if any.
    #[cfg(feature = "timeline")]
    fn record(&mut self, events: Option<usize>) {
        self.recorder = events.map(|events| Arc::new(timeline::Recorder::new(events)));
        self.witnesses.extend(self.recorder.clone().map(|recorder| recorder as Arc<dyn Witness>));
    }

    /// Times these trips, if any.
    #[cfg(feature = "hdr")]
    fn time(&mut self, trips: Option<Sampling>) {
        self.timed = trips.map(|trips| Arc::new(Timed::new(trips)));
        self.witnesses.extend(self.timed.clone().map(|timed| timed as Arc<dyn Witness>));
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

    /// What its parties say they do.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether a watchdog looks after it.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Keeps its place on the watchdog's list for as long as the barrier lives.
    pub(crate) fn keep(&self, watched: Watched) {
        drop(self.watched.set(watched));
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
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // There has to be an end of it.
            std::mem::forget(again);
        }
    }
}
