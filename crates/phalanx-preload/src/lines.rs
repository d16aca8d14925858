//! The lines of the table that is printed at exit: sums that outlive the barriers.
//!
//! A barrier that is made again at the same place of the program, at the same address, for as many parties, goes on in its old line.
//! The first barriers have a line each; those behind share one with all that were made at the same place for as many parties, and
//! when there are too many places, one for the rest. So a program may make a hundred thousand barriers, and the table stays short.

use crate::place;
use crate::slots::{Slot, Sums};
use crate::threads::Name;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Lines of barriers alone in theirs.
const ALONE: usize = 64;

/// All lines.
const LINES: usize = 256;

/// Threads whose coming last is counted, for each line: those who did most often, as far as that is known by then.
const COMERS: usize = 64;

/// Bits of [`Comer::who`] for the times; numbers of threads have 22 at most.
const TIMES: u32 = 40;

static TABLE: [Line; LINES] = [const { Line::new() }; LINES];

const EMPTY: u32 = 0;
/// Somebody writes its key; who looks for a line meanwhile goes past.
const CLAIMED: u32 = 1;
const FULL: u32 = 2;

/// What tells one line from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Where `pthread_barrier_init` was called from; 0: anywhere, or another process.
    pub(crate) place: usize,
    /// 0: any.
    pub(crate) parties: u32,
    /// The barrier; 0: any.
    pub(crate) address: usize,
    /// With other processes.
    pub(crate) shared: bool,
}

/// Sums of one barrier, or of many.
pub(crate) struct Line {
    state: AtomicU32,
    parties: AtomicU32,
    place: AtomicUsize,
    address: AtomicUsize,
    shared: AtomicBool,
    origin: AtomicPtr<String>,
    /// Barriers that were made.
    pub(crate) made: AtomicU64,
    pub(crate) trips: AtomicU64,
    /// From the first caller to the end of the last trip, of all of them, in nanoseconds.
    pub(crate) lifetime: AtomicU64,
    pub(crate) sums: Sums,
    comers: [Comer; COMERS],
}

/// A thread that has been the last.
pub(crate) struct Comer {
    /// The thread, and below it how often: one word, so that nobody's times are added to those of another. 0: nobody.
    who: AtomicU64,
    pub(crate) name: Name,
}

impl Comer {
    pub(crate) fn thread(&self) -> u32 {
        split(self.who.load(Ordering::Relaxed)).0
    }

    fn times(&self) -> u64 {
        split(self.who.load(Ordering::Relaxed)).1
    }
}

fn join(thread: u32, times: u64) -> u64 {
    u64::from(thread) << TIMES | times.min((1 << TIMES) - 1)
}

fn split(who: u64) -> (u32, u64) {
    ((who >> TIMES) as u32, who & ((1 << TIMES) - 1))
}

impl Line {
    const fn new() -> Self {
        Self {
            state: AtomicU32::new(EMPTY),
            parties: AtomicU32::new(0),
            place: AtomicUsize::new(0),
            address: AtomicUsize::new(0),
            shared: AtomicBool::new(false),
            origin: AtomicPtr::new(std::ptr::null_mut()),
            made: AtomicU64::new(0),
            trips: AtomicU64::new(0),
            lifetime: AtomicU64::new(0),
            sums: Sums::new(),
            comers: [const { Comer { who: AtomicU64::new(0), name: Name::none() } }; COMERS],
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            place: self.place.load(Ordering::Relaxed),
            parties: self.parties.load(Ordering::Relaxed),
            address: self.address.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
        }
    }

    /// Where its barriers were made.
    pub(crate) fn origin(&self) -> &str {
        // SAFETY: a string that `of` has leaked.
        unsafe { self.origin.load(Ordering::Acquire).as_ref() }.map_or("elsewhere", String::as_str)
    }

    /// Who came last most often, and how often.
    pub(crate) fn straggler(&self) -> Option<(&Comer, u64)> {
        let comers = self.comers.iter().map(|comer| (comer, comer.times()));
        comers.filter(|(_, times)| *times > 0).max_by_key(|(_, times)| *times)
    }

    /// Takes over what a slot has summed up.
    pub(crate) fn collect(&self, slot: &Slot) {
        let first = slot.first.swap(0, Ordering::Relaxed);
        let left = slot.members().iter().map(|member| member.left.load(Ordering::Relaxed)).max();
        if let (1.., Some(latest)) = (first, left) {
            self.lifetime.fetch_add(latest.saturating_sub(first), Ordering::Relaxed);
        }
        // By the number of the last batch that somebody knows of, since trips may end with a thread of another process.
        let batch = slot.members().iter().map(|member| member.batch.load(Ordering::Relaxed)).max();
        let trips = batch.unwrap_or(0).saturating_sub(slot.first_batch.swap(batch.unwrap_or(0), Ordering::Relaxed));
        self.trips.fetch_add(trips, Ordering::Relaxed);
        let mut lasts = Vec::new();
        for member in slot.members() {
            // Before its times: whose place is given free meanwhile has them counted there.
            let thread = member.thread.load(Ordering::Relaxed);
            // Taken and not read: what is counted here is not counted again when the thread ends.
            let times = member.sums.lasts.swap(0, Ordering::Relaxed);
            if thread != 0 && times != 0 {
                lasts.push((times, thread, member.name.words()));
            }
            member.sums.move_to(&self.sums);
        }
        // The most often first, since there may not be room for all.
        lasts.sort_unstable_by_key(|(times, ..)| Reverse(*times));
        for (times, thread, name) in lasts {
            self.came_last(thread, times, name);
        }
    }

