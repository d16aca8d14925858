//! The timeline: when each party arrived, began to wait and was let go, on each of its latest trips.
//!
//! What statistics add up, a timeline shows one by one: which trip was slow, who was late for it, what the others did
//! meanwhile. Each party notes its own events, in a ring of fixed size that only it writes (`ring.rs`), with the ticks of the
//! processor's counter (`ticks.rs`); nobody waits for anybody, and nothing is allocated behind a party's first wait. Whoever
//! asks gets a copy ([`Timeline`]), at any time, and may write it down for a trace viewer (`chrome.rs`).
//!
//! # What an event is
//!
//! One trip of one party, noted when it is decided for the party: the four words of the ring are
//!
//! | word | meaning |
//! |---|---|
//! | 0 | the trip's number |
//! | 1 | the stamp of the arrival |
//! | 2 | the stamp of the release, or of when the party was told of a break |
//! | 3 | bits 0, 1: how it ended; above: ticks from the arrival to the beginning of the wait |
//!
//! The stamp of an arrival is taken before it is published, that of a release behind the look that let the party go, even
//! where the trip may break yet for what rides on it: the event is noted later, and an operator's time is none of the wait.
//! (Stamping an arrival behind its publication, while the party waits anyway, was measured: no faster between two threads of one
//! core, a few nanoseconds between two cores, and an interrupted party would seem to arrive after the others were let go.)
//!
//! The stamps of one party never go backwards, whatever the counters do when its thread moves: each is at least the one
//! before. (That keeps the stamps' promise, `ticks.rs`: the later of two moments that are both before an arrival is
//! before it.)
//!
//! # What is put right
//!
//! The stamp of a release may be early by as long as a line transfer takes (`ticks.rs`). No party is let go from a complete
//! trip before the last one has arrived; so the copy moves what claims otherwise to the last arrival that it knows of, trip by
//! trip, and the party's next arrival behind that ([`put_right`]).
//!
//! A trip that is held elsewhere is no event until it has ended there. A party that [leaves](crate::Party::leave) does not
//! wait for the end of its last trip, and has no event of it.
//!
//! # Breaks and resets
//!
//! The latest [`MARKS`] breaks and resets of the barrier are kept beside, under a lock that no party takes on a trip. Each is noted by
//! the thread that hears of it first, with no other lock held: it may be interrupted before it comes to that, and somebody else
//! resets the barrier meanwhile. So they are kept in the order of the trips that they are about ([`Marks::note`]).

use super::eye::{Outcome, Witness};
use super::ring::{Pen, Ring, Words};
use super::ticks::Ticks;
use crate::error::Broken;
use crate::fate::is_beyond;
use crate::primitive::{Mutex, lock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The most events of one party that a timeline can keep: 512 MiB for each party.
pub(crate) const MAX_EVENTS: usize = 1 << 24;

/// Breaks and resets that are kept.
const MARKS: usize = 256;

/// How a trip ended, for one of its parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// Complete.
    Complete,
    /// Complete, and the party was its leader.
    Leader,
    /// Broken.
    Broken,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Complete, Self::Leader, Self::Broken];

    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Leader => "leader",
            Self::Broken => "broken",
        }
    }
}

/// One trip of one party. Times are counted from the making of the process's first timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    generation: u64,
    arrived: Duration,
    waited: Duration,
    released: Duration,
    ending: Ending,
}

impl Event {
    /// The number of the trip.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the party arrived.
    #[must_use]
    pub fn arrived(&self) -> Duration {
        self.arrived
    }

    /// When it began to wait: when it arrived, or later if it worked in between ([`Party::arrive`](crate::Party::arrive)).
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// When it was let go, or told of a break: to within the time that a line transfer takes, and never before the last party of
    /// a complete trip has arrived, as far as the copy has all of its events.
    #[must_use]
    pub fn released(&self) -> Duration {
        self.released
    }

    /// How the trip ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending
    }

    fn read(ticks: &Ticks, [generation, arrived, released, rest]: Words) -> Self {
        let time = |stamp| Duration::from_nanos(ticks.nanos(stamp));
        Self {
            generation,
            arrived: time(arrived),
            waited: time(arrived + (rest >> 2)),
            released: time(released),
            ending: Ending::ALL[(rest & 3).min(2) as usize],
        }
    }
}

/// The latest trips of one rank.
#[derive(Clone, Debug)]
pub struct Track {
    pub(super) rank: usize,
    pub(super) thread: Option<String>,
    pub(super) events: Vec<Event>,
    pub(super) dropped: u64,
}

