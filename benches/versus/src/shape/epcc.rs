//! The method of the EPCC OpenMP micro-benchmarks, so that our numbers can be held against published ones.
//!
//! After J. M. Bull, "Measuring Synchronisation and Scheduling Overheads in OpenMP" (EWOMP 1999), and J. M. Bull, F. Reid,
//! N. McDonnell, "A Microbenchmark Suite for OpenMP Tasks" (IWOMP 2012), `syncbench`: a construct with a short delay in
//! it is executed again and again, and its overhead is `(test time - reference time) / inner repetitions`, where the
//! reference is the same loop over the same delay by one thread, without the construct. As published, the delay is 0.1 µs,
//! there are as many inner repetitions as take 1000 µs, and 20 outer repetitions behind one that is thrown away; the
//! overhead is reported as the mean of these, with their standard deviation.
//!
//! What is ours: the outer repetitions of all take turns, each time in another order, and between two of them we wait
//! until all threads sleep; the reference is measured in each of them, and an overhead is paired with that of the same
//! repetition and divided by that of phalanx in it; medians stand beside the means. In front of each test an eighth of
//! its repetitions is not timed, since the threads come from sleep. The delay is the same machine code for all, called
//! through a pointer from C and from Rust, and what was executed is counted.
//!
//! CRITICAL, LOCK, ATOMIC and ORDERED are left out: none of them is a meeting of all, and phalanx has nothing to answer
//! with. An overhead can be below nothing where a construct splits its delay: none of these does.

use super::{Context, Mode, Series, find, target};
use crate::peer::SUBJECT;
use crate::peer::epcc::{self, All, Bench, CONSTRUCTS, Inner, PARALLEL, REDUCTION};
use crate::peer::object::Found;
use crate::peer::work::steps_in;
use crate::play::shuffled;
use crate::report::{Cost, Ratio, Row, Section, Sense, Table};
use crate::seat::Role;
use crate::stats::median;
use crate::usage::settle;
use std::time::Duration;

/// EPCC's `--delay-time`.
const DELAY: Duration = Duration::from_nanos(100);
/// EPCC's `--test-time`.
const TEST: Duration = Duration::from_micros(1000);
/// EPCC's `--outer-repetitions`.
const OUTER: usize = 20;

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "epcc",
        "The EPCC OpenMP micro-benchmarks",
        "Overhead = (test time - reference time) / inner repetitions, with a delay of 0.1 µs in each; the reference is the delay loop without the construct, by one thread. Nanoseconds per construct; 1000 µs per test, the outer repetitions of all in turn. CPU time and switches are those of a whole construct, with its delays.",
    );
    // Found once, so that all tables have the same delay.
    let steps = steps_in(DELAY).max(1);
    for members in [2, 4] {
        crate::watch::shape(&format!("epcc, {members} members"));
        measure(context, members, steps, &mut section);
    }
    section.notes.push(
        "CRITICAL, LOCK, ATOMIC and ORDERED of the same suite are no meetings of all, and phalanx has nothing to answer with".into(),
    );
    section
}

fn measure(context: &Context, members: usize, steps: u64, section: &mut Section) {
    let cpus: Vec<usize> = context.place.cpus.iter().copied().cycle().take(members).collect();
    // Before the caller is pinned: all of them see now which CPUs there are.
    drop(phalanx::topology::startup_mask().clone());
    let mut benches = vec![epcc::reference(steps)];
    match epcc::phalanx(&cpus, steps) {
        Ok(ours) => benches.extend(ours),
        Err(why) => section.wrong.push(format!("phalanx: {why}")),
    }
    let mut seen = Vec::new();
    for runtime in epcc::openmp(&cpus, steps) {
        match runtime {
            Ok((bench, processors)) => {
                seen.push(format!("{} sees {processors} CPUs", bench.name));
                benches.push(bench);
            }
            Err(why) if !section.absent.contains(&why) => section.absent.push(why),
            Err(_) => {}
        }
    }
    context.place.pin(0);
    let played = play(context, &benches, section);
    // The team must go before its members' CPUs are another's.
    drop(benches);
    context.place.restrict();
    tell(context, members, &played, section);
    section.notes.push(format!("{members} members on CPUs {cpus:?}; {}", seen.join(", ")));
}

