//! The action: once per trip, when all have arrived and before anybody is let go; and what becomes of a trip whose action
//! panics, takes its time, or meddles with its own barrier (B12).

use super::super::common::watch::{Step, panic_quietly};
use super::super::common::{Watch, until};
use super::super::properties::each;
use super::super::subject::Phalanx;
use super::{Book, Outcome, all_or_none, counts, cross, rounds};
use phalanx::{Algorithm, Barrier, Cause, ClaimError, Party, TripInfo};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Whether the algorithm has a root itself; the others all give way to the same ones, and need fewer trials.
fn is_rooted(family: Phalanx) -> bool {
    matches!(family.0, Algorithm::Central | Algorithm::Combining)
}

fn build(
    family: Phalanx,
    watch: &Watch,
    parties: usize,
    first: u64,
    action: impl FnMut(&TripInfo) + Send + 'static,
) -> Barrier {
    let builder = Barrier::builder(parties).algorithm(family.0).wait_policy(family.1).first_generation(first);
    let barrier = builder.action(action).build().unwrap();
    let shown = barrier.clone();
    watch.show(move || format!("{shown:?}"));
    let (algorithm, text) = (barrier.algorithm(), barrier.explain().to_string());
    assert!(matches!(algorithm, Algorithm::Central | Algorithm::Combining), "{algorithm}");
    if is_rooted(family) {
        assert_eq!(algorithm, family.0);
    } else {
        assert!(text.contains(&format!("{} has no root for the action", family.0)), "{text}");
    }
    barrier
}

fn sizes(family: Phalanx, most: usize) -> impl Iterator<Item = usize> {
    counts(family, most).filter(move |parties| is_rooted(family) || matches!(parties, 1 | 2 | 5))
}

/// Crosses in one of the ways there are, the same for all parties where it has to be.
fn cross_somehow(party: &mut Party, trip: u64, chance: u64) -> Outcome<u64> {
    match (trip % 4, chance) {
        (0, _) => party.all_reduce(1u64, |a, b| a + b).map(drop)?,
        (1, _) => party.serial(String::new).map(drop)?,
        (_, 0) => return party.arrive().wait().map(phalanx::Trip::generation),
        (_, 1) => {
            let mut arrival = party.arrive();
            loop {
                if let Some(trip) = arrival.wait_timeout(Duration::from_micros(20))? {
                    return Ok(trip.generation());
                }
            }
        }
        (_, 2) => {
            let mut arrival = party.arrive();
            loop {
                if let Some(trip) = arrival.try_wait()? {
                    return Ok(trip.generation());
                }
                thread::yield_now();
            }
        }
        (_, 3) => return party.wait_timeout(Duration::from_secs(3600)).map(phalanx::Trip::generation),
        _ => return party.wait().map(phalanx::Trip::generation),
    }
    Ok(party.generation().wrapping_sub(1))
}

/// Once per trip, behind all arrivals and before all releases; the counters are relaxed, so that the barrier alone
/// makes them visible.
pub(crate) fn acts_once(family: Phalanx, watch: &Watch) {
    for parties in sizes(family, 33) {
        let first = u64::MAX - 3;
        let slots: Arc<Vec<AtomicU64>> = Arc::new((0..parties).map(|_| AtomicU64::new(0)).collect());
        let (acted, left) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let control = build(family, watch, parties, first, {
            let (slots, acted, left) = (Arc::clone(&slots), Arc::clone(&acted), Arc::clone(&left));
            let mut rng = watch.rng();
            move |info| {
                rng.dawdle(); // time for whoever is let go too early
                // A panic in here breaks the trip with its message, and who expects `Ok` tells it.
                let trip = acted.load(Relaxed);
                assert_eq!((info.generation, info.parties), (first.wrapping_add(trip), parties));
                assert_eq!(thread::current().name(), Some(&*format!("party-{}", info.rank)), "on another thread");
                for (rank, slot) in slots.iter().enumerate() {
                    assert_eq!(slot.load(Relaxed), trip + 1, "rank {rank} is behind or ahead of the action");
                }
                assert_eq!(left.load(Relaxed), trip * parties as u64, "somebody was let go before");
                acted.store(trip + 1, Relaxed);
            }
        });
        let (trips, rng) = (rounds(family, parties, 200) as u64, watch.rng());
        let (slots, acted, left) = (&slots, &acted, &left);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for trip in 0..trips {
                rng.dawdle();
                slots[rank].store(trip + 1, Relaxed);
                watch.mark(rank, trip, Step::Waiting);
                let crossed = cross_somehow(&mut party, trip, rng.below(6));
                assert_eq!(crossed, Ok(first.wrapping_add(trip)));
                watch.mark(rank, trip, Step::Checking);
                assert_eq!(acted.load(Relaxed), trip + 1, "not once, as rank {rank} of {parties} sees it ({family:?})");
                left.fetch_add(1, Relaxed);
            }
        }));
    }
}

