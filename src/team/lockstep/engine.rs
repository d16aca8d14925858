//! The engine as its users see it: choices, the state between runs, and the runs.

use super::buffers::{Buffers, Front};
use super::control::{Answer, Handle};
use super::error::{ChoiceError, Failure, LockstepError};
use super::flight::{Course, Flight, Landing, Position, Why, Words};
use super::report::{Ended, Report};
use super::retry::RetryPolicy;
use super::stop::Stop;
use super::world::World;
use crate::barrier::cancel::CancelToken;
use crate::error::Cause;
use crate::team::rendezvous::{Rendezvous, Script, condvar_parties_within, std_parties};
use crate::team::{RunError, Team};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At which barrier the members of an engine meet.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Meeting {
    /// A phalanx barrier, made like the team's own.
    #[default]
    Phalanx,
    /// `std::sync::Barrier`, to compare with: it keeps no deadline, and a member that is stuck is waited for without end.
    Std,
    /// A mutex and a condition variable.
    Condvar,
    /// A barrier that does what a test has written down.
    Scripted(Script),
}

/// What an observer is shown: the state behind a tick, while the members compute the next one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Snapshot<'a, W: World> {
    /// How many ticks are complete.
    pub tick: u64,
    /// The state of all parts.
    pub front: Front<'a, W::Part>,
    /// The measure of all parts when a condition last asked for it in this run.
    pub measure: Option<W::Measure>,
}

/// Who is shown the state.
pub(crate) type Observer<'t, W> = Box<dyn FnMut(&Snapshot<'_, W>) + Send + 't>;

/// Makes a [`Lockstep`]; from [`Lockstep::builder`].
#[must_use = "nothing is made before `build` is called"]
pub struct Builder<'t, W: World> {
    world: W,
    per_trip: u64,
    deadline: Option<Duration>,
    retry: RetryPolicy,
    tokens: Vec<CancelToken>,
    observer: Option<(u64, Observer<'t, W>)>,
    meeting: Meeting,
    timing: bool,
}

impl<'t, W: World> Builder<'t, W> {
    /// Does up to so many ticks between two trips; 1 unless set. For worlds with a [halo](World::halo) that is wide enough:
    /// a trip is then paid for once in so many ticks. A run ends exactly where it is to end all the same.
    pub fn ticks_per_trip(mut self, ticks: u64) -> Self {
        self.per_trip = ticks;
        self
    }

    /// Lets a tick fail whose trip is not complete so long after the trip before (there is one behind each phase, or behind
    /// several ticks): the first member to have waited until then breaks it, with [`Cause::TimedOut`] and the ranks that are
    /// missing. None unless set. Where a condition asks for the measure, the time is counted from each member's arrival.
    pub fn tick_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Says what becomes of a tick that failed; no second try unless set.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Ends runs when `token` is cancelled, with [`Ended::Cancelled`]: at once, in the middle of a tick, which then does not
    /// count; at a barrier that cannot be broken, behind the tick. Any number of tokens.
    pub fn cancel_on(mut self, token: &CancelToken) -> Self {
        self.tokens.push(token.clone());
        self
    }

    /// Shows the state to `observer` behind every tick whose number is a multiple of `every`, 0 counting as 1. Called by rank
    /// 0, while the others compute the next tick; a panic in it is a failure of that tick.
    pub fn observe(mut self, every: u64, observer: impl FnMut(&Snapshot<'_, W>) + Send + 't) -> Self {
        self.observer = Some((every.max(1), Box::new(observer)));
        self
    }

    /// Says at which barrier the members meet; [`Meeting::Phalanx`] unless set.
    pub fn barrier(mut self, meeting: Meeting) -> Self {
        self.meeting = meeting;
        self
    }

    /// Whether to measure how long members wait; so unless set. Costs two looks at the clock per trip, some 50 ns.
    pub fn timing(mut self, timing: bool) -> Self {
        self.timing = timing;
        self
    }

    /// Makes the engine, and every member's part of the state on its own thread.
    ///
    /// # Errors
    ///
    /// [`LockstepError::Choice`] for choices that cannot be had, [`LockstepError::Team`] if the world panics while it makes a
    /// part, or the team is at work.
    pub fn build(self, team: &'t Team) -> Result<Lockstep<'t, W>, LockstepError> {
        let Self { world, per_trip, deadline, retry, tokens, observer, meeting, timing } = self;
        let (phases, halo) = (world.phases(), world.halo());
        if phases == 0 {
            return Err(ChoiceError::NoPhases.into());
        }
        if per_trip == 0 || (per_trip > 1 && per_trip > halo) {
            return Err(ChoiceError::TicksPerTrip { ticks: per_trip, halo: halo.max(1) }.into());
        }
        if per_trip > 1 && phases > 1 {
            return Err(ChoiceError::TicksPerTripWithPhases { ticks: per_trip, phases }.into());
        }
        if deadline.is_some() && matches!(meeting, Meeting::Std) {
            return Err(ChoiceError::NoDeadlines.into());
        }
        // What ends the team's runs ends this engine's, whatever its members meet at.
        let tokens: Vec<CancelToken> = tokens.into_iter().chain(team.tokens().iter().cloned()).collect();
        let layers = Buffers::<W::Part>::count(phases);
        let parts = team.run(|m| {
            let part = world.part(m.rank(), m.size());
            let mut copies = vec![part.clone(); layers - 1];
            copies.push(part);
            copies
        })?;
        let (every, observer) = observer.unzip();
        Ok(Lockstep {
            world,
            team,
            buffers: Buffers::new(parts, layers),
            position: Position { tick: 0, front: 0 },
            torn: false,
            phases,
            per_trip,
            deadline,
            retry,
            tokens,
            every,
            observer: observer.map(Mutex::new),
            meeting,
            timing,
            handle: Handle::new(0),
        })
    }
}

impl<W: World> fmt::Debug for Builder<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Builder");
        text.field("ticks_per_trip", &self.per_trip).field("tick_deadline", &self.deadline).field("retry", &self.retry);
        text.field("barrier", &self.meeting).field("timing", &self.timing).finish_non_exhaustive()
    }
}

