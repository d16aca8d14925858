//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;
use super::control::Control;
use super::party::Party;
use crate::observe::watchdog::{Orders, Report, Sink, watch};
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
}

impl Barrier {
    /// What people call the barrier ([`Builder::name`]).
    #[must_use]
    pub fn name(&self) -> &str {
        self.control().observers().name()
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
