//! What a trip costs: one pass over a plan for each way of arriving.

use super::Prediction;
use super::graph::{Act, Graph};
use super::machine::{Constants, Hops};
use super::plan::{LAST, NOBODY, Op, Plan};

/// Up to this many parties each is late once.
const EACH: usize = 64;
/// Of more than that this many are, spread evenly from the first to the last, so that they fall on different places of
/// their groups.
const SAMPLE: usize = 16;
/// And this many if the answer is wanted in microseconds.
const FEW: usize = 2;
/// Trips after which a period that still changes is averaged.
const TRIPS: usize = 16;
/// And if the answer is wanted in microseconds.
const QUICK_TRIPS: usize = 6;
/// Two periods that differ by less than this part are the same.
const STEADY: f64 = 1e-6;

/// Arrays that are kept from one evaluation to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    plan: Plan,
    readings: Vec<Reading>,
    /// What a store costs its writer, by flag.
    store: Vec<f64>,
    /// Whom the readings of a flag were worked out for.
    worked_out: Vec<u32>,
    /// The readers of one flag, the nearest first.
    order: Vec<(u64, u32, u32)>,

    /// Where each rank is in time; at the end of a trip, when it leaves.
    now: Vec<f64>,
    /// When each rank's last store of this trip left its store buffer.
    last_store: Vec<f64>,
    /// When each flag was stored.
    stored: Vec<f64>,
    /// Who has each packed line, since when.
    held: Vec<(f64, u32)>,
    queue: Vec<(f64, u32)>,
    /// When the flags of one wait come, and what each costs after another.
    scan: Vec<(f64, f64)>,
    /// The arrivals at each counter.
    arrived: Vec<Vec<(f64, u32)>>,
    /// Who was the last to count.
    owner: Vec<u32>,
}

/// What an edge costs its reader.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// From the store until it is seen.
    delay: f64,
    /// From seeing another flag until this one can be seen.
    gap: f64,
    /// The reader's own flag on the same line.
    own: u32,
    /// From the store until it is seen by a reader that had stored on the line before.
    beside: f64,
    /// Whether the line is at hand: the reader has stored on it, or an earlier flag of the same wait has brought it.
    at_hand: bool,
}

/// How many parties are tried as stragglers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// All of them, or many: to be quoted.
    Full,
    /// A few: to choose by.
    Quick,
}

/// Predicts the cost of `graph` on the machine of `hops`. `None` if it can never complete, if `hops` is for fewer
/// parties, or if times or constants make no sense, so that the cost is no finite number.
pub(crate) fn evaluate(
    graph: &Graph,
    hops: &Hops,
    constants: &Constants,
    effort: Effort,
    scratch: &mut Scratch,
) -> Option<Prediction> {
    if graph.parties() == 0 {
        return Some(Prediction { together: 0.0, straggler: 0.0 });
    }
    let mut run = Run::new(graph, hops, constants, scratch)?;
    let together = run.together(if effort == Effort::Full { TRIPS } else { QUICK_TRIPS });
    let parties = graph.parties();
    let mut straggler = 0.0_f64;
    let sample = match effort {
        Effort::Full if parties <= EACH => parties,
        Effort::Full => SAMPLE,
        Effort::Quick => parties.min(FEW),
    };
    for index in 0..sample {
        let late = if sample == parties { index } else { index * (parties - 1) / (sample - 1) };
        straggler = straggler.max(run.straggler(late, together));
    }
    (together.is_finite() && straggler.is_finite()).then_some(Prediction { together, straggler })
}

