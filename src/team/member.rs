//! What the closure of a run is given: one member's rank, its barrier, and its share of the work.

use super::crew::{Seat, Shared};
use super::rendezvous::{Rendezvous, sealed};
use super::share::{part, part_of_granules};
use crate::barrier::party::Trip;
use crate::error::{Broken, Cause};
use crate::phase::arrival::Arrival;
use crate::phase::cloning::Cloning;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::{Duration, Instant};

/// One member of a team, inside a run.
///
/// What `omp_get_thread_num`, `omp_get_num_threads`, `#pragma omp barrier`, `reduction`, `single` and `for schedule(..)`
/// are to OpenMP, and rank, size and collectives to MPI. It belongs to the closure of one run and to its thread.
///
/// Every operation that meets the others can fail, for all members alike: when one of them panics, returns an error, or
/// has returned while others wait for it, when a deadline passes, on an abort, on a cancellation. Pass it on with `?`.
///
/// # Examples
///
/// ```
/// use phalanx::Broken;
/// use phalanx::team::Team;
///
/// let values = [3.0, 1.0, 4.0, 1.0, 5.0];
/// let team = Team::builder().threads(2).build()?;
/// let sums = team.try_run(|m| -> Result<f64, Broken> {
///     let mine: f64 = values[m.chunk(0..values.len())].iter().sum();
///     m.all_reduce(mine, |a, b| a + b)
/// })?;
/// assert_eq!(sums, [14.0, 14.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Member<'a> {
    seat: &'a mut Seat,
    shared: &'a Shared,
    /// Dynamic loops so far.
    loops: u32,
    /// Bound to the thread of its seat.
    _thread: PhantomData<*const ()>,
}

impl<'a> Member<'a> {
    pub(super) fn new(seat: &'a mut Seat, shared: &'a Shared) -> Self {
        Self { seat, shared, loops: 0, _thread: PhantomData }
    }

