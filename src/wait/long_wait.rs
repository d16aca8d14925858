//! The long wait: what a party does once its first polls were in vain. Spin, yield, park, each for as long as the pace
//! says; between any two of them a look at the attention word and the clock.

use super::tally::Spent;
use super::{End, Pace, Seen, Stop, note_overslept};
use crate::primitive::{now, relax, yield_now};
use std::time::{Duration, Instant};

/// Where a long wait is spent: what else there is to look at, and how one falls asleep there.
pub(super) trait Nook {
    /// Whether a break is being decided or has been.
    fn alarmed(&self) -> bool;

    /// Whether somebody may already be asleep for trip `generation`.
    fn has_sleepers(&self, generation: u64) -> bool;

    /// Whether yields are better left out on trip `generation`: somebody who is no party takes the CPU for long.
    fn has_rivals(&self, generation: u64) -> bool;

    /// Takes note of a yield on trip `generation` that was slow.
    fn note_slow_yield(&self, generation: u64);

    /// Steps (1) and (2) of parking (`wait/mod.rs`): says that this party is about to sleep for trip `generation`, so that
    /// whoever completes it from here on wakes it. What to call [`Nook::sleep`] with.
    fn announce(&self, generation: u64) -> u32;

    /// Step (4): sleeps unless there has been a wake since the announcement. As [`Futex::sleep`](crate::primitive::Futex::sleep).
    fn sleep(&self, kept: u32, expires: Option<Instant>, fruitless: u32) -> bool;
}

/// What ends a wait well.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    pub(super) ready: &'a dyn Fn() -> bool,
    pub(super) all_here: Option<&'a dyn Fn() -> bool>,
}

impl Goal<'_> {
    fn ready(self) -> bool {
        (self.ready)()
    }

    fn all_here(self) -> Answer {
        self.all_here.filter(|all_here| all_here()).map(|_| Ok(Seen::AllHere))
    }

    /// Either, the one waited for first.
    fn either(self) -> Answer {
        if self.ready() { Some(Ok(Seen::Ready)) } else { self.all_here() }
    }
}

/// One stay of one party: the three ways to pass time, each leaving as soon as there is an answer.
pub(super) struct LongWait<'a, N> {
    nook: &'a N,
    goal: Goal<'a>,
    generation: u64,
    end: Option<End>,
    start: Instant,
    /// When the clock was last looked at.
    looked: Instant,
    polls: u32,
    /// Of the polls, those that gave the CPU away.
    yields: u32,
    parks: u32,
}

/// What a way of passing time came to.
type Answer = Option<Result<Seen, Stop>>;

impl<'a, N: Nook> LongWait<'a, N> {
    /// A stay for trip `generation`, which began to look at the clock at the first of `clock`, and did so last at the
    /// second.
    pub(super) fn new(
        nook: &'a N,
        goal: Goal<'a>,
        generation: u64,
        clock: (Instant, Instant),
        end: Option<End>,
    ) -> Self {
        let (start, looked) = clock;
        Self { nook, goal, generation, end, start, looked, polls: 0, yields: 0, parks: 0 }
    }

    /// Stays until there is an answer.
    pub(super) fn run(&mut self, pace: &mut Pace) -> Result<Seen, Stop> {
        if let Some(answer) = self.among_sleepers() {
            return answer;
        }
        if let Some(answer) = self.spin(pace) {
            return answer;
        }
        if let Some(answer) = self.yielding(pace) {
            return answer;
        }
        loop {
            if let Some(answer) = self.park() {
                return answer;
            }
        }
    }

    /// Looks at the attention word and the clock; the order makes a break win over an expiry, so that one party's
    /// timeout is not reported as everybody's.
    fn interrupted(&mut self) -> Answer {
        if self.nook.alarmed() {
            return Some(Err(Stop::Alarm));
        }
        self.looked = now();
        let end = self.end.filter(|end| self.looked >= end.at)?;
        Some(Err(Stop::Expired(end.after)))
    }

    /// How long it has been, as far as the clock was looked at.
    pub(super) fn waited(&self) -> Duration {
        self.looked.saturating_duration_since(self.start)
    }

    /// What it has come to so far.
    pub(super) fn spent(&self) -> Spent {
        Spent { polls: self.polls, yields: self.yields, parks: self.parks }
    }

    /// If somebody already sleeps for this trip, what this party waits for may depend on the sleeper: the last to
    /// arrive must not spin for it.
    fn among_sleepers(&self) -> Answer {
        self.goal.all_here?;
        if self.nook.has_sleepers(self.generation) { self.goal.all_here() } else { None }
    }

