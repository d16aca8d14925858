//! What the watchdog tells: one stuck trip, with everything that could be found out about it, as data and as a text for
//! whoever is woken by it.

use super::hint::Hint;
use super::subject::{Handle, Subject, TripId};
use super::thread_state::{Asleep, ThreadState};
use crate::error::{Broken, duration_text};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One stuck trip: who is there, who is missing, and what the missing are doing.
///
/// What a thread dump is to a program, for one trip of one barrier, with the conclusions drawn. `Display` is a text of several
/// lines; the methods give the same as data. It says how things were at one moment, checked twice: if anything at the barrier
/// moved meanwhile there is no report.
///
/// # Examples
///
/// ```
/// use phalanx::observe::watchdog::Hint;
/// use phalanx::{Barrier, Cause};
/// use std::time::Duration;
///
/// let barrier = Barrier::builder(2)
///     .name("halo")
///     .watchdog(Duration::from_millis(20), |report| {
///         assert_eq!((report.barrier(), report.generation()), ("halo", 0));
///         assert_eq!(report.missing()[0].rank(), 1);
///         assert_eq!(report.hints(), [Hint::Unclaimed { rank: 1 }]);
///         report.break_trip("the watchdog says so");
///     })
///     .build()?;
/// let mut party = barrier.claim(0)?; // and nobody claims rank 1
/// let broken = party.wait().unwrap_err();
/// assert_eq!(broken.cause(), &Cause::Aborted { reason: "the watchdog says so".into() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Report {
    pub(super) barrier: Arc<str>,
    pub(super) number: u64,
    pub(super) trip: TripId,
    pub(super) parties: usize,
    pub(super) arrived: usize,
    pub(super) cpus: usize,
    pub(super) after: Duration,
    pub(super) stuck: Duration,
    pub(super) count: u32,
    pub(super) present: Vec<Present>,
    pub(super) missing: Vec<Absent>,
    pub(super) hints: Vec<Hint>,
    /// `None` where nobody can be asked to break it.
    pub(super) subject: Option<Weak<dyn Subject>>,
}

impl Report {
    /// What people call the barrier ([`Builder::name`](crate::Builder::name)).
    #[must_use]
    pub fn barrier(&self) -> &str {
        &self.barrier
    }

    /// The number of the barrier, which tells it from others of the same name in this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The trip that is stuck.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.trip.generation
    }

    /// Whether all have arrived at it, and it is not decided yet because one party does something for all: an action, a
    /// serial section, an operator. [`missing`](Self::missing) are then those that do not wait for it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.trip.held
    }

    /// How many parties the trip has.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many of them have arrived.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived
    }

    /// How many CPUs the process may keep busy ([`available_cpus`](crate::topology::available_cpus)).
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// How long somebody has been waiting at the trip.
    #[must_use]
    pub fn stuck_for(&self) -> Duration {
        self.stuck
    }

    /// How long a trip may take before it is reported.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Which report on this trip it is, from 1.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Those who have arrived, by rank; behind them those who wait already for the next trip, their first.
    #[must_use]
    pub fn present(&self) -> &[Present] {
        &self.present
    }

    /// Those who have not, by rank.
    #[must_use]
    pub fn missing(&self) -> &[Absent] {
        &self.missing
    }

    /// Why, for each missing rank about which something is known; or for all of them, where there are no ranks.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// Breaks this very trip, from any thread and at any time, with [`Cause::Aborted`](crate::Cause::Aborted): all parties
    /// that wait, and those that come to wait, are told this reason. `None` if that trip is decided already, or its barrier
    /// gone; a later trip is never broken. One that is [held](Self::is_held) is complete, and cannot be broken.
    pub fn break_trip(&self, reason: impl Into<String>) -> Option<Broken> {
        self.subject.as_ref()?.upgrade()?.break_trip(self.trip, reason.into())
    }
}

