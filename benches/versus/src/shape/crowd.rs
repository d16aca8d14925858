//! More parties than CPUs: what a trip costs when most of those who wait must give up their CPU for it to happen.
//!
//! Where the scheduler puts the threads matters as much as the barrier: left alone, it may keep them all on one CPU
//! while the other idles, or spread them, and which of the two it does changes from round to round. So there are two
//! tables per size: the threads float over both CPUs, as most programs leave them, and they are dealt out, even ranks
//! to one CPU and odd ones to the other. CPU time per trip beside the time itself says how many CPUs were in use. The
//! floor here is a counter whose waiters yield, since a trip then costs each party one turn on a CPU and hardly
//! anything else. Trips are timed by party 0, which may come early or late in the order of release; over the trips of a
//! round that evens out.
//!
//! Who spins to the end takes part where there are at most twice as many parties as CPUs, in few rounds of few trips: a trip
//! then waits for the scheduler to take a spinner's CPU away, several times over. `hurdles` yields a few times first, and
//! so takes part up to four times as many. For larger crowds the report has what they took there. tokio's tasks are a rival as well, and one that no thread can keep up with, for to switch between
//! tasks is no switch of threads (see `peer::tasks`); so the closest of the others is judged beside the closest of all.

use super::{Context, Mode, Series, ahead_of, ahead_of_all, find, lap_rows, note_wrong, target, thrift_of_laps};
use crate::peer::floor::yield_counter;
use crate::peer::{Field, HURDLES, STD, SUBJECT, tasks};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Entrant, Role, Seat};
use phalanx::{Algorithm, WaitPolicy};
use std::time::Duration;

/// Without `Spin`, which asks for a CPU per party.
const ALL: [WaitPolicy; 3] = [WaitPolicy::SpinYield, WaitPolicy::SpinPark, WaitPolicy::Park];

const FLOOR: &str = "counter and yield";

/// Twice as many as there are CPUs.
const MOST_SPINNING: usize = 4;

/// For the one who yields seven times first: enough for the others of its CPU to come by, while they are few.
const MOST_YIELDING: usize = 8;

pub fn run(context: &Context, sizes: &[usize]) -> Section {
    let mut section = Section::new(
        "crowd",
        "More parties than CPUs",
        "So many threads on the same two CPUs cross back to back: floating over both, and dealt out, even ranks to the first and odd ones to the second. Nanoseconds per trip.",
    );
    let mut dealt_out = Vec::new();
    for &parties in sizes {
        for dealt in [false, true] {
            crate::watch::shape(&format!("crowd of {parties}"));
            let all = size(context, parties, dealt, &mut section);
            if dealt {
                dealt_out.push((parties, all));
            }
        }
    }
    section.absent.extend(left_out(&dealt_out));
    section
}

/// Those who spin, each with the largest crowd that it takes part in.
fn spinners() -> Vec<(String, usize)> {
    let mut field = Field::default();
    field.spinners(2, 1);
    let most = |name: &str| if name == HURDLES { MOST_YIELDING } else { MOST_SPINNING };
    field.entrants.into_iter().map(|it| it.card.name).map(|name| (name.clone(), most(&name))).collect()
}

/// Why they are not in larger ones.
fn left_out(crowds: &[(usize, Vec<Series>)]) -> Vec<String> {
    let larger = |most: usize| crowds.iter().any(|(parties, _)| *parties > most);
    let reason = |(name, most): (String, usize)| {
        let took = crowds.iter().rev().find_map(|(parties, all)| Some((parties, find(all, &name)?.summary().median)));
        let took = took
            .map(|(parties, ns)| format!("; with {parties} it took {:.1?} per trip", Duration::from_nanos(ns as u64)));
        let why = "spins in the end, and keeps its CPU from those it waits for";
        format!("{name}, in crowds of more than {most}: {why}{}", took.unwrap_or_default())
    };
    spinners().into_iter().filter(|(_, most)| larger(*most)).map(reason).collect()
}

fn size(context: &Context, parties: usize, dealt: bool, section: &mut Section) -> Vec<Series> {
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
    if parties <= MOST_SPINNING && (context.mode != Mode::Smoke || (dealt && parties == MOST_SPINNING)) {
        field.seldom(6, |field| {
            field.spin(parties, instances);
            field.ck(parties, instances);
        });
    }
    if parties <= MOST_YIELDING {
        field.hurdles(parties, instances);
    }
    if dealt {
        field.foreign(&context.place.cpus.into_iter().cycle().take(parties).collect::<Vec<_>>());
    } else {
        field.foreign_anywhere(parties, &context.place.cpus);
    }
    // Some of them take ten times as long as anybody else.
    field.foreign_each(context.pick(1, if parties > 64 { 4 } else { 2 }, if parties > 64 { 2 } else { 1 }));
    let plan = Plan {
        cpus: &context.place.cpus,
        parties,
        pinned: dealt,
        rounds: context.pick(1, 10, 60),
        length: context.length(
            if parties <= MOST_SPINNING { 8 } else { 10 },
            Duration::from_millis(context.pick(20, 12, 30)),
            context.pick(20, 12, 20),
        ),
        verified: context.pick(5, 2, 2),
    };
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| {
        seat.back_to_back(turn.trips.min(4) + turn.trips / 4, turn.trips)
    });
    let (all, rows) = lap_rows(&played, &[SUBJECT, FLOOR]);
    section.verdicts.extend(thrift_of_laps(context, &played, &format!("{name}: ")));
    section.tables.push(Table { title: format!("{name} on 2 CPUs"), unit: "ns/trip", rows });
    let times = if parties > 64 { 4.0 } else { 5.0 };
    let claim = |what: &str| format!("{name}: {what}");
    section.verdicts.push(target(context, &all, &claim("std over phalanx"), (STD, SUBJECT), Sense::AtLeast, times));
    section.verdicts.extend(ahead_of_all(context, &all, &claim("")));
    section
        .verdicts
        .extend(ahead_of(context, &all, &claim("the closest rival of threads"), |series| series.name != tasks::NAME));
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
    all
}
