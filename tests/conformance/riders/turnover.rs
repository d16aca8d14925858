//! Members come and go all the time, at random; what each saw of every trip is audited afterwards (B14).

use super::super::common::watch::{Job, Step, panic_quietly};
use super::super::common::{Watch, scaled};
use super::super::properties::build;
use super::super::subject::{Family, Phalanx};
use super::{Outcome, all_or_none};
use phalanx::{Broken, Cause, JoinError, Party, Trip};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// One handle's life: the trips from its first to its last, in which it may have left.
#[derive(Debug)]
struct Life {
    rank: usize,
    first: u64,
    trips: Vec<Seen>,
}

/// What a member saw of a trip.
#[derive(Debug)]
enum Seen {
    /// All ranks, and its own place among them.
    Ranks(Vec<usize>, usize),
    /// How many there were, their ranks summed up, and what it had been told how many there would be.
    Sum(u32, usize, usize),
    Waited {
        leads: bool,
    },
    Left,
}

/// Crosses trips until it leaves; `enough` is asked on the trips on which that can be: others may only wait there.
fn live(mut party: Party, watch: &Watch, mark: usize, mut enough: impl FnMut() -> bool) -> Life {
    let (rank, first) = (party.rank(), party.generation());
    let mut trips = Vec::new();
    loop {
        let generation = party.generation();
        assert_eq!((generation, party.rank()), (first.wrapping_add(trips.len() as u64), rank));
        watch.mark(mark, generation, Step::Waiting);
        // The place in the first trip may change until it opens.
        let (index, parties) = if trips.is_empty() { (usize::MAX, 0) } else { (party.index(), party.parties()) };
        let seen = match generation % 4 {
            0 => Seen::Ranks(party.all_gather(rank).unwrap(), index),
            2 => {
                let sum = party.cloning().all_reduce((1, rank), |a, b| (a.0 + b.0, a.1 + b.1)).unwrap();
                Seen::Sum(sum.0, sum.1, parties)
            }
            // Not before its first trip is open: it would be none of it.
            _ if !trips.is_empty() && enough() => {
                trips.push(Seen::Left);
                party.leave();
                return Life { rank, first, trips };
            }
            1 => {
                let trip = party.wait().unwrap();
                assert_eq!(trip.generation(), generation);
                Seen::Waited { leads: trip.is_leader() }
            }
            _ => Seen::Waited { leads: party.arrive().wait().unwrap().is_leader() },
        };
        trips.push(seen);
    }
}

/// Nothing breaks: each trip has exactly the members that it should have.
pub(crate) fn peaceful(family: Phalanx, watch: &Watch) {
    for workers in [1, 2, 3, 6] {
        if family.takes_slices(workers + 1) && workers > 2 {
            continue;
        }
        let first = if workers % 2 == 0 { 0 } else { u64::MAX - 5 };
        // Some are members from the start; rank 0 stays to the end.
        let control = &build(family, watch, 1 + workers / 2, first);
        let mut parties = control.take_parties().unwrap();
        let anchor = parties.remove(0);
        let (going, rng) = (&AtomicUsize::new(workers), watch.rng());
        let lives = scaled(if family.takes_slices(workers + 1) { 3 } else { 30usize.div_ceil(workers) });
        let mut jobs: Vec<Job<'_, Vec<Life>>> =
            vec![Box::new(move || vec![live(anchor, watch, 0, || going.load(SeqCst) == 0)])];
        for worker in 1..=workers {
            let (mut rng, mut born) = (rng.fork(worker), parties.pop());
            jobs.push(Box::new(move || {
                let mut led = Vec::new();
                for _ in 0..lives {
                    rng.dawdle();
                    let party = born.take().unwrap_or_else(|| control.join().unwrap());
                    let mut left = rng.below(4);
                    led.push(live(party, watch, worker, || {
                        left = left.wrapping_sub(1);
                        left == u64::MAX
                    }));
                }
                going.fetch_sub(1, SeqCst);
                led
            }));
        }
        let led: Vec<_> = watch.crew(jobs).into_iter().flatten().collect();
        assert!(control.has_ended() && control.parties() == 0 && !control.is_broken());
        assert_eq!(control.join().unwrap_err(), JoinError::Ended);
        audit(&led, first, workers * lives + 1);
    }
}

/// The members of each trip are those whose lives say so, no more and no fewer, and everybody saw them.
fn audit(lives: &[Life], start: u64, handles: usize) {
    assert_eq!(lives.len(), handles);
    let mut trips: BTreeMap<u64, BTreeMap<usize, &Seen>> = BTreeMap::new();
    for life in lives {
        for (trip, seen) in (life.first.wrapping_sub(start)..).zip(&life.trips) {
            let twice = trips.entry(trip).or_default().insert(life.rank, seen);
            assert!(twice.is_none(), "two of rank {} in trip {trip}", life.rank);
        }
    }
    for (place, (trip, members)) in trips.iter().enumerate() {
        assert_eq!(*trip, place as u64, "a trip without members");
        let ranks: Vec<usize> = members.keys().copied().collect();
        let (mut leaders, mut leavers) = (0, 0);
        for (position, (rank, seen)) in members.iter().enumerate() {
            let fine = match seen {
                Seen::Ranks(seen, index) => *seen == ranks && (*index == position || *index == usize::MAX),
                Seen::Sum(ones, sum, parties) => {
                    let count = ranks.len();
                    *ones as usize == count
                        && *sum == ranks.iter().sum::<usize>()
                        && (*parties == count || *parties == 0)
                }
                Seen::Waited { leads } => {
                    leaders += usize::from(*leads);
                    true
                }
                Seen::Left => {
                    leavers += 1;
                    true
                }
            };
            assert!(fine, "rank {rank} in trip {trip}: {members:?}");
        }
        let waited = members.values().any(|seen| matches!(seen, Seen::Waited { .. }));
        assert!(!waited || leaders == 1 || (leaders == 0 && leavers > 0), "leaders of trip {trip}: {members:?}");
    }
}

