//! What the public surface says of itself (accessors, `Debug`, `Display`), and the corners of split phases, values and
//! leaving that a small script shows and a storm seldom meets. Written against mutants that nothing else killed
//! (`.ci/strength`).

mod common;

use common::watched;
use phalanx::{Algorithm, Barrier, CancelToken, Cause, Party, WaitPolicy};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(50);

fn two() -> (Barrier, Party, Party) {
    let barrier = Barrier::new(2).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let right = parties.pop().unwrap();
    (barrier, parties.pop().unwrap(), right)
}

#[test]
fn a_barrier_says_what_it_is() {
    let builder = Barrier::builder(3).algorithm(Algorithm::Tournament).wait_policy(WaitPolicy::Park);
    let text = format!("{builder:?}");
    assert!(text.starts_with("Builder") && text.contains("parties: 3") && text.contains("Tournament"), "{text}");
    let barrier = builder.build().unwrap();
    assert_eq!((barrier.algorithm(), barrier.wait_policy()), (Algorithm::Tournament, WaitPolicy::Park));
    assert_eq!((barrier.explain().algorithm(), barrier.explain().group_size()), (Algorithm::Tournament, None));
    assert!(format!("{barrier:?}").starts_with("Barrier"));
    let parties = barrier.take_parties().unwrap();
    assert_eq!(format!("{:?}", parties[1]), "Party { rank: 1, parties: 3, generation: 0 }");
    let grouped = Barrier::builder(9).algorithm(Algorithm::Combining).build().unwrap();
    assert!(grouped.explain().group_size().is_some_and(|size| size >= 2));
}

#[test]
fn one_party_of_a_trip_leads_it() {
    watched("one_party_of_a_trip_leads_it", LIMIT, |_| {
        let (_barrier, mut left, mut right) = two();
        for _ in 0..100 {
            let (one, other) = thread::scope(|s| {
                let other = s.spawn(|| right.wait().unwrap().is_leader());
                (left.wait().unwrap().is_leader(), other.join().unwrap())
            });
            assert!(one != other);
        }
    });
}

#[test]
fn tokens_know_their_clones_and_their_barriers() {
    let (token, other) = (CancelToken::new(), CancelToken::new());
    assert!(token.is_same(&token.clone()) && !token.is_same(&other));
    let build = |token: &CancelToken| Barrier::builder(1).cancel_on(token).build().unwrap();
    let kept: Vec<Barrier> = (0..3).map(|_| build(&token)).collect();
    assert_eq!(token.remembered(), 3);
    assert_eq!(format!("{token:?}"), "CancelToken { reason: None, barriers: 3 }");
    drop(kept);
    // Those that are gone are forgotten when there are enough of them, not one by one.
    let mut most = 0;
    for _ in 0..1000 {
        drop(build(&token));
        most = most.max(token.remembered());
    }
    assert!((4..200).contains(&most), "{most}");
}

#[test]
fn a_split_wait_ends_with_its_limit_and_breaks_nothing() {
    watched("a_split_wait_ends_with_its_limit_and_breaks_nothing", LIMIT, |_| {
        let (barrier, mut left, mut right) = two();
        let mut arrival = left.arrive();
        assert!(format!("{arrival:?}").starts_with("Arrival { party: Party { rank: 0"), "{arrival:?}");
        let short = Duration::from_millis(2);
        let started = Instant::now();
        assert!(arrival.wait_timeout(short).unwrap().is_none());
        assert!(started.elapsed() >= short);
        let deadline = Instant::now() + short;
        assert!(arrival.wait_deadline(deadline).unwrap().is_none());
        assert!(Instant::now() >= deadline && !barrier.is_broken());
        thread::scope(|s| {
            s.spawn(|| right.wait().unwrap());
            assert_eq!(arrival.wait_timeout(LONG).unwrap().unwrap().generation(), 0);
            // Decided once and for all.
            assert_eq!(arrival.wait_deadline(Instant::now()).unwrap().unwrap().generation(), 0);
        });
    });
}

#[test]
fn an_arrival_behind_one_that_was_dropped_waits_for_both_trips() {
    watched("an_arrival_behind_one_that_was_dropped_waits_for_both_trips", LIMIT, |_| {
        let (_barrier, mut left, mut right) = two();
        drop(left.arrive());
        let mut second = left.arrive();
        assert!(second.wait_timeout(Duration::from_millis(1)).unwrap().is_none());
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                (0..2).for_each(|trip| assert_eq!(right.wait().unwrap().generation(), trip));
            });
            assert_eq!(second.wait_timeout(LONG).unwrap().unwrap().generation(), 1);
        });
    });
}

/// What both parties are told who do `left` and `right` on the same trip.
fn differing(
    left: impl FnOnce(&mut Party) -> Option<Cause> + Send,
    right: impl FnOnce(&mut Party) -> Option<Cause> + Send,
) -> [Option<Cause>; 2] {
    let (_barrier, mut one, mut other) = two();
    thread::scope(|s| {
        // Both live until both have been told: a party that is dropped is another story.
        let other = s.spawn(move || (right(&mut other), other));
        let told = left(&mut one);
        let (told_other, _alive) = other.join().unwrap();
        [told, told_other]
    })
}

fn sum(party: &mut Party) -> Option<Cause> {
    party.all_reduce(1_u64, |a, b| a + b).err().map(|broken| broken.cause().clone())
}

