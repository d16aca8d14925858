//! Misuse of what rides on a trip (C11): parties that do not do the same, and ranks that are not there, are told of as
//! such, to all, in bounded time.

use super::super::common::Watch;
use super::super::common::watch::Step;
use super::super::properties::{build, each};
use super::super::subject::Phalanx;
use super::{Book, all_or_none, counts, cross, rounds};
use phalanx::{Broken, Cause, Party};

type Call = fn(&mut Party) -> Result<(), Broken>;

/// What parties may call, by the name that they are told: two that only wait, then those that want something.
const CALLS: [(&str, Call); 14] = [
    ("wait", |party| party.wait().map(drop)),
    ("arrive", |party| party.arrive().wait().map(drop)),
    ("all_reduce of u64", |party| party.all_reduce(1u64, u64::max).map(drop)),
    ("all_reduce of u32", |party| party.all_reduce(1u32, u32::max).map(drop)),
    ("all_reduce of [u8; 65]", |party| party.all_reduce([1u8; 65], |a, _| a).map(drop)),
    ("all_gather of u64", |party| party.all_gather(1u64).map(drop)),
    ("exclusive_scan of u64", |party| party.exclusive_scan(0u64, 1, u64::max).map(drop)),
    ("reduce of u64 with rank 0", |party| party.reduce(0, 1u64, u64::max).map(drop)),
    ("reduce of u64 with rank 1", |party| party.reduce(1, 1u64, u64::max).map(drop)),
    ("broadcast of u64 with rank 0", |party| party.broadcast(0, || 1u64).map(drop)),
    ("broadcast of u64 with rank 1", |party| party.broadcast(1, || 1u64).map(drop)),
    // By the way that the values go it is another operation, even if it has the same name.
    ("all_reduce of u64", |party| party.cloning().all_reduce(1u64, u64::max).map(drop)),
    ("broadcast of alloc::string::String with rank 1", |party| {
        party.cloning().broadcast(1, || "text".to_owned()).map(drop)
    }),
    ("serial of u64", |party| party.serial(|| 1u64).map(drop)),
];

/// One calls something else than the others. Who only waits has its trip; who wants something is told; the next trip
/// breaks for all with the same record, and after a reset all is well.
pub(crate) fn strangers(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 8).filter(|parties| *parties > 1) {
        let control = build(family, watch, parties, u64::MAX - 2);
        let (rounds, rng) = (rounds(family, parties, 80), watch.rng());
        let mut dice = rng.clone();
        let pairs: Vec<_> = (0..rounds)
            .map(|_| {
                let (one, many) = (dice.below(14) as usize, dice.below(14) as usize);
                // Not two that are the same.
                if one == many || (one < 2 && many < 2) { (2 + one % 10, 13) } else { (one, many) }
            })
            .collect();
        let (book, meet) = (Book::new(rounds), std::sync::Barrier::new(parties));
        let (notes, meet, pairs) = (&book, &meet, &pairs);
        let call_of = |round: usize, rank: usize| if rank == round % parties { pairs[round].0 } else { pairs[round].1 };
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                watch.mark(rank, round as u64, Step::Waiting);
                rng.dawdle();
                let generation = party.generation();
                let told = CALLS[call_of(round, rank)].1(&mut party);
                watch.mark(rank, round as u64, Step::Checking);
                rng.dawdle();
                let next = party.wait().expect_err("two did not do the same");
                assert_eq!(next.generation(), generation.wrapping_add(1));
                notes.note(round, rank, (told, next));
                meet.wait();
                if rank == 0 {
                    assert_eq!(control.reset(), Ok(generation.wrapping_add(2)));
                }
                meet.wait();
                assert_eq!(party.all_gather(rank), Ok((0..parties).collect()));
            }
        }));
        for (round, told) in book.read().enumerate() {
            let what = (family, pairs[round], &told);
            let record = &told[0].1;
            for (rank, (outcome, next)) in told.iter().enumerate() {
                let wanted = if call_of(round, rank) < 2 { Ok(()) } else { Err(record.clone()) };
                assert_eq!((outcome, next), (&wanted, record), "rank {rank}: {what:?}");
            }
            let Cause::Mismatched { rank, called, other, instead } = record.cause() else { panic!("{what:?}") };
            let (finder, stranger) = (call_of(round, *rank), call_of(round, *other));
            assert!(finder != stranger && finder > 1, "{what:?}");
            assert_eq!((&**called, &**instead), (CALLS[finder].0, CALLS[stranger].0), "{what:?}");
        }
    }
}

/// A call that names a rank.
type Naming<'a> = &'a (dyn Fn(&mut Party) -> Result<(), Broken> + Sync);

/// A rank that is not there, or is no more: whoever names it breaks the open trip for all.
pub(crate) fn nobody_of_that_rank(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 5) {
        for named in [parties, usize::MAX] {
            let control = build(family, watch, parties, 0);
            let calls: [Naming<'_>; 4] = [
                &|party| party.reduce(named, 1, i32::max).map(drop),
                &|party| party.broadcast(named, || panic!("made for nobody")).map(|_: u8| ()),
                &|party| party.cloning().reduce(named, String::new(), |a, _| a).map(drop),
                &|party| party.cloning().broadcast(named, || panic!("made for nobody")).map(|_: u8| ()),
            ];
            let meet = &std::sync::Barrier::new(parties);
            let told = watch.crew(each(&control, parties, |rank, mut party: Party| {
                let told = calls.map(|call| {
                    watch.mark(rank, party.generation(), Step::Waiting);
                    let told = if rank + 1 == parties { call(&mut party) } else { party.wait().map(drop) };
                    meet.wait();
                    if rank == 0 {
                        control.reset().unwrap();
                    }
                    meet.wait();
                    told
                });
                assert_eq!(party.reduce(0, 2, |a, b| a * b), Ok((rank == 0).then_some(2i32.pow(parties as u32))));
                told
            }));
            for call in 0..calls.len() {
                let outcomes: Vec<_> = told.iter().map(|told| told[call].clone()).collect();
                let record = all_or_none(&outcomes, &family).expect("there is no such rank");
                assert_eq!(record.cause(), &Cause::NoSuchRank { rank: parties - 1, named });
                assert_eq!(record.generation(), call as u64);
            }
        }
    }
    let control = build(family, watch, 3, 0);
    let mut parties = control.take_parties().unwrap();
    parties.remove(1).leave();
    assert_eq!(cross(&mut parties), Ok(0));
    let told = parties[1].broadcast(1, || 1).unwrap_err();
    assert_eq!(told.cause(), &Cause::NoSuchRank { rank: 2, named: 1 });
    assert_eq!(parties[0].wait(), Err(told));
}
