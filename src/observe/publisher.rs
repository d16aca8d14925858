//! What a barrier counts, published through the facade `metrics`, for whichever recorder the program has installed:
//! Prometheus, StatsD, or one of its own.
//!
//! No party ever calls the facade: one call costs ten times what a party pays for all its counts. Whoever wants the numbers
//! out takes a snapshot ([`Barrier::stats`](crate::Barrier::stats)) now and then, on a thread of its own, and the
//! [`Publisher`] hands over what it says.
//!
//! # Counters that never go back, and add up
//!
//! Snapshots are of moments, and the trips of one may be one less than those of the one before ([`Stats::trips`]): so the
//! publisher keeps the most that it has seen of each count, and hands over that. And the algorithm is a label of every series,
//! but may change when parties join or leave. So each increase is credited to the algorithm of the snapshot that shows it:
//! the sum over all algorithms is the barrier's count, and no series stands for more than it saw.
//!
//! A barrier that is built anew under the name of the one before it counts from 0 ([`Stats::number`] tells): what was seen is
//! kept for each barrier, what was credited for the name. So the counters of the name go on growing. A few barriers of a name
//! are remembered, so that two which live at once add up, and a late snapshot of the last one is not counted twice.
//!
//! # Histograms, bounded
//!
//! The facade takes a histogram one value at a time, and an exporter may keep each of them until it is asked. So what was
//! timed since the last publication goes there step by step, and if there is too much of it ([`MOST`]), evenly thinned: the
//! quantiles and the mean stay, and what was left out is counted.

use super::Stats;
#[cfg(feature = "hdr")]
use super::{Histogram, Timing};
use crate::error::KINDS;
use ::metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};
#[cfg(feature = "hdr")]
use ::metrics::{describe_histogram, histogram};
use std::collections::{BTreeMap, BTreeSet};

/// Publishes snapshots of barriers through the facade [`metrics`](https://docs.rs/metrics), under the names that Prometheus
/// expects.
///
/// Where other libraries update metrics as they go, this costs the parties nothing: [`publish`](Self::publish) is called
/// every few seconds, or right before a scrape, by whoever serves the metrics, with a snapshot of each barrier. The recorder
/// must be installed by then; what was counted before is not lost. One publisher serves any number of barriers, which it
/// tells by their [names](crate::Builder::name): give each its own, and do not let two publishers publish the same barrier.
///
/// A barrier that replaces another one of its name, as a [`Team`](crate::team::Team) has after a run that broke, continues its
/// counters; what the old one has counted since it was last published is in none. Barriers without a name of their own are
/// called anew each time: a program that makes many of them has to [`forget`](Self::forget) those that are gone.
///
/// | metric | type, unit | what |
/// |---|---|---|
/// | `phalanx_trips_total` | counter | trips completed ([`Stats::trips`]) |
/// | `phalanx_breaks_total` | counter, label `cause` | breaks; each [kind of cause](crate::Cause::kind) is there from the start, with 0 |
/// | `phalanx_timeouts_total`, `phalanx_aborts_total` | counter | the breaks of these two kinds |
/// | `phalanx_resets_total` | counter | returns to service |
/// | `phalanx_long_waits_total` | counter | waits that were not over within the first few dozens of polls |
/// | `phalanx_spins_total`, `phalanx_yields_total`, `phalanx_parks_total` | counter | polls in these with the CPU kept, and given away; sleeps |
/// | `phalanx_wakes_total` | counter | system calls that woke others |
/// | `phalanx_parties`, `phalanx_parties_arrived` | gauge | who takes part in the open trip, and who of them has arrived |
/// | `phalanx_build_info` | gauge, label `version` | always 1 |
/// | `phalanx_wait_seconds` | histogram, seconds | waits of all parties, on the trips that are timed |
/// | `phalanx_arrival_skew_seconds` | histogram, seconds | from the first arrival of such a trip to the last |
/// | `phalanx_waiting_ratio` | gauge, 0 to 1 | the share of the parties' time that is spent waiting, since the last publication |
/// | `phalanx_imbalance_ratio` | gauge, from 1 | how unevenly the work is shared, likewise (feature `hdr`: `Timing::imbalance`) |
/// | `phalanx_samples_dropped_total` | counter | timed values that were left out, because there were more than 65,536 of a kind since the last publication; those that are there stand for them |
///
/// The last five are of barriers that are timed (feature `hdr`, `Builder::statistics`). An exporter for Prometheus has to be
/// told that they are histograms, and with which buckets: [`BUCKETS`](Self::BUCKETS).
///
/// All but `phalanx_build_info` have the labels `barrier` (the name) and `algorithm`, and no others: their number is known, and a
/// time series costs the same whether anybody looks at it or not. [`by_rank`](Self::by_rank) adds some per rank.
///
/// When a program ends well, the first handle to go breaks the trip that nobody will come to: that is one break with the
/// cause `dropped`, and the reason to alert on the other causes first.
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, observe::Publisher};
///
/// let barrier = Barrier::builder(4).name("halo").build()?;
/// let mut publisher = Publisher::new();
/// // Every few seconds, or on each scrape:
/// publisher.publish(&barrier.stats());
/// # Ok::<(), phalanx::BuildError>(())
/// ```
///
/// `examples/prometheus.rs` serves them to a scrape over HTTP.
#[derive(Debug, Default)]
pub struct Publisher {
    by_rank: bool,
    described: bool,
    barriers: BTreeMap<String, Published>,
}

