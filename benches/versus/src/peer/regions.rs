//! Those who run one closure on several threads, as often as asked: teams and pools of threads.
//!
//! Every region does the same next to nothing: each member adds one to a counter of its own, on lines of its own, and the
//! counters are checked at the end of each round. A crew is made for each round and ended behind it, since some of them spin
//! while they are idle and would take the others' CPUs; OpenMP's cannot be ended, and are stopped with their process.

use super::remote::{LIBGOMP, LIBOMP, LIBOMP_DIST, Remote, Setting};
use crate::clock::{ns, stamp};
use crate::gate::Line;
use crate::seat::Lap;
use crate::usage::Usage;
use phalanx::team::Team;
use phalanx::topology::{Placement, pin_current};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// What a round is to be.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Regions {
    /// Not timed.
    pub opening: u64,
    pub timed: u64,
    /// To sleep before each, untimed.
    pub idle: Duration,
}

/// The time of the regions and what the whole process used on them, idling included; or what was wrong.
pub type Round = Result<Lap, String>;

pub const LIBGOMP_NAME: &str = "libgomp parallel";
pub const LIBOMP_NAME: &str = "libomp parallel";
pub const DIST_NAME: &str = "libomp dist parallel";

/// A round for members on these CPUs; the caller is pinned to the first one.
type Play = Box<dyn Fn(&[usize], Regions) -> Round>;

/// One entrant.
pub struct Crew {
    pub name: &'static str,
    pub round: Play,
}

/// A counter for each member.
struct Counters(Vec<Line<AtomicU64>>);

impl Counters {
    fn new(members: usize) -> Self {
        Self((0..members).map(|_| Line::default()).collect())
    }

    #[inline(always)]
    fn count(&self, member: usize) {
        let counter = &self.0[member].0;
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    }

    fn check(&self, regions: Regions) -> Result<(), String> {
        let due = regions.opening + regions.timed;
        let wrong = self.0.iter().filter(|counter| counter.0.load(Relaxed) != due).count();
        if wrong == 0 { Ok(()) } else { Err(format!("{wrong} members have not run {due} times")) }
    }
}

/// Times `region`, and checks what it counted.
#[inline(always)]
fn timed(members: usize, regions: Regions, mut region: impl FnMut(&Counters)) -> Round {
    let counters = Counters::new(members);
    for _ in 0..regions.opening {
        region(&counters);
    }
    let (mut took, before) = (0.0, Usage::of_process());
    if regions.idle.is_zero() {
        let start = stamp();
        for _ in 0..regions.timed {
            region(&counters);
        }
        took = ns(stamp() - start);
    } else {
        for _ in 0..regions.timed {
            thread::sleep(regions.idle);
            let start = stamp();
            region(&counters);
            took += ns(stamp() - start);
        }
    }
    let usage = Usage::of_process().since(before);
    counters.check(regions)?;
    Ok(Lap { ns: took, trips: regions.timed, usage, all_trips: regions.timed })
}

/// Where the members are to be, for those that can be told.
fn placed(cpus: &[usize]) -> Result<Placement, String> {
    crate::place::placement(cpus)
}

/// With the caller on any of the CPUs, which the threads that it starts inherit.
fn on_any<R>(cpus: &[usize], round: impl FnOnce() -> R) -> R {
    crate::place::restrict_to(cpus);
    let result = round();
    crate::place::pin_to(cpus[0]);
    result
}

/// [`phalanx::team::Team::run`].
pub fn phalanx() -> Crew {
    let round = |cpus: &[usize], regions| {
        let team = Team::builder().threads(cpus.len()).place(placed(cpus)?).build().map_err(|e| e.to_string())?;
        timed(cpus.len(), regions, |counters| {
            team.run(|m| counters.count(m.rank())).expect("nobody panics");
        })
    };
    Crew { name: "phalanx team", round: Box::new(round) }
}

