//! The members' way through a run, tick by tick, to where all of them stop.
//!
//! # Protocol
//!
//! Trips of a run are numbered from 0. Two words say where it ends or holds:
//!
//! | word | writers | meaning |
//! |---|---|---|
//! | `stop_at` | whoever has failed on a trip; rank 0, for others' wishes; lowered only | all members leave behind the trip of this number |
//! | `pause_at` | rank 0 | all members hold behind the trip of this number |
//!
//! 1. A member makes its step. If it fails, it lowers `stop_at` to the number of the trip behind this step. Rank 0 also looks
//!    for wishes before its first step of a tick, and lowers `stop_at`, or sets `pause_at`, to the trip that ends this tick.
//! 2. It arrives at that trip, failed or not.
//! 3. Behind trip x it looks: `stop_at <= x`, it leaves. `pause_at == x`, it holds.
//!
//! All leave behind the same trip, whatever the barrier: what was written with a number up to x was written before its writer
//! arrived at trip x, and everybody sees it behind x; and whoever is ahead, and writes already, writes x + 1 or more, which is
//! no reason to leave behind x. So a step that fails needs no barrier that can be broken. Where there is one, a deadline or
//! an abort ends a trip for all alike.
//!
//! A tick counts when the trip behind its last phase is complete and nobody has failed on it.
//!
//! # Memory ordering
//!
//! The words are relaxed: the trips carry them, as they carry the parts (`buffers.rs`).

use super::buffers::{Buffers, Front, Roles};
use super::control::{Answer, Handle, Wish};
use super::error::{Failure, Fault};
use super::report::Ended;
use super::stop::Condition;
use super::world::{At, World};
use super::{Observer, Snapshot};
use crate::barrier::action::message_of;
use crate::barrier::cancel::CancelToken;
use crate::error::Broken;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::team::rendezvous::Rendezvous;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The text of a panic; what it panicked with is dropped, and may panic over that as well.
fn spent(payload: Box<dyn Any + Send>) -> String {
    let message = message_of(&*payload);
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // There has to be an end of it.
        std::mem::forget(again);
    }
    message
}

/// What members say that they do: reports of the watchdog show it.
const TICK: &str = "tick";
const PHASES: [&str; 8] = ["phase 0", "phase 1", "phase 2", "phase 3", "phase 4", "phase 5", "phase 6", "phase 7"];
const LATER: &str = "phase 8 or later";

/// No trip.
const NEVER: u64 = u64::MAX;

/// How many ticks are complete, and in which layer what came of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) tick: u64,
    pub(super) front: usize,
}

/// What all members of a run share.
pub(super) struct Flight<'a, 'o, W: World> {
    pub(super) world: &'a W,
    pub(super) buffers: &'a Buffers<W::Part>,
    pub(super) start: Position,
    pub(super) course: Course<'a, W::Measure>,
    pub(super) handle: &'a Handle,
    pub(super) tokens: &'a [CancelToken],
    pub(super) observer: Option<&'a Mutex<Observer<'o, W>>>,
    pub(super) words: &'a Words,
}

/// What was asked for.
pub(super) struct Course<'a, M> {
    pub(super) phases: usize,
    pub(super) per_trip: u64,
    pub(super) goal: Option<u64>,
    pub(super) condition: Option<&'a Condition<M>>,
    /// The observer's.
    pub(super) every: Option<u64>,
    pub(super) deadline: Option<Duration>,
    pub(super) timing: bool,
}

impl<M> Course<'_, M> {
    /// How many ticks to do at once behind `tick`: the condition, the observer and the goal are not to be overrun.
    fn ticks_behind(&self, tick: u64) -> u64 {
        let to_goal = self.goal.map(|goal| goal - tick);
        let to = |every: u64| every - tick % every;
        let stops = [to_goal, self.condition.map(|condition| to(condition.every)), self.every.map(to)];
        stops.into_iter().flatten().fold(self.per_trip, u64::min)
    }

    fn is_there(&self, tick: u64) -> bool {
        self.goal.is_some_and(|goal| tick >= goal)
    }

    /// Whether the measure is asked for at `tick`.
    fn asks(&self, tick: u64) -> bool {
        self.condition.is_some_and(|condition| tick % condition.every == 0)
    }
}

