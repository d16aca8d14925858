//! What a lockstep loop needs from a barrier, as a trait: so that the same loop runs on phalanx, on `std`'s barrier for
//! comparison, and on a double that fails on cue.
//!
//! - [`Rendezvous`]: arrive and wait, with a typed failure; and one value of all.
//! - [`Party`] and [`Member`](super::Member): the real thing.
//! - [`StdParty`]: `std::sync::Barrier`, which can neither give up nor be broken.
//! - [`CondvarParty`]: a mutex and a condition variable, slow and obviously correct, with the same failures as a [`Party`].
//! - [`Scripted`]: any of these, with failures, delays and an order of arrival that a test has written down.
//! - [`Timed`]: any of these, with the time that it waits.
//!
//! The trait is sealed: `lockstep` hands out parts of shared memory on the word of a rendezvous that all have arrived,
//! so a wrong one could break more than the test that it was made for. A double that is to fail is scripted; none can be
//! made that lets a party through too early.

mod board;
mod condvar;
mod scripted;
mod std_barrier;
mod timed;

use crate::barrier::party::{Party, Trip};
use crate::error::Broken;
pub(super) use condvar::condvar_parties_within;
pub use condvar::{CondvarParty, condvar_parties};
pub use scripted::{Scene, Script, Scripted};
use std::time::Instant;
pub use std_barrier::{StdParty, std_parties};
pub use timed::Timed;

pub(crate) mod sealed {
    /// Only what keeps the promise of [`super::Rendezvous`].
    pub trait Sealed {}
}

/// One thread's place at something that threads meet at: what [`Party`] is at a [`Barrier`](crate::Barrier).
///
/// Loops that are generic over it run on any barrier: on a [`Party`], on a team's [`Member`](super::Member), on
/// [`StdParty`] to compare with, on [`Scripted`] to see what they do when a trip fails.
///
/// # Examples
///
/// ```
/// use phalanx::Broken;
/// use phalanx::team::rendezvous::{Rendezvous, condvar_parties, std_parties};
///
/// /// The same loop for every barrier.
/// fn sum_of_ranks(party: &mut impl Rendezvous) -> Result<usize, Broken> {
///     party.wait()?;
///     party.all_reduce(party.rank(), |a, b| a + b)
/// }
///
/// fn on_threads(parties: Vec<impl Rendezvous + Send>) -> Vec<usize> {
///     std::thread::scope(|s| {
///         let threads: Vec<_> = parties
///             .into_iter()
///             .map(|mut party| s.spawn(move || sum_of_ranks(&mut party).expect("nobody breaks it")))
///             .collect();
///         threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
///     })
/// }
///
/// assert_eq!(on_threads(phalanx::Barrier::new(3)?.take_parties()?), [3, 3, 3]);
/// assert_eq!(on_threads(std_parties(3)), [3, 3, 3]);
/// assert_eq!(on_threads(condvar_parties(3)), [3, 3, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// That of [`Party::wait`]: everything that any party did before it arrived happens before everything that any party does
/// after its `Ok`.
pub trait Rendezvous: sealed::Sealed {
    /// This party's number, in `0..parties`.
    fn rank(&self) -> usize;

    /// How many meet.
    fn parties(&self) -> usize;

    /// Arrives, and stays until the trip is decided.
    ///
    /// # Errors
    ///
    /// [`Broken`], where the barrier can say that somebody will never come; `std`'s cannot, and waits on.
    fn wait(&mut self) -> Result<Trip, Broken>;

    /// Arrives, and stays until the trip is decided, or breaks it at `deadline`; only if
    /// [`keeps_deadlines`](Self::keeps_deadlines), otherwise as [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`Broken`], with [`Cause::TimedOut`](crate::Cause::TimedOut) if somebody's deadline passed.
    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken>;

    /// Whether a wait with a deadline ends at it.
    fn keeps_deadlines(&self) -> bool {
        true
    }

    /// Says what this party does from here on, where anybody wants to know: [`Party::set_phase`].
    fn set_phase(&mut self, label: &'static str) {
        let _ = label;
    }

    /// Crosses a trip, and combines one value of each party for all, from left to right in the order of the ranks.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait). With [`Cause::Mismatched`](crate::Cause::Mismatched) where another party called something
    /// else.
    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static;
}

impl sealed::Sealed for Party {}

impl Rendezvous for Party {
    #[inline]
    fn rank(&self) -> usize {
        self.index()
    }

    fn parties(&self) -> usize {
        self.parties()
    }

    #[inline]
    fn wait(&mut self) -> Result<Trip, Broken> {
        self.wait()
    }

    #[inline]
    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.wait_deadline(deadline)
    }

    #[inline]
    fn set_phase(&mut self, label: &'static str) {
        self.set_phase(label);
    }

    #[inline]
    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.all_reduce(value, combine)
    }
}

impl<M: Rendezvous> sealed::Sealed for &mut M {}

impl<M: Rendezvous> Rendezvous for &mut M {
    #[inline]
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn parties(&self) -> usize {
        (**self).parties()
    }

    #[inline]
    fn wait(&mut self) -> Result<Trip, Broken> {
        (**self).wait()
    }

    #[inline]
    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        (**self).wait_deadline(deadline)
    }

    fn keeps_deadlines(&self) -> bool {
        (**self).keeps_deadlines()
    }

    #[inline]
    fn set_phase(&mut self, label: &'static str) {
        (**self).set_phase(label);
    }

    #[inline]
    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        (**self).all_reduce(value, combine)
    }
}
