//! Barriers for threads that move in step: about one cache-line transfer per trip, and never a silent hang.
//!
//! A barrier is where threads meet: each works, arrives, and goes on once all have arrived. `phalanx` is for loops that
//! do this a million times a second (stencils, lockstep simulations, pinned worker pools), and for people who have to
//! find out at night which of 64 workers did not come.
//!
//! - **Fast**: two threads that share a cache meet for the price of handing one cache line to and fro. Everything below
//!   (deadlines, abort, naming the missing) costs that path one load of a line that nobody writes.
//! - **Never a collapse**: with more threads than CPUs, or a CPU quota, it yields and sleeps instead of spinning.
//! - **Never a silent hang**: a timeout, an abort, a panic or an early return of one party releases all the others,
//!   with one and the same error, which says why, who, and who was missing.
//!
//! # Coming from `std::sync::Barrier`
//!
//! **One line.** [`compat::Barrier`] has `std`'s signature. It spins before it sleeps, and that is all that changes:
//!
//! ```
//! use phalanx::compat::Barrier; // was: use std::sync::Barrier;
//!
//! let barrier = Barrier::new(2);
//! std::thread::scope(|s| {
//!     s.spawn(|| barrier.wait());
//!     barrier.wait();
//! });
//! ```
//!
//! **Five minutes.** Give each thread a [`Party`], and the rest of this crate works for you:
//!
//! ```
//! use phalanx::{Barrier, Broken};
//! use std::time::Duration;
//!
//! let barrier = Barrier::builder(4).timeout(Duration::from_secs(5)).build()?;
//! let trips: u64 = std::thread::scope(|s| {
//!     let parties = barrier.take_parties().expect("nobody else has claimed a rank");
//!     let workers: Vec<_> = parties
//!         .into_iter()
//!         .map(|mut party| {
//!             s.spawn(move || -> Result<u64, Broken> {
//!                 let mut led = 0;
//!                 for _step in 0..1_000 {
//!                     // work on the part that belongs to party.rank()
//!                     let trip = party.wait()?; // everybody's work is visible from here
//!                     led += u64::from(trip.is_leader());
//!                 }
//!                 Ok(led) // dropping the handle here is fine: nobody waits for it any more
//!             })
//!         })
//!         .collect();
//!     workers.into_iter().map(|worker| worker.join().expect("no panic").expect("no break")).sum()
//! });
//! assert_eq!(trips, 1_000); // one leader per trip
//! # Ok::<(), phalanx::BuildError>(())
//! ```
//!
//! What is different: a party is owned by one thread and waits through `&mut`, so nobody arrives twice; `wait` returns
//! a `Result`, because it can say that somebody will never come; the leader is [`Trip::is_leader`]; and the [`Barrier`]
//! itself is the handle for looking ([`Barrier::missing`]) and for breaking ([`Barrier::abort`]), from any thread.
//!
//! # What a `Broken` tells
//!
//! A trip ends in one of two ways, and in the same way for all of its parties: complete (`Ok` for every party) or
//! broken (`Err` for every party, with the same record). Never mixed, whatever races with what. The record reads well
//! in a log:
//!
//! ```text
//! trip 4711 broken: rank 2 timed out after 5 s; not arrived: ranks 0, 3 (`solver-3` on cpu 7)
//! ^ generation      ^ cause                     ^ missing: what to look at first
//! ```
//!
//! | [`Cause`] | what happened | look at |
//! |---|---|---|
//! | [`TimedOut`](Cause::TimedOut) | a party's patience ended ([`Builder::timeout`], [`Party::wait_timeout`]) | the missing ranks: stuck, or slower than the limit allows |
//! | [`Panicked`](Cause::Panicked) | a party's thread panicked | that rank's panic message |
//! | [`Dropped`](Cause::Dropped) | a party's handle went: an early `return`, a `?`, one loop shorter than the others | that rank's last lines |
//! | [`Aborted`](Cause::Aborted) | somebody called `abort` | the reason given |
//! | [`Reset`](Cause::Reset) | somebody called `reset` while parties waited | the caller |
//! | [`ActionPanicked`](Cause::ActionPanicked) | the action of a [`compat::Barrier`] panicked | its message |
//!
//! The barrier stays broken until [`Barrier::reset`]; a rank whose worker died is claimed again first
//! ([`Barrier::claim`]).
//!
//! # Choosing
//!
//! The defaults choose by themselves. To choose by hand:
//!
//! | you have | take |
//! |---|---|
//! | a CPU for each thread, all on one cache | nothing: [`Algorithm::Auto`] takes [`Algorithm::Exchange`] for a few and [`Algorithm::Dissemination`] for many, [`WaitPolicy::Adaptive`] spins |
//! | pinned threads on several caches or sockets | [`Builder::placement`]: `Auto` then takes [`Algorithm::Hierarchical`] where that is shorter |
//! | more threads than CPUs | nothing: `Auto` takes [`Algorithm::Central`] or, for very few, `Exchange`; `Adaptive` yields, and sleeps where others need the CPUs |
//! | CPUs that nobody else may use, and every nanosecond matters | [`WaitPolicy::Spin`] |
//! | waits that are always long, or CPU time that is billed | [`WaitPolicy::Park`] |
//! | threads that come and go without handles | [`compat::Barrier`] |
//!
//! Pin the threads ([`topology`]); nothing else matters as much. [`Barrier::explain`] says what was chosen and why, the
//! [`model`] what a trip should cost on a machine that you do not have yet, docs/choosing.md both for machines of today.
//!
//! [`model`] predicts what a trip costs on a machine that you do not have, from a table of its line transfers.
//! `docs/choosing.md` has its answers for nine machines, and what it is worth.
//!
//! | environment variable | example | meaning |
//! |---|---|---|
//! | `PHALANX_WAIT_POLICY` | `park` | the policy of barriers that name none |
//! | `PHALANX_SPIN` | `20us`, `0`, `infinite` | the spin budget of barriers that name none |
//! | `PHALANX_BIND` | `close`, `spread`, `per-llc`, `per-node`, `0-3,8` | what [`topology::Bind::from_env`] returns |
//!
//! # Guarantees
//!
//! - **Separation.** No party returns `Ok` from a trip before every party has arrived at it; everything that any party
//!   did before arriving happens before everything that any party does after its return.
//! - **All or none.** For every trip, either every party's wait is `Ok`, or every party's wait is `Err` with the same
//!   record.
//! - **No silent hang.** A party that panics or drops its handle breaks the trip. With a limit set, so does one that
//!   never comes.
//! - **Limits hold** under every policy: never early, late by no more than one wake of a timer.
//! - **Reset.** One call returns a broken barrier to service, and no arrival from before it counts.
//! - **Endless reuse.** Counters may wrap; a fast party cannot disturb one that is still leaving.
//! - **One leader** per completed trip.
//! - **Nothing hidden on the fast path**: no allocation, no lock, no system call.
//! - **Safe to free** the moment the last wait has returned.
//! - **Spurious wakes** release nobody.
//!
//! # When not to use it
//!
//! In async code: a waiting party blocks its thread. Inside a work-stealing pool with fewer threads than parties: those
//! that wait would keep the others from running. Between processes: the words are shared by threads only. To
//! synchronise with a forgotten handle (`mem::forget`): without a limit nothing can tell it from one that is late.
//!
//! # Platforms
//!
//! Everything works wherever `std` has threads and 64-bit atomics. On Linux sleeping is a futex, and the fences of the
//! fast path are moved to the rare side by `membarrier(2)`; elsewhere sleeping is a mutex and a condition variable, and
//! the fast path has one full fence. There is no unsafe code in this crate.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod primitive;

mod error;

pub mod topology;

pub mod model;

mod wait;

mod fate;

mod algo;

mod barrier;

mod phase;

pub use algo::recommend::Recommendation;
pub use algo::select::{Algorithm, Radix, Wake};
pub use barrier::action::TripInfo;
pub use barrier::builder::Builder;
pub use barrier::explain::Explanation;
pub use barrier::party::{Party, Trip};
pub use barrier::{Barrier, compat};
pub use error::{Broken, BuildError, Cause, ClaimError, JoinError, MAX_PARTIES, Missing, Operation, ResetError};
pub use phase::arrival::Arrival;
pub use phase::cloning::Cloning;
pub use wait::{Calibration, ParseWaitPolicyError, WaitPolicy, calibration};

/// Keeps the README's example true: it is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// And those of the page about choosing.
#[cfg(doctest)]
#[doc = include_str!("../docs/choosing.md")]
struct Choosing;
