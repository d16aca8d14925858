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
    /// println!("{stats:?}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let control = self.control();
        let (sum, resets) = control.sum();
        let mut stats = Stats::default();
        stats.name = self.name().to_owned();
        stats.algorithm = control.algorithm().to_string();
        (stats.parties, stats.arrived) = (control.parties(), self.arrived());
        (stats.trips, stats.resets) = (sum.trips, resets);
        stats.breaks = sum.breaks.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let arrivals = |rank| sum.arrivals.get(rank).copied().unwrap_or(0);
        let tallies = control.tallies();
        stats.per_party = tallies.iter().enumerate().map(|(rank, tally)| party(rank, arrivals(rank), tally)).collect();
        stats
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
