//! The floors: the same exchange of arrivals with nothing else. No leader, no failure, no parking, no limit on the
//! wait.

use crate::gate::Line;
use crate::seat::Crossing;
use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::yield_now;

/// How a floor looks at the other's flag until it says that the other has come.
pub trait Look: Send + Sync {
    /// Whether it says so; and what is done before the next look.
    fn come(flag: &AtomicU64, trip: u64) -> bool;
}

/// The next look at once.
pub struct Bare;
impl Look for Bare {
    #[inline(always)]
    fn come(flag: &AtomicU64, trip: u64) -> bool {
        flag.load(Ordering::Acquire) >= trip
    }
}

/// The processor's hint between two looks.
pub struct Hint;
impl Look for Hint {
    #[inline(always)]
    fn come(flag: &AtomicU64, trip: u64) -> bool {
        let come = flag.load(Ordering::Acquire) >= trip;
        if !come {
            std::hint::spin_loop();
        }
        come
    }
}

/// A look that takes the line over, as a compare and swap does whether it swaps or not: where a store to a shared line is
/// dear, this is the faster exchange, for who looks will store next. The hint between two.
pub struct Owning;
impl Look for Owning {
    #[inline(always)]
    fn come(flag: &AtomicU64, trip: u64) -> bool {
        let (Ok(seen) | Err(seen)) = flag.compare_exchange(u64::MAX, u64::MAX, Ordering::Relaxed, Ordering::Acquire);
        if seen < trip {
            std::hint::spin_loop();
        }
        seen >= trip
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
pub struct Exchange<F, L> {
    flags: Arc<F>,
    rank: usize,
    trip: u64,
    look: std::marker::PhantomData<L>,
}

/// Both parties of an exchange.
pub fn exchange<F: Flags, L: Look>() -> Vec<Exchange<F, L>> {
    let flags = Arc::new(F::default());
    let party = |rank| Exchange { flags: flags.clone(), rank, trip: 0, look: std::marker::PhantomData };
    array::from_fn::<_, 2, _>(party).into()
}

impl<F: Flags, L: Look> Crossing for Exchange<F, L> {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        self.flags.flag(self.rank).store(self.trip, Ordering::Release);
        while !L::come(self.flags.flag(self.rank ^ 1), self.trip) {}
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
