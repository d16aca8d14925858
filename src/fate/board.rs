//! The board: the lines on which parties publish epochs, each line near those who write on it.
//!
//! # Layout
//!
//! - Parties on different cores have a line each: writers that share a line queue for it, while a reader's misses on
//!   several lines overlap.
//! - Parties on one core (SMT siblings) share a line: it never leaves their first-level cache between them, and who
//!   reads one reads both for the price of one.
//! - Lines of parties on one NUMA node lie together, in memory that a thread of that node touched first, which is where
//!   Linux then keeps it. (On a two-socket EPYC a line at home on the wrong socket costs twice as much *within* the
//!   right one: KCORES/core-to-core-latency-plus, results for 7302 to 9754.) It is done when the barrier is built, and
//!   holds as far as the allocator hands out memory that nobody has touched: a block is made so large that common
//!   allocators map it afresh, at least the first time. A reset does not move its caller about, which others wait for;
//!   the lines of the new era lie wherever the allocator has them.
//! - Nothing is on a line but what is written on each trip: what never changes lies elsewhere. What a party brings along
//!   to a trip (`luggage.rs`) is on the line of its slot, in the other half.

use super::luggage::Luggage;
use crate::primitive::AtomicU64;
use crate::topology::{Sites, current_mask, pin_current};
use crossbeam_utils::CachePadded;

/// Words on a line: as many threads as most cores have at most, and half of 64 bytes. (The eight threads of a POWER core
/// take two lines.)
const WORDS: u32 = if cfg!(all(test, phalanx_loom)) { 2 } else { 4 };

pub(crate) type Line = CachePadded<Cells>;

/// What is on a line: epochs, and in the other half room for what the party of the first one brings along.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cells {
    words: [AtomicU64; WORDS as usize],
    luggage: Luggage,
}

impl Cells {
    fn new(first: u64) -> Self {
        Self { words: std::array::from_fn(|_| AtomicU64::new(first)), luggage: Luggage::new() }
    }

    /// The first word.
    #[inline(always)]
    pub(crate) fn first(&self) -> &AtomicU64 {
        &self.words[0]
    }
}

/// Lines of one block at least, if there are several: beyond the size from which common allocators ask the system for
/// fresh pages (glibc: 128 KiB).
const FRESH: usize = 132 * 1024 / size_of::<Line>();

/// Where a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Spot {
    block: u32,
    word: u32,
}

impl Spot {
    /// The first word on the line of this one.
    pub(crate) fn first_on_line(self) -> Self {
        Self { word: self.word - self.word % WORDS, ..self }
    }
}

/// Who writes where, before there is memory for it: cheap to make, and to throw away.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The block of each rank; empty if there is one only.
    home_of: Box<[u32]>,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// A CPU near which the memory is to be.
    cpu: Option<usize>,
    lines: u32,
}

impl Layout {
    /// No lines yet.
    pub(crate) fn new(sites: &Sites) -> Self {
        let blocks = sites.homes().iter().map(|&cpu| Block { cpu, lines: 0 }).collect();
        Self { home_of: sites.home_of().into(), blocks }
    }

    /// A new line near `rank`, and its first word.
    pub(crate) fn line(&mut self, rank: usize) -> Spot {
        let block = self.home_of.get(rank).copied().unwrap_or(0);
        let lines = &mut self.blocks[block as usize].lines;
        let word = *lines * WORDS;
        *lines += 1;
        Spot { block, word }
    }

    /// The word after `spot` on its line, if the line has one.
    pub(crate) fn beside(&self, spot: Spot) -> Option<Spot> {
        let word = spot.word + 1;
        (word % WORDS != 0).then_some(Spot { word, ..spot })
    }

    /// How many words there are, used or not.
    pub(crate) fn words(&self) -> usize {
        self.blocks.iter().map(|block| (block.lines * WORDS) as usize).sum()
    }

    /// The number of a word among all.
    pub(crate) fn index(&self, spot: Spot) -> usize {
        let before = self.blocks[..spot.block as usize].iter().map(|block| (block.lines * WORDS) as usize);
        before.sum::<usize>() + spot.word as usize
    }

    /// Where the party with this slot puts what it brings along: on the slot's line, unless a sibling has that place.
    pub(crate) fn luggage(&mut self, rank: usize, slot: Spot) -> Spot {
        if slot == slot.first_on_line() { slot } else { self.line(rank) }
    }

    /// The slots of all ranks: siblings share a line, and so do the only two parties (the transfer that a writer needs
    /// anyway brings the other's epoch along).
    pub(crate) fn slots(&mut self, sites: &Sites) -> Box<[Spot]> {
        let mut last_on_core = vec![None; sites.cores()];
        let mut slots: Vec<Spot> = Vec::with_capacity(sites.parties());
        for rank in 0..sites.parties() {
            let neighbour = if sites.parties() == 2 {
                slots.first().copied()
            } else {
                sites.core(rank).and_then(|core: usize| last_on_core[core])
            };
            let spot = neighbour.and_then(|spot| self.beside(spot)).unwrap_or_else(|| self.line(rank));
            if let Some(core) = sites.core(rank) {
                last_on_core[core] = Some(spot);
            }
            slots.push(spot);
        }
        slots.into()
    }
}

/// The lines of one era.
#[derive(Debug)]
pub(crate) struct Board {
    blocks: Box<[Vec<Line>]>,
}

