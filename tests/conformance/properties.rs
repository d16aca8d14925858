//! What holds while nothing breaks (C1, C4, C6, C7, C10, C12).

use super::common::watch::{Job, Step};
use super::common::{Watch, few, party_counts, patience, scaled, until};
use super::subject::{Control, Crossing, Family, Seat, Stay};
use phalanx::Cause;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Trips for `parties` of `family` that take about as long everywhere.
fn trips<F: Family>(family: F, parties: usize, base: usize) -> u64 {
    let wanted = if family.takes_slices(parties) { 2 } else { base.div_ceil(parties) };
    scaled(wanted).max(2) as u64
}

pub(crate) fn build<F: Family>(family: F, watch: &Watch, parties: usize, first: u64) -> F::Control {
    let control = family.build(parties, first);
    let shown = control.clone();
    watch.show(move || format!("{shown:?}"));
    control
}

/// One job per party, made by `job` from its rank and its seat.
pub(crate) fn each<'a, C: Control, T>(
    control: &C,
    parties: usize,
    job: impl Fn(usize, C::Seat) -> T + Clone + Send + 'a,
) -> Vec<Job<'a, T>>
where
    C::Seat: 'a,
{
    let jobs = (0..parties).map(|rank| {
        let (job, seat) = (job.clone(), control.claim(rank));
        Box::new(move || job(rank, seat)) as Job<'a, T>
    });
    jobs.collect()
}

/// Crosses `trips` times with everybody checking everybody: first all write, and nobody is released before; then all
/// check, and nobody writes before. The writes are relaxed, so that the barrier alone makes them visible.
pub(crate) fn cross_checked<F: Family>(
    family: F,
    watch: &Watch,
    control: &F::Control,
    parties: usize,
    first: u64,
    trips: u64,
) {
    let slots: Vec<AtomicU64> = (0..parties).map(|_| AtomicU64::new(0)).collect();
    let leaders: Vec<AtomicUsize> = (0..2 * trips).map(|_| AtomicUsize::new(0)).collect();
    let (slots, leaders, rng) = (&slots, &leaders, watch.rng());
    watch.crew(each(control, parties, |rank, mut seat| {
        let mut rng = rng.fork(rank);
        let mut wait = |trip: u64| {
            watch.mark(rank, trip, Step::Waiting);
            let crossing = seat.wait(Stay::Forever).expect("nothing breaks");
            let generation = if F::RANKED { first.wrapping_add(trip) } else { trip };
            assert_eq!(crossing.generation, generation, "rank {rank}");
            leaders[trip as usize].fetch_add(usize::from(crossing.leader), Relaxed);
            watch.mark(rank, trip, Step::Checking);
        };
        for trip in 0..trips {
            rng.dawdle();
            slots[rank].store(trip + 1, Relaxed);
            wait(2 * trip);
            for (other, slot) in slots.iter().enumerate() {
                assert_eq!(slot.load(Relaxed), trip + 1, "rank {rank} sees rank {other} ahead or behind ({family:?})");
            }
            wait(2 * trip + 1);
        }
    }));
    for (trip, leaders) in leaders.iter().enumerate() {
        assert_eq!(leaders.load(Relaxed), 1, "leaders of trip {trip} of {parties} ({family:?})");
    }
}

/// C1 and C7.
pub(crate) fn separation<F: Family>(family: F, watch: &Watch) {
    for &parties in party_counts().iter().filter(|parties| **parties <= 8 || !family.takes_slices(**parties)) {
        let control = build(family, watch, parties, 0);
        cross_checked(family, watch, &control, parties, 0, trips(family, parties, 400));
    }
}

/// C6. The counts wrap at 2^64, at 2^63 as seen by signed differences, at 2^32 and 2^39 where somebody stored half a
/// word.
pub(crate) fn wrap<F: Family>(family: F, watch: &Watch) {
    let near = [u64::MAX - 3, (1 << 63) - 3, u64::from(u32::MAX) - 3, (1 << 31) - 3, (1 << 39) - 3];
    for first in few(near) {
        for &parties in party_counts().iter().filter(|parties| **parties <= 4) {
            let control = build(family, watch, parties, first);
            cross_checked(family, watch, &control, parties, first, 3);
            let control = build(family, watch, parties, first);
            break_at_the_wrap(family, watch, &control, parties, first);
        }
    }
}

/// The fourth trip is the last before the wrap: it breaks, and the fifth, after the reset, is beyond.
fn break_at_the_wrap<F: Family>(_: F, watch: &Watch, control: &F::Control, parties: usize, first: u64) {
    let meet = &std::sync::Barrier::new(parties);
    let broken = first.wrapping_add(3);
    watch.crew(each(control, parties, |rank, mut seat| {
        for trip in 0..8 {
            watch.mark(rank, trip, Step::Waiting);
            if trip == 3 && rank == 0 {
                until(|| control.arrived() + 1 == parties);
                control.abort("at the wrap");
            }
            let outcome = seat.wait(Stay::Forever);
            if trip != 3 {
                let generation = outcome.expect("not aborted").generation;
                assert!(!F::RANKED || generation == first.wrapping_add(trip), "rank {rank}: {generation}");
                continue;
            }
            let failure = outcome.expect_err("aborted");
            // Callers without ranks are counted in batches modulo 2^39.
            let unlike = failure.generation ^ broken;
            assert!(unlike == 0 || (!F::RANKED && unlike.trailing_zeros() >= 39), "{failure:?}");
            assert_eq!((failure.arrived, failure.missing.len()), (parties - 1, usize::from(F::RANKED)), "{failure:?}");
            meet.wait();
            assert!(control.reset());
            meet.wait();
        }
    }));
}

