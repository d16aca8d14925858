//! Barriers for threads that move in step.
#![forbid(unsafe_code)]

#[macro_use]
mod primitive;

mod error;

pub mod topology;

mod wait;

mod fate;

mod algo;

mod barrier;

pub use algo::select::Algorithm;
pub use barrier::builder::Builder;
pub use barrier::party::{Party, Trip};
pub use barrier::{Barrier, compat};
pub use error::{Broken, BuildError, Cause, ClaimError, MAX_PARTIES, Missing, ResetError};
pub use wait::{Calibration, ParseWaitPolicyError, WaitPolicy, calibration};
