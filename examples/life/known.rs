//! Patterns whose fate is known, so that a run can say whether it is right.
//!
//! The answers hold on an unbounded plane. A grid gives the same as long as no live cell has stood on its border, which
//! [`crate::grid::Band`] keeps watch of; so a different count with an untouched border means that the parties were not
//! in step.

use crate::rle::{self, Pattern};

/// A known population at a known tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) tick: u64,
    pub(crate) population: u64,
    rle: &'static str,
}

/// The answers to the files in `examples/data`.
pub(crate) const KNOWN: [Known; 4] = [
    Known { name: "acorn", tick: 5206, population: 633, rle: include_str!("../data/acorn.rle") },
    Known { name: "r-pentomino", tick: 1103, population: 116, rle: include_str!("../data/r-pentomino.rle") },
    Known { name: "diehard", tick: 130, population: 0, rle: include_str!("../data/diehard.rle") },
    Known { name: "gosper-glider-gun", tick: 300, population: 86, rle: include_str!("../data/gosper-glider-gun.rle") },
];

impl Known {
    /// What is known about this picture, whatever its file is called.
    pub(crate) fn about(pattern: &Pattern) -> Option<Known> {
        KNOWN.into_iter().find(|known| known.pattern().same_picture(pattern))
    }

    /// Reads the pattern.
    pub(crate) fn pattern(self) -> Pattern {
        rle::parse(self.rle.as_bytes()).expect("the files in examples/data are well formed")
    }
}
