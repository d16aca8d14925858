//! Split phase: a trip in two halves, with work in between that needs nobody's data.

use crate::barrier::party::{Party, Trip};
use crate::error::Broken;
use crate::primitive::now;
use crate::wait::Limit;
use std::fmt;
use std::time::{Duration, Instant};

/// A party that has arrived at a trip and does not wait for it yet; from [`Party::arrive`].
///
/// C++ calls this the arrival token. It borrows its party, so that the compiler sees to it that nobody arrives twice.
///
/// Dropped before the trip is decided, the arrival stands, as an arrival always does; what became of the trip is then the
/// business of the party's next call, which waits for that first, and tells of it if it broke.
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, Broken};
///
/// let barrier = Barrier::builder(2).split_phase().build()?;
/// std::thread::scope(|s| {
///     for mut party in barrier.take_parties().unwrap() {
///         s.spawn(move || -> Result<(), Broken> {
///             for _step in 0..100 {
///                 // write what the others will read
///                 let arrival = party.arrive();
///                 // work on what is nobody else's business
///                 arrival.wait()?;
///                 // read what the others have written
///             }
///             Ok(())
///         });
///     }
/// });
/// # Ok::<(), phalanx::BuildError>(())
/// ```
#[must_use = "an arrival is half a trip; `wait` for the other half"]
pub struct Arrival<'a> {
    party: &'a mut Party,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not published yet: an earlier trip, whose `Arrival` was dropped, is not decided.
    Deferred,
    /// Published.
    Arrived,
    Decided(Result<Trip, Broken>),
}

impl Party {
    /// Arrives at the open trip and does not wait: the first half of [`wait`](Self::wait), for work that can be done while
    /// the others come.
    ///
    /// Never blocks. If this party is the last to arrive, it runs the barrier's action, if there is one, and lets the
    /// others go at once. With [`Algorithm::Exchange`](crate::Algorithm::Exchange),
    /// [`Central`](crate::Algorithm::Central) and [`Combining`](crate::Algorithm::Combining) a party that is busy between
    /// its arrival and its wait holds up nobody. With the others some wait for news that only the busy party can pass on,
    /// until they have spun for some ten microseconds, or are about to sleep, and then see from the arrivals that all are
    /// there. [`Builder::split_phase`](crate::Builder::split_phase) lets `Auto` know.
    ///
    /// If an earlier [`Arrival`] was dropped undecided and its trip still is, this one is published as soon as that is
    /// decided and somebody asks it.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut parties = barrier.take_parties()?;
    /// let (left, right) = parties.split_at_mut(1);
    /// let mut early = left[0].arrive();
    /// assert!(early.try_wait()?.is_none());
    /// let late = right[0].arrive();
    /// assert_eq!(early.wait()?.generation(), 0);
    /// assert_eq!(late.wait()?.generation(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A party cannot arrive twice, or wait beside its arrival:
    ///
    /// ```compile_fail,E0499
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut party = barrier.claim(0)?;
    /// let first = party.arrive();
    /// let second = party.arrive();
    /// first.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None here: what is wrong is told by the [`Arrival`].
    ///
    /// # Memory ordering
    ///
    /// Everything that this party did before happens before everything that any party does after its `Ok` from the trip.
    /// What it does between arrival and wait is not ordered with the others.
    pub fn arrive(&mut self) -> Arrival<'_> {
        self.deferred += 1;
        let mut arrival = Arrival { party: self, state: State::Deferred };
        arrival.publish();
        arrival
    }
}

impl Arrival<'_> {
    /// Tells whether the trip is decided, without waiting: `None` if not. Once it is, the answer stays the same however
    /// often it is asked for.
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`Party::wait`].
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`], once the answer is a trip.
    pub fn try_wait(&mut self) -> Result<Option<Trip>, Broken> {
        self.publish();
        if matches!(self.state, State::Arrived) {
            let answer = self.party.try_attend();
            self.note(answer);
        }
        self.answer()
    }

    /// Stays until the trip is decided. Limited by [`Builder::timeout`](crate::Builder::timeout), if set, counted from the
    /// first look at the clock here: that limit breaks the trip.
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`Party::wait`].
    ///
    /// # Memory ordering
    ///
    /// As [`Party::wait`].
    pub fn wait(mut self) -> Result<Trip, Broken> {
        loop {
            self.stay(Limit::Usual, true);
            if let Some(trip) = self.answer()? {
                return Ok(trip);
            }
        }
    }

    /// Stays until the trip is decided or `timeout` has passed: then `None`, and the trip goes on.
    ///
    /// Unlike [`Party::wait_timeout`] it breaks nothing, and may be called again, as in GASPI: for a party that has other
    /// work to do, not for one that gives up. A timeout that ends beyond the clock's range is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = phalanx::Barrier::new(2)?;
    /// let mut parties = barrier.take_parties()?;
    /// let mut arrival = parties[0].arrive();
    /// assert!(arrival.wait_timeout(Duration::from_millis(1))?.is_none());
    /// assert!(!barrier.is_broken());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`Party::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Trip>, Broken> {
        self.wait_until(now().checked_add(timeout))
    }

    /// Stays until the trip is decided or `deadline` has come: then `None`, and the trip goes on. As
    /// [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Errors
    ///
    /// [`Broken`], as [`Party::wait`].
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<Option<Trip>, Broken> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&mut self, end: Option<Instant>) -> Result<Option<Trip>, Broken> {
        let limit = end.map_or(Limit::Never, Limit::At);
        loop {
            self.stay(limit, false);
            match self.answer() {
                Ok(None) if end.is_none_or(|end| now() < end) => {}
                answer => return answer,
            }
        }
    }

    /// Arrives, unless that is done, or an earlier trip is in the way.
    fn publish(&mut self) {
        if matches!(self.state, State::Deferred) {
            self.state = match self.try_publish() {
                Ok(true) => State::Arrived,
                Ok(false) => State::Deferred,
                Err(broken) => State::Decided(Err(broken)),
            };
        }
    }

    /// Whether the arrival is published. All that are deferred are made good in their turn, and this is the last of them.
    fn try_publish(&mut self) -> Result<bool, Broken> {
        let party = &mut *self.party;
        while party.deferred > 0 {
            if party.member.owes() && party.try_attend()?.is_none() {
                return Ok(false);
            }
            party.prepare()?;
            party.arrive_deferred()?;
        }
        Ok(true)
    }

    /// One wait, for the trip of this arrival or the one in its way.
    fn stay(&mut self, limit: Limit, breaks: bool) {
        self.publish();
        match self.state {
            State::Arrived => {
                let answer = self.party.attend(limit, breaks);
                self.note(answer);
            }
            State::Deferred => match self.party.attend(limit, breaks) {
                Ok(_) => self.publish(),
                Err(broken) => self.state = State::Decided(Err(broken)),
            },
            State::Decided(_) => {}
        }
    }

    fn note(&mut self, answer: Result<Option<Trip>, Broken>) {
        if let Some(answer) = answer.transpose() {
            self.state = State::Decided(answer);
        }
    }

    fn answer(&self) -> Result<Option<Trip>, Broken> {
        match &self.state {
            State::Decided(answer) => answer.clone().map(Some),
            State::Deferred | State::Arrived => Ok(None),
        }
    }
}

impl fmt::Debug for Arrival<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("party", self.party).field("state", &self.state).finish()
    }
}
