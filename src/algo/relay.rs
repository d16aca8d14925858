//! The relay: what all algorithms made of flags have in common, which is nearly everything.
//!
//! Such an algorithm is a *course*: for each party a list of *legs*, "await these flags, then publish those". A static
//! tree, a tournament, a dissemination and a hierarchy differ in who awaits whom, and in nothing else; their files say
//! just that. A party runs its legs ([`Relay`]), and the cost model evaluates the very same legs ([`Course::graph`]),
//! so that what is predicted is what runs (until somebody waits so long that step 3 comes in).
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | slot r | party r | as the course says; breakers; whoever asks whether all are here | r has arrived |
//! | other flags | one party each | as the course says | what the course says: some set of parties has arrived, or all have |
//!
//! # Protocol
//!
//! 1. Store the own slot.
//! 2. For each leg: poll the flags that it awaits until each is beyond g, in one pass without branches; then store
//!    `g + 1` in those that it publishes.
//! 3. Whoever learns from the slots that all have arrived (`Door::until_or`: somebody sleeps, or this party is about to)
//!    publishes all flags of all its legs and is done: whatever they say of trip g is true.
//!
//! # Why it is a barrier
//!
//! A course must see to it that everybody's last leg ends only after everybody's arrival has reached it, through any
//! number of flags; `Course::is_sound` checks that in the tests. Flags are published after the awaited ones were seen, so
//! that the chain carries all arrivals along (C1).
//!
//! # Memory ordering
//!
//! flag → who awaits it: `publish` and `all_reached` (`fate/epoch.rs`). slots → step 3: `publish` and `Muster`.
//!
//! # Reuse
//!
//! Flags are epochs: never reset, one writer each, `g + 2` is beyond g as well. A party that is one trip ahead publishes
//! for g + 1 only what it could see there, and the last leg of g + 1 needs this party's arrival at g + 1. Legs may be
//! run again from the first after a [`Stop`]: what was awaited is still there, and publishing twice changes nothing.

use super::{Algorithm, sealed};
use crate::fate::board::{Board, Layout, Spot};
use crate::fate::epoch::{Muster, all_reached, publish, reached};
use crate::model::{Flag, Graph};
use crate::topology::Sites;
use crate::wait::{Door, Seen, Stay, Stop};
use std::cell::Cell;
use std::sync::Arc;

/// Await, then publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leg {
    awaits: Box<[Spot]>,
    publishes: Box<[Spot]>,
}

/// The legs of all parties, and the lines that they need.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    layout: Layout,
    slots: Arc<[Spot]>,
    luggage: Arc<[Spot]>,
    legs: Vec<Vec<Leg>>,
}

impl Course {
    /// A slot for each party, and no legs yet.
    pub(crate) fn new(sites: &Sites) -> Self {
        let mut layout = Layout::new(sites);
        let slots: Arc<[Spot]> = layout.slots(sites).into();
        let luggage = slots.iter().enumerate().map(|(rank, &slot)| layout.luggage(rank, slot)).collect();
        Self { layout, slots, luggage, legs: vec![Vec::new(); sites.parties()] }
    }

    /// Where `rank` says that it has arrived.
    pub(crate) fn slot(&self, rank: usize) -> Spot {
        self.slots[rank]
    }

    /// The slots of all ranks.
    pub(crate) fn slots(&self) -> &Arc<[Spot]> {
        &self.slots
    }

    /// Where all ranks put what they bring along.
    pub(crate) fn luggage(&self) -> &Arc<[Spot]> {
        &self.luggage
    }

    /// A flag on a line of its own, near `rank`.
    pub(crate) fn flag(&mut self, rank: usize) -> Spot {
        self.layout.line(rank)
    }

    /// The next leg of `rank`. One that awaits nothing is part of the one before.
    pub(crate) fn leg(&mut self, rank: usize, awaits: Vec<Spot>, publishes: Vec<Spot>) {
        let legs = &mut self.legs[rank];
        match legs.last_mut() {
            Some(last) if awaits.is_empty() => last.publishes = [&*last.publishes, &publishes].concat().into(),
            _ => legs.push(Leg { awaits: awaits.into(), publishes: publishes.into() }),
        }
    }

