//! What holds when trips break, one trip at a time (C2, C5). Everything at once is in `storm.rs`.

use super::common::watch::Step;
use super::common::{Watch, party_counts, scaled, until};
use super::properties::{build, each};
use super::subject::{Control, Family, Outcome, Seat, Stay};
use phalanx::Cause;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// C2 and C7, round by round: in each, any number of parties are impatient, and an outsider may abort. All outcomes of
/// a round are compared: all `Ok` with one leader, or all the same error. An abort that comes too late for its round
/// breaks the next one, for all alike or (without ranks, and nobody there) for nobody.
pub(crate) fn rounds<F: Family>(family: F, watch: &Watch) {
    let counts = party_counts().iter().filter(|parties| **parties <= 8 || !family.takes_slices(**parties));
    let counts = counts.map(|&parties| {
        let rounds = if family.takes_slices(parties) { 2 } else { 160usize.div_ceil(parties) };
        (parties, scaled(rounds))
    });
    rounds_of(family, watch, &counts.collect::<Vec<_>>());
}

/// [`rounds`] for these numbers of parties and of rounds.
pub(crate) fn rounds_of<F: Family>(family: F, watch: &Watch, counts: &[(usize, usize)]) {
    let mut broken = 0;
    let mut complete = 0;
    for &(parties, rounds) in counts {
        let control = build(family, watch, parties, 0);
        let outcomes: Vec<Mutex<Vec<(Stay, Outcome)>>> = (0..rounds).map(|_| Mutex::default()).collect();
        let (outcomes, meet, rng) = (&outcomes, &std::sync::Barrier::new(parties + 1), watch.rng());
        thread::scope(|scope| {
            let outsider = scope.spawn({
                let (control, mut rng) = (control.clone(), rng.fork(parties));
                move || {
                    for round in 0..rounds {
                        meet.wait();
                        if rng.once_in(3) {
                            rng.dawdle();
                            control.abort(&format!("abort {round}"));
                        }
                        meet.wait();
                        assert!(control.reset());
                        assert!(!control.is_broken());
                        meet.wait();
                    }
                }
            });
            watch.crew(each(&control, parties, |rank, mut seat| {
                let mut rng = rng.fork(rank);
                for (round, outcomes) in outcomes.iter().enumerate() {
                    meet.wait();
                    let stay = match rng.below(3 * parties as u64) {
                        0 => Stay::Timeout(Duration::from_micros(rng.below(300))),
                        1 => Stay::Timeout(Duration::from_millis(rng.below(3))),
                        2 => Stay::Timeout(Duration::from_secs(3600)),
                        _ => Stay::Forever,
                    };
                    rng.dawdle();
                    watch.mark(rank, round as u64, Step::Waiting);
                    let outcome = seat.wait(stay);
                    watch.mark(rank, round as u64, Step::Checking);
                    outcomes.lock().unwrap().push((stay, outcome));
                    meet.wait();
                    meet.wait();
                }
            }));
            outsider.join().unwrap();
        });
        for (round, outcomes) in outcomes.iter().enumerate() {
            let told = &*outcomes.lock().unwrap();
            assert_eq!(told.len(), parties);
            if told[0].1.is_ok() {
                complete += 1;
                let leaders = told.iter().filter(|(_, outcome)| outcome.as_ref().is_ok_and(|crossing| crossing.leader));
                assert_eq!(leaders.count(), 1, "leaders of round {round} of {parties} ({family:?}): {told:?}");
                assert!(told.iter().all(|(_, outcome)| outcome.is_ok()), "mixed: {told:?} ({family:?})");
                continue;
            }
            broken += 1;
            assert!(told.iter().all(|(_, outcome)| *outcome == told[0].1), "mixed: {told:?} ({family:?})");
            let failure = told[0].1.as_ref().unwrap_err();
            match &failure.cause {
                Cause::TimedOut { after, .. } => {
                    assert!(told.iter().any(|(stay, _)| *stay == Stay::Timeout(*after)), "nobody's patience: {told:?}");
                }
                Cause::Aborted { reason } => {
                    let number: usize = reason.strip_prefix("abort ").unwrap().parse().unwrap();
                    assert!(number == round || number + 1 == round, "round {round}: {reason}");
                }
                other => panic!("round {round}: nobody did that: {other:?}"),
            }
        }
    }
    assert!(
        crate::common::is_short() || (broken > 0 && complete > 0),
        "{broken} broken, {complete} complete: nothing was tested"
    );
}

