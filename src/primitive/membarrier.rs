//! A full fence in every thread of this process, whatever the system allows: [`everywhere`].
//!
//! `membarrier(2)` is the way. It is tried when the first barrier is built, and where it is refused then, every barrier has its
//! fences on both sides. But it may begin to fail later: a system call filter comes after the first barrier, or the
//! kernel has no memory for its list of CPUs. By then the side of the many runs without a fence, so something as strong is needed,
//! at any price. In turn:
//!
//! 1. What may pass is tried again: `EINTR`, `EAGAIN`, `ENOMEM`. On `EPERM`, which says "not registered", the process registers anew.
//! 2. The caller visits every CPU that a thread of this process may be running on, and goes home again.
//! 3. If that is refused as well, the process ends with a message: without the fence an answer could be wrong.
//!
//! # Why a visit is as strong
//!
//! Needed is that each other thread executes a full fence between the start and the end of the call, or executes nothing at
//! all in between ("Fences" in `primitive.rs`). The kernel executes one at each switch from one thread to another, on the CPU that
//! switches, between the last access of the one and the first of the other: `membarrier(2)` itself rests on that where it
//! leaves out the CPUs that do not run the process (kernel, `Documentation/scheduler/membarrier.rst`).
//!
//! - A thread that was switched in or out since the call began has passed such a fence. So has one that was started since.
//! - A thread that ran all the time, ran on one CPU: to change it is a switch. Its `stat` said which when the caller read it, and the
//!   caller then ran there itself. A CPU runs one thread at a time, so the thread was switched out after all.
//! - A thread that was off its CPU all the time executes nothing, and its last switch came before the call; the caller has run on that
//!   CPU since (`stat` names it, even if the thread's mask no longer has it), under the same lock of the same run queue,
//!   so what the thread did before is visible. It comes back by a switch on a CPU of its mask, where the caller has been too.
//!
//! So the list is made first, of the mask and the last CPU of each thread in `/proc/self/task`. A thread that the list misses was
//! started after it. That the caller has arrived is read back, since a filter may pretend success.
//!
//! # Limits
//!
//! A visit takes tens of microseconds per CPU, for each sleep and each break; barriers that are built later have fences on both
//! sides. It waits for its turn on each CPU: where a real-time thread of higher priority never gives one up, it does not end. CPUs
//! numbered 1024 and up cannot be visited. A thread whose mask had to be changed for the visit gets it back.

use rustix::io::Errno;
use rustix::thread::{CpuSet as Fixed, MembarrierCommand, membarrier, sched_getcpu, sched_setaffinity, sched_yield};
use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst, fence};

/// Attempts at a call that may fail for a moment.
const ATTEMPTS: u32 = 16;

/// Whether the call was refused after it had worked: a hint for those who build barriers, ordered with nothing.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether this process may use the expedited private command; registers it at the first call.
pub(super) fn registered() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = *REGISTERED.get_or_init(|| {
        persistently(MembarrierCommand::RegisterPrivateExpedited).is_ok()
            && persistently(MembarrierCommand::PrivateExpedited).is_ok()
    });
    registered && !REFUSED.load(Relaxed)
}

/// A full fence in every running thread of this process.
#[inline]
pub(super) fn everywhere() {
    if membarrier(MembarrierCommand::PrivateExpedited).is_err() {
        insist();
    }
}

#[cold]
fn insist() {
    let Err(error) = persistently(MembarrierCommand::PrivateExpedited) else { return };
    REFUSED.store(true, Relaxed);
    if visit_all().is_some() {
        return;
    }
    super::direct::say(&format!(
        "phalanx: membarrier(PRIVATE_EXPEDITED) worked when the first barrier was built and fails now ({error}), and so does \
         sched_setaffinity(2) in its place; install system call filters before that, or let them pass membarrier(2)\n"
    ));
    std::process::abort();
}

/// Tries a command again while it fails for reasons that may pass.
fn persistently(command: MembarrierCommand) -> Result<(), Errno> {
    let mut outcome = membarrier(command);
    for _ in 0..ATTEMPTS {
        match outcome {
            Err(Errno::INTR | Errno::AGAIN | Errno::NOMEM) => sched_yield(),
            Err(Errno::PERM) => membarrier(MembarrierCommand::RegisterPrivateExpedited)?,
            outcome => return outcome,
        }
        outcome = membarrier(command);
    }
    outcome
}

