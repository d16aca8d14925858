//! A sum of one `f64` per party, for two, against the ways in which one would do it without.

use super::super::{Context, lap_rows, note_wrong, target};
use super::{crossing, noise, note_absent};
use crate::peer::sums::{Array, Atomic, Locked, Turns, on_phalanx, on_std};
use crate::peer::{Field, own, remote, riders};
use crate::play::{Plan, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Role};
use phalanx::Algorithm;
use std::time::Duration;

const SUM: &str = "all_reduce";
const TRIP: &str = "a bare trip";
const AGAIN: &str = "a bare trip once more";

pub fn run(context: &Context, section: &mut Section) {
    crate::watch::shape("riders, sums");
    let instances = context.pick(1, 4, 8);
    let mut field = Field::default();
    // As the rivals have it: with every default, and without a word about where it runs.
    field.add(riders::entrant::<riders::Sum>(SUM.into(), Role::Subject, instances, (2, Algorithm::Auto, None)));
    for name in [TRIP, AGAIN] {
        field.add(Entrant::new(name, Role::Info, instances, || own::default(2)));
    }
    let rival = Role::Rival;
    field.add(Entrant::new("two bare trips around a padded array", rival, instances, || on_phalanx::<Array>(2)));
    field.add(Entrant::new("two bare trips around a Mutex<f64>", rival, instances, || on_phalanx::<Locked>(2)));
    field.add(Entrant::new("two bare trips around an atomic sum", rival, instances, || on_phalanx::<Atomic>(2)));
    field.add(Entrant::new("std::sync::Barrier around a padded array", rival, instances, || on_std::<Array>(2)));
    remote::ALL.into_iter().for_each(|setting| field.add(remote::sums(setting, &context.place.cpus.map(Some))));
    field.add(Entrant::new("one bare trip, two padded arrays in turn", Role::Info, instances, || {
        on_phalanx::<Turns>(2)
    }));
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 80, 400),
        length: context.length(300, Duration::from_millis(2), 20),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let (all, rows) = lap_rows(&played, &[SUM, TRIP]);
    section.tables.push(Table { title: "2 parties, a sum of f64".into(), unit: "ns/sum", rows });
    for rival in all.iter().filter(|series| series.role == Role::Rival) {
        let claim = format!("{} over all_reduce", rival.name);
        section.verdicts.push(target(context, &all, &claim, (&rival.name, SUM), Sense::Above, 1.0));
    }
    section.notes.extend(noise(&all, (AGAIN, TRIP), "sums: "));
    note_absent(section, field);
    note_wrong(section, &played);
}
