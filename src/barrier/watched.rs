//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;
use super::control::Control;
use super::era::Era;
use super::party::Party;
use super::roll::Claim;
use crate::error::{Broken, Cause};
use crate::fate::Ruling;
#[cfg(feature = "timeline")]
use crate::observe::Timeline;
use crate::observe::watchdog::{Handle, Orders, Presence, Report, Seat, Sight, Sink, Snapshot, Subject, TripId, watch};
use crate::observe::{Log, PartyStats, Stats};
use crate::wait::Tally;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

impl Builder {
    /// Names the barrier, for reports, logs and metrics; `barrier-1`, `barrier-2` and so on unless set.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::builder(2).name("halo").build()?;
    /// assert_eq!(barrier.name(), "halo");
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.observing.name = Some(name.into());
        self
    }

    /// Has `sink` told of every trip that is not decided so long `after` the first arrival at it: who is missing, what their
    /// threads do, and the likely cause ([`Report`]). As `PHALANX_WATCHDOG` says unless set.
    ///
    /// What a timeout is for the program, this is for people: nothing breaks, unless the sink wants it
    /// ([`Report::break_trip`]). One thread watches over all barriers of the process, and the parties pay nothing for it
    /// ([`watchdog`](crate::observe::watchdog)). The sink is called on that thread, with no lock held: while it runs nobody
    /// watches, so a long call belongs elsewhere; a panic in it changes nothing. It is called again when the trip has been
    /// stuck for twice as long, four times as long and so on, at least every hour. A limit below 8 milliseconds is kept less
    /// exactly: to about a millisecond.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::Barrier;
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::builder(4)
    ///     .name("halo")
    ///     .watchdog(Duration::from_secs(30), |report| eprintln!("{report}"))
    ///     .build()?;
    /// # drop(barrier);
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn watchdog(self, after: Duration, sink: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.watched_by(Orders { after, break_after: None }, Sink::new(sink))
    }

    pub(crate) fn watched_by(mut self, orders: Orders, sink: Sink) -> Self {
        self.observing.watchdog = Some((orders, sink));
        self
    }

    /// Times the parties on these trips: how long each waits, how far apart they arrive, who comes late
    /// ([`Stats::timing`](crate::observe::Stats::timing)).
    ///
    /// Costs a party three looks at the clock on such a trip and nothing on the others, and who leads the trip a look at what
    /// each of the others has written down. One in 64 is enough for a loop that makes a thousand trips a second, and can be
    /// left on; every trip is for short ones, to find something. Memory: 32 KB for each party, as much for the barrier. On the
    /// trips that are timed it is also looked at who came first and last.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, observe::Sampling};
    ///
    /// let barrier = Barrier::builder(2).statistics(Sampling::ALL).build()?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || (0..100).try_for_each(|_| party.wait().map(drop)));
    ///     }
    /// });
    /// let timing = barrier.stats().timing.expect("asked for above");
    /// assert_eq!(timing.wait().count(), 200);
    /// println!("half of the waits are over after {:?}", timing.wait().quantile(0.5));
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    #[cfg(feature = "hdr")]
    #[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
    pub fn statistics(mut self, trips: crate::observe::Sampling) -> Self {
        self.observing.statistics = Some(trips);
        self
    }

    /// Writes a line for each break, or for each trip, as `log` says; any number of logs.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, observe::Log};
    ///
    /// let barrier = Barrier::builder(2).log(Log::breaks(|line| eprintln!("{line}"))).build()?;
    /// barrier.abort("no more input"); // phalanx barrier=barrier-1 trip=0 outcome=broken cause=aborted ...
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn log(mut self, log: Log) -> Self {
        self.observing.logs.push(log);
        self
    }

    /// Notes what each party does on each trip, and keeps the latest `events_per_party` of that, for
    /// [`Barrier::timeline`].
    ///
    /// A flight recorder: it may stay on in production. Costs a party two looks at the processor's counter a trip, and 32
    /// bytes for each event, allocated when its handle is claimed (and 384 bytes however few): 4096 events are 128 KiB a party.
    /// The first timeline of a process also measures the counter's rate, for up to 200 ms.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::builder(1).timeline(16).build()?;
    /// let mut party = barrier.claim(0)?;
    /// for _ in 0..1000 {
    ///     party.wait()?;
    /// }
    /// let timeline = barrier.timeline().unwrap();
    /// let track = &timeline.tracks()[0];
    /// assert_eq!((track.events().len(), track.dropped()), (16, 984));
    /// assert_eq!(track.events()[15].generation(), 999);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `build` fails with [`BuildError::Timeline`](crate::BuildError::Timeline) for more than 2^24 events.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    pub fn timeline(mut self, events_per_party: usize) -> Self {
        self.observing.timeline = Some(events_per_party);
        self
    }
}

