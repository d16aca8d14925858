//! What the watchdog sees of a barrier: whether somebody waits, at which trip and since when; and, if that has lasted too long,
//! everything that is known of each party.

use super::control::Control;
use super::era::Era;
use super::roll::Claim;
use crate::error::{Broken, Cause};
use crate::fate::Ruling;
use crate::fate::luggage::Kind;
use crate::observe::watchdog::{Handle, Presence, Seat, Sight, Snapshot, Subject, TripId};
use crate::wait::Tally;
use std::sync::Arc;
use std::time::Instant;

/// The moment of one trip as the watchdog sees it.
struct Moment {
    trip: TripId,
    era: Arc<Era>,
    /// Who is of interest.
    ranks: Vec<usize>,
    /// Who of them has arrived, or waits.
    here: Vec<bool>,
    /// The newcomers that wait for the trip behind.
    ahead: Vec<usize>,
    tallies: Vec<Arc<Tally>>,
}

/// The era of the open trip, and the one before it if that is what the registry has named as the earliest.
fn told_apart(earliest: Arc<Era>) -> (Option<Arc<Era>>, Arc<Era>) {
    // A broken era may have an heir that was broken with it: either will do.
    match earliest.heir().filter(|_| earliest.verdict().is_none()) {
        Some(present) => (Some(earliest), present),
        None => (None, earliest),
    }
}

/// The newcomers that wait at the first trip of `next`, behind the last one of `era`. Those of both eras can only be there when
/// they have crossed this trip.
fn newcomers(era: &Era, next: &Era) -> Vec<usize> {
    let census = next.census();
    if census.generation != next.first() {
        return Vec::new();
    }
    let waits = |rank: &&usize| era.index_of(**rank).is_none() && !census.missing.contains(rank);
    next.design().ranks.iter().filter(waits).copied().collect()
}

fn waits(tallies: &[Arc<Tally>], rank: usize) -> bool {
    tallies.get(rank).is_some_and(|tally| tally.waiting_since().is_some())
}

impl Moment {
    /// What there is to see of `control`, whose earliest era and next one these are; `None` if nobody waits.
    fn of(control: &Control, earliest: Arc<Era>, next: Option<&Arc<Era>>) -> Option<Self> {
        let (before, present) = told_apart(earliest);
        // The slots say that the last trip of an era is complete before the action has run, so that the next era is present
        // by now: whatever has become of it, those who wait in the one before come first.
        let held = before.and_then(|before| Self::behind(control, before, &present, next));
        held.or_else(|| Self::at(control, present, next))
    }

    /// The last trip of the era before, if somebody still waits there.
    fn behind(control: &Control, before: Arc<Era>, present: &Era, next: Option<&Arc<Era>>) -> Option<Self> {
        let last = before.turned()?.wrapping_sub(1);
        let tallies = control.tallies();
        let waiting: Vec<bool> = before.design().ranks.iter().map(|&rank| waits(&tallies, rank)).collect();
        // Behind the tallies: who waits, and has not arrived here even now, waits there.
        let census = present.census();
        if census.generation != present.first() {
            return None;
        }
        let ranks = before.design().ranks.iter().copied().zip(waiting);
        let seats: Vec<(usize, bool)> =
            ranks.map(|(rank, waits)| (rank, waits && census.missing.binary_search(&rank).is_ok())).collect();
        if !seats.iter().any(|(_, here)| *here) {
            return None;
        }
        // Who has left does not wait, and need not be the one that holds the others, unless nobody else can be. What is known
        // of its rank may be a newcomer's by now.
        let luggage = |rank: usize| before.index_of(rank).map(|index| before.luggage(index));
        let has_left = |rank: usize| luggage(rank).is_some_and(|luggage| luggage.is_leaving(last));
        let may_act = |rank: usize| luggage(rank).is_some_and(|luggage| luggage.kind(last) != Some(Kind::ABSENT));
        let is_known = seats.iter().any(|&(rank, here)| !here && !has_left(rank) && may_act(rank));
        let is_reused = |rank: usize| next.is_some_and(|next| next.index_of(rank).is_some());
        let of_interest = |&(rank, _): &(usize, bool)| !has_left(rank) || !(is_known || is_reused(rank));
        let (ranks, here) = seats.into_iter().filter(of_interest).unzip();
        let trip = TripId { era: Arc::as_ptr(&before).addr(), generation: last, held: true };
        let ahead = newcomers(&before, present);
        Some(Self { trip, era: before, ranks, here, ahead, tallies })
    }

