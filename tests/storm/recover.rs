//! Between two rounds: a barrier in service looks as the model says, and a broken one is put back into service.

use super::crew::{Deed, Seen};
use super::drive::{Checked, Stage};
use super::model::Member;
use super::script::After;
use phalanx::{Broken, ClaimError, JoinError, ResetError};
use proptest::prelude::*;
use std::collections::BTreeSet;

impl Stage<'_> {
    /// The barrier is in service, and nobody is on the way.
    pub(crate) fn check_calm(&mut self) -> Checked {
        self.check_books()?;
        let (barrier, ranks) = (&self.barrier, self.model.ranks_of_open());
        prop_assert!(barrier.broken().is_none());
        prop_assert_eq!(barrier.parties(), ranks.len());
        prop_assert_eq!(barrier.has_ended(), self.model.members.is_empty());
        if barrier.has_ended() {
            prop_assert_eq!(barrier.join().err(), Some(JoinError::Ended));
            prop_assert_eq!(barrier.reset(), Err(ResetError::Ended));
            self.tally.count("end");
            self.ended = true;
            return Ok(());
        }
        prop_assert_eq!(barrier.generation(), self.model.number(self.model.open));
        prop_assert_eq!((barrier.arrived(), barrier.missing()), (0, ranks));
        Ok(())
    }

    /// From broken to calm. `eras`: the ranks of the trips of which one was the open one when it broke.
    pub(crate) fn recover(
        &mut self,
        verdict: &Broken,
        deserters: &[usize],
        unsure: &BTreeSet<usize>,
        eras: &[Vec<usize>],
        after: &After,
    ) -> Checked {
        self.check_books()?;
        prop_assert!(self.barrier.is_broken());
        prop_assert_eq!(self.barrier.broken(), Some(verdict.clone()));
        prop_assert_eq!(self.barrier.generation(), verdict.generation());
        prop_assert_eq!(self.barrier.arrived(), verdict.arrived());
        if !deserters.is_empty() {
            prop_assert_eq!(self.barrier.reset(), Err(ResetError::Deserted { ranks: deserters.to_vec() }));
        }
        for &rank in deserters {
            let party = self.barrier.claim(rank).unwrap();
            prop_assert_eq!(self.barrier.claim(rank).err(), Some(ClaimError::Taken { rank }));
            if after.bury {
                party.leave();
                prop_assert_eq!(self.barrier.claim(rank).err(), Some(ClaimError::Left { rank }));
                self.model.left.insert(rank);
                self.tally.count("burial");
            } else {
                let worker = self.hold(party);
                self.model.add(Member::on_broken(rank, worker));
                self.tally.count("claimed again");
            }
        }
        if after.join && self.has_room() && !self.model.members.is_empty() {
            let party = self.barrier.join().unwrap();
            let rank = party.rank();
            let fits = eras.iter().any(|era| self.model.next_rank(era) == rank);
            prop_assert!(fits, "rank {} of who joins a broken barrier; {:?} {:?}", rank, self.model, eras);
            let worker = self.hold(party);
            self.model.add(Member::on_broken(rank, worker));
            self.tally.count("join on broken");
        }
        let hears =
            |member: &Member| after.twice || member.untold.is_some() && (!after.late || unsure.contains(&member.rank));
        let listeners: Vec<usize> =
            self.model.members.iter().filter(|member| hears(member)).map(|member| member.worker).collect();
        for report in self.all_do(listeners.iter().map(|&worker| (worker, vec![Deed::Hear])).collect())? {
            prop_assert_eq!(&report.seen[..], &[Seen::Told(verdict.clone())], "told before the reset");
        }
        for member in self.model.members.iter_mut().filter(|member| listeners.contains(&member.worker)) {
            (member.untold, member.fresh) = (None, true);
        }
        for member in self.model.members.iter_mut().filter(|member| member.fresh) {
            member.untold = None;
        }
        if self.model.members.is_empty() {
            prop_assert_eq!(self.barrier.reset(), Err(ResetError::Ended));
            self.tally.count("end");
            self.ended = true;
            return Ok(());
        }
        let first = self.barrier.reset();
        let is_used_up = first == Ok(self.model.number(self.model.open + 1));
        prop_assert_eq!(self.books.take_advance(), is_used_up, "a break in advance");
        if is_used_up {
            // Newcomers had been told that the trip with the next number is broken, before this one was: that number is used up.
            self.model.open += 1;
        }
        prop_assert_eq!(first, Ok(self.model.number(self.model.open)));
        self.books.reset();
        self.tally.count("reset of a broken barrier");
        self.check_calm()
    }
}
