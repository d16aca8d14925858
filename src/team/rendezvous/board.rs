//! Where the parties of a barrier that carries no values pin theirs up: an all-reduce out of one bare trip.
//!
//! # Protocol
//!
//! Two sets of places, used in turn. A party pins its value to its own place of the set, crosses the trip, and reads all
//! places of the set. It writes the same place again two reductions later, behind the trip of the one in between, at which
//! everybody had arrived who has read the first. Each place is behind a lock of its own, which nobody contends for: the
//! trip keeps writers and readers apart, the lock is what makes that safe code.

use crate::error::{Broken, Cause};
use crossbeam_utils::CachePadded;
use std::any::{Any, type_name};
use std::sync::{Mutex, PoisonError};

type Place = CachePadded<Mutex<Option<Box<dyn Any + Send>>>>;

/// The places of all parties.
#[derive(Debug)]
pub(super) struct Board {
    sets: [Box<[Place]>; 2],
}

impl Board {
    pub(super) fn new(parties: usize) -> Self {
        let set = || (0..parties).map(|_| CachePadded::new(Mutex::new(None))).collect();
        Self { sets: [set(), set()] }
    }

    /// Pins up what `rank` brings to its reduction number `count`.
    pub(super) fn pin<T: Copy + Send + 'static>(&self, count: u64, rank: usize, value: T) {
        let mut place = self.sets[(count & 1) as usize][rank].lock().unwrap_or_else(PoisonError::into_inner);
        match place.as_mut().and_then(|old| old.downcast_mut::<T>()) {
            Some(old) => *old = value,
            None => *place = Some(Box::new(value)),
        }
    }

    /// Combines what all have pinned up, on behalf of `rank`.
    pub(super) fn combine<T: Copy + Send + 'static>(
        &self,
        count: u64,
        rank: usize,
        generation: u64,
        mut combine: impl FnMut(T, T) -> T,
    ) -> Result<T, Broken> {
        let set = &self.sets[(count & 1) as usize];
        let mut all = None;
        for (other, place) in set.iter().enumerate() {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(&value) = place.as_ref().and_then(|value| value.downcast_ref::<T>()) else {
                let called = format!("all_reduce of {}", type_name::<T>());
                let cause = Cause::Mismatched { rank, called, other, instead: "something else".into() };
                return Err(Broken::by_count(cause, generation, set.len(), set.len()));
            };
            drop(place);
            all = Some(all.map_or(value, |all| combine(all, value)));
        }
        Ok(all.expect("a barrier has at least one party"))
    }
}
