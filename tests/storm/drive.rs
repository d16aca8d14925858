//! Plays a script and compares it with the model after each round.

use super::books::Books;
use super::common::Rng;
use super::common::watch::panic_quietly;
use super::crew::{Crew, Deed, Manner, Order, Report, Seen};
use super::model::{Member, Model, Oracle, Player};
use super::plan::{Plan, Twist};
use super::script::{After, Outside, Round, Run, Script};
use super::tally::Tally;
use phalanx::{Barrier, Broken, JoinError, Party, TripInfo, WaitPolicy};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) type Checked<T = ()> = Result<T, TestCaseError>;

/// What the action and the stage share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) runs: Vec<TripInfo>,
    /// The trip on which the action is to panic.
    fuse: Option<u64>,
}

/// A script that is being played.
pub(crate) struct Stage<'a> {
    pub(crate) script: &'a Script,
    pub(crate) crew: &'a Crew,
    pub(crate) tally: &'a mut Tally,
    pub(crate) barrier: Barrier,
    pub(crate) model: Model,
    pub(crate) books: Books,
    pub(crate) shared: Arc<Mutex<Shared>>,
    rng: Rng,
    /// Workers without a handle.
    free: Vec<usize>,
    /// Orders that are not reported yet.
    outstanding: usize,
    pub(crate) ended: bool,
}

/// A party has been waiting for longer than any machine takes: once that has happened, it is expected.
static HUNG: AtomicBool = AtomicBool::new(false);

pub(crate) fn limit() -> Duration {
    Duration::from_secs(match (cfg!(miri), HUNG.load(Ordering::Relaxed)) {
        (true, _) => 600,
        (false, false) => 20,
        (false, true) => 2,
    })
}

pub(crate) fn play(script: &Script, crew: &Crew, tally: &mut Tally) -> Checked {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let builder = Barrier::builder(script.parties).algorithm(script.algorithm).wait_policy(script.policy);
    let builder = builder.first_generation(script.first);
    let told = Arc::clone(&shared);
    let barrier = if script.acts {
        builder.action(move |trip| {
            let panics = {
                let mut shared = told.lock().unwrap();
                shared.runs.push(*trip);
                shared.fuse == Some(trip.generation)
            };
            if panics {
                panic_quietly();
            }
        })
    } else {
        builder
    };
    let barrier = barrier.build().unwrap();
    for (worker, party) in barrier.take_parties().unwrap().into_iter().enumerate() {
        crew.order(worker, Order::Hold(Box::new(party)));
    }
    let mut stage = Stage {
        script,
        crew,
        tally,
        barrier,
        model: Model::new(script.first, script.parties),
        books: Books::default(),
        shared,
        rng: Rng::new(script.seed),
        free: (script.parties..crew.size()).rev().collect(),
        outstanding: 0,
        ended: false,
    };
    let outcome = stage.play();
    if outcome.is_err() {
        stage.rescue();
    }
    (0..crew.size()).for_each(|worker| crew.order(worker, Order::Release));
    outcome
}

