//! A team: pinned threads that stay, for programs that run many short parallel sections.
//!
//! - [`Team`], [`TeamBuilder`]: made once; [`Team::run`] then lets all members run one closure (SPMD), in about two hops of
//!   a cache line.
//! - [`Member`]: what the closure is given: rank, size, barrier, reductions, its share of a loop.
//! - [`lockstep`]: the engine for simulations in ticks.
//! - `rayon`: members on the threads of a rayon pool (feature `rayon`).
//! - [`rendezvous`]: the seam for tests and comparisons.
//!
//! What OpenMP's parallel region is to C. Threads outlive a run, the closure may borrow from the caller, results come back
//! in the order of the ranks. When a member panics or fails, the others are released from the team's barrier, the caller is
//! told who and why, and the team is ready for the next run.
//!
//! # Parts
//!
//! `dispatch` carries a call to the members and their reports back; `crew` is what members share and the life of a worker;
//! `share` divides loops. The members meet at a [`Barrier`](crate::Barrier) like any other. When that is broken a new one is made
//! before the next run, since a closure that failed may have left it anywhere.
//!
//! Unsafe code: the closure of a run is known to its threads as an address only, and lives in the caller's frame
//! ([`Team::run`] has the argument).

mod builder;
mod crew;
mod dispatch;
mod error;
pub mod lockstep;
mod member;
#[cfg(all(test, phalanx_loom))]
mod models;
#[cfg(feature = "rayon")]
pub mod rayon;
pub mod rendezvous;
mod share;
#[cfg(all(test, phalanx_shuttle))]
mod shuttle;
mod turnstile;

use crate::barrier::builder::Builder;
use crate::barrier::cancel::CancelToken;
use crate::barrier::era::Era;
use crate::error::{Broken, Cause};
use crate::observe::Stats;
use crate::primitive::Sole;
use crate::topology::{PinError, Pinned, Placement, pin_current};
use crate::wait::Pace;
pub use builder::{Plan, TeamBuilder};
use crew::{Call, Data, Looks, Seat, Shared, Taken};
use crossbeam_utils::CachePadded;
use dispatch::FIRST;
pub use error::{MemberPanic, RunError, TeamError};
pub use member::Member;
pub use rendezvous::Rendezvous;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Threads that stay, and run one closure together as often as they are asked to.
///
/// Like a parallel region of OpenMP, or `rayon::ThreadPool::broadcast` whose members may meet at a barrier. Dropping it ends
/// the threads and waits for them.
///
/// # Examples
///
/// ```
/// use phalanx::team::Team;
///
/// let words = ["many", "hands", "make", "light", "work"];
/// let team = Team::builder().threads(2).build()?;
/// let lengths = team.run(|m| words[m.chunk(0..words.len())].iter().map(|word| word.len()).sum::<usize>())?;
/// assert_eq!(lengths, [13, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Team {
    shared: Arc<Shared>,
    /// What belongs to whoever runs the team.
    helm: Sole<Helm>,
    recipe: Builder,
    tokens: Vec<CancelToken>,
    placement: Placement,
    workers: Vec<JoinHandle<()>>,
    pinned: Vec<bool>,
}

/// How the members' barrier is made, and what ends it for good.
struct Recipe {
    barrier: Builder,
    tokens: Vec<CancelToken>,
}

/// What a run needs beside the words that all share.
struct Helm {
    next: u64,
    pace: Pace,
    /// The caller's own, if it is a member.
    seat: Option<Seat>,
    /// The team's barrier has one era: its members do not change, and nobody resets it. To see whether it is broken without
    /// asking anybody.
    region: Arc<Era>,
}

impl Team {
    /// Starts the choices for a team.
    pub fn builder() -> TeamBuilder {
        TeamBuilder::new()
    }

    fn new(shared: Arc<Shared>, pace: Pace, seat: Option<Seat>, placement: Placement, recipe: Recipe) -> Self {
        let Recipe { barrier: recipe, tokens } = recipe;
        let helm = Helm { next: FIRST, pace, seat, region: shared.region().era() };
        let pinned = vec![false; placement.parties()];
        Self { shared, helm: Sole::new(helm), recipe, tokens, placement, workers: Vec::new(), pinned }
    }

    /// The tokens that end its runs.
    fn tokens(&self) -> &[CancelToken] {
        &self.tokens
    }

    /// How barriers like the members' own are made.
    fn recipe(&self) -> Builder {
        self.recipe.clone()
    }

