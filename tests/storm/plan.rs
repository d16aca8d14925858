//! A round with names in it: the script's places resolved to the ranks of the members that there are, and what each of
//! them does on each trip.

use super::crew::{Deed, Manner};
use super::freight::{Share, combine};
use super::model::{Member, Model};
use super::script::{Event, Freight, Leg, Op, Other, Outside, Run};
use phalanx::{Broken, Cause, Operation};
use std::time::Duration;

/// What happens on the event's leg, by rank.
#[derive(Clone, Debug)]
pub(crate) enum Twist {
    Calm,
    Leave { who: Vec<usize> },
    Panic,
    PanicOfOne { who: usize },
    ActionPanic,
    Mismatch { who: Vec<usize>, how: Other },
    NoSuchRank,
    Desertion { who: usize, panics: bool },
    Timeout { who: Vec<usize>, limit: Duration },
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) open: u64,
    pub(crate) legs: Vec<Leg>,
    at: usize,
    pub(crate) twist: Twist,
    pub(crate) outside: Outside,
    /// Somebody may reset the barrier meanwhile: nobody arrives without asking, because whether such a party has been told
    /// of a break is then unknown.
    resets: bool,
}

/// No barrier here has so many ranks.
pub(crate) const NOBODY: usize = 1000;

/// Whether one party does the work for all.
pub(crate) fn is_assembled(op: Op, freight: Freight) -> bool {
    op == Op::Serial || matches!(freight, Freight::Huge | Freight::Cloned)
}

fn operation(op: Op) -> Operation {
    match op {
        Op::AllReduce => Operation::AllReduce,
        Op::Reduce { .. } => Operation::Reduce,
        Op::Broadcast { .. } => Operation::Broadcast,
        Op::AllGather => Operation::AllGather,
        Op::Scan => Operation::ExclusiveScan,
        Op::Serial => Operation::Serial,
    }
}

/// Those of `ranks` whose places are in `mask`.
pub(crate) fn masked(ranks: &[usize], mask: u8) -> Vec<usize> {
    ranks.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1).map(|(_, &rank)| rank).collect()
}

