//! The concurrent core, small enough for an interpreter: `.ci/miri` plays this with many of Miri's seeds, each of which is
//! another schedule, another choice of the values that weak memory allows to be read, and another draw of what is done.
//!
//! What one seed does is small, and drawn ([`drawn`]): which algorithms, which policy, how many parties, what goes wrong. All data is plain, not atomic: an edge that is missing is a data race, which Miri reports at the access.
//! Elsewhere than under Miri this is a small smoke test.

mod common;

use common::watch::panic_quietly;
use common::{drawn, patience, watched};
use phalanx::team::lockstep::{At, Fault, Front, Lockstep, RetryPolicy, Stop, World};
use phalanx::team::{RunError, Team};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, WaitPolicy, compat};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A number that one thread at a time writes, or many read: by the barrier under test, and by nothing else.
#[derive(Default)]
struct Plain(UnsafeCell<u64>);

// SAFETY: whoever uses one keeps writers apart from all others by a barrier. If the barrier fails in that, Miri says so,
// which is what this type is for.
unsafe impl Sync for Plain {}

impl Plain {
    fn set(&self, value: u64) {
        // SAFETY: as above.
        unsafe { *self.0.get() = value }
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }
}

/// All tests but the crossing are for every other seed.
fn sits_out() -> bool {
    cfg!(miri) && drawn(2) == 0
}

fn algorithm() -> Algorithm {
    Algorithm::NAMED[drawn(Algorithm::NAMED.len() as u64) as usize]
}

fn policy() -> WaitPolicy {
    WaitPolicy::ALL[drawn(WaitPolicy::ALL.len() as u64) as usize]
}

/// A barrier over the wrap, so that parities and places are used again.
fn barrier(parties: usize, algorithm: Algorithm, policy: WaitPolicy) -> Barrier {
    let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
    builder.first_generation(u64::MAX - drawn(3)).build().unwrap()
}

