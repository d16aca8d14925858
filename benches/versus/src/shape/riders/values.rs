//! Values on board of trips of two, against the bare trip of the same algorithm.

use super::super::{Context, lap_rows, note_wrong, target};
use super::{BARE, compare, crossing, noise, note_absent};
use crate::peer::floor::{Bare, Packed, exchange};
use crate::peer::{Field, own, riders};
use crate::play::{Plan, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Role};
use phalanx::Algorithm;
use std::iter;
use std::time::Duration;

const FLOOR: &str = "both flags in one line";
const FLOOR_AGAIN: &str = "the floor once more";
const TRIP: &str = "a bare trip";
const AGAIN: &str = "a bare trip once more";
const SUM: &str = "all_reduce of f64";

/// Every operation as `Auto` does it for two.
pub fn run(context: &Context, section: &mut Section) {
    crate::watch::shape("riders, values");
    let instances = context.pick(1, 8, 16);
    let cpus = &context.place.cpus[..];
    let auto = (2, Algorithm::Auto, Some(cpus));
    let mut field = Field::default();
    for name in [FLOOR, FLOOR_AGAIN] {
        field.add(Entrant::new(name, Role::Floor, instances, || Ok(exchange::<Packed, Bare>())));
    }
    for name in [TRIP, AGAIN] {
        field.add(Entrant::new(name, Role::Info, instances, || own::algorithm(2, Algorithm::Auto, Some(cpus))));
    }
    field.add(riders::entrant::<riders::Sum>(SUM.into(), Role::Subject, instances, auto));
    let mut own = |entrant| field.add(entrant);
    own(riders::entrant::<riders::SumOfFour>("all_reduce of [f64; 4]".into(), Role::Own, instances, auto));
    own(riders::entrant::<riders::Heard>("broadcast of f64".into(), Role::Own, instances, auto));
    own(riders::entrant::<riders::Gathered>("all_gather_into of f64".into(), Role::Own, instances, auto));
    own(riders::entrant::<riders::Scanned>("exclusive_scan of f64".into(), Role::Own, instances, auto));
    own(riders::entrant::<riders::SumByOne>("cloning().all_reduce of f64".into(), Role::Own, instances, auto));
    own(riders::entrant::<riders::Serial>("serial".into(), Role::Own, instances, auto));
    let plan = Plan {
        cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 200, 1500),
        length: context.length(300, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let (all, rows) = lap_rows(&played, &[TRIP, FLOOR]);
    section.tables.push(Table { title: "2 parties, values on board".into(), unit: "ns/trip", rows });
    let claim = "all_reduce of f64 over a bare trip";
    section.verdicts.push(target(context, &all, claim, (SUM, TRIP), Sense::AtMost, 1.25));
    section.notes.extend(noise(&all, (FLOOR_AGAIN, FLOOR), "values: "));
    section.notes.extend(noise(&all, (AGAIN, TRIP), "values: "));
    note_absent(section, field);
    note_wrong(section, &played);
}

/// A sum on every algorithm, each against its own bare trip.
pub fn by_algorithm(context: &Context, section: &mut Section) {
    crate::watch::shape("riders, a sum by algorithm");
    let instances = context.pick(1, 4, 8);
    let cpus = &context.place.cpus[..];
    let summing = |algorithm: Algorithm| format!("{algorithm}, all_reduce");
    let auto_again = format!("{} once more", Algorithm::Auto);
    let every = || iter::once(Algorithm::Auto).chain(Algorithm::NAMED);
    let mut field = Field::default();
    let bare = every().map(|algorithm| (algorithm.to_string(), algorithm));
    for (name, algorithm) in bare.chain([(auto_again.clone(), Algorithm::Auto)]) {
        field.add(Entrant::new(name, Role::Info, instances, || own::algorithm(2, algorithm, Some(cpus))));
    }
    for algorithm in every() {
        let who = (2, algorithm, Some(cpus));
        field.add(riders::entrant::<riders::Sum>(summing(algorithm), Role::Own, instances, who));
    }
    let plan = Plan {
        cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 80, 600),
        length: context.length(200, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let auto = Algorithm::Auto.to_string();
    let (all, mut rows) = lap_rows(&played, &[&auto]);
    for algorithm in every() {
        compare(&mut rows, &all, &summing(algorithm), &algorithm.to_string(), BARE);
    }
    section.tables.push(Table { title: "2 parties, all_reduce of f64 by algorithm".into(), unit: "ns/trip", rows });
    section.notes.extend(noise(&all, (&auto_again, &auto), "by algorithm: "));
    note_absent(section, field);
    note_wrong(section, &played);
}
