//! One party's part in an era: the way across a trip, in one go or in two.

use super::era::Era;
use crate::algo::seat::Seat;
use crate::error::{Broken, Cause};
use crate::fate::epoch::{publish, reached};
use crate::fate::luggage::{Kind, Tag};
use crate::fate::{Census, Ruling};
use crate::observe::eye::{Eye, Outcome};
use crate::wait::{Limit, Pace, Stay, Stop, Tally, outlast};
use std::sync::Arc;

/// One party's part in an era.
///
/// Alone on its lines: it is written on every trip, and handles may lie side by side in a `Vec` (measured: sharing a
/// line costs several times the trip).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Member {
    era: Arc<Era>,
    seat: Seat,
    generation: u64,
    pace: Pace,
    eye: Eye,
    rank: usize,
    /// The number of its seat.
    index: usize,
    /// It has arrived at `generation`, whose end it has not seen.
    owes: bool,
    /// The label of what it brought along last.
    brought: Tag,
}

/// Why a crossing is not simply over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The trip is broken.
    Broken(Broken),
    /// The trip is held in another era, and the party has to arrive there.
    Elsewhere,
    /// The trip is complete, and the last of its era. Whether the party leads it.
    Turned(bool),
    /// The time was up, and the trip is open; only where the party wanted it so.
    Undecided,
}

impl From<Broken> for Halt {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Makes the record of a break that a party brings about.
pub(crate) type Describe<'a> = &'a dyn Fn(Cause, Census) -> Broken;

/// What one party does for all, once all have arrived and before anybody is let go. If it fails, it has broken the trip.
pub(crate) type AtRoot<'a> = &'a mut dyn FnMut(&Arc<Era>, u64) -> Result<(), Broken>;

/// What a party waits for.
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// That its algorithm lets it go.
    Seat,
    /// That whoever does something for all has done it.
    Second,
}

/// How a party waits.
#[derive(Clone, Copy, Debug)]
struct Manner {
    gate: Gate,
    /// Something is done for all before anybody is let go: that all have arrived is not enough.
    held: bool,
    /// The end of its patience breaks the trip.
    breaks: bool,
}

const USUAL: Manner = Manner { gate: Gate::Seat, held: false, breaks: true };

impl Member {
    /// The part of `rank` in `era`, from the trip on that the rank has not arrived at yet.
    pub(crate) fn new(era: &Arc<Era>, rank: usize) -> Self {
        Self::enter(era, rank).0
    }

    /// The part of `rank` in `era`, which counts, for a new handle; and whether that comes behind the era's break, so that
    /// nobody has to tell it once there is a reset. Both by one look: a break behind it is one that the handle is told of.
    pub(super) fn enter(era: &Arc<Era>, rank: usize) -> (Self, bool) {
        let verdict = era.verdict();
        let behind = verdict.is_some();
        // A rank whose earlier handle took part in the broken trip is told of that trip, not of one that will never be.
        let (index, seat) = era.seat_of(rank);
        let generation = verdict.map_or_else(|| era.words().slots().next_of(index), |broken| broken.generation());
        let pace = Pace::new(era.design().plan);
        let (era, eye, brought) = (Arc::clone(era), Eye::default(), Tag::default());
        (Self { era, seat, generation, pace, eye, rank, index, owes: false, brought }, behind)
    }

    /// Has its long waits counted in `tally`, and looks at some trips with `eye`.
    pub(crate) fn watched(self, tally: Arc<Tally>, eye: Eye) -> Self {
        Self { pace: self.pace.counted_by(tally), eye, ..self }
    }

