//! Two parties, each with its CPU: in one round everyone together and then with a straggler, against the floor.

use super::super::straggler::{Lateness, latency};
use super::super::{Context, Series, lap_rows, note_wrong};
use super::{auto, auto_over_best, noise, note_absent};
use crate::peer::Field;
use crate::peer::floor::{Bare, Packed, exchange};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Table};
use crate::seat::{Entrant, Lap, Role, Seat, Walk};
use std::time::Duration;

const FLOOR: &str = "both flags in one line";

/// Trips with a straggler in each round.
pub const LATE: u64 = 120;

/// What one party saw of a round that has both.
pub struct Both {
    pub lap: Lap,
    pub seen: Walk,
}

impl Both {
    pub fn of(turn: &Turn, seat: &mut dyn Seat, lateness: &Lateness) -> Self {
        let lap = seat.back_to_back(16, turn.trips);
        Self { lap, seen: if turn.sizing { Walk::default() } else { seat.straggle(turn.rank, lateness) } }
    }
}

pub fn run(context: &Context, section: &mut Section) {
    crate::watch::shape("family, two parties");
    let instances = context.pick(1, 8, 16);
    let mut field = Field::default();
    field.add(Entrant::new(FLOOR, Role::Floor, instances, || Ok(exchange::<Packed, Bare>())));
    field.family(2, instances, Some(&context.place.cpus));
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 160, 1000),
        length: context.length(200, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let lateness = Lateness::new([1, 0], LATE);
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| Both::of(turn, seat, &lateness));
    let laps: Vec<_> = played.iter().map(|peer| peer.map(|both| both.lap)).collect();
    let (together, rows) = lap_rows(&laps, &[FLOOR, &auto()]);
    section.tables.push(Table { title: "2 parties, everyone together".into(), unit: "ns/trip", rows });
    let late: Vec<Series> =
        played.iter().map(|peer| Series::of(&peer.map(|both| both.seen.clone()), latency_of)).collect();
    let rows = late.iter().map(|series| series.row(&late, &[FLOOR, &auto()], LATE)).collect();
    section.tables.push(Table { title: "2 parties, last arrival to last release".into(), unit: "ns", rows });
    for (all, what) in [(&together, "together"), (&late, "one late")] {
        let prefix = format!("2 parties, {what}: ");
        section.verdicts.extend(auto_over_best(context, all, FLOOR, &prefix));
        section.notes.extend(noise(all, &prefix));
    }
    note_absent(section, field.absent);
    note_wrong(section, &played);
}

/// Over all delays; nothing where a probe left no trips.
pub fn latency_of(seen: &[Walk]) -> f64 {
    if seen[0].seen.is_empty() { f64::NAN } else { latency(seen, None) }
}
