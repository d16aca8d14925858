//! C11: misuse is impossible, or is detected by a typed error.

use super::common::{few, patience, watched};
use phalanx::{Algorithm, Barrier, Broken, BuildError, Cause, ClaimError, MAX_PARTIES, Party, ResetError, compat};
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

#[test]
fn numbers_of_parties_that_cannot_be_are_errors_with_the_number() {
    for parties in [0, MAX_PARTIES + 1, usize::MAX] {
        let error = Barrier::new(parties).unwrap_err();
        assert_eq!(error, BuildError::Parties { parties });
        assert!(error.to_string().contains(&format!("not {parties}")), "{error}");
    }
    let most = Barrier::new(if cfg!(miri) { 100 } else { MAX_PARTIES }).unwrap();
    assert_eq!(most.missing().len(), most.parties());
}

#[test]
fn a_rank_is_held_once() {
    let barrier = Barrier::new(3).unwrap();
    let party = barrier.claim(1).unwrap();
    assert_eq!(barrier.claim(1).unwrap_err(), ClaimError::Taken { rank: 1 });
    assert_eq!(barrier.claim(3).unwrap_err(), ClaimError::NoSuchRank { rank: 3, parties: 3 });
    assert_eq!(barrier.claim(usize::MAX).unwrap_err(), ClaimError::NoSuchRank { rank: usize::MAX, parties: 3 });
    assert_eq!(barrier.take_parties().unwrap_err(), ClaimError::Taken { rank: 1 });
    assert_eq!(barrier.claim(0).unwrap().rank(), 0, "a refused `take_parties` gives out none");
    drop(party);
}

#[test]
fn a_barrier_without_a_party_cannot_be_reset() {
    let barrier = Barrier::new(3).unwrap();
    let mut parties = barrier.take_parties().unwrap();
    drop(parties.remove(2));
    drop(parties.remove(0));
    assert_eq!(barrier.reset().unwrap_err(), ResetError::Deserted { ranks: vec![0, 2] });
    let restarted = (barrier.claim(0).unwrap(), barrier.claim(2).unwrap());
    assert_eq!(barrier.reset().unwrap(), 1);
    drop(restarted);
}

#[test]
fn a_rank_that_can_never_be_claimed_breaks_the_trip() {
    watched("a_rank_that_can_never_be_claimed_breaks_the_trip", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            let barrier = Barrier::builder(3).algorithm(algorithm).build().unwrap();
            let (mut first, mut last) = (barrier.claim(0).unwrap(), barrier.claim(2).unwrap());
            let other_handle = barrier.clone();
            drop(barrier);
            assert!(!other_handle.is_broken(), "somebody may still claim");
            drop(other_handle);
            let told = first.wait().unwrap_err();
            assert_eq!(told.cause(), &Cause::Dropped { rank: 1 });
            assert_eq!(last.wait().unwrap_err(), told);
        }
    });
}

#[test]
fn a_forgotten_party_is_named_by_a_timeout() {
    watched("a_forgotten_party_is_named_by_a_timeout", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            let barrier = Barrier::builder(2).algorithm(algorithm).timeout(Duration::from_millis(3)).build().unwrap();
            let mut parties = barrier.take_parties().unwrap();
            let forgotten = ManuallyDrop::new(parties.remove(1));
            let told = parties[0].wait().unwrap_err();
            assert_eq!(told.cause(), &Cause::TimedOut { rank: 0, after: Duration::from_millis(3) });
            assert_eq!(told.missing().iter().map(|missing| missing.rank).collect::<Vec<_>>(), [1]);
            drop(ManuallyDrop::into_inner(forgotten)); // remembered in the end, so that Miri finds no leak
        }
    });
}

/// The `timeout` of the builder is the limit of `wait` alone: a wait with a limit of its own takes that.
#[test]
fn a_waits_own_limit_beats_the_builders() {
    watched("a_waits_own_limit_beats_the_builders", patience(), |_| {
        let barrier = Barrier::builder(2).timeout(Duration::from_secs(3600)).build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let told = parties[0].wait_timeout(Duration::from_millis(2)).unwrap_err();
        assert_eq!(told.cause(), &Cause::TimedOut { rank: 0, after: Duration::from_millis(2) });
    });
}

/// Compiles only while `T` is neither `Clone` nor `Copy`: otherwise both implementations apply, and the call is
/// ambiguous.
trait NotClone<Ambiguous> {
    fn is_not_clone() {}
}
struct ByClone;
impl<T> NotClone<()> for T {}
impl<T: Clone> NotClone<ByClone> for T {}

#[test]
fn handles_are_what_threads_need() {
    fn is<T: Send>() {}
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn like_std<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    is::<Party>();
    <Party as NotClone<_>>::is_not_clone();
    shared::<Barrier>();
    shared::<Broken>();
    like_std::<compat::Barrier>();
    like_std::<std::sync::Barrier>();
    like_std::<compat::BarrierWaitResult>();
}