/// The words of the protocol: read by all on every trip, written almost never.
pub(super) struct Words {
    stop_at: AtomicU64,
    pause_at: AtomicU64,
    /// 1 once a member has failed.
    failed: AtomicU32,
    /// Who has failed, and how.
    failures: Mutex<Vec<Failure>>,
    /// Why rank 0 lets all stop.
    ended: Mutex<Option<Ended>>,
    /// What the condition said at this tick; `None` if it panicked.
    answer: Mutex<Option<(u64, Option<bool>)>>,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            stop_at: AtomicU64::new(NEVER),
            pause_at: AtomicU64::new(NEVER),
            failed: AtomicU32::new(0),
            failures: Mutex::default(),
            ended: Mutex::default(),
            answer: Mutex::default(),
        }
    }

    /// Before the arrival at `trip`: all leave behind it.
    pub(super) fn stop_behind(&self, trip: u64) {
        self.stop_at.fetch_min(trip, Ordering::Relaxed);
    }

    /// Before the arrival at `trip`: its tick has failed.
    pub(super) fn fail_on(&self, trip: u64) {
        self.failed.store(1, Ordering::Relaxed);
        self.stop_behind(trip);
    }

    /// Behind `trip`, whether to leave.
    #[inline]
    pub(super) fn stops_behind(&self, trip: u64) -> bool {
        self.stop_at.load(Ordering::Relaxed) <= trip
    }

    /// Behind a trip at which all leave, whether somebody has failed on it.
    pub(super) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) != 0
    }
}

/// Where and why a member left.
pub(super) struct Landing<M> {
    pub(super) position: Position,
    pub(super) waited: Duration,
    pub(super) measure: Option<M>,
    pub(super) why: Why,
}

#[derive(Clone, Debug)]
pub(super) enum Why {
    /// As asked for, or as wished.
    Ended(Ended),
    /// Somebody has failed: see [`Flight::failure`].
    Failed,
    Broken(Broken),
}

impl<W: World> Flight<'_, '_, W> {
    /// One member's way. Returns where all others do.
    pub(super) fn fly<M: Rendezvous>(&self, mut party: M, index: usize) -> Landing<W::Measure> {
        let mut landing = Landing { position: self.start, waited: Duration::ZERO, measure: None, why: Why::Failed };
        match catch_unwind(AssertUnwindSafe(|| self.all_ticks(&mut party, index, &mut landing))) {
            Ok(why) => landing.why = why,
            // At a trip: a scripted party.
            Err(payload) => self.note(Failure::Panicked { rank: index, message: spent(payload) }),
        }
        landing
    }

    fn all_ticks<M: Rendezvous>(&self, party: &mut M, index: usize, landing: &mut Landing<W::Measure>) -> Why {
        let Course { phases, deadline, timing, condition, .. } = self.course;
        let clock = || (timing || deadline.is_some()).then(Instant::now);
        let mut trip = 0;
        let mut began = clock();
        // Where a tick is one phase the label stays, and costs a tick nothing.
        party.set_phase(TICK);
        while !self.course.is_there(landing.position.tick) {
            let Position { tick, front } = landing.position;
            let ticks = self.course.ticks_behind(tick);
            let last = trip + phases as u64 - 1;
            if index == 0 {
                self.look_for_wishes(last);
            }
            let asks = self.course.asks(tick + ticks);
            let mut roles = Roles::of(front, 0, self.buffers.layers());
            // The measure of all parts behind this very tick.
            let mut measured = None;
            for phase in 0..phases {
                roles = Roles::of(front, phase, self.buffers.layers());
                let at = At { tick, ticks, phase, index, parts: self.buffers.parts() };
                if phases > 1 {
                    party.set_phase(PHASES.get(phase).unwrap_or(&LATER));
                }
                let measure = self.step(at, roles, trip, asks && trip == last);
                let arrived = clock();
                let mut torn = None;
                let crossed = if asks && trip == last {
                    party.all_reduce(measure, |a, b| self.combine(a, b, &mut torn))
                } else {
                    // A deadline beyond the clock's range is none.
                    match began.zip(deadline).and_then(|(began, deadline)| began.checked_add(deadline)) {
                        Some(end) => party.wait_deadline(end).map(|_| None),
                        None => party.wait().map(|_| None),
                    }
                };
                began = clock();
                if timing {
                    landing.waited += began.zip(arrived).map_or(Duration::ZERO, |(began, arrived)| began - arrived);
                }
                match crossed {
                    Ok(all) => measured = all,
                    Err(broken) => return Why::Broken(broken),
                }
                trip += 1;
                if let Some(message) = torn {
                    // Perhaps on this member alone: the others find out behind the next trip, if there is one.
                    self.note(Failure::Panicked { rank: index, message });
                    self.words.fail_on(trip);
                }
                if self.words.stops_behind(trip - 1) && self.words.is_failed() {
                    return Why::Failed;
                }
            }
            landing.position = Position { tick: tick + ticks, front: roles.writes };
            landing.measure = measured.or(landing.measure);
            if index == 0 {
                self.show(landing, trip);
            }
            if let Some((condition, measure)) = condition.zip(measured) {
                match self.ask(condition, tick + ticks, measure) {
                    Some(true) => return Why::Ended(Ended::Condition),
                    Some(false) => {}
                    None => return Why::Failed,
                }
            }
            if self.words.stops_behind(last) {
                let ended = self.words.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Why::Ended(ended.unwrap_or(Ended::Stopped));
            }
            if self.words.pause_at.load(Ordering::Relaxed) == last {
                if self.handle.hold(last, self.tokens) == Answer::Stop {
                    return Why::Ended(self.cancelled().unwrap_or(Ended::Stopped));
                }
                began = clock();
            }
        }
        Why::Ended(Ended::Ticks)
    }

