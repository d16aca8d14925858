//! A place that is filled once and read without a lock, also by the child of a fork.
//!
//! `OnceLock` has those wait who come while it is being filled. A child that was forked at that moment would wait for a thread that
//! it does not have. Here nobody waits: who comes too early gets nothing, and makes do.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
/// Somebody fills it, or the fork's parent did.
const CLAIMED: u32 = 1;
const FULL: u32 = 2;

pub(crate) struct Once<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written by the one thread that has claimed the place, and read behind that (`state`); `Copy` has no drop.
unsafe impl<T: Copy + Send + Sync> Sync for Once<T> {}

impl<T: Copy> Once<T> {
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the release of `fill`.
        if self.state.load(Ordering::Acquire) != FULL {
            return None;
        }
        // SAFETY: FULL is stored behind the only write, so the value is there and does not change any more.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Fills it with what `make` makes, if nobody has or is about to.
    pub(crate) fn fill(&self, make: impl FnOnce() -> T) {
        // Relaxed: claiming carries nothing.
        if self.state.compare_exchange(EMPTY, CLAIMED, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let value = make();
            // SAFETY: the exchange succeeds once, so this is the only write, and nobody reads before FULL.
            unsafe { (*self.value.get()).write(value) };
            self.state.store(FULL, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_once_and_nobody_waits_for_who_fills_it() {
        static PLACE: Once<u64> = Once::new();
        assert_eq!(PLACE.get(), None);
        PLACE.fill(|| {
            // As another thread sees it meanwhile, or the child of a fork for ever.
            PLACE.fill(|| unreachable!());
            assert_eq!(PLACE.get(), None);
            7
        });
        PLACE.fill(|| unreachable!());
        assert_eq!(PLACE.get(), Some(&7));
    }
}