    /// This member's number, in `0..size`: OpenMP's `omp_get_thread_num`.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> usize {
        self.seat.rank
    }

    /// How many members there are: OpenMP's `omp_get_num_threads`.
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.shared.size()
    }

    /// Waits until all members have come here: `#pragma omp barrier`. [`Party::wait`](crate::Party::wait) of the team's
    /// barrier, limited by [`TeamBuilder::timeout`](super::TeamBuilder::timeout) if that is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Broken, team::Team};
    ///
    /// let team = Team::builder().threads(3).build()?;
    /// let led = team.try_run(|m| -> Result<usize, Broken> {
    ///     let mut led = 0;
    ///     for _step in 0..100 {
    ///         led += usize::from(m.barrier()?.is_leader());
    ///     }
    ///     Ok(led)
    /// })?;
    /// assert_eq!(led.iter().sum::<usize>(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], for all members alike. With [`Cause::Dropped`] if a member has returned from the
    /// run while others wait for it: found out within a tenth of a second.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`](crate::Party::wait).
    #[inline]
    pub fn barrier(&mut self) -> Result<Trip, Broken> {
        self.seat.party.wait()
    }

    /// [`barrier`](Self::barrier) with a limit, as [`Party::wait_timeout`](crate::Party::wait_timeout).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn barrier_timeout(&mut self, timeout: Duration) -> Result<Trip, Broken> {
        self.seat.party.wait_timeout(timeout)
    }

    /// [`barrier`](Self::barrier) with a deadline, as [`Party::wait_deadline`](crate::Party::wait_deadline).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn barrier_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.seat.party.wait_deadline(deadline)
    }

    /// Arrives without waiting, to work on: [`Party::arrive`](crate::Party::arrive).
    pub fn arrive(&mut self) -> Arrival<'_> {
        self.seat.party.arrive()
    }

    /// The trip that this member arrives at next.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> u64 {
        self.seat.party.generation()
    }

    /// Says what this member does from here on, for whoever has to find out why it does not arrive:
    /// [`Party::set_phase`](crate::Party::set_phase).
    ///
    /// # Examples
    ///
    /// ```
    /// let team = phalanx::team::Team::builder().threads(2).build()?;
    /// team.run(|m| m.set_phase("assemble"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set_phase(&mut self, label: &'static str) {
        self.seat.party.set_phase(label);
    }

    /// Combines one value of each member for all, in the order of the ranks: OpenMP's `reduction`, MPI's `Allreduce`.
    /// [`Party::all_reduce`](crate::Party::all_reduce) of the team's barrier.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn all_reduce<T>(&mut self, value: T, operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.seat.party.all_reduce(value, operator)
    }

    /// Combines one value of each member for the one with rank `to`: [`Party::reduce`](crate::Party::reduce).
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reduce<T>(&mut self, to: usize, value: T, operator: impl FnMut(T, T) -> T) -> Result<Option<T>, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.seat.party.reduce(to, value, operator)
    }

    /// Gives all members what the one with rank `from` makes: OpenMP's `copyprivate`, MPI's `Bcast`.
    /// [`Party::broadcast`](crate::Party::broadcast).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn broadcast<T>(&mut self, from: usize, make: impl FnOnce() -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.seat.party.broadcast(from, make)
    }

    /// Gives each member the values of all, by rank: [`Party::all_gather`](crate::Party::all_gather).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn all_gather<T>(&mut self, value: T) -> Result<Vec<T>, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.seat.party.all_gather(value)
    }

    /// Combines, for each member, the values of those before it: where its part of a common array begins.
    /// [`Party::exclusive_scan`](crate::Party::exclusive_scan).
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn exclusive_scan<T>(&mut self, init: T, value: T, operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.seat.party.exclusive_scan(init, value, operator)
    }

    /// The same operations for values that are not `Copy`: [`Party::cloning`](crate::Party::cloning).
    pub fn cloning(&mut self) -> Cloning<'_> {
        self.seat.party.cloning()
    }

    /// Lets one member do something for all, while the others wait: `#pragma omp single`. [`Party::serial`](crate::Party::serial).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn serial<R>(&mut self, section: impl FnOnce() -> R) -> Result<R, Broken>
    where
        R: Clone + Send + 'static,
    {
        self.seat.party.serial(section)
    }

    /// Lets the others know that this member has failed, unless the trip is broken already.
    #[cold]
    pub(super) fn give_up(&self, message: String) {
        self.shared.break_trip(self.seat, Cause::Failed { rank: self.seat.rank, message });
    }

    /// This member's part of `range`: `schedule(static)`. Contiguous, in the order of the ranks, no two of them differ by
    /// more than one.
    ///
    /// # Examples
    ///
    /// ```
    /// let team = phalanx::team::Team::builder().threads(3).build()?;
    /// assert_eq!(team.run(|m| m.chunk(0..10))?, [0..4, 4..7, 7..10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn chunk(&self, range: Range<usize>) -> Range<usize> {
        part(range, self.rank(), self.size())
    }

    /// This member's part of `range` in whole cache lines of `T`s, for arrays that the members write: so that no line is
    /// written by two of them, given that the array begins on a line. Lines are taken as 128 bytes, since neighbouring ones
    /// are fetched in pairs.
    ///
    /// # Examples
    ///
    /// ```
    /// let team = phalanx::team::Team::builder().threads(2).build()?;
    /// assert_eq!(team.run(|m| m.chunk_of_lines::<f64>(0..40))?, [0..32, 32..40]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn chunk_of_lines<T>(&self, range: Range<usize>) -> Range<usize> {
        part_of_granules(range, LINES / size_of::<T>().clamp(1, LINES), self.rank(), self.size())
    }

    /// Calls `body` with each index of `range`, shared out to whoever is free, `grain` at a time: `schedule(dynamic, grain)`
    /// with `nowait`. For uneven work.
    ///
    /// All members have to come by, with the same range and grain. Nobody waits at the end: cross the
    /// [`barrier`](Self::barrier) before what others did is used. Each piece costs a read-modify-write of one word that all
    /// members share, some 50 to 200 ns when they fight for it, so a grain should be a microsecond's work or more; 0 counts
    /// as 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let sum = AtomicUsize::new(0);
    /// let team = phalanx::team::Team::builder().threads(2).build()?;
    /// team.run(|m| {
    ///     m.for_each_dynamic(0..1000, 16, |i| {
    ///         sum.fetch_add(i, Ordering::Relaxed);
    ///     })
    /// })?;
    /// assert_eq!(sum.into_inner(), 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each_dynamic(&mut self, range: Range<usize>, grain: usize, mut body: impl FnMut(usize)) {
        self.loops = self.loops.wrapping_add(1);
        // No more pieces than can be counted.
        let grain = grain.max(1).max(range.len() >> 31);
        let pieces = range.len().div_ceil(grain);
        while let Some(piece) = self.shared.tally().take(self.loops, pieces) {
            let start = range.start + piece * grain;
            (start..range.end.min(start.saturating_add(grain))).for_each(&mut body);
        }
    }
}

/// Two lines of 64 bytes, which x86-64 processors fetch together; one of Apple's and POWER's.
const LINES: usize = 128;

impl sealed::Sealed for Member<'_> {}

impl Rendezvous for Member<'_> {
    #[inline]
    fn rank(&self) -> usize {
        self.seat.rank
    }

    fn parties(&self) -> usize {
        self.size()
    }

    #[inline]
    fn wait(&mut self) -> Result<Trip, Broken> {
        self.barrier()
    }

    #[inline]
    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.barrier_deadline(deadline)
    }

    #[inline]
    fn set_phase(&mut self, label: &'static str) {
        self.seat.party.set_phase(label);
    }

    #[inline]
    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.all_reduce(value, combine)
    }
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("rank", &self.rank()).field("size", &self.size()).finish_non_exhaustive()
    }
}
