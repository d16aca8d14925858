//! Random schedules of a team: calls, reports, the members' barrier, members that panic or fail, and what a run leaves for the
//! next one. See `explore_shuttle.rs` for how.
//!
//! The team is the shipped one but for its threads, which are shuttle's: who makes it does by hand what the builder does
//! with the system's (which are pinned and named besides). Its barrier is made by hand the first time, so that the algorithm
//! can be chosen; where a run has broken it, the next one comes from the builder, with budgets as they are measured.

use super::crew::{Seat, Shared, work};
use super::dispatch::Dispatch;
use super::{Member, Recipe, RunError, Team};
use crate::algo::select::Algorithm;
use crate::barrier::Barrier;
use crate::barrier::shuttle::barrier;
use crate::error::Cause;
use crate::explore_shuttle::Ending::{self, Cut, Whole};
use crate::explore_shuttle::{dawdle, explore};
use crate::primitive::Fences;
use crate::topology::Placement;
use crate::wait::{Pace, Plan};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A team of shuttle's threads.
struct Crew {
    team: Team,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Crew {
    fn new(algorithm: Algorithm, members: usize, caller_joins: bool) -> Self {
        let parks = thread_rng().gen_bool(0.5);
        let pace = || Pace::new(Plan::modelled(parks));
        let region = barrier(algorithm, members, parks);
        let mut parties = region.take_parties().unwrap().into_iter().enumerate();
        let shared = Arc::new(Shared::new(members, Dispatch::new(members, Fences::Symmetric), region));
        let seat = caller_joins.then(|| parties.next()).flatten().map(|(rank, party)| Seat { rank, party });
        let recipe = Recipe { barrier: Barrier::builder(members).algorithm(algorithm), tokens: Vec::new() };
        let team = Team::new(Arc::clone(&shared), pace(), seat, Placement::anywhere(members), recipe);
        let workers = parties
            .map(|(rank, party)| {
                let (shared, pace) = (Arc::clone(&shared), pace());
                thread::spawn(move || work(&shared, Seat { rank, party }, pace))
            })
            .collect();
        Self { team, workers }
    }

    /// Ends the workers, and waits for them.
    fn end(self) {
        drop(self.team);
        self.workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
}

/// What one member does in a run that others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Nothing,
    /// Between two trips.
    Panics,
    Fails,
    /// Without the second trip, to which the others come.
    ReturnsEarly,
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
struct Run {
    rank: usize,
    deed: Deed,
    /// What all have in common.
    number: u32,
}

impl Run {
    fn draw(number: u32, members: usize, fails: bool) -> Self {
        let deeds = [Deed::Nothing, Deed::Panics, Deed::Fails, Deed::ReturnsEarly];
        let deed = if fails { deeds[thread_rng().gen_range(0..4)] } else { Deed::Nothing };
        // A member alone, or who returns before nobody, is missed by nobody.
        let deed = if members == 1 && deed == Deed::ReturnsEarly { Deed::Nothing } else { deed };
        Self { rank: thread_rng().gen_range(0..members), deed, number }
    }

    /// A member's part: two trips, on which all see all others' data.
    fn play(self, member: &mut Member<'_>, data: &[AtomicU32]) -> Result<usize, String> {
        let all = |least: u32| {
            let seen = |datum: &AtomicU32| datum.load(Ordering::Relaxed);
            assert!(data.iter().all(|datum| seen(datum) >= least), "stale in {self:?}");
        };
        let mine = self.number * 4;
        data[member.rank()].store(mine + 1, Ordering::Relaxed);
        member.barrier().map_err(|broken| broken.to_string())?;
        all(mine + 1);
        dawdle(3);
        if member.rank() == self.rank {
            match self.deed {
                Deed::Nothing => {}
                // Not `panic!`, which would print a message for each execution.
                Deed::Panics => resume_unwind(Box::new("shuttle")),
                Deed::Fails => return Err("the deed".into()),
                Deed::ReturnsEarly => return Ok(member.rank()),
            }
        }
        data[member.rank()].store(mine + 2, Ordering::Relaxed);
        member.barrier().map_err(|broken| broken.to_string())?;
        all(mine + 2);
        Ok(member.rank())
    }

    fn check(self, told: Result<Vec<usize>, RunError<String>>, members: usize) -> Ending {
        match (self.deed, told) {
            (Deed::Nothing, Ok(ranks)) => {
                assert!(ranks.into_iter().eq(0..members));
                return Whole;
            }
            (Deed::Panics, Err(RunError::Panicked(panic))) => assert_eq!(panic.rank(), self.rank),
            (Deed::Fails, Err(RunError::Failed { rank, error })) => {
                assert_eq!((rank, error.as_str()), (self.rank, "the deed"));
            }
            (Deed::ReturnsEarly, Err(RunError::Broken(broken))) => {
                assert_eq!(broken.cause(), &Cause::Dropped { rank: self.rank });
            }
            // The others' waits failed, and one of them may be the first to say so.
            (Deed::ReturnsEarly, Err(RunError::Failed { error, .. })) => assert!(error.contains("dropped"), "{error}"),
            (_, told) => panic!("{self:?}: {told:?}"),
        }
        Cut
    }
}

fn play(algorithm: Algorithm, fails: bool) -> Ending {
    let members = thread_rng().gen_range(1..=10);
    let crew = Crew::new(algorithm, members, thread_rng().gen_bool(0.5));
    let data: Vec<AtomicU32> = (0..members).map(|_| AtomicU32::new(0)).collect();
    let mut ending = Whole;
    // PCT wants a choice in every execution, also with a member alone.
    let other = thread::spawn(thread::yield_now);
    thread::yield_now();
    other.join().unwrap();
    for number in 1..=3 {
        let run = Run::draw(number, members, fails);
        dawdle(5);
        ending = ending.max(run.check(crew.team.try_run(|member| run.play(member, &data)), members));
        let seen: u32 = data.iter().map(|datum| datum.load(Ordering::Relaxed)).min().unwrap_or(0);
        assert!(seen >= number * 4 + 1, "a member is behind the return of {run:?}");
    }
    crew.end();
    ending
}

#[test]
fn team_runs() {
    explore(3_600, &[Whole], |algorithm| play(algorithm, false));
}

#[test]
fn team_runs_and_fails() {
    explore(5_400, &[Whole, Cut], |algorithm| play(algorithm, true));
}

/// A run is aborted from outside at a random moment; or two threads want to run the team, and one may be refused.
fn is_disturbed(algorithm: Algorithm) -> Ending {
    let members = thread_rng().gen_range(2..=8);
    let crew = Crew::new(algorithm, members, true);
    let runs = AtomicU32::new(0);
    let Crew { team, workers } = crew;
    let (team, runs) = (Arc::new(team), Arc::new(AtomicU32::new(0)));
    let aborts = thread_rng().gen_bool(0.5);
    // Not a scoped thread: its end wakes the thread that made it, which shuttle does not like to see asleep on something else.
    let other = {
        let (team, runs) = (Arc::clone(&team), Arc::clone(&runs));
        thread::spawn(move || {
            dawdle(8 * members);
            if aborts {
                team.abort("shuttle");
                return false;
            }
            match team.run(|_| drop(runs.fetch_add(1, Ordering::Relaxed))) {
                Ok(all) => all.len() == members,
                Err(RunError::Busy) => false,
                Err(other) => panic!("{other}"),
            }
        })
    };
    let mine = team.try_run(|member| {
        member.barrier()?;
        member.barrier()
    });
    let theirs = other.join().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), if theirs { members as u32 } else { 0 });
    let ending = match mine {
        Ok(trips) => {
            assert_eq!(trips.iter().filter(|trip| trip.is_leader()).count(), 1);
            Whole
        }
        Err(RunError::Busy) if !aborts => Cut,
        Err(RunError::Broken(broken)) if aborts => {
            assert!(matches!(broken.cause(), Cause::Aborted { .. }), "{broken}");
            Cut
        }
        Err(RunError::Failed { error, .. }) if aborts => {
            assert!(matches!(error.cause(), Cause::Aborted { .. }), "{error}");
            Cut
        }
        Err(other) => panic!("{other}"),
    };
    let team = Arc::into_inner(team).expect("the other has ended");
    let crew = Crew { team, workers };
    // Ready for the next run.
    assert_eq!(crew.team.run(|member| member.rank()).unwrap().len(), members);
    crew.end();
    ending
}

#[test]
fn team_is_disturbed() {
    explore(3_600, &[Whole, Cut], is_disturbed);
}
