//! Barriers as users see them.
//!
//! - [`Barrier`]: the control handle.
//! - [`builder`]: how one is made.
//! - [`explain`]: what was chosen for it, and why.
//! - [`party`]: the handle that waits.
//! - [`member`], [`era`]: one party's way across; the words of one life of a barrier.
//! - [`registry`], [`roll`]: who belongs to the barrier, who holds which rank, which era holds which trip.
//! - [`ledger`]: what the barrier has been through; [`watched`]: who watches it; [`subject`]: what the
//!   watchdog sees.
//! - [`control`]: these, and the rare operations on them; [`action`]: what is done once per trip.
//! - [`cancel`]: a token that breaks any number of barriers, for good.
//! - [`compat`]: the barrier for callers without a handle, with `std`'s signature.

pub(crate) mod action;
#[cfg(all(test, phalanx_loom))]
mod action_models;
pub(crate) mod builder;
pub(crate) mod cancel;
#[cfg(all(test, phalanx_loom))]
mod cancel_models;
pub mod compat;
pub(crate) mod control;
pub(crate) mod era;
pub(crate) mod explain;
#[cfg(all(test, phalanx_loom))]
mod handle_models;
mod ledger;
pub(crate) mod member;
#[cfg(all(test, phalanx_loom))]
pub(crate) mod models;
pub(crate) mod party;
mod registry;
#[cfg(all(test, phalanx_loom))]
mod registry_models;
mod roll;
#[cfg(all(test, phalanx_shuttle))]
pub(crate) mod shuttle;
#[cfg(all(test, phalanx_shuttle))]
mod shuttle_crowd;
#[cfg(all(test, phalanx_shuttle))]
mod shuttle_riders;
mod subject;
mod watched;

use crate::algo::select::Algorithm;
use crate::error::{Broken, BuildError, Cause, ClaimError, JoinError, ResetError};
use crate::wait::WaitPolicy;
use builder::Builder;
use control::Control;
use explain::Explanation;
use party::Party;
use std::fmt;
use std::sync::Arc;

/// A barrier's control handle: makes the parties, looks at them, breaks their trip, and returns them to service.
///
/// Where `std::sync::Barrier` is the thing that threads wait on, this is the thing that watches over them: the threads
/// wait on their [`Party`] handles. Cheap to clone; may sit in any thread, a watchdog's or the one that handles signals
/// (not in a signal handler itself: it takes locks).
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, Broken};
///
/// let barrier = Barrier::new(4)?;
/// std::thread::scope(|s| {
///     for mut party in barrier.take_parties().unwrap() {
///         s.spawn(move || -> Result<(), Broken> {
///             for step in 0..1_000 {
///                 let trip = party.wait()?;
///                 assert_eq!(trip.generation(), step);
///             }
///             Ok(())
///         });
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    handles: Arc<Handles>,
}

/// Counts the control handles: with the last one goes the right to claim ranks.
#[derive(Debug)]
struct Handles {
    control: Arc<Control>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.control.close_claims();
    }
}

impl From<Control> for Barrier {
    fn from(control: Control) -> Self {
        Self { handles: Arc::new(Handles { control: Arc::new(control) }) }
    }
}

impl Barrier {
    /// Makes a barrier for `parties`, with every choice left to the library. Short for
    /// `Barrier::builder(parties).build()`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(phalanx::Barrier::new(3)?.parties(), 3);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError::Parties`] if there are 0 parties, or more than [`MAX_PARTIES`](crate::MAX_PARTIES).
    pub fn new(parties: usize) -> Result<Self, BuildError> {
        Self::builder(parties).build()
    }

