//! More parties than CPUs: every algorithm against `std`, and against what `Auto` chooses.
//!
//! The rounds are those of the crowd shape. Each algorithm has a target of its own, for none may collapse, however
//! unsuited it is: naming one is the user's right.

use super::super::{Context, lap_rows, note_wrong, target};
use super::{auto, auto_over_best, noise, note_absent};
use crate::peer::{Field, STD};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::Seat;
use phalanx::Algorithm;
use std::time::Duration;

pub fn run(context: &Context, parties: usize, dealt: bool, section: &mut Section) {
    crate::watch::shape(&format!("family, crowd of {parties}"));
    let name = format!("{parties} parties on 2 CPUs, {}", if dealt { "dealt out" } else { "floating" });
    let instances = context.pick(1, 2, 4);
    let mut field = Field::default();
    field.std(parties, instances);
    field.family(parties, instances, None);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties,
        pinned: dealt,
        rounds: context.pick(1, 10, 40),
        length: context.length(if parties > 16 { 5 } else { 50 }, Duration::from_millis(context.pick(10, 10, 20)), 8),
        verified: context.pick(5, 2, 2),
    };
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| {
        seat.back_to_back(2 + turn.trips / 4, turn.trips)
    });
    let (all, rows) = lap_rows(&played, &[STD, &auto()]);
    section.tables.push(Table { title: name.clone(), unit: "ns/trip", rows });
    let prefix = format!("{name}: ");
    section.verdicts.extend(auto_over_best(context, &all, STD, &prefix));
    let named = Algorithm::NAMED.iter().map(ToString::to_string);
    section.verdicts.extend(std::iter::once(auto()).chain(named).map(|algorithm| {
        let claim = format!("{prefix}{algorithm} over std");
        target(context, &all, &claim, (&algorithm, STD), Sense::AtMost, 1.0)
    }));
    section.notes.extend(noise(&all, &prefix));
    note_absent(section, field.absent);
    note_wrong(section, &played);
}
