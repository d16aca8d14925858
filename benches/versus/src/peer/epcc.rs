//! Those that have an answer to OpenMP's constructs: the OpenMP runtimes, and a team of phalanx.
//!
//! One call executes all constructs, each so often, and takes the time as EPCC does: around all executions, and with the
//! parallel region around them where the construct is used within one. All call the same delay, the same code, through a
//! pointer. Each execution counts on lines of whoever executes it, and the counts are checked; so are the promises of
//! what ends with a barrier, in some trips that are not timed.

use super::object::{self, Found};
use super::work::chain;
use crate::clock::{ns, stamp};
use crate::gate::Line;
use crate::place;
use crate::seat::Role;
use crate::usage::{Usage, settle};
use phalanx::Broken;
use phalanx::team::{Member, RunError, Team};
use std::ffi::c_int;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// As OpenMP calls them, in the order of native/epcc.c.
pub const CONSTRUCTS: [&str; 6] = ["PARALLEL", "FOR", "PARALLEL FOR", "BARRIER", "SINGLE", "REDUCTION"];
pub const PARALLEL: usize = 0;
const BARRIER: usize = 3;
const SINGLE: usize = 4;
pub const REDUCTION: usize = 5;

/// How often each is executed; 0 leaves it out.
pub type Inner = [i64; CONSTRUCTS.len()];
pub type All = [Found; CONSTRUCTS.len()];

/// So many trips look whether a barrier keeps its promise.
const CHECKED: i64 = 4;

/// The delay, for Rust and C alike.
pub extern "C" fn delay(steps: u64) {
    chain(steps);
}

type Run = Box<dyn Fn(&Inner) -> Result<All, String>>;

/// One entrant.
pub struct Bench {
    pub name: String,
    pub role: Role,
    /// Which of the constructs it has.
    pub has: [bool; CONSTRUCTS.len()],
    run: Run,
}

impl Bench {
    /// All that it has, each so often; afterwards its threads sleep.
    pub fn run(&self, inner: &Inner) -> Result<All, String> {
        let all = self.run_on(inner);
        settle();
        all
    }

    /// The same, and its threads may go on spinning.
    pub fn run_on(&self, inner: &Inner) -> Result<All, String> {
        let mut asked = *inner;
        asked.iter_mut().zip(self.has).filter(|(_, has)| !has).for_each(|(inner, _)| *inner = 0);
        (self.run)(&asked)
    }
}

/// Times `execute`, which says how many executions are missing, behind an eighth of them that is not timed; `used` says
/// what all members have used so far, each by its own clock.
fn timed(
    inner: i64,
    used: impl Fn() -> Result<Usage, String>,
    mut execute: impl FnMut(i64) -> Result<i64, String>,
) -> Result<Found, String> {
    if inner == 0 {
        return Ok(Found::default());
    }
    let mut wrong = execute(inner / 8 + 1)?;
    let before = used()?;
    let start = stamp();
    wrong += execute(inner)?;
    let took = ns(stamp() - start);
    let used = used()?.since(before);
    Ok(Found {
        ns: took as i64,
        cpu_ns: used.cpu_ns as i64,
        voluntary: used.voluntary as i64,
        involuntary: used.involuntary as i64,
        wrong,
    })
}

/// The delay by one thread, without any construct; and the same with a sum, for `REDUCTION`.
pub fn reference(steps: u64) -> Bench {
    let run = move |inner: &Inner| {
        let delay: extern "C" fn(u64) = black_box(delay);
        let alone = || Ok(Usage::of_thread());
        let mut all = All::default();
        all[PARALLEL] = timed(inner[PARALLEL], alone, |inner| {
            (0..inner).for_each(|_| delay(steps));
            Ok(0)
        })?;
        all[REDUCTION] = timed(inner[REDUCTION], alone, |inner| {
            let mut sum = 0;
            for _ in 0..inner {
                delay(steps);
                sum = black_box(sum + 1);
            }
            Ok(i64::from(sum != inner))
        })?;
        Ok(all)
    };
    let mut has = [false; CONSTRUCTS.len()];
    (has[PARALLEL], has[REDUCTION]) = (true, true);
    Bench { name: "the delay alone".into(), role: Role::Info, has, run: Box::new(run) }
}

