//! The audit of a storm: all books are laid side by side, trip by trip. What must hold of each trip:
//!
//! - all who came are told the same (C2): all crossed it, or all were given one and the same record;
//! - a trip that was crossed was crossed by every rank, by nobody before the last had come (C1), with one leader (C7) and with
//!   exactly the value that a loop over all that was given computes;
//! - a trip that broke names a cause that somebody had injected by then; who is said to have arrived had come, who is said
//!   to have given up had not arrived, and no limit passed early (C3, C4);
//! - what an abort returned is what the parties were told;
//! - nobody crosses a trip twice, and nobody misses one but behind a break that it was told of (C5, C6);
//! - the barrier's own counts agree, and the action ran once for each trip (`Barrier::stats`).

use super::plain::mix;
use super::profile::Op;
use super::score::Score;
use super::storm::{POISON, Round, fold, is_planned};
use phalanx::{Broken, Cause};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// And whether it led.
    Crossed(bool),
    /// Crossed, with a value.
    Served,
    /// Crossed, with a panic of its own operator in place of a value.
    Burst,
    /// By the record with this place in its book.
    Told(u32),
}

/// One wait of one party. Times are nanoseconds since the round began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) generation: u64,
    pub(crate) called: u64,
    pub(crate) returned: u64,
    /// `u64::MAX`: none.
    pub(crate) limit: u64,
    /// Counts the handles that this rank has had.
    pub(crate) handle: u32,
    pub(crate) outcome: Outcome,
    pub(crate) gave: u64,
    pub(crate) got: u64,
}

/// All that one party, or an outsider, has seen and done.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) entries: Vec<Entry>,
    pub(crate) told: Vec<Broken>,
    pub(crate) departures: Vec<(Cause, u64)>,
    /// When it had heard of the end, and dropped its handle.
    pub(crate) home: u64,
    /// What its aborts returned.
    pub(crate) said: Vec<Broken>,
    pub(crate) faults: Vec<String>,
    pub(crate) aborts: u64,
    pub(crate) resets: u64,
    pub(crate) resets_on_purpose: u64,
    pub(crate) wakes: u64,
    pub(crate) claims: u64,
    pub(crate) late: u64,
    pub(crate) limits: u64,
    pub(crate) splits: u64,
    pub(crate) poisons: u64,
    pub(crate) lonely: u64,
    pub(crate) mismatches: u64,
    pub(crate) strays: u64,
    /// What it has just given, if that is not what it was to give.
    pub(crate) gave: Option<u64>,
}

impl Book {
    pub(crate) fn acts(&self) -> u64 {
        self.aborts + self.resets_on_purpose + self.wakes
    }

    fn record(&self, entry: &Entry) -> Option<&Broken> {
        if let Outcome::Told(place) = entry.outcome { self.told.get(place as usize) } else { None }
    }
}

struct Auditor<'a> {
    round: &'a Round,
    /// Of the parties.
    books: &'a [Book],
    /// Of the parties and the outsider.
    all: &'a [Book],
    wrong: Vec<String>,
    complete: u64,
    broken: u64,
    compared: u64,
    values: u64,
    /// Of the trips on which the action has run.
    hash: u64,
    acted: u64,
    overrun: u64,
    /// The trips that broke though all had come.
    failed_behind_all: Vec<u64>,
}

/// The entries of one trip, with the ranks.
type Group<'a> = [(usize, &'a Entry)];

