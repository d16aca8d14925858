//! Loom models of membership: leaving, joining, and both, against trips, breaks and each other. The conventions are those
//! of `models.rs`.
//!
//! Every party writes down what it was told of which trip. Compared are all those who were members of a trip: who was, is
//! known by where each began and ended.

use super::Barrier;
use super::models::{barrier_from, explore};
use super::party::Party;
use crate::algo::select::{Algorithm, Algorithm::*, Radix, Wake};
use crate::error::{Broken, Cause};
use crate::phase::action::modelled;
use crate::primitive::{AtomicU32, Ordering};
use loom::thread;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// Near the wrap, so that the second trip crosses it (C6).
const FIRST: u64 = u64::MAX;

/// How many trips before `generation` there were.
fn place(generation: u64) -> u32 {
    generation.wrapping_sub(FIRST) as u32
}

/// What one party was told, trip by trip, by the trip's place.
type Book = Vec<(u32, Result<bool, Broken>)>;

/// What the parties of one barrier have in common.
#[derive(Clone)]
struct Stage {
    barrier: Barrier,
    /// By rank: the place of the trip that it came to last, plus one.
    data: Arc<Vec<AtomicU32>>,
}

impl Stage {
    fn new<const N: usize>(algorithm: Algorithm, parks: bool) -> (Self, [Party; N]) {
        let barrier = barrier_from(FIRST, algorithm, N, parks, None);
        let parties = <[_; N]>::try_from(barrier.take_parties().unwrap()).unwrap();
        (Self { barrier, data: Arc::new((0..4).map(|_| AtomicU32::new(0)).collect()) }, parties)
    }

    /// One wait, and what came of it; everybody's data must be there, `with` that of these ranks.
    fn wait(&self, party: &mut Party, limit: Duration, with: &[usize]) -> (u32, Result<bool, Broken>) {
        let expected = place(party.generation());
        self.data[party.rank()].store(expected + 1, Ordering::Relaxed);
        let outcome = party.wait_timeout(limit);
        let at = outcome.as_ref().map_or_else(|broken| broken.generation(), |trip| trip.generation());
        assert_eq!(place(at), expected, "told of another trip: {outcome:?}");
        if outcome.is_ok() {
            for &rank in with {
                let seen = self.data[rank].load(Ordering::Relaxed);
                assert!(seen > expected, "{seen} of {rank} after trip {expected}");
            }
        }
        (place(at), outcome.map(|trip| trip.is_leader()))
    }

    /// Waits for each trip before the one at place `end`, or to the first that is broken.
    fn cross(&self, party: &mut Party, end: u32, with: &[usize]) -> Book {
        let mut book = Vec::new();
        while place(party.generation()) < end
            && book.last().is_none_or(|(_, outcome): &(_, Result<_, _>)| outcome.is_ok())
        {
            book.push(self.wait(party, PATIENT, with));
        }
        book
    }

    /// Leaves, its work done.
    fn leave(&self, party: Party) {
        self.data[party.rank()].store(place(party.generation()) + 1, Ordering::Relaxed);
        party.leave();
    }
}

const PATIENT: Duration = Duration::MAX;
const IMPATIENT: Duration = Duration::ZERO;

/// All who wrote of a trip were told the same, and not two lead it.
fn agree(books: &[Book]) -> BTreeMap<u32, Result<usize, Broken>> {
    let mut trips: BTreeMap<u32, Result<usize, Broken>> = BTreeMap::new();
    for (at, outcome) in books.iter().flatten() {
        let outcome = outcome.clone().map(usize::from);
        trips
            .entry(*at)
            .and_modify(|told| match (told, &outcome) {
                (Ok(leaders), Ok(leads)) => *leaders += leads,
                (told, outcome) => assert_eq!(told, outcome, "mixed: {books:?}"),
            })
            .or_insert(outcome);
    }
    assert!(trips.values().all(|told| told.as_ref().is_ok_and(|leaders| *leaders <= 1) || told.is_err()), "{books:?}");
    trips
}

