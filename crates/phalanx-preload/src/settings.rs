//! What the environment asks for, read when the library is loaded: before the program has threads, and before it can change it.

use crate::observe;
use crate::once::Once;
use crate::say::say;
use phalanx::compat::in_place::{self, Means, patience};
use std::env;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

const STATS: &str = "PHALANX_PRELOAD_STATS";
const WATCHDOG: &str = "PHALANX_WATCHDOG";

/// What is to be observed.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Where the statistics go at exit.
    pub(crate) stats: Option<Target>,
    /// After what time a trip is stuck.
    pub(crate) after: Option<Duration>,
}

impl Settings {
    /// Whether barriers are observed at all.
    pub(crate) fn observe(&self) -> bool {
        self.stats.is_some() || self.after.is_some()
    }
}

/// Where the statistics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Stderr,
    /// `%p` in it stands for the process.
    File(OsString),
}

impl Target {
    fn read(value: &OsStr) -> Result<Option<Self>, ()> {
        let bytes = value.as_bytes();
        match bytes {
            b"" | b"0" => Ok(None),
            b"1" => Ok(Some(Self::Stderr)),
            _ if bytes.iter().any(|byte| matches!(byte, b'/' | b'.' | b'%')) => Ok(Some(Self::File(value.to_owned()))),
            _ => Err(()),
        }
    }

    /// The file of process `pid`.
    pub(crate) fn path(pattern: &OsStr, pid: u32) -> PathBuf {
        let (pid, mut path) = (pid.to_string(), Vec::new());
        let mut rest = pattern.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match (byte, behind.split_first()) {
                (b'%', Some((b'p', behind))) => {
                    path.extend_from_slice(pid.as_bytes());
                    behind
                }
                _ => {
                    path.push(byte);
                    behind
                }
            };
        }
        OsString::from_vec(path).into()
    }
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// What was asked for; nothing before the library has been loaded in full (constructors of other libraries).
pub(crate) fn settings() -> &'static Settings {
    static NOTHING: Settings = Settings { stats: None, after: None };
    SETTINGS.get().unwrap_or(&NOTHING)
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    if start().addressed {
        // That it panics is not known to happen; if it does, the barriers are not observed.
        let _ = catch_unwind(|| {
            if SETTINGS.get_or_init(read).observe() {
                observe::prepare();
            }
        });
    }
}

/// What the process started with.
#[derive(Clone, Copy)]
struct Start {
    /// CPUs of the mask: its first thread may pin itself, and then make a barrier for threads on other CPUs.
    cpus: usize,
    /// Whether the environment has anything to say to us.
    addressed: bool,
}

/// Found out when the library is loaded, or before that by a constructor of another library that makes a barrier.
fn start() -> Start {
    static START: Once<Start> = Once::new();
    let look = || Start { cpus: catch_unwind(in_place::cpus).unwrap_or(1), addressed: is_addressed() };
    START.fill(look);
    START.get().copied().unwrap_or_else(look)
}

/// How to wait here, for `pthread_barrier_init`.
pub(crate) fn means() -> Means {
    let Start { cpus, addressed } = start();
    counting_as_all_do(Means::here(cpus, addressed))
}

/// How to wait here, for a wait in a process that has made no barrier: nothing is read that has not been read before.
pub(crate) fn means_of_a_guest() -> Means {
    let Start { cpus, addressed } = start();
    counting_as_all_do(Means::without_quota(cpus, addressed && SETTINGS.get().is_some()))
}

fn counting_as_all_do(means: Means) -> Means {
    means.counting_from_boot(|| Duration::from_nanos(observe::now()))
}

/// Whether the environment has been read, or has nothing to say.
pub(crate) fn are_known() -> bool {
    SETTINGS.get().is_some() || !start().addressed
}

/// Whether any variable in the environment begins as ours do. Mostly none does, and no more need be known: one look at all of it, where std
/// takes one for each name, behind a lock and with more code.
fn is_addressed() -> bool {
    unsafe extern "C" {
        static mut environ: *const *const c_char;
    }
    // SAFETY: NULL, or a list that ends with NULL of strings that end with 0, as `getenv` reads it (a program must not change it
    // while another thread may read it).
    unsafe {
        let mut next = (&raw const environ).read();
        while !next.is_null() && !(*next).is_null() {
            if CStr::from_ptr(*next).to_bytes().starts_with(b"PHALANX_") {
                return true;
            }
            next = next.add(1);
        }
    }
    false
}

fn read() -> Settings {
    let stats = env::var_os(STATS).and_then(|value| {
        Target::read(&value).unwrap_or_else(|()| {
            say(&format!(
                "phalanx: {STATS}={:?} is ignored: write 1 for stderr, or a path such as ./stats.%p\n",
                value.to_string_lossy().chars().take(80).collect::<String>()
            ));
            None
        })
    });
    // Reads the library's variables, too, and says which of them make no sense.
    let after = patience();
    let breaks = |value: OsString| value.as_bytes().contains(&b',');
    if after.is_some() && env::var_os(WATCHDOG).is_some_and(breaks) {
        say(&format!(
            "phalanx: {WATCHDOG}: pthread barriers cannot be broken, so break= is ignored; the report comes\n"
        ));
    }
    Settings { stats, after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Two processes are two times to find them out.
    #[test]
    fn all_means_count_from_one_time() {
        let ways: [fn() -> Means; 2] = [means, means_of_a_guest];
        for (one, other) in [(ways[0], ways[1]), (ways[1], ways[0])] {
            let apart = || {
                let earlier = one().epoch();
                thread::sleep(Duration::from_millis(20));
                other().epoch().saturating_duration_since(earlier)
            };
            // Somebody else may have the CPU at each of the looks.
            assert!((0..50).any(|_| apart() < Duration::from_millis(10)));
        }
    }

    #[test]
    fn where_statistics_go_is_read_or_refused() {
        let read = |text: &str| Target::read(OsStr::new(text));
        assert_eq!((read(""), read("0")), (Ok(None), Ok(None)));
        assert_eq!(read("1"), Ok(Some(Target::Stderr)));
        for path in ["./stats", "stats.%p", "/tmp/of this", "a.b"] {
            assert_eq!(read(path), Ok(Some(Target::File(path.into()))));
        }
        for text in ["2", "yes", "on", "true", "stderr"] {
            assert_eq!(read(text), Err(()), "{text}");
        }
    }

    #[test]
    fn the_process_is_put_into_the_path() {
        let path = |pattern: &str| Target::path(OsStr::new(pattern), 47);
        assert_eq!(path("./of.%p.%p"), PathBuf::from("./of.47.47"));
        assert_eq!(path("a%b%"), PathBuf::from("a%b%"));
        assert_eq!(path("%%p"), PathBuf::from("%47"));
        assert_eq!(Target::path(OsStr::from_bytes(b"\xff%p"), 1).as_os_str().as_bytes(), b"\xff1");
    }
}
