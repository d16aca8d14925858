//! Split phase: an arrival counts at once, promises nothing before the last one, and stands whatever becomes of it.

use super::super::common::watch::Step;
use super::super::common::{Rng, Watch, until};
use super::super::properties::{build, each};
use super::super::subject::Phalanx;
use super::{Book, Outcome, all_or_none, counts, cross, rounds};
use phalanx::{Arrival, Barrier, Cause, Party, Trip};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Stays until the trip is decided, in one of the ways there are.
fn stay(mut arrival: Arrival<'_>, rng: &mut Rng) -> Outcome<Trip> {
    let way = rng.below(5);
    let mut ask = |arrival: &mut Arrival<'_>| match way {
        0 => arrival.try_wait(),
        1 => arrival.wait_timeout(Duration::from_micros(rng.below(60))),
        2 => arrival.wait_deadline(Instant::now() + Duration::from_micros(rng.below(60))),
        _ => arrival.wait_timeout(Duration::MAX),
    };
    if way == 4 {
        return arrival.wait();
    }
    loop {
        if let Some(answer) = ask(&mut arrival).transpose() {
            // The answer stays what it is, however often it is asked for.
            assert_eq!(arrival.try_wait().transpose(), Some(answer.clone()));
            assert_eq!(arrival.wait_timeout(Duration::ZERO).transpose(), Some(answer.clone()));
            assert_eq!(arrival.wait(), answer);
            return answer;
        }
        thread::yield_now();
    }
}

/// C1, C7: everybody works between arrival and wait, and checks everybody. Now and then an arrival is dropped, or
/// forgotten, and the trip is the business of the next call.
pub(crate) fn halves(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 33) {
        let first = u64::MAX - 5;
        let control = build(family, watch, parties, first);
        let trips = rounds(family, parties, 200) as u64;
        let slots: Vec<AtomicU64> = (0..parties).map(|_| AtomicU64::new(0)).collect();
        let leaders: Vec<AtomicUsize> = (0..trips).map(|_| AtomicUsize::new(0)).collect();
        let (slots, rng, led) = (&slots, watch.rng(), &leaders);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for trip in 0..trips {
                rng.dawdle();
                slots[rank].store(trip + 1, Relaxed);
                watch.mark(rank, 2 * trip, Step::Waiting);
                let arrival = party.arrive();
                rng.dawdle();
                let crossed = stay(arrival, &mut rng).expect("nothing breaks");
                assert_eq!(crossed.generation(), first.wrapping_add(2 * trip));
                led[trip as usize].fetch_add(usize::from(crossed.is_leader()), Relaxed);
                watch.mark(rank, 2 * trip, Step::Checking);
                for (other, slot) in slots.iter().enumerate() {
                    assert_eq!(slot.load(Relaxed), trip + 1, "rank {other}, as {rank} sees it ({family:?})");
                }
                watch.mark(rank, 2 * trip + 1, Step::Waiting);
                let generation = first.wrapping_add(2 * trip + 1);
                match rng.below(6) {
                    // Nobody may write before all have checked, so the next call has to see to the end of this trip.
                    0 => drop(party.arrive()),
                    1 => std::mem::forget(party.arrive()),
                    2 => assert!(party.arrive().wait_timeout(Duration::ZERO).is_ok()),
                    3 => assert_eq!(party.wait().unwrap().generation(), generation),
                    _ => assert_eq!(stay(party.arrive(), &mut rng).unwrap().generation(), generation),
                }
                if party.generation() == generation {
                    // Undecided when it was dropped: crossing it is left to a call that says nothing of it.
                    until(|| control.generation().wrapping_sub(generation) as i64 > 0);
                }
            }
        }));
        for (trip, leaders) in leaders.iter().enumerate() {
            assert_eq!(leaders.load(Relaxed), 1, "leaders of trip {trip} of {parties} ({family:?})");
        }
    }
}

