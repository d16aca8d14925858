//! What was timed, to read: waits, skew, who keeps the others waiting and how much that costs.

use super::histogram::Histogram;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::time::Duration;

/// What was timed at a barrier; part of [`Stats`](super::Stats) of one built with
/// [`Builder::statistics`](crate::Builder::statistics).
///
/// Of the trips that are looked at, and of these only of those that were completed. A trip that is looked at takes some hundred
/// nanoseconds more than others: of a loop that takes less than a few microseconds from trip to trip, the waits and what
/// follows from them are those of the look rather than those of the loop. Who comes late, and that it does, shows even then.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[non_exhaustive]
pub struct Timing {
    /// One for each rank up to the highest that ever had a handle, ascending.
    pub per_party: Vec<PartyTiming>,
    /// From the first arrival of a trip to the last.
    pub skew: Histogram,
}

/// What was timed of the party of one rank; part of [`Timing`].
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[non_exhaustive]
pub struct PartyTiming {
    /// The rank.
    pub rank: usize,
    /// How long it waited on a trip: from its arrival, or if it worked in between (split phase) from when it first asked for
    /// the end of the trip, until it was let go. So the last to arrive waits for as long as a trip costs at least.
    pub wait: Histogram,
    /// These waits together, exactly.
    pub waited: Duration,
    /// The trips on which the moments of all arrivals are known.
    pub compared: u64,
    /// How long after the first one of all it arrived on these, together.
    pub late: Duration,
    /// And on the worst of them, since the barrier was made.
    pub latest: Duration,
    /// The time from its first arrival that was timed to the end of its last trip that was.
    pub span: Duration,
    /// How many trips there were in that time, timed or not.
    pub span_trips: u64,
}

impl PartyTiming {
    /// How long after the first one of all it arrived, on average; `None` if that was never looked at.
    #[must_use]
    pub fn mean_lateness(&self) -> Option<Duration> {
        (self.compared > 0).then(|| self.late.div_f64(self.compared as f64))
    }

    /// The share of its time that it spent waiting, 0 to 1: the mean of the waits that were timed times all trips of the time
    /// between the first and the last of these, by that time. `None` if nothing was timed.
    #[must_use]
    pub fn waiting_share(&self) -> Option<f64> {
        let (waits, span) = (self.wait.count(), self.span.as_secs_f64());
        if waits == 0 || span <= 0.0 {
            return None;
        }
        let mean = self.waited.as_secs_f64() / waits as f64;
        Some((mean * self.span_trips as f64 / span).clamp(0.0, 1.0))
    }

    /// The time from trip to trip that it did not wait: its work, and whatever else kept it. `None` if nothing was timed.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        let share = self.waiting_share()?;
        (self.span_trips > 0).then(|| self.span.mul_f64(1.0 - share).div_f64(self.span_trips as f64))
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            rank: self.rank,
            wait: self.wait.since(&earlier.wait),
            waited: self.waited.saturating_sub(earlier.waited),
            compared: self.compared.saturating_sub(earlier.compared),
            late: self.late.saturating_sub(earlier.late),
            latest: self.latest,
            span: self.span.saturating_sub(earlier.span),
            span_trips: self.span_trips.saturating_sub(earlier.span_trips),
        }
    }
}

impl Timing {
    /// The party of `rank`, if this rank or a higher one ever had a handle.
    #[must_use]
    pub fn party(&self, rank: usize) -> Option<&PartyTiming> {
        let place = self.per_party.binary_search_by_key(&rank, |party| party.rank).ok()?;
        self.per_party.get(place)
    }

    /// The waits of all parties.
    #[must_use]
    pub fn wait(&self) -> Histogram {
        let mut all = Histogram::default();
        self.per_party.iter().for_each(|party| all.merge(&party.wait));
        all
    }

    /// All ranks, the one for which the others wait first: by mean lateness, and those of which nothing is known last.
    #[must_use]
    pub fn stragglers(&self) -> Vec<usize> {
        let mut parties: Vec<&PartyTiming> = self.per_party.iter().collect();
        parties.sort_by_key(|party| Reverse(party.mean_lateness()));
        parties.iter().map(|party| party.rank).collect()
    }

    /// The share of the time of all parties that was spent waiting, 0 to 1; `None` if nothing was timed.
    #[must_use]
    pub fn waiting_share(&self) -> Option<f64> {
        mean(self.per_party.iter().filter_map(PartyTiming::waiting_share))
    }

    /// How unevenly the work is shared: the longest of the parties' times from trip to trip
    /// [without waiting](PartyTiming::busy), by their mean. 1 is even; with 2, the same work shared evenly would take half the
    /// time; as many as there are parties, one does everything. `None` if nothing was timed.
    #[must_use]
    pub fn imbalance(&self) -> Option<f64> {
        let busy = || self.per_party.iter().filter_map(PartyTiming::busy).map(|busy| busy.as_secs_f64());
        let (mean, max) = (mean(busy())?, busy().fold(0.0, f64::max));
        (mean > 0.0).then(|| max / mean)
    }

    /// What was timed since `earlier`, an earlier reading of the same barrier.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |rank| earlier.party(rank).cloned().unwrap_or_default();
        Self {
            per_party: self.per_party.iter().map(|party| party.since(&before(party.rank))).collect(),
            skew: self.skew.since(&earlier.skew),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A party of ten trips of 1 s each, of which two were timed.
    fn party(rank: usize, waits: Duration, late: Duration) -> PartyTiming {
        let mut party = PartyTiming { rank, waited: 2 * waits, compared: 2, late: 2 * late, ..Default::default() };
        (0..2).for_each(|_| party.wait.record(waits));
        (party.span, party.span_trips) = (Duration::from_secs(10), 10);
        party
    }

    #[test]
    fn one_party_that_does_all_the_work_is_as_uneven_as_there_are_parties() {
        let second = Duration::from_secs(1);
        let idle = |rank| party(rank, second, Duration::ZERO);
        let worker = party(2, Duration::ZERO, second);
        let timing = Timing { per_party: vec![idle(0), idle(1), worker, idle(3)], skew: Histogram::default() };
        assert_eq!(timing.imbalance(), Some(4.0));
        assert_eq!(timing.waiting_share(), Some(0.75));
        assert_eq!(timing.stragglers(), [2, 0, 1, 3]);
        assert_eq!(timing.party(2).unwrap().mean_lateness(), Some(second));
        assert_eq!(timing.wait().count(), 8);
    }

    #[test]
    fn nothing_timed_is_nothing_known() {
        let nobody = PartyTiming::default();
        assert_eq!((nobody.mean_lateness(), nobody.waiting_share(), nobody.busy()), (None, None, None));
        let timing = Timing { per_party: vec![nobody], skew: Histogram::default() };
        assert_eq!((timing.imbalance(), timing.waiting_share(), timing.stragglers()), (None, None, vec![0]));
    }
}
