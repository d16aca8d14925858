//! Where, when and from what the numbers come. A number without these is hearsay.

mod provenance;
mod system;

pub use provenance::is_known;

use crate::place::{Place, allowed};
use crate::report::{Row, Section, Table};
use crate::share::Since;
use crate::{clock, peer::own};
use serde::{Deserialize, Serialize};
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};
use system::{field, load, online, read};

#[derive(Default, Serialize, Deserialize)]
pub struct Machine {
    /// Why this run should be taken with caution; empty if nothing speaks against it.
    pub warnings: Vec<String>,
    pub date: String,
    pub command: String,
    pub mode: String,
    pub commit: String,
    pub cpu: String,
    pub cpus: String,
    /// For the name of a folder.
    pub slug: String,
    pub caches: String,
    pub smt: String,
    pub hypervisor: String,
    pub kernel: String,
    pub governor: String,
    pub boost: String,
    pub mitigations: String,
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
    /// Versions of the peers that are crates.
    pub peers: String,
    pub calibration: String,
    #[serde(skip)]
    start: Option<Since>,
}

const SIBLINGS: &str = ", hyperthreads of one core";

impl Machine {
    pub fn look(place: Place, used: &[usize], mode: &str) -> Self {
        let info = read("/proc/cpuinfo");
        let all = allowed().map_or_else(|why| why, |list| format!("{list:?}"));
        let model = field(&info, "model name").unwrap_or_else(|| env::consts::ARCH.into());
        let kin = if place.siblings { SIBLINGS } else { "" };
        Self {
            warnings: Vec::new(),
            date: utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())),
            command: provenance::command(),
            mode: mode.into(),
            commit: provenance::commit(),
            slug: system::slug(&model, online()),
            cpu: model,
            cpus: format!("{} online, {all} allowed, {used:?} used{kin}", online()),
            caches: system::caches(),
            smt: system::smt(),
            hypervisor: system::hypervisor(&info),
            kernel: read("/proc/version").split(" (").next().unwrap_or_default().into(),
            governor: system::governor(),
            boost: system::boost(),
            mitigations: system::mitigations(),
            clock: clock::describe(),
            quota: system::quota(),
            load: load(),
            lost: String::new(),
            disturbed: false,
            rustc: env!("VERSUS_RUSTC").into(),
            flags: format!("{}{}", env!("VERSUS_FLAGS"), if cfg!(debug_assertions) { DEBUG } else { "" }),
            compilers: format!(
                "C: {}; C++: {}; clang: {}",
                env!("VERSUS_CC"),
                env!("VERSUS_CXX"),
                env!("VERSUS_CLANG")
            ),
            peers: provenance::peers(),
            calibration: own::calibration(),
            start: Some(Since::now(used)),
        }
    }

    /// Notes what changed while the run went on, and all that speaks against it.
    pub fn look_again(&mut self, sections: &[Section]) {
        self.load = format!("{} before, {} after", self.load, load());
        if let Some(shares) = self.start.as_ref().map(Since::shares) {
            self.disturbed = shares.others + shares.stolen > 5.0;
            self.lost = format!("{:.1} % to the hypervisor, {:.1} % to other processes", shares.stolen, shares.others);
        }
        self.warn_again(sections);
    }

    /// What speaks against a run, by all that it has found: the same when its report is read again.
    pub fn warn_again(&mut self, sections: &[Section]) {
        self.warnings = self.warned(sections);
    }

    fn warned(&self, sections: &[Section]) -> Vec<String> {
        let smoke = self.mode == "smoke";
        let mut all: Vec<String> = sections.iter().filter(|_| !smoke).filter_map(scatter).collect();
        let mut warn = |so: bool, what: String| all.extend(so.then_some(what));
        warn(smoke, "a smoke run: only the results were checked, and the numbers say nothing".into());
        warn(self.flags.ends_with(DEBUG), "a debug build: the numbers say nothing".into());
        warn(self.disturbed, format!("the CPUs were not ours alone ({}): do not cite this run", self.lost));
        warn(
            self.hypervisor != system::NO_HYPERVISOR,
            format!(
                "a virtual machine ({}): absolute times, sleeping and waking above all, are its own; ratios are more robust",
                self.hypervisor
            ),
        );
        let fixed = self.governor == system::UNREADABLE
            || self.governor.split(", ").all(|governor| governor.starts_with("performance"));
        warn(!fixed, format!("the frequency governor is not `performance` everywhere: {}", self.governor));
        warn(
            ![system::NO_QUOTA, system::UNREADABLE].contains(&&*self.quota),
            format!("a CPU quota is set ({}): who burns CPU time may be stopped for it", self.quota),
        );
        warn(
            self.cpus.contains(SIBLINGS),
            "both CPUs are hyperthreads of one core, which share its caches: no two cores were to be had".into(),
        );
        warn(
            !is_known(&self.commit),
            format!("the commit is {}: nobody else can look at what was measured", self.commit),
        );
        all
    }

    pub fn lines(&self) -> [(&'static str, &str); 22] {
        [
            ("date", &self.date),
            ("command", &self.command),
            ("mode", &self.mode),
            ("commit", &self.commit),
            ("CPU", &self.cpu),
            ("CPUs", &self.cpus),
            ("caches and topology", &self.caches),
            ("SMT", &self.smt),
            ("hypervisor", &self.hypervisor),
            ("kernel", &self.kernel),
            ("frequency governor", &self.governor),
            ("frequency boost", &self.boost),
            ("mitigations", &self.mitigations),
            ("clock", &self.clock),
            ("CPU quota", &self.quota),
            ("load average", &self.load),
            ("CPU time lost", &self.lost),
            ("rustc", &self.rustc),
            ("flags", &self.flags),
            ("compilers", &self.compilers),
            ("peers that are crates", &self.peers),
            ("waiting costs, by phalanx's own measurement", &self.calibration),
        ]
    }
}

/// What the flags of one end with.
const DEBUG: &str = " - A DEBUG BUILD";

/// Where somebody divided by itself is not quite one.
///
/// The first table of the section will do. Those who take part twice are called so: "the floor once more", "auto once more".
fn scatter(section: &Section) -> Option<String> {
    let twice = |table: &Table| {
        let noisy = |row: &Row| {
            let name = row.name.strip_suffix(" once more")?;
            // The first of the floors is the one that takes part twice, whichever is the faster.
            let first = || table.rows.iter().find(|row| row.role == "floor").map(|row| &*row.name);
            let is = row.over(if name == "the floor" { first()? } else { name })?;
            let quiet = (is.median - 1.0).abs() < 0.03 && is.q3 - is.q1 < 0.2;
            let what = format!(
                "noisy: in `{}`, {name} divided by itself is {:.3}, with quartiles {:.3} and {:.3}: do not cite it",
                section.shape, is.median, is.q1, is.q3
            );
            (!quiet).then_some(what)
        };
        table.rows.iter().find_map(noisy)
    };
    section.tables.iter().find_map(twice)
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
