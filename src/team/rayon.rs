//! Members on the threads of a rayon pool: for programs that have one already.
//!
//! - [`pinned`]: a pool whose threads stay where a [`Placement`] puts them.
//! - [`run`], [`try_run`]: one closure on as many threads of the pool as there are parties, with a barrier between them.
//!
//! # Why not simply a barrier in a parallel loop
//!
//! A pool of work-stealing threads runs its tasks in any order, on as many threads as are free. Tasks that wait for each
//! other in it deadlock as soon as there are fewer threads than tasks, or one thread takes two of them (bug class B23). What
//! rayon has for this is `ThreadPool::broadcast`, which runs a closure once on every thread; this module puts one [`Party`]
//! on each, and refuses what cannot work:
//!
//! - more parties than the pool has threads;
//! - a call from inside the pool: the calling thread would be one of those that it waits for.
//!
//! Two calls at the same time are fine: rayon hands out a broadcast to all threads under one lock, so all threads run the
//! two in the same order. A call from a thread of *another* pool is fine as well; that thread takes other tasks of its pool
//! meanwhile, as rayon's threads do while they wait.
//!
//! # When not to use it
//!
//! A party that waits blocks its thread, which steals nothing meanwhile: the pool is busy for the length of the run. And a
//! thread that is busy with something else comes late; without a [`timeout`](crate::Builder::timeout) it is waited for. A
//! [`Team`](super::Team) has threads of its own, calls them several times faster, and can be told apart in a debugger.

use super::error::{MemberPanic, RunError};
use crate::barrier::builder::Builder;
use crate::barrier::party::Party;
use crate::error::{BuildError, Cause};
use crate::topology::{PinError, Placement, pin_current};
use ::rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::{error, fmt};

/// Builds a pool with one thread for each rank of `placement`, each pinned by itself to its rank's CPU.
///
/// Sets the number of threads and the start handler of `builder`; everything else is as it says. That this system cannot pin
/// threads at all ([`PinError::Unsupported`]) is no error: then they float.
///
/// # Examples
///
/// ```
/// use phalanx::team::rayon::pinned;
/// use phalanx::topology::{Bind, Topology, startup_mask};
///
/// let placement = Topology::detect().place(&Bind::Close, 2, startup_mask())?;
/// let pool = pinned(rayon::ThreadPoolBuilder::new().thread_name(|i| format!("solver-{i}")), &placement)?;
/// assert_eq!(pool.current_num_threads(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`PinnedPoolError`]. The pool, if there was one, has ended.
pub fn pinned(builder: ThreadPoolBuilder, placement: &Placement) -> Result<ThreadPool, PinnedPoolError> {
    if placement.parties() == 0 {
        return Err(PinnedPoolError::NoThreads);
    }
    let trouble: Arc<Mutex<Vec<(usize, PinError)>>> = Arc::default();
    let (seen, cpus) = (Arc::clone(&trouble), placement.cpus().collect::<Vec<_>>());
    let start = move |thread: usize| match cpus.get(thread).copied().flatten().map(pin_current) {
        // For as long as the thread lives: there is nobody to give the guard to.
        Some(Ok(pinned)) => std::mem::forget(pinned),
        Some(Err(PinError::Unsupported)) | None => {}
        Some(Err(error)) => seen.lock().unwrap_or_else(PoisonError::into_inner).push((thread, error)),
    };
    let pool = builder.num_threads(placement.parties()).start_handler(start).build().map_err(PinnedPoolError::Pool)?;
    // Every thread has been through its start handler once it runs this.
    pool.broadcast(|_| ());
    let first = trouble.lock().unwrap_or_else(PoisonError::into_inner).drain(..).min_by_key(|(thread, _)| *thread);
    match first {
        None => Ok(pool),
        Some((thread, error)) => Err(PinnedPoolError::Pin { thread, error }),
    }
}

/// Why there is no pinned pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum PinnedPoolError {
    /// A placement of no ranks: rayon would take that for "as many as there are CPUs".
    NoThreads,
    /// rayon could not build it.
    Pool(ThreadPoolBuildError),
    /// A thread could not be pinned.
    Pin {
        /// The thread's index in the pool.
        thread: usize,
        /// Why not.
        error: PinError,
    },
}

impl fmt::Display for PinnedPoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThreads => f.write_str("a placement of 0 ranks: a pool has at least one thread"),
            Self::Pool(error) => write!(f, "the pool could not be built: {error}"),
            Self::Pin { thread, error } => write!(f, "thread {thread} of the pool cannot be pinned: {error}"),
        }
    }
}

impl error::Error for PinnedPoolError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NoThreads => None,
            Self::Pool(error) => Some(error),
            Self::Pin { error, .. } => Some(error),
        }
    }
}

