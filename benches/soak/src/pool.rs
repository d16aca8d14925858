//! The threads that play the rounds: started once, because a round is shorter than the start of a thread.

use super::rng::Rng;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// More than any round has parties; one more than that, for who disturbs them.
pub(crate) const THREADS: usize = 36;

/// What a thread was last seen doing: `number << 8 | step`.
static MARKS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];

/// What a party was last seen doing.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Idle,
    Working,
    Waiting,
    Claiming,
    Joining,
    Leaving,
    Disturbing,
    Running,
}

const STEPS: [&str; 8] =
    ["done", "at work", "in a wait", "claiming", "joining", "leaving", "disturbing the others", "in a run of its team"];

/// The thread with this place is at `step` of its attempt `number`.
#[inline]
pub(crate) fn mark(place: usize, number: u64, step: Step) {
    MARKS[place].store(number << 8 | step as u64, Relaxed);
}

fn seen(place: usize) -> String {
    let mark = MARKS[place].load(Relaxed);
    format!("thread {place}: {}, attempt {}", STEPS[(mark & 7) as usize], mark >> 8)
}

/// One thread's part of a round.
pub(crate) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Why a round has no result.
pub(crate) enum Trouble {
    /// These never came back.
    Hang(String),
    /// Somebody panicked who was not meant to.
    Panic(String),
}

pub(crate) struct Pool {
    workers: Vec<Sender<Job<()>>>,
    patience: Duration,
}

impl Pool {
    pub(crate) fn new(patience: Duration) -> Self {
        let start = |place: usize| {
            let (orders, inbox) = channel::<Job<()>>();
            let named = thread::Builder::new().name(format!("party-{place}")).stack_size(512 * 1024);
            named.spawn(move || inbox.into_iter().for_each(|job| job())).expect("a thread");
            orders
        };
        Self { workers: (0..THREADS).map(start).collect(), patience }
    }

    /// Lets each of the first threads do one job; calls `end` when `slice` is over, or somebody has panicked, and again every
    /// now and then until all are done.
    pub(crate) fn play<T: Send + 'static>(
        &self,
        jobs: Vec<Job<T>>,
        slice: Duration,
        mut end: impl FnMut(),
    ) -> Result<Vec<T>, Trouble> {
        let (sender, reports) = channel();
        let count = jobs.len();
        for (place, job) in jobs.into_iter().enumerate() {
            let sender = sender.clone();
            let whole = move || {
                let result = catch_unwind(AssertUnwindSafe(job)).map_err(|panicked| message_of(&*panicked));
                mark(place, 0, Step::Idle);
                let _ = sender.send((place, result));
            };
            self.workers[place].send(Box::new(whole)).expect("workers outlive rounds");
        }
        let begun = Instant::now();
        let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
        let (mut done, mut burst, mut over) = (0, None, false);
        while done < count {
            let left = slice.saturating_sub(begun.elapsed());
            let nap = if over || left.is_zero() { Duration::from_millis(1) } else { left };
            if left.is_zero() || over {
                over = true;
                end();
            }
            match reports.recv_timeout(nap) {
                Ok((place, Ok(result))) => {
                    results[place] = Some(result);
                    done += 1;
                }
                Ok((place, Err(text))) => {
                    burst.get_or_insert(format!("thread {place} panicked: {text}"));
                    over = true;
                    done += 1;
                }
                Err(RecvTimeoutError::Timeout) if begun.elapsed() > self.patience + slice => {
                    let stuck = (0..count).filter(|&place| results[place].is_none()).map(seen);
                    let text = stuck.chain(burst).collect::<Vec<_>>().join("\n  ");
                    return Err(Trouble::Hang(text));
                }
                Err(_) => {}
            }
        }
        match burst {
            Some(text) => Err(Trouble::Panic(text)),
            None => Ok(results.into_iter().flatten().collect()),
        }
    }
}

/// The text of a panic, if it has one.
pub(crate) fn message_of(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)").to_owned()
}

/// What a planned panic says.
pub(crate) const PLANNED: &str = "planned";

/// Panics without the hook's noise on stderr.
pub(crate) fn panic_quietly() -> ! {
    resume_unwind(Box::new(PLANNED))
}

/// A seeded generator for each thread of a round.
pub(crate) fn rng_of(seed: u64, place: usize) -> Rng {
    Rng::new(seed).fork(place)
}