fn mismatch(cause: Option<Cause>) -> (usize, String, usize, String) {
    match cause {
        Some(Cause::Mismatched { rank, called, other, instead }) => (rank, called, other, instead),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_does_not_do_the_same_is_named_with_what_it_did() {
    watched("who_does_not_do_the_same_is_named_with_what_it_did", LIMIT, |_| {
        let [told, alone] = differing(sum, |party| party.wait().err().map(|broken| broken.cause().clone()));
        let (rank, called, other, instead) = mismatch(told);
        assert_eq!((rank, other, instead.as_str()), (0, 1, "wait"));
        assert!(called.contains("u64"), "{called}");
        assert_eq!(alone, None, "who only waited has crossed its trip");

        let reduce =
            |party: &mut Party| party.reduce(1, 1_u64, |a, b| a + b).err().map(|broken| broken.cause().clone());
        let [told, _] = differing(sum, reduce);
        let (_, first, _, second) = mismatch(told);
        let names = [first, second].concat();
        assert!(names.contains("of u64 with rank 1") && names.len() > 30, "{names}");

        let split = |party: &mut Party| party.arrive().wait().err().map(|broken| broken.cause().clone());
        let [told, _] = differing(sum, split);
        let (_, _, _, instead) = mismatch(told);
        assert_eq!(instead, "arrive");
    });
}

#[test]
fn every_operation_wants_its_rank_to_be_there() {
    watched("every_operation_wants_its_rank_to_be_there", LIMIT, |_| {
        let no_such = |cause: Option<&Cause>| matches!(cause, Some(Cause::NoSuchRank { rank: 0, named: 7 }));
        let one = || Barrier::new(1).unwrap().take_parties().unwrap().remove(0);
        assert!(no_such(one().reduce(7, 1, |a: u8, _| a).err().as_ref().map(phalanx::Broken::cause)));
        assert!(no_such(one().broadcast(7, || 1).err().as_ref().map(phalanx::Broken::cause)));
        assert!(no_such(one().cloning().reduce(7, 1, |a: u8, _| a).err().as_ref().map(phalanx::Broken::cause)));
        assert!(no_such(one().cloning().broadcast(7, || 1).err().as_ref().map(phalanx::Broken::cause)));
        assert_eq!(one().reduce(0, 3, |a, _| a).unwrap(), Some(3));
        assert_eq!(one().broadcast(0, || 4).unwrap(), 4);
    });
}

/// Values too large for a place of their own, which take the way of those that are not `Copy`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Large([u64; 40]);

#[test]
fn values_of_every_size_come_to_every_rank() {
    watched("values_of_every_size_come_to_every_rank", LIMIT, |_| {
        let barrier = Barrier::new(3).unwrap();
        thread::scope(|s| {
            for mut party in barrier.take_parties().unwrap() {
                s.spawn(move || {
                    let rank = party.rank() as u64;
                    assert!(format!("{:?}", party.cloning()).starts_with("Cloning { party: Party { rank:"));
                    for _ in 0..3 {
                        assert_eq!(party.reduce(1, rank, |a, b| a + b).unwrap(), (rank == 1).then_some(3));
                        assert_eq!(party.broadcast(2, || rank).unwrap(), 2);
                        assert_eq!(party.all_gather(rank).unwrap(), [0, 1, 2]);
                        let text = |a: String, b: String| a + &b;
                        let own = rank.to_string();
                        let all = party.cloning().reduce(2, own.clone(), text).unwrap();
                        assert_eq!(all.as_deref(), (rank == 2).then_some("012"));
                        assert_eq!(party.cloning().broadcast(1, || own.clone()).unwrap(), "1");
                        let before = party.cloning().exclusive_scan("x".to_owned(), own, text).unwrap();
                        assert_eq!(before, ["x", "x0", "x01"][rank as usize]);
                        let large = Large([rank; 40]);
                        let add = |a: Large, b: Large| Large(std::array::from_fn(|at| a.0[at] + b.0[at]));
                        assert_eq!(party.reduce(0, large, add).unwrap(), (rank == 0).then_some(Large([3; 40])));
                        assert_eq!(party.broadcast(1, || large).unwrap(), Large([1; 40]));
                        let scanned = party.exclusive_scan(Large([10; 40]), large, add).unwrap();
                        assert_eq!(scanned, Large([10 + [0, 0, 1][rank as usize]; 40]));
                        let mut all = vec![Large([9; 40])];
                        party.all_gather_into(large, &mut all).unwrap();
                        assert_eq!(all, [0, 1, 2].map(|rank| Large([rank; 40])));
                    }
                });
            }
        });
    });
}

#[test]
fn values_go_on_without_one_that_leaves() {
    watched("values_go_on_without_one_that_leaves", LIMIT, |_| {
        for size in 0..3 {
            let barrier = Barrier::new(3).unwrap();
            let mut parties = barrier.take_parties().unwrap();
            parties.remove(1).leave();
            thread::scope(|s| {
                for mut party in parties {
                    s.spawn(move || {
                        let (rank, add) = (party.rank() as u64, |a, b| a + b);
                        match size {
                            0 => assert_eq!(party.all_reduce(rank + 1, add).unwrap(), 4),
                            1 => assert_eq!(party.all_gather(rank).unwrap(), [0, 2]),
                            _ => assert_eq!(party.broadcast(2, || rank).unwrap(), 2),
                        }
                        assert_eq!(party.all_reduce(rank + 1, add).unwrap(), 4);
                    });
                }
            });
        }
    });
}

#[test]
fn who_leaves_behind_an_arrival_has_waited_for_it() {
    watched("who_leaves_behind_an_arrival_has_waited_for_it", LIMIT, |_| {
        let (barrier, mut left, mut right) = two();
        drop(left.arrive());
        drop(left.arrive());
        thread::scope(|s| {
            let told = s.spawn(|| (0..4).map(|_| right.wait().unwrap().generation()).collect::<Vec<_>>());
            left.leave();
            // Two arrivals, one of them with the leave behind it; then alone.
            assert_eq!(told.join().unwrap(), [0, 1, 2, 3]);
        });
        assert!(!barrier.is_broken());
    });
}
