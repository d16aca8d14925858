//! A snapshot as a table that a person can read.
//!
//! One line per rank, the one that keeps the others waiting first: by how late it comes where that was timed, by how often it
//! comes last otherwise.

use super::stats::{PartyStats, Stats};
use std::fmt;

/// Lines of cells. The first line is the head; all is set to the right.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|&cell| cell.to_owned()).collect()])
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.0.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for line in &self.0 {
            let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
            write!(f, "\n{}", cells.collect::<Vec<_>>().join("  "))?;
        }
        Ok(())
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share))
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Stats {
    /// The parties in the order in which they are printed.
    fn by_lateness(&self) -> Vec<&PartyStats> {
        let mut parties: Vec<&PartyStats> = self.per_party.iter().collect();
        parties.sort_by(|one, other| {
            // Nothing known is behind never.
            let share = |party: &PartyStats| party.last_share().unwrap_or(-1.0);
            share(other).total_cmp(&share(one))
        });
        #[cfg(feature = "hdr")]
        if let Some(timing) = &self.timing {
            let place: Vec<usize> = timing.stragglers();
            parties.sort_by_key(|party| place.iter().position(|rank| *rank == party.rank).unwrap_or(usize::MAX));
        }
        parties
    }

    fn breaks_by_cause(&self) -> String {
        let each: Vec<String> = self.breaks.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
    }
}

