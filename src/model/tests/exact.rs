//! Small graphs, worked out by hand. All hops take 100 ns, or as said; the other constants are those of the table, so a
//! flag takes 103 ns, a counter 103 ns, each further reader 10, each further flag 15, each further store 28.

use super::shapes::*;
use super::*;

fn predict(graph: &Graph) -> (f64, f64) {
    predict_on(graph, &Hops::uniform(graph.parties(), 100.0), &TABLE)
}

fn predict_on(graph: &Graph, hops: &Hops, constants: &Constants) -> (f64, f64) {
    let prediction =
        evaluate(graph, hops, constants, Effort::Full, &mut Scratch::default()).expect("the graph completes");
    // No number that anybody cares for is finer than this.
    let rounded = |nanos: f64| (nanos * 1e3).round() / 1e3;
    (rounded(prediction.together), rounded(prediction.straggler))
}

#[test]
fn a_pair_exchanges_in_one_hop() {
    assert_eq!(predict(&exchange(2, false)), (103.0, 103.0));
}

#[test]
fn alpha_makes_hops_dearer_and_counters_only_by_rmw() {
    let hops = Hops::uniform(2, 100.0);
    let alpha = Constants { alpha: 1.5, ..TABLE };
    assert_eq!(predict_on(&exchange(2, false), &hops, &alpha), (153.0, 153.0));
    assert_eq!(predict_on(&central(2, false), &hops, &alpha), (103.0 + 153.0, 103.0 + 153.0));
    let rmw = Constants { rmw: 1.5, ..TABLE };
    assert_eq!(predict_on(&central(2, false), &hops, &rmw), (153.0 + 103.0, 153.0 + 103.0));
}

/// The transfer that a writer needs anyway brings the other's flag: no poller has to be invalidated first, so alpha
/// has no part in it. But who comes late has to take the line from the other, who polls it.
#[test]
fn a_packed_pair_costs_one_bare_transfer() {
    let alpha = Constants { alpha: 2.0, ..TABLE };
    let hops = Hops::uniform(2, 100.0);
    assert_eq!(predict_on(&exchange(2, true), &hops, &alpha), (103.0, 203.0));
    assert_eq!(predict_on(&exchange(2, false), &hops, &alpha), (203.0, 203.0));
}

/// Who waits on a line before it stores there polls like anybody else: a hop there and a hop back.
#[test]
fn a_packed_answer_saves_nothing() {
    let mut graph = Graph::new(2);
    let question = graph.flag();
    let answer = graph.flag_beside(question);
    graph.publish(0, question);
    graph.wait(1, &[question]);
    graph.publish(1, answer);
    graph.wait(0, &[answer]);
    let alpha = Constants { alpha: 2.0, ..TABLE };
    assert_eq!(predict_on(&graph, &Hops::uniform(2, 100.0), &alpha), (406.0, 406.0));
}

/// Four writers of one line queue for it: 3 times on the way, and the first one's fetch of the last one's flag is the
/// next trip's start.
#[test]
fn packing_does_not_pay_for_four() {
    let (packed, _) = predict(&exchange(4, true));
    let (padded, _) = predict(&exchange(4, false));
    assert!(packed >= 3.0 * 103.0, "{packed}");
    assert!(padded < 2.0 * 103.0, "{padded}");
}

/// Last of 4 at the counter stores at 0; the others see it at 103, 113, 123. The last one has counted again by then (at
/// 3, it owns the line); the others queue from 103 on: 206, 309, 412, which is the next store.
/// A straggler finds the counter with another: 103; and then 103 for the flag, and 20 for two more readers.
#[test]
fn a_counter_serves_one_after_another() {
    assert_eq!(predict(&central(4, false)), (412.0, 103.0 + 103.0 + 20.0));
}

/// The first to count takes the line from who was last on the trip before.
#[test]
fn a_counter_remembers_its_owner() {
    let graph = central(2, false);
    let hops = Hops::uniform(2, 100.0);
    let mut scratch = Scratch::default();
    let mut run = Run::new(&graph, &hops, &TABLE, &mut scratch).unwrap();
    assert_eq!(run.exits(&[0.0, 0.0]), [3.0 + 103.0 + 103.0, 3.0 + 103.0]);
    assert_eq!(run.exits(&[1000.0, 1000.0]), [1000.0 + 3.0 * 103.0, 1000.0 + 2.0 * 103.0]);
}

