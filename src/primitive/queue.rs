//! The kernel's queue of sleepers: `futex(2)`, and what to do when it does not do its part.
//!
//! A sleeper looks again whenever it wakes, so no answer of the kernel can release anybody too early. What is left to guard
//! against is the opposite: that somebody sleeps on, or burns its CPU.
//!
//! | the kernel | then |
//! |---|---|
//! | loses a wake, or refuses it (`ENOSYS`, `EPERM`: a system call filter) | nobody sleeps for longer than [`LONGEST`] without a look, so the wake is late and not lost; who was refused says so to all, and from then on they sleep for naps |
//! | refuses to let a thread sleep | it rests by the clock instead, for naps that grow from 0.1 to 1.6 ms |
//! | wakes at once again and again (`EINTR`, `EAGAIN` although the word is the same: a storm of signals, a filter that lies) | after [`PATIENCE`] times the sleeper rests for a nap each time |
//! | refuses the clock's sleep as well | the sleeper yields |
//!
//! Without that look sleeps only who [dozes](Queue::doze) without a limit: at a barrier of C programs, of which nobody else knows, once a
//! wake of this process has ended a sleep, if nothing was refused by then. A filter that refuses wakes and comes later, or is that of a child
//! or of some of the threads alone, lets it sleep on, as it would in the C library.
//!
//! The look every [`LONGEST`] costs a sleeper some 10 µs of each second. It would also hide a wake that this crate forgot: hence
//! [`Queue::sleep`] says whether nothing but the look ended the sleep, and the tests demand that nobody has overslept (`wait`).

use super::{AtomicU32, Instant, Ordering, Reach, rest};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};
use std::sync::atomic::AtomicU8;
use std::time::Duration;

/// The longest sleep without a look.
const LONGEST: Duration = Duration::from_secs(1);

/// Sleeps of one wait that may end for no reason before it rests by the clock.
const PATIENCE: u32 = 8;

/// Everybody. One less than std's mutexes and locks say, so that a filter which a test installs can tell the two apart: what std
/// does when its wakes are refused is not ours to mend.
const ALL: u32 = i32::MAX as u32 - 1;

/// What the kernel has done so far.
///
/// Relaxed: a sleeper with a limit that has not heard of a refusal looks after [`LONGEST`].
struct Record(AtomicU8);

/// Of this process; a child that is forked off inherits it.
static RECORD: Record = Record(AtomicU8::new(Record::NOTHING));

impl Record {
    const NOTHING: u8 = 0;
    /// A wake has ended a sleep, and nothing has been refused.
    const WAKES: u8 = 1;
    /// A sleep or a wake has been refused. For good.
    const REFUSES: u8 = 2;

