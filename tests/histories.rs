//! Histories: everything that parties of 1 to 8 can do to a barrier without waiting, drawn at random, one step after the
//! other in one thread, against a model of a few lines (B10, M5).
//!
//! Other barriers count an arrival whose wait was given up (tokio's and async-lock's, when the future is dropped), and so
//! release a trip that lacks somebody. Here a party may arrive and drop the [`Arrival`](phalanx::Arrival), ask and go away
//! without an answer, give up at once, or come back after a break and a reset that it slept through; an outsider aborts
//! and resets in between. In one thread nothing races, so the model knows every answer: which trip, which record, whether
//! there is one yet. The races are the business of `storm` and of the models.
//!
//! `PHALANX_TEST_SCALE=50 cargo test --release --test histories` makes a million.

mod common;

use common::{Rng, patience, scaled, watched};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, WaitPolicy};
use std::time::Duration;

const HISTORIES: usize = 20_000;

/// What one era of the barrier has seen: who has arrived at its open trip, and how it ended, if it has.
#[derive(Default)]
struct Era {
    arrived: Vec<bool>,
    open: u64,
    ended: Option<Broken>,
}

/// Where a party is: in which era, whether it was told of that era's end, and at which trip it has an arrival of which it has
/// heard nothing.
#[derive(Clone, Copy, Default)]
struct Seat {
    era: usize,
    told: bool,
    pending: Option<u64>,
}

struct Model {
    eras: Vec<Era>,
    seats: Vec<Seat>,
    early: u64,
}

/// What a call answers.
#[derive(Debug, PartialEq)]
enum Answer {
    Undecided,
    Crossed(u64),
    Told(Broken),
    /// Told of a break that this very call has made, with these ranks missing.
    Broke(u64, Vec<usize>),
}

impl Model {
    fn new(parties: usize, first: u64) -> Self {
        let era = Era { arrived: vec![false; parties], open: first, ended: None };
        Self { eras: vec![era], seats: vec![Seat::default(); parties], early: 0 }
    }

    fn now(&mut self) -> &mut Era {
        self.eras.last_mut().expect("there is always one")
    }

    /// A call of `rank` that arrives, and gives up at once if it is `impatient`.
    fn call(&mut self, rank: usize, impatient: bool) -> Answer {
        let latest = self.eras.len() - 1;
        let seat = &mut self.seats[rank];
        if seat.told && seat.era < latest {
            *seat = Seat { era: latest, ..Seat::default() };
        }
        let era = &mut self.eras[seat.era];
        // An arrival at a trip that was complete before the era ended is an `Ok` that nobody has asked for.
        if seat.pending.is_some_and(|trip| trip != era.open) {
            seat.pending = None;
        }
        if let Some(broken) = &era.ended {
            (seat.told, seat.pending) = (true, None);
            return Answer::Told(broken.clone());
        }
        era.arrived[rank] = true;
        let trip = era.open;
        if era.arrived.iter().all(|arrived| *arrived) {
            era.arrived.fill(false);
            era.open = trip.wrapping_add(1);
            seat.pending = None;
            return Answer::Crossed(trip);
        }
        seat.pending = Some(trip);
        if impatient {
            let missing = (0..era.arrived.len()).filter(|&rank| !era.arrived[rank]).collect();
            (seat.told, seat.pending) = (true, None);
            return Answer::Broke(trip, missing);
        }
        self.early += 1;
        Answer::Undecided
    }

    /// Whether `rank` has arrived at a trip that is still open: it may only wait for that.
    fn is_held(&self, rank: usize) -> bool {
        let seat = &self.seats[rank];
        let era = &self.eras[seat.era];
        era.ended.is_none() && seat.pending == Some(era.open)
    }

    fn reset(&mut self) {
        let parties = self.seats.len();
        let now = self.now();
        let next = now.open.wrapping_add(1);
        if now.ended.is_some() {
            self.eras.push(Era { arrived: vec![false; parties], open: next, ended: None });
        }
    }
}

