//! Loom models of the code itself: the algorithms, the decision of disputed trips, parking.
//!
//! `RUSTFLAGS="--cfg phalanx_loom" cargo test --release --lib models` runs them; docs/verification/models.md has
//! bounds, amounts, and the list of mutants that they kill.
//!
//! Every model crosses at least twice, collects each party's outcome of each trip, and compares them from all sides
//! (C2). Data is written before and read after each trip with relaxed accesses, so that a missing happens-before edge
//! shows as a stale value (C1). A patient party never gives up; an impatient one gives up at its first look at the
//! clock, and loom decides when that is. A lost wake is a deadlock, which loom reports by aborting the process.

use super::Barrier;
use super::action::Act;
use super::cancel::CancelToken;
use super::control::Control;
use super::era::{Design, Era};
use super::member::{Halt, Member};
use crate::algo::seat::Blueprint;
use crate::algo::select::{Algorithm, Algorithm::*, Radix, Wake};
use crate::error::{Broken, Cause};
pub(crate) use crate::explore_models::explore;
use crate::fate::Census;
use crate::primitive::{AtomicU32, Fences, Fences::*, Ordering};
use crate::topology::Sites;
use crate::wait::{Limit, Plan, WaitPolicy};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const PATIENT: Limit = Limit::Never;
pub(crate) const IMPATIENT: Limit = Limit::After(Duration::ZERO);

/// What a waiting party does.
#[derive(Clone, Copy)]
pub(crate) enum Waits {
    /// Polls what its algorithm polls, and nothing else.
    Spins,
    /// Sleeps at once.
    Sleeps,
    /// Yields, and asks the slots each time.
    Yields,
}
use Waits::{Sleeps, Spins, Yields};

/// What one party did on one trip.
pub(crate) type Outcome = Result<bool, Broken>;

pub(crate) fn describe(cause: Cause, census: Census) -> Broken {
    Broken::by_count(cause, census.generation, census.missing.len() + census.arrived, census.arrived)
}

/// Shapes as deep as so few parties can have: groups of two, and two caches if there are four.
pub(crate) fn blueprint(algorithm: Algorithm, parties: usize) -> Blueprint {
    let sites = if parties == 4 { Sites::grouped(&[&[0, 1], &[2, 3]]) } else { Sites::anywhere(parties) };
    Blueprint::new(algorithm, 2, &sites)
}

/// An era by itself.
pub(crate) fn era(algorithm: Algorithm, parties: usize, fences: Fences, waits: Waits) -> Arc<Era> {
    let plan = match waits {
        Spins => Plan::modelled(false),
        Sleeps => Plan::modelled(true),
        Yields => Plan::modelled_to_yield(),
    };
    let design = Design::modelled(blueprint(algorithm, parties), (0..parties).collect(), plan, fences);
    // Near the wrap, so that two trips cross it (C6).
    Arc::new(Era::new(design, u64::MAX, false))
}

/// One barrier with the data that its parties exchange.
struct Stage {
    era: Arc<Era>,
    data: Vec<AtomicU32>,
}