    /// From another process a wake would say nothing of this one's.
    fn note_wake(&self, reach: Reach) {
        if reach == Reach::Process && self.0.load(Ordering::Relaxed) == Self::NOTHING {
            // Fails where somebody has noted something else meanwhile, which is the better knowledge.
            let _ = self.0.compare_exchange(Self::NOTHING, Self::WAKES, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn note_refusal(&self) {
        self.0.store(Self::REFUSES, Ordering::Relaxed);
    }

    fn obeys(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Self::REFUSES
    }

    fn wakes_come(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::WAKES
    }
}

/// How long a thread rests in place of a sleep.
fn nap(fruitless: u32) -> Duration {
    Duration::from_micros(100) * (1 << (fruitless / 4).min(4))
}

/// Private futexes are found by their address alone, which is quicker, and only in this process.
fn flags(reach: Reach) -> Flags {
    match reach {
        Reach::Process => Flags::PRIVATE,
        Reach::Machine => Flags::empty(),
    }
}

/// Why a sleep was not ended by a wake.
pub(super) type Failure = Errno;

/// The kernel keeps the queue.
#[derive(Debug)]
pub(super) struct Queue;

impl Queue {
    pub(super) const fn new() -> Self {
        Self
    }

    /// Whether it slept for [`LONGEST`], and nobody woke it, nor was refused to.
    #[inline]
    pub(super) fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        expires: Option<Instant>,
        fruitless: u32,
        reach: Reach,
    ) -> bool {
        let most = if Self::obeys() { LONGEST } else { nap(fruitless) };
        let left = expires.map_or(most, |at| at.saturating_duration_since(super::now()).min(most));
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
        match futex::wait(word, flags(reach), expected, Some(&timeout)) {
            Ok(()) => {
                RECORD.note_wake(reach);
                false
            }
            Err(errno) => Self::recover(errno, word, expected, left, fruitless),
        }
    }

    /// Sleeps until a wake of this process, for [`LONGEST`] or without a limit: a timer, which a sleep hardly ever needs, costs an idle CPU
    /// some microseconds where it is virtual. Without one where [`wakes come`](Queue::wakes_come).
    #[inline(always)]
    pub(super) fn doze(&self, word: &AtomicU32, expected: u32, limited: bool) -> Result<(), Failure> {
        const LIMIT: Timespec = Timespec { tv_sec: LONGEST.as_secs() as _, tv_nsec: 0 };
        match futex::wait(word, Flags::PRIVATE, expected, limited.then_some(&LIMIT)) {
            // Rung before it fell asleep, as often where two come together: as good as a wake. (Relaxed: the caller looks again.)
            Err(Errno::AGAIN) if word.load(Ordering::Relaxed) != expected => Ok(()),
            Ok(()) => {
                if limited {
                    RECORD.note_wake(Reach::Process);
                }
                Ok(())
            }
            failure => failure,
        }
    }

    /// Rests behind a failed [`Queue::doze`] as [`Queue::sleep`] does, and says what that says.
    #[cold]
    pub(super) fn recover_from_doze(&self, errno: Failure, word: &AtomicU32, expected: u32, fruitless: u32) -> bool {
        Self::recover(errno, word, expected, LONGEST, fruitless)
    }

    /// Whether the kernel has refused nothing so far.
    pub(super) fn obeys() -> bool {
        RECORD.obeys()
    }

    /// Whether a wake has ended a sleep of this process, and the kernel has refused nothing so far.
    pub(super) fn wakes_come() -> bool {
        RECORD.wakes_come()
    }

    /// What follows a sleep of at most `left` that no wake has ended.
    #[cold]
    #[inline(never)]
    fn recover(errno: Errno, word: &AtomicU32, expected: u32, left: Duration, fruitless: u32) -> bool {
        match errno {
            Errno::TIMEDOUT => return left == LONGEST && Self::obeys(),
            Errno::AGAIN | Errno::INTR => {
                if fruitless < PATIENCE || word.load(Ordering::Relaxed) != expected {
                    return false;
                }
            }
            _ => RECORD.note_refusal(),
        }
        rest(left.min(nap(fruitless)));
        false
    }

    #[inline]
    pub(super) fn wake_all(&self, word: &AtomicU32, reach: Reach) {
        if futex::wake(word, flags(reach), ALL).is_err() {
            RECORD.note_refusal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_grow_from_a_tenth_of_a_millisecond_to_sixteen_times_that() {
        let naps = [0, 3, 4, 8, 12, 16, 20, u32::MAX].map(|fruitless| nap(fruitless).as_micros());
        assert_eq!(naps, [100, 100, 200, 400, 800, 1600, 1600, 1600]);
    }

    #[test]
    fn wakes_come_once_one_has_ended_a_sleep_and_nothing_is_refused() {
        let known = || Queue::wakes_come() || !Queue::obeys();
        let (queue, word) = (Queue::new(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !known() {
                    std::thread::sleep(Duration::from_millis(1));
                    queue.wake_all(&word, Reach::Process);
                }
            });
            while !known() {
                let _ = queue.doze(&word, 0, true);
            }
        });
        let record = Record(AtomicU8::new(Record::NOTHING));
        let says = || (record.obeys(), record.wakes_come());
        assert_eq!(says(), (true, false));
        record.note_wake(Reach::Machine);
        assert_eq!(says(), (true, false), "whose wake was it?");
        record.note_wake(Reach::Process);
        assert_eq!(says(), (true, true));
        record.note_refusal();
        record.note_wake(Reach::Process);
        assert_eq!(says(), (false, false), "a refusal is for good");
    }

    #[test]
    fn a_sleep_that_nobody_ends_ends_by_its_limit_and_a_word_that_has_changed_allows_none() {
        let (queue, word) = (Queue::new(), AtomicU32::new(7));
        for reach in [Reach::Process, Reach::Machine] {
            let start = super::super::now();
            let long = Duration::from_millis(20);
            assert!(!queue.sleep(&word, 7, Some(start + long), 0, reach), "it was told to look then");
            assert!(start.elapsed() >= long);
            assert!(!queue.sleep(&word, 8, None, 0, reach));
            assert!(!queue.sleep(&word, 8, None, PATIENCE + 1, reach));
        }
        for limited in [false, true] {
            assert_eq!(queue.doze(&word, 8, limited), Ok(()), "a word that has changed is as good as a wake");
        }
        assert!(!queue.recover_from_doze(Errno::AGAIN, &word, 8, PATIENCE + 1));
        let start = super::super::now();
        assert_eq!(queue.doze(&word, 7, true), Err(Errno::TIMEDOUT));
        assert!(start.elapsed() >= LONGEST);
        let overslept = queue.recover_from_doze(Errno::TIMEDOUT, &word, 7, 0);
        assert_eq!(overslept, Queue::obeys(), "nobody has woken it, nor been refused to");
    }
}