/// One counter of a barrier: its name, and a label beside those that all have.
type Series = (&'static str, Option<(&'static str, String)>);

/// What has been published under one name.
#[derive(Debug, Default)]
struct Published {
    algorithm: String,
    /// What was seen of the barriers of this name, the one that was published last behind the others.
    barriers: Vec<Seen>,
    /// What of all that came under each algorithm.
    credited: BTreeMap<(String, Series), u64>,
    /// The gauges that show something, by algorithm.
    shown: BTreeSet<(String, &'static str)>,
}

/// What was seen of one barrier.
#[derive(Debug, Default)]
struct Seen {
    /// Its number ([`Stats::number`]).
    number: u64,
    /// The most that was seen of each count.
    counts: BTreeMap<Series, u64>,
    /// What was timed until then.
    #[cfg(feature = "hdr")]
    timing: Timing,
}

/// So many barriers of one name are remembered: one, the one that replaces it, and some for whoever gives several the same
/// name in spite of all advice.
const REMEMBERED: usize = 4;

impl Publisher {
    /// Upper bounds in seconds that suit the histograms: 100 ns, and each four times the one before, to 27 s.
    ///
    /// # Examples
    ///
    /// ```
    /// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    /// use phalanx::observe::Publisher;
    ///
    /// let exporter = PrometheusBuilder::new()
    ///     .set_buckets_for_metric(Matcher::Prefix("phalanx_".into()), &Publisher::BUCKETS)?
    ///     .install_recorder()?;
    /// assert_eq!(exporter.render(), "");
    /// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
    /// ```
    pub const BUCKETS: [f64; 15] = {
        let mut bounds = [1e-7; 15];
        let mut place = 1;
        while place < bounds.len() {
            bounds[place] = 4.0 * bounds[place - 1];
            place += 1;
        }
        bounds
    };

    /// A publisher that has published nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds series for each rank, with the label `rank`: `phalanx_party_arrivals_total`, `phalanx_party_looks_total`,
    /// `phalanx_party_first_total`, `phalanx_party_last_total` ([`PartyStats`](super::PartyStats) has what they mean).
    ///
    /// Four more series for each party of each barrier: for a few parties, or for a while.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut publisher = phalanx::observe::Publisher::new().by_rank();
    /// # let barrier = phalanx::Barrier::new(1)?;
    /// publisher.publish(&barrier.stats());
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    #[must_use]
    pub fn by_rank(self) -> Self {
        Self { by_rank: true, ..self }
    }