/// What one bench's outer repetitions gave.
struct Played {
    name: String,
    role: Role,
    has: [bool; CONSTRUCTS.len()],
    inner: Inner,
    /// By outer repetition.
    found: Vec<All>,
}

impl Played {
    /// Nanoseconds per execution, by outer repetition.
    fn times(&self, construct: usize) -> Vec<f64> {
        self.found.iter().map(|all| all[construct].ns as f64 / self.inner[construct] as f64).collect()
    }
}

fn play(context: &Context, benches: &[Bench], section: &mut Section) -> Vec<Played> {
    let outer = context.pick(2, OUTER, 5 * OUTER);
    let mut played: Vec<Played> = Vec::new();
    for bench in benches {
        crate::watch::progress(&bench.name);
        let inner = if context.mode == Mode::Smoke { Ok([20; CONSTRUCTS.len()]) } else { calibrate(bench) };
        let inner = inner.unwrap_or_else(|why| {
            section.wrong.push(format!("{}: {why}", bench.name));
            [0; CONSTRUCTS.len()]
        });
        played.push(Played { name: bench.name.clone(), role: bench.role, has: bench.has, inner, found: Vec::new() });
    }
    for repetition in 0..=outer {
        for which in shuffled(benches.len(), repetition) {
            let (bench, played) = (&benches[which], &mut played[which]);
            crate::watch::progress(&bench.name);
            let found = bench.run(&played.inner).unwrap_or_else(|why| {
                section.wrong.push(format!("{}: {why}", bench.name));
                All::default()
            });
            let wrong = found.iter().zip(CONSTRUCTS).filter(|(found, _)| found.wrong != 0);
            let wrong = wrong.map(|(found, construct)| {
                format!("{}: {construct}: {} counts, sums or meetings are wrong", bench.name, found.wrong)
            });
            section.wrong.extend(wrong);
            // As in EPCC's, the first is there to warm up.
            if repetition > 0 {
                played.found.push(found);
            }
        }
    }
    played
}

/// As many inner repetitions as take the time of a test, by the fastest that was seen of each construct.
fn calibrate(bench: &Bench) -> Result<Inner, String> {
    let mut inner: Inner = [8; CONSTRUCTS.len()];
    let mut fastest = [f64::INFINITY; CONSTRUCTS.len()];
    // From a few repetitions to tens of thousands in steps of eight at most, and a few more for what disturbs them.
    for _ in 0..8 {
        let all = bench.run_on(&inner)?;
        let mut enough = true;
        for construct in (0..CONSTRUCTS.len()).filter(|&construct| bench.has[construct]) {
            let (inner, fastest) = (&mut inner[construct], &mut fastest[construct]);
            *fastest = fastest.min(all[construct].ns.max(1) as f64 / *inner as f64);
            let wanted = (TEST.as_nanos() as f64 / *fastest) as i64;
            enough &= wanted <= *inner + *inner / 8;
            *inner = wanted.clamp(1, 8 * *inner);
        }
        if enough {
            break;
        }
    }
    settle();
    Ok(inner)
}