/// Compares the books of all ranks.
pub(crate) fn audit(round: &Round, all: &[Book], score: &mut Score) {
    let books = &all[..round.cell.parties];
    let mut auditor = Auditor {
        round,
        books,
        all,
        wrong: Vec::new(),
        complete: 0,
        broken: 0,
        compared: 0,
        values: 0,
        hash: 0,
        acted: 0,
        overrun: 0,
        failed_behind_all: Vec::new(),
    };
    auditor.go();
    let Auditor { wrong, complete, compared, values, overrun, .. } = auditor;
    for text in wrong.into_iter().chain(all.iter().flat_map(|book| book.faults.clone())).take(5) {
        score.fault(format!("{}: {text}", round.cell));
    }
    score.cross(&round.cell, complete);
    score.outcomes_compared += compared;
    score.values_checked += values;
    score.longest_overrun = score.longest_overrun.max(overrun);
    let stats = round.barrier.stats();
    for (cause, count) in &stats.breaks {
        score.break_by(cause, *count);
    }
    score.action_runs += round.runs.count.load(std::sync::atomic::Ordering::Relaxed);
    let sum = |of: fn(&Book) -> u64| all.iter().map(of).sum::<u64>();
    score.resets += sum(|book| book.resets);
    score.claims += sum(|book| book.claims);
    let panics =
        |book: &Book| book.departures.iter().filter(|(cause, _)| matches!(cause, Cause::Panicked { .. })).count();
    let panicked = all.iter().map(panics).sum::<usize>() as u64;
    score.inject("panics of a party", panicked);
    score.inject("handles dropped", sum(|book| book.departures.len() as u64) - panicked);
    score.inject("aborts", sum(|book| book.aborts));
    score.inject("short limits", sum(|book| book.limits));
    score.inject("resets in the open", sum(|book| book.resets_on_purpose));
    score.inject("operators that panic", sum(|book| book.poisons));
    score.inject("operators that panic on one party only", sum(|book| book.lonely));
    score.inject("other calls than the others'", sum(|book| book.mismatches));
    score.inject("ranks that there are not", sum(|book| book.strays));
    score.inject("cancellations", u64::from(round.profile.cancels));
    score.inject("actions that panic", stats.breaks_of("action_panicked"));
}