/// A line about the barrier, a line for each rank; if something was timed, the same about that. Ends without a newline.
///
/// ```text
/// halo: exchange, 2 parties; 1000 trips, 1 break (1 timed_out), 0 resets
/// rank  arrivals    last   first  waits  spins  yields  parks  wakes
///    1      1001  93.8 %   6.2 %     12    210       0      0      0
///    0      1000   6.2 %  93.8 %    988  61000       0      3      0
/// timed: skew p50 1.01ms, p90 1.02ms, p99 1.04ms, p99.9 1.04ms, max 1.04ms; waiting 48.1 % of the time; imbalance 1.90
/// rank  trips     late   latest  waiting     p50     p90     p99   p99.9     max
///    1     16   1.01ms   1.04ms    0.3 %   300ns   410ns   512ns   512ns   512ns
///    0     16      0ns      0ns   96.0 %  1.01ms  1.02ms  1.04ms  1.04ms  1.04ms
/// ```
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, {}; {}, {}{}, {}",
            self.name.escape_debug(),
            self.algorithm,
            plural(self.parties as u64, "party", "parties"),
            plural(self.trips, "trip", "trips"),
            plural(self.all_breaks(), "break", "breaks"),
            self.breaks_by_cause(),
            plural(self.resets, "reset", "resets"),
        )?;
        let mut table =
            Table::new(&["rank", "arrivals", "last", "first", "waits", "spins", "yields", "parks", "wakes"]);
        for party in self.by_lateness() {
            let mut line = vec![party.rank.to_string(), party.arrivals.to_string()];
            line.extend([percent(party.last_share()), percent(party.first_share())]);
            let counts = [party.waits, party.spins, party.yields, party.parks, party.wakes];
            line.extend(counts.iter().map(u64::to_string));
            table.0.push(line);
        }
        write!(f, "{table}")?;
        #[cfg(feature = "hdr")]
        if let Some(timing) = &self.timing {
            write!(f, "\n{timing}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "hdr")]
mod timed {
    use super::super::histogram::{Histogram, QUANTILES};
    use super::super::timing::Timing;
    use super::{Table, percent};
    use std::fmt;
    use std::time::Duration;

    fn quantiles(histogram: &Histogram) -> impl Iterator<Item = String> + '_ {
        QUANTILES.iter().map(|&(_, quantile)| brief(histogram.quantile(quantile)))
    }

    fn brief(duration: Duration) -> String {
        if duration < Duration::from_micros(1) { format!("{duration:?}") } else { format!("{duration:.2?}") }
    }

    /// The second part of what [`Stats`](crate::observe::Stats) prints.
    impl fmt::Display for Timing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let skew = QUANTILES.iter().zip(quantiles(&self.skew)).map(|((name, _), value)| format!("{name} {value}"));
            let skew = skew.collect::<Vec<_>>().join(", ");
            let imbalance = self.imbalance().map_or_else(|| "-".into(), |imbalance| format!("{imbalance:.2}"));
            let waiting = percent(self.waiting_share());
            write!(f, "timed: skew {skew}; waiting {waiting} of the time; imbalance {imbalance}")?;
            let mut head = vec!["rank", "trips", "late", "latest", "waiting"];
            head.extend(QUANTILES.iter().map(|(name, _)| *name));
            let mut table = Table::new(&head);
            for party in self.stragglers().into_iter().filter_map(|rank| self.party(rank)) {
                let late = party.mean_lateness();
                let late = late.map_or_else(|| ["-".into(), "-".into()], |late| [late, party.latest].map(brief));
                let mut line = vec![party.rank.to_string(), party.wait.count().to_string()];
                line.extend(late);
                line.push(percent(party.waiting_share()));
                line.extend(quantiles(&party.wait));
                table.0.push(line);
            }
            write!(f, "{table}")
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    /// A barrier of two parties, of which the second comes last.
    fn stats() -> Stats {
        let mut stats = Stats { name: "halo".into(), algorithm: "exchange".into(), parties: 2, ..Default::default() };
        (stats.trips, stats.resets) = (1000, 1);
        stats.breaks = [("timed_out".to_owned(), 2), ("aborted".to_owned(), 1)].into();
        let party = |rank, first, last, spins| PartyStats {
            rank,
            arrivals: 1001,
            looks: 16,
            first,
            last,
            waits: 12,
            spins,
            ..PartyStats::default()
        };
        stats.per_party =
            vec![party(0, 15, 1, 61_000), party(1, 1, 15, 210), PartyStats { rank: 2, ..Default::default() }];
        stats
    }

    const COUNTS: &str = "\
halo: exchange, 2 parties; 1000 trips, 3 breaks (1 aborted, 2 timed_out), 1 reset
rank  arrivals    last   first  waits  spins  yields  parks  wakes
   1      1001  93.8 %   6.2 %     12    210       0      0      0
   0      1001   6.2 %  93.8 %     12  61000       0      0      0
   2         0       -       -      0      0       0      0      0";

    #[test]
    fn counts_are_a_table_with_the_straggler_first() {
        assert_eq!(stats().to_string(), COUNTS);
    }

    #[test]
    fn a_barrier_that_nobody_came_to_is_a_line_and_a_head() {
        let stats = Stats { name: "idle".into(), algorithm: "central".into(), parties: 1, ..Default::default() };
        let text = stats.to_string();
        assert!(
            text.starts_with("idle: central, 1 party; 0 trips, 0 breaks, 0 resets\nrank  arrivals  last"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let stats = Stats { name: "halo\n\u{1b}[31m".into(), ..stats() };
        let text = stats.to_string();
        assert!(text.starts_with(r"halo\n\u{1b}[31m: exchange, 2 parties; "), "{text}");
        assert_eq!(text.lines().count(), COUNTS.lines().count());
    }

    #[cfg(feature = "hdr")]
    #[test]
    fn times_are_a_second_table() {
        use super::super::histogram::Histogram;
        use super::super::timing::{PartyTiming, Timing};
        use std::time::Duration;
        let millis = Duration::from_millis;
        let party = |rank, wait: Duration, late| {
            let mut party =
                PartyTiming { rank, waited: wait * 2, compared: 2, late, latest: late, ..Default::default() };
            (0..2).for_each(|_| party.wait.record(wait));
            (party.span, party.span_trips) = (millis(4), 2);
            party
        };
        let mut skew = Histogram::default();
        (0..2).for_each(|_| skew.record(millis(1)));
        let per_party = vec![party(0, millis(1), millis(0)), party(1, Duration::from_nanos(200), millis(2))];
        let timed = Stats { timing: Some(Timing { per_party, skew }), ..stats() };
        let times = "
timed: skew p50 1.00ms, p90 1.00ms, p99 1.00ms, p99.9 1.00ms, max 1.00ms; waiting 25.0 % of the time; imbalance 1.33
rank  trips    late  latest  waiting     p50     p90     p99   p99.9     max
   1      2  1.00ms  2.00ms    0.0 %   200ns   200ns   200ns   200ns   200ns
   0      2     0ns     0ns   50.0 %  1.00ms  1.00ms  1.00ms  1.00ms  1.00ms";
        assert_eq!(timed.to_string(), COUNTS.to_owned() + times);
    }
}
