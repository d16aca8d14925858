//! Barriers against each other in one process: the same threads cross one after the other, many short rounds, and what is
//! compared are the times of one round.
//!
//! A few per cent cannot be seen in two runs, nor in the times of one run: they scatter by more, but together, since what slows
//! one round slows its neighbours. So each round of a contestant is divided by the same round of the first one, and the median
//! of these ratios is the result ([`Duel::ratios`]), with quartiles that say how much the ratios scatter. The order within a
//! round changes from round to round. The first contestant should take part a second time under another name: how far the
//! two are apart is what this machine cannot tell from nothing.
//!
//! Each contestant has several barriers, and each round takes another pair of them: what a hop costs depends on where its
//! line happens to lie.
//!
//! A round is a meeting of all threads, some trips to get together, the trips that are timed, by the clock of rank 0, and some
//! that check the promise: each party writes the number of the trip before, and looks at what all others wrote after. Then the
//! books must balance: every party has made the trips that it should have by its own count, and each trip had one leader.
//!
//! Nothing here knows a barrier of any kind: `benches/revisions` takes this file into a program with two versions of phalanx.

use std::fmt::Display;
use std::hint::spin_loop;
use std::process::exit;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Trips before those that are timed: a party that lost its CPU avoids spinning for a while.
const WARM: u64 = 24;

/// Trips after those that are timed, with a check each.
const CHECKED: u64 = 2;

/// Barriers of each contestant. Prime, so that the pairs change through all combinations.
const INSTANCES: usize = 11;

/// Without a round so long, it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One party's place at some barrier.
pub(crate) trait Cross: Send {
    /// Makes a trip; whether this party leads it.
    fn cross(&mut self) -> bool;

    /// Trips made, by the barrier's own count.
    fn made(&self) -> u64;
}

/// The same with whole rounds, so that a loop over trips holds no dynamic call.
pub(crate) trait Seat: Send {
    /// Makes so many trips, each after so much work; how many of them it leads.
    fn run(&mut self, trips: u64, work: Option<Duration>) -> u64;

    /// Trips made, by the barrier's own count.
    fn made(&self) -> u64;
}

impl<C: Cross> Seat for C {
    #[inline(never)]
    fn run(&mut self, trips: u64, work: Option<Duration>) -> u64 {
        let Some(work) = work else {
            return (0..trips).map(|_| u64::from(self.cross())).sum();
        };
        (0..trips).map(|_| u64::from(after(work, || self.cross()))).sum()
    }

    fn made(&self) -> u64 {
        Cross::made(self)
    }
}

fn after(work: Duration, cross: impl FnOnce() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < work {
        spin_loop();
    }
    cross()
}

/// Builds one barrier: its seats, by rank.
type Build = Box<dyn Fn(usize) -> Vec<Box<dyn Seat>>>;

/// Somebody to compare.
pub(crate) struct Contestant {
    pub(crate) name: String,
    build: Build,
}

impl Contestant {
    pub(crate) fn new<C: Cross + 'static>(name: &str, build: impl Fn(usize) -> Vec<C> + 'static) -> Self {
        let boxed = |seat| Box::new(seat) as Box<dyn Seat>;
        let build = Box::new(move |parties| build(parties).into_iter().map(boxed).collect());
        Self { name: name.into(), build }
    }
}

/// How they are compared.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) parties: usize,
    /// What one party does before each trip; another one in each round.
    pub(crate) work: Option<Duration>,
    pub(crate) rounds: usize,
    /// How long a round should take. Shorter than a time slice of the scheduler, or most rounds are disturbed.
    pub(crate) round: Duration,
    /// At least as many trips in a round.
    pub(crate) trips: u64,
    /// Has the calling thread, of this rank, stay on a CPU.
    pub(crate) pin: fn(usize),
}

/// What came of it.
pub(crate) struct Duel {
    pub(crate) names: Vec<String>,
    /// Nanoseconds per trip, by contestant and round.
    pub(crate) times: Vec<Vec<f64>>,
    /// In each round.
    pub(crate) trips: u64,
}

