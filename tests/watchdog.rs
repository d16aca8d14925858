//! The watchdog: every cause is brought about, and the report names the right rank and the right cause, word by word (B27);
//! and nothing is reported where nothing is stuck.
//!
//! The only times here are the watchdog's own patience and that of the test: how fast a busy machine is decides nothing.
#![cfg(all(target_os = "linux", not(miri)))] // what threads do is read from /proc

mod common;
#[path = "watchdog/support.rs"]
mod support;

#[path = "watchdog/causes.rs"]
mod causes;
#[path = "watchdog/held.rs"]
mod held;
#[path = "watchdog/near_misses.rs"]
mod near_misses;
#[path = "watchdog/process.rs"]
mod process;
#[path = "watchdog/sinks.rs"]
mod sinks;
#[path = "watchdog/teams.rs"]
mod teams;
