//! What a barrier keeps beyond a trip: the registry of its members and eras, the names, the action; and the rare
//! operations on them.
//!
//! # Locks
//!
//! Taken in this order, none on the fast path: the registry, the ledger, an era's verdict (`fate`), `threads` (names); or the
//! registry, a token (`cancel`). None is held while an action, an operator, the drop of a value or whoever watches the
//! barrier runs.

use super::action::{Act, Handover, TripInfo, is_within, within};
use super::cancel::CancelToken;
use super::era::Era;
use super::explain::Explanation;
use super::ledger::{Ledger, Sum};
use super::member::Member;
use super::registry::{Designer, Registry, Retired};
use super::roll::{Claim, Claims, Threads};
use crate::algo::select::Algorithm;
use crate::error::{Broken, Cause, ClaimError, JoinError, Operation, ResetError};
use crate::fate::luggage::Kind;
use crate::fate::{Census, Ended};
use crate::observe::Observers;
use crate::observe::watchdog::Known;
use crate::primitive::{Mutex, MutexGuard, lock};
use crate::wait::{Tally, WaitPolicy};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

/// Shared by all handles of one barrier.
pub(crate) struct Control {
    registry: Mutex<Registry>,
    designer: Designer,
    threads: Threads,
    policy: WaitPolicy,
    action: Option<Box<dyn Act>>,
    handover: Handover,
    kinds: std::sync::Mutex<Kinds>,
    tokens: Vec<CancelToken>,
    ledger: Ledger,
    observers: Observers,
}

/// An operation on values of one type, towards one rank if that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Errand {
    pub(crate) operation: Operation,
    pub(crate) value: TypeId,
    pub(crate) rank: Option<usize>,
}