/// C1 with one withheld: the others ask in vain, and break nothing. Then the last one arrives and does not come back:
/// the others are let go all the same, asleep or not.
pub(crate) fn last_is_busy(family: Phalanx, watch: &Watch) {
    for parties in counts(family, 16).filter(|parties| *parties > 1) {
        let control = build(family, watch, parties, 0);
        let (rounds, rng) = (rounds(family, parties, 30), watch.rng());
        let (released, asked) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                watch.mark(rank, round as u64, Step::Waiting);
                let goal = (round + 1) * (parties - 1);
                if rank == round % parties {
                    until(|| control.arrived() == parties - 1 && asked.load(SeqCst) == goal);
                    // Long enough to fall asleep.
                    thread::sleep(Duration::from_micros(rng.below(400)));
                    assert!(!control.is_broken());
                    assert_eq!(released.load(SeqCst), goal + 1 - parties, "let go with one missing ({family:?})");
                    let arrival = party.arrive();
                    watch.mark(rank, round as u64, Step::Working);
                    until(|| released.load(SeqCst) == goal);
                    assert_eq!(arrival.wait().unwrap().generation(), round as u64);
                    continue;
                }
                let mut arrival = party.arrive();
                // At once, unless the one of the last round was dropped and is in the way.
                until(|| {
                    assert_eq!(arrival.try_wait(), Ok(None));
                    !control.missing().contains(&rank)
                });
                assert_eq!(arrival.wait_timeout(Duration::from_micros(rng.below(30))), Ok(None));
                assert_eq!(arrival.wait_deadline(Instant::now()), Ok(None));
                asked.fetch_add(1, SeqCst);
                // Not who will be busy next, and could not see to this trip first.
                if rng.once_in(3) && rank != (round + 1) % parties {
                    drop(arrival);
                    until(|| control.generation() > round as u64);
                    released.fetch_add(1, SeqCst);
                    continue;
                }
                assert_eq!(arrival.wait().unwrap().generation(), round as u64);
                released.fetch_add(1, SeqCst);
            }
        }));
    }
}

/// C2 round by round: halves, impatient parties and aborts race for each trip.
pub(crate) fn races(family: Phalanx, watch: &Watch) {
    let (mut broken, mut complete) = (0, 0);
    for parties in counts(family, 8) {
        let control = build(family, watch, parties, 0);
        let (rounds, rng) = (rounds(family, parties, 160), watch.rng());
        let (book, meet) = (Book::new(rounds), std::sync::Barrier::new(parties));
        let (notes, meet) = (&book, &meet);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                watch.mark(rank, round as u64, Step::Waiting);
                meet.wait();
                rng.dawdle();
                let outcome = match rng.below(3 * parties as u64) {
                    0 => party.wait_timeout(Duration::from_micros(rng.below(200))),
                    1 if round % 2 == 0 => {
                        let arrival = party.arrive();
                        control.abort(&*format!("abort {round}"));
                        stay(arrival, &mut rng)
                    }
                    _ => stay(party.arrive(), &mut rng),
                };
                notes.note(round, rank, outcome.map(|trip| trip.is_leader()));
                meet.wait();
                if rank == 0 && control.is_broken() {
                    control.reset().unwrap();
                }
                meet.wait();
            }
        }));
        let mut late = false;
        for outcomes in book.read() {
            // An abort that comes when all have arrived is for the next trip, which nobody comes for.
            match all_or_none(&outcomes, &family) {
                Some(told) => {
                    broken += 1;
                    assert!(matches!(told.cause(), Cause::Aborted { .. } | Cause::TimedOut { .. }), "{told}");
                }
                None => {
                    complete += 1;
                    late |= outcomes.iter().filter(|leads| **leads == Ok(true)).count() != 1;
                }
            }
        }
        assert!(!late, "a trip without exactly one leader ({family:?})");
    }
    assert!(
        crate::common::is_short() || (broken > 0 && complete > 0),
        "{broken} broken, {complete} complete: nothing was tested"
    );
}

/// What becomes of a party that does not wait for its arrival, step by step on one thread.
pub(crate) fn left_behind(family: Phalanx, watch: &Watch) {
    for forget in [false, true] {
        let arrive = |party: &mut Party| match forget {
            true => std::mem::forget(party.arrive()),
            false => drop(party.arrive()),
        };
        a_second_arrival_is_put_off(&build(family, watch, 2, 0), arrive);
        a_break_is_told_by_the_next_call(&build(family, watch, 2, 0), arrive);
        who_leaves_sees_to_it_first(&build(family, watch, 2, 0), arrive);
        who_is_dropped_breaks_the_next_trip(&build(family, watch, 2, 0), arrive);
        an_heir_does_not_arrive_twice(&build(family, watch, 3, 0), arrive);
    }
}

