//! Two parties, one of them late: how long from the last arrival to the last release.
//!
//! This is what a program with uneven work pays, and another quantity than the time per trip of a tight loop: the
//! waiter has fallen into whatever its policy does after half a microsecond, two, or ten. In the first half of a round
//! rank 1 is late, in the second rank 0; the value of a round is the mean of both medians, in which an offset between
//! the two CPUs' counters cancels. Taking the time costs the same for all; nothing is subtracted.

use super::{Context, Series, ahead_of_all, cost, find, floor_of, note_wrong, target, thrift};
use crate::clock::{ns, stamp, ticks};
use crate::length::Length;
use crate::peer::floor::{Bare, Owning, Packed, Padded, exchange};
use crate::peer::{Field, SUBJECT};
use crate::play::{Plan, Played, Turn, play, scramble};
use crate::report::{Row, Section, Sense, Table};
use crate::seat::{Crossing, Entrant, Passage, Role, Seat, Walk, spin_for};
use crate::stats::median;
use phalanx::{Algorithm, WaitPolicy};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub const FLOOR: &str = "both flags in one line";

/// The other floor: which of the two is the lower depends on the processor.
pub const OWNED: &str = "both flags in one line, each look takes it over";

/// So late, in turn, give or take an eighth, lest the delay keeps step with a policy's pauses.
const DELAYS: [Duration; 3] = [Duration::from_nanos(500), Duration::from_micros(2), Duration::from_micros(10)];

/// Who is late in which trip of a round, and by how much.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Lateness {
    pattern: Pattern,
    pub trips: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Pattern {
    /// One in the first half of the round, and one in the second; in ticks.
    Turns { late: [usize; 2], delays: [u64; 3] },
    /// Everybody, each by something else up to so many ticks.
    Random { most: u64 },
}

impl Lateness {
    pub fn new(late: [usize; 2], trips: u64) -> Self {
        Self { pattern: Pattern::Turns { late, delays: DELAYS.map(ticks) }, trips }
    }

    /// Uniform between nothing and `most`, of each party and trip independently; the same in every run.
    pub fn random(most: Duration, trips: u64) -> Self {
        Self { pattern: Pattern::Random { most: ticks(most) }, trips }
    }

    /// Who of two comes last to this trip by what was drawn.
    pub fn last_of_two(&self, trip: u64) -> usize {
        match self.pattern {
            Pattern::Turns { late, .. } => late[usize::from(trip >= self.trips / 2)],
            Pattern::Random { most } => usize::from(drawn(1, trip, most) > drawn(0, trip, most)),
        }
    }

    /// Holds the party up if it is its turn.
    #[inline(always)]
    pub fn hold(&self, rank: usize, trip: u64) {
        match self.pattern {
            Pattern::Turns { late, delays } => {
                if rank == late[usize::from(trip >= self.trips / 2)] {
                    let delay = delays[trip as usize % delays.len()];
                    let jitter = trip.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (delay / 4).max(1);
                    spin_for(delay - delay / 8 + jitter);
                }
            }
            Pattern::Random { most } => spin_for(drawn(rank, trip, most)),
        }
    }
}

/// Uniform between nothing and `most`, in ticks.
fn drawn(rank: usize, trip: u64, most: u64) -> u64 {
    scramble((rank as u64) << 40 ^ trip) % (most + 1)
}

/// One party's part in a round.
#[inline(always)]
pub fn passages<C: Crossing>(crossing: &mut C, rank: usize, lateness: &Lateness) -> Vec<Passage> {
    let mut seen = Vec::with_capacity(lateness.trips as usize);
    for trip in 0..lateness.trips {
        lateness.hold(rank, trip);
        let arrived = stamp();
        crossing.wait();
        seen.push(Passage { arrived, released: stamp() });
    }
    seen
}

