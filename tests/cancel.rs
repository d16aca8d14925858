//! Cancel tokens: every barrier that is bound breaks, for everybody alike and for good.

mod common;

use common::watch::Job;
use common::{few, scaled, watched};
use phalanx::{Algorithm, Barrier, Broken, CancelToken, Cause, ResetError, WaitPolicy};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = common::limit(60);

fn cause(reason: &str) -> Cause {
    Cause::Cancelled { reason: reason.into() }
}

/// Crosses until the break; the trips that were complete, and what was told.
fn until_broken(mut party: phalanx::Party) -> (u64, Broken) {
    let mut complete = 0;
    loop {
        match party.wait() {
            Ok(_) => complete += 1,
            Err(broken) => return (complete, broken),
        }
    }
}

#[test]
fn every_barrier_breaks_for_everybody_with_one_record() {
    watched("every_barrier_breaks_for_everybody_with_one_record", LIMIT, |watch| {
        let mut rng = watch.rng();
        for algorithm in few(Algorithm::NAMED) {
            for policy in few([WaitPolicy::Adaptive, WaitPolicy::Park, WaitPolicy::SpinYield]) {
                for _ in 0..scaled(3) {
                    let token = CancelToken::new();
                    let build = |parties| {
                        let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
                        builder.cancel_on(&token).build().unwrap()
                    };
                    let barriers = [build(2), build(3)];
                    let late = Duration::from_micros(rng.below(300));
                    let mut jobs: Vec<Job<'_, Option<(u64, Broken)>>> = Vec::new();
                    for party in barriers.iter().flat_map(|barrier| barrier.take_parties().unwrap()) {
                        jobs.push(Box::new(move || Some(until_broken(party))));
                    }
                    let cancelled = token.clone();
                    jobs.push(Box::new(move || {
                        thread::sleep(late);
                        assert!(cancelled.cancel("enough"));
                        assert!(!cancelled.cancel("too late"));
                        None
                    }));
                    let told = watch.crew(jobs);
                    for told in [&told[..2], &told[2..5]] {
                        let (complete, broken) = told[0].clone().unwrap();
                        assert_eq!((broken.cause(), broken.generation()), (&cause("enough"), complete));
                        assert!(told.iter().all(|told| told.as_ref() == Some(&(complete, broken.clone()))), "{told:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_cancelled_barrier_cannot_be_reset_or_revived() {
    let token = CancelToken::new();
    assert_eq!((token.is_cancelled(), token.reason()), (false, None));
    let barrier = Barrier::builder(1).cancel_on(&token).build().unwrap();
    let mut party = barrier.claim(0).unwrap();
    barrier.abort("an abort is mended");
    assert_eq!(barrier.reset(), Ok(1));
    assert!(party.wait().is_err() && party.wait().is_ok());
    assert!(token.clone().cancel("for good"));
    assert_eq!((token.is_cancelled(), token.reason().as_deref()), (true, Some("for good")));
    let refused = barrier.reset().unwrap_err();
    assert_eq!(refused, ResetError::Cancelled { reason: "for good".into() });
    assert_eq!(refused.to_string(), "the barrier was cancelled for good: for good");
    for _ in 0..3 {
        assert_eq!(party.wait().unwrap_err().cause(), &cause("for good"));
    }
}

#[test]
fn a_barrier_that_is_built_too_late_is_broken_from_the_start() {
    let (token, other) = (CancelToken::new(), CancelToken::default());
    token.cancel("before");
    let barrier = Barrier::builder(2).cancel_on(&other).cancel_on(&token).build().unwrap();
    let told: Vec<_> = barrier.take_parties().unwrap().iter_mut().map(|party| party.wait().unwrap_err()).collect();
    assert_eq!((told[0].cause(), told[0].generation()), (&cause("before"), 0));
    assert_eq!(told[0], told[1]);
    // Another token's cancellation changes nothing any more.
    assert!(other.cancel("after"));
    assert_eq!(barrier.broken().unwrap().cause(), &cause("before"));
}

#[test]
fn those_who_join_are_cancelled_with_the_others() {
    let token = CancelToken::new();
    let barrier = Barrier::builder(1).cancel_on(&token).build().unwrap();
    let mut old = barrier.claim(0).unwrap();
    let mut new = barrier.join().unwrap();
    token.cancel("all");
    assert_eq!(old.wait().unwrap_err().cause(), &cause("all"));
    assert_eq!(new.wait().unwrap_err().cause(), &cause("all"));
}

#[test]
fn a_token_forgets_barriers_that_are_gone() {
    let token = CancelToken::new();
    let kept = Barrier::builder(1).cancel_on(&token).build().unwrap();
    for _ in 0..scaled(10_000) {
        drop(Barrier::builder(1).cancel_on(&token).build().unwrap());
        assert!(token.remembered() < 40);
    }
    token.cancel("the one that is left");
    assert!(kept.is_broken());
}

#[test]
fn of_two_who_cancel_one_does_and_both_see_it() {
    watched("of_two_who_cancel_one_does_and_both_see_it", LIMIT, |_| {
        for _ in 0..scaled(500) {
            let token = CancelToken::new();
            let barrier = Barrier::builder(1).cancel_on(&token).build().unwrap();
            let did: Vec<bool> = thread::scope(|s| {
                let cancel = |reason: &'static str| {
                    let token = &token;
                    move || {
                        let did = token.cancel(reason);
                        assert!(token.is_cancelled());
                        did
                    }
                };
                let both = [s.spawn(cancel("one")), s.spawn(cancel("other"))];
                both.into_iter().map(|it| it.join().unwrap()).collect()
            });
            assert!(did[0] != did[1]);
            let reason = if did[0] { "one" } else { "other" };
            assert_eq!(token.reason().as_deref(), Some(reason));
            assert_eq!(barrier.broken().unwrap().cause(), &cause(reason));
        }
    });
}

/// No lock is held while an action or a serial section runs.
#[test]
fn an_action_and_a_serial_section_may_cancel_their_own_barrier() {
    watched("an_action_and_a_serial_section_may_cancel_their_own_barrier", LIMIT, |watch| {
        let token = CancelToken::new();
        let inside = token.clone();
        let barrier = Barrier::builder(2).cancel_on(&token).action(move |trip| {
            if trip.generation == 3 {
                inside.cancel("by the action");
            }
        });
        let barrier = barrier.build().unwrap();
        let parties = barrier.take_parties().unwrap();
        let jobs =
            parties.into_iter().map(|party| Box::new(|| until_broken(party)) as Job<'_, (u64, Broken)>).collect();
        // The trip at which all have arrived stays complete.
        for (complete, broken) in watch.crew(jobs) {
            assert_eq!((complete, broken.generation(), broken.cause()), (4, 4, &cause("by the action")));
        }
        let token = CancelToken::new();
        let mut party = Barrier::builder(1).cancel_on(&token).build().unwrap().claim(0).unwrap();
        party.serial(|| token.cancel("by the section")).unwrap();
        assert_eq!(party.wait().unwrap_err().cause(), &cause("by the section"));
    });
}