/// As [`agree`]; and if all trips are complete, each of the first `end` was held, with one leader among those who wrote.
fn all_complete(books: &[Book], end: u32, led: std::ops::Range<u32>) {
    let trips = agree(books);
    assert_eq!(trips.len(), end as usize, "{books:?}");
    for (at, told) in &trips {
        assert!(told.is_ok(), "broken by nobody: {books:?}");
        assert!(!led.contains(at) || *told == Ok(1), "leaders of trip {at}: {books:?}");
    }
}

/// One of two leaves at once, the other goes on.
fn leave_of_two(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut stayer, leaver]) = Stage::new(algorithm, parks);
        let leaving = {
            let stage = stage.clone();
            thread::spawn(move || stage.leave(leaver))
        };
        let mut book = vec![stage.wait(&mut stayer, PATIENT, &[1])];
        book.extend(stage.cross(&mut stayer, 3, &[]));
        leaving.join().unwrap();
        all_complete(&[book], 3, 1..3);
        assert_eq!((stage.barrier.parties(), stayer.parties()), (1, 1));
    });
}

#[test]
fn leave_exchange() {
    leave_of_two(3, Exchange, false);
}

#[test]
fn leave_central() {
    leave_of_two(3, Central, false);
}

#[test]
fn leave_tree() {
    leave_of_two(2, StaticTree(Wake::Tree), false);
}

#[test]
fn leave_combining() {
    leave_of_two(3, Combining, false);
}

#[test]
fn leave_tournament() {
    leave_of_two(3, Tournament, false);
}

#[test]
fn leave_hierarchical_sleeper() {
    leave_of_two(3, Hierarchical, true);
}

#[test]
fn leave_dissemination_4() {
    leave_of_two(3, Dissemination(Radix::Four), false);
}

#[test]
fn leave_exchange_sleeper() {
    leave_of_two(3, Exchange, true);
}

#[test]
fn leave_central_sleeper() {
    leave_of_two(3, Central, true);
}

#[test]
fn leave_dissemination_sleeper() {
    leave_of_two(2, Dissemination(Radix::Two), true);
}

/// One of three crosses a trip and leaves, the others go on.
fn leave_of_three(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut one, mut other, mut leaver]) = Stage::new(algorithm, parks);
        let leaving = {
            let stage = stage.clone();
            thread::spawn(move || {
                let book = vec![stage.wait(&mut leaver, PATIENT, &[0, 1])];
                stage.leave(leaver);
                book
            })
        };
        let crossing = {
            let stage = stage.clone();
            thread::spawn(move || (stage.cross(&mut other, 3, &[0]), other))
        };
        let mine = stage.cross(&mut one, 3, &[1]);
        let (others, _kept) = crossing.join().unwrap();
        let books = [mine, others, leaving.join().unwrap()];
        all_complete(&books, 3, 0..1);
        assert_eq!(stage.barrier.parties(), 2);
    });
}

#[test]
fn leave_of_three_central() {
    leave_of_three(1, Central, false);
}

#[test]
fn leave_of_three_central_sleepers() {
    leave_of_three(1, Central, true);
}

#[test]
fn leave_of_three_tree_sleepers() {
    leave_of_three(1, StaticTree(Wake::Tree), true);
}

/// One of three leaves, while another is impatient, or somebody aborts; what was broken is reset, and the two go on.
fn leave_against_a_break(bound: usize, algorithm: Algorithm, limit: Duration, aborts: bool) {
    explore(bound, move || {
        let (stage, [mut one, mut other, leaver]) = Stage::new(algorithm, false);
        let leaving = {
            let stage = stage.clone();
            thread::spawn(move || {
                stage.leave(leaver);
                if aborts {
                    stage.barrier.abort("model");
                }
            })
        };
        let crossing = {
            let stage = stage.clone();
            thread::spawn(move || {
                let first = stage.wait(&mut other, limit, &[0]);
                let mut book = vec![first.clone()];
                if first.1.is_ok() {
                    book.push(stage.wait(&mut other, PATIENT, &[0]));
                }
                (book, other)
            })
        };
        let mine = stage.cross(&mut one, 2, &[1]);
        let (others, mut other) = crossing.join().unwrap();
        leaving.join().unwrap();
        let broken = mine.iter().any(|(_, outcome)| outcome.is_err());
        agree(&[mine, others]);
        assert!(broken || !aborts || stage.barrier.is_broken());
        if broken {
            let next = stage.barrier.reset().unwrap();
            assert_eq!(stage.barrier.parties(), 2);
            let crossing = thread::spawn(move || (other.wait().unwrap().generation(), other));
            assert_eq!((one.wait().unwrap().generation(), crossing.join().unwrap().0), (next, next));
        }
    });
}

