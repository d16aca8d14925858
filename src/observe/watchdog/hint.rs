//! Why a party is missing, as far as can be known from outside.
//!
//! A cause is named only if what was seen admits no other, and "likely" is written where it does. What was looked at: whether
//! the rank was claimed, which thread waits with its handle, what that thread does, and where else it waits.

use super::report::Absent;
use super::subject::Handle;
use super::thread_state::ThreadState;
use std::fmt;

/// Why a rank is missing, and what to do about it (`Display`).
///
/// # Examples
///
/// ```
/// use phalanx::observe::watchdog::Hint;
///
/// let hint = Hint::Unclaimed { rank: 3 };
/// assert!(hint.to_string().starts_with("rank 3 was never claimed"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Nobody has claimed the rank: more parties than there are workers.
    Unclaimed {
        /// Which.
        rank: usize,
    },
    /// Its handle was dropped, and it was not claimed again.
    Dropped {
        /// Which.
        rank: usize,
    },
    /// Somebody has its handle, and nobody has ever waited with it.
    NeverCame {
        /// Which.
        rank: usize,
    },
    /// The thread that waited with its handle has ended, and the handle was not dropped: it was forgotten
    /// (`mem::forget`), has leaked, or was handed on and is not used.
    DeadThread {
        /// Which.
        rank: usize,
        /// The kernel's number that the thread had.
        thread: u32,
    },
    /// Its thread waits at another barrier: parties that meet at two barriers come to them in different order.
    WaitsElsewhere {
        /// Which.
        rank: usize,
        /// The name of the other barrier.
        barrier: String,
        /// The trip at which it waits there.
        generation: u64,
        /// Its rank there.
        as_rank: usize,
        /// The trip there lacks a thread that waits here.
        crosswise: bool,
    },
    /// Its thread is the one that waits with the handle of another rank.
    TwoHandles {
        /// Which.
        rank: usize,
        /// The rank with which the thread waits.
        waits_as: usize,
    },
    /// Its thread is stopped.
    Stopped {
        /// Which.
        rank: usize,
        /// The kernel's number of the thread.
        thread: u32,
    },
    /// Its thread wants a CPU and gets none.
    Oversubscribed {
        /// Which.
        rank: usize,
        /// How many parties the trip has.
        parties: usize,
        /// How many CPUs the process may keep busy.
        cpus: usize,
    },
    /// Its thread is at work.
    Working {
        /// Which.
        rank: usize,
    },
    /// Its thread sleeps, somewhere else than at a barrier that is watched.
    Asleep {
        /// Which.
        rank: usize,
        /// The system call that it sleeps in, if the kernel tells.
        call: Option<String>,
    },
    /// Its thread waits for a device.
    Blocked {
        /// Which.
        rank: usize,
    },
    /// All have arrived, and this rank, which does not wait with the others, has not let them go: it is in the barrier's
    /// action, in a serial section or in an operator.
    Holds {
        /// Which.
        rank: usize,
    },
    /// Callers of a [`compat::Barrier`](crate::compat::Barrier) are missing, and nobody knows which: they have no ranks.
    Anonymous {
        /// How many.
        missing: usize,
    },
    /// All callers of a [`compat::Barrier`](crate::compat::Barrier) have arrived: the last one is in its action.
    Acting,
}

impl Hint {
    /// The rank that it is about, if it is about one.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match *self {
            Self::Unclaimed { rank }
            | Self::Dropped { rank }
            | Self::NeverCame { rank }
            | Self::DeadThread { rank, .. }
            | Self::WaitsElsewhere { rank, .. }
            | Self::TwoHandles { rank, .. }
            | Self::Stopped { rank, .. }
            | Self::Oversubscribed { rank, .. }
            | Self::Working { rank }
            | Self::Asleep { rank, .. }
            | Self::Blocked { rank }
            | Self::Holds { rank } => Some(rank),
            Self::Anonymous { .. } | Self::Acting => None,
        }
    }

    /// What is the matter with a rank that is missing.
    pub(super) fn of(absent: &Absent, scene: &Scene<'_>) -> Option<Self> {
        let rank = absent.rank;
        match absent.handle {
            Handle::Unclaimed => return Some(Self::Unclaimed { rank }),
            Handle::Dropped => return Some(Self::Dropped { rank }),
            Handle::Held => {}
        }
        let Some(thread) = &absent.thread else { return Some(Self::NeverCame { rank }) };
        let id = thread.id?;
        if scene.held {
            return Some(Self::Holds { rank }).filter(|_| scene.missing == 1 && thread.state != ThreadState::Gone);
        }
        if let Some(&(_, waits_as)) = scene.waits_here.iter().find(|(thread, _)| *thread == id) {
            return Some(Self::TwoHandles { rank, waits_as });
        }
        if let Some(elsewhere) = scene.elsewhere.iter().find(|elsewhere| elsewhere.thread == id) {
            return Some(Self::WaitsElsewhere {
                rank,
                barrier: elsewhere.barrier.clone(),
                generation: elsewhere.generation,
                as_rank: elsewhere.rank,
                crosswise: scene.waits_here.iter().any(|(thread, _)| elsewhere.lacks.contains(thread)),
            });
        }
        match thread.state {
            ThreadState::Gone => Some(Self::DeadThread { rank, thread: id }),
            ThreadState::Stopped => Some(Self::Stopped { rank, thread: id }),
            ThreadState::Starved => Some(Self::Oversubscribed { rank, parties: scene.parties, cpus: scene.cpus }),
            ThreadState::Running => Some(Self::Working { rank }),
            ThreadState::Sleeping => {
                let call = thread.asleep.as_ref().and_then(|asleep| asleep.call.clone());
                Some(Self::Asleep { rank, call })
            }
            ThreadState::Blocked => Some(Self::Blocked { rank }),
            ThreadState::Unknown => None,
        }
    }
}