/// One evaluation.
pub(super) struct Run<'a> {
    graph: &'a Graph,
    hops: &'a Hops,
    constants: &'a Constants,
    scratch: &'a mut Scratch,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        hops: &'a Hops,
        constants: &'a Constants,
        scratch: &'a mut Scratch,
    ) -> Option<Self> {
        if hops.parties() < graph.parties() {
            return None;
        }
        scratch.plan.make(graph)?;
        let mut run = Self { graph, hops, constants, scratch };
        run.prepare();
        Some(run)
    }

    /// Works out all that does not change from trip to trip.
    fn prepare(&mut self) {
        let (graph, s) = (self.graph, &mut *self.scratch);
        let edges = graph.edges.len();
        let flags = graph.line_of.len();
        s.readings.clear();
        s.readings.resize(edges, Reading { delay: 0.0, gap: 0.0, own: NOBODY, beside: 0.0, at_hand: false });
        s.store.clear();
        s.store.resize(flags, 0.0);
        s.worked_out.clear();
        s.worked_out.resize(flags, NOBODY);
        s.stored.clear();
        s.stored.resize(flags, 0.0);
        s.held.clear();
        s.held.resize(graph.flags_on.len(), (0.0, NOBODY));
        s.now.clear();
        s.now.resize(graph.parties(), 0.0);
        s.last_store.clear();
        s.last_store.resize(graph.parties(), 0.0);
        s.owner.clear();
        s.owner.resize(graph.counters.len(), NOBODY);
        if s.arrived.len() < graph.counters.len() {
            s.arrived.resize_with(graph.counters.len(), Vec::new);
        }
        s.arrived.iter_mut().for_each(Vec::clear);
        self.find_neighbours();
        for flag in 0..flags as u32 {
            let writer = self.scratch.plan.writer[flag as usize];
            if writer != LAST && writer != NOBODY {
                self.work_out(flag, writer);
            }
        }
    }

    /// For each edge on a packed line: has its reader a flag there too, and does the same wait look there twice?
    fn find_neighbours(&mut self) {
        let (graph, plan) = (self.graph, &self.scratch.plan);
        if graph.flags_on.iter().all(|&flags| flags == 1) {
            return;
        }
        let mut beside = vec![Vec::new(); graph.flags_on.len()];
        for (flag, &line) in graph.line_of.iter().enumerate() {
            beside[line as usize].push(flag as u32);
        }
        let mut has_stored = vec![false; graph.line_of.len()];
        for step in &graph.steps {
            let (from, to) = match step.act {
                Act::Wait(from, to) => (from, to),
                Act::Publish(flag) => {
                    has_stored[flag as usize] = true;
                    continue;
                }
                Act::Count(_) => continue,
            };
            for edge in from..to {
                let line = graph.line_of[graph.edges[edge as usize] as usize];
                let is_here = |&other: &u32| graph.line_of[graph.edges[other as usize] as usize] == line;
                let beside = &beside[line as usize];
                if beside.len() > 1 {
                    let reading = &mut self.scratch.readings[edge as usize];
                    // The steps of one rank are in order, so what it has stored by now it stores before it waits.
                    let is_own = |&&flag: &&u32| plan.writer[flag as usize] == step.rank && has_stored[flag as usize];
                    let own = beside.iter().find(is_own);
                    reading.own = own.map_or(NOBODY, |&own| own);
                    reading.at_hand = own.is_some() || (from..edge).any(|other| is_here(&other));
                }
            }
        }
    }

    fn hop(&self, from: u32, to: u32) -> f64 {
        self.constants.alpha * self.hops.transfer(from as usize, to as usize)
    }

    /// R1 and R2: what a flag costs those who read it when `writer` stores it.
    fn work_out(&mut self, flag: u32, writer: u32) {
        let range =
            self.scratch.plan.first[flag as usize] as usize..self.scratch.plan.first[flag as usize + 1] as usize;
        let mut order = std::mem::take(&mut self.scratch.order);
        order.clear();
        for place in range {
            let edge = self.scratch.plan.by_flag[place];
            let reader = self.scratch.plan.reader[edge as usize];
            // The bits of numbers that are not negative have the order of the numbers.
            order.push((self.hop(writer, reader).to_bits(), reader, edge));
        }
        if order.len() > 1 {
            order.sort_unstable();
        }
        let Constants { g_w, g_r, c_b, overhead, .. } = *self.constants;
        let (mut queued, mut next, mut before, mut store) = (0.0, 0.0, NOBODY, 0.0);
        for &(_, reader, edge) in &order {
            let hop = self.hop(writer, reader);
            let reading = &mut self.scratch.readings[edge as usize];
            if reader == writer {
                (reading.delay, reading.gap, reading.beside) = (0.0, 0.0, 0.0);
                continue;
            }
            if reader != before {
                queued += next;
                next = c_b * hop;
                before = reader;
            }
            let transfer = self.hops.transfer(writer as usize, reader as usize);
            reading.delay = hop + overhead + queued;
            reading.beside = transfer + overhead + queued;
            reading.gap = if reading.at_hand { 0.0 } else { g_r * hop };
            store = g_w * hop; // the farthest comes last
        }
        self.scratch.order = order;
        self.scratch.store[flag as usize] = store;
        self.scratch.worked_out[flag as usize] = writer;
    }

    /// The steady time from one trip's last exit to the next one's, everybody arriving as soon as it has left.
    pub(super) fn together(&mut self, trips: usize) -> f64 {
        self.scratch.now.fill(0.0);
        let trips = trips.clamp(2, TRIPS);
        let mut ends = [0.0; TRIPS + 1];
        for trip in 0..trips {
            ends[trip + 1] = self.trip();
            if trip >= 3 {
                let period = |back: usize| ends[trip + 1 - back] - ends[trip - back];
                if (0..2).all(|back| (period(back) - period(back + 1)).abs() <= STEADY * period(back)) {
                    return period(0);
                }
            }
        }
        (ends[trips] - ends[trips / 2]) / (trips - trips / 2) as f64
    }

    /// The time from the arrival of `late`, long after all the others, until all have left.
    pub(super) fn straggler(&mut self, late: usize, together: f64) -> f64 {
        self.scratch.now.fill(-1e3 * (together + 1.0));
        self.scratch.now[late] = 0.0;
        self.trip()
    }

    /// When each rank leaves if these are the times at which they arrive.
    #[cfg(test)]
    pub(super) fn exits(&mut self, arrivals: &[f64]) -> Vec<f64> {
        self.scratch.now.copy_from_slice(arrivals);
        self.trip();
        self.scratch.now.clone()
    }

    /// One trip, from the times in `now` to the times in `now`. Says when the last one leaves.
    fn trip(&mut self) -> f64 {
        self.scratch.last_store.fill(f64::NEG_INFINITY);
        self.scratch.held.fill((f64::NEG_INFINITY, NOBODY));
        for index in 0..self.scratch.plan.ops.len() {
            match self.scratch.plan.ops[index] {
                Op::Publish { rank, flag } => self.publish(rank, flag),
                Op::Settle { from, to } => self.settle(from, to),
                Op::Wait { rank, from, to } => self.wait(rank, from as usize, to as usize),
                Op::Count { rank, counter } => {
                    let arrival = (self.scratch.now[rank as usize], rank);
                    self.scratch.arrived[counter as usize].push(arrival);
                }
                Op::Fire { counter } => self.fire(counter),
            }
        }
        self.scratch.now.iter().fold(f64::NEG_INFINITY, |last, &exit| last.max(exit))
    }

    /// R1.
    fn publish(&mut self, rank: u32, flag: u32) {
        if self.scratch.worked_out[flag as usize] != rank {
            self.work_out(flag, rank);
        }
        let s = &mut *self.scratch;
        let after = &mut s.last_store[rank as usize];
        *after = s.now[rank as usize].max(*after + s.store[flag as usize]);
        s.stored[flag as usize] = *after;
    }

    /// R5.
    fn settle(&mut self, from: u32, to: u32) {
        let s = &mut *self.scratch;
        s.queue.clear();
        let flags = &s.plan.settled[from as usize..to as usize];
        s.queue.extend(flags.iter().map(|&flag| (s.stored[flag as usize], flag)));
        s.queue.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for &(stored, flag) in &s.queue {
            let held = &mut s.held[self.graph.line_of[flag as usize] as usize];
            let writer = s.worked_out[flag as usize];
            let mut stored = stored;
            if held.1 != NOBODY && held.1 != writer {
                let transfer = self.hops.transfer(held.1 as usize, writer as usize);
                let here = held.0 + transfer + self.constants.overhead;
                // Who comes later than the line could finds that a poller has taken it back.
                let price = (self.constants.alpha - 1.0) * transfer;
                // No `clamp`, which would panic for numbers that make no sense.
                let taken_back = (stored - here).min(price).max(0.0);
                stored = stored.max(here) + taken_back;
            }
            let stored = stored.max(held.0);
            s.stored[flag as usize] = stored;
            *held = (stored, writer);
        }
    }

    /// R3.
    fn wait(&mut self, rank: u32, from: usize, to: usize) {
        let s = &mut *self.scratch;
        let mut done = s.now[rank as usize];
        let seen = |edge: usize| {
            let reading = s.readings[edge];
            let stored = s.stored[self.graph.edges[edge] as usize];
            if reading.own == NOBODY {
                return stored + reading.delay;
            }
            let own = s.stored[reading.own as usize];
            if stored <= own { own } else { stored + reading.beside }
        };
        if to - from == 1 {
            s.now[rank as usize] = seen(from).max(done + s.readings[from].gap);
            return;
        }
        // In nearly every wait of a straggler's trip either all flags are there already, or one comes long after the
        // others: no need to sort.
        let (mut last, mut before, mut gaps) = (f64::NEG_INFINITY, done, 0.0);
        for edge in from..to {
            let seen = seen(edge);
            before = before.max(last.min(seen));
            last = last.max(seen);
            gaps += s.readings[edge].gap;
        }
        if last <= done || before + gaps <= last {
            s.now[rank as usize] = last.max(done + gaps);
            return;
        }
        s.scan.clear();
        s.scan.extend((from..to).map(|edge| (seen(edge), s.readings[edge].gap)));
        // Of two that come at the same time the dearer one is looked at first: a flag of one's own costs nothing.
        s.scan.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        for &(seen, gap) in &s.scan {
            done = seen.max(done + gap);
        }
        s.now[rank as usize] = done;
    }

    /// R4.
    fn fire(&mut self, counter: u32) {
        let station = self.graph.counters[counter as usize];
        let mut arrived = std::mem::take(&mut self.scratch.arrived[counter as usize]);
        arrived.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut owner = self.scratch.owner[counter as usize];
        let mut free = f64::NEG_INFINITY;
        let Constants { alpha, rmw, c_b, overhead, .. } = *self.constants;
        for (pollers, &(arrival, rank)) in arrived.iter().enumerate() {
            let transfer = if owner == NOBODY { 0.0 } else { self.hops.transfer(owner as usize, rank as usize) };
            let polled = if station.polled { (pollers as f64 * c_b).min(1.0) * alpha } else { 0.0 };
            free = arrival.max(free) + (rmw + polled) * transfer + overhead;
            self.scratch.now[rank as usize] = free;
            owner = rank;
        }
        self.scratch.owner[counter as usize] = owner;
        arrived.clear();
        self.scratch.arrived[counter as usize] = arrived;
        for place in station.opens.0..station.opens.1 {
            self.publish(owner, self.graph.opened[place as usize]);
        }
        if let Some(up) = station.parent {
            let arrival = (self.scratch.now[owner as usize], owner);
            self.scratch.arrived[up as usize].push(arrival);
        }
    }
}
