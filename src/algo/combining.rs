//! Combining tree: small counters instead of a large one; the last to arrive at a counter goes on to the next.
//!
//! Yew, Tzeng and Lawrie, "Distributing hot-spot addressing in large-scale multiprocessors", IEEE Transactions on
//! Computers C-36(4), 1987 (the software combining tree); as a barrier: Mellor-Crummey and Scott, ACM Transactions on
//! Computer Systems 9(1), 1991, section 3.2. Differs from the papers in: the tree follows the machine's caches and
//! packages (`tiers.rs`); nobody retraces its path, the last one opens go flags on lines of their own (`gates.rs`);
//! epochs instead of a sense; a counter starts from the first generation of its era instead of 0, so that all words
//! of a board start alike.
//!
//! Cost per trip, n parties, fan-in f: one read-modify-write each, and one more for each counter filled, n·f/(f-1) in
//! all; critical path f - 1 serialised read-modify-writes per level when all arrive together, one per level for a lone
//! straggler, and one hop for the gates. n/(f-1) lines for the counters. Rooted: yes, at the last arrival. Split phase:
//! full (nobody else has to run before the release). Choose it when many parties share few CPUs, or sleep, or are busy
//! between arrival and wait.
//!
//! # State
//!
//! | word | writers | readers | meaning |
//! |---|---|---|---|
//! | counter | its group, by `fetch_add`; the last of them stores it back | the same, by the same `fetch_add` | arrivals of the group |
//! | gate | the last of all | up to 16 parties of one cache | all have arrived |
//! | slot r | party r | breakers | arrival of r |
//!
//! # Protocol
//!
//! 1. Store the own slot, then step the counter of the own group. The last one of the group stores the counter back and
//!    steps the next one, up to the root; all this on arrival, and nobody waits on the way.
//! 2. The last one at the root runs what is to be run at the root, then publishes the gates, the farthest first.
//! 3. Everybody else awaits its own gate.
//!
//! # Memory ordering
//!
//! - arrivals → the last one of the group: the `fetch_add`s of one trip are a release sequence; being `AcqRel`, the last
//!   one acquires all of them, and releases them to the next counter.
//! - the last one of all → the others: the gates, `publish` and `reached` (`fate/epoch.rs`).
//! - a counter stored back → the next trip's arrivals: ordered by the same gates, since a party arrives again only after
//!   it has seen its own.
//!
//! # Reuse
//!
//! Every counter is back before the gates release anyone. Gates are epochs.

use super::gates::Gates;
use super::relay::Course;
use super::tiers::tiers;
use super::{Algorithm, Part, Rooted, sealed};
use crate::fate::Slots;
use crate::fate::board::{Board, Spot};
use crate::fate::epoch::{publish, reached};
use crate::model::{Counter, Flag, Graph};
use crate::primitive::Ordering;
use crate::topology::Sites;
use crate::wait::{Door, Stay, Stop};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The counters and gates of all parties.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Lines, and the slots; it has no legs.
    course: Arc<Course>,
    nodes: Box<[Node]>,
    /// The first counter of each rank.
    leaf_of: Box<[u32]>,
    gates: Gates,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    counter: Spot,
    arrivals: u64,
    parent: Option<u32>,
}

impl Tree {
    /// A tree of counters for at most `fan` arrivals each (at least 2).
    pub(crate) fn new(sites: &Sites, fan: usize) -> Self {
        let mut course = Course::new(sites);
        let (tiers, _) = tiers(sites, fan, true);
        let mut nodes: Vec<Node> = Vec::new();
        let mut leaf_of: Vec<Option<u32>> = vec![None; sites.parties()];
        // The counter that a rank was the last to fill, if it stood for its group alone.
        let mut filled: Vec<Option<u32>> = vec![None; sites.parties()];
        for group in tiers.iter().flatten() {
            let number = nodes.len() as u32;
            nodes.push(Node { counter: course.flag(group[0]), arrivals: group.len() as u64, parent: None });
            for &rank in group {
                match filled[rank].replace(number) {
                    Some(below) => nodes[below as usize].parent = Some(number),
                    None => leaf_of[rank] = Some(number),
                }
            }
        }
        if nodes.is_empty() {
            nodes.push(Node { counter: course.flag(0), arrivals: 1, parent: None });
        }
        let gates = Gates::new(&mut course, sites);
        let leaf_of = leaf_of.into_iter().map(|leaf| leaf.unwrap_or(0)).collect();
        Self { course: Arc::new(course), nodes: nodes.into(), leaf_of, gates }
    }

    /// The lines that it needs.
    pub(crate) fn course(&self) -> &Arc<Course> {
        &self.course
    }