/// Lets one thread of `pool` for each party call `body`, and returns what each made of it, by rank.
///
/// `barrier` says how many parties there are and how they wait: `Barrier::builder(4)` is enough. The party of rank r is on the
/// pool's thread r. `body` may borrow whatever lives longer than this call.
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, team::rayon::{SpmdError, run}};
///
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
/// let sums = run(&pool, Barrier::builder(2), |party| party.all_reduce(party.rank() + 1, |a, b| a + b).unwrap())?;
/// assert_eq!(sums, [3, 3]);
///
/// let refused = run(&pool, Barrier::builder(3), |_| ()).unwrap_err();
/// assert!(matches!(refused, SpmdError::TooFewThreads { parties: 3, threads: 2 }));
/// let refused = pool.install(|| run(&pool, Barrier::builder(2), |_| ())).unwrap_err();
/// assert!(matches!(refused, SpmdError::Inside));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`SpmdError`]: what cannot work is refused before anything runs. [`SpmdError::Run`] if a party panicked; then the others
/// were released from the barrier, and the pool can be used again.
///
/// # Memory ordering
///
/// Everything that the caller did before happens before every party's `body`, and that before the return.
pub fn run<R, F>(pool: &ThreadPool, barrier: Builder, body: F) -> Result<Vec<R>, SpmdError>
where
    F: Fn(&mut Party) -> R + Sync,
    R: Send,
{
    run_all(pool, barrier, body).map(|(results, _)| results)
}

/// Lets one thread of `pool` for each party call `body`, which can fail; and returns what each made of it, by rank, if nobody
/// did.
///
/// The first party to return an error breaks the trip for the others, with [`Cause::Failed`].
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, Broken, team::rayon::try_run};
///
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
/// let trips = try_run(&pool, Barrier::builder(2), |party| -> Result<u64, Broken> {
///     party.wait()?;
///     Ok(party.wait()?.generation())
/// })?;
/// assert_eq!(trips, [1, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`run`]; and [`RunError::Failed`] in [`SpmdError::Run`], with what the first party to fail returned.
pub fn try_run<R, E, F>(pool: &ThreadPool, barrier: Builder, body: F) -> Result<Vec<R>, SpmdError<E>>
where
    F: Fn(&mut Party) -> Result<R, E> + Sync,
    R: Send,
    E: fmt::Display + Send,
{
    let (all, broken) = run_all(pool, barrier, |party| {
        let result = body(party);
        if let Err(error) = &result {
            party.control.break_open_trip(&Cause::Failed { rank: party.rank(), message: error.to_string() });
        }
        result
    })?;
    super::all_or_first(all, broken).map_err(SpmdError::Run)
}

type Ran<R> = (Vec<R>, Option<crate::error::Broken>);

fn run_all<R, E, F>(pool: &ThreadPool, barrier: Builder, body: F) -> Result<Ran<R>, SpmdError<E>>
where
    F: Fn(&mut Party) -> R + Sync,
    R: Send,
{
    if pool.current_thread_index().is_some() {
        return Err(SpmdError::Inside);
    }
    let barrier = barrier.build().map_err(SpmdError::Barrier)?;
    let (parties, threads) = (barrier.parties(), pool.current_num_threads());
    if parties > threads {
        return Err(SpmdError::TooFewThreads { parties, threads });
    }
    let seats = barrier.take_parties().unwrap_or_default();
    let seats: Vec<_> = seats.into_iter().map(|party| Mutex::new(Some(party))).collect();
    let panics = Mutex::new(Vec::new());
    let results = pool.broadcast(|context| {
        let seat = seats.get(context.index())?;
        let mut party = seat.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&mut party)));
        outcome
            .map_err(|payload| {
                let rank = party.rank();
                panics.lock().unwrap_or_else(PoisonError::into_inner).push(MemberPanic::new(rank, payload));
                party.control.break_open_trip(&Cause::Panicked { rank });
            })
            .ok()
    });
    let panics = panics.into_inner().unwrap_or_else(PoisonError::into_inner);
    // A party that is done drops its handle, which breaks a trip that perhaps nobody waits for: no reason by itself.
    let broken = barrier.broken().filter(|broken| !matches!(broken.cause(), Cause::Dropped { .. }));
    if !panics.is_empty() {
        return Err(SpmdError::Run(super::first_of(panics, broken)));
    }
    Ok((results.into_iter().take(parties).flatten().collect(), broken))
}

/// Why members on a rayon pool came to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpmdError<E = Infallible> {
    /// The pool has fewer threads than there are parties: those that wait would keep the others from running.
    TooFewThreads {
        /// The number of parties.
        parties: usize,
        /// The number of the pool's threads.
        threads: usize,
    },
    /// Called from inside the pool: the calling thread would wait for itself.
    Inside,
    /// The barrier cannot be made.
    Barrier(BuildError),
    /// It ran, and came to nothing.
    Run(RunError<E>),
}

impl<E: fmt::Display> fmt::Display for SpmdError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewThreads { parties, threads } => {
                write!(f, "refused: {parties} parties on a pool of {threads} threads would wait for ever")
            }
            Self::Inside => f.write_str("refused: called from inside the pool, whose threads are to run it"),
            Self::Barrier(error) => write!(f, "the barrier cannot be made: {error}"),
            Self::Run(error) => write!(f, "{error}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> error::Error for SpmdError<E> {}
