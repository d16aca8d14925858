//! Parties that come and go: each thread has a handle or none, joins and leaves as it likes, and waits in between. In half of
//! the rounds nothing breaks until the end, and then it is known of each trip who had to be there: it must be crossed by
//! all of these, and by nobody before the last of them had come or left. In the other half aborts and resets race with all
//! that, and it is only demanded that nobody is told anything else than the others (C2), and nobody sees a trip twice.

use super::audit::{Entry, Outcome};
use super::cell::Cell;
use super::pool::{Job, Pool, Step, Trouble, mark, rng_of};
use super::rng::Rng;
use super::score::Score;
use phalanx::{Barrier, Broken, Party, ResetError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Round {
    barrier: Barrier,
    breaks: bool,
    over: AtomicBool,
    begun: Instant,
}

/// One membership: from the first trip to the last.
struct Stay {
    rank: usize,
    /// What the handle said when it was given out.
    first: u64,
    /// The trip that it arrived at when it left, and when it called for that.
    left: Option<(u64, u64)>,
    entries: Vec<Entry>,
    told: Vec<Broken>,
}

#[derive(Default)]
struct Book {
    stays: Vec<Stay>,
    aborts: u64,
    resets: u64,
    faults: Vec<String>,
}

/// One round.
pub(crate) fn play(
    pool: &Pool,
    cell: &Cell,
    (seed, slice, _): (u64, Duration, usize),
    score: &mut Score,
) -> Result<(), Trouble> {
    let mut rng = Rng::new(seed);
    let (algorithm, policy) = cell.algorithm.zip(cell.policy).expect("a storm has both");
    let first = super::storm::first_generation(&mut rng);
    let members = cell.parties.div_ceil(2);
    let builder = Barrier::builder(members).algorithm(algorithm).wait_policy(policy).first_generation(first);
    let barrier = builder.build().expect("a barrier");
    score.barriers_built += 1;
    score.rounds_over_a_wrap += u64::from(first != 0);
    let mut parties: Vec<Option<Party>> = barrier.take_parties().expect("unclaimed").into_iter().map(Some).collect();
    parties.resize_with(cell.parties, || None);
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let round = Arc::new(Round { barrier, breaks: rng.once_in(2), over, begun });
    let job = |(place, party)| {
        let round = Arc::clone(&round);
        Box::new(move || live(&round, place, party, rng_of(seed, place))) as Job<Book>
    };
    let jobs = parties.into_iter().enumerate().map(job).collect();
    let end = || {
        round.over.store(true, Relaxed);
        round.barrier.abort("end");
    };
    let books = pool.play(jobs, slice, end).map_err(|trouble| match trouble {
        Trouble::Hang(text) => Trouble::Hang(format!("{text}\n  {:?}", round.barrier)),
        other => other,
    })?;
    judge(cell, &round, first, &books, score);
    Ok(())
}

fn live(round: &Round, place: usize, party: Option<Party>, mut rng: Rng) -> Book {
    let mut book = Book::default();
    let mut party = party.inspect(|party| book.enter(party));
    let now = || round.begun.elapsed().as_nanos() as u64;
    for attempt in 0.. {
        let over = round.over.load(Relaxed);
        let Some(member) = &mut party else {
            if over {
                break;
            }
            rng.dawdle();
            mark(place, attempt, Step::Joining);
            match round.barrier.join() {
                Ok(newcomer) => {
                    book.enter(&newcomer);
                    party = Some(newcomer);
                }
                Err(error) => book.faults.push(format!("nobody could join: {error}")),
            }
            continue;
        };
        let rare = 12 * u64::from(u8::try_from(member.parties()).unwrap_or(u8::MAX)).max(2);
        // The first stays, so that the barrier does not end.
        if place > 0 && rng.once_in(rare) {
            mark(place, attempt, Step::Leaving);
            let (generation, began) = (member.generation(), now());
            if let Some(leaver) = party.take() {
                leaver.leave();
            }
            book.stay().left = Some((generation, began));
            continue;
        }
        if round.breaks && rng.once_in(rare) {
            round.barrier.abort(format!("{place}:{}", book.aborts));
            book.aborts += 1;
        }
        if rng.once_in(rare) {
            rng.dawdle();
        }
        mark(place, attempt, Step::Waiting);
        let called = now();
        let outcome = member.wait();
        let returned = now();
        let entry = |generation, outcome| Entry {
            generation,
            called,
            returned,
            limit: u64::MAX,
            handle: 0,
            outcome,
            gave: 0,
            got: 0,
        };
        match outcome {
            Ok(trip) => {
                book.stay().entries.push(entry(trip.generation(), Outcome::Crossed(trip.is_leader())));
            }
            Err(broken) => {
                let stay = book.stay();
                if stay.told.last() != Some(&broken) {
                    stay.entries.push(entry(broken.generation(), Outcome::Told(stay.told.len() as u32)));
                    stay.told.push(broken.clone());
                }
                if round.over.load(Relaxed) {
                    break;
                }
                if round.barrier.broken().as_ref() == Some(&broken) {
                    match round.barrier.reset() {
                        Ok(_) => book.resets += 1,
                        // Who has heard of the end goes home, and its handle with it.
                        Err(ResetError::Deserted { .. }) if round.over.load(Relaxed) => {}
                        Err(error) => book.faults.push(format!("a reset was refused: {error}")),
                    }
                }
            }
        }
    }
    book
}

impl Book {
    fn enter(&mut self, party: &Party) {
        let (rank, first) = (party.rank(), party.generation());
        self.stays.push(Stay { rank, first, left: None, entries: Vec::new(), told: Vec::new() });
    }

    fn stay(&mut self) -> &mut Stay {
        self.stays.last_mut().expect("it has entered")
    }
}

impl Stay {
    fn record(&self, entry: &Entry) -> Option<&Broken> {
        if let Outcome::Told(place) = entry.outcome { self.told.get(place as usize) } else { None }
    }

    fn check_alone(&self, origin: u64, breaks: bool) -> Option<String> {
        let trip = |entry: &Entry| entry.generation.wrapping_sub(origin);
        for pair in self.entries.windows(2) {
            let [before, after] = pair else { continue };
            let told = matches!(before.outcome, Outcome::Told(_));
            let fine = if told { trip(after) > trip(before) } else { trip(after) == trip(before) + 1 };
            if !fine {
                return Some(format!("rank {}: {before:?}, then {after:?}", self.rank));
            }
        }
        // The break of the trip before is told to newcomers as well.
        let crossed = self.entries.first().filter(|first| matches!(first.outcome, Outcome::Crossed(_)));
        let first = crossed.filter(|first| !breaks && first.generation != self.first);
        first.map(|first| format!("rank {} was to begin with trip {} and saw {first:?}", self.rank, self.first))
    }
}

fn judge(cell: &Cell, round: &Round, origin: u64, books: &[Book], score: &mut Score) {
    let stays: Vec<&Stay> = books.iter().flat_map(|book| &book.stays).collect();
    let mut wrong: Vec<String> = books.iter().flat_map(|book| book.faults.clone()).collect();
    wrong.extend(stays.iter().filter_map(|stay| stay.check_alone(origin, round.breaks)));
    let mut trips: BTreeMap<u64, Vec<(&Stay, &Entry)>> = BTreeMap::new();
    for stay in &stays {
        for entry in &stay.entries {
            trips.entry(entry.generation.wrapping_sub(origin)).or_default().push((stay, entry));
        }
    }
    let mut leavers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (generation, began) in stays.iter().filter_map(|stay| stay.left) {
        leavers.entry(generation.wrapping_sub(origin)).or_default().push(began);
    }
    let (mut complete, mut compared, mut waits, mut expected) = (0, 0, 0, Expected::new(&stays, origin));
    for (trip, group) in &trips {
        compared += group.len() as u64;
        let gone = leavers.get(trip).map_or(&[][..], Vec::as_slice);
        let told = group.iter().filter(|(_, entry)| matches!(entry.outcome, Outcome::Told(_))).count();
        if told > 0 {
            let first = group[0].0.record(group[0].1);
            if told < group.len() || group.iter().any(|(stay, entry)| stay.record(entry) != first) {
                let all: Vec<_> = group.iter().map(|(stay, entry)| (stay.rank, entry, stay.record(entry))).collect();
                wrong.push(format!("trip {trip} is mixed: {all:?}"));
            }
            continue;
        }
        complete += 1;
        waits += group.len() as u64;
        let leaders = group.iter().filter(|(_, entry)| entry.outcome == Outcome::Crossed(true)).count();
        // The leader may have left with this trip.
        if leaders > 1 || (leaders == 0 && gone.is_empty() && !round.breaks) {
            wrong.push(format!("{leaders} leaders of trip {trip}"));
        }
        let mut ranks: Vec<usize> = group.iter().map(|(stay, _)| stay.rank).collect();
        ranks.sort_unstable();
        if ranks.windows(2).any(|pair| pair[0] == pair[1]) {
            wrong.push(format!("trip {trip}: a rank twice: {ranks:?}"));
        }
        if !round.breaks {
            let members = expected.members_of(*trip);
            if members != group.len() + gone.len() {
                let (here, gone) = (group.len(), gone.len());
                wrong.push(format!("trip {trip} of {members} members was crossed by {here}, and {gone} left with it"));
            }
            let last_call = group.iter().map(|(_, entry)| entry.called).chain(gone.iter().copied()).max();
            let first_return = group.iter().map(|(_, entry)| entry.returned).min();
            if last_call > first_return {
                wrong.push(format!("trip {trip}: released before the last arrival"));
            }
        }
    }
    for text in wrong.into_iter().take(5) {
        score.fault(format!("{cell}: {text}"));
    }
    score.cross(cell, complete);
    // Not all threads of the round take part in each trip.
    score.party_waits = score.party_waits - complete * cell.parties as u64 + waits;
    score.outcomes_compared += compared;
    score.joins += stays.len() as u64 - (cell.parties as u64).div_ceil(2);
    score.leaves += stays.iter().filter(|stay| stay.left.is_some()).count() as u64;
    score.resets += books.iter().map(|book| book.resets).sum::<u64>();
    score.inject("aborts", books.iter().map(|book| book.aborts).sum());
    for (cause, count) in &round.barrier.stats().breaks {
        score.break_by(cause, *count);
    }
}

/// How many members each trip has, if nothing breaks: trips are asked for in order.
struct Expected {
    /// Where a membership begins, and where it is over.
    changes: BTreeMap<u64, i64>,
    members: i64,
}

impl Expected {
    fn new(stays: &[&Stay], origin: u64) -> Self {
        let mut changes = BTreeMap::new();
        for stay in stays {
            *changes.entry(stay.first.wrapping_sub(origin)).or_default() += 1;
            if let Some((last, _)) = stay.left {
                *changes.entry(last.wrapping_sub(origin) + 1).or_default() -= 1;
            }
        }
        Self { changes, members: 0 }
    }

    fn members_of(&mut self, trip: u64) -> usize {
        while let Some(change) = self.changes.first_entry().filter(|entry| *entry.key() <= trip) {
            self.members += change.remove();
        }
        self.members as usize
    }
}
