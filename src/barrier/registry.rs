//! Who belongs to a barrier, and which era holds which trip.
//!
//! # State
//!
//! | field | meaning |
//! |---|---|
//! | `present` | the era of the open trip; broken until a reset, if it is broken |
//! | `before` | the era that `present` was promoted from, while parties are in it: they may not have been let go from its last trip |
//! | `next` | once somebody has joined or left: the era of the trips behind the last one of `present` |
//! | `claims` | every rank ever given out: free, held, deserted, left |
//!
//! # Protocol: a change of the members
//!
//! An era has the same parties all its life, so a change needs another one, and everybody has to agree from which trip on
//! it counts. That is decided like a break (`fate/README.md`, "A turn"):
//!
//! 1. Under the registry's lock, `present` is *turned*: `TURNING` is announced with a heavy fence behind it, and the
//!    slots are read. The open trip m is the last one of `present`; m + 1 is the first of `next`, which is made now, with
//!    the new members.
//! 2. Whoever completes a trip in `present` sees the announcement and asks; who completes m moves to `next`. The first
//!    one to do so *promotes* it: it is `present` now.
//! 3. A second change before m is complete makes yet another `next`, with the same first trip. The one before is
//!    *superseded*: it will hold no trip. Only newcomers can be waiting in it, and they move on. For those that have arrived
//!    there and gone to work, which would not find out, the arrival is made in the new one.
//! 4. Who leaves arrives at m first, like everybody, behind step 1: so nobody can complete m without knowing.
//! 5. If m breaks, `next` is *condemned* to the same verdict, so that the newcomers are told as well. The reset makes its
//!    era from `claims`.
//! 6. If nobody of `present` takes part in `next`, all of them having left, m is nobody's business but theirs: `next` is
//!    promoted at once. (Its first trip may be complete before they have arrived at m; to supersede or to condemn it would
//!    undo that.)
//!
//! Ranks are stable: a party keeps its rank as long as it is a member, and a newcomer gets the lowest one that somebody
//! has left. Seats are dense: the order among the ranks that take part.
//!
//! # Where a party goes
//!
//! The party that completes m goes to the era that holds m + 1, and to no other, however much has happened in the
//! meantime: it owes that trip an arrival, or is owed its verdict. So an era that was turned, and all that were superseded
//! behind it, share one cell that is filled once, when it is decided which era holds m + 1 (`Era::heir`).

use super::era::{Design, Era, Heir};
use super::roll::{Claim, Claims};
use crate::error::{Broken, ClaimError, JoinError};
use crate::fate::{Census, Ended, is_beyond};
use std::sync::{Arc, Weak};

/// The design of an era for these ranks.
pub(crate) type Designer = Box<dyn Fn(Arc<[usize]>) -> Design + Send + Sync>;

/// See the module's essay. Guarded by one lock, which is never held while user code runs.
#[derive(Debug)]
pub(crate) struct Registry {
    present: Arc<Era>,
    before: Weak<Era>,
    next: Option<Next>,
    claims: Claims,
    /// The last trip that newcomers were told is broken although the one before it was open. Its number is used up.
    spent: Option<u64>,
    /// Eras that are no longer needed here. What they hold may be the last of a user's values, whose drop must not run
    /// under the lock.
    retired: Vec<Retired>,
    /// Breaks that nobody has been told to watch for: of eras that were given up before they were present, or left before
    /// they broke.
    news: Vec<Broken>,
}

/// An era that is no longer needed, and what it came to.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) era: Arc<Era>,
    pub(crate) end: End,
}

/// How an era ended, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the trip before this one, complete, or as good as that: those who have left it may be about to arrive.
    Turned(u64),
    /// With its verdict.
    Broken,
    /// It held no trip.
    Superseded,
}

#[derive(Debug)]
struct Next {
    /// The first trip that is not the present era's.
    first: u64,
    era: Arc<Era>,
    heir: Heir,
}

impl Registry {
    /// A barrier of as many parties as `design` says, whose first trip is `first`.
    pub(crate) fn new(design: Design, first: u64) -> Self {
        let claims = Claims::new(design.ranks.len());
        let present = Arc::new(Era::new(design, first, true));
        Self { present, before: Weak::new(), next: None, claims, spent: None, retired: Vec::new(), news: Vec::new() }
    }

    /// The era of the open trip.
    pub(crate) fn present(&mut self) -> &Arc<Era> {
        self.advance();
        &self.present
    }

