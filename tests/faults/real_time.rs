//! `SCHED_FIFO`: a thread runs until it sleeps, and to yield lets only its equals run. So a party that spins or yields keeps the very
//! party from its CPU that it waits for, if that one has a lower priority, and for good (B21). Every policy that sleeps in the end
//! must get through, and so must whatever waits for somebody at work.
//!
//! All parties are on one CPU here, which is the worst case. Everything runs in a child process, whose main thread and watchdog
//! have a higher priority than all parties, and sleep.

use super::child::{answer, order, say, skip};
use super::common::{patience, scaled, watched};
use super::{POLITE, SLEEPING, barrier};
use phalanx::{Algorithm, Barrier, WaitPolicy, compat};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Puts the calling thread on `cpu`.
fn move_to(cpu: usize) {
    // SAFETY: all zeroes is the empty set.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: below the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut mask) };
    // SAFETY: the set lives until the call is over.
    let outcome = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), &raw const mask) };
    assert_eq!(outcome, 0, "cpu {cpu}: {}", std::io::Error::last_os_error());
}

/// Makes the calling thread a real-time one of this priority, or an ordinary one for 0.
fn set_priority(priority: i32) -> bool {
    let class = if priority > 0 { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` lives until the call is over.
    unsafe { libc::sched_setscheduler(0, class, &raw const parameters) == 0 }
}

/// The priority of the main thread, which others inherit unless they say otherwise.
const ABOVE_ALL: i32 = 50;

fn become_party(cpu: usize, priority: i32) {
    move_to(cpu);
    assert!(set_priority(priority), "{}", std::io::Error::last_os_error());
}

/// To yield would keep those of lower priority from the CPU.
fn sleep_until(ready: impl Fn() -> bool) {
    while !ready() {
        thread::sleep(Duration::from_micros(100));
    }
}

/// Ends a child on a machine that would not let others run beside a real-time thread, or does not make threads such.
fn permitted() {
    let share = std::fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").unwrap_or_default();
    if share.trim().parse().is_ok_and(|share: i64| share < 0) {
        skip(
            "the kernel keeps no time for ordinary threads (sched_rt_runtime_us is -1): a hang would stop the machine",
        );
    }
    if !thread::spawn(|| set_priority(1) && set_priority(0)).join().unwrap() {
        skip("real-time classes may not be used here (needs root or CAP_SYS_NICE)");
    }
}

/// The longest wait of a crew on one CPU, whose members come late in turn.
fn longest_wait(barrier: &Barrier, cpu: usize, priorities: &[i32], trips: usize) -> Duration {
    let longest = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        for mut party in barrier.take_parties().unwrap() {
            let (longest, parties) = (&longest, priorities.len());
            let priority = priorities[party.rank()];
            scope.spawn(move || {
                become_party(cpu, priority);
                for trip in 0..trips {
                    if trip % parties == party.rank() {
                        let start = Instant::now();
                        while start.elapsed() < Duration::from_micros(50) {
                            std::hint::spin_loop();
                        }
                    }
                    let start = Instant::now();
                    party.wait().unwrap();
                    let waited = start.elapsed();
                    let mut longest = longest.lock().unwrap();
                    *longest = waited.max(*longest);
                }
            });
        }
    });
    longest.into_inner().unwrap()
}

/// `mask`: the whole process is on one CPU, and knows; `pins`: only its parties are, behind the library's back.
#[test]
#[ignore = "a child process of the next test"]
fn crosses() {
    let Some(order) = order() else { return };
    permitted();
    let cpu = first_cpu();
    if order == "mask" {
        move_to(cpu);
    }
    assert!(set_priority(ABOVE_ALL));
    watched(&format!("faults: real time, {order}"), patience(), |watch| {
        assert!(order != "mask" || super::common::cpus() == 1);
        for (what, priorities, policies) in [
            ("equal", [10, 10, 10], &POLITE[..]),
            ("unequal", [30, 20, 10], &SLEEPING[..]),
            ("mixed with ordinary", [30, 0, 10], &SLEEPING[..]),
        ] {
            for &policy in policies {
                let mut longest = Duration::ZERO;
                for algorithm in Algorithm::NAMED {
                    let barrier = barrier(3, algorithm, policy);
                    let shown = barrier.clone();
                    watch.show(move || format!("{shown:?}"));
                    longest = longest.max(longest_wait(&barrier, cpu, &priorities, scaled(20)));
                }
                say(&format!("{what} {policy}: longest wait {longest:?}"));
            }
        }
        // std's barrier, beside them: the same crew, the same CPU.
        say(&format!("std unequal: longest wait {:?}", longest_of_std(cpu, &[30, 20, 10], scaled(20))));
        say(&format!("action: {:?}", bystander_of_an_action(cpu)));
    });
}

/// Where the parties go: the first CPU of the process.
fn first_cpu() -> usize {
    phalanx::topology::current_mask().and_then(|mask| mask.iter().next()).unwrap_or(0)
}

fn longest_of_std(cpu: usize, priorities: &[i32], trips: usize) -> Duration {
    let barrier = std::sync::Barrier::new(priorities.len());
    let longest = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        for &priority in priorities {
            let (barrier, longest) = (&barrier, &longest);
            scope.spawn(move || {
                become_party(cpu, priority);
                for _ in 0..trips {
                    let start = Instant::now();
                    barrier.wait();
                    let waited = start.elapsed();
                    let mut longest = longest.lock().unwrap();
                    *longest = waited.max(*longest);
                }
            });
        }
    });
    longest.into_inner().unwrap()
}

/// A trip's action runs at low priority; a caller of high priority waits for that trip and is disturbed by the break of the
/// next one. It used to yield until the action was over: which it then never was.
fn bystander_of_an_action(cpu: usize) -> Duration {
    let (acting, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let action = {
        let (acting, broken) = (Arc::clone(&acting), Arc::clone(&broken));
        move || {
            acting.store(true, SeqCst);
            sleep_until(|| broken.load(SeqCst));
            // The bystander is awake by now, or will be.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
        }
    };
    let barrier = compat::Barrier::with_action(2, action);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            become_party(cpu, 30);
            barrier.wait();
        });
        sleep_until(|| barrier.arrived() == 1);
        scope.spawn(|| {
            become_party(cpu, 10);
            barrier.wait();
        });
        sleep_until(|| acting.load(SeqCst));
        // An ordinary caller of the next trip, whose limit passes.
        let next = barrier.wait_timeout(Duration::from_millis(5));
        assert!(next.is_err());
        broken.store(true, SeqCst);
    });
    start.elapsed()
}

fn real_time(order: &str) {
    let Some(told) = answer("real_time::crosses", order) else { return };
    told.iter().for_each(|line| println!("{order}: {line}"));
}

#[test]
fn real_time_parties_of_a_process_on_one_cpu_get_through() {
    real_time("mask");
}

#[test]
fn real_time_parties_that_share_one_of_several_cpus_get_through() {
    real_time("pins");
}

/// Every policy on one CPU, with ordinary threads: `b21` in `tests/bug_classes.rs`. Here with a party that never sleeps among those
/// that do.
#[test]
fn ordinary_parties_that_share_one_of_several_cpus_get_through() {
    watched("faults: one cpu", patience(), |_| {
        let cpu = first_cpu();
        for policy in WaitPolicy::ALL {
            let trips = if policy == WaitPolicy::Spin { 3 } else { scaled(50) };
            let longest = longest_wait(&barrier(3, Algorithm::Auto, policy), cpu, &[0, 0, 0], trips);
            println!("{policy}: longest wait {longest:?}");
        }
    });
}
