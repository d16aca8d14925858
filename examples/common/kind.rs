//! The barriers to choose from on the command lines of the examples, and a part of a program that runs on any of them.
#![allow(dead_code)] // each example takes its own part of this

use phalanx::Broken;
use phalanx::team::lockstep::Meeting;
use phalanx::team::rendezvous::{Rendezvous, Timed, condvar_parties, std_parties};
use phalanx::team::{RunError, Team};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// Which barrier the parties meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// phalanx::Barrier, with a deadline of 30 s
    Phalanx,
    /// std::sync::Barrier
    Std,
    /// a mutex, a counter and a condition variable, as in the textbooks
    Condvar,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Phalanx, Kind::Std, Kind::Condvar];
}

/// Ends a run when a party is this late. Far above anything that the examples do between two trips, so that only a worker
/// that is stuck meets it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Phalanx => "phalanx",
            Kind::Std => "std",
            Kind::Condvar => "condvar",
        })
    }
}

impl From<Kind> for Meeting {
    fn from(kind: Kind) -> Meeting {
        match kind {
            Kind::Phalanx => Meeting::Phalanx,
            Kind::Std => Meeting::Std,
            Kind::Condvar => Meeting::Condvar,
        }
    }
}

/// What every member of a team does, at whatever barrier.
pub(crate) trait Spmd: Sync {
    type Output: Send;

    fn run<M: Rendezvous>(&self, party: &mut M) -> Result<Self::Output, Broken>;
}

/// Runs it on all members of `team`; what each made of it, and how long each waited, by rank.
pub(crate) fn spmd<S: Spmd>(team: &Team, kind: Kind, what: &S) -> Result<Vec<(S::Output, Duration)>, RunError<Broken>> {
    match kind {
        // A member is a rendezvous itself.
        Kind::Phalanx => team.try_run(|m| timed(what, m)),
        Kind::Std => at(team, std_parties(team.size()), what),
        Kind::Condvar => at(team, condvar_parties(team.size()), what),
    }
}

fn at<S: Spmd, M: Rendezvous + Send>(
    team: &Team,
    parties: Vec<M>,
    what: &S,
) -> Result<Vec<(S::Output, Duration)>, RunError<Broken>> {
    let seats: Vec<_> = parties.into_iter().map(|party| Mutex::new(Some(party))).collect();
    team.try_run(|m| {
        let party = seats[m.rank()].lock().expect("never poisoned").take();
        timed(what, party.expect("each rank takes its own, once"))
    })
}

fn timed<S: Spmd>(what: &S, party: impl Rendezvous) -> Result<(S::Output, Duration), Broken> {
    let mut party = Timed::new(party);
    let output = what.run(&mut party)?;
    Ok((output, party.waited()))
}
