//! The order of reductions, as a property: whatever the values, the number of parties, the algorithm and the policy, each
//! rank is told what a loop over the ranks gives, bit for bit. (`tests/conformance` has more shapes of values and many trips;
//! here the values and operators are drawn, and what fails is made small.)
//!
//! The operators depend on the order: sums of floats on how they are grouped, compositions of affine maps and products of
//! matrices on who comes first, differences on both, and strings show all of it.
#![cfg(not(miri))] // threads by the thousand; tests/luggage.rs is the like for Miri

mod common;

use common::{patience, scaled, watched};
use phalanx::{Algorithm, Barrier, Party, WaitPolicy};
use proptest::prelude::*;
use std::thread;

/// What a value is made of.
type Seed = [u64; 4];

/// A kind of value with its operator; equal are the same bits only.
trait Value: Copy + Send + 'static {
    fn of(seed: Seed) -> Self;
    fn join(self, other: Self) -> Self;
    fn bits(self) -> Vec<u64>;
}

/// Any double, summed up. What kind of NaN comes out of an operation the language leaves open, so one stands for all.
#[derive(Clone, Copy)]
struct Sum(f64);

fn one_nan(value: f64) -> u64 {
    if value.is_nan() { u64::MAX } else { value.to_bits() }
}

impl Value for Sum {
    fn of(seed: Seed) -> Self {
        // Mostly of a size where sums round; every eighth any bits at all.
        let small = (seed[0] as i64 >> 20) as f64 * [1.0, 1e-3, 1e9, 1e17][(seed[1] % 4) as usize];
        Self(if seed[2] % 8 == 0 { f64::from_bits(seed[0]) } else { small })
    }

    fn join(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    fn bits(self) -> Vec<u64> {
        vec![one_nan(self.0)]
    }
}

/// Singles, subtracted: neither commutes nor associates.
#[derive(Clone, Copy)]
struct Difference(f32);

impl Value for Difference {
    fn of(seed: Seed) -> Self {
        Self((seed[0] as i32) as f32 * 0.1)
    }

    fn join(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    fn bits(self) -> Vec<u64> {
        vec![one_nan(f64::from(self.0))]
    }
}

/// x -> a x + b, one behind the other: associates, and does not commute.
#[derive(Clone, Copy)]
struct Affine(u64, u64);

impl Value for Affine {
    fn of(seed: Seed) -> Self {
        Self(seed[0], seed[1])
    }

    fn join(self, then: Self) -> Self {
        Self(then.0.wrapping_mul(self.0), then.0.wrapping_mul(self.1).wrapping_add(then.1))
    }

    fn bits(self) -> Vec<u64> {
        vec![self.0, self.1]
    }
}

/// Two by two, multiplied.
#[derive(Clone, Copy)]
struct Matrix([u64; 4]);

impl Value for Matrix {
    fn of(seed: Seed) -> Self {
        Self(seed)
    }

    fn join(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        let dot = |a: u64, e: u64, b: u64, g: u64| a.wrapping_mul(e).wrapping_add(b.wrapping_mul(g));
        Self([dot(a, e, b, g), dot(a, f, b, h), dot(c, e, d, g), dot(c, f, d, h)])
    }

    fn bits(self) -> Vec<u64> {
        self.0.to_vec()
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sum,
    Difference,
    Affine,
    Matrix,
    Text,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    AllReduce,
    ReduceTo(usize),
    ExclusiveScan,
}

/// One trip, and a value for each rank and one for the beginning of a scan.
#[derive(Clone, Debug)]
struct Ride {
    kind: Kind,
    operation: Operation,
    /// Whether values that could travel as they are are sent instead.
    sent: bool,
    seeds: [Seed; 10],
}

type Told = Option<Vec<u64>>;

impl Ride {
    /// What the loop gives.
    fn expected(&self, rank: usize, parties: usize) -> Told {
        match self.kind {
            Kind::Sum => self.folded(Sum::of, Sum::join, rank, parties).map(Sum::bits),
            Kind::Difference => self.folded(Difference::of, Difference::join, rank, parties).map(Difference::bits),
            Kind::Affine => self.folded(Affine::of, Affine::join, rank, parties).map(Affine::bits),
            Kind::Matrix => self.folded(Matrix::of, Matrix::join, rank, parties).map(Matrix::bits),
            Kind::Text => self.folded(text, concatenated, rank, parties).map(letters),
        }
    }

    fn folded<T>(&self, of: fn(Seed) -> T, join: fn(T, T) -> T, rank: usize, parties: usize) -> Option<T> {
        let (first, count) = match self.operation {
            Operation::ReduceTo(to) if to % parties != rank => return None,
            Operation::ExclusiveScan => (Some(of(self.seeds[9])), rank),
            Operation::AllReduce | Operation::ReduceTo(_) => (None, parties),
        };
        let mut folded = first;
        for seed in &self.seeds[..count] {
            folded = Some(match folded {
                Some(before) => join(before, of(*seed)),
                None => of(*seed),
            });
        }
        folded
    }