    /// What people call its barrier.
    fn name(&self) -> Arc<str> {
        Arc::clone(self.shared.region().control().observers().name())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn enlist(&mut self, worker: JoinHandle<()>) {
        self.workers.push(worker);
    }

    fn note_pinned(&mut self, rank: usize, pinned: bool) {
        self.pinned[rank] = pinned;
    }

    /// How many members it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.size()
    }

    /// Which member runs where.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Whether the worker with this rank is pinned: false for a caller that is a member, for a member that was left to the
    /// scheduler, and where the system cannot pin.
    #[must_use]
    pub fn is_pinned(&self, rank: usize) -> bool {
        self.pinned.get(rank).copied().unwrap_or(false)
    }

    /// Pins the calling thread to the CPU of rank 0, as long as the guard lives; `None` if that rank has no CPU. For callers
    /// that are members.
    ///
    /// # Errors
    ///
    /// [`PinError`], as [`pin_current`].
    pub fn pin_caller(&self) -> Result<Option<Pinned>, PinError> {
        self.placement.cpu(0).map(|cpu| pin_current(cpu.id)).transpose()
    }

    /// Breaks the members' open trip, from any thread: those who wait at the team's barrier, and those who come to it in this
    /// run, are told [`Cause::Aborted`] with this reason. Returns what they are told, which is an earlier break's record if
    /// there was one.
    ///
    /// Has no effect while nothing runs: each run begins with a barrier in service.
    pub fn abort(&self, reason: impl Into<String>) -> Broken {
        self.shared.region().abort(reason)
    }

