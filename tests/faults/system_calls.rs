//! System calls that fail, from the start or from later on: the story of every child is that of one for which nothing fails.

use super::child::{self, answer, err, order, say, skip};
use super::common::{patience, watched};
use super::filter::{
    Rule, STAT, all, expect_in_force, futex_wait, futex_wake, install, membarrier_expedited, membarrier_register,
};
use super::story;
use libc::{EAGAIN, EINTR, EMFILE, ENOMEM, ENOSYS, EPERM};
use phalanx::team::{Team, TeamError};
use phalanx::topology::Bind;
use phalanx::{Barrier, WaitPolicy};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

/// What fails, by the name that a child is told.
fn rules(what: &str) -> Vec<Rule> {
    let (what, error) = what.split_once(' ').unwrap_or((what, ""));
    let errno = match error {
        "EAGAIN" => EAGAIN,
        "EINTR" => EINTR,
        "EMFILE" => EMFILE,
        "ENOMEM" => ENOMEM,
        "ENOSYS" => ENOSYS,
        "EPERM" => EPERM,
        _ => 0,
    };
    match what {
        "nothing" => vec![],
        "futex-wait" => vec![futex_wait(errno)],
        "futex-wake" => vec![futex_wake(errno)],
        "futex" => vec![futex_wait(errno), futex_wake(errno)],
        "futex+sleep" => vec![futex_wait(errno), futex_wake(errno), all(libc::SYS_nanosleep, errno)],
        "membarrier" => vec![membarrier_expedited(errno)],
        "membarrier-register" => vec![membarrier_register(errno)],
        "membarrier-both" => vec![membarrier_register(errno), membarrier_expedited(errno)],
        "membarrier+futex" => vec![membarrier_expedited(errno), futex_wait(errno), futex_wake(errno)],
        "membarrier+affinity" => vec![membarrier_expedited(errno), all(libc::SYS_sched_setaffinity, errno)],
        "clone" => vec![all(libc::SYS_clone, errno), all(libc::SYS_clone3, errno)],
        "clone3" => vec![all(libc::SYS_clone3, errno)],
        "affinity" => vec![all(libc::SYS_sched_setaffinity, errno), all(libc::SYS_sched_getaffinity, errno)],
        "getcpu" => vec![all(libc::SYS_getcpu, errno)],
        "yield" => vec![all(libc::SYS_sched_yield, errno)],
        "clock" => vec![all(libc::SYS_clock_gettime, errno), all(libc::SYS_clock_getres, errno)],
        "files" => [libc::SYS_openat, libc::SYS_statx, STAT].map(|call| all(call, errno)).into(),
        _ => panic!("nobody knows what {what:?} is"),
    }
}

fn refuse(what: &str) {
    let rules = rules(what);
    if let Err(error) = install(&rules) {
        skip(&format!("no system call filter can be had here: {error}"));
    }
    rules.iter().for_each(expect_in_force);
}

#[test]
#[ignore = "a child process of the tests below"]
fn plays() {
    let Some(order) = order() else { return };
    let (when, what) = order.split_once(' ').unwrap();
    if when == "start" {
        refuse(what);
    }
    let midway = || {
        if when == "later" {
            refuse(what)
        }
    };
    let told = watched(&format!("faults: {order}"), patience(), |watch| story::play(watch, midway));
    told.iter().for_each(|line| say(line));
}

/// Demands the same story as without faults, for each of these.
fn same_story(cases: &[&str]) {
    let Some(expected) = answer("system_calls::plays", "start nothing") else { panic!("nothing may be skipped there") };
    for case in cases {
        if let Some(told) = answer("system_calls::plays", case) {
            assert_eq!(told, expected, "{case}");
            println!("{case}: the same {} outcomes", told.len());
        }
    }
}

#[test]
fn sleeps_that_fail_release_nobody() {
    same_story(&[
        "start futex-wait EINTR",
        "start futex-wait EAGAIN",
        "start futex-wait ENOSYS",
        "start futex-wait EPERM",
    ]);
    same_story(&[
        "later futex-wait EINTR",
        "later futex-wait EAGAIN",
        "later futex-wait ENOSYS",
        "later futex-wait EPERM",
    ]);
}

#[test]
fn wakes_that_fail_are_late_and_not_lost() {
    same_story(&[
        "start futex-wake ENOSYS",
        "start futex-wake EPERM",
        "later futex-wake ENOSYS",
        "later futex-wake EPERM",
    ]);
    same_story(&["start futex ENOSYS", "later futex EPERM", "start futex+sleep EPERM", "later futex+sleep ENOSYS"]);
}

#[test]
#[ignore = "a child process of the next test"]
fn waits_far_apart() {
    let Some(order) = order() else { return };
    refuse(&order);
    say(&watched(&format!("far apart: {order}"), patience(), |_| story::far_apart()));
}

