//! How neighbouring bands see each other's edge rows with one trip per tick.
//!
//! Each party publishes the first and the last row of its band and reads one row of each neighbour. Both ways go
//! through an [`Edge`], a row of atomics that one party writes and one reads. There are two of each, used in turn
//! (by the parity of the tick), and that is why a single trip per tick is enough:
//!
//! 1. A party computes tick t, writes its edges of t into the slots of parity t, and waits for trip t.
//! 2. Behind trip t it reads its neighbours' slots of parity t, while the neighbours may already be writing t + 1:
//!    those go into the other slots.
//! 3. The slots of parity t are written again with t + 2, after trip t + 1, at which each reader of t has arrived.
//!
//! With one set of slots, step 2 would need a second trip: "all have read".
//!
//! All accesses are relaxed. What orders them is the barrier: whatever a party did before a trip happens before
//! whatever any party does after it (C1 of the library's contract), so a plain variable would do if Rust could be shown
//! that. On the usual processors a relaxed access is a plain move.

use crate::grid::{Band, Span};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// 128 bytes: two cache lines, because the prefetchers of many processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Block([AtomicU64; 16]);

/// A published row. The blocks keep the edges of different parties off each other's cache lines: a grid of 256 columns
/// has rows of 32 bytes, and without them four parties would write one line.
struct Edge {
    /// Word 0 is the span; the row's word i is word i (its word 0 is a margin and always zero). So a narrow row travels
    /// together with its span.
    blocks: Box<[Block]>,
}

impl Edge {
    fn new(words: usize) -> Edge {
        Edge { blocks: (0..(words + 1).div_ceil(16)).map(|_| Block::default()).collect() }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.blocks[index / 16].0[index % 16]
    }

    fn publish(&self, row: &[u64], span: Span) {
        // 0 is the empty span; a row has far fewer than 2^32 words.
        let packed = if span.is_empty() { 0 } else { (span.lo as u64) << 32 | span.hi as u64 };
        self.word(0).store(packed, Relaxed);
        if !span.is_empty() {
            // The words outside keep what they held: nobody reads outside of the span.
            for (index, &word) in (span.lo..).zip(&row[span.lo..span.hi]) {
                self.word(index).store(word, Relaxed);
            }
        }
    }

    fn fetch(&self, row: &mut [u64], span: &mut Span) {
        let packed = self.word(0).load(Relaxed);
        let (lo, hi) = ((packed >> 32) as usize, (packed & 0xffff_ffff) as usize);
        let fresh = if packed == 0 { Span::EMPTY } else { Span { lo, hi } };
        span.clear_outside(fresh, row);
        for (index, word) in (lo..).zip(&mut row[lo..hi]) {
            *word = self.word(index).load(Relaxed);
        }
        *span = fresh;
    }
}

/// The edges of all bands.
pub(crate) struct Halos {
    /// By rank, then by the parity of the tick: the first row and the last.
    bands: Vec<[[Edge; 2]; 2]>,
}

impl Halos {
    /// The edges of `bands` bands with rows of `words` words.
    pub(crate) fn new(bands: usize, words: usize) -> Halos {
        let edges = || [Edge::new(words), Edge::new(words)];
        Halos { bands: (0..bands).map(|_| [edges(), edges()]).collect() }
    }

    /// Before trip `tick`: shows the neighbours the band's edges of that tick.
    pub(crate) fn publish(&self, rank: usize, tick: u64, band: &Band) {
        // A party without rows has no slot.
        if let Some(slots) = self.bands.get(rank) {
            for (slot, (row, span)) in slots[parity(tick)].iter().zip(band.edges()) {
                slot.publish(row, span);
            }
        }
    }

    /// After trip `tick`: brings the neighbours' edges of that tick into the band's margins. Beyond the
    /// border of the grid there is nobody, and the margin stays dead.
    pub(crate) fn fetch(&self, rank: usize, tick: u64, band: &mut Band) {
        if rank >= self.bands.len() {
            return;
        }
        let [(above, above_span), (below, below_span)] = band.margins();
        if let Some(upper) = rank.checked_sub(1) {
            self.bands[upper][parity(tick)][1].fetch(above, above_span);
        }
        if let Some(lower) = self.bands.get(rank + 1) {
            lower[parity(tick)][0].fetch(below, below_span);
        }
    }
}

fn parity(tick: u64) -> usize {
    usize::from(tick % 2 == 1)
}