/// What else was seen at the same moment.
pub(super) struct Scene<'a> {
    pub(super) held: bool,
    pub(super) parties: usize,
    pub(super) missing: usize,
    pub(super) cpus: usize,
    /// The threads that wait at this trip, and the rank of each.
    pub(super) waits_here: &'a [(u32, usize)],
    pub(super) elsewhere: &'a [Elsewhere],
}

/// A thread that waits at another barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    pub(super) thread: u32,
    pub(super) rank: usize,
    pub(super) barrier: String,
    pub(super) number: u64,
    pub(super) generation: u64,
    /// The threads that are missing there.
    pub(super) lacks: Vec<u32>,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclaimed { rank } => write!(
                f,
                "rank {rank} was never claimed: the barrier was built for more parties than there are workers, or the worker \
                 that should claim it has not been started"
            ),
            Self::Dropped { rank } => write!(
                f,
                "the handle of rank {rank} was dropped and the rank not claimed again: claim it for a new worker, and reset the \
                 barrier"
            ),
            Self::NeverCame { rank } => write!(
                f,
                "rank {rank} was claimed and no thread has ever waited with its handle: likely the handle lies in a collection or \
                 was forgotten (mem::forget), or its thread was not started or is still before its first wait"
            ),
            Self::DeadThread { rank, thread } => write!(
                f,
                "thread {thread}, which waited as rank {rank}, has ended and its handle was not dropped: likely mem::forget, a \
                 leak (a cycle of Arcs), or an early return that left the handle in a place that outlives the thread; dropping \
                 the handle would have broken the trip at once"
            ),
            Self::WaitsElsewhere { rank, barrier, generation, as_rank, crosswise } => {
                write!(
                    f,
                    "the thread of rank {rank} waits at trip {generation} of barrier `{barrier}`, as rank {as_rank}"
                )?;
                f.write_str(match crosswise {
                    true => {
                        ", which in turn lacks a thread that waits here: the threads come to the two barriers in different order; \
                         let all come in the same"
                    }
                    false => ": likely the threads come to the two barriers in different order; look at that barrier first",
                })
            }
            Self::TwoHandles { rank, waits_as } => write!(
                f,
                "the thread of rank {rank} is the one that waits here as rank {waits_as}: one thread has two handles and can only \
                 wait with one; give each handle a thread of its own, or build the barrier for fewer parties"
            ),
            Self::Stopped { rank, thread } => write!(
                f,
                "the thread of rank {rank} is stopped, by a debugger or a signal: let thread {thread} go on (`kill -CONT`, or \
                 detach)"
            ),
            Self::Oversubscribed { rank, parties, cpus } => write!(
                f,
                "the thread of rank {rank} wants a CPU and gets none: {parties} parties share {cpus} CPU{} with whatever else runs \
                 there; use fewer parties, stop what takes the CPUs, or do not let parties spin (`PHALANX_WAIT_POLICY=park`)",
                if *cpus == 1 { "" } else { "s" }
            ),
            Self::Working { rank } => write!(
                f,
                "the thread of rank {rank} is at work: a step that takes longer than the watchdog allows, or a loop that does not \
                 end; its stack says which"
            ),
            Self::Asleep { rank, call } => {
                write!(f, "the thread of rank {rank} is alive and asleep outside the barrier, ")?;
                f.write_str(kind_of_sleep(call.as_deref()))?;
                f.write_str(
                    "; if its loop is over (a shorter loop, an early return), drop its handle or let it leave: look at its stack",
                )
            }
            Self::Blocked { rank } => write!(
                f,
                "the thread of rank {rank} waits for a device: likely a slow or dead disk, a network file system, or swapping"
            ),
            Self::Holds { rank } => write!(
                f,
                "all have arrived, and rank {rank} has not let them go: likely it is in the barrier's action, a serial section or \
                 an operator that takes its time; its stack says where"
            ),
            Self::Anonymous { missing } => write!(
                f,
                "{missing} more call{} to `wait` would complete the trip; callers without ranks cannot be named: count the \
                 threads that are to come, look at their stacks, or give them handles (`phalanx::Barrier`)",
                if *missing == 1 { "" } else { "s" }
            ),
            Self::Acting => {
                f.write_str("all have arrived, and the action of the last one takes its time; its stack says where")
            }
        }
    }
}

/// What threads sleep for in this call.
fn kind_of_sleep(call: Option<&str>) -> &'static str {
    match call {
        Some("futex" | "futex_waitv") => "likely for a lock, a condition variable, a channel or a join",
        Some("nanosleep" | "clock_nanosleep" | "restart_syscall") => "in a sleep for some time",
        Some(
            "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "io_uring_enter" | "io_getevents",
        ) => "for events of files or sockets",
        Some(
            "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "recvfrom" | "recvmsg" | "sendto"
            | "sendmsg" | "accept" | "accept4" | "connect" | "openat" | "fsync" | "fdatasync",
        ) => "for input or output",
        Some("wait4" | "waitid") => "for a child process",
        Some("flock" | "fcntl") => "for the lock of a file",
        Some("pause" | "rt_sigsuspend" | "rt_sigtimedwait") => "for a signal",
        _ => "for whatever it is",
    }
}
