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
        if scene.held {
            // Those who wait may have been let go, and have no CPU to go on.
            if let Some(rank) = scene.starves {
                return Some(Self::Oversubscribed { rank, parties: scene.parties, cpus: scene.cpus });
            }
            // It has arrived, whether it has ever waited or not: who leaves does not.
            let is_gone = absent.thread.as_ref().is_some_and(|thread| thread.state == ThreadState::Gone);
            return Some(Self::Holds { rank }).filter(|_| scene.missing == 1 && !is_gone);
        }
        let Some(thread) = &absent.thread else { return Some(Self::NeverCame { rank }) };
        let id = thread.id?;
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
    /// Of those who wait, if none gets a CPU, the first.
    pub(super) starves: Option<usize>,
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
                 leak (a cycle of Arcs), or an early return that left the handle in a place that outlives the thread, or with a \
                 thread that has not come yet; dropping the handle would have broken the trip at once"
            ),
            Self::WaitsElsewhere { rank, barrier, generation, as_rank, crosswise } => {
                write!(
                    f,
                    "the thread of rank {rank} waits at trip {generation} of barrier `{}`, as rank {as_rank}",
                    barrier.escape_debug()
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
                "the thread of rank {rank} is the one that waits here as rank {waits_as}: likely one thread has two handles and can \
                 only wait with one; give each handle a thread of its own, or build the barrier for fewer parties"
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

#[cfg(test)]
mod tests {
    use super::super::report::Thread;
    use super::super::thread_state::Asleep;
    use super::*;

    fn absent(handle: Handle, thread: Option<(Option<u32>, ThreadState)>) -> Absent {
        let thread = thread.map(|(id, state)| {
            let call = (state == ThreadState::Sleeping).then(|| "poll".to_owned());
            let asleep = Some(Asleep { call, ..Asleep::default() });
            Thread { name: None, id, cpu: None, state, asleep }
        });
        Absent { rank: 3, handle, thread, phase: None, arrivals: 1, last: None }
    }

    fn scene<'a>(held: bool, waits_here: &'a [(u32, usize)], elsewhere: &'a [Elsewhere]) -> Scene<'a> {
        Scene { held, parties: 8, missing: 1, cpus: 2, starves: None, waits_here, elsewhere }
    }

    #[test]
    fn each_state_of_a_missing_thread_has_its_hint() {
        use ThreadState::*;
        let cases = [
            (Gone, Some(Hint::DeadThread { rank: 3, thread: 9 })),
            (Stopped, Some(Hint::Stopped { rank: 3, thread: 9 })),
            (Starved, Some(Hint::Oversubscribed { rank: 3, parties: 8, cpus: 2 })),
            (Running, Some(Hint::Working { rank: 3 })),
            (Sleeping, Some(Hint::Asleep { rank: 3, call: Some("poll".into()) })),
            (Blocked, Some(Hint::Blocked { rank: 3 })),
            (Unknown, None),
        ];
        for (state, hint) in cases {
            let missing = absent(Handle::Held, Some((Some(9), state)));
            assert_eq!(Hint::of(&missing, &scene(false, &[(8, 1)], &[])), hint, "{state}");
            // Whatever the thread does: a rank that nobody holds is not its business.
            for (handle, hint) in
                [(Handle::Unclaimed, Hint::Unclaimed { rank: 3 }), (Handle::Dropped, Hint::Dropped { rank: 3 })]
            {
                let missing = Absent { handle, ..missing.clone() };
                assert_eq!(Hint::of(&missing, &scene(false, &[], &[])), Some(hint));
            }
        }
        // No thread, and one without a number: on a system that has none.
        let never = absent(Handle::Held, None);
        assert_eq!(Hint::of(&never, &scene(false, &[], &[])), Some(Hint::NeverCame { rank: 3 }));
        assert_eq!(Hint::of(&absent(Handle::Held, Some((None, Unknown))), &scene(false, &[], &[])), None);
    }

    #[test]
    fn a_thread_that_waits_is_where_it_waits() {
        let missing = absent(Handle::Held, Some((Some(9), ThreadState::Running)));
        let elsewhere = |lacks: &[u32]| {
            let (barrier, lacks) = ("other".to_owned(), lacks.to_vec());
            [Elsewhere { thread: 9, rank: 5, barrier, number: 2, generation: 7, lacks }]
        };
        let waits = |crosswise| {
            let barrier = "other".to_owned();
            Some(Hint::WaitsElsewhere { rank: 3, barrier, generation: 7, as_rank: 5, crosswise })
        };
        assert_eq!(Hint::of(&missing, &scene(false, &[(8, 1)], &elsewhere(&[]))), waits(false));
        assert_eq!(Hint::of(&missing, &scene(false, &[(8, 1)], &elsewhere(&[4, 8]))), waits(true));
        assert_eq!(Hint::of(&missing, &scene(false, &[(8, 1)], &elsewhere(&[9]))), waits(false));
        // Here before there; and somebody else's wait is none of it.
        let two = Some(Hint::TwoHandles { rank: 3, waits_as: 1 });
        assert_eq!(Hint::of(&missing, &scene(false, &[(8, 0), (9, 1)], &elsewhere(&[8]))), two);
        let [mut other] = elsewhere(&[8]);
        other.thread = 10;
        assert_eq!(Hint::of(&missing, &scene(false, &[(8, 1)], &[other])), Some(Hint::Working { rank: 3 }));
    }

    #[test]
    fn who_holds_a_trip_is_named_only_if_there_is_but_one_who_can() {
        let one = absent(Handle::Held, Some((Some(9), ThreadState::Sleeping)));
        let held = scene(true, &[(8, 1)], &[]);
        assert_eq!(Hint::of(&one, &held), Some(Hint::Holds { rank: 3 }));
        // Several who do not wait may all have gone on; one whose thread has ended has as well.
        assert_eq!(Hint::of(&one, &Scene { missing: 2, ..scene(true, &[], &[]) }), None);
        assert_eq!(Hint::of(&absent(Handle::Held, Some((Some(9), ThreadState::Gone))), &held), None);
        let starving = Scene { starves: Some(1), ..scene(true, &[(8, 1)], &[]) };
        assert_eq!(Hint::of(&one, &starving), Some(Hint::Oversubscribed { rank: 1, parties: 8, cpus: 2 }));
    }

    #[test]
    fn every_hint_says_whom_it_is_about_and_what_to_do() {
        let barrier = "other".to_owned();
        let hints = [
            Hint::Unclaimed { rank: 3 },
            Hint::Dropped { rank: 3 },
            Hint::NeverCame { rank: 3 },
            Hint::DeadThread { rank: 3, thread: 9 },
            Hint::WaitsElsewhere { rank: 3, barrier, generation: 7, as_rank: 5, crosswise: false },
            Hint::TwoHandles { rank: 3, waits_as: 1 },
            Hint::Stopped { rank: 3, thread: 9 },
            Hint::Oversubscribed { rank: 3, parties: 8, cpus: 2 },
            Hint::Working { rank: 3 },
            Hint::Asleep { rank: 3, call: None },
            Hint::Blocked { rank: 3 },
            Hint::Holds { rank: 3 },
        ];
        for hint in hints {
            assert_eq!(hint.rank(), Some(3));
            let text = hint.to_string();
            assert!(text.contains("rank 3") && !text.contains('\n') && text.contains([':', ',']), "{text}");
        }
        assert_eq!(Hint::Anonymous { missing: 2 }.rank(), None);
        assert!(Hint::Anonymous { missing: 2 }.to_string().starts_with("2 more calls to `wait`"));
        assert!(Hint::Anonymous { missing: 1 }.to_string().starts_with("1 more call to `wait`"));
        assert!(Hint::Oversubscribed { rank: 0, parties: 2, cpus: 1 }.to_string().contains(" 1 CPU with "));
    }
}
