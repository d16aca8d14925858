//! Work between arrival and wait: how much of a straggler's delay it hides.
//!
//! Both parties have work of length d on every trip, which needs nobody, and are late by d as well, in turn: the classic
//! case of the fuzzy barrier (Gupta, 1989). With `work; wait` a trip takes 2 d, since everybody waits for the one who is
//! late: of every two trips each party has 3 d to do, and idles for d. With `arrive; work; wait` nobody need idle: the
//! delay of one passes while the other works, and a trip takes 1.5 d, as without a barrier, which is measured beside it
//! and gives the d of the round. So of the delay, d / 2 per trip is to be gained, and the hidden share is
//! `(t(work; wait) - t(arrive; work; wait)) / (d / 2)`: 0 if split phase gains nothing, 1 if nobody idles for a
//! straggler. It can be above 1: a little, for the hop is hidden as well, and far where the one who waits falls asleep,
//! which costs more than the delay that it is to bridge (50 µs, with the default spin budget).

use super::super::{Context, Series, find, lap_rows, note_wrong};
use super::{BARE, combined, compare, crossing, noise, note_absent};
use crate::clock::ticks;
use crate::peer::work::{Before, Between, Unmet, workers};
use crate::peer::{Field, own, riders};
use crate::play::{Plan, play};
use crate::report::{Section, Table};
use crate::seat::{Entrant, Role};
use phalanx::{Algorithm, Radix};
use std::time::Duration;

/// One of each family: flags that all read, a counter, and flags that are passed on.
const FAMILIES: [Algorithm; 3] = [Algorithm::Auto, Algorithm::Central, Algorithm::Dissemination(Radix::Two)];

const DELAYS: [(&str, Duration); 4] = [
    ("0.5 µs", Duration::from_nanos(500)),
    ("2 µs", Duration::from_micros(2)),
    ("10 µs", Duration::from_micros(10)),
    ("50 µs", Duration::from_micros(50)),
];

const UNMET: &str = "without a barrier";

pub fn run(context: &Context, section: &mut Section) {
    overhead(context, section);
    let mut shares = Vec::new();
    for (name, delay) in DELAYS {
        crate::watch::shape(&format!("riders, {name} of work"));
        shares.extend(hidden(context, name, delay, section));
    }
    let rows = shares.iter().map(|(series, trips)| series.row(&[], &[], *trips)).collect();
    let title = "Hidden share of a straggler's delay, 1 is all of it".into();
    section.tables.push(Table { title, unit: "share", rows });
}

/// What the two halves cost more than the whole, with nothing in between.
fn overhead(context: &Context, section: &mut Section) {
    crate::watch::shape("riders, arrive and wait");
    let instances = context.pick(1, 4, 8);
    let cpus = &context.place.cpus[..];
    let again = format!("{} once more", Algorithm::Auto);
    let mut field = Field::default();
    let bare = FAMILIES.map(|algorithm| (algorithm.to_string(), algorithm)).into_iter();
    for (name, algorithm) in bare.chain([(again.clone(), Algorithm::Auto)]) {
        field.add(Entrant::new(name, Role::Info, instances, || own::algorithm(2, algorithm, Some(cpus))));
    }
    let halves = |algorithm: Algorithm| format!("{algorithm}, arrive and wait");
    for algorithm in FAMILIES {
        let who = (2, algorithm, Some(cpus));
        field.add(riders::entrant::<riders::Halves>(halves(algorithm), Role::Own, instances, who));
    }
    let plan = Plan {
        cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 80, 600),
        length: context.length(200, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let auto = Algorithm::Auto.to_string();
    let (all, mut rows) = lap_rows(&played, &[&auto]);
    for algorithm in FAMILIES {
        compare(&mut rows, &all, &halves(algorithm), &algorithm.to_string(), BARE);
    }
    section.tables.push(Table { title: "2 parties, arrive and wait without work".into(), unit: "ns/trip", rows });
    section.notes.extend(noise(&all, (&again, &auto), "arrive and wait: "));
    note_absent(section, field);
    note_wrong(section, &played);
}

/// One delay: the hidden shares, with the number of trips per round.
fn hidden(context: &Context, name: &str, delay: Duration, section: &mut Section) -> Vec<(Series, u64)> {
    let instances = context.pick(1, 2, 4);
    let cpus = &context.place.cpus[..];
    let ticks = ticks(delay);
    let forms = |algorithm: Algorithm| [format!("{algorithm}: work, wait"), format!("{algorithm}: arrive, work, wait")];
    let again = format!("{} once more", forms(Algorithm::Auto)[0]);
    let mut field = Field::default();
    let floor = || workers::<Unmet>(Algorithm::Auto, cpus, ticks);
    field.add(Entrant::new(UNMET, Role::Floor, instances, floor));
    field.add(Entrant::new(again.clone(), Role::Info, instances, || workers::<Before>(Algorithm::Auto, cpus, ticks)));
    for algorithm in FAMILIES {
        let [whole, split] = forms(algorithm);
        field.add(Entrant::new(whole, Role::Info, instances, || workers::<Before>(algorithm, cpus, ticks)));
        field.add(Entrant::new(split, Role::Own, instances, || workers::<Between>(algorithm, cpus, ticks)));
    }
    let plan = Plan {
        cpus,
        parties: 2,
        pinned: true,
        rounds: context.pick(2, 40, 200),
        length: context.length(20, Duration::from_millis(if delay.as_micros() > 10 { 4 } else { 1 }), 10),
        verified: context.pick(20, 4, 4),
    };
    let played = play(&plan, std::mem::take(&mut field.entrants), crossing);
    let (all, mut rows) = lap_rows(&played, &[UNMET]);
    let mut shares = Vec::new();
    for algorithm in FAMILIES {
        let [whole, split] = forms(algorithm);
        compare(&mut rows, &all, &split, &whole, "work, wait");
        let trips = rows.iter().find(|row| row.name == split).map_or(0, |row| row.trips_per_round);
        let share = share(&all, &format!("{algorithm}, {name}"), [&whole, &split]);
        shares.extend(share.map(|share| (share, trips)));
    }
    let title = format!("2 parties, late by {name} in turn, and as much work");
    section.tables.push(Table { title, unit: "ns/trip", rows });
    section.notes.extend(noise(&all, (&again, &forms(Algorithm::Auto)[0]), &format!("{name} of work: ")));
    note_absent(section, field);
    note_wrong(section, &played);
    shares
}

/// Of what is to be gained, how much split phase gains.
fn share(all: &[Series], name: &str, [whole, split]: [&str; 2]) -> Option<Series> {
    let (whole, split, unmet) = (find(all, whole)?, find(all, split)?, find(all, UNMET)?);
    let rounds = whole.values.iter().zip(&split.values).zip(&unmet.values);
    // Without a barrier a trip takes 1.5 d, and d / 2 is to be gained.
    let values = rounds.map(|((whole, split), unmet)| Some(((*whole)? - (*split)?) / ((*unmet)? / 3.0)));
    Some(combined(name, split, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_one_where_nobody_idles() {
        let series = |name: &str, value| Series { name: name.into(), role: Role::Own, values: vec![Some(value), None] };
        let all = [series("whole", 20.0), series("split", 15.0), series("neither", 20.0), series(UNMET, 15.0)];
        assert_eq!(share(&all, "", ["whole", "split"]).unwrap().values, [Some(1.0), None]);
        assert_eq!(share(&all, "", ["whole", "neither"]).unwrap().values, [Some(0.0), None]);
        assert!(share(&all, "", ["whole", "absent"]).is_none());
    }
}
