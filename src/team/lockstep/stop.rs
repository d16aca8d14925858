//! When a run is to end.

use std::fmt;
use std::sync::Arc;

/// When a run is to end: after so many ticks, when a condition holds, or when somebody says so.
///
/// # Examples
///
/// ```
/// use phalanx::team::lockstep::Stop;
///
/// let after_a_thousand = Stop::<f64>::after(1000);
/// // Every 50 ticks the measure of all parts is asked for; if it is small, the run ends. But not before tick 5000 is it over.
/// let when_it_has_converged = Stop::when(50, |residual: f64| residual < 1e-9).or_after(5000);
/// # let _ = (after_a_thousand, when_it_has_converged);
/// ```
pub struct Stop<M> {
    pub(super) ticks: Option<u64>,
    pub(super) condition: Option<Condition<M>>,
}

/// A condition on the measure of all parts.
pub(super) struct Condition<M> {
    /// Asked for when so many more ticks of the simulation are complete.
    pub(super) every: u64,
    pub(super) holds: Arc<dyn Fn(M) -> bool + Send + Sync>,
}

impl<M> Stop<M> {
    /// Ends the run when `ticks` more ticks are complete.
    #[must_use]
    pub fn after(ticks: u64) -> Self {
        Self { ticks: Some(ticks), condition: None }
    }

    /// Ends the run only on a [`Handle::stop`](super::Handle::stop) or a cancellation.
    #[must_use]
    pub fn never() -> Self {
        Self { ticks: None, condition: None }
    }

    /// Ends the run when `holds` says so of the measure of all parts: asked on each tick whose number is a multiple of `every`,
    /// 0 counting as 1 ([`Builder::ticks_per_trip`](super::Builder::ticks_per_trip) makes trips end there).
    ///
    /// Asked once for all members; a panic in it is a failure of the run, behind that tick.
    #[must_use]
    pub fn when(every: u64, holds: impl Fn(M) -> bool + Send + Sync + 'static) -> Self {
        Self { ticks: None, condition: Some(Condition { every: every.max(1), holds: Arc::new(holds) }) }
    }

    /// Ends the run when `ticks` more ticks are complete, whatever the condition says.
    #[must_use]
    pub fn or_after(mut self, ticks: u64) -> Self {
        self.ticks = Some(ticks);
        self
    }
}

impl<M> fmt::Debug for Stop<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = self.condition.as_ref().map(|condition| condition.every);
        f.debug_struct("Stop").field("ticks", &self.ticks).field("condition_every", &every).finish()
    }
}
