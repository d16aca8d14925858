//! Random schedules of whole barriers, by shuttle: more parties, more trips and more mixtures than the loom models can
//! explore, for every algorithm that can be named.
//!
//! `.ci/shuttle` runs them; docs/verification/shuttle.md says what they find and what they cannot, and
//! `explore_shuttle.rs` how they are run, and one of them again.
//!
//! Every party writes down every outcome of every trip, the books are compared afterwards (C2, one leader for C7), and
//! each party's data, written before a trip, is read by all others after it (C1).

use super::Barrier;
use super::action::Act;
use super::control::Control;
use super::era::Design;
use super::party::{Party, Trip};
use crate::algo::seat::Blueprint;
use crate::algo::select::Algorithm;
use crate::error::{Broken, Cause};
use crate::explore_shuttle::Ending::{self, Cut, Whole};
use crate::explore_shuttle::{dawdle, explore};
use crate::primitive::{Fences, steps::STEP, unwinding};
use crate::topology::Sites;
use crate::wait::{Plan, WaitPolicy};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What one party did on one trip.
type Outcome = Result<Trip, Broken>;

/// Near the wrap, so that the second trip crosses it (C6).
pub(super) const FIRST: u64 = u64::MAX;

/// Who acts beside the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outsider {
    Nobody,
    /// Breaks the open trip.
    Aborts,
    /// Breaks the open trip and begins anew; the parties go on behind it.
    Resets,
    /// Wakes every sleeper for no reason, several times (C12).
    Wakes,
}

/// One barrier's life.
#[derive(Clone, Copy, Debug)]
struct Scene {
    parties: usize,
    trips: u32,
    parks: bool,
    /// At most so many parties have a limit, each on one trip; at least one if this is not 0.
    impatient: usize,
    outsider: Outsider,
    /// Each party drops its handle after its last trip, while others may still be leaving it.
    leave: bool,
}

const EIGHT: Scene =
    Scene { parties: 8, trips: 3, parks: false, impatient: 0, outsider: Outsider::Nobody, leave: false };

pub(crate) fn barrier(algorithm: Algorithm, parties: usize, parks: bool) -> Barrier {
    barrier_with(algorithm, parties, parks, None)
}

/// A barrier of modelled words, whose first trip is [`FIRST`].
pub(super) fn barrier_with(algorithm: Algorithm, parties: usize, parks: bool, action: Option<Box<dyn Act>>) -> Barrier {
    let plan = Plan::modelled(parks);
    let designer = move |ranks: Arc<[usize]>| {
        let seats: Vec<usize> = (0..ranks.len()).collect();
        let sites = Sites::grouped(&seats.chunks(3).collect::<Vec<_>>());
        Design::modelled(Blueprint::new(algorithm, 3, &sites), ranks, plan, Fences::Symmetric)
    };
    Control::new(Box::new(designer), parties, FIRST, WaitPolicy::Adaptive, action).into()
}

/// The trip on which a party is impatient, and its limit.
type Patience = Option<(u32, Duration)>;

/// The patience of each rank.
fn draw_limits(scene: Scene) -> Vec<Patience> {
    let mut limits = vec![None; scene.parties];
    if scene.impatient > 0 {
        for _ in 0..thread_rng().gen_range(1..=scene.impatient) {
            let rank = thread_rng().gen_range(0..scene.parties);
            let limit = STEP * thread_rng().gen_range(0..=2);
            limits[rank] = Some((thread_rng().gen_range(1..=scene.trips), limit));
        }
    }
    limits
}

/// What the parties exchange. Not shuttle's atomics: nothing may come between a party's release and its reading.
pub(super) type Data = Arc<[AtomicU32]>;

/// Takes one party through all trips, or to the first that is broken; behind a break too, where somebody resets.
fn cross(party: &mut Party, data: &Data, scene: Scene, limit: Patience) -> Vec<Outcome> {
    let resets = scene.outsider == Outsider::Resets;
    let mut outcomes = Vec::new();
    for trip in 1..=scene.trips {
        data[party.rank()].store(trip, Ordering::Relaxed);
        let outcome = match limit {
            Some((on, limit)) if on == trip => party.wait_timeout(limit),
            _ => party.wait(),
        };
        match &outcome {
            Ok(_) => {
                // Nobody is two trips ahead, but for one that a reset may have cut between.
                let at_most = trip + 1 + u32::from(resets);
                for (other, datum) in data.iter().enumerate() {
                    let seen = datum.load(Ordering::Relaxed);
                    let rank = party.rank();
                    assert!((trip..=at_most).contains(&seen), "rank {rank} sees {seen} of {other} after trip {trip}");
                }
            }
            Err(broken) if !resets => assert_eq!(party.wait().as_ref(), Err(broken), "told otherwise the second time"),
            Err(_) => {}
        }
        let broken = outcome.is_err();
        outcomes.push(outcome);
        if broken && !resets {
            break;
        }
    }
    outcomes
}

