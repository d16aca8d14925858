//! What the watchdog is told about a barrier (`observe/watchdog`).

use super::control::Control;
use super::era::Era;
use super::roll::Claim;
use crate::error::{Broken, Cause};
use crate::fate::Ruling;
use crate::observe::watchdog::{Handle, Presence, Seat, Sight, Snapshot, Subject, TripId};
use crate::wait::Tally;
use std::sync::Arc;
use std::time::Instant;

/// The moment of one trip as the watchdog sees it.
struct Moment {
    trip: TripId,
    present: Arc<Era>,
    /// Who has arrived, or waits, by seat.
    here: Vec<bool>,
    /// The newcomers that wait for the trip behind.
    ahead: Vec<usize>,
    tallies: Vec<Arc<Tally>>,
}

impl Moment {
    /// What there is to see of `control`; `None` if nobody waits.
    fn of(control: &Control, present: Arc<Era>, next: Option<&Arc<Era>>) -> Option<Self> {
        if present.verdict().is_some() {
            return None;
        }
        let (census, turned) = (present.census(), present.turned());
        if turned == Some(census.generation) {
            // Complete, and the next one is held elsewhere.
            return None;
        }
        // Behind the slots: what they say of an arrived party is of this trip or a later one.
        let tallies = control.tallies();
        let waits = |rank: &usize| tallies.get(*rank).is_some_and(|tally| tally.waiting_since().is_some());
        let ranks = &present.design().ranks;
        let trip = |generation, held| TripId { era: Arc::as_ptr(&present).addr(), generation, held };
        // Those of both eras can only be ahead in the later one when they have crossed this trip.
        let newcomer = |rank: &usize| present.index_of(*rank).is_none();
        let ahead: Vec<usize> = next.map_or_else(Vec::new, |next| {
            let census = next.census();
            let those = next.design().ranks.iter().filter(|rank| newcomer(rank) && !census.missing.contains(rank));
            if census.generation == next.first() { those.copied().collect() } else { Vec::new() }
        });
        if census.arrived > 0 || !ahead.is_empty() {
            let here = ranks.iter().map(|rank| census.missing.binary_search(rank).is_err()).collect();
            let trip = trip(census.generation, false);
            return Some(Self { trip, present, here, ahead, tallies });
        }
        // All have arrived at the trip before, and some wait all the same.
        let here: Vec<bool> = ranks.iter().map(waits).collect();
        let is_held = census.generation != present.first() && here.contains(&true);
        let trip = trip(census.generation.wrapping_sub(1), true);
        is_held.then_some(Self { trip, present, here, ahead, tallies })
    }

    /// Since when at least one waits, if that is known.
    fn since(&self) -> Option<Instant> {
        let ranks = self.present.design().ranks.iter().zip(&self.here).filter(|(_, here)| **here).map(|(rank, _)| rank);
        ranks.chain(&self.ahead).filter_map(|rank| self.tallies.get(*rank)?.waiting_since()).min()
    }
}

/// What the watchdog asks.
impl Subject for Control {
    fn name(&self) -> Arc<str> {
        Arc::clone(self.observers().name())
    }

    fn number(&self) -> u64 {
        self.observers().number()
    }

    fn sight(&self) -> Sight {
        let (present, next, ()) = self.in_service(|_| ());
        let moment = Moment::of(self, present, next.as_ref());
        moment.map_or(Sight::AtRest, |moment| Sight::Open { trip: moment.trip, since: moment.since() })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let (present, next, claims) = self.in_service(Clone::clone);
        let moment = Moment::of(self, present, next.as_ref())?;
        let (sum, _) = self.sum();
        let seat = |rank: usize, presence| {
            let tally = moment.tallies.get(rank).cloned().unwrap_or_default();
            let handle = match claims.of(rank) {
                Some(Claim::Free) => Handle::Unclaimed,
                Some(Claim::Deserted) => Handle::Dropped,
                // Who has left has arrived, as its last act.
                Some(Claim::Held | Claim::Left) | None => Handle::Held,
            };
            let phase = self.observers().labels().words(tally.label.get());
            let arrivals = sum.arrivals.get(rank).copied().unwrap_or(0);
            Seat { rank, presence, handle, thread: self.thread_of(rank), tally, phase, arrivals }
        };
        let ranks = moment.present.design().ranks.iter().zip(&moment.here);
        let present = ranks.map(|(&rank, &here)| seat(rank, if here { Presence::Arrived } else { Presence::Missing }));
        let ahead = moment.ahead.iter().map(|&rank| seat(rank, Presence::Ahead));
        let parties = moment.present.parties();
        Some(Snapshot { trip: moment.trip, parties, ranks: present.chain(ahead).collect() })
    }

    fn break_trip(&self, trip: TripId, reason: String) -> Option<Broken> {
        let (present, ..) = self.in_service(|_| ());
        if trip.held || Arc::as_ptr(&present).addr() != trip.era || present.verdict().is_some() {
            return None;
        }
        let cause = Cause::Aborted { reason };
        let ruling = present.break_trip(trip.generation, |census| self.describe(cause, census));
        // The registry brings those behind it up to date, and whoever watches hears of it.
        self.spread();
        match ruling {
            Ruling::Broken(broken) => Some(broken),
            _ => None,
        }
    }
}
