//! How the random schedules of the crate are run: by which schedulers, how many, and what has to be seen.
//!
//! Shuttle is sequentially consistent, so its schedules check the protocols, and never an ordering or a fence. A lost wake is
//! a deadlock, which it reports; a livelock exceeds the steps of an execution. Half of the executions are uniformly random,
//! half are by PCT (Burckhardt et al., ASPLOS 2010: few preemptions, at random places). Every run draws other schedules.
//!
//! A failing schedule is printed; with `PHALANX_SHUTTLE_ONLY=name PHALANX_SHUTTLE_REPLAY=schedule` the same test runs just that
//! one, where the name is the one printed before it. `PHALANX_SHUTTLE_ITERATIONS=n` runs n times as many executions.
//!
//! Each test leaves one line that begins with `@ `, which `.ci/shuttle` adds up.
//!
//! All threads of an execution are one thread of the system. So none of them may panic for good, which ends the execution,
//! and none may be seen by others while it unwinds, since `std` would say of all of them that they do. A panic that is caught
//! before anybody else runs (an action's, an operator's, a member's) is a real one; a party that is dropped by one is
//! dropped within [`unwinding`](crate::primitive::unwinding), which says so to the library.

use crate::algo::select::Algorithm;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Preemptions that the PCT scheduler places, and one.
const DEPTH: usize = 3;

/// Far above what any test needs (20 000); an execution that gets here makes no progress.
const MAX_STEPS: usize = 200_000;

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Every trip completed.
    Whole,
    /// A trip broke.
    Cut,
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs `scenario` for every algorithm, half of the time by each scheduler: `executions` of it, shared by all.
///
/// Every one of `endings` must have been seen for each algorithm: a test that never meets what it is about shows nothing.
pub(crate) fn explore<S>(executions: usize, endings: &[Ending], scenario: S)
where
    S: Fn(Algorithm) -> Ending + Copy + Send + Sync + 'static,
{
    let each = executions.div_ceil(Algorithm::NAMED.len());
    let named = |algorithm: &Algorithm| (algorithm.to_string(), *algorithm);
    let sum: usize = Algorithm::NAMED
        .iter()
        .map(named)
        .map(|(name, algorithm)| run(&name, each, endings, move || scenario(algorithm)))
        .sum();
    eprintln!("\n@ {sum} executions");
}

/// Runs `scenario`, of something that has no algorithm to choose.
pub(crate) fn explore_alone<S>(executions: usize, endings: &[Ending], scenario: S)
where
    S: Fn() -> Ending + Copy + Send + Sync + 'static,
{
    eprintln!("\n@ {} executions", run("alone", executions, endings, scenario));
}

/// The executions that were run.
fn run<S>(name: &str, executions: usize, endings: &[Ending], scenario: S) -> usize
where
    S: Fn() -> Ending + Copy + Send + Sync + 'static,
{
    if setting("PHALANX_SHUTTLE_ONLY").is_some_and(|only| only != name) {
        return 0;
    }
    let factor: usize = setting("PHALANX_SHUTTLE_ITERATIONS").map_or(1, |times| times.parse().expect("a count"));
    let each = (executions * factor).div_ceil(2);
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let play = {
        let seen = Arc::clone(&seen);
        move || {
            let ending = scenario();
            *seen.lock().unwrap().entry(ending).or_insert(0) += 1;
        }
    };
    eprintln!("{name}: {each} random executions and {each} by PCT of depth {DEPTH}");
    if let Some(schedule) = setting("PHALANX_SHUTTLE_REPLAY") {
        shuttle::replay(play, &schedule);
        return 1;
    }
    shuttle::Runner::new(RandomScheduler::new(each), config()).run(play.clone());
    shuttle::Runner::new(PctScheduler::new(DEPTH, each), config()).run(play);
    let seen: BTreeMap<Ending, usize> = std::mem::take(&mut seen.lock().unwrap());
    eprintln!("{name}: {seen:?}");
    assert!(endings.iter().all(|ending| seen.contains_key(ending)), "{name}: only {seen:?} of {endings:?}");
    seen.values().sum()
}

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(MAX_STEPS);
    // A failed assertion formats every party's book.
    config.stack_size = 128 * 1024;
    config.silence_warnings = true;
    config
}

/// A random moment: others take steps meanwhile.
pub(crate) fn dawdle(at_most: usize) {
    for _ in 0..thread_rng().gen_range(0..=at_most) {
        thread::yield_now();
    }
}
