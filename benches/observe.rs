//! What it costs a barrier to be watched: each way of watching against the same barrier without, in one process, interleaved
//! ([`duel`]).
//!
//! Three shapes. Two parties back to back, each on a core of its own, are where a nanosecond is a per cent. Two of which one
//! does 5 µs of work before each trip are what programs look like: the other is in a long wait, which the counters count. Eight
//! parties, on however many CPUs there are, sleep and wake where those are fewer.
//!
//! The counters that no barrier is without cannot be compared like this; `benches/revisions 33bcbea` does it, with the last
//! revision that has none.
//!
//! `cargo bench --bench observe --features hdr,timeline -- [--json PATH] [--quick]`; what needs a feature that is missing is left
//! out, and it says so. Without `--bench`, which `cargo bench` adds, everything is done once with all checks, and nothing
//! measured.

mod common;

use common::bytes::{Counting, in_use};
use common::duel::{Contestant, Cross, Duel, Plan, Quartiles, fail, play};
use common::machine::{Machine, cpu_time};
use phalanx::observe::Log;
#[cfg(feature = "hdr")]
use phalanx::observe::Sampling;
use phalanx::topology::{available_cpus, pin_current, startup_mask};
use phalanx::{Barrier, Builder, Party};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A way of being watched.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    watch: fn(Builder) -> Builder,
    target: Target,
}

/// What the issue allows, for two parties back to back.
#[derive(Clone, Copy)]
enum Target {
    #[cfg_attr(not(any(feature = "hdr", feature = "timeline")), expect(dead_code, reason = "only those have one"))]
    AtMost(f64),
    /// As near to the plain one as that is to itself.
    Noise,
    None,
}

impl Target {
    /// What it is, and whether `ratio` keeps it, given how far the plain one is from itself.
    fn verdict(self, ratio: f64, noise: Quartiles) -> (String, Option<bool>) {
        match self {
            Self::AtMost(limit) => (format!("at most {limit}"), Some(ratio <= limit)),
            Self::Noise => ("1.00 within noise".into(), Some(noise.q1 <= ratio && ratio <= noise.q3)),
            Self::None => (String::new(), None),
        }
    }
}

/// How many lines the logs wrote, and how many reports the watchdog made. No sink does more than count, so that the barrier is
/// measured and not the console.
static LINES: AtomicU64 = AtomicU64::new(0);
static REPORTS: AtomicU64 = AtomicU64::new(0);

const FEATURES: &str = match (cfg!(feature = "hdr"), cfg!(feature = "timeline")) {
    (true, true) => "hdr,timeline",
    (true, false) => "hdr",
    (false, true) => "timeline",
    (false, false) => "",
};

const PLAIN: Way = Way { name: "nobody", watch: |builder| builder, target: Target::None };

/// All that this build has, the plain one first and second.
fn ways() -> Vec<Way> {
    let way = |name, watch, target| Way { name, watch, target };
    let mut ways = vec![PLAIN, Way { name: "nobody, again", ..PLAIN }];
    #[cfg(feature = "hdr")]
    ways.extend([
        way("statistics, one trip in 64", |b| b.statistics(Sampling::one_in(64)), Target::AtMost(1.05)),
        way("statistics, one trip in 256", |b| b.statistics(Sampling::one_in(256)), Target::AtMost(1.05)),
        way("statistics, all trips", |b| b.statistics(Sampling::ALL), Target::None),
    ]);
    #[cfg(feature = "timeline")]
    ways.push(way("timeline, 4096 events a party", |b| b.timeline(4096), Target::AtMost(1.5)));
    ways.extend([
        // So short that a party which loses its CPU may be reported.
        way("watchdog, 10 ms", |b| watched(b, 10), Target::Noise),
        way("log of breaks", |b| b.log(Log::breaks(line)), Target::Noise),
        // Of its ten lines a second hardly any is written: this is what the others cost.
        way("log of trips, 10 a second", |b| b.log(Log::trips(line)), Target::None),
        way("log of trips, each", |b| b.log(Log::trips(line).per_second(u32::MAX)), Target::None),
    ]);
    ways
}

fn report() {
    REPORTS.fetch_add(1, Relaxed);
}

