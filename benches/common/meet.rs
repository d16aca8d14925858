//! The barriers under test, and the floors that none can beat, behind the one call that a row needs.

use super::fail;
use crossbeam_utils::CachePadded;
use phalanx::{Algorithm, Barrier, Party, compat};
use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::yield_now;

/// One party's place at some barrier.
pub(crate) trait Meet: Send + 'static {
    /// One party of each trip is told that it leads.
    const LEADS: bool;

    /// Waits for all others; whether this party leads.
    fn wait(&mut self) -> bool;

    /// Trips made, by the barrier's own count.
    fn generation(&self) -> Option<u64> {
        None
    }
}

/// phalanx with a named algorithm, or [`Algorithm::Auto`], and every other choice left to it and to the environment.
pub(crate) fn own(parties: usize, algorithm: Algorithm) -> Vec<Party> {
    let barrier = Barrier::builder(parties).algorithm(algorithm).build().unwrap_or_else(|why| fail(why));
    barrier.take_parties().unwrap_or_else(|why| fail(why))
}

impl Meet for Party {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        match Party::wait(self) {
            Ok(trip) => trip.is_leader(),
            Err(broken) => fail(broken),
        }
    }

    fn generation(&self) -> Option<u64> {
        Some(Party::generation(self))
    }
}

/// phalanx behind std's signature.
pub(crate) fn compat(parties: usize) -> Vec<Arc<compat::Barrier>> {
    repeat_n(Arc::new(compat::Barrier::new(parties)), parties).collect()
}

impl Meet for Arc<compat::Barrier> {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        compat::Barrier::wait(self).is_leader()
    }
}

/// std's: a mutex and a condition variable.
pub(crate) fn std(parties: usize) -> Vec<Arc<std::sync::Barrier>> {
    repeat_n(Arc::new(std::sync::Barrier::new(parties)), parties).collect()
}

impl Meet for Arc<std::sync::Barrier> {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        std::sync::Barrier::wait(self).is_leader()
    }
}

/// The floor of two parties: both flags in one line, so that the transfer that a writer needs anyway brings the other's
/// flag along.
pub(crate) struct Floor {
    flags: Arc<CachePadded<[AtomicU64; 2]>>,
    rank: usize,
    trip: u64,
}

/// Both parties of a floor.
pub(crate) fn floor(parties: usize) -> Vec<Floor> {
    assert_eq!(parties, 2, "an exchange of two");
    let flags = Arc::<CachePadded<[AtomicU64; 2]>>::default();
    (0..2).map(|rank| Floor { flags: Arc::clone(&flags), rank, trip: 0 }).collect()
}

impl Meet for Floor {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        self.flags[self.rank].store(self.trip, Ordering::Release);
        while self.flags[self.rank ^ 1].load(Ordering::Acquire) < self.trip {}
        false
    }

    fn generation(&self) -> Option<u64> {
        Some(self.trip)
    }
}

/// The floor where CPUs are scarce: a counter whose waiters yield, for there a trip costs the context switches and
/// little else.
pub(crate) struct Yielding {
    shared: Arc<(CachePadded<AtomicUsize>, CachePadded<AtomicU64>)>,
    parties: usize,
    trip: u64,
}

/// All parties of a counter.
pub(crate) fn yielding(parties: usize) -> Vec<Yielding> {
    let shared = Arc::<(CachePadded<AtomicUsize>, CachePadded<AtomicU64>)>::default();
    (0..parties).map(|_| Yielding { shared: Arc::clone(&shared), parties, trip: 0 }).collect()
}

impl Meet for Yielding {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        let (arrived, done) = &*self.shared;
        if arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.parties {
            arrived.store(0, Ordering::Relaxed);
            done.store(self.trip, Ordering::Release);
            return true;
        }
        while done.load(Ordering::Acquire) < self.trip {
            yield_now();
        }
        false
    }

    fn generation(&self) -> Option<u64> {
        Some(self.trip)
    }
}
