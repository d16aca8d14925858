//! Storms of signals whose handler interrupts system calls, and of wakes for no reason: nobody is released early, nobody gives
//! up before its limit, and what one party is told of a trip, all are told (C2, B3, R14).

use super::child::or_die;
use super::common::{Rng, Watch, patience, scaled, watched};
use super::{POLITE, barrier};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, WaitPolicy, compat};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: libc::c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

/// Installs the handler without `SA_RESTART`: every system call that can be interrupted, is.
fn install_handler() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: all zeroes is a valid `sigaction`: no flags, no mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        // SAFETY: the handler does nothing but add to an atomic.
        let outcome = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
        assert_eq!(outcome, 0);
    });
}

fn own_thread() -> i32 {
    // SAFETY: has no arguments.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as i32
}

/// Sends signals to these threads at random until `over`, and does `also` in between.
fn storm(threads: &Mutex<Vec<i32>>, over: &AtomicBool, mut rng: Rng, also: impl Fn()) {
    // SAFETY: has no arguments.
    let process = unsafe { libc::getpid() };
    while !over.load(Relaxed) {
        let targets = threads.lock().unwrap().clone();
        for _ in 0..8 {
            if let Some(target) = targets.get(rng.below(targets.len() as u64) as usize) {
                // SAFETY: plain numbers; a thread that is gone is an error, which does not matter.
                unsafe { libc::syscall(libc::SYS_tgkill, process, *target, libc::SIGUSR1) };
            }
        }
        if rng.once_in(2) {
            also();
        }
        // So that the parties get on: a thread that is interrupted without end does nothing else.
        thread::sleep(Duration::from_micros(20 + rng.below(200)));
    }
}

/// Trips between two comparisons.
const STRETCH: u64 = 16;

/// What one party has to say of a stretch: how many trips it completed, and what ended it.
type Told = (u64, Option<Broken>);

/// One stretch of one party.
fn stretch(party: &mut Party, came: &AtomicUsize, parties: usize, rng: &mut Rng) -> Told {
    for trip in 0..STRETCH {
        if rng.once_in(8) {
            rng.dawdle();
        }
        came.fetch_add(1, SeqCst);
        // Now and then a limit that may well pass.
        let limit = if rng.once_in(40) { Some(Duration::from_micros(rng.below(400))) } else { None };
        let start = Instant::now();
        let outcome = if let Some(limit) = limit { party.wait_timeout(limit) } else { party.wait() };
        match outcome {
            Ok(_) => assert!(came.load(SeqCst) >= parties * (trip as usize + 1), "released early"),
            Err(broken) => {
                if let (Cause::TimedOut { rank, .. }, Some(limit)) = (broken.cause(), limit) {
                    let waited = start.elapsed();
                    assert!(*rank != party.rank() || waited >= limit, "gave up after {waited:?} of {limit:?}");
                }
                return (trip, Some(broken));
            }
        }
    }
    (STRETCH, None)
}

#[derive(Default)]
struct Score {
    trips: u64,
    by_cause: std::collections::BTreeMap<&'static str, u64>,
}

