//! What the system may do to a process that has barriers: system calls that fail, signals, real-time classes, a single CPU, waits
//! that last. None of it may change an outcome; all of it may make things slower.
//!
//! - [`system_calls`]: `futex`, `membarrier`, `clone` and others are made to fail by a seccomp filter ([`filter`]), from the start or
//!   from later on, in child processes that all play the same story ([`story`]);
//! - [`signals`]: storms of signals without `SA_RESTART`, and of wakes for no reason (B3, R14);
//! - [`real_time`]: `SCHED_FIFO` on one CPU, equal and unequal priorities (B21);
//! - [`blocked`]: what a party that sleeps costs, and how soon it wakes (R15, B20);
//! - [`leaver`]: who is held up on its way out (B22).
//!
//! What a machine does not permit is skipped with a line that begins with `SKIPPED`, and `.ci/faults` shows those lines.
#![cfg(all(target_os = "linux", not(miri)))] // of the kernel, and starts processes

#[path = "../common/mod.rs"]
mod common;

mod blocked;
mod child;
mod filter;
mod leaver;
mod real_time;
mod signals;
mod story;
mod system_calls;

use phalanx::{Algorithm, Barrier, WaitPolicy};

/// The policies with which more parties than CPUs get on.
const POLITE: [WaitPolicy; 4] = [WaitPolicy::SpinYield, WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive];

/// The policies that end in a sleep.
const SLEEPING: [WaitPolicy; 3] = [WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive];

fn barrier(parties: usize, algorithm: Algorithm, policy: WaitPolicy) -> Barrier {
    Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).build().unwrap()
}
