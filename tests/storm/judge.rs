//! Compares a round with the model.

use super::crew::{Report, Seen};
use super::drive::{Checked, Stage};
use super::model::{Oracle, Player};
use super::plan::{Plan, Twist};
use super::script::Outside;
use phalanx::{Broken, Cause};
use proptest::prelude::*;
use std::collections::BTreeSet;

impl Stage<'_> {
    /// The one verdict of the round: all who are told of a break are told the same.
    pub(crate) fn verdict_of(&self, players: &[Player], said: Option<&Broken>, plan: &Plan) -> Checked<Option<Broken>> {
        let told = players.iter().flat_map(|player| &player.seen).filter_map(|seen| match seen {
            Seen::Told(broken) => Some(broken.clone()),
            _ => None,
        });
        let all: Vec<Broken> = told.chain(self.barrier.broken()).collect();
        let first = all.first().or(said).cloned();
        prop_assert!(all.iter().all(|told| Some(told) == first.as_ref()), "mixed: {:#?}", players);
        if let (Some(first), Some(said)) = (&first, said) {
            // Behind the last arrival an abort breaks the next trip; but what fails then breaks the one before.
            let overtaken = matches!(plan.twist, Twist::Panic | Twist::PanicOfOne { .. } | Twist::ActionPanic)
                && self.model.trip(said.generation()) == plan.event_trip() + 1
                && self.model.trip(first.generation()) == plan.event_trip();
            prop_assert!(first == said || overtaken, "an abort was told {}, and the parties {}", said, first);
        }
        Ok(first)
    }

    pub(crate) fn judge(
        &mut self,
        plan: &Plan,
        players: &[Player],
        verdict: Option<&Broken>,
        said: Option<&Broken>,
    ) -> Checked {
        let verdict = verdict.map(|broken| (self.model.trip(broken.generation()), broken));
        let oracle = Oracle { model: &self.model, plan, players, verdict };
        let at_event = oracle.ranks_of(plan.event_trip());
        match verdict {
            None => prop_assert!(!plan.must_break(&at_event), "nothing broke: {:#?} {:#?}", plan, players),
            Some((trip, broken)) => {
                let legs = plan.legs.len() as u64;
                let by_reset = matches!(plan.outside, Outside::Reset(_)) && broken.cause() == &Cause::Reset;
                let by_abort = said == Some(broken) && broken.cause() == &Cause::Aborted { reason: "storm".into() };
                let allowed = by_reset || by_abort || plan.may_say(broken, trip, &at_event);
                let in_time = (plan.open..=plan.open + legs).contains(&trip);
                prop_assert!(allowed && in_time, "nobody did that: {:?} on {:#?}", broken, plan);
                let sizes = (broken.arrived() + broken.missing().len(), oracle.ranks_of(trip).len());
                prop_assert!(broken.parties() == sizes.0, "{:?}", broken);
                prop_assert!(sizes.0 == sizes.1, "{:?} of {} parties", broken, sizes.1);
            }
        }
        for player in players {
            let wants = oracle.wants(player);
            // Who peeks and is told of a break goes no further, though it might have gone on.
            let peeked = matches!(player.seen.last(), Some(Seen::Told(_)));
            let fits = (wants.len() == player.seen.len() || peeked)
                && player.seen.len() <= wants.len()
                && wants.iter().zip(&player.seen).all(|(want, seen)| want.allows(seen));
            let rank = player.member.rank;
            prop_assert!(fits, "rank {} saw {:#?}, wanted {:#?} by {:#?}", rank, player.seen, wants, plan);
        }
        self.judge_each_trip(plan, players, verdict)
    }

    /// What shows only when all have spoken: one leader, one result, one run of the action.
    fn judge_each_trip(&self, plan: &Plan, players: &[Player], verdict: Option<(u64, &Broken)>) -> Checked {
        let oracle = Oracle { model: &self.model, plan, players, verdict };
        let mut runs: Vec<(u64, usize)> = Vec::new();
        for trip in oracle.completed() {
            let ranks = oracle.ranks_of(trip);
            if ranks.is_empty() {
                break;
            }
            let seen: Vec<&Seen> = players
                .iter()
                .filter(|player| player.takes_part(trip))
                .filter_map(|player| player.seen.get((trip - player.member.first.max(plan.open)) as usize))
                .collect();
            let leads = |leader| {
                seen.iter().filter(|seen| matches!(seen, Seen::Crossed { leads, .. } if *leads == leader)).count()
            };
            let (leaders, others) = (leads(true), leads(false));
            let all = leaders + others == ranks.len();
            prop_assert!(leaders == 1 || leaders == 0 && !all, "{} leaders of trip {}: {:#?}", leaders, trip, players);
            let served = |seen: &&&Seen| matches!(seen, Seen::Got(_));
            if plan.serves(trip) {
                let mut results = seen.iter().filter(served);
                let first = results.next();
                prop_assert!(results.all(|result| Some(result) == first), "served differently: {:#?}", players);
            }
            runs.push((self.model.number(trip), ranks.len()));
        }
        let all_came = |cause: &Cause| matches!(cause, Cause::ActionPanicked { .. } | Cause::OperatorPanicked { .. });
        if let Some((trip, _)) = verdict.filter(|(_, broken)| all_came(broken.cause())) {
            runs.push((self.model.number(trip), oracle.ranks_of(trip).len()));
        }
        let ran = std::mem::take(&mut self.shared.lock().unwrap().runs);
        if self.script.acts {
            let mut seen: Vec<(u64, usize)> = ran.iter().map(|run| (run.generation, run.parties)).collect();
            // Where all of a trip leave and only newcomers go on, nobody holds the next trip up until the action has run.
            let handed_over = |trip: u64| !players.iter().any(|one| one.takes_part(trip) && one.takes_part(trip + 1));
            if oracle.completed().any(handed_over) {
                seen.sort_by_key(|(number, _)| self.model.trip(*number));
            }
            prop_assert_eq!(seen, runs, "runs of the action; {:#?}", plan);
            for run in ran {
                let ranks = oracle.ranks_of(self.model.trip(run.generation));
                prop_assert!(ranks.contains(&run.rank), "{:?} of {:?}", run, ranks);
            }
        }
        Ok(())
    }

    /// The ranks of those who joined in the storm.
    pub(crate) fn check_new_ranks(&self, players: &[Player], broke: bool) -> Checked {
        let old = self.model.members.len();
        let (mut left, mut ranks) = (self.model.left.clone(), self.model.ranks);
        for (place, player) in players.iter().enumerate().skip(old) {
            let rank = player.member.rank;
            let others = &players[..place];
            if broke {
                let free = others.iter().all(|other| other.member.rank != rank || other.last.is_some());
                prop_assert!(free && rank <= ranks + place, "rank {} was given again", rank);
                continue;
            }
            // It joined on the trip before its first one: who left with that one or later still had a seat there.
            let open = player.member.first.wrapping_sub(1);
            // (With the one before it, too, if that was completed while it joined.)
            let want = |still: u64| {
                let gone = others.iter().filter(|other| other.last.is_some_and(|last| last + still < open));
                let gone = gone.map(|other| other.member.rank);
                let mut vacant: BTreeSet<usize> = gone.chain(left.iter().copied()).collect();
                vacant.retain(|rank| others[old..].iter().all(|other| other.member.rank != *rank));
                vacant.first().copied().unwrap_or(ranks)
            };
            prop_assert!(rank == want(0) || rank == want(1), "who joins on trip {}: {:#?}", open, players);
            left.remove(&rank);
            ranks = ranks.max(rank + 1);
        }
        Ok(())
    }

    pub(crate) fn check_views(&mut self, players: &[Player], reports: &[Report]) -> Checked {
        // Who did nothing may have looked when its first trip was not open yet, and others could still join or leave.
        let idle = |player: &&Player| player.deeds.is_empty();
        let idle: Vec<usize> = players.iter().filter(idle).map(|player| player.member.worker).collect();
        let fresh = self.all_do(idle.iter().map(|&worker| (worker, Vec::new())).collect())?;
        let ranks = self.model.ranks_of_open();
        let number = self.model.number(self.model.open);
        for member in self.model.members.iter().filter(|member| member.first <= self.model.open && !member.owes) {
            let report = fresh.iter().chain(reports).find(|report| report.worker == member.worker).expect("all report");
            let place = ranks.iter().position(|rank| *rank == member.rank).expect("a member");
            let view = report.view.expect("it has a handle");
            prop_assert!(view == (number, place, ranks.len()), "rank {} sees {:?}", member.rank, view);
        }
        Ok(())
    }
}