impl Board {
    /// Memory for `layout`, every epoch at `first`; with `near`, each block touched first by this thread on a CPU near
    /// those who write there.
    pub(crate) fn new(layout: &Layout, first: u64, near: bool) -> Self {
        let several = layout.blocks.len() > 1;
        let mask = (near && several).then(current_mask).flatten().unwrap_or_default();
        let blocks = layout.blocks.iter().map(|block| {
            let lines = block.lines as usize;
            // To be there while the pages are touched. Where this thread may not go (and its own mask counts: it may
            // have been kept away from the workers' CPUs) the memory is elsewhere, and slower; nothing else depends on
            // it.
            let _near = block.cpu.filter(|&cpu| mask.contains(cpu)).and_then(|cpu| pin_current(cpu).ok());
            let mut memory = Vec::with_capacity(if several { lines.max(FRESH) } else { lines });
            memory.extend((0..lines).map(|_| CachePadded::new(Cells::new(first))));
            memory
        });
        Self { blocks: blocks.collect() }
    }

    /// Whether `spots` are the first words of the first lines, in order.
    pub(crate) fn starts_with(&self, spots: &[Spot]) -> bool {
        let in_order = (0..).zip(spots).all(|(line, &spot)| spot == Spot { block: 0, word: line * WORDS });
        in_order && self.blocks.first().is_some_and(|block| block.len() >= spots.len())
    }

    /// The first `count` lines of the first block.
    #[inline(always)]
    pub(crate) fn first_lines(&self, count: usize) -> &[Line] {
        &self.blocks[0][..count]
    }

    /// The word at `spot`.
    #[inline(always)]
    pub(crate) fn at(&self, spot: Spot) -> &AtomicU64 {
        &self.line(spot).words[(spot.word % WORDS) as usize]
    }

    /// What the party of the first word on the line of `spot` brings along.
    #[inline(always)]
    pub(crate) fn luggage(&self, spot: Spot) -> &Luggage {
        &self.line(spot).luggage
    }

    #[inline(always)]
    fn line(&self, spot: Spot) -> &Cells {
        &self.blocks[spot.block as usize][(spot.word / WORDS) as usize]
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::topology::{Bind, CpuSet, Topology};
    use std::collections::BTreeSet;

    fn sites(machine: &Topology, bind: &Bind, parties: usize) -> Sites {
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        Sites::of(&machine.place(bind, parties, &mask).unwrap())
    }

    #[test]
    fn siblings_share_a_line_and_strangers_do_not() {
        let machine = Topology::regular(1, 1, 1, 4, 2).unwrap();
        let sites = sites(&machine, &Bind::Close, 8);
        let slots = Layout::new(&sites).slots(&sites);
        for (rank, slot) in slots.iter().enumerate() {
            // Close takes the first threads of all cores before the second ones.
            let sibling = slots[(rank + 4) % 8];
            assert_eq!(slot.first_on_line(), sibling.first_on_line());
            assert_ne!(*slot, sibling);
        }
        assert_eq!(slots.iter().map(|slot| slot.first_on_line()).collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn what_is_beside_a_word_is_on_its_line_and_a_sibling_brings_its_luggage_elsewhere() {
        let mut layout = Layout::new(&Sites::anywhere(2));
        let _first = layout.line(0);
        let spot = layout.line(0);
        let beside: Vec<Spot> = std::iter::successors(Some(spot), |&spot| layout.beside(spot)).collect();
        assert_eq!(beside.len(), WORDS as usize);
        assert!(beside.iter().all(|other| other.first_on_line() == spot));
        assert_eq!(layout.luggage(0, spot), spot);
        let other = layout.luggage(1, beside[1]);
        assert_eq!(other, other.first_on_line());
        assert_ne!(other, spot);
        assert_eq!((layout.words(), layout.index(other)), (3 * WORDS as usize, 2 * WORDS as usize));
    }

    #[test]
    fn lines_in_order_are_told_from_others() {
        let mut layout = Layout::new(&Sites::anywhere(3));
        let spots: Vec<Spot> = (0..3).map(|rank| layout.line(rank)).collect();
        let board = Board::new(&layout, 0, false);
        assert!(board.starts_with(&spots) && board.starts_with(&spots[..2]));
        assert!(!board.starts_with(&spots[1..]));
        let beyond = [&spots[..], &[layout.line(0)]].concat();
        assert!(!board.starts_with(&beyond), "the board has three lines");
        assert_eq!(board.first_lines(2).len(), 2);
    }

    #[test]
    fn each_node_has_its_own_block_and_every_word_its_own_place() {
        let machine = Topology::regular(2, 2, 1, 4, 1).unwrap();
        let sites = sites(&machine, &Bind::Spread, 16);
        let mut layout = Layout::new(&sites);
        let slots = layout.slots(&sites);
        let flags: Vec<Spot> = (0..16).map(|rank| layout.line(rank)).collect();
        let board = Board::new(&layout, 3, true);
        for (rank, (slot, flag)) in slots.iter().zip(&flags).enumerate() {
            assert_eq!(slot.block, flag.block, "rank {rank}");
            board.at(*slot).store(rank as u64, crate::primitive::Ordering::Relaxed);
            assert_eq!(board.at(*flag).load(crate::primitive::Ordering::Relaxed), 3);
        }
        let blocks: BTreeSet<u32> = slots.iter().map(|slot| slot.block).collect();
        assert_eq!(blocks.len(), 4);
        let values: BTreeSet<u64> =
            slots.iter().map(|slot| board.at(*slot).load(crate::primitive::Ordering::Relaxed)).collect();
        assert_eq!(values.len(), 16);
    }
}
