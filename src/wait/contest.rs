//! Whether to stay awake or to sleep beside rivals: found out by trying both.
//!
//! A rival is a thread that is no party and never waits, on a CPU that the parties have to share. Who gives the CPU away loses a time slice
//! to it, some milliseconds; who sleeps gets the CPU back as soon as it is woken, but pays for a sleep and a wake on each trip. Which
//! is better depends on the work between trips, on how many threads there are, and on where the kernel has put them: with a busy process
//! on each of two CPUs, four threads without work are between three times as fast awake as asleep and a little slower, by how the kernel has
//! placed them, and eight that compute for 30 µs each are slower by a third (docs/results/2026-11-29-xeon-2cpu-preload/README.md). So the two ways of waiting compete.
//!
//! # Protocol
//!
//! It begins with a slow yield ([`Pace::is_slow`](super::Pace::is_slow)), and goes in rounds. For a round all parties wait in one way. Then
//! its rate is known, in arrivals per second:
//!
//! - Nobody has met one more slow yield, though all were awake: it was an accident, since everything on a machine needs a CPU now and then.
//!   The contest is over.
//! - The other way has not been tried yet, or was better when it was tried last: it is its turn.
//! - Else the round is repeated. After a while (an eighth of a second, doubled each time, up to two seconds) the other way is
//!   given a round all the same, since rivals come and go, and programs change.
//!
//! A round takes [`ROUND`]: a few time slices. It is over with the first wait behind that; whoever gets to move `began` on ends it, and writes
//! what belongs to the next one. The barrier has no room for all this, so it is in one of a few places that all barriers of the
//! process share, chosen by address. Who finds his place taken does without a contest, and so do barriers that processes share: their
//! places are not the same. A round that took [`STALE`] or longer says nothing, and its place is anybody's: no trip came, or
//! the barrier is gone.
//!
//! Those who are to sleep do so without a limit, once a wake has ended a sleep of this process and the kernel has refused nothing: a timer
//! for each sleep would cost them what they are to gain.
//!
//! # Memory ordering
//!
//! Everything is relaxed: hints, and each is of use without the others. A mixture of two rounds, as where whoever ends one loses its CPU before it
//! has written all of the next, costs a round.

use crate::primitive::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::time::Duration;

/// A way of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As if there were no rivals.
    Awake,
    /// Everybody sleeps at once.
    Asleep,
}

impl Way {
    fn other(self) -> Self {
        if self == Self::Awake { Self::Asleep } else { Self::Awake }
    }
}

/// How long a round takes.
const ROUND: Duration = Duration::from_millis(16);

/// A round that has no half of the other's rate by then is ended.
const HOPELESS: Duration = Duration::from_millis(8);

/// A slow yield that ends so long behind the beginning of a round is none of the slice with which it began.
const SLICE: Duration = Duration::from_millis(8);

/// A round that took so long says nothing.
const STALE: Duration = Duration::from_millis(128);

/// When the way that is worse is tried again, at first and at last.
const FIRST: Duration = Duration::from_millis(128);
const LAST: Duration = Duration::from_secs(2);

/// No barrier is there.
const NOBODY: u64 = 0;

/// The rate of a way that has had no round: what has none is no better either.
const UNTRIED: u64 = 0;

/// A barrier: which, when, and how many have arrived at it so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) who: u64,
    /// Since the beginning of all times.
    pub(super) time: Duration,
    pub(super) arrivals: u64,
}

/// A wait that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) who: u64,
    /// When it began.
    pub(super) start: Duration,
    /// If a yield was slow, the barrier at the end of the wait.
    pub(super) met_rival: Option<Look>,
}

/// One contest.
#[derive(Debug)]
pub(super) struct Contest {
    /// The barrier, or [`NOBODY`].
    who: AtomicU64,
    /// How its parties wait: [`Way`] as a number.
    way: AtomicU64,
    /// When the round began, in nanoseconds, and how many had arrived by then.
    began: AtomicU64,
    from: AtomicU64,
    /// Whether a slow yield was met in it.
    met: AtomicU64,
    /// The rate of each way in its last round, or [`UNTRIED`].
    rates: [AtomicU64; 2],
    /// When the other way is tried again, in nanoseconds, and behind which time.
    retry: AtomicU64,
    patience: AtomicU64,
}

