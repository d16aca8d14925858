//! The constants of a cost model, from the probes' rounds; and where its predictions will come in.

use super::super::{Series, find};
use crate::peer::probe::Gap;
use crate::place;
use crate::seat::Role;
use crate::stats::Summary;
use phalanx::Algorithm;
use phalanx::model::{self, Classes, Hops};
use phalanx::topology::Cpu;
use serde::{Deserialize, Serialize};

/// Names of the hops' probes.
pub const PACKED: &str = "hop, ranks 0 and 1, both flags in one line";
pub const PADDED: &str = "hop, ranks 0 and 1, each flag in its own line";

/// The hop to the last rank.
pub fn far(parties: usize) -> String {
    format!("hop, ranks 0 and {}, each flag in its own line", parties - 1)
}

/// What a transfer costs on these CPUs, in nanoseconds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Constants {
    pub parties: usize,
    /// By rank.
    pub cpus: Vec<usize>,
    /// `h` between ranks 0 and 1, both ways of laying out the flags.
    pub hop_packed: Option<Summary>,
    pub hop_padded: Option<Summary>,
    /// `h` between rank 0 and the last, if that is another than rank 1.
    pub hop_far: Option<Summary>,
    /// `g_r`: what each further flag adds for its one reader. Needs three parties, as do the next two.
    pub read_gap: Option<Summary>,
    /// `g_w`: what each further flag adds for its one writer.
    pub write_gap: Option<Summary>,
    /// `c_b`: what each further poller of one flag adds for the last of them.
    pub broadcast: Option<Summary>,
    /// `r_k`: what each further rank that adds to the same counter adds for the last.
    pub rmw: Option<Summary>,
}

impl Constants {
    /// From the probes' values by round.
    pub fn of(cpus: &[usize], probes: &[Series]) -> Self {
        let summary = |name: &str| find(probes, name).map(Series::summary);
        let slope = |gap| slope(gap, cpus.len(), probes).map(|series| series.summary());
        Self {
            parties: cpus.len(),
            cpus: cpus.into(),
            hop_packed: summary(PACKED),
            hop_padded: summary(PADDED),
            hop_far: if cpus.len() > 2 { summary(&far(cpus.len())) } else { None },
            read_gap: slope(Gap::Read),
            write_gap: slope(Gap::Write),
            broadcast: slope(Gap::Broadcast),
            rmw: slope(Gap::Rmw),
        }
    }
}

/// The slope over `k` of a gap's probes, by round; nothing if there is but one `k`.
pub fn slope(gap: Gap, parties: usize, probes: &[Series]) -> Option<Series> {
    let points: Vec<(f64, &Series)> =
        gap.widths(parties).into_iter().filter_map(|k| Some((k as f64, find(probes, &gap.name(k))?))).collect();
    if points.len() < 2 {
        return None;
    }
    let in_round = |round: usize| {
        let at: Option<Vec<(f64, f64)>> = points.iter().map(|(k, of)| Some((*k, (*of.values.get(round)?)?))).collect();
        at.map(|points| least_squares(&points))
    };
    let symbol = match gap {
        Gap::Read => "read gap g_r",
        Gap::Write => "write gap g_w",
        Gap::Broadcast => "broadcast c_b",
        Gap::Rmw => "contended add r_k",
    };
    let values = (0..points[0].1.values.len()).map(in_round).collect();
    Some(Series { name: format!("{symbol}, slope over k"), role: Role::Info, values })
}

fn least_squares(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
    let (up, down) = points.iter().fold((0.0, 0.0), |(up, down), point| {
        let dx = point.0 - x;
        (up + dx * (point.1 - y), down + dx * dx)
    });
    up / down
}

/// No barrier of so many is thought to be faster than a hop and one read of each flag, by round.
///
/// The hop is the better of both layouts. Two parties have no gap that could be measured, and none that they would pay.
pub fn bound(parties: usize, probes: &[Series]) -> Option<Series> {
    let (packed, padded) = (find(probes, PACKED)?, find(probes, PADDED)?);
    let gap = slope(Gap::Read, parties, probes);
    let values = packed.values.iter().zip(&padded.values).enumerate().map(|(round, (packed, padded))| {
        let read = gap.as_ref().map_or(Some(0.0), |gap| gap.values[round])?;
        Some((*packed)?.min((*padded)?) + parties as f64 * read.max(0.0))
    });
    let name = if gap.is_some() { "hop and n read gaps" } else { "hop" };
    Some(Series { name: name.into(), role: Role::Floor, values: values.collect() })
}

/// How the parties come.
#[derive(Clone, Copy)]
pub enum Arrivals {
    Together,
    OneLate,
}

/// What phalanx's cost model says that a trip takes, in nanoseconds, to stand beside what was measured: with the hop
/// from rank 0 to 1 for all pairs of one cache and that to the last rank for all others, and with this run's gaps. Both
/// flags in one line cost one bare transfer a trip, so that hop is the transfer, and the other one in it is `alpha`.
pub fn predicted(algorithm: Algorithm, arrivals: Arrivals, constants: &Constants) -> Option<f64> {
    let near = constants.hop_padded.as_ref()?.median;
    let far = constants.hop_far.as_ref().map_or(near, |far| far.median);
    let transfer = constants.hop_packed.as_ref()?.median;
    let alpha = near / transfer;
    let classes = Classes { smt: transfer, llc: transfer, package: far / alpha, machine: far / alpha };
    let usual = model::Constants::default();
    let part = |gap: &Option<Summary>, usual: f64| gap.as_ref().map_or(usual, |gap| (gap.median / near).max(0.0));
    let measured = model::Constants {
        alpha,
        g_r: part(&constants.read_gap, usual.g_r),
        g_w: part(&constants.write_gap, usual.g_w),
        c_b: part(&constants.broadcast, usual.c_b),
        rmw: constants.rmw.as_ref().map_or(usual.rmw, |rmw| (rmw.median / transfer).max(0.0)),
        ..usual
    };
    let placement = place::placement(&constants.cpus).ok()?;
    let cpus: Option<Vec<Cpu>> = (0..constants.parties).map(|rank| placement.cpu(rank).copied()).collect();
    let prediction = algorithm.predict(&placement, &Hops::from_cpus(&cpus?, &classes), &measured)?;
    Some(match arrivals {
        Arrivals::Together => prediction.together,
        Arrivals::OneLate => prediction.straggler,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: String, values: &[f64]) -> Series {
        Series { name, role: Role::Info, values: values.iter().copied().map(Some).collect() }
    }

    #[test]
    fn a_line_has_its_slope() {
        let slope = least_squares(&[(1.0, 10.0), (2.0, 13.0), (4.0, 19.0)]);
        assert!((slope - 3.0).abs() < 1e-9, "{slope}");
    }

    #[test]
    fn the_bound_takes_the_better_hop_and_a_gap_for_each() {
        let hops = [series(PACKED.into(), &[40.0, 70.0]), series(PADDED.into(), &[50.0, 60.0])];
        assert_eq!(bound(2, &hops).unwrap().values, [Some(40.0), Some(60.0)]);
        let reads = Gap::Read.widths(5).into_iter().map(|k| series(Gap::Read.name(k), &[100.0 + 2.0 * k as f64; 2]));
        let all: Vec<Series> = hops.into_iter().chain(reads).collect();
        let values: Vec<_> = bound(5, &all).unwrap().values.into_iter().flatten().collect();
        assert!((values[0] - 50.0).abs() < 1e-9 && (values[1] - 70.0).abs() < 1e-9, "{values:?}");
        assert!(slope(Gap::Write, 5, &all).is_none());
    }
}
