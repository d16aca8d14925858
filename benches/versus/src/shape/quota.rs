//! Fewer CPUs' worth of time than CPUs: what a container with `--cpus=1` gives to two threads.
//!
//! The affinity mask shows two CPUs, and the quota, 1 or 0.5 CPUs' worth of each 100 ms, lets both run for half of the time
//! or a quarter. A barrier that spins pays for its waits with time that the work, or the next trip, does not get: as soon as
//! the quota is used up, all threads of the group stand still until the period ends. So CPU time per trip is what counts, and
//! time per trip is what it comes to.
//!
//! A group has a process of its own that joins it before it does anything else, for phalanx looks at the quota when it
//! first calibrates. A round lasts two periods, and its trips are counted, as in `busy`: so much of a fixed time is
//! throttled that a round of a fixed number of trips would measure in which part of a period it began. Who comes behind
//! somebody that has used up the period's quota finds the rest of it gone, and who comes behind a thrifty one finds some left:
//! at most half of a round's quota, either way, and the order is another in each round.
//!
//! With `--quick` only phalanx, std and, for two, `spin` take part: a round is long, and pairs of rounds are what the ratio
//! needs. Two that only spin are the ones to beat where trips follow each other at once, for they make all their trips
//! while the quota lasts; a program with work between its trips would rather have the time for the work.

use super::{Context, Mode, ahead_of_all, lap_rows, note_wrong, target};
use crate::cgroup::{self, Group, PERIOD};
use crate::clock::ticks;
use crate::length::Length;
use crate::peer::{Field, STD, SUBJECT};
use crate::place::Place;
use crate::play::{Plan, Played, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Lap, Role, Seat};
use crate::watch;
use phalanx::{Algorithm, WaitPolicy};
use serde::{Deserialize, Serialize};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What the process of one table found.
#[derive(Serialize, Deserialize)]
struct Found {
    /// As phalanx reads it.
    quota: Option<f64>,
    peers: Vec<Peer>,
    absent: Vec<String>,
}

/// [`Played`], to be sent.
#[derive(Serialize, Deserialize)]
struct Peer {
    name: String,
    role: Role,
    trips: u64,
    rounds: Vec<Option<Vec<Lap>>>,
    wrong: Vec<String>,
}

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "quota",
        "A CPU quota",
        "A process in a control group of its own that gets 1 or 0.5 CPUs' worth of time in each 100 ms, while its parties, dealt out, are on both CPUs. Rounds of two periods; nanoseconds per trip that was made in them. The CPU time per trip is what uses the quota up.",
    );
    let all = vec![(2, 1.0), (4, 1.0), (2, 0.5), (4, 0.5)];
    for (parties, cpus) in context.pick(vec![(2, 1.0), (4, 0.5)], all.clone(), all) {
        let name = format!("{parties} parties, {cpus} CPUs' worth of time");
        match measure(context, parties, cpus) {
            Ok(Measured { found: Ok(found), throttled, version }) => {
                let (periods, short) = throttled;
                let quota = found.quota.map_or("none".into(), |quota| quota.to_string());
                section.notes.push(format!(
                    "{name}: {version}; phalanx reads a quota of {quota}; it ran out in {short} of {periods} periods"
                ));
                judge(context, &name, found, &mut section);
            }
            // Not permitted, for one or the other reason.
            Ok(Measured { found: Err(why), .. }) | Err(Failure::NoGroup(why)) => {
                section.absent.push(format!("{name}: {why}"));
            }
            Err(Failure::Child(why)) => section.wrong.push(format!("{name}: {why}")),
        }
    }
    section
}

enum Failure {
    NoGroup(String),
    Child(String),
}

struct Measured {
    /// Why it could not join the group.
    found: Result<Found, String>,
    throttled: (u64, u64),
    version: &'static str,
}

