//! Everything at once: impatient parties, panics, drops and new claims, aborts and resets from outside, all at random
//! times, while nobody keeps step but by the barrier under test. What each party saw is audited afterwards
//! (`ledger.rs`); then the barrier must still be able to do its work.

use super::common::watch::{Step, panic_quietly};
use super::common::{Watch, party_counts, scaled};
use super::ledger::{Book, Departure, Entry, Tally, audit};
use super::properties::{build, each};
use super::subject::{Control, Failure, Family, Outcome, Seat, Stay};
use phalanx::Cause;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn storm<F: Family>(family: F, watch: &Watch) {
    let mut total = Tally::default();
    for (turn, &parties) in party_counts().iter().enumerate() {
        if parties > 16 || (family.takes_slices(parties) && parties > 5) {
            continue; // nothing new happens there, only slowly
        }
        // Every other storm goes over the wrap.
        let first = if turn % 2 == 0 { 0 } else { u64::MAX - 5 };
        let tally = weather_one(family, watch, parties, first);
        total.complete += tally.complete;
        total.broken += tally.broken;
    }
    assert!(
        crate::common::is_short() || (total.complete > 20 && total.broken > 20),
        "{total:?}: nothing was tested ({family:?})"
    );
}

fn is_end(failure: &Failure) -> bool {
    failure.cause == Cause::Aborted { reason: "end".into() }
}

fn weather_one<F: Family>(family: F, watch: &Watch, parties: usize, first: u64) -> Tally {
    let control = build(family, watch, parties, first);
    let (mut books, mut seats) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let outsider = scope.spawn(|| disturb(&control, watch, parties));
        for (book, seat) in
            watch.crew(each(&control, parties, |rank, seat| live_through(&control, watch, rank, parties, seat)))
        {
            books.push(book);
            seats.push(seat);
        }
        outsider.join().unwrap();
    });
    let tally = audit(&books, first);

    // After the storm: all were told of the end, so all start together.
    assert!(control.reset());
    let jobs = seats.into_iter().map(|mut seat| {
        let job = move || (0..3).map(|_| seat.wait(Stay::Forever).expect("calm again").generation).collect::<Vec<_>>();
        Box::new(job) as Box<dyn FnOnce() -> Vec<u64> + Send>
    });
    let seen = watch.crew(jobs.collect());
    assert!(seen.iter().all(|generations| *generations == seen[0]), "{seen:?}");
    tally
}

/// The outsider: aborts, and returns to service what is broken, until it has done enough; then ends it for all.
fn disturb<C: Control>(control: &C, watch: &Watch, parties: usize) {
    let mut rng = watch.rng().fork(parties);
    for act in 0..scaled(60) {
        if rng.once_in(6) {
            control.abort(&format!("abort {act}"));
        } else if rng.once_in(6) || control.is_broken() {
            control.reset();
        }
        if rng.once_in(2) {
            thread::sleep(Duration::from_micros(rng.below(1500)));
        } else {
            rng.dawdle();
        }
    }
    while !is_end(&control.abort("end")) {
        control.reset();
        thread::yield_now();
    }
}

/// One party: waits and waits again, until it is told of the end.
fn live_through<C: Control>(control: &C, watch: &Watch, rank: usize, parties: usize, seat: C::Seat) -> (Book, C::Seat) {
    let mut rng = watch.rng().fork(rank);
    let mut book = Book::default();
    let mut seat = Some(seat);
    let mut handle = 0;
    // Rare enough that many trips complete, whatever the number of parties.
    let rarely = 6 * parties as u64;
    for round in 0.. {
        if rng.once_in(3 * rarely) {
            watch.mark(rank, round, Step::Leaving);
            let panics = rng.once_in(2);
            let cause = if panics { Cause::Panicked { rank } } else { Cause::Dropped { rank } };
            book.departures.push(Departure { cause, began: Instant::now() });
            let leaving = seat.take();
            let left = catch_unwind(AssertUnwindSafe(move || {
                let _dropped_by_the_panic = leaving;
                if panics {
                    panic_quietly();
                }
            }));
            assert_eq!(left.is_err(), panics);
            rng.dawdle();
            watch.mark(rank, round, Step::Claiming);
            handle += 1;
        }
        let present = seat.get_or_insert_with(|| control.claim(rank));
        let stay = match rng.below(rarely) {
            0 => Stay::Timeout(Duration::from_micros(rng.below(300))),
            1 => Stay::Timeout(Duration::from_millis(rng.below(4))),
            2 => Stay::Timeout(Duration::MAX),
            _ => Stay::Forever,
        };
        rng.dawdle();
        watch.mark(rank, round, Step::Waiting);
        let called = Instant::now();
        let outcome: Outcome = present.wait(stay);
        let entry = Entry { handle, stay, called, returned: Instant::now(), outcome };
        watch.mark(rank, round, Step::Checking);
        let failed = entry.outcome.as_ref().err().map(is_end);
        book.note(entry);
        match failed {
            Some(true) => break,
            Some(false) => thread::sleep(Duration::from_micros(30)), // until the reset it is told again
            None => {}
        }
    }
    (book, seat.expect("left the loop after a wait"))
}
