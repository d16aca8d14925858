//! What the kernel says of the machine, each in a line. Whatever cannot be read is said to be so.

use phalanx::topology::Topology;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CPUS: &str = "/sys/devices/system/cpu";
pub const UNREADABLE: &str = "not readable";

pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Of the first CPU.
pub fn field(info: &str, key: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().into())
}

pub fn online() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count()
}

pub fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Of all CPUs: the usual case is one for all.
pub fn governor() -> String {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(CPUS).into_iter().flatten().flatten() {
        let governor = read(entry.path().join("cpufreq/scaling_governor"));
        if !governor.is_empty() {
            *times.entry(governor).or_default() += 1;
        }
    }
    let one = |(governor, times): (String, usize)| format!("{governor} on {times} CPUs");
    if times.is_empty() { UNREADABLE.into() } else { times.into_iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// Whether cores have more than one thread, and whether these are in use.
pub fn smt() -> String {
    match (&*read(format!("{CPUS}/smt/active")), &*read(format!("{CPUS}/smt/control"))) {
        ("", "") => UNREADABLE.into(),
        ("1", control) => format!("on ({control})"),
        (_, control) => format!("off ({control})"),
    }
}

/// Frequencies above the nominal one, which come and go with heat and neighbours.
pub fn boost() -> String {
    let switch = |path: &str, on: &str| match &*read(format!("{CPUS}/{path}")) {
        "" => None,
        value => Some(if value == on { "on" } else { "off" }),
    };
    switch("cpufreq/boost", "1").or_else(|| switch("intel_pstate/no_turbo", "0")).unwrap_or(UNREADABLE).into()
}

/// Of the first CPU, then how the CPUs are grouped.
pub fn caches() -> String {
    let cache = |index: usize| {
        let of = |what: &str| read(format!("{CPUS}/cpu0/cache/index{index}/{what}"));
        let kind = match &*of("type") {
            "Data" => "d",
            "Instruction" => "i",
            "Unified" => "",
            _ => return None,
        };
        Some(format!("L{}{kind} {}", of("level"), of("size")))
    };
    let caches: Vec<String> = (0..8).map_while(cache).collect();
    let caches = if caches.is_empty() { "caches not readable".into() } else { caches.join(", ") };
    format!("{caches}; {}", Topology::detect())
}

/// Which one, if the CPU says that there is one.
pub fn hypervisor(info: &str) -> String {
    if !info.contains(" hypervisor") {
        return NO_HYPERVISOR.into();
    }
    let names = ["/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"].map(read);
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "yes; which one is not readable".into() } else { format!("yes: {}", names.join(", ")) }
}

pub const NO_HYPERVISOR: &str = "not that the CPU says";

/// What the kernel does about the processor's leaks: it makes system calls and wake-ups dearer.
pub fn mitigations() -> String {
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(format!("{CPUS}/vulnerabilities")).into_iter().flatten().flatten() {
        let kind = match read(entry.path()) {
            text if text.starts_with("Mitigation") => "mitigated",
            text if text.starts_with("Vulnerable") => "vulnerable",
            _ => continue,
        };
        by_kind.entry(kind).or_default().push(entry.file_name().to_string_lossy().into_owned());
    }
    let one = |(kind, mut names): (&str, Vec<String>)| {
        names.sort();
        format!("{kind}: {}", names.join(", "))
    };
    if by_kind.is_empty() { UNREADABLE.into() } else { by_kind.into_iter().map(one).collect::<Vec<_>>().join("; ") }
}

pub const NO_QUOTA: &str = "none";

/// Of the control group, in both versions' notation.
pub fn quota() -> String {
    let v2 = read("/sys/fs/cgroup/cpu.max");
    let v1 = || {
        let (quota, period) =
            (read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), read("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
        if quota.is_empty() { UNREADABLE.into() } else { format!("{quota} {period}") }
    };
    let raw = if v2.is_empty() { v1() } else { v2 };
    if raw.starts_with("max") || raw.starts_with("-1") {
        return phalanx::topology::quota().map_or_else(|| NO_QUOTA.into(), |cpus| format!("{cpus} CPUs"));
    }
    raw
}

/// Short, for the name of a folder: `epyc-2cpu`.
pub fn slug(model: &str, cpus: usize) -> String {
    // Of a model's name, neither its maker nor what every model has.
    const COMMON: [&str; 16] = [
        "amd",
        "intel",
        "r",
        "tm",
        "c",
        "cpu",
        "processor",
        "core",
        "with",
        "radeon",
        "graphics",
        "gen",
        "genuine",
        "platinum",
        "gold",
        "silver",
    ];
    let lower = model.to_lowercase();
    let end = lower.find('@').unwrap_or(lower.len());
    let words = lower[..end].split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let own = words.filter(|word| !COMMON.contains(word) && !word.ends_with("core") && !word.ends_with("th"));
    let name = own.take(2).collect::<Vec<_>>().join("-");
    format!("{}-{cpus}cpu", if name.is_empty() { "machine" } else { &name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_short_names() {
        assert_eq!(slug("AMD EPYC", 2), "epyc-2cpu");
        assert_eq!(slug("AMD EPYC 7763 64-Core Processor", 128), "epyc-7763-128cpu");
        assert_eq!(slug("Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz", 2), "xeon-8358-2cpu");
        assert_eq!(slug("12th Gen Intel(R) Core(TM) i9-12900K", 24), "i9-12900k-24cpu");
        assert_eq!(slug("", 1), "machine-1cpu");
    }

    #[test]
    fn everything_says_something() {
        for line in [governor(), smt(), boost(), caches(), hypervisor(" hypervisor"), mitigations(), quota()] {
            assert!(!line.trim().is_empty());
        }
    }
}