impl Duel {
    /// A contestant's rounds over the same rounds of the first.
    pub(crate) fn ratios(&self, of: usize) -> Quartiles {
        Quartiles::of(self.times[of].iter().zip(&self.times[0]).map(|(this, first)| this / first))
    }

    /// A contestant's rounds less the same rounds of the first, in nanoseconds per trip.
    pub(crate) fn differences(&self, of: usize) -> Quartiles {
        Quartiles::of(self.times[of].iter().zip(&self.times[0]).map(|(this, first)| this - first))
    }

    /// Nanoseconds per trip.
    pub(crate) fn times(&self, of: usize) -> Quartiles {
        Quartiles::of(self.times[of].iter().copied())
    }
}

/// The middle of a sample, and how far it scatters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Quartiles {
    /// NaN everywhere if there is nothing.
    pub(crate) fn of(sample: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = sample.collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
            sorted[(share * last as f64).round() as usize]
        };
        Self { q1: at(0.25), median: at(0.5), q3: at(0.75) }
    }
}

/// Lets them all play.
pub(crate) fn play(contestants: &[Contestant], plan: Plan) -> Duel {
    let mut seats: Vec<Vec<Vec<Box<dyn Seat>>>> = (0..plan.parties).map(|_| Vec::new()).collect();
    for rank in &mut seats {
        rank.resize_with(contestants.len(), Vec::new);
    }
    // One of each in turn, so that nobody has the better addresses.
    for _ in 0..INSTANCES {
        for (which, contestant) in contestants.iter().enumerate() {
            for (rank, seat) in (contestant.build)(plan.parties).into_iter().enumerate() {
                seats[rank][which].push(seat);
            }
        }
    }
    let floor = Floor::new(plan, contestants.len());
    let names = contestants.iter().map(|contestant| contestant.name.clone()).collect();
    let (report, reports) = channel();
    let times = thread::scope(|scope| {
        for (rank, seats) in seats.into_iter().enumerate() {
            let (floor, report) = (&floor, report.clone());
            scope.spawn(move || {
                (plan.pin)(rank);
                let times = Player { floor, rank, seats, checked: 0 }.play();
                // Nobody listens any more only if the bench is at its end.
                _ = report.send((rank, times));
            });
        }
        drop(report);
        let mut times = Vec::new();
        let mut before = floor.gate.passed.load(Ordering::Relaxed);
        loop {
            match reports.recv_timeout(PATIENCE) {
                Ok((0, of_first)) => times = of_first,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return times,
                Err(RecvTimeoutError::Timeout) => {
                    let now = floor.gate.passed.load(Ordering::Relaxed);
                    if now == before {
                        fail(format!("no round for {PATIENCE:?}: it hangs"));
                    }
                    before = now;
                }
            }
        }
    });
    Duel { names, times, trips: floor.trips.load(Ordering::Relaxed) }
}

/// What the players share.
struct Floor {
    plan: Plan,
    contestants: usize,
    gate: Gate,
    /// Timed, in each round.
    trips: AtomicU64,
    /// The number of the checked trip that each rank is at.
    at: Vec<Line>,
    /// How many trips of the round were led.
    led: AtomicU64,
}

/// A word on lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Floor {
    fn new(plan: Plan, contestants: usize) -> Self {
        let at = (0..plan.parties).map(|_| Line::default()).collect();
        Self { plan, contestants, gate: Gate::new(plan.parties), trips: plan.trips.into(), at, led: 0.into() }
    }
}

/// One thread.
struct Player<'a> {
    floor: &'a Floor,
    rank: usize,
    /// By contestant and instance.
    seats: Vec<Vec<Box<dyn Seat>>>,
    checked: u64,
}

