//! Two threads, each pinned to its CPU, hand a word to and fro by compare-and-swap (a transfer), and then signal each
//! other with a flag each (a hop). Half of a round trip is one way, and nobody's clock has to agree with another's.
//! Both kinds in turn, in short rounds, so that what disturbs one disturbs the other.

use super::{Distance, MeasureError, Pair, median};
use crate::primitive::{AtomicU64, Ordering, now};
use crate::topology::pin_current;
use crossbeam_utils::CachePadded;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Round trips that are timed together: much longer than a look at the clock, much shorter than a time slice.
const TRIPS: u64 = 64;

/// Rounds of both kinds. Of many the median does not mind the few in which one of the two was interrupted.
pub(super) const ROUNDS: usize = 21;

/// With fewer the pair is too busy.
const ENOUGH: usize = 7;

/// After this the pair is given up, the start of its threads included.
const PATIENCE: Duration = Duration::from_millis(10);

/// Fruitless polls from one look at the clock to the next: a microsecond or more, so that only who is kept waiting
/// looks.
const POLLS_PER_LOOK: u32 = 4096;

impl Pair {
    pub(super) fn measure(distance: Distance, cpus: [usize; 2]) -> Result<Self, MeasureError> {
        let give_up = now() + PATIENCE;
        let lines = OnceLock::new();
        let rounds = thread::scope(|scope| {
            let sides = [Side::First, Side::Second];
            let players = sides.map(|side| start(scope, side, cpus[side as usize], &lines, give_up));
            // A side that comes to nothing leaves the other to its deadline.
            let [first, second] = players.map(|player| player.and_then(join));
            first.and_then(|rounds| second.map(|_| rounds))
        })?;
        let busy = || MeasureError::Busy { cpus, rounds: rounds.len(), needed: ENOUGH, limit: PATIENCE };
        if rounds.len() < ENOUGH {
            return Err(busy());
        }
        let part = |of: fn(&Round) -> f64| median(rounds.iter().map(of)).ok_or_else(busy);
        Ok(Self { cpus, distance, transfer: part(|round| round.transfer)?, hop: part(|round| round.hop)? })
    }
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    side: Side,
    cpu: usize,
    lines: &'scope OnceLock<Box<Lines>>,
    give_up: Instant,
) -> Result<ScopedJoinHandle<'scope, Result<Vec<Round>, MeasureError>>, MeasureError> {
    let player = move || {
        let _pinned = pin_current(cpu).map_err(|source| MeasureError::Pin { cpu, source })?;
        Ok(lines.get_or_init(Box::default).play(side, give_up))
    };
    let builder = thread::Builder::new().name("phalanx-measure".into());
    builder.spawn_scoped(scope, player).map_err(|error| MeasureError::Thread { kind: error.kind() })
}

fn join<T>(player: ScopedJoinHandle<'_, Result<T, MeasureError>>) -> Result<T, MeasureError> {
    player.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Who begins, and who answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    First,
    Second,
}

/// What one round found, in nanoseconds, one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) transfer: f64,
    pub(super) hop: f64,
}

/// What the two have between them. Words count on from trip to trip, and no value comes twice.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) met: CachePadded<AtomicU64>,
    ball: CachePadded<AtomicU64>,
    flags: [CachePadded<AtomicU64>; 2],
}

impl Lines {
    /// Plays as many rounds as there is time for. The first one is not counted: it brings the lines and the code near.
    pub(super) fn play(&self, side: Side, give_up: Instant) -> Vec<Round> {
        let mut rounds = Vec::with_capacity(ROUNDS + 1);
        self.met.fetch_add(1, Ordering::AcqRel);
        if !poll(give_up, || self.met.load(Ordering::Acquire) == 2) {
            return rounds;
        }
        for round in 0..=ROUNDS as u64 {
            let trips = round * (TRIPS + 1)..(round + 1) * (TRIPS + 1);
            let transfer = one_way(trips.clone(), |trip| self.transfer(side, trip, give_up));
            let hop = transfer.and_then(|_| one_way(trips, |trip| self.hop(side, trip + 1, give_up)));
            let (Some(transfer), Some(hop)) = (transfer, hop) else { break };
            // What a coarse clock did not see is no round.
            if round > 0 && transfer > 0.0 && hop > 0.0 {
                rounds.push(Round { transfer, hop });
            }
        }
        rounds
    }

    /// A transfer each way: whoever's turn it is takes the ball, which the other has just had.
    #[inline(always)]
    fn transfer(&self, side: Side, trip: u64, give_up: Instant) -> bool {
        let at = 2 * trip + side as u64;
        poll(give_up, || self.ball.compare_exchange(at, at + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }

    /// A hop each way.
    #[inline(always)]
    fn hop(&self, side: Side, trip: u64, give_up: Instant) -> bool {
        let [first, second] = &self.flags;
        match side {
            Side::First => {
                first.store(trip, Ordering::Release);
                poll(give_up, || second.load(Ordering::Acquire) == trip)
            }
            Side::Second => {
                let seen = poll(give_up, || first.load(Ordering::Acquire) == trip);
                if seen {
                    second.store(trip, Ordering::Release);
                }
                seen
            }
        }
    }
}

/// Half of what a trip takes; the first of them only brings both sides into step. `None` if time ran out.
fn one_way(mut trips: Range<u64>, trip: impl Fn(u64) -> bool) -> Option<f64> {
    trips.next().filter(|&first| trip(first))?;
    let timed = trips.end - trips.start;
    let start = now();
    trips.all(trip).then(|| now().saturating_duration_since(start).as_nanos() as f64 / (2 * timed) as f64)
}

/// Polls until `done`; false if time ran out first.
///
/// Without a pause: on some processors that takes longer than a hop (Intel's optimization manual, "Pause Latency in
/// Skylake Client Microarchitecture"), and the benchmarks that this is to be compared with have none.
#[inline(always)]
fn poll(give_up: Instant, mut done: impl FnMut() -> bool) -> bool {
    loop {
        for _ in 0..POLLS_PER_LOOK {
            if done() {
                return true;
            }
        }
        if now() >= give_up {
            return false;
        }
    }
}
