//! What the parties of a barrier in place have learned of their waits.
//!
//! In one word, since there are no handles that could keep it. All of it is hints, of which a lost update costs a few microseconds.
//!
//! Beyond the averages of `pace.rs`: whether it was in vain that they stayed awake. A wait that ended with a sleep was; after three in a
//! row nobody stays awake for a while, and then one is enough for twice as long. Spinning in vain costs its budget where everybody has a
//! CPU. Where the one who is missing has been kept out by it (threads of unequal real-time priority on one CPU), it is what the wait
//! consists of, and no average tells: the wait is as long as the budget.
//!
//! Waits that are far apart are paused for in the same way, though not for as many: there nobody stays awake beyond the bare polls in any
//! case, and all waits of the pause but those for its last trip do without those and (but for what is below) the clock, too; so such a
//! pause is one of trips, which the first to arrive counts. Within a process, where nobody wants the time and the kernel has refused
//! nothing, the waits around such pauses look up each second and no more, and not even that once a wake has ended a sleep of the process: a
//! program that sleeps for most of its time has lost its caches by the next trip, so that each page of memory which a wait touches shows in
//! its CPU time. Of those who waited for one trip one learns, so that a pause begins behind three trips at the least and not behind the
//! first that has three sleepers; and whom on this way the look of the second has woken learns nothing.
//!
//! Where all sleep, and not for one another, their timers fire at one time, and whoever is first on its CPU has but to let the others run: a few
//! yields, and nobody sleeps or has to be woken. A wait between two pauses finds out, and yields before it sleeps; if that was enough, all
//! waits of the next pause do, and those for its last trip find out whether it still is. A rival takes a time slice for each yield, so the
//! clock is looked at around these yields, in a pause on each fourth trip. One that is slow ends them for this pause and for some to
//! come, whatever the others have seen.
//!
//! A wait that met a rival has a contest begun (`contest.rs`), and is a lesson only where there can be none: among processes, and where
//! another barrier has the place.

use std::time::{Duration, Instant};

/// The lessons, out of their word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lessons {
    /// Average of the long waits, in units of 64 ns; some four milliseconds at most.
    pub(super) average: u16,
    /// Long waits left without spinning.
    pub(super) penance: u8,
    /// Long waits in vain in a row.
    pub(super) vain: u8,
    /// How often the next pause is to be doubled.
    pub(super) doubled: u8,
    /// Long waits left for which everybody sleeps at once; trips, if they are far apart.
    pub(super) pause: u16,
    /// When the last one ended, in units of 65.536 µs, modulo 2^23.
    pub(super) ended: u32,
    /// Whether the pause is one of waits that are far apart.
    pub(super) apart: bool,
    /// Whether those who wait far apart come together, so that a few yields are enough.
    pub(super) together: bool,
    /// Pauses of waits far apart that begin before anybody finds that out, because a yield was slow.
    pub(super) shy: u8,
}

/// The unit of the average, and that of the time.
pub(super) const GRAIN: u64 = 64;
const TICK: u128 = 1 << 16;

/// Bits of the time.
const ENDED: u32 = 23;

/// Pauses without yields behind a slow one; two bits.
const SHY: u8 = 3;

/// In the word: a pause of waits that are far apart; that those come together; a wait of a pause, all of them, and those bits
/// of them that are 0 on each fourth.
pub(super) const APART: u64 = 1 << 63;
pub(super) const TOGETHER: u64 = 1 << 62;
pub(super) const ONE_PAUSE: u64 = 1 << 26;
pub(super) const PAUSES: u64 = 2047 << 26;
pub(super) const FOURTH: u64 = 3 << 26;

/// Where the last long wait ended so many spin budgets ago, spinning gains less than a hundredth, and in a program that sleeps
/// in between costs a multiple of all else: nobody stays awake.
const SELDOM: u32 = 100;

/// Who does not spin yields where CPUs are scarce: that too is worth its while among trips in quick succession.
const LEAST_SPIN: Duration = Duration::from_micros(10);