fn line(_: &str) {
    LINES.fetch_add(1, Relaxed);
}

fn watched(builder: Builder, millis: u64) -> Builder {
    builder.watchdog(Duration::from_millis(millis), |_| report())
}

struct Plainly(Party);

impl Cross for Plainly {
    #[inline(always)]
    fn cross(&mut self) -> bool {
        self.0.wait().unwrap_or_else(|broken| fail(broken)).is_leader()
    }

    fn made(&self) -> u64 {
        self.0.generation()
    }
}

fn build(way: Way, parties: usize) -> Barrier {
    (way.watch)(Barrier::builder(parties)).build().unwrap_or_else(|why| fail(why))
}

fn parties(way: Way, parties: usize) -> Vec<Party> {
    build(way, parties).take_parties().unwrap_or_else(|why| fail(why))
}

/// The rank on a CPU of its own, while there are any; for good.
fn pin(rank: usize) {
    let cpus: Vec<usize> = startup_mask().iter().collect();
    match pin_current(cpus[rank % cpus.len()]) {
        Ok(pinned) => std::mem::forget(pinned),
        Err(why) => eprintln!("rank {rank} is not pinned: {why}"),
    }
}

/// How long all that takes.
#[derive(Clone, Copy, PartialEq)]
enum Effort {
    Check,
    Quick,
    Full,
}

impl Effort {
    fn rounds(self, full: usize) -> usize {
        match self {
            Self::Check => 4,
            Self::Quick => full / 10,
            Self::Full => full,
        }
    }
}

/// One shape and what came of it.
struct Shape {
    title: String,
    judged: bool,
    duel: Duel,
    /// Meanwhile.
    lines: u64,
    reports: u64,
}

fn shapes(ways: &[Way], effort: Effort) -> Vec<Shape> {
    let contestant = |way: &Way| {
        let way = *way;
        Contestant::new(way.name, move |n| parties(way, n).into_iter().map(Plainly).collect())
    };
    let contestants: Vec<Contestant> = ways.iter().map(contestant).collect();
    let plan = |parties, work, rounds, round| {
        // At least four of the trips that are looked at by one in 64.
        let (rounds, round) = (effort.rounds(rounds), Duration::from_micros(round));
        Plan { parties, work, rounds, round, trips: 256, pin }
    };
    let work = Duration::from_micros(5);
    let cpus = available_cpus();
    let plans = [
        ("2 parties, back to back".to_owned(), plan(2, None, 4000, 100)),
        ("2 parties, one of them 5 µs late".to_owned(), plan(2, Some(work), 400, 1000)),
        (format!("8 parties on {cpus} CPUs, back to back"), plan(8, None, 200, 1000)),
    ];
    let run = |(title, plan): (String, Plan)| {
        eprintln!("{title} ...");
        let before = [&LINES, &REPORTS].map(|count| count.load(Relaxed));
        let duel = play(&contestants, plan);
        let judged = plan.parties == 2 && plan.work.is_none();
        let [lines, reports] = [LINES.load(Relaxed) - before[0], REPORTS.load(Relaxed) - before[1]];
        Shape { title, judged, duel, lines, reports }
    };
    plans.into_iter().map(run).collect()
}

/// Bytes in use more than with a barrier that nobody watches.
struct Bytes {
    name: &'static str,
    per_party: f64,
    per_barrier: f64,
}

/// In use by a barrier whose parties have made some trips, for what is made only then.
fn used(way: Way, count: usize) -> f64 {
    let before = in_use();
    let barrier = build(way, count);
    let parties = barrier.take_parties().unwrap_or_else(|why| fail(why));
    let cross = |mut party: Party| {
        for _ in 0..300 {
            party.wait().unwrap_or_else(|broken| fail(broken));
        }
        party
    };
    let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(move || cross(party))).collect();
    let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| fail("a party has panicked")));
    let parties: Vec<Party> = joined.collect();
    let after = in_use();
    drop((parties, barrier));
    after as f64 - before as f64
}