impl Track {
    /// The rank.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The name of the thread that waits with the rank's handle; the first one of the handle that does.
    #[must_use]
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// Its latest events, in their order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many earlier events there were, which later ones have taken the place of.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Something that happened to the barrier as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// It broke.
    Broken(Broken),
    /// It was returned to service.
    Reset {
        /// Its next trip.
        next: u64,
    },
}

impl Mark {
    /// Whether it happened after `other`, by the trips that they are about: a reset comes before the break of the first trip behind it.
    fn comes_after(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Broken(one), Self::Broken(other)) => is_beyond(one.generation(), other.generation()),
            (Self::Reset { next }, Self::Broken(other)) => is_beyond(*next, other.generation()),
            (Self::Reset { next: one }, Self::Reset { next: other }) => is_beyond(*one, *other),
            (Self::Broken(one), Self::Reset { next }) => !is_beyond(*next, one.generation()),
        }
    }
}

/// What each party of a barrier did of late, and when: a copy, from [`Barrier::timeline`](crate::Barrier::timeline).
///
/// What a tracing profiler shows of threads, for the trips of one barrier, at a few nanoseconds each. To look at it,
/// [write it down](Self::write_chrome) for a trace viewer.
///
/// # Examples
///
/// ```
/// use phalanx::Barrier;
///
/// let barrier = Barrier::builder(2).timeline(100).build()?;
/// std::thread::scope(|s| {
///     for mut party in barrier.take_parties().unwrap() {
///         s.spawn(move || (0..10).try_for_each(|_| party.wait().map(drop)));
///     }
/// });
/// let timeline = barrier.timeline().unwrap();
/// let last = |rank: usize| timeline.tracks()[rank].events()[9];
/// assert!(last(0).released() >= last(1).arrived());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    pub(super) name: Arc<str>,
    pub(super) number: u64,
    pub(super) tracks: Vec<Track>,
    pub(super) marks: Vec<(Duration, Mark)>,
    pub(super) marks_dropped: u64,
}

impl Timeline {
    /// What people call the barrier.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What each rank did that ever had a handle, by ascending rank.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The latest 256 breaks and resets of the barrier, in the order of their trips, with the time at which the first thread heard of each;
    /// of a break that this thread came to note only behind the reset, the time of the reset.
    #[must_use]
    pub fn marks(&self) -> &[(Duration, Mark)] {
        &self.marks
    }

    /// How many earlier breaks and resets there were.
    #[must_use]
    pub fn marks_dropped(&self) -> u64 {
        self.marks_dropped
    }
}

