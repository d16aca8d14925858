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

/// The CPU time of waits of 30 ms, in ascending order, each by a party that has learned nothing yet. One that spins uses
/// what the machine lets it have; one that sleeps, next to nothing.
fn cpu_times_of_waits(budget: Option<Duration>) -> Option<Vec<Duration>> {
    let waits = (0..30).map(|_| {
        let builder = Barrier::builder(2).wait_policy(WaitPolicy::SpinPark);
        let barrier = budget.map_or(builder.clone(), |budget| builder.spin_budget(budget)).build().unwrap();
        let mut party = barrier.claim(0).unwrap();
        let before = cpu_time()?;
        party.wait_timeout(Duration::from_millis(30)).unwrap_err();
        Some(cpu_time()? - before)
    });
    let mut times = waits.collect::<Option<Vec<_>>>()?;
    times.sort_unstable();
    Some(times)
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_spins() {
    // The most of the one that may spin, since the machine may not let it; the median of the one that must not, since a
    // hypervisor's pause at the wrong moment is counted as the thread's time (seen: 4 ms in a wait of a sleeper).
    for (name, budget, which) in [("default", None, 1.0), ("none", Some(Duration::ZERO), 0.5)] {
        let time = cpu_times_of_waits(budget).map(|times| times[((times.len() - 1) as f64 * which) as usize]);
        println!("\n{name}={}", time.map_or("unknown".into(), |time| time.as_micros().to_string()));
    }
}

#[test]
fn the_spin_budget_is_read_from_the_environment() {
    let output = child("child_spins", &[("PHALANX_SPIN", "5s")]);
    let (Ok(default), Ok(none)) = (told(&output, "default").parse::<u32>(), told(&output, "none").parse::<u32>())
    else {
        println!("skipped: this system does not tell a thread's CPU time");
        return;
    };
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("skipped: with one CPU nobody spins");
        return;
    }
    // What a block-and-wake costs, the budget without the variable, is 100 µs at most.
    assert!(default > 1000, "spun for {default} µs only");
    assert!(none < 1000, "the builder said not to spin, and it spun for {none} µs");
}