/// All parties saw the same, each trip in its turn, and each completed trip had one leader.
fn agree(all: &[Vec<Outcome>]) -> Ending {
    let mut ending = Whole;
    for trip in 0..all[0].len() {
        let generation = FIRST.wrapping_add(trip as u64);
        let leaders = agree_on(generation, all.iter().map(|party| party.get(trip)));
        if leaders == 0 {
            ending = Cut;
        }
    }
    assert!(all.iter().all(|party| party.len() == all[0].len()), "different numbers of trips: {all:?}");
    ending
}

/// All were told the same of trip `generation`; how many lead it: 1, or 0 if it is broken.
fn agree_on<'a>(generation: u64, outcomes: impl Iterator<Item = Option<&'a Outcome>>) -> usize {
    let outcomes: Vec<&Outcome> = outcomes.map(|outcome| outcome.expect("some left after fewer trips")).collect();
    let told = |outcome: &Outcome| outcome.as_ref().map_or_else(Broken::generation, |trip| trip.generation());
    assert!(outcomes.iter().all(|outcome| told(outcome) == generation), "not all of trip {generation}: {outcomes:?}");
    let records: Vec<&Broken> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(records.is_empty() || records.len() == outcomes.len(), "mixed: {outcomes:?}");
    assert!(records.iter().all(|record| *record == records[0]), "different: {outcomes:?}");
    let leaders = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(|trip| trip.is_leader())).count();
    assert_eq!(leaders, usize::from(records.is_empty()), "leaders: {outcomes:?}");
    leaders
}

fn act(outsider: Outsider, barrier: &Barrier) {
    // The last of these moments is well within an execution's length, which grows with the parties.
    let moments = 8 * barrier.parties();
    match outsider {
        Outsider::Nobody => {}
        Outsider::Aborts => {
            dawdle(moments);
            barrier.abort("shuttle");
        }
        Outsider::Resets => {
            dawdle(moments);
            barrier.reset().unwrap();
        }
        Outsider::Wakes => {
            for _ in 0..3 {
                dawdle(moments / 3);
                barrier.wake_spuriously();
            }
        }
    }
}

/// Plays `scene` once.
fn play(algorithm: Algorithm, scene: Scene) -> Ending {
    let barrier = barrier(algorithm, scene.parties, scene.parks);
    let data: Data = (0..scene.parties).map(|_| AtomicU32::new(0)).collect();
    let parties = barrier.take_parties().unwrap();
    let limits = draw_limits(scene);
    let threads: Vec<_> = parties
        .into_iter()
        .zip(limits.clone())
        .map(|(mut party, limit)| {
            let data = Arc::clone(&data);
            thread::spawn(move || {
                let outcomes = cross(&mut party, &data, scene, limit);
                // A handle that is dropped wakes all, and would hide that a wake had been lost.
                let kept = if scene.leave { None } else { Some(party) };
                (outcomes, kept)
            })
        })
        .collect();
    thread::yield_now(); // PCT wants a choice in every execution, also with a party alone
    act(scene.outsider, &barrier);
    let (all, kept): (Vec<_>, Vec<_>) = threads.into_iter().map(|party| party.join().unwrap()).unzip();
    drop(kept);
    let ending = agree(&all);
    for broken in all[0].iter().filter_map(|outcome| outcome.as_ref().err()) {
        justified(broken, scene, &limits);
    }
    ending
}

/// The break is somebody's doing, and the record says who was missing.
fn justified(broken: &Broken, scene: Scene, limits: &[Patience]) {
    let missing = |rank| broken.missing().iter().any(|missing| missing.rank == rank);
    let just = match *broken.cause() {
        Cause::TimedOut { rank, .. } => {
            let on = limits[rank].map(|(trip, _)| FIRST.wrapping_add(u64::from(trip) - 1));
            on == Some(broken.generation()) && !missing(rank)
        }
        Cause::Aborted { .. } => scene.outsider == Outsider::Aborts,
        Cause::Reset => scene.outsider == Outsider::Resets,
        _ => false,
    };
    assert!(just && broken.missing().len() + broken.arrived() == scene.parties, "{broken} of {scene:?}, {limits:?}");
    assert!(!broken.missing().is_empty(), "{broken}: complete");
}

