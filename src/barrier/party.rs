//! One participant's handle, and what it gets for a completed trip.

use super::control::{Control, Errands};
use super::era::Era;
use super::member::{Halt, Member};
use crate::error::{Broken, Cause};
use crate::fate::Ruling;
use crate::fate::luggage::Kind;
use crate::observe::labels::Recent;
use crate::primitive::panicking;
use crate::wait::Limit;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A completed trip, as one of its parties sees it. What `std` calls `BarrierWaitResult`.
///
/// # Examples
///
/// ```
/// let barrier = phalanx::Barrier::new(1)?;
/// let mut party = barrier.claim(0)?;
/// let trip = party.wait()?;
/// assert_eq!(trip.generation(), 0);
/// assert!(trip.is_leader());
/// assert_eq!(party.wait()?.generation(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    generation: u64,
    leader: bool,
}

impl Trip {
    /// A trip of another barrier behind the same face.
    pub(crate) fn new(generation: u64, leader: bool) -> Self {
        Self { generation, leader }
    }

    /// The number of the trip, counted from 0.
    #[must_use]
    #[inline]
    pub fn generation(self) -> u64 {
        self.generation
    }

    /// True for exactly one party of each completed trip.
    #[must_use]
    #[inline]
    pub fn is_leader(self) -> bool {
        self.leader
    }
}

/// One participant's handle: a rank, and the right to arrive with it.
///
/// Where `std::sync::Barrier` lets any thread call `wait(&self)` and so cannot know who is missing, a party has a
/// number and is owned by one thread at a time: it can be sent to a thread but not cloned, and it waits through `&mut
/// self`, so that nobody can arrive twice.
///
/// Dropping it means "I come no more": the trip that it has not arrived at breaks, with [`Cause::Dropped`], or
/// [`Cause::Panicked`] while its thread unwinds, for whoever waits or comes to wait. So an early `return`, a `?` or a
/// panic in one worker releases all the others with an error that names it, while parties that all finish together
/// notice nothing. (`mem::forget` is no drop: a forgotten handle is a party that never comes; set a timeout against
/// such.)
///
/// # Examples
///
/// A worker that gives up early is found at once:
///
/// ```
/// use phalanx::{Barrier, Cause};
///
/// let barrier = Barrier::new(2)?;
/// let mut parties = barrier.take_parties()?;
/// let (mut worker, quitter) = (parties.remove(0), parties.remove(0));
/// let told = std::thread::scope(|s| {
///     s.spawn(move || drop(quitter));
///     s.spawn(move || worker.wait().unwrap_err()).join().unwrap()
/// });
/// assert_eq!(told.cause(), &Cause::Dropped { rank: 1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a party breaks the trip that it has not arrived at"]
pub struct Party {
    pub(crate) member: Member,
    /// The next wait is like the last one: settled, no arrival left behind, and no action.
    quick: bool,
    /// The barrier knows which thread this is, and nothing broke since.
    settled: bool,
    /// Arrivals that are made, and could not be published yet because an earlier trip is not decided.
    pub(crate) deferred: usize,
    /// This handle has been told of the break of its era, or was claimed after it.
    told: bool,
    /// It has left, and nobody waits for it.
    gone: bool,
    /// What it did of late that has a number.
    pub(crate) errands: Errands,
    /// What it said of late that it does.
    pub(super) labels: Recent,
    pub(crate) control: Arc<Control>,
}

impl Party {
    /// A new handle; `told` is whether it comes behind the break of its era ([`Member::enter`]).
    pub(super) fn new((member, told): (Member, bool), control: Arc<Control>) -> Self {
        Self {
            member,
            quick: false,
            settled: false,
            deferred: 0,
            told,
            gone: false,
            errands: Errands::default(),
            labels: Recent::default(),
            control,
        }
    }

