//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;
use crate::observe::Log;
#[cfg(feature = "timeline")]
use crate::observe::Timeline;

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
}