/// A party that has arrived.
#[derive(Clone, Debug)]
pub struct Present {
    pub(super) rank: usize,
    pub(super) anonymous: bool,
    pub(super) ahead: bool,
    pub(super) since: Option<Duration>,
    pub(super) thread: Option<Thread>,
    pub(super) phase: Option<&'static str>,
}

impl Present {
    /// Its rank; at a [`compat::Barrier`](crate::compat::Barrier) its arrival index.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether it has joined, takes part from the next trip on, and waits there already.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// How long it has been waiting, exactly. `None` if it does not wait: it has arrived and gone to work
    /// ([`Party::arrive`](crate::Party::arrive)).
    #[must_use]
    pub fn waits_for(&self) -> Option<Duration> {
        self.since
    }

    /// Its thread, if it is known.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref()
    }

    /// What it says it does ([`Party::set_phase`](crate::Party::set_phase)).
    #[must_use]
    pub fn phase(&self) -> Option<&'static str> {
        self.phase
    }
}

/// A party that has not arrived.
#[derive(Clone, Debug)]
pub struct Absent {
    pub(super) rank: usize,
    pub(super) handle: Handle,
    pub(super) thread: Option<Thread>,
    pub(super) phase: Option<&'static str>,
    pub(super) arrivals: u64,
    pub(super) last: Option<Duration>,
}

impl Absent {
    /// Its rank.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What has become of its handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The thread that last waited with its handle, if one ever has.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref()
    }

    /// What it says it does ([`Party::set_phase`](crate::Party::set_phase)).
    #[must_use]
    pub fn phase(&self) -> Option<&'static str> {
        self.phase
    }

    /// How often it has arrived, at whatever trip of this barrier.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// How long ago it last arrived at the latest: when it was last seen to wait long. Its last arrival may have been later,
    /// but is at least [`Report::stuck_for`] ago.
    #[must_use]
    pub fn last_seen(&self) -> Option<Duration> {
        self.last
    }
}

/// A thread of this process, as the system sees it.
#[derive(Clone, Debug)]
pub struct Thread {
    pub(super) name: Option<String>,
    pub(super) id: Option<u32>,
    pub(super) cpu: Option<usize>,
    pub(super) state: ThreadState,
    pub(super) asleep: Option<Asleep>,
}