    /// The earliest era that parties may wait in, and that of the trips behind the open one if it is another. The first is the
    /// era of the open trip, or the one that it was promoted from and is the heir of: all have arrived at the last trip there,
    /// and an action can keep them for as long as it likes.
    pub(crate) fn in_service(&mut self) -> (Arc<Era>, Option<Arc<Era>>) {
        self.advance();
        // Dropped behind the lock, by the caller.
        let earliest = self.before.upgrade().unwrap_or_else(|| Arc::clone(&self.present));
        (earliest, self.next.as_ref().map(|next| Arc::clone(&next.era)))
    }

    pub(crate) fn claims(&mut self) -> &mut Claims {
        &mut self.claims
    }

    /// Whether all have left.
    pub(crate) fn has_ended(&self) -> bool {
        self.claims.members().is_empty()
    }

    /// What the caller drops once the lock is free.
    pub(crate) fn take_retired(&mut self) -> Vec<Retired> {
        std::mem::take(&mut self.retired)
    }

    /// The era that was present when somebody last asked.
    pub(crate) fn last_present(&self) -> &Arc<Era> {
        &self.present
    }

    /// Breaks to be reported whose eras are not present.
    pub(crate) fn take_news(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.news)
    }

    /// A break to be reported whose era may not be present any more.
    pub(crate) fn report(&mut self, broken: Broken) {
        self.news.push(broken);
    }

    fn set_present(&mut self, era: Arc<Era>, end: End) {
        let era = std::mem::replace(&mut self.present, era);
        // Those who take no part in the present one do not wait: they have left.
        let promoted = matches!(end, End::Turned(_)) && self.present.continues(&era);
        self.before = if promoted { Arc::downgrade(&era) } else { Weak::new() };
        self.retired.push(Retired { era, end });
    }

    /// Step 2, second half, and step 5: brings the registry up to date with what parties have done without it.
    pub(crate) fn advance(&mut self) {
        let Some(next) = self.next.as_ref() else { return };
        // Newcomers alone do not wait for those who have left, and do not hear of what becomes of their last trip.
        let alone = !next.era.continues(&self.present);
        // Before the slots, because in a broken era parties may still come late.
        if let Some(verdict) = self.present.verdict().filter(|_| !alone) {
            self.condemn_next(verdict);
        } else if alone || self.present.has_reached(next.first) {
            // A verdict on the trip before can still come: from somebody who does something for all on it, and has failed.
            if let Some(next) = self.next.take() {
                self.set_present(Arc::clone(&next.era), End::Turned(next.first));
                next.settle();
            }
        }
    }

    fn condemn_next(&mut self, verdict: Broken) {
        if let Some(next) = self.next.take() {
            self.spend(&next.era);
            next.era.condemn(verdict);
            self.retired.push(Retired { era: Arc::clone(&next.era), end: End::Broken });
            next.settle();
        }
    }

    /// Gives up a next era: what its parties may have been told is broken must not complete for anybody.
    fn spend(&mut self, next: &Era) {
        if let Some(verdict) = next.verdict() {
            self.spent = Some(verdict.generation());
            self.report(verdict);
        }
    }

    /// The number for what would be trip `first`.
    fn number(&self, first: u64) -> u64 {
        self.spent.filter(|spent| !is_beyond(first, *spent)).map_or(first, |spent| spent.wrapping_add(1))
    }

    /// `era` was broken on its last trip, perhaps after it had been left behind: whoever comes behind it is told the same.
    pub(crate) fn condemn_heirs(&mut self, era: &Arc<Era>, verdict: &Broken) {
        if let Some(heir) = era.heir().filter(|heir| heir.continues(era)) {
            // Nobody has crossed a trip there: those who take part in both are told of this one first.
            heir.condemn(verdict.clone());
        }
        self.advance();
    }

    /// Where a member of `era` goes for the trip behind its last one there, or from an era that holds none.
    pub(crate) fn successor(&mut self, era: &Arc<Era>, rank: usize) -> Arc<Era> {
        self.advance();
        era.heir().unwrap_or_else(|| self.home_of(rank, true))
    }

    /// Where `rank` takes part: in the present era, or in the next one. If in neither, where it is told why.
    pub(crate) fn home_of(&self, rank: usize, newcomer: bool) -> Arc<Era> {
        let next = self.next.as_ref().filter(|next| next.era.index_of(rank).is_some());
        // Whose earlier handle has arrived at the open trip and was dropped: that arrival stands, and is the only one.
        let has_arrived = |first, index| self.present.words().slots().next_of(index) == first;
        match next {
            Some(next)
                if newcomer || self.present.index_of(rank).is_none_or(|index| has_arrived(next.first, index)) =>
            {
                Arc::clone(&next.era)
            }
            _ => Arc::clone(&self.present),
        }
    }

    /// Whether `era` still counts: as the present one, or the next.
    pub(crate) fn is_current(&self, era: &Arc<Era>) -> bool {
        Arc::ptr_eq(era, &self.present) || self.is_next(era)
    }

    /// Whether trip `open` is held in the next era.
    pub(crate) fn leads_to(&self, open: u64) -> bool {
        self.next.as_ref().is_some_and(|next| next.first == open)
    }

    /// Whether `era` is the next one.
    pub(crate) fn is_next(&self, era: &Arc<Era>) -> bool {
        self.next.as_ref().is_some_and(|next| Arc::ptr_eq(era, &next.era))
    }

    /// Gives out `rank`, and says in which era it takes part.
    pub(crate) fn claim(&mut self, rank: usize) -> Result<Arc<Era>, ClaimError> {
        self.advance();
        self.claims.take(rank)?;
        Ok(self.home_of(rank, false))
    }

    /// Adds a party: its rank, and the era in which it takes part.
    pub(crate) fn join(&mut self, designer: &Designer) -> Result<(usize, Arc<Era>), JoinError> {
        if self.has_ended() {
            return Err(JoinError::Ended);
        }
        self.advance();
        // Not a rank of the open trip: its seat there is the leaver's.
        let rank = self.claims.add(|rank| self.present.index_of(rank).is_none()).ok_or(JoinError::Full)?;
        self.change(designer);
        Ok((rank, self.home_of(rank, true)))
    }

    /// Takes a party out that has not arrived at the open trip, or is none of its. Whether it has to arrive there, which
    /// it must not do before.
    pub(crate) fn leave(&mut self, designer: &Designer, rank: usize, era: &Arc<Era>) -> bool {
        self.advance();
        self.claims.remove(rank);
        self.change(designer).is_some_and(|turned| Arc::ptr_eq(era, &turned))
    }

    /// Steps 1 and 3: lets the present members take part from the trip on that follows the open one. The era of the open one;
    /// `None` if the barrier is broken, so that the reset will do it.
    pub(crate) fn change(&mut self, designer: &Designer) -> Option<Arc<Era>> {
        loop {
            match self.present.turn() {
                Ok(first) => {
                    let turned = Arc::clone(&self.present);
                    self.replace_next(designer, first);
                    return Some(turned);
                }
                Err(Ended::Broken(_)) => {
                    let broken = Arc::clone(&self.present);
                    self.advance();
                    if Arc::ptr_eq(&broken, &self.present) {
                        return None;
                    }
                }
                // Nobody is left to hold a further trip.
                Err(Ended::Complete) if self.next.is_none() => return None,
                Err(Ended::Complete) => self.advance(),
            }
        }
    }

    /// What to make for the present members: as before, if they are the same.
    fn design(&self, designer: &Designer) -> Design {
        let members = self.claims.members();
        let before = self.present.design();
        if *before.ranks == *members { before.clone() } else { designer(members.into()) }
    }

    /// Makes an era for the present members that begins with trip `first`, behind the present one.
    fn replace_next(&mut self, designer: &Designer, first: u64) {
        let before = self.next.take();
        let heir = before.as_ref().map_or_else(Heir::default, |before| Arc::clone(&before.heir));
        self.present.bequeath(&heir);
        if !self.has_ended() {
            let era = Arc::new(Era::new(self.design(designer), self.number(first), false));
            if let Some(verdict) = before.as_ref().and_then(|before| before.era.verdict()) {
                era.condemn(verdict);
            }
            self.next = Some(Next { first, era, heir: Arc::clone(&heir) });
        }
        if let Some(before) = before {
            before.era.bequeath(&heir);
            before.era.supersede();
            // Behind the announcement: a newcomer that arrives and goes to work sees it, or is seen here.
            if let Some(next) = &self.next {
                let absent =
                    |rank: &&usize| before.era.index_of(**rank).is_some_and(|index| before.era.is_absent(index));
                // One of them is left to be the last, who may have something to do for all: nobody else waits for it.
                let most = next.era.parties() - 1;
                next.era.design().ranks.iter().filter(absent).take(most).for_each(|&rank| next.era.arrive_for(rank));
            }
            self.retired.push(Retired { era: before.era, end: End::Superseded });
        }
    }

    /// Breaks trip `only` in advance, for which a party will not come that has arrived at the open one before it. False if
    /// that is not the trip behind the open one.
    pub(crate) fn break_next(
        &mut self,
        designer: &Designer,
        only: u64,
        describe: impl FnOnce(Census) -> Broken,
    ) -> bool {
        if self.present().census().generation.wrapping_add(1) != only || self.change(designer).is_none() {
            return false;
        }
        let Some(next) = self.next.as_ref().filter(|next| next.first == only) else { return false };
        let missing = next.era.design().ranks.to_vec();
        next.era.condemn(describe(Census { generation: only, missing, arrived: 0 }));
        true
    }

    /// Puts an era of the present members in the place of all others, from trip `first` on, or the next one whose number
    /// is free. The number that it is.
    pub(crate) fn renew(&mut self, designer: &Designer, first: u64) -> u64 {
        self.advance();
        let first = self.number(first);
        self.set_present(Arc::new(Era::new(self.design(designer), first, false)), End::Broken);
        first
    }

    /// Replaces a next era that is broken although the present one is not.
    pub(crate) fn renew_next(&mut self, designer: &Designer) {
        if let Some(next) = self.next.take_if(|next| next.era.verdict().is_some()) {
            self.spend(&next.era);
            let era = Arc::new(Era::new(self.design(designer), self.number(next.first), false));
            self.retired.push(Retired { era: next.era, end: End::Broken });
            self.next = Some(Next { era, first: next.first, heir: next.heir });
        }
    }

    /// Breaks the open trip; what everybody is told, or `None` if there is no trip any more.
    pub(crate) fn break_open_trip(&mut self, describe: impl Fn(Census) -> Broken) -> Option<Broken> {
        loop {
            self.advance();
            match self.present.break_open_trip(&describe) {
                Ok(broken) | Err(Ended::Broken(broken)) => {
                    self.advance();
                    return Some(broken);
                }
                Err(Ended::Complete) if self.next.is_none() => return None,
                Err(Ended::Complete) => {}
            }
        }
    }

    /// Takes note that the handle of `rank` is gone.
    pub(crate) fn desert(&mut self, rank: usize) {
        self.advance();
        self.claims.set(rank, Claim::Deserted);
    }
}

