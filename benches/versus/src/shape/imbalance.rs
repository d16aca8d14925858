//! Two parties, one with ten milliseconds of work: what the other burns while it waits.
//!
//! No barrier can make the straggler faster, but one that spins all the time takes a CPU from whoever could use it. The
//! waiter's own CPU clock is read before and after its wait. A policy that spins first may burn its budget on top of
//! what parking costs, and no more. A task has no CPU clock of its own: for tokio's it is what the workers used beyond
//! the work, over the waits.

use super::{Context, Mode, Series, cost, find, note_wrong, thrift};
use crate::clock::{Tick, ns, stamp, ticks};
use crate::length::Length;
use crate::peer::{Field, SUBJECT, own};
use crate::play::{Plan, Played, Turn, play};
use crate::report::{Row, Section, Sense, Table, Verdict};
use crate::seat::{Crossing, Seat, spin_for};
use crate::stats::{Summary, median};
use crate::usage::{Usage, thread_cpu};
use phalanx::{Algorithm, WaitPolicy};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const PARK: &str = "phalanx Auto, Park";

/// What one party saw of a round.
#[derive(Default, Serialize, Deserialize)]
pub struct Waits {
    pub waits: Vec<Wait>,
    pub usage: Usage,
}

/// One wait of one party.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Wait {
    pub arrived: Tick,
    pub released: Tick,
    pub cpu_ns: u64,
}

/// One party's part in a round; rank 1 is the one with work.
pub fn waits<C: Crossing>(crossing: &mut C, rank: usize, trips: u64, work: Duration) -> Vec<Wait> {
    let work = ticks(work);
    (0..trips)
        .map(|_| {
            if rank == 1 {
                spin_for(work);
            }
            let (arrived, before) = (stamp(), thread_cpu());
            crossing.wait();
            Wait { cpu_ns: thread_cpu() - before, released: stamp(), arrived }
        })
        .collect()
}

pub fn run(context: &Context) -> Section {
    let work = Duration::from_millis(10);
    let budget = own::spin_budget();
    let mut section = Section::new(
        "imbalance",
        "A long imbalance",
        format!(
            "Pinned as above; rank 1 works for {work:?} before each trip, rank 0 waits. Microseconds of CPU time that the waiter burns per wait. The spin budget here is {budget:.1?}."
        ),
    );
    let mut field = Field::default();
    field.subject(2, 1);
    for policy in [WaitPolicy::Park, WaitPolicy::SpinPark, WaitPolicy::SpinYield] {
        field.own(2, 1, Algorithm::Auto, policy);
    }
    field.compat(2, 1);
    field.threads(2, 1);
    // Each burns ten milliseconds per trip, and few trips are enough to see it.
    field.seldom(4, |field| field.spinners(2, 1));
    field.foreign(&context.place.cpus);
    field.foreign_each(context.pick(1, 2, 1));
    let trips = context.pick(2, 8, 20);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(1, 8, 30),
        length: Length::Trips(trips),
        verified: 4,
    };
    let played =
        play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.long_wait(turn.rank, turn.trips, work));
    let burnt: Vec<Series> = played
        .iter()
        .map(|peer| Series::of(peer, |seen| median(seen[0].waits.iter().map(|wait| wait.cpu_ns as f64 / 1e3))))
        .collect();
    let late: Vec<Series> = played
        .iter()
        .map(|peer| {
            Series::of(peer, |seen| {
                // A foreign runtime's waits are one party's, with the straggler's arrival in them.
                let straggler = seen.last().expect("somebody played");
                median(
                    seen[0].waits.iter().zip(&straggler.waits).map(|(waiter, straggler)| hop(waiter, straggler) / 1e3),
                )
            })
        })
        .collect();
    for (title, all) in [("CPU time burnt per wait", &burnt), ("Last arrival to the waiter's release", &late)] {
        let row = |(series, peer): (&Series, &Played<Waits>)| {
            let spent = cost(peer, |seen| (seen.usage, peer.trips as f64));
            Row { cost: Some(spent), ..series.row(all, &[PARK], peer.trips) }
        };
        let rows = all.iter().zip(&played).map(row).collect();
        section.tables.push(Table { title: title.into(), unit: "µs", rows });
    }
    section.verdicts.push(verdict(context, &burnt, budget));
    section.verdicts.extend(thrift(context, &played, "", |seen: &Waits| (seen.usage, trips as f64)));
    section.absent.append(&mut field.absent);
    note_wrong(&mut section, &played);
    section
}

fn hop(waiter: &Wait, straggler: &Wait) -> f64 {
    ns(waiter.released.saturating_sub(straggler.arrived))
}

/// What phalanx burns, less the budget, is at most twice what parking burns.
fn verdict(context: &Context, burnt: &[Series], budget: Duration) -> Verdict {
    let budget = budget.as_secs_f64() * 1e6;
    let beyond = || {
        let (subject, park) = (find(burnt, SUBJECT)?, find(burnt, PARK)?);
        let beyond: Vec<_> = subject.values.iter().map(|value| value.map(|us| (us - budget).max(0.0))).collect();
        Some(Summary::of_ratios(&beyond, &park.values))
    };
    let measured = if context.mode == Mode::Smoke { None } else { beyond() };
    Verdict::new("CPU time of phalanx beyond the spin budget, over that of Park", measured, Sense::AtMost, 2.0)
}