fn bytes(ways: &[Way]) -> Vec<Bytes> {
    const FEW: usize = 2;
    const MANY: usize = 10;
    // What the process needs once is made with the first one.
    ways.iter().for_each(|&way| _ = used(way, FEW));
    let line = |way: Way| {
        let (few, many) = (used(way, FEW), used(way, MANY));
        let slope = (many - few) / (MANY - FEW) as f64;
        (slope, few - FEW as f64 * slope)
    };
    let plain = line(ways[0]);
    let of = |way: &Way| {
        let (per_party, per_barrier) = line(*way);
        Bytes { name: way.name, per_party: per_party - plain.0, per_barrier: per_barrier - plain.1 }
    };
    let mut all = vec![Bytes { name: "the barrier itself", per_party: plain.0, per_barrier: plain.1 }];
    all.extend(ways.iter().skip(2).map(of));
    all
}

/// CPU time that the process uses in a second while so many watched barriers rest, in microseconds.
struct Rest {
    name: &'static str,
    barriers: usize,
    micros: f64,
}

fn rests(effort: Effort) -> Vec<Rest> {
    let second = Duration::from_millis(if effort == Effort::Check { 10 } else { 1000 });
    let way = |name, watch| Way { name, watch, target: Target::None };
    let ways = [
        PLAIN,
        way("watchdog, 10 ms", |builder| watched(builder, 10)),
        way("watchdog, 30 s", |builder| watched(builder, 30_000)),
    ];
    let mut all = Vec::new();
    for way in ways {
        for barriers in [1, 1000] {
            let kept: Vec<Barrier> = (0..barriers).map(|_| build(way, 2)).collect();
            let before = cpu_time();
            thread::sleep(second);
            if let (Some(before), Some(after)) = (before, cpu_time()) {
                let micros = after.saturating_sub(before) as f64 / 1e3 / second.as_secs_f64();
                all.push(Rest { name: way.name, barriers, micros });
            }
            drop(kept);
        }
    }
    all
}

