//! The sequential model: who is a member of which trip, and, once it is known which trip broke, if any, what each party
//! must have seen. It knows nothing of eras, seats or words.

use super::crew::{Deed, Manner, Seen};
use super::freight::{Share, expected};
use super::plan::{Plan, Twist, is_assembled};
use phalanx::Broken;
use std::collections::BTreeSet;

/// A party between two rounds.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) rank: usize,
    pub(crate) worker: usize,
    /// Its first trip.
    pub(crate) first: u64,
    /// The break that it has not heard of, and is to be told of at its next call.
    pub(crate) untold: Option<Broken>,
    /// It has arrived at a trip whose end it has not asked for.
    pub(crate) owes: bool,
    /// It has been told of a break, or has come behind it, and has arrived nowhere since: a further break and reset in
    /// its absence passes it by.
    pub(crate) fresh: bool,
}

impl Member {
    pub(crate) fn new(rank: usize, worker: usize, first: u64) -> Self {
        Self { rank, worker, first, untold: None, owes: false, fresh: false }
    }

    /// Who comes to a broken barrier.
    pub(crate) fn on_broken(rank: usize, worker: usize) -> Self {
        Self { fresh: true, ..Self::new(rank, worker, 0) }
    }
}

/// The barrier between two rounds. Trips are counted from 0 here.
#[derive(Debug)]
pub(crate) struct Model {
    /// The number that the barrier has for trip 0.
    pub(crate) base: u64,
    pub(crate) open: u64,
    /// By rank.
    pub(crate) members: Vec<Member>,
    /// Ranks that have left.
    pub(crate) left: BTreeSet<usize>,
    /// How many ranks there ever were.
    pub(crate) ranks: usize,
}

/// A party in a round.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    pub(crate) member: Member,
    /// The trip that it leaves with.
    pub(crate) last: Option<u64>,
    /// Without the one that hears of an old break.
    pub(crate) deeds: Vec<Deed>,
    pub(crate) seen: Vec<Seen>,
}

impl Player {
    pub(crate) fn takes_part(&self, trip: u64) -> bool {
        self.member.first <= trip && self.last.is_none_or(|last| trip <= last)
    }
}

/// What a party has to have seen.
#[derive(Debug)]
pub(crate) enum Want {
    Exactly(Seen),
    /// Whether it leads is not said here.
    Crossed(u64),
    /// The same as all others, and one of these.
    OneOf(Vec<u64>),
    Either(Seen, Seen),
    CrossedOrArrived(u64),
}

impl Want {
    pub(crate) fn allows(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Self::Exactly(want), seen) => want == seen,
            (Self::Either(one, other), seen) => one == seen || other == seen,
            (Self::Crossed(want) | Self::CrossedOrArrived(want), Seen::Crossed { generation, .. }) => {
                want == generation
            }
            (Self::CrossedOrArrived(_), Seen::Arrived) => true,
            (Self::OneOf(words), Seen::Got(Some(got))) => got.len() == 1 && words.contains(&got[0]),
            _ => false,
        }
    }
}

impl Model {
    pub(crate) fn new(base: u64, parties: usize) -> Self {
        let member = |rank| Member::new(rank, rank, 0);
        Self { base, open: 0, members: (0..parties).map(member).collect(), left: BTreeSet::new(), ranks: parties }
    }

    /// The barrier's number of a trip.
    pub(crate) fn number(&self, trip: u64) -> u64 {
        self.base.wrapping_add(trip)
    }

    pub(crate) fn trip(&self, number: u64) -> u64 {
        number.wrapping_sub(self.base)
    }

    /// Who takes part in the open trip.
    pub(crate) fn ranks_of_open(&self) -> Vec<usize> {
        self.members.iter().filter(|member| member.first <= self.open).map(|member| member.rank).collect()
    }

    /// Somebody has joined whose first trip is not the open one.
    pub(crate) fn has_newcomers(&self) -> bool {
        self.members.iter().any(|member| member.first > self.open)
    }

    /// A reset might pass somebody by.
    pub(crate) fn has_fresh(&self) -> bool {
        self.members.iter().any(|member| member.fresh || member.untold.is_some())
    }

    /// The rank of who joins while a trip of these ranks is open.
    pub(crate) fn next_rank(&self, of_open: &[usize]) -> usize {
        self.left.iter().copied().find(|rank| !of_open.contains(rank)).unwrap_or(self.ranks)
    }

