//! Two parties, or a crowd, and a process on each CPU that wants all of it.
//!
//! A barrier that spins is at its worst here: the scheduler takes the CPU from a party in the middle of a trip, and the
//! other burns its own share waiting. Time per trip has two humps then, nanoseconds and time slices, and a round of a
//! fixed number of trips would measure luck. So a round lasts a fixed time and the trips are counted. Rank 0 has the
//! clock; it announces the last trip before it arrives at it, so the others know by the barrier's own promise.

use super::{Context, lap_rows, note_wrong, target, thrift_of_laps};
use crate::clock::{ns, stamp, ticks};
use crate::length::Length;
use crate::peer::{Field, STD, SUBJECT};
use crate::place::{Place, pin_to};
use crate::play::{Plan, Turn, play};
use crate::report::{Section, Sense, Table};
use crate::seat::{Crossing, Lap, Seat};
use crate::usage::Usage;
use phalanx::{Algorithm, WaitPolicy};
use rustix::process::getppid;
use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One party's part in a round of `ticks`.
#[inline(always)]
pub fn trips_until<C: Crossing>(crossing: &mut C, rank: usize, ticks: u64, last: &AtomicU64) -> Lap {
    let before = Usage::of_thread();
    if rank == 0 {
        last.store(u64::MAX, Relaxed);
    }
    let start = stamp();
    let mut trips = 0;
    loop {
        trips += 1;
        if rank == 0 && stamp() - start >= ticks {
            last.store(trips, Relaxed);
        }
        crossing.wait();
        // Not `!=`: rank 0 may have announced the next trip already, before we look.
        if last.load(Relaxed) <= trips {
            break;
        }
    }
    Lap { ns: ns(stamp() - start), trips, usage: Usage::of_thread().since(before), all_trips: trips }
}

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "busy",
        "A busy process on each CPU",
        "On each CPU another process spins at normal priority; two parties are pinned as above, more are left to the scheduler. Rounds of a fixed time; nanoseconds per trip that was made in it. A barrier is kept from round to round, so what it learns of its rivals it keeps.",
    );
    let competitors = match Competitors::start(context.place) {
        Ok(competitors) => competitors,
        Err(why) => {
            section.absent.push(why);
            return section;
        }
    };
    for parties in context.pick(vec![2, 4], vec![2, 4, 64], vec![2, 4, 16, 64, 256]) {
        measure(context, parties, &mut section);
    }
    section.wrong.extend(competitors.check());
    section
}

fn measure(context: &Context, parties: usize, section: &mut Section) {
    let (instances, pair) = (2, parties == 2);
    let mut field = Field::default();
    field.subject(parties, instances);
    if pair {
        field.own(parties, instances, Algorithm::Exchange, WaitPolicy::SpinYield);
        field.own(parties, instances, Algorithm::Exchange, WaitPolicy::SpinPark);
        field.own(parties, instances, Algorithm::Exchange, WaitPolicy::Park);
    } else {
        field.own(parties, instances, Algorithm::Central, WaitPolicy::Park);
    }
    field.compat(parties, instances);
    field.threads(parties, instances);
    if pair {
        field.seldom(3, |field| field.spinners(parties, instances));
        field.foreign(&context.place.cpus);
    } else {
        field.foreign_anywhere(parties, &context.place.cpus);
    }
    field.foreign_each(context.pick(1, if pair { 3 } else { 2 }, 1));
    let plan = Plan {
        cpus: &context.place.cpus,
        parties,
        pinned: pair,
        rounds: context.pick(1, if pair { 12 } else { 6 }, if pair { 80 } else { 30 }),
        length: Length::Trips(0),
        verified: 2,
    };
    let time = ticks(Duration::from_millis(context.pick(20, 50, 100)));
    let last = AtomicU64::new(u64::MAX);
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.until(turn.rank, time, &last));
    for peer in &played {
        if peer.rounds.iter().flatten().any(|laps| laps.iter().any(|lap| lap.trips != laps[0].trips)) {
            section.wrong.push(format!("{}: the parties disagree on the number of trips", peer.name));
        }
    }
    let (all, rows) = lap_rows(&played, &[SUBJECT, STD]);
    section.verdicts.extend(thrift_of_laps(context, &played, &format!("{parties} parties: ")));
    let title = format!("{parties} parties, with a competitor on each CPU");
    section.tables.push(Table { title, unit: "ns/trip", rows });
    let claim = format!("{parties} parties: phalanx over std");
    section.verdicts.push(target(context, &all, &claim, (SUBJECT, STD), Sense::AtMost, 1.0));
    section.absent.append(&mut field.absent);
    note_wrong(section, &played);
}

/// One child process per CPU; they end with this guard, and on their own if we die.
struct Competitors(Vec<Child>);

impl Competitors {
    fn start(place: Place) -> Result<Self, String> {
        let program = env::current_exe().map_err(|e| format!("competing processes: {e}"))?;
        let mut started = Self(Vec::new());
        for cpu in place.cpus {
            let child = Command::new(&program).args(["busy", "--cpu", &cpu.to_string()]).stdin(Stdio::null()).spawn();
            started.0.push(child.map_err(|e| format!("competing processes: {e}"))?);
        }
        // They must be at work before the first round.
        std::thread::sleep(Duration::from_millis(50));
        Ok(started)
    }

    /// A competitor that has gone made the rounds meaningless.
    fn check(mut self) -> Option<String> {
        let gone = self.0.iter_mut().any(|child| !matches!(child.try_wait(), Ok(None)));
        gone.then(|| "a competing process ended before the last round".into())
    }
}

impl Drop for Competitors {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended already; then there is nothing to do.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The competitor's own program: spins on a CPU until its time is over or its parent has gone.
pub fn compete(cpu: usize, seconds: u64) {
    pin_to(cpu);
    let parent = getppid();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end && getppid() == parent {
        for _ in 0..1_000_000 {
            std::hint::black_box(0);
        }
    }
}
