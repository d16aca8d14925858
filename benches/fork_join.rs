//! A run of a team with next to nothing to do, and what a new thread costs beside it.
//!
//! Each row is compared with itself in an earlier run. Against pools, other threads and OpenMP it is measured by
//! `phalanx-versus --only fork-join`, which interleaves.

mod common;

use criterion::Criterion;
use phalanx::team::Team;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// Runs so far, by each member: checked, so that nothing is measured that did not happen.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

fn runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("fork_join");
    for members in [2, 8] {
        let team = match Team::builder().threads(members).build() {
            Ok(team) => team,
            Err(why) => panic!("no team: {why}"),
        };
        let counts: Vec<Count> = (0..members).map(|_| Count::default()).collect();
        let mut calls = 0;
        group.bench_function(format!("team of {members}"), |b| {
            b.iter(|| {
                calls += 1;
                team.run(|m| counts[m.rank()].0.fetch_add(1, Relaxed)).map(drop)
            });
        });
        assert!(counts.iter().all(|count| count.0.load(Relaxed) == calls), "a member was left out");
    }
    let count = Count::default();
    let mut calls = 0;
    group.bench_function("a new thread", |b| {
        b.iter(|| {
            calls += 1;
            thread::scope(|s| {
                s.spawn(|| count.0.fetch_add(1, Relaxed));
            });
        });
    });
    assert_eq!(count.0.load(Relaxed), calls, "a thread has not run");
    group.finish();
}

fn main() {
    common::bench(runs);
}
