//! What a trip costs, predicted.
mod evaluate;
mod graph;
mod machine;
mod matrix;
mod plan;
#[cfg(test)]
mod tests;

pub use machine::{Classes, Constants, Hops, HopsError};
pub use matrix::{LatencyFault, LatencyMatrix, ParseLatencyError};

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
