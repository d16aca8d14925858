//! What a round cost besides time: CPU time and context switches; and how to wait until a foreign runtime sleeps.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// CPU time and context switches, so far or in a span.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    pub cpu_ns: u64,
    pub voluntary: u64,
    pub involuntary: u64,
}

impl Usage {
    /// Of the calling thread until now.
    pub fn of_thread() -> Self {
        Self::read(libc::RUSAGE_THREAD, thread_cpu())
    }

    /// Of the whole process until now, with all its threads.
    pub fn of_process() -> Self {
        Self::read(libc::RUSAGE_SELF, process_cpu())
    }

    /// What was used from `start` until `self`.
    pub fn since(self, start: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns - start.cpu_ns,
            voluntary: self.voluntary - start.voluntary,
            involuntary: self.involuntary - start.involuntary,
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }

    /// The CPU clocks count nanoseconds; `getrusage` may count timer ticks, so only its switches are used.
    fn read(who: libc::c_int, cpu_ns: u64) -> Self {
        let raw = rusage(who);
        Self { cpu_ns, voluntary: raw.ru_nvcsw as u64, involuntary: raw.ru_nivcsw as u64 }
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub fn thread_cpu() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process, in nanoseconds.
pub fn process_cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU time of all children that have ended and been waited for, in nanoseconds.
pub fn children_cpu() -> u64 {
    let raw = rusage(libc::RUSAGE_CHILDREN);
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ns(raw.ru_utime) + ns(raw.ru_stime)
}

fn rusage(who: libc::c_int) -> libc::rusage {
    let mut raw = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `raw` is valid for a write of the struct that the call fills in; zeroes are a valid `rusage` if it fails.
    unsafe {
        libc::getrusage(who, raw.as_mut_ptr());
        raw.assume_init()
    }
}

fn read(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Waits until no other thread of this process runs.
///
/// An OpenMP runtime lets its pool threads spin for milliseconds after a parallel region, in the hope of the next; on
/// two CPUs that would be charged to whoever is measured next. They sleep when the process's CPU time stands still
/// while we sleep.
pub fn settle() {
    const LOOK: Duration = Duration::from_millis(2);
    let give_up = Instant::now() + Duration::from_secs(1);
    while Instant::now() < give_up {
        let before = process_cpu();
        std::thread::sleep(LOOK);
        if process_cpu() - before < LOOK.as_nanos() as u64 / 20 {
            return;
        }
    }
}
