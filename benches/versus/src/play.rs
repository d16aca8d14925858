//! The tournament: one crew of threads plays the rounds of all entrants, A B C, C A B, B A C, and so on.
//!
//! The threads are spawned once and keep their CPUs, so that no entrant gets fresher threads than another. All of them
//! walk through the same schedule on their own; the only thing they need to be told is how many trips a round of each
//! entrant has, and that rank 0, which holds the clock, finds out before the first round. There is no thread besides
//! the crew that would need a CPU: the caller sleeps in `join`.

use crate::check::Check;
use crate::gate::Gate;
use crate::length::{Length, Search};
use crate::place::pin_to;
use crate::seat::{Card, Entrant, Role, Seat};
use crate::usage::settle;
use crate::watch;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// How the rounds are laid out.
pub struct Plan<'a> {
    pub cpus: &'a [usize],
    pub parties: usize,
    /// Ranks are dealt out to the CPUs in turn; else all float over them.
    pub pinned: bool,
    pub rounds: usize,
    pub length: Length,
    /// Checked trips after each round.
    pub verified: u64,
}

/// One party's turn.
pub struct Turn {
    pub rank: usize,
    pub trips: u64,
    /// Only the number of trips is being found out: nothing but what it applies to should be done, or the time of the
    /// rest would be taken for theirs.
    pub sizing: bool,
}

/// What an entrant's rounds gave.
pub struct Played<S> {
    pub name: String,
    pub role: Role,
    pub trips: u64,
    /// By round, then by rank; `None` where it sat the round out.
    pub rounds: Vec<Option<Vec<S>>>,
    pub wrong: Vec<String>,
}

impl<S> Played<S> {
    /// The same rounds with another sample, or another part of it.
    pub fn map<T>(&self, part: impl Fn(&S) -> T) -> Played<T> {
        Played {
            name: self.name.clone(),
            role: self.role,
            trips: self.trips,
            rounds: self.rounds.iter().map(|round| Some(round.as_ref()?.iter().map(&part).collect())).collect(),
            wrong: self.wrong.clone(),
        }
    }
}

/// Plays all rounds; `run` is one party's part in one.
pub fn play<S: Send>(
    plan: &Plan<'_>,
    entrants: Vec<Entrant>,
    run: impl Fn(&Turn, &mut dyn Seat) -> S + Sync,
) -> Vec<Played<S>> {
    let cards: Vec<Card> = entrants.iter().map(|entrant| entrant.card.clone()).collect();
    let crew = by_rank(plan.parties, entrants);
    let table = Table {
        plan,
        cards: &cards,
        gate: Gate::new(plan.parties, plan.cpus.len()),
        check: Check::new(plan.parties),
        trips: cards.iter().map(|_| AtomicU64::new(1)).collect(),
        agreed: AtomicBool::new(false),
    };
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    std::thread::scope(|s| {
        let members: Vec<_> = crew
            .into_iter()
            .enumerate()
            .map(|(rank, seats)| {
                let (table, run) = (&table, &run);
                s.spawn(move || Member { table, rank, seats, trip: 1, wrong: Vec::new() }.play(run))
            })
            .collect();
        for member in members {
            let (samples, found) = member.join().expect("a panic ends the process");
            all.push(samples);
            wrong.extend(found);
        }
    });
    collect(&table, all, wrong)
}

/// One member's seats, by entrant and then by instance.
type Seats = Vec<Vec<Box<dyn Seat>>>;

/// Who plays when in a round: another order each time, the same in all threads.
///
/// Not a rotation: in one, everybody always follows the same neighbour, and a process that shares the CPU with us can
/// fall into step with the whole cycle and always hit the same one.
pub fn shuffled(entrants: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entrants).collect();
    let mut state = round as u64;
    for place in (1..entrants).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        order.swap(place, scramble(state) as usize % (place + 1));
    }
    order
}

/// Numbers that have nothing to do with their neighbours: the last step of splitmix64.
pub fn scramble(number: u64) -> u64 {
    let mut z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// From entrant, instance, rank to rank, entrant, instance.
fn by_rank(parties: usize, entrants: Vec<Entrant>) -> Vec<Seats> {
    let mut crew: Vec<Seats> = (0..parties).map(|_| Seats::new()).collect();
    for entrant in entrants {
        for member in &mut crew {
            member.push(Vec::new());
        }
        for instance in entrant.seats {
            for (member, seat) in crew.iter_mut().zip(instance) {
                member.last_mut().expect("pushed above").push(seat);
            }
        }
    }
    crew
}

struct Table<'a> {
    plan: &'a Plan<'a>,
    cards: &'a [Card],
    gate: Gate,
    check: Check,
    trips: Vec<AtomicU64>,
    /// The number of trips of the entrant at hand is settled.
    agreed: AtomicBool,
}

struct Member<'a> {
    table: &'a Table<'a>,
    rank: usize,
    seats: Seats,
    /// The number of the next checked trip; the same in all members.
    trip: u64,
    wrong: Vec<(usize, String)>,
}

