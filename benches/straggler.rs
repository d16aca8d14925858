//! Two pinned parties, one of them late: how long from the last arrival to the last release.
//!
//! This is what a program with uneven work pays, and another quantity than the time per trip of a tight loop: the one
//! who waits has by then fallen into whatever its policy does after half a microsecond, two, or ten.
//!
//! In the first half of a sample rank 1 is late, in the second rank 0. What counts is the median of each half, because
//! one theft of the CPU lasts as long as ten thousand hops, and the mean of both, in which an offset between the clocks
//! of the two CPUs cancels. Reading the clock twice is part of the result for all rows alike.

mod common;

use common::crew::{Seat, Turn};
use common::meet::{self, Meet, own};
use common::{Table, may_spin, median, places};
use criterion::Criterion;
use phalanx::Algorithm::{Auto, Central, Exchange};
use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How one party saw one trip.
struct Passage {
    arrived: Instant,
    released: Instant,
}

/// One party's part in a sample, the late one coming `NS` nanoseconds late.
fn one_late<C: Meet, const NS: u64>(seat: &mut Seat<C>, turn: Turn) -> Vec<Passage> {
    let mut seen = Vec::with_capacity(usize::try_from(turn.trips).unwrap_or(0));
    for trip in 0..turn.trips {
        if turn.rank == usize::from(trip < turn.trips / 2) {
            // Give or take an eighth, lest the delay keeps step with a policy's pauses.
            let jitter = trip.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (NS / 4);
            let delay = Duration::from_nanos(NS - NS / 8 + jitter);
            let start = Instant::now();
            while start.elapsed() < delay {
                spin_loop();
            }
        }
        let arrived = Instant::now();
        seat.wait();
        seen.push(Passage { arrived, released: Instant::now() });
    }
    seen
}

/// The typical hop of each barrier, times its trips: criterion divides by the trips again.
fn hops(parts: &[Vec<Vec<Passage>>]) -> Duration {
    let [first, second] = parts else { common::fail("two parties are needed") };
    let typical = |(a, b): (&Vec<Passage>, &Vec<Passage>)| {
        let hops: Vec<f64> = a.iter().zip(b).map(|(a, b)| hop(a, b)).collect();
        let (one, other) = hops.split_at(hops.len() / 2);
        // The mean of both halves; a single trip has no first half.
        let medians = [one, other].map(|half| median(half.iter().copied()));
        median(medians.into_iter().flatten()).unwrap_or_default() * hops.len() as f64
    };
    Duration::from_secs_f64(first.iter().zip(second).map(typical).sum())
}

/// From the last arrival to the last release, in seconds.
fn hop(a: &Passage, b: &Passage) -> f64 {
    a.released.max(b.released).saturating_duration_since(a.arrived.max(b.arrived)).as_secs_f64()
}

/// The rows of one delay.
fn table<const NS: u64>(criterion: &mut Criterion, name: &str) {
    let mut table = Table { group: criterion.benchmark_group(name), places: places(2), instances: 8 };
    if may_spin() {
        table.row("floor", meet::floor, one_late::<_, NS>, hops);
    }
    for (name, algorithm) in [("auto", Auto), ("exchange", Exchange), ("central", Central)] {
        table.row(name, |parties| own(parties, algorithm), one_late::<_, NS>, hops);
    }
    table.row("compat", meet::compat, one_late::<_, NS>, hops);
    table.row("std", meet::std, one_late::<_, NS>, hops);
}

fn main() {
    common::bench(|criterion| {
        table::<500>(criterion, "straggler 0.5us");
        table::<2_000>(criterion, "straggler 2us");
        table::<10_000>(criterion, "straggler 10us");
    });
}
