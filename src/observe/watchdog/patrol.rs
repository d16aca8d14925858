//! The one thread that looks after all barriers of the process.
//!
//! # State
//!
//! | field | meaning |
//! |---|---|
//! | `posts` | every barrier that is watched, weakly held, with what the watchdog remembers of it and when to look again |
//! | `on_duty` | the thread is there, and will see whatever is put into `posts` before it ends |
//!
//! The thread is started when the first barrier is watched, sleeps on a condition variable until the next look is due, and
//! ends a moment after the last barrier is gone (not at once, so that a program that makes one barrier after another does not
//! start a thread for each). It is started and ends under the lock of the state, so there is never more than one on duty, and
//! no barrier without. No lock is held while it looks at a barrier, at a thread, or calls anybody.
//!
//! A barrier takes itself off the list when it is dropped ([`Watched`]); who drops it may be this very thread, if it had it in
//! hand just then.

use super::examine::examine;
use super::report::Report;
use super::subject::Subject;
use super::vigil::{Orders, Vigil};
use crate::observe::quietly;
use crate::primitive::direct::say;
use crate::topology::roam;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Who is told of a stuck trip.
#[derive(Clone)]
pub(crate) struct Sink(Arc<dyn Fn(&Report) + Send + Sync>);

impl Sink {
    pub(crate) fn new(call: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    /// Writes the text of each report to stderr.
    pub(crate) fn stderr() -> Self {
        Self::new(|report| say(&format!("phalanx: {report}\n")))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink(..)")
    }
}

/// One barrier on the list.
pub(super) struct Post {
    pub(super) number: u64,
    pub(super) subject: Weak<dyn Subject>,
    sink: Sink,
    /// Only the thread on duty has it in hand.
    vigil: Mutex<Vigil>,
}

/// Why a trip is broken that the environment wants broken.
pub(crate) const END_OF_PATIENCE: &str = "stuck for longer than the watchdog was told to put up with";

impl Post {
    pub(super) fn new(number: u64, subject: Weak<dyn Subject>, orders: Orders, sink: Sink) -> Self {
        Self { number, subject, sink, vigil: Mutex::new(Vigil::new(orders)) }
    }

    pub(super) fn after(&self) -> Duration {
        own(&self.vigil).orders().after
    }

    /// One look at one barrier, and whatever follows from it.
    fn look(&self, all: &[Arc<Self>]) {
        let Some(subject) = self.subject.upgrade() else { return };
        let sight = subject.sight();
        let alarm = own(&self.vigil).look(Instant::now(), sight);
        let Some(alarm) = alarm else { return };
        let Some(report) = examine(&subject, &alarm, self, all) else { return };
        own(&self.vigil).delivered(&alarm);
        drop(subject);
        deliver(&self.sink, &report);
        if alarm.breaks {
            report.break_trip(END_OF_PATIENCE);
        }
    }
}

/// Gives a report to whoever wants it: every report of the process goes this way.
pub(super) fn deliver(sink: &Sink, report: &Report) {
    #[cfg(feature = "tracing")]
    quietly(|| crate::observe::tracing::stuck(report));
    quietly(|| (sink.0)(report));
}

/// A barrier's place on the list, for as long as the barrier lives.
#[derive(Debug)]
pub(crate) struct Watched {
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = own(&PATROL.state);
        let place = state.posts.iter().position(|(_, post)| post.number == self.number);
        let post = place.map(|place| state.posts.swap_remove(place));
        if state.posts.is_empty() {
            PATROL.bell.notify_one();
        }
        drop(state);
        // Behind the lock: the sink is its owner's, and what it holds may be another barrier.
        drop(post);
    }
}

/// Puts a barrier on the list.
pub(crate) fn watch(subject: Weak<dyn Subject>, number: u64, orders: Orders, sink: Sink) -> Watched {
    let interval = orders.interval();
    let post = Arc::new(Post::new(number, subject, orders, sink));
    let mut state = own(&PATROL.state);
    state.posts.push((Instant::now() + interval, post));
    if state.on_duty {
        PATROL.bell.notify_one();
        return Watched { number };
    }
    // The handle is dropped: nobody waits for its end.
    match std::thread::Builder::new().name("phalanx-watchdog".into()).spawn(go_on_patrol) {
        Ok(_) => state.on_duty = true,
        Err(error) => {
            say(&format!("phalanx: no thread for the watchdog, so nobody is told of trips that are stuck: {error}\n"));
        }
    }
    Watched { number }
}

struct Patrol {
    state: Mutex<State>,
    bell: Condvar,
}

struct State {
    /// Each with the time of the next look at it.
    posts: Vec<(Instant, Arc<Post>)>,
    on_duty: bool,
}

static PATROL: Patrol = Patrol { state: Mutex::new(State { posts: Vec::new(), on_duty: false }), bell: Condvar::new() };

/// How long the thread stays when nothing is left to watch.
const LINGERS: Duration = Duration::from_millis(100);

/// Nothing that this lock guards can be left half done by a panic.
fn own<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the thread.
fn go_on_patrol() {
    // Whoever built the first barrier may have been pinned, to a CPU that one of the parties has for itself.
    roam();
    let mut state = own(&PATROL.state);
    loop {
        let now = Instant::now();
        if state.posts.is_empty() {
            let waited = PATROL.bell.wait_timeout_while(state, LINGERS, |state| state.posts.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.posts.is_empty() {
                state.on_duty = false;
                return;
            }
            continue;
        }
        let due: Vec<Arc<Post>> =
            state.posts.iter().filter(|(at, _)| *at <= now).map(|(_, post)| Arc::clone(post)).collect();
        if due.is_empty() {
            let next = state.posts.iter().map(|(at, _)| *at).min().unwrap_or(now);
            let waited = PATROL.bell.wait_timeout(state, next.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let all: Vec<Arc<Post>> = state.posts.iter().map(|(_, post)| Arc::clone(post)).collect();
        drop(state);
        // The drop of a barrier that this thread had in hand last may call what its owner wrote.
        due.iter().for_each(|post| quietly(|| post.look(&all)));
        let looked: Vec<u64> = due.iter().map(|post| post.number).collect();
        quietly(|| drop((due, all)));
        state = own(&PATROL.state);
        let now = Instant::now();
        for (at, post) in state.posts.iter_mut().filter(|(_, post)| looked.contains(&post.number)) {
            *at = now + own(&post.vigil).orders().interval();
        }
    }
}