    /// Where all comers are known, the one with the fewest times goes for one with more.
    pub(crate) fn came_last(&self, thread: u32, times: u64, name: [u64; 2]) {
        if times == 0 {
            return;
        }
        let comers = || self.comers.iter().map(|comer| (comer, comer.who.load(Ordering::Relaxed)));
        // Again only if another has changed the same comer meanwhile. Relaxed, as all sums.
        loop {
            let known = comers().find(|(_, who)| *who == 0 || split(*who).0 == thread);
            let fewest = || comers().min_by_key(|(_, who)| split(*who).1);
            let Some((comer, old)) = known.or_else(fewest) else { return };
            let new = match split(old) {
                (whose, before) if whose == thread => join(thread, before + times),
                (_, before) if before < times => join(thread, times),
                _ => return,
            };
            if comer.who.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return comer.name.set(name);
            }
        }
    }

    fn clear(&self) {
        for sum in [&self.made, &self.trips, &self.lifetime] {
            sum.store(0, Ordering::Relaxed);
        }
        self.sums.clear();
        for comer in &self.comers {
            comer.who.store(0, Ordering::Relaxed);
        }
    }
}

/// The line of a barrier that is being made.
pub(crate) fn of(key: Key) -> Option<&'static Line> {
    let alike = Key { address: 0, ..key };
    let rest = Key { place: 0, parties: 0, address: 0, shared: false };
    for (number, line) in TABLE.iter().enumerate() {
        let wanted = match number {
            ..ALONE => key,
            _ if number + 1 < LINES => alike,
            _ => rest,
        };
        if line.state.load(Ordering::Acquire) == EMPTY
            // Relaxed: claiming carries nothing.
            && line.state.compare_exchange(EMPTY, CLAIMED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            line.place.store(wanted.place, Ordering::Relaxed);
            line.parties.store(wanted.parties, Ordering::Relaxed);
            line.address.store(wanted.address, Ordering::Relaxed);
            line.shared.store(wanted.shared, Ordering::Relaxed);
            if wanted.place != 0 {
                // Kept for good; now, since the linker's lock may be taken when somebody is stuck.
                line.origin.store(Box::into_raw(Box::new(place::describe(wanted.place))), Ordering::Release);
            }
            // Release: pairs with the loads of the state.
            line.state.store(FULL, Ordering::Release);
        }
        if line.state.load(Ordering::Acquire) == FULL && line.key() == wanted {
            return Some(line);
        }
    }
    None
}

/// All lines.
pub(crate) fn all() -> impl Iterator<Item = &'static Line> {
    TABLE.iter().filter(|line| line.state.load(Ordering::Acquire) == FULL)
}

/// In the child of a fork.
pub(crate) fn forget_all() {
    all().for_each(Line::clear);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn straggler(line: &Line) -> Option<(u32, u64)> {
        line.straggler().map(|(comer, times)| (comer.thread(), times))
    }

    #[test]
    fn who_came_last_most_often_is_known_however_many_there_were_before() {
        let line = Line::new();
        for thread in 1..=3 * COMERS as u32 {
            line.came_last(thread, 2, [thread.into(), 0]);
        }
        line.came_last(4_000_000, 5, [7, 7]);
        // Neither forgets him, nor gives what is his to another.
        for thread in 1..=3 * COMERS as u32 {
            line.came_last(thread, 1, [thread.into(), 0]);
        }
        assert_eq!(straggler(&line), Some((4_000_000, 5)));
        line.came_last(4_000_000, 1 << 50, [7, 7]);
        let (comer, times) = line.straggler().unwrap();
        assert_eq!((comer.thread(), times, comer.name.words()), (4_000_000, (1 << TIMES) - 1, [7, 7]));
        line.clear();
        assert_eq!(straggler(&line), None);
    }

    /// The one who was late stands behind all the others in the table of members.
    #[test]
    fn of_one_barrier_those_who_came_last_most_often_are_taken_over_and_once() {
        const THREADS: u32 = 4 * COMERS as u32;
        let (line, slot) = (Line::new(), Slot::new());
        slot.settle(8, THREADS, false, None);
        // Known by another barrier, and in the way of those who come before.
        line.came_last(THREADS, 3, [0; 2]);
        for (thread, member) in (1..=THREADS).zip(slot.crowd()) {
            let times = if thread == THREADS { 9 } else { 1 + u64::from(thread % 4) };
            member.thread.store(thread, Ordering::Relaxed);
            member.sums.lasts.store(times, Ordering::Relaxed);
        }
        line.collect(&slot);
        line.collect(&slot);
        assert_eq!(straggler(&line), Some((THREADS, 12)));
        let kept: Vec<u64> = line.comers.iter().map(Comer::times).collect();
        // A quarter of the others was last four times.
        assert!(kept.iter().all(|times| [4, 12].contains(times)), "{kept:?}");
    }
}