/// Some stretches at one barrier, each compared on all sides.
fn compared(
    watch: &Watch,
    (algorithm, policy): (Algorithm, WaitPolicy),
    parties: usize,
    stretches: usize,
    score: &mut Score,
) {
    let barrier = barrier(parties, algorithm, policy);
    let shown = barrier.clone();
    watch.show(move || format!("{shown:?}"));
    let (threads, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let came = AtomicUsize::new(0);
    let told = Mutex::new(vec![None::<Told>; parties]);
    // The comparison must not rest on what is being tested.
    let meeting = std::sync::Barrier::new(parties);
    let handles = barrier.take_parties().unwrap();
    let score = Mutex::new(score);
    thread::scope(|scope| {
        let (barrier, threads, over, came, told, meeting, score) =
            (&barrier, &threads, &over, &came, &told, &meeting, &score);
        let rng = watch.rng().fork(parties);
        scope.spawn(move || storm(threads, over, rng, || barrier.wake_spuriously()));
        let mut aborts = watch.rng().fork(99);
        scope.spawn(move || {
            while !over.load(Relaxed) {
                thread::sleep(Duration::from_micros(aborts.below(4000)));
                if aborts.once_in(4) {
                    barrier.abort("at random");
                }
            }
        });
        let jobs: Vec<_> = handles
            .into_iter()
            .map(|mut party| {
                let mut rng = watch.rng().fork(party.rank());
                scope.spawn(move || {
                    threads.lock().unwrap().push(own_thread());
                    for _ in 0..stretches {
                        let outcome = or_die(|| stretch(&mut party, came, parties, &mut rng));
                        told.lock().unwrap()[party.rank()] = Some(outcome);
                        if meeting.wait().is_leader() {
                            let all = std::mem::replace(&mut *told.lock().unwrap(), vec![None; parties]);
                            let all: Vec<Told> = all.into_iter().map(Option::unwrap).collect();
                            for one in &all {
                                assert_eq!(*one, all[0], "{algorithm} {policy}: not all were told the same: {all:?}");
                            }
                            let mut score = score.lock().unwrap();
                            score.trips += all[0].0;
                            if let Some(broken) = &all[0].1 {
                                *score.by_cause.entry(broken.cause().kind()).or_default() += 1;
                            }
                            // An abort may have come behind the last trip; then all find it in the next stretch.
                            if all[0].1.is_some() {
                                barrier.reset().unwrap();
                            }
                            came.store(0, SeqCst);
                        }
                        meeting.wait();
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = jobs.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Relaxed);
        for outcome in outcomes {
            outcome.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        }
    });
    watch.forget();
}

/// `PHALANX_TEST_SCALE=200` makes a million trips of it.
#[test]
fn signals_change_no_outcome() {
    install_handler();
    watched("faults: signals", patience(), |watch| {
        let (before, mut score) = (HANDLED.load(Relaxed), Score::default());
        for algorithm in Algorithm::NAMED {
            for policy in POLITE {
                for parties in [2, 3] {
                    compared(watch, (algorithm, policy), parties, scaled(5), &mut score);
                }
            }
        }
        let signals = HANDLED.load(Relaxed) - before;
        println!(
            "{} trips, broken {:?}, {signals} signals handled, 0 early, 0 disagreements",
            score.trips, score.by_cause
        );
        assert!(signals > 100, "only {signals} signals came through: nothing was tested");
        assert!(score.trips > 500, "only {} trips: nothing was tested", score.trips);
    });
}

/// The same for callers without handles: one leader per trip, no early release.
#[test]
fn signals_do_not_disturb_callers_without_handles() {
    install_handler();
    watched("faults: signals, compat", patience(), |watch| {
        for parties in [2, 3, 5] {
            let barrier = Arc::new(compat::Barrier::new(parties));
            let (threads, over, came) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(0));
            let trips = scaled(300);
            let leaders: usize = thread::scope(|scope| {
                let (threads, over, came, barrier) = (&threads, &over, &came, &barrier);
                let rng = watch.rng().fork(parties);
                scope.spawn(move || storm(threads, over, rng, || barrier.wake_spuriously()));
                let jobs: Vec<_> = (0..parties)
                    .map(|caller| {
                        let mut rng = watch.rng().fork(caller);
                        scope.spawn(move || {
                            threads.lock().unwrap().push(own_thread());
                            let mut leads = 0;
                            for trip in 1..=trips {
                                if rng.once_in(4) {
                                    rng.dawdle();
                                }
                                came.fetch_add(1, SeqCst);
                                leads += usize::from(barrier.wait().is_leader());
                                or_die(|| assert!(came.load(SeqCst) >= parties * trip, "released early"));
                            }
                            leads
                        })
                    })
                    .collect();
                let leads = jobs.into_iter().map(|job| job.join().unwrap()).sum();
                over.store(true, Relaxed);
                leads
            });
            assert_eq!(leaders, trips);
        }
    });
}

/// A party that is interrupted all the time still gives up at its limit: not before (C6), and not only when it is left in peace.
#[test]
fn limits_are_kept_under_signals() {
    install_handler();
    watched("faults: signals, limits", patience(), |watch| {
        for policy in POLITE {
            let barrier = barrier(2, Algorithm::Central, policy);
            let mut party = barrier.claim(0).unwrap();
            let (threads, over) = (Mutex::new(vec![own_thread()]), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| storm(&threads, &over, watch.rng(), || ()));
                for millis in [1, 5, 25] {
                    let (limit, start) = (Duration::from_millis(millis), Instant::now());
                    let broken = party.wait_timeout(limit).unwrap_err();
                    let waited = start.elapsed();
                    or_die(|| assert!(waited >= limit, "{policy}: {waited:?} of {limit:?}"));
                    assert_eq!(broken.cause(), &Cause::TimedOut { rank: 0, after: limit });
                    barrier.reset().unwrap();
                }
                over.store(true, Relaxed);
            });
            // A barrier that nobody has a use for any more is no part of the next round.
            drop::<(Barrier, Party)>((barrier, party));
        }
    });
}