/// Runs `work` with every party, on threads of their own. The control handle is gone by then, so that the last party takes
/// the barrier's memory along, right behind its last trip.
fn all<R: Send>(barrier: Barrier, work: impl Fn(Party) -> R + Sync) -> Vec<R> {
    let parties = barrier.take_parties().unwrap();
    drop(barrier);
    thread::scope(|s| {
        let work = &work;
        let threads: Vec<_> = parties.into_iter().map(|party| s.spawn(move || work(party))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// C1, C6, C7, C9: everybody's plain number is seen by everybody, in each trip; one leads; the memory goes with the last.
fn cross(parties: usize, algorithm: Algorithm, policy: WaitPolicy, trips: u64) {
    let numbers: Vec<Plain> = (0..parties).map(|_| Plain::default()).collect();
    let leads = all(barrier(parties, algorithm, policy), |mut party| {
        let mut leads = 0;
        for trip in 1..=trips {
            numbers[party.rank()].set(trip);
            leads += u64::from(party.wait().unwrap().is_leader());
            assert!(numbers.iter().all(|number| number.get() == trip), "{algorithm}, {policy}, {parties} parties");
            leads += u64::from(party.wait().unwrap().is_leader());
        }
        leads
    });
    assert_eq!(leads.iter().sum::<u64>(), 2 * trips, "{algorithm}, {policy}, {parties} parties");
}

#[test]
fn every_algorithm_and_policy_crosses() {
    watched("every_algorithm_and_policy_crosses", patience(), |_| {
        // A third of the algorithms; one seed in eight goes through all their policies.
        let (first, thorough) = (drawn(3) as usize, drawn(8) == 0);
        let step = if cfg!(miri) { 3 } else { 1 };
        for &algorithm in Algorithm::NAMED[first..].iter().step_by(step) {
            if thorough || !cfg!(miri) {
                WaitPolicy::ALL
                    .into_iter()
                    .for_each(|policy| cross(if cfg!(miri) { 1 + drawn(5) as usize } else { 3 }, algorithm, policy, 1));
            } else {
                cross(2 + drawn(3) as usize, algorithm, policy(), 2);
            }
        }
    });
}

/// C2, C3, C5: one gives up, one aborts, or one drops its handle, while all make trips; all are told the same of each.
#[test]
fn all_or_none() {
    if sits_out() {
        return;
    }
    watched("all_or_none", patience(), |watch| {
        let parties = 2 + drawn(3) as usize;
        let (algorithm, policy) = (algorithm(), policy());
        let barrier = barrier(parties, algorithm, policy);
        let control = barrier.clone();
        let numbers: Vec<Plain> = (0..parties).map(|_| Plain::default()).collect();
        let rng = watch.rng();
        let (accident, who) = (drawn(3), drawn(parties as u64) as usize);
        let outcomes = thread::scope(|s| {
            let outsider = s.spawn(|| {
                let mut rng = rng.fork(99);
                if accident == 0 {
                    (0..rng.below(40)).for_each(|_| thread::yield_now());
                    control.abort("from outside");
                }
            });
            let outcomes = all(barrier, |mut party| {
                let (rank, mut rng) = (party.rank(), rng.fork(party.rank()));
                let mut trips: Vec<Result<u64, Broken>> = Vec::new();
                for trip in 0..4 {
                    if accident == 1 && rank == who && trip == 2 {
                        return trips; // and drops its handle
                    }
                    numbers[rank].set(trip);
                    rng.dawdle();
                    let impatient = accident == 2 && rank == who;
                    let limit = if impatient { Duration::from_micros(rng.below(3000)) } else { Duration::MAX };
                    let crossed = party.wait_timeout(limit).map(|trip| trip.generation());
                    let broken = crossed.is_err();
                    trips.push(crossed);
                    if broken {
                        break;
                    }
                    assert!(numbers.iter().all(|number| number.get() == trip));
                    if let Err(told) = party.wait() {
                        trips.push(Err(told));
                        break;
                    }
                }
                trips
            });
            outsider.join().unwrap();
            outcomes
        });
        // But for who has left, all made the same trips, with the same ends.
        let stayed = outcomes.iter().enumerate().filter(|(rank, _)| accident != 1 || *rank != who);
        let ends: Vec<Vec<bool>> = stayed.map(|(_, trips)| trips.iter().map(Result::is_ok).collect()).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{algorithm}, {policy}: mixed: {outcomes:?}");
        let told: Vec<&Broken> = outcomes.iter().flatten().filter_map(|outcome| outcome.as_ref().err()).collect();
        // Who leaves, of its own accord or because it has had enough, may break a later trip for the others.
        let later = |told: &Broken| matches!(told.cause(), Cause::Dropped { .. });
        for told in &told {
            let known = match told.cause() {
                Cause::Aborted { .. } => accident == 0,
                Cause::TimedOut { rank, .. } => accident == 2 && *rank == who,
                _ => later(told),
            };
            assert!(known, "{algorithm}, {policy}: nobody did that: {told}");
        }
        let mut records: Vec<_> = told.iter().filter(|told| !later(told)).collect();
        records.dedup_by(|a, b| a == b);
        assert!(records.len() < 2, "{algorithm}, {policy}: mixed: {records:?}");
    });
}

/// C5: breaks and resets, while one is still in the words of before.
#[test]
fn resets() {
    if sits_out() {
        return;
    }
    watched("resets", patience(), |_| {
        let barrier = barrier(2, algorithm(), policy());
        let control = barrier.clone();
        let number = Plain::default();
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..2 {
                    control.abort("again");
                    // Refused once all have left.
                    let _ = control.reset();
                }
            });
            // The first party sets a number in trips that both complete, the second reads it in those in between.
            all(barrier, |mut party| {
                let mut whole = 0;
                while whole < 4 {
                    if party.rank() as u64 == whole % 2 {
                        number.set(number.get() + 1);
                    }
                    match party.wait() {
                        Ok(_) => whole += 1,
                        // Told again until the reset.
                        Err(_) => thread::yield_now(),
                    }
                }
                party
            });
        });
    });
}

/// What rides on a trip: values in cells, of which there are two places, used in turn; beside an operator that panics.
#[test]
fn values_ride() {
    if sits_out() {
        return;
    }
    watched("values_ride", patience(), |_| {
        let (parties, algorithm) = (2 + drawn(2) as usize, algorithm());
        let (panics, slow) = (drawn(3) == 0, drawn(parties as u64) as usize);
        // One is slow to read, so that the others are in the next trip by then.
        let linger = |rank| (0..if rank == slow { 30 } else { 0 }).for_each(|_| thread::yield_now());
        let told = all(barrier(parties, algorithm, policy()), |mut party| {
            let rank = party.rank();
            for step in 0..2_u64 {
                let add = |a: (u8, u32), b: (u8, u32)| {
                    linger(rank);
                    (a.0 + b.0, a.1 + b.1)
                };
                let sum = party.all_reduce((rank as u8, 1_u32), add)?;
                assert_eq!(sum.1 as usize, parties);
                assert_eq!(party.cloning().all_gather(format!("{rank}"))?.len(), parties);
                assert_eq!(party.exclusive_scan(step, 5_u64, |a, b| a + b)?, step + 5 * rank as u64);
                assert_eq!(party.serial(|| vec![step; 2])?, [step; 2]);
            }
            if panics {
                party.all_reduce(1, |_, _| panic_quietly())?;
            }
            Ok::<_, Broken>(())
        });
        assert!(told.iter().all(|one| one.is_err() == panics && *one == told[0]), "{algorithm}: {told:?}");
    });
}