    /// Polls with the CPU kept, until the pace's budget is used up or the clock shows that the CPU was taken away.
    fn spin(&mut self, pace: &mut Pace) -> Answer {
        let budget = pace.spin_budget();
        let mut looks = 0;
        while budget > self.waited() || budget == Duration::MAX {
            for _ in 0..POLLS_PER_LOOK {
                if self.goal.ready() {
                    return Some(Ok(Seen::Ready));
                }
                self.polls = self.polls.saturating_add(1);
                relax(self.polls);
            }
            let before = self.looked;
            if let Some(answer) = self.interrupted() {
                return Some(answer);
            }
            if pace.lost_cpu(self.looked.saturating_duration_since(before)) {
                break;
            }
            looks += 1;
            if looks % LOOKS_ALONE == 0 {
                if let Some(answer) = self.goal.all_here() {
                    return Some(answer);
                }
            }
        }
        None
    }

    /// Polls and gives the CPU away in between, for as long as the pace finds that better than sleeping.
    fn yielding(&mut self, pace: &Pace) -> Answer {
        let budget = pace.yield_budget();
        if budget.is_zero() || (!pace.puts_up_with_rivals() && self.nook.has_rivals(self.generation)) {
            return None;
        }
        let began = self.looked;
        let mut slowest = Duration::ZERO;
        while budget > self.looked.saturating_duration_since(began) {
            if let Some(answer) = self.goal.either() {
                self.take_note(pace, slowest);
                return Some(answer);
            }
            self.polls = self.polls.saturating_add(1);
            self.yields = self.yields.saturating_add(1);
            yield_now(self.polls);
            let before = self.looked;
            if let Some(answer) = self.interrupted() {
                return Some(answer);
            }
            slowest = slowest.max(self.looked.saturating_duration_since(before));
        }
        self.take_note(pace, slowest);
        None
    }

    fn take_note(&self, pace: &Pace, slowest_yield: Duration) {
        if pace.is_slow(slowest_yield) {
            self.nook.note_slow_yield(self.generation);
        }
    }

    /// One sleep, by the protocol of the module essay, numbers as there.
    fn park(&mut self) -> Answer {
        // Before the announcement, which costs whoever completes the trip a system call, and so all others a wake that is
        // not for them.
        if let Some(answer) = self.goal.either() {
            return Some(answer);
        }
        let kept = self.nook.announce(self.generation); // (1) and (2)
        if let Some(answer) = self.goal.either() {
            return Some(answer); // (3)
        }
        if let Some(answer) = self.interrupted() {
            return Some(answer);
        }
        let fruitless = self.parks;
        self.parks = self.parks.saturating_add(1);
        let slept_through = self.nook.sleep(kept, self.end.map(|end| end.at), fruitless); // (4)
        let answer = self.goal.either().or_else(|| self.interrupted());
        if slept_through && matches!(answer, Some(Ok(_) | Err(Stop::Alarm))) {
            note_overslept();
        }
        // For the pace: a wait that ends with a wake was as long as the sleep.
        self.looked = now();
        answer
    }
}

/// Looks at the clock while spinning from one asking of the slots to the next: some 10 µs. Shorter waits are the
/// algorithm's own business, and asking takes lines from those who are about to write them.
const LOOKS_ALONE: u32 = 8;

