//! The barrier for callers without a handle: `std::sync::Barrier`'s signature, and what it lacks. The mechanism is in
//! `batches.rs`.

mod batches;
#[doc(hidden)]
pub mod in_place;
#[cfg(all(test, phalanx_loom))]
mod in_place_models;
#[cfg(all(test, phalanx_loom))]
mod models;
#[cfg(all(test, phalanx_shuttle))]
mod shuttle;
#[cfg(all(test, phalanx_shuttle))]
mod shuttle_in_place;

use crate::barrier::action::{is_within, within};
use crate::error::{Broken, Cause};
use crate::primitive::{Mutex, lock};
use crate::wait::Limit;
use batches::Batches;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// What happens once per trip, after the last arrival and before any release.
type Action = Box<dyn FnMut() + Send>;

/// A barrier that any thread may wait on, with the signature of [`std::sync::Barrier`]: changing the `use` line is a
/// valid migration.
///
/// Beyond `std` it spins before it sleeps, has limits ([`wait_timeout`](Self::wait_timeout)), can be broken and
/// returned to service ([`abort`](Self::abort), [`reset`](Self::reset)), runs an action once per trip
/// ([`with_action`](Self::with_action)), and tells each caller its arrival index. What it cannot do without handles is
/// to name who is missing, or to notice that a caller will never come: for that, and for the fastest trip, use
/// [`phalanx::Barrier`](crate::Barrier) and its [`Party`](crate::Party).
///
/// More callers than parties are served in batches, as `std` does.
///
/// # Examples
///
/// ```
/// use phalanx::compat::Barrier; // was: use std::sync::Barrier;
/// use std::thread;
///
/// let barrier = Barrier::new(4);
/// let leaders: usize = thread::scope(|s| {
///     let threads: Vec<_> = (0..4).map(|_| s.spawn(|| usize::from(barrier.wait().is_leader()))).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    batches: Batches,
    action: Option<Mutex<Action>>,
}

impl Barrier {
    constant_unless_modelled! {
        /// Makes a barrier for `n` callers; 0 is taken as 1, as `std` does.
        ///
        /// # Examples
        ///
        /// ```
        /// use phalanx::compat::Barrier;
        ///
        /// static START: Barrier = Barrier::new(1);
        /// assert!(START.wait().is_leader());
        /// ```
        #[must_use]
        pub fn new(n: usize) -> Self {
            Self { batches: Batches::new(n, 0), action: None }
        }
    }

    /// Makes a barrier for `n` callers that runs `action` once per trip, after the last arrival and before any release,
    /// on the last caller's thread.
    ///
    /// C++ calls this the completion function, Java the barrier action. If it panics, the trip breaks for all callers
    /// with [`Cause::ActionPanicked`]. It cannot wait on this barrier, where it would wait for itself: [`try_wait`] and the
    /// others are refused with [`Cause::Reentered`], and `wait` panics with its text.
    ///
    /// [`try_wait`]: Self::try_wait
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::compat::Barrier;
    /// use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    ///
    /// let trips = Arc::new(AtomicUsize::new(0));
    /// let seen = Arc::clone(&trips);
    /// let barrier = Barrier::with_action(1, move || { seen.fetch_add(1, Ordering::Relaxed); });
    /// barrier.wait();
    /// assert_eq!(trips.load(Ordering::Relaxed), 1);
    /// ```
    #[must_use]
    pub fn with_action(n: usize, action: impl FnMut() + Send + 'static) -> Self {
        Self { batches: Batches::new(n, 0), action: Some(Mutex::new(Box::new(action))) }
    }

    /// Starts the count of trips at `generation`, so that tests can see it wrap.
    #[doc(hidden)]
    #[must_use]
    pub fn starting_at(mut self, generation: u64) -> Self {
        self.batches = Batches::new(self.parties(), generation);
        self
    }

    /// Arrives, and stays until as many callers as the barrier has parties have arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::compat::Barrier::new(1);
    /// assert_eq!(barrier.wait().index(), 0);
    /// ```
    ///
    /// # Panics
    ///
    /// If the trip is broken, or the barrier still is, with the text of [`Broken`]: the signature leaves no other way
    /// to tell, and a silent return would let the caller use what is not there. Only [`abort`](Self::abort), a limit
    /// that has passed, an action that panicked or a [`reset`](Self::reset) break this barrier, so a program that uses
    /// only what `std` has never sees it.
    ///
    /// # Memory ordering
    ///
    /// Everything that any caller did before it arrived happens before everything that any caller of the same trip does
    /// after its return.
    pub fn wait(&self) -> BarrierWaitResult {
        match self.cross(Limit::Never) {
            Ok(result) => result,
            Err(broken) => panic!("{broken}"),
        }
    }

    /// Arrives, and stays until the trip is decided: [`wait`](Self::wait) for barriers that may break.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::compat::Barrier::new(2);
    /// barrier.abort("no partner");
    /// assert!(barrier.try_wait().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`]: the same for every caller of the trip, and for whoever comes before [`reset`](Self::reset).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait), for `Ok`.
    pub fn try_wait(&self) -> Result<BarrierWaitResult, Broken> {
        self.cross(Limit::Never)
    }

