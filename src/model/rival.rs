//! The barrier that most libraries have: what others have measured, the model is held against.

use super::evaluate::{Effort, Scratch, evaluate};
use super::graph::Graph;
use super::{Constants, Hops, Prediction};

/// Predicts a barrier of one counter and one flag, on one line as in `hurdles` 1.0 or on two as in GNU OpenMP.
///
/// For `docs/choosing.md`, which compares published measurements of these two with it. `None` for no ranks at all, or
/// for times and constants that make no sense.
#[must_use]
pub fn predict_counter(hops: &Hops, one_line: bool, constants: &Constants) -> Option<Prediction> {
    let graph = graph(hops.parties(), one_line);
    evaluate(&graph, hops, constants, Effort::Full, &mut Scratch::default()).filter(|_| hops.parties() > 0)
}

pub(super) fn graph(parties: usize, one_line: bool) -> Graph {
    let mut graph = Graph::new(parties);
    let count = graph.counter(parties, None);
    let go = graph.flag();
    graph.opens(count, &[go]);
    if one_line {
        graph.polled(count);
    }
    for rank in 0..parties {
        graph.count(rank, count);
        graph.wait(rank, &[go]);
    }
    graph
}
