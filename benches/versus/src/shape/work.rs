//! Two parties with the same work on each phase: 0, 1, 10, 100 µs, and then the barrier.
//!
//! What a program sees of a barrier is the time of its phases, and of that the barrier is the less the more work there
//! is. So there are two tables for each amount: nanoseconds per phase, which is what is judged, and what is left of it
//! without the work. The work is a fixed number of dependent steps, the same code for all, and without a look at a
//! clock; the number is found once, so that a step may be slower in a round in which the CPU is, for all alike.
//!
//! The work without a barrier takes part as an entrant: both parties do it and meet nobody. The overhead is the time per
//! phase less that of the same round without a barrier. Both parties have the same work, and still one is done with it
//! first, by interrupts and the CPUs' own clocks, and a barrier waits for the last, while without one only rank 0's
//! work is in the time: the overhead is that of meeting, not of the barrier's own instructions. It is a
//! difference of two numbers as large as the work: where that is 100 µs, one part in a thousand of noise is
//! 100 ns, more than a barrier of spinning parties costs. The quartiles say so. Where phalanx's own lower quartile is not
//! above nothing, dividing by it would mean nothing, and no ratio is shown. Whose overhead cannot be told from phalanx's a
//! note says: it is above phalanx's in just those rounds in which its phase was longer, so the paired difference decides,
//! which needs no division.
//!
//! Judged is the time per phase of the closest rival over that of phalanx: above 1. With 100 µs two good barriers
//! differ by less than what phalanx differs from itself, so there it is above 1 less that: phalanx takes part twice,
//! and the noise is the half width of the notch around the median of its ratio to itself (1.57 quartile ranges over the
//! root of the rounds; McGill, Tukey and Larsen 1978), or what that median is off 1, whichever is more.

use super::{Context, Mode, Series, find, lap_rows, note_wrong, thrift_of_laps};
use crate::peer::work::{nobody, steps_in};
use crate::peer::{Field, SUBJECT, own};
use crate::play::{Plan, Turn, play};
use crate::report::{Row, Section, Sense, Table, Verdict};
use crate::seat::{Entrant, Role, Seat};
use crate::stats::Summary;
use std::time::Duration;

const NOBODY: &str = "no barrier";
const AGAIN: &str = "phalanx once more";

struct Amount {
    name: &'static str,
    work: Duration,
    /// Of a round.
    time: Duration,
    /// A barrier is less of a phase than the noise is.
    drowned: bool,
}

const AMOUNTS: [Amount; 4] = [
    Amount { name: "no work", work: Duration::ZERO, time: Duration::from_millis(1), drowned: false },
    Amount { name: "1 µs", work: Duration::from_micros(1), time: Duration::from_millis(1), drowned: false },
    Amount { name: "10 µs", work: Duration::from_micros(10), time: Duration::from_millis(2), drowned: false },
    Amount { name: "100 µs", work: Duration::from_micros(100), time: Duration::from_millis(3), drowned: true },
];

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "work",
        "Phases with work",
        "Pinned as above; both parties have the same work on each phase, and then cross. Nanoseconds per phase, by party 0's clock; and that less the time of the work alone, by both parties in the same round.",
    );
    let steps = steps_in(Duration::from_micros(1));
    for amount in &AMOUNTS {
        crate::watch::shape(&format!("work of {}", amount.name));
        measure(context, amount, steps * amount.work.as_micros() as u64, &mut section);
    }
    section
}

fn measure(context: &Context, amount: &Amount, steps: u64, section: &mut Section) {
    let instances = context.pick(1, 4, 8);
    let mut field = Field::default();
    field.add(Entrant::new(NOBODY, Role::Floor, instances, || nobody(2)));
    field.subject(2, instances);
    field.add(Entrant::new(AGAIN, Role::Info, instances, || own::default(2)));
    field.everyone(&context.place.cpus, instances);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 40, 300),
        length: context.length(20, amount.time, 10),
        verified: context.pick(20, 4, 4),
    };
    let opening = if amount.drowned { 2 } else { 16 };
    let played =
        play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.phases(opening, turn.trips, steps));
    let (all, rows) = lap_rows(&played, &[SUBJECT, NOBODY]);
    let beyond = beyond(&all);
    let steady = find(&beyond, SUBJECT).is_some_and(|subject| subject.summary().q1 > 0.0);
    let to: &[&str] = if steady { &[SUBJECT] } else { &[] };
    let of_row = |row: &Row, series: &Series| series.row(&beyond, to, row.trips_per_round);
    let left = rows.iter().filter_map(|row| Some(of_row(row, find(&beyond, &row.name)?))).collect();
    let name = amount.name;
    section.tables.push(Table { title: format!("{name} per phase"), unit: "ns/phase", rows });
    let title = format!("{name} per phase: what the barrier adds to the work");
    section.tables.push(Table { title, unit: "ns/phase", rows: left });
    section.verdicts.extend(verdict(context, amount, &all));
    section.verdicts.extend(thrift_of_laps(context, &played, &format!("{name}: ")));
    if !steady && context.mode != Mode::Smoke {
        section.notes.push(format!(
            "{name} per phase: what phalanx adds is lost in the noise of the work, so there is nothing to divide by"
        ));
    }
    section.notes.extend(blurred(&all).map(|who| {
        format!("{name} per phase: this run cannot tell the overhead of these from phalanx's, the middle half of the rounds lies on both sides of it: {who}")
    }));
    for absent in field.absent {
        if !section.absent.contains(&absent) {
            section.absent.push(absent);
        }
    }
    note_wrong(section, &played);
}