    /// Arrives, and stays until the trip is decided, or breaks it when `timeout` has passed.
    ///
    /// Zero does not wait; a timeout that ends beyond the clock's range is none. The rank of [`Cause::TimedOut`] is the
    /// caller's arrival index.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = phalanx::compat::Barrier::new(3);
    /// let broken = barrier.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(broken.to_string(), "trip 0 broken: rank 0 timed out after 1 ms; 1 of 3 had arrived");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_wait`](Self::try_wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, Broken> {
        self.cross(Limit::After(timeout))
    }

    /// Arrives, and stays until the trip is decided, or breaks it at `deadline`.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::compat::Barrier::new(2);
    /// assert!(barrier.wait_deadline(std::time::Instant::now()).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_wait`](Self::try_wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, Broken> {
        self.cross(Limit::At(deadline))
    }

    /// How many callers make a trip.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.batches.parties()
    }

    /// How many callers have arrived at the open trip, as a snapshot: 0 again the moment that it completes.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.batches.arrived()
    }

    /// Whether every wait fails until [`reset`](Self::reset).
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.batches.is_broken()
    }

    /// Breaks the open trip: its callers, and those who come before [`reset`](Self::reset), are told [`Cause::Aborted`]
    /// with this reason. A trip at which all have arrived is complete and stays so; on a broken barrier nothing
    /// changes. Returns what they are told.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::compat::Barrier::new(2);
    /// assert_eq!(barrier.abort("enough").to_string(), "trip 0 broken: aborted: enough; 0 of 2 had arrived");
    /// ```
    pub fn abort(&self, reason: impl Into<String>) -> Broken {
        self.batches.break_open(&Cause::Aborted { reason: reason.into() })
    }

    /// Returns the barrier to service. Callers that are waiting are told [`Cause::Reset`]; if nobody waits and nothing
    /// is broken, nothing changes. Waits for an action that is running; called by the action itself, it takes effect
    /// when the action's trip is over.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::compat::Barrier::new(1);
    /// barrier.abort("once");
    /// barrier.reset();
    /// assert!(barrier.try_wait().is_ok());
    /// ```
    pub fn reset(&self) {
        self.batches.reset(self.is_acting());
    }

    /// Wakes every sleeping caller for no reason, for tests (C12).
    #[doc(hidden)]
    pub fn wake_spuriously(&self) {
        self.batches.wake_spuriously();
    }

    #[inline]
    fn cross(&self, limit: Limit) -> Result<BarrierWaitResult, Broken> {
        if self.is_acting() {
            return Err(self.batches.refuse(&Cause::Reentered { rank: 0 }));
        }
        let index = self.batches.cross(limit, || self.act())?;
        Ok(BarrierWaitResult { index, leader: index + 1 == self.parties() })
    }

    /// Whether this is called by this barrier's own action.
    fn is_acting(&self) -> bool {
        self.action.is_some() && is_within(self.address())
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Runs the action; the message of its panic, if it panics.
    fn act(&self) -> Result<(), String> {
        match &self.action {
            None => Ok(()),
            Some(action) => within(self.address(), || lock(action)()),
        }
    }
}

// The action, the one thing in here that could be left half done by a panic, is only ever run by one caller at a time,
// and a panic in it is reported to all: `std`'s barrier is unwind safe, and so is this.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

/// What a caller gets for a completed trip. `std` has [`is_leader`](Self::is_leader); the index is Java's and Python's.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::compat::Barrier::new(1);
/// let result = barrier.wait();
/// assert!(result.is_leader() && result.index() == 0);
/// ```
pub struct BarrierWaitResult {
    index: usize,
    leader: bool,
}

impl BarrierWaitResult {
    /// True for exactly one caller of each trip: the last to arrive.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader
    }

    /// The caller's arrival index: 0 for the first of its trip, parties - 1 for the last.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.leader).field("index", &self.index).finish()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::sync::{LazyLock, mpsc};
    use std::thread;

    /// Runs `test`, and fails if it has not ended in good time.
    pub(super) fn in_time(test: impl FnOnce() + Send + 'static) {
        let (done, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            test();
            done.send(())
        });
        // Miri's clock goes by steps of the interpreter.
        let limit = Duration::from_secs(if cfg!(miri) { 3600 } else { 10 });
        if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            panic!("it has not ended");
        }
        thread.join().map(drop).unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
    }

    #[test]
    fn an_action_may_not_wait_on_its_own_barrier() {
        in_time(|| {
            static TOLD: Mutex<Option<Broken>> = Mutex::new(None);
            // With a limit that has passed, so that one that is not refused does not wait either.
            static OWN: LazyLock<Barrier> =
                LazyLock::new(|| Barrier::with_action(2, || *lock(&TOLD) = OWN.wait_timeout(Duration::ZERO).err()));
            thread::scope(|s| {
                s.spawn(|| OWN.wait().index());
                while OWN.arrived() == 0 {
                    thread::yield_now();
                }
                assert!(OWN.try_wait().is_ok());
            });
            let told = lock(&TOLD).take().unwrap();
            assert_eq!((told.cause(), told.generation(), told.arrived()), (&Cause::Reentered { rank: 0 }, 1, 0));
        });
    }

    #[test]
    fn an_action_may_wait_on_another_barrier_that_has_one() {
        in_time(|| {
            static OTHER: LazyLock<Barrier> = LazyLock::new(|| Barrier::with_action(1, || {}));
            let barrier = Barrier::with_action(1, || assert!(OTHER.try_wait().is_ok()));
            assert!(barrier.try_wait().is_ok());
        });
    }
}