/// Long waits in a row that have to be in vain: everything else on the machine needs a CPU now and then.
const ACCIDENTS: u8 = 3;

/// The first pause, in long waits, and how often it is doubled at most.
pub(super) const PAUSE: u16 = 16;
const DOUBLED: u8 = 6;

/// All pauses of waits far apart but the first, in trips: should they come in quick succession all at once, so many are slept through at most.
pub(super) const PAUSE_OF_FEW: u16 = 64;

impl Lessons {
    pub(super) fn unpack(word: u64) -> Self {
        let bits = |from: u32, count: u32| (word >> from & ((1 << count) - 1)) as u32;
        Self {
            average: bits(0, 16) as u16,
            penance: bits(16, 5) as u8,
            vain: bits(21, 2) as u8,
            doubled: bits(23, 3) as u8,
            pause: bits(26, 11) as u16,
            ended: bits(37, ENDED),
            apart: word & APART != 0,
            together: word & TOGETHER != 0,
            shy: bits(60, 2) as u8,
        }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.average)
            | u64::from(self.penance.min(31)) << 16
            | u64::from(self.vain.min(3)) << 21
            | u64::from(self.doubled.min(7)) << 23
            | (u64::from(self.pause.min(2047)) * ONE_PAUSE)
            | u64::from(self.ended) << 37
            | if self.apart { APART } else { 0 }
            | if self.together { TOGETHER } else { 0 }
            | u64::from(self.shy.min(SHY)) << 60
    }

    fn tick(epoch: Instant, time: Instant) -> u32 {
        let ticks = time.saturating_duration_since(epoch).as_nanos() / TICK;
        ticks as u32 & ((1 << ENDED) - 1)
    }

    /// Whether the last long wait ended [`SELDOM`] spin budgets before `start`. (Processes that share a barrier have to count from one `epoch`.)
    pub(super) fn are_long_ago(self, epoch: Instant, start: Instant, spin: Duration) -> bool {
        let since = Self::tick(epoch, start).wrapping_sub(self.ended) & ((1 << ENDED) - 1);
        // What ended in the tick that is 0 is told as of the next, and may seem to lie ahead.
        let behind = self.ended != 0 && since < 1 << (ENDED - 1);
        behind && u128::from(since) * TICK > Self::distance(spin).as_nanos()
    }

    /// How long after the last one a wait has to begin to be far apart.
    fn distance(spin: Duration) -> Duration {
        spin.max(LEAST_SPIN).saturating_mul(SELDOM)
    }

    /// For when the end of a wait that was slept through far apart counts, so that the next is far apart, too, if it begins right behind
    /// it and ends as late: where one party waits for another, which waits for it next.
    pub(super) fn end_of_doze(start: Instant, end: Instant, spin: Duration) -> Instant {
        start.checked_add(Self::distance(spin) / 2).map_or(end, |soon| soon.min(end))
    }

    /// With a wait that ended then.
    pub(super) fn at(self, epoch: Instant, end: Instant) -> Self {
        // 0 is never.
        Self { ended: Self::tick(epoch, end).max(1), ..self }
    }

    /// With a wait that ended two minutes before `time`.
    #[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
    pub(super) fn long_before(self, epoch: Instant, time: Instant) -> Self {
        let ended = Self::tick(epoch, time).wrapping_sub(1 << (ENDED - 2)) & ((1 << ENDED) - 1);
        Self { ended: ended.max(1), ..self }
    }

    /// Behind one more long wait that came long after the last. That it was soon over says nothing of those in quick succession.
    pub(super) fn after_one_of_few(self, in_vain: bool) -> Self {
        if !in_vain {
            return self;
        }
        let after = self.after((u64::from(self.average) * GRAIN, self.penance), true);
        let begins = self.pause == 0 && after.pause > 0;
        let pause = if begins && self.doubled > 0 { PAUSE_OF_FEW } else { after.pause.min(PAUSE_OF_FEW) };
        let shy = self.shy.saturating_sub(u8::from(begins));
        Self { pause, doubled: if begins { 1 } else { after.doubled }, apart: after.pause > 0, shy, ..after }
    }

    /// Behind a wait far apart that a few yields have ended.
    pub(super) fn of_one_who_met(self) -> Self {
        Self { together: self.shy == 0, ..self }
    }

    /// Behind a yield that was slow.
    pub(super) fn beside_rivals(self) -> Self {
        Self { together: false, shy: SHY, ..self }
    }

    /// Behind one more long wait.
    pub(super) fn after(self, averages: (u64, u8), in_vain: bool) -> Self {
        let same = self.with(averages);
        if self.pause > 0 {
            let pause = self.pause - 1;
            return Self { pause, apart: self.apart && pause > 0, ..same };
        }
        if !in_vain {
            return Self { vain: 0, doubled: 0, ..same };
        }
        if self.vain + 1 < ACCIDENTS {
            return Self { vain: self.vain + 1, ..same };
        }
        let doubled = self.doubled.min(DOUBLED);
        Self { pause: PAUSE << doubled, doubled: (doubled + 1).min(DOUBLED), vain: ACCIDENTS - 1, ..same }
    }

    /// With the averages of a pace.
    pub(super) fn with(self, (average, penance): (u64, u8)) -> Self {
        Self { average: u16::try_from(average / GRAIN).unwrap_or(u16::MAX), penance, ..self }
    }

    /// The longest pause that there is, of waits far apart.
    #[cfg(test)]
    pub(super) fn longest_pause() -> Self {
        Self { pause: PAUSE << DOUBLED, apart: true, ..Self::default() }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::primitive::now;

    #[test]
    fn lessons_survive_the_word() {
        for apart in [false, true] {
            let lessons = Lessons {
                average: 0xBEEF,
                penance: 17,
                vain: 2,
                doubled: 6,
                pause: 1024,
                ended: 0x6B_CDEF,
                apart,
                together: !apart,
                shy: 2,
            };
            assert_eq!(Lessons::unpack(lessons.pack()), lessons);
        }
        assert_eq!(Lessons::unpack(0), Lessons::default());
        let long = Lessons::default().after((u64::MAX, 3), false);
        assert_eq!((long.average, long.penance), (u16::MAX, 3));
        let ended = (1 << ENDED) - 1;
        let most = Lessons {
            average: u16::MAX,
            penance: 31,
            vain: 3,
            doubled: 7,
            pause: 2047,
            ended,
            apart: true,
            together: true,
            shy: 3,
        };
        assert_eq!((most.pack(), Lessons::unpack(u64::MAX)), (u64::MAX, most));
        assert_eq!(Lessons::unpack(PAUSES), Lessons { pause: 2047, ..Lessons::default() });
        assert_eq!(Lessons::unpack(most.pack() - ONE_PAUSE), Lessons { pause: 2046, ..most });
    }

    #[test]
    fn three_waits_in_vain_in_a_row_are_a_pause_and_then_one_is_for_twice_as_long() {
        let met = |lessons: Lessons, times: &[bool]| times.iter().fold(lessons, |l, &vain| l.after((0, 0), vain));
        assert_eq!(met(Lessons::default(), &[true, true, false, true, true]).pause, 0);
        let mut lessons = met(Lessons::default(), &[true, true, true]);
        for doubled in [0, 1, 2, 3, 4, 5, 6, 6, 6] {
            assert_eq!(lessons.pause, PAUSE << doubled);
            lessons = met(lessons, &vec![true; usize::from(lessons.pause)]);
            assert_eq!(lessons.pause, 0);
            lessons = met(lessons, &[true]);
        }
        let behind = met(lessons, &vec![false; usize::from(lessons.pause) + 1]);
        assert_eq!((behind.vain, behind.doubled, met(behind, &[true, true]).pause), (0, 0, 0));
    }

    #[test]
    fn nobody_stays_awake_for_trips_that_are_far_apart() {
        let (epoch, spin) = (now(), Duration::from_micros(40));
        let at = |millis| epoch + Duration::from_millis(millis);
        let lessons = Lessons::default();
        assert!(!lessons.are_long_ago(epoch, at(1000), spin), "there has been none");
        let lessons = lessons.at(epoch, at(1000));
        let seldom = [1000, 1003, 1005, 1010].map(|millis| lessons.are_long_ago(epoch, at(millis), spin));
        assert_eq!(seldom, [false, false, true, true]);
        let without_spinning = [1000, 1003].map(|millis| lessons.are_long_ago(epoch, at(millis), Duration::ZERO));
        assert_eq!(without_spinning, [false, true]);
        // Across the end of the time that fits.
        let wrap = Duration::from_nanos((TICK as u64) << ENDED); // Some nine minutes.
        let lessons = lessons.at(epoch, epoch + wrap - Duration::from_millis(1));
        assert!(
            !lessons.are_long_ago(epoch, epoch + wrap, spin)
                && lessons.are_long_ago(epoch, epoch + wrap + spin * 150, spin)
        );
        let long_before = Lessons::default().long_before(epoch, at(1000));
        let seldom = [1000, 1001, 60_000].map(|millis| long_before.are_long_ago(epoch, at(millis), spin));
        assert_eq!(seldom, [true; 3]);
        let behind = |lasted: u64| {
            let end = Lessons::end_of_doze(at(1000), at(1000 + lasted), spin);
            Lessons::default().at(epoch, end).are_long_ago(epoch, at(1000 + lasted), spin)
        };
        assert_eq!(
            [0, 1, 5, 8, 10].map(behind),
            [false, false, false, true, true],
            "right behind a sleep that lasted so long"
        );
        assert_eq!(Lessons::end_of_doze(at(0), at(9), Duration::MAX), at(9));
        let first = Lessons::default().at(epoch, epoch);
        assert_eq!((first.ended, first.are_long_ago(epoch, epoch, spin)), (1, false));
    }

    #[test]
    fn waits_far_apart_are_slept_through_after_three_that_slept_and_not_for_as_many_as_waits_in_vain() {
        let met = |lessons: Lessons, times: &[bool]| times.iter().fold(lessons, |l, &vain| l.after_one_of_few(vain));
        // One that was soon over says nothing, and does not begin the row anew.
        let fresh = Lessons { average: 70, penance: 3, ..Lessons::default() };
        assert_eq!(met(fresh, &[false, true, false, true, false]), Lessons { vain: 2, ..fresh });
        let mut lessons = met(fresh, &[true, true, true]);
        for pause in [PAUSE, PAUSE_OF_FEW, PAUSE_OF_FEW, PAUSE_OF_FEW] {
            assert_eq!((lessons.pause, lessons.average, lessons.penance), (pause, 70, 3));
            assert!(lessons.apart);
            // Of those who look at the clock all the same, since somebody wants the time, each counts one, too.
            lessons = met(lessons, &vec![true; usize::from(lessons.pause)]);
            assert_eq!((lessons.pause, lessons.apart), (0, false));
            lessons = met(lessons, &[true]);
        }
        let behind = Lessons { pause: 0, apart: false, ..lessons }.after((0, 0), false);
        assert_eq!((behind.vain, behind.doubled), (0, 0), "one in quick succession that was worth staying awake for");
        let in_vain = [true; 3].iter().fold(fresh, |lessons, &vain| lessons.after((0, 0), vain));
        assert_eq!((in_vain.pause, in_vain.apart), (PAUSE, false), "waits in quick succession begin another pause");
        let long = Lessons { pause: PAUSE << DOUBLED, doubled: DOUBLED, ..in_vain }.after_one_of_few(true);
        assert_eq!((long.pause, long.apart), (PAUSE_OF_FEW, true), "a long one becomes one of these");
    }
}
