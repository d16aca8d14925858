//! The clock of the timeline: the processor's own counter where that is fit for it, and what its ticks are in nanoseconds.
//!
//! A trip of two near parties takes some 60 ns, and `Instant::now` a third of that. Reading the time stamp counter takes a
//! seventh; so that is what parties note, and whoever reads the timeline does the sums. `quanta` says whether the counter
//! is fit (it runs at one rate, and in all sleep states), takes the system's monotonic clock if not, and measures the rate:
//! once in a process, for up to 200 ms (its `MAXIMUM_CAL_TIME_NS`).
//!
//! All timelines of a process count from the same tick, so that several can be laid beside each other.
//!
//! # Ordering
//!
//! A stamp of an arrival is taken before the arrival is published, and is not later than that: a processor's stores become
//! visible after they have retired, in order, and so after the counter's read has. A stamp of a release is taken behind a
//! [`load_fence`], and is not earlier than the load that let the party go. So no release is stamped before the last
//! arrival, as far as the counters of all processors agree: the system sees to that, or uses another clock, which `quanta`
//! does not know (Linux: `/sys/devices/system/clocksource/clocksource0/current_clocksource` says `tsc` where they do). On
//! AArch64 the first half is what processors do, not what the manual promises.

#[cfg(not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle)))))]
pub(crate) use counter::Ticks;
#[cfg(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))]
pub(crate) use plain::Ticks;

#[cfg(not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle)))))]
mod counter {
    use crate::primitive::load_fence;
    use std::sync::OnceLock;

    /// See the module.
    #[derive(Debug)]
    pub(crate) struct Ticks {
        clock: quanta::Clock,
        origin: u64,
    }

    impl Ticks {
        /// The one of this process.
        pub(crate) fn shared() -> &'static Self {
            static SHARED: OnceLock<Ticks> = OnceLock::new();
            SHARED.get_or_init(|| {
                let clock = quanta::Clock::new();
                let origin = clock.raw();
                Self { clock, origin }
            })
        }

        /// Not later than what becomes visible behind it.
        #[inline(always)]
        pub(crate) fn before_stores(&self) -> u64 {
            self.clock.raw()
        }

        /// Not earlier than what has been read before it.
        #[inline(always)]
        pub(crate) fn after_loads(&self) -> u64 {
            load_fence();
            self.clock.raw()
        }

        /// A stamp as nanoseconds since the first of the process. Keeps the order.
        pub(crate) fn nanos(&self, stamp: u64) -> u64 {
            self.clock.delta_as_nanos(self.origin, stamp)
        }
    }
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

        pub(crate) fn before_stores(&self) -> u64 {
            nanos(now())
        }

        pub(crate) fn after_loads(&self) -> u64 {
            nanos(now())
        }

        pub(crate) fn nanos(&self, stamp: u64) -> u64 {
            stamp
        }
    }
}
