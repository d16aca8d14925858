//! Teams and engines. A team is run again and again, and each run has one of these planned: nothing, a member that panics,
//! returns an error, returns early, or comes later than the others' limit; and from outside somebody aborts. What the run
//! returned, and what each member saw before, must fit together and the plan.
//!
//! An engine computes a row of cells in ticks, some of which fail for a fault or a panic and are done again; what it has
//! computed must be what a loop on one thread computes.

use super::cell::{Cell, Kind};
use super::plain::mix;
use super::pool::{Job, PLANNED, Pool, Step, Trouble, mark, panic_quietly, rng_of};
use super::rng::Rng;
use super::score::Score;
use phalanx::team::lockstep::{At, Fault, Front, Lockstep, RetryPolicy, Stop, World};
use phalanx::team::{RunError, Team};
use phalanx::{Broken, Cause};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// What one member saw in one run.
#[derive(Clone, Debug, Default)]
struct Seen {
    start: u64,
    crossed: u64,
    led: u64,
    told: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Panics,
    Fails,
    Returns,
    Late,
}

#[derive(Default)]
struct Tally {
    trips: u64,
    compared: u64,
    injected: BTreeMap<&'static str, u64>,
    breaks: BTreeMap<&'static str, u64>,
    faults: Vec<String>,
}

struct Round {
    cell: Cell,
    over: AtomicBool,
    aborts: AtomicU64,
    team: OnceLock<Arc<Team>>,
}

/// One round.
pub(crate) fn play(
    pool: &Pool,
    cell: &Cell,
    (seed, slice, _): (u64, Duration, usize),
    score: &mut Score,
) -> Result<(), Trouble> {
    let (over, aborts, team) = (AtomicBool::new(false), AtomicU64::new(0), OnceLock::new());
    let round = Arc::new(Round { cell: *cell, over, aborts, team });
    score.barriers_built += 1;
    let runs = Arc::clone(&round);
    let mut jobs: Vec<Job<Tally>> = vec![Box::new(move || {
        let rng = rng_of(seed, 0);
        let policy = runs.cell.policy.expect("a team has one");
        let team = Team::builder().threads(runs.cell.parties).wait_policy(policy).build().expect("a team");
        let team = runs.team.get_or_init(|| Arc::new(team));
        if runs.cell.kind == Kind::Lockstep { tick(&runs, team, rng) } else { run(&runs, team, rng) }
    })];
    if cell.kind == Kind::Team {
        let outside = Arc::clone(&round);
        jobs.push(Box::new(move || disturb(&outside, rng_of(seed, 1))));
    }
    let tallies = pool.play(jobs, slice, || round.over.store(true, Relaxed)).map_err(|trouble| match trouble {
        Trouble::Hang(text) => {
            let missing = round.team.get().map(|team| team.missing());
            Trouble::Hang(format!("{text}\n  missing in the team: {missing:?}"))
        }
        other => other,
    })?;
    for tally in tallies {
        score.cross(cell, tally.trips);
        score.outcomes_compared += tally.compared;
        tally.injected.into_iter().for_each(|(what, count)| score.inject(what, count));
        tally.breaks.into_iter().for_each(|(cause, count)| score.break_by(cause, count));
        tally.faults.into_iter().take(5).for_each(|text| score.fault(format!("{cell}: {text}")));
    }
    score.inject("aborts", round.aborts.load(Relaxed));
    Ok(())
}

fn disturb(round: &Round, mut rng: Rng) -> Tally {
    while !round.over.load(Relaxed) {
        mark(1, 0, Step::Disturbing);
        thread::sleep(Duration::from_micros(100 + rng.below(900)));
        if let Some(team) = round.team.get().filter(|_| !round.over.load(Relaxed)) {
            round.aborts.fetch_add(1, Relaxed);
            team.abort("outside");
        }
    }
    Tally::default()
}