/// All that was found.
struct Report {
    facts: Vec<(&'static str, String)>,
    ways: Vec<Way>,
    shapes: Vec<Shape>,
    bytes: Vec<Bytes>,
    rests: Vec<Rest>,
    absent: Vec<String>,
}

impl Report {
    fn markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).unwrap_or_else(|why| fail(why));
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# What it costs to be watched\n")?;
        self.facts.iter().try_for_each(|(key, value)| writeln!(out, "- {key}: {value}"))?;
        self.absent.iter().try_for_each(|what| writeln!(out, "- LEFT OUT: {what}"))?;
        for Shape { title, judged, duel, lines, reports } in &self.shapes {
            writeln!(out, "\n**{title}**, {} rounds of {} trips\n", duel.times[0].len(), duel.trips)?;
            writeln!(out, "| watched by | over nobody, median | quartiles | more, ns | a trip, ns | target |")?;
            writeln!(out, "|---|---:|---:|---:|---:|---|")?;
            let noise = duel.ratios(1);
            for (which, way) in self.ways.iter().enumerate() {
                let (ratio, more, time) = (duel.ratios(which), duel.differences(which), duel.times(which));
                let verdict = match way.target.verdict(ratio.median, noise) {
                    (limit, Some(kept)) if *judged => format!("{limit}: {}", if kept { "kept" } else { "MISSED" }),
                    _ => String::new(),
                };
                let (name, q1, q3) = (way.name, ratio.q1, ratio.q3);
                write!(out, "| {name} | {:.3} | {q1:.3} to {q3:.3} ", ratio.median)?;
                writeln!(out, "| {:+.1} | {:.1} | {verdict} |", more.median, time.median)?;
            }
            writeln!(out, "\nThe watchdog made {reports} reports, the logs wrote {lines} lines.")?;
        }
        writeln!(out, "\n**Bytes in use**, by the difference between 10 and 2 parties that have made 300 trips\n")?;
        writeln!(out, "| | a party | a barrier |\n|---|---:|---:|")?;
        for Bytes { name, per_party, per_barrier } in &self.bytes {
            writeln!(out, "| {name} | {per_party:.0} | {per_barrier:.0} |")?;
        }
        if !self.rests.is_empty() {
            writeln!(out, "\n**CPU time while nobody comes**, of the whole process\n")?;
            writeln!(out, "| watched by | barriers | µs in a second |\n|---|---:|---:|")?;
        }
        for Rest { name, barriers, micros } in &self.rests {
            writeln!(out, "| {name} | {barriers} | {micros:.0} |")?;
        }
        Ok(())
    }

    fn json(&self) -> String {
        let quartiles =
            |of: Quartiles| format!(r#"{{ "q1": {:.4}, "median": {:.4}, "q3": {:.4} }}"#, of.q1, of.median, of.q3);
        let shapes = list(self.shapes.iter().map(|Shape { title, judged, duel, lines, reports }| {
            let rows = list(self.ways.iter().enumerate().map(|(which, way)| {
                let ratio = duel.ratios(which);
                let (target, kept) = way.target.verdict(ratio.median, duel.ratios(1));
                let kept = kept.filter(|_| *judged).map_or("null".to_owned(), |kept| kept.to_string());
                let [ratio, more, time] = [ratio, duel.differences(which), duel.times(which)].map(quartiles);
                format!(
                    r#"{{ "name": {:?}, "ratio": {ratio}, "more_ns": {more}, "trip_ns": {time}, "target": {target:?}, "kept": {kept} }}"#,
                    way.name
                )
            }));
            let (rounds, trips) = (duel.times[0].len(), duel.trips);
            format!(r#"{{ "title": {title:?}, "rounds": {rounds}, "trips": {trips}, "lines": {lines}, "reports": {reports}, "rows": {rows} }}"#)
        }));
        let bytes = list(self.bytes.iter().map(|Bytes { name, per_party, per_barrier }| {
            format!(r#"{{ "name": {name:?}, "per_party": {per_party:.1}, "per_barrier": {per_barrier:.1} }}"#)
        }));
        let rests = list(self.rests.iter().map(|Rest { name, barriers, micros }| {
            format!(r#"{{ "name": {name:?}, "barriers": {barriers}, "cpu_us_per_s": {micros:.1} }}"#)
        }));
        let facts = self.facts.iter().map(|(key, value)| format!("{key:?}: {value:?}"));
        let absent = list(self.absent.iter().map(|what| format!("{what:?}")));
        let facts = facts.collect::<Vec<_>>().join(", ");
        format!(
            "{{\n\"machine\": {{ {facts} }},\n\"absent\": {absent},\n\"shapes\": {shapes},\n\"bytes\": {bytes},\n\"rest\": {rests}\n}}\n"
        )
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[\n{}\n]", items.collect::<Vec<_>>().join(",\n"))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let measured = std::env::args().any(|arg| arg == "--bench");
    let mut json = None;
    let mut effort = if measured { Effort::Full } else { Effort::Check };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--json" => json = Some(rest.next().unwrap_or_else(|| fail("--json needs a path"))),
            "--quick" if measured => effort = Effort::Quick,
            "--test" => effort = Effort::Check,
            // A filter, as for the other benches.
            name if !name.starts_with('-') && !"observe".contains(name) => return,
            _ => {}
        }
    }
    let with = if FEATURES.is_empty() { String::new() } else { format!(" --features {FEATURES}") };
    let behind = if args.is_empty() { String::new() } else { format!(" -- {}", args.join(" ")) };
    let machine = Machine::look(format!("cargo bench --bench observe{with}{behind}"), FEATURES);
    let missing =
        [("hdr", cfg!(feature = "hdr"), "statistics"), ("timeline", cfg!(feature = "timeline"), "the timeline")];
    let absent = missing.into_iter().filter(|&(_, here, _)| !here);
    let absent: Vec<String> =
        absent.map(|(feature, _, what)| format!("{what}, without the feature {feature}")).collect();
    absent.iter().for_each(|what| eprintln!("observe: left out: {what}"));
    let ways = ways();
    // Before there is any other thread: theirs come and go.
    let (bytes, rests) = (bytes(&ways), rests(effort));
    let shapes = shapes(&ways, effort);
    let report = Report { facts: machine.facts(), ways, shapes, bytes, rests, absent };
    if effort == Effort::Check {
        println!("observe: every trip was checked, and nothing measured");
        return;
    }
    println!("{}", report.markdown());
    if let Some(path) = json {
        std::fs::write(path, report.json()).unwrap_or_else(|why| fail(format!("{path}: {why}")));
    }
}
