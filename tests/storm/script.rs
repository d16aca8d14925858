//! Scripts: what is to happen, round by round, and how scripts are drawn. A script names parties by their place among the
//! members, because who is a member is only known when it is played; whatever a script says can be played.

use phalanx::{Algorithm, WaitPolicy};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The life of one barrier.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) algorithm: Algorithm,
    pub(crate) policy: WaitPolicy,
    pub(crate) parties: usize,
    /// It has an action.
    pub(crate) acts: bool,
    /// The number of its first trip.
    pub(crate) first: u64,
    /// Where delays come from; 0: nobody dawdles.
    pub(crate) seed: u64,
    pub(crate) rounds: Vec<Round>,
}

/// Between two rounds nobody is on the way, and everything is compared with the model.
#[derive(Clone, Debug)]
pub(crate) enum Round {
    Run(Run),
    Lack(Lack),
}

/// Trips that follow each other without anybody keeping step but the barrier; something happens on one of them.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) legs: Vec<Leg>,
    /// On which leg it happens.
    pub(crate) at: usize,
    pub(crate) event: Event,
    pub(crate) outside: Outside,
    pub(crate) after: After,
}

/// A trip that some do not come to until it is broken.
#[derive(Clone, Debug)]
pub(crate) struct Lack {
    pub(crate) leg: Leg,
    /// Who does not come, by place.
    pub(crate) absent: u8,
    pub(crate) end: End,
    pub(crate) after: After,
}

/// What breaks a trip that some do not come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Abort,
    Reset,
    /// The patience of the first who has come.
    Timeout,
    /// The first who has not come drops its handle, or panics with it in hand.
    Desertion {
        panics: bool,
    },
}

/// What all do on a trip.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leg {
    /// They only meet; each in a manner that follows from this number and its rank. 0: everybody waits.
    Meet(u32),
    Value(Op, Freight),
}

/// `to` and `from` by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    AllReduce,
    Reduce { to: usize },
    Broadcast { from: usize },
    AllGather,
    Scan,
    Serial,
}

/// What a value is made of, and with that the way it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freight {
    /// Beside the arrival.
    Word,
    /// On lines of its own.
    Line,
    /// `Copy`, but too large.
    Huge,
    /// Not `Copy`.
    Cloned,
}

/// What happens on one leg. Masks are of places among the members.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Calm,
    Leave {
        who: u8,
    },
    /// The closure panics, whoever runs it.
    Panic {
        op: Op,
        freight: Freight,
    },
    /// The operator of one party panics, and nobody else's.
    PanicOfOne {
        who: usize,
        freight: Freight,
    },
    ActionPanic,
    Mismatch {
        who: u8,
        how: Other,
        op: Op,
        freight: Freight,
    },
    NoSuchRank {
        freight: Freight,
    },
    /// A party gives its handle up, right behind that trip or right behind its arrival.
    Desertion {
        who: usize,
        panics: bool,
    },
    /// They may or may not be patient enough.
    Timeout {
        who: u8,
        micros: u64,
    },
}

/// What those do who do not do the same as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Waits,
    Arrives,
    Freight,
    Operation,
}

/// What somebody does who is no party, meanwhile; after a delay of so many microseconds at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outside {
    Nothing,
    /// Before anybody starts, so that it is known which trip is the first.
    JoinBefore(usize),
    Join(usize, u64),
    Abort(u64),
    Reset(u64),
    AbortAndReset(u64),
    Wakes(usize),
}

/// How a break is cleared away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct After {
    /// Who did not come to the broken trip is told behind the reset, and not before.
    pub(crate) late: bool,
    /// Ranks of deserters leave, and are not filled again.
    pub(crate) bury: bool,
    /// Somebody joins while the barrier is broken.
    pub(crate) join: bool,
    /// Everybody asks twice.
    pub(crate) twice: bool,
}

pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    // Rarely, because a trip of a spinning party that shares its CPU costs time slices.
    let policy = prop_oneof![
        1 => Just(WaitPolicy::Spin),
        5 => select(vec![WaitPolicy::Adaptive, WaitPolicy::SpinPark, WaitPolicy::SpinYield, WaitPolicy::Park]),
    ];
    let first = prop_oneof![3 => Just(0), 2 => (0..12_u64).prop_map(|back| u64::MAX - back),
        1 => (0..6_u64).prop_map(|back| u64::from(u32::MAX) - back)];
    let seed = prop_oneof![2 => Just(0), 1 => any::<u64>()];
    (
        select(Algorithm::NAMED.to_vec()),
        policy,
        1..=6_usize,
        prop::bool::weighted(0.3),
        first,
        seed,
        vec(round(), 1..=6),
    )
        .prop_map(|(algorithm, policy, parties, acts, first, seed, rounds)| {
            let parties = if policy == WaitPolicy::Spin { parties.min(super::common::cpus()) } else { parties };
            Script { algorithm, policy, parties, acts, first, seed, rounds }
        })
}

fn round() -> impl Strategy<Value = Round> {
    let run =
        (vec(leg(), 1..=5), 0..5_usize, event(), outside(), after()).prop_map(|(legs, at, event, outside, after)| {
            Round::Run(Run { at: at % legs.len(), legs, event, outside, after })
        });
    let end = prop_oneof![
        Just(End::Abort),
        Just(End::Reset),
        Just(End::Timeout),
        any::<bool>().prop_map(|panics| End::Desertion { panics })
    ];
    let lack = (leg(), any::<u8>(), end, after())
        .prop_map(|(leg, absent, end, after)| Round::Lack(Lack { leg, absent, end, after }));
    prop_oneof![4 => run, 1 => lack]
}

fn leg() -> impl Strategy<Value = Leg> {
    prop_oneof![
        1 => Just(Leg::Meet(0)),
        2 => any::<u32>().prop_map(Leg::Meet),
        3 => (op(), freight()).prop_map(|(op, freight)| Leg::Value(op, freight)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::AllReduce),
        1 => (0..6_usize).prop_map(|to| Op::Reduce { to }),
        1 => (0..6_usize).prop_map(|from| Op::Broadcast { from }),
        1 => Just(Op::AllGather),
        1 => Just(Op::Scan),
        1 => Just(Op::Serial),
    ]
}

fn freight() -> impl Strategy<Value = Freight> {
    prop_oneof![
        3 => Just(Freight::Word),
        2 => Just(Freight::Line),
        1 => Just(Freight::Huge),
        2 => Just(Freight::Cloned),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let with = || (op(), freight());
    let other = select(vec![Other::Waits, Other::Arrives, Other::Freight, Other::Operation]);
    prop_oneof![
        5 => Just(Event::Calm),
        4 => any::<u8>().prop_map(|who| Event::Leave { who: who & (who >> 4) }),
        1 => any::<u8>().prop_map(|who| Event::Leave { who }),
        3 => with().prop_map(|(op, freight)| Event::Panic { op, freight }),
        1 => (0..6_usize, freight()).prop_map(|(who, freight)| Event::PanicOfOne { who, freight }),
        2 => Just(Event::ActionPanic),
        2 => (any::<u8>(), other, op(), freight())
            .prop_map(|(who, how, op, freight)| Event::Mismatch { who, how, op, freight }),
        1 => freight().prop_map(|freight| Event::NoSuchRank { freight }),
        2 => (0..6_usize, any::<bool>()).prop_map(|(who, panics)| Event::Desertion { who, panics }),
        2 => (any::<u8>(), 0..300_u64).prop_map(|(who, micros)| Event::Timeout { who, micros }),
    ]
}

fn outside() -> impl Strategy<Value = Outside> {
    let delay = || 0..150_u64;
    prop_oneof![
        6 => Just(Outside::Nothing),
        2 => (1..=2_usize).prop_map(Outside::JoinBefore),
        3 => (1..=2_usize, delay()).prop_map(|(count, delay)| Outside::Join(count, delay)),
        2 => delay().prop_map(Outside::Abort),
        1 => delay().prop_map(Outside::Reset),
        1 => delay().prop_map(Outside::AbortAndReset),
        1 => (1..=3_usize).prop_map(Outside::Wakes),
    ]
}

fn after() -> impl Strategy<Value = After> {
    any::<[bool; 4]>().prop_map(|[late, bury, join, twice]| After { late, bury, join, twice })
}
