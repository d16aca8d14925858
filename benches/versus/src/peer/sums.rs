//! A sum of one value per party, as one writes it with a bare barrier and something shared.
//!
//! All of them take two trips per sum, as such code does: one behind which everything is there, one behind which
//! everybody has read it. [`Turns`] is what somebody writes who knows that two arrays in turn save the second.

use super::crates::{Std, std};
use super::own::{self, Own};
use super::riders::Due;
use crate::gate::Line;
use crate::seat::Crossing;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What is shared beside the barrier.
pub trait Shared: Send + Sync + 'static {
    /// How many trips a sum takes of a barrier.
    const TRIPS: u64 = 2;

    fn new(parties: usize) -> Self;

    /// Before the first trip.
    fn put(&self, rank: usize, turn: usize, value: f64);

    /// Behind the first trip.
    fn sum(&self, turn: usize) -> f64;

    /// Between the trips, by rank 0 alone: makes ready what the next sum uses.
    fn clear(&self, _turn: usize) {}
}

/// A party with its barrier and its part of what is shared.
pub struct Summer<C, S> {
    inner: C,
    shared: Arc<S>,
    rank: usize,
    turn: usize,
    due: Due,
    wrong: u64,
}

impl<C: Crossing, S: Shared> Crossing for Summer<C, S> {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.due.next();
        self.turn ^= 1;
        self.shared.put(self.rank, self.turn, self.due.own());
        self.inner.wait();
        let sum = self.shared.sum(self.turn);
        if self.rank == 0 {
            self.shared.clear(self.turn ^ 1);
        }
        if S::TRIPS == 2 {
            self.inner.wait();
        }
        self.wrong += u64::from(sum != self.due.all());
        false
    }

    fn counted(&self) -> Option<u64> {
        self.inner.counted().map(|trips| trips / S::TRIPS)
    }

    fn wrong(&self) -> Option<String> {
        (self.wrong > 0).then(|| format!("{} wrong sums", self.wrong))
    }
}

/// With phalanx's barrier as it comes.
pub fn on_phalanx<S: Shared>(parties: usize) -> Result<Vec<Summer<Own, S>>, String> {
    own::default(parties).map(around)
}

/// With std's.
pub fn on_std<S: Shared>(parties: usize) -> Result<Vec<Summer<Std, S>>, String> {
    Ok(around(std(parties)))
}

fn around<C: Crossing, S: Shared>(inner: Vec<C>) -> Vec<Summer<C, S>> {
    let parties = inner.len();
    let shared = Arc::new(S::new(parties));
    let summer = |(rank, inner)| {
        let due = Due::new(rank, parties);
        Summer { inner, shared: Arc::clone(&shared), rank, turn: 0, due, wrong: 0 }
    };
    inner.into_iter().enumerate().map(summer).collect()
}

/// A place for each party, on a line of its own.
pub struct Array(Vec<Line<AtomicU64>>);

impl Shared for Array {
    fn new(parties: usize) -> Self {
        Self((0..parties).map(|_| Line::default()).collect())
    }

    #[inline(always)]
    fn put(&self, rank: usize, _: usize, value: f64) {
        self.0[rank].0.store(value.to_bits(), Relaxed);
    }

    #[inline(always)]
    fn sum(&self, _: usize) -> f64 {
        self.0.iter().map(|place| f64::from_bits(place.0.load(Relaxed))).sum()
    }
}

/// Two arrays in turn.
pub struct Turns([Array; 2]);

impl Shared for Turns {
    const TRIPS: u64 = 1;

    fn new(parties: usize) -> Self {
        Self([Array::new(parties), Array::new(parties)])
    }

    #[inline(always)]
    fn put(&self, rank: usize, turn: usize, value: f64) {
        self.0[turn & 1].put(rank, turn, value);
    }

    #[inline(always)]
    fn sum(&self, turn: usize) -> f64 {
        self.0[turn & 1].sum(turn)
    }
}

/// A sum under a lock, and the next one beside it.
pub struct Locked(Line<Mutex<[f64; 2]>>);

impl Locked {
    #[inline(always)]
    fn with<R>(&self, act: impl FnOnce(&mut [f64; 2]) -> R) -> R {
        act(&mut self.0.0.lock().expect("nobody panics while holding it"))
    }
}

impl Shared for Locked {
    fn new(_: usize) -> Self {
        Self(Line::default())
    }

    #[inline(always)]
    fn put(&self, _: usize, turn: usize, value: f64) {
        self.with(|sums| sums[turn & 1] += value);
    }

    #[inline(always)]
    fn sum(&self, turn: usize) -> f64 {
        self.with(|sums| sums[turn & 1])
    }

    #[inline(always)]
    fn clear(&self, turn: usize) {
        self.with(|sums| sums[turn & 1] = 0.0);
    }
}

/// A sum that is added to by compare and swap, for there is no `fetch_add` of an `f64`; and the next one beside it.
#[derive(Default)]
pub struct Atomic([Line<AtomicU64>; 2]);

impl Shared for Atomic {
    fn new(_: usize) -> Self {
        Self::default()
    }

    #[inline(always)]
    fn put(&self, _: usize, turn: usize, value: f64) {
        let sum = &self.0[turn & 1].0;
        let mut seen = sum.load(Relaxed);
        while let Err(now) = sum.compare_exchange_weak(seen, (f64::from_bits(seen) + value).to_bits(), Relaxed, Relaxed)
        {
            seen = now;
        }
    }

    #[inline(always)]
    fn sum(&self, turn: usize) -> f64 {
        f64::from_bits(self.0[turn & 1].0.load(Relaxed))
    }

    #[inline(always)]
    fn clear(&self, turn: usize) {
        self.0[turn & 1].0.store(0, Relaxed);
    }
}
