//! Values: every operation on values of many shapes against what a loop over the ranks gives, bit for bit. As that loop
//! knows neither algorithm nor policy, results are the same for all of them.

use super::super::common::Watch;
use super::super::common::watch::Step;
use super::super::properties::{build, each};
use super::super::subject::Phalanx;
use super::{counts, rounds};
use phalanx::Party;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A kind of value, with an operator that neither commutes nor associates.
trait Sample: Clone + Debug + PartialEq + Send + 'static {
    fn of(rank: usize, trip: u64) -> Self;
    fn join(self, other: Self) -> Self;
}

/// Different for each rank and trip.
fn mixed(rank: usize, trip: u64) -> u64 {
    (trip.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ rank as u64).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// A float that is only equal to the same bits.
#[derive(Clone, Copy, Debug)]
struct Bits(f64);

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Sample for Bits {
    fn of(rank: usize, trip: u64) -> Self {
        // Magnitudes so far apart that the sum depends on the order. (`powi` promises no bits, and Miri takes it at its word.)
        const SCALES: [f64; 7] = [1e-9, 1e-2, 1e5, 1e-7, 1.0, 1e7, 1e-5];
        Self((mixed(rank, trip) % 1000) as f64 * SCALES[rank % SCALES.len()])
    }

    fn join(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

macro_rules! wrapping_samples {
    ($($integer:ty),+) => {
        $(impl Sample for $integer {
            fn of(rank: usize, trip: u64) -> Self {
                mixed(rank, trip) as Self
            }

            fn join(self, other: Self) -> Self {
                self.wrapping_mul(31).wrapping_add(other)
            }
        })+
    };
}
wrapping_samples!(u8, u64, u128);

impl<const N: usize> Sample for [u8; N] {
    fn of(rank: usize, trip: u64) -> Self {
        std::array::from_fn(|place| mixed(rank, trip + place as u64) as u8)
    }

    fn join(self, other: Self) -> Self {
        std::array::from_fn(|place| self[place].join(other[N - 1 - place]))
    }
}

impl<const N: usize> Sample for [u64; N] {
    fn of(rank: usize, trip: u64) -> Self {
        std::array::from_fn(|place| mixed(rank, trip + place as u64))
    }

    fn join(self, other: Self) -> Self {
        std::array::from_fn(|place| self[place].join(other[N - 1 - place]))
    }
}

/// Three bytes of it are nobody's.
impl Sample for (u8, u32) {
    fn of(rank: usize, trip: u64) -> Self {
        (mixed(rank, trip) as u8, mixed(rank, !trip) as u32)
    }

    fn join(self, other: Self) -> Self {
        (self.0.join(other.0), self.1.wrapping_mul(31).wrapping_add(other.1))
    }
}

impl Sample for () {
    fn of(_: usize, _: u64) -> Self {}

    fn join(self, (): Self) -> Self {}
}

impl Sample for &'static str {
    fn of(rank: usize, trip: u64) -> Self {
        const TEXT: &str = "neither the first nor the last of them is what it was before it was joined";
        let start = (mixed(rank, trip) % 40) as usize;
        &TEXT[start..start + 1 + (mixed(rank, trip) >> 32) as usize % 30]
    }

    fn join(self, other: Self) -> Self {
        if self.len() % 2 == other.len() % 3 { &self[..self.len().div_ceil(2)] } else { other }
    }
}

impl Sample for String {
    fn of(rank: usize, trip: u64) -> Self {
        format!("{rank}@{trip} ")
    }

    fn join(self, other: Self) -> Self {
        self + &other
    }
}

/// How many operations there are.
const OPERATIONS: u64 = 6;

/// What an operation was worth to one party, in a form that all of them share.
type Worth<T> = Vec<Option<T>>;

/// What a loop over the ranks makes of the values of `parties`, for `rank`.
fn expected<T: Sample>(operation: u64, trip: u64, rank: usize, parties: usize) -> Worth<T> {
    let root = (trip as usize / 2) % parties;
    let all = || (0..parties).map(|rank| T::of(rank, trip));
    match operation {
        0 => vec![all().reduce(T::join)],
        1 => vec![all().reduce(T::join).filter(|_| rank == root)],
        2 => vec![Some(T::of(root, trip))],
        3 | 4 => all().map(Some).collect(),
        _ => vec![Some(all().take(rank).fold(T::of(parties, trip), T::join))],
    }
}

/// The operation on values that everybody reads.
fn carried<T: Sample + Copy>(party: &mut Party, operation: u64, trip: u64, parties: usize) -> Worth<T> {
    let (root, own) = ((trip as usize / 2) % parties, T::of(party.rank(), trip));
    match operation {
        0 => vec![Some(party.all_reduce(own, T::join).unwrap())],
        1 => vec![party.reduce(root, own, T::join).unwrap()],
        2 => vec![Some(party.broadcast(root, || own).unwrap())],
        3 => party.all_gather(own).unwrap().into_iter().map(Some).collect(),
        4 => {
            // What is in it has to go, whether more or less than there will be.
            let mut all = vec![own; trip as usize % 5];
            party.all_gather_into(own, &mut all).unwrap();
            all.into_iter().map(Some).collect()
        }
        _ => vec![Some(party.exclusive_scan(T::of(parties, trip), own, T::join).unwrap())],
    }
}

/// The operation on values that one party works on.
fn sent<T: Sample>(party: &mut Party, operation: u64, trip: u64, parties: usize) -> Worth<T> {
    let (root, own) = ((trip as usize / 2) % parties, T::of(party.rank(), trip));
    let cloning = party.cloning();
    match operation {
        0 => vec![Some(cloning.all_reduce(own, T::join).unwrap())],
        1 => vec![cloning.reduce(root, own, T::join).unwrap()],
        2 => vec![Some(cloning.broadcast(root, || own).unwrap())],
        3 | 4 => cloning.all_gather(own).unwrap().into_iter().map(Some).collect(),
        _ => vec![Some(cloning.exclusive_scan(T::of(parties, trip), own, T::join).unwrap())],
    }
}

fn ride<T: Sample + Copy>(party: &mut Party, operation: u64, trip: u64, parties: usize) {
    let rank = party.rank();
    let wanted = expected::<T>(operation, trip, rank, parties);
    assert_eq!(carried::<T>(party, operation, trip, parties), wanted, "{operation} for rank {rank} of {parties}");
}

fn send<T: Sample>(party: &mut Party, operation: u64, trip: u64, parties: usize) {
    let rank = party.rank();
    let wanted = expected::<T>(operation, trip, rank, parties);
    assert_eq!(sent::<T>(party, operation, trip, parties), wanted, "{operation}, sent, for rank {rank} of {parties}");
}

type Ride = fn(&mut Party, u64, u64, usize);

/// Values of 0, 1, 8, 16, 64, 65 and 128 bytes, aligned to 16, padded, and references; then those that are sent.
const RIDES: [Ride; 16] = [
    ride::<Bits>,
    ride::<u64>,
    ride::<u8>,
    ride::<()>,
    ride::<[u8; 16]>,
    ride::<u128>,
    ride::<[u64; 8]>,
    ride::<[u8; 65]>,
    ride::<[u64; 16]>,
    ride::<(u8, u32)>,
    ride::<&'static str>,
    send::<String>,
    send::<Bits>,
    send::<[u64; 8]>,
    send::<&'static str>,
    send::<(u8, u32)>,
];

/// Every operation on every kind of value, each trip another one, with plain waits in between, over the wrap.
pub(crate) fn in_rank_order(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 33) {
        let first = u64::MAX - 3;
        let control = build(family, watch, parties, first);
        let all = RIDES.len() as u64 * OPERATIONS;
        let trips = rounds(family, parties, 500) as u64;
        // A step that meets all of them, from a start that differs by family: few parties see all, many see some.
        let (start, rng) = (watch.rng().below(all), watch.rng());
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for trip in 0..trips {
                rng.dawdle();
                watch.mark(rank, trip, Step::Waiting);
                if trip % 7 == 6 {
                    assert_eq!(party.wait().unwrap().generation(), first.wrapping_add(trip));
                    continue;
                }
                let number = (start + trip * 37) % all;
                RIDES[(number / OPERATIONS) as usize](&mut party, number % OPERATIONS, trip, parties);
                assert_eq!(party.generation(), first.wrapping_add(trip + 1));
            }
        }));
    }
}

