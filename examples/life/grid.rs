//! The bit-packed grid, cut into bands of rows, and one tick of a band.
//!
//! # Layout
//!
//! A cell is a bit: cell x of a row is bit `x % 64` of word `1 + x / 64`. Words 0 and `words + 1` of each row stay
//! zero, and so do the bits behind the last column (`tail` masks them): cells beyond the border are dead, and the
//! kernel needs no special case at either end. A [`Band`] holds the rows of one party at one tick, plain `u64`; the engine has
//! two of each, and the next one is made from the present one and its neighbours' edge rows, which are read where they are.
//!
//! Why not one shared grid? In safe Rust that is a `Vec<AtomicU64>` with relaxed accesses, which needs no copying, but
//! compilers do not vectorise atomics. Measured on a dense 2560 x 512 grid, one core of a virtual Xeon (AVX-512), rustc
//! 1.95, the same kernel over atomics and over plain words: 2.4 against 2.1 ns per word for the default target, 3.2
//! against 0.7 with `-C target-cpu=native`. Plain bands are also what NUMA wants, since each party touches its own
//! first.
//!
//! # Which words are looked at
//!
//! A wide grid around a small pattern is almost empty. Each row knows the [`Span`] of words outside which it is dead,
//! and a cell can come alive only beside a live one, so a row's next span lies within its own and its two neighbours'
//! spans, widened by one word. The same goes for the rows of a band. That is exact, not a heuristic: everything outside
//! is known to be dead now and next.

use crate::kernel::tick_words;
use crate::rle::Pattern;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Width and height in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Size {
    /// The longest side: a grid of it has 512 MiB in each buffer, beyond that a typing error is more likely.
    pub(crate) const LONGEST: usize = 65_536;

    /// The words that hold a row.
    pub(crate) fn words(self) -> usize {
        self.width.div_ceil(64)
    }

    /// Where the box of `pattern` starts (column, row) when it is centred, or `None` when it does not fit.
    pub(crate) fn centre(self, pattern: &Pattern) -> Option<(usize, usize)> {
        let (width, height) = (usize::try_from(pattern.width).ok()?, usize::try_from(pattern.height).ok()?);
        Some((self.width.checked_sub(width)? / 2, self.height.checked_sub(height)? / 2))
    }

    /// The rows of each of `parties`: as equal as can be, the first ones one row longer. Parties beyond the number of
    /// rows get none; as these are the last ones, the neighbours of a band are those of the ranks beside it.
    pub(crate) fn rows_of(self, rank: usize, parties: usize) -> Range<usize> {
        let (each, more) = (self.height / parties, self.height % parties);
        let start = rank * each + rank.min(more);
        start..start + each + usize::from(rank < more)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let side = |text: &str| match text.parse::<usize>() {
            Ok(side) if (1..=Size::LONGEST).contains(&side) => Ok(side),
            _ => Err(format!("a side must be a number from 1 to {}, not {text:?}", Size::LONGEST)),
        };
        let (width, height) = text.split_once(['x', 'X']).ok_or("expected WIDTHxHEIGHT, such as 640x480")?;
        Ok(Size { width: side(width)?, height: side(height)? })
    }
}

/// The words `lo..hi` of a row outside which it is dead, or the rows of a band likewise. Empty when `lo >= hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) lo: usize,
    pub(crate) hi: usize,
}

impl Span {
    pub(crate) const EMPTY: Span = Span { lo: usize::MAX, hi: 0 };

    pub(crate) fn is_empty(self) -> bool {
        self.lo >= self.hi
    }

    /// The same in a count that begins with 1.
    fn shifted(self) -> Span {
        if self.is_empty() { self } else { Span { lo: self.lo + 1, hi: self.hi + 1 } }
    }

    fn one(index: usize) -> Span {
        Span { lo: index, hi: index + 1 }
    }