/// It panics again and again; each time all are told the same, and a reset repairs it (B12).
pub(crate) fn acts_and_panics(family: Phalanx, watch: &Watch) {
    for parties in sizes(family, 16) {
        let control = build(family, watch, parties, 0, |info| {
            if info.generation % 3 == 1 {
                std::panic::resume_unwind(Box::new(format!("planned for trip {}", info.generation)));
            }
        });
        let (rounds, rng) = (rounds(family, parties, 50), watch.rng());
        let (book, meet) = (Book::new(rounds), std::sync::Barrier::new(parties));
        let (notes, meet) = (&book, &meet);
        watch.crew(each(&control, parties, |rank, mut party: Party| {
            let mut rng = rng.fork(rank);
            for round in 0..rounds {
                let trip = 3 * round as u64;
                watch.mark(rank, trip, Step::Waiting);
                assert_eq!(cross_somehow(&mut party, trip, rng.below(6)), Ok(trip));
                rng.dawdle();
                notes.note(round, rank, cross_somehow(&mut party, round as u64, rng.below(6)));
                meet.wait();
                if rank == 0 {
                    assert_eq!(control.reset(), Ok(trip + 2));
                }
                meet.wait();
                assert_eq!(cross_somehow(&mut party, trip, rng.below(6)), Ok(trip + 2));
            }
        }));
        for (round, outcomes) in book.read().enumerate() {
            let told = all_or_none(&outcomes, &family).expect("it panicked");
            let trip = 3 * round as u64 + 1;
            assert_eq!(told.cause(), &Cause::ActionPanicked { message: format!("planned for trip {trip}") });
            assert_eq!((told.generation(), told.arrived(), told.missing().len()), (trip, parties, 0));
        }
    }
}

/// While it runs nobody leaves, whatever happens: limits pass and break nothing, an abort is for the next trip.
pub(crate) fn acts_at_leisure(family: Phalanx, watch: &Watch) {
    for parties in sizes(family, 5) {
        // 1: the action has begun; 2: it may end.
        let gate = Arc::new(AtomicUsize::new(0));
        let control = build(family, watch, parties, 0, {
            let gate = Arc::clone(&gate);
            move |_| {
                gate.store(1, SeqCst);
                until(|| gate.load(SeqCst) == 2);
            }
        });
        let (left, looks) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let aborted = &Mutex::new(None);
        thread::scope(|scope| {
            scope.spawn(|| {
                until(|| gate.load(SeqCst) == 1);
                assert_eq!((control.generation(), control.arrived(), control.is_broken()), (1, 0, false));
                let told = control.abort("while it acts");
                assert_eq!((told.generation(), told.arrived()), (1, 0), "not the running trip");
                *aborted.lock().unwrap() = Some(told);
                // Long enough for the limits below, of which none may count any more.
                thread::sleep(Duration::from_millis(4));
                until(|| looks.load(SeqCst) > 0 || parties < 3);
                assert_eq!(left.load(SeqCst), 0, "let go before the action was done");
                gate.store(2, SeqCst);
            });
            let outcomes = watch.crew(each(&control, parties, |rank, mut party: Party| {
                watch.mark(rank, 0, Step::Waiting);
                // The last one comes when all others are there, so that no limit but theirs can pass too early.
                if rank + 1 == parties {
                    until(|| control.arrived() + 1 == parties);
                }
                let crossed = match rank {
                    _ if rank + 1 == parties => party.wait_timeout(Duration::ZERO),
                    0 => party.wait(),
                    1 => {
                        let mut arrival = party.arrive();
                        while gate.load(SeqCst) < 2 {
                            let asked = arrival.try_wait().and_then(|asked| match asked {
                                None => arrival.wait_timeout(Duration::from_micros(50)),
                                asked => Ok(asked),
                            });
                            assert!(asked == Ok(None) || gate.load(SeqCst) == 2, "{asked:?}");
                            looks.fetch_add(1, SeqCst);
                        }
                        arrival.wait()
                    }
                    _ => party.wait(),
                };
                left.fetch_add(1, SeqCst);
                (crossed.map(phalanx::Trip::generation), party.wait().map(phalanx::Trip::generation))
            }));
            let (first, second): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
            assert!(first.iter().all(|crossed| crossed == &Ok(0)), "{first:?}");
            assert_eq!(all_or_none(&second, &family), aborted.lock().unwrap().clone());
        });
    }
}

/// A limit that ends while the action runs, of a party that has waited all the time, breaks nothing.
pub(crate) fn acts_beyond_limits(family: Phalanx, watch: &Watch) {
    let parties = if counts(family, 3).max() == Some(3) { 3 } else { 2 };
    let limit = Duration::from_millis(20);
    for _ in 0..2 {
        let control = build(family, watch, parties, 0, move |_| thread::sleep(2 * limit));
        let outcomes = watch.crew(each(&control, parties, |rank, mut party: Party| {
            if rank + 1 == parties {
                until(|| control.arrived() + 1 == parties || control.is_broken());
            }
            watch.mark(rank, 0, Step::Waiting);
            party.wait_timeout(limit).map(phalanx::Trip::generation)
        }));
        // On a machine that is busy it may pass before the last one comes, and then breaks the trip for all.
        if let Some(told) = all_or_none(&outcomes, &family) {
            assert!(!told.missing().is_empty(), "broken when all had arrived: {told:?}");
        }
    }
}

