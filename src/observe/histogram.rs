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
        self.0.saturating_record_n(nanos.min(self.0.high()), times);
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

    proptest! {
        #[test]
        fn merged_is_the_histogram_of_all_values(one in values(), other in values()) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            let all = of(&[one.clone(), other].concat());
            prop_assert_eq!(&merged, &all);
            prop_assert_eq!(all.since(&of(&one)).count(), (all.count() - one.len() as u64));
        }

        #[test]
        fn a_difference_and_what_was_before_make_the_whole(one in values(), other in values()) {
            let (before, all) = (of(&one), of(&[one, other.clone()].concat()));
            prop_assert_eq!(all.since(&before), of(&other));
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
