//! The trip's decision: complete for all or broken for all, without an atomic read-modify-write on the fast path.
//!
//! The protocol, with its proof, is in this folder's `README.md`; the code cites its steps. In short: whoever completes
//! a trip does a light fence and reads the attention word; whoever wants to break it raises an alarm on that word, does
//! a heavy fence, and reads all arrival slots. Either the first sees the alarm and asks for the verdict, or the second
//! sees that all have arrived and takes the alarm back.

pub(crate) mod board;
pub(crate) mod epoch;
pub(crate) mod slots;

use crate::error::Broken;
use crate::primitive::{Mutex, lock};
use crate::wait::Door;
pub(crate) use slots::{Census, Slots};

/// What became of a trip, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Not broken: complete, or still open.
    NotBroken,
    /// Complete, and the last of its era to be so: a later trip is broken.
    Over,
    /// Broken, with what everybody is told.
    Broken(Broken),
}

/// The verdict of one era: at most one, final once given.
#[derive(Debug)]
pub(crate) struct Fate {
    verdict: Mutex<Option<Broken>>,
}

impl Fate {
    pub(crate) fn new() -> Self {
        Self { verdict: Mutex::new(None) }
    }

    /// What everybody is told, if this era is broken.
    pub(crate) fn verdict(&self) -> Option<Broken> {
        lock(&self.verdict).clone()
    }

    /// What became of trip `generation` (step 3). Waits while somebody is deciding.
    pub(crate) fn rule(&self, generation: u64) -> Ruling {
        Self::ruling(lock(&self.verdict).as_ref(), generation)
    }

    fn ruling(verdict: Option<&Broken>, generation: u64) -> Ruling {
        match verdict {
            None => Ruling::NotBroken,
            Some(broken) if is_beyond(broken.generation(), generation) => Ruling::Over,
            Some(broken) => Ruling::Broken(broken.clone()),
        }
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
            Ok(broken) => Self::ruling(Some(&broken), only),
            Err(_) => Ruling::NotBroken,
        }
    }

    /// Breaks the trip that is open, whichever it is, unless this era is broken already; what everybody is told, either
    /// way.
    #[cold]
    pub(crate) fn break_open_trip(
        &self,
        door: &Door,
        slots: &Slots,
        describe: impl FnOnce(Census) -> Broken,
    ) -> Broken {
        let mut verdict = lock(&self.verdict);
        match verdict.as_ref() {
            Some(broken) => broken.clone(),
            None => {
                door.raise_alarm();
                Self::pronounce(&mut verdict, door, describe(slots.census()))
            }
        }
    }

    /// Breaks the open trip if its census is such; otherwise says which trip is open. If this era is broken already,
    /// what everybody is told.
    pub(crate) fn break_if(
        &self,
        door: &Door,
        slots: &Slots,
        such: impl FnOnce(&Census) -> bool,
        describe: impl FnOnce(Census) -> Broken,
    ) -> Result<Broken, u64> {
        let mut verdict = lock(&self.verdict);
        if let Some(broken) = verdict.as_ref() {
            return Ok(broken.clone());
        }
        door.raise_alarm();
        let census = slots.census();
        if !such(&census) {
            door.lower_alarm();
            return Err(census.generation);
        }
        Ok(Self::pronounce(&mut verdict, door, describe(census)))
    }

    /// Gives the verdict and lets everybody know. Under the lock, which those who hear of it take.
    fn pronounce(verdict: &mut Option<Broken>, door: &Door, broken: Broken) -> Broken {
        *verdict = Some(broken.clone());
        door.settle_alarm();
        broken
    }
}

/// Whether trip `a` comes after trip `b`; generations may wrap.
fn is_beyond(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) > 0
}
