//! What a waiting party does with its CPU: the policies; and the environment variables that choose without a rebuild.

use crate::error::report_ignored;
use std::{env, fmt, str::FromStr, sync::OnceLock, time::Duration};

/// What a waiting party does with its CPU until the trip is decided.
///
/// OpenMP users know this as `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT`, Windows users as the flags of
/// `EnterSynchronizationBarrier`. Budgets are times, never iteration counts: the budget of the policies that spin
/// before something else is what a sleep and a wake cost on this machine (see [`calibration`](crate::calibration)),
/// unless [`Builder::spin_budget`](crate::Builder::spin_budget) or `PHALANX_SPIN` says otherwise.
///
/// Every policy but [`Spin`](Self::Spin) stops spinning at once where it can only harm: when there are more parties
/// than the affinity mask and the CPU quota leave CPUs for, and for some waits after the clock has shown that the
/// thread was descheduled.
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, WaitPolicy};
///
/// let barrier = Barrier::builder(2).wait_policy(WaitPolicy::Park).build()?;
/// assert_eq!("spin-park".parse::<WaitPolicy>()?, WaitPolicy::SpinPark);
/// # drop(barrier);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitPolicy {
    /// Polls until the trip is decided, and keeps its CPU whatever happens.
    ///
    /// Burns a whole CPU per waiting party and never sleeps. Right only when every party owns a CPU that nothing else
    /// uses; with more parties than CPUs a trip takes scheduler time slices (milliseconds) instead of microseconds.
    Spin,
    /// Polls for the spin budget, then polls and yields the CPU after each look.
    ///
    /// Burns a CPU whenever nobody else wants it, and never sleeps, so it wakes without a system call by anyone. Right
    /// for many parties per CPU that all work for about as long; wrong for a machine that also does something else.
    SpinYield,
    /// Polls for the spin budget, then sleeps.
    ///
    /// Burns at most the budget per wait. Right when waits are either very short or very long.
    SpinPark,
    /// Sleeps at once.
    ///
    /// Burns nothing; each trip costs a sleep and a wake (5 to 50 µs). Right when waits are always long, or CPU time is
    /// billed.
    Park,
    /// Spins, yields or sleeps, by what this machine and the past waits suggest.
    ///
    /// Spins for the budget while every party has a CPU; yields before it sleeps when CPUs are scarce; spins for a
    /// fraction of the budget when the waits of late have outlasted it by far. Right unless measured otherwise.
    #[default]
    Adaptive,
}

impl WaitPolicy {
    /// All policies, for tests and tables.
    pub const ALL: [Self; 5] = [Self::Spin, Self::SpinYield, Self::SpinPark, Self::Park, Self::Adaptive];
}

impl fmt::Display for WaitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spin => "spin",
            Self::SpinYield => "spin-yield",
            Self::SpinPark => "spin-park",
            Self::Park => "park",
            Self::Adaptive => "adaptive",
        })
    }
}

/// A wait policy that nobody knows, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseWaitPolicyError {
    text: String,
}

impl fmt::Display for ParseWaitPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no wait policy is called {:?}; known are spin, spin-yield, spin-park, park, adaptive", self.text)
    }
}

impl std::error::Error for ParseWaitPolicyError {}

impl FromStr for WaitPolicy {
    type Err = ParseWaitPolicyError;

    /// Reads the names that `Display` writes; case, `-` and `_` do not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |text: &str| text.trim().replace(['-', '_'], "").to_ascii_lowercase();
        let wanted = plain(text);
        Self::ALL
            .into_iter()
            .find(|policy| plain(&policy.to_string()) == wanted)
            .ok_or_else(|| ParseWaitPolicyError { text: text.chars().take(40).collect() })
    }
}

/// What the environment asks for, read once per process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) policy: Option<WaitPolicy>,
    pub(crate) spin: Option<Duration>,
    pub(crate) watchdog: Option<Watchdog>,
}

/// When to report a trip that is stuck, and when to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watchdog {
    pub(crate) after: Duration,
    pub(crate) break_after: Option<Duration>,
}

impl Settings {
    /// `PHALANX_WAIT_POLICY`, `PHALANX_SPIN` and `PHALANX_WATCHDOG`. A bad value is reported once on stderr and ignored.
    pub(crate) fn from_env() -> Self {
        static SETTINGS: OnceLock<Settings> = OnceLock::new();
        *SETTINGS.get_or_init(|| Self {
            policy: read("PHALANX_WAIT_POLICY", str::parse),
            spin: read("PHALANX_SPIN", parse_duration),
            watchdog: read("PHALANX_WATCHDOG", parse_watchdog).flatten(),
        })
    }
}