/// C5. Some parties come to a trip that breaks, the others do not; after the reset, the late ones are told once, and
/// then the trip needs all parties again: no arrival from before counts.
pub(crate) fn late<F: Family>(family: F, watch: &Watch) {
    for &parties in party_counts().iter().filter(|parties| **parties > 1 && !family.takes_slices(**parties)) {
        let rounds = scaled(40usize.div_ceil(parties));
        let control = build(family, watch, parties, 0);
        let (meet, released) = (&std::sync::Barrier::new(parties), &AtomicUsize::new(0));
        watch.crew(each(&control, parties, |rank, mut seat| {
            for round in 0..rounds {
                // Everybody knows who is late: the last `1 + round` of them, but never all, and rank 0 keeps order.
                let punctual = parties - 1 - round % (parties - 1);
                watch.mark(rank, round as u64, Step::Waiting);
                if rank < punctual {
                    if rank == 0 {
                        until(|| control.arrived() == punctual - 1);
                        control.abort("some are late");
                    }
                    let failure = seat.wait(Stay::Forever).expect_err("aborted");
                    let missing: BTreeSet<_> = failure.missing.iter().copied().collect();
                    let expected = (punctual..parties).chain([0]).collect();
                    assert_eq!(missing, expected, "{failure:?}");
                }
                meet.wait();
                if rank == 0 {
                    assert!(control.reset());
                    assert_eq!(control.arrived(), 0);
                    released.store(0, SeqCst);
                }
                meet.wait();
                if rank >= punctual {
                    let failure = seat.wait(Stay::Forever).expect_err("told of the trip that it missed");
                    assert_eq!(failure.cause, Cause::Aborted { reason: "some are late".into() });
                    assert!(failure.missing.contains(&rank));
                }
                // Now all but the last arrive, and must stay.
                watch.mark(rank, round as u64, Step::Checking);
                if rank == parties - 1 {
                    until(|| control.arrived() == parties - 1);
                    thread::sleep(Duration::from_micros(200));
                    assert_eq!(released.load(SeqCst), 0, "a stale arrival was counted");
                }
                let crossing = seat.wait(Stay::Forever).expect("whole again");
                released.fetch_add(1, SeqCst);
                assert_eq!(crossing.generation, 2 * round as u64 + 1, "the number after the broken one");
                meet.wait();
            }
        }));
    }
}

/// C2 as fast as it goes: two parties with hardly any patience, brought together within nanoseconds before each round,
/// so that the last arrival and the timeout meet again and again: the shape in which a missing fence shows on real
/// hardware, if at all.
pub(crate) fn duel<F: Family>(family: F, watch: &Watch) {
    let control = build(family, watch, 2, 0);
    // One that spins for ever keeps the CPU that the other needs, wherever something else runs too.
    let rounds = scaled(if family.takes_slices(usize::MAX) { 500 } else { 8_000 });
    let steps = &[AtomicU64::new(0), AtomicU64::new(0)];
    let (control, rng) = (&control, watch.rng());
    let books = watch.crew(each(control, 2, |rank, mut seat| {
        let mut rng = rng.fork(rank);
        let meet = |step: u64| {
            steps[rank].store(step, SeqCst);
            let met = || steps[1 - rank].load(SeqCst) >= step;
            if !(0..2000).any(|_| met()) {
                until(met); // the other has no CPU just now
            }
        };
        let outcome = |round: u64| {
            watch.mark(rank, round, Step::Waiting);
            meet(2 * round + 1);
            (0..rng.below(400)).for_each(|_| std::hint::spin_loop());
            let hasty = Stay::Timeout(Duration::from_nanos(rng.below(4) * 500));
            let outcome = match round % 50 {
                // However the machine schedules the two, some trips complete and some break.
                48 => seat.wait(Stay::Forever),
                49 if rank == 0 => seat.wait(Stay::Timeout(Duration::ZERO)),
                49 => {
                    until(|| steps[0].load(SeqCst) >= 2 * round + 2); // the other has been told
                    seat.wait(Stay::Forever)
                }
                _ if rng.once_in(4) => seat.wait(Stay::Timeout(Duration::from_secs(1))),
                _ => seat.wait(hasty),
            };
            meet(2 * round + 2);
            if rank == 0 && outcome.is_err() {
                assert!(control.reset());
            }
            outcome.map(|crossing| crossing.generation)
        };
        let book: Vec<_> = (0..rounds as u64).map(outcome).collect();
        (book, seat)
    }));
    for (round, (one, other)) in books[0].0.iter().zip(&books[1].0).enumerate() {
        assert!(one == other, "round {round} is mixed: {one:?}, {other:?} ({family:?})");
    }
    let complete = books[0].0.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(
        crate::common::is_short() || (complete > 0 && complete < rounds),
        "{complete} of {rounds}: nothing was tested ({family:?})"
    );
}
