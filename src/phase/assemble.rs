//! Values that one party works on: each sends its own, the root of the trip receives them in the order of the ranks, does
//! the work for all, and sends each what it is to have.
//!
//! For values that cannot be read by several at once (`Clone + Send`, not `Sync`), that are large, or whose operator is
//! dear: n - 1 operations in all, where `carry.rs` has n (n - 1). A value is sent in a box, and moves; only the answers
//! are cloned.
//!
//! Who is the root: the last to arrive, where the algorithm has such a party; elsewhere the first to learn that all have
//! arrived (`Second`, `barrier/era.rs`). The work done is the root's own closure, so all have to be the same.
//!
//! # Protocol
//!
//! 1. Leave the parcel in the own box, label the trip's luggage, arrive.
//! 2. The root runs the action, if the barrier has one, and looks at everybody's label. If they are the same, it takes all
//!    parcels, works, and leaves an answer in every box; if not, it leaves everything as it is. If its work panics it
//!    breaks the trip, from which nobody has been let go. Then it lets all go.
//! 3. Everybody looks into its own box. If there is no answer, somebody did something else: break the next trip.
//! 4. Unless the root was a party that left with this trip, and did nothing for the others: then these make up for it in
//!    a second half of the trip, with a root among themselves.
//!
//! # Memory ordering
//!
//! Each box has a mutex, which nobody ever waits for: owner and root use it at different times, ordered by the trip.

use crate::barrier::action::message_of;
use crate::barrier::control::{Control, Errand};
use crate::barrier::era::{Era, Parcel};
use crate::barrier::member::Halt;
use crate::barrier::party::Party;
use crate::error::{Broken, Cause, Operation};
use crate::primitive::lock;
use crate::wait::Limit;
use std::any::{TypeId, type_name};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A value on its way to the root.
struct Sent<T>(T);

/// What the root has for one party.
struct Answer<R>(R);

/// What the parties sent, by seat.
pub(super) struct Sendings<T> {
    pub(super) values: Vec<Option<T>>,
}

impl<T> Sendings<T> {
    /// All that were sent, by rank.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.values.into_iter().flatten()
    }
}

impl Party {
    /// Crosses a trip on which `work` makes, of what all have sent, an answer for each seat.
    pub(super) fn assemble<T: Send + 'static, R: Send + 'static>(
        &mut self,
        operation: Operation,
        rank: Option<usize>,
        value: Option<T>,
        work: impl FnOnce(Sendings<T>, &Era) -> Vec<R>,
    ) -> Result<R, Broken> {
        let errand = Errand { operation, value: TypeId::of::<(T, R)>(), rank };
        let kind = self.errands.kind(&self.control, errand, type_name::<R>());
        let mut parcel: Option<Parcel> = value.map(|value| Box::new(Sent(value)) as Parcel);
        let mut work = Some(work);
        let own = self.member.rank();
        // What the root does, after the action.
        let mut for_all = |control: &Control, era: &Arc<Era>, generation| {
            let alike = (0..era.parties()).all(|seat| kind.agrees(era.luggage(seat).kind(generation)));
            let Some(work) = work.take_if(|_| alike) else { return Ok(()) };
            let worked = catch_unwind(AssertUnwindSafe(|| {
                let answers = work(receive(era), era);
                answers
                    .into_iter()
                    .enumerate()
                    .for_each(|(seat, answer)| post(era, seat, Some(Box::new(Answer(answer)))));
            }));
            let Err(panicked) = worked else { return Ok(()) };
            let cause = Cause::OperatorPanicked { rank: own, operation, message: message_of(&*panicked) };
            let record = Broken::by_rank(cause.clone(), generation, era.parties(), Vec::new());
            Err(control.break_complete(era, generation, cause, false).unwrap_or(record))
        };
        let mut turned = loop {
            self.settle(Limit::Usual)?;
            if let Some(named) = rank.filter(|&rank| self.lacks(rank)) {
                return Err(self.no_such_rank(named));
            }
            let Self { member, control, .. } = self;
            post(member.era(), member.index(), parcel.take());
            member.label(kind);
            let describe = |cause, census| control.describe(cause, census);
            let mut at_root = |era: &Arc<Era>, generation| {
                control.act(era, generation, own)?;
                for_all(control, era, generation)
            };
            match member.cross_held::<true>(Limit::Usual, &describe, &mut at_root) {
                Ok(_) => break false,
                Err(Halt::Turned(_)) => break true,
                Err(halt) => {
                    // Not for anybody else, and not to be kept until the reset.
                    parcel = collect(member.era(), member.index());
                    self.retry(halt)?;
                }
            }
        };
        let generation = self.member.generation().wrapping_sub(1);
        let mut answer = answer_in(self.member.era(), self.member.index());
        if answer.is_none() && self.member.era().is_left(generation) && self.stranger(kind, generation).is_none() {
            // The root was one who leaves, and let all go (step 4).
            let Self { member, control, .. } = self;
            let describe = |cause, census| control.describe(cause, census);
            let made_up = member.make_up(&describe, &mut |era, generation| for_all(control, era, generation));
            turned = match made_up {
                Ok(_) => false,
                Err(Halt::Broken(broken)) => {
                    self.member.conclude(generation, false);
                    return Err(self.unsettle(broken));
                }
                Err(_) => true,
            };
            answer = answer_in(self.member.era(), self.member.index());
        }
        self.member.conclude(generation, true);
        let Some(answer) = answer else {
            drop(collect(self.member.era(), self.member.index()));
            return Err(match (self.stranger(kind, generation), rank) {
                (None, Some(rank)) => self.no_such_rank(rank),
                // A label tells of this trip and the one before: that of somebody who has gone on may say nothing any more.
                (index, _) => self.mismatched(kind, index.unwrap_or(0), generation),
            });
        };
        if turned {
            self.move_on();
        }
        Ok(answer)
    }
}

/// Leaves a parcel, or nothing, in a box.
fn post(era: &Era, seat: usize, parcel: Option<Parcel>) {
    let before = std::mem::replace(&mut *lock(&era.mail()[seat]), parcel);
    // Here, where the box is not locked: the drop is a user's.
    drop(before);
}

/// Takes what is in a box.
fn collect(era: &Era, seat: usize) -> Option<Parcel> {
    lock(&era.mail()[seat]).take()
}

/// Takes the answer out of a box, if there is one.
fn answer_in<R: 'static>(era: &Era, seat: usize) -> Option<R> {
    let mut parcel = lock(&era.mail()[seat]);
    let answer = parcel.take_if(|parcel| parcel.is::<Answer<R>>())?;
    answer.downcast::<Answer<R>>().ok().map(|answer| answer.0)
}

/// What all have sent.
fn receive<T: Send + 'static>(era: &Era) -> Sendings<T> {
    let sent = |seat| Some(collect(era, seat)?.downcast::<Sent<T>>().ok()?.0);
    Sendings { values: (0..era.parties()).map(sent).collect() }
}