fn read<T, E: fmt::Display>(variable: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    let value = env::var_os(variable)?;
    let text = value.to_string_lossy();
    parse(&text).map_err(|why| report_ignored(variable, &text, &why)).ok()
}

/// Why a duration could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParseDurationError(&'static str);

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write a number and a unit, such as 20us, 1.5ms, 800ns, 2s, or 0, or infinite", self.0)
    }
}

/// Reads `30s`, `30s,break=10m`; `0` and `infinite` are none.
pub(super) fn parse_watchdog(text: &str) -> Result<Option<Watchdog>, ParseWatchdogError> {
    let (after, rest) = text.split_once(',').map_or((text, None), |(after, rest)| (after, Some(rest)));
    let after = parse_duration(after).map_err(ParseWatchdogError::Duration)?;
    let limit = match rest.map(|rest| rest.split_once('=').map(|(key, limit)| (key.trim(), limit))) {
        None => None,
        Some(Some(("break", limit))) => Some(parse_duration(limit).map_err(ParseWatchdogError::Duration)?),
        Some(_) => return Err(ParseWatchdogError::Option),
    };
    let break_after = limit.filter(|limit| *limit < Duration::MAX);
    Ok(Some(Watchdog { after, break_after }).filter(|_| !after.is_zero() && after < Duration::MAX))
}

/// Why the watchdog's variable could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParseWatchdogError {
    Duration(ParseDurationError),
    Option,
}

impl fmt::Display for ParseWatchdogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(error) => error.fmt(f),
            Self::Option => {
                f.write_str("behind the comma only break=DURATION is known; write such as 30s, or 30s,break=10m")
            }
        }
    }
}

/// Reads `20us`, `1.5 ms`, `0`, `infinite`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let text = text.trim().to_lowercase();
    if text == "infinite" {
        return Ok(Duration::MAX);
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| ParseDurationError("it does not begin with a number"))?;
    let unit = match unit.trim() {
        "" if number == 0.0 => 1e-9,
        "" => return Err(ParseDurationError("the unit is missing")),
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(ParseDurationError("the unit is not ns, us, ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| ParseDurationError("it is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        let micros = |text| parse_duration(text).map(|d| d.as_nanos());
        assert_eq!((micros("20us"), micros("800ns")), (Ok(20_000), Ok(800)));
        assert_eq!(micros(" 1.5 ms "), Ok(1_500_000));
        assert_eq!(micros("2S"), Ok(2_000_000_000));
        assert_eq!(micros("3µs"), Ok(3_000));
        assert_eq!(micros("0"), Ok(0));
        assert_eq!((micros("10m"), micros("1.5 h")), (Ok(600_000_000_000), Ok(5_400_000_000_000)));
        assert_eq!(parse_duration("infinite"), Ok(Duration::MAX));
    }

    #[test]
    fn bad_durations_say_what_is_wrong() {
        for (text, why) in [
            ("5000", "unit is missing"),
            ("", "number"),
            ("us", "number"),
            ("1.2.3s", "number"),
            ("-1us", "number"),
            ("5 parsecs", "not ns, us, ms, s, m or h"),
            ("99999999999999999999999s", "out of range"),
        ] {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_watchdogs_orders_are_read() {
        let seconds = Duration::from_secs;
        let orders = |after, break_after: Option<u64>| {
            Ok(Some(Watchdog { after: seconds(after), break_after: break_after.map(seconds) }))
        };
        assert_eq!(parse_watchdog("30s"), orders(30, None));
        assert_eq!(parse_watchdog(" 30 s , break = 10 m "), orders(30, Some(600)));
        assert_eq!(parse_watchdog("1m,break=0"), orders(60, Some(0)));
        assert_eq!(parse_watchdog("1m,break=infinite"), orders(60, None));
        assert_eq!(parse_watchdog("0"), Ok(None));
        assert_eq!(parse_watchdog("infinite,break=1s"), Ok(None));
        for (text, why) in [
            ("", "number"),
            ("30", "unit"),
            ("30s,", "break="),
            ("30s,stop=1s", "break="),
            ("1s,break=x", "number"),
            ("1s,break", "break="),
        ] {
            let error = parse_watchdog(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn every_policy_is_read_as_it_is_written() {
        for policy in WaitPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(policy.to_string().to_uppercase().replace('-', "_").parse(), Ok(policy));
        }
        assert!("spinpark ".parse::<WaitPolicy>().is_ok());
        let error = "busy".parse::<WaitPolicy>().unwrap_err().to_string();
        assert!(error.contains("\"busy\"") && error.contains("spin-yield"), "{error}");
    }
}