fn run(round: &Round, team: &Team, mut rng: Rng) -> Tally {
    let parties = team.size();
    let mut tally = Tally::default();
    let takes_slices = round.cell.takes_slices(1);
    for attempt in 0.. {
        if round.over.load(Relaxed) {
            break;
        }
        mark(0, attempt, Step::Running);
        let plans = [Plan::Nothing, Plan::Panics, Plan::Fails, Plan::Returns, Plan::Late];
        let plan = plans[rng.below(5) as usize];
        let (who, trips) = (rng.below(parties as u64) as usize, 1 + rng.below(if takes_slices { 3 } else { 16 }));
        let at = rng.below(trips);
        let books: Vec<Mutex<Seen>> = (0..parties).map(|_| Mutex::default()).collect();
        let stamps: Vec<AtomicU64> = (0..parties).map(|_| AtomicU64::new(0)).collect();
        let wrong = Mutex::new(Vec::new());
        let result = team.try_run(|member| -> Result<u64, String> {
            let rank = member.rank();
            let book = || books[rank].lock().unwrap_or_else(PoisonError::into_inner);
            book().start = member.generation();
            for trip in 0..trips {
                if who == rank && at == trip {
                    match plan {
                        Plan::Nothing => {}
                        Plan::Panics => panic_quietly(),
                        Plan::Fails => return Err(PLANNED.into()),
                        Plan::Returns => return Ok(trip),
                        Plan::Late => thread::sleep(Duration::from_micros(200)),
                    }
                }
                stamps[rank].store(trip + 1, Relaxed);
                let outcome = if plan == Plan::Late {
                    member.barrier_timeout(Duration::from_micros(50))
                } else {
                    member.barrier()
                };
                match outcome {
                    Ok(crossed) => {
                        let mut book = book();
                        if crossed.generation() != book.start.wrapping_add(trip) {
                            let text = format!("rank {rank} crossed {crossed:?} as {trip} behind {}", book.start);
                            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                        book.crossed += 1;
                        book.led += if crossed.is_leader() { mix(trip, 5) >> 8 } else { 0 };
                        let seen = stamps.iter().map(|stamp| stamp.load(Relaxed));
                        if seen.into_iter().any(|stamp| stamp != trip + 1 && stamp != trip + 2) {
                            let text = format!("rank {rank} behind trip {trip} sees another ahead or behind");
                            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                    }
                    Err(broken) => {
                        let text = broken.to_string();
                        book().told = Some(broken);
                        return Err(text);
                    }
                }
            }
            Ok(trips)
        });
        let seen = |book: Mutex<Seen>| book.into_inner().unwrap_or_else(PoisonError::into_inner);
        let books: Vec<Seen> = books.into_iter().map(seen).collect();
        tally.faults.extend(wrong.into_inner().unwrap_or_else(PoisonError::into_inner));
        let what = match plan {
            Plan::Nothing => "",
            Plan::Panics => "panics of a member",
            Plan::Fails => "errors of a member",
            Plan::Returns => "early returns of a member",
            Plan::Late => "short limits",
        };
        if plan != Plan::Nothing {
            *tally.injected.entry(what).or_default() += 1;
        }
        judge(&mut tally, (plan, who, trips), &books, result);
    }
    tally
}

fn judge(
    tally: &mut Tally,
    (plan, who, trips): (Plan, usize, u64),
    books: &[Seen],
    result: Result<Vec<u64>, RunError<String>>,
) {
    let told: Vec<&Broken> = books.iter().filter_map(|book| book.told.as_ref()).collect();
    let by_abort = |cause: &Cause| matches!(cause, Cause::Aborted { reason } if reason == "outside");
    let by_plan = |cause: &Cause| match (plan, cause) {
        (Plan::Panics, Cause::Panicked { rank })
        | (Plan::Fails, Cause::Failed { rank, .. })
        | (Plan::Returns, Cause::Dropped { rank }) => *rank == who,
        (Plan::Late, Cause::TimedOut { .. }) => true,
        _ => false,
    };
    let (fits, cause) = match &result {
        Ok(_) => (told.is_empty() && (plan != Plan::Panics && plan != Plan::Fails), None),
        Err(RunError::Panicked(panic)) => {
            (plan == Plan::Panics && panic.rank() == who && panic.message() == PLANNED, Some("panicked"))
        }
        Err(RunError::Failed { rank, error }) => {
            (plan == Plan::Fails && *rank == who && error == PLANNED, Some("failed"))
        }
        Err(RunError::Broken(broken)) => (
            (by_abort(broken.cause()) || by_plan(broken.cause())) && told.iter().all(|told| *told == broken),
            Some(broken.cause().kind()),
        ),
        Err(_) => (false, None),
    };
    let all_alike = told.windows(2).all(|pair| pair[0] == pair[1]);
    let causes_fit = told.iter().all(|told| by_abort(told.cause()) || by_plan(told.cause()));
    let furthest = books.iter().map(|book| book.crossed).max().unwrap_or(0);
    // Who was told of the break of a trip has crossed all before it, and nobody has crossed that.
    let numbers_fit = books.iter().all(|book| match &book.told {
        Some(broken) => {
            let trip = broken.generation().wrapping_sub(book.start);
            book.crossed == trip && furthest <= trip
        }
        None => true,
    });
    // Of the trips that all have crossed each has one leader, unless whoever gave up does not tell.
    let led_fits = result.is_err() || plan == Plan::Returns || {
        let led = books.iter().fold(0_u64, |sum, book| sum.wrapping_add(book.led));
        led == (0..trips).fold(0_u64, |sum, trip| sum.wrapping_add(mix(trip, 5) >> 8))
    };
    if !(fits && all_alike && causes_fit && numbers_fit && led_fits) {
        let result = result.map_err(|error| error.to_string());
        tally.faults.push(format!("{plan:?} of rank {who} in {trips} trips: {result:?}, {books:?}"));
    }
    tally.trips += furthest;
    tally.compared += books.iter().map(|book| book.crossed).sum::<u64>() + told.len() as u64 + 1;
    if let Some(cause) = cause {
        *tally.breaks.entry(cause).or_default() += 1;
    }
}

/// A row of cells; some ticks fail once.
struct Row {
    seed: u64,
    /// The last tick that failed, by part.
    failed: Vec<AtomicU64>,
    faults: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
}

fn next(own: u64, left: u64, right: u64) -> u64 {
    mix(own, left).wrapping_add(right)
}

impl World for Row {
    type Part = u64;
    type Measure = ();

    fn part(&self, index: usize, _: usize) -> u64 {
        index as u64
    }

    fn step(&self, at: At, front: Front<'_, u64>, back: &mut u64) -> Result<(), Fault> {
        let chance = mix(at.tick, self.seed ^ at.index as u64) % (24 * at.parts as u64);
        *back = 0xbad;
        if chance < 2 && self.failed[at.index].swap(at.tick + 1, Relaxed) != at.tick + 1 {
            if chance == 0 {
                self.panics.fetch_add(1, Relaxed);
                panic_quietly();
            }
            self.faults.fetch_add(1, Relaxed);
            return Err(Fault::new(PLANNED));
        }
        let (left, right) = front.neighbours();
        *back = next(*front.own(), *left, *right);
        Ok(())
    }

    fn measure(&self, _: &u64) {}

    fn combine(&self, (): (), (): ()) {}
}

fn tick(round: &Round, team: &Team, mut rng: Rng) -> Tally {
    let parts = team.size();
    let mut tally = Tally::default();
    let (faults, panics) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let failed = (0..parts).map(|_| AtomicU64::new(0)).collect();
    let row = Row { seed: rng.next(), failed, faults: Arc::clone(&faults), panics: Arc::clone(&panics) };
    let retry = RetryPolicy::attempts(4 * parts as u32 + 4);
    let mut engine = Lockstep::builder(row).retry(retry).build(team).expect("an engine");
    let mut wanted: Vec<u64> = (0..parts as u64).collect();
    while !round.over.load(Relaxed) && tally.faults.is_empty() {
        mark(0, engine.tick(), Step::Running);
        let ticks = 1 + rng.below(if round.cell.takes_slices(1) { 4 } else { 40 });
        if let Err(error) = engine.run(Stop::after(ticks)) {
            tally.faults.push(format!("a run failed: {error}"));
        }
        for _ in 0..ticks {
            let old = wanted.clone();
            for (index, cell) in wanted.iter_mut().enumerate() {
                *cell = next(old[index], old[(index + parts - 1) % parts], old[(index + 1) % parts]);
            }
        }
        let got: Vec<u64> = engine.parts().copied().collect();
        if got != wanted {
            tally.faults.push(format!("at tick {} the row is {got:?}, not {wanted:?}", engine.tick()));
        }
        tally.trips += ticks;
        tally.compared += ticks * parts as u64;
    }
    for (what, count) in [("faults of a tick", faults.load(Relaxed)), ("panics of a tick", panics.load(Relaxed))] {
        *tally.injected.entry(what).or_default() += count;
    }
    tally
}
