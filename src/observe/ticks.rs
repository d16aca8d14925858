//! The clock of the timeline: the processor's own counter where that is fit for it, and what its ticks are in nanoseconds.
//!
//! A trip of two near parties takes some 60 ns, and `Instant::now` a third of that. Reading the time stamp counter takes less
//! than half as long; so that is what parties note, and whoever reads the timeline does the sums. `quanta` says whether the counter
//! is fit (it runs at one rate, and in all sleep states), takes the system's monotonic clock if not, and measures the rate:
//! once in a process, for up to 200 ms (its `MAXIMUM_CAL_TIME_NS`).
//!
//! All timelines of a process count from the same tick, so that several can be laid beside each other.
//!
//! # Ordering
//!
//! A stamp of an arrival is taken before the arrival is published, and is not later than that: a processor's stores become
//! visible after they have retired, in order, and so after the counter's read has. (On AArch64 that is what processors do,
//! not what the manual promises.) A stamp of a release is taken behind the load that let the party go, but a processor may read
//! its counter ahead of a load that it has guessed the outcome of, and so too early by as long as the load takes: one line
//! transfer. A fence that forbids it (LFENCE, ISB) costs more than all the rest of the timeline: measured between two
//! cores at 160 ns a trip, 1.2 to 1.33 of a trip without a timeline, against 1.03 without the fence. So there is none, and
//! whoever reads the timeline puts the releases right (`timeline.rs`, "What is put right").
//!
//! All that as far as the counters of all processors agree: the system sees to that, or uses another clock, which `quanta`
//! does not know (Linux: `/sys/devices/system/clocksource/clocksource0/current_clocksource` says `tsc` where they do).

#[cfg(not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle)))))]
pub(crate) use counter::Ticks;
#[cfg(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))]
pub(crate) use plain::Ticks;

#[cfg(not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle)))))]
mod counter {
    #[cfg(target_arch = "x86_64")]
    use super::reads_time_stamp;
    use std::sync::OnceLock;

    /// See the module.
    #[derive(Debug)]
    pub(crate) struct Ticks {
        clock: quanta::Clock,
        /// What the clock reads is the time stamp counter: it may be read without a call.
        #[cfg(target_arch = "x86_64")]
        inline: bool,
        origin: u64,
    }

    impl Ticks {
        /// The one of this process.
        pub(crate) fn shared() -> &'static Self {
            static SHARED: OnceLock<Ticks> = OnceLock::new();
            SHARED.get_or_init(|| {
                let clock = quanta::Clock::new();
                let origin = clock.raw();
                Self {
                    #[cfg(target_arch = "x86_64")]
                    inline: (0..16).any(|_| reads_time_stamp(&clock)),
                    clock,
                    origin,
                }
            })
        }

        /// The time; see the module for what it comes before and behind.
        #[inline(always)]
        pub(crate) fn read(&self) -> u64 {
            #[cfg(target_arch = "x86_64")]
            if self.inline {
                return crate::primitive::time_stamp();
            }
            self.clock.raw()
        }

        /// A stamp as nanoseconds since the first of the process. Keeps the order.
        pub(crate) fn nanos(&self, stamp: u64) -> u64 {
            self.clock.delta_as_nanos(self.origin, stamp)
        }
    }
}

/// Whether `clock` answers what the time stamp counter does: between two readings a few nanoseconds apart, where a number of
/// nanoseconds would have to be by chance. (It does not say itself which clock it has taken.)
#[cfg(all(target_arch = "x86_64", not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))))]
fn reads_time_stamp(clock: &quanta::Clock) -> bool {
    use crate::primitive::time_stamp;
    let (before, answer, after) = (time_stamp(), clock.raw(), time_stamp());
    (before..=after).contains(&answer)
}

/// Where there is no such counter: an interpreter, a model.
#[cfg(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))]
mod plain {
    use crate::primitive::now;
    use crate::wait::nanos;

    /// See the module.
    #[derive(Debug)]
    pub(crate) struct Ticks;

    impl Ticks {
        pub(crate) fn shared() -> &'static Self {
            &Self
        }

        pub(crate) fn read(&self) -> u64 {
            nanos(now())
        }

        pub(crate) fn nanos(&self, stamp: u64) -> u64 {
            stamp
        }
    }
}