    /// The open trip, or the one before it if that is of the same era and somebody still waits there.
    fn at(control: &Control, present: Arc<Era>, next: Option<&Arc<Era>>) -> Option<Self> {
        if let Some(verdict) = present.verdict() {
            return Self::below(control, present, &verdict);
        }
        let (census, turned) = (present.census(), present.turned());
        if turned == Some(census.generation) {
            // Complete, and the next one is held elsewhere.
            return None;
        }
        // Behind the slots: what they say of an arrived party is of this trip or a later one.
        let tallies = control.tallies();
        let ranks = present.design().ranks.to_vec();
        let trip = |generation, held| TripId { era: Arc::as_ptr(&present).addr(), generation, held };
        let ahead = next.map_or_else(Vec::new, |next| newcomers(&present, next));
        if census.arrived > 0 || !ahead.is_empty() {
            let here = ranks.iter().map(|rank| census.missing.binary_search(rank).is_err()).collect();
            let trip = trip(census.generation, false);
            return Some(Self { trip, era: present, ranks, here, ahead, tallies });
        }
        // All have arrived at the trip before, and some wait all the same.
        let here: Vec<bool> = ranks.iter().map(|&rank| waits(&tallies, rank)).collect();
        let is_held = census.generation != present.first() && here.contains(&true);
        let trip = trip(census.generation.wrapping_sub(1), true);
        is_held.then_some(Self { trip, era: present, ranks, here, ahead, tallies })
    }

    /// The trip before the one that is broken, which nobody had come to, if somebody still waits there.
    fn below(control: &Control, present: Arc<Era>, verdict: &Broken) -> Option<Self> {
        if verdict.arrived() > 0 || verdict.generation() == present.first() {
            return None;
        }
        let tallies = control.tallies();
        let ranks = present.design().ranks.to_vec();
        let waiting: Vec<bool> = ranks.iter().map(|&rank| waits(&tallies, rank)).collect();
        // Behind the tallies: who comes late to the broken trip has arrived there before it waits.
        let census = present.census();
        if census.generation != verdict.generation() {
            return None;
        }
        let waits_below = |(rank, waits): (&usize, bool)| waits && census.missing.binary_search(rank).is_ok();
        let here: Vec<bool> = ranks.iter().zip(waiting).map(waits_below).collect();
        let generation = census.generation.wrapping_sub(1);
        let trip = TripId { era: Arc::as_ptr(&present).addr(), generation, held: true };
        let is_held = here.contains(&true);
        is_held.then_some(Self { trip, era: present, ranks, here, ahead: Vec::new(), tallies })
    }

    /// Since when at least one waits, if that is known.
    fn since(&self) -> Option<Instant> {
        let ranks = self.ranks.iter().zip(&self.here).filter(|(_, here)| **here).map(|(rank, _)| rank);
        // A newcomer does not wait for what holds a trip that it has no part in, and may have come long before.
        let ahead = self.ahead.iter().filter(|_| !self.trip.held);
        ranks.chain(ahead).filter_map(|rank| self.tallies.get(*rank)?.waiting_since()).min()
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
        let (earliest, next, ()) = self.in_service(|_| ());
        let moment = Moment::of(self, earliest, next.as_ref());
        moment.map_or(Sight::AtRest, |moment| Sight::Open { trip: moment.trip, since: moment.since() })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let (earliest, next, claims) = self.in_service(Clone::clone);
        let moment = Moment::of(self, earliest, next.as_ref())?;
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
        let ranks = moment.ranks.iter().zip(&moment.here);
        let present = ranks.map(|(&rank, &here)| seat(rank, if here { Presence::Arrived } else { Presence::Missing }));
        let ahead = moment.ahead.iter().map(|&rank| seat(rank, Presence::Ahead));
        let parties = moment.era.parties();
        Some(Snapshot { trip: moment.trip, parties, ranks: present.chain(ahead).collect() })
    }