impl Player<'_> {
    fn play(mut self) -> Vec<Vec<f64>> {
        self.agree_on_trips();
        let Floor { plan, contestants, .. } = *self.floor;
        let mut times = vec![Vec::with_capacity(plan.rounds); contestants];
        for round in 0..plan.rounds {
            for which in shuffled(contestants, round) {
                times[which].push(self.round(which, round));
            }
        }
        times
    }

    /// Doubles the trips until a round takes its time.
    fn agree_on_trips(&mut self) {
        let Floor { plan, gate, trips, .. } = self.floor;
        for attempt in 0.. {
            let so_far = trips.load(Ordering::Relaxed);
            // The best of three is the one that nobody disturbed.
            let ns = (0..3).map(|again| self.round(0, attempt + again)).fold(f64::INFINITY, f64::min);
            gate.meet();
            if self.rank == 0 && ns * (so_far as f64) < plan.round.as_nanos() as f64 * 0.7 {
                trips.store(so_far * 2, Ordering::Relaxed);
            }
            gate.meet();
            if trips.load(Ordering::Relaxed) == so_far {
                return;
            }
        }
    }

    /// One round of one contestant: nanoseconds per trip.
    fn round(&mut self, which: usize, round: usize) -> f64 {
        let Floor { plan, contestants, gate, trips, at, led } = self.floor;
        let trips = trips.load(Ordering::Relaxed);
        let instance = (round + which * (round / INSTANCES)) % INSTANCES;
        let seat = &mut self.seats[which][instance];
        let due = seat.made() + WARM + trips + CHECKED;
        let work = plan.work.filter(|_| self.rank == round / contestants % plan.parties);
        gate.meet();
        let mut leads = seat.run(WARM, None);
        let start = Instant::now();
        leads += seat.run(trips, work);
        let took = start.elapsed();
        for _ in 0..CHECKED {
            self.checked += 1;
            at[self.rank].0.store(self.checked, Ordering::Relaxed);
            leads += seat.run(1, None);
            for (other, line) in at.iter().enumerate() {
                let seen = line.0.load(Ordering::Relaxed);
                // It may have gone on to the next one, but no further: that one needs us.
                if seen != self.checked && seen != self.checked + 1 {
                    fail(format!(
                        "rank {} left checked trip {} while rank {other} was at {seen}",
                        self.rank, self.checked
                    ));
                }
            }
        }
        if seat.made() != due {
            fail(format!("rank {} has made {} trips instead of {due}", self.rank, seat.made()));
        }
        led.fetch_add(leads, Ordering::Relaxed);
        gate.meet();
        if self.rank == 0 {
            let (led, made) = (led.swap(0, Ordering::Relaxed), WARM + trips + CHECKED);
            if led != made {
                fail(format!("{led} leaders in {made} trips"));
            }
        }
        took.as_nanos() as f64 / trips as f64
    }
}

/// All contestants, in another order for each round, and in the same one for all players: whoever runs behind one that leaves
/// its mark (in the caches, or in what the processor expects) must not always be the same.
fn shuffled(contestants: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contestants).collect();
    // SplitMix64.
    let mut state = (round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for left in (2..=contestants).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(left - 1, ((mixed ^ (mixed >> 31)) % left as u64) as usize);
    }
    order
}

/// Where the players meet between rounds: no barrier that is measured here.
struct Gate {
    players: usize,
    here: AtomicUsize,
    passed: AtomicU64,
}

impl Gate {
    fn new(players: usize) -> Self {
        Self { players, here: 0.into(), passed: 0.into() }
    }

    fn meet(&self) {
        let turn = self.passed.load(Ordering::Relaxed);
        // AcqRel: the last one hands on what all did before.
        if self.here.fetch_add(1, Ordering::AcqRel) + 1 == self.players {
            self.here.store(0, Ordering::Relaxed);
            self.passed.store(turn + 1, Ordering::Release);
            return;
        }
        let mut polls = 0;
        while self.passed.load(Ordering::Acquire) == turn {
            if polls < 1000 {
                polls += 1;
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

/// Ends the process: a panic would end one thread and leave the others waiting for it for ever.
pub(crate) fn fail(what: impl Display) -> ! {
    eprintln!("bench: {what}");
    exit(1)
}