/// Moves releases that are stamped before the last arrival of their trip to that moment, and what comes behind them likewise.
fn put_right(tracks: &mut [Track]) {
    let Some(base) = tracks.iter().find_map(|track| Some(track.events.first()?.generation)) else { return };
    let places = |(track, Track { events, .. }): (usize, &Track)| {
        let place = move |(index, event): (usize, &Event)| (event.generation.wrapping_sub(base) as i64, track, index);
        events.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let mut order: Vec<_> = tracks.iter().enumerate().flat_map(places).collect();
    order.sort_unstable();
    for trip in order.chunk_by(|one, other| one.0 == other.0) {
        let complete = |track: usize, index: usize| {
            let event: &Event = &tracks[track].events[index];
            (event.ending != Ending::Broken).then_some(event.arrived)
        };
        let last = trip.iter().filter_map(|&(_, track, index)| complete(track, index)).max();
        for &(_, track, index) in trip {
            let events = &mut tracks[track].events;
            if let Some(last) = last.filter(|_| events[index].ending != Ending::Broken) {
                events[index].released = events[index].released.max(last);
            }
            let released = events[index].released;
            if let Some(next) = events.get_mut(index + 1) {
                next.arrived = next.arrived.max(released);
                next.waited = next.waited.max(next.arrived);
                next.released = next.released.max(next.waited);
            }
        }
    }
}

/// What one rank has noted.
#[derive(Debug)]
struct Notes {
    ring: Arc<Ring>,
    thread: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Marks {
    latest: VecDeque<(u64, Mark)>,
    dropped: u64,
}

impl Marks {
    /// Takes `mark` ahead of those that came after it, and with the stamp of the first of them at the latest.
    fn note(&mut self, stamp: u64, mark: Mark) {
        if self.latest.len() == MARKS {
            self.latest.pop_front();
            self.dropped += 1;
        }
        let behind = self.latest.iter().rev().take_while(|(_, other)| other.comes_after(&mark)).count();
        let place = self.latest.len() - behind;
        let stamp = self.latest.get(place).map_or(stamp, |(later, _)| stamp.min(*later));
        self.latest.insert(place, (stamp, mark));
    }
}

/// Notes everything of one barrier. Its locks are below all others.
#[derive(Debug)]
pub(crate) struct Recorder {
    ticks: &'static Ticks,
    events: usize,
    notes: Mutex<BTreeMap<usize, Arc<Notes>>>,
    marks: Mutex<Marks>,
}

impl Recorder {
    /// One that keeps the latest `events` of each party.
    pub(crate) fn new(events: usize) -> Self {
        let (notes, marks) = (Mutex::new(BTreeMap::new()), Mutex::new(Marks::default()));
        Self { ticks: Ticks::shared(), events, notes, marks }
    }

    /// What has been noted so far, of the barrier that people call `name`.
    pub(crate) fn timeline(&self, name: Arc<str>, number: u64) -> Timeline {
        let notes: Vec<_> = lock(&self.notes).iter().map(|(&rank, notes)| (rank, Arc::clone(notes))).collect();
        let track = |(rank, notes): &(usize, Arc<Notes>)| {
            let copied = notes.ring.read();
            let events = copied.events.iter().map(|&words| Event::read(self.ticks, words)).collect();
            Track { rank: *rank, thread: lock(&notes.thread).clone(), events, dropped: copied.first }
        };
        let mut tracks: Vec<Track> = notes.iter().map(track).collect();
        put_right(&mut tracks);
        let marks = lock(&self.marks);
        let time = |stamp| Duration::from_nanos(self.ticks.nanos(stamp));
        let latest = marks.latest.iter().map(|(stamp, mark)| (time(*stamp), mark.clone())).collect();
        Timeline { name, number, tracks, marks: latest, marks_dropped: marks.dropped }
    }

    /// What notes what the party of `rank` does, from now to the end of its handle.
    pub(super) fn scribe(&self, rank: usize) -> Scribe {
        let new = || Arc::new(Notes { ring: Arc::new(Ring::new(self.events)), thread: Mutex::new(None) });
        let notes = Arc::clone(lock(&self.notes).entry(rank).or_insert_with(new));
        let pen = Pen::new(Arc::clone(&notes.ring));
        Scribe { ticks: self.ticks, pen, arrived: 0, waited: None, released: None, last: 0, newcomer: Some(notes) }
    }

    fn mark(&self, mark: Mark) {
        let stamp = self.ticks.read();
        lock(&self.marks).note(stamp, mark);
    }
}

impl Witness for Recorder {
    fn broken(&self, broken: &Broken) {
        self.mark(Mark::Broken(broken.clone()));
    }

    fn reset(&self, first: u64) {
        self.mark(Mark::Reset { next: first });
    }
}

/// Notes what one party does: what a [`Bystander`](super::eye::Bystander) is, but for all trips, and with its stamps as close
/// to the party's own steps as can be.
#[derive(Debug)]
pub(crate) struct Scribe {
    ticks: &'static Ticks,
    pen: Pen,
    arrived: u64,
    waited: Option<u64>,
    /// When it was let go from the trip that it has arrived at, if that is not decided.
    released: Option<u64>,
    /// The last release.
    last: u64,
    /// Until the first arrival, when it can be seen which thread this is.
    newcomer: Option<Arc<Notes>>,
}

impl Scribe {
    #[cold]
    fn introduce(notes: &Notes) {
        *lock(&notes.thread) = std::thread::current().name().map(str::to_owned);
    }

    /// The party is about to arrive.
    #[inline(always)]
    pub(crate) fn arrives(&mut self) {
        if let Some(notes) = self.newcomer.take() {
            Self::introduce(&notes);
        }
        (self.waited, self.released) = (None, None);
        self.arrived = self.ticks.read().max(self.last);
    }

    /// It begins to wait; only the first time counts.
    #[inline(always)]
    pub(crate) fn stays(&mut self) {
        if self.waited.is_none() {
            self.waited = Some(self.ticks.read().max(self.arrived));
        }
    }

    /// It is let go, and the trip is not decided.
    #[inline(always)]
    pub(crate) fn released(&mut self) {
        self.released = Some(self.ticks.read());
    }

    /// The trip is decided.
    #[inline(always)]
    pub(crate) fn leaves(&mut self, generation: u64, outcome: Outcome) {
        let ending = match outcome {
            Outcome::Complete { leads: false } => Ending::Complete,
            Outcome::Complete { leads: true } => Ending::Leader,
            Outcome::Broken => Ending::Broken,
            // Its arrival counts, if it is made good elsewhere; otherwise it arrives anew.
            Outcome::Moved => return,
        };
        let waited = self.waited.unwrap_or(self.arrived);
        let ended = match self.released {
            Some(released) if ending != Ending::Broken => released,
            _ => self.ticks.read(),
        };
        self.last = ended.max(waited);
        self.pen.write([generation, self.arrived, self.last, (waited - self.arrived) << 2 | ending as u64]);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::error::Cause;

    fn track(rank: usize, events: &[(u64, u64, u64, Ending)]) -> Track {
        let event = |&(generation, arrived, released, ending)| {
            let [arrived, released] = [arrived, released].map(Duration::from_nanos);
            Event { generation, arrived, waited: arrived, released, ending }
        };
        Track { rank, thread: None, events: events.iter().map(event).collect(), dropped: 0 }
    }

    fn times(track: &Track) -> Vec<(u64, u64)> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        track.events.iter().map(|event| (nanos(event.arrived), nanos(event.released))).collect()
    }

    #[test]
    fn a_release_before_the_last_arrival_is_put_right_and_what_follows_moves_along() {
        use Ending::{Broken, Complete, Leader};
        // Across the wrap; the second trip's last arrival is one that has moved.
        let zero = track(0, &[(u64::MAX, 10, 15, Leader), (0, 16, 18, Leader), (1, 60, 70, Broken)]);
        let one = track(1, &[(u64::MAX, 20, 40, Complete), (0, 41, 42, Complete), (1, 30, 30, Broken)]);
        let mut tracks = [zero, one];
        put_right(&mut tracks);
        assert_eq!(times(&tracks[0]), [(10, 20), (20, 41), (60, 70)]);
        assert_eq!(times(&tracks[1]), [(20, 40), (41, 42), (42, 42)]);
    }

    /// The thread that heard of the break first was interrupted, and another reset the barrier before it noted the break.
    #[test]
    fn a_break_that_is_noted_behind_its_reset_comes_before_it() {
        let broken = |trip| Mark::Broken(Broken::by_rank(Cause::Reset, trip, 2, Vec::new()));
        let reset = |next| Mark::Reset { next };
        let noted = |marks: &[(u64, Mark)]| {
            let mut kept = Marks::default();
            marks.iter().for_each(|(stamp, mark)| kept.note(*stamp, mark.clone()));
            Vec::from(kept.latest)
        };
        assert_eq!(noted(&[(10, reset(8)), (12, broken(7))]), [(10, broken(7)), (10, reset(8))]);
        let right = [(1, broken(7)), (2, reset(8)), (3, broken(8)), (4, reset(9)), (5, reset(9))];
        assert_eq!(noted(&right), right);
        let [a, b, c, d, e] = right;
        assert_eq!(
            noted(&[b.clone(), a.clone(), d.clone(), c.clone(), e.clone()]),
            [(1, broken(7)), b, (3, broken(8)), d, e]
        );
        // The numbers may wrap.
        let around = noted(&[(1, reset(0)), (2, broken(u64::MAX)), (3, broken(0))]);
        assert_eq!(around, [(1, broken(u64::MAX)), (1, reset(0)), (3, broken(0))]);
        // Of those that are dropped, the earliest.
        let mut kept = Marks::default();
        (0..MARKS as u64 + 3).for_each(|trip| kept.note(trip, broken(trip)));
        assert_eq!((kept.latest.len(), kept.dropped, kept.latest.front()), (MARKS, 3, Some(&(3, broken(3)))));
    }

    #[test]
    fn what_is_right_stays_and_a_trip_is_compared_with_what_is_there_of_it() {
        use Ending::{Complete, Leader};
        let mut tracks =
            [track(0, &[(7, 10, 21, Leader), (8, 30, 40, Leader)]), track(3, &[]), track(5, &[(8, 35, 50, Complete)])];
        let before: Vec<_> = tracks.iter().map(times).collect();
        put_right(&mut tracks);
        assert_eq!(tracks.iter().map(times).collect::<Vec<_>>(), before);
        put_right(&mut []);
    }
}
