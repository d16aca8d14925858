//! The log: one line for each trip or each break, for whoever has to find out afterwards what happened.
//!
//! The line of a trip is written by its leader, that of a break by the first thread that hears of it, that of a reset by
//! whoever calls it; each hands it to a closure of the user's, with no lock held, and a panic there changes nothing.
//!
//! # No flood
//!
//! A barrier crosses a million times a second, and nobody wants to read that. Each log has two token buckets (the generic cell
//! rate algorithm: one word with the time at which the bucket will be full again): one for trips, one for breaks and resets,
//! so that no number of trips drowns a break. A line without a token is not written but counted, and the next line says how
//! many were; what is left at the end, the barrier's last line does. So the lines that are written and the counts that they
//! carry always add up to what happened.
//!
//! A line that comes up inside the closure on the same thread (it resets the barrier, say) is counted as well, and not
//! handed over: a closure that answers each line with another ends there.
//!
//! # Memory ordering
//!
//! None: times and counts, each by itself. Every update is a read-modify-write, so none is lost.

use super::eye::{Bystander, Leaving, Outcome, Sampling, Witness};
use super::quietly;
use crate::error::Broken;
use crate::primitive::{AtomicU64, Ordering, now};
use crate::wait::nanos;
use std::cell::Cell;
use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

/// Missing ranks that a line names.
const NAMED: usize = 16;

const SECOND: u64 = 1_000_000_000;

type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// What is logged of a barrier, and where to; for [`Builder::log`](crate::Builder::log).
///
/// A line is `key=value` pairs, as logfmt has them, without a line feed at its end:
///
/// ```text
/// phalanx barrier=halo trip=4711 outcome=complete parties=8 leader=0
/// phalanx barrier=halo trip=4712 outcome=broken cause=timed_out rank=2 parties=8 arrived=6 missing=0,3 text="trip 4712 broken: ..."
/// phalanx barrier=halo outcome=reset next=4713 suppressed=12
/// phalanx barrier=halo outcome=closed suppressed=3
/// ```
///
/// | key | value |
/// |---|---|
/// | `barrier` | [`Barrier::name`](crate::Barrier::name) |
/// | `trip`, `next` | the number of the trip, of the first one behind a reset |
/// | `outcome` | `complete`, `broken`, `reset`, or `closed`: the barrier is gone, and lines had been suppressed |
/// | `cause` | [`Cause::kind`](crate::Cause::kind) |
/// | `rank` | who caused it, where it was one party |
/// | `parties`, `leader` | how many took part; who led |
/// | `arrived`, `missing` | how many had arrived; the ranks that had not, at most 16 and then how many more (`0,1,+200`) |
/// | `text` | the record of the break, as [`Broken`] prints it |
/// | `suppressed` | lines of this log that were not written since the one before ([`per_second`](Self::per_second)); left out if none |
///
/// A value is in quotation marks if it has anything but letters, digits and `.,:/_+-` in it; there `"` and `\` have a `\` before
/// them, and what would end the line or is not to be seen is escaped as in Rust (`\n`, `\u{1b}`).
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use phalanx::{Barrier, observe::Log};
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let kept = Arc::clone(&lines);
/// let log = Log::trips(move |line| kept.lock().unwrap().push(line.to_owned()));
/// let barrier = Barrier::builder(1).name("halo").log(log).build()?;
/// barrier.claim(0)?.wait()?;
/// assert_eq!(lines.lock().unwrap()[0], "phalanx barrier=halo trip=0 outcome=complete parties=1 leader=0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a log is for `Builder::log`"]
pub struct Log {
    sink: Sink,
    trips: bool,
    per_second: u32,
}

impl Log {
    /// Hands `sink` a line for each break and each reset. Costs the parties nothing on a trip that completes.
    ///
    /// Called on whichever thread hears first of a break, with no lock held; it may use the barrier's control handle. While
    /// it runs, that thread is not on its way. If that thread is interrupted before it comes to it, the line of a reset that
    /// another calls meanwhile is handed over first: `trip` and `next` say which came first.
    pub fn breaks(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { sink: Arc::new(sink), trips: false, per_second: 10 }
    }

    /// The same, and a line for each trip, from its leader. (A trip whose leader [left](crate::Party::leave) with it has
    /// none.)
    ///
    /// Every trip costs its leader the making of a line, or a look at the clock where that is suppressed: some 50 ns.
    pub fn trips(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { trips: true, ..Self::breaks(sink) }
    }

    /// At most so many lines a second for trips, and as many for breaks and resets, with so many at once; 10 unless set. What is
    /// beyond is counted, and the next line says `suppressed=` and how many. 0 writes only the last line.
    pub fn per_second(mut self, lines: u32) -> Self {
        self.per_second = lines;
        self
    }

    /// The one of a barrier that people call `name`.
    pub(super) fn of(&self, name: &str) -> Logger {
        let (trips, breaks) = (Bucket::new(self.per_second), Bucket::new(self.per_second));
        Logger { log: self.clone(), name: value(name), trips, breaks, suppressed: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("trips", &self.trips).field("per_second", &self.per_second).finish_non_exhaustive()
    }
}

/// How many lines may be written.
#[derive(Debug)]
struct Bucket {
    /// Nanoseconds in which one token comes.
    each: u64,
    /// It lets nothing through.
    shut: bool,
    /// When it will be full.
    full: AtomicU64,
}

impl Bucket {
    fn new(per_second: u32) -> Self {
        let each = SECOND.checked_div(per_second.into());
        Self { each: each.unwrap_or(SECOND), shut: each.is_none(), full: AtomicU64::new(0) }
    }

