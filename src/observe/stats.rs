//! A snapshot of what a barrier has been through: counts by cause, by rank and by what a wait does, and how to read them.
//!
//! Counting costs the parties nothing that could be measured. Trips, arrivals and breaks are read from words that the barrier
//! has anyway (`barrier/ledger.rs`). Looks and long waits each party keeps in a tally of its own (`wait/tally.rs`), which
//! nobody else writes; a snapshot reads it while the party goes on. So the numbers of one snapshot are each right, at some
//! moment while it was taken, and not all at the same one. Of a barrier at rest they are exact.

#[cfg(feature = "hdr")]
use super::timing::Timing;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a barrier has been through so far; from [`Barrier::stats`](crate::Barrier::stats).
///
/// Like the counters of a network interface: they only grow, reading them changes nothing, and what matters is mostly the
/// [difference](Self::since) between two readings. Printed, it is a table.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::builder(1).name("halo").build()?;
/// let mut party = barrier.claim(0)?;
/// party.wait()?;
/// let before = barrier.stats();
/// party.wait()?;
/// barrier.abort("enough");
/// let stats = barrier.stats();
/// assert_eq!((stats.trips, stats.aborts(), stats.per_party[0].arrivals), (2, 1, 2));
/// assert_eq!(stats.since(&before).trips, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// What people call the barrier ([`Builder::name`](crate::Builder::name)).
    pub name: String,
    /// Tells the barrier from all others of this process, of the same name as well: one that is built anew has another
    /// number, and counts from 0. 0 if that is not known.
    #[cfg_attr(feature = "serde", serde(default))]
    pub number: u64,
    /// The algorithm in use, as it is printed.
    pub algorithm: String,
    /// How many parties take part in the open trip.
    pub parties: usize,
    /// How many of these have arrived at it ([`Barrier::arrived`](crate::Barrier::arrived)).
    pub arrived: usize,
    /// Trips that all have arrived at, and that did not break. (One that breaks in spite of that, because the action or an
    /// operator panics, may be among them until then, and for a snapshot taken in between until one more trip is complete.)
    pub trips: u64,
    /// How often the barrier was [reset](crate::Barrier::reset), including when there was nothing to do.
    pub resets: u64,
    /// Breaks, by what [`Cause::kind`](crate::Cause::kind) says of their cause.
    pub breaks: BTreeMap<String, u64>,
    /// One for each rank up to the highest that ever had a handle, ascending. A rank that is claimed again, or given to a
    /// newcomer, goes on counting.
    pub per_party: Vec<PartyStats>,
    /// What was timed, if the barrier was built with [`Builder::statistics`](crate::Builder::statistics).
    #[cfg(feature = "hdr")]
    #[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
    #[cfg_attr(feature = "serde", serde(default))]
    pub timing: Option<Timing>,
}

/// What the party of one rank has been through; part of [`Stats`].
///
/// `looks`, `first` and `last` are of a sample: which party came when is looked at on one trip in 64, or more where
/// somebody watches the barrier more closely. What a party sees is who was there right behind its own arrival: of two that
/// arrive at the same moment both may see the other there, and then both count as last, or neither may. A party that
/// [arrives](crate::Party::arrive) early and works on counts when it arrives.
///
/// `waits`, `spins`, `yields` and `parks` are counted when a wait ends: a party that is stuck shows none of the wait it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[non_exhaustive]
pub struct PartyStats {
    /// The rank.
    pub rank: usize,
    /// Arrivals, at trips that were completed, are open, or broke afterwards.
    pub arrivals: u64,
    /// Trips on which it looked who else was there.
    pub looks: u64,
    /// On how many of these nobody was there before it.
    pub first: u64,
    /// On how many of these everybody else was there before it.
    pub last: u64,
    /// Waits that were not over within the first few dozens of polls.
    pub waits: u64,
    /// Polls without success in these, with the CPU kept.
    pub spins: u64,
    /// Polls without success in these, behind which the party gave its CPU to others.
    pub yields: u64,
    /// How often it went to sleep.
    pub parks: u64,
    /// How often it woke others, with a system call.
    pub wakes: u64,
}