/// Handles are dropped as well, threads panic, an outsider aborts and resets: what one is told of a trip, all are.
pub(crate) fn stormy(family: Phalanx, watch: &Watch) {
    let (mut complete, mut broken) = (0, 0);
    for workers in [2, 4] {
        if family.takes_slices(workers + 1) && workers > 2 {
            continue;
        }
        let control = &build(family, watch, 1, u64::MAX - 20);
        let anchor = control.claim(0).unwrap();
        let (going, rng) = (&AtomicUsize::new(workers), watch.rng());
        let lives = scaled(if family.takes_slices(workers + 1) { 12 } else { 40usize.div_ceil(workers) });
        let mut jobs: Vec<Job<'_, Vec<Vec<Outcome<Trip>>>>> = Vec::new();
        jobs.push(Box::new(move || vec![endure(anchor, watch, 0, || going.load(SeqCst) == 0, Party::leave)]));
        for worker in 1..=workers {
            let mut rng = rng.fork(worker);
            jobs.push(Box::new(move || {
                let (mut books, mut again) = (Vec::new(), None);
                for _ in 0..lives {
                    rng.dawdle();
                    let party = again.take().unwrap_or_else(|| control.join().unwrap());
                    let (rank, mut left, how) = (party.rank(), rng.below(6), rng.below(4));
                    let enough = || {
                        left = left.wrapping_sub(1);
                        left == u64::MAX
                    };
                    books.push(endure(party, watch, worker, enough, |party| match how {
                        0 => drop(party),
                        1 => drop(catch_unwind(AssertUnwindSafe(move || {
                            let _dropped_by_the_panic = party;
                            panic_quietly();
                        }))),
                        _ => party.leave(),
                    }));
                    if how < 2 {
                        rng.dawdle();
                        let party = control.claim(rank).unwrap();
                        match rng.once_in(2) {
                            true => party.leave(),
                            false => again = Some(party),
                        }
                    }
                }
                if let Some(party) = again {
                    party.leave();
                }
                going.fetch_sub(1, SeqCst);
                books
            }));
        }
        let mut books = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut rng = rng.fork(workers + 1);
                while !control.has_ended() {
                    if rng.once_in(8) && going.load(SeqCst) > 0 {
                        control.abort("from outside");
                    }
                    rng.dawdle();
                    // Refused while a rank is deserted, or all have left.
                    let _ = control.is_broken().then(|| control.reset());
                    thread::sleep(Duration::from_micros(rng.below(300)));
                }
            });
            books = watch.crew(jobs).into_iter().flatten().collect::<Vec<_>>();
        });
        let mut trips: BTreeMap<u64, Vec<Outcome<bool>>> = BTreeMap::new();
        for outcome in books.into_iter().flatten() {
            let number = outcome.as_ref().map_or_else(Broken::generation, |trip| trip.generation());
            trips.entry(number).or_default().push(outcome.map(Trip::is_leader));
        }
        for (trip, outcomes) in trips {
            match all_or_none(&outcomes, &(family, trip)) {
                Some(told) => {
                    broken += 1;
                    let planned = Cause::Aborted { reason: "from outside".into() };
                    let known = matches!(told.cause(), Cause::Dropped { .. } | Cause::Panicked { .. });
                    assert!(known || *told.cause() == planned, "nobody did that: {told}");
                }
                None => {
                    complete += 1;
                    assert!(outcomes.iter().filter(|leads| **leads == Ok(true)).count() < 2, "{trip}: {outcomes:?}");
                }
            }
        }
    }
    assert!(
        crate::common::is_short() || (complete > 0 && broken > 0),
        "{complete} complete, {broken} broken: nothing was tested"
    );
}

/// Crosses trips, broken or not, until it has had enough, and goes as it is told to.
fn endure(
    mut party: Party,
    watch: &Watch,
    mark: usize,
    mut enough: impl FnMut() -> bool,
    go: impl FnOnce(Party),
) -> Vec<Outcome<Trip>> {
    let mut book: Vec<Outcome<Trip>> = Vec::new();
    while !enough() {
        watch.mark(mark, party.generation(), Step::Waiting);
        let outcome = if book.len() % 2 == 0 { party.wait() } else { party.arrive().wait() };
        if outcome.is_err() {
            thread::sleep(Duration::from_micros(50)); // until the reset it is told again
        }
        if outcome.is_ok() || book.last() != Some(&outcome) {
            book.push(outcome);
        }
    }
    watch.mark(mark, party.generation(), Step::Leaving);
    go(party);
    book
}
