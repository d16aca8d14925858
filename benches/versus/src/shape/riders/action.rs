//! A barrier with an action, against bare trips of the algorithm that it uses.
//!
//! The action does nothing (but count its runs), or computes for some 200 ns. How long that is today is measured in the
//! same rounds, without a barrier, and taken off round by round.

use super::super::{Context, Series, find, lap_rows, note_wrong};
use super::{BARE, combined, compare, crossing, judge, noise, note_absent};
use crate::peer::{Field, own, work};
use crate::play::{Plan, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Role};
use phalanx::Algorithm;
use std::time::Duration;

const TIME: Duration = Duration::from_nanos(200);
const ALONE: &str = "the action alone, 200 ns";
const EXCHANGE: &str = "exchange";
const ROOTED: [Algorithm; 2] = [Algorithm::Central, Algorithm::Combining];

/// Bare and with its two actions, and the second of them less the action's own time.
fn names(algorithm: Algorithm) -> [String; 4] {
    ["", ", empty action", ", 200 ns action", ", 200 ns action less its time"].map(|what| format!("{algorithm}{what}"))
}

pub fn run(context: &Context, section: &mut Section) {
    crate::watch::shape("riders, an action");
    let instances = context.pick(1, 8, 16);
    let cpus = &context.place.cpus[..];
    let steps = work::steps_in(TIME);
    let mut field = Field::default();
    field.add(Entrant::new(ALONE, Role::Info, instances, || work::alone(2, steps)));
    for name in [EXCHANGE.to_owned(), format!("{EXCHANGE} once more")] {
        field.add(Entrant::new(name, Role::Info, instances, || own::algorithm(2, Algorithm::Exchange, Some(cpus))));
    }
    for algorithm in ROOTED {
        let [bare, empty, long, _] = names(algorithm);
        for name in [format!("{bare} once more"), bare] {
            field.add(Entrant::new(name, Role::Info, instances, || own::algorithm(2, algorithm, Some(cpus))));
        }
        for (name, steps) in [(empty, 0), (long, steps)] {
            field.add(Entrant::new(name, Role::Own, instances, || work::acting(2, algorithm, cpus, steps)));
        }
    }
    // What a program gets that names no algorithm: `Auto` would exchange, and gives way to one that has a root.
    field.add(Entrant::new("auto, empty action", Role::Subject, instances, || {
        work::acting(2, Algorithm::Auto, cpus, 0)
    }));
    let plan = Plan {
        cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 120, 1000),
        length: context.length(200, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let (mut all, mut rows) = lap_rows(&played, &[EXCHANGE]);
    for algorithm in ROOTED {
        let [bare, empty, long, net] = names(algorithm);
        if let Some(series) = less(&all, &net, &long, ALONE) {
            let trips = rows.iter().find(|row| row.name == long).map_or(0, |row| row.trips_per_round);
            rows.push(series.row(&all, &[EXCHANGE], trips));
            all.push(series);
        }
        for name in [&empty, &long, &net] {
            compare(&mut rows, &all, name, &bare, BARE);
        }
        for name in [&empty, &net] {
            let is = find(&all, name).and_then(|series| Some(series.over(find(&all, &bare)?)));
            section.verdicts.push(judge(context, &format!("{name}, over its bare trip"), is, Sense::AtMost, 1.1));
        }
        section.notes.extend(noise(&all, (&format!("{bare} once more"), &bare), "action: "));
    }
    compare(&mut rows, &all, "auto, empty action", &Algorithm::Central.to_string(), BARE);
    section.tables.push(Table { title: "2 parties, with an action".into(), unit: "ns/trip", rows });
    section.notes.extend(noise(&all, (&format!("{EXCHANGE} once more"), EXCHANGE), "action: "));
    note_absent(section, field);
    note_wrong(section, &played);
}

/// One series less another.
fn less(all: &[Series], name: &str, from: &str, take: &str) -> Option<Series> {
    let (from, take) = (find(all, from)?, find(all, take)?);
    let values = from.values.iter().zip(&take.values).map(|(from, take)| Some((*from)? - (*take)?));
    Some(combined(name, from, values))
}