    /// Memory for it (see [`Board::new`]).
    pub(crate) fn board(&self, first: u64, near: bool) -> Board {
        Board::new(&self.layout, first, near)
    }

    pub(crate) fn parties(&self) -> usize {
        self.slots.len()
    }

    /// Whether everybody does the same in both.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.slots == other.slots && self.legs == other.legs
    }

    /// How many flags are read from others' lines on a trip.
    pub(crate) fn reads(&self) -> usize {
        self.legs.iter().flatten().map(|leg| leg.awaits.len()).sum()
    }

    /// The course as the cost model sees it.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.parties());
        let mut flags: Vec<Option<Flag>> = vec![None; self.layout.words()];
        let mut lines: Vec<Option<Flag>> = vec![None; self.layout.words()];
        let mut flag_at = |graph: &mut Graph, spot: Spot| {
            *flags[self.layout.index(spot)].get_or_insert_with(|| {
                let line = &mut lines[self.layout.index(spot.first_on_line())];
                match *line {
                    Some(neighbour) => graph.flag_beside(neighbour),
                    None => *line.insert(graph.flag()),
                }
            })
        };
        let mut awaits = Vec::new();
        for (rank, legs) in self.legs.iter().enumerate() {
            let slot = flag_at(&mut graph, self.slots[rank]);
            graph.publish(rank, slot);
            for leg in legs {
                awaits.clear();
                awaits.extend(leg.awaits.iter().map(|&spot| flag_at(&mut graph, spot)));
                if !awaits.is_empty() {
                    graph.wait(rank, &awaits);
                }
                for &spot in &leg.publishes {
                    let flag = flag_at(&mut graph, spot);
                    graph.publish(rank, flag);
                }
            }
        }
        graph
    }

    /// Whether it is a barrier: each flag has one writer, everybody can finish, and everybody's last leg depends on
    /// everybody's arrival.
    #[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
    pub(crate) fn is_sound(&self) -> bool {
        use std::collections::BTreeMap;
        let parties = self.parties();
        let mut writers: BTreeMap<Spot, usize> = BTreeMap::new();
        for (rank, legs) in self.legs.iter().enumerate() {
            let published = legs.iter().flat_map(|leg| leg.publishes.iter().copied());
            for spot in published.chain([self.slots[rank]]) {
                if *writers.entry(spot).or_insert(rank) != rank {
                    return false;
                }
            }
        }
        // Who is known to have arrived, to each party and at each flag.
        let mut known: Vec<Vec<bool>> =
            (0..parties).map(|own| (0..parties).map(|rank| rank == own).collect()).collect();
        let mut told: BTreeMap<Spot, Vec<bool>> = self.slots.iter().copied().zip(known.iter().cloned()).collect();
        let mut next = vec![0; parties];
        loop {
            let mut moved = false;
            for rank in 0..parties {
                while let Some(leg) = self.legs[rank].get(next[rank]) {
                    let Some(awaited) = leg.awaits.iter().map(|spot| told.get(spot)).collect::<Option<Vec<_>>>() else {
                        break;
                    };
                    for news in awaited {
                        known[rank].iter_mut().zip(news).for_each(|(known, news)| *known |= news);
                    }
                    for &spot in &leg.publishes {
                        told.insert(spot, known[rank].clone());
                    }
                    next[rank] += 1;
                    moved = true;
                }
            }
            if !moved {
                return known.iter().flatten().all(|&known| known)
                    && next.iter().zip(&self.legs).all(|(&next, legs)| next == legs.len());
            }
        }
    }
}

/// One party's seat.
#[derive(Debug)]
pub(crate) struct Relay {
    board: Arc<Board>,
    slots: Arc<[Spot]>,
    own: Spot,
    rank: usize,
    legs: Box<[Leg]>,
    muster: Cell<Muster>,
}

impl Relay {
    /// The seat of `rank`.
    pub(crate) fn new(course: &Course, board: Arc<Board>, rank: usize) -> Self {
        let slots = Arc::clone(&course.slots);
        let legs = course.legs[rank].clone().into();
        Self { board, slots, own: course.slots[rank], rank, legs, muster: Cell::default() }
    }