/// The runtimes of OpenMP, or why not. Each is started here, and must be before the caller is pinned.
pub fn openmp(cpus: &[usize], steps: u64) -> [Result<(Bench, c_int), String>; 2] {
    [("libgomp", object::epcc_libgomp()), ("libomp", object::epcc_libomp())].map(|(name, runtime)| {
        let runtime = runtime.map_err(|why| format!("{name}: {why}"))?;
        // SAFETY: it has no arguments.
        let seen = unsafe { (runtime.processors)() };
        let numbers: Vec<c_int> = cpus.iter().map(|&cpu| cpu as c_int).collect();
        let run = move |inner: &Inner| {
            let mut all = All::default();
            let members = numbers.len() as c_int;
            // SAFETY: as many CPUs as members, as many numbers and places as constructs.
            let error = unsafe {
                (runtime.run)(numbers.as_ptr(), members, black_box(delay), steps, inner.as_ptr(), all.as_mut_ptr())
            };
            if error == 0 { Ok(all) } else { Err(format!("error {error}, or a team of another size")) }
        };
        let has = [true; CONSTRUCTS.len()];
        Ok((Bench { name: name.into(), role: Role::Rival, has, run: Box::new(run) }, seen))
    })
}

/// A team of phalanx. `SINGLE` is the first rank's work and a barrier, `REDUCTION` a sum that the caller makes of what the
/// region returns: as much as OpenMP's promise. Beside them what promises more: `serial` hands its result to all members,
/// and begins when all have come; `all_reduce` gives the sum to all members. Must be built before the caller is pinned.
pub fn phalanx(cpus: &[usize], steps: u64) -> Result<[Bench; 3], String> {
    let team = Team::builder().threads(cpus.len()).place(place::placement(cpus)?).build().map_err(|e| e.to_string())?;
    let ours = Rc::new(Ours { team, delay: black_box(delay), steps, books: Books::new(cpus.len()) });
    let other = |name: &str, construct: usize, way: fn(&Ours, i64) -> Result<i64, String>| {
        let ours = Rc::clone(&ours);
        let run = move |inner: &Inner| {
            let mut all = All::default();
            all[construct] = timed(inner[construct], || ours.used(), |inner| way(&ours, inner))?;
            Ok(all)
        };
        let mut has = [false; CONSTRUCTS.len()];
        has[construct] = true;
        Bench { name: format!("{}, {name}", super::SUBJECT), role: Role::Own, has, run: Box::new(run) }
    };
    let single = other("serial, its result for all", SINGLE, Ours::serials);
    let sum = other("all_reduce, its sum for all", REDUCTION, Ours::sums);
    let all = move |inner: &Inner| ours.all(inner);
    let has = [true; CONSTRUCTS.len()];
    Ok([Bench { name: super::SUBJECT.into(), role: Role::Subject, has, run: Box::new(all) }, single, sum])
}

/// What is counted, by member or iteration, and what is looked at behind a barrier.
struct Books {
    counts: Vec<Line<AtomicI64>>,
    trips: Vec<Line<AtomicI64>>,
    singles: Line<AtomicI64>,
}

impl Books {
    fn new(members: usize) -> Self {
        let lines = || (0..members).map(|_| Line::default()).collect();
        Self { counts: lines(), trips: lines(), singles: Line::default() }
    }

    #[inline(always)]
    fn count(&self, which: usize) {
        add(&self.counts[which].0);
    }

    fn clear(&self) {
        self.counts.iter().chain(&self.trips).chain([&self.singles]).for_each(|it| it.0.store(0, Relaxed));
    }

    /// How many have not counted so far.
    fn missing(&self, due: i64) -> i64 {
        self.counts.iter().filter(|count| count.0.load(Relaxed) != due).count() as i64
    }
}