/// The place of a barrier in this process; a model has none, since its words do not outlive it.
pub(super) fn place_of(who: u64) -> Option<&'static Contest> {
    #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
    {
        static PLACES: [CachePadded<Contest>; 8] = [const { CachePadded::new(Contest::new()) }; 8];
        // Fibonacci hashing: addresses of neighbours are far apart in the upper bits of the product.
        Some(&PLACES[(who.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61) as usize])
    }
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    {
        let _ = who;
        None
    }
}

/// How long ago a round began. A beginning ahead is somebody else's look, just now; or that of another clock, and then as long ago.
fn lasted(look: Look, began: u64) -> Duration {
    look.time.abs_diff(Duration::from_nanos(began))
}

impl Contest {
    constant_unless_modelled! {
        pub(super) fn new() -> Self {
            let word = AtomicU64::new;
            Self {
                who: word(0),
                way: word(0),
                began: word(0),
                from: word(0),
                met: word(0),
                rates: [word(0), word(0)],
                retry: word(0),
                patience: word(0),
            }
        }
    }

    /// How to wait in the contest of this barrier, if there is one. Ends the round if it is time.
    #[inline]
    pub(super) fn way(&self, look: Look) -> Option<Way> {
        if self.who.load(Ordering::Relaxed) == look.who { self.way_of_round(look) } else { None }
    }

    #[inline(never)]
    fn way_of_round(&self, look: Look) -> Option<Way> {
        // Before the way: should another round begin in between, the exchange below fails, or does mostly.
        let began = self.began.load(Ordering::Relaxed);
        let way = if self.way.load(Ordering::Relaxed) == 0 { Way::Awake } else { Way::Asleep };
        let lasted = lasted(look, began);
        if lasted >= STALE {
            self.end(look.who);
            return None;
        }
        // Others may have come later and been here first; and another barrier may have been made in the same memory.
        let arrivals = look.arrivals.saturating_sub(self.from.load(Ordering::Relaxed));
        let rate = (u128::from(arrivals) * 1_000_000_000 / lasted.as_nanos().max(1)) as u64;
        let other = self.rate(way.other()).load(Ordering::Relaxed);
        let hopeless = lasted >= HOPELESS && rate < other / 2;
        let over = hopeless || lasted >= ROUND;
        let time = look.time.as_nanos() as u64;
        if !over || self.began.compare_exchange(began, time, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Some(way);
        }
        if way == Way::Awake && !hopeless && self.met.load(Ordering::Relaxed) == 0 {
            self.end(look.who);
            return None;
        }
        let retry = time >= self.retry.load(Ordering::Relaxed);
        if retry {
            self.put_off(look, LAST.min(Duration::from_nanos(self.patience.load(Ordering::Relaxed)) * 2));
        }
        self.rate(way).store(rate, Ordering::Relaxed);
        self.count_from(look);
        let next = if retry || other == UNTRIED || rate < other { way.other() } else { way };
        self.way.store(u64::from(next == Way::Asleep), Ordering::Relaxed);
        Some(next)
    }

    /// Takes note of a wait; whether there is a contest behind it, so that it is no lesson.
    pub(super) fn note(&self, wait: Wait) -> bool {
        if self.who.load(Ordering::Relaxed) != wait.who {
            return wait.met_rival.is_some_and(|look| self.begin(look));
        }
        let began = self.began.load(Ordering::Relaxed);
        if let Some(look) = wait.met_rival {
            let behind = lasted(look, began);
            if behind >= STALE {
                self.end(wait.who);
                return false;
            }
            // Parties on other CPUs may have met the same slice.
            if wait.start > Duration::from_nanos(began) || behind >= SLICE {
                self.met.store(1, Ordering::Relaxed);
            }
        }
        true
    }

