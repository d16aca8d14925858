//! Any rendezvous, with the time that it waits.

use super::{Rendezvous, sealed};
use crate::barrier::party::Trip;
use crate::error::Broken;
use std::time::{Duration, Instant};

/// A rendezvous that adds up how long its party waits: two looks at the clock on each trip, some 50 ns.
///
/// # Examples
///
/// ```
/// use phalanx::team::rendezvous::{Rendezvous, Timed};
///
/// let mut party = Timed::new(phalanx::Barrier::new(1)?.claim(0)?);
/// party.wait()?;
/// assert_eq!(party.trips(), 1);
/// println!("waited {:?}", party.waited());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Timed<M> {
    inner: M,
    waited: Duration,
    trips: u64,
}

impl<M> Timed<M> {
    /// Wraps `inner`, which has not waited yet as far as this one knows.
    pub fn new(inner: M) -> Self {
        Self { inner, waited: Duration::ZERO, trips: 0 }
    }

    /// How long all trips so far have kept this party, from its arrival to its release.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// How many trips that were, broken ones included.
    #[must_use]
    pub fn trips(&self) -> u64 {
        self.trips
    }

    /// Gives the rendezvous back.
    #[must_use]
    pub fn into_inner(self) -> M {
        self.inner
    }

    #[inline]
    fn timed<R>(&mut self, trip: impl FnOnce(&mut M) -> R) -> R {
        let arrived = Instant::now();
        let result = trip(&mut self.inner);
        self.waited += arrived.elapsed();
        self.trips += 1;
        result
    }
}

impl<M> sealed::Sealed for Timed<M> {}

impl<M: Rendezvous> Rendezvous for Timed<M> {
    #[inline]
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn parties(&self) -> usize {
        self.inner.parties()
    }

    #[inline]
    fn wait(&mut self) -> Result<Trip, Broken> {
        self.timed(M::wait)
    }

    #[inline]
    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.timed(|inner| inner.wait_deadline(deadline))
    }

    fn keeps_deadlines(&self) -> bool {
        self.inner.keeps_deadlines()
    }

    #[inline]
    fn set_phase(&mut self, label: &'static str) {
        self.inner.set_phase(label);
    }

    #[inline]
    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.timed(|inner| inner.all_reduce(value, combine))
    }
}
