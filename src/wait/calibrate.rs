//! What waiting costs here, measured once per process in well under a millisecond.
//!
//! A spin budget must be a time, and the right time is what the alternative costs: to block and be woken. That is 5 µs
//! on one machine and 50 µs on the next (a virtual CPU that went idle has to be started again), so it is measured: two
//! threads hand a futex to and fro a few times, and the smallest half of a round trip counts, because everything that
//! disturbs the measurement makes it larger. Nothing here yields: where another thread spins on the same CPU, one yield
//! can cost a time slice.

use crate::primitive::{Futex, Ordering, now};
use std::{fmt, sync::Arc, sync::OnceLock, thread, time::Duration, time::Instant};

/// What waiting costs on this machine, as measured when the first barrier of the process was built.
///
/// The spin budget of [`WaitPolicy`](crate::WaitPolicy) is [`spin_budget`](Self::spin_budget) unless it is set by hand.
///
/// # Examples
///
/// ```
/// let costs = phalanx::calibration();
/// assert!(costs.block_and_wake().as_micros() >= 5);
/// assert_eq!(costs.spin_budget(), costs.block_and_wake() * 2);
/// println!("{costs}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calibration {
    block_and_wake: Duration,
    took: Duration,
}

impl Calibration {
    /// What is assumed where nobody may measure.
    pub(crate) fn unmeasured() -> Self {
        Self { block_and_wake: DEFAULT_WAKE, took: Duration::ZERO }
    }

    /// From a wake of a sleeping thread to its first instruction, kept within 5 to 50 µs.
    #[must_use]
    pub fn block_and_wake(&self) -> Duration {
        self.block_and_wake
    }

    /// How long waiting parties spin by default before they sleep: twice [`block_and_wake`](Self::block_and_wake),
    /// since a sleep costs the sleeper a wake and the one who wakes it a system call of about that length.
    #[must_use]
    pub fn spin_budget(&self) -> Duration {
        self.block_and_wake * 2
    }

    /// How long the measurement took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block_and_wake, took } = self;
        write!(f, "block and wake {block_and_wake:.1?} (measured in {took:.1?})")
    }
}

/// What waiting costs here; measures at the first call in a process (well under a millisecond), then only reads.
///
/// # Examples
///
/// ```
/// assert_eq!(phalanx::calibration(), phalanx::calibration());
/// ```
#[must_use]
pub fn calibration() -> Calibration {
    static CALIBRATION: OnceLock<Calibration> = OnceLock::new();
    *CALIBRATION.get_or_init(measure)
}

/// Hand-overs that are timed. The first pays for the other thread's start.
const ROUNDS: u32 = 4;

/// The measurement gives up then and takes what it has.
const PATIENCE: Duration = Duration::from_micros(600);

/// What the other thread has for its few variables: several times what a thread needs at least.
const STACK: usize = 65_536;

fn measure() -> Calibration {
    let start = now();
    let wake = if cfg!(any(miri, all(test, any(phalanx_loom, phalanx_shuttle)))) { None } else { hand_over(PATIENCE) };
    let block_and_wake = wake.unwrap_or(DEFAULT_WAKE).clamp(LEAST, MOST);
    Calibration { block_and_wake, took: now().saturating_duration_since(start) }
}

/// A wake cannot be cheaper than two system calls and a switch, and a dearer one was disturbed.
const LEAST: Duration = Duration::from_micros(5);
const MOST: Duration = Duration::from_micros(50);

/// What a wake is taken to cost where it cannot be measured (no second thread to be had).
const DEFAULT_WAKE: Duration = Duration::from_micros(20);

/// Half of the shortest round trip between two threads that sleep in turn; `None` if none came to an end in time.
fn hand_over(patience: Duration) -> Option<Duration> {
    let give_up = now() + patience;
    let ball = Arc::new(Futex::new(0));
    let other = Arc::clone(&ball);
    let answers = move || answer(&other, give_up);
    thread::Builder::new().name("phalanx-calibrate".into()).stack_size(STACK).spawn(answers).ok()?;
    serve(&ball, give_up)
}