    /// The tree as the cost model sees it.
    pub(crate) fn graph(&self) -> Graph {
        let parties = self.leaf_of.len();
        let mut graph = Graph::new(parties);
        let mut counters: Vec<Option<Counter>> = vec![None; self.nodes.len()];
        // Parents come after their children.
        for (number, node) in self.nodes.iter().enumerate().rev() {
            let parent = node.parent.and_then(|parent| counters[parent as usize]);
            counters[number] = Some(graph.counter(node.arrivals as usize, parent));
        }
        let order = self.gates.in_order_of(0);
        let gates: BTreeMap<Spot, Flag> = order.iter().map(|&gate| (gate, graph.flag())).collect();
        if let Some(root) = counters.last().copied().flatten() {
            let opened: Vec<Flag> = order.iter().map(|gate| gates[gate]).collect();
            graph.opens(root, &opened);
        }
        for rank in 0..parties {
            let slot = graph.flag();
            graph.publish(rank, slot);
            if let Some(leaf) = counters[self.leaf_of[rank] as usize] {
                graph.count(rank, leaf);
            }
            graph.wait(rank, &[gates[&self.gates.of(rank)]]);
        }
        graph
    }
}

/// One party's seat.
#[derive(Debug)]
pub(crate) struct Combining {
    tree: Arc<Tree>,
    board: Arc<Board>,
    slots: Slots,
    rank: usize,
    /// What the counters start from.
    base: u64,
    part: Part,
}

impl Combining {
    /// The seat of `rank` in an era whose first trip is `base`.
    pub(crate) fn new(tree: Arc<Tree>, board: Arc<Board>, slots: Slots, rank: usize, base: u64) -> Self {
        Self { tree, board, slots, rank, base, part: Part::Waiter }
    }

    /// Step 1.
    fn climb(&self) -> Part {
        let mut next = Some(self.tree.leaf_of[self.rank]);
        while let Some(number) = next {
            let node = &self.tree.nodes[number as usize];
            let counter = self.board.at(node.counter);
            // [climb] AcqRel: releases what this party brings to the group's last one, and if this is the last one
            // acquires what all of the group have brought.
            let before = counter.fetch_add(1, Ordering::AcqRel);
            if before.wrapping_sub(self.base) + 1 < node.arrivals {
                return Part::Waiter;
            }
            // Relaxed: ordered before the next trip's arrivals by the gates.
            counter.store(self.base, Ordering::Relaxed);
            next = node.parent;
        }
        Part::Root
    }
}

impl sealed::Sealed for Combining {}

impl Algorithm for Combining {
    #[inline]
    fn arrive(&mut self, generation: u64) {
        self.slots.arrive(self.rank, generation);
        self.part = self.climb();
    }

    #[inline]
    fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop> {
        let generation = stay.generation;
        match self.part {
            Part::Root => {
                self.release(generation);
                Ok(())
            }
            Part::ReleasedRoot => Ok(()),
            Part::Waiter => {
                let gate = self.board.at(self.tree.gates.of(self.rank));
                door.until(stay, move || reached(gate, generation)) // step 3
            }
        }
    }

    fn try_complete(&mut self, generation: u64) -> bool {
        match self.part {
            Part::Root => {
                self.release(generation);
                true
            }
            Part::ReleasedRoot => true,
            Part::Waiter => reached(self.board.at(self.tree.gates.of(self.rank)), generation),
        }
    }

    /// The last to arrive leads.
    #[inline(always)]
    fn leads(&self) -> bool {
        self.part != Part::Waiter
    }
}

impl Rooted for Combining {
    #[inline]
    fn is_root(&self) -> bool {
        self.part == Part::Root
    }

    #[inline]
    fn release(&mut self, generation: u64) {
        for &gate in self.tree.gates.in_order_of(self.rank) {
            publish(self.board.at(gate), generation); // step 2
        }
        self.part = Part::ReleasedRoot;
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{shapes, tested};

    /// Every rank has a counter, every counter gets as many arrivals as it waits for, and there is one root, the last.
    #[test]
    fn the_tree_is_a_tree() {
        let counts = tested((1..=40).chain([127, 128, 129])).map(|parties| ("anywhere", Sites::anywhere(parties)));
        for (name, sites) in counts.chain(shapes()) {
            for fan in [2, 3, 4, 16] {
                let tree = Tree::new(&sites, fan);
                let mut arrivals = vec![0; tree.nodes.len()];
                tree.leaf_of.iter().for_each(|&leaf| arrivals[leaf as usize] += 1);
                for (number, node) in tree.nodes.iter().enumerate() {
                    assert_eq!(node.parent.is_none(), number + 1 == tree.nodes.len(), "{name}, fan {fan}");
                    if let Some(parent) = node.parent {
                        assert!(parent as usize > number, "{name}, fan {fan}");
                        arrivals[parent as usize] += 1;
                    }
                }
                let expected: Vec<u64> = tree.nodes.iter().map(|node| node.arrivals).collect();
                assert_eq!(arrivals, expected, "{name}, fan {fan}");
            }
        }
    }
}
