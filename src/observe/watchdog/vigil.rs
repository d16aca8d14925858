//! When a trip is stuck: the decision, free of clocks and threads.
//!
//! A trip is stuck when the same trip of the same era has had somebody waiting for [`Orders::after`]. Since when is exact
//! where a party says when its wait began, and else the first look that saw an arrival. The barrier has to have been *seen*
//! like that for half of the time (of `break_after`, if that is shorter): if the whole process stood still (a debugger, a suspended machine), the clock has gone on
//! and nobody had a chance to arrive.
//!
//! Reports on one trip are due after `after`, twice that, four times that, and so on, but at least every hour; and one when
//! it is to be broken.

use super::subject::{Sight, TripId};
use std::time::{Duration, Instant};

/// What a watchdog is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    /// How long a trip may take from its first arrival on.
    pub(crate) after: Duration,
    /// When to break it, if ever.
    pub(crate) break_after: Option<Duration>,
}

/// Reports are not further apart.
const FURTHEST: Duration = Duration::from_secs(3600);

impl Orders {
    /// How often to look: eight times as often as there could be a report, but not so often that it costs anybody anything,
    /// and not so seldom that a report is late by more than a second.
    pub(crate) fn interval(&self) -> Duration {
        (self.after / 8).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}

/// When the next report is due, if one was at `due` and it is `stuck` now: twice as late, and so on.
pub(super) fn later(mut due: Duration, stuck: Duration) -> Duration {
    while due <= stuck {
        due = due.saturating_add(due.clamp(Duration::from_millis(1), FURTHEST));
    }
    due
}

/// One barrier, as the watchdog remembers it.
#[derive(Debug)]
pub(crate) struct Vigil {
    orders: Orders,
    open: Option<Open>,
}

/// A trip at which somebody waits.
#[derive(Debug)]
struct Open {
    trip: TripId,
    /// Somebody has waited since then at the latest.
    since: Instant,
    looked: Instant,
    /// For how long it was seen like this.
    seen: Duration,
    /// When the next report is due, from `since` on.
    next: Duration,
    reports: u32,
    broken: bool,
}

/// A report that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) trip: TripId,
    pub(crate) since: Instant,
    pub(crate) stuck: Duration,
    /// Which one on this trip, from 1.
    pub(crate) count: u32,
    /// The trip is to be broken now.
    pub(crate) breaks: bool,
}

impl Vigil {
    pub(crate) fn new(orders: Orders) -> Self {
        Self { orders, open: None }
    }

    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Takes note of what a look at `now` has seen; the report that is due. It stays due until it is
    /// [delivered](Self::delivered).
    pub(crate) fn look(&mut self, now: Instant, sight: Sight) -> Option<Alarm> {
        let Sight::Open { trip, since } = sight else {
            self.open = None;
            return None;
        };
        let Orders { after, break_after } = self.orders;
        let open = match self.open.take() {
            Some(mut open) if open.trip == trip => {
                // Of a longer gap nobody knows what it was.
                open.seen += now.saturating_duration_since(open.looked).min(self.orders.interval() * 2);
                open
            }
            _ => {
                let seen = Duration::ZERO;
                Open { trip, since: now, looked: now, seen, next: after, reports: 0, broken: false }
            }
        };
        let open = self.open.insert(open);
        open.looked = now;
        open.since = since.map_or(open.since, |since| since.min(open.since));
        let stuck = now.saturating_duration_since(open.since);
        let breaks = !open.broken && break_after.is_some_and(|limit| stuck >= limit);
        let due = stuck >= open.next || breaks;
        let alarm = Alarm { trip, since: open.since, stuck, count: open.reports + 1, breaks };
        let shortest = break_after.map_or(after, |limit| limit.min(after));
        (due && open.seen >= shortest / 2).then_some(alarm)
    }