fn ask(party: &mut Party, impatient: bool) -> Result<Option<u64>, Broken> {
    if impatient {
        return party.wait_timeout(Duration::ZERO).map(|trip| Some(trip.generation()));
    }
    // The arrival is dropped here, with or without an answer.
    party.arrive().try_wait().map(|trip| trip.map(|trip| trip.generation()))
}

fn play(rng: &mut Rng, algorithm: Algorithm, parties: usize) -> (u64, u64) {
    let first = if rng.once_in(4) { u64::MAX - rng.below(4) } else { 0 };
    let policy = WaitPolicy::ALL[rng.below(WaitPolicy::ALL.len() as u64) as usize];
    let barrier =
        Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).first_generation(first).build().unwrap();
    let mut handles = barrier.take_parties().unwrap();
    let mut model = Model::new(parties, first);
    let (mut crossed, mut log) = (0, Vec::new());
    for _ in 0..8 + rng.below(16) {
        let rank = rng.below(parties as u64) as usize;
        let step = rng.below(16);
        match step {
            0 if model.now().ended.is_none() => {
                let told = barrier.abort("a whim");
                let now = model.now();
                assert_eq!(told.generation(), now.open, "{algorithm}, {parties} parties: {log:?}");
                now.ended = Some(told);
            }
            1 if model.now().ended.is_some() => {
                model.reset();
                let next = model.now().open;
                assert_eq!(barrier.reset(), Ok(next), "{algorithm}, {parties} parties: {log:?}");
            }
            _ => {
                let impatient = step < 4;
                if model.is_held(rank) && !impatient {
                    continue;
                }
                let expected = model.call(rank, impatient);
                let answer = ask(&mut handles[rank], impatient);
                log.push((rank, impatient, format!("{answer:?}")));
                match (expected, answer) {
                    (Answer::Undecided, Ok(None)) => {}
                    (Answer::Crossed(trip), Ok(Some(told))) if trip == told => crossed += 1,
                    (Answer::Told(broken), Err(told)) if broken == told => {}
                    (Answer::Broke(trip, missing), Err(told)) => {
                        let named: Vec<usize> = told.missing().iter().map(|missing| missing.rank).collect();
                        assert_eq!((told.generation(), named), (trip, missing), "{algorithm}: {log:?}");
                        assert_eq!(
                            told.cause(),
                            &Cause::TimedOut { rank, after: Duration::ZERO },
                            "{algorithm}: {log:?}"
                        );
                        let era = model.seats[rank].era;
                        model.eras[era].ended = Some(told);
                    }
                    (expected, answer) => {
                        panic!("{algorithm}, {parties} parties: {expected:?} and not {answer:?} behind {log:?}")
                    }
                }
            }
        }
        let now = model.now();
        let here = if now.ended.is_some() { None } else { Some(now.arrived.iter().filter(|here| **here).count()) };
        assert!(here.is_none_or(|here| here == barrier.arrived()), "{algorithm}, {parties} parties: {log:?}");
    }
    (crossed, model.early)
}

#[test]
fn an_arrival_is_counted_once_and_nobody_goes_early() {
    watched("histories", patience(), |watch| {
        let mut rng = watch.rng();
        let (mut crossed, mut early) = (0, 0);
        for history in 0..scaled(HISTORIES) {
            let algorithm = Algorithm::NAMED[history % Algorithm::NAMED.len()];
            let parties = 1 + rng.below(8) as usize;
            let (more, ghosts) = play(&mut rng, algorithm, parties);
            crossed += more;
            early += ghosts;
        }
        // Both must have happened, or nothing was tested; under Miri with enough seeds.
        assert!(cfg!(miri) || crossed > 0 && early > 0, "{crossed} trips, {early} arrivals without an answer");
        println!(
            "{} histories: {crossed} answers of complete trips, {early} arrivals without an answer",
            scaled(HISTORIES)
        );
    });
}