    /// What the members' barrier has been through: trips, breaks, and how each member waited ([`Barrier::stats`](crate::Barrier::stats)).
    /// From the first run on, or from the first one behind the last run that broke it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.region().stats()
    }

    /// What the members have noted at their barrier, if they were told to ([`TeamBuilder::timeline`]).
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    #[must_use]
    pub fn timeline(&self) -> Option<crate::observe::Timeline> {
        self.shared.region().timeline()
    }

    /// The ranks that have not arrived at the members' open trip, as a snapshot: who is waited for, if anybody waits.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        self.shared.region().missing()
    }

    /// Lets every member call `body`, and returns what each made of it, by rank.
    ///
    /// Like `#pragma omp parallel`. The caller is rank 0, unless the team was built otherwise. `body` may borrow whatever
    /// lives longer than this call. Takes about two hops of a cache line while workers spin (a fraction of a microsecond),
    /// and a wake when they have fallen asleep.
    ///
    /// For a `body` that can fail, which is any that meets the others, see [`try_run`](Self::try_run).
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::team::{RunError, Team};
    ///
    /// let team = Team::builder().threads(3).build()?;
    /// assert_eq!(team.run(|m| m.rank() * 10)?, [0, 10, 20]);
    ///
    /// let failed = team.run(|m| assert_ne!(m.rank(), 2, "not me")).unwrap_err();
    /// assert_eq!(failed.rank(), Some(2));
    /// assert!(matches!(failed, RunError::Panicked(panic) if panic.message().contains("not me")));
    /// assert_eq!(team.run(|m| m.size())?, [3, 3, 3]); // and goes on
    ///
    /// let nested = team.run(|_| team.run(|_| ()).unwrap_err().to_string())?;
    /// assert!(nested[1].starts_with("refused"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Panicked`] if a member panicked and nothing else had broken the team's barrier before;
    /// [`RunError::Broken`] if something had. [`RunError::Nested`] and [`RunError::Busy`] if the team is at work.
    ///
    /// # Memory ordering
    ///
    /// Everything that the caller did before happens before every member's `body`, and that before the return.
    pub fn run<R, F>(&self, body: F) -> Result<Vec<R>, RunError>
    where
        F: Fn(&mut Member<'_>) -> R + Sync,
        R: Send,
    {
        self.run_all(body).map(|(results, _)| results)
    }

    /// Lets every member call `body`, which can fail; and returns what each made of it, by rank, if nobody did.
    ///
    /// The first member to return an error breaks the team's trip: all that wait, or come to wait, are told
    /// [`Cause::Failed`] with its rank and text. A `?` on every operation that meets the others is all that `body` needs.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::team::{RunError, Team};
    ///
    /// let team = Team::builder().threads(2).build()?;
    /// let failed = team.try_run(|m| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     if m.rank() == 1 {
    ///         return Err("the input ends here".into());
    ///     }
    ///     m.barrier()?; // is told by whom it has been left, and why
    ///     Ok(())
    /// });
    /// assert_eq!(failed.unwrap_err().to_string(), "rank 1 failed: the input ends here");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); and [`RunError::Failed`], with what the first member to fail returned.
    ///
    /// # Memory ordering
    ///
    /// As [`run`](Self::run).
    pub fn try_run<R, E, F>(&self, body: F) -> Result<Vec<R>, RunError<E>>
    where
        F: Fn(&mut Member<'_>) -> Result<R, E> + Sync,
        R: Send,
        E: fmt::Display + Send,
    {
        let (all, broken) = self.run_all(move |member: &mut Member<'_>| {
            let result = body(member);
            if let Err(error) = &result {
                member.give_up(error.to_string());
            }
            result
        })?;
        all_or_first(all, broken)
    }

    /// A run of whatever kind: the results, and what broke the team's barrier meanwhile.
    #[allow(unsafe_code)]
    fn run_all<R, E, F>(&self, body: F) -> Result<(Vec<R>, Option<Broken>), RunError<E>>
    where
        F: Fn(&mut Member<'_>) -> R + Sync,
        R: Send,
    {
        self.shared.enter().map_err(|taken| match taken {
            Taken::ByOwnRun => RunError::Nested,
            Taken::ByAnother => RunError::Busy,
        })?;
        let _exit = Exit(&self.shared);
        // SAFETY: `enter` lets one thread in until `exit`, which comes behind this call; its Acquire orders the last one.
        unsafe { self.helm.with(|helm| self.run_alone(helm, body)) }
    }

    #[allow(unsafe_code)]
    fn run_alone<R, E, F>(&self, helm: &mut Helm, body: F) -> Result<(Vec<R>, Option<Broken>), RunError<E>>
    where
        F: Fn(&mut Member<'_>) -> R + Sync,
        R: Send,
    {
        if helm.region.is_broken() {
            self.renew(helm)?;
        }
        self.shared.tally().clear();
        // The closure lies beside the call, if it is small, or in this frame.
        let mut frame = MaybeUninit::<F>::uninit();
        let place = self.shared.dispatch.room().unwrap_or(frame.as_mut_ptr());
        // SAFETY: `place` is valid for an `F`, and nobody reads the room from the last call's reports to the next call, which is
        // below.
        unsafe { place.write(body) };
        let body = DropInPlace(place);
        let mut results: Vec<Place<R>> = Vec::with_capacity(self.size());
        let data = Data { body: body.0.cast_const().cast(), results: results.as_mut_ptr().cast() };
        // SAFETY: `make_part` gets pointers to an `F` and to places for `R`s, which live until `call_all` has returned, behind
        // the reports of all members; `body` drops the `F` after that. The `F` is shared, being `Sync`; each member writes its
        // own place of `results`, whose values may go from thread to thread, `R` being `Send`.
        unsafe { self.call_all(helm, make_part::<R, F>, data) };
        let Some(panics) = self.shared.take_panics() else {
            // SAFETY: there is room for all, and each member that does not panic has written its place.
            unsafe { results.set_len(self.size()) };
            // SAFETY: as above.
            let results = results.into_iter().map(|place| unsafe { place.into_inner().assume_init() }).collect();
            return Ok((results, helm.region.is_broken().then(|| helm.region.verdict()).flatten()));
        };
        let panicked: Vec<usize> = panics.iter().map(MemberPanic::rank).collect();
        for rank in (0..self.size()).filter(|rank| !panicked.contains(rank)) {
            // SAFETY: the member of this rank has not panicked, and so has written its place.
            unsafe { results.as_mut_ptr().add(rank).cast::<R>().drop_in_place() };
        }
        Err(first_of(panics, helm.region.verdict()))
    }

    /// Makes a new barrier in the place of one that is broken.
    #[cold]
    #[allow(unsafe_code)]
    fn renew<E>(&self, helm: &mut Helm) -> Result<(), RunError<E>> {
        let region = self.recipe.clone().build().expect("it has been built before, from the same choices");
        let parties = region.take_parties().expect("nobody else knows of it");
        helm.region = region.era();
        self.shared.renew(region.clone(), parties);
        // SAFETY: `refit` takes no notice of its data.
        unsafe { self.call_all(helm, refit, Data { body: std::ptr::null(), results: std::ptr::null_mut() }) };
        // By a token that was cancelled before.
        region.broken().map_or(Ok(()), |broken| Err(RunError::Broken(broken)))
    }

    /// Lets all members, the caller included if it is one, make a call; returns when all have reported.
    ///
    /// # Safety
    ///
    /// `make` may be called with `data`, for each seat once and on any thread, until this returns.
    #[allow(unsafe_code)]
    #[inline]
    unsafe fn call_all(&self, helm: &mut Helm, make: unsafe fn(Data, &mut Seat, &Shared), data: Data) {
        let (shared, number) = (&*self.shared, helm.next);
        helm.next = number.wrapping_add(1);
        // SAFETY: the last call was number `number - 1`, as only whoever has the helm calls, and was awaited below.
        unsafe { shared.dispatch.call(number, Some(Call { make, data })) };
        if let Some(seat) = &mut helm.seat {
            // SAFETY: by this function's own contract.
            unsafe { make(data, seat, shared) };
            shared.dispatch.report(number, seat.rank);
        }
        let mut looks = Looks::new();
        while shared.dispatch.await_reports(number, &mut helm.pace, looks.limit()).is_err() {
            if let Some(seat) = &helm.seat {
                shared.look_after_others(number, seat);
            }
            looks.next();
        }
    }
}

/// What all made, or the error of the one that broke the trip.
fn all_or_first<R, E>(all: Vec<Result<R, E>>, broken: Option<Broken>) -> Result<Vec<R>, RunError<E>> {
    if all.iter().all(Result::is_ok) {
        return Ok(all.into_iter().filter_map(Result::ok).collect());
    }
    let first = match broken {
        Some(broken) => match *broken.cause() {
            Cause::Failed { rank, .. } => Some(rank),
            _ => return Err(RunError::Broken(broken)),
        },
        None => None,
    };
    let mut errors = all.into_iter().enumerate().filter_map(|(rank, result)| Some((rank, result.err()?)));
    let found = errors.find(|(rank, _)| first.is_none_or(|first| first == *rank));
    let (rank, error) = found.expect("not all are `Ok`, and who broke the trip by failing is not");
    Err(RunError::Failed { rank, error })
}

/// What to tell of a run in which members panicked: what broke the trip first.
#[cold]
fn first_of<E>(panics: Vec<MemberPanic>, broken: Option<Broken>) -> RunError<E> {
    let first = match broken {
        Some(broken) => match *broken.cause() {
            Cause::Panicked { rank } => Some(rank),
            _ => return RunError::Broken(broken),
        },
        None => None,
    };
    let found = panics.into_iter().find(|panic| first.is_none_or(|first| first == panic.rank()));
    RunError::Panicked(found.expect("who broke the trip by a panic is among those who panicked"))
}

/// One member's result. Padded: all members write theirs at about the same time.
type Place<R> = CachePadded<MaybeUninit<R>>;

/// Drops the closure of a run where it was put.
struct DropInPlace<F>(*mut F);

impl<F> Drop for DropInPlace<F> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: whoever made this has put an `F` there, and nobody uses it any more.
        unsafe { self.0.drop_in_place() }
    }
}