/// Runs on every CPU that a thread of this process may be running on, and says on which; `None` if that was not possible.
fn visit_all() -> Option<Vec<usize>> {
    fence(SeqCst);
    let home = status_list("/proc/thread-self/status")?;
    let (there, not_there): (Vec<_>, Vec<_>) = cpus_in_use()?.into_iter().partition(|&cpu| visit(cpu));
    // A mask that comes back short, because CPUs have gone meanwhile, is the kernel's to mend.
    let back = send_to(home);
    fence(SeqCst);
    (back && !not_there.into_iter().any(is_online)).then_some(there)
}

/// Runs on this CPU for a moment; whether that was possible.
fn visit(cpu: usize) -> bool {
    send_to([cpu]) && sched_getcpu() == cpu
}

/// Sets the mask of the calling thread, as far as the fixed mask reaches.
fn send_to(cpus: impl IntoIterator<Item = usize>) -> bool {
    let mut mask = Fixed::new();
    cpus.into_iter().filter(|&cpu| cpu < Fixed::MAX_CPU).for_each(|cpu| mask.set(cpu));
    sched_setaffinity(None, &mask).is_ok()
}

/// The CPUs of all threads: those in their masks, and the one on which each ran last. `None` if the system does not tell of
/// all of them.
fn cpus_in_use() -> Option<BTreeSet<usize>> {
    let mut cpus = BTreeSet::new();
    for task in fs::read_dir("/proc/self/task").ok()? {
        let task = task.ok()?.path();
        let told = (status_list(task.join("status")), text(task.join("stat")));
        match told {
            (Some(mask), Some(stat)) => {
                cpus.extend(mask);
                cpus.insert(last_cpu(&stat)?);
            }
            // It has ended.
            _ if !task.exists() => {}
            _ => return None,
        }
    }
    Some(cpus)
}

/// What a file of the kernel's says. (Whoever waits may come here, so not by std's files.)
fn text(path: impl AsRef<std::path::Path>) -> Option<String> {
    String::from_utf8(super::direct::content(path.as_ref(), usize::MAX)?).ok()
}

