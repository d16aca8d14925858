//! What the integration tests share: a watchdog that turns a hang into a report ([`watch`]), a reproducible source of
//! accidents ([`rng`]), and how much of everything is enough on this machine.
#![allow(dead_code, unused_imports)] // each test binary takes its own part of this

pub(crate) mod rng;
pub(crate) mod watch;

pub(crate) use rng::Rng;
pub(crate) use watch::{Watch, watched};

use std::time::Duration;

/// How many repetitions of `base`: times `PHALANX_TEST_SCALE` (a whole number, for soaks), divided by `PHALANX_TEST_SHRINK`
/// (another, for emulators and sanitizers), and few under Miri, which is slower by a factor of thousands.
pub(crate) fn scaled(base: usize) -> usize {
    if cfg!(miri) {
        return base.div_ceil(50).min(2);
    }
    (base.saturating_mul(told("PHALANX_TEST_SCALE")) / shrink()).max(1)
}

/// What repetitions are divided by.
fn shrink() -> usize {
    told("PHALANX_TEST_SHRINK")
}

/// Whether repetitions are so few that what happens at random need not have happened.
pub(crate) fn is_short() -> bool {
    cfg!(miri) || shrink() > 1
}

/// The whole number in the environment's `variable`, which is 1 at least.
fn told(variable: &str) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

/// Party counts that have caught others: one, two, odd and even, around powers of two, and far more than this machine
/// has CPUs (B17). Under Miri each caller gets a few, drawn.
pub(crate) fn party_counts() -> &'static [usize] {
    const FEW: [&[usize]; 3] = [&[1, 2], &[3], &[4]];
    if cfg!(miri) { FEW[drawn(FEW.len() as u64) as usize] } else { &[1, 2, 3, 4, 5, 7, 8, 16, 33] }
}

/// A number in `0..of`. Under Miri it follows from Miri's seed (std's keys for hash tables are drawn from it, if Miri keeps
/// the machine out), so that what is too much for one seed is done by many; elsewhere it is 0.
pub(crate) fn drawn(of: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    if cfg!(miri) { RandomState::new().hash_one(0) % of.max(1) } else { 0 }
}

/// All of them; under Miri one, [`drawn`].
pub(crate) fn few<T>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let all: Vec<T> = all.into_iter().collect();
    let (first, count) = if cfg!(miri) { (drawn(all.len() as u64) as usize, 1) } else { (0, all.len()) };
    all.into_iter().skip(first).take(count)
}

/// CPUs that this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// CPU time that this thread has used, from the kernel's scheduler statistics; `None` where there are none. Unlike time
/// on the clock it does not depend on what else the machine does.
pub(crate) fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split_whitespace().next()?.parse().ok()?))
}

/// Far more than any test needs, so that only a hang reaches it; soaks get more.
pub(crate) fn patience() -> Duration {
    Duration::from_secs(if cfg!(miri) { 3600 } else { 120 * told("PHALANX_TEST_SCALE") as u64 })
}

/// What limits are multiplied by, those of the watchdog among them: where repetitions are few because each takes long.
pub(crate) fn slowness() -> u32 {
    if shrink() > 1 { 10 } else { 1 }
}

/// So many seconds, for tests whose limit is their own; under Miri, whose clock goes by steps of the interpreter, as
/// [`patience`].
pub(crate) const fn limit(seconds: u64) -> Duration {
    Duration::from_secs(if cfg!(miri) { 3600 } else { seconds })
}

/// So many milliseconds, longer than anything that is done meanwhile: more where all is slow ([`slowness`]), and on Miri's
/// clock, where a trip takes dozens of them.
pub(crate) fn nap(millis: u64) -> Duration {
    Duration::from_millis(if cfg!(miri) { 100 * millis } else { millis }) * slowness()
}

/// Waits until `ready`, politely; the watchdog is the limit.
pub(crate) fn until(mut ready: impl FnMut() -> bool) {
    while !ready() {
        std::thread::yield_now();
    }
}
