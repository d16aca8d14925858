//! The peers written in Rust: std, two crates, and the barrier that one writes oneself.

use crate::seat::Crossing;
use std::iter;
use std::sync::{Arc, Condvar, Mutex};

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

/// The `hurdles` crate's: a counter and a sense flag.
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

/// A counter under a mutex, and a condition variable.
pub fn mutex_condvar(parties: usize) -> Vec<MutexCondvar> {
    iter::repeat_n(Arc::<Shared>::default(), parties).map(|shared| MutexCondvar { shared, parties }).collect()
}

#[derive(Default)]
struct Shared {
    /// How many have arrived, and the number of the trip.
    state: Mutex<(usize, u64)>,
    complete: Condvar,
}

pub struct MutexCondvar {
    shared: Arc<Shared>,
    parties: usize,
}

impl Crossing for MutexCondvar {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        const UNPOISONED: &str = "nobody panics while holding the lock";
        let mut state = self.shared.state.lock().expect(UNPOISONED);
        state.0 += 1;
        if state.0 == self.parties {
            *state = (0, state.1 + 1);
            // Woken under the lock, they would only queue for it.
            drop(state);
            self.shared.complete.notify_all();
            return true;
        }
        let trip = state.1;
        while state.1 == trip {
            state = self.shared.complete.wait(state).expect(UNPOISONED);
        }
        false
    }
}