    /// What the barrier tells.
    fn told(&self, party: &mut Party, parties: usize) -> Told {
        match self.kind {
            Kind::Sum => self.carried(party, parties, Sum::of, Sum::join).map(Sum::bits),
            Kind::Difference => self.carried(party, parties, Difference::of, Difference::join).map(Difference::bits),
            Kind::Affine => self.carried(party, parties, Affine::of, Affine::join).map(Affine::bits),
            Kind::Matrix => self.carried(party, parties, Matrix::of, Matrix::join).map(Matrix::bits),
            Kind::Text => self.sent(party, parties, text, concatenated).map(letters),
        }
    }

    fn carried<T>(&self, party: &mut Party, parties: usize, of: fn(Seed) -> T, join: fn(T, T) -> T) -> Option<T>
    where
        T: Copy + Send + 'static,
    {
        if self.sent {
            return self.sent(party, parties, of, join);
        }
        let own = of(self.seeds[party.rank()]);
        match self.operation {
            Operation::AllReduce => Some(party.all_reduce(own, join).unwrap()),
            Operation::ReduceTo(to) => party.reduce(to % parties, own, join).unwrap(),
            Operation::ExclusiveScan => Some(party.exclusive_scan(of(self.seeds[9]), own, join).unwrap()),
        }
    }

    fn sent<T>(&self, party: &mut Party, parties: usize, of: fn(Seed) -> T, join: fn(T, T) -> T) -> Option<T>
    where
        T: Clone + Send + 'static,
    {
        let own = of(self.seeds[party.rank()]);
        match self.operation {
            Operation::AllReduce => Some(party.cloning().all_reduce(own, join).unwrap()),
            Operation::ReduceTo(to) => party.cloning().reduce(to % parties, own, join).unwrap(),
            Operation::ExclusiveScan => Some(party.cloning().exclusive_scan(of(self.seeds[9]), own, join).unwrap()),
        }
    }
}

fn text(seed: Seed) -> String {
    format!("<{:x}>", seed[0] % 4096)
}

fn concatenated(one: String, other: String) -> String {
    one + &other
}

fn letters(text: String) -> Vec<u64> {
    text.bytes().map(u64::from).collect()
}

fn rides() -> impl Strategy<Value = Vec<Ride>> {
    let kind = prop::sample::select(vec![Kind::Sum, Kind::Difference, Kind::Affine, Kind::Matrix, Kind::Text]);
    let operation = prop_oneof![
        Just(Operation::AllReduce),
        (0..9_usize).prop_map(Operation::ReduceTo),
        Just(Operation::ExclusiveScan),
    ];
    let ride = (kind, operation, any::<bool>(), any::<[Seed; 10]>()).prop_map(|(kind, operation, sent, seeds)| Ride {
        kind,
        operation,
        sent,
        seeds,
    });
    prop::collection::vec(ride, 1..6)
}

fn told_to_all(algorithm: Algorithm, policy: WaitPolicy, parties: usize, rides: &[Ride]) -> Vec<Vec<Told>> {
    let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).first_generation(u64::MAX - 2);
    let barrier = builder.build().unwrap();
    thread::scope(|scope| {
        let work = |mut party: Party| move || rides.iter().map(|ride| ride.told(&mut party, parties)).collect();
        let threads: Vec<_> =
            barrier.take_parties().unwrap().into_iter().map(|party| scope.spawn(work(party))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scaled(64) as u32) })]

    /// Rank order, on each trip, for each rank, under a drawn algorithm and policy.
    #[test]
    fn each_rank_is_told_the_fold_in_rank_order(
        algorithm in prop::sample::select(Algorithm::NAMED.to_vec()),
        policy in prop::sample::select(WaitPolicy::ALL.iter().filter(|policy| **policy != WaitPolicy::Spin).copied().collect::<Vec<_>>()),
        parties in 1..=9_usize,
        rides in rides(),
    ) {
        let told = watched("reduction", patience(), |_| told_to_all(algorithm, policy, parties, &rides));
        for (trip, ride) in rides.iter().enumerate() {
            for (rank, told) in told.iter().enumerate() {
                prop_assert_eq!(&told[trip], &ride.expected(rank, parties), "trip {}, rank {} of {}", trip, rank, parties);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scaled(16) as u32) })]

    /// The same bits whichever algorithm carries them.
    #[test]
    fn all_algorithms_tell_the_same(parties in 2..=5_usize, rides in rides()) {
        let told = |algorithm| {
            watched("reduction", patience(), |_| told_to_all(algorithm, WaitPolicy::SpinYield, parties, &rides))
        };
        let first = told(Algorithm::NAMED[0]);
        for algorithm in &Algorithm::NAMED[1..] {
            prop_assert_eq!(&told(*algorithm), &first, "{}", algorithm);
        }
    }
}
