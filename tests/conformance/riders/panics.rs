//! What rides on a trip panics: in all parties alike, then the trip breaks for all of them (C2); or in one only, then at
//! least nobody is told another outcome than the others.

use super::super::common::Watch;
use super::super::common::watch::{Step, message_of};
use super::super::properties::{build, each};
use super::super::subject::Phalanx;
use super::{Book, all_or_none, counts, rounds};
use phalanx::{Broken, Cause, Operation, Party};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A panic that is part of the story, without the hook's noise.
fn panic_with(message: String) -> ! {
    resume_unwind(Box::new(message))
}

type Ride = fn(&mut Party, &dyn Fn()) -> Result<(), Broken>;

/// Everything that runs a closure when all have arrived; `meanwhile` is called inside. The first needs no others.
const RIDES: [(Operation, Ride); 8] = [
    (Operation::Serial, |party, meanwhile| party.serial(|| (meanwhile(), String::new()).1).map(drop)),
    (Operation::AllReduce, |party, meanwhile| party.all_reduce(1u64, |a, b| (meanwhile(), a + b).1).map(drop)),
    (Operation::Reduce, |party, meanwhile| party.reduce(0, [1u8; 20], |a, _| (meanwhile(), a).1).map(drop)),
    (Operation::ExclusiveScan, |party, meanwhile| {
        party.exclusive_scan(0u8, 1, |a, b| (meanwhile(), a | b).1).map(drop)
    }),
    (Operation::AllReduce, |party, meanwhile| party.all_reduce([1u8; 65], |a, _| (meanwhile(), a).1).map(drop)),
    (Operation::AllReduce, |party, meanwhile| {
        party.cloning().all_reduce(String::new(), |a, _| (meanwhile(), a).1).map(drop)
    }),
    (Operation::Reduce, |party, meanwhile| {
        party.cloning().reduce(0, String::new(), |a, _| (meanwhile(), a).1).map(drop)
    }),
    (Operation::ExclusiveScan, |party, meanwhile| {
        party.cloning().exclusive_scan(String::new(), String::new(), |a, _| (meanwhile(), a).1).map(drop)
    }),
];

/// All panic alike: one record for all, and after a reset all is well.
pub(crate) fn alike(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 33) {
        let control = build(family, watch, parties, u64::MAX - 2);
        let (rounds, rng) = (rounds(family, parties, 40), watch.rng());
        let (book, meet) = (Book::new(rounds), std::sync::Barrier::new(parties));
        let start = rng.clone().below(8) as usize;
        let ride_of = |round: usize| &RIDES[if parties == 1 { 0 } else { (start + round) % RIDES.len() }];
        let (notes, meet) = (&book, &meet);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                watch.mark(rank, round as u64, Step::Waiting);
                rng.dawdle();
                let generation = party.generation();
                let told = ride_of(round).1(&mut party, &|| panic_with(format!("planned for round {round}")));
                watch.mark(rank, round as u64, Step::Checking);
                if let Err(broken) = &told {
                    assert_eq!(broken.generation(), generation);
                }
                notes.note(round, rank, told);
                meet.wait();
                if rank == 0 {
                    assert!(control.is_broken());
                    assert_eq!(control.reset(), Ok(generation.wrapping_add(1)));
                }
                meet.wait();
                let sum = party.all_reduce(rank, |a, b| a + b);
                assert_eq!(sum, Ok(parties * (parties - 1) / 2), "as good as new");
                assert_eq!(party.generation(), generation.wrapping_add(2));
            }
        }));
        for (round, outcomes) in book.read().enumerate() {
            let told = all_or_none(&outcomes, &family).expect("it panicked");
            let Cause::OperatorPanicked { rank, operation, message } = told.cause() else {
                panic!("{told:?} ({family:?})")
            };
            assert_eq!((*operation, &**message), (ride_of(round).0, &*format!("planned for round {round}")));
            assert!(*rank < parties && told.missing().is_empty() && told.arrived() == parties, "{told:?}");
        }
    }
}

/// One panics, the others do not. Those who are told anything are told the same; the one has their error, or its panic
/// goes on, and then the barrier is none the worse for it.
pub(crate) fn alone(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 8).filter(|parties| *parties > 1) {
        let control = build(family, watch, parties, 0);
        let (rounds, rng) = (rounds(family, parties, 100), watch.rng());
        let (book, meet) = (Book::new(rounds), std::sync::Barrier::new(parties));
        let (notes, meet) = (&book, &meet);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                watch.mark(rank, round as u64, Step::Waiting);
                rng.dawdle();
                let mut dawdler = rng.clone();
                // Before it panics, or before it leaves: who is first differs.
                let meanwhile = std::cell::RefCell::new(|| {
                    dawdler.dawdle();
                    if rank == round % parties {
                        panic_with("alone".into());
                    }
                });
                let ride = RIDES[round % RIDES.len()].1;
                let told = catch_unwind(AssertUnwindSafe(|| ride(&mut party, &|| (meanwhile.borrow_mut())())));
                watch.mark(rank, round as u64, Step::Checking);
                notes.note(round, rank, told.map_err(|panicked| message_of(&*panicked)));
                meet.wait();
                if rank == 0 && control.is_broken() {
                    control.reset().unwrap();
                }
                meet.wait();
                let trip = party.wait().expect("as good as new").generation();
                assert_eq!(trip, 2 * round as u64 + 1);
            }
        }));
        for (round, told) in book.read().enumerate() {
            let outcomes: Vec<_> = told.iter().flatten().cloned().collect();
            let broken = all_or_none(&outcomes, &(family, &told));
            for (rank, told) in told.iter().enumerate().filter(|(_, told)| told.is_err()) {
                assert_eq!((rank, told), (round % parties, &Err("alone".to_owned())));
                assert_eq!(broken, None, "a panic of one, although the trip is broken for all");
            }
            if let Some(broken) = broken {
                assert!(matches!(broken.cause(), Cause::OperatorPanicked { rank, .. } if *rank == round % parties));
                assert_eq!(broken.generation(), 2 * round as u64);
            }
        }
    }
}
