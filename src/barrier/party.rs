//! One participant's handle, and what it gets for a completed trip.

use super::control::Control;
use super::era::Member;
use crate::error::{Broken, Cause};
use crate::wait::Limit;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A completed trip, as one of its parties sees it. What `std` calls `BarrierWaitResult`.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::new(1)?;
/// let mut party = barrier.claim(0)?;
/// let trip = party.wait()?;
/// assert_eq!(trip.generation(), 0);
/// assert!(trip.is_leader());
/// assert_eq!(party.wait()?.generation(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "one party per trip is the leader; use `let _ =` or `?;` if nobody needs to be"]
pub struct Trip {
    generation: u64,
    leader: bool,
}

impl Trip {
    /// The number of the trip, counted from 0.
    #[must_use]
    #[inline]
    pub fn generation(self) -> u64 {
        self.generation
    }

    /// True for exactly one party of each completed trip.
    #[must_use]
    #[inline]
    pub fn is_leader(self) -> bool {
        self.leader
    }
}

/// One participant's handle: a rank, and the right to arrive with it.
///
/// Where `std::sync::Barrier` lets any thread call `wait(&self)` and so cannot know who is missing, a party has a
/// number and is owned by one thread at a time: it can be sent to a thread but not cloned, and it waits through `&mut
/// self`, so that nobody can arrive twice.
///
/// Dropping it means "I come no more": the trip that it has not arrived at breaks, with [`Cause::Dropped`], or
/// [`Cause::Panicked`] while its thread unwinds, for whoever waits or comes to wait. So an early `return`, a `?` or a
/// panic in one worker releases all the others with an error that names it, while parties that all finish together
/// notice nothing. (`mem::forget` is no drop: a forgotten handle is a party that never comes; set a timeout against
/// such.)
///
/// # Examples
///
/// A worker that gives up early is found at once:
///
/// ```
/// use phalanx::{Barrier, Cause};
///
/// let barrier = Barrier::new(2)?;
/// let mut parties = barrier.take_parties()?;
/// let (mut worker, quitter) = (parties.remove(0), parties.remove(0));
/// let told = std::thread::scope(|s| {
///     s.spawn(move || drop(quitter));
///     s.spawn(move || worker.wait().unwrap_err()).join().unwrap()
/// });
/// assert_eq!(told.cause(), &Cause::Dropped { rank: 1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a party breaks the trip that it has not arrived at"]
pub struct Party {
    member: Member,
    /// The next wait needs no preparation: not the first one of this handle, and not one after a break.
    settled: bool,
    /// This handle has been told of the break of its era, or was claimed after it.
    told: bool,
    control: Arc<Control>,
}

impl Party {
    pub(super) fn new(member: Member, control: Arc<Control>) -> Self {
        let told = member.era().is_broken();
        Self { member, settled: false, told, control }
    }

    /// Arrives, and stays until the trip is decided.
    ///
    /// `std::sync::Barrier::wait` with two differences: it can fail, for all parties alike, instead of hanging; and
    /// with the default policy it spins before it sleeps. Limited by [`Builder::timeout`](crate::Builder::timeout), if
    /// set.
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
    ///             for _ in 0..100 {
    ///                 // work that the others will read after the barrier
    ///                 party.wait()?;
    ///             }
    ///             Ok(())
    ///         });
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`]: the trip was broken, for every party with the same record. Each further wait fails likewise until
    /// somebody calls [`Barrier::reset`](crate::Barrier::reset); the first wait after that takes part in the first trip
    /// of the new count. A party that had not come to wait for the broken trip before the reset is told of it once, at
    /// its next wait.
    ///
    /// # Cancel safety
    ///
    /// Not a future: nothing can cancel it but a break. An arrival is never taken back; a party that gives up breaks
    /// the trip for all.
    ///
    /// # Memory ordering
    ///
    /// Everything that any party did before it arrived happens before everything that any party does after its `Ok`. A
    /// failed wait promises nothing about the others' work.
    #[inline]
    pub fn wait(&mut self) -> Result<Trip, Broken> {
        self.cross(Limit::Usual)
    }

    /// Arrives, and stays until the trip is decided, or breaks it when `timeout` has passed.
    ///
    /// Like Java's `await(timeout, unit)`. Zero does not wait: the trip completes if this party is the last to arrive,
    /// and breaks otherwise. A timeout that ends beyond the clock's range is none. The clock starts with the first look
    /// at it, less than a microsecond after the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut party = barrier.claim(0)?;
    /// let broken = party.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(broken.to_string(), "trip 0 broken: rank 0 timed out after 1 ms; not arrived: rank 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`wait`](Self::wait); with [`Cause::TimedOut`] if this or another party's patience ended. When
    /// the last arrival and the timeout race, either all parties complete the trip, this one included, or all are told
    /// that it broke.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Trip, Broken> {
        self.cross(Limit::After(timeout))
    }

    /// Arrives, and stays until the trip is decided, or breaks it at `deadline`.
    ///
    /// Like [`wait_timeout`](Self::wait_timeout), for loops that must not drift. A deadline in the past does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut party = barrier.claim(0)?;
    /// let frame = Instant::now() + Duration::from_millis(16);
    /// assert!(party.wait_deadline(frame).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.cross(Limit::At(deadline))
    }

    /// This party's number, `0..parties`.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> usize {
        self.member.rank()
    }

    /// How many parties the barrier has.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.control.parties()
    }

    /// The trip that this party arrives at next; after a break, the broken one until the party has moved on.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> u64 {
        self.member.generation()
    }

    #[inline(always)]
    fn cross(&mut self, limit: Limit) -> Result<Trip, Broken> {
        if !self.settled {
            self.settle()?;
        }
        let generation = self.member.generation();
        let control = &self.control;
        match self.member.cross(limit, |cause, census| control.describe(cause, census)) {
            Ok(leader) => Ok(Trip { generation, leader }),
            Err(broken) => Err(self.unsettle(broken)),
        }
    }

    #[cold]
    fn settle(&mut self) -> Result<(), Broken> {
        self.control.settle(&mut self.member, self.told)?;
        self.settled = true;
        self.told = false;
        Ok(())
    }

    /// Takes note of a break: the next wait has to see what came after.
    #[cold]
    fn unsettle(&mut self, broken: Broken) -> Broken {
        self.settled = false;
        self.told = true;
        broken
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let rank = self.rank();
        let cause = if thread::panicking() { Cause::Panicked { rank } } else { Cause::Dropped { rank } };
        self.control.desert(rank, cause);
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("rank", &self.rank())
            .field("parties", &self.parties())
            .field("generation", &self.generation())
            .finish()
    }
}
