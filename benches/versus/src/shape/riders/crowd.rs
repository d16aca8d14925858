//! A sum of more parties than CPUs, over the bare trip of the same barrier: everybody's own, and one party's for all.

use super::super::{Context, lap_rows, note_wrong};
use super::{noise, note_absent};
use crate::peer::{Field, own, riders};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Table};
use crate::seat::{Entrant, Role, Seat};
use phalanx::Algorithm;
use std::time::Duration;

const TRIP: &str = "a bare trip";
const AGAIN: &str = "a bare trip once more";

pub fn run(context: &Context, sizes: &[usize], section: &mut Section) {
    for &parties in sizes {
        crate::watch::shape(&format!("riders, crowd of {parties}"));
        let instances = context.pick(1, 2, 4);
        let auto = (parties, Algorithm::Auto, None);
        let mut field = Field::default();
        for name in [TRIP, AGAIN] {
            field.add(Entrant::new(name, Role::Info, instances, || own::default(parties)));
        }
        field.add(riders::entrant::<riders::Sum>("all_reduce of f64".into(), Role::Own, instances, auto));
        let by_one = "cloning().all_reduce of f64".into();
        field.add(riders::entrant::<riders::SumByOne>(by_one, Role::Own, instances, auto));
        let plan = Plan {
            cpus: &context.place.cpus,
            parties,
            // Dealt out: a floating crowd may sit on one CPU for a whole round.
            pinned: true,
            rounds: context.pick(1, 16, 60),
            length: context.length(if parties > 16 { 5 } else { 50 }, Duration::from_millis(20), 8),
            verified: context.pick(5, 2, 2),
        };
        let played = play(&plan, std::mem::take(&mut field.entrants), |turn: &Turn, seat: &mut dyn Seat| {
            seat.back_to_back(2 + turn.trips / 4, turn.trips)
        });
        let (all, rows) = lap_rows(&played, &[TRIP]);
        let title = format!("{parties} parties on 2 CPUs, dealt out, a sum of f64");
        section.tables.push(Table { title, unit: "ns/trip", rows });
        section.notes.extend(noise(&all, (AGAIN, TRIP), &format!("{parties} parties: ")));
        note_absent(section, field);
        note_wrong(section, &played);
    }
}
