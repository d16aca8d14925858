//! Random schedules of 8 to 16 parties, to whom everything may happen that can happen to a party: it is impatient, drops its
//! handle, panics, leaves; newcomers join; somebody from outside aborts, resets, wakes for no reason. See `shuttle.rs` for
//! what is compared, and `explore_shuttle.rs` for how.

use super::party::Party;
use super::shuttle::{Data, barrier, leave_and_return};
use super::shuttle_riders::{Book, agree, data, place};
use crate::algo::select::Algorithm;
use crate::error::{Broken, Cause};
use crate::explore_shuttle::Ending::{self, Cut, Whole};
use crate::explore_shuttle::{dawdle, explore};
use crate::primitive::{steps::STEP, unwinding};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CROWD: RangeInclusive<usize> = 8..=16;

/// What becomes of a party, at the trip with this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// Waits so many steps at most.
    Impatient(u32, u32),
    Drops(u32),
    Panics(u32),
    /// Arrives at that trip, and goes for good.
    Leaves(u32),
}
use Fate::{Drops, Impatient, Leaves, Panics, Stays};

/// What may happen in a test.
#[derive(Clone, Copy)]
struct Plot {
    trips: u32,
    /// Which of these fates a party may have, the place and the patience drawn anew.
    fates: &'static [Fate],
    aborts: bool,
    joins: bool,
}

/// What happens in one execution.
#[derive(Clone, Debug)]
struct Cast {
    trips: u32,
    /// By rank.
    fates: Vec<Fate>,
    aborts: bool,
    joins: u32,
}

impl Cast {
    fn draw(plot: Plot) -> Self {
        let parties = thread_rng().gen_range(CROWD);
        let mut fates = vec![Stays; parties];
        if !plot.fates.is_empty() {
            // None in one execution of four.
            for _ in 0..thread_rng().gen_range(0..=3) {
                let rank = thread_rng().gen_range(0..parties);
                let at = thread_rng().gen_range(0..plot.trips);
                fates[rank] = match plot.fates[thread_rng().gen_range(0..plot.fates.len())] {
                    Stays => Stays,
                    Impatient(..) => Impatient(at, thread_rng().gen_range(0..=2)),
                    Drops(_) => Drops(at),
                    Panics(_) => Panics(at),
                    Leaves(_) => Leaves(at),
                };
            }
        }
        // Somebody stays, so that there is somebody to tell of it.
        fates[0] = Stays;
        let joins = if plot.joins { thread_rng().gen_range(0..=2) } else { 0 };
        Self { trips: plot.trips, fates, aborts: plot.aborts && thread_rng().gen_bool(0.5), joins }
    }

    /// Whether the party that had this rank at first is sure to have been at the trip with this place, if that completed.
    fn was_at(&self, rank: usize, at: u32) -> bool {
        match self.fates[rank] {
            Stays | Impatient(..) => true,
            Drops(on) | Panics(on) => at < on,
            Leaves(on) => at <= on,
        }
    }

    /// The first trip that cannot complete.
    fn doomed_at(&self) -> Option<u32> {
        let doomed = self.fates.iter().filter_map(|fate| match fate {
            Drops(on) | Panics(on) => Some(*on),
            _ => None,
        });
        doomed.min()
    }

    /// The break is somebody's doing.
    fn justifies(&self, broken: &Broken) -> bool {
        let at = place(broken.generation());
        match *broken.cause() {
            Cause::TimedOut { rank, .. } => matches!(self.fates.get(rank), Some(Impatient(on, _)) if *on == at),
            Cause::Dropped { rank } => self.fates.get(rank) == Some(&Drops(at)),
            Cause::Panicked { rank } => self.fates.get(rank) == Some(&Panics(at)),
            Cause::Aborted { .. } => self.aborts,
            _ => false,
        }
    }
}

/// A party's life as it has written it down.
struct Life {
    /// Its first trip.
    from: u32,
    book: Book,
    /// It went of its own will, or by a panic.
    gone: bool,
    kept: Option<Party>,
}