impl Auditor<'_> {
    fn go(&mut self) {
        (0..self.books.len()).for_each(|rank| self.alone(rank));
        let first = self.round.first;
        let mut at = vec![0; self.books.len()];
        let mut group = Vec::new();
        loop {
            let next = |(book, at): (&'_ Book, &usize)| book.entries.get(*at).map(|e| e.generation.wrapping_sub(first));
            let Some(trip) = self.books.iter().zip(&at).filter_map(next).min() else { break };
            group.clear();
            for (rank, book) in self.books.iter().enumerate() {
                let entry = book.entries.get(at[rank]);
                if let Some(entry) = entry.filter(|entry| entry.generation.wrapping_sub(first) == trip) {
                    group.push((rank, entry));
                    at[rank] += 1;
                }
            }
            self.compared += group.len() as u64;
            let records = group.iter().filter(|(_, entry)| matches!(entry.outcome, Outcome::Told(_))).count();
            match records {
                0 => self.judge_complete(trip, &group),
                all if all == group.len() => self.judge_broken(trip, &group),
                _ => self.fault(format!("trip {trip} is mixed: {group:?}")),
            }
        }
        self.judge_aborts();
        self.judge_counts();
    }

    fn fault(&mut self, text: String) {
        self.wrong.push(text);
    }

    /// One rank's own view: no trip twice, none skipped unless by a break that it was told of.
    fn alone(&mut self, rank: usize) {
        let first = self.round.first;
        let book = &self.books[rank];
        for pair in book.entries.windows(2) {
            let [before, after] = pair else { continue };
            let (from, to) = (before.generation.wrapping_sub(first), after.generation.wrapping_sub(first));
            let was_told = matches!(before.outcome, Outcome::Told(_));
            let is_told = matches!(after.outcome, Outcome::Told(_));
            // Who calls something else than the others is told so on the trip behind the one that is complete.
            let beside = self.round.profile.mismatch > 0 && is_told && to == from + 2;
            let fine = if was_told || before.handle != after.handle { to > from } else { to == from + 1 || beside };
            if !fine {
                let (old, new) = (book.record(before), book.record(after));
                self.wrong.push(format!("rank {rank}: {before:?} ({old:?}), then {after:?} ({new:?})"));
            }
        }
    }

    fn judge_complete(&mut self, trip: u64, group: &Group<'_>) {
        self.complete += 1;
        self.acted += 1;
        self.hash = self.hash.wrapping_add(mix(self.round.first.wrapping_add(trip), 3));
        let strict = self.round.profile.mismatch == 0;
        if strict && group.len() != self.books.len() {
            let ranks: Vec<usize> = group.iter().map(|(rank, _)| *rank).collect();
            self.fault(format!("trip {trip} was crossed by {ranks:?} of {}", self.books.len()));
            return;
        }
        let bare = group.iter().filter(|(_, entry)| matches!(entry.outcome, Outcome::Crossed(_))).count();
        let leaders = group.iter().filter(|(_, entry)| entry.outcome == Outcome::Crossed(true)).count();
        if leaders > 1 || (leaders == 0 && bare == self.books.len()) {
            self.fault(format!("{leaders} leaders of trip {trip}: {group:?}"));
        }
        let last_call = group.iter().map(|(_, entry)| entry.called).max();
        let first_return = group.iter().map(|(_, entry)| entry.returned).min();
        if last_call > first_return {
            self.fault(format!("trip {trip}: released before the last arrival: {group:?}"));
        }
        if bare == 0 && group.len() == self.books.len() {
            self.judge_values(trip, group);
        }
    }

    /// Exactly what a loop computes.
    fn judge_values(&mut self, trip: u64, group: &Group<'_>) {
        let Some(op) = self.round.profile.op else { return };
        let gave: Vec<u64> = group.iter().map(|(_, entry)| entry.gave).collect();
        let all = gave.iter().copied().reduce(fold).unwrap_or(0);
        for (place, (rank, entry)) in group.iter().enumerate() {
            let fine = match op {
                Op::AllReduce | Op::Gather | Op::Cloned => entry.got == all,
                Op::Reduce(to) => *rank != to || entry.got == all,
                Op::Broadcast(from) => entry.got == gave[from],
                Op::Scan => entry.got == gave[..place].iter().copied().fold(7, fold),
                Op::Serial => gave.contains(&entry.got) && entry.got == group[0].1.got,
            };
            if entry.outcome == Outcome::Burst {
                continue;
            }
            self.values += 1;
            if !fine {
                self.fault(format!("trip {trip}: the wrong value of {op:?} for rank {rank}: {group:?}"));
            }
        }
        if gave.len() > 1 && op != Op::Serial && gave.contains(&POISON) {
            self.fault(format!("trip {trip} is complete though its operator panicked: {group:?}"));
        }
    }

    /// All are told the same; it says who did it, and who is said to have arrived had come.
    fn judge_broken(&mut self, trip: u64, group: &Group<'_>) {
        self.broken += 1;
        let (rank, entry) = group[0];
        let Some(broken) = self.books[rank].record(entry).cloned() else { return };
        if group.iter().any(|(rank, entry)| self.books[*rank].record(entry) != Some(&broken)) {
            let records: Vec<_> = group.iter().map(|(rank, entry)| self.books[*rank].record(entry)).collect();
            self.fault(format!("trip {trip} is mixed: {records:?}"));
            return;
        }
        let parties = self.books.len();
        if broken.arrived() + broken.missing().len() != parties || broken.parties() != parties {
            self.fault(format!("trip {trip}: the parties do not add up: {broken:?}"));
        }
        let all_came = matches!(broken.cause(), Cause::ActionPanicked { .. } | Cause::OperatorPanicked { .. });
        // A call for a rank that there is not is refused before it arrives, and may be the only one.
        if all_came != broken.missing().is_empty() && !matches!(broken.cause(), Cause::NoSuchRank { .. }) {
            self.fault(format!("trip {trip}: who is missing does not fit the cause: {broken:?}"));
        }
        if all_came {
            self.failed_behind_all.push(trip);
        }
        if matches!(broken.cause(), Cause::ActionPanicked { .. }) {
            self.acted += 1;
            self.hash = self.hash.wrapping_add(mix(broken.generation(), 3));
        }
        let first_return = group.iter().map(|(_, entry)| entry.returned).min().unwrap_or(0);
        for rank in (0..parties).filter(|rank| broken.missing().iter().all(|missing| missing.rank != *rank)) {
            let came = group.iter().any(|(other, entry)| *other == rank && entry.called <= first_return);
            if !came {
                self.fault(format!("trip {trip}: rank {rank} is said to have arrived: {broken:?}, {group:?}"));
            }
        }
        if let Err(why) = self.judge_cause(&broken, group, first_return) {
            self.fault(format!("trip {trip}: {why}: {broken:?}, {group:?}"));
        }
    }

    /// Whether anybody has done what the record says, by then.
    fn judge_cause(&mut self, broken: &Broken, group: &Group<'_>, first_return: u64) -> Result<(), String> {
        let profile = &self.round.profile;
        let is_missing = |rank: usize| broken.missing().iter().any(|missing| missing.rank == rank);
        let sum = |of: fn(&Book) -> u64| self.all.iter().map(of).sum::<u64>();
        let fine = match broken.cause() {
            Cause::TimedOut { rank, after } => {
                let Some((_, entry)) = group.iter().find(|(other, _)| other == rank) else {
                    return Err("who timed out is not told so".into());
                };
                let (after, stayed) = (after.as_nanos() as u64, entry.returned - entry.called);
                if stayed < after {
                    return Err(format!("early: {stayed} ns of {after}"));
                }
                self.overrun = self.overrun.max(stayed.saturating_sub(entry.limit));
                // A deadline's limit is counted from the call on, the time told from the first look at the clock.
                after <= entry.limit && entry.limit < u64::MAX && !is_missing(*rank)
            }
            cause @ (Cause::Panicked { rank } | Cause::Dropped { rank }) => {
                let did = |(other, began): &(Cause, u64)| other == cause && *began <= first_return;
                let book = &self.books[*rank];
                let went_home = matches!(cause, Cause::Dropped { .. }) && book.home <= first_return;
                is_missing(*rank) && (book.departures.iter().any(did) || went_home)
            }
            Cause::Aborted { reason } => {
                let by = reason.split_once(':').and_then(|(who, number)| {
                    let (who, number) = (who.parse::<usize>().ok()?, number.parse::<u64>().ok()?);
                    Some(self.all.get(who)?.aborts > number)
                });
                by.unwrap_or((reason == "end" && !profile.cancels) || (reason == "watchdog" && profile.watchdog))
            }
            Cause::Cancelled { reason } => profile.cancels && reason == "end",
            Cause::Reset => broken.arrived() > 0 && sum(|book| book.resets) > 0,
            Cause::ActionPanicked { message } => profile.action.is_some() && is_planned(message),
            Cause::OperatorPanicked { message, .. } => {
                sum(|book| book.poisons + book.lonely) > 0 && is_planned(message)
            }
            Cause::Mismatched { rank, other, called, instead } => {
                sum(|book| book.mismatches + book.strays) > 0 && rank != other && called != instead
            }
            Cause::NoSuchRank { rank, .. } => self.books[*rank].strays > 0,
            _ => false,
        };
        if fine { Ok(()) } else { Err("nobody did that".into()) }
    }

    /// What an abort was told is what the parties were told. But an abort that comes while an action runs breaks the trip
    /// behind that; if the action then panics its own trip is the broken one, and the abort's gives way.
    fn judge_aborts(&mut self) {
        let mut said: Vec<&Broken> = self.all.iter().flat_map(|book| &book.said).collect();
        said.sort_by_key(|broken| broken.generation().wrapping_sub(self.round.first));
        self.compared += said.len() as u64;
        for broken in said {
            for (rank, book) in self.books.iter().enumerate() {
                let offset = |generation: u64| generation.wrapping_sub(self.round.first);
                let at = offset(broken.generation());
                if self.failed_behind_all.contains(&at.wrapping_sub(1)) {
                    continue;
                }
                let Ok(place) = book.entries.binary_search_by_key(&at, |entry| offset(entry.generation)) else {
                    continue;
                };
                let seen = book.entries[place];
                if book.record(&seen) != Some(broken) {
                    let record = book.record(&seen);
                    self.wrong.push(format!("an abort was told {broken}, and rank {rank} saw {seen:?} ({record:?})"));
                }
            }
        }
    }

    /// The barrier's own counts.
    fn judge_counts(&mut self) {
        let stats = self.round.barrier.stats();
        // With calls that differ a trip is complete of which nobody may say so: all are told of the next one.
        let strict = self.round.profile.mismatch == 0;
        let trips_fit = if strict { stats.trips == self.complete } else { stats.trips >= self.complete };
        // Nobody is told of a break that came and went while all stayed away.
        if !trips_fit || stats.all_breaks() < self.broken {
            let (trips, breaks) = (stats.trips, stats.all_breaks());
            let text = format!("the barrier counts {trips} trips, {breaks} breaks");
            self.fault(format!("{text}; the parties {}, {}", self.complete, self.broken));
        }
        if self.round.profile.action.is_some() {
            let load = |word: &std::sync::atomic::AtomicU64| word.load(std::sync::atomic::Ordering::Relaxed);
            let (ran, hash) = (load(&self.round.runs.count), load(&self.round.runs.hash));
            if (ran, hash) != (self.acted, self.hash) {
                self.fault(format!("the action ran {ran} times on {} trips, or on others", self.acted));
            }
        }
    }
}
