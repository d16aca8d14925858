//! The peers written in Rust: std, some crates, and the barrier that one writes oneself.

use crate::seat::Crossing;
use std::iter;
use std::ops::DerefMut;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use tokio::runtime::{self, Runtime};

/// std's: a mutex and a condition variable since 1.0.
pub fn std(parties: usize) -> Vec<Std> {
    iter::repeat_n(Arc::new(std::sync::Barrier::new(parties)), parties).map(Std).collect()
}

pub struct Std(Arc<std::sync::Barrier>);

impl Crossing for Std {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.0.wait().is_leader()
    }
}

/// The `spin` crate's: a spin lock around a counter; who waits takes the lock for each look.
pub fn spin(parties: usize) -> Vec<Spin> {
    let barrier: Arc<spin::Barrier> = Arc::new(spin::Barrier::new(parties));
    iter::repeat_n(barrier, parties).map(Spin).collect()
}

pub struct Spin(Arc<spin::Barrier>);

impl Crossing for Spin {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.0.wait().is_leader()
    }
}

/// The `hurdles` crate's: a counter and a sense flag; who waits spins, yields some times, and then only looks.
pub fn hurdles(parties: usize) -> Vec<Hurdles> {
    // It forbids to clone a handle that has waited, so all are made first.
    iter::repeat_n(hurdles::Barrier::new(parties), parties).map(Hurdles).collect()
}

pub struct Hurdles(hurdles::Barrier);

impl Crossing for Hurdles {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.0.wait().is_leader()
    }
}

/// The `async-lock` crate's, by threads that block: an event to listen to, behind a mutex that waits by listening too.
pub fn async_lock(parties: usize) -> Vec<AsyncLock> {
    iter::repeat_n(Arc::new(async_lock::Barrier::new(parties)), parties).map(AsyncLock).collect()
}

pub struct AsyncLock(Arc<async_lock::Barrier>);

impl Crossing for AsyncLock {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.0.wait_blocking().is_leader()
    }
}

/// `tokio`'s, by threads that block on it. It is not meant for that; `tasks` has what it is meant for.
///
/// # Errors
///
/// The runtime's, if it could not start its worker.
pub fn tokio(parties: usize) -> Result<Vec<Tokio>, String> {
    /// One for all: it runs none of the waits, for `block_on` polls on the caller's thread, and its worker sleeps.
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let build = || runtime::Builder::new_multi_thread().worker_threads(1).build().map_err(|e| e.to_string());
    let handle = RUNTIME.get_or_init(build).as_ref().map_err(String::clone)?.handle();
    let barrier = Arc::new(tokio::sync::Barrier::new(parties));
    Ok((0..parties).map(|_| Tokio { handle: handle.clone(), barrier: Arc::clone(&barrier) }).collect())
}

pub struct Tokio {
    handle: runtime::Handle,
    barrier: Arc<tokio::sync::Barrier>,
}

impl Crossing for Tokio {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.handle.block_on(self.barrier.wait()).is_leader()
    }
}

/// A counter under a mutex, and a condition variable: those of std, or of `parking_lot`.
pub fn monitored<M: Monitor>(parties: usize) -> Vec<Monitored<M>> {
    iter::repeat_n(Arc::<M>::default(), parties).map(|monitor| Monitored { monitor, parties }).collect()
}

/// How many have arrived, and the number of the trip.
type State = (usize, u64);

/// A mutex around the state, with its condition variable.
pub trait Monitor: Default + Send + Sync + 'static {
    type Guard<'a>: DerefMut<Target = State>;

    fn lock(&self) -> Self::Guard<'_>;

    /// Lets go of the lock until the trip is complete, or for no reason.
    fn sleep<'a>(&'a self, guard: Self::Guard<'a>) -> Self::Guard<'a>;

    fn complete(&self);
}

#[derive(Default)]
pub struct OfStd(Mutex<State>, Condvar);

const UNPOISONED: &str = "nobody panics while holding the lock";

impl Monitor for OfStd {
    type Guard<'a> = MutexGuard<'a, State>;

    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        self.0.lock().expect(UNPOISONED)
    }

    #[inline]
    fn sleep<'a>(&'a self, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        self.1.wait(guard).expect(UNPOISONED)
    }

    #[inline]
    fn complete(&self) {
        self.1.notify_all();
    }
}

#[derive(Default)]
pub struct OfParkingLot(parking_lot::Mutex<State>, parking_lot::Condvar);

impl Monitor for OfParkingLot {
    type Guard<'a> = parking_lot::MutexGuard<'a, State>;

    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        self.0.lock()
    }

    #[inline]
    fn sleep<'a>(&'a self, mut guard: Self::Guard<'a>) -> Self::Guard<'a> {
        self.1.wait(&mut guard);
        guard
    }

    #[inline]
    fn complete(&self) {
        self.1.notify_all();
    }
}

pub struct Monitored<M> {
    monitor: Arc<M>,
    parties: usize,
}

impl<M: Monitor> Crossing for Monitored<M> {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        let mut state = self.monitor.lock();
        state.0 += 1;
        if state.0 == self.parties {
            *state = (0, state.1 + 1);
            // Woken under the lock, they would only queue for it.
            drop(state);
            self.monitor.complete();
            return true;
        }
        let trip = state.1;
        while state.1 == trip {
            state = self.monitor.sleep(state);
        }
        false
    }
}