    /// Where its long waits are counted.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.pace.tally()
    }

    /// Moves to a later era, keeping what the party has learned about waiting.
    pub(crate) fn follow(&mut self, era: &Arc<Era>) {
        let mut pace = std::mem::replace(&mut self.pace, Pace::new(era.design().plan));
        pace.adopt(era.design().plan);
        let eye = std::mem::take(&mut self.eye);
        let owed = self.owes;
        *self = Self { pace, eye, ..Self::new(era, self.rank) };
        let first = era.first();
        if owed && self.is_seated() && era.words().slots().has_arrived(self.index, first) {
            // Its arrival at a trip that was to be held elsewhere was made good here.
            (self.generation, self.owes) = (first, true);
            if self.eye.takes(first) {
                self.eye.resumes();
            }
        }
    }

    pub(crate) fn era(&self) -> &Arc<Era> {
        &self.era
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The trip that this party arrives at next, or has arrived at and not crossed yet.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it takes part in its era, and does not only listen.
    pub(crate) fn is_seated(&self) -> bool {
        self.era.index_of(self.rank) == Some(self.index)
    }

    /// Whether it has arrived at a trip whose end it has not seen.
    pub(crate) fn owes(&self) -> bool {
        self.owes
    }

    /// Arrives at the open trip and stays until it is decided. `Ok` says whether this party leads it.
    ///
    /// `describe` makes the record of a break that this party brings about. `limit` is borrowed, since a copy of it would be
    /// made on every trip, and is needed on few.
    #[inline(always)]
    pub(crate) fn cross(&mut self, limit: &Limit, describe: impl Fn(Cause, Census) -> Broken) -> Result<bool, Halt> {
        self.cross_as::<false>(limit, describe)
    }

    /// [`Member::cross`] where `LADEN` says that something rides on the trip for which it may break yet. Once crossed, such a
    /// trip is to be [concluded](Member::conclude).
    #[inline(always)]
    pub(crate) fn cross_as<const LADEN: bool>(
        &mut self,
        limit: &Limit,
        describe: impl Fn(Cause, Census) -> Broken,
    ) -> Result<bool, Halt> {
        if self.eye.takes(self.generation) {
            return self.cross_seen::<LADEN>(limit, &describe);
        }
        let Self { era, seat, pace, generation, .. } = self;
        let stay = Stay { generation: *generation, pace, limit };
        let (seen, leads) = seat.cross(era.door(), stay);
        if seen.is_ok() && era.door().look().undisturbed() {
            *generation = generation.wrapping_add(1);
            return Ok(leads);
        }
        self.cross_disturbed(seen, limit, &describe, leads)
    }

    /// A crossing that is looked at. As short as can be: a timeline looks at every trip.
    #[inline(never)]
    fn cross_seen<const LADEN: bool>(&mut self, limit: &Limit, describe: Describe<'_>) -> Result<bool, Halt> {
        if self.eye.stands(self.generation) {
            return self.cross_seen_standing::<LADEN>(limit, describe);
        }
        self.eye.arrives(self.generation);
        let Self { era, seat, pace, generation, .. } = self;
        let stay = Stay { generation: *generation, pace, limit };
        let (seen, leads) = seat.cross(era.door(), stay);
        if seen.is_ok() && era.door().look().undisturbed() {
            if LADEN {
                self.eye.crosses(leads);
            } else {
                self.eye.leaves(*generation, self.rank, &self.era.design().ranks, Outcome::Complete { leads });
            }
            self.generation = self.generation.wrapping_add(1);
            return Ok(leads);
        }
        let crossed = self.cross_disturbed(seen, limit, describe, leads);
        self.see_off::<LADEN>(crossed)
    }

    /// A crossing on which it finds out who else is there.
    #[cold]
    #[inline(never)]
    fn cross_seen_standing<const LADEN: bool>(&mut self, limit: &Limit, describe: Describe<'_>) -> Result<bool, Halt> {
        self.publish_arrival();
        let leads = self.seat.leads();
        let seen = self.wait(USUAL, *limit);
        let crossed = self.decide(seen, *limit, describe, USUAL).and_then(|turned| self.depart(turned, leads));
        self.see_off::<LADEN>(crossed)
    }

    /// Arrives at the open trip, and looks who else is there if this trip is one to look at.
    #[inline(always)]
    fn publish_arrival(&mut self) {
        if self.eye.takes(self.generation) {
            self.eye.arrives(self.generation);
        }
        self.seat.arrive(self.generation);
        self.owes = true;
        if self.eye.stands(self.generation) {
            self.eye.looks(self.era.words().slots(), self.index, self.generation);
        }
    }

    /// Says what became of a trip that was looked at, unless it is `LADEN` and may break yet; gives the same back.
    #[inline(always)]
    fn see_off<const LADEN: bool>(&mut self, crossed: Result<bool, Halt>) -> Result<bool, Halt> {
        if self.eye.is_open() {
            match crossed {
                Ok(leads) | Err(Halt::Turned(leads)) if LADEN => self.eye.crosses(leads),
                _ => self.see_off_seen(&crossed),
            }
        }
        crossed
    }

    /// Says of a laden trip, crossed in the era where this party still is, that it is complete, or broken for what rode on it.
    #[inline(always)]
    pub(crate) fn conclude(&mut self, generation: u64, complete: bool) {
        if self.eye.is_open() {
            self.eye.concludes(generation, self.rank, &self.era.design().ranks, complete);
        }
    }

    #[cold]
    fn see_off_seen(&mut self, crossed: &Result<bool, Halt>) {
        let (generation, outcome) = match crossed {
            // It has departed already.
            Ok(leads) | Err(Halt::Turned(leads)) => {
                (self.generation.wrapping_sub(1), Outcome::Complete { leads: *leads })
            }
            Err(Halt::Broken(_)) => (self.generation, Outcome::Broken),
            Err(Halt::Elsewhere) => (self.generation, Outcome::Moved),
            Err(Halt::Undecided) => return,
        };
        self.eye.leaves(generation, self.rank, &self.era.design().ranks, outcome);
    }

    /// The rest of a crossing on which somebody slept, or something is wrong or changes, or the limit has passed.
    #[cold]
    #[inline(never)]
    fn cross_disturbed(
        &mut self,
        seen: Result<(), Stop>,
        limit: &Limit,
        describe: Describe<'_>,
        leads: bool,
    ) -> Result<bool, Halt> {
        let turned = self.decide(seen, *limit, describe, USUAL)?;
        self.depart(turned, leads)
    }

    /// [`Member::cross`] for a trip on which one party does something for all: the root, or where the algorithm has none
    /// whoever is first to learn that all have arrived. `LADEN` as in [`Member::cross_as`].
    #[inline(never)]
    pub(crate) fn cross_held<const LADEN: bool>(
        &mut self,
        limit: Limit,
        describe: Describe<'_>,
        at_root: AtRoot<'_>,
    ) -> Result<bool, Halt> {
        self.publish_arrival();
        let crossed = self.complete_held(limit, describe, at_root);
        self.see_off::<LADEN>(crossed)
    }

    /// The rest of [`Member::cross_held`] behind the arrival.
    #[inline(always)]
    fn complete_held(&mut self, limit: Limit, describe: Describe<'_>, at_root: AtRoot<'_>) -> Result<bool, Halt> {
        let held = Manner { held: true, ..USUAL };
        let leads = self.seat.leads();
        if self.seat.rooted().is_some() {
            self.act_if_root(at_root)?;
            let seen = self.wait(held, limit);
            if seen.is_ok() && self.era.door().look().undisturbed() {
                return self.depart(false, leads);
            }
            let turned = self.decide(seen, limit, describe, held)?;
            return self.depart(turned, leads);
        }
        let seen = self.wait(USUAL, limit);
        self.decide(seen, limit, describe, USUAL)?;
        let turned = self.second_half(describe, at_root)?;
        self.depart(turned, leads)
    }

    /// Does what has to be done for all on the trip that this party has just crossed, if nobody has: its root came without
    /// it. All others do the same.
    #[cold]
    pub(crate) fn make_up(&mut self, describe: Describe<'_>, at_root: AtRoot<'_>) -> Result<bool, Halt> {
        self.generation = self.generation.wrapping_sub(1);
        let turned = self.second_half(describe, at_root)?;
        self.eye.released();
        self.depart(turned, false)
    }

    /// All have arrived. One does something for all, the others wait for it; whether the trip is the last of its era.
    fn second_half(&mut self, describe: Describe<'_>, at_root: AtRoot<'_>) -> Result<bool, Halt> {
        let manner = Manner { gate: Gate::Second, held: true, breaks: true };
        let seen = if self.era.second().elect(self.generation) {
            at_root(&self.era, self.generation).map_err(|broken| self.resign(broken))?;
            // [second] Release: pairs with the Acquire of `reached`; carries what was done for all.
            publish(&self.era.second().go, self.generation);
            Ok(())
        } else {
            // The trip has all that it needs but the part of one: a limit breaks it no more.
            self.wait(manner, Limit::Never)
        };
        self.decide(seen, Limit::Never, describe, manner)
    }

    /// Arrives, and does not stay. Who is the last to arrive lets the others go, behind `at_root` if there is something to
    /// be done for all.
    #[inline(never)]
    pub(crate) fn arrive(&mut self, at_root: Option<AtRoot<'_>>) -> Result<(), Halt> {
        let arrived = self.arrive_and_go(at_root);
        if let (true, Err(halt)) = (self.eye.is_open(), &arrived) {
            self.see_off_seen(&Err(halt.clone()));
        }
        arrived
    }

    fn arrive_and_go(&mut self, at_root: Option<AtRoot<'_>>) -> Result<(), Halt> {
        let generation = self.generation;
        if self.is_elsewhere() {
            return Err(Halt::Elsewhere);
        }
        self.publish_arrival();
        // A party that does not stay would not find out that it has arrived where no trip is held, since others have joined or
        // left since it joined. Who sends it elsewhere sees the arrival, or is seen here.
        if self.is_elsewhere() {
            return Err(Halt::Elsewhere);
        }
        let door = self.era.door();
        if self.seat.rooted().is_some() {
            let mut nothing = |_: &Arc<Era>, _| Ok(());
            if !self.act_if_root(at_root.unwrap_or(&mut nothing))? {
                return Ok(());
            }
        } else {
            if door.look().undisturbed() {
                return Ok(());
            }
            // [split] Between this arrival and the look at the others': nobody polls for a party that has gone to work, so of
            // those who find a sleeper the last one has to see all the others. (Who finds none has been seen by whoever
            // falls asleep behind this look: `wait`, "Parking".)
            door.fully();
            if !self.seat.try_complete(generation) {
                return Ok(());
            }
        }
        if !self.era.door().look().undisturbed() && self.era.door().wake_sleepers(generation) {
            self.count_wake();
        }
        Ok(())
    }

    /// Whether the trip that this party is to arrive at, or has arrived at, is held in another era.
    fn is_elsewhere(&self) -> bool {
        self.era.door().look().asks() && self.era.fate().rule(self.generation) == Ruling::Elsewhere
    }

    /// Stays until the trip is decided that this party has arrived at. `held` as in [`Member::try_attend`].
    pub(crate) fn attend(
        &mut self,
        limit: Limit,
        breaks: bool,
        describe: Describe<'_>,
        held: bool,
    ) -> Result<bool, Halt> {
        self.eye.stays();
        let manner = Manner { held, breaks, ..USUAL };
        let leads = self.seat.leads();
        let seen = self.wait(manner, limit);
        let crossed = self.decide(seen, limit, describe, manner).and_then(|turned| self.depart(turned, leads));
        self.see_off::<false>(crossed)
    }

    /// Whether the trip is decided that this party has arrived at. `held`: something is done for all on each trip.
    pub(crate) fn try_attend(&mut self, describe: Describe<'_>, held: bool) -> Result<bool, Halt> {
        self.eye.stays();
        let crossed = self.ask(describe, held);
        self.see_off::<false>(crossed)
    }

    fn ask(&mut self, describe: Describe<'_>, held: bool) -> Result<bool, Halt> {
        let leads = self.seat.leads();
        if self.seat.try_complete(self.generation) {
            let turned = self.decide(Ok(()), Limit::Never, describe, Manner { held, ..USUAL })?;
            return self.depart(turned, leads);
        }
        if !self.era.door().look().asks() {
            return Err(Halt::Undecided);
        }
        match self.era.fate().rule(self.generation) {
            Ruling::Broken(broken) => Err(Halt::Broken(self.resign(broken))),
            Ruling::Elsewhere => Err(Halt::Elsewhere),
            Ruling::Over if !held => {
                self.seat = Seat::Over;
                self.depart(false, leads)
            }
            Ruling::Over | Ruling::Last | Ruling::NotBroken => Err(Halt::Undecided),
        }
    }

    /// Says what this party brings along to the trip that it arrives at next.
    #[inline(always)]
    pub(crate) fn label(&mut self, kind: Kind) {
        self.brought = Tag::after(self.brought, self.generation, kind);
        self.era.luggage(self.index).label(self.brought);
    }

    /// The last look at a trip that this party has crossed, and from which it has what it came for: only now is it sure
    /// that nobody breaks it for the sake of what rides on it.
    #[inline(always)]
    pub(crate) fn confirm(&mut self, generation: u64) -> Result<(), Broken> {
        self.era.trunks()[self.index].leave(generation);
        if !self.era.door().look().asks() {
            return Ok(());
        }
        match self.era.fate().rule(generation) {
            Ruling::Broken(broken) => Err(self.resign(broken)),
            _ => Ok(()),
        }
    }

    /// If this party is the root of its trip: does what is to be done for all, and lets them go. Whether it was.
    fn act_if_root(&mut self, at_root: AtRoot<'_>) -> Result<bool, Halt> {
        if !self.seat.rooted().is_some_and(|seat| seat.is_root()) {
            return Ok(false);
        }
        // All have arrived, but some of them perhaps after the trip was broken: nothing is done for such a trip. Behind
        // this look nobody breaks it any more, but for what is done.
        if self.era.door().look().asks() {
            match self.era.fate().rule(self.generation) {
                Ruling::Broken(broken) => return Err(Halt::Broken(self.resign(broken))),
                Ruling::Elsewhere => return Err(Halt::Elsewhere),
                Ruling::Over | Ruling::Last | Ruling::NotBroken => {}
            }
        }
        at_root(&self.era, self.generation).map_err(|broken| self.resign(broken))?;
        if let Some(seat) = self.seat.rooted() {
            seat.release(self.generation);
        }
        Ok(true)
    }

    fn count_wake(&self) {
        if let Some(tally) = self.pace.tally() {
            tally.wakes.add(1);
        }
    }

    /// Is told that its trip is broken. It never arrives in this era again: others may still be on their way through the
    /// trip before.
    fn resign(&mut self, broken: Broken) -> Broken {
        self.seat = Seat::Over;
        self.owes = false;
        broken
    }

    fn depart(&mut self, turned: bool, leads: bool) -> Result<bool, Halt> {
        self.owes = false;
        self.generation = self.generation.wrapping_add(1);
        if turned { Err(Halt::Turned(leads)) } else { Ok(leads) }
    }

    fn wait(&mut self, manner: Manner, limit: Limit) -> Result<(), Stop> {
        let Self { era, seat, pace, generation, .. } = self;
        let stay = Stay { generation: *generation, pace, limit: &limit };
        match manner.gate {
            Gate::Seat => seat.complete(era.door(), stay),
            Gate::Second => {
                let (go, generation) = (&*era.second().go, *generation);
                era.door().until(stay, move || reached(go, generation))
            }
        }
    }

    fn try_wait(&mut self, manner: Manner) -> bool {
        match manner.gate {
            Gate::Seat => self.seat.try_complete(self.generation),
            Gate::Second => self.era.second().is_done(self.generation),
        }
    }

    /// Waits on, seen to do so, until what is done for all is done, or broken.
    fn outlast_alarm(&mut self, limit: Limit, manner: Manner) -> Result<(), Halt> {
        let say = |member: &Self, waits| member.pace.tally().into_iter().for_each(|tally| tally.outlasts(waits));
        say(self, true);
        let (mut outcome, mut polls) = (Ok(()), 0);
        while !self.try_wait(manner) && !matches!(self.era.fate().rule(self.generation), Ruling::Broken(_)) {
            if !manner.breaks && limit.has_come() {
                outcome = Err(Halt::Undecided);
                break;
            }
            outlast(polls);
            polls += 1;
        }
        say(self, false);
        outcome
    }

    /// What becomes of the trip, given what the last wait has `seen`; waits again as often as needed. Whether the trip,
    /// complete, is the last of its era.
    fn decide(
        &mut self,
        mut seen: Result<(), Stop>,
        mut limit: Limit,
        describe: Describe<'_>,
        manner: Manner,
    ) -> Result<bool, Halt> {
        let generation = self.generation;
        loop {
            let ruling = match seen {
                Ok(()) => {
                    let door = self.era.door();
                    let attention = door.look();
                    if door.wake_sleepers(generation) {
                        self.count_wake();
                    }
                    if !attention.asks() {
                        return Ok(false);
                    }
                    self.era.fate().rule(generation)
                }
                Err(Stop::Alarm) => self.era.fate().rule(generation),
                Err(Stop::Expired(_)) if !manner.breaks => return Err(Halt::Undecided),
                Err(Stop::Expired(after)) => {
                    limit = Limit::Never;
                    let cause = Cause::TimedOut { rank: self.rank, after };
                    self.era.break_trip(generation, |census| describe(cause, census))
                }
            };
            match ruling {
                Ruling::Broken(broken) => return Err(Halt::Broken(self.resign(broken))),
                Ruling::Elsewhere => return Err(Halt::Elsewhere),
                Ruling::Over if seen.is_ok() || !manner.held => {
                    self.seat = Seat::Over;
                    return Ok(false);
                }
                // All have arrived, the alarm is for a later trip, and what is done for all takes its time.
                Ruling::Over => {
                    seen = Ok(());
                    self.outlast_alarm(limit, manner)?;
                    continue;
                }
                Ruling::Last if seen.is_ok() => return Ok(true),
                Ruling::NotBroken if seen.is_ok() => return Ok(false),
                // Open, or complete, which the algorithm will say shortly.
                Ruling::Last | Ruling::NotBroken => {}
            }
            seen = self.wait(manner, limit);
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::select::Algorithm;
    use crate::barrier::Barrier;

    #[test]
    fn a_trip_is_over_for_who_asks_when_a_later_one_is_broken_unless_it_is_held() {
        let barrier = Barrier::builder(2).algorithm(Algorithm::Central).build().unwrap();
        let (era, control) = (barrier.era(), barrier.control());
        let describe = |cause, census| control.describe(cause, census);
        let mut member = Member::new(&era, 0);
        member.arrive(None).unwrap();
        assert_eq!(member.try_attend(&describe, false), Err(Halt::Undecided));
        // The other one has said that it is here, and is interrupted before it counts itself and lets this one go.
        era.words().slots().arrive(1, 0);
        assert_eq!(barrier.abort("no more").generation(), 1);
        assert_eq!(member.try_attend(&describe, true), Err(Halt::Undecided));
        assert_eq!(member.try_attend(&describe, false), Ok(false));
        assert_eq!(member.generation(), 1);
    }
}