fn a_second_arrival_is_put_off(control: &Barrier, arrive: impl Fn(&mut Party)) {
    let (mut left, mut right) = (control.claim(0).unwrap(), control.claim(1).unwrap());
    arrive(&mut left);
    let mut second = left.arrive();
    assert_eq!((second.try_wait(), control.missing()), (Ok(None), vec![1]));
    assert_eq!(second.wait_timeout(Duration::from_micros(50)), Ok(None));
    assert_eq!(right.arrive().wait().unwrap().generation(), 0);
    assert_eq!(control.missing(), [0, 1], "not published by itself");
    assert_eq!((second.try_wait(), control.missing()), (Ok(None), vec![1]), "published when asked");
    assert_eq!(right.arrive().wait().unwrap().generation(), 1);
    assert_eq!(second.wait().unwrap().generation(), 1);
    assert_eq!(cross([&mut left, &mut right]), Ok(2));
    // Decided, but nobody has asked.
    arrive(&mut left);
    assert_eq!(right.arrive().wait().unwrap().generation(), 3);
    assert_eq!(cross([&mut right, &mut left]), Ok(4));
}

fn a_break_is_told_by_the_next_call(control: &Barrier, arrive: impl Fn(&mut Party)) {
    let (mut left, mut right) = (control.claim(0).unwrap(), control.claim(1).unwrap());
    arrive(&mut left);
    let told = control.abort("now");
    assert_eq!(left.arrive().try_wait(), Err(told.clone()));
    assert_eq!(left.wait(), Err(told.clone()));
    assert_eq!(right.wait(), Err(told));
    assert_eq!(control.reset(), Ok(1));
    arrive(&mut right);
    let told = left.wait_timeout(Duration::MAX).map(Trip::generation);
    assert_eq!((told, right.generation()), (Ok(1), 1), "rank 1 has not looked");
    // Reset in between: told once of the trip that it was at, then it takes part again.
    arrive(&mut right);
    let reset = control.reset();
    assert_eq!(reset, Ok(3));
    let told = right.wait().unwrap_err();
    assert_eq!((told.cause(), told.generation()), (&Cause::Reset, 2));
    assert_eq!(left.wait(), Err(told));
    assert_eq!(cross([&mut left, &mut right]), Ok(3));
}

fn who_leaves_sees_to_it_first(control: &Barrier, arrive: impl Fn(&mut Party)) {
    let (mut left, mut right) = (control.claim(0).unwrap(), control.claim(1).unwrap());
    arrive(&mut left);
    thread::scope(|scope| {
        scope.spawn(move || left.leave());
        assert_eq!(right.wait().unwrap().generation(), 0);
        assert_eq!(right.wait().unwrap().generation(), 1, "with the leaver's arrival");
    });
    assert_eq!((right.wait().unwrap().generation(), control.parties()), (2, 1));
}

fn who_is_dropped_breaks_the_next_trip(control: &Barrier, arrive: impl Fn(&mut Party)) {
    let (mut left, mut right) = (control.claim(0).unwrap(), control.claim(1).unwrap());
    arrive(&mut left);
    drop(left);
    assert_eq!(right.wait().unwrap().generation(), 0, "the arrival stands");
    let told = right.wait().unwrap_err();
    assert_eq!((told.cause(), told.generation()), (&Cause::Dropped { rank: 0 }, 1));
    let mut left = control.claim(0).unwrap();
    assert_eq!(control.reset(), Ok(2));
    assert_eq!(right.arrive().try_wait(), Ok(None), "alone");
    assert_eq!(left.wait().unwrap().generation(), 2);
    // Complete when it is dropped.
    arrive(&mut left);
    assert_eq!(right.wait().unwrap().generation(), 3);
    drop(left);
    assert_eq!(right.wait().unwrap_err().generation(), 4);
}

fn an_heir_does_not_arrive_twice(control: &Barrier, arrive: impl Fn(&mut Party)) {
    let mut parties = control.take_parties().unwrap();
    let (last, mut right) = (parties.pop().unwrap(), parties.pop().unwrap());
    let mut left = parties.pop().unwrap();
    let mut last = last;
    arrive(&mut left);
    drop(left);
    // The rank is claimed again while its last trip is open, and comes for the next one.
    let mut heir = control.claim(0).unwrap();
    let mut early = heir.arrive();
    assert_eq!(early.try_wait().map_err(|told| told.generation()).unwrap_or_default(), None);
    let mut waits = right.arrive();
    assert_eq!(waits.try_wait(), Ok(None), "an arrival of the next trip was counted for this one");
    assert_eq!(last.arrive().wait().unwrap().generation(), 0);
    assert_eq!(waits.wait().unwrap().generation(), 0);
    let told = right.wait().unwrap_err();
    assert_eq!((told.cause(), told.generation()), (&Cause::Dropped { rank: 0 }, 1));
    assert_eq!((early.wait(), last.wait()), (Err(told.clone()), Err(told)));
    assert_eq!(control.reset(), Ok(2));
    assert_eq!(cross([&mut heir, &mut right, &mut last]), Ok(2));
}