/// One member's part of a run. Nothing escapes it: a panic is taken note of.
///
/// # Safety
///
/// `data` points to an `F` and to places for the results of all members, and no other call is for this seat.
#[allow(unsafe_code)]
unsafe fn make_part<R, F: Fn(&mut Member<'_>) -> R>(data: Data, seat: &mut Seat, shared: &Shared) {
    // SAFETY: by the caller's promise.
    let body = unsafe { &*data.body.cast::<F>() };
    match catch_unwind(AssertUnwindSafe(|| body(&mut Member::new(seat, shared)))) {
        // SAFETY: the place of this rank exists and is nobody else's, by the caller's promise.
        Ok(result) => unsafe { data.results.cast::<Place<R>>().add(seat.rank).cast::<R>().write(result) },
        Err(payload) => shared.panicked(seat, payload),
    }
    if seat.party.is_behind() {
        // It has arrived and not waited: the next run would begin with members that are not in step.
        shared.break_trip(seat, Cause::Dropped { rank: seat.rank });
    }
}

/// The call by which a member takes its party of a new barrier.
///
/// # Safety
///
/// None needed: it takes no notice of its data.
#[allow(unsafe_code)]
unsafe fn refit(_: Data, seat: &mut Seat, shared: &Shared) {
    shared.refit(seat);
}

/// Lets the next run in, whatever happens.
struct Exit<'a>(&'a Shared);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        self.0.exit();
    }
}

impl Drop for Team {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: `&mut self` says that nobody runs the team; the last run, if any, happens before this.
        let next = unsafe { self.helm.with(|helm| helm.next) };
        // SAFETY: it is the number behind the last call, whose reports its caller has awaited.
        unsafe { self.shared.dispatch.call(next, None) };
        for worker in self.workers.drain(..) {
            // A worker catches what a closure throws; there is nothing that could be passed on.
            drop(worker.join());
        }
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("size", &self.size()).field("placement", &self.placement).finish_non_exhaustive()
    }
}
