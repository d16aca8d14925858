//! Rounds in which some do not come: the record of the break is known to the last detail.

use super::crew::{Deed, Manner, Seen};
use super::drive::{Checked, Stage, limit};
use super::freight::Share;
use super::model::Member;
use super::plan::{manner, masked};
use super::script::{End, Lack, Leg, Op};
use phalanx::{Broken, Cause};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Short, since it is always waited for.
const PATIENCE: Duration = Duration::from_micros(100);

impl Stage<'_> {
    pub(crate) fn lack(&mut self, lack: &Lack) -> Checked {
        self.hear_all()?;
        let ranks = self.model.ranks_of_open();
        let mut absent = masked(&ranks, lack.absent);
        if absent.is_empty() {
            absent.push(ranks[0]);
        }
        let present: Vec<Member> =
            self.model.members.iter().filter(|member| member.first <= self.model.open).cloned().collect();
        let present: Vec<Member> = present.into_iter().filter(|member| !absent.contains(&member.rank)).collect();
        let end = match lack.end {
            End::Reset | End::Timeout if present.is_empty() => End::Abort,
            end => end,
        };
        let deeds: Vec<Deed> =
            present.iter().enumerate().map(|(place, member)| self.deed_of_lack(lack, end, place, member)).collect();
        for (member, deed) in present.iter().zip(&deeds) {
            self.order(member.worker, vec![*deed]);
        }
        let deserter = self.end_lack(end, &absent, present.len())?;
        let workers: Vec<usize> = present.iter().map(|member| member.worker).collect();
        let reports = self.reports_of(&workers, deserter.is_some())?;

        let told = reports.iter().find_map(|report| match &report.seen[..] {
            [Seen::Told(broken)] => Some(broken.clone()),
            _ => None,
        });
        let Some(verdict) = told.or_else(|| self.barrier.broken()) else {
            return Err(TestCaseError::fail(format!("nothing broke: {lack:?}")));
        };
        for ((member, deed), report) in present.iter().zip(&deeds).zip(&reports) {
            let arrived = matches!(deed, Deed::Meet(Manner::ArriveAndPeek)) && report.seen == [Seen::Arrived];
            let told = report.seen == [Seen::Told(verdict.clone())];
            prop_assert!(arrived || told, "rank {} saw {:?}, not {}", member.rank, report.seen, verdict);
            self.tally.deed(deed, &report.seen[0]);
            if arrived {
                let member = self.member(member.rank);
                (member.untold, member.fresh) = (Some(verdict.clone()), false);
            } else {
                self.member(member.rank).fresh = true;
            }
        }
        let patient = present.first().map(|member| member.rank);
        self.judge_lack(end, &verdict, &absent, ranks.len(), patient)?;
        self.tally.cause(verdict.cause());

        self.books.take_advance();
        self.books.broken(&ranks, &verdict);
        self.model.open += 1;
        let here: BTreeSet<usize> = present.iter().map(|member| member.rank).collect();
        for member in &mut self.model.members {
            member.first = 0;
            member.owes = false;
            if !here.contains(&member.rank) {
                member.untold = Some(verdict.clone());
            }
        }
        self.model.members.retain(|member| Some(member.rank) != deserter);
        if end == End::Reset {
            for member in self.model.members.iter_mut().filter(|member| member.fresh) {
                member.untold = None;
            }
            return self.check_calm();
        }
        let deserters: Vec<usize> = deserter.into_iter().collect();
        self.recover(&verdict, &deserters, &BTreeSet::new(), &[ranks], &lack.after)
    }

    fn member(&mut self, rank: usize) -> &mut Member {
        self.model.members.iter_mut().find(|member| member.rank == rank).expect("a member")
    }

    /// Tells those who have not heard of an old break: from here on nobody is in two minds about which one.
    fn hear_all(&mut self) -> Checked {
        let deaf: Vec<Member> = self.model.members.iter().filter(|member| member.untold.is_some()).cloned().collect();
        let orders = deaf.iter().map(|member| (member.worker, vec![Deed::Hear])).collect();
        let reports = self.all_do(orders)?;
        for (member, report) in deaf.into_iter().zip(reports) {
            let told = member.untold.map(Seen::Told);
            prop_assert_eq!(report.seen.first(), told.as_ref(), "rank {} hears late", member.rank);
            let member = self.member(member.rank);
            (member.untold, member.fresh) = (None, true);
            self.tally.count("heard late");
        }
        Ok(())
    }

    fn deed_of_lack(&self, lack: &Lack, end: End, place: usize, member: &Member) -> Deed {
        match lack.leg {
            _ if place == 0 && end == End::Timeout => Deed::Limit(PATIENCE),
            // At least one has to tell what it was told.
            Leg::Meet(_) if place == 0 => Deed::Meet(Manner::Wait),
            Leg::Meet(number) => Deed::Meet(match manner(number, member.rank) {
                Manner::Arrive | Manner::ArriveAndPeek if member.owes => Manner::ArriveAndWait,
                Manner::Arrive => Manner::ArriveAndPeek,
                manner => manner,
            }),
            Leg::Value(op, freight) => {
                let op = match op {
                    Op::Reduce { .. } => Op::Reduce { to: member_zero(self) },
                    Op::Broadcast { .. } => Op::Broadcast { from: member_zero(self) },
                    other => other,
                };
                Deed::Value(Share { op, freight, own: 1, init: 2, panics: false })
            }
        }
    }

    /// Breaks the trip when all who come have come. Who deserted.
    fn end_lack(&mut self, end: End, absent: &[usize], present: usize) -> Checked<Option<usize>> {
        if end == End::Timeout {
            return Ok(None);
        }
        let began = Instant::now();
        while self.barrier.arrived() != present {
            if began.elapsed() > limit() {
                return Err(TestCaseError::fail(format!("not {present} arrive: {:?}", self.barrier)));
            }
            std::thread::yield_now();
        }
        match end {
            End::Abort => {
                self.barrier.abort("lack");
            }
            End::Reset => {
                let first = self.model.number(self.model.open + 1);
                prop_assert_eq!(self.barrier.reset(), Ok(first));
                self.books.reset();
            }
            End::Timeout => {}
            End::Desertion { panics } => {
                let member = self.member(absent[0]).clone();
                let deed = Deed::Desert { panics };
                // Apart from the reports of those who wait, which come only when it is done.
                self.order(member.worker, vec![deed]);
                let began = Instant::now();
                while !self.barrier.is_broken() {
                    if began.elapsed() > limit() {
                        return Err(TestCaseError::fail(format!("a desertion breaks nothing: {:?}", self.barrier)));
                    }
                    std::thread::yield_now();
                }
                self.tally.deed(&deed, &Seen::Gone);
                self.set_free(member.worker);
                return Ok(Some(member.rank));
            }
        }
        Ok(None)
    }

    fn judge_lack(
        &self,
        end: End,
        verdict: &Broken,
        absent: &[usize],
        parties: usize,
        patient: Option<usize>,
    ) -> Checked {
        let cause = match end {
            End::Abort => Cause::Aborted { reason: "lack".into() },
            End::Reset => Cause::Reset,
            End::Timeout => Cause::TimedOut { rank: patient.expect("somebody came"), after: PATIENCE },
            End::Desertion { panics: true } => Cause::Panicked { rank: absent[0] },
            End::Desertion { panics: false } => Cause::Dropped { rank: absent[0] },
        };
        let number = self.model.number(self.model.open);
        prop_assert_eq!((verdict.cause(), verdict.generation(), verdict.parties()), (&cause, number, parties));
        let missing: Vec<usize> = verdict.missing().iter().map(|missing| missing.rank).collect();
        let all_named = absent.iter().all(|rank| missing.contains(rank));
        // With a timeout, others may have been on their way.
        prop_assert!(all_named && (end == End::Timeout || missing == absent), "{:?}, absent {:?}", verdict, absent);
        Ok(())
    }
}

fn member_zero(stage: &Stage<'_>) -> usize {
    stage.model.ranks_of_open()[0]
}