impl Barrier {
    /// What people call the barrier ([`Builder::name`]).
    #[must_use]
    pub fn name(&self) -> &str {
        self.control().observers().name()
    }

    /// A copy of what the parties have noted, if the barrier was told to ([`Builder::timeline`]). At any time: they go on
    /// meanwhile.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    #[must_use]
    pub fn timeline(&self) -> Option<Timeline> {
        self.control().observers().timeline()
    }

    /// What the barrier has been through so far: trips, breaks by cause, and for each party how it waited and how often it
    /// came last.
    ///
    /// Takes two locks that no trip needs, reads what the parties write anyway, and disturbs nobody; microseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || (0..100).try_for_each(|_| party.wait().map(drop)));
    ///     }
    /// });
    /// let stats = barrier.stats();
    /// assert_eq!((stats.trips, stats.per_party[1].arrivals), (100, 100));
    /// println!("{stats}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let control = self.control();
        let (sum, resets) = control.sum();
        let mut stats = Stats::default();
        stats.name = self.name().to_owned();
        stats.algorithm = control.algorithm().to_string();
        stats.parties = control.parties();
        (stats.trips, stats.resets) = (sum.trips, resets);
        stats.breaks = sum.breaks.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let arrivals = |rank| sum.arrivals.get(rank).copied().unwrap_or(0);
        let tallies = control.tallies();
        stats.per_party = tallies.iter().enumerate().map(|(rank, tally)| party(rank, arrivals(rank), tally)).collect();
        #[cfg(feature = "hdr")]
        {
            stats.timing = control.observers().timing();
        }
        stats
    }

    /// Puts the barrier on the watchdog's list.
    pub(super) fn begin_watch(&self, watchdog: Option<(Orders, Sink)>) {
        let Some((orders, sink)) = watchdog else { return };
        let control: Weak<Control> = Arc::downgrade(self.control());
        let observers = self.control().observers();
        observers.keep(watch(control, observers.number(), orders, sink));
    }
}

impl Party {
    /// Says what this party does from here on, for whoever has to find out why it does not arrive: reports of the
    /// [watchdog](crate::observe::watchdog) have the last phase of each party that is missing.
    ///
    /// What OpenMP's tools call a region's name. Costs a store of a line that nobody else writes; the first call with a text
    /// takes a lock, and so does each one of a party that uses more than eight texts in turn.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut party = barrier.claim(0)?;
    /// party.set_phase("exchange");
    /// party.wait()?;
    /// party.set_phase("compute");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set_phase(&mut self, label: &'static str) {
        let Self { labels, control, member, .. } = self;
        let number = labels.number(label, |label| control.observers().labels().number(label));
        if let Some(tally) = member.tally() {
            tally.label.set(number);
        }
    }
}

/// The moment of one trip as the watchdog sees it.
struct Moment {
    trip: TripId,
    present: Arc<Era>,
    /// Who has arrived, or waits, by seat.
    here: Vec<bool>,
    /// The newcomers that wait for the trip behind.
    ahead: Vec<usize>,
    tallies: Vec<Arc<Tally>>,
}