    /// Hands what `stats` says to the recorder of this thread, or of the program.
    ///
    /// A few microseconds for each series, most of them the recorder's. If no recorder is installed, nobody hears of it, and
    /// the next call makes up for it, but for the histograms.
    pub fn publish(&mut self, stats: &Stats) {
        if !self.described {
            self.described = true;
            describe();
        }
        gauge!("phalanx_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let published = self.barriers.entry(stats.name.clone()).or_default();
        published.turn_to(stats.number);
        published.gauges(stats);
        #[cfg(feature = "hdr")]
        if let Some(timing) = &stats.timing {
            published.timing(stats, timing);
        }
        published.counters(stats, self.by_rank);
    }

    /// Forgets the barriers called `name`, which are gone: sets their gauges to 0 and drops what was kept about them.
    ///
    /// The recorder keeps their counters as they are. If a barrier of this name may come back, leave it: counted from 0 again,
    /// its counters would stand still until they have passed what the recorder has. A name that was never published is none
    /// to forget.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, observe::Publisher};
    ///
    /// let mut publisher = Publisher::new();
    /// let barrier = Barrier::new(4)?; // barrier-1
    /// publisher.publish(&barrier.stats());
    /// publisher.forget(barrier.name());
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn forget(&mut self, name: &str) {
        if let Some(mut published) = self.barriers.remove(name) {
            published.clear_gauges(name);
        }
    }
}

impl Published {
    /// Puts what was seen of the barrier with this number behind the others: nothing, if it is new.
    fn turn_to(&mut self, number: u64) {
        let place = self.barriers.iter().position(|seen| seen.number == number);
        let seen = place.map_or_else(|| Seen { number, ..Seen::default() }, |place| self.barriers.remove(place));
        if self.barriers.len() == REMEMBERED {
            self.barriers.remove(0);
        }
        self.barriers.push(seen);
    }

    fn set(&mut self, metric: &'static str, stats: &Stats, value: f64) {
        gauge!(metric, labels(&stats.name, &stats.algorithm, None)).set(value);
        self.shown.insert((stats.algorithm.clone(), metric));
    }

    /// All gauges to 0: nobody crosses under these labels any more.
    fn clear_gauges(&mut self, name: &str) {
        for (algorithm, metric) in std::mem::take(&mut self.shown) {
            gauge!(metric, labels(name, &algorithm, None)).set(0.0);
        }
    }

    /// Adds to a counter what it has grown by.
    fn credit(&mut self, (metric, label): Series, stats: &Stats, more: u64) {
        let credited = self.credited.entry((stats.algorithm.clone(), (metric, label.clone()))).or_default();
        *credited += more;
        counter!(metric, labels(&stats.name, &stats.algorithm, label)).absolute(*credited);
    }

    fn gauges(&mut self, stats: &Stats) {
        if self.algorithm != stats.algorithm {
            self.clear_gauges(&stats.name);
            self.algorithm.clone_from(&stats.algorithm);
        }
        self.set("phalanx_parties", stats, stats.parties as f64);
        self.set("phalanx_parties_arrived", stats, stats.arrived as f64);
    }

    #[cfg(feature = "hdr")]
    fn timing(&mut self, stats: &Stats, timing: &Timing) {
        let Some(seen) = self.barriers.last_mut() else { return };
        let meanwhile = timing.since(&seen.timing);
        seen.timing = timing.clone();
        let labels = || labels(&stats.name, &stats.algorithm, None);
        let dropped = hand_over(&meanwhile.wait(), &histogram!("phalanx_wait_seconds", labels()))
            + hand_over(&meanwhile.skew, &histogram!("phalanx_arrival_skew_seconds", labels()));
        self.credit(("phalanx_samples_dropped_total", None), stats, dropped);
        if let Some(share) = meanwhile.waiting_share() {
            self.set("phalanx_waiting_ratio", stats, share);
        }
        if let Some(imbalance) = meanwhile.imbalance() {
            self.set("phalanx_imbalance_ratio", stats, imbalance);
        }
    }

