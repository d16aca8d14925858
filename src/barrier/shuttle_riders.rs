//! Random schedules of what rides on a trip, and of membership; see `shuttle.rs` for what,
//! and `explore_shuttle.rs` for how.

use super::Barrier;
use super::action::Act;
use super::party::{Party, Trip};
use super::shuttle::{Data, FIRST, barrier_with};
use crate::algo::select::Algorithm;
use crate::error::Broken;
use crate::explore_shuttle::Ending::{self, Cut, Whole};
use crate::explore_shuttle::{dawdle, explore};
use crate::phase::action::modelled;
use crate::primitive::steps::STEP;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// How many trips before `generation` there were.
pub(super) fn place(generation: u64) -> u32 {
    generation.wrapping_sub(FIRST) as u32
}

/// What a party did on a trip, and got: the leader, and the value if there was one.
pub(super) type Outcome = Result<(bool, Option<u64>), Broken>;

/// What one party was told, trip by trip, by the trip's place.
pub(super) type Book = Vec<(u32, Outcome)>;

/// All who wrote of a trip were told the same, and got the same value if any; not two lead it.
pub(super) fn agree(books: &[Book]) -> (BTreeMap<u32, usize>, Ending) {
    let mut leaders = BTreeMap::new();
    let mut told: BTreeMap<u32, Result<Option<u64>, Broken>> = BTreeMap::new();
    for (at, outcome) in books.iter().flatten() {
        *leaders.entry(*at).or_insert(0) += usize::from(outcome.as_ref().is_ok_and(|(leads, _)| *leads));
        let told = told.entry(*at).or_insert_with(|| outcome.clone().map(|(_, value)| value));
        match (told, outcome) {
            (Ok(value), Ok((_, other))) => assert!(value.is_none() || other.is_none() || value == other, "{books:?}"),
            (Err(record), Err(other)) => assert_eq!(record, other, "different: {books:?}"),
            _ => panic!("mixed at {at}: {books:?}"),
        }
    }
    assert!(leaders.values().all(|leaders| *leaders <= 1), "leaders: {books:?}");
    (leaders, if told.values().all(Result::is_ok) { Whole } else { Cut })
}

/// What a party does with a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rider {
    Wait,
    Impatient,
    Split,
    Carry,
    Large,
    Boxed,
}

/// What a rank brings to a trip.
fn brings(rank: usize, trip: u32) -> u64 {
    u64::from(trip) * 64 + rank as u64
}

fn mix(a: u64, b: u64) -> u64 {
    a.wrapping_mul(31).wrapping_add(b)
}

/// One trip of one party.
fn ride(party: &mut Party, rider: Rider) -> (u32, Outcome) {
    let at = place(party.generation());
    let value = brings(party.rank(), at);
    let plain = |outcome: Result<Trip, Broken>| outcome.map(|trip| (place(trip.generation()), trip.is_leader()));
    let outcome = match rider {
        Rider::Wait => plain(party.wait()).map(|(at, leads)| (at, leads, None)),
        Rider::Impatient => plain(party.wait_timeout(STEP)).map(|(at, leads)| (at, leads, None)),
        Rider::Split => {
            let mut arrival = party.arrive();
            dawdle(6);
            let early = arrival.try_wait();
            dawdle(6);
            let late = match early {
                Ok(None) => arrival.wait(),
                decided => decided.map(Option::unwrap),
            };
            plain(late).map(|(at, leads)| (at, leads, None))
        }
        Rider::Carry => party.all_reduce(value, mix).map(|value| (at, false, Some(value))),
        Rider::Large => {
            let reduced = party.all_reduce([value, !value], |[a, x], [b, _]| [mix(a, b), x]);
            reduced.map(|[value, _]| (at, false, Some(value)))
        }
        Rider::Boxed => party.cloning().all_reduce(value, mix).map(|value| (at, false, Some(value))),
    };
    let told = outcome.as_ref().map_or_else(|broken| place(broken.generation()), |(at, _, _)| *at);
    // A newcomer is told of the trip before its first one as well, if that breaks.
    assert!(told == at || outcome.is_err() && told + 1 == at, "told of another trip than {at}: {outcome:?}");
    (told, outcome.map(|(_, leads, value)| (leads, value)))
}

/// Each party does on each trip what `riders` says, or to the first that is broken.
#[derive(Clone)]
struct Show {
    trips: u32,
    /// By trip: what all do, if they do something with a value; otherwise each draws for itself.
    riders: Vec<Option<Rider>>,
    impatient: bool,
}

impl Show {
    fn draw(trips: u32, values: bool, impatient: bool) -> Self {
        let kinds = [Rider::Carry, Rider::Large, Rider::Boxed];
        let draw = |_| values.then(|| kinds[thread_rng().gen_range(0..3)]);
        Self { trips, riders: (0..trips).map(draw).collect(), impatient }
    }