impl Next {
    /// It is decided: this is the era that holds trip `first`.
    fn settle(self) {
        let _ = self.heir.set(self.era);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;
    use crate::error::Cause;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    fn designer() -> Designer {
        Box::new(|ranks| {
            let design = Barrier::new(ranks.len()).unwrap().control().era().design().clone();
            Design { ranks, ..design }
        })
    }

    fn registry(parties: usize, designer: &Designer) -> Registry {
        Registry::new(designer((0..parties).collect()), 0)
    }

    #[test]
    fn the_next_era_holds_the_trip_behind_the_open_one() {
        let designer = designer();
        let mut registry = registry(2, &designer);
        assert!(!registry.leads_to(0) && !registry.leads_to(1));
        let (rank, era) = registry.join(&designer).unwrap();
        assert_eq!((rank, registry.is_next(&era)), (2, true));
        assert!(registry.leads_to(1) && !registry.leads_to(0) && !registry.leads_to(2));
    }

    #[test]
    fn a_change_behind_a_complete_trip_counts_from_the_one_behind_the_next() {
        let designer = designer();
        let mut registry = registry(2, &designer);
        let (_, era) = registry.join(&designer).unwrap();
        let before = Arc::clone(registry.last_present());
        (0..2).for_each(|seat| before.words().seat(seat).arrive(0));
        let turned = registry.change(&designer).unwrap();
        assert!(Arc::ptr_eq(&turned, &era) && registry.leads_to(2) && !registry.leads_to(1));
    }

    #[test]
    fn only_the_trip_behind_the_open_one_is_broken_in_advance() {
        let designer = designer();
        let mut registry = registry(2, &designer);
        let describe = |census: Census| {
            assert_eq!((census.missing, census.arrived), (vec![0, 1], 0));
            Broken::by_rank(Cause::Reset, census.generation, 2, Vec::new())
        };
        for only in [0, 2] {
            assert!(!registry.break_next(&designer, only, describe) && !registry.leads_to(1), "nothing has changed");
        }
        assert!(registry.break_next(&designer, 1, describe) && registry.leads_to(1));
        assert_eq!(registry.present().verdict(), None);
        // Whoever joins has part in it.
        let (_, era) = registry.join(&designer).unwrap();
        assert_eq!(era.verdict().map(|broken| broken.generation()), Some(1));
    }

    #[test]
    fn nothing_changes_behind_the_last_trip_of_all() {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let designer = designer();
            let mut registry = registry(1, &designer);
            let era = registry.claim(0).unwrap();
            assert!(registry.leave(&designer, 0, &era) && registry.has_ended());
            era.words().seat(0).arrive(0);
            done.send(registry.change(&designer).is_none())
        });
        let limit = Duration::from_secs(if cfg!(miri) { 3600 } else { 10 });
        assert_eq!(ended.recv_timeout(limit), Ok(true));
    }
}
