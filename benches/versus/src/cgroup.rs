//! A control group of our own with a CPU quota, for a child process; removed again whatever happens to the child.
//!
//! Version 1 has the file `cpu.cfs_quota_us` in each group of the hierarchy of the controller `cpu`. Version 2 has
//! `cpu.max`, if the group above hands the controller on (`cgroup.subtree_control`), and lets it do so only if no process
//! is in it, the root excepted. So a group is tried below our own, beside our own, and below the root of what is mounted, and
//! what was switched on for it is switched off again. All of that needs permissions that few have: whoever lacks them gets
//! the reasons.
//!
//! A group whose process was killed stays, empty; each new one removes those of its kind whose makers are gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel's and every container runtime's default.
pub const PERIOD: Duration = Duration::from_millis(100);

const PREFIX: &str = "phalanx-versus-";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Our own group in a hierarchy that may limit CPU time.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    version: Version,
    /// Where the hierarchy is mounted.
    top: PathBuf,
    own: PathBuf,
}

/// The group, until it is dropped.
pub struct Group {
    version: Version,
    path: PathBuf,
    /// Handed the controller on for our sake.
    switched: Option<PathBuf>,
}

impl Group {
    /// A group that gets so many CPUs' worth of time.
    ///
    /// # Errors
    ///
    /// The reasons, of each place that was tried.
    pub fn with_quota(cpus: f64) -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
        let homes = homes(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        if homes.is_empty() {
            return Err("no control group hierarchy is mounted that knows of CPU time".into());
        }
        let mut why = Vec::new();
        for home in &homes {
            for above in home.places() {
                match Self::below(home.version, &above, cpus) {
                    Ok(group) => return Ok(group),
                    Err(reason) => why.push(reason),
                }
            }
        }
        Err(why.join("; "))
    }