/// As in the first of these, but whoever counts takes the line from those who poll it: 0, 1, 2 and 3 of them.
#[test]
fn polling_the_counters_line_costs_those_who_count() {
    assert_eq!(predict(&central(4, true)), (412.0 + 10.0 + 20.0 + 30.0, 226.0 + 30.0));
}

/// Two rounds of one hop.
#[test]
fn dissemination_of_four_takes_two_hops() {
    assert_eq!(predict(&dissemination(4, 1)), (206.0, 206.0));
}

/// One round; the third flag leaves its writer 56 later. All three hops are equal, so no miss has to wait for another.
#[test]
fn stores_leave_the_store_buffer_one_after_another() {
    assert_eq!(predict(&dissemination(4, 3)), (103.0 + 56.0, 103.0 + 56.0));
}

/// Each flag is seen by its first reader after 103, by the second after 113, by the third after 123; and each further
/// flag costs 15. Rank 0 is the first reader of all: 103, 118, 133. Rank 1 is the first of one and the second of two:
/// 103, 118, 133. Rank 2 the second of two, the third of one: 113, 128, 143. Rank 3 the third of all: 123, 138, 153.
#[test]
fn readers_and_flags_queue() {
    let graph = exchange(4, false);
    let hops = Hops::uniform(4, 100.0);
    let mut scratch = Scratch::default();
    let exits = Run::new(&graph, &hops, &TABLE, &mut scratch).unwrap().exits(&[0.0; 4]);
    assert_eq!(exits, [133.0, 133.0, 143.0, 153.0]);
}

/// 0 -> 1 -> 2 -> 3, and a flag back to all. Ranks 1 and 2 see the end after 103 and 113, rank 0 after 123, in the order
/// of ranks: 0, 1, 2. With rank 0 late, three hops up and one down for the last reader.
#[test]
fn a_chain_costs_its_length() {
    let mut graph = Graph::new(4);
    let links: Vec<Flag> = (0..3).map(|_| graph.flag()).collect();
    let end = graph.flag();
    graph.publish(0, links[0]);
    for rank in 1..4 {
        graph.wait(rank, &[links[rank - 1]]);
        graph.publish(rank, if rank == 3 { end } else { links[rank] });
    }
    for rank in 0..3 {
        graph.wait(rank, &[end]);
    }
    // Together: rank 0, the first to see the end (103), starts the next chain (309), and its end comes then.
    assert_eq!(predict(&graph), (4.0 * 103.0, 4.0 * 103.0 + 20.0));
}

/// Two counters of two, a root of two. All arrive at 0: 0 and 1 on the left, 2 and 3 on the right, are served at 3 (the
/// first ever finds no owner) and 106; of the two that climb, both at 106, the lower rank is served first (3), the other
/// after a transfer: 212. Its flag is seen at 315, 325 and 335.
#[test]
fn the_last_one_climbs() {
    let mut graph = Graph::new(4);
    let go = graph.flag();
    let root = graph.counter(2, None);
    let sides = [graph.counter(2, Some(root)), graph.counter(2, Some(root))];
    graph.opens(root, &[go]);
    for rank in 0..4 {
        graph.count(rank, sides[rank / 2]);
        graph.wait(rank, &[go]);
    }
    let hops = Hops::uniform(4, 100.0);
    let mut scratch = Scratch::default();
    let exits = Run::new(&graph, &hops, &TABLE, &mut scratch).unwrap().exits(&[0.0; 4]);
    assert_eq!(exits, [315.0, 325.0, 335.0, 212.0]);
    // The straggler's way: two counters, and the third reader.
    assert_eq!(predict(&graph).1, 103.0 + 103.0 + 123.0);
}

