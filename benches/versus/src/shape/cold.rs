//! The first trip of a process: what building, calibrating and the first crossing cost, each in a fresh process.
//!
//! No target, only to be shown. Each process builds one barrier, lets two threads that already run cross it twice, and
//! then builds another: what the first of each costs more than the second is the price of starting up.

use super::{Context, Series};
use crate::clock::{ns, stamp};
use crate::gate::Gate;
use crate::peer::floor::{Bare, Packed, exchange};
use crate::peer::{STD, SUBJECT, crates, own};
use crate::place::Place;
use crate::report::{Section, Table};
use crate::seat::{Crossing, Passage, Role};
use crate::usage::process_cpu;
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::{env, thread};

const FLOOR: &str = "both flags in one line";

/// What one process found, in microseconds.
#[derive(Serialize, Deserialize)]
struct Start {
    build: f64,
    build_again: f64,
    first_trip: f64,
    second_trip: f64,
    /// Of all threads, for the first building.
    build_cpu: f64,
}

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "cold",
        "The first trip",
        "Fresh processes in turn. Microseconds: to build the barrier and hand out its two parties, the same again in the same process, and from the last arrival to the last release of the first two trips (of running, pinned threads).",
    );
    let processes = context.pick(2, 20, 60);
    let mut seen: [Vec<Option<Start>>; 3] = Default::default();
    for _ in 0..processes {
        for (peer, seen) in [SUBJECT, STD, FLOOR].iter().zip(&mut seen) {
            crate::watch::progress(peer);
            match spawn(context.place, peer) {
                Ok(start) => seen.push(Some(start)),
                Err(why) => {
                    section.wrong.push(format!("{peer}: {why}"));
                    seen.push(None);
                }
            }
        }
    }
    type Column = (&'static str, fn(&Start) -> f64);
    let columns: [Column; 5] = [
        ("To build, the first time", |start| start.build),
        ("To build, CPU time of all threads", |start| start.build_cpu),
        ("To build, the second time", |start| start.build_again),
        ("The first trip", |start| start.first_trip),
        ("The second trip", |start| start.second_trip),
    ];
    for (title, value) in columns {
        let series = |(peer, role, starts): (&str, Role, &Vec<Option<Start>>)| Series {
            name: peer.into(),
            role,
            values: starts.iter().map(|start| start.as_ref().map(value)).collect(),
        };
        let [subject, std, floor] = &seen;
        let all = [(SUBJECT, Role::Subject, subject), (STD, Role::Rival, std), (FLOOR, Role::Floor, floor)].map(series);
        let rows = all.iter().map(|series| series.row(&all, &[STD], 1)).collect();
        section.tables.push(Table { title: title.into(), unit: "µs", rows });
    }
    section.notes.push(format!("calibration, as phalanx reports it for this process: {}", own::calibration()));
    section
}

fn spawn(place: Place, peer: &str) -> Result<Start, String> {
    let [a, b] = place.cpus;
    let program = env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(program)
        .args(["cold", "--on", &format!("{a},{b}"), "--peer", peer])
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

/// The child's program: prints what it found as JSON.
pub fn child(place: Place, peer: &str) -> Result<(), String> {
    place.restrict();
    let start = match peer {
        SUBJECT => measure(place, || own::default(2))?,
        STD => measure(place, || Ok(crates::std(2)))?,
        FLOOR => measure(place, || Ok(exchange::<Packed, Bare>()))?,
        other => return Err(format!("no peer {other:?} for a cold start")),
    };
    println!("{}", serde_json::to_string(&start).map_err(|e| e.to_string())?);
    Ok(())
}

fn measure<C: Crossing>(place: Place, build: impl Fn() -> Result<Vec<C>, String>) -> Result<Start, String> {
    // The clock finds its rate at the first call; that is not the barrier's.
    stamp();
    let (cpu, from) = (process_cpu(), stamp());
    let parties = build()?;
    let (built, build_cpu) = (stamp(), process_cpu() - cpu);
    let gate = Gate::new(2, 2);
    let seen: Vec<[Passage; 2]> = thread::scope(|s| {
        let member = |(rank, mut party): (usize, C)| {
            let gate = &gate;
            s.spawn(move || {
                place.pin(rank);
                gate.meet();
                [(); 2].map(|()| {
                    let arrived = stamp();
                    party.wait();
                    Passage { arrived, released: stamp() }
                })
            })
        };
        let members: Vec<_> = parties.into_iter().enumerate().map(member).collect();
        members.into_iter().map(|member| member.join().expect("a panic ends the process")).collect()
    });
    let again = stamp();
    drop(build()?);
    let us = |from, to| ns(to - from) / 1e3;
    let trip = |i: usize| {
        let last = |time: fn(&Passage) -> u64| seen.iter().map(|party| time(&party[i])).max().expect("two parties");
        us(last(|p| p.arrived), last(|p| p.released))
    };
    Ok(Start {
        build: us(from, built),
        build_again: us(again, stamp()),
        first_trip: trip(0),
        second_trip: trip(1),
        build_cpu: build_cpu as f64 / 1e3,
    })
}