    fn below(version: Version, above: &Path, cpus: f64) -> Result<Self, String> {
        sweep(above);
        let switched = if version == Version::Two { hand_on(above)? } else { None };
        let path = above.join(format!("{PREFIX}{}", std::process::id()));
        // From here on dropping it undoes everything.
        let group = Self { version, path, switched };
        fs::create_dir(&group.path).map_err(|e| format!("{}: {e}", group.path.display()))?;
        let (period, quota) = (PERIOD.as_micros(), (PERIOD.as_micros() as f64 * cpus) as u64);
        match version {
            Version::One => {
                group.write("cpu.cfs_period_us", &period.to_string())?;
                group.write("cpu.cfs_quota_us", &quota.to_string())?;
            }
            Version::Two => group.write("cpu.max", &format!("{quota} {period}"))?,
        }
        Ok(group)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In how many periods there was something to run, and in how many of these the quota ran out.
    pub fn throttled(&self) -> (u64, u64) {
        counts(&fs::read_to_string(self.path.join("cpu.stat")).unwrap_or_default())
    }

    /// Which kind it is, for the report.
    pub fn version(&self) -> &'static str {
        match self.version {
            Version::One => "cgroup v1",
            Version::Two => "cgroup v2",
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        write(&self.path.join(file), text)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just been waited for may be in it for a moment longer.
        let give_up = Instant::now() + Duration::from_secs(2);
        while self.path.exists() && fs::remove_dir(&self.path).is_err() {
            if Instant::now() > give_up {
                eprintln!("versus: the control group {} could not be removed", self.path.display());
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(above) = &self.switched
            && let Err(why) = write(&above.join("cgroup.subtree_control"), "-cpu")
        {
            eprintln!("versus: {why}");
        }
    }
}

/// Puts the calling process into a group; its first act, for what it starts and reads from then on is the group's.
pub fn join(group: &Path) -> Result<(), String> {
    write(&group.join("cgroup.procs"), &std::process::id().to_string())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Lets the groups below have the controller; the group itself, if it did not before.
fn hand_on(above: &Path) -> Result<Option<PathBuf>, String> {
    let file = above.join("cgroup.subtree_control");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    if text.split_whitespace().any(|controller| controller == "cpu") {
        return Ok(None);
    }
    write(&file, "+cpu")?;
    Ok(Some(above.into()))
}

/// Removes groups whose makers are gone.
fn sweep(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if maker.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()) {
            // It may have processes in it still; then it is not ours to remove.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// `nr_periods` and `nr_throttled` of a `cpu.stat`.
fn counts(text: &str) -> (u64, u64) {
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        line.unwrap_or(0)
    };
    (of("nr_periods "), of("nr_throttled "))
}

impl Home {
    /// Below which groups ours may be tried.
    fn places(&self) -> Vec<PathBuf> {
        let beside = self.own.parent().filter(|above| above.starts_with(&self.top)).map(Path::to_owned);
        let mut places = vec![self.own.clone()];
        // In version 1 a group may have both processes and groups, so that nothing is gained beside our own.
        places.extend(beside.filter(|_| self.version == Version::Two).into_iter().chain([self.top.clone()]));
        places.dedup();
        places
    }
}

/// Where our groups are to be seen, by `/proc/self/mountinfo` and `/proc/self/cgroup`; version 1 first, which has the
/// controller where both are mounted.
fn homes(mountinfo: &str, groups: &str) -> Vec<Home> {
    let mut homes: Vec<Home> = mountinfo.lines().filter_map(|line| home(line, groups)).collect();
    homes.sort_by_key(|home| home.version == Version::Two);
    homes
}

/// `36 35 98:0 /root /point opts [optional ...] - type source super-opts`
fn home(mount: &str, groups: &str) -> Option<Home> {
    let (mount, filesystem) = mount.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let version = match (filesystem.next()?, filesystem.nth(1)?) {
        ("cgroup2", _) => Version::Two,
        ("cgroup", options) if options.split(',').any(|option| option == "cpu") => Version::One,
        _ => return None,
    };
    let own = groups.lines().find_map(|line| own(line, version))?;
    // Mounted is the part of the hierarchy below `root`; of what lies above, as in a container, there is only the top.
    let below = own.strip_prefix(root.trim_end_matches('/')).filter(|below| below.is_empty() || below.starts_with('/'));
    let (top, below) = (PathBuf::from(point), below.unwrap_or_default().trim_start_matches('/'));
    Some(Home { version, own: if below.is_empty() { top.clone() } else { top.join(below) }, top })
}

/// `hierarchy-ID:controller-list:path`; the path may itself contain colons.
fn own(line: &str, version: Version) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let ours = match version {
        Version::One => controllers.split(',').any(|controller| controller == "cpu"),
        Version::Two => id == "0" && controllers.is_empty(),
    };
    ours.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "33 24 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    fn paths(home: &Home) -> (Version, &str, Vec<String>) {
        let places = home.places().iter().map(|place| place.display().to_string()).collect();
        (home.version, home.own.to_str().unwrap(), places)
    }

    #[test]
    fn version_1_is_where_the_controller_is() {
        let groups = "9:name=systemd:/a\n5:cpuset:/b\n4:cpu,cpuacct:/c:d/e\n0::/f\n";
        let homes =
            homes(&format!("{V2}\n{V1}\n34 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"), groups);
        assert_eq!(homes.len(), 2);
        let top = "/sys/fs/cgroup/cpu,cpuacct";
        let (own, places) = (format!("{top}/c:d/e"), vec![format!("{top}/c:d/e"), top.into()]);
        assert_eq!(paths(&homes[0]), (Version::One, &*own, places));
        assert_eq!(homes[1].version, Version::Two);
    }

    #[test]
    fn version_2_may_go_beside_us_or_to_the_root() {
        let homes = homes(V2, "0::/user.slice/session.scope\n");
        let [own, beside, top] =
            ["/user.slice/session.scope", "/user.slice", ""].map(|path| format!("/sys/fs/cgroup{path}"));
        assert_eq!(paths(&homes[0]), (Version::Two, &*own.clone(), vec![own, beside, top]));
    }

    #[test]
    fn a_container_sees_only_its_own_part() {
        let mount = "33 24 0:29 /box/1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu";
        let own = |path: &str| homes(mount, &format!("4:cpu:{path}"))[0].own.display().to_string();
        assert_eq!(own("/box/1"), "/sys/fs/cgroup/cpu");
        assert_eq!(own("/box/1/a"), "/sys/fs/cgroup/cpu/a");
        assert_eq!(own("/box/12"), "/sys/fs/cgroup/cpu");
        assert_eq!(own("/"), "/sys/fs/cgroup/cpu");
    }

    #[test]
    fn nothing_is_mounted() {
        assert_eq!(homes("22 1 0:20 / /proc rw - proc proc rw", "0::/"), []);
        assert_eq!(homes(V1, "0::/"), []);
    }

    #[test]
    fn a_controller_is_handed_on_once() {
        let above = std::env::temp_dir().join(format!("versus-cgroup-{}", std::process::id()));
        fs::create_dir(&above).unwrap();
        let file = above.join("cgroup.subtree_control");
        assert!(hand_on(&above).unwrap_err().contains("cgroup.subtree_control"));
        fs::write(&file, "cpuset memory").unwrap();
        assert_eq!(hand_on(&above).unwrap().as_deref(), Some(&*above));
        assert_eq!(fs::read_to_string(&file).unwrap(), "+cpu");
        fs::write(&file, "memory cpu").unwrap();
        assert_eq!(hand_on(&above), Ok(None));
        fs::remove_dir_all(&above).unwrap();
    }

    #[test]
    fn throttled_periods() {
        assert_eq!(counts("nr_periods 40\nnr_throttled 38\nthrottled_time 1900000000\n"), (40, 38));
        assert_eq!(counts("usage_usec 7\nnr_periods 3\nnr_throttled 0\nthrottled_usec 0\n"), (3, 0));
        assert_eq!(counts(""), (0, 0));
    }
}
