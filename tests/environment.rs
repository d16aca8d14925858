//! The two environment variables, in child processes of this test binary, since the library reads them once per
//! process. What the builder says beats them; a value that means nothing is reported once on stderr and ignored (C11:
//! the report names the value and what is allowed).
#![cfg(not(miri))] // starts processes, which Miri cannot

mod common;

use common::cpu_time;
use phalanx::{Barrier, WaitPolicy, compat};
use std::process::{Command, Output};
use std::time::Duration;

/// Runs the child part with the environment given, and nothing of ours in it besides.
fn child(part: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", part, "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("PHALANX_SPIN").env_remove("PHALANX_WAIT_POLICY").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{part} with {variables:?}: {}", text(&output.stdout) + &text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value that a child printed behind `key=`.
fn told(output: &Output, key: &str) -> String {
    let stdout = text(&output.stdout);
    let value = stdout.lines().find_map(|line| line.split_once(&format!("{key}=")).map(|(_, value)| value));
    value.unwrap_or_else(|| panic!("no {key} in {stdout}")).trim().to_owned()
}

fn complaints(output: &Output) -> Vec<String> {
    text(&output.stderr).lines().filter(|line| line.starts_with("phalanx: ")).map(str::to_owned).collect()
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_policies() {
    for _ in 0..3 {
        // Built and used several times: whatever there is to complain about is said once.
        println!("\ndefault={}", Barrier::new(2).unwrap().wait_policy());
        assert!(compat::Barrier::new(2).wait_timeout(Duration::from_millis(1)).is_err());
    }
    println!("\nset={}", Barrier::builder(2).wait_policy(WaitPolicy::Park).build().unwrap().wait_policy());
}

#[test]
fn the_wait_policy_is_read_from_the_environment() {
    let output = child("child_policies", &[]);
    assert_eq!((told(&output, "default"), complaints(&output)), ("adaptive".into(), vec![]));
    for policy in WaitPolicy::ALL {
        let output = child("child_policies", &[("PHALANX_WAIT_POLICY", &policy.to_string())]);
        assert_eq!(told(&output, "default"), policy.to_string());
        assert_eq!(told(&output, "set"), "park", "the builder beats the environment");
        assert_eq!(complaints(&output), Vec::<String>::new());
    }
    let output = child("child_policies", &[("PHALANX_WAIT_POLICY", "Spin_Park")]);
    assert_eq!(told(&output, "default"), "spin-park");
}

#[test]
fn a_bad_wait_policy_is_reported_once_and_ignored() {
    for bad in ["busy", "", "spin park please"] {
        let output = child("child_policies", &[("PHALANX_WAIT_POLICY", bad)]);
        assert_eq!(told(&output, "default"), "adaptive");
        let [complaint] = &complaints(&output)[..] else { panic!("{:?}", complaints(&output)) };
        for part in ["PHALANX_WAIT_POLICY", &format!("{bad:?}"), "spin-yield"] {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}

#[test]
fn a_bad_spin_budget_is_reported_once_and_ignored() {
    for (bad, why) in
        [("20", "unit"), ("soon", "number"), ("5 parsecs", "unit"), ("-1us", "number"), ("1e400s", "unit")]
    {
        let output = child("child_policies", &[("PHALANX_SPIN", bad)]);
        let [complaint] = &complaints(&output)[..] else { panic!("{:?}", complaints(&output)) };
        for part in ["PHALANX_SPIN", &format!("{bad:?}"), why] {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
    let both = child("child_policies", &[("PHALANX_SPIN", "soon"), ("PHALANX_WAIT_POLICY", "busy")]);
    assert_eq!(complaints(&both).len(), 2, "one complaint each");
    for good in ["0", "20us", "1.5 ms", "infinite"] {
        assert_eq!(complaints(&child("child_policies", &[("PHALANX_SPIN", good)])), Vec::<String>::new());
    }
}

/// The CPU time of a wait of 30 ms, by a party that has learned nothing yet: one that spins uses what the machine lets it
/// have; one that sleeps, next to nothing.
fn cpu_time_of_a_wait(budget: Option<Duration>) -> Option<Duration> {
    let builder = Barrier::builder(2).wait_policy(WaitPolicy::SpinPark);
    let barrier = budget.map_or(builder.clone(), |budget| builder.spin_budget(budget)).build().unwrap();
    let mut party = barrier.claim(0).unwrap();
    // The system tells what it booked at the last tick or sleep: without one here, the building would count as well.
    std::thread::sleep(Duration::from_micros(1));
    let before = cpu_time()?;
    party.wait_timeout(Duration::from_millis(30)).unwrap_err();
    Some(cpu_time()? - before)
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_spins() {
    let pairs = (0..30).map(|_| cpu_time_of_a_wait(None).zip(cpu_time_of_a_wait(Some(Duration::ZERO))));
    let pairs: Option<Vec<_>> = pairs.collect();
    // The most of those that may spin, since the machine may not let them; and in how many pairs the one that must not
    // was the clearly cheaper one, since a hypervisor's pause is counted as the thread's time (seen: 4 ms of a sleeper).
    let default = pairs.as_ref().map(|pairs| pairs.iter().map(|(default, _)| default.as_micros()).max().unwrap());
    let cheaper = pairs.as_ref().map(|pairs| pairs.iter().filter(|(default, none)| *none < *default / 2).count());
    println!("\ndefault={}", default.map_or("unknown".into(), |time| time.to_string()));
    println!("\ncheaper={}", cheaper.map_or("unknown".into(), |pairs| pairs.to_string()));
    println!("\npairs={pairs:?}");
}

#[test]
fn the_spin_budget_is_read_from_the_environment() {
    let output = child("child_spins", &[("PHALANX_SPIN", "5s")]);
    let numbers = ["default", "cheaper"].map(|key| told(&output, key).parse::<u32>());
    let [Ok(default), Ok(cheaper)] = numbers else {
        println!("skipped: this system does not tell a thread's CPU time");
        return;
    };
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("skipped: with one CPU nobody spins");
        return;
    }
    // What a block-and-wake costs, the budget without the variable, is 100 µs at most.
    assert!(default > 1000, "spun for {default} µs only");
    assert!(
        cheaper > 15,
        "the builder said not to spin, and in {cheaper} of 30 pairs only was that to be seen: {}",
        told(&output, "pairs")
    );
}
