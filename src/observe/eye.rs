//! The eye: how one party has a look at some of its trips.
//!
//! Whatever is to be known of a single trip (who came first and last, how long one waited, when it arrived and left) costs
//! more than a trip between two near parties: a look at the clock alone is a third of it. So a party looks at some trips only,
//! and goes through the others with one comparison. Which ones is a matter of their number, so that all parties look at
//! the same: those whose number times the golden ratio (modulo 1) falls below the share that is wanted. Such trips are
//! spread evenly, and no loop that does something special every 64th or 100th time is always seen, or never.
//!
//! The default is to look at one trip in 64 for the order of the arrivals, and at nothing else. Who wants more says so when
//! the barrier is built; each such wish is a [`Witness`] of the barrier, with a [`Bystander`] for each party.
//!
//! # Protocol
//!
//! On a trip that is looked at: [`Eye::arrives`], then the party publishes its arrival, then [`Eye::looks`], which finds out
//! who else is there; [`Eye::stays`] when it begins to wait or asks, if that is later (split phase); [`Eye::leaves`] when the trip is
//! decided for it. Who else is there costs a look at lines that others are about to write, so it is found out on the usual
//! trips, and on those on which a witness wants it ([`Witness::standings`]). A trip that is held elsewhere is left
//! ([`Outcome::Moved`]) and begun again; or, if the party's arrival has been made good there, it goes on as if it had never been
//! left ([`Eye::resumes`]).
//!
//! A trip on which something rides may be crossed and break all the same, for what is done with it. Of such a trip
//! [`Eye::released`] says when the party was let go, and the eye stays open until the party knows for certain
//! ([`Eye::concludes`]): so nobody is told that a trip is complete of which its parties hear that it is broken.

use crate::error::Broken;
use crate::fate::Slots;
#[cfg(feature = "timeline")]
use crate::observe::timeline::Scribe;
use crate::wait::Tally;
use std::fmt::Debug;
use std::sync::Arc;

/// Which trips are looked at: a share of them, spread evenly, the same for all parties.
///
/// # Examples
///
/// ```
/// use phalanx::observe::Sampling;
///
/// assert_eq!(Sampling::one_in(50), Sampling::one_in(64));
/// assert_eq!(Sampling::one_in(1), Sampling::ALL);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sampling {
    /// A trip is, if its scrambled number is below.
    below: u64,
}

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Sampling {
    /// None.
    pub(crate) const NEVER: Self = Self { below: 0 };

    /// For the order of arrivals, where nothing else is asked for.
    pub(crate) const USUAL: Self = Self::one_in_two_to(6);

    /// Every trip.
    pub const ALL: Self = Self::one_in_two_to(0);

    /// One trip in `trips`, taken up to the next power of two; every one for 0 and 1.
    #[must_use]
    pub const fn one_in(trips: u64) -> Self {
        match trips.checked_next_power_of_two() {
            Some(power) => Self::one_in_two_to(power.trailing_zeros()),
            None => Self::NEVER,
        }
    }

    /// One in 2^`exponent`; with 0 all.
    const fn one_in_two_to(exponent: u32) -> Self {
        Self { below: if exponent < 64 { u64::MAX >> exponent } else { 0 } }
    }

    /// Whether trip `generation` is.
    #[inline(always)]
    pub(crate) fn takes(self, generation: u64) -> bool {
        generation.wrapping_mul(GOLDEN) < self.below
    }
}

/// A party whose trip is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving<'a> {
    pub(crate) generation: u64,
    pub(crate) rank: usize,
    /// The ranks that take part, ascending.
    pub(crate) ranks: &'a [usize],
    pub(crate) outcome: Outcome,
}

/// What became of a trip, for one of its parties.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Complete, and whether the party leads it.
    Complete { leads: bool },
    /// Broken.
    Broken,
    /// Held elsewhere: the party arrives again, at the same trip or a later one; or it has arrived there already, and leaves it
    /// without another call of [`Bystander::arrives`].
    Moved,
}

