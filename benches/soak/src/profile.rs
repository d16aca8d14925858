//! What each kind of storm consists of: how often a party does what, what rides on a trip, and what an outsider does.

use super::cell::Kind;
use super::rng::Rng;
use std::time::Duration;

/// What rides on each trip of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    AllReduce,
    Reduce(usize),
    Broadcast(usize),
    Gather,
    Scan,
    Cloned,
    Serial,
}

/// How often, of a thousand trips of two parties, a party does what; rarer in proportion for more parties, so that as many
/// trips break.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Waits with a limit that may well pass.
    pub(crate) limit: u64,
    pub(crate) drop: u64,
    pub(crate) panic: u64,
    /// Aborts, as anybody may.
    pub(crate) abort: u64,
    /// Resets, whether anything is broken or not.
    pub(crate) reset: u64,
    /// Comes late.
    pub(crate) late: u64,
    /// Comes so late that the watchdog has something to say.
    pub(crate) very_late: u64,
    /// Arrives, works, and waits.
    pub(crate) split: u64,
    /// Brings a value on which the operator panics.
    pub(crate) poison: u64,
    /// Its operator panics, and nobody else's: whoever has the result by then keeps it.
    pub(crate) lonely: u64,
    /// Only waits where the others bring values.
    pub(crate) mismatch: u64,
    /// Names a rank that there is not.
    pub(crate) stray: u64,
    /// Of a thousand runs of the action, so many panic. `None`: no action.
    pub(crate) action: Option<u64>,
    pub(crate) op: Option<Op>,
    /// The limit of every wait that has none of its own.
    pub(crate) usual_limit: Option<Duration>,
    /// Of ten acts of the outsider, so many abort, so many reset, and the rest wake sleepers for no reason. `None`: nobody.
    pub(crate) outsider: Option<(u64, u64)>,
    pub(crate) watchdog: bool,
    /// A cancellation ends it, at a random moment.
    pub(crate) cancels: bool,
}

fn operation(rng: &mut Rng, parties: usize) -> Op {
    let rank = rng.below(parties as u64) as usize;
    match rng.below(7) {
        0 => Op::AllReduce,
        1 => Op::Reduce(rank),
        2 => Op::Broadcast(rank),
        3 => Op::Gather,
        4 => Op::Scan,
        5 => Op::Cloned,
        _ => Op::Serial,
    }
}

fn folding(rng: &mut Rng, parties: usize) -> Op {
    loop {
        let op = operation(rng, parties);
        if matches!(op, Op::AllReduce | Op::Reduce(_) | Op::Cloned | Op::Serial) {
            return op;
        }
    }
}

impl Profile {
    pub(crate) fn new(kind: Kind, rng: &mut Rng, parties: usize) -> Self {
        let calm = Self { late: 20, ..Self::default() };
        let some_limit = Duration::from_micros(100 + rng.below(1_000));
        match kind {
            Kind::Timeouts => Self { limit: 60, late: 60, ..calm },
            Kind::Aborts => Self { abort: 30, outsider: Some((8, 2)), ..calm },
            Kind::Panics => Self { panic: 40, ..calm },
            Kind::Drops => Self { drop: 40, ..calm },
            Kind::Resets => Self { reset: 40, abort: 5, outsider: Some((1, 9)), ..calm },
            Kind::Split => {
                Self { split: 800, abort: 8, drop: 4, limit: 8, usual_limit: Some(some_limit), late: 60, ..calm }
            }
            Kind::Values => Self {
                op: Some(operation(rng, parties)),
                usual_limit: rng.once_in(2).then_some(some_limit),
                abort: 8,
                drop: 3,
                panic: 3,
                late: 40,
                ..calm
            },
            Kind::Misuse => Self {
                op: Some(folding(rng, parties)),
                poison: 20,
                lonely: 20,
                mismatch: 10,
                stray: 10,
                abort: 2,
                ..calm
            },
            Kind::Actions => Self { action: Some(40), abort: 6, drop: 3, limit: 10, split: 100, ..calm },
            Kind::Cancels => Self { cancels: true, abort: 4, reset: 2, late: 40, ..calm },
            Kind::Wakes => Self { outsider: Some((0, 0)), late: 100, limit: 4, ..calm },
            Kind::Watchdog => Self { watchdog: true, abort: 4, drop: 2, very_late: 3, ..calm },
            Kind::Mixed => Self {
                limit: 12,
                drop: 6,
                panic: 6,
                abort: 8,
                reset: 6,
                split: 200,
                action: rng.once_in(2).then_some(10),
                outsider: Some((4, 3)),
                watchdog: rng.once_in(4),
                cancels: rng.once_in(4),
                ..calm
            },
            _ => calm,
        }
    }
}