    fn rider(&self, trip: u32) -> Rider {
        let alone = match thread_rng().gen_range(0..4) {
            0 if self.impatient => Rider::Impatient,
            0 | 1 => Rider::Split,
            _ => Rider::Wait,
        };
        self.riders.get(trip as usize).copied().flatten().unwrap_or(alone)
    }

    fn cross(&self, party: &mut Party, data: &Data) -> Book {
        let mut book = Vec::new();
        while place(party.generation()) < self.trips {
            let at = place(party.generation());
            data[party.rank()].store(at + 1, Ordering::Relaxed);
            book.push(ride(party, self.rider(at)));
            if book.last().is_some_and(|(_, outcome)| outcome.is_err()) {
                break;
            }
        }
        book
    }
}

pub(super) fn data() -> Data {
    (0..24).map(|_| AtomicU32::new(0)).collect()
}

/// So many parties, drawn anew for each execution.
const SOME: RangeInclusive<usize> = 2..=8;
const CROWD: RangeInclusive<usize> = 9..=16;

/// Parties ride, perhaps against an abort.
fn play(algorithm: Algorithm, parties: RangeInclusive<usize>, values: bool, impatient: bool, aborts: bool) -> Ending {
    let parties = thread_rng().gen_range(parties);
    let barrier = barrier_with(algorithm, parties, thread_rng().gen_bool(0.5), None);
    let show = Show::draw(3, values, impatient);
    let data = data();
    let threads: Vec<_> = barrier
        .take_parties()
        .unwrap()
        .into_iter()
        .map(|mut party| {
            let (show, data) = (show.clone(), Arc::clone(&data));
            thread::spawn(move || (show.cross(&mut party, &data), party))
        })
        .collect();
    thread::yield_now();
    if aborts {
        dawdle(12 * parties);
        barrier.abort("shuttle");
    }
    let (books, kept): (Vec<_>, Vec<_>) = threads.into_iter().map(|party| party.join().unwrap()).unzip();
    drop(kept);
    let (leaders, ending) = agree(&books);
    assert!(books.iter().all(|book: &Book| book.len() == books[0].len()), "different numbers of trips: {books:?}");
    if !values {
        let complete = books[0].iter().filter(|(_, outcome)| outcome.is_ok()).count();
        assert_eq!(leaders.values().sum::<usize>(), complete, "leaders: {books:?}");
    }
    for (at, outcome) in &books[0] {
        if let Ok((_, Some(value))) = outcome {
            let expected = (0..parties).map(|rank| brings(rank, *at)).reduce(mix);
            assert_eq!(Some(*value), expected, "trip {at} of {parties}");
        }
    }
    ending
}

#[test]
fn riders_carry_values() {
    explore(8_000, &[Whole], |algorithm| play(algorithm, SOME, true, false, false));
}

#[test]
fn riders_carry_values_and_are_aborted() {
    explore(16_000, &[Whole, Cut], |algorithm| play(algorithm, SOME, true, false, true));
}

#[test]
fn crowd_carries_values_and_is_aborted() {
    explore(1_800, &[Whole, Cut], |algorithm| play(algorithm, CROWD, true, false, true));
}

#[test]
fn crowd_splits_beside_impatient_ones_and_is_aborted() {
    explore(18_000, &[Whole, Cut], |algorithm| play(algorithm, CROWD, false, true, true));
}

#[test]
fn riders_split() {
    explore(8_000, &[Whole], |algorithm| play(algorithm, SOME, false, false, false));
}

#[test]
fn riders_split_beside_impatient_ones() {
    explore(8_000, &[Whole, Cut], |algorithm| play(algorithm, SOME, false, true, false));
}

#[test]
fn riders_split_and_are_aborted() {
    explore(8_000, &[Whole, Cut], |algorithm| play(algorithm, SOME, false, true, true));
}

