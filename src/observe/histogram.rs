//! How often what took how long: an HDR histogram of durations, without its crate in our interface.
//!
//! Fixed in size and range, so that recording never allocates: 1 ns to [`LONGEST`], in steps of less than 1 % of the value
//! (two significant digits). What took longer counts as that long.

use hdrhistogram::Histogram as Counts;
use std::fmt;
use std::time::Duration;

/// What takes longer counts as this long: far more than a trip that nobody has to be told of.
const LONGEST: Duration = Duration::from_secs(60);

/// Significant decimal digits, which hdrhistogram turns into 256 steps for the first power of two and 128 for each further
/// one (its documentation, "Buckets and sub-buckets").
const DIGITS: u8 = 2;

/// The most that are counted, 9 * 10^15 durations: no process lives that long, but a snapshot that is read back may say so.
/// With more, hdrhistogram's quantiles add up beyond a `u64` (a panic where that is checked), and miss counts that no double
/// holds (the longest of all is then told as 0).
const MOST: u64 = 1 << 53;

/// Durations, counted in steps of less than 1 % of each, from 1 ns to 60 s; longer ones count as 60 s.
///
/// What `hdrhistogram::Histogram` is, in units of time and without a way to get the range wrong. Holds 31 KB.
///
/// # Examples
///
/// ```
/// use phalanx::observe::Histogram;
/// use std::time::Duration;
///
/// let mut histogram = Histogram::default();
/// (1..=100).for_each(|millis| histogram.record(Duration::from_millis(millis)));
/// assert_eq!(histogram.count(), 100);
/// let median = histogram.quantile(0.5).as_secs_f64();
/// assert!((0.050..0.0505).contains(&median), "{median}");
/// ```
#[derive(Clone, PartialEq)]
pub struct Histogram(Counts<u64>);

impl Default for Histogram {
    fn default() -> Self {
        let longest = nanos(LONGEST);
        Self(Counts::new_with_bounds(1, longest, DIGITS).expect("1 < 60 s, and at most 5 digits"))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Counts `duration`.
    pub fn record(&mut self, duration: Duration) {
        self.record_nanos(nanos(duration), 1);
    }

    pub(super) fn record_nanos(&mut self, nanos: u64, times: u64) {
        let times = times.min(MOST.saturating_sub(self.0.len()));
        if times > 0 {
            self.0.saturating_record_n(nanos.min(self.0.high()), times);
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.steps().for_each(|(nanos, count)| self.record_nanos(nanos, count));
    }

    /// What was counted since `earlier`, an earlier state of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = Self::default();
        for (nanos, count) in self.steps() {
            let more = count.saturating_sub(earlier.0.count_at(nanos));
            if more > 0 {
                since.record_nanos(nanos, more);
            }
        }
        since
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their mean, within 1 %; zero if there are none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }

    /// The longest, up to 1 % more; zero if there are none.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.quantile(1.0)
    }

    /// The duration that a share of `quantile` of them does not exceed: 0.5 is the median, 0.99 the 99th percentile. Up to 1 %
    /// more than it was; zero if there are none. What is below 0 or above 1 is taken as that; so is what is no number, as 1.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let quantile = if quantile.is_nan() { 1.0 } else { quantile.clamp(0.0, 1.0) };
        Duration::from_nanos(if self.is_empty() { 0 } else { self.0.value_at_quantile(quantile) })
    }

    /// Each step that has counts: the longest duration that belongs to it, and how many do. Ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.steps().map(|(nanos, count)| (Duration::from_nanos(nanos), count))
    }

    fn steps(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// The bytes that it holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.distinct_values() * size_of::<u64>()
    }
}

/// One line: how many, and where they are.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of mean {:.2?}", self.count(), self.mean())?;
        for (name, quantile) in QUANTILES {
            write!(f, ", {name} {:.2?}", self.quantile(quantile))?;
        }
        Ok(())
    }
}

/// Those that are printed.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({self})")
    }
}