#[test]
fn leave_against_an_impatient_party_central() {
    leave_against_a_break(1, Central, IMPATIENT, false);
}

#[test]
fn leave_against_an_impatient_party_tree() {
    leave_against_a_break(1, StaticTree(Wake::Flags), IMPATIENT, false);
}

#[test]
fn leave_against_an_abort() {
    leave_against_a_break(1, Central, PATIENT, true);
}

/// Somebody joins while parties cross. The newcomer takes part to the end, or drops its handle at once; then the trip that
/// it was told of is the first that is broken, for all.
fn join(bound: usize, algorithm: Algorithm, parties: usize, parks: bool, end: u32, drops: bool) {
    explore(bound, move || {
        let barrier = barrier_from(FIRST, algorithm, parties, parks, None);
        let mut handles = barrier.take_parties().unwrap();
        let stage = Stage { barrier, data: Arc::new((0..4).map(|_| AtomicU32::new(0)).collect()) };
        let mut one = handles.remove(0);
        let joining = {
            let stage = stage.clone();
            thread::spawn(move || {
                let mut newcomer = stage.barrier.join().unwrap();
                assert_eq!(newcomer.rank(), parties);
                let from = place(newcomer.generation());
                let before: Vec<usize> = (0..parties).collect();
                let book = if drops { Vec::new() } else { stage.cross(&mut newcomer, end, &before) };
                (from, book, (!drops).then_some(newcomer))
            })
        };
        let others: Vec<_> = handles
            .into_iter()
            .map(|mut party| {
                let stage = stage.clone();
                thread::spawn(move || (stage.cross(&mut party, end, &[0]), party))
            })
            .collect();
        let mut books = vec![stage.cross(&mut one, end, &[])];
        let mut kept = vec![one];
        for (book, party) in others.into_iter().map(|other| other.join().unwrap()) {
            books.push(book);
            kept.push(party);
        }
        let (from, book, _newcomer) = joining.join().unwrap();
        if !drops {
            assert_eq!(book.len() as u32, end.saturating_sub(from));
            books.push(book);
            all_complete(&books, end, 0..end);
            return;
        }
        let trips = agree(&books);
        for (at, told) in trips {
            match told {
                Ok(leaders) => {
                    assert!(at < from && leaders == 1, "trip {at} without the newcomer of {from}: {books:?}")
                }
                Err(broken) => assert_eq!((at, broken.cause()), (from, &Cause::Dropped { rank: parties })),
            }
        }
        assert!(books.iter().all(|book| book.len() as u32 == end.min(from + 1)), "{from}: {books:?}");
    });
}

#[test]
fn join_exchange() {
    join(1, Exchange, 2, false, 2, false);
}

#[test]
fn join_central() {
    join(2, Central, 2, false, 2, false);
}

#[test]
fn join_combining() {
    join(1, Combining, 2, false, 2, false);
}

#[test]
fn join_tournament() {
    join(1, Tournament, 2, false, 2, false);
}

#[test]
fn join_dissemination() {
    join(1, Dissemination(Radix::Two), 2, false, 2, false);
}

#[test]
fn join_hierarchical() {
    join(1, Hierarchical, 2, false, 2, false);
}

#[test]
fn join_tree_sleepers() {
    join(1, StaticTree(Wake::Tree), 2, true, 2, false);
}

#[test]
fn join_central_sleepers() {
    join(1, Central, 2, true, 2, false);
}

#[test]
fn join_a_single_party() {
    join(3, Central, 1, true, 3, false);
}

#[test]
fn turn_exchange_join_and_drop() {
    join(1, Exchange, 2, false, 3, true);
}

#[test]
fn turn_central_join_and_drop() {
    join(2, Central, 2, false, 3, true);
}