    /// One more at both sides, but within `1..end`: what may come alive within one tick.
    fn widened(self, end: usize) -> Span {
        if self.is_empty() { self } else { Span { lo: self.lo.max(2) - 1, hi: (self.hi + 1).min(end) } }
    }

    fn hull(self, other: Span) -> Span {
        Span { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Clears in `row` what this span covers and `keep` does not.
    pub(crate) fn clear_outside(self, keep: Span, row: &mut [u64]) {
        if keep.is_empty() {
            if !self.is_empty() {
                row[self.lo..self.hi].fill(0);
            }
            return;
        }
        if self.lo < keep.lo {
            row[self.lo..self.hi.min(keep.lo)].fill(0);
        }
        if self.hi > keep.hi {
            row[self.lo.max(keep.hi)..self.hi].fill(0);
        }
    }
}

/// What a band needs to know of the border of the grid.
#[derive(Clone, Copy)]
struct Border {
    /// The band's row that is the first of the grid and the one that is the last, if it has them.
    rows: [Option<usize>; 2],
    /// The last word of a row, and its bits that are on the grid.
    last: usize,
    tail: u64,
}

impl Border {
    /// Tells whether a live cell of this row stands on the border.
    fn reached(self, row: usize, words: &[u64], span: Span) -> bool {
        let last_column = self.tail ^ self.tail >> 1;
        let west = || span.lo == 1 && words[1] & 1 != 0;
        let east = || span.hi > self.last && words[self.last] & last_column != 0;
        !span.is_empty() && (self.rows.contains(&Some(row)) || west() || east())
    }
}

/// The rows of one party, at one tick: a part of the world.
#[derive(Clone)]
pub(crate) struct Band {
    rows: usize,
    /// From a row to the one below it.
    stride: usize,
    border: Border,
    words: Vec<u64>,
    /// By row: where it lives.
    spans: Vec<Span>,
    own: Own,
}

/// What only the band's own party reads and writes: off the lines on which the neighbours find the rows. (Measured: on
/// them a tick of two parties takes a tenth longer.)
#[derive(Clone)]
#[repr(align(128))]
struct Own {
    /// The rows that live.
    live: Span,
    /// The first tick with a live cell on the border.
    reached_border: Option<u64>,
}

impl Band {
    /// Makes the band of the rows `rows` of a grid, with the part of `pattern` that falls on them.
    pub(crate) fn new(size: Size, rows: Range<usize>, pattern: &Pattern, origin: (usize, usize)) -> Band {
        let (count, last) = (rows.len(), size.words());
        let stride = last + 2;
        let border = Border {
            rows: [(rows.start == 0).then_some(0), (rows.end == size.height).then(|| count.wrapping_sub(1))],
            last,
            tail: u64::MAX >> (63 - (size.width - 1) % 64),
        };
        let (words, spans) = (vec![0; stride * count], vec![Span::EMPTY; count]);
        let own = Own { live: Span::EMPTY, reached_border: None };
        let mut band = Band { rows: count, stride, border, words, spans, own };
        for run in &pattern.runs {
            let row = origin.1 + run.row as usize;
            if rows.contains(&row) {
                let start = origin.0 + run.column as usize;
                for x in start..start + run.length as usize {
                    band.words[(row - rows.start) * stride + 1 + x / 64] |= 1 << (x % 64);
                }
            }
        }
        for row in 0..count {
            let words = &band.words[row * stride..][..stride];
            let span = trimmed(words, Span { lo: 1, hi: stride - 1 });
            if !span.is_empty() {
                band.spans[row] = span;
                band.own.live = band.own.live.hull(Span::one(row));
            }
            if border.reached(row, words, span) {
                band.own.reached_border = Some(0);
            }
        }
        band
    }

    /// How many rows the band has.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The first tick at which a live cell stood on the border of the grid. Up to there the bounded grid and the
    /// unbounded plane agree; behind it cells may be missing.
    pub(crate) fn reached_border(&self) -> Option<u64> {
        self.own.reached_border
    }

    /// Counts the live cells.
    pub(crate) fn population(&self) -> u64 {
        self.picture().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The words of the rows from top to bottom, without margins.
    pub(crate) fn picture(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.chunks_exact(self.stride).flat_map(|row| row[1..row.len() - 1].iter().copied())
    }

    /// The first row, as a neighbour sees it, if there is one.
    fn first(&self) -> Option<Row<'_>> {
        (self.rows > 0).then(|| self.row(0))
    }

    /// The last row.
    fn last(&self) -> Option<Row<'_>> {
        self.rows.checked_sub(1).map(|last| self.row(last))
    }

    fn row(&self, row: usize) -> Row<'_> {
        Row { words: &self.words[row * self.stride..][..self.stride], span: self.spans[row] }
    }

