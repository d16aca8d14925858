//! Loom models of what one party does for all: the action of a rooted algorithm, and the second half of a trip (`Second`)
//! where the algorithm has no root. The conventions are those of `models.rs`.
//!
//! The action reads what every party wrote before it arrived, and writes what every party reads when it has left. It finds
//! its predecessor's writing, so it runs once per trip; it finds each party's data of exactly this trip, so all have
//! arrived; and each party finds its writing of exactly this trip, so nobody leaves before it is done.

use super::era::Era;
use super::member::{Halt, Member};
use super::models::Waits::{self, Sleeps, Spins};
use super::models::{ABORTER, IMPATIENT, NOBODY, Outcome, PATIENT, agree, barrier_from, describe, era, explore, told};
use crate::algo::select::{Algorithm, Algorithm::*, Radix, Wake};
use crate::error::{Broken, Cause};
use crate::fate::Ended;
use crate::phase::action::modelled;
use crate::primitive::{AtomicU32, Fences, Fences::*, Ordering};
use crate::wait::Limit;
use loom::thread;
use std::panic::resume_unwind;
use std::sync::Arc;

/// No trip of a model.
const NEVER: u32 = 0;

struct Stage {
    era: Arc<Era>,
    data: Vec<AtomicU32>,
    /// Written by the action.
    made: AtomicU32,
    /// The trip on which the action fails.
    fails: u32,
}

impl Stage {
    /// Takes `rank` through one trip for each of `limits`, or to the first that is broken.
    fn cross(&self, rank: usize, limits: &[Limit]) -> Vec<Outcome> {
        let mut member = Member::new(&self.era, rank);
        let mut outcomes = Vec::new();
        for (trip, limit) in (1..).zip(limits) {
            self.data[rank].store(trip, Ordering::Relaxed);
            let outcome =
                told(member.cross_held::<false>(*limit, &describe, &mut |_: &Arc<Era>, generation| {
                    self.act(trip, generation)
                }));
            if outcome.is_ok() {
                assert_eq!(self.made.load(Ordering::Relaxed), trip, "rank {rank} left before the action was done");
                for datum in &self.data {
                    assert!((trip..=trip + 1).contains(&datum.load(Ordering::Relaxed)), "after trip {trip}");
                }
            }
            let broken = outcome.is_err();
            outcomes.push(outcome);
            if broken {
                break;
            }
        }
        outcomes
    }

    fn act(&self, trip: u32, generation: u64) -> Result<(), Broken> {
        for datum in &self.data {
            assert_eq!(datum.load(Ordering::Relaxed), trip, "the action runs before all have arrived");
        }
        assert_eq!(self.made.load(Ordering::Relaxed), trip - 1, "the action runs twice");
        self.made.store(trip, Ordering::Relaxed);
        if trip != self.fails {
            return Ok(());
        }
        let record = Broken::by_count(Cause::ActionPanicked { message: "model".into() }, generation, 2, 2);
        match self.era.break_complete(generation, &[], record) {
            Ok(broken) | Err(Ended::Broken(broken)) => Err(broken),
            Err(Ended::Complete) => panic!("nobody can have left"),
        }
    }
}

/// Explores `parties`, each with its limits per trip, and the outsider beside them.
fn check(
    bound: usize,
    algorithm: Algorithm,
    fences: Fences,
    waits: Waits,
    parties: &'static [&'static [Limit]],
    outsider: Option<fn(&Era)>,
    fails: u32,
) {
    explore(bound, move || {
        let era = era(algorithm, parties.len(), fences, waits);
        let data = parties.iter().map(|_| AtomicU32::new(0)).collect();
        let stage = Arc::new(Stage { era, data, made: AtomicU32::new(0), fails });
        let threads: Vec<_> = (1..parties.len())
            .map(|rank| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.cross(rank, parties[rank]))
            })
            .collect();
        let outsider = outsider.map(|act| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || act(&stage.era))
        });
        let mut all = vec![stage.cross(0, parties[0])];
        all.extend(threads.into_iter().map(|party| party.join().unwrap()));
        if let Some(outsider) = outsider {
            outsider.join().unwrap();
        }
        agree(&all);
        // A trip whose action has run is complete, unless it is the action that failed. (Who came late to a trip that was
        // broken already, and was its last party, once ran the action for it.)
        let complete = all[0].iter().filter(|outcome| outcome.is_ok()).count() as u32;
        let made = stage.made.load(Ordering::Relaxed);
        assert!(made == complete || made == fails && made == complete + 1, "{made} actions: {all:?}");
    });
}