/// Every entrant less the work alone, round by round.
fn beyond(all: &[Series]) -> Vec<Series> {
    let Some(alone) = find(all, NOBODY) else { return Vec::new() };
    let less = |series: &Series| Series {
        name: series.name.clone(),
        role: series.role,
        values: series.values.iter().zip(&alone.values).map(|(phase, work)| Some((*phase)? - (*work)?)).collect(),
    };
    all.iter().filter(|series| series.role != Role::Floor).map(less).collect()
}

/// The rivals whose phases, and so overheads, are above phalanx's in some of the middle half of the rounds and below in
/// others.
fn blurred(all: &[Series]) -> Option<String> {
    let subject = find(all, SUBJECT)?;
    let both_sides = |is: Summary| is.q1 <= 1.0 && is.q3 >= 1.0;
    let rivals = all.iter().filter(|series| series.role == Role::Rival && both_sides(series.over(subject)));
    let names: Vec<&str> = rivals.map(|series| &*series.name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn verdict(context: &Context, amount: &Amount, all: &[Series]) -> Option<Verdict> {
    let subject = find(all, SUBJECT)?;
    let rivals = all.iter().filter(|series| series.role == Role::Rival);
    let closest = rivals.min_by(|a, b| a.over(subject).median.total_cmp(&b.over(subject).median))?;
    let is = (context.mode != Mode::Smoke).then(|| closest.over(subject));
    // In a smoke run the noise of two rounds would be the limit.
    let noise = is.and_then(|_| Some(noise(find(all, AGAIN)?.over(subject))));
    let (limit, less) = match noise {
        Some(noise) if amount.drowned => (rounded(1.0 - noise), ", less the noise of phalanx over itself"),
        _ => (1.0, ""),
    };
    let claim = format!("{}: the closest rival, {}, over phalanx{less}", amount.name, closest.name);
    Some(Verdict::new(claim, is, Sense::Above, limit))
}

/// How far the median of a ratio to itself may be off 1 by chance.
fn noise(itself: Summary) -> f64 {
    let notch = 1.57 * (itself.q3 - itself.q1) / (itself.n as f64).sqrt();
    notch.max((itself.median - 1.0).abs())
}

/// To be read in a table.
fn rounded(limit: f64) -> f64 {
    (limit * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, role: Role, values: [f64; 4]) -> Series {
        Series { name: name.into(), role, values: values.map(Some).into() }
    }

    #[test]
    fn the_overhead_is_what_the_same_round_took_longer() {
        let mut all = vec![
            series(NOBODY, Role::Floor, [100.0, 110.0, 120.0, 130.0]),
            series(SUBJECT, Role::Subject, [110.0, 120.0, 130.0, 140.0]),
            series("slow", Role::Rival, [130.0, 140.0, 150.0, 160.0]),
            series("like it", Role::Rival, [109.0, 121.0, 129.0, 141.0]),
        ];
        all[2].values[3] = None;
        let beyond = beyond(&all);
        assert_eq!(beyond.len(), 3);
        assert_eq!(find(&beyond, "slow").unwrap().values, [Some(30.0), Some(30.0), Some(30.0), None]);
        assert_eq!(blurred(&all).unwrap(), "like it");
    }

    #[test]
    fn noise_is_the_notch_or_the_bias() {
        let itself = Summary { q1: 0.99, median: 1.0, q3: 1.01, n: 100, ..Summary::default() };
        assert!((noise(itself) - 0.00314).abs() < 1e-9);
        assert!((noise(Summary { median: 0.97, ..itself }) - 0.03).abs() < 1e-9);
    }
}
