//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;
use super::control::Control;
use super::party::Party;
#[cfg(feature = "timeline")]
use crate::observe::Timeline;
use crate::observe::watchdog::{Orders, Report, Sink, watch};
use crate::observe::{Log, PartyStats, Stats};
use crate::wait::Tally;
use std::sync::{Arc, Weak};
use std::time::Duration;

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
    /// A flight recorder: it may stay on where trips are not all that there is. Costs a party two looks at the processor's
    /// counter a trip, some 50 ns, and 32 bytes for each event, allocated when its handle is claimed, with half a KiB however
    /// few there are: 4096 events are 128 KiB a party. The first timeline of a process also measures the counter's rate, for 1 to
    /// 200 ms.
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

    /// Times the parties on these trips: how long each waits, how far apart they arrive, who comes late
    /// ([`Stats::timing`](crate::observe::Stats::timing)).
    ///
    /// Costs a party three looks at the clock on such a trip and nothing on the others, and who leads the trip a look at what
    /// each of the others has written down. One in 64 is enough for a loop that makes a thousand trips a second, and can be
    /// left on; one in 256 where trips follow each other within a microsecond; every trip is to find something. Memory: 32 KB for each party, as much for the barrier. On the
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
}

impl Barrier {
    /// What people call the barrier ([`Builder::name`]).
    #[must_use]
    pub fn name(&self) -> &str {
        self.control().observers().name()
    }

    /// What the barrier has been through so far: trips, breaks by cause, and for each party how it waited and how often it
    /// came last.
    ///
    /// Takes locks that no trip needs, reads what the parties write anyway, and disturbs nobody; microseconds, and more with
    /// thousands of parties.
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
    /// println!("{stats:?}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let control = self.control();
        let (sum, resets) = control.sum();
        let arrivals = |rank| sum.arrivals.get(rank).copied().unwrap_or(0);
        let tallies = control.tallies();
        Stats {
            name: self.name().to_owned(),
            number: control.observers().number(),
            algorithm: control.algorithm().to_string(),
            parties: control.parties(),
            arrived: self.arrived(),
            trips: sum.trips,
            resets,
            breaks: sum.breaks.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            per_party: tallies.iter().enumerate().map(|(rank, tally)| party(rank, arrivals(rank), tally)).collect(),
            #[cfg(feature = "hdr")]
            timing: control.observers().timing(),
        }
    }

    /// A copy of what the parties have noted, if the barrier was told to ([`Builder::timeline`]). At any time: they go on
    /// meanwhile.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    #[must_use]
    pub fn timeline(&self) -> Option<Timeline> {
        self.control().observers().timeline()
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

fn party(rank: usize, arrivals: u64, tally: &Arc<Tally>) -> PartyStats {
    let (first, last) = (tally.first.get(), tally.last.get());
    PartyStats {
        rank,
        arrivals,
        // The party may be counting: no share is above 1 for that.
        looks: tally.looks.get().max(first).max(last),
        first,
        last,
        waits: tally.waits.get(),
        spins: tally.spins.get(),
        yields: tally.yields.get(),
        parks: tally.parks.get(),
        wakes: tally.wakes.get(),
    }
}