/// One leaves while another joins: the trip behind is one of two again.
fn leave_and_join(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut stayer, leaver]) = Stage::new::<2>(algorithm, parks);
        let leaving = {
            let stage = stage.clone();
            thread::spawn(move || stage.leave(leaver))
        };
        let joining = {
            let stage = stage.clone();
            thread::spawn(move || {
                let mut newcomer = stage.barrier.join().unwrap();
                (place(newcomer.generation()), stage.cross(&mut newcomer, 3, &[0]), newcomer)
            })
        };
        let mut book = vec![stage.wait(&mut stayer, PATIENT, &[1])];
        book.extend(stage.cross(&mut stayer, 3, &[]));
        leaving.join().unwrap();
        let (from, newcomers, newcomer) = joining.join().unwrap();
        assert_eq!(newcomers.len() as u32, 3 - from.min(3));
        all_complete(&[book, newcomers], 3, from.min(3)..3);
        // A rank that somebody has left is given anew, but not before the trip is over that its leaver arrived at.
        assert!(newcomer.rank() == 2 || newcomer.rank() == 1 && from > 1, "{newcomer:?}");
    });
}

#[test]
fn leave_and_join_central() {
    leave_and_join(2, Central, false);
}

#[test]
fn leave_and_join_exchange_sleepers() {
    leave_and_join(1, Exchange, true);
}

/// Two join at once: both take part from the same trip on, or one behind the other.
fn two_join(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut one]) = Stage::new(algorithm, parks);
        let joining = [(), ()].map(|()| {
            let stage = stage.clone();
            thread::spawn(move || {
                let mut newcomer = stage.barrier.join().unwrap();
                (place(newcomer.generation()), stage.cross(&mut newcomer, 2, &[0]), newcomer)
            })
        });
        let mut books = vec![stage.cross(&mut one, 2, &[])];
        let mut kept = vec![one];
        for newcomer in joining {
            let (from, book, newcomer) = newcomer.join().unwrap();
            assert_eq!(book.len() as u32, 2 - from.min(2));
            books.push(book);
            kept.push(newcomer);
        }
        all_complete(&books, 2, 0..2);
        assert!(kept[1].rank() + kept[2].rank() == 3, "{kept:?}");
    });
}

#[test]
fn join_supersedes_a_join() {
    two_join(2, Central, false);
}

#[test]
fn join_supersedes_a_sleeping_join() {
    two_join(1, Exchange, true);
}

/// A trip breaks at whose end somebody joins: the newcomer is told the same, and all go on behind the reset.
fn join_a_broken_trip(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut one, mut absent]) = Stage::new(algorithm, parks);
        let joining = {
            let barrier = stage.barrier.clone();
            thread::spawn(move || {
                let mut newcomer = barrier.join().unwrap();
                (newcomer.wait().unwrap_err(), newcomer)
            })
        };
        let aborting = {
            let barrier = stage.barrier.clone();
            thread::spawn(move || barrier.abort("model"))
        };
        let mine = one.wait().unwrap_err();
        let record = aborting.join().unwrap();
        let (theirs, mut newcomer) = joining.join().unwrap();
        assert_eq!((&mine, &theirs, mine.generation()), (&record, &record, FIRST));
        assert_eq!(absent.wait().unwrap_err(), record);
        assert_eq!(stage.barrier.reset(), Ok(0));
        let crossing = thread::spawn(move || (newcomer.wait().map(|trip| trip.generation()), newcomer));
        let arrivals = [one.arrive().try_wait(), absent.arrive().try_wait()];
        assert!(arrivals.iter().all(|arrival| arrival.as_ref().is_ok()), "{arrivals:?}");
        assert_eq!(crossing.join().unwrap().0, Ok(0));
    });
}

#[test]
fn join_a_broken_trip_central() {
    join_a_broken_trip(1, Central, false);
}

#[test]
fn join_a_broken_trip_sleepers() {
    join_a_broken_trip(1, Central, true);
}

