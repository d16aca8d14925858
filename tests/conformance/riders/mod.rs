//! What rides on a trip (values, the action, split phase) and who takes part in it, over every algorithm and policy.

pub(crate) mod action;
pub(crate) mod membership;
pub(crate) mod mismatch;
pub(crate) mod panics;
pub(crate) mod split;
pub(crate) mod turnover;
pub(crate) mod values;

use super::common::{party_counts, scaled};
use super::subject::{Family, Phalanx};
use phalanx::{Broken, Party, Trip};
use std::fmt::Debug;
use std::sync::Mutex;

/// The party counts for `family`, none above `most`: those that take whole time slices per trip only as far as they
/// differ.
fn counts(family: Phalanx, most: usize) -> impl Iterator<Item = usize> {
    let worth_it = move |parties: &usize| *parties <= most && (!family.takes_slices(*parties) || *parties <= 3);
    party_counts().iter().copied().filter(worth_it)
}

/// How many trips, or rounds of some trips, for so many parties.
fn rounds(family: Phalanx, parties: usize, base: usize) -> usize {
    scaled(if family.takes_slices(parties) { base.div_ceil(10).min(4) } else { base.div_ceil(parties) }).max(2)
}

/// One party's outcome of one trip; `T` is what it got.
type Outcome<T> = Result<T, Broken>;

/// What every party noted of every round.
struct Book<T>(Vec<Mutex<Vec<(usize, T)>>>);

impl<T> Book<T> {
    fn new(rounds: usize) -> Self {
        Self((0..rounds).map(|_| Mutex::default()).collect())
    }

    fn note(&self, round: usize, rank: usize, what: T) {
        self.0[round].lock().unwrap().push((rank, what));
    }

    /// The notes of each round, by rank.
    fn read(self) -> impl Iterator<Item = Vec<T>> {
        self.0.into_iter().map(|notes| {
            let mut notes = notes.into_inner().unwrap();
            notes.sort_by_key(|(rank, _)| *rank);
            notes.into_iter().map(|(_, what)| what).collect()
        })
    }
}

/// C2 from all sides: all or none. The one record that all were told, if it was none.
fn all_or_none<T: Debug>(outcomes: &[Outcome<T>], what: &dyn Debug) -> Option<Broken> {
    let told = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).cloned();
    let alike = outcomes.iter().all(|outcome| outcome.as_ref().err() == told.as_ref());
    assert!(alike, "mixed: {outcomes:?} ({what:?})");
    told
}

/// Lets parties cross a trip on one thread: all arrive, then all ask.
fn cross<'a>(parties: impl IntoIterator<Item = &'a mut Party>) -> Outcome<u64> {
    let arrivals: Vec<_> = parties.into_iter().map(Party::arrive).collect();
    let outcomes: Vec<_> = arrivals.into_iter().map(|arrival| arrival.wait().map(Trip::generation)).collect();
    if let Some(told) = all_or_none(&outcomes, &"on one thread") {
        return Err(told);
    }
    let first = *outcomes[0].as_ref().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref() == Ok(&first)), "{outcomes:?}");
    Ok(first)
}
