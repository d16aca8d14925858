//! Members come and go: step by step on one thread. All at once is in `turnover.rs`.

use super::super::common::watch::Step;
use super::super::common::{Watch, until};
use super::super::properties::build;
use super::super::subject::Phalanx;
use super::cross;
use phalanx::{Barrier, Cause, ClaimError, JoinError, Party, ResetError};
use std::thread;
use std::time::Duration;

/// `N` parties of a new barrier.
fn taken<const N: usize>(family: Phalanx, watch: &Watch) -> (Barrier, [Party; N]) {
    let control = build(family, watch, N, 0);
    let parties = control.take_parties().unwrap().try_into();
    (control, parties.unwrap())
}

fn place(party: &Party) -> (usize, usize, usize) {
    (party.rank(), party.index(), party.parties())
}

pub(crate) fn steps(family: Phalanx, watch: &Watch) {
    let steps: [fn(Phalanx, &Watch); 9] = [
        the_last_one_to_leave_ends_it,
        ranks_are_stable_and_places_dense,
        a_leaver_need_not_have_waited,
        leaving_and_joining_a_broken_barrier,
        a_deserted_rank_is_claimed_to_leave,
        the_open_trip_breaks_before_the_first_of_a_newcomer,
        a_dropped_newcomer_breaks_its_first_trip,
        a_trip_that_was_told_to_be_broken_never_completes,
        a_leaver_completes_what_others_sleep_for,
    ];
    for (number, step) in steps.into_iter().enumerate() {
        watch.mark(0, number as u64, Step::Working);
        step(family, watch);
    }
}

fn the_last_one_to_leave_ends_it(family: Phalanx, watch: &Watch) {
    let (control, [a, mut b]) = taken(family, watch);
    a.leave();
    assert!(!control.has_ended());
    assert_eq!(cross([&mut b]), Ok(0));
    assert_eq!(cross([&mut b]), Ok(1));
    b.leave();
    assert!(control.has_ended());
    assert_eq!((control.parties(), control.is_broken()), (0, false));
    assert_eq!(control.join().unwrap_err(), JoinError::Ended);
    assert_eq!(control.reset(), Err(ResetError::Ended));
    assert_eq!(control.claim(0).unwrap_err(), ClaimError::Left { rank: 0 });
    assert!(control.take_parties().unwrap().is_empty());
    let _of_no_trip = control.abort("too late");
    assert!(!format!("{control:?}").is_empty());
    // Both on the same trip.
    let (control, [a, b]) = taken(family, watch);
    a.leave();
    b.leave();
    assert!(control.has_ended() && control.parties() == 0);
    // On a broken barrier.
    let (control, [a]) = taken(family, watch);
    control.abort("over");
    a.leave();
    assert_eq!((control.has_ended(), control.reset()), (true, Err(ResetError::Ended)));
}

fn ranks_are_stable_and_places_dense(family: Phalanx, watch: &Watch) {
    let (control, [mut a, b, mut c]) = taken(family, watch);
    b.leave();
    // Rank 1 is still at the open trip: not to be given out.
    let mut d = control.join().unwrap();
    assert_eq!((d.rank(), d.generation(), control.parties()), (3, 1, 3));
    assert_eq!(cross([&mut a, &mut c]), Ok(0));
    assert_eq!([&a, &c, &d].map(place), [(0, 0, 3), (2, 1, 3), (3, 2, 3)]);
    let mut e = control.join().unwrap();
    assert_eq!((e.rank(), e.generation(), control.parties()), (1, 2, 3));
    assert_eq!(cross([&mut a, &mut c, &mut d]), Ok(1));
    assert_eq!([&a, &e, &c, &d].map(place), [(0, 0, 4), (1, 1, 4), (2, 2, 4), (3, 3, 4)]);
    assert_eq!(cross([&mut a, &mut c, &mut d, &mut e]), Ok(2));
    a.leave();
    assert_eq!(cross([&mut c, &mut d, &mut e]), Ok(3));
    assert_eq!([&e, &c, &d].map(place), [(1, 0, 3), (2, 1, 3), (3, 2, 3)]);
    // A newcomer that goes before its first trip is none of it.
    let f = control.join().unwrap();
    assert_eq!((f.rank(), f.generation()), (0, 5));
    f.leave();
    let g = control.join().unwrap();
    assert_eq!(g.rank(), 0);
    assert_eq!(cross([&mut c, &mut d, &mut e]), Ok(4));
    g.leave();
    assert_eq!(cross([&mut c, &mut d, &mut e]), Ok(5));
    assert_eq!((control.parties(), control.generation()), (3, 6));
}

fn a_leaver_need_not_have_waited(family: Phalanx, watch: &Watch) {
    let (control, [mut a, b, c]) = taken(family, watch);
    b.leave();
    assert_eq!(control.missing(), [0, 2]);
    c.leave();
    assert_eq!(control.missing(), [0]);
    assert_eq!((a.wait().unwrap().generation(), control.parties()), (0, 1));
    let trip = a.wait().unwrap();
    assert_eq!((trip.generation(), trip.is_leader()), (1, true));
}