    /// Becomes what `now`, which lies between these two bands, is after tick `tick`. What this band holds before is of an
    /// earlier tick: its spans say which words have to be cleared.
    pub(crate) fn follow(&mut self, now: &Band, above: Option<&Band>, below: Option<&Band>, tick: u64) {
        let Band { rows, stride, border, .. } = *now;
        let dead = Row { words: &[], span: Span::EMPTY };
        let above = above.and_then(Band::last).unwrap_or(dead);
        let below = below.and_then(Band::first).unwrap_or(dead);

        // Rows are numbered from 1 here, so that the neighbours' are 0 and one more than there are.
        let margins = [(0, above), (rows + 1, below)].into_iter().filter(|(_, row)| !row.span.is_empty());
        let live = margins.fold(now.own.live.shifted(), |live, (row, _)| live.hull(Span::one(row)));
        // Where something may live next, and where this band still holds something of two ticks ago.
        let visit = live.widened(rows + 1).hull(self.own.live.shifted());
        self.own.live = Span::EMPTY;
        self.own.reached_border = now.own.reached_border;
        for row in (visit.lo..visit.hi).map(|row| row - 1) {
            let over = if row == 0 { above } else { now.row(row - 1) };
            let under = if row + 1 == rows { below } else { now.row(row + 1) };
            let here = now.row(row);
            let near = over.span.hull(here.span).hull(under.span).widened(stride - 1);
            let target = &mut self.words[row * stride..][..stride];
            self.spans[row].clear_outside(near, target);
            self.spans[row] = near;
            if near.is_empty() {
                continue;
            }
            tick_words(over.around(near), here.around(near), under.around(near), &mut target[near.lo..near.hi]);
            if near.hi > border.last {
                target[border.last] &= border.tail;
            }
            let span = trimmed(target, near);
            self.spans[row] = span;
            if !span.is_empty() {
                self.own.live = self.own.live.hull(Span::one(row));
            }
            if self.own.reached_border.is_none() && border.reached(row, target, span) {
                self.own.reached_border = Some(tick);
            }
        }
    }
}

/// A row of some band.
#[derive(Clone, Copy)]
struct Row<'a> {
    /// None for the row beyond the border.
    words: &'a [u64],
    span: Span,
}

impl<'a> Row<'a> {
    /// The words of `near`, and one more at both sides.
    fn around(self, near: Span) -> &'a [u64] {
        if self.words.is_empty() { &DEAD[..near.hi - near.lo + 2] } else { &self.words[near.lo - 1..near.hi + 1] }
    }
}

/// Beyond the border of the grid everything is dead: as many words as the longest row has.
static DEAD: [u64; Size::LONGEST / 64 + 2] = [0; Size::LONGEST / 64 + 2];

/// The part of `span` that is left without the dead words at both ends.
fn trimmed(row: &[u64], span: Span) -> Span {
    let live = |&word: &u64| word != 0;
    let words = &row[span.lo..span.hi];
    match (words.iter().position(live), words.iter().rposition(live)) {
        (Some(first), Some(last)) => Span { lo: span.lo + first, hi: span.lo + last + 1 },
        _ => Span::EMPTY,
    }
}