    /// One step of one member, and the measure of what came of it. A failure is noted for all.
    #[allow(unsafe_code)]
    fn step(&self, at: At, roles: Roles, trip: u64, measures: bool) -> Option<W::Measure> {
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: by 1 to 4 of `buffers.rs`. In this step all members read the layer `reads`, which nobody writes, and this
            // one alone touches its part of the layer `writes`; earlier steps happen before it. Both references end with
            // this closure, before the member arrives.
            let (front, back) = unsafe {
                (Front::new(self.buffers, roles.reads, at.index), self.buffers.write(roles.writes, at.index))
            };
            self.world.step(at, front, back)?;
            Ok::<_, Fault>(measures.then(|| self.world.measure(back)))
        }));
        let failure = match stepped {
            Ok(Ok(measure)) => return measure,
            Ok(Err(fault)) => Failure::Fault { rank: at.index, fault },
            Err(payload) => Failure::Panicked { rank: at.index, message: spent(payload) },
        };
        self.note(failure);
        self.words.fail_on(trip);
        None
    }

    /// Combines two measures, unless somebody has none, or the world panics over it.
    fn combine(&self, a: Option<W::Measure>, b: Option<W::Measure>, torn: &mut Option<String>) -> Option<W::Measure> {
        let (a, b) = a.zip(b)?;
        match catch_unwind(AssertUnwindSafe(|| self.world.combine(a, b))) {
            Ok(both) => Some(both),
            Err(payload) => {
                torn.get_or_insert(spent(payload));
                None
            }
        }
    }

    /// Whether the condition holds at `tick`; `None` if it panics. Asked by whoever comes first, so that all are told the same
    /// even if it would not say the same twice. (Nobody is two trips ahead, so one answer is enough to keep.)
    fn ask(&self, condition: &Condition<W::Measure>, tick: u64, measure: W::Measure) -> Option<bool> {
        let mut answer = self.words.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match *answer {
            Some((asked, holds)) if asked == tick => holds,
            _ => {
                let holds = catch_unwind(AssertUnwindSafe(|| (condition.holds)(measure)));
                let holds = holds.map_err(|payload| {
                    self.note(Failure::Panicked { rank: 0, message: spent(payload) });
                });
                *answer = Some((tick, holds.ok()));
                holds.ok()
            }
        }
    }

    /// Rank 0 tells the outside world how far the run has come; `next` is the trip that it arrives at next.
    #[allow(unsafe_code)]
    fn show(&self, landing: &Landing<W::Measure>, next: u64) {
        let Position { tick, front } = landing.position;
        self.handle.set_tick(tick);
        let Some((observer, every)) = self.observer.zip(self.course.every) else { return };
        if tick % every != 0 {
            return;
        }
        // SAFETY: `front` is what the next step reads, if there is one, and nobody writes it before this member has arrived
        // behind that step; the reference ends before it does.
        let front = unsafe { Front::new(self.buffers, front, 0) };
        let snapshot = Snapshot { tick, front, measure: landing.measure };
        let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| observer(&snapshot))) {
            self.note(Failure::Panicked { rank: 0, message: spent(payload) });
            self.words.fail_on(next);
        }
    }

    /// Rank 0 turns what others wish for into what all find behind trip `last`.
    fn look_for_wishes(&self, last: u64) {
        if let Some(cancelled) = self.cancelled() {
            *self.words.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancelled);
            self.words.stop_behind(last);
            return;
        }
        match self.handle.wish() {
            Wish::Nothing => {}
            Wish::Stop => self.words.stop_behind(last),
            Wish::Pause => {
                self.handle.open_pause(last);
                self.words.pause_at.store(last, Ordering::Relaxed);
            }
        }
    }

    fn cancelled(&self) -> Option<Ended> {
        let token = self.tokens.iter().find(|token| token.is_cancelled())?;
        Some(Ended::Cancelled { reason: token.reason().unwrap_or_default() })
    }

    #[cold]
    fn note(&self, failure: Failure) {
        self.words.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    /// The failure of the lowest rank, if there was any.
    pub(super) fn failure(&self) -> Option<Failure> {
        let failures = self.words.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .iter()
            .min_by_key(|failure| match failure {
                Failure::Fault { rank, .. } | Failure::Panicked { rank, .. } => *rank,
                Failure::Broken(_) => usize::MAX,
            })
            .cloned()
    }
}