/// One party stops after some trips, by dropping its handle, perhaps because it panics; its rank is claimed anew and the
/// barrier reset; then all cross two more trips.
pub(super) fn leave_and_return(algorithm: Algorithm, parties: usize, parks: bool) -> Ending {
    let barrier = barrier(algorithm, parties, parks);
    let leaver = thread_rng().gen_range(0..parties);
    let trips = thread_rng().gen_range(0..=2);
    let panics = thread_rng().gen_bool(0.5);
    let threads: Vec<_> = barrier
        .take_parties()
        .unwrap()
        .into_iter()
        .map(|mut party| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let mut outcomes: Vec<Outcome> = (0..trips).map(|_| party.wait()).collect();
                if party.rank() == leaver {
                    if panics {
                        unwinding(|| drop(party));
                    } else {
                        drop(party);
                    }
                    party = barrier.claim(leaver).unwrap();
                    dawdle(40);
                    barrier.reset().unwrap();
                    outcomes.extend([barrier.broken().map_or_else(|| party.wait(), Err), party.wait()]);
                    return (None, outcomes, party);
                }
                let told = party.wait().unwrap_err();
                // Told again until the reset has come.
                let next = loop {
                    match party.wait() {
                        Err(again) if again == told => thread::yield_now(),
                        other => break other,
                    }
                };
                outcomes.extend([next, party.wait()]);
                (Some(told), outcomes, party)
            })
        })
        .collect();
    thread::yield_now();
    let mut books = Vec::new();
    let mut told = Vec::new();
    let mut kept = Vec::new();
    for thread in threads {
        let (record, outcomes, party) = thread.join().unwrap();
        told.extend(record);
        books.push(outcomes);
        kept.push(party);
    }
    let broken = FIRST.wrapping_add(trips);
    let expected = if panics { Cause::Panicked { rank: leaver } } else { Cause::Dropped { rank: leaver } };
    assert!(told.iter().all(|record| *record == told[0]), "different: {told:?}");
    assert!(told.iter().all(|record| (record.cause(), record.generation()) == (&expected, broken)), "{told:?}");
    let generations = (0..trips).chain(trips + 1..trips + 3).map(|trip| FIRST.wrapping_add(trip));
    for (trip, generation) in generations.enumerate() {
        let leaders = agree_on(generation, books.iter().map(|book| book.get(trip)));
        assert_eq!(leaders, 1, "broken by nobody: {books:?}");
    }
    drop(kept);
    Whole
}

#[test]
fn eight_cross() {
    explore(16_000, &[Whole], |algorithm| play(algorithm, EIGHT));
}

#[test]
fn eight_sleepers_cross() {
    explore(16_000, &[Whole], |algorithm| play(algorithm, Scene { parks: true, trips: 4, ..EIGHT }));
}

#[test]
fn eight_sleepers_are_woken_for_no_reason() {
    let scene = Scene { parks: true, outsider: Outsider::Wakes, ..EIGHT };
    explore(8_000, &[Whole], move |algorithm| play(algorithm, scene));
}

#[test]
fn eight_cross_and_leave_at_once() {
    explore(8_000, &[Whole], |algorithm| play(algorithm, Scene { leave: true, ..EIGHT }));
}

#[test]
fn eight_sleepers_cross_and_leave_at_once() {
    explore(8_000, &[Whole], |algorithm| play(algorithm, Scene { parks: true, leave: true, ..EIGHT }));
}

#[test]
fn some_of_eight_are_impatient() {
    explore(16_000, &[Whole, Cut], |algorithm| play(algorithm, Scene { impatient: 3, ..EIGHT }));
}

#[test]
fn some_of_eight_sleepers_are_impatient() {
    explore(16_000, &[Whole, Cut], |algorithm| play(algorithm, Scene { parks: true, impatient: 3, ..EIGHT }));
}

#[test]
fn eight_are_aborted() {
    explore(16_000, &[Whole, Cut], |algorithm| play(algorithm, Scene { outsider: Outsider::Aborts, ..EIGHT }));
}

#[test]
fn eight_sleepers_are_aborted() {
    let scene = Scene { parks: true, outsider: Outsider::Aborts, ..EIGHT };
    explore(16_000, &[Whole, Cut], move |algorithm| play(algorithm, scene));
}

#[test]
fn eight_are_reset() {
    let scene = Scene { trips: 4, outsider: Outsider::Resets, ..EIGHT };
    explore(8_000, &[Whole, Cut], move |algorithm| play(algorithm, scene));
}

#[test]
fn eight_sleepers_are_reset() {
    let scene = Scene { trips: 4, parks: true, outsider: Outsider::Resets, ..EIGHT };
    explore(8_000, &[Whole, Cut], move |algorithm| play(algorithm, scene));
}

#[test]
fn one_of_eight_leaves_and_returns() {
    explore(8_000, &[Whole], |algorithm| leave_and_return(algorithm, 8, false));
}

#[test]
fn one_of_eight_sleepers_leaves_and_returns() {
    explore(8_000, &[Whole], |algorithm| leave_and_return(algorithm, 8, true));
}

#[test]
fn one_of_a_few_leaves_and_returns() {
    explore(8_000, &[Whole], |algorithm| {
        let parties = [1, 2, 3, 5, 7][thread_rng().gen_range(0..5)];
        leave_and_return(algorithm, parties, thread_rng().gen_bool(0.5))
    });
}

/// `parties` that sleep or not, and are patient, or impatient, or aborted.
fn mixture(parties: usize) {
    explore(8_000, &[Whole, Cut], move |algorithm| {
        let scene = Scene { parties, parks: thread_rng().gen_bool(0.5), ..EIGHT };
        play(
            algorithm,
            match thread_rng().gen_range(0..3) {
                0 => scene,
                1 => Scene { impatient: 2, ..scene },
                _ => Scene { outsider: Outsider::Aborts, ..scene },
            },
        )
    });
}

#[test]
fn one_mixes() {
    mixture(1);
}

#[test]
fn two_mix() {
    mixture(2);
}

#[test]
fn three_mix() {
    mixture(3);
}

#[test]
fn five_mix() {
    mixture(5);
}

#[test]
fn seven_mix() {
    mixture(7);
}
