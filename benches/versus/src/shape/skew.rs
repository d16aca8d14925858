//! Two parties, both late by something random: how long from the last arrival to the last release.
//!
//! The straggler's shape says who is late and by how much; here nobody knows. On each trip each party draws its own
//! delay, uniform between nothing and a microsecond, or ten, so now the one is last and now the other, now by nothing and
//! now by all of it, and a policy that learns how long waits take learns something new every time. Who is last is a
//! matter of chance for the branch predictors as well.
//!
//! A round has two values: the median over its trips, and the 99th percentile, for a program whose step is as long as
//! the slowest of many meetings pays the tail and not the median. Each is the mean of that of the trips on which rank 0
//! was last and that of the others, so that an offset between the two CPUs' counters cancels. The delays are the same in
//! all rounds and for all peers.
//!
//! Not with more parties than CPUs: a delay is spun, so it occupies a CPU, and on two of them the lateness of one
//! party would be that of all who share the CPU. How late whom the scheduler lets be, `crowd` shows.

use super::straggler::{FLOOR, Lateness, OWNED, hop};
use super::{Context, Series, ahead_of_all, cost, find, floor_of, note_wrong, target, thrift};
use crate::length::Length;
use crate::peer::floor::{Bare, Owning, Packed, exchange};
use crate::peer::{Field, SUBJECT};
use crate::play::{Plan, Played, Turn, play};
use crate::report::{Row, Section, Sense, Table};
use crate::seat::{Entrant, Role, Seat, Walk};
use crate::stats::quantile_of;
use std::time::Duration;

const AGAIN: &str = "the floor once more";

const MOST: [(&str, Duration); 2] = [("1 µs", Duration::from_micros(1)), ("10 µs", Duration::from_micros(10))];

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "skew",
        "Two parties, each late by something random",
        "Pinned as above; before each trip each party spins for a time of its own, uniform between nothing and 1 or 10 µs. Nanoseconds from the last arrival to the last release, with two clock readings in them for everybody: the median of a round's trips, and the 99th percentile.",
    );
    for (name, most) in MOST {
        crate::watch::shape(&format!("skew, up to {name}"));
        measure(context, name, most, &mut section);
    }
    section.notes.push(
        "not with more parties than CPUs: a spun delay occupies a CPU, and would hold up all who share it".into(),
    );
    section
}

fn measure(context: &Context, name: &str, most: Duration, section: &mut Section) {
    let instances = context.pick(1, 8, 16);
    let mut field = Field::default();
    field.add(Entrant::new(FLOOR, Role::Floor, instances, || Ok(exchange::<Packed, Bare>())));
    field.add(Entrant::new(OWNED, Role::Floor, instances, || Ok(exchange::<Packed, Owning>())));
    field.subject(2, instances);
    field.add(Entrant::new(AGAIN, Role::Info, instances, || Ok(exchange::<Packed, Bare>())));
    field.everyone(&context.place.cpus, instances);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 30, 300),
        length: Length::Trips(context.pick(100, 300, 600)),
        verified: context.pick(50, 4, 4),
    };
    let lateness = |trips: u64| Lateness::random(most, trips);
    let played =
        play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.straggle(turn.rank, &lateness(turn.trips)));
    let spent = |walk: &Walk| (walk.usage, walk.seen.len() as f64);
    section.verdicts.extend(thrift(context, &played, &format!("up to {name} late: "), spent));
    for (what, q) in [("median", 0.5), ("99th percentile", 0.99)] {
        let all: Vec<Series> =
            played.iter().map(|peer| Series::of(peer, |seen| latency(seen, &lateness(peer.trips), q))).collect();
        let floor = floor_of(&all);
        let row = |(series, peer): (&Series, &Played<Walk>)| {
            let spent = cost(peer, |walk| (walk.usage, peer.trips as f64));
            Row { cost: Some(spent), ..series.row(&all, &[&floor, SUBJECT], peer.trips) }
        };
        let rows = all.iter().zip(&played).map(row).collect();
        section.tables.push(Table {
            title: format!("Last arrival to last release, each up to {name} late, {what}"),
            unit: "ns",
            rows,
        });
        let prefix = format!("up to {name} late, {what}: ");
        // The tail of the floor is the machine's, and that of whoever comes after is as well: nothing to judge by.
        if q == 0.5 {
            let claim = format!("{prefix}phalanx over the floor's hop");
            section.verdicts.push(target(context, &all, &claim, (SUBJECT, &floor), Sense::AtMost, 1.5));
            section.verdicts.extend(ahead_of_all(context, &all, &prefix));
        }
        section.notes.extend(noise(&all, &prefix));
    }
    for absent in field.absent {
        if !section.absent.contains(&absent) {
            section.absent.push(absent);
        }
    }
    note_wrong(section, &played);
}

/// The floor divided by itself.
fn noise(all: &[Series], prefix: &str) -> Option<String> {
    let is = find(all, AGAIN)?.over(find(all, FLOOR)?);
    Some(format!("{prefix}the floor divided by itself: {:.3} [{:.3}, {:.3}]", is.median, is.q1, is.q3))
}

/// A quantile of a round's trips: the mean of those of the trips with either party last, by what was drawn, for a foreign
/// runtime tells no more than when the last arrived and when the last was released.
fn latency(seen: &[Walk], lateness: &Lateness, q: f64) -> f64 {
    let by_last = |rank: usize| {
        let such = (0..seen[0].seen.len()).filter(|&trip| lateness.last_of_two(trip as u64) == rank);
        quantile_of(such.map(|trip| hop(seen, trip)), q)
    };
    f64::midpoint(by_last(0), by_last(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ns, ticks};
    use crate::seat::Passage;

    #[test]
    fn an_offset_of_the_clocks_cancels() {
        // Rank 1's clock is 300 ticks ahead, and a hop takes 1000 whoever is last.
        let lateness = Lateness::random(Duration::from_micros(1), 100);
        let passages = |rank: usize, ahead: u64| {
            let passage = |trip: u64| {
                let (start, last) = (100_000 * trip + ahead, lateness.last_of_two(trip) == rank);
                let arrived = start + if last { ticks(Duration::from_micros(5)) } else { 0 };
                Passage { arrived, released: start + ticks(Duration::from_micros(5)) + if last { 0 } else { 1_000 } }
            };
            Walk { seen: (1..=100).map(|trip| passage(trip - 1)).collect(), ..Walk::default() }
        };
        let is = latency(&[passages(0, 0), passages(1, 300)], &lateness, 0.5);
        assert!((is - ns(1_000)).abs() < 1e-6, "{is}");
    }
}
