//! The words in which an algorithm says what its parties do on one trip.

/// What every party does on one trip, as a graph of stores, waits and counts.
///
/// An algorithm's own file builds it, rank by rank; the steps of a rank happen in the order in which they are added,
/// and the order between ranks is of no matter. Built from flat arrays, because a graph is made, read a few dozen times
/// and thrown away while a barrier is built.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// The first and the last step of each rank.
    pub(super) ends: Vec<Option<(u32, u32)>>,
    pub(super) steps: Vec<Step>,
    /// The flags of all waits, one wait after another. A place in this list is an *edge*: one reader of one flag.
    pub(super) edges: Vec<u32>,
    /// The line of each flag.
    pub(super) line_of: Vec<u32>,
    /// How many flags each line holds.
    pub(super) flags_on: Vec<u32>,
    pub(super) counters: Vec<Station>,
    /// The flags that counters open, one counter after another.
    pub(super) opened: Vec<u32>,
}

/// One word, stored by one party on each trip and polled by those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(u32);

/// A word that parties count on with a read-modify-write; the last one goes on to the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter(u32);

#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) rank: u32,
    pub(super) act: Act,
    /// The same rank's next step; its own number if there is none.
    pub(super) next: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Store this flag.
    Publish(u32),
    /// Wait for the flags on these edges.
    Wait(u32, u32),
    /// Count here.
    Count(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Station {
    pub(super) arrivals: u32,
    pub(super) parent: Option<u32>,
    /// Where its flags are in `opened`.
    pub(super) opens: (u32, u32),
    /// Whether those who have counted poll a flag on the counter's own line.
    pub(super) polled: bool,
}

impl Graph {
    /// A graph in which `parties` parties do nothing yet.
    pub(crate) fn new(parties: usize) -> Self {
        Self {
            ends: vec![None; parties],
            steps: Vec::with_capacity(4 * parties),
            edges: Vec::with_capacity(4 * parties),
            line_of: Vec::with_capacity(4 * parties),
            flags_on: Vec::with_capacity(4 * parties),
            counters: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// How many parties the graph is for.
    pub(crate) fn parties(&self) -> usize {
        self.ends.len()
    }

    /// A flag on a line of its own.
    pub(crate) fn flag(&mut self) -> Flag {
        self.flags_on.push(0);
        self.flag_on(self.flags_on.len() - 1)
    }

    /// A flag packed beside `other`: its writers queue for the line, and who gets it to store in it sees what the
    /// others have stored there.
    pub(crate) fn flag_beside(&mut self, other: Flag) -> Flag {
        self.flag_on(self.line_of[other.0 as usize] as usize)
    }

    fn flag_on(&mut self, line: usize) -> Flag {
        self.flags_on[line] += 1;
        self.line_of.push(line as u32);
        Flag(self.line_of.len() as u32 - 1)
    }

    /// A counter for `arrivals` arrivals, of ranks and of those who come up from its children.
    pub(crate) fn counter(&mut self, arrivals: usize, parent: Option<Counter>) -> Counter {
        let arrivals = u32::try_from(arrivals).unwrap_or(u32::MAX);
        self.counters.push(Station { arrivals, parent: parent.map(|up| up.0), opens: (0, 0), polled: false });
        Counter(self.counters.len() as u32 - 1)
    }

    /// The last to arrive at `counter` publishes `flags`, in this order, before it goes on to the parent if there is
    /// one.
    pub(crate) fn opens(&mut self, counter: Counter, flags: &[Flag]) {
        let from = self.opened.len() as u32;
        let (old_from, old_to) = self.counters[counter.0 as usize].opens;
        self.opened.extend_from_within(old_from as usize..old_to as usize);
        self.opened.extend(flags.iter().map(|flag| flag.0));
        self.counters[counter.0 as usize].opens = (from, self.opened.len() as u32);
    }

    /// Those who have counted poll the line of `counter` itself, because the flag that they wait for is on it: each
    /// further count has to take the line away from all of them.
    pub(crate) fn polled(&mut self, counter: Counter) {
        self.counters[counter.0 as usize].polled = true;
    }

    /// The next step of `rank`: a plain store to `flag`.
    pub(crate) fn publish(&mut self, rank: usize, flag: Flag) {
        self.step(rank, Act::Publish(flag.0));
    }

    /// The next step of `rank`: one branch-free scan of `flags`, until all of them have been published.
    pub(crate) fn wait(&mut self, rank: usize, flags: &[Flag]) {
        let from = self.edges.len() as u32;
        self.edges.extend(flags.iter().map(|flag| flag.0));
        self.step(rank, Act::Wait(from, self.edges.len() as u32));
    }

    /// The next step of `rank`: one read-modify-write at `counter`, and on to its parents while it is the last there.
    pub(crate) fn count(&mut self, rank: usize, counter: Counter) {
        self.step(rank, Act::Count(counter.0));
    }

    fn step(&mut self, rank: usize, act: Act) {
        let new = self.steps.len() as u32;
        self.steps.push(Step { rank: rank as u32, act, next: new });
        let ends = &mut self.ends[rank];
        match ends {
            Some((_, last)) => {
                self.steps[*last as usize].next = new;
                *last = new;
            }
            None => *ends = Some((new, new)),
        }
    }
}
