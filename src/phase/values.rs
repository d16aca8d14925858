//! Reductions, broadcast, gather and scan of values that are `Copy`.

use super::carry::can_carry;
use crate::barrier::party::Party;
use crate::error::{Broken, Operation};

impl Party {
    /// Crosses a trip, and combines one value of each party into one for all: MPI's `Allreduce`, OpenMP's `reduction` with a
    /// result that everybody has.
    ///
    /// Every party of the trip has to call it, with the same type and the same operator. The order is that of the ranks,
    /// from left to right, whoever arrives when: with ranks 0, 1, 2 the result is `op(op(x0, x1), x2)`, exactly what a
    /// loop on one thread computes. So floating-point sums have the same bits on every run and for every algorithm and
    /// policy, and the operator need neither commute nor associate.
    ///
    /// A value of at most 8 bytes (and no more than 8-byte alignment) travels in the cache line of the arrival; up to 64
    /// bytes on a line of its own; above that, and for values that are not `Copy`, see [`cloning`](Self::cloning). Each
    /// party combines for itself: n - 1 calls of the operator for each of n parties.
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
    ///             let part = 0.1 * (party.rank() + 1) as f64;
    ///             let sum = party.all_reduce(part, |a, b| a + b)?;
    ///             assert_eq!(sum, 0.1 + 0.2 + 0.30000000000000004 + 0.4);
    ///             let largest = party.all_reduce(part, f64::max)?;
    ///             assert_eq!(largest, 0.4);
    ///             Ok(())
    ///         });
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the operator panics here although another party has been given the result, which takes an operator that is not
    /// the same everywhere: then its panic goes on from here.
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`wait`](Self::wait), for all parties alike. With
    /// [`Cause::OperatorPanicked`](crate::Cause::OperatorPanicked) if the operator panicked: the trip is broken for all.
    /// With [`Cause::Mismatched`](crate::Cause::Mismatched) if another party did not call the same, with the same type: the
    /// trip is complete then, for who only waited, and the next one is broken; who has called this is told of that.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn all_reduce<T>(&mut self, value: T, operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        if !can_carry::<T>() {
            return self.cloning().all_reduce(value, operator);
        }
        // This party's own value is there, if no other.
        self.carry(Operation::AllReduce, None, Some(value), |values| values.reduce(operator))
            .map(|all| all.unwrap_or(value))
    }

    /// Crosses a trip, and combines one value of each party into one for the party with rank `to`: MPI's `Reduce`. The
    /// others get `None`.
    ///
    /// Order, sizes and what every party has to do are as for [`all_reduce`](Self::all_reduce), and `to` has to be the same.
    /// So is the cost: all parties combine, so that an operator that panics does so on all of them.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(3)?;
    /// let sums = std::thread::scope(|s| {
    ///     let parties = barrier.take_parties().unwrap();
    ///     let threads: Vec<_> = parties
    ///         .into_iter()
    ///         .map(|mut party| s.spawn(move || party.reduce(2, party.rank() + 1, |a, b| a + b).unwrap()))
    ///         .collect();
    ///     threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    /// });
    /// assert_eq!(sums, [None, None, Some(1 + 2 + 3)]);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce). With [`Cause::NoSuchRank`](crate::Cause::NoSuchRank) if no party of the trip has
    /// rank `to`.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn reduce<T>(&mut self, to: usize, value: T, operator: impl FnMut(T, T) -> T) -> Result<Option<T>, Broken>
    where
        T: Copy + Send + 'static,
    {
        if !can_carry::<T>() {
            return self.cloning().reduce(to, value, operator);
        }
        let result = self.carry(Operation::Reduce, Some(to), Some(value), |values| values.reduce(operator))?;
        Ok(result.filter(|_| self.rank() == to))
    }

    /// Crosses a trip, and gives all parties the value that the one with rank `from` makes: MPI's `Bcast`. The others'
    /// closures are not called.
    ///
    /// It is made before its party arrives, so a panic in it is a panic of that party. Sizes are as for
    /// [`all_reduce`](Self::all_reduce).
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(3)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || {
    ///             let step = party.broadcast(0, || 0.25).unwrap();
    ///             assert_eq!(step, 0.25);
    ///         });
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce). With [`Cause::NoSuchRank`](crate::Cause::NoSuchRank) if no party of the trip has
    /// rank `from`.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn broadcast<T>(&mut self, from: usize, make: impl FnOnce() -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        if !can_carry::<T>() {
            return self.cloning().broadcast(from, make);
        }
        let value = (self.rank() == from).then(make);
        let heard = self.carry(Operation::Broadcast, Some(from), value, |values| values.of_rank(from))?;
        heard.ok_or_else(|| self.no_such_rank(from))
    }

    /// Crosses a trip, and gives all parties the values of all, in the order of their ranks ([`index`](Self::index) is the
    /// place of one's own): MPI's `Allgather`. Allocates; [`all_gather_into`](Self::all_gather_into) does not need to.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(3)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || assert_eq!(party.all_gather(10 * party.rank()).unwrap(), [0, 10, 20]));
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    pub fn all_gather<T>(&mut self, value: T) -> Result<Vec<T>, Broken>
    where
        T: Copy + Send + 'static,
    {
        let mut all = Vec::new();
        self.all_gather_into(value, &mut all)?;
        Ok(all)
    }

    /// [`all_gather`](Self::all_gather) into a vector that is there already; what was in it goes. On an error it is empty.
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    pub fn all_gather_into<T>(&mut self, value: T, all: &mut Vec<T>) -> Result<(), Broken>
    where
        T: Copy + Send + 'static,
    {
        all.clear();
        if !can_carry::<T>() {
            *all = self.cloning().all_gather(value)?;
            return Ok(());
        }
        let gathered = self.carry(Operation::AllGather, None, Some(value), |values| all.extend(values.iter()));
        gathered.inspect_err(|_| all.clear())
    }

    /// Crosses a trip, and combines for each party `init` with the values of all ranks below it: MPI's `Exscan` with a
    /// start. What a party needs that wants to know where its part of a common array begins.
    ///
    /// The order is that of the ranks: rank 2 gets `op(op(init, x0), x1)`, rank 0 gets `init`. Every party should give the
    /// same `init`; each uses its own. All else is as for [`all_reduce`](Self::all_reduce).
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(3)?;
    /// std::thread::scope(|s| {
    ///     for (mut party, (length, start)) in barrier.take_parties().unwrap().into_iter().zip([(5, 0), (7, 5), (2, 12)]) {
    ///         s.spawn(move || assert_eq!(party.exclusive_scan(0, length, |a, b| a + b).unwrap(), start));
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Errors
    ///
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn exclusive_scan<T>(&mut self, init: T, value: T, operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        if !can_carry::<T>() {
            return self.cloning().exclusive_scan(init, value, operator);
        }
        self.carry(Operation::ExclusiveScan, None, Some(value), |values| values.scan(init, operator))
    }
}
