//! The floors: the same exchange of arrivals with nothing else. No leader, no failure, no parking, no limit on the
//! wait.

use crate::gate::Line;
use crate::seat::Crossing;
use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::yield_now;

/// What a floor does between two looks at the other's flag.
pub trait Pause: Send + Sync {
    fn pause();
}

/// The next look at once.
pub struct Bare;
impl Pause for Bare {
    #[inline(always)]
    fn pause() {}
}

/// The processor's hint.
pub struct Hint;
impl Pause for Hint {
    #[inline(always)]
    fn pause() {
        std::hint::spin_loop();
    }
}

/// Two flags, wherever they lie.
pub trait Flags: Send + Sync + Default {
    fn flag(&self, rank: usize) -> &AtomicU64;
}

/// Both in one line: the transfer that a writer needs anyway brings the other's flag along.
#[derive(Default)]
pub struct Packed(Line<[AtomicU64; 2]>);
impl Flags for Packed {
    #[inline(always)]
    fn flag(&self, rank: usize) -> &AtomicU64 {
        &self.0.0[rank]
    }
}

/// Each in a line of its own.
#[derive(Default)]
pub struct Padded([Line<AtomicU64>; 2]);
impl Flags for Padded {
    #[inline(always)]
    fn flag(&self, rank: usize) -> &AtomicU64 {
        &self.0[rank].0
    }
}

/// A party of the exchange of two: say that you are here, wait until the other is.
pub struct Exchange<F, P> {
    flags: Arc<F>,
    rank: usize,
    trip: u64,
    pause: std::marker::PhantomData<P>,
}

/// Both parties of an exchange.
pub fn exchange<F: Flags, P: Pause>() -> Vec<Exchange<F, P>> {
    let flags = Arc::new(F::default());
    let party = |rank| Exchange { flags: flags.clone(), rank, trip: 0, pause: std::marker::PhantomData };
    array::from_fn::<_, 2, _>(party).into()
}

impl<F: Flags, P: Pause> Crossing for Exchange<F, P> {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        self.flags.flag(self.rank).store(self.trip, Ordering::Release);
        while self.flags.flag(self.rank ^ 1).load(Ordering::Acquire) < self.trip {
            P::pause();
        }
        false
    }
}

/// A party of the counter that yields: the floor where CPUs are scarce, for there a trip costs the context switches and
/// little else.
pub struct YieldCounter {
    shared: Arc<(Line<AtomicUsize>, Line<AtomicU64>)>,
    parties: usize,
    trip: u64,
}

/// All parties of a counter.
pub fn yield_counter(parties: usize) -> Vec<YieldCounter> {
    let shared = Arc::<(Line<AtomicUsize>, Line<AtomicU64>)>::default();
    (0..parties).map(|_| YieldCounter { shared: shared.clone(), parties, trip: 0 }).collect()
}

impl Crossing for YieldCounter {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        let (arrived, done) = &*self.shared;
        if arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.parties {
            arrived.0.store(0, Ordering::Relaxed);
            done.0.store(self.trip, Ordering::Release);
            return true;
        }
        while done.0.load(Ordering::Acquire) < self.trip {
            yield_now();
        }
        false
    }
}
