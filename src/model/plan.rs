//! An order in which the steps of a graph can be evaluated, whatever the times of arrival.
//!
//! What a step has to wait for does not depend on who is late, so the order is found once and each trip is one pass over
//! it. Only *who* is last at a counter changes from trip to trip; therefore nobody who has counted goes on, in this
//! order, before the last counter on the way up is done.

use super::graph::{Act, Graph};

/// One step of the evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// The rank stores the flag.
    Publish { rank: u32, flag: u32 },
    /// The flags from here to there in `settled`, all on one line, were stored since the line was last looked at.
    Settle { from: u32, to: u32 },
    /// The rank waits for the flags on these edges.
    Wait { rank: u32, from: u32, to: u32 },
    /// The rank reaches the counter.
    Count { rank: u32, counter: u32 },
    /// All have reached the counter.
    Fire { counter: u32 },
}

/// The order, and who writes and reads what. Its arrays are kept from one graph to the next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) ops: Vec<Op>,
    pub(super) settled: Vec<u32>,
    /// The rank that reads each edge.
    pub(super) reader: Vec<u32>,
    /// The rank that stores each flag; [`LAST`] if it is whoever comes last at a counter, [`NOBODY`] if none does.
    pub(super) writer: Vec<u32>,
    /// The edges of flag f are `by_flag[first[f]..first[f + 1]]`.
    pub(super) first: Vec<u32>,
    pub(super) by_flag: Vec<u32>,

    // From here on: only while the order is being found.
    known: Vec<bool>,
    at: Vec<u32>,
    missing: Vec<u32>,
    runnable: Vec<u32>,
    waiting: Vec<u32>,
    counted: Vec<u32>,
    root: Vec<u32>,
    climbing: Vec<(u32, u32)>,
    unsettled: Vec<Vec<u32>>,
}

/// Instead of a rank: whoever comes last.
pub(super) const LAST: u32 = u32::MAX;
/// Instead of a rank: no one.
pub(super) const NOBODY: u32 = u32::MAX - 1;
/// Instead of a step: all done.
const END: u32 = u32::MAX;

fn refill<T: Clone>(list: &mut Vec<T>, len: usize, value: T) {
    list.clear();
    list.resize(len, value);
}

impl Plan {
    /// Finds the order. `None` if some party can never finish, or if a flag or a counter is used in a way that has no
    /// meaning: a flag that two publish, a counter that more arrive at than it is for.
    pub(super) fn make(&mut self, graph: &Graph) -> Option<()> {
        self.who(graph)?;
        self.start(graph);
        let mut finished = 0;
        loop {
            if let Some(rank) = self.runnable.pop() {
                finished += usize::from(self.run(graph, rank)?);
            } else if let Some(rank) = self.waiting.pop() {
                self.wait(graph, rank);
            } else {
                break;
            }
        }
        (finished == graph.parties()).then_some(())
    }

    /// Finds the writers and the readers.
    fn who(&mut self, graph: &Graph) -> Option<()> {
        let flags = graph.line_of.len();
        refill(&mut self.writer, flags, NOBODY);
        refill(&mut self.reader, graph.edges.len(), NOBODY);
        let mut write = |flag: u32, by: u32| {
            let writer = &mut self.writer[flag as usize];
            let is_first = *writer == NOBODY;
            *writer = by;
            is_first.then_some(())
        };
        for station in &graph.counters {
            for &flag in &graph.opened[station.opens.0 as usize..station.opens.1 as usize] {
                write(flag, LAST)?;
            }
        }
        for step in &graph.steps {
            match step.act {
                Act::Publish(flag) => write(flag, step.rank)?,
                Act::Wait(from, to) => self.reader[from as usize..to as usize].fill(step.rank),
                Act::Count(_) => {}
            }
        }
        // A counting sort of the edges by flag.
        refill(&mut self.first, flags + 1, 0);
        graph.edges.iter().for_each(|&flag| self.first[flag as usize] += 1);
        let mut sum = 0;
        for first in &mut self.first {
            sum += *first;
            *first = sum;
        }
        refill(&mut self.by_flag, graph.edges.len(), 0);
        for (edge, &flag) in graph.edges.iter().enumerate().rev() {
            let place = &mut self.first[flag as usize];
            *place -= 1;
            self.by_flag[*place as usize] = edge as u32;
        }
        Some(())
    }