/// A simulation on a team: its state, and the runs that carry it on.
///
/// # Examples
///
/// See [`World`]; `examples/life.rs`, `examples/heat.rs` and `examples/n_body.rs` are larger ones.
pub struct Lockstep<'t, W: World> {
    world: W,
    team: &'t Team,
    buffers: Buffers<W::Part>,
    position: Position,
    /// The other layers may be half written, or of another state than any that was.
    torn: bool,
    phases: usize,
    per_trip: u64,
    deadline: Option<Duration>,
    retry: RetryPolicy,
    tokens: Vec<CancelToken>,
    every: Option<u64>,
    observer: Option<Mutex<Observer<'t, W>>>,
    meeting: Meeting,
    timing: bool,
    handle: Handle,
}

impl<'t, W: World> Lockstep<'t, W> {
    /// Starts the choices for an engine.
    pub fn builder(world: W) -> Builder<'t, W> {
        Builder {
            world,
            per_trip: 1,
            deadline: None,
            retry: RetryPolicy::default(),
            tokens: Vec::new(),
            observer: None,
            meeting: Meeting::default(),
            timing: true,
        }
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &W {
        &self.world
    }

    /// How many ticks are complete.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.position.tick
    }

    /// All parts, as they are behind the last complete tick.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &W::Part> {
        (0..self.buffers.parts()).map(|index| self.part(index))
    }

    /// Part `index`.
    ///
    /// # Panics
    ///
    /// If there is no such part, as a slice does.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn part(&self, index: usize) -> &W::Part {
        // SAFETY: the layers are written by members of a run, and `run` has the engine for itself.
        unsafe { self.buffers.read(self.position.front, index) }
    }

    /// All parts, to change them between two runs.
    pub fn parts_mut(&mut self) -> impl ExactSizeIterator<Item = &mut W::Part> {
        self.torn = true;
        self.buffers.layer_mut(self.position.front)
    }

    /// All parts, and the end of the engine.
    #[must_use]
    pub fn into_parts(self) -> Vec<W::Part> {
        self.buffers.into_layer(self.position.front)
    }

    /// Does one tick: short for `run(Stop::after(1))`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn step(&mut self) -> Result<Report<W::Measure>, LockstepError> {
        self.run(Stop::after(1))
    }

    /// What steers the runs of this engine from other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Goes on until `stop`.
    ///
    /// # Errors
    ///
    /// [`LockstepError::Tick`] if a tick failed and is not to be tried again, or failed too often. The state is then the one
    /// before it, and a further `run` goes on from there. [`LockstepError::Team`] if the team is at work.
    pub fn run(&mut self, stop: Stop<W::Measure>) -> Result<Report<W::Measure>, LockstepError> {
        let (began, first) = (Instant::now(), self.tick());
        let goal = stop.ticks.map(|ticks| first.saturating_add(ticks));
        let (mut waited, mut measure) = (vec![Duration::ZERO; self.buffers.parts()], None);
        let (mut retries, mut tries) = (0, (first, 0));
        let ended = loop {
            if let Some(ended) = self.hold_before() {
                break ended;
            }
            self.mend();
            let (landings, failure) = self.attempt(goal, &stop)?;
            for (waited, landing) in waited.iter_mut().zip(&landings) {
                *waited += landing.waited;
            }
            measure = landings.iter().find_map(|landing| landing.measure).or(measure);
            // All have the same, unless what everybody calls alike has panicked on some only: then those who are ahead show
            // that all have arrived.
            self.position = landings
                .iter()
                .map(|landing| landing.position)
                .max_by_key(|it| it.tick - first)
                .unwrap_or(self.position);
            self.handle.set_tick(self.tick());
            let failure = match failure {
                Ok(ended) => break ended,
                Err(failure) => failure,
            };
            self.torn = true;
            tries = (self.tick(), if tries.0 == self.tick() { tries.1 + 1 } else { 1 });
            match self.retry.next(tries.1, &failure) {
                // A stop or a cancellation ends it, and is seen before the next try.
                Some(back_off) => self.handle.rest(back_off, &self.tokens),
                None => return Err(LockstepError::Tick { tick: self.tick(), failure, attempts: tries.1 }),
            }
            retries += 1;
        };
        if ended == Ended::Stopped {
            self.handle.take_stop();
        }
        // What a broken trip has left.
        self.torn |= matches!(ended, Ended::Cancelled { .. });
        let (tick, elapsed) = (self.tick(), began.elapsed());
        let waited = self.timing.then_some(waited);
        Ok(Report { ended, ticks: tick - first, tick, elapsed, waited, retries, measure })
    }

    /// Holds, if it is to hold before the first tick; why not to begin at all.
    fn hold_before(&self) -> Option<Ended> {
        let answer = self.handle.hold_before(&self.tokens);
        if let Some(reason) = self.tokens.iter().find_map(CancelToken::reason) {
            return Some(Ended::Cancelled { reason });
        }
        (answer == Answer::Stop).then_some(Ended::Stopped)
    }

    /// Makes the other layers whole again.
    fn mend(&mut self) {
        if self.torn {
            self.buffers.mend(self.position.front);
            self.torn = false;
        }
    }

    /// Lets the members go, until they end or fail; where each of them landed, and how it ended for all.
    #[allow(clippy::type_complexity)] // said in words above
    fn attempt(
        &self,
        goal: Option<u64>,
        stop: &Stop<W::Measure>,
    ) -> Result<(Vec<Landing<W::Measure>>, Result<Ended, Failure>), LockstepError> {
        let Self { phases, per_trip, deadline, timing, every, .. } = *self;
        let course = Course { phases, per_trip, goal, condition: stop.condition.as_ref(), every, deadline, timing };
        // On a line of its own: all read it on every trip.
        let words = CachePadded::new(Words::new());
        let flight = Flight {
            world: &self.world,
            buffers: &self.buffers,
            start: self.position,
            course,
            handle: &self.handle,
            tokens: &self.tokens,
            observer: self.observer.as_ref(),
            words: &words,
        };
        let members = self.team.size();
        let landed = match &self.meeting {
            Meeting::Phalanx => {
                let recipe = self.tokens.iter().fold(self.team.recipe(), |recipe, token| recipe.cancel_on(token));
                let name = format!("{}/lockstep", self.team.name());
                let recipe = recipe.name(name);
                let recipe = deadline.into_iter().fold(recipe, |recipe, deadline| recipe.timeout(deadline));
                let barrier = recipe.build().expect("the team's own barrier has been built like this");
                launch(self.team, &flight, barrier.take_parties().expect("nobody else knows of it"))
            }
            Meeting::Std => launch(self.team, &flight, std_parties(members)),
            Meeting::Condvar => launch(self.team, &flight, condvar_parties_within(members, deadline)),
            Meeting::Scripted(script) => launch(self.team, &flight, script.parties_within(members, deadline)),
        };
        let landings = match landed {
            Ok(landings) => landings,
            // By a token of the team's, before the run.
            Err(RunError::Broken(broken)) => match broken.cause() {
                Cause::Cancelled { reason } => {
                    return Ok((Vec::new(), Ok(Ended::Cancelled { reason: reason.clone() })));
                }
                _ => return Err(RunError::Broken(broken).into()),
            },
            Err(error) => return Err(error.into()),
        };
        if let Some(failure) = flight.failure() {
            return Ok((landings, Err(failure)));
        }
        let outcome = match landings.first().map(|landing| landing.why.clone()) {
            Some(Why::Broken(broken)) => match broken.cause() {
                Cause::Cancelled { reason } => Ok(Ended::Cancelled { reason: reason.clone() }),
                _ => Err(Failure::Broken(broken)),
            },
            Some(Why::Ended(ended)) => Ok(ended),
            Some(Why::Failed) | None => unreachable!("a member that failed has noted why, and a team has members"),
        };
        Ok((landings, outcome))
    }
}

/// Sends every member off with its party.
fn launch<W: World, M: Rendezvous + Send>(
    team: &Team,
    flight: &Flight<'_, '_, W>,
    parties: Vec<M>,
) -> Result<Vec<Landing<W::Measure>>, RunError> {
    let seats: Vec<_> = parties.into_iter().map(|party| Mutex::new(Some(party))).collect();
    team.run(|m| {
        let party = seats[m.rank()].lock().unwrap_or_else(PoisonError::into_inner).take();
        flight.fly(party.expect("each rank takes its own, once"), m.rank())
    })
}

impl<W: World> fmt::Debug for Lockstep<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Lockstep");
        text.field("tick", &self.tick()).field("parts", &self.buffers.parts()).field("barrier", &self.meeting);
        text.finish_non_exhaustive()
    }
}