    fn break_trip(&self, trip: TripId, reason: String) -> Option<Broken> {
        let (earliest, ..) = self.in_service(|_| ());
        let (_, present) = told_apart(earliest);
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

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;
    use crate::barrier::party::Party;

    fn two() -> (Barrier, Vec<Party>) {
        let barrier = Barrier::new(2).unwrap();
        let parties = barrier.take_parties().unwrap();
        (barrier, parties)
    }

    fn open(control: &Control) -> (TripId, Option<Instant>) {
        match control.sight() {
            Sight::Open { trip, since } => (trip, since),
            Sight::AtRest => panic!("somebody is there"),
        }
    }

    #[test]
    fn a_newcomer_is_ahead_once_it_has_come() {
        let (barrier, mut parties) = two();
        let control = barrier.control();
        let mut newcomer = barrier.join().unwrap();
        let seen = || -> Vec<(usize, Presence)> {
            control.snapshot().unwrap().ranks.iter().map(|seat| (seat.rank, seat.presence)).collect()
        };
        drop(parties[0].arrive());
        assert_eq!(seen(), [(0, Presence::Arrived), (1, Presence::Missing)]);
        drop(newcomer.arrive());
        assert_eq!(seen(), [(0, Presence::Arrived), (1, Presence::Missing), (2, Presence::Ahead)]);
    }

    #[test]
    fn the_wait_at_an_open_trip_began_with_the_first_of_all_who_wait() {
        let (barrier, mut parties) = two();
        let control = barrier.control();
        let mut newcomer = barrier.join().unwrap();
        drop(parties[0].arrive());
        drop(newcomer.arrive());
        let tallies = control.tallies();
        assert_eq!(open(control).1, None, "nobody has waited for long");
        tallies[2].since_now();
        assert!(open(control).1.is_some_and(|since| Some(since) == tallies[2].waiting_since()));
        tallies[0].since_now();
        assert_eq!(open(control).1, tallies[2].waiting_since());
        // Who has not arrived waits for something else.
        tallies[2].outlasts(false);
        tallies[1].since_now();
        assert_eq!(open(control).1, tallies[0].waiting_since());
    }

    #[test]
    fn a_complete_trip_is_held_below_a_broken_one_that_nobody_has_come_to() {
        let (barrier, mut parties) = two();
        parties.iter_mut().for_each(|party| drop(party.arrive()));
        assert_eq!(barrier.abort("no more").generation(), 1);
        let tallies = barrier.control().tallies();
        assert_eq!(barrier.control().sight(), Sight::AtRest);
        tallies[1].since_now();
        let (trip, since) = open(barrier.control());
        assert_eq!((trip.generation, trip.held, since), (0, true, tallies[1].waiting_since()));
    }

    #[test]
    fn nothing_is_held_below_a_broken_trip_that_somebody_has_come_to() {
        let (barrier, mut parties) = two();
        parties.iter_mut().for_each(|party| drop(party.arrive()));
        drop(parties[0].arrive());
        let broken = barrier.abort("no more");
        assert_eq!((broken.generation(), broken.arrived()), (1, 1));
        // Let go from the trip before, and not awake yet.
        barrier.control().tallies()[1].since_now();
        assert_eq!(barrier.control().sight(), Sight::AtRest);
    }

    #[test]
    fn nothing_is_held_below_the_first_trip() {
        let (barrier, _parties) = two();
        assert_eq!(barrier.abort("no more").generation(), 0);
        barrier.control().tallies()[1].since_now();
        assert_eq!(barrier.control().sight(), Sight::AtRest);
    }

    #[test]
    fn only_the_open_trip_of_the_present_era_is_broken() {
        let (barrier, mut parties) = two();
        let control = barrier.control();
        drop(parties[0].arrive());
        let (trip, _) = open(control);
        assert_eq!(control.break_trip(TripId { era: trip.era + 1, ..trip }, "stale".into()), None);
        assert_eq!(control.break_trip(TripId { held: true, ..trip }, "held".into()), None);
        assert!(!barrier.is_broken());
        let broken = control.break_trip(trip, "late".into()).unwrap();
        assert_eq!(broken.cause(), &Cause::Aborted { reason: "late".into() });
        assert_eq!(control.break_trip(trip, "later".into()), None);
        assert_eq!(barrier.broken(), Some(broken));
    }

    #[test]
    fn no_two_barriers_have_one_number() {
        let barriers = [two().0, two().0, two().0];
        let mut numbers = barriers.each_ref().map(|barrier| barrier.control().number());
        numbers.sort_unstable();
        assert!(numbers[0] < numbers[1] && numbers[1] < numbers[2], "{numbers:?}");
    }
}
