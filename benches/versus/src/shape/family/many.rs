//! Many parties, each with a CPU of its own: the algorithms, `Auto`, the peers that spin or are worth a look, and the
//! constants of the cost model, all in the same rounds.
//!
//! Each count has a process of its own that is restricted to its CPUs before it does anything. Both phalanx and the
//! OpenMP runtimes count their CPUs once per process, and this one has shown them only two.

use super::super::straggler::Lateness;
use super::super::{Context, Mode, Series, ahead_of_all, target};
use super::constants::{Arrivals, Constants, PACKED, PADDED, bound, far, predicted, slope};
use super::two::{Both, LATE, latency_of};
use super::{auto, auto_over_best, best, noise, note_absent};
use crate::peer::floor::{Packed, Padded};
use crate::peer::probe::{self, Gap};
use crate::peer::{Field, remote};
use crate::place::{self, Place};
use crate::play::{Plan, Played, Turn, play};
use crate::report::{Row, Section, Sense, Table};
use crate::seat::Seat;
use crate::watch;
use phalanx::Algorithm;
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, iter};

/// What the process of one count found.
#[derive(Serialize, Deserialize)]
struct Found {
    together: Vec<Series>,
    late: Vec<Series>,
    probes: Vec<Series>,
    /// By entrant of `together`, then by probe.
    trips: Vec<u64>,
    absent: Vec<String>,
    wrong: Vec<String>,
}

pub fn run(context: &Context, counts: &[usize], section: &mut Section) {
    for &parties in counts {
        if parties > context.allowed.len() {
            let allowed = context.allowed.len();
            section.absent.push(format!("{parties} parties with a CPU each: only {allowed} are allowed"));
            continue;
        }
        eprintln!("versus: family, {parties} parties with a CPU each");
        let cpus = match place::close(parties, &context.allowed) {
            Ok(cpus) => cpus,
            Err(why) => {
                section.absent.push(format!("{parties} parties with a CPU each: {why}"));
                continue;
            }
        };
        match spawn(context.mode, &cpus) {
            Ok(found) => judge(context, &cpus, found, section),
            Err(why) => section.wrong.push(format!("{parties} parties with a CPU each: {why}")),
        }
    }
}