/// Split phase, an action, and members that come and go.
#[test]
fn members_come_and_go_and_one_acts() {
    if sits_out() {
        return;
    }
    watched("members_come_and_go_and_one_acts", patience(), |_| {
        let acted = Arc::new(Plain::default());
        let told = Arc::clone(&acted);
        let builder = Barrier::builder(2).algorithm(algorithm()).wait_policy(policy());
        let barrier = builder.action(move |_| told.set(told.get() + 1)).build().unwrap();
        thread::scope(|s| {
            for mut party in barrier.take_parties().unwrap() {
                let (barrier, acted) = (barrier.clone(), &acted);
                s.spawn(move || {
                    for trip in 0..2 {
                        let arrived = party.arrive();
                        assert!(arrived.wait().is_ok());
                        assert!(acted.get() > trip);
                        if party.rank() == 0 && trip == 0 {
                            let mut newcomer = barrier.join().unwrap();
                            s.spawn(move || {
                                assert!(newcomer.wait().is_ok());
                                newcomer.leave();
                            });
                        }
                        assert!(party.wait().is_ok());
                    }
                    party.leave();
                });
            }
        });
    });
}

/// The barrier without handles: whoever returns last takes it along, and the first may free what it was for.
#[test]
fn callers_share_an_arc() {
    if sits_out() {
        return;
    }
    watched("callers_share_an_arc", patience(), |_| {
        let callers = 2 + drawn(2) as usize;
        let barrier = Arc::new(compat::Barrier::new(callers));
        let numbers: Arc<Vec<Plain>> = Arc::new((0..callers).map(|_| Plain::default()).collect());
        let aborts = drawn(4) == 0;
        let threads: Vec<_> = (0..callers)
            .map(|caller| {
                let (barrier, numbers) = (Arc::clone(&barrier), Arc::clone(&numbers));
                thread::spawn(move || {
                    for trip in 1..3 {
                        numbers[caller].set(trip);
                        barrier.try_wait().ok()?;
                        assert!(numbers.iter().all(|number| number.get() == trip));
                        barrier.try_wait().ok()?;
                    }
                    Some(())
                })
            })
            .collect();
        if aborts {
            barrier.abort("from outside");
        }
        drop(barrier);
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(aborts || ended.iter().all(Option::is_some));
    });
}

/// A team: what the caller did is seen by every member, what the members did by the caller; results that own memory.
#[test]
fn a_team_runs() {
    if sits_out() {
        return;
    }
    watched("a_team_runs", patience(), |_| {
        let team = Team::builder().threads(2).wait_policy(policy()).caller_joins(drawn(2) == 0).build().unwrap();
        let numbers = [Plain::default(), Plain::default()];
        for run in 1..3 {
            numbers.iter().for_each(|number| number.set(run));
            let results = team.run(|member| {
                let before = numbers[member.rank()].get();
                numbers[member.rank()].set(before + 10);
                Box::new(before)
            });
            assert!(results.unwrap().into_iter().all(|before| *before == run));
            assert!(numbers.iter().all(|number| number.get() == run + 10));
        }
        let failed = team.run(|member| if member.rank() == 1 { panic_quietly() } else { Box::new(1) });
        assert!(matches!(failed, Err(RunError::Panicked(panic)) if panic.rank() == 1));
    });
}

/// Each part is its neighbours' sum; the first attempt at tick 1 fails.
struct Sums(std::sync::atomic::AtomicBool);

impl World for Sums {
    type Part = Vec<u64>;
    type Measure = ();

    fn part(&self, rank: usize, _: usize) -> Vec<u64> {
        vec![rank as u64 + 1]
    }

    fn step(&self, at: At, front: Front<'_, Vec<u64>>, back: &mut Vec<u64>) -> Result<(), Fault> {
        back[0] = front.iter().map(|part| part[0]).sum();
        if at.tick == 1 && at.index == 1 && !self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Err(Fault::new("once"));
        }
        Ok(())
    }

    fn measure(&self, _: &Vec<u64>) {}

    fn combine(&self, (): (), (): ()) {}
}

#[test]
fn a_tick_fails_and_is_made_anew() {
    if sits_out() {
        return;
    }
    watched("a_tick_fails_and_is_made_anew", patience(), |_| {
        let team = Team::builder().threads(2).wait_policy(policy()).build().unwrap();
        let retry = RetryPolicy::attempts(2);
        let mut engine = Lockstep::builder(Sums(false.into())).retry(retry).build(&team).unwrap();
        assert_eq!(engine.run(Stop::after(3)).unwrap().retries(), 1);
        assert!(engine.parts().all(|part| *part == [12]));
    });
}

#[test]
fn draws_are_drawn() {
    let draws: Vec<u64> = (0..4).map(|_| drawn(u64::MAX)).collect();
    assert_eq!(draws.iter().all(|draw| *draw == draws[0]), !cfg!(miri), "{draws:?}");
}