    /// Arrives, and stays until the trip is decided.
    ///
    /// `std::sync::Barrier::wait` with two differences: it can fail, for all parties alike, instead of hanging; and
    /// with the default policy it spins before it sleeps. Limited by [`Builder::timeout`](crate::Builder::timeout), if
    /// set.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, Broken};
    ///
    /// let barrier = Barrier::new(4)?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         s.spawn(move || -> Result<(), Broken> {
    ///             for _ in 0..100 {
    ///                 // work that the others will read after the barrier
    ///                 party.wait()?;
    ///             }
    ///             Ok(())
    ///         });
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`]: the trip was broken, for every party with the same record. Each further wait fails likewise until
    /// somebody calls [`Barrier::reset`](crate::Barrier::reset); the first wait after that takes part in the first trip
    /// of the new count. A party that had not come to wait for the broken trip before the reset is told of it once, at
    /// its next wait.
    ///
    /// # Cancel safety
    ///
    /// Not a future: nothing can cancel it but a break. An arrival is never taken back; a party that gives up breaks
    /// the trip for all.
    ///
    /// # Memory ordering
    ///
    /// Everything that any party did before it arrived happens before everything that any party does after its `Ok`. A
    /// failed wait promises nothing about the others' work.
    #[inline]
    pub fn wait(&mut self) -> Result<Trip, Broken> {
        self.cross(Limit::Usual)
    }

    /// Arrives, and stays until the trip is decided, or breaks it when `timeout` has passed.
    ///
    /// Like Java's `await(timeout, unit)`. Zero does not wait: the trip completes if this party is the last to arrive,
    /// and breaks otherwise. A timeout that ends beyond the clock's range is none. The clock starts with the first look
    /// at it, less than a microsecond after the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut party = barrier.claim(0)?;
    /// let broken = party.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(broken.to_string(), "trip 0 broken: rank 0 timed out after 1 ms; not arrived: rank 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`wait`](Self::wait); with [`Cause::TimedOut`] if this or another party's patience ended. When
    /// the last arrival and the timeout race, either all parties complete the trip, this one included, or all are told
    /// that it broke.
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Trip, Broken> {
        self.cross(Limit::After(timeout))
    }

    /// Arrives, and stays until the trip is decided, or breaks it at `deadline`.
    ///
    /// Like [`wait_timeout`](Self::wait_timeout), for loops that must not drift. A deadline in the past does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let barrier = phalanx::Barrier::new(1)?;
    /// let mut party = barrier.claim(0)?;
    /// let frame = Instant::now() + Duration::from_millis(16);
    /// assert!(party.wait_deadline(frame).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Memory ordering
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<Trip, Broken> {
        self.cross(Limit::At(deadline))
    }

    /// Leaves the barrier: arrives at the open trip, does not stay, and takes part in no further one.
    ///
    /// C++ calls this `arrive_and_drop`, Java's `Phaser` `arriveAndDeregister`. The others complete the open trip as if this
    /// party had waited, and from the next trip on they are one fewer; nothing breaks. If they reduce or gather on the open
    /// trip, they do so without this party, which brings no value. (Dropping the handle is the other
    /// way to go: it says that something is wrong.) With the last party the barrier ends. On a broken barrier the party is
    /// simply no member any more when the barrier is [reset](crate::Barrier::reset): so a group can go on without a worker
    /// that died, by claiming its rank and leaving with it.
    ///
    /// Never waits, unless an [`Arrival`](crate::Arrival) was dropped undecided: then first for the end of its trip. If
    /// this party is the last to arrive, it runs the barrier's action.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut parties = barrier.take_parties()?;
    /// parties.remove(1).leave();
    /// assert_eq!(parties[0].wait()?.generation(), 0); // with the leaver's arrival
    /// assert_eq!(parties[0].wait()?.generation(), 1); // alone
    /// assert_eq!(barrier.parties(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Memory ordering
    ///
    /// Everything that this party did before happens before everything that the others do after their `Ok` from the open
    /// trip.
    pub fn leave(mut self) {
        // An error is that of a broken trip, or of an action that lets its own barrier's party leave: out it is all the
        // same, and there is nobody to tell.
        if self.is_behind() {
            let _ = self.settle(Limit::Usual);
            // Refused inside the action of the very trip that it has arrived at: that is no leave but a drop.
            if self.member.owes() {
                return;
            }
        }
        self.gone = true;
        let control = Arc::clone(&self.control);
        let handover = control.handover();
        let broke = control.leave(&mut self.member) && self.arrive_at_open_trip(Kind::LEAVING).is_err();
        // Whoever watches is told behind the lock, which it may need.
        drop(handover);
        if broke {
            control.spread();
        }
    }

    /// This party's number. It keeps it as long as it is a member; among the parties of a barrier at which nobody ever
    /// joined or left, `0..parties`.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> usize {
        self.member.rank()
    }

    /// This party's place among the members of the next trip by rank, always in `0..parties`: what to divide work by
    /// where parties [join](crate::Barrier::join) and [leave](Self::leave).
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut parties = barrier.take_parties()?;
    /// parties.remove(0).leave();
    /// parties[0].wait()?;
    /// assert_eq!((parties[0].rank(), parties[0].index(), parties[0].parties()), (1, 0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn index(&self) -> usize {
        let elsewhere = self.elsewhere().and_then(|era| era.index_of(self.rank()));
        elsewhere.unwrap_or(self.member.index())
    }

    /// How many parties take part in this party's next trip.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.elsewhere().map_or_else(|| self.member.era().parties(), |era| era.parties())
    }

    /// The era of the next trip, if it is another than this party holds: it has joined and not waited yet, and others have
    /// joined or left since.
    #[inline]
    fn elsewhere(&self) -> Option<Arc<Era>> {
        let era = self.member.era();
        if !era.door().look().asks() || era.fate().rule(self.generation()) != Ruling::Elsewhere {
            return None;
        }
        Some(self.control.successor(&self.member))
    }

    /// The trip that this party arrives at next; after a break, the broken one until the party has moved on.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> u64 {
        self.member.generation()
    }

    #[inline(always)]
    fn cross(&mut self, limit: Limit) -> Result<Trip, Broken> {
        if !self.quick {
            return self.cross_slowly(limit);
        }
        let generation = self.member.generation();
        let control = &self.control;
        match self.member.cross(&limit, |cause, census| control.describe(cause, census)) {
            Ok(leader) => Ok(Trip { generation, leader }),
            Err(halt) => self.halted(halt, limit),
        }
    }

    /// A crossing that needs preparation, or on which an action runs.
    #[cold]
    #[inline(never)]
    fn cross_slowly(&mut self, limit: Limit) -> Result<Trip, Broken> {
        self.settle(limit)?;
        match self.cross_once::<false>(limit) {
            Ok(trip) => Ok(trip),
            Err(halt) => self.halted(halt, limit),
        }
    }

    /// One try of a party that is settled, which stays in its era even if that has ended. Something rides on the trip, and
    /// whoever calls this [concludes](Member::conclude) it.
    #[inline(always)]
    pub(crate) fn cross_in_place(&mut self, limit: Limit) -> Result<(), Halt> {
        if !self.quick {
            return self.cross_once::<true>(limit).map(drop);
        }
        let control = &self.control;
        self.member.cross_as::<true>(&limit, |cause, census| control.describe(cause, census)).map(drop)
    }

    /// One try of a party that is settled. `LADEN` as in [`Member::cross_as`].
    fn cross_once<const LADEN: bool>(&mut self, limit: Limit) -> Result<Trip, Halt> {
        let Self { member, control, .. } = self;
        let (generation, rank) = (member.generation(), member.rank());
        let describe = |cause, census| control.describe(cause, census);
        let leader = if control.acts() {
            member.cross_held::<LADEN>(limit, &describe, &mut |era, generation| control.act(era, generation, rank))?
        } else {
            member.cross_as::<LADEN>(&limit, describe)?
        };
        Ok(Trip { generation, leader })
    }

    /// What becomes of a crossing that was not simply over.
    #[cold]
    fn halted(&mut self, halt: Halt, limit: Limit) -> Result<Trip, Broken> {
        match halt {
            Halt::Turned(leader) => Ok(self.turned(leader)),
            Halt::Broken(broken) => Err(self.unsettle(broken)),
            Halt::Elsewhere => {
                self.move_on();
                self.cross_slowly(limit)
            }
            // Only where a caller does not want its limit to break the trip.
            Halt::Undecided => self.cross_slowly(limit),
        }
    }

    /// The trip that this party has just crossed was the last of its era.
    pub(crate) fn turned(&mut self, leader: bool) -> Trip {
        let generation = self.member.generation().wrapping_sub(1);
        self.move_on();
        Trip { generation, leader }
    }

    pub(crate) fn move_on(&mut self) {
        self.control.move_on(&mut self.member);
        if !self.member.is_seated() {
            // Where it has come to, it can only be told why.
            (self.quick, self.settled, self.told) = (false, false, true);
        }
    }

    /// Arrives at the open trip, with this label on; if that is not held where this party is, where it is.
    pub(crate) fn arrive_at_open_trip(&mut self, kind: Kind) -> Result<(), Broken> {
        loop {
            let Self { member, control, .. } = self;
            member.label(kind);
            let rank = member.rank();
            let mut act = |era: &Arc<Era>, generation| control.act(era, generation, rank);
            match member.arrive(control.acts().then_some(&mut act)) {
                Ok(()) => return Ok(()),
                Err(Halt::Broken(broken)) => return Err(self.unsettle(broken)),
                Err(_) => self.move_on(),
            }
            if self.member.owes() {
                return Ok(()); // its arrival has been made good there
            }
        }
    }

    /// Does what has to be done before the next arrival: sees to the end of a trip that this party has arrived at, says
    /// which thread it is, and goes where the barrier has gone since a break.
    #[inline(always)]
    pub(crate) fn settle(&mut self, limit: Limit) -> Result<(), Broken> {
        if self.quick { Ok(()) } else { self.settle_slowly(limit) }
    }

    #[cold]
    fn settle_slowly(&mut self, limit: Limit) -> Result<(), Broken> {
        loop {
            while self.member.owes() {
                self.attend(limit, true)?;
            }
            self.prepare()?;
            if self.deferred == 0 {
                break;
            }
            self.arrive_deferred()?;
        }
        self.quick = !self.control.acts();
        Ok(())
    }

    /// [`Party::settle`] for a party that owes nothing.
    pub(crate) fn prepare(&mut self) -> Result<(), Broken> {
        if self.settled {
            return Ok(());
        }
        if let Err(broken) = self.control.settle(&mut self.member, self.told) {
            self.deferred = 0;
            return Err(broken);
        }
        if !self.member.is_seated() {
            // Nobody is sent where he does not take part, but to be told of a break.
            let (rank, generation) = (self.rank(), self.generation());
            let cause = Cause::NoSuchRank { rank, named: rank };
            return Err(Broken::by_rank(cause, generation, self.member.era().parties(), Vec::new()));
        }
        self.settled = true;
        self.told = false;
        Ok(())
    }

    /// Makes the first of the arrivals good that could not be published when they were made.
    pub(crate) fn arrive_deferred(&mut self) -> Result<(), Broken> {
        self.deferred -= 1;
        self.owe();
        self.arrive_at_open_trip(Kind::ABSENT)
    }

    /// Whether others have arrived at the trip that this party arrives at next, and it has not.
    pub(crate) fn is_awaited(&self) -> bool {
        let census = self.member.era().census();
        census.generation == self.generation() && census.arrived > 0 && census.missing.contains(&self.rank())
    }

    /// Whether it has arrived at a trip whose end it has not waited for. (Arrivals are only deferred behind such a one.)
    pub(crate) fn is_behind(&self) -> bool {
        self.member.owes()
    }

    /// This party is about to arrive and not to stay: whatever it calls next has to see to that first.
    pub(crate) fn owe(&mut self) {
        self.quick = false;
    }

    /// Stays until the trip is decided that this party has arrived at. With `breaks` the limit breaks it; otherwise, and if
    /// the limit passes, `None`.
    pub(crate) fn attend(&mut self, limit: Limit, breaks: bool) -> Result<Option<Trip>, Broken> {
        let Self { member, control, .. } = self;
        control.refuse_within(member)?;
        let held = control.acts();
        let outcome = member.attend(limit, breaks, &|cause, census| control.describe(cause, census), held);
        self.attended(outcome)
    }

    /// Whether the trip is decided that this party has arrived at.
    pub(crate) fn try_attend(&mut self) -> Result<Option<Trip>, Broken> {
        let Self { member, control, .. } = self;
        let held = control.acts();
        let outcome = member.try_attend(&|cause, census| control.describe(cause, census), held);
        self.attended(outcome)
    }

    fn attended(&mut self, outcome: Result<bool, Halt>) -> Result<Option<Trip>, Broken> {
        match outcome {
            Ok(leader) => Ok(Some(Trip { generation: self.member.generation().wrapping_sub(1), leader })),
            Err(Halt::Turned(leader)) => Ok(Some(self.turned(leader))),
            Err(Halt::Broken(broken)) => Err(self.unsettle(broken)),
            Err(Halt::Undecided) => Ok(None),
            Err(Halt::Elsewhere) => {
                self.move_on();
                if !self.member.owes() {
                    self.arrive_at_open_trip(Kind::ABSENT)?;
                }
                Ok(None)
            }
        }
    }

    /// Takes note of a break: the next wait has to see what came after.
    #[cold]
    pub(crate) fn unsettle(&mut self, broken: Broken) -> Broken {
        self.quick = false;
        self.settled = false;
        self.deferred = 0;
        self.told = true;
        if !self.gone {
            self.control.spread();
        }
        broken
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let rank = self.rank();
        let cause = if panicking() { Cause::Panicked { rank } } else { Cause::Dropped { rank } };
        self.control.desert(&self.member, cause);
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("rank", &self.rank())
            .field("parties", &self.parties())
            .field("generation", &self.generation())
            .finish()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use crate::Barrier;

    #[test]
    fn a_party_is_awaited_when_others_have_come_to_its_trip_and_behind_when_it_has_not_stayed() {
        let barrier = Barrier::new(2).unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let (mut right, mut left) = (parties.pop().unwrap(), parties.pop().unwrap());
        assert!(!left.is_awaited() && !left.is_behind());
        // The second one is deferred until the first trip is decided.
        drop(right.arrive());
        drop(right.arrive());
        assert!(left.is_awaited() && !left.is_behind());
        assert!(!right.is_awaited() && right.is_behind());
        assert_eq!(left.wait().unwrap().generation(), 0);
        assert!(!left.is_awaited() && !left.is_behind(), "the trip is complete");
        assert!(!right.is_awaited() && right.is_behind());
        drop(left.arrive());
        assert_eq!(right.arrive().try_wait(), Ok(None));
        assert_eq!((barrier.generation(), right.is_behind()), (2, true));
    }

    #[test]
    fn who_leaves_arrives_a_last_time_and_breaks_nothing() {
        let barrier = Barrier::new(2).unwrap();
        let mut parties = barrier.take_parties().unwrap();
        parties.remove(1).leave();
        assert_eq!((barrier.arrived(), barrier.is_broken()), (1, false));
        let decided = parties[0].arrive().try_wait();
        assert_eq!(decided.map(|trip| trip.map(|trip| trip.generation())), Ok(Some(0)));
        assert_eq!((barrier.parties(), parties[0].parties()), (1, 1));
    }
}