/// The action finds every party's data of its trip, writes down the trip, and takes its time.
fn act(algorithm: Algorithm, parties: RangeInclusive<usize>, impatient: bool, aborts: bool) -> Ending {
    let parties = thread_rng().gen_range(parties);
    let data = data();
    let runs: Arc<Mutex<Vec<u32>>> = Arc::default();
    let action: Box<dyn Act> = {
        let (data, runs) = (Arc::clone(&data), Arc::clone(&runs));
        modelled(move |trip| {
            let at = place(trip.generation);
            assert!(data[..trip.parties].iter().all(|datum| datum.load(Ordering::Relaxed) == at + 1), "trip {at}");
            dawdle(6);
            assert!(
                data[..trip.parties].iter().all(|datum| datum.load(Ordering::Relaxed) == at + 1),
                "one has left {at}"
            );
            runs.lock().unwrap().push(at);
        })
    };
    // The action needs a root.
    let algorithm = if algorithm == Algorithm::Combining { algorithm } else { Algorithm::Central };
    let barrier = barrier_with(algorithm, parties, thread_rng().gen_bool(0.5), Some(action));
    let show = Show::draw(3, false, impatient);
    let threads: Vec<_> = barrier
        .take_parties()
        .unwrap()
        .into_iter()
        .map(|mut party| {
            let (show, data, runs) = (show.clone(), Arc::clone(&data), Arc::clone(&runs));
            thread::spawn(move || {
                let mut book = Vec::new();
                while place(party.generation()) < show.trips {
                    let at = place(party.generation());
                    data[party.rank()].store(at + 1, Ordering::Relaxed);
                    book.push(ride(&mut party, show.rider(at)));
                    if book.last().is_some_and(|(_, outcome)| outcome.is_err()) {
                        break;
                    }
                    assert!(runs.lock().unwrap().contains(&at), "left {at} before the action was done");
                }
                (book, party)
            })
        })
        .collect();
    thread::yield_now();
    if aborts {
        dawdle(12 * parties);
        barrier.abort("shuttle");
    }
    let (books, kept): (Vec<_>, Vec<_>) = threads.into_iter().map(|party| party.join().unwrap()).unzip();
    drop(kept);
    let (_, ending) = agree(&books);
    let complete: Vec<u32> = books[0].iter().filter(|(_, told)| told.is_ok()).map(|(at, _)| *at).collect();
    assert_eq!(*runs.lock().unwrap(), complete, "the action runs once for each complete trip: {books:?}");
    ending
}

#[test]
fn riders_act() {
    explore(8_000, &[Whole], |algorithm| act(algorithm, SOME, false, false));
}

#[test]
fn riders_act_beside_impatient_ones_and_are_aborted() {
    explore(16_000, &[Whole, Cut], |algorithm| act(algorithm, SOME, true, true));
}

#[test]
fn crowd_acts_beside_impatient_ones_and_is_aborted() {
    // Many, because one in fifty ends whole.
    explore(18_000, &[Whole, Cut], |algorithm| act(algorithm, CROWD, true, true));
}

/// Parties leave after a trip or two, newcomers join from outside, perhaps somebody aborts. The first party stays.
fn come_and_go(algorithm: Algorithm, values: bool, aborts: bool) -> Ending {
    let parties = thread_rng().gen_range(1..=5);
    let barrier: Barrier = barrier_with(algorithm, parties, thread_rng().gen_bool(0.5), None);
    let trips = 5;
    let show = Show::draw(trips, values, false);
    let data = data();
    let spawn = |mut party: Party, show: Show| {
        let data = Arc::clone(&data);
        let stays = party.rank() == 0 || thread_rng().gen_bool(0.5);
        let until = place(party.generation()) + if stays { trips } else { thread_rng().gen_range(0..=2) };
        thread::spawn(move || {
            let from = place(party.generation());
            let show = Show { trips: until.min(show.trips), ..show };
            let book = show.cross(&mut party, &data);
            // Kept to the end, or it leaves: a handle that is dropped would break the next trip.
            let broken = book.last().is_some_and(|(_, outcome)| outcome.is_err());
            let kept = if stays || broken {
                Some(party)
            } else {
                party.leave();
                None
            };
            (from, show.trips, broken, book, kept)
        })
    };
    let mut threads: Vec<_> =
        barrier.take_parties().unwrap().into_iter().map(|party| spawn(party, show.clone())).collect();
    thread::yield_now();
    for _ in 0..thread_rng().gen_range(0..=2) {
        dawdle(20);
        threads.push(spawn(barrier.join().unwrap(), show.clone()));
    }
    if aborts {
        dawdle(12 * parties);
        barrier.abort("shuttle");
    }
    let mut books = Vec::new();
    let mut kept = Vec::new();
    for thread in threads {
        let (from, until, broken, book, party) = thread.join().unwrap();
        assert!(broken || book.len() as u32 == until.saturating_sub(from), "{from} to {until}: {book:?}");
        assert!(
            book.iter().zip(from..).all(|((at, told), expected)| *at == expected || told.is_err()),
            "out of turn: {book:?}"
        );
        books.push(book);
        kept.extend(party);
    }
    let ending = agree(&books).1;
    drop(kept);
    ending
}

#[test]
fn riders_come_and_go() {
    explore(16_000, &[Whole], |algorithm| come_and_go(algorithm, false, false));
}

#[test]
fn riders_come_and_go_with_values() {
    explore(16_000, &[Whole], |algorithm| come_and_go(algorithm, true, false));
}

#[test]
fn riders_come_and_go_and_are_aborted() {
    explore(16_000, &[Whole, Cut], |algorithm| come_and_go(algorithm, false, true));
}
