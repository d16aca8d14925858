//! The trip's decision: complete for all or broken for all, without an atomic read-modify-write on the fast path.
//!
//! The protocol, with its proof, is in this folder's `README.md`; the code cites its steps. In short: whoever completes
//! a trip does a light fence and reads the attention word; whoever wants to break it raises an alarm on that word, does
//! a heavy fence, and reads all arrival slots. Either the first sees the alarm and asks for the verdict, or the second
//! sees that all have arrived and takes the alarm back. A change of the membership is decided the same way.

pub(crate) mod board;
pub(crate) mod epoch;
pub(crate) mod luggage;
pub(crate) mod slots;

use crate::error::Broken;
use crate::primitive::{Mutex, lock};
use crate::wait::Door;
use luggage::Trunk;
pub(crate) use slots::{Census, Slots};

/// What became of a trip, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Not broken: complete, or still open.
    NotBroken,
    /// Complete, and the last of its era to be so: a later trip is broken.
    Over,
    /// Not broken, and if it completes the last trip of its era: the next one is held elsewhere.
    Last,
    /// Not held in this era.
    Elsewhere,
    /// Broken, with what everybody is told.
    Broken(Broken),
}

/// Why somebody who wanted to end an era could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is broken, and this is what everybody is told.
    Broken(Broken),
    /// Its last trip is complete: the open trip is held elsewhere.
    Complete,
}

/// The end of one era: at most one verdict, final once given, and at most one turn.
#[derive(Debug)]
pub(crate) struct Fate {
    end: Mutex<End>,
}

#[derive(Debug, Default)]
struct End {
    verdict: Option<Broken>,
    /// The first trip that is held elsewhere.
    turn: Option<u64>,
}

impl End {
    fn ruling(&self, generation: u64) -> Ruling {
        if let Some(broken) = &self.verdict {
            return match is_beyond(broken.generation(), generation) {
                true => Ruling::Over,
                false => Ruling::Broken(broken.clone()),
            };
        }
        match self.turn {
            Some(turn) if turn == generation.wrapping_add(1) => Ruling::Last,
            Some(turn) if !is_beyond(turn, generation) => Ruling::Elsewhere,
            _ => Ruling::NotBroken,
        }
    }

    /// Whether trip `generation` is held elsewhere.
    fn is_past(&self, generation: u64) -> bool {
        self.turn.is_some_and(|turn| !is_beyond(turn, generation))
    }
}

impl Fate {
    pub(crate) fn new() -> Self {
        Self { end: Mutex::new(End::default()) }
    }

    /// What everybody is told, if this era is broken.
    pub(crate) fn verdict(&self) -> Option<Broken> {
        lock(&self.end).verdict.clone()
    }

    /// The first trip that is held elsewhere, if one is.
    pub(crate) fn turned(&self) -> Option<u64> {
        lock(&self.end).turn
    }

    /// What became of trip `generation` (step 3). Waits while somebody is deciding.
    pub(crate) fn rule(&self, generation: u64) -> Ruling {
        lock(&self.end).ruling(generation)
    }

    /// Breaks trip `only` (step 2), unless it turns out to be complete.
    ///
    /// `describe` is called under the lock, with the exact census, and only if the trip is broken.
    #[cold]
    pub(crate) fn break_trip(
        &self,
        door: &Door,
        slots: &Slots,
        only: u64,
        describe: impl FnOnce(Census) -> Broken,
    ) -> Ruling {
        match self.break_if(door, slots, |census| !is_beyond(census.generation, only), describe) {
            Ok(_) | Err(Ended::Broken(_)) => self.rule(only),
            Err(Ended::Complete) => Ruling::NotBroken,
        }
    }

    /// Breaks the open trip if its census is such. `Complete` if it is not, or if the open trip is held elsewhere.
    pub(crate) fn break_if(
        &self,
        door: &Door,
        slots: &Slots,
        such: impl FnOnce(&Census) -> bool,
        describe: impl FnOnce(Census) -> Broken,
    ) -> Result<Broken, Ended> {
        let mut end = lock(&self.end);
        if let Some(broken) = end.verdict.as_ref() {
            return Err(Ended::Broken(broken.clone()));
        }
        door.raise_alarm();
        let census = slots.census();
        if end.is_past(census.generation) || !such(&census) {
            door.lower_alarm();
            return Err(Ended::Complete);
        }
        Ok(Self::pronounce(&mut end, door, describe(census)))
    }

    /// Breaks trip `generation`, at which all have arrived, on behalf of somebody whose doing it takes to complete it and
    /// who has failed; unless one of `trunks` has left it.
    ///
    /// Nobody has been released from such a trip, or each looks for the alarm after it has said that it leaves (README,
    /// "Breaking what is complete"). A verdict on a later trip gives way: nobody can have been told of it.
    #[cold]
    pub(crate) fn break_complete(
        &self,
        door: &Door,
        generation: u64,
        trunks: &[Trunk],
        record: Broken,
    ) -> Result<Broken, Ended> {
        let mut end = lock(&self.end);
        if let Some(broken) = end.verdict.as_ref().filter(|broken| !is_beyond(broken.generation(), generation)) {
            return Err(Ended::Broken(broken.clone()));
        }
        door.raise_alarm();
        if trunks.iter().any(|trunk| trunk.has_left(generation)) {
            door.lower_alarm();
            return Err(Ended::Complete);
        }
        Ok(Self::pronounce(&mut end, door, record))
    }

    /// Gives the verdict that was given elsewhere; a verdict of its own stays.
    #[cold]
    pub(crate) fn condemn(&self, door: &Door, record: Broken) {
        let mut end = lock(&self.end);
        if end.verdict.is_none() {
            Self::pronounce(&mut end, door, record);
        }
    }

    /// Lets this era end with the trip that is open; the first one that is held elsewhere.
    #[cold]
    pub(crate) fn turn(&self, door: &Door, slots: &Slots) -> Result<u64, Ended> {
        let mut end = lock(&self.end);
        if let Some(broken) = end.verdict.as_ref() {
            return Err(Ended::Broken(broken.clone()));
        }
        door.announce_turn();
        let open = slots.census().generation;
        if end.is_past(open) {
            return Err(Ended::Complete);
        }
        Ok(*end.turn.insert(open.wrapping_add(1)))
    }

    /// Lets this era, at which nobody but newcomers waits, hold no trip at all.
    #[cold]
    pub(crate) fn supersede(&self, door: &Door, first: u64) {
        let mut end = lock(&self.end);
        end.turn = Some(first);
        door.raise_alarm();
        door.settle_alarm();
    }

    /// Gives the verdict and lets everybody know. Under the lock, which those who hear of it take.
    fn pronounce(end: &mut End, door: &Door, broken: Broken) -> Broken {
        end.verdict = Some(broken.clone());
        door.settle_alarm();
        broken
    }
}

/// Whether trip `a` comes after trip `b`; generations may wrap.
pub(crate) fn is_beyond(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) > 0
}
