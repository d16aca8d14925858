//! What a trip costs, predicted.
#[cfg_attr(not(test), expect(dead_code, reason = "the algorithms do not describe themselves yet"))]
mod evaluate;
#[cfg_attr(not(test), expect(dead_code, reason = "the algorithms do not describe themselves yet"))]
mod graph;
mod machine;
mod matrix;
#[cfg_attr(not(test), expect(dead_code, reason = "the algorithms do not describe themselves yet"))]
mod plan;
#[cfg(test)]
mod tests;

pub use machine::{Classes, Constants, Hops, HopsError};
pub use matrix::{LatencyFault, LatencyMatrix, ParseLatencyError};

#[cfg_attr(not(test), expect(unused_imports, reason = "the algorithms do not describe themselves yet"))]
pub(crate) use self::{
    evaluate::{Scratch, evaluate},
    graph::{Counter, Flag, Graph},
};

/// What a trip of a barrier is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Nanoseconds from trip to trip when all parties arrive again as soon as they have left.
    pub together: f64,
    /// Nanoseconds from the last arrival to the last exit when one party arrives long after all the others: the
    /// costliest such party.
    pub straggler: f64,
}
