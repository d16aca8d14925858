//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;
use crate::observe::{PartyStats, Stats};
use crate::wait::Tally;
use std::sync::Arc;

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
        let arrivals = |rank| sum.arrivals.get(rank).copied().unwrap_or(0);
        let tallies = control.tallies();
        Stats {
            name: self.name().to_owned(),
            algorithm: control.algorithm().to_string(),
            parties: control.parties(),
            trips: sum.trips,
            resets,
            breaks: sum.breaks.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            per_party: tallies.iter().enumerate().map(|(rank, tally)| party(rank, arrivals(rank), tally)).collect(),
            #[cfg(feature = "hdr")]
            timing: control.observers().timing(),
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