/// Nobody has been woken yet, so that the first sleeper does not rely on wakes.
#[test]
fn a_first_wake_or_sleep_that_fails_loses_nobody_where_trips_are_far_apart() {
    let Some(expected) = answer("system_calls::waits_far_apart", "nothing") else {
        panic!("nothing may be skipped there")
    };
    let wakes = ["ENOSYS", "EPERM"].map(|error| format!("futex-wake {error}"));
    let sleeps = ["ENOSYS", "EPERM", "EINTR", "EAGAIN"].map(|error| format!("futex-wait {error}"));
    for fault in wakes.into_iter().chain(sleeps) {
        if let Some(told) = answer("system_calls::waits_far_apart", &fault) {
            assert_eq!(told, expected, "{fault}");
        }
    }
}

#[test]
fn fences_that_fail_are_made_up_for() {
    same_story(&["start membarrier-register ENOSYS", "start membarrier-register EPERM", "start membarrier EPERM"]);
    same_story(&["start membarrier-both ENOSYS", "start membarrier EAGAIN", "start membarrier ENOMEM"]);
    same_story(&["later membarrier ENOSYS", "later membarrier EPERM", "later membarrier-both EPERM"]);
    same_story(&[
        "later membarrier EINTR",
        "later membarrier EAGAIN",
        "later membarrier ENOMEM",
        "later membarrier+futex EPERM",
    ]);
}

#[test]
fn what_only_helps_may_fail() {
    same_story(&["start affinity EPERM", "start affinity ENOSYS", "later affinity EPERM", "start getcpu ENOSYS"]);
    same_story(&["start yield ENOSYS", "later yield EPERM", "start clock EPERM"]);
    same_story(&["start files EPERM", "start files EMFILE", "later files EMFILE", "start clone3 ENOSYS"]);
}

#[test]
#[ignore = "a child process of the next test"]
fn breaks_without_any_fence() {
    let Some(order) = order() else { return };
    let barrier = Barrier::builder(2).wait_policy(WaitPolicy::SpinPark).build().unwrap();
    if super::common::cpus() < 2 {
        skip("with a single CPU all fences are on both sides");
    }
    refuse(&order);
    barrier.abort("with what fence?");
    say("went on");
}

/// Neither `membarrier` nor a way around it: the one case in which the process ends, because an answer could be wrong.
#[test]
fn without_any_fence_the_process_ends_with_a_message() {
    let Some(output) = child::run("system_calls::breaks_without_any_fence", "membarrier+affinity EPERM") else {
        return;
    };
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    assert!(
        err(&output).contains("membarrier(PRIVATE_EXPEDITED) worked when the first barrier was built"),
        "{output:?}"
    );
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
#[ignore = "a child process of the next test"]
fn starts_threads() {
    let Some(order) = order() else { return };
    let (when, what) = order.split_once(' ').unwrap();
    let builder = || Team::builder().threads(3);
    if when == "later" {
        drop(builder().build().unwrap());
    }
    // Threads end a moment after they have been joined.
    super::common::until(|| threads() <= 2);
    let before = threads();
    refuse(what);
    match builder().build().map(drop) {
        Err(TeamError::Spawn { rank, error }) => say(&format!("rank {rank}: {:?}", error.raw_os_error().unwrap())),
        other => say(&format!("{other:?}")),
    }
    let mut alone = Barrier::new(1).unwrap().claim(0).unwrap();
    say(&format!("alone: trip {}", alone.wait().unwrap().generation()));
    let watched = Barrier::builder(2).watchdog(Duration::from_secs(1), |_| ()).build();
    say(&format!("watched: {}", watched.is_ok()));
    say(&format!("threads left: {}", threads() - before));
}

#[test]
fn a_team_without_threads_is_a_typed_error() {
    for (error, number) in [("EAGAIN", EAGAIN), ("EPERM", EPERM), ("ENOMEM", ENOMEM)] {
        for when in ["start", "later"] {
            let Some(told) = answer("system_calls::starts_threads", &format!("{when} clone {error}")) else { return };
            // glibc says EAGAIN for ENOMEM: "insufficient resources".
            let number = if number == ENOMEM { EAGAIN } else { number };
            assert_eq!(told[0], format!("rank 1: {number}"), "{told:?}");
            assert_eq!(told[1], "alone: trip 0");
            assert_eq!(told[3], "threads left: 0", "{told:?}");
        }
    }
}

#[test]
#[ignore = "a child process of the next test"]
fn pins() {
    let Some(order) = order() else { return };
    refuse(&order);
    let team = Team::builder().threads(1).caller_joins(false).place(Bind::Close).build();
    say(&team.as_ref().map_or_else(ToString::to_string, |team| format!("pinned: {}", team.is_pinned(0))));
}

/// A team that was to be pinned and cannot be is refused with the reason, or says that it is not pinned.
#[test]
fn a_team_that_cannot_be_pinned_says_so() {
    for error in ["EPERM", "ENOSYS"] {
        let Some(told) = answer("system_calls::pins", &format!("affinity {error}")) else { return };
        assert!(told[0].contains("cannot be pinned") || told[0] == "pinned: false", "{told:?}");
    }
}
