//! The meeting of the crew before and after each round; not measured.
//!
//! It must leave no trace in the round that follows. So it has cache lines of its own, spins only where every thread
//! has a CPU, and sleeps after that: while a foreign runtime is being measured, or with more parties than CPUs, the
//! crew that waits must not run.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A value alone on its cache line, and on the neighbour that the prefetcher fetches with it.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Line<T>(pub T);

/// A barrier of the plainest kind, for `parties` threads.
pub struct Gate {
    parties: usize,
    spin: Duration,
    arrived: Line<AtomicUsize>,
    meeting: Line<AtomicU64>,
    asleep: Mutex<()>,
    opened: Condvar,
}

impl Gate {
    /// Spins for a fifth of a millisecond if `parties` have a CPU each, else sleeps at once.
    pub fn new(parties: usize, cpus: usize) -> Self {
        Self {
            parties,
            spin: if parties <= cpus { Duration::from_micros(200) } else { Duration::ZERO },
            arrived: Line::default(),
            meeting: Line::default(),
            asleep: Mutex::default(),
            opened: Condvar::new(),
        }
    }

    /// Returns when all have come.
    pub fn meet(&self) {
        self.meet_after(self.spin);
    }

    /// The same, but sleeps at once: for those who have nothing to do while somebody else needs all CPUs.
    pub fn meet_asleep(&self) {
        self.meet_after(Duration::ZERO);
    }

    fn meet_after(&self, spin: Duration) {
        // Nobody can open this meeting before we have been counted, so the number read here is ours.
        let mine = self.meeting.0.load(Ordering::Relaxed);
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.parties {
            self.arrived.0.store(0, Ordering::Relaxed);
            let held = self.asleep.lock().expect("no thread panics at the gate");
            self.meeting.0.store(mine + 1, Ordering::Release);
            drop(held);
            self.opened.notify_all();
            return;
        }
        let closed = || self.meeting.0.load(Ordering::Acquire) == mine;
        let start = Instant::now();
        while closed() && start.elapsed() < spin {
            std::hint::spin_loop();
        }
        if closed() {
            let mut held = self.asleep.lock().expect("no thread panics at the gate");
            while closed() {
                held = self.opened.wait(held).expect("no thread panics at the gate");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_leaves_before_the_last_has_come() {
        for cpus in [1, 8] {
            let (gate, count) = (Gate::new(3, cpus), AtomicUsize::new(0));
            std::thread::scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| {
                        for meeting in 1..=200 {
                            count.fetch_add(1, Ordering::Relaxed);
                            gate.meet();
                            assert_eq!(count.load(Ordering::Relaxed), 3 * meeting);
                            gate.meet();
                        }
                    });
                }
            });
        }
    }
}