pub fn run(context: &Context) -> Section {
    let mut section = Section::new(
        "straggler",
        "Two parties, one straggler",
        "Pinned as above, but one party comes 0.5, 2 or 10 µs late (spun). Nanoseconds from the last arrival to the last release, with two clock readings in them for everybody.",
    );
    let instances = context.pick(1, 8, 16);
    let mut field = Field::default();
    field.add(Entrant::new(FLOOR, Role::Floor, instances, || Ok(exchange::<Packed, Bare>())));
    field.add(Entrant::new(OWNED, Role::Floor, instances, || Ok(exchange::<Packed, Owning>())));
    field.subject(2, instances);
    field.own(2, instances, Algorithm::Exchange, WaitPolicy::Spin);
    field.own(2, instances, Algorithm::Central, WaitPolicy::Spin);
    field.add(Entrant::new("each flag in its own line", Role::Info, instances, || Ok(exchange::<Padded, Bare>())));
    field.everyone(&context.place.cpus, instances);
    let plan = Plan {
        cpus: &context.place.cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 60, 500),
        length: Length::Trips(context.pick(120, 600, 600)),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| {
        seat.straggle(turn.rank, &Lateness::new([1, 0], turn.trips))
    });
    let spent = |walk: &Walk| (walk.usage, walk.seen.len() as f64);
    section.verdicts.extend(thrift(context, &played, "", spent));
    let mut pooled = Vec::new();
    for (title, which) in
        [("all delays", None), ("0.5 µs late", Some(0)), ("2 µs late", Some(1)), ("10 µs late", Some(2))]
    {
        let all: Vec<Series> = played.iter().map(|peer| Series::of(peer, |seen| latency(seen, which))).collect();
        let floor = floor_of(&all);
        let row = |(series, peer): (&Series, &Played<Walk>)| {
            let spent = cost(peer, |walk| (walk.usage, peer.trips as f64));
            Row { cost: Some(spent), ..series.row(&all, &[&floor, SUBJECT], peer.trips) }
        };
        let rows = all.iter().zip(&played).map(row).collect();
        section.tables.push(Table { title: format!("Last arrival to last release, {title}"), unit: "ns", rows });
        let claim = format!("phalanx over the floor's hop, {title}");
        section.verdicts.push(target(context, &all, &claim, (SUBJECT, &floor), Sense::AtMost, 1.5));
        section.verdicts.extend(ahead_of_all(context, &all, &format!("{title}: ")));
        if which.is_none() {
            pooled = all;
        }
    }
    section.notes.extend(clock_notes(&played, &pooled));
    section.absent.append(&mut field.absent);
    note_wrong(&mut section, &played);
    section
}

/// The mean over both directions of the median of a round, in nanoseconds, for one delay or all.
pub fn latency(seen: &[Walk], which: Option<usize>) -> f64 {
    let half = seen[0].seen.len() / 2;
    let side = |range: std::ops::Range<usize>| {
        median(range.filter(|trip| which.is_none_or(|which| trip % DELAYS.len() == which)).map(|trip| hop(seen, trip)))
    };
    f64::midpoint(side(0..half), side(half..seen[0].seen.len()))
}

/// From the last arrival to the last release of one trip.
pub fn hop(seen: &[Walk], trip: usize) -> f64 {
    let last = |time: fn(&Passage) -> u64| seen.iter().map(|party| time(&party.seen[trip])).max().expect("two parties");
    ns(last(|p| p.released).saturating_sub(last(|p| p.arrived)))
}

/// Whether the clocks can be believed.
fn clock_notes(played: &[Played<Walk>], pooled: &[Series]) -> Vec<String> {
    let Some(floor) = played.iter().find(|peer| peer.name == FLOOR) else { return Vec::new() };
    let direction = |from: usize, to: usize| {
        let half = |seen: &Vec<Walk>| seen[0].seen.len() / 2;
        median(
            floor
                .rounds
                .iter()
                .flatten()
                .map(|seen| median((half(seen) * from..half(seen) * to).map(|trip| hop(seen, trip)))),
        )
    };
    let early = |seen: &Vec<Walk>| {
        (0..seen[0].seen.len())
            .filter(|&trip| {
                seen.iter().any(|party| seen.iter().any(|other| party.seen[trip].released < other.seen[trip].arrived))
            })
            .count()
    };
    let impossible: usize = played.iter().flat_map(|peer| peer.rounds.iter().flatten()).map(early).sum();
    let floor_hop = find(pooled, FLOOR).map_or(f64::NAN, |series| median(series.values.iter().flatten().copied()));
    vec![
        format!(
            "the floor's hop is {floor_hop:.0} ns: {:.0} from rank 1 to rank 0, {:.0} back; the difference is the clocks' offset or the machine's",
            direction(0, 1),
            direction(1, 2)
        ),
        format!(
            "{impossible} trips seem to have released somebody before the last arrival (a barrier that fails, or clocks that disagree; must be 0)"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_lateness_is_uniform_of_each_party_and_the_same_in_all_runs() {
        const MOST: u64 = 999;
        let of = |rank| (0..10_000).map(move |trip| drawn(rank, trip, MOST));
        for rank in [0, 1, 15] {
            let mut tenths = [0; 10];
            of(rank).for_each(|late| tenths[late as usize / 100] += 1);
            assert!(tenths.iter().all(|times| (850..1150).contains(times)), "rank {rank}: {tenths:?}");
        }
        // Who is the last must be a matter of chance as well.
        let later = of(0).zip(of(1)).filter(|(a, b)| a > b).count();
        assert!((4_700..5_300).contains(&later), "{later}");
        assert_eq!([drawn(0, 0, MOST), drawn(0, 1, MOST), drawn(1, 0, MOST), drawn(1, 1, MOST)], [0, 789, 568, 235]);
        assert!(of(3).all(|late| late <= MOST) && of(3).any(|late| late == MOST));
        assert_eq!(drawn(2, 7, 0), 0);
    }
}
