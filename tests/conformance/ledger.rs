//! The audit: every party writes down every outcome with the times around it; afterwards all books are compared.

use super::subject::{Outcome, Stay};
use phalanx::Cause;
use std::collections::BTreeMap;
use std::time::Instant;

/// One wait of one party.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Counts the handles that this rank has had.
    pub(crate) handle: usize,
    pub(crate) stay: Stay,
    pub(crate) called: Instant,
    pub(crate) returned: Instant,
    pub(crate) outcome: Outcome,
}

/// A handle given up on purpose.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) cause: Cause,
    pub(crate) began: Instant,
}

/// All that one rank has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) entries: Vec<Entry>,
    pub(crate) departures: Vec<Departure>,
}

impl Book {
    /// Notes an outcome, but not the same error again: a party may be told any number of times before the reset.
    pub(crate) fn note(&mut self, entry: Entry) {
        let again =
            |last: &Entry| last.handle == entry.handle && last.outcome.is_err() && last.outcome == entry.outcome;
        if !self.entries.last().is_some_and(again) {
            self.entries.push(entry);
        }
    }
}

/// What the audit found, where it found nothing wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) complete: usize,
    pub(crate) broken: usize,
}

fn number(outcome: &Outcome) -> u64 {
    outcome.as_ref().map_or_else(|failure| failure.generation, |crossing| crossing.generation)
}

/// Compares the books of all ranks.
pub(crate) fn audit(books: &[Book], first: u64) -> Tally {
    let mut trips: BTreeMap<u64, Vec<(usize, &Entry)>> = BTreeMap::new();
    for (rank, book) in books.iter().enumerate() {
        audit_alone(rank, book, first);
        for entry in &book.entries {
            trips.entry(number(&entry.outcome).wrapping_sub(first)).or_default().push((rank, entry));
        }
    }
    let mut tally = Tally::default();
    for (trip, entries) in &trips {
        if entries.iter().any(|(_, entry)| entry.outcome.is_ok()) {
            audit_complete(*trip, entries, books.len());
            tally.complete += 1;
        } else {
            audit_broken(*trip, entries, books);
            tally.broken += 1;
        }
    }
    tally
}

/// One rank's own view: no trip twice, no trip skipped unless by a break that it was told of.
fn audit_alone(rank: usize, book: &Book, first: u64) {
    for pair in book.entries.windows(2) {
        let [before, after] = pair else { unreachable!("windows of two") };
        let (from, to) = (number(&before.outcome).wrapping_sub(first), number(&after.outcome).wrapping_sub(first));
        let fine = match (&before.outcome, before.handle == after.handle) {
            (Ok(_), true) => to == from + 1,
            // A new handle is made after a break.
            (Ok(_), false) => to > from,
            (Err(_), true) => to > from,
            (Err(_), false) => to > from || before.outcome == after.outcome,
        };
        assert!(fine, "rank {rank}: {before:?}, then {after:?}");
    }
}

/// C1, C2, C7 for a trip that somebody completed.
fn audit_complete(trip: u64, entries: &[(usize, &Entry)], parties: usize) {
    assert!(entries.iter().all(|(_, entry)| entry.outcome.is_ok()), "trip {trip} is mixed: {entries:#?}");
    let mut ranks: Vec<usize> = entries.iter().map(|(rank, _)| *rank).collect();
    ranks.sort_unstable();
    assert!(ranks.iter().copied().eq(0..parties), "trip {trip} was completed by {ranks:?} of {parties}");
    let leads = |entry: &&(usize, &Entry)| entry.1.outcome.as_ref().is_ok_and(|crossing| crossing.leader);
    assert_eq!(entries.iter().filter(leads).count(), 1, "leaders of trip {trip}: {entries:#?}");
    let last_call = entries.iter().map(|(_, entry)| entry.called).max();
    let first_return = entries.iter().map(|(_, entry)| entry.returned).min();
    assert!(last_call <= first_return, "trip {trip}: released before the last arrival: {entries:#?}");
}

/// C2, C3 for a trip that nobody completed: all are told the same, it names who did it, and who is said to have arrived
/// had come.
fn audit_broken(trip: u64, entries: &[(usize, &Entry)], books: &[Book]) {
    let (_, sample) = entries[0];
    assert!(entries.iter().all(|(_, entry)| entry.outcome == sample.outcome), "trip {trip} is mixed: {entries:#?}");
    let failure = sample.outcome.as_ref().unwrap_err();
    let first_return = entries.iter().map(|(_, entry)| entry.returned).min().unwrap();
    let of_rank = |rank: usize| entries.iter().find(|(other, _)| *other == rank).map(|(_, entry)| *entry);
    assert!(!failure.missing.is_empty(), "all had arrived, yet trip {trip} broke: {failure:?}");
    assert_eq!(failure.arrived + failure.missing.len(), books.len(), "{failure:?}");
    for rank in (0..books.len()).filter(|rank| !failure.missing.contains(rank)) {
        let came = of_rank(rank).is_some_and(|entry| entry.called <= first_return);
        assert!(came, "rank {rank} is said to have arrived at trip {trip}: {failure:?}, {:?}", of_rank(rank));
    }
    match &failure.cause {
        Cause::TimedOut { rank, after } => {
            let entry = of_rank(*rank).expect("who timed out is told so");
            assert_eq!(entry.stay, Stay::Timeout(*after), "trip {trip}: {failure:?}");
            assert!(entry.returned - entry.called >= *after, "early: {entry:?}");
            assert!(!failure.missing.contains(rank), "who waited had arrived: {failure:?}");
        }
        cause @ (Cause::Panicked { rank } | Cause::Dropped { rank }) => {
            let did = |departure: &Departure| departure.cause == *cause && departure.began <= first_return;
            assert!(books[*rank].departures.iter().any(did), "trip {trip}: rank {rank} did not do that: {failure:?}");
            assert!(failure.missing.contains(rank), "who left had not arrived: {failure:?}");
        }
        Cause::Aborted { reason } => assert!(reason == "end" || reason.starts_with("abort "), "{reason}"),
        Cause::Reset => assert!(failure.arrived > 0, "nobody waited, yet a reset broke trip {trip}"),
        other => panic!("trip {trip}: nobody did that: {other:?}"),
    }
}
