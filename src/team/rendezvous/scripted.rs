//! A barrier that does what a test has written down: who arrives when, who fails, on which trip, and why.

use super::condvar::{CondvarParty, condvar_parties_within};
use super::{Rendezvous, sealed};
use crate::barrier::party::Trip;
use crate::error::{Broken, Cause};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a party does instead of simply arriving.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scene {
    /// It arrives this much later.
    Late(Duration),
    /// It breaks the trip, for everybody, with this cause.
    Break(Cause),
    /// It panics, with this message.
    Panic(String),
}

/// What is to happen at a barrier, trip by trip and rank by rank; and what did.
///
/// The test double behind [`Rendezvous`]: on its parties a loop meets every failure that it can meet in production, where
/// and when the test wants it, and every run is the same. Parties really meet at it, in threads: it lets nobody through
/// early, whatever the script says.
///
/// Scenes are played once. Those of one rank and trip are played in turn by the families of parties made from the script
/// one after another: the first one by the first family, so that a retry can be made to fail again, or to succeed.
///
/// # Examples
///
/// ```
/// use phalanx::Cause;
/// use phalanx::team::rendezvous::{Rendezvous, Scene, Script};
///
/// let why = Cause::Aborted { reason: "as the script says".into() };
/// let script = Script::new().at(1, 0, Scene::Break(why.clone()));
/// let mut party = script.parties(1).remove(0);
/// assert!(party.wait().is_ok());
/// let broken = party.wait().unwrap_err();
/// assert_eq!((broken.generation(), broken.cause()), (1, &why));
///
/// let mut again = script.parties(1).remove(0);
/// assert!(again.wait().is_ok() && again.wait().is_ok()); // the scene has been played
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The ranks in their order of arrival, on every trip; in any order if empty.
    order: Vec<usize>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    scenes: Mutex<Vec<(u64, usize, Scene)>>,
    log: Mutex<Vec<(u64, usize)>>,
}

impl Script {
    /// Makes an empty one: a barrier on which nothing happens but trips.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scene: what `rank` does on trip `trip`, counted from 0.
    #[must_use]
    pub fn at(self, trip: u64, rank: usize, scene: Scene) -> Self {
        self.shared.scenes.lock().unwrap_or_else(PoisonError::into_inner).push((trip, rank, scene));
        self
    }

    /// Lets the parties arrive in this order on every trip: who comes too early is kept back. The last one leads. Ranks that
    /// are not named arrive whenever they come.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::team::rendezvous::{Rendezvous, Script};
    ///
    /// let script = Script::new().order([2, 0, 1]);
    /// std::thread::scope(|s| {
    ///     for mut party in script.parties(3) {
    ///         s.spawn(move || assert_eq!(party.wait().unwrap().is_leader(), party.rank() == 1));
    ///     }
    /// });
    /// assert_eq!(script.arrivals(), [(0, 2), (0, 0), (0, 1)]);
    /// ```
    #[must_use]
    pub fn order(mut self, ranks: impl IntoIterator<Item = usize>) -> Self {
        self.order = ranks.into_iter().collect();
        self
    }

    /// Makes the parties of a new barrier, in the order of the ranks. They play the scenes that have not been played.
    #[must_use]
    pub fn parties(&self, parties: usize) -> Vec<Scripted> {
        self.parties_within(parties, None)
    }

    /// The same, with a limit for waits that name none.
    pub(in crate::team) fn parties_within(&self, parties: usize, patience: Option<Duration>) -> Vec<Scripted> {
        let order: Arc<[usize]> = self.order.iter().copied().filter(|&rank| rank < parties).collect();
        let party = |inner: CondvarParty| {
            let before = order.iter().position(|&rank| rank == inner.rank()).unwrap_or(0);
            Scripted { inner, shared: Arc::clone(&self.shared), order: Arc::clone(&order), before, trip: 0 }
        };
        condvar_parties_within(parties, patience).into_iter().map(party).collect()
    }

    /// Who arrived at which trip, in the order of the arrivals, on all barriers made from this script.
    #[must_use]
    pub fn arrivals(&self) -> Vec<(u64, usize)> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The scenes that nobody has played yet: empty at the end of a test that went as written.
    #[must_use]
    pub fn unplayed(&self) -> Vec<(u64, usize, Scene)> {
        self.shared.scenes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One thread's place at a scripted barrier; from [`Script::parties`].
#[derive(Debug)]
pub struct Scripted {
    inner: CondvarParty,
    shared: Arc<Shared>,
    order: Arc<[usize]>,
    /// How many of `order` arrive before this party.
    before: usize,
    trip: u64,
}

impl Scripted {
    /// Plays what is written for this party's next arrival; `Err` if that breaks the trip.
    fn play(&mut self) -> Result<(), Broken> {
        let (trip, rank) = (self.trip, self.inner.rank());
        self.trip += 1;
        let scene = {
            let mut scenes = self.shared.scenes.lock().unwrap_or_else(PoisonError::into_inner);
            let next = scenes.iter().position(|scene| (scene.0, scene.1) == (trip, rank));
            next.map(|next| scenes.remove(next).2)
        };
        match scene {
            Some(Scene::Late(late)) => thread::sleep(late),
            Some(Scene::Break(cause)) => return Err(self.inner.break_trip(cause)),
            Some(Scene::Panic(message)) => panic!("{message}"),
            None => {}
        }
        self.inner.await_turn(&self.order[..self.before])?;
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).push((trip, rank));
        Ok(())
    }
}

impl sealed::Sealed for Scripted {}

impl Rendezvous for Scripted {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn parties(&self) -> usize {
        self.inner.parties()
    }

    fn wait(&mut self) -> Result<Trip, Broken> {
        self.play()?;
        self.inner.wait()
    }

    fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.play()?;
        self.inner.wait_deadline(deadline)
    }

    fn all_reduce<T>(&mut self, value: T, combine: impl FnMut(T, T) -> T) -> Result<T, Broken>
    where
        T: Copy + Send + 'static,
    {
        self.play()?;
        self.inner.all_reduce(value, combine)
    }
}