/// As a list of pairs: nanoseconds, the longest of a step, and how many; without the empty steps.
#[cfg(feature = "serde")]
mod lists {
    use super::Histogram;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    impl Serialize for Histogram {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.steps())
        }
    }

    impl<'de> Deserialize<'de> for Histogram {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let mut histogram = Self::default();
            for (nanos, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
                histogram.record_nanos(nanos, count);
            }
            Ok(histogram)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&nanos| histogram.record(Duration::from_nanos(nanos)));
        histogram
    }

    /// Values of all sizes alike.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = (0..36_u32, any::<u64>()).prop_map(|(bits, any)| (any >> (63 - bits)).min(nanos(LONGEST)));
        prop::collection::vec(value, 0..200)
    }

    /// Few steps with any counts at all, so that some are in both of two histograms, and some are as many as can be.
    fn counted() -> impl Strategy<Value = Histogram> {
        let nanos = prop_oneof![0..4_u64, 1_000..1_020_u64, any::<u64>()];
        let times = prop_oneof![1..5_u64, 1..MOST / 8, 1..MOST / 8, Just(u64::MAX)];
        prop::collection::vec((nanos, times), 0..6).prop_map(|steps| {
            let mut histogram = Histogram::default();
            steps.into_iter().for_each(|(nanos, times)| histogram.record_nanos(nanos, times));
            histogram
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn merged_is_the_histogram_of_all_values(one in values(), other in values()) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            let all = of(&[one.clone(), other].concat());
            prop_assert_eq!(&merged, &all);
            prop_assert_eq!(all.since(&of(&one)).count(), all.count() - one.len() as u64);
        }

        #[test]
        fn a_difference_and_what_was_before_make_the_whole(one in values(), other in values()) {
            let (before, all) = (of(&one), of(&[one, other.clone()].concat()));
            prop_assert_eq!(all.since(&before), of(&other));
        }

        /// In any order and grouping, as long as all are counted.
        #[test]
        fn merges_commute_and_associate(one in counted(), two in counted(), three in counted()) {
            let merged = |a: &Histogram, b: &Histogram| {
                let mut merged = a.clone();
                merged.merge(b);
                merged
            };
            let all = merged(&merged(&one, &two), &three);
            prop_assert_eq!(all.count(), (one.count() + two.count() + three.count()).min(MOST));
            if all.count() < MOST {
                prop_assert_eq!(merged(&one, &two), merged(&two, &one));
                prop_assert_eq!(&all, &merged(&one, &merged(&two, &three)));
                prop_assert_eq!(all.max(), one.max().max(two.max()).max(three.max()));
            }
            prop_assert_eq!(merged(&one, &Histogram::default()), one.clone());
        }

        /// What is taken away is gone, what is left was there, and more than everything is nothing.
        #[test]
        fn what_was_since_is_the_rest(one in counted(), two in counted()) {
            let mut all = one.clone();
            all.merge(&two);
            let rest = all.since(&one);
            let counts = |histogram: &Histogram| histogram.iter().collect::<std::collections::BTreeMap<_, _>>();
            let (ones, twos, alls, rests) = (counts(&one), counts(&two), counts(&all), counts(&rest));
            for (step, count) in alls {
                let of = |counts: &std::collections::BTreeMap<Duration, u64>| counts.get(&step).copied().unwrap_or(0);
                prop_assert_eq!(of(&rests), count - of(&ones));
                prop_assert!(all.count() == MOST || of(&rests) == of(&twos), "{:?}", step);
            }
            prop_assert!(one.since(&all).is_empty() && all.since(&all).is_empty());
            prop_assert_eq!(all.since(&Histogram::default()), all.clone());
        }

        /// A higher quantile is no shorter, and both lie between the first step and the last.
        #[test]
        fn quantiles_ascend(histogram in counted(), one in 0.0..=1.0_f64, other in 0.0..=1.0_f64) {
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(histogram.quantile(low) <= histogram.quantile(high));
            prop_assert!(histogram.quantile(high) <= histogram.max());
            prop_assert_eq!(histogram.iter().last().map_or(Duration::ZERO, |(step, _)| step), histogram.max());
        }

        #[test]
        fn a_quantile_is_the_value_at_its_place_or_up_to_one_percent_more(
            mut values in values(), quantile in 0.0..=1.0_f64,
        ) {
            let histogram = of(&values);
            values.sort_unstable();
            let place = ((quantile * values.len() as f64).ceil() as usize).max(1);
            let Some(&exact) = values.get(place - 1) else {
                prop_assert_eq!(histogram.quantile(quantile), Duration::ZERO);
                return Ok(());
            };
            let told = nanos(histogram.quantile(quantile));
            let most = exact + exact / 100;
            // The least of all is told from below.
            let least = if quantile == 0.0 { exact - exact / 100 } else { exact };
            prop_assert!((least..=most).contains(&told), "{} for {}", told, exact);
            let mean = values.iter().map(|&value| value as f64).sum::<f64>() / values.len() as f64;
            let told = histogram.mean().as_nanos() as f64;
            prop_assert!((told - mean).abs() <= mean / 100.0 + 1.0, "{} for {}", told, mean);
        }
    }

    #[test]
    fn no_duration_and_no_quantile_is_out_of_range() {
        let histogram = of(&[0, 1, u64::MAX]);
        assert_eq!(histogram.count(), 3);
        assert!(histogram.max() >= LONGEST && histogram.max() < LONGEST + LONGEST / 100);
        assert_eq!(histogram.quantile(-1.0), Duration::ZERO);
        assert_eq!(histogram.quantile(f64::NAN), histogram.max());
        assert_eq!(histogram.quantile(7.0), histogram.max());
        assert_eq!((of(&[]).max(), of(&[]).mean(), of(&[]).quantile(f64::NAN)), Default::default());
    }

    #[test]
    fn it_is_as_small_as_its_page_says() {
        let bytes = Histogram::default().bytes();
        assert!((30_000..=31_000).contains(&bytes), "{bytes}");
    }
}