impl Moment {
    /// What there is to see of `control`; `None` if nobody waits.
    fn of(control: &Control, present: Arc<Era>, next: Option<&Arc<Era>>) -> Option<Self> {
        if present.verdict().is_some() {
            return None;
        }
        let (census, turned) = (present.census(), present.turned());
        if turned == Some(census.generation) {
            // Complete, and the next one is held elsewhere.
            return None;
        }
        // Behind the slots: what they say of an arrived party is of this trip or a later one.
        let tallies = control.tallies();
        let waits = |rank: &usize| tallies.get(*rank).is_some_and(|tally| tally.waiting_since().is_some());
        let ranks = &present.design().ranks;
        let trip = |generation, held| TripId { era: Arc::as_ptr(&present).addr(), generation, held };
        // Those of both eras can only be ahead in the later one when they have crossed this trip.
        let newcomer = |rank: &usize| present.index_of(*rank).is_none();
        let ahead: Vec<usize> = next.map_or_else(Vec::new, |next| {
            let census = next.census();
            let those = next.design().ranks.iter().filter(|rank| newcomer(rank) && !census.missing.contains(rank));
            if census.generation == next.first() { those.copied().collect() } else { Vec::new() }
        });
        if census.arrived > 0 || !ahead.is_empty() {
            let here = ranks.iter().map(|rank| census.missing.binary_search(rank).is_err()).collect();
            let trip = trip(census.generation, false);
            return Some(Self { trip, present, here, ahead, tallies });
        }
        // All have arrived at the trip before, and some wait all the same.
        let here: Vec<bool> = ranks.iter().map(waits).collect();
        let is_held = census.generation != present.first() && here.contains(&true);
        let trip = trip(census.generation.wrapping_sub(1), true);
        is_held.then_some(Self { trip, present, here, ahead, tallies })
    }

    /// Since when at least one waits, if that is known.
    fn since(&self) -> Option<Instant> {
        let ranks = self.present.design().ranks.iter().zip(&self.here).filter(|(_, here)| **here).map(|(rank, _)| rank);
        ranks.chain(&self.ahead).filter_map(|rank| self.tallies.get(*rank)?.waiting_since()).min()
    }
}

/// What the watchdog asks.
impl Subject for Control {
    fn name(&self) -> Arc<str> {
        Arc::clone(self.observers().name())
    }

    fn number(&self) -> u64 {
        self.observers().number()
    }

    fn sight(&self) -> Sight {
        let (present, next, ()) = self.in_service(|_| ());
        let moment = Moment::of(self, present, next.as_ref());
        moment.map_or(Sight::AtRest, |moment| Sight::Open { trip: moment.trip, since: moment.since() })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let (present, next, claims) = self.in_service(Clone::clone);
        let moment = Moment::of(self, present, next.as_ref())?;
        let (sum, _) = self.sum();
        let seat = |rank: usize, presence| {
            let tally = moment.tallies.get(rank).cloned().unwrap_or_default();
            let handle = match claims.of(rank) {
                Some(Claim::Free) => Handle::Unclaimed,
                Some(Claim::Deserted) => Handle::Dropped,
                // Who has left has arrived, as its last act.
                Some(Claim::Held | Claim::Left) | None => Handle::Held,
            };
            let phase = self.observers().labels().words(tally.label.get());
            let arrivals = sum.arrivals.get(rank).copied().unwrap_or(0);
            Seat { rank, presence, handle, thread: self.thread_of(rank), tally, phase, arrivals }
        };
        let ranks = moment.present.design().ranks.iter().zip(&moment.here);
        let present = ranks.map(|(&rank, &here)| seat(rank, if here { Presence::Arrived } else { Presence::Missing }));
        let ahead = moment.ahead.iter().map(|&rank| seat(rank, Presence::Ahead));
        let parties = moment.present.parties();
        Some(Snapshot { trip: moment.trip, parties, ranks: present.chain(ahead).collect() })
    }

    fn break_trip(&self, trip: TripId, reason: String) -> Option<Broken> {
        let (present, ..) = self.in_service(|_| ());
        if trip.held || Arc::as_ptr(&present).addr() != trip.era || present.verdict().is_some() {
            return None;
        }
        let cause = Cause::Aborted { reason };
        let ruling = present.break_trip(trip.generation, |census| self.describe(cause, census));
        // The registry brings those behind it up to date, and whoever watches hears of it.
        self.spread();
        match ruling {
            Ruling::Broken(broken) => Some(broken),
            _ => None,
        }
    }
}

fn party(rank: usize, arrivals: u64, tally: &Arc<Tally>) -> PartyStats {
    let mut party = PartyStats::default();
    (party.rank, party.arrivals) = (rank, arrivals);
    (party.first, party.last) = (tally.first.get(), tally.last.get());
    // The party may be counting: no share is above 1 for that.
    party.looks = tally.looks.get().max(party.first).max(party.last);
    (party.waits, party.spins, party.yields) = (tally.waits.get(), tally.spins.get(), tally.yields.get());
    (party.parks, party.wakes) = (tally.parks.get(), tally.wakes.get());
    party
}