/// Somebody who watches a barrier, by request.
pub(crate) trait Witness: Send + Sync + Debug {
    /// Which trips it wants to see. The parties may look at more.
    fn sampling(&self) -> Sampling {
        Sampling::NEVER
    }

    /// On which of those trips it is to be counted who came first and last. Finding out takes a look at the arrivals of all
    /// others.
    fn standings(&self) -> Sampling {
        self.sampling()
    }

    /// What accompanies the party of `rank`, from now to the end of its handle.
    fn bystander(self: Arc<Self>, rank: usize) -> Option<Box<dyn Bystander>> {
        let _ = rank;
        None
    }

    /// The barrier broke. Once for each break, on whichever thread hears of it first; no lock is held.
    fn broken(&self, broken: &Broken) {
        let _ = broken;
    }

    /// The barrier is in service again, and its next trip is `first`. No lock is held.
    fn reset(&self, first: u64) {
        let _ = first;
    }
}

/// Somebody who accompanies one party through the trips that it looks at. Called on its thread, in the order of the
/// protocol above.
pub(crate) trait Bystander: Send + Debug {
    /// Before the arrival at trip `generation` is published.
    fn arrives(&mut self, generation: u64);

    /// The party begins to wait, or asks whether the trip is decided, perhaps more than once; without this call, it did when
    /// it arrived.
    fn stays(&mut self) {}

    /// The party is let go, but has something to do before the trip is decided: what follows is no waiting. If more than
    /// once, the last time counts; without this call, it was let go when the trip was decided.
    fn released(&mut self) {}

    /// The trip is decided, and the party about to leave.
    fn leaves(&mut self, leaving: &Leaving<'_>);
}

/// A party's look at some of its trips.
#[derive(Debug)]
pub(crate) struct Eye {
    sampling: Sampling,
    /// Of these trips, those on which it finds out who else is there.
    standings: Sampling,
    /// It has arrived at a trip that it looks at, and not left.
    open: bool,
    /// It leads the trip that it has been let go from and that is not decided.
    leads: bool,
    body: Option<Box<Body>>,
}

#[derive(Debug)]
struct Body {
    tally: Arc<Tally>,
    bystanders: Vec<Box<dyn Bystander>>,
    /// A bystander as well, on every trip: beside the others, so that nothing of it is a call.
    #[cfg(feature = "timeline")]
    scribe: Option<Scribe>,
}

impl Default for Eye {
    fn default() -> Self {
        Self { sampling: Sampling::NEVER, standings: Sampling::NEVER, open: false, leads: false, body: None }
    }
}

impl Eye {
    /// An eye that counts in `tally` and is the one of `bystanders` as well. `sampling` and `standings`: which trips it looks
    /// at, and on which of these it finds out who else is there.
    pub(crate) fn new(
        tally: Arc<Tally>,
        (sampling, standings): (Sampling, Sampling),
        bystanders: Vec<Box<dyn Bystander>>,
    ) -> Self {
        let body = Body {
            tally,
            bystanders,
            #[cfg(feature = "timeline")]
            scribe: None,
        };
        Self { sampling, standings, open: false, leads: false, body: Some(Box::new(body)) }
    }

    /// And has all trips noted by `scribe`.
    #[cfg(feature = "timeline")]
    pub(crate) fn noted_by(mut self, scribe: Option<Scribe>) -> Self {
        if let (Some(body), Some(scribe)) = (&mut self.body, scribe) {
            body.scribe = Some(scribe);
            self.sampling = Sampling::ALL;
        }
        self
    }

    /// Whether the party looks at trip `generation`.
    #[inline(always)]
    pub(crate) fn takes(&self, generation: u64) -> bool {
        self.sampling.takes(generation)
    }

    /// Whether the party finds out who else is there on trip `generation`, which it looks at.
    #[inline(always)]
    pub(crate) fn stands(&self, generation: u64) -> bool {
        self.standings.takes(generation)
    }

