//! What happens to a barrier as events of the crate `tracing`, for whichever subscriber the program has.
//!
//! Only what is rare makes an event: a break (`WARN`), a return to service (`INFO`), a report of the watchdog (`WARN`). When
//! all parties have finished, the first handle to go breaks the trip that nobody will come to: with nobody waiting, that is
//! `INFO` as well. So this is on for every [`Barrier`](crate::Barrier), those of teams included, once the feature is, and
//! looks at no trip by itself; without a subscriber, or if it does not care, an event costs one load. A
//! [`compat::Barrier`](crate::compat::Barrier) has no name and nobody who watches it: of its breaks and resets there are no
//! events, only of the watchdog's reports, where the environment asks for these. There is no span around a trip: a trip is
//! often shorter than the span would take, and a subscriber that wants intervals is served better by the timeline.
//!
//! The watchdog's events come to whatever subscriber the whole program has: its thread is its own.
//!
//! All events have the target `phalanx` and the field `barrier`. The subscriber runs on whichever thread hears of the break
//! first, with no lock held, and a panic in it changes nothing (`quietly`): it may look at the barrier, and even mend it.

use super::eye::Witness;
use super::watchdog::{Absent, Report};
use crate::error::{Broken, Cause};
use ::tracing::{Level, event};
use std::fmt;
use std::sync::Arc;

/// The target of all events.
const TARGET: &str = "phalanx";

/// Tells the subscriber what happens to one barrier.
#[derive(Debug)]
pub(super) struct Teller {
    barrier: Arc<str>,
}

impl Teller {
    pub(super) fn new(barrier: Arc<str>) -> Self {
        Self { barrier }
    }
}

impl Witness for Teller {
    fn broken(&self, broken: &Broken) {
        // The level belongs to the place in the program, so there are two places.
        macro_rules! tell {
            ($level:expr) => {
                event!(
                    target: TARGET,
                    $level,
                    barrier = &*self.barrier,
                    generation = broken.generation(),
                    cause = broken.cause().kind(),
                    rank = broken.cause().rank(),
                    parties = broken.parties(),
                    arrived = broken.arrived(),
                    missing = display(Ranks(broken.missing().iter().map(|missing| missing.rank))),
                    "{broken}"
                )
            };
        }
        if is_farewell(broken) { tell!(Level::INFO) } else { tell!(Level::WARN) }
    }

    fn reset(&self, first: u64) {
        event!(target: TARGET, Level::INFO, barrier = &*self.barrier, generation = first, "reset: the next trip is {first}");
    }
}

/// Whether this may be no more than the end of a program: a party's handle is gone, and nobody waits for it. (If somebody comes
/// after all, it is told, as always.)
fn is_farewell(broken: &Broken) -> bool {
    matches!(broken.cause(), Cause::Dropped { .. }) && broken.arrived() == 0
}

/// Tells the subscriber of a trip that is stuck. On the watchdog's thread, with no lock held.
pub(super) fn stuck(report: &Report) {
    event!(
        target: TARGET,
        Level::WARN,
        barrier = report.barrier(),
        generation = report.generation(),
        stuck_seconds = report.stuck_for().as_secs_f64(),
        report = report.count(),
        parties = report.parties(),
        arrived = report.arrived(),
        missing = display(Ranks(report.missing().iter().map(Absent::rank))),
        held = report.is_held(),
        "{report}"
    );
}

/// Ranks named before the rest is only counted, as in the text of a [`Broken`].
const NAMED: usize = 16;

/// `0,3`, or `0,1,2 and 200 more`; nothing for nobody.
struct Ranks<I>(I);

impl<I: ExactSizeIterator<Item = usize> + Clone> fmt::Display for Ranks<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, rank) in self.0.clone().take(NAMED).enumerate() {
            write!(f, "{}{rank}", if position == 0 { "" } else { "," })?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_missing_are_listed_for_machines_and_the_list_is_bounded() {
        let text = |ranks| Ranks(ranks).to_string();
        assert_eq!([text(0..0), text(3..4), text(3..5)], ["", "3", "3,4"]);
        assert_eq!(text(0..216), "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 and 200 more");
    }
}