impl Member<'_> {
    /// Samples by entrant, each with its round.
    #[expect(clippy::type_complexity, reason = "taken apart at once by `collect`")]
    fn play<S>(
        mut self,
        run: &(impl Fn(&Turn, &mut dyn Seat) -> S + Sync),
    ) -> (Vec<Vec<(usize, S)>>, Vec<(usize, String)>) {
        let Table { plan, cards, .. } = *self.table;
        if plan.pinned {
            pin_to(plan.cpus[self.rank % plan.cpus.len()]);
        }
        let mut samples: Vec<Vec<(usize, S)>> = cards.iter().map(|_| Vec::with_capacity(plan.rounds)).collect();
        self.table.gate.meet();
        for entrant in 0..cards.len() {
            self.agree_on_trips(entrant, run);
        }
        for round in 0..plan.rounds {
            for entrant in shuffled(cards.len(), round) {
                if round % cards[entrant].every == 0 {
                    samples[entrant].extend(self.round(entrant, round, run).map(|sample| (round, sample)));
                }
            }
        }
        (samples, self.wrong)
    }

    /// One round; `None` for those who sleep while a foreign runtime plays.
    fn round<S>(&mut self, entrant: usize, round: usize, run: &impl Fn(&Turn, &mut dyn Seat) -> S) -> Option<S> {
        let Table { plan, cards, gate, check, trips, .. } = self.table;
        let (rank, who) = (self.rank, &cards[entrant]);
        let turn = Turn { rank, trips: trips[entrant].load(Relaxed), sizing: false };
        if rank == 0 {
            watch::progress(&who.name);
        }
        let mut sample = None;
        if !who.foreign || rank == 0 {
            let seats = &mut self.seats[entrant];
            let instances = seats.len();
            let seat = &mut *seats[round % instances];
            let settles = who.foreign && !seat.frozen();
            if settles {
                settle();
            } else if !who.foreign {
                gate.meet();
            }
            sample = Some(run(&turn, seat));
            seat.verified(rank, self.trip, plan.verified, check);
            if settles {
                settle();
            }
        }
        self.trip += plan.verified;
        if who.foreign {
            gate.meet_asleep()
        } else {
            gate.meet()
        }
        if rank == 0 {
            check.close_round(who.leads);
            self.wrong.extend(check.take_wrong().into_iter().map(|what| (entrant, what)));
        }
        sample
    }

    /// Multiplies the trips until a round takes about as long as it should, three times in a row; the fastest of the
    /// three is the one that nothing disturbed.
    fn agree_on_trips<S>(&mut self, entrant: usize, run: &impl Fn(&Turn, &mut dyn Seat) -> S) {
        let table = self.table;
        let (time, least) = match table.plan.length {
            Length::Trips(trips) => {
                table.trips[entrant].store(trips, Relaxed);
                return;
            }
            Length::Lasting { time, least } => (time, least),
        };
        let timed = |turn: &Turn, seat: &mut dyn Seat| {
            let start = Instant::now();
            run(&Turn { sizing: true, ..*turn }, seat);
            start.elapsed()
        };
        let least = (least / table.cards[entrant].every as u64).max(1);
        let mut search = Search::new(time, least);
        for attempt in 0.. {
            let elapsed = self.round(entrant, attempt, &timed);
            if self.rank == 0 {
                let trips = &table.trips[entrant];
                let (next, agreed) = search.next(trips.load(Relaxed), elapsed.expect("rank 0 plays every round"));
                trips.store(next, Relaxed);
                table.agreed.store(agreed, Relaxed);
            }
            table.gate.meet();
            let agreed = table.agreed.load(Relaxed);
            // Nobody may write the next verdict before all have read this one.
            table.gate.meet();
            if agreed {
                return;
            }
        }
    }
}

/// From rank, entrant, round to entrant, round, rank.
fn collect<S>(table: &Table<'_>, all: Vec<Vec<Vec<(usize, S)>>>, wrong: Vec<(usize, String)>) -> Vec<Played<S>> {
    let mut played: Vec<Played<S>> = table
        .cards
        .iter()
        .zip(&table.trips)
        .map(|(card, trips)| Played {
            name: card.name.clone(),
            role: card.role,
            trips: trips.load(Relaxed),
            rounds: (0..table.plan.rounds).map(|_| None).collect(),
            wrong: Vec::new(),
        })
        .collect();
    for samples in all {
        for (entrant, samples) in samples.into_iter().enumerate() {
            for (round, sample) in samples {
                played[entrant].rounds[round].get_or_insert_default().push(sample);
            }
        }
    }
    for (entrant, what) in wrong {
        played[entrant].wrong.push(what);
    }
    played
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_everybody_and_each_place_is_everybodys() {
        let mut first = [0; 5];
        for round in 0..500 {
            let mut order = shuffled(5, round);
            first[order[0]] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
        assert!(first.iter().all(|times| (70..130).contains(times)), "{first:?}");
    }

    #[test]
    fn seats_change_from_barriers_to_threads() {
        let build = || Ok(crate::peer::crates::std(2));
        let entrant = Entrant::new("std", Role::Rival, 3, build).unwrap();
        let crew = by_rank(2, vec![entrant]);
        assert_eq!((crew.len(), crew[0].len(), crew[1][0].len()), (2, 1, 3));
    }
}
