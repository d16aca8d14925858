//! What rides on a trip: the operations that a compute loop needs beside the rendezvous, under the same contract.
//!
//! - [`action`]: a closure that runs once per trip, after the last arrival and before any release.
//! - [`arrival`]: the two halves of a trip apart, with work in between.
//! - [`values`]: reductions, broadcast, gather and scan of small `Copy` values, in the transfer that the arrival needs
//!   anyway; [`carry`] is how.
//! - [`cloning`]: the same for values that are `Clone + Send`, and the serial section: one party works for all;
//!   [`assemble`] is how.
//!
//! Joining and leaving, which make new eras, are in `barrier/registry.rs`.
//!
//! # One contract
//!
//! A trip with luggage is a trip: the same generations, deadlines, breaks and leaders, on every algorithm. What is special
//! is what can go wrong when all have arrived already, and then a trip may not break for some and complete for others:
//!
//! - *A closure panics.* Where one party works for all, nobody has been let go, and the trip breaks. Where everybody
//!   works for itself, a party says that it leaves before it looks for the alarm a last time; so whoever wants to break
//!   the trip for its own panic knows whether somebody has left it (`fate/README.md`, "Breaking what is complete").
//! - *Two parties do not do the same.* Everybody who brings something along finds out from the tags on the luggage. The
//!   trip itself is complete, and stays so for those who only waited; the next one breaks, and who can have no value is
//!   told of that.
//!
//! A party that leaves with a trip brings nothing to it, and is no obstacle: the others reduce and gather without it.

pub(crate) mod action;
pub(crate) mod arrival;
mod assemble;
mod carry;
pub(crate) mod cloning;
#[cfg(all(test, phalanx_loom))]
mod models;
pub(crate) mod values;

use crate::barrier::party::Party;
use crate::error::{Broken, Cause};
use crate::fate::Ruling;
use crate::fate::luggage::Kind;

impl Party {
    /// The party at seat `index` did not bring the same to trip `generation` as this one: the next trip breaks. What
    /// everybody is told.
    #[cold]
    fn mismatched(&mut self, kind: Kind, index: usize, generation: u64) -> Broken {
        let era = self.member.era();
        let cause = Cause::Mismatched {
            rank: self.member.rank(),
            called: self.control.name_of(Some(kind)),
            other: era.design().ranks[index],
            instead: self.control.name_of(era.luggage(index).kind(generation)),
        };
        let broken = self.control.break_next_trip(era, &cause);
        self.unsettle(broken)
    }

    /// Whether all parties brought the same, and none left.
    #[inline(always)]
    fn all_alike(&self, kind: Kind, generation: u64) -> bool {
        kind != Kind::UNNUMBERED && self.member.era().all_have(kind, generation)
    }

    /// The first seat whose party brought something else. (Who leaves brings nothing, and disturbs nobody.)
    #[cold]
    fn stranger(&self, kind: Kind, generation: u64) -> Option<usize> {
        let era = self.member.era();
        (0..era.parties()).find(|&index| !kind.agrees(era.luggage(index).kind(generation)))
    }

    /// Whether this party's next trip has no rank `named`. Goes where that trip is held first: who has joined and not waited
    /// yet does not know who joined behind it.
    fn lacks(&mut self, named: usize) -> bool {
        while self.member.era().index_of(named).is_none() {
            if !matches!(self.member.era().fate().rule(self.member.generation()), Ruling::Elsewhere) {
                return true;
            }
            self.move_on();
        }
        false
    }

    /// There is no rank `named` to send to, or to hear from: the open trip breaks.
    #[cold]
    fn no_such_rank(&mut self, named: usize) -> Broken {
        let cause = Cause::NoSuchRank { rank: self.member.rank(), named };
        let broken = self.control.break_next_trip(self.member.era(), &cause);
        self.unsettle(broken)
    }
}