    /// The report has gone out.
    pub(crate) fn delivered(&mut self, alarm: &Alarm) {
        if let Some(open) = self.open.as_mut().filter(|open| open.trip == alarm.trip) {
            open.reports = alarm.count;
            open.broken |= alarm.breaks;
            open.next = later(open.next, alarm.stuck);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(8);
    const SECOND: Duration = Duration::from_secs(1);

    fn trip(generation: u64) -> TripId {
        TripId { era: 1, generation, held: false }
    }

    fn open(generation: u64) -> Sight {
        Sight::Open { trip: trip(generation), since: None }
    }

    /// Looks once a second at what `sight` says; the seconds at which there were reports, and their counts.
    fn watch(orders: Orders, seconds: u64, mut sight: impl FnMut(Instant, u64) -> Sight) -> Vec<(u64, u32, bool)> {
        let (began, mut vigil) = (Instant::now(), Vigil::new(orders));
        let mut reports = Vec::new();
        for second in 0..=seconds {
            if let Some(alarm) = vigil.look(began + SECOND * second as u32, sight(began, second)) {
                vigil.delivered(&alarm);
                reports.push((second, alarm.count, alarm.breaks));
            }
        }
        reports
    }

    fn orders() -> Orders {
        Orders { after: AFTER, break_after: None }
    }

    #[test]
    fn a_stuck_trip_is_reported_again_and_again_ever_more_seldom() {
        let reports = watch(orders(), 3 * 3600, |_, _| open(7));
        let times: Vec<u64> = reports.iter().map(|(second, ..)| *second).collect();
        // Doubled each time, until that would be more than an hour.
        assert_eq!(times, [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 7696]);
        assert!(reports.iter().enumerate().all(|(n, &(_, count, breaks))| count == n as u32 + 1 && !breaks));
    }

    #[test]
    fn a_barrier_at_rest_or_on_the_move_is_never_reported() {
        assert_eq!(watch(orders(), 10_000, |_, _| Sight::AtRest), []);
        // Each trip takes as long as it may, less one look.
        assert_eq!(watch(orders(), 10_000, |_, second| open(second / 8)), []);
        // Somebody is there at every look, at another trip each time.
        assert_eq!(watch(orders(), 10_000, |_, second| open(second)), []);
        // At rest for a look every now and then.
        let now_and_then = |_, second: u64| if second % 8 == 0 { Sight::AtRest } else { open(7) };
        assert_eq!(watch(orders(), 10_000, now_and_then), []);
        // Another era, the same number.
        let renewed =
            |_, second: u64| Sight::Open { trip: TripId { era: (second / 7) as usize, ..trip(7) }, since: None };
        assert_eq!(watch(orders(), 10_000, renewed), []);
    }

    #[test]
    fn a_trip_that_is_complete_just_in_time_is_not_reported_and_one_look_later_is() {
        for (last, reports) in [(7, 0), (8, 1), (9, 1)] {
            let sight = |_, second| if second <= last { open(7) } else { Sight::AtRest };
            assert_eq!(watch(orders(), 100, sight).len(), reports, "{last}");
        }
    }

    #[test]
    fn a_party_that_says_since_when_it_waits_is_believed() {
        let sight = |began: Instant, second: u64| {
            // The wait began 3 s before the first look, and is announced at the third.
            Sight::Open {
                trip: trip(7),
                since: (second >= 2).then_some(began.checked_sub(SECOND * 3).unwrap_or(began)),
            }
        };
        assert_eq!(watch(orders(), 10, sight), [(5, 1, false)]);
    }

    #[test]
    fn a_process_that_stood_still_is_not_blamed_for_it() {
        let (began, mut vigil) = (Instant::now(), Vigil::new(orders()));
        let look = |vigil: &mut Vigil, second: u32| vigil.look(began + SECOND * second, open(7));
        assert_eq!(look(&mut vigil, 0), None);
        assert_eq!(look(&mut vigil, 1), None);
        // An hour later: the first look, and some more.
        assert_eq!(look(&mut vigil, 3600), None);
        assert!((3601..=3620).any(|second| look(&mut vigil, second).is_some()));
    }

    #[test]
    fn a_report_that_was_not_delivered_stays_due() {
        let (began, mut vigil) = (Instant::now(), Vigil::new(orders()));
        let counts: Vec<_> = (0..12).filter_map(|s| vigil.look(began + SECOND * s, open(7))).map(|a| a.count).collect();
        assert_eq!(counts, [1, 1, 1, 1]);
    }

    #[test]
    fn a_trip_is_broken_once_when_its_time_is_up() {
        let orders = Orders { break_after: Some(Duration::from_secs(20)), ..orders() };
        let reports = watch(orders, 70, |_, _| open(7));
        assert_eq!(reports, [(8, 1, false), (16, 2, false), (20, 3, true), (32, 4, false), (64, 5, false)]);
        // Sooner than the first report.
        let orders = Orders { after: AFTER, break_after: Some(Duration::from_secs(5)) };
        assert_eq!(watch(orders, 9, |_, _| open(7)), [(5, 1, true), (8, 2, false)]);
        let orders = Orders { after: AFTER, break_after: Some(Duration::from_secs(2)) };
        assert_eq!(watch(orders, 9, |_, _| open(7)), [(2, 1, true), (8, 2, false)]);
    }

    #[test]
    fn looks_are_neither_too_many_nor_too_few() {
        for (after, interval) in [(0, 1), (8, 1), (80, 10), (8_000, 1_000), (30_000, 1_000), (u64::MAX / 1_000, 1_000)]
        {
            let orders = Orders { after: Duration::from_millis(after), break_after: None };
            assert_eq!(orders.interval(), Duration::from_millis(interval), "{after}");
        }
        // Nothing overflows.
        let orders = Orders { after: Duration::MAX, break_after: Some(Duration::MAX) };
        assert_eq!(watch(orders, 100, |_, _| open(7)), []);
        let orders = Orders { after: Duration::ZERO, break_after: None };
        assert!(!watch(orders, 10, |_, _| open(7)).is_empty());
    }
}
