//! What must hold for every graph, on random ones.

use super::shapes::*;
use super::*;
use proptest::prelude::*;

/// Each rank's waits: in round k it stores its flag k, then waits for flags (rank, round) stored in rounds up to k.
/// Acyclic by construction.
type Rounds = Vec<Vec<Vec<(usize, usize)>>>;

fn rounds() -> impl Strategy<Value = (usize, Rounds)> {
    (2..9_usize, 1..5_usize).prop_flat_map(|(parties, rounds)| {
        let waits = move |round: usize| {
            let one =
                prop::collection::btree_set((0..parties, 0..=round), 0..5).prop_map(|set| set.into_iter().collect());
            prop::collection::vec(one, parties)
        };
        let all: Vec<_> = (0..rounds).map(waits).collect();
        all.prop_map(move |rounds| (parties, rounds))
    })
}

fn graph_of(parties: usize, rounds: &Rounds) -> Graph {
    let mut graph = Graph::new(parties);
    let flags: Vec<Vec<Flag>> = rounds.iter().map(|_| (0..parties).map(|_| graph.flag()).collect()).collect();
    for (round, waits) in rounds.iter().enumerate() {
        for (rank, waits) in waits.iter().enumerate() {
            graph.publish(rank, flags[round][rank]);
            let waits: Vec<Flag> = waits.iter().map(|&(from, round)| flags[round][from]).collect();
            graph.wait(rank, &waits);
        }
    }
    graph
}

/// The rules once more, in the plainest way: over and over until nothing changes.
fn plain_exits(parties: usize, rounds: &Rounds, hops: &Hops, constants: &Constants, arrivals: &[f64]) -> Vec<f64> {
    let Constants { alpha, g_w, g_r, c_b, overhead, .. } = *constants;
    let hop = |a: usize, b: usize| alpha * hops.transfer(a, b);
    // Who reads (rank, round), and in which of its waits.
    let readers = |from: usize, stored: usize| {
        let mut readers: Vec<(f64, usize, usize)> = Vec::new();
        for (round, waits) in rounds.iter().enumerate() {
            let here = (0..parties).filter(|&rank| rank != from && waits[rank].contains(&(from, stored)));
            readers.extend(here.map(|rank| (hop(from, rank), rank, round)));
        }
        readers.sort_by(|a, b| a.partial_cmp(b).unwrap());
        readers
    };
    let delay = |from: usize, stored: usize, to: usize| {
        let mut ranks: Vec<usize> = readers(from, stored).iter().map(|reader| reader.1).collect();
        ranks.dedup();
        let before = ranks.iter().take_while(|&&rank| rank != to);
        hop(from, to) + overhead + before.map(|&rank| c_b * hop(from, rank)).sum::<f64>()
    };
    let mut stored = vec![vec![0.0_f64; parties]; rounds.len()];
    let mut exits = arrivals.to_vec();
    for _ in 0..=rounds.len() * parties {
        for rank in 0..parties {
            let (mut now, mut last) = (arrivals[rank], f64::NEG_INFINITY);
            for (round, waits) in rounds.iter().enumerate() {
                let farthest = readers(rank, round).iter().map(|reader| reader.0).fold(0.0, f64::max);
                last = now.max(last + g_w * farthest);
                stored[round][rank] = last;
                let mut seen: Vec<(f64, f64)> = Vec::new();
                for &(from, round) in &waits[rank] {
                    if from == rank {
                        seen.push((stored[round][from], 0.0));
                    } else {
                        seen.push((stored[round][from] + delay(from, round, rank), g_r * hop(from, rank)));
                    }
                }
                seen.sort_by(|a, b| (a.0, -a.1).partial_cmp(&(b.0, -b.1)).unwrap());
                now = seen.iter().fold(now, |done, &(seen, gap)| seen.max(done + gap));
            }
            exits[rank] = now;
        }
    }
    exits
}

/// A matrix of transfers from one list of numbers.
fn hops_of(parties: usize, nanos: &[f64]) -> Hops {
    let row = |i: usize| {
        (0..parties).map(|j| nanos[(i.max(j) * i.max(j) + i.min(j)) % nanos.len()].to_string() + ",").collect()
    };
    let rows: Vec<String> = (0..parties).map(row).collect();
    let matrix: LatencyMatrix = rows.join("\n").parse().unwrap();
    Hops::from_matrix(&matrix, &(0..parties).collect::<Vec<_>>()).unwrap()
}

