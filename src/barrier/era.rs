//! One life of a barrier, from build or reset to the break, and one party's part in it.
//!
//! All words that parties share on a trip belong to an era. After a break nothing of it is used again: a reset makes a
//! new one, so that whatever a late party still stores, it stores where nobody counts any more (C5), and memory is
//! freed when the last handle on it is gone (C9).

use crate::algo::seat::{Blueprint, Seat, Words};
use crate::error::{Broken, Cause};
use crate::fate::{Census, Fate, Ruling};
use crate::primitive::Fences;
use crate::wait::{Door, Limit, Pace, Plan, Stay, Stop};
use std::sync::Arc;

/// The words of one life of a barrier.
#[derive(Debug)]
pub(crate) struct Era {
    door: Door,
    words: Words,
    fate: Fate,
}

impl Era {
    /// An era whose first trip is `first`; `near` says whether to go and fetch memory near the parties.
    pub(crate) fn new(blueprint: &Blueprint, first: u64, near: bool, fences: Fences) -> Self {
        Self { door: Door::new(fences), words: Words::new(blueprint, first, near), fate: Fate::new() }
    }

    /// Breaks the open trip, unless the era is broken already; what everybody is told, either way.
    pub(crate) fn break_open_trip(&self, describe: impl FnOnce(Census) -> Broken) -> Broken {
        self.fate.break_open_trip(&self.door, self.words.slots(), describe)
    }

    /// Breaks the open trip if somebody waits at it; what everybody is told, or else the number of the open trip. A
    /// broken era is told of as it is.
    pub(crate) fn break_trip_of_waiters(&self, describe: impl FnOnce(Census) -> Broken) -> Result<Broken, u64> {
        self.fate.break_if(&self.door, self.words.slots(), |census| census.arrived > 0, describe)
    }

    /// What everybody is told, if the era is broken.
    pub(crate) fn verdict(&self) -> Option<Broken> {
        self.fate.verdict()
    }

    /// Whether the era is broken, without waiting for a decision under way.
    pub(crate) fn is_broken(&self) -> bool {
        self.door.is_broken()
    }

    /// Who has arrived where, as a snapshot.
    pub(crate) fn census(&self) -> Census {
        self.words.slots().census()
    }

    /// Wakes every sleeper for no reason.
    pub(crate) fn wake_spuriously(&self) {
        self.door.wake_spuriously();
    }
}

/// One party's part in an era.
///
/// Alone on its lines: it is written on every trip, and handles may lie side by side in a `Vec` (measured: sharing a
/// line costs several times the trip).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Member {
    era: Arc<Era>,
    seat: Seat,
    rank: usize,
    generation: u64,
    pace: Pace,
}

impl Member {
    /// The part of `rank` in `era`, from the trip on that the rank has not arrived at yet.
    pub(crate) fn new(era: &Arc<Era>, rank: usize, plan: Plan) -> Self {
        // A rank whose earlier handle took part in the broken trip is told of that trip, not of one that will never be.
        let next = || era.words.slots().next_of(rank);
        let generation = era.verdict().map_or_else(next, |broken| broken.generation());
        let seat = era.words.seat(rank);
        Self { era: Arc::clone(era), seat, rank, generation, pace: Pace::new(plan) }
    }

    /// Moves to a later era, keeping what the party has learned about waiting.
    pub(crate) fn follow(&mut self, era: &Arc<Era>, plan: Plan) {
        let pace = std::mem::replace(&mut self.pace, Pace::new(plan));
        *self = Self { pace, ..Self::new(era, self.rank, plan) };
    }

    pub(crate) fn era(&self) -> &Arc<Era> {
        &self.era
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// The trip that this party arrives at next.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Arrives at the open trip and stays until it is decided. `Ok` says whether this party leads it.
    ///
    /// `describe` makes the record of a break that this party brings about.
    #[inline(always)]
    pub(crate) fn cross(&mut self, limit: Limit, describe: impl Fn(Cause, Census) -> Broken) -> Result<bool, Broken> {
        let Self { era, seat, pace, generation, .. } = self;
        let stay = Stay { generation: *generation, pace, limit };
        let (seen, leads) = seat.cross(&era.door, stay);
        if seen.is_ok() && era.door.look().undisturbed() {
            *generation = generation.wrapping_add(1);
            return Ok(leads);
        }
        self.cross_disturbed(seen, limit, &describe)?;
        Ok(leads)
    }

    /// The rest of a crossing on which somebody slept, or something is wrong, or the limit has passed.
    #[cold]
    #[inline(never)]
    fn cross_disturbed(
        &mut self,
        mut seen: Result<(), Stop>,
        mut limit: Limit,
        describe: &dyn Fn(Cause, Census) -> Broken,
    ) -> Result<(), Broken> {
        let Self { era, seat, pace, generation, rank } = self;
        loop {
            let ruling = match seen {
                Ok(()) => {
                    let attention = era.door.look();
                    era.door.wake_sleepers(*generation);
                    if !attention.alarmed() {
                        break;
                    }
                    era.fate.rule(*generation)
                }
                Err(Stop::Alarm) => era.fate.rule(*generation),
                Err(Stop::Expired(after)) => {
                    let cause = Cause::TimedOut { rank: *rank, after };
                    let describe = |census| describe(cause, census);
                    limit = Limit::Never;
                    era.fate.break_trip(&era.door, era.words.slots(), *generation, describe)
                }
            };
            match ruling {
                Ruling::Broken(broken) => {
                    *seat = Seat::Over;
                    return Err(broken);
                }
                Ruling::Over => {
                    *seat = Seat::Over;
                    break;
                }
                Ruling::NotBroken if seen.is_ok() => break,
                // Open, or complete, which the algorithm will say shortly.
                Ruling::NotBroken => {}
            }
            let stay = Stay { generation: *generation, pace, limit };
            seen = seat.complete(&era.door, stay);
        }
        *generation = generation.wrapping_add(1);
        Ok(())
    }
}