/// A party that has arrived at the trip whose action runs cannot wait for it in there.
pub(crate) fn acts_with_a_party(family: Phalanx, watch: &Watch) {
    let own: Arc<Mutex<Option<Party>>> = Arc::default();
    let control = build(family, watch, 2, 0, {
        let own = Arc::clone(&own);
        move |info| {
            let Some(mut party) = own.lock().unwrap().take() else { return };
            let reentered = Cause::Reentered { rank: 1 };
            assert_eq!(party.wait().unwrap_err().cause(), &reentered);
            assert_eq!(party.arrive().wait().unwrap_err().cause(), &reentered);
            match info.generation {
                0 => *own.lock().unwrap() = Some(party),
                _ => party.leave(), // before the end of its trip: as good as dropped
            }
        }
    });
    let (mut stays, mut lent) = (control.claim(0).unwrap(), control.claim(1).unwrap());
    for trip in 0..2 {
        watch.mark(0, trip, Step::Waiting);
        drop(lent.arrive());
        *own.lock().unwrap() = Some(lent);
        assert_eq!(stays.wait().unwrap().generation(), trip);
        let Some(back) = own.lock().unwrap().take() else { break };
        lent = back;
    }
    assert_eq!(stays.wait().unwrap_err().cause(), &Cause::Dropped { rank: 1 });
}

/// It may use every method of its barrier; it cannot wait there, and is told so.
pub(crate) fn acts_on_its_barrier(family: Phalanx, watch: &Watch) {
    let own: Arc<Mutex<Option<Barrier>>> = Arc::default();
    let acted: Arc<Mutex<Vec<u64>>> = Arc::default();
    let control = build(family, watch, 2, 0, {
        let (own, acted) = (Arc::clone(&own), Arc::clone(&acted));
        move |info| {
            acted.lock().unwrap().push(info.generation);
            let Some(barrier) = own.lock().unwrap().clone() else { return };
            let next = info.generation + 1;
            assert_eq!((barrier.arrived(), barrier.missing(), barrier.generation()), (0, vec![0, 1], next));
            assert_eq!((barrier.parties(), barrier.is_broken(), barrier.broken()), (2, false, None));
            assert!(!barrier.has_ended() && barrier.explain().algorithm() == barrier.algorithm());
            assert_eq!(barrier.claim(0).unwrap_err(), ClaimError::Taken { rank: 0 });
            assert!(barrier.take_parties().is_err() && !format!("{barrier:?}").is_empty());
            assert_eq!(barrier.reset(), Ok(next), "nobody waits, nothing changes");
            barrier.wake_spuriously();
            let mut guest = barrier.join().unwrap();
            assert_eq!((guest.rank(), guest.generation()), (2, next + 1));
            let reentered = Cause::Reentered { rank: 2 };
            assert_eq!(guest.wait().unwrap_err().cause(), &reentered);
            assert_eq!(guest.wait_timeout(Duration::ZERO).unwrap_err().cause(), &reentered);
            assert_eq!(guest.arrive().try_wait().unwrap_err().cause(), &reentered);
            assert_eq!(guest.all_reduce(1, |a, _| a).unwrap_err().cause(), &reentered);
            assert_eq!(guest.serial(|| ()).unwrap_err().cause(), &reentered);
            assert!(!barrier.is_broken());
            guest.leave();
            if info.generation == 2 {
                assert_eq!(barrier.abort("from the action").generation(), 3);
            }
            if info.generation == 4 {
                panic_quietly();
            }
        }
    });
    *own.lock().unwrap() = Some(control.clone());
    let mut parties = control.take_parties().unwrap();
    for trip in 0..3 {
        watch.mark(0, trip, Step::Waiting);
        assert_eq!(cross(&mut parties), Ok(trip));
    }
    let told = cross(&mut parties).unwrap_err();
    assert_eq!((told.cause(), told.generation()), (&Cause::Aborted { reason: "from the action".into() }, 3));
    assert_eq!(control.reset(), Ok(4));
    let told = cross(&mut parties).unwrap_err();
    assert_eq!((told.cause(), told.generation()), (&Cause::ActionPanicked { message: "planned".into() }, 4));
    assert_eq!(control.reset(), Ok(5));
    assert_eq!(cross(&mut parties), Ok(5));
    assert_eq!(*acted.lock().unwrap(), [0, 1, 2, 4, 5], "for trips at which nothing had broken");
    *own.lock().unwrap() = None; // it holds itself by way of its action
}