fn spawn(mode: Mode, cpus: &[usize]) -> Result<Found, String> {
    let list = cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let program = env::current_exe().map_err(|e| e.to_string())?;
    // It watches itself.
    watch::nothing();
    let output = Command::new(program)
        .args(["many", "--on", &list, "--mode", mode.name()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

/// The child's program: prints what it found as JSON.
pub fn child(cpus: &[usize], mode: Mode) -> Result<(), String> {
    let &[first, second, ..] = cpus else { return Err("many parties are two at least".into()) };
    place::restrict_to(cpus);
    watch::start();
    watch::shape(&format!("family, {} parties with a CPU each", cpus.len()));
    // The two CPUs are for those shapes that know of no more; here nobody asks.
    let context = Context { place: Place { cpus: [first, second], siblings: false }, allowed: cpus.into(), mode };
    let found = measure(&context, cpus);
    println!("{}", serde_json::to_string(&found).map_err(|e| e.to_string())?);
    Ok(())
}

fn measure(context: &Context, cpus: &[usize]) -> Found {
    let parties = cpus.len();
    let instances = context.pick(1, 4, 8);
    let mut field = Field::default();
    field.family(parties, instances, Some(cpus));
    field.std(parties, instances);
    field.spin(parties, instances);
    field.hurdles(parties, instances);
    field.add(remote::trips(remote::LIBGOMP, &cpus.iter().copied().map(Some).collect::<Vec<_>>()));
    let barriers = field.entrants.len();
    field.entrants.push(probe::hop::<Packed>(PACKED.into(), parties, 1, instances));
    field.entrants.push(probe::hop::<Padded>(PADDED.into(), parties, 1, instances));
    if parties > 2 {
        field.entrants.push(probe::hop::<Padded>(far(parties), parties, parties - 1, instances));
    }
    let hops = field.entrants.len();
    let gaps: Vec<(Gap, usize)> =
        Gap::ALL.iter().flat_map(|gap| gap.widths(parties).into_iter().map(|k| (*gap, k))).collect();
    field.entrants.extend(gaps.iter().map(|(gap, k)| probe::gap(*gap, *k, parties, instances)));
    let plan = Plan {
        cpus,
        parties,
        pinned: true,
        rounds: context.pick(2, 40, 250),
        length: context.length(100, Duration::from_millis(1), 50),
        verified: context.pick(50, 4, 4),
    };
    let lateness = Lateness::new([parties - 1, 0], LATE);
    let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| Both::of(turn, seat, &lateness));
    let per_trip = |peer: &Played<Both>| Series::per_trip(&peer.map(|both| both.lap));
    let seen = |peer: &Played<Both>| peer.map(|both| both.seen.clone());
    let values = played[hops..].iter().zip(&gaps);
    let values = values.map(|(peer, (gap, _))| Series::of(&seen(peer), |seen| gap.value(seen)));
    Found {
        together: played[..barriers].iter().map(per_trip).collect(),
        late: played[..barriers].iter().map(|peer| Series::of(&seen(peer), latency_of)).collect(),
        probes: played[barriers..hops].iter().map(per_trip).chain(values).collect(),
        trips: played.iter().map(|peer| peer.trips).collect(),
        absent: field.absent,
        wrong: played.iter().flat_map(|peer| peer.wrong.iter().map(|what| format!("{}: {what}", peer.name))).collect(),
    }
}

fn judge(context: &Context, cpus: &[usize], found: Found, section: &mut Section) {
    let Found { mut together, late, probes, trips, absent, wrong } = found;
    let name = format!("{} parties, a CPU each", cpus.len());
    let constants = Constants::of(cpus, &probes);
    let auto = auto();
    let bound = bound(cpus.len(), &probes);
    let limit = bound.as_ref().map_or_else(String::new, |bound| bound.name.clone());
    together.extend(bound);

    // What was calculated has as many trips as the hops that it comes from.
    let (trips, of_probes) = trips.split_at(late.len());
    let of_hop = of_probes[0];
    let rows = together.iter().zip(trips.iter().chain(iter::once(&of_hop)));
    let rows = rows.map(|(series, trips)| series.row(&together, &[&limit, &auto], *trips));
    let rows = rows.map(|row| with_prediction(row, Arrivals::Together, &constants)).collect();
    section.tables.push(Table { title: format!("{name}, everyone together"), unit: "ns/trip", rows });
    let rows = late.iter().map(|series| series.row(&late, &[&auto], LATE));
    let rows = rows.map(|row| with_prediction(row, Arrivals::OneLate, &constants)).collect();
    section.tables.push(Table { title: format!("{name}, last arrival to last release"), unit: "ns", rows });
    let slopes = Gap::ALL.iter().filter_map(|gap| slope(*gap, cpus.len(), &probes));
    let rows = probes.iter().zip(of_probes).map(|(series, trips)| series.row(&[], &[], *trips));
    let rows = rows.chain(slopes.map(|series| series.row(&[], &[], of_hop))).collect();
    section.tables.push(Table { title: format!("{name}: what a transfer costs"), unit: "ns", rows });

    let prefix = |what: &str| format!("{name}, {what}: ");
    let best_together = best(&together, &limit).map(|best| best.name.clone());
    if let (true, Some(best)) = (place::one_llc(cpus), best_together) {
        let shown = if context.mode == Mode::Smoke { "it" } else { &*best };
        let claim = format!("{}the best, {shown}, over {limit}", prefix("together"));
        section.verdicts.push(target(context, &together, &claim, (&best, &limit), Sense::AtMost, 1.5));
    }
    for (all, what) in [(&together, "together"), (&late, "one late")] {
        // Any reference does for finding the best of paired rounds; `auto` itself is always there.
        section.verdicts.extend(auto_over_best(context, all, &auto, &prefix(what)));
        section.verdicts.extend(ahead_of_all(context, all, &prefix(what)));
        section.notes.extend(noise(all, &prefix(what)));
    }
    section.notes.push(format!("{name}, by rank: {}", place::describe(cpus)));
    section.constants.push(constants);
    note_absent(section, absent);
    section.wrong.extend(wrong);
}

/// Puts the cost model's word beside the measured one.
fn with_prediction(row: Row, arrivals: Arrivals, constants: &Constants) -> Row {
    let algorithm = iter::once(Algorithm::Auto).chain(Algorithm::NAMED).find(|it| it.to_string() == row.name);
    Row { predicted: algorithm.and_then(|algorithm| predicted(algorithm, arrivals, constants)), ..row }
}
