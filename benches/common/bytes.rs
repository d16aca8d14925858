//! An allocator that knows how much is in use: what a barrier costs in memory is what is in use more once it is built.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Bytes that were allocated and not given back, by all threads.
pub(crate) fn in_use() -> usize {
    IN_USE.load(Relaxed)
}

/// The system's allocator, with a count.
pub(crate) struct Counting;

// SAFETY: passes everything on to `System`, unchanged. (`realloc` and `alloc_zeroed` are the trait's own, which call these.)
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
