//! Barriers of the literature in the model's words.

use super::super::{Flag, Graph};

pub(super) use super::super::rival::graph as central;

/// Everyone reads everyone; each flag on its own line, or all in one.
pub(super) fn exchange(parties: usize, packed: bool) -> Graph {
    let mut graph = Graph::new(parties);
    let first = graph.flag();
    let mut flags = vec![first];
    for _ in 1..parties {
        flags.push(if packed { graph.flag_beside(first) } else { graph.flag() });
    }
    for rank in 0..parties {
        graph.publish(rank, flags[rank]);
        let others: Vec<Flag> = flags.iter().copied().filter(|&flag| flag != flags[rank]).collect();
        graph.wait(rank, &others);
    }
    graph
}

/// `leader` waits for a flag of each of the others.
fn gather(graph: &mut Graph, leader: usize, others: &[usize]) {
    let flags: Vec<Flag> = others.iter().map(|_| graph.flag()).collect();
    for (&rank, &flag) in others.iter().zip(&flags) {
        graph.publish(rank, flag);
    }
    if !flags.is_empty() {
        graph.wait(leader, &flags);
    }
}

/// `leader` lets all the others go with one flag.
fn release(graph: &mut Graph, leader: usize, others: &[usize]) {
    if others.is_empty() {
        return;
    }
    let go = graph.flag();
    graph.publish(leader, go);
    for &rank in others {
        graph.wait(rank, &[go]);
    }
}

pub(super) fn flat(parties: usize) -> Graph {
    let mut graph = Graph::new(parties);
    let others: Vec<usize> = (1..parties).collect();
    gather(&mut graph, 0, &others);
    release(&mut graph, 0, &others);
    graph
}

fn children(rank: usize, radix: usize, parties: usize) -> Vec<usize> {
    (radix * rank + 1..=radix * rank + radix).filter(|&child| child < parties).collect()
}

fn gather_tree(graph: &mut Graph, radix: usize) {
    let parties = graph.parties();
    for rank in (0..parties).rev() {
        gather(graph, rank, &children(rank, radix, parties));
    }
}

/// Mellor-Crummey and Scott's tree: 4 up, 2 down.
pub(super) fn mcs(parties: usize) -> Graph {
    let mut graph = Graph::new(parties);
    gather_tree(&mut graph, 4);
    for rank in 0..parties {
        for child in children(rank, 2, parties) {
            release(&mut graph, rank, &[child]);
        }
    }
    graph
}

/// 4 up, one flag down.
pub(super) fn tree_and_flag(parties: usize) -> Graph {
    let mut graph = Graph::new(parties);
    gather_tree(&mut graph, 4);
    release(&mut graph, 0, &(1..parties).collect::<Vec<_>>());
    graph
}

/// The LLVM OpenMP runtime's default: radix 4 over the digits of the rank, the farthest subtree released first.
pub(super) fn hyper(parties: usize) -> Graph {
    let mut graph = Graph::new(parties);
    let below = |rank: usize, level: usize| -> Vec<usize> {
        if rank % (level * 4) != 0 {
            return Vec::new();
        }
        (1..4).map(|digit| rank + digit * level).filter(|&child| child < parties).collect()
    };
    let levels: Vec<usize> =
        std::iter::successors(Some(1), |level| Some(level * 4)).take_while(|&l| l < parties).collect();
    for &level in &levels {
        for rank in 0..parties {
            gather(&mut graph, rank, &below(rank, level));
        }
    }
    for &level in levels.iter().rev() {
        for rank in 0..parties {
            for child in below(rank, level).into_iter().rev() {
                release(&mut graph, rank, &[child]);
            }
        }
    }
    graph
}

fn disseminate(graph: &mut Graph, ranks: &[usize], ways: usize) {
    let parties = ranks.len();
    let mut step = 1;
    while step < parties {
        let far: Vec<usize> = (1..=ways).map(|way| way * step).filter(|&far| far < parties).collect();
        let flags: Vec<Vec<Flag>> = ranks.iter().map(|_| far.iter().map(|_| graph.flag()).collect()).collect();
        for (index, &rank) in ranks.iter().enumerate() {
            for &flag in &flags[index] {
                graph.publish(rank, flag);
            }
            let senders = far.iter().enumerate().map(|(way, far)| flags[(index + parties - far) % parties][way]);
            graph.wait(rank, &senders.collect::<Vec<_>>());
        }
        step *= ways + 1;
    }
}

/// Dissemination, a flag of its own for each message.
pub(super) fn dissemination(parties: usize, ways: usize) -> Graph {
    dissemination_in(&(0..parties).collect::<Vec<_>>(), ways)
}

/// Dissemination among ranks that sit in this order.
pub(super) fn dissemination_in(order: &[usize], ways: usize) -> Graph {
    let mut graph = Graph::new(order.len());
    disseminate(&mut graph, order, ways);
    graph
}

/// Gather in groups of `size`, their leaders in packages of `package` leaders, whose leaders exchange; release likewise.
pub(super) fn hierarchical(parties: usize, size: usize, package: usize) -> Graph {
    let mut graph = Graph::new(parties);
    let ranks: Vec<usize> = (0..parties).collect();
    let leaders: Vec<usize> = ranks.chunks(size).map(|group| group[0]).collect();
    let top: Vec<usize> = leaders.chunks(package).map(|group| group[0]).collect();
    ranks.chunks(size).for_each(|group| gather(&mut graph, group[0], &group[1..]));
    leaders.chunks(package).for_each(|group| gather(&mut graph, group[0], &group[1..]));
    disseminate(&mut graph, &top, top.len());
    leaders.chunks(package).for_each(|group| release(&mut graph, group[0], &group[1..]));
    ranks.chunks(size).for_each(|group| release(&mut graph, group[0], &group[1..]));
    graph
}

/// Gather and release in groups of `size`, dissemination among their leaders.
pub(super) fn leaders_disseminate(parties: usize, size: usize, ways: usize) -> Graph {
    let mut graph = Graph::new(parties);
    let ranks: Vec<usize> = (0..parties).collect();
    let leaders: Vec<usize> = ranks.chunks(size).map(|group| group[0]).collect();
    ranks.chunks(size).for_each(|group| gather(&mut graph, group[0], &group[1..]));
    disseminate(&mut graph, &leaders, ways);
    ranks.chunks(size).for_each(|group| release(&mut graph, group[0], &group[1..]));
    graph
}
