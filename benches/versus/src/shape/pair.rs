//! Two parties, pinned, everyone together: against the floor, and against the other barriers.
//!
//! Two matches, because the floor is a matter of nanoseconds and wants its rounds close to those of phalanx, while some
//! rivals take as long for a trip as the floor for a thousand, and those in other processes have to be woken first. The floor takes part twice: its ratio to itself is what the method cannot see.

use super::straggler::{FLOOR, OWNED};
use super::{Context, Series, ahead_of_all, find, floor_of, lap_rows, note_wrong, target, thrift_of_laps};
use crate::peer::floor::{Bare, Hint, Owning, Packed, Padded, exchange};
use crate::peer::{Field, SPIN, STD, SUBJECT, own};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Lap, Role, Seat};
use phalanx::{Algorithm, WaitPolicy};
use std::time::Duration;

const AGAIN: &str = "the floor once more";

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "pair",
        "Two parties, everyone together",
        "Two threads, each pinned to its CPU, cross back to back. Nanoseconds per trip, by party 0's clock from a common start to its last release.",
    );
    against_floor(context, &mut section);
    against_rivals(context, &mut section);
    section
}

fn against_floor(context: &Context, section: &mut Section) {
    let instances = context.pick(2, 8, 16);
    let mut field = Field::default();
    field.add(Entrant::new(FLOOR, Role::Floor, instances, || Ok(exchange::<Packed, Bare>())));
    field.add(Entrant::new(OWNED, Role::Floor, instances, || Ok(exchange::<Packed, Owning>())));
    field.subject(2, instances);
    field.add(Entrant::new(AGAIN, Role::Info, instances, || Ok(exchange::<Packed, Bare>())));
    field.add(Entrant::new("phalanx with a timeout", Role::Own, instances, || own::with_timeout(2)));
    field.own(2, instances, Algorithm::Exchange, WaitPolicy::Spin);
    field.own(2, instances, Algorithm::Central, WaitPolicy::Spin);
    field.add(Entrant::new("one line, with the spin hint", Role::Info, instances, || Ok(exchange::<Packed, Hint>())));
    field.add(Entrant::new("each flag in its own line", Role::Info, instances, || Ok(exchange::<Padded, Bare>())));
    let time = context.pick(1000, 1000, 1500);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 250, 2000),
        length: context.length(300, Duration::from_micros(time), 50),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, field.entrants, crossing);
    let (all, rows) = lap_rows(&played, &[FLOOR, OWNED]);
    let floor = floor_of(&all);
    section.tables.push(Table { title: "Against the floor".into(), unit: "ns/trip", rows });
    section.verdicts.push(target(context, &all, "phalanx over the floor", (SUBJECT, &floor), Sense::AtMost, 1.15));
    section.verdicts.push(target(
        context,
        &all,
        "phalanx with a timeout over the floor",
        ("phalanx with a timeout", &floor),
        Sense::AtMost,
        1.15,
    ));
    section.notes.extend(noise(&all));
    section.absent.append(&mut field.absent);
    note_wrong(section, &played);
}

/// What the method cannot tell apart: the floor divided by itself.
fn noise(all: &[Series]) -> Option<String> {
    let is = find(all, AGAIN)?.over(find(all, FLOOR)?);
    let quiet = (is.median - 1.0).abs() < 0.03 && is.q3 - is.q1 < 0.2;
    let advice = if quiet { "" } else { " **Too noisy: do not cite this run.**" };
    Some(format!(
        "the floor divided by itself: {:.3} [{:.3}, {:.3}]; a difference smaller than that is noise.{advice}",
        is.median, is.q1, is.q3
    ))
}

fn against_rivals(context: &Context, section: &mut Section) {
    let instances = context.pick(1, 4, 8);
    let mut field = Field::default();
    field.subject(2, instances);
    field.everyone(&context.place.cpus, instances);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 90, 600),
        length: context.length(300, Duration::from_millis(3), 20),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, field.entrants, crossing);
    section.verdicts.extend(thrift_of_laps(context, &played, ""));
    let (all, rows) = lap_rows(&played, &[SUBJECT]);
    section.tables.push(Table { title: "Against the other barriers".into(), unit: "ns/trip", rows });
    section.verdicts.extend(ahead_of_all(context, &all, ""));
    for (rival, times) in [("libgomp", 3.0), (SPIN, 3.0), (STD, 100.0)] {
        section.verdicts.push(target(
            context,
            &all,
            &format!("{rival} over phalanx"),
            (rival, SUBJECT),
            Sense::AtLeast,
            times,
        ));
    }
    section.absent.append(&mut field.absent);
    note_wrong(section, &played);
}

/// Enough untimed trips to bring the lines over, and for a policy that learns to forget how long the gate took.
fn crossing(turn: &Turn, seat: &mut dyn Seat) -> Lap {
    seat.back_to_back(16, turn.trips)
}
