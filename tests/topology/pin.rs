//! Pinning: what is done, what is refused, what is inherited.

#![cfg(any(target_os = "linux", target_os = "android"))]

use std::panic;
use std::thread;

use phalanx::topology::{CpuSet, PinError, available_cpus, current_cpu, current_mask, pin_current, startup_mask};

use crate::support::{CHILD, child};

fn only(cpu: usize) -> CpuSet {
    [cpu].into_iter().collect()
}

fn first() -> usize {
    startup_mask().iter().next().unwrap()
}

fn last() -> usize {
    startup_mask().iter().next_back().unwrap()
}

fn mask() -> CpuSet {
    current_mask().unwrap()
}

/// Runs in a thread of its own, so that no test pins the test runner's threads.
fn apart<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|s| s.spawn(body).join().unwrap())
}

#[test]
fn pins_and_restores() {
    for cpu in startup_mask().iter().take(4) {
        apart(|| {
            let before = mask();
            let pinned = pin_current(cpu).unwrap();
            assert_eq!((pinned.cpu(), pinned.mask_before()), (cpu, &before));
            assert_eq!((mask(), current_cpu()), (only(cpu), (!cfg!(miri)).then_some(cpu)));
            drop(pinned);
            assert_eq!(mask(), before);
            pin_current(cpu).unwrap().restore().unwrap();
            assert_eq!(mask(), before);
        });
    }
}

#[test]
fn pins_nest() {
    apart(|| {
        let before = mask();
        let outer = pin_current(first()).unwrap();
        let inner = pin_current(last()).unwrap();
        assert_eq!(*inner.mask_before(), only(first()));
        assert_eq!(mask(), only(last()));
        drop(inner);
        assert_eq!(mask(), only(first()));
        drop(outer);
        assert_eq!(mask(), before);
    });
}

#[test]
fn restores_when_the_thread_panics() {
    apart(|| {
        let before = mask();
        let result = panic::catch_unwind(|| {
            let _pinned = pin_current(first()).unwrap();
            panic::resume_unwind(Box::new(()));
        });
        assert!(result.is_err());
        assert_eq!(mask(), before);
    });
}

/// Left alone, `core_affinity` aborts the process for the first of these and escapes the mask for the last.
#[test]
fn refuses_what_cannot_be() {
    let before = mask();
    for cpu in [1024, 1025, 65_536, usize::MAX] {
        let error = pin_current(cpu).unwrap_err();
        assert_eq!(error, PinError::TooLarge { cpu, limit: 1023 });
        assert!(error.to_string().starts_with(&format!("cpu {cpu} is beyond 1023")));
    }
    let outside = (0..1024).rev().find(|&cpu| !startup_mask().contains(cpu));
    if let Some(cpu) = outside {
        let error = pin_current(cpu).unwrap_err();
        let allowed = startup_mask().clone();
        let message = format!("cpu {cpu} is not among the CPUs that this process was started with: {allowed}");
        assert_eq!(error.to_string(), message);
        assert_eq!(error, PinError::NotAllowed { cpu, allowed });
    }
    assert_eq!(mask(), before);
}

/// A thread that is started by a pinned thread is pinned too: the library still knows the process's CPUs.
#[test]
fn b30_threads_inherit_the_pin() {
    let (before, available) = (mask(), available_cpus());
    apart(|| {
        let pinned = pin_current(last()).unwrap();
        apart(|| {
            assert_eq!(mask(), only(last()));
            assert_eq!(available_cpus(), available);
            // It may go elsewhere within the start-up mask, and comes back to what it inherited.
            let moved = pin_current(first()).unwrap();
            assert_eq!(mask(), only(first()));
            assert_eq!(*moved.mask_before(), only(last()));
            drop(moved);
            assert_eq!(mask(), only(last()));
        });
        drop(pinned);
        assert_eq!(mask(), before);
        assert_eq!(apart(mask), before, "nothing is left to inherit");
    });
}

/// A process that is started by a pinned thread is in the position of one under `taskset`.
// Starts a process, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn processes_inherit_the_pin() {
    apart(|| {
        let _pinned = pin_current(last()).unwrap();
        let output = child("pin::child_with_one_cpu").output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains(&format!("one cpu: {}", last())), "{out}{err}");
    });
}

/// Its start-up mask is one CPU, and nothing pins beyond that although the kernel would allow it.
#[test]
fn child_with_one_cpu() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let cpu = first();
    assert_eq!((startup_mask().len(), available_cpus()), (1, 1));
    let error = pin_current(usize::from(cpu == 0)).unwrap_err();
    assert!(matches!(error, PinError::NotAllowed { .. }), "{error}");
    assert_eq!(mask(), only(cpu));
    assert_eq!(pin_current(cpu).unwrap().cpu(), cpu);
    println!("one cpu: {cpu}");
}