/// Polls between two looks at the attention word and the clock while spinning. A look costs about 25 ns where the clock
/// is read without a system call; the polls between two looks take a few hundred nanoseconds to 2 µs (PAUSE is 14 to
/// 150 cycles).
const POLLS_PER_LOOK: u32 = match () {
    () if cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) => 1,
    () if cfg!(miri) => 2,
    () => 32,
};

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::primitive::{Fences, Ordering};
    use crate::wait::{Door, Limit, Plan, Stay, Tally, WaitPolicy, calibration, parked_for};
    use std::cell::Cell;
    use std::sync::Arc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);

    fn pace(policy: WaitPolicy, spin: Duration, cpus: usize) -> (Pace, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        let plan = Plan::new(policy, Some(spin), 2, cpus, &calibration());
        (Pace::new(plan).counted_by(Arc::clone(&tally)), tally)
    }

    /// Waits at `door` for something that comes at look number `last`.
    fn look(door: &Door, pace: &mut Pace, last: u32) {
        let looks = Cell::new(0);
        let ready = || {
            looks.set(looks.get() + 1);
            looks.get() >= last
        };
        let stay = Stay { generation: 6, pace, limit: &Limit::After(LONG) };
        assert_eq!(door.until(stay, ready), Ok(()));
    }

    #[test]
    fn who_spins_for_ever_neither_yields_nor_sleeps() {
        let (mut pace, tally) = pace(WaitPolicy::Spin, Duration::ZERO, 1);
        let looks = if cfg!(miri) { 500 } else { 5000 };
        look(&Door::new(Fences::Symmetric), &mut pace, looks);
        assert_eq!((tally.waits.get(), tally.yields.get(), tally.parks.get()), (1, 0, 0));
        assert!(tally.spins.get() > u64::from(looks) * 4 / 5);
    }

    #[test]
    fn who_has_a_budget_spins_before_it_sleeps() {
        // A lost CPU ends spinning, and those of a busy machine are lost often; under Miri all are, by its clock.
        let spun = (0..if cfg!(miri) { 1 } else { 1000 }).any(|_| {
            let door = Door::new(Fences::Symmetric);
            let (mut pace, tally) = pace(WaitPolicy::SpinPark, LONG, 2);
            let looks = Cell::new(0);
            let ready = || {
                looks.set(looks.get() + 1);
                looks.get() >= 500 || door.attention.word().load(Ordering::Relaxed) != 0
            };
            door.until(Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) }, ready).unwrap();
            (tally.spins.get() > 400) && tally.parks.get() == 0
        });
        assert!(spun || cfg!(miri));
    }

    #[test]
    fn a_budget_that_is_used_up_ends_spinning() {
        let (mut pace, tally) = pace(WaitPolicy::SpinPark, Duration::from_micros(1), 2);
        let door = Door::new(Fences::Symmetric);
        let came = Cell::new(false);
        // Comes when it is first asked for behind the announcement of a sleep.
        let ready = || {
            came.set(door.attention.word().load(Ordering::Relaxed) != 0);
            came.get()
        };
        door.until(Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) }, ready).unwrap();
        assert!(came.get() && tally.yields.get() == 0);
    }

    #[test]
    fn who_yields_does_so_for_ever_if_told_to_and_whatever_rivals_do() {
        let door = Door::new(Fences::Symmetric);
        (0..3).for_each(|trip| door.rivals.slow_yield(trip));
        assert!(door.rivals.are_there(6));
        let (mut patient, tally) = pace(WaitPolicy::SpinYield, Duration::ZERO, 1);
        look(&door, &mut patient, 500);
        assert!(tally.yields.get() > 400 && tally.parks.get() == 0);
    }

    #[test]
    fn with_rivals_about_nobody_yields_who_may_sleep() {
        for rivals in [false, true] {
            let door = Door::new(Fences::Symmetric);
            if rivals {
                (0..3).for_each(|trip| door.rivals.slow_yield(trip));
            }
            let (mut pace, tally) = pace(WaitPolicy::Adaptive, Duration::ZERO, 1);
            // Comes at the first look behind a yield or the announcement of a sleep.
            let looks = Cell::new(0);
            let ready = || {
                looks.set(looks.get() + 1);
                looks.get() > 3 || door.attention.word().load(Ordering::Relaxed) != 0
            };
            door.until(Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) }, ready).unwrap();
            assert_eq!(tally.yields.get() == 0, rivals);
        }
    }

    #[test]
    fn a_spinning_party_asks_whether_all_are_here_now_and_then() {
        let door = Door::new(Fences::Symmetric);
        let (mut pace, _) = pace(WaitPolicy::Spin, Duration::ZERO, 1);
        let looks = Cell::new(0);
        let ready = || {
            looks.set(looks.get() + 1);
            false
        };
        let asked = Cell::new(0);
        let all_here = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let stay = Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) };
        assert_eq!(door.until_or(stay, ready, &all_here), Ok(Seen::AllHere));
        assert_eq!(looks.get(), pace.tight() + 3 * LOOKS_ALONE * POLLS_PER_LOOK);
    }

    #[test]
    fn who_comes_to_sleepers_asks_at_once() {
        for (asleep, polls) in [(parked_for(6), 0), (parked_for(7), LOOKS_ALONE * POLLS_PER_LOOK)] {
            let door = Door::new(Fences::Symmetric);
            door.attention.word().fetch_or(asleep, Ordering::Relaxed);
            let (mut pace, _) = pace(WaitPolicy::Spin, Duration::ZERO, 1);
            let looks = Cell::new(0);
            let ready = || {
                looks.set(looks.get() + 1);
                false
            };
            let stay = Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) };
            assert_eq!(door.until_or(stay, ready, &|| true), Ok(Seen::AllHere));
            assert_eq!(looks.get(), pace.tight() + polls);
        }
    }

    #[test]
    fn a_sleeper_sleeps() {
        let door = Door::new(Fences::Symmetric);
        let (mut pace, tally) = pace(WaitPolicy::Park, Duration::ZERO, 2);
        let looks = Cell::new(0);
        let come = std::sync::atomic::AtomicBool::new(false);
        let ready = || {
            looks.set(looks.get() + 1);
            come.load(std::sync::atomic::Ordering::SeqCst)
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                // Woken twice for nothing: it sleeps again each time.
                for _ in 0..2 {
                    thread::sleep(Duration::from_millis(10));
                    door.wake_spuriously();
                }
                thread::sleep(Duration::from_millis(10));
                come.store(true, std::sync::atomic::Ordering::SeqCst);
                door.look();
                assert!(door.wake_sleepers(6));
            });
            door.until(Stay { generation: 6, pace: &mut pace, limit: &Limit::After(LONG) }, ready).unwrap();
        });
        assert!((1..20).contains(&tally.parks.get()), "{tally:?}");
    }

    #[test]
    fn the_length_of_a_wait_is_what_the_clock_says() {
        let door = Door::new(Fences::Symmetric);
        let start = now();
        let goal = Goal { ready: &|| true, all_here: None };
        let wait = LongWait::new(&door, goal, 6, (start, start + LONG), None);
        assert_eq!(wait.waited(), LONG);
    }
}
