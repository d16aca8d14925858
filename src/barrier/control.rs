//! What a barrier keeps beyond a trip: the present era, the claims, the names; and the rare operations on them.
//!
//! # Locks
//!
//! Taken in this order, none on the fast path: `registry` (present era and claims), the era's verdict (`fate`),
//! `threads` (names).

use super::era::{Era, Member};
use super::explain::Explanation;
use super::roll::{Claim, Claims, Threads};
use crate::algo::seat::Blueprint;
use crate::algo::select::Algorithm;
use crate::error::{Broken, Cause, ClaimError, ResetError};
use crate::fate::Census;
use crate::primitive::{Fences, Mutex, lock};
use crate::wait::{Plan, WaitPolicy};
use std::sync::Arc;

/// Shared by all handles of one barrier.
#[derive(Debug)]
pub(crate) struct Control {
    registry: Mutex<Registry>,
    threads: Threads,
    parties: usize,
    blueprint: Blueprint,
    policy: WaitPolicy,
    plan: Plan,
    fences: Fences,
    explanation: Explanation,
}

#[derive(Debug)]
struct Registry {
    era: Arc<Era>,
    claims: Claims,
}

impl Control {
    pub(super) fn new(
        blueprint: Blueprint,
        first: u64,
        policy: WaitPolicy,
        plan: Plan,
        fences: Fences,
        explanation: Explanation,
    ) -> Self {
        let parties = blueprint.parties();
        let era = Era::new(&blueprint, first, true, fences);
        let registry = Registry { era: Arc::new(era), claims: Claims::new(parties) };
        let threads = Threads::new(parties);
        Self { registry: Mutex::new(registry), threads, parties, blueprint, policy, plan, fences, explanation }
    }

    pub(super) fn parties(&self) -> usize {
        self.parties
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.blueprint.algorithm()
    }

    pub(super) fn policy(&self) -> WaitPolicy {
        self.policy
    }

    pub(super) fn explanation(&self) -> &Explanation {
        &self.explanation
    }

    /// The era that counts now.
    pub(super) fn era(&self) -> Arc<Era> {
        Arc::clone(&lock(&self.registry).era)
    }

    /// The record of a break, with what is known of the missing.
    pub(super) fn describe(&self, cause: Cause, census: Census) -> Broken {
        self.threads.describe(cause, census)
    }

    /// Breaks the open trip of the present era, unless it is broken.
    pub(super) fn break_open_trip(&self, cause: Cause) -> Broken {
        self.era().break_open_trip(|census| self.describe(cause, census))
    }

    /// Gives out `rank`.
    pub(super) fn claim(&self, rank: usize) -> Result<Member, ClaimError> {
        let mut registry = lock(&self.registry);
        registry.claims.take(rank)?;
        Ok(Member::new(&registry.era, rank, self.plan))
    }

    /// Gives out all ranks, or none.
    pub(super) fn claim_all(&self) -> Result<Vec<Member>, ClaimError> {
        let mut registry = lock(&self.registry);
        if let Some(&rank) = registry.claims.in_state(Claim::Held).first() {
            return Err(ClaimError::Taken { rank });
        }
        (0..self.parties)
            .map(|rank| {
                registry.claims.take(rank)?;
                Ok(Member::new(&registry.era, rank, self.plan))
            })
            .collect()
    }

    /// Takes note that the handle of `rank` is gone, and breaks the trip that it will not come to.
    pub(super) fn desert(&self, rank: usize, cause: Cause) {
        let mut registry = lock(&self.registry);
        registry.claims.desert(rank);
        // Under the lock: once it is free, the rank may be claimed again and the barrier reset, and that era is none of
        // this drop's business.
        registry.era.break_open_trip(|census| self.describe(cause, census));
    }

    /// Breaks the open trip if some rank was never claimed and now never can be.
    pub(super) fn close_claims(&self) {
        let registry = lock(&self.registry);
        if let Some(&rank) = registry.claims.in_state(Claim::Free).first() {
            registry.era.break_open_trip(|census| self.describe(Cause::Dropped { rank }, census));
        }
    }

    /// Puts a new era in the place of a broken one; breaks it first if parties are waiting in it. The first generation
    /// that counts.
    pub(super) fn reset(&self) -> Result<u64, ResetError> {
        let mut registry = lock(&self.registry);
        let ranks = registry.claims.in_state(Claim::Deserted);
        if !ranks.is_empty() {
            return Err(ResetError::Deserted { ranks });
        }
        let broken = match registry.era.break_trip_of_waiters(|census| self.describe(Cause::Reset, census)) {
            Ok(broken) => broken,
            Err(open) => return Ok(open),
        };
        let first = broken.generation().wrapping_add(1);
        registry.era = Arc::new(Era::new(&self.blueprint, first, false, self.fences));
        Ok(first)
    }

    /// Brings `member` up to date before it waits: says which thread it is, and if it has been `told` of a break, takes
    /// it to the era that came after; or tells it again while there is none.
    #[cold]
    pub(super) fn settle(&self, member: &mut Member, told: bool) -> Result<(), Broken> {
        self.threads.introduce(member.rank());
        if !told {
            return Ok(());
        }
        let present = self.era();
        if Arc::ptr_eq(member.era(), &present) {
            return present.verdict().map_or(Ok(()), Err);
        }
        member.follow(&present, self.plan);
        Ok(())
    }
}