    fn start(&mut self, graph: &Graph) {
        let parties = graph.parties();
        self.ops.clear();
        self.settled.clear();
        refill(&mut self.known, graph.line_of.len(), false);
        refill(&mut self.missing, parties, 0);
        refill(&mut self.counted, graph.counters.len(), 0);
        self.waiting.clear();
        self.climbing.clear();
        self.at.clear();
        self.at.extend(graph.ends.iter().map(|ends| ends.map_or(END, |(first, _)| first)));
        self.runnable.clear();
        self.runnable.extend((0..parties as u32).rev());
        self.root.clear();
        for (counter, station) in graph.counters.iter().enumerate() {
            let root = station.parent.map_or(counter as u32, |up| self.root[up as usize]);
            self.root.push(root);
        }
        if self.unsettled.len() < graph.flags_on.len() {
            self.unsettled.resize_with(graph.flags_on.len(), Vec::new);
        }
        self.unsettled.iter_mut().for_each(Vec::clear);
    }

    /// Takes `rank` to its next wait or counter. Says whether it has come to its end.
    fn run(&mut self, graph: &Graph, rank: u32) -> Option<bool> {
        loop {
            let at = self.at[rank as usize];
            if at == END {
                return Some(true);
            }
            let step = graph.steps[at as usize];
            match step.act {
                Act::Publish(flag) => {
                    self.ops.push(Op::Publish { rank, flag });
                    self.publish(graph, flag);
                    self.advance(graph, rank);
                }
                Act::Wait(from, to) => {
                    let flags = &graph.edges[from as usize..to as usize];
                    let missing = flags.iter().filter(|&&flag| !self.known[flag as usize]).count();
                    self.missing[rank as usize] = missing as u32;
                    if missing == 0 {
                        self.waiting.push(rank);
                    }
                    return Some(false);
                }
                Act::Count(counter) => {
                    self.ops.push(Op::Count { rank, counter });
                    self.climbing.push((rank, self.root[counter as usize]));
                    self.count(graph, counter)?;
                    return Some(false);
                }
            }
        }
    }

    fn advance(&mut self, graph: &Graph, rank: u32) {
        let at = self.at[rank as usize];
        let next = graph.steps[at as usize].next;
        self.at[rank as usize] = if next == at { END } else { next };
    }

    fn publish(&mut self, graph: &Graph, flag: u32) {
        self.known[flag as usize] = true;
        let line = graph.line_of[flag as usize] as usize;
        if graph.flags_on[line] > 1 {
            self.unsettled[line].push(flag);
        }
        for place in self.first[flag as usize]..self.first[flag as usize + 1] {
            let edge = self.by_flag[place as usize];
            let rank = self.reader[edge as usize];
            let at = self.at[rank as usize];
            if at == END || self.missing[rank as usize] == 0 {
                continue;
            }
            if let Act::Wait(from, to) = graph.steps[at as usize].act {
                if (from..to).contains(&edge) {
                    self.missing[rank as usize] -= 1;
                    if self.missing[rank as usize] == 0 {
                        self.waiting.push(rank);
                    }
                }
            }
        }
    }

    fn wait(&mut self, graph: &Graph, rank: u32) {
        if let Act::Wait(from, to) = graph.steps[self.at[rank as usize] as usize].act {
            for &flag in &graph.edges[from as usize..to as usize] {
                let stored = &mut self.unsettled[graph.line_of[flag as usize] as usize];
                if !stored.is_empty() {
                    let from = self.settled.len() as u32;
                    self.settled.append(stored);
                    self.ops.push(Op::Settle { from, to: self.settled.len() as u32 });
                }
            }
            self.ops.push(Op::Wait { rank, from, to });
        }
        self.advance(graph, rank);
        self.runnable.push(rank);
    }

    /// One more has reached `counter`, and so on upwards.
    fn count(&mut self, graph: &Graph, mut counter: u32) -> Option<()> {
        loop {
            let station = graph.counters[counter as usize];
            let counted = &mut self.counted[counter as usize];
            *counted += 1;
            if *counted > station.arrivals {
                return None;
            }
            if *counted < station.arrivals {
                return Some(());
            }
            self.ops.push(Op::Fire { counter });
            for place in station.opens.0..station.opens.1 {
                self.publish(graph, graph.opened[place as usize]);
            }
            match station.parent {
                Some(up) => counter = up,
                None => {
                    self.let_go(graph, counter);
                    return Some(());
                }
            }
        }
    }

    /// The counter at the top is done: all who counted below it go on.
    fn let_go(&mut self, graph: &Graph, root: u32) {
        let mut climbing = std::mem::take(&mut self.climbing);
        climbing.retain(|&(rank, below)| {
            if below == root {
                self.advance(graph, rank);
                self.runnable.push(rank);
            }
            below != root
        });
        self.climbing = climbing;
    }
}