/// C4. Upper bounds are in seconds: this is no test of speed.
pub(crate) fn deadlines<F: Family>(family: F, watch: &Watch) {
    let control = build(family, watch, 2, 0);
    let mut seat = control.claim(0);
    let _never_comes = control.claim(1);
    let times = [0, 1, 300, 2_000, 25_000].map(Duration::from_micros);
    for (number, time) in times.into_iter().flat_map(|time| [(0, time), (1, time)]) {
        watch.mark(0, number, Step::Waiting);
        let start = Instant::now();
        let stay = if number == 0 { Stay::Timeout(time) } else { Stay::Deadline(start + time) };
        let failure = seat.wait(stay).expect_err("nobody else comes");
        let waited = start.elapsed();
        assert!(waited >= time, "early: {waited:?} of {time:?}");
        assert!(waited < time + Duration::from_secs(20), "late: {waited:?} of {time:?}");
        match failure.cause {
            Cause::TimedOut { rank: 0, after } if number == 0 => assert_eq!(after, time),
            Cause::TimedOut { rank: 0, after } => assert!(after <= time, "{after:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((failure.arrived, failure.missing.len()), (1, usize::from(F::RANKED)));
        assert!(control.is_broken());
        assert!(control.reset() && !control.is_broken());
    }
    // The other party was claimed before the first break and is owed that one; a fresh barrier for what follows.
    let control = build(family, watch, 2, 0);
    let (mut early, mut late) = (control.claim(0), control.claim(1));
    if let Some(past) = Instant::now().checked_sub(Duration::from_millis(5)) {
        let failure = early.wait(Stay::Deadline(past)).expect_err("past");
        assert_eq!(failure.cause, Cause::TimedOut { rank: 0, after: Duration::ZERO });
        assert!(late.wait(Stay::Forever).is_err_and(|told| told == failure));
        assert!(control.reset());
    }
    // For ever is for ever, and a last arrival does not need time.
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let outcome = early.wait(Stay::Timeout(Duration::MAX));
            returned.store(true, SeqCst);
            outcome
        });
        until(|| control.arrived() == 1);
        thread::sleep(Duration::from_millis(20));
        assert!(!returned.load(SeqCst), "left alone before the last arrival");
        assert!(late.wait(Stay::Timeout(Duration::ZERO)).is_ok(), "the last to arrive does not wait");
        assert!(waiter.join().unwrap().is_ok());
    });
}

/// C12. Somebody wakes the sleepers all the time; then also with one party withheld.
pub(crate) fn spurious<F: Family>(family: F, watch: &Watch) {
    for &parties in party_counts().iter().filter(|parties| **parties <= 8) {
        let control = build(family, watch, parties, 0);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    control.wake_spuriously();
                    thread::yield_now();
                }
            });
            cross_checked(family, watch, &control, parties, 0, trips(family, parties, 100));
            over.store(true, Relaxed);
        });
        withhold_one(watch, &build(family, watch, parties, 0), parties);
    }
}

fn withhold_one<C: Control>(watch: &Watch, control: &C, parties: usize) {
    let released = &AtomicUsize::new(0);
    watch.crew(each(control, parties, |rank, mut seat| {
        if rank == parties - 1 {
            until(|| control.arrived() == parties - 1);
            for _ in 0..scaled(50) {
                control.wake_spuriously();
                thread::sleep(Duration::from_micros(50)); // long enough to fall asleep again
                assert_eq!(released.load(SeqCst), 0, "released with one of {parties} missing");
            }
        }
        watch.mark(rank, 0, Step::Waiting);
        let outcome: Result<Crossing, _> = seat.wait(Stay::Forever);
        released.fetch_add(1, SeqCst);
        outcome.expect("nothing breaks");
    }));
}

/// C10, as a smoke test: benchmarks say by how much. A barrier that collapses needs minutes for this.
pub(crate) fn crowd<F: Family>(family: F, watch: &Watch) {
    let parties = if cfg!(miri) { 5 } else { 33 };
    let trips = scaled(if family.takes_slices(parties) { 3 } else { 200 });
    let control = build(family, watch, parties, 0);
    let start = Instant::now();
    watch.crew(each(&control, parties, |rank, mut seat| {
        for trip in 0..trips {
            watch.mark(rank, trip as u64, Step::Waiting);
            seat.wait(Stay::Forever).expect("nothing breaks");
        }
    }));
    let taken = start.elapsed();
    assert!(taken < patience() / 4, "{trips} trips of {parties} took {taken:?} ({family:?})");
}