impl PartyStats {
    /// The share of the trips that it looked at on which it came first, 0 to 1; `None` if it looked at none.
    #[must_use]
    pub fn first_share(&self) -> Option<f64> {
        share(self.first, self.looks)
    }

    /// The share of the trips that it looked at on which it came last, 0 to 1; `None` if it looked at none. The one for which
    /// the others wait has nearly 1; if all are alike, each has one part in as many as there are parties.
    #[must_use]
    pub fn last_share(&self) -> Option<f64> {
        share(self.last, self.looks)
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            rank: self.rank,
            arrivals: self.arrivals.saturating_sub(earlier.arrivals),
            looks: self.looks.saturating_sub(earlier.looks),
            first: self.first.saturating_sub(earlier.first),
            last: self.last.saturating_sub(earlier.last),
            waits: self.waits.saturating_sub(earlier.waits),
            spins: self.spins.saturating_sub(earlier.spins),
            yields: self.yields.saturating_sub(earlier.yields),
            parks: self.parks.saturating_sub(earlier.parks),
            wakes: self.wakes.saturating_sub(earlier.wakes),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Stats {
    /// Breaks of one kind of cause ([`Cause::kind`](crate::Cause::kind)).
    #[must_use]
    pub fn breaks_of(&self, kind: &str) -> u64 {
        self.breaks.get(kind).copied().unwrap_or(0)
    }

    /// All breaks.
    #[must_use]
    pub fn all_breaks(&self) -> u64 {
        self.breaks.values().sum()
    }

    /// Breaks because a party's patience ended.
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.breaks_of("timed_out")
    }

    /// Breaks because somebody called [`abort`](crate::Barrier::abort).
    #[must_use]
    pub fn aborts(&self) -> u64 {
        self.breaks_of("aborted")
    }

    /// Long waits of all parties ([`PartyStats::waits`]).
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.total(|party| party.waits)
    }

    /// Polls of all parties that kept the CPU ([`PartyStats::spins`]).
    #[must_use]
    pub fn spins(&self) -> u64 {
        self.total(|party| party.spins)
    }

    /// Polls of all parties that gave the CPU away ([`PartyStats::yields`]).
    #[must_use]
    pub fn yields(&self) -> u64 {
        self.total(|party| party.yields)
    }

    /// Sleeps of all parties ([`PartyStats::parks`]).
    #[must_use]
    pub fn parks(&self) -> u64 {
        self.total(|party| party.parks)
    }

    /// Wakes by all parties ([`PartyStats::wakes`]).
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.total(|party| party.wakes)
    }

    fn total(&self, of: impl Fn(&PartyStats) -> u64) -> u64 {
        self.per_party.iter().map(of).fold(0, u64::saturating_add)
    }

    /// The party of `rank`, if this rank or a higher one ever had a handle.
    #[must_use]
    pub fn party(&self, rank: usize) -> Option<&PartyStats> {
        let place = self.per_party.binary_search_by_key(&rank, |party| party.rank).ok()?;
        self.per_party.get(place)
    }

    /// What came between `earlier` and this, both of the same barrier: every count is the difference, and never below 0. Name,
    /// number, algorithm, parties and arrived are those of now.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut party = barrier.claim(0)?;
    /// let before = barrier.stats();
    /// party.wait_timeout(std::time::Duration::from_secs(1))?;
    /// let meanwhile = barrier.stats().since(&before);
    /// assert_eq!((meanwhile.trips, meanwhile.timeouts()), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let breaks = self.breaks.iter().map(|(kind, &count)| (kind, count.saturating_sub(earlier.breaks_of(kind))));
        let before = |rank| earlier.party(rank).copied().unwrap_or_default();
        Self {
            name: self.name.clone(),
            number: self.number,
            algorithm: self.algorithm.clone(),
            parties: self.parties,
            arrived: self.arrived,
            trips: self.trips.saturating_sub(earlier.trips),
            resets: self.resets.saturating_sub(earlier.resets),
            breaks: breaks.filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.clone(), count)).collect(),
            per_party: self.per_party.iter().map(|party| party.since(&before(party.rank))).collect(),
            #[cfg(feature = "hdr")]
            timing: self.timing.as_ref().map(|timing| match &earlier.timing {
                Some(earlier) => timing.since(earlier),
                None => timing.clone(),
            }),
        }
    }
}