impl Stage<'_> {
    fn play(&mut self) -> Checked {
        for round in &self.script.rounds {
            if self.ended {
                break;
            }
            match round {
                Round::Run(run) => self.run(run)?,
                Round::Lack(lack) => self.lack(lack)?,
            }
        }
        Ok(())
    }

    /// Something is wrong, and somebody may wait for ever: the next script needs the workers.
    fn rescue(&mut self) {
        self.barrier.abort("rescue");
        while self.outstanding > 0 {
            if self.crew.report(limit()).is_none() {
                eprintln!("an abort does not free everybody: {:#?}\n{:?}\n{:?}", self.script, self.model, self.barrier);
                std::process::abort();
            }
            self.outstanding -= 1;
        }
    }

    pub(crate) fn order(&mut self, worker: usize, deeds: Vec<Deed>) {
        let rng = (self.script.seed != 0).then(|| self.rng.fork(worker));
        self.outstanding += 1;
        self.crew.order(worker, Order::Do(deeds, rng));
    }

    pub(crate) fn report(&mut self) -> Checked<Report> {
        let report = self.crew.report(limit());
        if report.is_none() {
            HUNG.store(true, Ordering::Relaxed);
        }
        let Some(report) = report else {
            return Err(TestCaseError::fail(format!("a party waits for ever: {:?} {:?}", self.barrier, self.model)));
        };
        self.outstanding -= 1;
        Ok(report)
    }

    /// Gives one order to each of these and hears what they have seen, in the same order.
    pub(crate) fn all_do(&mut self, orders: Vec<(usize, Vec<Deed>)>) -> Checked<Vec<Report>> {
        let workers: Vec<usize> = orders.iter().map(|(worker, _)| *worker).collect();
        orders.into_iter().for_each(|(worker, deeds)| self.order(worker, deeds));
        self.reports_of(&workers, false)
    }

    /// The reports of these, in the same order. `and_one`: and of one more, which says nothing.
    pub(crate) fn reports_of(&mut self, workers: &[usize], and_one: bool) -> Checked<Vec<Report>> {
        let count = workers.len() + usize::from(and_one);
        let mut reports = (0..count).map(|_| self.report()).collect::<Checked<Vec<_>>>()?;
        reports.retain(|report| workers.contains(&report.worker));
        reports.sort_by_key(|report| workers.iter().position(|&worker| worker == report.worker));
        Ok(reports)
    }

    pub(crate) fn hold(&mut self, party: Party) -> usize {
        let worker = self.free.pop().expect("asked before");
        self.crew.order(worker, Order::Hold(Box::new(party)));
        worker
    }

    pub(crate) fn set_free(&mut self, worker: usize) {
        self.free.push(worker);
    }

    pub(crate) fn has_room(&self) -> bool {
        let spins = self.script.policy == WaitPolicy::Spin;
        !self.free.is_empty() && (!spins || self.model.members.len() < super::common::cpus())
    }

    pub(crate) fn dawdle(&mut self, micros: u64) {
        let end = Instant::now() + Duration::from_micros(self.rng.below(micros + 1));
        while self.script.seed != 0 && Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    /// Joins while nobody is on the way: all is known.
    fn join_in_peace(&mut self) -> Checked {
        if !self.has_room() {
            return Ok(());
        }
        let party = self.barrier.join().unwrap();
        let first = self.model.open + 1;
        let rank = self.model.next_rank(&self.model.ranks_of_open());
        prop_assert_eq!((party.rank(), party.generation()), (rank, self.model.number(first)), "a newcomer");
        let worker = self.hold(party);
        self.model.add(Member::new(rank, worker, first));
        self.tally.count("join before");
        Ok(())
    }

    fn run(&mut self, run: &Run) -> Checked {
        if let Outside::JoinBefore(count) = run.outside {
            (0..count).try_for_each(|_| self.join_in_peace())?;
        }
        let plan = Plan::new(&self.model, run, self.script.acts);
        self.shared.lock().unwrap().fuse =
            matches!(plan.twist, Twist::ActionPanic).then(|| self.model.number(plan.event_trip()));
        let player = |member: &Member| Player {
            member: member.clone(),
            last: plan.last_trip_of(member.rank),
            deeds: plan.deeds(member),
            seen: Vec::new(),
        };
        let mut players: Vec<Player> = self.model.members.iter().map(player).collect();
        for player in &players {
            let mut deeds = player.deeds.clone();
            if player.member.untold.is_some() {
                deeds.insert(0, Deed::Hear);
            }
            self.order(player.member.worker, deeds);
        }
        let said = self.disturb(&plan, &mut players)?;
        let workers: Vec<usize> = players.iter().map(|player| player.member.worker).collect();
        let reports = self.reports_of(&workers, false)?;
        for (player, report) in players.iter_mut().zip(&reports) {
            player.seen = report.seen.clone();
            if let Some(old) = player.member.untold.take() {
                prop_assert_eq!(player.seen.remove(0), Seen::Told(old), "rank {} hears late", player.member.rank);
                self.tally.count("heard late");
            }
        }
        let verdict = self.verdict_of(&players, said.as_ref(), &plan)?;
        if let Some(broken) = &verdict {
            let trip = self.model.trip(broken.generation());
            let mut parties = players.iter().filter(|player| player.takes_part(trip)).count();
            // Both who joins on the trip before and who joins behind the break is given this number. They came in order.
            for late in players[self.model.members.len()..].iter_mut().rev() {
                if parties > broken.parties() && late.member.first == trip {
                    late.member.first += 1;
                    parties -= 1;
                }
            }
        }
        self.judge(&plan, &players, verdict.as_ref(), said.as_ref())?;
        self.follow(&plan, &players, &reports, verdict, &run.after)
    }

    /// What is done by somebody who is no party. What an abort was told.
    fn disturb(&mut self, plan: &Plan, players: &mut Vec<Player>) -> Checked<Option<Broken>> {
        match plan.outside {
            Outside::Nothing | Outside::JoinBefore(_) => {}
            Outside::Wakes(count) => (0..count).for_each(|_| self.barrier.wake_spuriously()),
            Outside::Join(count, delay) => {
                for _ in 0..count {
                    self.dawdle(delay);
                    if self.has_room() {
                        self.join_in_the_storm(plan, players)?;
                    }
                }
            }
            Outside::Reset(delay) => {
                self.dawdle(delay);
                let first = self.model.trip(self.barrier.reset().unwrap());
                self.books.reset();
                let legs = plan.legs.len() as u64;
                prop_assert!((plan.open..=plan.open + legs).contains(&first), "reset to trip {}", first);
                self.tally.count("reset in the storm");
            }
            Outside::Abort(delay) | Outside::AbortAndReset(delay) => {
                self.dawdle(delay);
                let said = self.barrier.abort("storm");
                if matches!(plan.outside, Outside::AbortAndReset(_)) {
                    let first = self.barrier.reset().unwrap();
                    self.books.reset();
                    prop_assert_eq!(first, said.generation().wrapping_add(1), "reset behind an abort");
                }
                // With no party left there is no trip to break.
                return Ok((said.parties() > 0).then_some(said));
            }
        }
        Ok(None)
    }

    fn join_in_the_storm(&mut self, plan: &Plan, players: &mut Vec<Player>) -> Checked {
        let party = match self.barrier.join() {
            Ok(party) => party,
            Err(error) => {
                let all_leave = players.iter().all(|player| player.last.is_some());
                prop_assert!(all_leave && error == JoinError::Ended, "{}", error);
                return Ok(());
            }
        };
        let (rank, first) = (party.rank(), self.model.trip(party.generation()));
        let legs = plan.legs.len() as u64;
        // On the open trip itself only where that is broken.
        prop_assert!((plan.open..=plan.open + legs + 1).contains(&first), "joined for trip {}", first);
        let worker = self.hold(party);
        let member = Member::new(rank, worker, first);
        let deeds = plan.deeds_of_newcomer(&member);
        players.push(Player { member, last: None, deeds: deeds.clone(), seen: Vec::new() });
        self.order(worker, deeds);
        self.tally.count("join in the storm");
        Ok(())
    }

    /// The model of the next round.
    fn follow(
        &mut self,
        plan: &Plan,
        players: &[Player],
        reports: &[Report],
        verdict: Option<Broken>,
        after: &After,
    ) -> Checked {
        let broken = verdict.as_ref().map(|broken| (self.model.trip(broken.generation()), broken));
        let oracle = Oracle { model: &self.model, plan, players, verdict: broken };
        self.books.round(&oracle);
        let next = broken.map_or(plan.open + plan.legs.len() as u64, |(trip, _)| trip + 1);
        let of_trip: Vec<usize> = broken.map_or_else(Vec::new, |(trip, _)| oracle.ranks_of(trip));
        let of_next = oracle.ranks_of(broken.map_or(0, |(trip, _)| trip + 1));
        self.check_new_ranks(players, verdict.is_some())?;
        self.count(plan, players, verdict.as_ref());
        let joins = matches!(plan.outside, Outside::Join(..));
        let (mut deserters, mut unsure) = (Vec::new(), BTreeSet::new());
        self.model.open = next;
        self.model.members.clear();
        for player in players {
            let Member { rank, worker, first, .. } = player.member;
            self.model.ranks = self.model.ranks.max(rank + 1);
            self.model.left.remove(&rank);
            let last = player.seen.last();
            if last == Some(&Seen::Gone) {
                self.free.push(worker);
                if matches!(player.deeds.last(), Some(Deed::Leave)) {
                    self.model.left.insert(rank);
                } else {
                    deserters.push(rank);
                }
                continue;
            }
            let told = matches!(last, Some(Seen::Told(_)));
            let untold = verdict.clone().filter(|_| !told);
            // It may have been told, and not listened; or may have joined behind the break.
            let deaf = matches!(player.deeds[..player.seen.len()].last(), Some(Deed::Meet(Manner::Arrive)));
            if untold.is_some() && (deaf || joins) {
                unsure.insert(rank);
            }
            let first = if verdict.is_some() { 0 } else { first };
            let owes = verdict.is_none() && last == Some(&Seen::Arrived);
            let fresh = if verdict.is_some() { told } else { player.member.fresh && player.deeds.is_empty() };
            self.model.members.push(Member { rank, worker, first, untold, owes, fresh });
        }
        self.model.members.sort_by_key(|member| member.rank);
        if self.barrier.broken().is_some() {
            let era = [of_trip, of_next];
            return self.recover(&verdict.expect("told above"), &deserters, &unsure, &era, after);
        }
        if verdict.is_none() {
            self.check_views(players, reports)?;
        }
        self.check_calm()
    }

    fn count(&mut self, plan: &Plan, players: &[Player], verdict: Option<&Broken>) {
        self.tally.trips += plan.legs.len();
        if let Some(broken) = verdict {
            self.tally.cause(broken.cause());
        }
        for player in players {
            for (deed, seen) in player.deeds.iter().zip(&player.seen) {
                self.tally.deed(deed, seen);
            }
        }
        if matches!(plan.outside, Outside::Abort(_) | Outside::AbortAndReset(_)) {
            self.tally.count("abort in the storm");
        }
        if matches!(plan.twist, Twist::Timeout { .. }) && verdict.is_none() {
            self.tally.count("patient enough");
        }
    }
}