/// How the party of `rank` meets the others on a leg with this number.
pub(crate) fn manner(number: u32, rank: usize) -> Manner {
    use Manner::*;
    let mixed = u64::from(number).wrapping_mul(rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
    [
        Wait,
        Wait,
        Wait,
        Limited,
        Deadline,
        ArriveAndWait,
        ArriveAndWait,
        ArriveAndAsk,
        ArriveAndAskForTime,
        Arrive,
        Arrive,
        Arrive,
        ArriveAndPeek,
        ArriveAndPeek,
        ArriveAndPeek,
        Wait,
    ][mixed as usize]
}

impl Plan {
    pub(crate) fn new(model: &Model, run: &Run, acts: bool) -> Self {
        let open = model.open;
        let of_trip = |trip: u64| -> Vec<usize> {
            model.members.iter().filter(|member| member.first <= trip).map(|member| member.rank).collect()
        };
        let (mut legs, at) = (run.legs.clone(), run.at);
        let ranks = of_trip(open + at as u64);
        // A newcomer that leaves while its first trip is not open yet takes part in none.
        let has_come = |rank: &usize| {
            let trip = open + at as u64;
            trip == open || model.members.iter().any(|member| member.rank == *rank && member.first < trip)
        };
        let only_meet = |leg: &mut Leg| {
            if matches!(leg, Leg::Value(..)) {
                *leg = Leg::Meet(0);
            }
        };
        let twist = match run.event {
            Event::Leave { who } => {
                only_meet(&mut legs[at]);
                Twist::Leave { who: masked(&ranks, who).into_iter().filter(has_come).collect() }
            }
            Event::Timeout { who, micros } => {
                only_meet(&mut legs[at]);
                // A newcomer's limit may pass while its first trip is not open yet, and an abort then breaks the open one: two breaks,
                // each told to all of its trip (tests/found.rs), where a round has one here.
                let outside = matches!(run.outside, Outside::Abort(_) | Outside::Reset(_));
                let who = masked(&ranks, who).into_iter().filter(|rank| !outside || has_come(rank)).collect();
                Twist::Timeout { who, limit: Duration::from_micros(micros) }
            }
            Event::Panic { op, freight } => {
                // The others have no closure that could panic behind the arrival.
                let op = if matches!(op, Op::Broadcast { .. } | Op::AllGather) { Op::AllReduce } else { op };
                legs[at] = Leg::Value(op, freight);
                Twist::Panic
            }
            Event::PanicOfOne { who, freight } => {
                legs[at] = Leg::Value(Op::AllReduce, freight);
                Twist::PanicOfOne { who: ranks[who % ranks.len()] }
            }
            Event::ActionPanic if acts => Twist::ActionPanic,
            Event::Mismatch { who, how, op, freight } => {
                let who = masked(&ranks, who);
                if who.is_empty() || who.len() == ranks.len() {
                    Twist::Calm
                } else {
                    legs[at] = Leg::Value(op, freight);
                    Twist::Mismatch {
                        who,
                        how: if op == Op::Serial && how == Other::Freight { Other::Waits } else { how },
                    }
                }
            }
            Event::NoSuchRank { freight } => {
                legs[at] = Leg::Value(Op::Reduce { to: NOBODY }, freight);
                Twist::NoSuchRank
            }
            Event::Desertion { who, panics } => Twist::Desertion { who: ranks[who % ranks.len()], panics },
            Event::Calm | Event::ActionPanic => Twist::Calm,
        };
        let outside = Self::tamed(model, &twist, run.outside);
        let resets = matches!(outside, Outside::Reset(_) | Outside::AbortAndReset(_));
        let mut plan = Self { open, legs, at, twist, outside, resets };
        for (index, trip) in (0..plan.legs.len()).map(|index| (index, open + index as u64)) {
            let mut ranks = of_trip(trip);
            ranks.retain(|&rank| plan.last_trip_of(rank).is_none_or(|last| trip <= last));
            if let Leg::Value(op, _) = &mut plan.legs[index] {
                *op = match *op {
                    Op::Reduce { to: NOBODY } => *op,
                    Op::Reduce { .. } | Op::Broadcast { .. } if ranks.is_empty() => Op::AllReduce,
                    Op::Reduce { to } => Op::Reduce { to: ranks[to % ranks.len()] },
                    Op::Broadcast { from } => Op::Broadcast { from: ranks[from % ranks.len()] },
                    other => other,
                };
            }
        }
        plan
    }

    /// What is left of it where two breaks could be given in one round, which the model does not tell apart.
    fn tamed(model: &Model, twist: &Twist, outside: Outside) -> Outside {
        let calm = matches!(twist, Twist::Calm | Twist::Timeout { .. });
        let panics = matches!(twist, Twist::Panic | Twist::ActionPanic);
        match outside {
            Outside::Reset(_) if !calm && !panics => Outside::Nothing,
            Outside::AbortAndReset(_) if !calm => Outside::Nothing,
            Outside::Reset(_) | Outside::AbortAndReset(_) if model.has_fresh() => Outside::Nothing,
            Outside::Abort(_) if !calm && model.has_newcomers() => Outside::Nothing,
            other => other,
        }
    }

    pub(crate) fn event_trip(&self) -> u64 {
        self.open + self.at as u64
    }

    /// Whether `rank` is one that only waits where the others have brought something.
    fn is_light(&self, rank: usize) -> bool {
        matches!(&self.twist, Twist::Mismatch { who, how: Other::Waits | Other::Arrives }
            if who.contains(&rank))
    }

    /// The trip that `rank` leaves with.
    pub(crate) fn last_trip_of(&self, rank: usize) -> Option<u64> {
        let leaves = match &self.twist {
            Twist::Leave { who } => who.contains(&rank),
            _ => false,
        };
        leaves.then(|| self.event_trip())
    }

    /// What `rank` brings to `trip`.
    pub(crate) fn own(&self, rank: usize, trip: u64) -> u64 {
        combine(rank as u64 + 1, trip)
    }

    /// What the party does in this round, from its first trip on.
    pub(crate) fn deeds(&self, member: &Member) -> Vec<Deed> {
        let mut deeds: Vec<Deed> = Vec::new();
        let mut owes = member.owes;
        for trip in member.first.max(self.open)..self.open + self.legs.len() as u64 {
            // A newcomer's first arrival, if nobody asks for it, is lost when others join or leave while the trip before is
            // open.
            let asks = owes || member.first == trip && trip > self.open;
            let deed = self.deed(member.rank, trip, asks);
            owes = matches!(deed, Deed::Meet(Manner::Arrive | Manner::ArriveAndPeek));
            deeds.push(deed);
            if matches!(deed, Deed::Leave) {
                break;
            }
            match self.twist {
                Twist::Desertion { who, panics } if (who, self.event_trip()) == (member.rank, trip) => {
                    deeds.push(Deed::Desert { panics });
                    break;
                }
                _ => {}
            }
        }
        deeds
    }

    /// The same for who joined meanwhile: the event is none of its business, even if its rank was somebody else's.
    pub(crate) fn deeds_of_newcomer(&self, member: &Member) -> Vec<Deed> {
        let stranger = Member { rank: member.rank, ..member.clone() };
        let mut calm = self.clone();
        if !matches!(self.twist, Twist::Panic) {
            calm.twist = Twist::Calm;
        }
        calm.deeds(&stranger)
    }

    /// Whether one party works for all on `trip`, with a result of its own.
    pub(crate) fn serves(&self, trip: u64) -> bool {
        matches!(self.legs[(trip - self.open) as usize], Leg::Value(Op::Serial, _))
    }

    fn deed(&self, rank: usize, trip: u64, owes: bool) -> Deed {
        let leg = self.legs[(trip - self.open) as usize];
        if trip == self.event_trip() {
            match &self.twist {
                Twist::Timeout { who, limit } if who.contains(&rank) => return Deed::Limit(*limit),
                Twist::Leave { who } if who.contains(&rank) => return Deed::Leave,
                Twist::Mismatch { who, how } if who.contains(&rank) => return self.other(leg, *how, rank, trip),
                Twist::Desertion { who, .. } if *who == rank => {
                    if let Leg::Meet(number) = leg {
                        let arrives = number & 1 == 1 && !owes;
                        return Deed::Meet(if arrives { Manner::Arrive } else { Manner::Wait });
                    }
                }
                _ => {}
            }
        }
        match leg {
            Leg::Value(op, freight) => Deed::Value(self.share(op, freight, rank, trip)),
            Leg::Meet(number) => Deed::Meet(match manner(number, rank) {
                // A second arrival behind one whose trip is open is none before somebody asks for it; and the limit of the
                // next wait would be that of this trip.
                Manner::Arrive | Manner::ArriveAndPeek if owes || self.is_before_limit(trip) => Manner::ArriveAndWait,
                Manner::Arrive if self.resets => Manner::ArriveAndPeek,
                manner => manner,
            }),
        }
    }

    fn is_before_limit(&self, trip: u64) -> bool {
        matches!(self.twist, Twist::Timeout { .. }) && trip + 1 == self.event_trip()
    }

    fn share(&self, op: Op, freight: Freight, rank: usize, trip: u64) -> Share {
        let panics = trip == self.event_trip()
            && match self.twist {
                Twist::Panic => true,
                Twist::PanicOfOne { who } => who == rank,
                _ => false,
            };
        Share { op, freight, own: self.own(rank, trip), init: self.own(NOBODY, trip), panics }
    }

    /// What a party does that does not do what the others do.
    fn other(&self, leg: Leg, how: Other, rank: usize, trip: u64) -> Deed {
        let Leg::Value(op, freight) = leg else { unreachable!("only on such a leg") };
        let value = |op, freight| Deed::Value(self.share(op, freight, rank, trip));
        match how {
            Other::Waits => Deed::Meet(Manner::Wait),
            Other::Arrives => Deed::Meet(Manner::ArriveAndWait),
            Other::Freight if freight == Freight::Word => value(op, Freight::Line),
            Other::Freight => value(op, Freight::Word),
            Other::Operation if op == Op::AllGather => value(Op::AllReduce, freight),
            Other::Operation => value(Op::AllGather, freight),
        }
    }

    /// Whether the event must break a trip, given who takes part in its own.
    pub(crate) fn must_break(&self, ranks: &[usize]) -> bool {
        match &self.twist {
            Twist::Panic => ranks.len() > 1 || matches!(self.legs[self.at], Leg::Value(Op::Serial, _)),
            Twist::ActionPanic | Twist::Mismatch { .. } | Twist::NoSuchRank | Twist::Desertion { .. } => true,
            Twist::Calm | Twist::Leave { .. } | Twist::PanicOfOne { .. } | Twist::Timeout { .. } => false,
        }
    }

    /// Whether the event may have given this verdict on `trip`.
    pub(crate) fn may_say(&self, broken: &Broken, trip: u64, ranks: &[usize]) -> bool {
        let Leg::Value(op, _) = self.legs[self.at] else { return self.may_say_of_meeting(broken, trip) };
        let event = self.event_trip();
        match (&self.twist, broken.cause()) {
            (Twist::Panic | Twist::PanicOfOne { .. }, Cause::OperatorPanicked { rank, operation: told, message }) => {
                let whose =
                    if let Twist::PanicOfOne { who } = self.twist { *rank == who } else { ranks.contains(rank) };
                let all = broken.missing().is_empty() && broken.arrived() == ranks.len();
                whose && all && trip == event && *told == operation(op) && message == "planned"
            }
            (Twist::Mismatch { .. }, Cause::Mismatched { rank, other, called, instead }) => {
                let apart = rank != other && called != instead && ranks.contains(other);
                trip == event + 1 && ranks.contains(rank) && !self.is_light(*rank) && apart
            }
            (Twist::NoSuchRank, Cause::NoSuchRank { rank, named }) => {
                // Who joined for this trip may say so while the one before is open.
                (trip == event || trip + 1 == event) && ranks.contains(rank) && *named == NOBODY
            }
            _ => self.may_say_of_meeting(broken, trip),
        }
    }

    fn may_say_of_meeting(&self, broken: &Broken, trip: u64) -> bool {
        let event = self.event_trip();
        match (&self.twist, broken.cause()) {
            (Twist::ActionPanic, Cause::ActionPanicked { message }) => trip == event && message == "planned",
            (Twist::Desertion { who, panics: false }, Cause::Dropped { rank })
            | (Twist::Desertion { who, panics: true }, Cause::Panicked { rank }) => {
                trip == event + 1 && who == rank && broken.missing().iter().any(|missing| missing.rank == *who)
            }
            (Twist::Timeout { who, limit }, Cause::TimedOut { rank, after }) => {
                trip == event && who.contains(rank) && after == limit && !broken.missing().is_empty()
            }
            _ => false,
        }
    }
}
