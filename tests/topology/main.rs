//! Topology, quota, placement and pinning, against snapshots of real machines and against what `lstopo` says of them.
//!
//! The snapshots are described in `tests/data/topology/README.md`. Each is written out below the system's temporary
//! directory, and removed again.

#![cfg_attr(miri, allow(dead_code, unused_imports))] // Miri runs a part

// Those that are not for Miri write and read trees of files, which Miri is kept from: safe code of one thread.
#[cfg(not(miri))]
mod drawn;
#[cfg(not(miri))]
mod handmade;
mod lists;
mod pin;
mod place;
#[cfg(not(miri))]
mod property;
#[cfg(not(miri))]
mod quota;
#[cfg(not(miri))]
mod snapshots;
mod support;
