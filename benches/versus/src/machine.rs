//! Where, when and from what the numbers come. A number without these is hearsay.

use crate::place::{Place, allowed};
use crate::share::Since;
use crate::{clock, peer::own};
use serde::Serialize;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

#[derive(Serialize)]
pub struct Machine {
    pub date: String,
    pub command: String,
    pub mode: String,
    pub commit: String,
    pub cpu: String,
    pub cpus: String,
    pub hypervisor: String,
    pub kernel: String,
    pub governor: String,
    pub clock: String,
    pub quota: String,
    pub load: String,
    /// Shares of the CPUs' time that did not go to this run.
    pub lost: String,
    /// Other processes had so much of it that no number here is worth citing.
    pub disturbed: bool,
    pub rustc: String,
    pub flags: String,
    pub compilers: String,
    pub calibration: String,
    #[serde(skip)]
    start: Since,
}

impl Machine {
    pub fn look(place: Place, used: &[usize], mode: &str) -> Self {
        let info = read("/proc/cpuinfo");
        let all = allowed().map_or_else(|why| why, |list| format!("{list:?}"));
        let kin = if place.siblings { ", hyperthreads of one core" } else { "" };
        Self {
            date: utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())),
            command: env::args().collect::<Vec<_>>().join(" "),
            mode: mode.into(),
            commit: commit(),
            cpu: field(&info, "model name").unwrap_or_else(|| env::consts::ARCH.into()),
            cpus: format!("{} online, {all} allowed, {used:?} used{kin}", online()),
            hypervisor: if info.contains(" hypervisor") { "yes".into() } else { "not that the CPU says".into() },
            kernel: read("/proc/version").split(" (").next().unwrap_or_default().into(),
            governor: or_unknown(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            clock: clock::describe(),
            quota: quota(),
            load: load(),
            lost: String::new(),
            disturbed: false,
            rustc: env!("VERSUS_RUSTC").into(),
            flags: format!("{}{}", env!("VERSUS_FLAGS"), if cfg!(debug_assertions) { " - A DEBUG BUILD" } else { "" }),
            compilers: format!(
                "C: {}; C++: {}; clang: {}",
                env!("VERSUS_CC"),
                env!("VERSUS_CXX"),
                env!("VERSUS_CLANG")
            ),
            calibration: own::calibration(),
            start: Since::now(used),
        }
    }

    /// Notes what changed while the run went on.
    pub fn look_again(&mut self) {
        self.load = format!("{} before, {} after", self.load, load());
        let shares = self.start.shares();
        self.disturbed = shares.others + shares.stolen > 5.0;
        self.lost = format!("{:.1} % to the hypervisor, {:.1} % to other processes", shares.stolen, shares.others);
    }

    pub fn lines(&self) -> [(&'static str, &str); 17] {
        [
            ("date", &self.date),
            ("command", &self.command),
            ("mode", &self.mode),
            ("commit", &self.commit),
            ("CPU", &self.cpu),
            ("CPUs", &self.cpus),
            ("hypervisor", &self.hypervisor),
            ("kernel", &self.kernel),
            ("frequency governor", &self.governor),
            ("clock", &self.clock),
            ("CPU quota", &self.quota),
            ("load average", &self.load),
            ("CPU time lost", &self.lost),
            ("rustc", &self.rustc),
            ("flags", &self.flags),
            ("compilers", &self.compilers),
            ("waiting costs, by phalanx's own measurement", &self.calibration),
        ]
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "not readable".into() } else { text }
}

fn field(info: &str, key: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().into())
}

fn online() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count()
}

fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Of the control group, in both versions' notation.
fn quota() -> String {
    let v2 = read("/sys/fs/cgroup/cpu.max");
    let v1 = || {
        let (quota, period) =
            (read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), read("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
        if quota.is_empty() { "not readable".into() } else { format!("{quota} {period}") }
    };
    let raw = if v2.is_empty() { v1() } else { v2 };
    if raw.starts_with("max") || raw.starts_with("-1") { "none".into() } else { raw }
}

/// Of the tree that this was built in, as it is now.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short=12", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(head), Some(changes)) if changes.is_empty() => head,
        (Some(head), _) => format!("{head}-dirty"),
        // Built somewhere else: whoever built it could say.
        (None, _) => option_env!("VERSUS_COMMIT").unwrap_or("unknown (no commit, or no git)").into(),
    }
}

/// Seconds since 1970 as a date; the days by Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3_600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
