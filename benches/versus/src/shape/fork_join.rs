//! Fork and join: a closure of next to nothing on all members, again and again; a team against pools, new threads and OpenMP.
//!
//! The entrants have threads of their own, so they are not played by the crew of the other shapes: in each round each entrant,
//! in another order each time, makes its threads, runs its regions, and ends them. Ratios are paired by round.

use super::{Context, Mode, Series, find, lap_rows, thrift_of_laps};
use crate::peer::regions::{self, Crew, DIST_NAME, LIBGOMP_NAME, LIBOMP_NAME, Regions};
use crate::play::Played;
use crate::report::{Section, Sense, Table, Verdict};
use crate::seat::{Lap, Role};
use std::time::Duration;

const SUBJECT: &str = "phalanx team";
const FORKUNION: &str = "forkunion";
/// All that a team is to be faster than.
const RIVALS: [&str; 7] = [
    "rayon broadcast",
    "rayon broadcast within",
    "std::thread::scope",
    FORKUNION,
    LIBGOMP_NAME,
    LIBOMP_NAME,
    DIST_NAME,
];

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "fork-join",
        "Fork and join",
        "The calling thread, pinned, lets all members run one closure that counts, and waits for them. Nanoseconds per region, by the caller's clock; but for OpenMP's, threads are made anew for each round, and the first regions are not timed.",
    );
    let pair = context.place.cpus;
    // Before the caller is pinned: phalanx and the OpenMP runtimes see now which CPUs there are.
    let mut crews: Vec<Crew> = vec![regions::phalanx(), regions::rayon(), regions::rayon_within(), regions::scope()];
    for entrant in std::iter::once(regions::forkunion()).chain(regions::openmp(&pair)) {
        match entrant {
            Ok(crew) => crews.push(crew),
            Err(why) => section.absent.push(why),
        }
    }
    let crews = &crews;
    drop(phalanx::topology::startup_mask().clone());
    context.place.pin(0);
    let hot =
        Regions { opening: context.pick(20, 300, 300), timed: context.pick(50, 2_000, 5_000), idle: Duration::ZERO };
    let table = Sheet { title: "2 members, hot", cpus: &pair, rounds: context.pick(2, 25, 101), regions: hot };
    let all = play(context, &mut section, crews, &table);
    let at_most = |all: &[Series], claim: &str, by: &str, limit: f64| {
        let measured = || Some(find(all, SUBJECT)?.over(find(all, by)?));
        let measured = if context.mode == Mode::Smoke { None } else { measured() };
        Verdict::new(claim, measured, Sense::AtMost, limit)
    };
    section.verdicts.push(at_most(&all, "2 members: the team over forkunion", FORKUNION, 0.7));
    for by in RIVALS.into_iter().filter(|&by| by != FORKUNION) {
        section.verdicts.push(at_most(&all, &format!("2 members: the team over {by}"), by, 1.0));
    }

    let idle = Regions { opening: 2, timed: context.pick(2, 10, 30), idle: Duration::from_millis(5) };
    let rounds = context.pick(1, 9, 25);
    play(
        context,
        &mut section,
        crews,
        &Sheet { title: "2 members, each region after 5 ms of idling", cpus: &pair, rounds, regions: idle },
    );

    for (members, title) in [(4, "4 members on 2 CPUs"), (8, "8 members on 2 CPUs"), (16, "16 members on 2 CPUs")] {
        let cpus: Vec<usize> = pair.iter().copied().cycle().take(members).collect();
        let regions =
            Regions { opening: context.pick(5, 50, 100), timed: context.pick(20, 300, 1_000), idle: Duration::ZERO };
        let sheet = Sheet { title, cpus: &cpus, rounds: context.pick(1, 9, 31), regions };
        let all = play(context, &mut section, crews, &sheet);
        for by in RIVALS.into_iter().filter(|by| sheet.has(by)) {
            section.verdicts.push(at_most(&all, &format!("{members} on 2: the team over {by}"), by, 1.0));
        }
    }
    context.place.restrict();
    section.notes.push(
        "forkunion's threads never give their CPUs up, so that a region of more members than CPUs takes the scheduler's time slices: milliseconds, and fewer regions per round; libomp with its distributed pattern is left out there for the same reason.".into(),
    );
    section
}

/// One table.
struct Sheet<'a> {
    title: &'a str,
    cpus: &'a [usize],
    rounds: usize,
    regions: Regions,
}

impl Sheet<'_> {
    /// Some milliseconds per region are seconds per round; a handful tells as much.
    fn regions_of(&self, name: &str) -> Regions {
        let crowded = self.cpus.len() > 2;
        if name == FORKUNION && crowded { Regions { opening: 1, timed: 3, ..self.regions } } else { self.regions }
    }

    /// Whose threads do not yield is in nobody's way here, but would take seconds.
    fn has(&self, name: &str) -> bool {
        name != DIST_NAME || self.cpus.len() <= 2
    }
}

fn play(context: &Context, section: &mut Section, crews: &[Crew], sheet: &Sheet<'_>) -> Vec<Series> {
    let role = |name: &str| if name == SUBJECT { Role::Subject } else { Role::Rival };
    let nothing = |crew: &Crew| Played {
        name: crew.name.into(),
        role: role(crew.name),
        trips: sheet.regions_of(crew.name).timed,
        rounds: vec![None; sheet.rounds],
        wrong: Vec::new(),
    };
    let mut played: Vec<Played<Lap>> = crews.iter().map(nothing).collect();
    for round in 0..sheet.rounds {
        for which in crate::play::shuffled(crews.len(), round) {
            let name = crews[which].name;
            if !sheet.has(name) {
                continue;
            }
            crate::watch::progress(name);
            match (crews[which].round)(sheet.cpus, sheet.regions_of(name)) {
                Ok(lap) => played[which].rounds[round] = Some(vec![lap]),
                Err(why) => section.wrong.push(format!("{name}: {why}")),
            }
        }
    }
    // A pool that pins its caller must not have moved it for those who come behind.
    context.place.pin(0);
    played.retain(|peer| sheet.has(&peer.name));
    let (all, rows) = lap_rows(&played, &[SUBJECT]);
    section.verdicts.extend(thrift_of_laps(context, &played, &format!("{}: ", sheet.title)));
    section.tables.push(Table { title: sheet.title.into(), unit: "ns/region", rows });
    all
}