impl Stage {
    fn new(algorithm: Algorithm, parties: usize, fences: Fences, waits: Waits) -> Arc<Self> {
        let era = era(algorithm, parties, fences, waits);
        let data = (0..parties).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { era, data })
    }

    /// Takes `rank` through one trip for each of `limits`, or to the first that is broken.
    fn cross(&self, rank: usize, limits: &[Limit]) -> Vec<Outcome> {
        let mut member = Member::new(&self.era, rank);
        let mut outcomes = Vec::new();
        for (trip, limit) in (1..).zip(limits) {
            self.data[rank].store(trip, Ordering::Relaxed);
            let outcome = told(member.cross(limit, describe));
            if outcome.is_ok() {
                for (other, datum) in self.data.iter().enumerate() {
                    let seen = datum.load(Ordering::Relaxed);
                    assert!((trip..=trip + 1).contains(&seen), "rank {rank} sees {seen} of {other} after trip {trip}");
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
}

/// The outcome of a crossing in an era that nobody leaves or joins.
pub(crate) fn told(crossed: Result<bool, Halt>) -> Outcome {
    crossed.map_err(|halt| match halt {
        Halt::Broken(broken) => broken,
        other => panic!("nobody joins or leaves: {other:?}"),
    })
}

/// All parties saw the same, and each completed trip had one leader.
pub(crate) fn agree(all: &[Vec<Outcome>]) {
    for trip in 0..all.iter().map(Vec::len).max().unwrap_or(0) {
        let outcomes: Vec<_> = all.iter().filter_map(|party| party.get(trip)).collect();
        assert_eq!(outcomes.len(), all.len(), "some left after fewer trips: {all:?}");
        let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(errors.is_empty() || errors.len() == all.len(), "mixed: {all:?}");
        assert!(errors.iter().all(|error| *error == errors[0]), "different: {all:?}");
        let leaders = outcomes.iter().filter(|outcome| matches!(outcome, Ok(true))).count();
        assert_eq!(leaders, usize::from(errors.is_empty()), "leaders: {all:?}");
    }
}

/// Explores `parties`, each with its limits per trip, and `others` beside them.
fn check(
    bound: usize,
    algorithm: Algorithm,
    fences: Fences,
    waits: Waits,
    parties: &'static [&'static [Limit]],
    outsider: Option<fn(&Era)>,
) {
    explore(bound, move || {
        let stage = Stage::new(algorithm, parties.len(), fences, waits);
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
    });
}

pub(crate) const NOBODY: Option<fn(&Era)> = None;

pub(crate) const ABORTER: Option<fn(&Era)> = Some(|era| {
    let _ = era.break_open_trip(|census| describe(Cause::Aborted { reason: "model".into() }, census));
});

const TWO: &[&[Limit]] = &[&[PATIENT; 3], &[PATIENT; 3]];
const TWICE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2]];
const THREE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2], &[PATIENT; 2]];
const FOUR: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2], &[PATIENT; 2], &[PATIENT; 2]];
const ONE_OF_TWO: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT, IMPATIENT]];
const FIRST_OF_TWO: &[&[Limit]] = &[&[PATIENT; 2], &[IMPATIENT, PATIENT]];
const BOTH_OF_TWO: &[&[Limit]] = &[&[IMPATIENT; 2], &[IMPATIENT; 2]];
const ONE_OF_THREE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT; 2], &[PATIENT, IMPATIENT]];
const TWO_OF_THREE: &[&[Limit]] = &[&[PATIENT; 2], &[PATIENT, IMPATIENT], &[PATIENT, IMPATIENT]];

// One trip for three parties that each poll two others: two trips do not end within the patience of a CI run.
const LAST_OF_THREE: &[&[Limit]] = &[&[PATIENT], &[PATIENT], &[IMPATIENT]];
const HASTY_THREE: &[&[Limit]] = &[&[PATIENT], &[IMPATIENT], &[IMPATIENT]];