    /// Takes a token at the time `now`, if there is one.
    fn take(&self, now: u64) -> bool {
        if self.shut {
            return false;
        }
        let after = |full: u64| Some(full.max(now) + self.each).filter(|&after| after <= now + SECOND);
        // Relaxed, as all here: module essay.
        self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }
}

/// The log of one barrier.
#[derive(Debug)]
pub(super) struct Logger {
    log: Log,
    name: String,
    trips: Bucket,
    breaks: Bucket,
    /// Since the last line.
    suppressed: AtomicU64,
}

thread_local! {
    /// This thread is in a sink.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

impl Logger {
    /// Writes the line that `say` makes of its beginning, if `bucket` has a token.
    fn write(&self, bucket: &Bucket, say: impl FnOnce(&mut String) -> fmt::Result) {
        if WITHIN.get() || !bucket.take(nanos(now())) {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut line = format!("phalanx barrier={}", self.name);
        // Writing to a string does not fail.
        let _ = say(&mut line);
        self.hand_over(line);
    }

    fn hand_over(&self, mut line: String) {
        match self.suppressed.swap(0, Ordering::Relaxed) {
            0 => {}
            suppressed => {
                let _ = write!(line, " suppressed={suppressed}");
            }
        }
        WITHIN.set(true);
        quietly(|| (self.log.sink)(&line));
        WITHIN.set(false);
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        if self.suppressed.load(Ordering::Relaxed) > 0 && !WITHIN.get() {
            self.hand_over(format!("phalanx barrier={} outcome=closed", self.name));
        }
    }
}

impl Witness for Logger {
    fn sampling(&self) -> Sampling {
        if self.log.trips { Sampling::ALL } else { Sampling::NEVER }
    }

    fn standings(&self) -> Sampling {
        Sampling::NEVER
    }

    fn bystander(self: Arc<Self>, _rank: usize) -> Option<Box<dyn Bystander>> {
        if self.log.trips { Some(Box::new(Reporter(self))) } else { None }
    }

    fn broken(&self, broken: &Broken) {
        self.write(&self.breaks, |line| {
            let cause = broken.cause();
            write!(line, " trip={} outcome=broken cause={}", broken.generation(), cause.kind())?;
            if let Some(rank) = cause.rank() {
                write!(line, " rank={rank}")?;
            }
            write!(line, " parties={} arrived={}", broken.parties(), broken.arrived())?;
            for (position, missing) in broken.missing().iter().take(NAMED).enumerate() {
                write!(line, "{}{}", if position == 0 { " missing=" } else { "," }, missing.rank)?;
            }
            match broken.missing().len().saturating_sub(NAMED) {
                0 => {}
                more => write!(line, ",+{more}")?,
            }
            write!(line, " text={}", value(broken))
        });
    }

    fn reset(&self, first: u64) {
        self.write(&self.breaks, |line| write!(line, " outcome=reset next={first}"));
    }
}

/// Writes the lines of the trips that one party leads.
#[derive(Debug)]
struct Reporter(Arc<Logger>);

impl Bystander for Reporter {
    fn arrives(&mut self, _: u64) {}

    fn leaves(&mut self, leaving: &Leaving<'_>) {
        if !matches!(leaving.outcome, Outcome::Complete { leads: true }) {
            return;
        }
        let (trip, parties, leader) = (leaving.generation, leaving.ranks.len(), leaving.rank);
        self.0.write(&self.0.trips, |line| {
            write!(line, " trip={trip} outcome=complete parties={parties} leader={leader}")
        });
    }
}

/// A value as a line has it.
fn value(value: impl Display) -> String {
    let text = value.to_string();
    if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || ".,:/_+-".contains(c)) {
        return text;
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            // What others print as it is in a text.
            '\'' => quoted.push(c),
            c => quoted.extend(c.escape_debug()),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line_and_ends_where_it_ends() {
        for (text, written) in [
            ("halo", "halo"),
            ("left,right:3/x_+-.y", "left,right:3/x_+-.y"),
            ("Größe", "Größe"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("a=b", r#""a=b""#),
            ("say \"no\" \\", r#""say \"no\" \\""#),
            ("it's", r#""it's""#),
            ("two\nlines\r\tand\u{1b}[31m", r#""two\nlines\r\tand\u{1b}[31m""#),
            ("\u{85}\u{2028}\u{2029}\u{202e}\0", r#""\u{85}\u{2028}\u{2029}\u{202e}\0""#),
        ] {
            assert_eq!(value(text), written);
        }
    }

    #[test]
    fn a_bucket_is_full_at_first_and_fills_at_its_rate() {
        let bucket = Bucket::new(10);
        let start = 5 * SECOND;
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 10);
        assert_eq!((0..100).filter(|_| bucket.take(start + SECOND / 10)).count(), 1);
        assert_eq!((0..100).filter(|_| bucket.take(start + SECOND)).count(), 9);
        // Never more than it holds, however long nobody took any.
        assert_eq!((0..100).filter(|_| bucket.take(start + 60 * SECOND)).count(), 10);
        // A look at an older time finds what was left, and does no harm.
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 0);
    }

    #[test]
    fn any_rate_will_do() {
        assert_eq!((0..100).filter(|_| Bucket::new(0).take(SECOND)).count(), 0);
        let one = Bucket::new(1);
        assert_eq!((0..100).filter(|_| one.take(SECOND)).count(), 1);
        let most = Bucket::new(u32::MAX);
        assert_eq!((0..10_000).filter(|_| most.take(SECOND)).count(), 10_000);
    }
}