fn tell(context: &Context, members: usize, played: &[Played], section: &mut Section) {
    let Some(reference) = played.iter().find(|bench| bench.role == Role::Info) else { return };
    let mut rows: Vec<Row> = Vec::new();
    for (construct, name) in CONSTRUCTS.into_iter().enumerate() {
        let alone = reference.times(if construct == REDUCTION { REDUCTION } else { PARALLEL });
        let takes_part = |bench: &&Played| bench.role != Role::Info && bench.has[construct];
        let all: Vec<Series> =
            played.iter().filter(takes_part).map(|bench| overhead(bench, construct, &alone)).collect();
        let subject = find(&all, SUBJECT);
        for (series, bench) in all.iter().zip(played.iter().filter(takes_part)) {
            let ratio = subject.map(|subject| Ratio { to: SUBJECT.into(), is: series.over(subject) });
            rows.push(Row {
                name: format!("{name}: {}", series.name),
                ratios: ratio.into_iter().collect(),
                cost: Some(cost(bench, construct)),
                ..series.row(&[], &[], bench.inner[construct] as u64)
            });
            if series.role == Role::Rival {
                let claim = format!("{members} members, {name}: {} over phalanx", series.name);
                section.verdicts.push(target(context, &all, &claim, (&series.name, SUBJECT), Sense::Above, 1.0));
            }
        }
        let printed = played.iter().filter(takes_part).map(|bench| {
            let Printed { mean, deviation } = Printed::of(&bench.times(construct), &alone);
            format!("{} {:.3} ± {:.3}", bench.name, mean / 1e3, deviation / 1e3)
        });
        let printed: Vec<String> = printed.collect();
        section.notes.push(format!(
            "{members} members, {name}, mean overhead and standard deviation in µs, as EPCC has them: {}",
            printed.join("; ")
        ));
    }
    for (construct, what) in [(PARALLEL, "reference"), (REDUCTION, "reference of REDUCTION")] {
        let values = reference.times(construct).into_iter().map(Some).collect();
        let series = Series { name: format!("{what}: {}", reference.name), role: Role::Info, values };
        rows.push(Row {
            cost: Some(cost(reference, construct)),
            ..series.row(&[], &[], reference.inner[construct] as u64)
        });
    }
    section.tables.push(Table { title: format!("Overheads, {members} members on 2 CPUs"), unit: "ns/construct", rows });
}

/// By outer repetition, paired with the reference of the same.
fn overhead(bench: &Played, construct: usize, alone: &[f64]) -> Series {
    let values = bench.times(construct).iter().zip(alone).map(|(test, alone)| Some(test - alone)).collect();
    Series { name: bench.name.clone(), role: bench.role, values }
}

/// Of a whole execution, by all members.
fn cost(bench: &Played, construct: usize) -> Cost {
    let inner = bench.inner[construct] as f64;
    let executions = inner * bench.found.len() as f64;
    let sum = |part: fn(&Found) -> i64| bench.found.iter().map(|all| part(&all[construct])).sum::<i64>() as f64;
    Cost {
        cpu_ns: median(bench.found.iter().map(|all| all[construct].cpu_ns as f64 / inner)),
        voluntary: sum(|found| found.voluntary) / executions,
        involuntary: sum(|found| found.involuntary) / executions,
    }
}

/// What EPCC prints of a construct.
struct Printed {
    mean: f64,
    deviation: f64,
}

impl Printed {
    /// The overhead is the mean time less the mean of the reference; the deviation is that of the times.
    fn of(times: &[f64], reference: &[f64]) -> Self {
        let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
        let middle = mean(times);
        let squares: f64 = times.iter().map(|time| (time - middle).powi(2)).sum();
        Self { mean: middle - mean(reference), deviation: (squares / (times.len().saturating_sub(1)) as f64).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_as_published() {
        let Printed { mean, deviation } = Printed::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], &[1.0, 2.0]);
        assert_eq!(mean, 3.5);
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn overheads_are_paired_by_repetition() {
        let mut found = [All::default(); 2];
        (found[0][PARALLEL].ns, found[1][PARALLEL].ns) = (1_000, 3_000);
        let bench = Played {
            name: "it".into(),
            role: Role::Rival,
            has: [true; CONSTRUCTS.len()],
            inner: [10; CONSTRUCTS.len()],
            found: found.into(),
        };
        assert_eq!(overhead(&bench, PARALLEL, &[40.0, 50.0]).values, [Some(60.0), Some(250.0)]);
    }
}