    /// Starts the choices for a barrier for `parties`.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, WaitPolicy};
    ///
    /// let barrier = Barrier::builder(3).wait_policy(WaitPolicy::Park).build()?;
    /// assert_eq!(barrier.wait_policy(), WaitPolicy::Park);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn builder(parties: usize) -> Builder {
        Builder::new(parties)
    }

    /// Gives out the handle of `rank`.
    ///
    /// A rank whose handle was dropped may be claimed again: that is how a worker is restarted, before
    /// [`reset`](Self::reset).
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let party = barrier.claim(1)?;
    /// assert_eq!(party.rank(), 1);
    /// # drop(barrier);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if there is no such rank, or if somebody holds it.
    pub fn claim(&self, rank: usize) -> Result<Party, ClaimError> {
        Ok(Party::new(self.control().claim(rank)?, Arc::clone(self.control())))
    }

    /// Gives out the handles of all ranks, in rank order.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(3)?;
    /// let ranks: Vec<usize> = barrier.take_parties()?.iter().map(|party| party.rank()).collect();
    /// assert_eq!(ranks, [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClaimError::Taken`] if any rank is held; then none is given out.
    pub fn take_parties(&self) -> Result<Vec<Party>, ClaimError> {
        let members = self.control().claim_all()?;
        Ok(members.into_iter().map(|entry| Party::new(entry, Arc::clone(self.control()))).collect())
    }

    /// Adds a party, which takes part from the next trip on; from any thread, while the others go on.
    ///
    /// Java's `Phaser.register`, with a say in which trip is the first: the trip that is open now completes without the
    /// newcomer, and the one after it needs it ([`Party::generation`] tells its number). So a handle that is not used holds
    /// the others up, and one that is dropped breaks that trip, as any other. Ranks are stable: the newcomer gets the lowest
    /// one that a party has [left](Party::leave) before the open trip, or one more than there were. On a broken barrier the
    /// party takes part from the [reset](Self::reset) on.
    ///
    /// The algorithm is chosen anew for the new number of parties, unless one was named. Costs two locks and the making of
    /// the next trips' words: microseconds, more for many parties ([`Algorithm::Auto`] says how long it takes to choose).
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut old = barrier.claim(0)?;
    /// let mut new = barrier.join()?;
    /// assert_eq!((new.rank(), new.generation()), (1, 1));
    /// old.wait()?; // trip 0 is not the newcomer's
    /// std::thread::scope(|s| {
    ///     s.spawn(|| old.wait());
    ///     assert_eq!(new.wait().unwrap().generation(), 1);
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError`] if all parties have left, or there are [`MAX_PARTIES`](crate::MAX_PARTIES).
    pub fn join(&self) -> Result<Party, JoinError> {
        Ok(Party::new(self.control().join()?, Arc::clone(self.control())))
    }

    /// Whether all parties have [left](Party::leave): no further trip will be held, and nobody can join.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.control().has_ended()
    }

    /// How many parties take part in the open trip; 0 once all have [left](Party::leave).
    #[must_use]
    pub fn parties(&self) -> usize {
        self.control().parties()
    }

    /// The algorithm in use; never [`Algorithm::Auto`].
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.control().algorithm()
    }

    /// What was chosen for this barrier and why, in a few lines for a person.
    ///
    /// What `OMP_DISPLAY_ENV=verbose` is to OpenMP, for one barrier.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(4)?;
    /// let explanation = barrier.explain();
    /// println!("{explanation}");
    /// assert_eq!(explanation.algorithm(), barrier.algorithm());
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    #[must_use]
    pub fn explain(&self) -> Explanation {
        self.control().explanation()
    }

    /// The wait policy in use.
    #[must_use]
    pub fn wait_policy(&self) -> WaitPolicy {
        self.control().policy()
    }

    /// The trip that is open: the number of completed trips, as long as nothing broke. On a broken barrier, the broken
    /// trip.
    ///
    /// A snapshot, like [`arrived`](Self::arrived) and [`missing`](Self::missing): the parties do not stand still for
    /// it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let era = self.control().era();
        era.verdict().map_or_else(|| era.census().generation, |broken| broken.generation())
    }

    /// How many parties have arrived at the open trip: 0 again the moment that it completes. On a broken barrier, how
    /// many had when it broke.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// assert_eq!((barrier.arrived(), barrier.missing()), (0, vec![0, 1]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn arrived(&self) -> usize {
        let era = self.control().era();
        era.verdict().map_or_else(|| era.census().arrived, |broken| broken.arrived())
    }

    /// The ranks that have not arrived at the open trip, ascending. On a broken barrier, those that had not when it
    /// broke.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        let era = self.control().era();
        let told = |broken: Broken| broken.missing().iter().map(|missing| missing.rank).collect();
        era.verdict().map_or_else(|| era.census().missing, told)
    }

    /// Whether the barrier is broken: every wait fails until [`reset`](Self::reset). True also once any party's handle
    /// has been dropped, since no further trip can complete without it.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.control().era().is_broken()
    }

    /// What every wait is told, if the barrier is broken.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        self.control().era().verdict()
    }

    /// Breaks the open trip, from any thread: all parties that wait, and those that come to wait, are told
    /// [`Cause::Aborted`] with this reason.
    ///
    /// A trip at which all have arrived is complete and stays so, even if not all have returned yet; then the next one
    /// breaks. On a broken barrier it changes nothing. Returns what the parties are told, which is an earlier break's
    /// record if there was one.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut party = barrier.claim(0)?;
    /// let broken = barrier.abort("the input ended");
    /// assert_eq!(broken.to_string(), "trip 0 broken: aborted: the input ended; not arrived: ranks 0, 1");
    /// assert_eq!(party.wait().unwrap_err(), broken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abort(&self, reason: impl Into<String>) -> Broken {
        self.control().break_open_trip(&Cause::Aborted { reason: reason.into() })
    }

    /// Returns the barrier to service: the next trip has the number after the broken one, and no arrival from before
    /// counts.
    ///
    /// Like Java's and Python's `reset`: parties that are waiting are told [`Cause::Reset`]; if the barrier is not
    /// broken and nobody waits, nothing changes. A party that had not come to wait for the broken trip is told of it at
    /// its next wait, and takes part from the one after that: work that it did for the broken trip cannot be taken for
    /// work of the new one. (A party that has been told of a break and stays away during others hears of
    /// none of those.) Returns the number of the next trip: the one after the broken one, or beyond it if newcomers had
    /// been told already that the next one is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut party = barrier.claim(0)?;
    /// barrier.abort("try again");
    /// assert!(party.wait().is_err());
    /// assert_eq!(barrier.reset()?, 1);
    /// assert_eq!(party.wait()?.generation(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResetError::Deserted`] if a party's handle was dropped and its rank not claimed again: without it no trip
    /// could complete. [`ResetError::Cancelled`] if a token that the barrier is bound to was cancelled.
    pub fn reset(&self) -> Result<u64, ResetError> {
        self.control().reset()
    }

    /// How many waits of this process should have been ended by a wake and were ended by a look at the clock, for tests (B5): a
    /// forgotten wake is no hang here.
    #[doc(hidden)]
    #[must_use]
    pub fn overslept() -> u64 {
        crate::wait::overslept()
    }

    /// Wakes every sleeping party for no reason, as a kernel may at any time: they must all go back to sleep (C12). For
    /// tests.
    #[doc(hidden)]
    pub fn wake_spuriously(&self) {
        self.control().era().wake_spuriously();
    }

    /// The era that counts now.
    pub(crate) fn era(&self) -> Arc<era::Era> {
        self.control().era()
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.handles.control
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("algorithm", &self.algorithm())
            .field("wait_policy", &self.wait_policy())
            .field("generation", &self.generation())
            .field("missing", &self.missing())
            .field("broken", &self.broken())
            .finish()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_wake_for_no_reason_is_one_on_the_word_that_parties_sleep_on_and_nothing_else() {
        let barrier = Barrier::new(2).unwrap();
        let (era, before) = (barrier.era(), barrier.era().door().look());
        barrier.wake_spuriously();
        let after = era.door().look();
        assert!(after != before && !after.asks() && !barrier.is_broken());
    }
}