    pub(crate) fn add(&mut self, member: Member) {
        self.left.remove(&member.rank);
        self.ranks = self.ranks.max(member.rank + 1);
        let place = self.members.partition_point(|other| other.rank < member.rank);
        self.members.insert(place, member);
    }
}

/// What each party must have seen in a round on which `verdict` was given, or none.
pub(crate) struct Oracle<'a> {
    pub(crate) model: &'a Model,
    pub(crate) plan: &'a Plan,
    pub(crate) players: &'a [Player],
    pub(crate) verdict: Option<(u64, &'a Broken)>,
}

impl Oracle<'_> {
    /// The ranks of `trip`, if it was held.
    pub(crate) fn ranks_of(&self, trip: u64) -> Vec<usize> {
        let players = self.players.iter().filter(|player| player.takes_part(trip));
        let mut ranks: Vec<usize> = players.map(|player| player.member.rank).collect();
        ranks.sort_unstable();
        ranks
    }

    /// The trips that were completed.
    pub(crate) fn completed(&self) -> std::ops::Range<u64> {
        let end = self.plan.open + self.plan.legs.len() as u64;
        self.plan.open..self.verdict.map_or(end, |(trip, _)| trip)
    }

    pub(crate) fn wants(&self, player: &Player) -> Vec<Want> {
        let mut wants = Vec::new();
        for (trip, deed) in (player.member.first.max(self.plan.open)..).zip(&player.deeds) {
            let (want, ends) = self.want(player, deed, trip);
            wants.push(want);
            if ends {
                break;
            }
        }
        wants
    }

    /// What comes of one deed, and whether it is the last.
    fn want(&self, player: &Player, deed: &Deed, trip: u64) -> (Want, bool) {
        let number = self.model.number(trip);
        if matches!(deed, Deed::Leave | Deed::Desert { .. }) {
            return (Want::Exactly(Seen::Gone), true);
        }
        if let Some((broken, record)) = self.verdict.filter(|(broken, _)| *broken <= trip) {
            let told = Seen::Told(record.clone());
            // An arrival may be in time for the broken trip, or for a newcomer's first one; behind these there is none.
            let arrives = broken == trip || player.member.first == trip;
            return match deed {
                Deed::Meet(Manner::Arrive) if arrives => (Want::Exactly(Seen::Arrived), false),
                Deed::Meet(Manner::ArriveAndPeek) if arrives => (Want::Either(Seen::Arrived, told), false),
                _ => (Want::Exactly(told), true),
            };
        }
        match deed {
            Deed::Meet(Manner::Arrive) => (Want::Exactly(Seen::Arrived), false),
            Deed::Meet(Manner::ArriveAndPeek) => (Want::CrossedOrArrived(number), false),
            Deed::Meet(_) | Deed::Limit(_) => (Want::Crossed(number), false),
            Deed::Value(share) => self.want_value(player, share, trip),
            Deed::Leave | Deed::Desert { .. } | Deed::Hear => unreachable!("seen to above, or none of this round"),
        }
    }

    fn want_value(&self, player: &Player, share: &Share, trip: u64) -> (Want, bool) {
        let ranks = self.ranks_of(trip);
        let told = self.verdict.map(|(_, record)| Seen::Told(record.clone()));
        if trip == self.plan.event_trip() {
            match (&self.plan.twist, told) {
                (Twist::Mismatch { .. }, Some(told)) => return (Want::Exactly(told), true),
                (Twist::PanicOfOne { .. }, told)
                    if share.panics && ranks.len() > 1 && !is_assembled(share.op, share.freight) =>
                {
                    return match told {
                        Some(told) => (Want::Either(Seen::Panicked, told), false),
                        None => (Want::Exactly(Seen::Panicked), false),
                    };
                }
                _ => {}
            }
        }
        let shares: Vec<u64> = ranks.iter().map(|&rank| self.plan.own(rank, trip)).collect();
        let place = ranks.iter().position(|&rank| rank == player.member.rank).expect("it takes part");
        let want = match expected(share.op, &shares, &ranks, share.init, place) {
            Some(got) => Want::Exactly(Seen::Got(got)),
            None => Want::OneOf(shares),
        };
        (want, false)
    }
}
