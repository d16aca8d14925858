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
//! | [`Cancelled`](Cause::Cancelled) | a [`CancelToken`] was cancelled; final | the reason given |
//! | [`Failed`](Cause::Failed) | a member of a [`team`] returned an error | that member's error |
//! | [`Reset`](Cause::Reset) | somebody called `reset` while parties waited | the caller |
//! | [`ActionPanicked`](Cause::ActionPanicked) | the barrier's action panicked | its message |
//! | [`OperatorPanicked`](Cause::OperatorPanicked) | the closure of a reduction, a scan or a serial section panicked | its message |
//! | [`Mismatched`](Cause::Mismatched) | on the trip before, two parties did not call the same operation | the two calls that are named |
//! | [`NoSuchRank`](Cause::NoSuchRank) | a value was to go to a rank, or to come from one, that takes no part | the caller; who has left |
//! | [`Reentered`](Cause::Reentered) | the action waited at its own barrier; the call is refused, and nothing is broken by it | the action |
//!
//! The barrier stays broken until [`Barrier::reset`]; a rank whose worker died is claimed again first
//! ([`Barrier::claim`]).
//!
//! # What rides on a trip
//!
//! A trip can bring more than the news that all are there, under the same contract: one outcome for all, whatever goes
//! wrong. Values are combined in the order of the ranks, so a sum of floats has the same bits on every run.
//!
//! | you want | take |
//! |---|---|
//! | something done once on every trip, before anybody goes on | [`Builder::action`] |
//! | to work between arriving and waiting | [`Party::arrive`], [`Arrival`], [`Builder::split_phase`] |
//! | one value of all, for all or for one | [`Party::all_reduce`], [`Party::reduce`] |
//! | one party's value, or everybody's, for all | [`Party::broadcast`], [`Party::all_gather`], [`Party::all_gather_into`] |
//! | where one's part of a common array begins | [`Party::exclusive_scan`] |
//! | the same with values that are not `Copy` | [`Party::cloning`] |
//! | one party to do something for all now and then | [`Party::serial`] |
//! | parties that come and go | [`Barrier::join`], [`Party::leave`], [`Party::index`], [`Barrier::has_ended`] |
//!
//! docs/phase.md says of each what every party owes, what it costs, and when not to use it.
//!
//! # Threads, and loops of ticks
//!
//! | you want | take |
//! |---|---|
//! | threads that stay, and run one closure together as often as asked, as OpenMP's parallel regions do | [`team::Team`] |
//! | a simulation in ticks: read one buffer, write the other, swap, stop when it has converged | [`team::lockstep`] |
//! | barriers on a rayon pool that you have already | `team::rayon`, feature `rayon` |
//! | to stop all of it | [`CancelToken`]; by Ctrl-C: feature `ctrl-c` |
//! | to test a loop against failures, or to compare barriers | [`team::rendezvous`] |
//!
//! docs/openmp.md has each OpenMP construct beside its counterpart.
//!
//! # Watching
//!
//! | you want to know | take |
//! |---|---|
//! | why nothing moves | `PHALANX_WATCHDOG=10s` in the environment, or [`Builder::watchdog`]: who is missing, and what its thread does |
//! | what has happened so far | [`Barrier::stats`], always on |
//! | how long parties wait, and who is always late | `Builder::statistics`, feature `hdr` |
//! | what each party did when | `Builder::timeline`, feature `timeline`; opens in a trace viewer |
//! | that something broke, in the log; or each trip | [`Builder::log`]; feature `tracing` |
//! | all of it on a dashboard | `observe::Publisher`, feature `metrics` |
//!
//! [`observe`] says what each costs; docs/failure.md goes from symptom to cause to fix.
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
//! | `PHALANX_WATCHDOG` | `30s`, `30s,break=10m` | when to report a stuck trip on stderr, and when to break it ([`Builder::watchdog`]), at barriers without a watchdog of their own |
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
//! - **Nothing hidden on the fast path**: no allocation, no lock, no system call. ([`Party::cloning`] and
//!   [`Party::serial`] send boxes; an action runs under a lock of its own.)
//! - **Safe to free** the moment the last wait has returned.
//! - **Spurious wakes** release nobody.
//!
//! # When not to use it
//!
//! In async code: a waiting party blocks its thread. In the tasks of a work-stealing pool: those that wait would keep the
//! others from running (`team::rayon` does it right, or refuses). Between processes: the words are shared by threads only. To
//! synchronise with a forgotten handle (`mem::forget`): without a limit nothing can tell it from one that is late.
//!
//! # Platforms
//!
//! Everything works wherever `std` has threads and 64-bit atomics. On Linux sleeping is a futex, and the fences of the
//! fast path are moved to the rare side by `membarrier(2)`; elsewhere sleeping is a mutex and a condition variable, and
//! the fast path has one full fence.
//!
//! Unsafe code is denied but where something rides on a trip (the places of values and of an action's closure, and the three
//! lines that use them) and where a team borrows a closure or an engine hands out the layers of a world.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod primitive;

#[cfg(all(test, phalanx_loom))]
mod explore_models;
#[cfg(all(test, phalanx_shuttle))]
mod explore_shuttle;

mod error;

pub mod topology;

pub mod model;

mod wait;

mod fate;

mod algo;

pub mod observe;

mod barrier;

mod phase;

pub mod team;

#[cfg(any(test, phalanx_fuzz))]
#[doc(hidden)]
pub mod fuzzing;

pub use algo::recommend::Recommendation;
pub use algo::select::{Algorithm, Radix, Wake};
pub use barrier::action::TripInfo;
pub use barrier::builder::Builder;
pub use barrier::cancel::CancelToken;
#[cfg(feature = "ctrl-c")]
pub use barrier::cancel::CtrlCError;
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

/// And those of the page about OpenMP.
#[cfg(doctest)]
#[doc = include_str!("../docs/openmp.md")]
struct OpenMp;

/// And those of the page about what rides on a trip.
#[cfg(doctest)]
#[doc = include_str!("../docs/phase.md")]
struct Riders;