/// Pinned threads, the first of which shares its CPU with the caller.
fn pool(cpus: &[usize]) -> Result<::rayon::ThreadPool, String> {
    let at = cpus.to_vec();
    let pin = move |thread: usize| std::mem::forget(pin_current(at[thread]));
    let builder = ::rayon::ThreadPoolBuilder::new().num_threads(cpus.len()).start_handler(pin);
    builder.build().map_err(|e| e.to_string())
}

/// `rayon::ThreadPool::broadcast` from a thread that is none of the pool's: it sleeps meanwhile, and must be woken each time.
pub fn rayon() -> Crew {
    let round = |cpus: &[usize], regions| {
        let pool = pool(cpus)?;
        timed(cpus.len(), regions, |counters| {
            pool.broadcast(|context| counters.count(context.index()));
        })
    };
    Crew { name: "rayon broadcast", round: Box::new(round) }
}

/// The same from within the pool, where the calling thread is a member, as in a team: like with like.
pub fn rayon_within() -> Crew {
    let round = |cpus: &[usize], regions| {
        pool(cpus)?.install(|| {
            timed(cpus.len(), regions, |counters| {
                ::rayon::broadcast(|context| counters.count(context.index()));
            })
        })
    };
    Crew { name: "rayon broadcast within", round: Box::new(round) }
}

/// `forkunion`, as it comes: the caller is a member, and the pool pins all of them to the CPUs that it sees.
#[cfg(feature = "forkunion")]
pub fn forkunion() -> Result<Crew, String> {
    let round = |cpus: &[usize], regions| {
        on_any(cpus, || {
            let topology = ::forkunion::Topology::new().map_err(|e| format!("{e:?}"))?;
            let mut pool = ::forkunion::ThreadPool::try_spawn(&topology, cpus.len()).map_err(|e| format!("{e:?}"))?;
            timed(cpus.len(), regions, |counters| pool.for_threads(&|thread, _| counters.count(thread)).join())
        })
    };
    Ok(Crew { name: "forkunion", round: Box::new(round) })
}

#[cfg(not(feature = "forkunion"))]
pub fn forkunion() -> Result<Crew, String> {
    Err("forkunion: built without the feature of that name".into())
}

/// `std::thread::scope`: new threads each time, on any of the CPUs.
pub fn scope() -> Crew {
    let round = |cpus: &[usize], regions| {
        on_any(cpus, || {
            timed(cpus.len(), regions, |counters| {
                thread::scope(|s| {
                    for member in 1..counters.0.len() {
                        s.spawn(move || counters.count(member));
                    }
                    counters.count(0);
                });
            })
        })
    };
    Crew { name: "std::thread::scope", round: Box::new(round) }
}

/// OpenMP's parallel region, with the runtimes that are at hand; and why others are not.
///
/// Each has a process for each number of members, which is stopped between the rounds and keeps its threads: a runtime
/// that has had a larger team lets the rest of it spin beside a smaller one. The first process starts now, under the
/// caller's affinity mask.
pub fn openmp(cpus: &[usize]) -> Vec<Result<Crew, String>> {
    let entrant = |(name, setting): (&'static str, Setting)| {
        let start = move |members: usize| Remote::start(setting, &vec![-1; members], false);
        let first = start(cpus.len()).map_err(|why| format!("{name}: {why}"))?;
        let all = RefCell::new(BTreeMap::from([(cpus.len(), first)]));
        let round = move |cpus: &[usize], regions| {
            let mut all = all.borrow_mut();
            let remote = match all.entry(cpus.len()) {
                Entry::Occupied(remote) => remote.into_mut(),
                Entry::Vacant(place) => place.insert(on_any(cpus, || start(cpus.len()))?),
            };
            remote.regions(cpus, regions)
        };
        Ok(Crew { name, round: Box::new(round) })
    };
    let settings = [(LIBGOMP_NAME, LIBGOMP), (LIBOMP_NAME, LIBOMP), (DIST_NAME, LIBOMP_DIST)];
    settings.into_iter().map(entrant).collect()
}