fn measure(context: &Context, parties: usize, cpus: f64) -> Result<Measured, Failure> {
    let group = Group::with_quota(cpus).map_err(Failure::NoGroup)?;
    // It watches itself.
    watch::nothing();
    let found = spawn(context, parties, group.path()).map_err(Failure::Child)?;
    Ok(Measured { found, throttled: group.throttled(), version: group.version() })
}

fn spawn(context: &Context, parties: usize, group: &Path) -> Result<Result<Found, String>, String> {
    let program = env::current_exe().map_err(|e| e.to_string())?;
    let [a, b] = context.place.cpus;
    let output = Command::new(program)
        .args(["quota", "--on", &format!("{a},{b}"), "--parties", &parties.to_string()])
        .args(["--mode", context.mode.name(), "--group"])
        .arg(group)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

/// The child's program: prints what it found as JSON.
pub fn child(on: [usize; 2], parties: usize, mode: Mode, group: &Path) -> Result<(), String> {
    let found = cgroup::join(group).and_then(|()| {
        let place = Place::choose(Some(on))?;
        place.restrict();
        watch::start();
        watch::shape(&format!("quota, {parties} parties"));
        Ok(play_here(&Context { place, allowed: on.into(), mode }, parties))
    });
    println!("{}", serde_json::to_string(&found).map_err(|e| e.to_string())?);
    Ok(())
}

fn play_here(context: &Context, parties: usize) -> Found {
    let quota = phalanx::topology::quota();
    let instances = 1;
    let mut field = Field::default();
    field.subject(parties, instances);
    if context.mode == Mode::Full {
        field.own(parties, instances, Algorithm::Auto, WaitPolicy::Park);
        field.compat(parties, instances);
        field.threads(parties, instances);
        if parties == 2 {
            field.spinners(parties, instances);
        }
        let cpus: Vec<usize> = context.place.cpus.iter().copied().cycle().take(parties).collect();
        field.foreign(&cpus);
    } else {
        let cpus: Vec<usize> = context.place.cpus.iter().copied().cycle().take(parties).collect();
        field.libgomp(&cpus);
        field.std(parties, instances);
        if parties == 2 {
            field.spin(parties, instances);
        }
    }
    let plan = Plan {
        cpus: &context.place.cpus,
        parties,
        pinned: true,
        rounds: context.pick(1, 5, 12),
        length: Length::Trips(0),
        verified: 2,
    };
    let time = ticks(context.pick(Duration::from_millis(20), 2 * PERIOD, 2 * PERIOD));
    let last = AtomicU64::new(u64::MAX);
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.until(turn.rank, time, &last));
    let peers = played.into_iter().map(|Played { name, role, trips, rounds, wrong }| {
        let mut peer = Peer { name, role, trips, rounds, wrong };
        if peer.rounds.iter().flatten().any(|laps| laps.iter().any(|lap| lap.trips != laps[0].trips)) {
            peer.wrong.push("the parties disagree on the number of trips".into());
        }
        peer
    });
    Found { quota, peers: peers.collect(), absent: field.absent }
}

fn judge(context: &Context, name: &str, found: Found, section: &mut Section) {
    let played = found.peers.into_iter().map(|Peer { name, role, trips, rounds, wrong }| Played {
        name,
        role,
        trips,
        rounds,
        wrong,
    });
    let played: Vec<Played<Lap>> = played.collect();
    let (all, rows) = lap_rows(&played, &[SUBJECT, STD]);
    section.tables.push(Table { title: name.into(), unit: "ns/trip", rows });
    for by in [STD, "libgomp"] {
        if by == STD || played.iter().any(|peer| peer.name == by) {
            let claim = format!("{name}: phalanx over {by}");
            section.verdicts.push(target(context, &all, &claim, (SUBJECT, by), Sense::AtMost, 1.0));
        }
    }
    section.verdicts.extend(ahead_of_all(context, &all, &format!("{name}: ")));
    for who in found.absent {
        if !section.absent.contains(&who) {
            section.absent.push(who);
        }
    }
    note_wrong(section, &played);
}