/// Every errand that any party ever had, numbered from 1, with the name of its type.
type Kinds = HashMap<Errand, (Kind, &'static str)>;

/// The errands that one party had of late: most loops have one or two.
#[derive(Debug, Default)]
pub(crate) struct Errands([Option<(Errand, Kind)>; 4]);

impl Errands {
    /// The number of an errand; asks the barrier if it is new here.
    #[inline(always)]
    pub(crate) fn kind(&mut self, control: &Control, errand: Errand, name: &'static str) -> Kind {
        let place = &mut self.0[(errand.operation as usize).wrapping_add(errand.rank.unwrap_or(0)) % 4];
        match place {
            Some((last, kind)) if *last == errand => *kind,
            _ => place.insert((errand, control.kind_of(errand, name))).1,
        }
    }
}

impl Control {
    pub(super) fn new(
        designer: Designer,
        parties: usize,
        first: u64,
        policy: WaitPolicy,
        action: Option<Box<dyn Act>>,
    ) -> Self {
        let design = designer((0..parties).collect());
        let registry = Mutex::new(Registry::new(design, first));
        let kinds = std::sync::Mutex::default();
        let (threads, handover, ledger) = (Threads::new(), Handover::new(), Ledger::new());
        let (tokens, observers) = (Vec::new(), Observers::nobody());
        Self { registry, designer, threads, policy, action, handover, kinds, tokens, ledger, observers }
    }

    /// These watch the barrier.
    pub(super) fn watched_by(self, observers: Observers) -> Self {
        Self { observers, ..self }
    }

    /// Any of these breaks the barrier for good, once [`Control::bind_to_tokens`] has told them.
    pub(super) fn cancelled_by(self, tokens: Vec<CancelToken>) -> Self {
        Self { tokens, ..self }
    }

    /// Tells the tokens of this barrier; breaks it if one of them has been cancelled.
    pub(super) fn bind_to_tokens(self: &Arc<Self>) {
        for token in &self.tokens {
            if let Some(reason) = token.bind(self) {
                self.break_open_trip(&Cause::Cancelled { reason });
            }
        }
    }

    /// Does something to the registry; what it no longer needs is dropped behind the lock.
    fn with<R>(&self, act: impl FnOnce(&mut Registry) -> R) -> R {
        let mut registry = lock(&self.registry);
        let result = act(&mut registry);
        let retired = self.close(&mut registry);
        drop(registry);
        drop(retired);
        result
    }

    /// Puts what has retired into the books; to be dropped behind the lock.
    fn close(&self, registry: &mut Registry) -> Vec<Retired> {
        let retired = registry.take_retired();
        // In a model every look at the slots of the past is one more place to be interrupted.
        if !cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) {
            self.ledger.close(&retired);
        }
        retired
    }

    pub(super) fn parties(&self) -> usize {
        self.with(|registry| if registry.has_ended() { 0 } else { registry.present().parties() })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.with(|registry| registry.present().design().blueprint.algorithm())
    }

    pub(super) fn policy(&self) -> WaitPolicy {
        self.policy
    }

    pub(super) fn explanation(&self) -> Explanation {
        self.with(|registry| registry.present().design().explanation.clone())
    }

    /// The era that counts now.
    pub(super) fn era(&self) -> Arc<Era> {
        self.with(|registry| Arc::clone(registry.present()))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.with(|registry| registry.has_ended())
    }

    /// The record of a break, with what is known of the missing.
    pub(crate) fn describe(&self, cause: Cause, census: Census) -> Broken {
        self.threads.describe(cause, census)
    }

    /// Breaks the open trip, unless it is broken; what everybody is told.
    pub(crate) fn break_open_trip(&self, cause: &Cause) -> Broken {
        let describe = |census| self.describe(cause.clone(), census);
        let told = self.with(|registry| registry.break_open_trip(describe));
        self.take_note();
        told.unwrap_or_else(|| Broken::by_rank(cause.clone(), self.era().census().generation, 0, Vec::new()))
    }

    /// Breaks the trip that a party of `era` was to arrive at next; what its parties are told. If that is broken already, by
    /// whoever was faster, the party is told of it like everybody else, even if somebody has reset the barrier since: a life
    /// that the party has not come to yet is none of its business.
    pub(crate) fn break_next_trip(&self, era: &Era, cause: &Cause) -> Broken {
        let describe = |census| self.describe(cause.clone(), census);
        let told = self.with(|registry| era.verdict().or_else(|| registry.break_open_trip(describe)));
        self.take_note();
        told.unwrap_or_else(|| Broken::by_rank(cause.clone(), self.era().census().generation, 0, Vec::new()))
    }

    /// Breaks the open trip if somebody waits at it.
    pub(crate) fn break_trip_of_waiters(&self, cause: &Cause) {
        self.with(|registry| {
            let present = registry.present();
            // Nobody waits, or it is broken already: there is nothing to do.
            drop(present.break_trip_of_waiters(|census| self.describe(cause.clone(), census)));
        });
        self.take_note();
    }

    /// Breaks trip `generation` of `era`, at which all have arrived, for a cause that lies in what rides on it; what its
    /// parties are told. `may_be_over`: parties leave it by themselves, and if one has, nothing is broken.
    pub(crate) fn break_complete(
        &self,
        era: &Arc<Era>,
        generation: u64,
        cause: Cause,
        may_be_over: bool,
    ) -> Option<Broken> {
        let record = Broken::by_rank(cause, generation, era.parties(), Vec::new());
        let trunks = if may_be_over { era.trunks() } else { &[] };
        match era.break_complete(generation, trunks, record) {
            Ok(broken) => {
                drop(self.with(|registry| {
                    registry.condemn_heirs(era, &broken);
                    // A party that the verdict has released may have reported it. A report of a later trip, whose verdict
                    // has given way, is not this one; and the era may be present no more.
                    if era.take_note(&broken) {
                        registry.report(broken.clone());
                    }
                    let retired = self.close(registry);
                    self.ledger.correct(era);
                    retired
                }));
                Some(broken)
            }
            Err(Ended::Broken(broken)) => {
                self.with(|registry| registry.condemn_heirs(era, &broken));
                Some(broken)
            }
            Err(Ended::Complete) => None,
        }
    }

    /// Whether the barrier has an action.
    pub(crate) fn acts(&self) -> bool {
        self.action.is_some()
    }

    /// Runs the action, if there is one, on behalf of the party that brought the trip about; if it panics, the trip is
    /// broken.
    pub(crate) fn act(&self, era: &Arc<Era>, generation: u64, rank: usize) -> Result<(), Broken> {
        let Some(action) = &self.action else { return Ok(()) };
        let info = TripInfo { generation, parties: era.parties(), rank };
        let cause = if is_within(self.address()) {
            // A newcomer that leaves inside the action can be the last to arrive at the next trip.
            Cause::Reentered { rank }
        } else {
            if !era.is_opened() {
                self.open(era);
            }
            match within(self.address(), || action.run(&info)) {
                Ok(()) => return Ok(()),
                Err(message) => Cause::ActionPanicked { message },
            }
        };
        let record = Broken::by_rank(cause.clone(), generation, era.parties(), Vec::new());
        Err(self.break_complete(era, generation, cause, false).unwrap_or(record))
    }

    /// The first root of an era lets whoever has left the one before end its action.
    #[cold]
    fn open(&self, era: &Era) {
        drop(self.handover.hold());
        era.open();
    }

    /// What tells this barrier from all others.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Gives out `rank`; as [`Member::enter`], and so are the next two. Under the lock, because once that is free others may
    /// break the barrier and reset it, or replace the era by another, before there is a handle.
    pub(super) fn claim(&self, rank: usize) -> Result<(Member, bool), ClaimError> {
        self.with(|registry| Ok(self.enter(&registry.claim(rank)?, rank)))
    }

    /// [`Member::enter`], for a party that is watched as was asked for.
    fn enter(&self, era: &Arc<Era>, rank: usize) -> (Member, bool) {
        let (member, behind) = Member::enter(era, rank);
        // A model has nobody who looks.
        if cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) {
            return (member, behind);
        }
        // Whoever had the handle before has it no more.
        self.threads.forget(rank);
        let tally = self.ledger.tally(rank);
        tally.forget();
        (member.watched(Arc::clone(&tally), self.observers.eye(rank, tally)), behind)
    }

    /// Gives out the ranks of all members, or none.
    pub(super) fn claim_all(&self) -> Result<Vec<(Member, bool)>, ClaimError> {
        self.with(|registry| {
            if let Some(&rank) = registry.claims().in_state(Claim::Held).first() {
                return Err(ClaimError::Taken { rank });
            }
            let members = registry.claims().members();
            members.into_iter().map(|rank| Ok(self.enter(&registry.claim(rank)?, rank))).collect()
        })
    }

    /// Adds a party.
    pub(super) fn join(&self) -> Result<(Member, bool), JoinError> {
        self.with(|registry| {
            let (rank, era) = registry.join(&self.designer)?;
            Ok(self.enter(&era, rank))
        })
    }

    /// To be kept from before a party leaves until it has arrived: it may be the root of its last trip.
    pub(super) fn handover(&self) -> Option<MutexGuard<'_, ()>> {
        // Inside the action the lock may be held by this very thread. Who leaves there runs no action.
        (self.acts() && !is_within(self.address())).then(|| self.handover.hold())
    }

    /// Takes the party of `member` out, which owes nothing. Whether it has to arrive at the open trip, as its last act.
    /// Under the handover's lock.
    pub(super) fn leave(&self, member: &mut Member) -> bool {
        self.with(|registry| {
            registry.advance();
            if !registry.is_current(member.era()) {
                member.follow(&registry.home_of(member.rank(), false));
            }
            let arrives = registry.leave(&self.designer, member.rank(), member.era());
            if arrives && !is_within(self.address()) {
                member.era().open();
            }
            arrives
        })
    }

    /// Takes note that the handle of `member` is gone, and breaks the trip that it will not come to.
    pub(super) fn desert(&self, member: &Member, cause: Cause) {
        // Under the lock all the time: once it is free, the rank may be claimed again and the barrier reset, and that era
        // is none of this drop's business.
        self.with(|registry| {
            registry.desert(member.rank());
            let describe = |census| self.describe(cause.clone(), census);
            // None of the open trip: the era that it was given may have been replaced since, as others joined or left.
            let home = registry.home_of(member.rank(), false);
            if registry.is_next(&home) {
                let _ = home.break_open_trip(describe);
                return;
            }
            if member.owes() && registry.is_current(member.era()) {
                let only = member.generation().wrapping_add(1);
                if registry.break_next(&self.designer, only, describe) {
                    return;
                }
            }
            registry.break_open_trip(describe);
        });
        self.take_note();
    }

    /// Breaks the open trip if some rank was never claimed and now never can be.
    pub(super) fn close_claims(&self) {
        self.with(|registry| {
            if let Some(&rank) = registry.claims().in_state(Claim::Free).first() {
                registry.break_open_trip(|census| self.describe(Cause::Dropped { rank }, census));
            }
        });
        self.take_note();
    }

    /// Puts a new era in the place of a broken one; breaks it first if parties are waiting in it. The first generation
    /// that counts.
    pub(super) fn reset(&self) -> Result<u64, ResetError> {
        self.take_note();
        let (first, news) = self.renew()?;
        // Those who waited hear of it from the old era, which nobody finds any more.
        news.iter().for_each(|broken| self.observers.broken(broken));
        self.observers.reset(first);
        Ok(first)
    }

    /// The first trip behind the reset, and the breaks that nobody has reported yet.
    fn renew(&self) -> Result<(u64, Vec<Broken>), ResetError> {
        self.with(|registry| {
            if registry.has_ended() {
                return Err(ResetError::Ended);
            }
            // Under the registry's lock (`cancel.rs`, step 3).
            if let Some(reason) = self.tokens.iter().find_map(CancelToken::reason) {
                return Err(ResetError::Cancelled { reason });
            }
            let ranks = registry.claims().in_state(Claim::Deserted);
            if !ranks.is_empty() {
                return Err(ResetError::Deserted { ranks });
            }
            loop {
                let present = registry.present();
                match present.break_trip_of_waiters(|census| self.describe(Cause::Reset, census)) {
                    Ok(broken) | Err(Ended::Broken(broken)) => {
                        let first = broken.generation().wrapping_add(1);
                        let news = present.take_note(&broken).then_some(broken);
                        let first = registry.renew(&self.designer, first);
                        self.ledger.count_reset();
                        return Ok((first, registry.take_news().into_iter().chain(news).collect()));
                    }
                    Err(Ended::Complete) => {
                        let open = present.census().generation;
                        if registry.leads_to(open) {
                            continue;
                        }
                        registry.renew_next(&self.designer);
                        self.ledger.count_reset();
                        return Ok((open, registry.take_news()));
                    }
                }
            }
        })
    }

    /// Brings `member` up to date before it waits: says which thread it is, and if it has been `told` of a break, takes
    /// it to the era that came after; or tells it again while there is none.
    #[cold]
    pub(super) fn settle(&self, member: &mut Member, told: bool) -> Result<(), Broken> {
        self.threads.introduce(member.rank(), self.observers.is_watched());
        if let Some(tally) = member.tally() {
            tally.note_thread();
        }
        self.refuse_within(member)?;
        if !told {
            return Ok(());
        }
        self.with(|registry| {
            registry.advance();
            if registry.is_current(member.era()) {
                return member.era().verdict().map_or(Ok(()), Err);
            }
            member.follow(&registry.home_of(member.rank(), false));
            if member.is_seated() { Ok(()) } else { member.era().verdict().map_or(Ok(()), Err) }
        })
    }

    /// Refuses to let `member` wait inside the barrier's own action.
    pub(super) fn refuse_within(&self, member: &Member) -> Result<(), Broken> {
        if !is_within(self.address()) {
            return Ok(());
        }
        let cause = Cause::Reentered { rank: member.rank() };
        Err(self.describe(cause, self.era().census()))
    }

    /// Reports a break of the present era to whoever watches, and others that nobody has reported, unless that has been
    /// done. Nothing if it has been replaced: who replaced it has done so.
    pub(super) fn take_note(&self) {
        let news = self.with(|registry| {
            let present = registry.present();
            let here = present.verdict().filter(|broken| present.take_note(broken));
            let mut news = registry.take_news();
            news.extend(here);
            news
        });
        news.iter().for_each(|broken| self.observers.broken(broken));
    }

    /// What the barrier has been through, and how often it was reset.
    pub(crate) fn sum(&self) -> (Sum, u64) {
        self.with(|registry| {
            registry.advance();
            // Whatever that has retired is in the books before they are read.
            let retired = self.close(registry);
            (self.ledger.sum(registry.last_present()), retired)
        })
        .0
    }

    /// The tallies of all ranks that ever had a handle.
    pub(crate) fn tallies(&self) -> Vec<Arc<Tally>> {
        self.ledger.tallies()
    }

    /// The thread that waits with the handle of `rank`, as far as it has said so.
    pub(super) fn thread_of(&self, rank: usize) -> Option<Known> {
        self.threads.known(rank)
    }

    /// The earliest era that parties may wait in, that of the trips behind the open one if it is another, and what `ask` wants to
    /// know of the claims.
    pub(super) fn in_service<R>(&self, ask: impl FnOnce(&Claims) -> R) -> (Arc<Era>, Option<Arc<Era>>, R) {
        self.with(|registry| {
            let (present, next) = registry.in_service();
            (present, next, ask(registry.claims()))
        })
    }

    /// Those who watch the barrier.
    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    /// Takes `member`, which has crossed the last trip of its era or finds that it holds none, to the era that comes
    /// behind it.
    #[cold]
    pub(super) fn move_on(&self, member: &mut Member) {
        let era = self.successor(member);
        member.follow(&era);
    }

    /// Where [`Control::move_on`] takes `member`.
    #[cold]
    pub(super) fn successor(&self, member: &Member) -> Arc<Era> {
        self.with(|registry| registry.successor(member.era(), member.rank()))
    }

    /// A party was told that its era is broken: so are those who wait for the trips behind it, and whoever watches.
    #[cold]
    pub(super) fn spread(&self) {
        self.take_note();
    }

    /// The number of an errand, the same for all parties of this barrier.
    #[cold]
    fn kind_of(&self, errand: Errand, name: &'static str) -> Kind {
        let mut kinds = self.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = u16::try_from(kinds.len() + 1).ok().filter(|&next| next < Kind::ABSENT.0);
        let Some(next) = next else {
            return kinds.get(&errand).map_or(Kind::UNNUMBERED, |(kind, _)| *kind);
        };
        kinds.entry(errand).or_insert((Kind(next), name)).0
    }

    /// What a party did who brought this along, in words.
    pub(crate) fn name_of(&self, kind: Option<Kind>) -> String {
        let kind = match kind {
            None => return "wait".into(),
            Some(Kind::ABSENT) => return "arrive".into(),
            Some(kind) => kind,
        };
        let kinds = self.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match kinds.iter().find(|(_, (other, _))| *other == kind) {
            Some((Errand { operation, rank, .. }, (_, name))) => match rank {
                Some(rank) => format!("{operation} of {name} with rank {rank}"),
                None => format!("{operation} of {name}"),
            },
            None => "one operation too many to be told from others".into(),
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;

    fn errand(rank: usize) -> Errand {
        Errand { operation: Operation::Reduce, value: TypeId::of::<u8>(), rank: Some(rank) }
    }

    #[test]
    fn of_all_that_is_kept_a_name_is_shown() {
        assert_eq!(format!("{:?}", Barrier::new(1).unwrap().control()), "Control { .. }");
    }

    #[test]
    fn an_errand_that_was_asked_for_is_known_without_asking_again() {
        let barrier = Barrier::new(1).unwrap();
        let (control, mut errands) = (barrier.control(), Errands::default());
        let kind = errands.kind(control, errand(0), "u8");
        // Whoever asks now is given another number.
        control.kinds.lock().unwrap().clear();
        assert_eq!(control.kind_of(errand(1), "u8"), kind);
        assert_eq!(errands.kind(control, errand(0), "u8"), kind);
        assert_ne!(Errands::default().kind(control, errand(0), "u8"), kind);
    }

    // To make all errands that there are numbers for takes an interpreter minutes.
    #[cfg(not(miri))]
    #[test]
    fn errands_beyond_the_last_number_are_like_no_other() {
        let barrier = Barrier::new(1).unwrap();
        let mut party = barrier.claim(0).unwrap();
        let control = barrier.control();
        let last = Kind::ABSENT.0 - 1;
        let earlier = (1..last).map(|number| (errand(number.into()), (Kind(number), "u8")));
        control.kinds.lock().unwrap().extend(earlier);
        assert_eq!(control.kind_of(errand(last.into()), "u8"), Kind(last));
        assert_eq!(control.kind_of(errand(0), "u8"), Kind::UNNUMBERED);
        assert_eq!(control.kind_of(errand(1), "u8"), Kind(1));
        let told = party.all_reduce(1, |a, b| a + b).unwrap_err();
        assert!(matches!(told.cause(), Cause::Mismatched { rank: 0, other: 0, .. }), "{told}");
    }
}
