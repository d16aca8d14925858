//! What a trip of a barrier costs, predicted from what one cache-line transfer costs.
//!
//! Nobody has every machine. But a trip is a chain of line transfers, their times have been measured on many machines,
//! and so an algorithm can be judged where it never ran: good enough to choose one, not good enough to quote.
//!
//! Three inputs. [`Hops`] says what a transfer costs between any two ranks, from classes ([`Classes`]: SMT siblings, one
//! cache, one package, one machine) or from a measured table ([`LatencyMatrix`]). [`Constants`] says what polling,
//! storing and counting cost in transfers. And each algorithm says, in a graph, who stores, polls and counts what, in
//! which order. One answer: a [`Prediction`]. [`Local::measure`] takes the classes, and one of the constants, from the
//! machine at hand; nothing here measures by itself.
//!
//! # The rules
//!
//! Those of Ramos and Hoefler ("Cache line aware algorithm design for cache-coherent architectures", IEEE Transactions on
//! Parallel and Distributed Systems 27(10), 2016) and of the simulator of Smelt (Kaestle, Achermann, Haecki, Hoffmann,
//! Ramos and Roscoe, "Machine-aware atomic broadcast trees for multicores", OSDI 2016), in the form in which one table of
//! barriers on twelve machines was worked out with them. t(a, b) is a transfer, h(a, b) = alpha t(a, b) a hop: a store by
//! a, until a poll by b sees it. Every hop and every count takes [`overhead`](Constants::overhead) on top.
//!
//! - **R1, stores.** The writer goes on at once. Of its stores of one trip each leaves the store buffer `g_w` h(a, b)
//!   after the one before or later, b being the farthest reader.
//! - **R2, readers.** The nearest reader sees a flag after h; each further one, by distance and then by rank, after its
//!   own h and `c_b` h for every reader before it. Who stored the flag sees it at once.
//! - **R3, scans.** A scan sees its flags in the order in which they come, each no sooner than `g_r` h after the one
//!   before (the first: after the start of the scan). Flags on one line are one miss.
//! - **R4, counters.** Read-modify-writes queue in the order in which they come; each takes `rmw` t(previous owner, me).
//!   If those who have counted poll the counter's own line, `c_b` h for each of them on top, up to one h.
//! - **R5, lines with several writers.** Stores queue for the line, t(previous writer, me) each. Whoever gets it sees all
//!   that was stored there before; a later store by a neighbour comes after t, not h: alpha is the price of taking a
//!   line from a poller who has to fetch it again, and a writer fetches it anyway. So two parties in one line meet in
//!   one bare transfer. Who is late pays that price: by then the poller has taken the line back.
//! - **Together** is the time from one trip's last exit to the next one's, each party arriving when it left. **Straggler**
//!   is the time from the arrival of one party, long after all the others, to the last exit; the worst party of all up to
//!   64 parties, of 16 spread over the ranks beyond. (While a barrier is built, of the first and the last only, and the
//!   period after six trips at most: [`Barrier::explain`](crate::Barrier::explain) shows such numbers.)
//!
//! # What is left out
//!
//! The work between trips, and what it evicts. Where a line is homed: on two-socket EPYCs a transfer within a package
//! costs as much as one between packages if the line lives on the other one, so measure with lines homed as the barrier
//! homes them. A straggler's own first miss, beyond R3's part of a hop. Parties that share a CPU, sleep or are preempted:
//! here everyone runs all the time. Prefetchers, frequency, and everybody else on the machine.
//!
//! # How far off it is
//!
//! | barrier | measured | predicted, all parts as in the table below | predicted, default constants |
//! |---|---|---|---|
//! | `hurdles` 1.0, 2 x Xeon E5-2660 v3, 4 / 8 / 16 threads | 689 / 1380 / 2970 ns | 457 / 996 / 2362 ns | 590 / 1288 / 3057 ns: -14 / -7 / +3 % |
//! | GNU OpenMP, 2 x 10 IvyBridge cores | 1669 ns | 1148 ns (packages in turn) to 1986 ns (random order) | 1474 to 2564 ns |
//!
//! The transfers of both machines are stand-ins (`tests/published.rs` says which), and `alpha` and `rmw` were chosen with
//! the first row in view; the second was not used. A third comparison is the table mentioned above: ten barriers on twelve
//! machines, together and straggler, by another program with alpha = `rmw` = 1. Of its 240 numbers 195 agree to 0.5 %, 221
//! to 1.5 %, and all to 11 %; the test says where and why. That is a check of the arithmetic, not of the world, and it has
//! been used: of two ways to read R1 the one that agrees was kept.
//!
//! For two parties the default `alpha` is too small on at least one machine: on two virtual CPUs of a Xeon
//! (`docs/results`) flags in one line cost 61 ns a trip, and 161 ns if one party is late, which is an `alpha` of 2.6 (the
//! latter has a look at the clock in it).
//!
//! So trust the order in which it ranks algorithms more than its numbers, and neither where two are close.

mod evaluate;
#[cfg(any(test, phalanx_fuzz))]
pub(crate) mod fuzzing;
mod graph;
mod machine;
mod matrix;
mod measure;
mod plan;
mod rival;
#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests;

pub use machine::{Classes, Constants, Hops, HopsError};
pub use matrix::{LatencyFault, LatencyMatrix, ParseLatencyError};
pub use measure::{Local, MeasureError};
#[doc(hidden)]
pub use rival::predict_counter;

pub(crate) use self::{
    evaluate::{Effort, Scratch, evaluate},
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
