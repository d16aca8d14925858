//! Loom models of a cancellation against everything that could miss it: a reset, the binding, a trip.

use super::Barrier;
use super::cancel::CancelToken;
use super::models::{cancellable, explore};
use crate::algo::select::Algorithm::Central;
use crate::error::Cause;
use loom::thread;

fn is_cancelled(barrier: &Barrier) -> bool {
    barrier.broken().is_some_and(|broken| matches!(broken.cause(), Cause::Cancelled { .. }))
}

fn cancelling(token: &CancelToken) -> thread::JoinHandle<()> {
    let token = token.clone();
    thread::spawn(move || assert!(token.cancel("model")))
}

/// A reset that comes first serves a barrier that is broken again; one that comes later is refused.
#[test]
fn cancel_against_a_reset() {
    explore(3, || {
        let token = CancelToken::new();
        let barrier = cancellable(Central, 1, &token);
        barrier.abort("model");
        let cancelling = cancelling(&token);
        let reset = barrier.reset();
        cancelling.join().unwrap();
        assert!(barrier.is_broken(), "a reset has undone a cancellation");
        assert_eq!(is_cancelled(&barrier), reset.is_ok());
        assert!(barrier.reset().is_err());
    });
}

#[test]
fn cancel_against_a_binding() {
    explore(3, || {
        let token = CancelToken::new();
        let cancelling = cancelling(&token);
        let barrier = cancellable(Central, 1, &token);
        cancelling.join().unwrap();
        assert!(is_cancelled(&barrier), "a barrier was bound and not told");
    });
}

/// All or none, and the trip behind the last complete one is the broken one.
#[test]
fn cancel_against_trips() {
    explore(2, || {
        let token = CancelToken::new();
        let barrier = cancellable(Central, 2, &token);
        let [mut one, mut other] = <[_; 2]>::try_from(barrier.take_parties().unwrap()).unwrap();
        let cancelling = cancelling(&token);
        let others = thread::spawn(move || ([(); 2].map(|()| other.wait().map(|trip| trip.generation())), other));
        let mine = [(); 2].map(|()| one.wait().map(|trip| trip.generation()));
        let (others, _kept) = others.join().unwrap();
        assert_eq!(mine, others);
        cancelling.join().unwrap();
        assert!(is_cancelled(&barrier));
    });
}