proptest! {
    // A failure is printed with its input; nothing is written into the source tree.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_gives_what_the_rules_say(
        (parties, rounds) in rounds(),
        nanos in prop::collection::vec(5.0..300.0_f64, 40),
        arrivals in prop::collection::vec(0.0..500.0_f64, 9),
    ) {
        let hops = hops_of(parties, &nanos);
        let graph = graph_of(parties, &rounds);
        let mut scratch = Scratch::default();
        let exits = Run::new(&graph, &hops, &Constants::default(), &mut scratch).unwrap().exits(&arrivals[..parties]);
        let plain = plain_exits(parties, &rounds, &hops, &Constants::default(), &arrivals[..parties]);
        for (exit, plain) in exits.iter().zip(&plain) {
            prop_assert!((exit - plain).abs() < 1e-6, "{exits:?} {plain:?}");
        }
    }

    /// C1 in the model.
    #[test]
    fn nobody_leaves_before_the_last_arrival(
        parties in 1..40_usize,
        shape in 0..10_usize,
        nanos in prop::collection::vec(5.0..300.0_f64, 97),
        arrivals in prop::collection::vec(0.0..5000.0_f64, 40),
    ) {
        let graph = any_shape(shape, parties);
        let hops = hops_of(parties, &nanos);
        let mut scratch = Scratch::default();
        let arrivals = &arrivals[..parties];
        let exits = Run::new(&graph, &hops, &Constants::default(), &mut scratch).unwrap().exits(arrivals);
        let last = arrivals.iter().copied().fold(0.0, f64::max);
        prop_assert!(exits.iter().all(|&exit| exit >= last), "{arrivals:?} {exits:?}");
        let prediction = evaluate(&graph, &hops, &Constants::default(), Effort::Full, &mut scratch).unwrap();
        prop_assert!(prediction.together.is_finite() && prediction.together >= 0.0);
        prop_assert!(prediction.straggler.is_finite() && prediction.straggler >= 0.0);
    }

    /// With one reader to each flag and one flag to each wait the order of everything is fixed. (Where flags come to one
    /// reader from different distances, and change places, a dearer hop may save another one's miss.)
    #[test]
    fn a_dearer_hop_makes_nothing_cheaper(
        parties in 2..20_usize,
        nanos in prop::collection::vec(5.0..300.0_f64, 23),
        which in 0..23_usize,
        more in 0.0..300.0_f64,
    ) {
        let graph = dissemination(parties, 1);
        let mut dearer = nanos.clone();
        dearer[which] += more;
        let mut scratch = Scratch::default();
        let mut after_trips = |nanos: &[f64]| {
            let hops = hops_of(parties, nanos);
            let constants = Constants::default();
            let mut run = Run::new(&graph, &hops, &constants, &mut scratch).unwrap();
            (0..8).fold(vec![0.0; parties], |arrivals, _| run.exits(&arrivals))
        };
        let (before, after) = (after_trips(&nanos), after_trips(&dearer));
        // The matrix keeps single precision.
        prop_assert!(before.iter().zip(&after).all(|(before, after)| *after >= before - 1e-2), "{before:?} {after:?}");
    }

    #[test]
    fn all_scales_with_the_hops(parties in 1..30_usize, shape in 0..10_usize, nanos in 5.0..300.0_f64, factor in 1.0..5.0_f64) {
        let graph = any_shape(shape, parties);
        let constants = Constants { overhead: 0.0, ..Constants::default() };
        let mut scratch = Scratch::default();
        let mut predict = |nanos| evaluate(&graph, &Hops::uniform(parties, nanos), &constants, Effort::Full, &mut scratch).unwrap();
        let (one, more) = (predict(nanos), predict(nanos * factor));
        prop_assert!((one.together * factor - more.together).abs() <= 1e-3 * more.together + 1e-9, "{one:?} {more:?}");
        prop_assert!((one.straggler * factor - more.straggler).abs() <= 1e-3 * more.straggler + 1e-9, "{one:?} {more:?}");
    }

    /// Where all are equally far, it does not matter who sits where.
    #[test]
    fn equal_ranks_may_change_places(
        parties in 2..20_usize,
        ways in 1..4_usize,
        order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let order: Vec<usize> = order.into_iter().filter(|&rank| rank < parties).collect();
        let hops = Hops::uniform(parties, 70.0);
        let mut scratch = Scratch::default();
        let plain = evaluate(&dissemination(parties, ways), &hops, &Constants::default(), Effort::Full, &mut scratch).unwrap();
        let moved = evaluate(&dissemination_in(&order, ways), &hops, &Constants::default(), Effort::Full, &mut scratch).unwrap();
        prop_assert!((plain.together - moved.together).abs() < 1e-6);
        prop_assert!((plain.straggler - moved.straggler).abs() < 1e-6);
    }
}

fn any_shape(shape: usize, parties: usize) -> Graph {
    match shape {
        0 => central(parties, false),
        1 => central(parties, true),
        2 => flat(parties),
        3 => mcs(parties),
        4 => tree_and_flag(parties),
        5 => hyper(parties),
        6 => dissemination(parties, 3),
        7 => hierarchical(parties, 4, 2),
        8 => leaders_disseminate(parties, 3, 2),
        _ => exchange(parties, parties % 2 == 0),
    }
}
