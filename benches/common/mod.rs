//! What the criterion benches share: the barriers under test ([`meet`]), the threads that cross them ([`crew`]), and
//! the frame of a table.
//!
//! These benches answer one question, "did this change make it slower?", so each row is compared with the same row of
//! an earlier run (`cargo bench -- --save-baseline before`, then `-- --baseline before`). Rows of one run are not to be
//! divided by each other: they run minutes apart, and a shared machine drifts by more than barriers differ. For that
//! there is `benches/versus`, which interleaves; and [`duel`], which does for what it costs to watch a barrier (`observe`)
//! and for two revisions of the library (`benches/revisions`).
//!
//! `cargo bench -- --test`, and `cargo test --benches`, make one trip per row with all checks and measure nothing.
#![allow(dead_code)] // each bench takes its own part of this

pub(crate) mod bytes;
pub(crate) mod crew;
pub(crate) mod duel;
pub(crate) mod machine;
pub(crate) mod meet;

use crew::{Crew, Run, Seat, Turn};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use meet::Meet;
use phalanx::topology::{Bind, Topology, pin_current, startup_mask};
use std::fmt::Display;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

/// Runs a bench, with settings such that all of them together take two minutes or so. The command line overrides
/// them.
pub(crate) fn bench(tables: impl FnOnce(&mut Criterion)) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30)
        .nresamples(20_000)
        // Smaller changes than this come and go by themselves on a virtual machine.
        .noise_threshold(0.05)
        .configure_from_args();
    tables(&mut criterion);
    criterion.final_summary();
}

/// Rows that are crossed by the same number of parties on the same CPUs.
pub(crate) struct Table<'a> {
    pub(crate) group: BenchmarkGroup<'a, WallTime>,
    /// By rank; `None` is left to the scheduler.
    pub(crate) places: Vec<Option<usize>>,
    /// Barriers per row. What a hop costs depends on where in the last-level cache the line happens to lie, so that one
    /// barrier per row would measure the luck of an address; each sample goes through all of them.
    pub(crate) instances: usize,
}

impl Table<'_> {
    /// Measures one kind of barrier: `run` is one party's part in a sample, and `total` what all parts, by rank and
    /// then by instance, come to.
    pub(crate) fn row<C: Meet, R: Send + 'static>(
        &mut self,
        name: &str,
        build: impl Fn(usize) -> Vec<C>,
        run: Run<C, R>,
        total: fn(&[Vec<R>]) -> Duration,
    ) {
        let Self { group, places, instances } = self;
        // Made at the first call: none is made for a row that the command line leaves out. And kept: criterion calls
        // once per sample.
        let mut crew = None;
        group.bench_function(name, |bencher| {
            let crew = crew
                .get_or_insert_with(|| Crew::new(places, (0..*instances).map(|_| build(places.len())).collect(), run));
            bencher.iter_custom(|trips| total(&crew.round(trips)));
        });
    }
}

/// Where the ranks run: each on a core of its own while they last, then in turn. Nowhere in particular, and it says so,
/// where there are fewer than two CPUs or threads cannot be pinned.
pub(crate) fn places(parties: usize) -> Vec<Option<usize>> {
    let mask = startup_mask();
    let attempt = || {
        if mask.len() < 2 {
            return Err(format!("there is only one CPU ({mask})"));
        }
        let places = Topology::detect().place(&Bind::Close, parties, mask).map_err(|e| e.to_string())?;
        // In a thread of its own, lest the threads that this one starts inherit the CPU.
        let pin = places
            .cpus()
            .next()
            .flatten()
            .map(|cpu| thread::spawn(move || pin_current(cpu).map(drop).map_err(|e| e.to_string())));
        pin.map_or(Ok(()), |pin| pin.join().expect("pinning does not panic"))?;
        Ok(places.cpus().collect())
    };
    attempt().unwrap_or_else(|why| {
        eprintln!("the threads are not pinned: {why}");
        vec![None; parties]
    })
}

/// Whether two parties that only spin can be measured; says so if not, since a trip would then take a time slice of the
/// scheduler.
pub(crate) fn may_spin() -> bool {
    let enough = phalanx::topology::available_cpus() >= 2;
    if !enough {
        eprintln!("no row for the spinning floor: it needs two CPUs");
    }
    enough
}

/// Trips of one party at one barrier, and the seconds that they took.
pub(crate) struct Lap {
    trips: u64,
    took: f64,
}

/// One party's part in a sample, without a pause between two trips.
pub(crate) fn back_to_back<C: Meet>(seat: &mut Seat<C>, turn: Turn) -> Lap {
    let start = Instant::now();
    for _ in 0..turn.trips {
        seat.wait();
    }
    Lap { trips: turn.trips, took: start.elapsed().as_secs_f64() }
}

/// The time per trip at the median barrier, times all trips (criterion divides by them again): one theft of the CPU lasts as long as ten thousand
/// trips of two, so that a mean would tell about the neighbours.
///
/// Rank 0 holds the clock. In a crowd it may be released early or late, which evens out over the trips of a sample.
pub(crate) fn by_first_rank(parts: &[Vec<Lap>]) -> Duration {
    let laps = &parts[0];
    let typical = median(laps.iter().map(|lap| lap.took / lap.trips as f64)).unwrap_or_default();
    Duration::from_secs_f64(typical * laps.iter().map(|lap| lap.trips as f64).sum::<f64>())
}

/// The middle of a sample, or the mean of the two in the middle.
pub(crate) fn median(sample: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = sample.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let above = *sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 { above } else { f64::midpoint(sorted[half - 1], above) })
}

/// Ends the process: a panic would end one thread and leave the others waiting for it for ever.
pub(crate) fn fail(what: impl Display) -> ! {
    eprintln!("bench: {what}");
    exit(1)
}