/// One test for each line: name, preemption bound, algorithm, fences, what waiting parties do, the parties' limits, and
/// who else is there.
macro_rules! models {
    ($($name:ident: $bound:literal, $algorithm:expr, $fences:ident, $waits:ident, $parties:ident, $others:ident;)*) => {
        $(#[test] fn $name() { check($bound, $algorithm, $fences, $waits, $parties, $others) })*
    };
}

models! {
    exchange_of_two_crosses: 3, Exchange, Asymmetric, Spins, TWO, NOBODY;
    exchange_of_three_crosses: 1, Exchange, Asymmetric, Spins, THREE, NOBODY;
    central_of_two_crosses: 3, Central, Asymmetric, Spins, TWO, NOBODY;
    combining_of_two_crosses: 3, Combining, Asymmetric, Spins, TWO, NOBODY;
    static_tree_of_two_crosses: 3, StaticTree(Wake::Flags), Asymmetric, Spins, TWO, NOBODY;
    wake_tree_of_two_crosses: 3, StaticTree(Wake::Tree), Asymmetric, Spins, TWO, NOBODY;
    tournament_of_two_crosses: 3, Tournament, Asymmetric, Spins, TWO, NOBODY;
    dissemination_2_of_two_crosses: 3, Dissemination(Radix::Two), Asymmetric, Spins, TWO, NOBODY;
    dissemination_4_of_two_crosses: 2, Dissemination(Radix::Four), Asymmetric, Spins, TWO, NOBODY;
    hierarchical_of_two_crosses: 3, Hierarchical, Asymmetric, Spins, TWO, NOBODY;
    central_of_three_crosses: 2, Central, Asymmetric, Spins, THREE, NOBODY;

    central_of_four_crosses: 1, Central, Asymmetric, Spins, FOUR, NOBODY;
    combining_of_three_crosses: 2, Combining, Asymmetric, Spins, THREE, NOBODY;
    combining_of_four_crosses: 1, Combining, Asymmetric, Spins, FOUR, NOBODY;
    static_tree_of_three_crosses: 2, StaticTree(Wake::Flags), Asymmetric, Spins, THREE, NOBODY;
    static_tree_of_four_crosses: 1, StaticTree(Wake::Flags), Asymmetric, Spins, FOUR, NOBODY;
    wake_tree_of_three_crosses: 2, StaticTree(Wake::Tree), Asymmetric, Spins, THREE, NOBODY;
    wake_tree_of_four_crosses: 1, StaticTree(Wake::Tree), Asymmetric, Spins, FOUR, NOBODY;
    tournament_of_three_crosses: 2, Tournament, Asymmetric, Spins, THREE, NOBODY;
    tournament_of_four_crosses: 1, Tournament, Asymmetric, Spins, FOUR, NOBODY;
    dissemination_2_of_three_crosses: 1, Dissemination(Radix::Two), Asymmetric, Spins, THREE, NOBODY;
    dissemination_2_of_four_crosses: 0, Dissemination(Radix::Two), Asymmetric, Spins, FOUR, NOBODY;
    dissemination_4_of_three_crosses: 0, Dissemination(Radix::Four), Asymmetric, Spins, THREE, NOBODY;
    hierarchical_of_three_crosses: 2, Hierarchical, Asymmetric, Spins, THREE, NOBODY;
    hierarchical_of_four_crosses: 0, Hierarchical, Asymmetric, Spins, FOUR, NOBODY;

    exchange_of_two_yields: 2, Exchange, Asymmetric, Yields, TWICE, NOBODY;
    central_of_two_yields: 2, Central, Asymmetric, Yields, TWICE, NOBODY;
    combining_of_two_yields: 2, Combining, Asymmetric, Yields, TWICE, NOBODY;
    static_tree_of_two_yields: 2, StaticTree(Wake::Flags), Asymmetric, Yields, TWICE, NOBODY;
    wake_tree_of_two_yields: 2, StaticTree(Wake::Tree), Asymmetric, Yields, TWICE, NOBODY;
    tournament_of_two_yields: 2, Tournament, Asymmetric, Yields, TWICE, NOBODY;
    dissemination_2_of_two_yields: 2, Dissemination(Radix::Two), Asymmetric, Yields, TWICE, NOBODY;
    dissemination_4_of_two_yields: 2, Dissemination(Radix::Four), Asymmetric, Yields, TWICE, NOBODY;
    hierarchical_of_three_yields: 1, Hierarchical, Asymmetric, Yields, THREE, NOBODY;

    exchange_one_of_two_is_impatient: 3, Exchange, Symmetric, Spins, ONE_OF_TWO, NOBODY;
    exchange_first_of_two_is_impatient: 3, Exchange, Symmetric, Spins, FIRST_OF_TWO, NOBODY;
    exchange_both_of_two_are_impatient: 3, Exchange, Symmetric, Spins, BOTH_OF_TWO, NOBODY;
    exchange_one_of_three_is_impatient: 2, Exchange, Symmetric, Spins, LAST_OF_THREE, NOBODY;
    exchange_one_of_three_is_impatient_later: 1, Exchange, Symmetric, Spins, ONE_OF_THREE, NOBODY;
    exchange_two_of_three_are_impatient: 2, Exchange, Symmetric, Spins, HASTY_THREE, NOBODY;
    central_one_of_two_is_impatient: 3, Central, Symmetric, Spins, ONE_OF_TWO, NOBODY;
    central_both_of_two_are_impatient: 3, Central, Symmetric, Spins, BOTH_OF_TWO, NOBODY;
    central_one_of_three_is_impatient: 2, Central, Symmetric, Spins, ONE_OF_THREE, NOBODY;
    central_two_of_three_are_impatient: 2, Central, Symmetric, Spins, TWO_OF_THREE, NOBODY;

    combining_two_of_three_are_impatient: 2, Combining, Symmetric, Spins, TWO_OF_THREE, NOBODY;
    static_tree_two_of_three_are_impatient: 2, StaticTree(Wake::Flags), Symmetric, Spins, TWO_OF_THREE, NOBODY;
    wake_tree_two_of_three_are_impatient: 2, StaticTree(Wake::Tree), Symmetric, Spins, TWO_OF_THREE, NOBODY;
    tournament_two_of_three_are_impatient: 2, Tournament, Symmetric, Spins, TWO_OF_THREE, NOBODY;
    dissemination_2_one_of_three_is_impatient: 1, Dissemination(Radix::Two), Symmetric, Spins, ONE_OF_THREE, NOBODY;
    dissemination_4_one_of_three_is_impatient: 1, Dissemination(Radix::Four), Symmetric, Spins, ONE_OF_THREE, NOBODY;
    hierarchical_two_of_three_are_impatient: 2, Hierarchical, Symmetric, Spins, TWO_OF_THREE, NOBODY;

    exchange_is_aborted: 2, Exchange, Symmetric, Spins, TWICE, ABORTER;
    central_is_aborted: 2, Central, Symmetric, Spins, TWICE, ABORTER;
    combining_is_aborted: 2, Combining, Symmetric, Spins, TWICE, ABORTER;
    static_tree_is_aborted: 2, StaticTree(Wake::Flags), Symmetric, Spins, TWICE, ABORTER;
    wake_tree_is_aborted: 2, StaticTree(Wake::Tree), Symmetric, Spins, TWICE, ABORTER;
    tournament_is_aborted: 2, Tournament, Symmetric, Spins, TWICE, ABORTER;
    dissemination_2_is_aborted: 2, Dissemination(Radix::Two), Symmetric, Spins, TWICE, ABORTER;
    dissemination_4_is_aborted: 1, Dissemination(Radix::Four), Symmetric, Spins, TWICE, ABORTER;
    hierarchical_is_aborted: 2, Hierarchical, Symmetric, Spins, TWICE, ABORTER;

    exchange_of_two_sleeps: 2, Exchange, Symmetric, Sleeps, TWO, NOBODY;
    exchange_of_three_sleeps: 1, Exchange, Symmetric, Sleeps, THREE, NOBODY;
    central_of_two_sleeps: 3, Central, Symmetric, Sleeps, TWO, NOBODY;
    central_of_three_sleeps: 2, Central, Symmetric, Sleeps, THREE, NOBODY;
    combining_of_three_sleeps: 2, Combining, Symmetric, Sleeps, THREE, NOBODY;
    static_tree_of_three_sleeps: 2, StaticTree(Wake::Flags), Symmetric, Sleeps, THREE, NOBODY;
    wake_tree_of_three_sleeps: 2, StaticTree(Wake::Tree), Symmetric, Sleeps, THREE, NOBODY;
    tournament_of_three_sleeps: 2, Tournament, Symmetric, Sleeps, THREE, NOBODY;
    dissemination_2_of_three_sleeps: 1, Dissemination(Radix::Two), Symmetric, Sleeps, THREE, NOBODY;
    dissemination_4_of_three_sleeps: 1, Dissemination(Radix::Four), Symmetric, Sleeps, THREE, NOBODY;
    hierarchical_of_three_sleeps: 2, Hierarchical, Symmetric, Sleeps, THREE, NOBODY;
    static_tree_sleepers_meet_an_impatient_party: 1, StaticTree(Wake::Flags), Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
    static_tree_of_four_sleeps: 1, StaticTree(Wake::Flags), Symmetric, Sleeps, FOUR, NOBODY;
    combining_sleepers_are_aborted: 1, Combining, Symmetric, Sleeps, THREE, ABORTER;
    wake_tree_sleepers_are_aborted: 1, StaticTree(Wake::Tree), Symmetric, Sleeps, THREE, ABORTER;
    exchange_sleepers_are_aborted: 2, Exchange, Symmetric, Sleeps, TWICE, ABORTER;
    central_sleepers_are_aborted: 2, Central, Symmetric, Sleeps, TWICE, ABORTER;
    static_tree_sleepers_are_aborted: 1, StaticTree(Wake::Flags), Symmetric, Sleeps, TWICE, ABORTER;
    tournament_sleepers_are_aborted: 1, Tournament, Symmetric, Sleeps, TWICE, ABORTER;
    dissemination_2_sleepers_are_aborted: 1, Dissemination(Radix::Two), Symmetric, Sleeps, TWICE, ABORTER;
    dissemination_4_sleepers_are_aborted: 1, Dissemination(Radix::Four), Symmetric, Sleeps, TWICE, ABORTER;
    hierarchical_sleepers_are_aborted: 1, Hierarchical, Symmetric, Sleeps, TWICE, ABORTER;
    combining_sleepers_meet_an_impatient_party: 1, Combining, Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
    wake_tree_sleepers_meet_an_impatient_party: 1, StaticTree(Wake::Tree), Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
    tournament_sleepers_meet_an_impatient_party: 1, Tournament, Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
    hierarchical_sleepers_meet_an_impatient_party: 1, Hierarchical, Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
    dissemination_2_sleeper_meets_an_impatient_party: 2, Dissemination(Radix::Two), Symmetric, Sleeps, ONE_OF_TWO, NOBODY;
    dissemination_4_sleeper_meets_an_impatient_party: 2, Dissemination(Radix::Four), Symmetric, Sleeps, ONE_OF_TWO, NOBODY;
    exchange_sleeper_meets_an_impatient_party: 3, Exchange, Symmetric, Sleeps, ONE_OF_TWO, NOBODY;
    central_sleepers_meet_an_impatient_party: 2, Central, Symmetric, Sleeps, ONE_OF_THREE, NOBODY;
}

/// A whole barrier with its handles, whose first trip is `first`.
pub(crate) fn barrier_from(
    first: u64,
    algorithm: Algorithm,
    parties: usize,
    parks: bool,
    action: Option<Box<dyn Act>>,
) -> Barrier {
    control_from(first, algorithm, parties, parks, action).into()
}

/// One that `token` can break.
pub(crate) fn cancellable(algorithm: Algorithm, parties: usize, token: &CancelToken) -> Barrier {
    let control = control_from(0, algorithm, parties, false, None).cancelled_by(vec![token.clone()]);
    let barrier = Barrier::from(control);
    barrier.control().bind_to_tokens();
    barrier
}

fn control_from(
    first: u64,
    algorithm: Algorithm,
    parties: usize,
    parks: bool,
    action: Option<Box<dyn Act>>,
) -> Control {
    let plan = Plan::modelled(parks);
    let designer = move |ranks: Arc<[usize]>| {
        let blueprint = blueprint(algorithm, ranks.len());
        Design::modelled(blueprint, ranks, plan, Symmetric)
    };
    Control::new(Box::new(designer), parties, first, WaitPolicy::Adaptive, action)
}
