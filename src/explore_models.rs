//! How every loom model of the crate is run: to which bound, for how long, and how many executions that were.
//!
//! A bound is what makes a model end: loom explores every interleaving with at most so many involuntary switches of the
//! thread, and all values that the loads of each may see. The models' bounds are those at which each ends within a minute or
//! so; `PHALANX_LOOM_MORE=n` adds n to each, and `PHALANX_LOOM_SECONDS=n` stops each after about so long, so that a run
//! with larger bounds has an end as well. What such a run has explored is then not all there is, and its line says so.
//!
//! Each model leaves one line that begins with `@ `, which `.ci/models` adds up. An execution is one run of the model from
//! its beginning to its end. One in which a party polled three times in vain is among them: it runs to its end and is
//! checked, but from there on it is not taken apart into others (`relax` in `primitive.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often loom looks whether its time is up, in executions.
const BETWEEN_LOOKS: usize = 100;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// Explores `model` with at most `bound` preemptions.
pub(crate) fn explore(bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let bound = bound + setting("PHALANX_LOOM_MORE").unwrap_or(0) as usize;
    let time = setting("PHALANX_LOOM_SECONDS").map(Duration::from_secs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 100_000;
    builder.max_duration = time;
    builder.checkpoint_interval = BETWEEN_LOOKS;
    // Not loom's: it must outlive the executions, and is none of theirs.
    let executions = Arc::new(AtomicU64::new(0));
    let counted = {
        let executions = Arc::clone(&executions);
        move || {
            model();
            executions.fetch_add(1, Ordering::Relaxed);
        }
    };
    let start = Instant::now();
    builder.check(counted);
    let cut = time.is_some_and(|time| start.elapsed() >= time);
    let end = if cut { "cut short" } else { "all" };
    eprintln!("\n@ {} executions, bound {bound}, {end}", executions.load(Ordering::Relaxed));
}