/// A serial section runs once, sees what all did before, and all see what it did; the writes are relaxed, so that the
/// barrier alone makes them visible. The source of a broadcast makes one value, the others none.
pub(crate) fn once_for_all(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 16) {
        let control = build(family, watch, parties, u64::MAX - 1);
        let slots: Vec<_> = (0..parties).map(|_| AtomicUsize::new(0)).collect();
        let (slots, calls, made) = (&slots, &AtomicUsize::new(0), &AtomicUsize::new(0));
        let (trips, rng) = (rounds(family, parties, 60), watch.rng());
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for trip in 0..trips {
                rng.dawdle();
                slots[rank].store(trip + 1, Relaxed);
                watch.mark(rank, trip as u64, Step::Waiting);
                let section = || {
                    assert!(slots.iter().all(|slot| slot.load(Relaxed) == trip + 1), "a section too early or too late");
                    let before = calls.load(Relaxed);
                    calls.store(before + 1, Relaxed);
                    format!("call {before}")
                };
                assert_eq!(party.serial(section).unwrap(), format!("call {trip}"));
                assert_eq!(calls.load(Relaxed), trip + 1, "calls seen by rank {rank} of {parties} ({family:?})");
                let make = || made.fetch_add(1, Relaxed);
                let from = trip % parties;
                let heard =
                    if trip % 2 == 0 { party.broadcast(from, make) } else { party.cloning().broadcast(from, make) };
                assert_eq!((heard.unwrap(), made.load(Relaxed)), (trip, trip + 1));
            }
        }));
    }
}