#[inline(always)]
fn add(counter: &AtomicI64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

struct Ours {
    team: Team,
    delay: extern "C" fn(u64),
    steps: u64,
    books: Books,
}

fn said<T>(result: Result<T, RunError>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

impl Ours {
    fn used(&self) -> Result<Usage, String> {
        let all = said(self.team.run(|_| Usage::of_thread()))?;
        Ok(all.into_iter().fold(Usage::default(), Usage::plus))
    }

    fn all(&self, inner: &Inner) -> Result<All, String> {
        let mut all = All::default();
        for (construct, (found, &inner)) in all.iter_mut().zip(inner).enumerate() {
            *found = timed(inner, || self.used(), |inner| self.execute(construct, inner))?;
        }
        all[BARRIER].wrong += self.promises_broken()?;
        Ok(all)
    }

    /// One construct so often; how many executions are missing.
    fn execute(&self, construct: usize, inner: i64) -> Result<i64, String> {
        let Self { team, delay, steps, books } = self;
        let (delay, steps, members) = (*delay, *steps, team.size());
        books.clear();
        match CONSTRUCTS[construct] {
            "PARALLEL" => {
                for _ in 0..inner {
                    said(team.run(|m| {
                        delay(steps);
                        books.count(m.rank());
                    }))?;
                }
            }
            "FOR" => self.within(|m| {
                for _ in 0..inner {
                    for i in m.chunk(0..members) {
                        delay(steps);
                        books.count(i);
                    }
                    m.barrier()?;
                }
                Ok(())
            })?,
            "PARALLEL FOR" => {
                for _ in 0..inner {
                    said(team.run(|m| {
                        for i in m.chunk(0..members) {
                            delay(steps);
                            books.count(i);
                        }
                    }))?;
                }
            }
            "BARRIER" => self.within(|m| {
                let me = m.rank();
                for _ in 0..inner {
                    delay(steps);
                    books.count(me);
                    m.barrier()?;
                }
                Ok(())
            })?,
            "SINGLE" => return self.first_rank(inner),
            _ => return self.sums_of_results(inner),
        }
        Ok(books.missing(inner))
    }

    /// One region around all executions.
    fn within(&self, body: impl Fn(&mut Member<'_>) -> Result<(), Broken> + Sync) -> Result<(), String> {
        self.team.try_run(body).map(drop).map_err(|e| e.to_string())
    }

    /// The first rank's work, and a barrier.
    fn first_rank(&self, inner: i64) -> Result<i64, String> {
        let Self { delay, steps, books, .. } = self;
        books.clear();
        self.within(|m| {
            for _ in 0..inner {
                if m.rank() == 0 {
                    delay(*steps);
                    add(&books.singles.0);
                }
                m.barrier()?;
            }
            Ok(())
        })?;
        Ok(i64::from(books.singles.0.load(Relaxed) != inner))
    }

    /// A serial section, whose result all members have.
    fn serials(&self, inner: i64) -> Result<i64, String> {
        let Self { delay, steps, books, .. } = self;
        books.clear();
        self.within(|m| {
            for _ in 0..inner {
                m.serial(|| {
                    delay(*steps);
                    add(&books.singles.0);
                })?;
            }
            Ok(())
        })?;
        Ok(i64::from(books.singles.0.load(Relaxed) != inner))
    }

    /// A region with an `all_reduce` in it, whose result the caller takes.
    fn sums(&self, inner: i64) -> Result<i64, String> {
        let (delay, steps) = (self.delay, self.steps);
        let mut sum = 0;
        for _ in 0..inner {
            let all = self.team.try_run(|m| {
                delay(steps);
                m.all_reduce(1_i64, |a, b| a + b)
            });
            sum += all.map_err(|e| e.to_string())?[0];
        }
        Ok(i64::from(sum != inner * self.team.size() as i64))
    }

    /// A region whose results the caller adds.
    fn sums_of_results(&self, inner: i64) -> Result<i64, String> {
        let (delay, steps) = (self.delay, self.steps);
        let mut sum = 0;
        for _ in 0..inner {
            let all = said(self.team.run(|_| {
                delay(steps);
                black_box(1_i64)
            }))?;
            sum += all.iter().sum::<i64>();
        }
        Ok(i64::from(sum != inner * self.team.size() as i64))
    }

    /// Whether nobody leaves a barrier or a serial section before all have come.
    fn promises_broken(&self) -> Result<i64, String> {
        let books = &self.books;
        books.clear();
        let wrong = self.team.try_run(|m| {
            let mut wrong = 0;
            for trip in 1..=2 * CHECKED {
                books.trips[m.rank()].0.store(trip, Relaxed);
                if trip % 2 == 0 {
                    m.barrier().map(drop)?
                } else {
                    m.serial(|| ())?
                }
                let early = |other: &&Line<AtomicI64>| !(trip..=trip + 1).contains(&other.0.load(Relaxed));
                wrong += books.trips.iter().filter(early).count() as i64;
            }
            Ok::<_, Broken>(wrong)
        });
        Ok(wrong.map_err(|e| e.to_string())?.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_take_part_do_what_they_are_timed_for() {
        let cpus = place::allowed().unwrap();
        let cpus: Vec<usize> = cpus.iter().copied().cycle().take(2).collect();
        let runtimes = openmp(&cpus, 10).into_iter().flatten().map(|(bench, _)| bench);
        for bench in phalanx(&cpus, 10).unwrap().into_iter().chain(runtimes).chain([reference(10)]) {
            let all = bench.run(&[3, 20, 3, 20, 20, 3]).unwrap();
            for (found, has) in all.iter().zip(bench.has) {
                assert_eq!((found.wrong, found.ns > 0), (0, has), "{}", bench.name);
            }
        }
    }

    #[test]
    fn what_was_not_done_is_found() {
        let books = Books::new(2);
        books.count(0);
        assert_eq!((books.missing(1), books.missing(0)), (1, 1));
        books.count(1);
        assert_eq!(books.missing(1), 0);
    }
}
