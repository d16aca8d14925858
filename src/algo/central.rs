//! Central barrier: a counter that all step, and a go flag that the last one sets.
//!
//! The sense-reversing centralized barrier of Mellor-Crummey and Scott, "Algorithms for scalable synchronization on
//! shared-memory multiprocessors", ACM Transactions on Computer Systems 9(1), 1991, section 3.1. Differs from the paper
//! in: the sense is an epoch (the generation), so no party keeps a sense of its own; the go flag has a line of its own,
//! away from the counter, so that arrivals do not disturb those who already wait.
//!
//! Cost per trip, n parties: one read-modify-write and one plain store each; critical path n - 1 serialised
//! read-modify-writes when all arrive together, one when a single straggler comes last, and 1 hop for the go flag
//! either way. 2 lines, and one for each slot. Rooted: yes, at the last arrival. Split phase: full (nobody else has to
//! run before the release). Choose it when parties outnumber CPUs, sleep, or have no rank.
//!
//! # State
//!
//! | word | writers | readers | meaning |
//! |---|---|---|---|
//! | `count` | all, by `fetch_add`; the last one stores 0 | all, by the same `fetch_add` | arrivals at the open trip |
//! | `go` | the last one | all | the generation that is open: `g + 1` releases trip g |
//! | slot r | party r | breakers | arrival of r (`fate/slots.rs`): who is missing, and the decision of a disputed trip |
//!
//! # Protocol
//!
//! 1. Store the own slot, then step `count`. Whoever steps it from n - 1 is the root.
//! 2. The root runs what is to be run at the root, stores 0 in `count`, then `g + 1` in `go`.
//! 3. Everybody else polls `go` until it is beyond g.
//!
//! # Memory ordering
//!
//! - arrivals → root: the `fetch_add`s of one trip are a release sequence; being `AcqRel`, the root's acquires all of
//!   them (`count`).
//! - root → the others: `go`, release and acquire. By the first edge it carries everybody's arrival, which is C1.
//! - reset of `count` → the next trip's arrivals: ordered by the same `go` edge, since a party arrives again only after
//!   it has seen `go`.
//!
//! # Reuse
//!
//! `count` is 0 again before `go` releases anyone (step 2), so a fast party's next arrival starts from 0. A slow party
//! still polling for `g + 1` may find `g + 2` in `go`? No: trip g + 1 needs its own arrival first. (It would not mind:
//! beyond is beyond.)

use super::{Algorithm, Part, Rooted, sealed};
use crate::fate::Slots;
use crate::model::Graph;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::wait::{Door, Stay, Stop};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// What the seats share.
#[derive(Debug)]
pub(crate) struct Words {
    count: CachePadded<AtomicU32>,
    go: CachePadded<AtomicU64>,
}

impl Words {
    /// Words of a barrier whose first trip is `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self { count: CachePadded::new(AtomicU32::new(0)), go: CachePadded::new(AtomicU64::new(first)) }
    }

    /// Step 2, second half: lets everybody go.
    #[inline(always)]
    fn release(&self, generation: u64) {
        // Relaxed: ordered before the next trip's arrivals by `go`.
        self.count.store(0, Ordering::Relaxed);
        // [go-store] Release: pairs with the Acquire load of `is_released`; carries every party's arrival, and the
        // count of 0.
        self.go.store(generation.wrapping_add(1), Ordering::Release);
    }

    /// Step 3.
    #[inline(always)]
    fn is_released(&self, generation: u64) -> bool {
        // [go-load] Acquire: pairs with the Release store of `release`.
        let open = self.go.load(Ordering::Acquire);
        (open.wrapping_sub(generation) as i64) > 0
    }
}

/// The barrier of `parties` as the cost model sees it.
pub(crate) fn graph(parties: usize) -> Graph {
    let mut graph = Graph::new(parties);
    let go = graph.flag();
    let count = graph.counter(parties, None);
    graph.opens(count, &[go]);
    for rank in 0..parties {
        let slot = graph.flag();
        graph.publish(rank, slot);
        graph.count(rank, count);
        graph.wait(rank, &[go]);
    }
    graph
}

/// One party's seat.
#[derive(Debug)]
pub(crate) struct Central {
    words: Arc<Words>,
    slots: Slots,
    rank: usize,
    part: Part,
}

impl Central {
    /// The seat of `rank`.
    pub(crate) fn new(words: Arc<Words>, slots: Slots, rank: usize) -> Self {
        Self { words, slots, rank, part: Part::Waiter }
    }
}

impl sealed::Sealed for Central {}

impl Algorithm for Central {
    #[inline(always)]
    fn arrive(&mut self, generation: u64) {
        self.slots.arrive(self.rank, generation); // step 1
        // [count] AcqRel: releases this arrival to the root, and if this is the root acquires all the others'.
        let before = self.words.count.fetch_add(1, Ordering::AcqRel);
        self.part = if before as usize + 1 == self.slots.parties() { Part::Root } else { Part::Waiter };
    }

    #[inline(always)]
    fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop> {
        let generation = stay.generation;
        match self.part {
            Part::Root => {
                self.release(generation);
                Ok(())
            }
            Part::ReleasedRoot => Ok(()),
            Part::Waiter => {
                let words: &Words = &self.words;
                door.until(stay, move || words.is_released(generation)) // step 3
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
            Part::Waiter => self.words.is_released(generation),
        }
    }

    /// The last to arrive leads.
    #[inline(always)]
    fn leads(&self) -> bool {
        self.part != Part::Waiter
    }
}

impl Rooted for Central {
    #[inline(always)]
    fn is_root(&self) -> bool {
        self.part == Part::Root
    }

    #[inline(always)]
    fn release(&mut self, generation: u64) {
        self.words.release(generation); // step 2
        self.part = Part::ReleasedRoot;
    }
}