/// Sends the ball to and fro; half of the shortest time that it was away.
fn serve(ball: &Futex, give_up: Instant) -> Option<Duration> {
    let mut best: Option<Duration> = None;
    for round in 0..ROUNDS {
        let start = now();
        hit(ball, 2 * round + 1);
        if !receive(ball, 2 * round + 1, give_up) {
            break;
        }
        let half = now().saturating_duration_since(start) / 2;
        best = Some(best.map_or(half, |best| best.min(half)));
    }
    best
}

/// The other side: sends the ball back as often as it comes.
fn answer(ball: &Futex, give_up: Instant) {
    for round in 0..ROUNDS {
        if !receive(ball, 2 * round, give_up) {
            return;
        }
        hit(ball, 2 * round + 2);
    }
}

/// Publishes the ball's next position and wakes the other side.
fn hit(ball: &Futex, position: u32) {
    ball.word().store(position, Ordering::Release);
    ball.wake_all();
}

/// Sleeps until the ball has left `position`; false if time ran out first.
fn receive(ball: &Futex, position: u32, give_up: Instant) -> bool {
    while ball.word().load(Ordering::Acquire) == position {
        if now() >= give_up {
            return false;
        }
        ball.sleep(position, Some(give_up), 0);
    }
    true
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_ball_comes_back_as_often_as_it_is_hit() {
        let start = now();
        assert!(hand_over(LONG).is_some_and(|half| !half.is_zero()));
        assert!(now() < start + LONG, "somebody waited for a ball that did not come");
    }

    #[test]
    fn half_the_shortest_time_that_the_ball_was_away_counts() {
        let (ball, start) = (Futex::new(0), now());
        let away = Duration::from_millis(2);
        let half = thread::scope(|scope| {
            let serves = scope.spawn(|| serve(&ball, start + LONG));
            for round in 0..ROUNDS {
                assert!(receive(&ball, 2 * round, start + LONG));
                assert_eq!(ball.word().load(Ordering::Acquire), 2 * round + 1);
                thread::sleep(away);
                hit(&ball, 2 * round + 2);
            }
            serves.join().unwrap().unwrap()
        });
        assert!(half >= away / 2, "{half:?}");
        assert!(2 * half * ROUNDS <= now() - start, "{half:?}: no time that it was away was shorter");
    }

    #[test]
    fn the_other_side_answers_every_ball_with_the_next() {
        let (ball, give_up) = (Futex::new(0), now() + LONG);
        thread::scope(|scope| {
            scope.spawn(|| answer(&ball, give_up));
            for round in 0..ROUNDS {
                hit(&ball, 2 * round + 1);
                assert!(receive(&ball, 2 * round + 1, give_up));
                assert_eq!(ball.word().load(Ordering::Acquire), 2 * round + 2);
            }
        });
    }

    #[test]
    fn who_waits_for_the_ball_sleeps_until_it_is_hit_or_time_is_up() {
        let ball = Futex::new(4);
        assert!(receive(&ball, 3, now()));
        assert!(!receive(&ball, 4, now()));
        let started = now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                hit(&ball, 5);
            });
            assert!(receive(&ball, 4, started + LONG));
        });
        assert!(now() < started + LONG, "slept through");
    }

    #[test]
    fn the_spin_budget_is_a_sleep_and_a_wake() {
        assert_eq!(calibration().spin_budget(), 2 * calibration().block_and_wake());
    }

    #[test]
    fn costs_are_within_their_bounds() {
        let costs = calibration();
        assert!((LEAST..=MOST).contains(&costs.block_and_wake()), "{costs}");
        assert!(!costs.took().is_zero() && costs.to_string().starts_with("block and wake "), "{costs}");
    }
}