/// The reader next door sees the flag first, whatever its rank.
#[test]
fn near_readers_come_first() {
    let mut graph = Graph::new(3);
    let go = graph.flag();
    graph.publish(0, go);
    graph.wait(1, &[go]);
    graph.wait(2, &[go]);
    let cpus = machine(2, 1, 2, 1);
    let classes = Classes { smt: 10.0, llc: 100.0, package: 200.0, machine: 500.0 };
    // Rank 1 is in the other package, rank 2 beside rank 0.
    let hops = Hops::from_cpus(&[cpus[0], cpus[2], cpus[1]], &classes);
    let mut scratch = Scratch::default();
    let exits = Run::new(&graph, &hops, &TABLE, &mut scratch).unwrap().exits(&[0.0; 3]);
    assert_eq!(exits, [0.0, 503.0 + 10.0, 103.0]);
}

#[test]
fn what_can_never_complete_is_none() {
    let hops = Hops::uniform(2, 100.0);
    let never = |graph: &Graph| assert_eq!(evaluate(graph, &hops, &TABLE, Effort::Full, &mut Scratch::default()), None);

    let mut unpublished = Graph::new(2);
    let flag = unpublished.flag();
    unpublished.wait(0, &[flag]);
    never(&unpublished);

    let mut circle = Graph::new(2);
    let flags = [circle.flag(), circle.flag()];
    for rank in 0..2 {
        circle.wait(rank, &[flags[1 - rank]]);
        circle.publish(rank, flags[rank]);
    }
    never(&circle);

    let mut twice = Graph::new(2);
    let flag = twice.flag();
    twice.publish(0, flag);
    twice.publish(1, flag);
    never(&twice);

    for arrivals in [0, 1, 3] {
        let mut miscounted = Graph::new(2);
        let counter = miscounted.counter(arrivals, None);
        miscounted.count(0, counter);
        miscounted.count(1, counter);
        never(&miscounted);
    }
}

/// Fields are public, so anything may stand in them.
#[test]
fn nonsense_is_none_or_a_number() {
    let mut scratch = Scratch::default();
    assert_eq!(evaluate(&central(3, false), &Hops::uniform(2, 40.0), &TABLE, Effort::Full, &mut scratch), None);
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0, 0.0, f64::MAX, f64::MIN_POSITIVE] {
        if cfg!(miri) && !nonsense.is_nan() {
            continue; // plain arithmetic, and minutes of it
        }
        let constants = [
            TABLE,
            Constants { alpha: nonsense, ..TABLE },
            Constants { g_w: nonsense, ..TABLE },
            Constants { g_r: nonsense, ..TABLE },
            Constants { c_b: nonsense, ..TABLE },
            Constants { rmw: nonsense, ..TABLE },
            Constants { overhead: nonsense, ..TABLE },
        ];
        for graph in [central(5, true), exchange(5, true), exchange(5, false), mcs(9), dissemination(5, 3)] {
            for constants in &constants {
                for nanos in [40.0, nonsense] {
                    let hops = Hops::uniform(graph.parties(), nanos);
                    let prediction = evaluate(&graph, &hops, constants, Effort::Full, &mut scratch);
                    assert!(prediction.is_none_or(|cost| cost.together.is_finite() && cost.straggler.is_finite()));
                }
            }
        }
    }
    // And nothing of it stays behind.
    let fresh = evaluate(&mcs(9), &Hops::uniform(9, 40.0), &TABLE, Effort::Full, &mut Scratch::default());
    assert_eq!(evaluate(&mcs(9), &Hops::uniform(9, 40.0), &TABLE, Effort::Full, &mut scratch), fresh);
}

#[test]
fn nobody_and_one_alone_cost_nothing() {
    assert_eq!(predict(&central(1, false)), (3.0, 3.0)); // the count, which nobody else wants
    assert_eq!(predict(&exchange(1, false)), (0.0, 0.0));
    assert_eq!(predict(&Graph::new(0)), (0.0, 0.0));
}

/// One after another through the same arrays, larger and smaller: nothing is left over.
#[test]
fn scratch_keeps_nothing() {
    let mut scratch = Scratch::default();
    let graphs = [central(9, true), exchange(4, true), mcs(30), hyper(17), central(3, false), dissemination(12, 3)];
    for graph in graphs.iter().chain(graphs.iter().rev()) {
        let hops = Hops::uniform(graph.parties(), 40.0);
        let fresh = evaluate(graph, &hops, &Constants::default(), Effort::Full, &mut Scratch::default());
        assert_eq!(evaluate(graph, &hops, &Constants::default(), Effort::Full, &mut scratch), fresh);
    }
}