/// The action fails on a trip behind which somebody joins: it is complete by the slots, and broken for all.
#[test]
fn join_behind_a_failing_action() {
    explore(2, || {
        let action = modelled(|_| resume_unwind(Box::new("model")));
        let barrier = barrier_from(FIRST, Central, 1, false, Some(action));
        let mut one = barrier.claim(0).unwrap();
        let joining = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let mut newcomer = barrier.join().unwrap();
                // Told of the trip before its first one, or if it came behind that: of its own, for which nobody comes.
                (newcomer.wait_timeout(IMPATIENT).unwrap_err(), newcomer)
            })
        };
        let mine = one.wait().unwrap_err();
        assert_eq!(mine.cause(), &Cause::ActionPanicked { message: "model".into() });
        let (theirs, _kept) = joining.join().unwrap();
        match theirs.cause() {
            // Its patience ended before the action did.
            Cause::TimedOut { rank: 1, .. } => assert!(place(theirs.generation()) > 0),
            _ => assert_eq!(theirs, mine),
        }
    });
}

/// A party arrives and drops its handle: the trip stands, and the one behind it breaks.
fn drop_of_an_arrival(bound: usize, algorithm: Algorithm, parks: bool) {
    explore(bound, move || {
        let (stage, [mut stayer, mut goer]) = Stage::new(algorithm, parks);
        let going = thread::spawn(move || {
            let _ = goer.arrive();
            drop(goer);
        });
        let first = stayer.wait().map(|trip| trip.generation());
        let second = stayer.wait().unwrap_err();
        going.join().unwrap();
        assert_eq!((first, second.generation()), (Ok(FIRST), 0));
        assert_eq!(second.cause(), &Cause::Dropped { rank: 1 });
        assert_eq!(stage.barrier.broken(), Some(second));
    });
}

#[test]
fn drop_of_an_arrival_exchange() {
    drop_of_an_arrival(2, Exchange, false);
}

#[test]
fn drop_of_an_arrival_central() {
    drop_of_an_arrival(2, Central, false);
}

#[test]
fn drop_of_an_arrival_sleepers() {
    drop_of_an_arrival(2, Exchange, true);
}

/// A party leaves while another joins, so that the era that the newcomer was given may be superseded before it has its
/// handle. That is no break: of the one that comes then, behind which it is reset, the newcomer is told.
#[test]
fn join_superseded_by_a_leave_is_told_of_a_break() {
    explore(3, || {
        let (stage, [mut stayer, leaver]) = Stage::new(Central, false);
        let leaving = thread::spawn(move || leaver.leave());
        let mut newcomer = stage.barrier.join().unwrap();
        leaving.join().unwrap();
        assert_eq!(stayer.wait().map(|trip| trip.generation()), Ok(FIRST));
        let record = stage.barrier.abort("model");
        let named: Vec<usize> = record.missing().iter().map(|missing| missing.rank).collect();
        assert_eq!((record.generation(), named), (newcomer.generation(), vec![0, 2]));
        assert_eq!(stage.barrier.reset(), Ok(1));
        // Without patience, because who is told of nothing takes part in a trip to which nobody else comes.
        let told = [stayer.wait_timeout(IMPATIENT), newcomer.wait_timeout(IMPATIENT)];
        assert_eq!(told, [Err(record.clone()), Err(record)]);
    });
}

/// A barrier breaks and is reset while somebody joins. Who joins before the break is told of it, and who joins behind it
/// is not: which of them it is shows in the trip that it was told to be its first one.
#[test]
fn join_against_a_break_and_a_reset() {
    explore(3, || {
        let (stage, [_party]) = Stage::new(Central, false);
        let breaking = {
            let barrier = stage.barrier.clone();
            thread::spawn(move || (barrier.abort("model"), barrier.reset()))
        };
        let mut newcomer = stage.barrier.join().unwrap();
        let first = newcomer.generation();
        let (record, reset) = breaking.join().unwrap();
        assert_eq!((record.generation(), reset), (FIRST, Ok(0)));
        let told = newcomer.wait_timeout(IMPATIENT).unwrap_err();
        match place(first) {
            // Joined before the break.
            1 if told == record => {}
            // On the broken barrier, or behind the reset: nobody else comes to its first trip.
            place @ (0 | 2) => assert_eq!(told.generation(), u64::from(place == 2)),
            _ => panic!("of trip {first}, and told {told}"),
        }
    });
}