const TWO: &[&[Limit]] = &[&[PATIENT; 3], &[PATIENT; 3]];
const TWICE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2]];
const THREE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2], &[PATIENT; 2]];
const FIRST_OF_TWO: &[&[Limit]] = &[&[PATIENT; 2], &[IMPATIENT, PATIENT]];
const ONE_OF_TWO: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT, IMPATIENT]];
const ONE_OF_THREE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2], &[PATIENT, IMPATIENT]];

/// One test for each line: name, preemption bound, algorithm, fences, what waiting parties do, the parties' limits, who
/// else is there, and the trip on which the action fails.
macro_rules! models {
    ($($name:ident:
        $bound:literal, $algorithm:expr, $fences:ident, $waits:ident, $parties:ident, $others:ident, $fails:expr;)*) => {
        $(#[test] fn $name() { check($bound, $algorithm, $fences, $waits, $parties, $others, $fails) })*
    };
}

models! {
    central_of_two_acts: 3, Central, Asymmetric, Spins, TWO, NOBODY, NEVER;
    central_of_three_acts: 2, Central, Asymmetric, Spins, THREE, NOBODY, NEVER;
    combining_of_two_acts: 3, Combining, Asymmetric, Spins, TWO, NOBODY, NEVER;
    combining_of_three_acts: 2, Combining, Asymmetric, Spins, THREE, NOBODY, NEVER;
    central_acts_for_sleepers: 3, Central, Symmetric, Sleeps, TWO, NOBODY, NEVER;
    combining_acts_for_sleepers: 2, Combining, Symmetric, Sleeps, THREE, NOBODY, NEVER;
    central_acts_while_one_is_impatient: 3, Central, Symmetric, Spins, FIRST_OF_TWO, NOBODY, NEVER;
    central_acts_while_one_sleeper_is_impatient: 2, Central, Symmetric, Sleeps, ONE_OF_THREE, NOBODY, NEVER;
    combining_acts_while_one_is_impatient: 1, Combining, Symmetric, Spins, ONE_OF_THREE, NOBODY, NEVER;
    central_acts_and_is_aborted: 2, Central, Symmetric, Spins, TWICE, ABORTER, NEVER;
    central_acts_for_sleepers_and_is_aborted: 2, Central, Symmetric, Sleeps, TWICE, ABORTER, NEVER;
    combining_acts_and_is_aborted: 2, Combining, Symmetric, Spins, TWICE, ABORTER, NEVER;
    central_action_fails: 3, Central, Symmetric, Spins, TWICE, NOBODY, 2;
    central_action_fails_for_sleepers: 2, Central, Symmetric, Sleeps, THREE, NOBODY, 2;
    combining_action_fails: 2, Combining, Symmetric, Spins, THREE, NOBODY, 2;
    central_action_fails_and_is_aborted: 2, Central, Symmetric, Spins, TWICE, ABORTER, 1;

    exchange_of_two_elects: 3, Exchange, Asymmetric, Spins, TWICE, NOBODY, NEVER;
    static_tree_of_two_elects: 2, StaticTree(Wake::Flags), Asymmetric, Spins, TWICE, NOBODY, NEVER;
    static_tree_of_three_elects: 1, StaticTree(Wake::Flags), Asymmetric, Spins, THREE, NOBODY, NEVER;
    wake_tree_of_two_elects: 2, StaticTree(Wake::Tree), Asymmetric, Spins, TWICE, NOBODY, NEVER;
    tournament_of_two_elects: 2, Tournament, Asymmetric, Spins, TWICE, NOBODY, NEVER;
    hierarchical_of_two_elects: 2, Hierarchical, Asymmetric, Spins, TWICE, NOBODY, NEVER;
    dissemination_4_of_two_elects: 2, Dissemination(Radix::Four), Asymmetric, Spins, TWICE, NOBODY, NEVER;
    dissemination_of_two_elects: 2, Dissemination(Radix::Two), Asymmetric, Spins, TWICE, NOBODY, NEVER;
    exchange_elects_among_sleepers: 2, Exchange, Symmetric, Sleeps, TWICE, NOBODY, NEVER;
    static_tree_elects_among_sleepers: 1, StaticTree(Wake::Tree), Symmetric, Sleeps, THREE, NOBODY, NEVER;
    exchange_elects_while_one_is_impatient: 2, Exchange, Symmetric, Spins, ONE_OF_TWO, NOBODY, NEVER;
    exchange_elects_and_is_aborted: 1, Exchange, Symmetric, Spins, TWICE, ABORTER, NEVER;
    exchange_elects_among_sleepers_and_is_aborted: 1, Exchange, Symmetric, Sleeps, TWICE, ABORTER, NEVER;
    tournament_elects_among_sleepers: 2, Tournament, Symmetric, Sleeps, TWICE, NOBODY, NEVER;
    dissemination_elects_while_one_is_impatient: 1, Dissemination(Radix::Two), Symmetric, Spins, ONE_OF_TWO, NOBODY, NEVER;
    hierarchical_elects_and_is_aborted: 1, Hierarchical, Symmetric, Spins, TWICE, ABORTER, NEVER;
    exchange_elected_fails: 3, Exchange, Symmetric, Spins, TWICE, NOBODY, 2;
    exchange_elected_fails_among_sleepers: 2, Exchange, Symmetric, Sleeps, TWICE, NOBODY, 2;
    static_tree_elected_fails: 1, StaticTree(Wake::Flags), Symmetric, Spins, THREE, NOBODY, 2;
}

/// A whole barrier whose action panics on the first trip: all are told the same, and behind the reset it serves again.
fn panics(algorithm: Algorithm, parks: bool) {
    explore(2, move || {
        let mut runs = 0;
        let action = modelled(move |_| {
            runs += 1;
            // Not `panic!`, which would print a message for each execution.
            if runs == 1 {
                resume_unwind(Box::new("model"));
            }
        });
        let barrier = barrier_from(u64::MAX, algorithm, 2, parks, Some(action));
        let [mut one, mut other] = <[_; 2]>::try_from(barrier.take_parties().unwrap()).unwrap();
        let crossing = thread::spawn(move || (other.wait().unwrap_err(), other));
        let mine = one.wait().unwrap_err();
        let (others, mut other) = crossing.join().unwrap();
        assert_eq!((&mine, mine.generation()), (&others, u64::MAX));
        assert_eq!(mine.cause(), &Cause::ActionPanicked { message: "model".into() });
        assert_eq!(barrier.reset(), Ok(0));
        let crossing = thread::spawn(move || (other.wait().unwrap().generation(), other));
        assert_eq!((one.wait().unwrap().generation(), crossing.join().unwrap().0), (0, 0));
        drop(one);
    });
}

#[test]
fn central_action_panics_and_is_reset() {
    panics(Central, false);
}

#[test]
fn combining_action_panics_under_sleepers_and_is_reset() {
    panics(Combining, true);
}

/// One party arrives and goes away, as who leaves does, and as the last to arrive acts for the other.
#[test]
fn central_acts_for_a_party_that_does_not_stay() {
    explore(3, || {
        let era = era(Central, 2, Symmetric, Sleeps);
        let made = Arc::new(AtomicU32::new(0));
        let going = {
            let (era, made) = (Arc::clone(&era), Arc::clone(&made));
            thread::spawn(move || {
                let mut member = Member::new(&era, 1);
                member.arrive(Some(&mut |_: &Arc<Era>, _| {
                    made.store(1, Ordering::Relaxed);
                    Ok(())
                }))
            })
        };
        let mut member = Member::new(&era, 0);
        let mut act = |_: &Arc<Era>, _| {
            made.store(1, Ordering::Relaxed);
            Ok(())
        };
        let stayed: Result<bool, Halt> = member.cross_held::<false>(PATIENT, &describe, &mut act);
        assert!(stayed.is_ok() && made.load(Ordering::Relaxed) == 1);
        assert_eq!(going.join().unwrap(), Ok(()));
    });
}
