//! What this process may use: its affinity mask and its CPU budget.
//!
//! The only file here that asks the operating system about the calling thread; `os` is the switch.

use std::sync::OnceLock;
use std::thread;

use super::cpu_set::CpuSet;
use super::quota::quota;

/// The affinity mask with which this process started.
///
/// What `taskset`, a batch system or a container's cpuset left to it. Pinning a thread shrinks that thread's mask to
/// one CPU, and every thread that it starts afterwards inherits the one CPU; so whoever asks "how many CPUs do I have?"
/// after pinning is told 1. Therefore the mask is taken once, at the first use by anything in this library, and kept.
///
/// # Examples
///
/// ```
/// let mask = phalanx::topology::startup_mask();
/// println!("may run on CPUs {mask}");
/// assert!(!mask.is_empty());
/// ```
///
/// # Platform notes
///
/// The mask is that of the thread that calls first: a program that pins threads by other means should call this before.
/// Without a mask to read (systems other than Linux) it is CPUs `0..available_parallelism`. CPUs that were added to the
/// process's cpuset later on are not in it.
#[must_use]
pub fn startup_mask() -> &'static CpuSet {
    static MASK: OnceLock<CpuSet> = OnceLock::new();
    MASK.get_or_init(|| current_mask().filter(|mask| !mask.is_empty()).unwrap_or_else(|| (0..parallelism()).collect()))
}

/// Reads the affinity mask of the calling thread now, or `None` if the system does not tell.
///
/// # Examples
///
/// ```
/// if let Some(mask) = phalanx::topology::current_mask() {
///     println!("this thread may run on CPUs {mask}");
/// }
/// ```
///
/// # Platform notes
///
/// Linux: `sched_getaffinity(2)`; on kernels built for more CPUs than its usual 1024-bit mask holds, the
/// `Cpus_allowed_list` of `/proc/thread-self/status` (`proc_pid_status(5)`). `None` elsewhere.
#[must_use]
pub fn current_mask() -> Option<CpuSet> {
    os::mask()
}

/// Tells on which CPU the calling thread is running, or `None` if the system does not tell.
///
/// Unless the thread is pinned, the answer may be out of date by the time it is read.
///
/// # Examples
///
/// ```
/// if let Some(cpu) = phalanx::topology::current_cpu() {
///     println!("running on cpu {cpu}");
/// }
/// ```
///
/// # Platform notes
///
/// Linux: `getcpu(2)`. `None` elsewhere, and under Miri.
#[must_use]
pub fn current_cpu() -> Option<usize> {
    os::cpu()
}

/// Counts the CPUs that this process may keep busy, at least 1.
///
/// The size of the [`startup_mask`], or the whole CPUs of the [`quota()`] if that is less: with a quota of 1.5, two
/// threads that spin are stopped for a quarter of the time. The same as
/// [`available_parallelism`](thread::available_parallelism) called at start-up, but still right after a thread has
/// pinned itself. The quota is read anew by every call.
///
/// # Examples
///
/// ```
/// let cpus = phalanx::topology::available_cpus();
/// assert!(cpus >= 1);
/// ```
///
/// # Platform notes
///
/// Elsewhere than on Linux it is what [`available_parallelism`](thread::available_parallelism) says.
#[must_use]
pub fn available_cpus() -> usize {
    affordable(startup_mask().len())
}

/// So many CPUs, or the whole ones of the quota if that is less.
pub(crate) fn affordable(cpus: usize) -> usize {
    // A float-to-int cast saturates, so a quota beyond all reason is no limit.
    let limit = quota().map_or(usize::MAX, |cpus| cpus as usize).max(1);
    cpus.min(limit)
}

/// How many CPUs [`startup_mask`] would have if it were taken now; an allocation only where masks are beyond [`os::MASK_BITS`].
pub(crate) fn exact_cpus() -> usize {
    os::mask_size().filter(|&cpus| cpus > 0).unwrap_or_else(|| startup_mask().len())
}

/// How many CPUs the calling thread may run on now, asked without an allocation; where masks are beyond [`os::MASK_BITS`], as many.
pub(crate) fn current_cpus() -> usize {
    os::mask_size().unwrap_or(os::MASK_BITS)
}

/// Lets the calling thread run wherever the process may: one that was started by a pinned thread has that thread's CPU.
pub(crate) fn roam() {
    let mask: CpuSet = startup_mask().iter().filter(|&cpu| cpu < os::MASK_BITS).collect();
    if !mask.is_empty() {
        // That it cannot be is no reason to do without the thread.
        let _ = os::set_mask(&mask);
    }
}

fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) mod os {
    use std::path::Path;

    use rustix::thread::{CpuSet as Fixed, sched_getaffinity, sched_getcpu, sched_setaffinity};

    use super::CpuSet;
    use crate::topology::allowed::from_status;

    /// The fixed mask of the C library and of both crates beneath: ids from here on cannot be pinned to.
    pub(in crate::topology) const MASK_BITS: usize = Fixed::MAX_CPU;

    pub(in crate::topology) fn mask() -> Option<CpuSet> {
        match sched_getaffinity(None) {
            Ok(fixed) => Some((0..MASK_BITS).filter(|&cpu| fixed.is_set(cpu)).collect()),
            Err(_) => from_status(Path::new("/proc/thread-self/status")),
        }
    }

    /// How many CPUs the mask has, if the kernel's fits.
    pub(super) fn mask_size() -> Option<usize> {
        sched_getaffinity(None).ok().map(|fixed| fixed.count() as usize)
    }

    /// Sets the mask of the calling thread; the ids must be below [`MASK_BITS`].
    pub(in crate::topology) fn set_mask(mask: &CpuSet) -> bool {
        let mut fixed = Fixed::new();
        mask.iter().for_each(|cpu| fixed.set(cpu));
        sched_setaffinity(None, &fixed).is_ok()
    }

    pub(in crate::topology) fn set_one(cpu: usize) -> bool {
        core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
    }

    pub(in crate::topology) fn cpu() -> Option<usize> {
        // Miri has no CPUs that a thread could be on.
        (!cfg!(miri)).then(sched_getcpu)
    }
}

/// Elsewhere a thread could be pinned on some systems, but neither read back nor put back, so nothing is pinned at all.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) mod os {
    use super::CpuSet;

    pub(in crate::topology) const MASK_BITS: usize = 1024;

    pub(in crate::topology) fn mask() -> Option<CpuSet> {
        None
    }

    pub(super) fn mask_size() -> Option<usize> {
        Some(super::parallelism())
    }

    pub(in crate::topology) fn set_mask(_: &CpuSet) -> bool {
        false
    }

    pub(in crate::topology) fn set_one(_: usize) -> bool {
        false
    }

    pub(in crate::topology) fn cpu() -> Option<usize> {
        None
    }
}
