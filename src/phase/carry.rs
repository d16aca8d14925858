//! Values that everybody reads: each party puts its own beside its arrival slot, and when the trip is complete each reads
//! those of all others, in the order of the ranks, and makes of them what it came for.
//!
//! # Cost
//!
//! For an exchange, nothing but the reading: the line that brings an arrival brings the value (`fate/luggage.rs`). With
//! any other algorithm each party reads the lines of all others once more: n - 1 transfers that overlap. Values of more
//! than a word lie on lines of their own.
//!
//! Everybody does all the work, and the same work, n - 1 operations for a reduction of n: with small values that is
//! cheaper than to wait for one who does it for all, and it needs no root. With dear operators or many parties on few
//! CPUs it is not; `assemble.rs` is for these.
//!
//! # Protocol
//!
//! 1. Put the value in the place of the trip's parity, and label it; then cross the trip.
//! 2. Look at everybody's label. If one is another, break the next trip (see [`super`]).
//! 3. Read, and work.
//! 4. Say that this party leaves (`gone`), and look for the alarm (`Member::confirm`).
//! 5. If the work panicked: break this trip, unless somebody has left it. If somebody has, the trip is complete, and the
//!    panic is this party's alone: it goes on where it came from. Operators that are the same everywhere, and depend on
//!    their operands only, panic everywhere, and nobody leaves.
//!
//! Only then is it said what became of the trip to whoever watches it (`Member::conclude`).
//!
//! # Memory ordering
//!
//! A value is written before its party's slot is published and read behind the completion of the trip, which acquires
//! every slot: no ordering is added. `gone` and the alarm cross like an arrival and the alarm, on the same fences.

use crate::barrier::action::message_of;
use crate::barrier::control::Errand;
use crate::barrier::era::Era;
use crate::barrier::member::Halt;
use crate::barrier::party::Party;
use crate::error::{Broken, Cause, Operation};
use crate::primitive::Berth;
use crate::wait::Limit;
use std::any::{Any, TypeId, type_name};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Whether values of type `T` can travel like this.
pub(super) const fn can_carry<T>() -> bool {
    Berth::<8>::fits::<T>()
}

/// What all parties brought to one trip, by seat, which is by rank.
pub(super) struct Values<'a, T> {
    era: &'a Era,
    own: usize,
    /// What this party brought: need not be read back.
    mine: Option<T>,
    generation: u64,
    /// All parties brought the same; otherwise some have left.
    complete: bool,
}

impl<T: Copy + Send> Values<'_, T> {
    /// The value of `rank`, if it takes part and has brought one.
    pub(super) fn of_rank(&self, rank: usize) -> Option<T> {
        self.era.index_of(rank).filter(|&index| self.has(index)).map(|index| self.get(index))
    }

    /// Whether the party at seat `index` has brought one, and has not left.
    #[inline(always)]
    fn has(&self, index: usize) -> bool {
        self.complete || !self.era.luggage(index).is_leaving(self.generation)
    }

    /// The value of the party at seat `index`, which has brought one.
    #[inline(always)]
    #[allow(unsafe_code)]
    fn get(&self, index: usize) -> T {
        if let Some(mine) = self.mine.filter(|_| index == self.own) {
            return mine;
        }
        let parity = (self.generation & 1) as usize;
        // It is there: a `Values` is only made by `carry`, for a trip that is complete and to which every party brought a `T`
        // (step 2) or nothing because it left (`has`), or whose one reader knows who brought one (`of_rank`, and the label
        // names the rank). It stays: its party writes this place again for trip `generation + 2`, behind the arrival of everybody at
        // `generation + 1`, and this party arrives there only when `carry` has returned.
        // SAFETY: a `T`, put in this very place before its party arrived, which the completion of the trip has acquired; not
        // written again before `carry` has returned.
        unsafe {
            if Berth::<1>::fits::<T>() {
                self.era.luggage(index).small[parity].get()
            } else {
                self.era.trunks()[index].large[parity].get()
            }
        }
    }

    /// All values, by rank.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.era.parties()).filter(|&index| self.has(index)).map(|index| self.get(index))
    }

    /// All values combined, from the left to the right.
    #[inline(always)]
    pub(super) fn reduce(&self, mut operator: impl FnMut(T, T) -> T) -> Option<T> {
        if self.era.parties() == 2 && self.complete {
            // The commonest number, and the one at which a loop would be felt.
            return Some(operator(self.get(0), self.get(1)));
        }
        self.iter().reduce(operator)
    }

    /// `init` combined with the values of all ranks below this party's. All of it is computed, whatever this party needs:
    /// what panics is to panic everywhere.
    pub(super) fn scan(&self, init: T, mut operator: impl FnMut(T, T) -> T) -> T {
        let (mut before, mut own) = (init, init);
        let last = (0..self.era.parties()).rfind(|&index| self.has(index));
        for index in (0..self.era.parties()).filter(|&index| self.has(index)) {
            if index == self.own {
                own = before;
            }
            if Some(index) != last {
                before = operator(before, self.get(index));
            }
        }
        own
    }
}