    /// Begins a contest, with a round of those who stay awake; false if the place is another's.
    fn begin(&self, look: Look) -> bool {
        let holder = self.who.load(Ordering::Relaxed);
        if holder != NOBODY && lasted(look, self.began.load(Ordering::Relaxed)) < STALE {
            return holder == look.who;
        }
        // First, so that nobody who finds himself here takes the round for an old one.
        self.began.store(look.time.as_nanos() as u64, Ordering::Relaxed);
        if self.who.compare_exchange(holder, look.who, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        self.rates.iter().for_each(|rate| rate.store(UNTRIED, Ordering::Relaxed));
        self.way.store(0, Ordering::Relaxed);
        self.put_off(look, FIRST);
        self.count_from(look);
        true
    }

    /// Leaves the place, unless it is another's by now.
    pub(super) fn end(&self, who: u64) {
        let _ = self.who.compare_exchange(who, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn rate(&self, way: Way) -> &AtomicU64 {
        &self.rates[usize::from(way == Way::Asleep)]
    }

    fn put_off(&self, look: Look, patience: Duration) {
        self.retry.store((look.time + patience).as_nanos() as u64, Ordering::Relaxed);
        self.patience.store(patience.as_nanos() as u64, Ordering::Relaxed);
    }

    fn count_from(&self, look: Look) {
        self.from.store(look.arrivals, Ordering::Relaxed);
        self.met.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    const US: u64 = 1000;

    /// A contest at barrier 64, with its trips and the time.
    struct Ring {
        contest: Contest,
        time: Duration,
        arrivals: u64,
    }

    impl Ring {
        /// Some time behind the first slow yield.
        fn new() -> Self {
            let ring = Self { contest: Contest::new(), time: Duration::from_secs(5), arrivals: 1 << 40 };
            assert!(ring.contest.note(ring.slow_yield()));
            ring
        }

        fn look(&self) -> Look {
            Look { who: 64, time: self.time, arrivals: self.arrivals }
        }

        fn slow_yield(&self) -> Wait {
            Wait { who: 64, start: self.time, met_rival: Some(self.look()) }
        }

        /// Waits of `micros` each, until the time comes or the way changes, with a slow yield each if `rivals` are there. What comes then.
        fn go(&mut self, micros: u64, until: Duration, rivals: bool) -> (Option<Way>, Duration) {
            let began = self.time;
            let first = self.contest.way(self.look());
            loop {
                self.time += Duration::from_nanos(micros * US);
                self.arrivals = self.arrivals.wrapping_add(1);
                if rivals && first == Some(Way::Awake) {
                    assert!(self.contest.note(self.slow_yield()));
                }
                let way = self.contest.way(self.look());
                if way != first || self.time - began >= until {
                    return (way, self.time - began);
                }
            }
        }

        /// The next change of ways, with waits that take so long awake and asleep.
        fn next(&mut self, awake: u64, asleep: u64) -> (Option<Way>, Duration) {
            let micros = if self.contest.way(self.look()) == Some(Way::Awake) { awake } else { asleep };
            self.go(micros, Duration::from_secs(10), true)
        }
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn one_slow_yield_is_an_accident() {
        let mut ring = Ring::new();
        // Others had their CPUs taken by the same.
        let same = Wait { start: ring.time - ms(3), ..ring.slow_yield() };
        assert!(ring.contest.note(same));
        assert_eq!(ring.go(10, ms(100), false), (None, ROUND));
        assert!(ring.contest.note(ring.slow_yield()), "the place is free");
        let fast = Wait { met_rival: None, ..ring.slow_yield() };
        ring.contest.end(64);
        assert!(!ring.contest.note(fast), "no contest without a rival");
    }

    #[test]
    fn both_ways_are_tried_and_the_better_one_stays() {
        for (awake, asleep, better) in [(100, 80, Way::Asleep), (80, 100, Way::Awake)] {
            let mut ring = Ring::new();
            assert_eq!(ring.next(awake, asleep).0, Some(Way::Asleep));
            if better == Way::Awake {
                assert_eq!(ring.next(awake, asleep).0, Some(Way::Awake));
            }
            // Of the first eighth of a second both rounds are a part.
            let (way, behind) = ring.next(awake, asleep);
            assert_eq!(way, Some(better.other()));
            assert!(behind > ms(70), "{better:?} was left behind {behind:?}");
            assert_eq!(ring.next(awake, asleep).0, Some(better), "it has not become worse meanwhile");
        }
    }

    #[test]
    fn the_worse_way_is_tried_again_ever_more_seldom() {
        let mut ring = Ring::new();
        assert_eq!(ring.next(100, 80).0, Some(Way::Asleep));
        let mut last = ms(64);
        for doubled in 0..6 {
            let (way, behind) = ring.next(100, 80);
            assert_eq!(way, Some(Way::Awake));
            assert!(behind > last && behind < LAST + ROUND * 2, "the trial {doubled} came behind {behind:?}");
            let (way, round) = ring.next(100, 80);
            assert_eq!((way, round >= ROUND && round < ROUND + ms(1)), (Some(Way::Asleep), true));
            last = behind.min(LAST - ROUND * 3);
        }
    }

    #[test]
    fn a_round_that_is_hopeless_is_short_and_proves_nothing_about_rivals() {
        let mut ring = Ring::new();
        assert_eq!(ring.next(50, 150).0, Some(Way::Asleep));
        let (way, round) = ring.next(50, 150);
        assert_eq!((way, round >= HOPELESS && round < HOPELESS + ms(1)), (Some(Way::Awake), true));
        // A party that has lost its CPU for the whole round has not come to say so.
        let mut ring = Ring::new();
        assert_eq!(ring.next(100, 10).0, Some(Way::Asleep));
        assert_eq!(ring.next(100, 10).0, Some(Way::Awake));
        let (way, round) = ring.go(100, ms(100), false);
        assert_eq!((way, round >= HOPELESS && round < HOPELESS + ms(1)), (Some(Way::Asleep), true));
    }

    #[test]
    fn a_way_that_becomes_worse_than_the_other_was_is_left() {
        let mut ring = Ring::new();
        assert_eq!(ring.next(50, 80).0, Some(Way::Asleep));
        assert_eq!(ring.next(50, 80).0, Some(Way::Awake));
        let (way, round) = ring.next(100, 80);
        assert_eq!((way, round >= ROUND && round < ROUND + ms(1)), (Some(Way::Asleep), true));
    }

    #[test]
    fn rivals_who_leave_end_the_contest() {
        let mut ring = Ring::new();
        assert_eq!(ring.next(100, 80).0, Some(Way::Asleep));
        assert_eq!(ring.next(100, 80).0, Some(Way::Awake));
        assert_eq!(ring.go(10, ms(100), false), (None, ROUND));
    }

    #[test]
    fn a_place_is_one_barriers_until_it_has_made_no_trips_for_long() {
        let mut ring = Ring::new();
        let other = |ring: &Ring| Look { who: 128, ..ring.look() };
        let slow = |ring: &Ring| Wait { who: 128, met_rival: Some(other(ring)), ..ring.slow_yield() };
        ring.time += ms(30);
        assert_eq!((ring.contest.way(other(&ring)), ring.contest.note(slow(&ring))), (None, false));
        ring.time += STALE - ms(30);
        assert!(ring.contest.note(slow(&ring)));
        assert_eq!((ring.contest.way(ring.look()), ring.contest.way(other(&ring))), (None, Some(Way::Awake)));
        // A barrier may lose its own contest by that, too.
        ring.time += STALE;
        assert_eq!((ring.contest.way(other(&ring)), ring.contest.note(ring.slow_yield())), (None, true));
    }

    #[test]
    fn yields_longer_than_a_round_are_no_accident() {
        let mut ring = Ring::new();
        let began = ring.time;
        // Its wait had begun before the contest did.
        ring.time += ms(20);
        assert!(ring.contest.note(Wait { start: began - ms(20), ..ring.slow_yield() }));
        ring.time += ms(20);
        assert_eq!(ring.contest.way(ring.look()), Some(Way::Asleep));
        // And where a contest is of no use, each other wait is a lesson.
        let mut ring = Ring::new();
        ring.time += STALE;
        assert!(!ring.contest.note(ring.slow_yield()));
        assert_eq!(ring.contest.way(ring.look()), None);
        assert!(ring.contest.note(ring.slow_yield()));
    }

    #[test]
    fn who_begins_late_what_another_has_begun_goes_on_with_it() {
        let mut ring = Ring::new();
        ring.time += ms(4);
        assert!(ring.contest.begin(ring.look()));
        ring.time += ms(12);
        assert_eq!(ring.contest.way(ring.look()), None, "it was over a round behind its first beginning");
    }

    #[test]
    fn another_clock_and_another_count_do_no_harm() {
        for back in [ms(1), ms(100), Duration::from_secs(4)] {
            let mut ring = Ring::new();
            assert_eq!(ring.next(100, 80).0, Some(Way::Asleep));
            (ring.time, ring.arrivals) = (ring.time - back, 0);
            let (way, _) = ring.go(100, ms(300), false);
            assert_ne!(way, Some(Way::Asleep), "with a clock {back:?} behind");
        }
    }

    #[test]
    fn places_are_few_and_each_barrier_has_one() {
        let places = |who: u64| std::ptr::from_ref(place_of(who).unwrap()).addr();
        let mut all = (0..100).map(|number| places(0x7f00_1234_0000 + number * 32)).collect::<Vec<_>>();
        assert_eq!(places(0x7f00_1234_0000), all[0]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
