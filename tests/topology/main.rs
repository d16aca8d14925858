//! Topology, quota, placement and pinning, against snapshots of real machines and against what `lstopo` says of them.
//!
//! The snapshots are described in `tests/data/topology/README.md`. Each is written out below the system's temporary
//! directory, and removed again.

mod drawn;
mod handmade;
mod lists;
mod pin;
mod place;
mod property;
mod quota;
mod snapshots;
mod support;