    /// Before the arrival.
    #[inline(always)]
    pub(crate) fn arrives(&mut self, generation: u64) {
        if let Some(body) = &mut self.body {
            self.open = true;
            body.bystanders.iter_mut().for_each(|bystander| bystander.arrives(generation));
            // The last before the arrival, and the first behind the release: the others' time is the party's own.
            #[cfg(feature = "timeline")]
            if let Some(scribe) = &mut body.scribe {
                scribe.arrives();
            }
        }
    }

    /// Behind the arrival at the seat `index`.
    #[cold]
    pub(crate) fn looks(&mut self, slots: &Slots, index: usize, generation: u64) {
        if let Some(body) = &self.body {
            let standing = slots.standing(index, generation);
            body.tally.looks.add(1);
            body.tally.first.add(u64::from(standing.first));
            body.tally.last.add(u64::from(standing.last));
        }
    }

    /// The party begins to wait, some time after its arrival.
    #[inline(always)]
    pub(crate) fn stays(&mut self) {
        if let Some(body) = self.body.as_mut().filter(|_| self.open) {
            #[cfg(feature = "timeline")]
            if let Some(scribe) = &mut body.scribe {
                scribe.stays();
            }
            body.bystanders.iter_mut().for_each(|bystander| bystander.stays());
        }
    }

    /// Whether somebody wants to know what becomes of the trip that the party has arrived at.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The arrival at a trip that was held elsewhere has been made good there: that trip is the one to be seen off, and
    /// began when the party arrived.
    pub(crate) fn resumes(&mut self) {
        self.open = self.body.is_some();
    }

    /// The party is let go from a trip that may break yet, and leads it or not.
    #[inline(always)]
    pub(crate) fn crosses(&mut self, leads: bool) {
        self.leads = leads;
        self.released();
    }

    /// The party is let go from a trip that may break yet.
    #[inline(always)]
    pub(crate) fn released(&mut self) {
        if let Some(body) = self.body.as_mut().filter(|_| self.open) {
            #[cfg(feature = "timeline")]
            if let Some(scribe) = &mut body.scribe {
                scribe.released();
            }
            body.bystanders.iter_mut().for_each(|bystander| bystander.released());
        }
    }

    /// The trip is decided that the party was let go from before ([`Eye::crosses`]).
    #[inline(never)]
    pub(crate) fn concludes(&mut self, generation: u64, rank: usize, ranks: &[usize], complete: bool) {
        let outcome = if complete { Outcome::Complete { leads: self.leads } } else { Outcome::Broken };
        self.leaves(generation, rank, ranks, outcome);
    }

    /// The trip is decided.
    #[inline(always)]
    pub(crate) fn leaves(&mut self, generation: u64, rank: usize, ranks: &[usize], outcome: Outcome) {
        if let Some(body) = self.body.as_mut().filter(|_| self.open) {
            self.open = false;
            #[cfg(feature = "timeline")]
            if let Some(scribe) = &mut body.scribe {
                scribe.leaves(generation, outcome);
            }
            let leaving = Leaving { generation, rank, ranks, outcome };
            body.bystanders.iter_mut().for_each(|bystander| bystander.leaves(&leaving));
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_trips_is_as_asked_for_wherever_the_count_is() {
        for first in [0, u64::MAX - 5_000, 1 << 40] {
            for (exponent, least, most) in [(0, 10_000, 10_000), (1, 4_990, 5_010), (6, 150, 162), (10, 8, 12)] {
                let sampling = Sampling::one_in_two_to(exponent);
                let seen = (0..10_000).filter(|&more| sampling.takes(first.wrapping_add(more))).count();
                assert!((least..=most).contains(&seen), "1 in 2^{exponent} from {first}: {seen} of 10000");
            }
            assert!((0..10_000u64).all(|more| !Sampling::NEVER.takes(first.wrapping_add(more))));
        }
    }

    #[test]
    fn no_common_period_is_always_seen_or_never() {
        for period in [2, 3, 8, 10, 16, 50, 64, 100, 128, 256, 1000] {
            let seen = (0..6_400).filter(|trip| Sampling::USUAL.takes(trip * period)).count();
            assert!((60..=140).contains(&seen), "each {period}th: {seen} of 6400");
        }
    }
}
