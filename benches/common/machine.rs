//! Where, when and from what the numbers come. A number without these is hearsay.

use std::env::consts::ARCH;
use std::fs;
use std::process::Command;

/// What there is to say before and after a run.
pub(crate) struct Machine {
    command: String,
    features: &'static str,
    load: String,
    ticks: Ticks,
}

impl Machine {
    /// Begins the run that somebody can repeat with `command`.
    pub(crate) fn look(command: String, features: &'static str) -> Self {
        Self { command, features, load: load(), ticks: Ticks::now() }
    }

    /// Ends it: what is to be said, by key.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let info = read("/proc/cpuinfo");
        let cpu = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
        let debug = if cfg!(debug_assertions) { " - A DEBUG BUILD" } else { "" };
        vec![
            ("date", said("date", &["-u", "+%F %R UTC"])),
            ("command", self.command.clone()),
            ("features", self.features.to_owned()),
            ("commit", commit()),
            ("cpu", cpu.map_or(ARCH, |(_, name)| name).to_owned()),
            ("cpus", phalanx::topology::startup_mask().to_string()),
            ("kernel", read("/proc/version").split(" (").next().unwrap_or_default().to_owned()),
            ("rustc", said("rustc", &["--version"]) + debug),
            ("load", format!("{} before, {} after", self.load, load())),
            ("others", format!("{:.1} % of the CPUs' time went to others", self.ticks.of_others())),
        ]
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// What a program prints.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    output.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Of the tree that this was built in, as it is now.
fn commit() -> String {
    let tree = env!("CARGO_MANIFEST_DIR");
    let head = said("git", &["-C", tree, "rev-parse", "--short=12", "HEAD"]);
    let changes = said("git", &["-C", tree, "status", "--porcelain", "--untracked-files=no"]);
    if changes.is_empty() || head == "unknown" { head } else { head + "-dirty" }
}

/// The CPUs' time so far, in the ticks of `/proc`: of all, not idle, and of this process.
struct Ticks {
    all: u64,
    busy: u64,
    ours: u64,
}

impl Ticks {
    fn now() -> Self {
        // "cpu", then user nice system idle iowait irq softirq steal; the guests' times behind them are in user already.
        let text = read("/proc/stat");
        let line = text.lines().next().unwrap_or_default();
        let times: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let all = times.iter().sum::<u64>();
        let idle = times.iter().skip(3).take(2).sum::<u64>();
        // Behind the name, which may hold blanks: field 3, so that user and system, 14 and 15, are the 11th and the 12th.
        let text = read("/proc/self/stat");
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ours = fields.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        Self { all, busy: all - idle, ours }
    }

    /// The share of all time since then that others had, the hypervisor included, in percent.
    fn of_others(&self) -> f64 {
        let now = Self::now();
        let (busy, ours) = (now.busy - self.busy, now.ours - self.ours);
        100.0 * busy.saturating_sub(ours) as f64 / (now.all - self.all).max(1) as f64
    }
}

/// CPU time of all threads of this process so far, in nanoseconds; `None` where the system does not say.
pub(crate) fn cpu_time() -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(tasks.flatten().filter_map(of).sum())
}
