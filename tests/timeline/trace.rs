//! A trace, read as a viewer reads it, with every rule of the format checked that it uses.

use phalanx::observe::Timeline;
use serde_json::Value;
use std::collections::BTreeMap;

/// A slice of a track. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) trip: u64,
    pub(crate) outcome: String,
}

#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) name: String,
    pub(crate) spans: Vec<Span>,
    /// When it was told of a break, and of which trip.
    pub(crate) told: Vec<(u64, u64)>,
    pub(crate) dropped: u64,
}

impl Track {
    pub(crate) fn waits(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.name == "wait")
    }

    /// When it arrived at the trip of `wait`.
    fn arrival(&self, wait: &Span) -> u64 {
        let overlap = self.spans.iter().find(|span| span.name == "overlap" && span.trip == wait.trip);
        overlap.map_or(wait.from, |overlap| overlap.from)
    }

    /// One slice begins where the one before ends, each trip has one wait, and numbers go up by one but for breaks.
    fn check(&self) {
        for pair in self.spans.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "{pair:?}");
            let order = match (pair[0].name.as_str(), pair[1].name.as_str()) {
                ("wait", "work") => pair[1].trip.wrapping_sub(pair[0].trip) as i64 > 0,
                ("work", "overlap" | "wait") | ("overlap", "wait") => pair[1].trip == pair[0].trip,
                _ => false,
            };
            assert!(order, "{pair:?}");
        }
        for span in &self.spans {
            assert!(span.from <= span.to, "{span:?}");
        }
        assert!(self.spans.first().is_none_or(|span| span.name != "work"));
        assert!(self.spans.last().is_none_or(|span| span.name == "wait"));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) process: String,
    pub(crate) pid: u64,
    pub(crate) tracks: BTreeMap<usize, Track>,
    /// Breaks and resets of the process, with their times.
    pub(crate) marks: Vec<(u64, Value)>,
}

/// A number of microseconds, in nanoseconds; exact to one.
fn nanos(value: &Value) -> u64 {
    let nanos = value.as_f64().unwrap() * 1000.0;
    assert!(nanos >= 0.0 && (nanos - nanos.round()).abs() < 0.01, "{value}");
    nanos.round() as u64
}

impl Trace {
    /// Writes `timeline` down and reads it back.
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let mut written = Vec::new();
        timeline.write_chrome(&mut written).unwrap();
        let read: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(read["displayTimeUnit"], "ns");
        let mut trace = Self::default();
        for (position, event) in read["traceEvents"].as_array().unwrap().iter().enumerate() {
            let pid = event["pid"].as_u64().unwrap();
            if position == 0 {
                trace.pid = pid;
            }
            assert_eq!(pid, trace.pid);
            trace.take(event);
        }
        let dropped = read["otherData"]["dropped_events"].as_object().unwrap();
        assert_eq!(dropped.len(), trace.tracks.len());
        for (rank, count) in dropped {
            trace.tracks.get_mut(&rank.parse().unwrap()).unwrap().dropped = count.as_u64().unwrap();
        }
        trace.tracks.values().for_each(Track::check);
        trace
    }

    fn take(&mut self, event: &Value) {
        let (rank, args) = (event["tid"].as_u64().unwrap() as usize, &event["args"]);
        assert!(args.is_object(), "{event}");
        let name = event["name"].as_str().unwrap();
        match (event["ph"].as_str().unwrap(), name) {
            ("M", "process_name") => self.process = args["name"].as_str().unwrap().to_owned(),
            ("M", "thread_name") => {
                let name = args["name"].as_str().unwrap().to_owned();
                assert!(self.tracks.insert(rank, Track { name, ..Track::default() }).is_none());
            }
            ("M", "thread_sort_index") => assert_eq!(args["sort_index"].as_u64(), Some(rank as u64)),
            ("X", "work" | "overlap" | "wait") => {
                let from = nanos(&event["ts"]);
                let outcome = args["outcome"].as_str().unwrap_or_default().to_owned();
                assert_eq!(outcome.is_empty(), name != "wait", "{event}");
                let (to, trip) = (from + nanos(&event["dur"]), args["trip"].as_u64().unwrap());
                self.tracks.get_mut(&rank).unwrap().spans.push(Span { name: name.to_owned(), from, to, trip, outcome });
            }
            ("i", "broken") => {
                assert_eq!(event["s"], "t");
                let told = (nanos(&event["ts"]), args["trip"].as_u64().unwrap());
                self.tracks.get_mut(&rank).unwrap().told.push(told);
            }
            ("i", "break" | "reset") => {
                assert_eq!(event["s"], "p");
                self.marks.push((nanos(&event["ts"]), event.clone()));
            }
            _ => panic!("{event}"),
        }
    }

    /// Checks all trips that are complete and of which all `parties` have kept their part: nobody was let go before the last
    /// one arrived, and one led. How many there were.
    pub(crate) fn check_trips(&self, parties: usize) -> u64 {
        let mut trips: BTreeMap<u64, Vec<(&Track, &Span)>> = BTreeMap::new();
        for track in self.tracks.values() {
            for wait in track.waits().filter(|wait| wait.outcome != "broken") {
                trips.entry(wait.trip).or_default().push((track, wait));
            }
        }
        let mut checked = 0;
        for (trip, waits) in trips.iter().filter(|(_, waits)| waits.len() == parties) {
            let last_in = waits.iter().map(|(track, wait)| track.arrival(wait)).max().unwrap();
            let first_out = waits.iter().map(|(_, wait)| wait.to).min().unwrap();
            assert!(first_out >= last_in, "trip {trip}: released at {first_out}, arrived at {last_in}: {waits:?}");
            assert_eq!(waits.iter().filter(|(_, wait)| wait.outcome == "leader").count(), 1, "trip {trip}");
            checked += 1;
        }
        checked
    }

    /// Who arrived last at `trip`, and when the first was let go.
    pub(crate) fn ends_of(&self, trip: u64) -> (usize, u64) {
        let wait_of = |track: &Track| track.waits().find(|wait| wait.trip == trip).unwrap().clone();
        let last = self.tracks.iter().max_by_key(|(_, track)| track.arrival(&wait_of(track))).unwrap();
        (*last.0, self.tracks.values().map(|track| wait_of(track).to).min().unwrap())
    }
}
