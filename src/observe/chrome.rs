//! A timeline in the Chrome trace event format, which <https://ui.perfetto.dev> and `chrome://tracing` open.
//!
//! The format is that of the document "Trace Event Format" by Nat Duca and Dan Sinclair
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>): here its JSON object form, with
//! complete events (`ph` X), instant events (i) and metadata events (M), times in microseconds with three digits behind the
//! point.
//!
//! | event | from, to | where |
//! |---|---|---|
//! | `work` | a release, the next arrival | the track of the rank |
//! | `overlap` | an arrival, the beginning of the wait, if that is later (split phase) | the same |
//! | `wait` | the beginning of the wait, the release; args: `trip`, `outcome` | the same |
//! | `broken` (i) | when the party was told; args: `trip` | the same |
//! | `break`, `reset` (i) | when the first thread heard of it; args: `trip`, `cause`, `text`, or `next` | the process |
//!
//! A barrier is a process (`pid` is its number within this process, its name is the barrier's), a rank a thread (`tid`), so
//! that the traces of several barriers can be put together.

use super::timeline::{Ending, Event, Mark, Timeline, Track};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// Microseconds, exact to the nanosecond for a hundred days.
fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

impl Timeline {
    /// Writes it in the Chrome trace event format: open the file with <https://ui.perfetto.dev>, or with `chrome://tracing`.
    ///
    /// A JSON object. The barrier is a process, each rank a track with slices `work`, `wait` and, in split phase, `overlap`;
    /// breaks and resets are instants. `otherData` says how many events of each rank came too early to be kept
    /// (`dropped_events`). Some 250 bytes for each event; written through a buffer.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::builder(1).name("halo").timeline(16).build()?;
    /// barrier.claim(0)?.wait()?;
    /// let mut trace = Vec::new();
    /// barrier.timeline().unwrap().write_chrome(&mut trace)?;
    /// let trace = String::from_utf8(trace)?;
    /// assert!(trace.contains(r#""args":{"outcome":"leader","trip":0}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_chrome(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
        serde_json::to_writer(&mut out, &self.name_of("process_name", None, self.name().into()))?;
        let mut put = |event: Value| -> io::Result<()> {
            out.write_all(b",\n")?;
            Ok(serde_json::to_writer(&mut out, &event)?)
        };
        for track in self.tracks() {
            let name = match track.thread() {
                Some(thread) => format!("rank {} ({thread})", track.rank()),
                None => format!("rank {}", track.rank()),
            };
            put(self.name_of("thread_name", Some(track.rank()), name.into()))?;
            put(json!({
                "name": "thread_sort_index", "ph": "M", "pid": self.number, "tid": track.rank(),
                "args": { "sort_index": track.rank() },
            }))?;
            self.write_track(track, &mut put)?;
        }
        for (time, mark) in self.marks() {
            put(self.mark(*time, mark))?;
        }
        let dropped: serde_json::Map<_, _> =
            self.tracks().iter().map(|track| (track.rank().to_string(), track.dropped().into())).collect();
        let other = json!({
            "barrier": self.name(),
            "dropped_events": dropped,
            "dropped_marks": self.marks_dropped(),
            "writer": concat!("phalanx ", env!("CARGO_PKG_VERSION")),
        });
        write!(out, "\n],\"otherData\":{other}}}\n")?;
        out.flush()
    }

    fn write_track(&self, track: &Track, put: &mut impl FnMut(Value) -> io::Result<()>) -> io::Result<()> {
        let slice = |name: &str, from: Duration, to: Duration, args: Value| {
            json!({
                "name": name, "cat": "phalanx", "ph": "X", "ts": micros(from), "dur": micros(to.saturating_sub(from)),
                "pid": self.number, "tid": track.rank(), "args": args,
            })
        };
        let mut free_since = None;
        for event in track.events() {
            let trip = event.generation();
            if let Some(released) = free_since {
                put(slice("work", released, event.arrived(), json!({ "trip": trip })))?;
            }
            if event.waited() > event.arrived() {
                put(slice("overlap", event.arrived(), event.waited(), json!({ "trip": trip })))?;
            }
            let args = json!({ "trip": trip, "outcome": event.ending().word() });
            put(slice("wait", event.waited(), event.released(), args))?;
            if event.ending() == Ending::Broken {
                put(self.told(track.rank(), event))?;
            }
            free_since = Some(event.released());
        }
        Ok(())
    }

    /// A party is told of a break.
    fn told(&self, rank: usize, event: &Event) -> Value {
        json!({
            "name": "broken", "cat": "phalanx", "ph": "i", "s": "t", "ts": micros(event.released()),
            "pid": self.number, "tid": rank, "args": { "trip": event.generation() },
        })
    }

    /// Something happens to the barrier.
    fn mark(&self, time: Duration, mark: &Mark) -> Value {
        let (name, rank, args) = match mark {
            Mark::Broken(broken) => {
                let cause = broken.cause();
                let args = json!({ "trip": broken.generation(), "cause": cause.kind(), "text": broken.to_string() });
                ("break", cause.rank(), args)
            }
            Mark::Reset { next } => ("reset", None, json!({ "next": next })),
        };
        json!({
            "name": name, "cat": "phalanx", "ph": "i", "s": "p", "ts": micros(time),
            "pid": self.number, "tid": rank.unwrap_or(0), "args": args,
        })
    }

    /// The metadata event that names the process or a thread.
    fn name_of(&self, what: &str, rank: Option<usize>, name: Value) -> Value {
        json!({ "name": what, "ph": "M", "pid": self.number, "tid": rank.unwrap_or(0), "args": { "name": name } })
    }
}
