//! The operations on values that are `Clone + Send`, and the serial section: one party works for all.

use crate::barrier::era::Era;
use crate::barrier::party::Party;
use crate::error::{Broken, Operation};
use std::fmt;

impl Party {
    /// Takes the way for values that are not `Copy`, or large, or dear to combine: the same operations for `Clone + Send`.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || {
    ///             let found = vec![format!("by rank {}", party.rank())];
    ///             let all = party.cloning().all_reduce(found, |mut left, right| {
    ///                 left.extend(right);
    ///                 left
    ///             });
    ///             assert_eq!(all.unwrap(), ["by rank 0", "by rank 1"]);
    ///         });
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn cloning(&mut self) -> Cloning<'_> {
        Cloning { party: self }
    }

    /// Crosses a trip on which one party runs `section` while the others wait, and gives its result to all: OpenMP's
    /// `single copyprivate`. Which party, is nobody's choice; the others' closures are not called.
    ///
    /// Every party of the trip has to call it, with the same type. For what is to be done on every trip there is
    /// [`Builder::action`](crate::Builder::action).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let calls = AtomicUsize::new(0);
    /// let barrier = phalanx::Barrier::new(3)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         let calls = &calls;
    ///         s.spawn(move || {
    ///             let line = party.serial(|| {
    ///                 calls.fetch_add(1, Ordering::Relaxed);
    ///                 "read by one".to_owned()
    ///             });
    ///             assert_eq!(line.unwrap(), "read by one");
    ///         });
    ///     }
    /// });
    /// assert_eq!(calls.load(Ordering::Relaxed), 1);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`wait`](Self::wait), for all parties alike; with
    /// [`Cause::OperatorPanicked`](crate::Cause::OperatorPanicked) if the section or the clone of its result panicked, and
    /// with [`Cause::Mismatched`](crate::Cause::Mismatched) as [`all_reduce`](Self::all_reduce). A limit that passes while
    /// the section runs breaks nothing.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait); and everything that any party did before it arrived happens before the section, and the
    /// section before everything that any party does after its `Ok`.
    pub fn serial<R>(&mut self, section: impl FnOnce() -> R) -> Result<R, Broken>
    where
        R: Clone + Send + 'static,
    {
        self.assemble(Operation::Serial, None, None::<()>, |_, era| copies(section(), era))
    }
}

/// The operations of [`Party`] on values that are `Clone + Send`; from [`Party::cloning`].
///
/// Every value is sent, in a box, to one party, which combines them for all and clones the result for each: n - 1 calls of
/// the operator in all, against n (n - 1) for [`Party::all_reduce`]. Takes two allocations per party and, on an algorithm
/// without a root, a second hop. Which party does the work, and with whose operator, is nobody's choice; the order is that
/// of the ranks all the same. A panic in the operator, in a clone, or in a drop meanwhile breaks the trip for all, with
/// [`Cause::OperatorPanicked`](crate::Cause::OperatorPanicked).
///
/// Every party of the trip has to call the same, with the same type, as for [`Party::all_reduce`].
#[must_use = "it does nothing by itself"]
pub struct Cloning<'a> {
    party: &'a mut Party,
}

impl Cloning<'_> {
    /// [`Party::all_reduce`], for values that are not `Copy`.
    ///
    /// # Errors
    ///
    /// [`Broken`], as there.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn all_reduce<T>(self, value: T, operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Clone + Send + 'static,
    {
        self.party.assemble(Operation::AllReduce, None, Some(value), |sent, era| {
            sent.into_values().reduce(operator).map_or_else(Vec::new, |result| copies(result, era))
        })
    }

    /// [`Party::reduce`], for values that are not `Copy`: they need not be `Clone` either.
    ///
    /// # Errors
    ///
    /// [`Broken`], as there.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn reduce<T>(self, to: usize, value: T, operator: impl FnMut(T, T) -> T) -> Result<Option<T>, Broken>
    where
        T: Send + 'static,
    {
        self.party.assemble(Operation::Reduce, Some(to), Some(value), |sent, era| {
            let mut result = sent.into_values().reduce(operator);
            let receiver = era.index_of(to);
            (0..era.parties()).map(|seat| if Some(seat) == receiver { result.take() } else { None }).collect()
        })
    }

    /// [`Party::broadcast`], for values that are not `Copy`.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || {
    ///             let name = party.cloning().broadcast(1, || "from rank 1".to_owned()).unwrap();
    ///             assert_eq!(name, "from rank 1");
    ///         });
    ///     }
    /// });
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], as there.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn broadcast<T>(self, from: usize, make: impl FnOnce() -> T) -> Result<T, Broken>
    where
        T: Clone + Send + 'static,
    {
        let value = (self.party.rank() == from).then(make);
        self.party.assemble(Operation::Broadcast, Some(from), value, |sent, era| {
            sent.into_values().next().map_or_else(Vec::new, |value| copies(value, era))
        })
    }

    /// [`Party::all_gather`], for values that are not `Copy`.
    ///
    /// # Errors
    ///
    /// [`Broken`], as there.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn all_gather<T>(self, value: T) -> Result<Vec<T>, Broken>
    where
        T: Clone + Send + 'static,
    {
        self.party.assemble(Operation::AllGather, None, Some(value), |sent, era| {
            copies(sent.into_values().collect::<Vec<T>>(), era)
        })
    }

    /// [`Party::exclusive_scan`], for values that are not `Copy`. Every party should give the same `init`; that of the
    /// party that does the work is taken.
    ///
    /// # Errors
    ///
    /// [`Broken`], as there.
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn exclusive_scan<T>(self, init: T, value: T, mut operator: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Clone + Send + 'static,
    {
        self.party.assemble(Operation::ExclusiveScan, None, Some(value), move |sent, _| {
            let last = sent.values.iter().rposition(Option::is_some);
            let mut before = init;
            let mut prefixes = Vec::with_capacity(sent.values.len());
            for (seat, value) in sent.values.into_iter().enumerate() {
                prefixes.push(before.clone());
                if let Some(value) = value.filter(|_| Some(seat) != last) {
                    before = operator(before, value);
                }
            }
            prefixes
        })
    }
}

/// One for each seat.
fn copies<R: Clone>(result: R, era: &Era) -> Vec<R> {
    vec![result; era.parties()]
}

impl fmt::Debug for Cloning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloning").field("party", self.party).finish()
    }
}