/// `Cpus_allowed_list` of a `proc_pid_status(5)`.
fn status_list(path: impl AsRef<std::path::Path>) -> Option<Vec<usize>> {
    let status = text(path)?;
    parse_list(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// The kernel's own way of writing a list, as in "0-3,8". (`topology` reads lists that anybody may have written; it stands on this
/// file, so this file does not ask it.)
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for piece in text.trim().split(',').filter(|piece| !piece.is_empty()) {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        list.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(list)
}

/// `processor`, the 39th field of a `proc_pid_stat(5)`; the second, a name in brackets, may have anything in it.
fn last_cpu(stat: &str) -> Option<usize> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(36)?.parse().ok()
}

/// Masks may have CPUs that are not there; on these runs nobody.
fn is_online(cpu: usize) -> bool {
    let list = text("/sys/devices/system/cpu/online").and_then(|text| parse_list(&text));
    list.is_none_or(|list| list.contains(&cpu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_utils::CachePadded;
    use std::sync::atomic::{AtomicU64, compiler_fence};

    #[test]
    fn the_last_cpu_is_read_past_any_name() {
        let rest = (3..=38).map(|field| format!(" {field}")).collect::<String>();
        assert_eq!(last_cpu(&format!("17 (a) b (c)){rest} 5 0 0\n")), Some(5));
        assert_eq!(last_cpu("17 (short) S 1 2"), None);
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("\t0-2,5,7-8\n"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse_list("\n"), Some(vec![]));
        assert_eq!(parse_list("0-x"), None);
    }

    #[test]
    fn the_mask_is_the_kernels_and_a_cpu_that_is_not_there_is_not_online() {
        let mask = status_list("/proc/thread-self/status").unwrap();
        let fixed = rustix::thread::sched_getaffinity(None).unwrap();
        assert_eq!(mask, Vec::from_iter((0..Fixed::MAX_CPU).filter(|&cpu| fixed.is_set(cpu))));
        assert!(is_online(sched_getcpu()) && !is_online(1 << 20));
        assert!(visit(mask[0]) && !visit(1 << 20), "a mask without a CPU is refused");
        assert!(send_to(mask));
    }

    #[test]
    fn all_threads_of_this_process_are_known_and_can_be_visited() {
        let before = status_list("/proc/thread-self/status").unwrap();
        let cpus = cpus_in_use().unwrap();
        assert!(before.iter().all(|cpu| cpus.contains(cpu)), "{before:?} {cpus:?}");
        let been = visit_all().unwrap();
        assert!(before.iter().all(|cpu| been.contains(cpu) || !is_online(*cpu)), "{before:?} {been:?}");
        assert_eq!(status_list("/proc/thread-self/status").unwrap(), before, "back home");
    }

    /// A litmus test of the pair of fences. It is sharp for a few tens of nanoseconds, until the stores of the other thread have reached
    /// their line: a heavy side that is wrong and slow passes.
    ///
    /// How often a thread that stores and looks, with nothing but a compiler fence in between, and another that stores, does `heavy`
    /// and looks, have both missed what the other had stored.
    ///
    /// The one stores `x = 1, 2, 3..` and looks at `y` each time; the other stores `y = k`, and finds `x = r` behind `heavy`. So it
    /// missed `x = r + 1`: then the one that stored that must find `y = k` behind it.
    fn both_missed(rounds: u64, heavy: impl Fn()) -> usize {
        let (x, y) = (CachePadded::new(AtomicU64::new(0)), CachePadded::new(AtomicU64::new(0)));
        let found: Vec<_> = (0..=rounds).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = 0;
                for i in 1.. {
                    x.store(i, Relaxed);
                    compiler_fence(SeqCst);
                    let k = y.load(Relaxed);
                    if k != last {
                        last = k;
                        found[k as usize].store(i, Relaxed);
                    }
                    if k == rounds {
                        return;
                    }
                }
            });
            let missed = |k: &u64| {
                let before = x.load(Relaxed);
                while x.load(Relaxed) == before {
                    std::thread::yield_now();
                }
                y.store(*k, Relaxed);
                heavy();
                let r = x.load(Relaxed);
                while found[*k as usize].load(Relaxed) == 0 {
                    std::thread::yield_now();
                }
                found[*k as usize].load(Relaxed) > r + 1
            };
            (1..=rounds).filter(missed).count()
        })
    }

    #[test]
    fn the_call_is_a_fence_for_those_who_have_none() {
        if !registered() {
            return println!("SKIPPED: no membarrier here");
        }
        // Beside it, what it would be without: some misses show that the two threads met. On one CPU they never do.
        let (mut missed, mut without) = (0, 0);
        for _ in 0..8 {
            missed += both_missed(200, everywhere);
            without += both_missed(200, || fence(SeqCst));
            if without >= 20 {
                break;
            }
        }
        println!("{missed} missed with the call, {without} without");
        assert_eq!(missed, 0);
    }

    /// Visits cannot be refuted by what threads see: while they last, every store reaches its line. But by what they are: no thread
    /// runs through one without a switch.
    #[test]
    fn nobody_runs_all_through_a_visit() {
        let (count, over, number) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                number.store(super::super::ask_thread_id().unwrap().into(), SeqCst);
                while !over.load(Relaxed) {
                    count.fetch_add(1, Relaxed);
                }
            });
            while count.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            // Times that it was put on a CPU and taken off: it has to be both, for the one who is off for a while is only put on.
            let task = format!("/proc/self/task/{}", number.load(SeqCst));
            let switches = || -> Option<u64> {
                let status = fs::read_to_string(format!("{task}/status")).ok()?;
                let off = status
                    .lines()
                    .filter_map(|line| line.split_once("voluntary_ctxt_switches:")?.1.trim().parse::<u64>().ok());
                let on = fs::read_to_string(format!("{task}/schedstat"))
                    .ok()?
                    .split_ascii_whitespace()
                    .nth(2)?
                    .parse::<u64>()
                    .ok()?;
                Some(off.sum::<u64>() + on)
            };
            if switches().is_none() {
                over.store(true, Relaxed);
                return println!("SKIPPED: no scheduler statistics here");
            }
            let ran_through = |_: &i32| {
                let before = (switches(), count.load(Relaxed));
                let visited = visit_all().is_some();
                let after = (count.load(Relaxed), switches());
                assert!(visited);
                after.0 > before.1 && after.1 == before.0
            };
            let through = (0..20).filter(ran_through).count();
            over.store(true, Relaxed);
            assert_eq!(through, 0, "a thread ran through {through} of 20 visits");
        });
    }

    #[test]
    fn nobody_visits_a_cpu_that_is_not_there() {
        assert!(!visit(Fixed::MAX_CPU - 1) && !visit(Fixed::MAX_CPU));
    }
}
