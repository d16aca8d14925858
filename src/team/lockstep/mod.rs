//! The lockstep engine: a simulation in ticks, on a team, with a barrier trip behind each.
//!
//! - [`World`]: what is simulated: how a part of the next state is made from all parts of the present one.
//! - [`Lockstep`], [`Builder`]: the engine; [`Lockstep::run`] goes on until a [`Stop`].
//! - [`Handle`]: pause, single step and stop, from another thread.
//! - [`RetryPolicy`]: what becomes of a tick that failed.
//! - [`Report`]: what came of a run, who waited, and for whom.
//!
//! # What it promises
//!
//! - A step reads the state of all members as it is before the tick, and writes a part of the state behind it; in safe code,
//!   and without a lock.
//! - **All or none.** A tick is complete for all members or it is for none. If a step fails or panics, or a trip is broken by
//!   a deadline or a cancellation, the state is the one before the tick: nothing half written is ever seen, and
//!   [`run`](Lockstep::run) goes on from there.
//! - The same state whatever the number of members, if the world computes each cell alike wherever it is cut; measures are
//!   combined in the order of the parts.
//!
//! # Parts
//!
//! `buffers` keeps the layers of the state, and argues who may touch what; `flight` is the members' loop, and how all of
//! them leave it behind the same trip; `control` is steering from outside; `stop`, `retry`, `report` and `error` are what a
//! run is told and tells.

mod buffers;
mod control;
mod engine;
mod error;
mod flight;
#[cfg(all(test, phalanx_loom))]
mod models;
mod report;
mod retry;
mod stop;
mod world;

pub use buffers::Front;
pub use control::Handle;
pub(crate) use engine::Observer;
pub use engine::{Builder, Lockstep, Meeting, Snapshot};
pub use error::{ChoiceError, Failure, Fault, LockstepError};
pub use report::{Ended, Report};
pub use retry::RetryPolicy;
pub use stop::Stop;
pub use world::{At, World};
