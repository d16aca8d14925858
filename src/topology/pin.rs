//! Pinning the calling thread to one CPU, checked before and after.
//!
//! `core_affinity` does the pinning. Left alone, it aborts the process for a CPU id of 1024 or more, lets a thread
//! escape the mask that `taskset` set, and answers with a bare `bool`; each check below closes one of these.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use super::affinity::{os, startup_mask};
use super::cpu_set::CpuSet;

/// Pins the calling thread to `cpu` until the guard it returns is dropped.
///
/// Like `taskset -c` for one thread, but it never leaves the [`startup_mask`], it reads back what
/// the system really did, and it is undone on drop. When it returns `Ok`, the thread is already running on `cpu`.
///
/// **Threads that this thread starts while it is pinned are born pinned to the same CPU**, and so are processes. Start
/// the threads first and let each pin itself; a thread that inherited the single CPU may pin itself to any other CPU of
/// the start-up mask.
///
/// # Examples
///
/// ```
/// use phalanx::topology::{PinError, pin_current, startup_mask};
///
/// let cpu = startup_mask().iter().next().unwrap();
/// std::thread::spawn(move || match pin_current(cpu) {
///     Ok(pinned) => println!("on cpu {}, allowed before: {}", pinned.cpu(), pinned.mask_before()),
///     Err(PinError::Unsupported) => println!("running unpinned"),
///     Err(error) => println!("running unpinned: {error}"),
/// })
/// .join()
/// .unwrap();
///
/// assert!(matches!(pin_current(1024), Err(PinError::TooLarge { cpu: 1024, limit: 1023 })));
/// ```
///
/// # Errors
///
/// [`PinError`]; the thread's mask is then what it was.
///
/// # Platform notes
///
/// Linux only. macOS has no such call; on Windows and the BSDs there is nothing yet to read back and undo with, so the
/// answer is [`PinError::Unsupported`], which a program should treat as "run unpinned". CPUs from 1024 on are out of
/// reach of the fixed `cpu_set_t` (`CPU_SET(3)`). That the thread is on `cpu` once the call returns is promised by
/// `sched_setaffinity(2)`; that children inherit the mask, by the same page.
pub fn pin_current(cpu: usize) -> Result<Pinned, PinError> {
    let reach = |cpu| {
        if cpu < os::MASK_BITS { Ok(()) } else { Err(PinError::TooLarge { cpu, limit: os::MASK_BITS - 1 }) }
    };
    reach(cpu)?;
    let allowed = startup_mask();
    let before = os::mask().ok_or(PinError::Unsupported)?;
    if !allowed.contains(cpu) {
        return Err(PinError::NotAllowed { cpu, allowed: allowed.clone() });
    }
    // What could not be put back later must not be taken away now.
    before.iter().next_back().map_or(Ok(()), reach)?;
    let accepted = os::set_one(cpu);
    let now = os::mask().unwrap_or_default();
    if accepted && now.iter().eq([cpu]) {
        return Ok(Pinned { cpu, before, armed: true, _thread: PhantomData });
    }
    if now != before {
        os::set_mask(&before);
    }
    Err(PinError::Refused { cpu, mask: now })
}

/// A thread pinned to one CPU; dropping it restores the mask that the thread had before.
///
/// It belongs to the thread that made it and cannot be sent to another:
///
/// ```compile_fail,E0277
/// let pinned = phalanx::topology::pin_current(0).unwrap();
/// std::thread::spawn(move || drop(pinned));
/// ```
///
/// Guards of one thread must be dropped in the reverse order of their making, as scopes do by themselves.
#[must_use = "the thread is unpinned again as soon as this is dropped"]
#[derive(Debug)]
pub struct Pinned {
    cpu: usize,
    before: CpuSet,
    armed: bool,
    /// Not `Send`: dropped elsewhere it would set another thread's mask.
    _thread: PhantomData<*const ()>,
}

impl Pinned {
    /// The CPU that the thread is pinned to, as read back from the system.
    #[must_use]
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    /// The mask that the thread had before, and will have again.
    #[must_use]
    pub fn mask_before(&self) -> &CpuSet {
        &self.before
    }

    /// Restores the earlier mask, as dropping does, and says whether that worked.
    ///
    /// # Errors
    ///
    /// [`PinError::NotRestored`] if the mask is not what it was, for instance because the process's cpuset has been
    /// changed in the meantime. Dropping ignores this.
    pub fn restore(mut self) -> Result<(), PinError> {
        self.armed = false;
        self.put_back()
    }

    fn put_back(&self) -> Result<(), PinError> {
        os::set_mask(&self.before);
        let mask = os::mask().unwrap_or_default();
        if mask == self.before { Ok(()) } else { Err(PinError::NotRestored { before: self.before.clone(), mask }) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.armed {
            // Nobody to tell: `restore` is for those who want to know.
            let _ = self.put_back();
        }
    }
}

/// Why a thread could not be pinned, or not be unpinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinError {
    /// The CPU is beyond what the system's mask can name, or the thread's present mask has such a CPU in it and could
    /// not be restored.
    TooLarge {
        /// The CPU in question.
        cpu: usize,
        /// The largest CPU that can be named.
        limit: usize,
    },
    /// The CPU is not in the start-up mask: whoever started this process gave it other CPUs, or there is no such CPU.
    NotAllowed {
        /// The CPU asked for.
        cpu: usize,
        /// The start-up mask.
        allowed: CpuSet,
    },
    /// This system cannot pin a thread, or does not tell what came of it.
    Unsupported,
    /// The system said no, or did something else: the CPU is offline, or outside the cpuset by now.
    Refused {
        /// The CPU asked for.
        cpu: usize,
        /// The mask that was read back.
        mask: CpuSet,
    },
    /// The thread is unpinned, but its mask is not the one that it had.
    NotRestored {
        /// The mask that should have been restored.
        before: CpuSet,
        /// The mask that was read back.
        mask: CpuSet,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { cpu, limit } => {
                write!(f, "cpu {cpu} is beyond {limit}, the largest that a thread can be pinned to")
            }
            Self::NotAllowed { cpu, allowed } => {
                write!(f, "cpu {cpu} is not among the CPUs that this process was started with: {allowed}")
            }
            Self::Unsupported => write!(f, "pinning a thread is not supported on {}", std::env::consts::OS),
            Self::Refused { cpu, mask } => {
                write!(f, "the system did not pin the thread to cpu {cpu}: its mask reads {mask}")
            }
            Self::NotRestored { before, mask } => {
                write!(f, "the system did not restore the thread's mask {before}: it reads {mask}")
            }
        }
    }
}

impl Error for PinError {}
