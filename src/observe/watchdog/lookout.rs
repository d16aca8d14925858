//! The watchdog of barriers whose callers have no handles: whoever comes first to a trip looks after it, while it waits.
//!
//! Such a barrier may be a `static` and knows neither its callers nor the thread that could watch them; but its first caller is
//! there as long as the trip is. So that one does not sleep through: it wakes up when a report is due, writes it, and goes
//! back to sleep. Its own wait tells since when the trip is stuck, and that it still is.

use super::hint::Hint;
use super::patrol::{Sink, deliver};
use super::report::{Present, Report, Thread};
use super::subject::TripId;
use super::thread_state::ThreadState;
use super::vigil::{Orders, later};
use crate::primitive::{now, thread_id};
use crate::topology::available_cpus;
use crate::wait::{Settings, Watchdog};
use std::time::{Duration, Instant};

/// One caller's watch over its trip.
#[derive(Debug)]
pub(crate) struct Lookout {
    orders: Orders,
    start: Instant,
    /// When the caller's own patience ends.
    end: Option<Instant>,
    /// The next report is due then, counted from the start.
    next: Duration,
    count: u32,
    broken: bool,
}

/// What is to be done about the trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Nothing: it is not over, and not stuck.
    Wait,
    /// Report it; and break it?
    Report { breaks: bool },
}

impl Lookout {
    /// The watch of a caller that waits until `end`; `None` if nobody has asked for one.
    pub(crate) fn begin(end: impl FnOnce(Instant) -> Option<Instant>) -> Option<Self> {
        if cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) {
            return None;
        }
        let Watchdog { after, break_after } = Settings::from_env().watchdog?;
        Some(Self::new(Orders { after, break_after }, now(), end))
    }

    fn new(orders: Orders, start: Instant, end: impl FnOnce(Instant) -> Option<Instant>) -> Self {
        Self { orders, start, end: end(start), next: orders.after, count: 0, broken: false }
    }

    /// When to wake up, unless the caller's own patience ends before.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        let break_after = self.orders.break_after.filter(|_| !self.broken);
        let at = self.start.checked_add(break_after.map_or(self.next, |limit| limit.min(self.next)))?;
        Some(at).filter(|at| self.end.is_none_or(|end| *at < end))
    }

    /// It has woken up.
    pub(crate) fn look(&mut self) -> Duty {
        self.look_at(now())
    }

    fn look_at(&mut self, now: Instant) -> Duty {
        let Some(due) = self.wakes_at() else { return Duty::Wait };
        let late = now.saturating_duration_since(due);
        if late > self.orders.after / 2 {
            // The whole process stood still, or nearly: nobody had a chance to come. That time does not count.
            self.start += late;
            return Duty::Wait;
        }
        let stuck = now.saturating_duration_since(self.start);
        let breaks = !self.broken && self.orders.break_after.is_some_and(|limit| stuck >= limit);
        self.broken |= breaks;
        self.next = later(self.next, stuck);
        self.count += 1;
        Duty::Report { breaks }
    }

    /// Reports a trip of a barrier for `parties`, of whom `arrived` are there.
    pub(crate) fn report(&self, generation: u64, arrived: usize, parties: usize) {
        let stuck = now().saturating_duration_since(self.start);
        let thread = Thread {
            name: std::thread::current().name().map(str::to_owned),
            id: thread_id(),
            cpu: crate::topology::current_cpu(),
            // It is only awake to say this.
            state: ThreadState::Unknown,
            asleep: None,
        };
        let missing = parties.saturating_sub(arrived);
        let present =
            Present { rank: 0, anonymous: true, ahead: false, since: Some(stuck), thread: Some(thread), phase: None };
        let report = Report {
            barrier: "compat".into(),
            number: 0,
            trip: TripId { era: 0, generation, held: missing == 0 },
            parties,
            arrived,
            cpus: available_cpus(),
            after: self.orders.after,
            stuck,
            count: self.count,
            present: vec![present],
            missing: Vec::new(),
            hints: if missing == 0 { vec![Hint::Acting] } else { vec![Hint::Anonymous { missing }] },
            subject: None,
        };
        deliver(&Sink::stderr(), &report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn orders(break_after: Option<u64>) -> Orders {
        Orders { after: SECOND * 8, break_after: break_after.map(Duration::from_secs) }
    }

    /// When it wakes up, in seconds, and what it then does, until `end`.
    fn wakes(orders: Orders, end: u64) -> Vec<(u64, bool)> {
        let start = Instant::now();
        let mut lookout = Lookout::new(orders, start, |start| start.checked_add(SECOND * end as u32));
        let mut wakes = Vec::new();
        while let Some(at) = lookout.wakes_at() {
            let Duty::Report { breaks } = lookout.look_at(at) else { panic!("it is in time") };
            wakes.push(((at - start).as_secs(), breaks));
        }
        wakes
    }

    #[test]
    fn the_first_caller_wakes_up_ever_more_seldom_and_not_behind_its_own_limit() {
        assert_eq!(wakes(orders(None), 65), [(8, false), (16, false), (32, false), (64, false)]);
        assert_eq!(wakes(orders(None), 8), []);
        assert_eq!(wakes(orders(Some(20)), 40), [(8, false), (16, false), (20, true), (32, false)]);
        assert_eq!(wakes(orders(Some(5)), 9), [(5, true), (8, false)]);
    }

    #[test]
    fn a_wake_that_comes_far_too_late_does_not_count() {
        let start = Instant::now();
        let mut lookout = Lookout::new(orders(None), start, |_| None);
        assert_eq!(lookout.look_at(start + SECOND * 3600), Duty::Wait);
        let at = lookout.wakes_at().unwrap();
        assert_eq!(at, start + SECOND * 3600);
        assert_eq!(lookout.look_at(at + SECOND), Duty::Report { breaks: false });
    }
}