/// Takes a party through its trips, to its fate or to the first trip that is broken.
fn live(mut party: Party, fate: Fate, cast: &Cast, data: &Data) -> Life {
    let from = place(party.generation());
    let mut book = Book::new();
    while place(party.generation()) < cast.trips {
        let (at, rank) = (place(party.generation()), party.rank());
        match fate {
            Drops(on) if on == at => drop(party),
            Panics(on) if on == at => unwinding(|| drop(party)),
            Leaves(on) if on == at => {
                data[rank].store(at + 1, Ordering::Relaxed);
                party.leave();
            }
            _ => {
                data[rank].store(at + 1, Ordering::Relaxed);
                let outcome = match fate {
                    Impatient(on, steps) if on == at => party.wait_timeout(STEP * steps),
                    _ => party.wait(),
                };
                let told = outcome.as_ref().map_or_else(Broken::generation, |trip| trip.generation());
                // A newcomer is told of the trip before its first one as well, if that breaks.
                let early = outcome.is_err() && at == from && place(told) + 1 == at;
                assert!(place(told) == at || early, "told of another trip than {at}: {outcome:?}");
                if outcome.is_ok() {
                    for other in (0..cast.fates.len()).filter(|other| cast.was_at(*other, at)) {
                        let seen = data[other].load(Ordering::Relaxed);
                        // Nobody is two trips ahead; but a rank that was left may be a newcomer's, before its first trip.
                        let stays = matches!(cast.fates[other], Stays | Impatient(..));
                        let at_most = if stays { at + 2 } else { cast.trips };
                        assert!((at + 1..=at_most).contains(&seen), "{rank} sees {seen} of {other} after trip {at}");
                    }
                }
                let broken = outcome.is_err();
                book.push((place(told), outcome.map(|trip| (trip.is_leader(), None))));
                if broken {
                    break;
                }
                continue;
            }
        }
        return Life { from, book, gone: true, kept: None };
    }
    Life { from, book, gone: false, kept: Some(party) }
}

/// Plays to the end, or to the first broken trip.
fn play(algorithm: Algorithm, plot: Plot) -> Ending {
    let cast = Arc::new(Cast::draw(plot));
    let barrier = barrier(algorithm, cast.fates.len(), thread_rng().gen_bool(0.5));
    let data = data();
    let spawn = |party: Party, fate: Fate| {
        let (cast, data) = (Arc::clone(&cast), Arc::clone(&data));
        thread::spawn(move || live(party, fate, &cast, &data))
    };
    let parties = barrier.take_parties().unwrap().into_iter();
    let mut threads: Vec<_> = parties.zip(&cast.fates).map(|(party, fate)| spawn(party, *fate)).collect();
    thread::yield_now();
    for _ in 0..cast.joins {
        dawdle(40);
        threads.push(spawn(barrier.join().unwrap(), Stays));
    }
    if cast.aborts {
        dawdle(10 * cast.fates.len());
        barrier.abort("shuttle");
    }
    let lives: Vec<Life> = threads.into_iter().map(|party| party.join().unwrap()).collect();
    check(&cast, lives)
}

/// Everybody was told the same of each trip, nobody was left out of one, and what broke is somebody's doing.
fn check(cast: &Cast, lives: Vec<Life>) -> Ending {
    let mut books = Vec::new();
    let mut kept = Vec::new();
    for Life { from, book, gone, kept: party } in lives {
        let broken = book.last().is_some_and(|(_, outcome)| outcome.is_err());
        assert!(gone || broken || book.len() as u32 == cast.trips.saturating_sub(from), "{from}: {book:?} of {cast:?}");
        books.push(book);
        kept.extend(party);
    }
    let (leaders, ending) = agree(&books);
    drop(kept);
    let told = books.iter().flatten().find_map(|(at, outcome)| Some((*at, outcome.as_ref().err()?)));
    if let Some((_, broken)) = told {
        assert!(cast.justifies(broken), "{broken} of {cast:?}");
    }
    let end = told.map_or(cast.trips, |(at, _)| at);
    assert!(cast.doomed_at().is_none_or(|on| end <= on), "trip {end} without its parties: {cast:?}, {books:?}");
    // Who leaves may have been the leader of its last trip, and has not written that down.
    for at in (0..end).filter(|at| !cast.fates.contains(&Leaves(*at))) {
        assert_eq!(leaders.get(&at), Some(&1), "leaders of trip {at}: {cast:?}, {books:?}");
    }
    ending
}

