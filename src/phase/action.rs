//! The action: a closure that runs once per trip, after the last arrival and before any release.

use crate::barrier::action::{Act, TripInfo};
use crate::barrier::builder::Builder;
use crate::primitive::Sole;
use std::fmt;

/// An action as users give it. It is alone on its lines: what its closure's box points to is written, the box is not.
struct Action<F>(Sole<F>);

impl<F: FnMut(&TripInfo) + Send> Act for Action<F> {
    #[allow(unsafe_code)]
    fn run(&self, info: &TripInfo) {
        // SAFETY: by the contract of `Act` one at a time runs it, and what one has done happens before what the next one
        // does: within an era by the release of the trip, which comes behind its action, and the arrivals at the next;
        // across a break by the lock under which the verdict is given; from who leaves to the next era by `Handover`.
        // It does not run inside itself either: a wait inside the action is refused, so no further trip completes.
        unsafe { self.0.with(|closure| closure(info)) }
    }
}

impl<F> fmt::Debug for Action<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Action")
    }
}

/// An action for a barrier that no `Builder` makes.
#[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
pub(crate) fn modelled(action: impl FnMut(&TripInfo) + Send + 'static) -> Box<dyn Act> {
    Box::new(Action(Sole::new(action)))
}

impl Builder {
    /// Sets what happens once per trip, after the last arrival and before any release, on the thread of the party that
    /// arrives last.
    ///
    /// C++ calls this the completion function, Java the barrier action. It needs an algorithm with a root: one that has
    /// none gives way to one that has, and [`Barrier::explain`](crate::Barrier::explain) says so. The action sees everything that any party did
    /// before it arrived, and every party sees what it did. Once it runs, all have arrived: a limit that passes meanwhile
    /// breaks nothing, and an abort breaks the next trip.
    ///
    /// If it panics, the trip breaks for all parties with [`Cause::ActionPanicked`](crate::Cause::ActionPanicked); after a
    /// [reset](crate::Barrier::reset) the barrier is as good as new, and runs the same action again. No lock of the barrier is held
    /// while it runs: it may use every method of [`Barrier`](crate::Barrier). It cannot wait on its own barrier: that is refused with
    /// [`Cause::Reentered`](crate::Cause::Reentered).
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::Barrier;
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    ///
    /// let sum = Arc::new(AtomicU64::new(0));
    /// let seen = Arc::clone(&sum);
    /// let action = move |trip: &phalanx::TripInfo| { seen.fetch_add(trip.generation, Ordering::Relaxed); };
    /// let barrier = Barrier::builder(2).action(action).build()?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || (0..5).for_each(|_| drop(party.wait().unwrap())));
    ///     }
    /// });
    /// assert_eq!(sum.load(Ordering::Relaxed), 0 + 1 + 2 + 3 + 4);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn action(self, action: impl FnMut(&TripInfo) + Send + 'static) -> Self {
        self.act(Box::new(Action(Sole::new(action))))
    }
}