    fn counters(&mut self, stats: &Stats, by_rank: bool) {
        for (series, now) in counts(stats, by_rank) {
            let Some(seen) = self.barriers.last_mut() else { return };
            let seen = seen.counts.entry(series.clone()).or_default();
            let more = now.saturating_sub(*seen);
            *seen += more;
            self.credit(series, stats, more);
        }
    }
}

/// The most values of one histogram that are handed over at once: an exporter may take 16 to 24 bytes for each.
#[cfg(feature = "hdr")]
const MOST: u64 = 1 << 16;

/// Hands the values to the recorder, evenly thinned if they are too many; how many were left out.
#[cfg(feature = "hdr")]
fn hand_over(values: &Histogram, recorder: &::metrics::Histogram) -> u64 {
    let all = values.count();
    let kept = all.min(MOST);
    let (mut seen, mut handed) = (0, 0);
    for (value, count) in values.iter() {
        seen += count;
        // Of the first so many values, their share; rounded down, but for all of them it is exact.
        let due = (u128::from(seen) * u128::from(kept) / u128::from(all)) as u64;
        recorder.record_many(value, (due - handed) as usize);
        handed = due;
    }
    all - kept
}

/// The labels that all series have, and one more.
fn labels(barrier: &str, algorithm: &str, more: Option<(&'static str, String)>) -> Vec<Label> {
    let label = |key: &'static str, value: &str| Label::new(key, SharedString::from(value.to_owned()));
    let more = more.map(|(key, value)| Label::new(key, SharedString::from(value)));
    [label("barrier", barrier), label("algorithm", algorithm)].into_iter().chain(more).collect()
}

/// The counters and what they stand at.
fn counts(stats: &Stats, by_rank: bool) -> Vec<(Series, u64)> {
    let mut counts: Vec<(Series, u64)> = [
        ("phalanx_trips_total", stats.trips),
        ("phalanx_resets_total", stats.resets),
        ("phalanx_timeouts_total", stats.timeouts()),
        ("phalanx_aborts_total", stats.aborts()),
        ("phalanx_long_waits_total", stats.waits()),
        ("phalanx_spins_total", stats.spins()),
        ("phalanx_yields_total", stats.yields()),
        ("phalanx_parks_total", stats.parks()),
        ("phalanx_wakes_total", stats.wakes()),
    ]
    .map(|(name, count)| ((name, None), count))
    .into();
    // A series that begins with its first break has no increase that an alert could see.
    for kind in KINDS {
        counts.push((("phalanx_breaks_total", Some(("cause", kind.to_owned()))), stats.breaks_of(kind)));
    }
    for party in stats.per_party.iter().filter(|_| by_rank) {
        let series = [
            ("phalanx_party_arrivals_total", party.arrivals),
            ("phalanx_party_looks_total", party.looks),
            ("phalanx_party_first_total", party.first),
            ("phalanx_party_last_total", party.last),
        ];
        counts.extend(series.map(|(name, count)| ((name, Some(("rank", party.rank.to_string()))), count)));
    }
    counts
}

/// Tells the recorder what the metrics mean. Names have their units already, as Prometheus wants them; an exporter that adds
/// units and `_total` finds nothing to add.
fn describe() {
    for (name, text) in [
        ("phalanx_trips_total", "Trips completed."),
        (
            "phalanx_breaks_total",
            "Trips broken, by cause. One that is dropped is how a program ends; look at the others.",
        ),
        ("phalanx_timeouts_total", "Trips broken because the patience of a party ended."),
        ("phalanx_aborts_total", "Trips broken by a call of abort."),
        ("phalanx_resets_total", "Returns of the barrier to service."),
        ("phalanx_long_waits_total", "Waits that were not over within the first few dozens of polls."),
        ("phalanx_spins_total", "Polls of long waits without success, with the CPU kept."),
        ("phalanx_yields_total", "Polls of long waits without success, with the CPU given to others."),
        ("phalanx_parks_total", "Sleeps of waiting parties."),
        ("phalanx_wakes_total", "System calls that woke sleeping parties."),
        ("phalanx_party_arrivals_total", "Arrivals of the party of this rank."),
        ("phalanx_party_looks_total", "Trips on which the party of this rank looked who else was there."),
        ("phalanx_party_first_total", "Of the trips looked at, those on which the party of this rank came first."),
        ("phalanx_party_last_total", "Of the trips looked at, those on which the party of this rank came last."),
        #[cfg(feature = "hdr")]
        (
            "phalanx_samples_dropped_total",
            "Timed values left out of the histograms because there were too many at once.",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text) in [
        ("phalanx_parties", "Parties that take part in the open trip."),
        ("phalanx_parties_arrived", "Parties that have arrived at the open trip."),
        #[cfg(feature = "hdr")]
        ("phalanx_waiting_ratio", "Share of the parties' time spent waiting, 0 to 1, since the last publication."),
        #[cfg(feature = "hdr")]
        (
            "phalanx_imbalance_ratio",
            "Longest time between trips without waiting, by the mean of all parties; 1 is even.",
        ),
        ("phalanx_build_info", "Always 1; the label has the version of phalanx."),
    ] {
        describe_gauge!(name, Unit::Count, text);
    }
    #[cfg(feature = "hdr")]
    for (name, text) in [
        ("phalanx_wait_seconds", "Waits of all parties, on the trips that are timed."),
        ("phalanx_arrival_skew_seconds", "From the first arrival to the last, of the trips that are timed."),
    ] {
        describe_histogram!(name, Unit::Seconds, text);
    }
}

// Not under Miri: the exporter's clock asks the processor in assembly.
#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use ::metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// What each snapshot leads to: the lines that have `part` in them, sorted.
    fn told(publisher: &mut Publisher, snapshots: &[Stats], part: &str) -> Vec<Vec<String>> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let lines = snapshots.iter().map(|stats| {
            with_local_recorder(&recorder, || publisher.publish(stats));
            let text = recorder.handle().render();
            let mut lines: Vec<_> = text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect();
            lines.sort();
            lines.retain(|line| !line.starts_with('#'));
            lines
        });
        lines.collect()
    }

    fn snapshot(algorithm: &str, parties: usize, trips: u64) -> Stats {
        let (name, algorithm) = ("halo".to_owned(), algorithm.to_owned());
        Stats { name, algorithm, parties, trips, ..Stats::default() }
    }

    #[test]
    fn a_count_that_goes_back_by_one_is_not_counted_twice() {
        let snapshots = [10, 9, 10, 12].map(|trips| snapshot("central", 2, trips));
        let told = told(&mut Publisher::new(), &snapshots, "phalanx_trips_total");
        let expected = [10, 10, 10, 12]
            .map(|trips| vec![format!("phalanx_trips_total{{barrier=\"halo\",algorithm=\"central\"}} {trips}")]);
        assert_eq!(told, expected);
    }

    #[test]
    fn each_algorithm_is_credited_with_what_it_did() {
        let snapshots = [snapshot("exchange", 2, 10), snapshot("central", 9, 15), snapshot("exchange", 2, 16)];
        let line = |metric: &str, algorithm: &str, value: u64| {
            format!("phalanx_{metric}{{barrier=\"halo\",algorithm=\"{algorithm}\"}} {value}")
        };
        let lines = |metric, exchange, central: Option<u64>| {
            let central = central.map(|value| line(metric, "central", value));
            central.into_iter().chain([line(metric, "exchange", exchange)]).collect::<Vec<_>>()
        };
        let expected =
            [lines("trips_total", 10, None), lines("trips_total", 10, Some(5)), lines("trips_total", 11, Some(5))];
        assert_eq!(told(&mut Publisher::new(), &snapshots, "phalanx_trips_total{"), expected);
        let expected = [lines("parties", 2, None), lines("parties", 0, Some(9)), lines("parties", 2, Some(0))];
        assert_eq!(told(&mut Publisher::new(), &snapshots, "phalanx_parties{"), expected);
    }

    #[test]
    fn barriers_of_one_name_add_up() {
        let numbered = |(number, trips)| Stats { number, ..snapshot("central", 2, trips) };
        let line = |trips| vec![format!("phalanx_trips_total{{barrier=\"halo\",algorithm=\"central\"}} {trips}")];
        for (snapshots, expected) in [
            // One after the other; the second is still behind where the first one was.
            (vec![(1, 10), (2, 3), (2, 5), (3, 0), (3, 1)], vec![10, 13, 15, 15, 16]),
            // A late snapshot of the first one.
            (vec![(1, 10), (2, 3), (1, 9), (1, 11), (2, 4)], vec![10, 13, 13, 14, 15]),
            // All at once.
            (vec![(7, 10), (5, 10), (6, 10), (7, 11), (5, 11), (6, 11)], vec![10, 20, 30, 31, 32, 33]),
        ] {
            let snapshots: Vec<_> = snapshots.into_iter().map(numbered).collect();
            let told = told(&mut Publisher::new(), &snapshots, "phalanx_trips_total{");
            assert_eq!(told, expected.into_iter().map(line).collect::<Vec<_>>());
        }
    }

    #[test]
    fn of_many_barriers_of_one_name_few_are_kept_and_of_forgotten_ones_none() {
        let mut publisher = Publisher::new();
        (0..100).for_each(|number| publisher.publish(&Stats { number, ..snapshot("central", 2, 1) }));
        let published = &publisher.barriers["halo"];
        let numbers: Vec<_> = published.barriers.iter().map(|seen| seen.number).collect();
        assert_eq!(numbers, [96, 97, 98, 99]);
        assert_eq!(published.credited[&("central".to_owned(), ("phalanx_trips_total", None))], 100);
        publisher.forget("never published");
        assert_eq!(publisher.barriers.len(), 1);
        publisher.forget("halo");
        assert!(publisher.barriers.is_empty());
    }

    #[test]
    #[cfg(feature = "hdr")]
    fn too_many_values_are_thinned_evenly_and_counted() {
        /// Keeps how often each value came.
        #[derive(Default)]
        struct Kept(std::sync::Mutex<BTreeMap<String, usize>>);

        impl ::metrics::HistogramFn for Kept {
            fn record(&self, value: f64) {
                self.record_many(value, 1);
            }

            fn record_many(&self, value: f64, count: usize) {
                *self.0.lock().unwrap().entry(format!("{value:.3}")).or_default() += count;
            }
        }

        // In milliseconds, and how often.
        for (values, expected, dropped) in [
            (vec![], vec![], 0),
            (vec![(1, 65_535), (30, 1)], vec![("0.001", 65_535), ("0.030", 1)], 0),
            (vec![(1, 3 << 20), (30, 1 << 20)], vec![("0.001", 3 << 14), ("0.030", 1 << 14)], (1 << 22) - (1 << 16)),
            (vec![(1, 65_536), (30, 1)], vec![("0.001", 65_535), ("0.030", 1)], 1),
        ] {
            let mut histogram = Histogram::default();
            for (millis, count) in values {
                histogram.record_nanos(millis * 1_000_000, count);
            }
            let kept = std::sync::Arc::new(Kept::default());
            assert_eq!(hand_over(&histogram, &std::sync::Arc::clone(&kept).into()), dropped);
            let expected: BTreeMap<_, _> = expected.iter().map(|&(value, count)| (value.to_owned(), count)).collect();
            assert_eq!(*kept.0.lock().unwrap(), expected);
        }
    }

    #[test]
    #[cfg(feature = "hdr")]
    fn what_is_left_out_is_credited_to_the_algorithm_at_the_time() {
        let snapshots = [("exchange", 1 << 17), ("central", 3 << 16)].map(|(algorithm, skews)| {
            let mut timing = Timing::default();
            timing.skew.record_nanos(1_000_000, skews);
            Stats { timing: Some(timing), ..snapshot(algorithm, 2, skews) }
        });
        let line = |algorithm, value| {
            format!("phalanx_samples_dropped_total{{barrier=\"halo\",algorithm=\"{algorithm}\"}} {value}")
        };
        let told = told(&mut Publisher::new(), &snapshots, "phalanx_samples_dropped_total{");
        assert_eq!(told[0], [line("exchange", 65_536)]);
        assert_eq!(told[1], [line("central", 0), line("exchange", 65_536)]);
    }

    #[test]
    fn what_nobody_heard_is_made_up_for() {
        let mut publisher = Publisher::new();
        // There is no recorder.
        publisher.publish(&snapshot("central", 2, 1_000));
        let told = told(&mut publisher, &[snapshot("central", 2, 1_001)], "phalanx_trips_total{");
        assert_eq!(told, [["phalanx_trips_total{barrier=\"halo\",algorithm=\"central\"} 1001"]]);
    }
}