fn leaving_and_joining_a_broken_barrier(family: Phalanx, watch: &Watch) {
    let (control, [mut a, mut b, c]) = taken(family, watch);
    let told = control.abort("now");
    assert_eq!(a.wait(), Err(told.clone()));
    c.leave();
    let mut d = control.join().unwrap();
    assert_eq!(d.rank(), 3, "rank 2 was at the broken trip");
    assert_eq!((d.wait(), d.arrive().try_wait()), (Err(told.clone()), Err(told.clone())));
    assert_eq!(control.broken(), Some(told.clone()));
    assert_eq!((control.reset(), control.parties()), (Ok(1), 3));
    assert_eq!(b.wait(), Err(told), "which it had not come for");
    assert_eq!(cross([&mut a, &mut b, &mut d]), Ok(1));
    assert_eq!([&a, &b, &d].map(place), [(0, 0, 3), (1, 1, 3), (3, 2, 3)]);
}

fn a_deserted_rank_is_claimed_to_leave(family: Phalanx, watch: &Watch) {
    let (control, [mut a, b, mut c]) = taken(family, watch);
    drop(b);
    let told = a.wait().unwrap_err();
    assert_eq!((told.cause(), c.wait()), (&Cause::Dropped { rank: 1 }, Err(told.clone())));
    assert_eq!(control.reset(), Err(ResetError::Deserted { ranks: vec![1] }));
    control.claim(1).unwrap().leave();
    assert_eq!((control.reset(), control.parties()), (Ok(1), 2));
    assert_eq!(cross([&mut a, &mut c]), Ok(1));
    assert_eq!([&a, &c].map(place), [(0, 0, 2), (2, 1, 2)]);
}

fn the_open_trip_breaks_before_the_first_of_a_newcomer(family: Phalanx, watch: &Watch) {
    for waits in [false, true] {
        let (control, [mut a, mut b]) = taken(family, watch);
        let mut new = control.join().unwrap();
        let told = thread::scope(|scope| {
            // Asleep for trip 1, perhaps, when trip 0 breaks.
            let early = scope.spawn(|| if waits { new.wait() } else { new.arrive().wait() });
            let first = a.arrive();
            thread::sleep(Duration::from_micros(300));
            let told = control.abort("now");
            assert_eq!((first.wait(), early.join().unwrap()), (Err(told.clone()), Err(told.clone())));
            told
        });
        assert_eq!((told.generation(), b.wait()), (0, Err(told.clone())));
        assert_eq!(control.reset(), Ok(1));
        assert_eq!(cross([&mut a, &mut b, &mut new]), Ok(1));
    }
}

fn a_dropped_newcomer_breaks_its_first_trip(family: Phalanx, watch: &Watch) {
    // Alone, before another one, and behind it.
    for others in 0..3 {
        let (control, [mut a]) = taken(family, watch);
        let mut first = (others == 2).then(|| control.join().unwrap());
        let new = control.join().unwrap();
        let mut second = (others == 1).then(|| control.join().unwrap());
        let rank = new.rank();
        drop(new);
        assert_eq!(cross([&mut a]), Ok(0), "it was none of this trip, with {others}");
        let told = a.wait().unwrap_err();
        assert_eq!((told.cause(), told.generation()), (&Cause::Dropped { rank }, 1));
        for other in first.iter_mut().chain(&mut second) {
            assert_eq!(other.wait(), Err(told.clone()));
        }
        control.claim(rank).unwrap().leave();
        assert_eq!(control.reset(), Ok(2));
        assert_eq!(cross(first.iter_mut().chain(&mut second).chain([&mut a])), Ok(2));
    }
}

/// Newcomers are told of their first trip before it is open; its number is used up, whatever becomes of the open one.
fn a_trip_that_was_told_to_be_broken_never_completes(family: Phalanx, watch: &Watch) {
    for abort in [false, true] {
        let (control, [mut a]) = taken(family, watch);
        let (mut b, c) = (control.join().unwrap(), control.join().unwrap());
        drop(c);
        let told = b.wait().unwrap_err();
        assert_eq!((told.cause(), told.generation()), (&Cause::Dropped { rank: 2 }, 1));
        control.claim(2).unwrap().leave();
        if abort {
            assert_eq!(control.abort("now").generation(), 0);
            assert_eq!(a.wait().unwrap_err().generation(), 0);
            assert_eq!(control.reset(), Ok(2));
        } else {
            assert_eq!(control.reset(), Ok(0), "the open trip is none the worse for it");
            let d = control.join().unwrap();
            assert_eq!((d.rank(), d.generation()), (2, 2));
            d.leave();
            assert_eq!(cross([&mut a]), Ok(0));
        }
        assert_eq!(cross([&mut a, &mut b]), Ok(2));
    }
}

fn a_leaver_completes_what_others_sleep_for(family: Phalanx, watch: &Watch) {
    let (control, [a, mut b]) = taken(family, watch);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| (b.wait().unwrap().generation(), b.wait().unwrap().generation()));
        until(|| control.arrived() == 1);
        thread::sleep(Duration::from_micros(300));
        a.leave();
        assert_eq!(sleeper.join().unwrap(), (0, 1));
    });
    assert_eq!(place(&b), (1, 0, 1));
}
