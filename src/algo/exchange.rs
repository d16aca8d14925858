//! Symmetric exchange: everyone stores its epoch, everyone reads everyone's.
//!
//! Dissemination (Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", International Journal of
//! Parallel Programming 17(1), 1988) with all n - 1 messages in the first and only round, as the w-way form allows
//! (Hoefler, Mehlan, Mietke and Rehm, "Fast barrier synchronization for InfiniBand", IPDPS 2006). Differs from the
//! papers in: epochs instead of parity and sense, so nothing is reset and no second set of flags is needed; for two
//! parties both flags in one line.
//!
//! Cost per trip, n parties: one plain store per party, n - 1 reads; critical path 1 hop (one line transfer); n lines
//! of 128 bytes (fewer with SMT siblings), one for two parties. No read-modify-write. Rooted: no. Split phase: full. Choose it when each of 2 to
//! 8 parties has a CPU of one last-level cache.
//!
//! # State
//!
//! | word | owner | readers | meaning |
//! |---|---|---|---|
//! | slot r | party r | all | the generation that r arrives at next (`fate/slots.rs`) |
//!
//! # Protocol
//!
//! 1. Store `g + 1` in the own slot.
//! 2. Poll the others' slots until each is beyond g.
//!
//! # Memory ordering
//!
//! slot → everybody: `publish`, and `reached`, `reached_to_own` or `all_reached` (`fate/epoch.rs`). Each party acquires from every other,
//! which is C1.
//!
//! # Two parties, one line, and who owns it
//!
//! Each of the two stores to the line that the other looks at. A plain look leaves the line shared, and the next store
//! pays again to have it alone. Where that is dear (AMD) a look takes the line over, and the store behind it is free: one
//! transaction per trip and party in place of two. The line then goes to and fro as a lock's does, and whoever has it
//! finds the other's arrival, leaves, and arrives at the next trip in one go.
//!
//! # Reuse
//!
//! A party one trip ahead has stored `g + 2`, which is beyond g as well; it can get no further, because its next trip
//! needs this party's `g + 2`.

use super::relay::Course;
use super::{Algorithm, sealed};
use crate::fate::board::{Board, Spot};
use crate::fate::epoch::{all_reached, publish, reached, reached_to_own};
use crate::fate::slots::Pair;
use crate::primitive::{owning_looks, settle};
use crate::topology::Sites;
use crate::wait::{Door, Stay, Stop};
use std::sync::Arc;

/// The exchange as a course, for the cost model; the seats below are the same, with fewer steps.
pub(crate) fn course(sites: &Sites) -> Course {
    let mut course = Course::new(sites);
    for rank in 0..sites.parties() {
        let others = (0..sites.parties()).filter(|&other| other != rank);
        let awaits = others.map(|other| course.slot(other)).collect();
        course.leg(rank, awaits, Vec::new());
    }
    course
}

/// The seat of one of two parties. The exchange has no state but the slots: they are the signal.
#[derive(Debug)]
pub(crate) struct ExchangeOfTwo {
    pair: Arc<Pair>,
    rank: usize,
    /// Looks at the other's slot take the line over.
    owns: bool,
}

impl ExchangeOfTwo {
    /// The seat of `rank`.
    pub(crate) fn new(pair: Arc<Pair>, rank: usize) -> Self {
        Self { pair, rank, owns: owning_looks() }
    }
}

impl sealed::Sealed for ExchangeOfTwo {}

impl Algorithm for ExchangeOfTwo {
    #[inline(always)]
    fn arrive(&mut self, generation: u64) {
        publish(&self.pair.slots[self.rank & 1], generation); // step 1
    }

    #[inline(always)]
    fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop> {
        let generation = stay.generation;
        let peer = &self.pair.slots[!self.rank & 1];
        if self.owns {
            // step 2
            let closely = move || {
                let reached = reached_to_own(peer, generation);
                if !reached {
                    // A look that the awaited store overtakes is thrown away with all that was begun behind it.
                    settle();
                }
                reached
            };
            return door.until_closely(stay, closely, move || reached_to_own(peer, generation));
        }
        door.until(stay, move || reached(peer, generation)) // step 2
    }

    fn try_complete(&mut self, generation: u64) -> bool {
        reached(&self.pair.slots[!self.rank & 1], generation)
    }

    #[inline(always)]
    fn leads(&self) -> bool {
        leads(self.rank)
    }
}

/// The seat of one of any other number of parties.
#[derive(Debug)]
pub(crate) struct Exchange {
    board: Arc<Board>,
    slots: Arc<[Spot]>,
    /// The slots are the first lines of the board, in order.
    plain: bool,
    rank: usize,
}

impl Exchange {
    /// The seat of `rank`.
    pub(crate) fn new(board: Arc<Board>, slots: Arc<[Spot]>, rank: usize) -> Self {
        let plain = board.starts_with(&slots);
        Self { board, slots, plain, rank }
    }
}

impl sealed::Sealed for Exchange {}

impl Algorithm for Exchange {
    #[inline(always)]
    fn arrive(&mut self, generation: u64) {
        publish(self.board.at(self.slots[self.rank]), generation); // step 1
    }

    #[inline(always)]
    fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop> {
        let generation = stay.generation;
        let (board, slots) = (&*self.board, &*self.slots);
        if self.plain {
            // One load a slot, where the board allows it.
            let lines = board.first_lines(slots.len());
            return door.until(stay, move || all_reached(lines.iter().map(|line| line.first()), generation)); // step 2
        }
        door.until(stay, move || all_reached(slots.iter().map(|&slot| board.at(slot)), generation)) // step 2
    }

    fn try_complete(&mut self, generation: u64) -> bool {
        all_reached(self.slots.iter().map(|&slot| self.board.at(slot)), generation)
    }

    #[inline(always)]
    fn leads(&self) -> bool {
        leads(self.rank)
    }
}

/// Nobody is last, or all are: rank 0 leads.
#[inline(always)]
fn leads(rank: usize) -> bool {
    rank == 0
}
