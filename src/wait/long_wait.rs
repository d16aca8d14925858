//! The long wait: what a party does once its first polls were in vain. Spin, yield, park, each for as long as the pace
//! says; between any two of them a look at the attention word and the clock.

use super::tally::Spent;
use super::{Door, End, Pace, Seen, Stop, note_overslept, parked_for};
use crate::primitive::{Ordering, now, relax, yield_now};
use std::time::{Duration, Instant};

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
pub(super) struct LongWait<'a> {
    door: &'a Door,
    goal: Goal<'a>,
    generation: u64,
    /// The bit to set before a sleep.
    parked: u32,
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

impl<'a> LongWait<'a> {
    /// A stay for trip `generation`, which began to look at the clock at the first of `clock`, and did so last at the
    /// second.
    pub(super) fn new(
        door: &'a Door,
        goal: Goal<'a>,
        generation: u64,
        clock: (Instant, Instant),
        end: Option<End>,
    ) -> Self {
        let (start, looked) = clock;
        Self {
            door,
            goal,
            generation,
            parked: parked_for(generation),
            end,
            start,
            looked,
            polls: 0,
            yields: 0,
            parks: 0,
        }
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
        if self.door.alarmed() {
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
        if self.door.look().0 & self.parked == 0 { None } else { self.goal.all_here() }
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
        if budget.is_zero() || (!pace.puts_up_with_rivals() && self.door.rivals.are_there(self.generation)) {
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
            self.door.rivals.slow_yield(self.generation);
        }
    }

    /// One sleep, by the protocol of the module essay, numbers as there.
    fn park(&mut self) -> Answer {
        // Before the announcement, which costs whoever completes the trip a system call, and so all others a wake that is
        // not for them.
        if let Some(answer) = self.goal.either() {
            return Some(answer);
        }
        let attention = &self.door.attention;
        let kept = attention.word().fetch_or(self.parked, Ordering::Relaxed) | self.parked; // (1)
        // [park] Between the announcement and the look: pairs with the light fence of `look` (module essay).
        self.door.fences.heavy(); // (2)
        if let Some(answer) = self.goal.either() {
            return Some(answer); // (3)
        }
        if let Some(answer) = self.interrupted() {
            return Some(answer);
        }
        let fruitless = self.parks;
        self.parks = self.parks.saturating_add(1);
        let slept_through = attention.sleep(kept, self.end.map(|end| end.at), fruitless); // (4)
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