impl Party {
    /// Crosses a trip with `value` on board, or with nothing but the label, and makes of what all have brought what
    /// `work` makes of it. Every party brings a value, or exactly those do whose value `work` reads.
    #[inline(always)]
    pub(super) fn carry<T: Copy + Send + 'static, R>(
        &mut self,
        operation: Operation,
        rank: Option<usize>,
        value: Option<T>,
        work: impl FnOnce(&Values<'_, T>) -> R,
    ) -> Result<R, Broken> {
        let errand = Errand { operation, value: TypeId::of::<T>(), rank };
        let kind = self.errands.kind(&self.control, errand, type_name::<T>());
        let turned = loop {
            self.settle(Limit::Usual)?;
            if let Some(named) = rank.filter(|&rank| self.lacks(rank)) {
                return Err(self.no_such_rank(named));
            }
            if let Some(value) = value {
                self.stow(value);
            }
            self.member.label(kind);
            match self.cross_in_place(Limit::Usual) {
                Ok(_) => break false,
                Err(Halt::Turned(_)) => break true,
                Err(halt) => self.retry(halt)?,
            }
        };
        let generation = self.member.generation().wrapping_sub(1);
        let complete = self.all_alike(kind, generation);
        if !complete {
            if let Some(index) = self.stranger(kind, generation) {
                self.member.conclude(generation, true);
                return Err(self.mismatched(kind, index, generation));
            }
        }
        let values = Values { era: self.member.era(), own: self.member.index(), mine: value, generation, complete };
        let worked = catch_unwind(AssertUnwindSafe(|| work(&values)));
        let result = match worked {
            Ok(result) => result,
            Err(panicked) => return Err(self.break_for_panic(operation, generation, turned, panicked)),
        };
        let confirmed = self.member.confirm(generation);
        self.member.conclude(generation, confirmed.is_ok());
        if let Err(broken) = confirmed {
            return Err(self.unsettle(broken));
        }
        if turned {
            self.move_on();
        }
        Ok(result)
    }

    /// Puts `value` where the others will look for it.
    #[inline(always)]
    #[allow(unsafe_code)]
    fn stow<T: Copy + Send>(&mut self, value: T) {
        let parity = (self.member.generation() & 1) as usize;
        let (era, index) = (self.member.era(), self.member.index());
        // SAFETY: `T` fits where it is put: `carry` is for types that fit the larger place. Nobody else writes this
        // party's places. Who reads this one reads it for a trip of the same parity that it has completed, at latest
        // `generation - 2`, and has arrived at `generation - 1` since; this party has crossed that trip, and so acquired
        // the arrival. And who reads it for the trip that is open now does so when this party has arrived at it.
        unsafe {
            if Berth::<1>::fits::<T>() {
                era.luggage(index).small[parity].put(value);
            } else {
                era.trunks()[index].large[parity].put(value);
            }
        }
    }

    /// After a crossing that was not simply over, and not turned: `Ok` to try again.
    #[cold]
    pub(super) fn retry(&mut self, halt: Halt) -> Result<(), Broken> {
        match halt {
            Halt::Broken(broken) => Err(self.unsettle(broken)),
            Halt::Elsewhere | Halt::Turned(_) | Halt::Undecided => {
                self.move_on();
                Ok(())
            }
        }
    }

    /// Step 5.
    #[cold]
    fn break_for_panic(
        &mut self,
        operation: Operation,
        generation: u64,
        turned: bool,
        panicked: Box<dyn Any + Send>,
    ) -> Broken {
        let era = Arc::clone(self.member.era());
        let message = message_of(&*panicked);
        let cause = Cause::OperatorPanicked { rank: self.member.rank(), operation, message };
        let broken = self.control.break_complete(&era, generation, cause, true);
        self.member.conclude(generation, broken.is_none());
        match broken {
            Some(broken) => self.unsettle(broken),
            None => {
                // It has crossed the trip, and may be called again: not in an era that holds no further one.
                if turned {
                    self.move_on();
                }
                resume_unwind(panicked)
            }
        }
    }
}