#[test]
fn crowd_is_impatient_and_aborted() {
    let plot = Plot { trips: 3, fates: &[Impatient(0, 0)], aborts: true, joins: false };
    explore(5_400, &[Whole, Cut], move |algorithm| play(algorithm, plot));
}

#[test]
fn crowd_loses_parties() {
    let plot = Plot { trips: 3, fates: &[Drops(0), Panics(0)], aborts: false, joins: false };
    explore(5_400, &[Whole, Cut], move |algorithm| play(algorithm, plot));
}

#[test]
fn crowd_comes_and_goes() {
    let plot = Plot { trips: 4, fates: &[Leaves(0)], aborts: false, joins: true };
    explore(5_400, &[Whole], move |algorithm| play(algorithm, plot));
}

#[test]
fn crowd_meets_everything() {
    let fates = &[Impatient(0, 0), Drops(0), Panics(0), Leaves(0)];
    explore(9_000, &[Whole, Cut], move |algorithm| {
        play(algorithm, Plot { trips: 3, fates, aborts: true, joins: true })
    });
}

#[test]
fn one_of_a_crowd_leaves_and_returns() {
    explore(2_700, &[Whole], |algorithm| {
        let parties = thread_rng().gen_range(CROWD);
        leave_and_return(algorithm, parties, thread_rng().gen_bool(0.5))
    });
}

/// Some are impatient, somebody aborts and resets, more than once; whatever is broken is reset, and all go on to the end.
///
/// Who is away while the barrier breaks twice is told of one of the breaks, so the books are compared by trip, and the end is
/// the first complete trip that lies far enough: that one has all parties.
fn go_on(algorithm: Algorithm) -> Ending {
    const TRIPS: u32 = 4;
    let parties = thread_rng().gen_range(CROWD);
    let barrier = barrier(algorithm, parties, thread_rng().gen_bool(0.5));
    let done = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = barrier
        .take_parties()
        .unwrap()
        .into_iter()
        .map(|mut party| {
            let done = Arc::clone(&done);
            // The wait that has a limit, if any has.
            let hasty = thread_rng().gen_bool(0.1).then(|| thread_rng().gen_range(0..TRIPS));
            thread::spawn(move || {
                let mut book = Book::new();
                loop {
                    let limit = if hasty == Some(book.len() as u32) { STEP } else { Duration::MAX };
                    let outcome = party.wait_timeout(limit);
                    let at = place(outcome.as_ref().map_or_else(Broken::generation, |trip| trip.generation()));
                    let entry = (at, outcome.map(|trip| (trip.is_leader(), None)));
                    if entry.1.is_err() && book.last() == Some(&entry) {
                        thread::yield_now(); // told again: the reset has not come yet
                        continue;
                    }
                    assert!(book.last().is_none_or(|(before, _)| *before < at), "{entry:?} behind {book:?}");
                    let last = entry.1.is_ok() && at >= TRIPS;
                    book.push(entry);
                    if last {
                        break;
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
                (book, party)
            })
        })
        .collect();
    let mut acts = thread_rng().gen_range(0..=3);
    while (done.load(Ordering::Relaxed) as usize) < parties {
        dawdle(4 * parties);
        if barrier.is_broken() {
            barrier.reset().unwrap();
        } else if acts > 0 {
            acts -= 1;
            if thread_rng().gen_bool(0.5) {
                barrier.abort("shuttle");
            } else {
                barrier.reset().unwrap();
            }
        }
        thread::yield_now();
    }
    let (books, kept): (Vec<_>, Vec<_>) = threads.into_iter().map(|party| party.join().unwrap()).unzip();
    drop(kept);
    let (leaders, ending) = agree(&books);
    let complete = |book: &Book| book.iter().filter(|(_, told)| told.is_ok()).map(|(at, _)| *at).collect::<Vec<_>>();
    let trips = complete(&books[0]);
    assert!(books.iter().all(|book| complete(book) == trips), "not of the same trips: {books:?}");
    assert!(trips.iter().all(|at| leaders[at] == 1), "leaders: {books:?}");
    ending
}

#[test]
fn crowd_goes_on_behind_resets() {
    explore(1_800, &[Whole, Cut], go_on);
}
