//! The watchdog. A test of a barrier fails by hanging at least as often as by a wrong answer, and a hang that only says
//! "timed out" tells nothing: so every party leaves a mark of its last step, and when time is up the marks, the
//! barrier's own description, the seed and what failed so far go to stderr (past libtest's capture, which an abort
//! would lose) and the process ends with a failure.

use super::Rng;
use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// What a party was last seen doing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Started = 1,
    Working,
    Waiting,
    Checking,
    Leaving,
    Claiming,
    Done,
}

const STEPS: [&str; 8] = ["not started", "started", "working", "waiting", "checking", "leaving", "claiming", "done"];

/// Waits per process that may be ended by a sleeper's own look a moment before the wake comes.
const OVERSLEPT: u64 = 2;

/// More than any test has parties.
const MARKS: usize = 160;

/// A party's work, to be run on a thread of its own.
pub(crate) type Job<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

type Describe = Box<dyn Fn() -> String + Send>;

/// One watched test.
pub(crate) struct Watch {
    name: String,
    seed: u64,
    /// `trip << 8 | step` for each party.
    marks: Vec<AtomicU64>,
    subject: Mutex<Option<Describe>>,
    failures: Mutex<Vec<String>>,
}

/// Runs `body` with a supervising thread; aborts the process with a report if it has not ended after `limit`.
pub(crate) fn watched<R>(name: &str, limit: Duration, body: impl FnOnce(&Watch) -> R) -> R {
    let limit = limit * super::slowness();
    let watch = Watch {
        name: name.to_owned(),
        seed: Rng::seed_of(name),
        marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        subject: Mutex::new(None),
        failures: Mutex::new(Vec::new()),
    };
    let (done, ended) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        let watch = &watch;
        scope.spawn(move || {
            if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                watch.report(limit);
                std::process::abort();
            }
        });
        let result = catch_unwind(AssertUnwindSafe(|| body(watch)));
        drop(done);
        result
    });
    let result = result.unwrap_or_else(|panicked| {
        eprintln!("{name} failed with PHALANX_TEST_SEED={}", watch.seed);
        resume_unwind(panicked)
    });
    // A wake that was forgotten is a second of delay and not a hang. One wait may meet the end of that second by chance.
    let overslept = phalanx::Barrier::overslept();
    assert!(overslept <= OVERSLEPT, "{name}: {overslept} waits were ended by a look at the clock, not by a wake");
    result
}

impl Watch {
    /// This test's source of accidents.
    pub(crate) fn rng(&self) -> Rng {
        Rng::new(self.seed)
    }

    /// Party `rank` is at `step` of its trip number `trip`.
    pub(crate) fn mark(&self, rank: usize, trip: u64, step: Step) {
        if let Some(mark) = self.marks.get(rank) {
            mark.store(trip << 8 | step as u64, Ordering::Relaxed);
        }
    }

    /// What the report asks for the barrier's own view. The closure may hold a handle: call [`Watch::forget`] where the
    /// last handle matters.
    pub(crate) fn show(&self, describe: impl Fn() -> String + Send + 'static) {
        *self.subject.lock().unwrap() = Some(Box::new(describe));
    }

    pub(crate) fn forget(&self) {
        *self.subject.lock().unwrap() = None;
    }

    /// Runs one job per party, each on a thread of its own, and collects what they return in order; the first panic is
    /// passed on. A panic is noted for the report as well, because the others may wait for the panicked party for ever.
    pub(crate) fn crew<T: Send>(&self, jobs: Vec<Job<'_, T>>) -> Vec<T> {
        let run = |rank: usize, job: Job<'_, T>| {
            self.mark(rank, 0, Step::Started);
            let result = catch_unwind(AssertUnwindSafe(job));
            self.mark(rank, 0, Step::Done);
            result.map_err(|panicked| {
                let text = message_of(&*panicked);
                self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("rank {rank}: {text}"));
                panicked
            })
        };
        let run = &run;
        let results: Vec<_> = thread::scope(|scope| {
            let spawn = |(rank, job)| {
                let thread = thread::Builder::new().name(format!("party-{rank}")).stack_size(256 * 1024);
                thread.spawn_scoped(scope, move || run(rank, job)).expect("a thread")
            };
            let threads: Vec<_> = jobs.into_iter().enumerate().map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().expect("panics are caught")).collect()
        });
        results.into_iter().map(|result| result.unwrap_or_else(|panicked| resume_unwind(panicked))).collect()
    }

    fn report(&self, limit: Duration) {
        let mut text = format!("\n{} did not end in {limit:?}; PHALANX_TEST_SEED={}\n", self.name, self.seed);
        for (rank, mark) in self.marks.iter().enumerate() {
            let mark = mark.load(Ordering::Relaxed);
            if mark != 0 {
                text += &format!("  rank {rank}: {} (trip {})\n", STEPS[(mark & 0xff) as usize], mark >> 8);
            }
        }
        for failure in self.failures.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text += &format!("  already failed: {failure}\n");
        }
        // In two pieces: to describe a barrier may need the very lock that everybody waits for.
        let _ = std::io::stderr().write_all(text.as_bytes());
        if let Some(describe) = self.subject.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = writeln!(std::io::stderr(), "  {}", describe());
        }
    }
}

/// The text of a panic, if it has one.
pub(crate) fn message_of(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)").to_owned()
}

/// Panics without the hook's noise on stderr: for panics that are part of the story.
pub(crate) fn panic_quietly() -> ! {
    resume_unwind(Box::new("planned"))
}
