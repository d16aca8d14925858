//! One clock for both parties: the time stamp counter where the kernel trusts it, else `Instant`.
//!
//! A hop between two cores takes some fifty nanoseconds, and a call of `clock_gettime` about half of that, so the
//! straggler shape cannot afford the call. The counter may be used when it ticks at a constant rate, in all sleep
//! states, and in step on all CPUs. The kernel checks the last of these at boot and gives up `tsc` as its clock source
//! when it fails; so we ask the kernel and not CPUID. The straggler shape makes each party the late one in turn, so
//! that an offset between the CPUs would cancel, and it counts trips that seem to end before they began.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A point in time, in ticks of an unspecified length; comparable between CPUs.
pub type Tick = u64;

struct Clock {
    origin: Instant,
    /// `None`: ticks are nanoseconds since `origin`.
    counter: Option<Rate>,
}

struct Rate {
    ns_per_tick: f64,
}

static CLOCK: OnceLock<Clock> = OnceLock::new();

/// Nanoseconds per tick, for other processes to [`adopt`]; `None` where the counter is not used.
pub fn ns_per_tick() -> Option<f64> {
    clock().counter.as_ref().map(|rate| rate.ns_per_tick)
}

/// Takes another process's word for what a tick is. Must be called before the clock is first looked at.
pub fn adopt(ns_per_tick: Option<f64>) {
    let counter = ns_per_tick.map(|ns_per_tick| Rate { ns_per_tick });
    CLOCK.get_or_init(|| Clock { origin: Instant::now(), counter });
}

fn clock() -> &'static Clock {
    CLOCK.get_or_init(|| {
        let origin = Instant::now();
        let counter = trusted().then(|| {
            let (from, start) = (read_counter(), Instant::now());
            while start.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            let (to, took) = (read_counter(), start.elapsed());
            Rate { ns_per_tick: took.as_nanos() as f64 / (to - from) as f64 }
        });
        Clock { origin, counter }
    })
}

/// Now, not before anything that precedes it in the program has been executed, and not after anything that follows.
#[inline(always)]
pub fn stamp() -> Tick {
    match &clock().counter {
        Some(_) => read_counter(),
        None => clock().origin.elapsed().as_nanos() as u64,
    }
}

/// So many ticks make up a duration.
pub fn ticks(duration: Duration) -> u64 {
    match &clock().counter {
        Some(rate) => (duration.as_nanos() as f64 / rate.ns_per_tick) as u64,
        None => duration.as_nanos() as u64,
    }
}

/// Nanoseconds in a number of ticks.
pub fn ns(ticks: u64) -> f64 {
    match &clock().counter {
        Some(rate) => ticks as f64 * rate.ns_per_tick,
        None => ticks as f64,
    }
}

/// Measures the rate now, and not in the first round that asks; says which clock it is.
pub fn describe() -> String {
    match &clock().counter {
        Some(rate) => format!("time stamp counter, {:.4} GHz, read between two LFENCE", 1.0 / rate.ns_per_tick),
        None => "Instant (the kernel does not use the time stamp counter as its clock source)".into(),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read_counter() -> Tick {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // RDTSC is not ordered: without the first fence it may run ahead of the poll that it has to follow, without the
    // second a store may become visible before the time is taken. SAFETY: SSE2 and RDTSC belong to every x86-64;
    // neither touches memory.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

#[cfg(target_arch = "x86_64")]
fn trusted() -> bool {
    let source =
        std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").unwrap_or_default();
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // kvm-clock is the counter scaled by the hypervisor; the flags say whether the counter itself may be compared.
    matches!(source.trim(), "tsc" | "kvm-clock") && flags.contains(" constant_tsc") && flags.contains(" nonstop_tsc")
}

#[cfg(not(target_arch = "x86_64"))]
fn read_counter() -> Tick {
    unreachable!("only asked where `trusted` says so")
}

#[cfg(not(target_arch = "x86_64"))]
fn trusted() -> bool {
    false
}