impl Thread {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The kernel's number of it, as debuggers show it.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// The CPU that it last ran on.
    #[must_use]
    pub fn cpu(&self) -> Option<usize> {
        self.cpu
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> ThreadState {
        self.state
    }

    /// Where it sleeps, if it does.
    #[must_use]
    pub fn asleep(&self) -> Option<&Asleep> {
        self.asleep.as_ref()
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{}`", name.escape_debug())?,
            None => f.write_str("a thread without a name")?,
        }
        if let Some(id) = self.id {
            write!(f, " (thread {id}")?;
            if let Some(cpu) = self.cpu {
                write!(f, ", last on cpu {cpu}")?;
            }
            f.write_str(")")?;
        }
        if self.state != ThreadState::Unknown {
            write!(f, ": {}", self.state)?;
        }
        if let Some(asleep) = &self.asleep {
            match (asleep.call(), asleep.channel()) {
                (Some(call), Some(channel)) => write!(f, " in {call} ({channel})")?,
                (Some(place), None) | (None, Some(place)) => write!(f, " in {place}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("barrier", &self.barrier)
            .field("number", &self.number)
            .field("generation", &self.trip.generation)
            .field("is_held", &self.trip.held)
            .field("parties", &self.parties)
            .field("stuck_for", &self.stuck)
            .field("count", &self.count)
            .field("present", &self.present)
            .field("missing", &self.missing)
            .field("hints", &self.hints)
            .finish_non_exhaustive()
    }
}

/// The text says no more about each: those that are missing come first.
const SHOWN: usize = 16;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parties, stuck, .. } = self;
        let here = self.present.iter().filter(|present| !present.ahead).count();
        let arrived = self.arrived;
        write!(
            f,
            "barrier `{}`: trip {} is stuck for {}",
            self.barrier.escape_debug(),
            self.generation(),
            spoken(*stuck)
        )?;
        match self.is_held() {
            true => write!(f, ": all {parties} parties have arrived, and {here} wait to be let go")?,
            false => write!(f, ": {arrived} of {parties} parties have arrived")?,
        }
        if self.count > 1 {
            write!(f, " (report {})", self.count)?;
        }
        for absent in self.missing.iter().take(SHOWN) {
            write!(f, "\n  {}{}", if self.is_held() { "does not wait: " } else { "missing: " }, Line(absent, self))?;
        }
        more(f, self.missing.len())?;
        for present in self.present.iter().take(SHOWN) {
            write!(f, "\n  {}: {present}", if present.ahead { "waits for the next trip" } else { "here" })?;
        }
        more(f, self.present.len())?;
        for hint in self.hints.iter().take(SHOWN) {
            write!(f, "\n  cause: {hint}")?;
        }
        more(f, self.hints.len())?;
        let alive = |absent: &Absent| absent.thread.as_ref().is_some_and(|thread| thread.state != ThreadState::Gone);
        if self.missing.iter().any(alive) {
            write!(f, "\n  to see all stacks: gdb -p {} -batch -ex 'thread apply all bt'", std::process::id())?;
        }
        Ok(())
    }
}

/// That there are more than are shown.
fn more(f: &mut fmt::Formatter<'_>, all: usize) -> fmt::Result {
    match all.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "\n  .. and {more} more"),
    }
}

/// One missing party.
struct Line<'a>(&'a Absent, &'a Report);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(absent, report) = self;
        write!(f, "rank {}", absent.rank)?;
        match (absent.handle, &absent.thread) {
            (Handle::Unclaimed, _) => return f.write_str(", never claimed"),
            (Handle::Dropped, _) => f.write_str(", handle dropped")?,
            (Handle::Held, None) => f.write_str(", claimed, never waited")?,
            (Handle::Held, Some(thread)) => write!(f, ", {thread}")?,
        }
        if let Some(phase) = absent.phase {
            write!(f, "; phase {phase:?}")?;
        }
        if !report.is_held() {
            let least = spoken(report.stuck);
            match (absent.arrivals, absent.last) {
                (0, _) => f.write_str("; has never arrived")?,
                (_, Some(last)) if last > report.stuck => {
                    write!(f, "; last arrived {least} to {} ago", spoken(last))?;
                }
                _ => write!(f, "; last arrived {least} ago or earlier")?,
            }
        }
        let stack = absent.thread.as_ref().and_then(|thread| thread.asleep.as_ref()).map(Asleep::stack);
        if let Some(stack) = stack.filter(|stack| !stack.is_empty()) {
            write!(f, "\n    kernel stack: {}", stack.iter().take(SHOWN / 2).cloned().collect::<Vec<_>>().join(" < "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.anonymous {
            false => write!(f, "rank {}", self.rank)?,
            true => f.write_str("the first caller")?,
        }
        if let Some(thread) = &self.thread {
            write!(f, ", {thread}")?;
        }
        match self.since {
            Some(since) => write!(f, "; waits for {}", spoken(since)),
            None => f.write_str("; has arrived and does not wait"),
        }
    }
}

/// A duration to three digits.
fn spoken(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let keep = 10u128.pow(nanos.checked_ilog10().unwrap_or(0).saturating_sub(2));
    let rounded = nanos - nanos % keep;
    duration_text(Duration::new(
        u64::try_from(rounded / 1_000_000_000).unwrap_or(u64::MAX),
        (rounded % 1_000_000_000) as u32,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_to_three_digits() {
        let told = |nanos| spoken(Duration::from_nanos(nanos));
        assert_eq!([0, 7, 1_234_567].map(told), ["0 ns", "7 ns", "1.23 ms"]);
        assert_eq!([30_249_999_999, 3_600_000_000_001].map(told), ["30.2 s", "3600 s"]);
        assert!(!spoken(Duration::MAX).is_empty());
    }
}
