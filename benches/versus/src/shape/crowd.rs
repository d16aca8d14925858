//! More parties than CPUs: what a trip costs when most of those who wait must give up their CPU for it to happen.
//!
//! Where the scheduler puts the threads matters as much as the barrier: left alone, it may keep them all on one CPU
//! while the other idles, or spread them, and which of the two it does changes from round to round. So there are two
//! tables per size: the threads float over both CPUs, as most programs leave them, and they are dealt out, even ranks
//! to one CPU and odd ones to the other. CPU time per trip beside the time itself says how many CPUs were in use. The
//! floor here is a counter whose waiters yield, since a trip then costs each party one turn on a CPU and hardly
//! anything else. Trips are timed by party 0, which may come early or late in the order of release; over the trips of a
//! round that evens out.

use super::{Context, ahead_of_all, lap_rows, note_wrong, target};
use crate::peer::floor::yield_counter;
use crate::peer::{Field, STD, SUBJECT};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Role, Seat};
use phalanx::{Algorithm, WaitPolicy};
use std::time::Duration;

/// Without `Spin`, which asks for a CPU per party.
const ALL: [WaitPolicy; 3] = [WaitPolicy::SpinYield, WaitPolicy::SpinPark, WaitPolicy::Park];

const FLOOR: &str = "counter and yield";

pub fn run(context: &Context, sizes: &[usize]) -> Section {
    let mut section = Section::new(
        "crowd",
        "More parties than CPUs",
        "So many threads on the same two CPUs cross back to back: floating over both, and dealt out, even ranks to the first and odd ones to the second. Nanoseconds per trip.",
    );
    for &parties in sizes {
        for dealt in [false, true] {
            crate::watch::shape(&format!("crowd of {parties}"));
            size(context, parties, dealt, &mut section);
        }
    }
    section
}

fn size(context: &Context, parties: usize, dealt: bool, section: &mut Section) {
    let name = format!("{parties} parties, {}", if dealt { "dealt out" } else { "floating" });
    let instances = context.pick(1, 2, 4);
    let mut field = Field::default();
    field.add(Entrant::new(FLOOR, Role::Floor, instances, || Ok(yield_counter(parties))));
    field.subject(parties, instances);
    let policies: &[WaitPolicy] = context.pick(&ALL, &[WaitPolicy::Park], &ALL);
    for &policy in policies {
        field.own(parties, instances, Algorithm::Central, policy);
    }
    field.compat(parties, instances);
    field.threads(parties, instances);
    if dealt {
        field.foreign(&context.place.cpus.into_iter().cycle().take(parties).collect::<Vec<_>>());
    } else {
        field.foreign_anywhere(parties);
    }
    // Some of them take ten times as long as anybody else.
    field.foreign_each(context.pick(1, if parties > 64 { 4 } else { 2 }, if parties > 64 { 2 } else { 1 }));
    let plan = Plan {
        cpus: &context.place.cpus,
        parties,
        pinned: dealt,
        rounds: context.pick(1, 12, 60),
        length: context.length(
            if parties > 16 { 10 } else { 100 },
            Duration::from_millis(context.pick(20, 20, 30)),
            20,
        ),
        verified: context.pick(20, 2, 2),
    };
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| {
        seat.back_to_back(4 + turn.trips / 4, turn.trips)
    });
    let (all, rows) = lap_rows(&played, &[SUBJECT, FLOOR]);
    section.tables.push(Table { title: format!("{name} on 2 CPUs"), unit: "ns/trip", rows });
    let times = if parties > 64 { 4.0 } else { 5.0 };
    let claim = |what: &str| format!("{name}: {what}");
    section.verdicts.push(target(context, &all, &claim("std over phalanx"), (STD, SUBJECT), Sense::AtLeast, times));
    section.verdicts.extend(ahead_of_all(context, &all, &claim("")));
    section.verdicts.push(target(
        context,
        &all,
        &claim("phalanx over the yield floor"),
        (SUBJECT, FLOOR),
        Sense::AtMost,
        1.5,
    ));
    for absent in field.absent {
        if !section.absent.contains(&absent) {
            section.absent.push(absent);
        }
    }
    note_wrong(section, &played);
}