    /// Step 3.
    fn all_here(&self, generation: u64) -> bool {
        let mut muster = self.muster.get();
        let complete = muster.is_complete(&self.board, &self.slots, generation);
        self.muster.set(muster);
        complete
    }

    fn publish(&self, spots: &[Spot], generation: u64) {
        for &spot in spots {
            publish(self.board.at(spot), generation);
        }
    }
}

impl sealed::Sealed for Relay {}

impl Algorithm for Relay {
    #[inline(always)]
    fn arrive(&mut self, generation: u64) {
        publish(self.board.at(self.own), generation); // step 1
    }

    #[inline]
    fn complete(&mut self, door: &Door, mut stay: Stay<'_>) -> Result<(), Stop> {
        let generation = stay.generation;
        let all_here = || self.all_here(generation);
        for (index, leg) in self.legs.iter().enumerate() {
            let board = &*self.board;
            // The words of up to four flags are found before the polling and not at each poll. (A flag twice is a flag.)
            let seen = match *leg.awaits {
                [one] => {
                    let epoch = board.at(one);
                    door.until_or(stay.again(), move || reached(epoch, generation), &all_here)?
                }
                [a, b] => {
                    let epochs = [a, b].map(|spot| board.at(spot));
                    door.until_or(stay.again(), move || all_reached(epochs, generation), &all_here)?
                }
                [a, b, c, ..] if leg.awaits.len() <= 4 => {
                    let epochs = [a, b, c, *leg.awaits.last().unwrap_or(&a)].map(|spot| board.at(spot));
                    door.until_or(stay.again(), move || all_reached(epochs, generation), &all_here)?
                }
                _ => {
                    let spots = &*leg.awaits;
                    let ready = move || all_reached(spots.iter().map(|&spot| board.at(spot)), generation);
                    door.until_or(stay.again(), ready, &all_here)?
                }
            };
            self.publish(&leg.publishes, generation); // step 2
            if seen == Seen::AllHere {
                for later in &self.legs[index + 1..] {
                    self.publish(&later.publishes, generation); // step 3
                }
                break;
            }
        }
        Ok(())
    }

    fn try_complete(&mut self, generation: u64) -> bool {
        let complete = self.all_here(generation);
        if complete {
            for leg in &self.legs {
                self.publish(&leg.publishes, generation); // step 3
            }
        }
        complete
    }

    /// Nobody is last, or all are: rank 0 leads.
    #[inline(always)]
    fn leads(&self) -> bool {
        self.rank == 0
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::exchange;

    #[test]
    fn what_is_no_barrier_is_found_out() {
        let sites = Sites::anywhere(2);
        let sound = exchange::course(&sites);
        assert!(sound.is_sound());
        assert!(!Course::new(&sites).is_sound(), "nobody awaits anybody");
        let mut stuck = sound.clone();
        let never = stuck.flag(0);
        stuck.leg(0, vec![never], Vec::new());
        assert!(!stuck.is_sound(), "one awaits what nobody publishes");
        let mut disputed = sound;
        let flag = disputed.flag(0);
        [0, 1].into_iter().for_each(|rank| disputed.leg(rank, Vec::new(), vec![flag]));
        assert!(!disputed.is_sound(), "a flag with two writers");
    }

    #[test]
    fn who_learns_from_the_slots_that_all_are_here_passes_it_on() {
        let mut course = Course::new(&Sites::anywhere(2));
        let (flag, slot) = (course.flag(0), course.slot(1));
        course.leg(0, vec![slot], vec![flag]);
        course.leg(1, vec![flag], Vec::new());
        let board = Arc::new(course.board(0, false));
        let [mut first, mut last] = [0, 1].map(|rank| Relay::new(&course, Arc::clone(&board), rank));
        first.arrive(0);
        assert!(!first.try_complete(0) && !reached(board.at(flag), 0));
        last.arrive(0);
        assert!(first.try_complete(0) && reached(board.at(flag), 0));
    }
}
