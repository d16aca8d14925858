//! C9: the memory is free the moment the last wait has returned, and nothing touches it afterwards (B6: glibc, musl,
//! rayon and others have had it).
//!
//! This binary has its own allocator: what is given back is filled with a pattern, kept for a while, and looked at
//! again before it is really freed. A write after the end shows as a broken pattern; a read finds the pattern, which is
//! no state that a barrier has. Not so under Miri, which sees such accesses by itself, and from which the quarantine would
//! hide them.
#![cfg_attr(miri, allow(dead_code))]

mod common;

use common::watch::Step;
use common::{Rng, Watch, few, patience, scaled, watched};
use phalanx::{Algorithm, Barrier, Party, WaitPolicy, compat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const PATTERN: u8 = 0xA6;
const PLACES: usize = 4096;

/// Small blocks wait here before they are freed, in a ring.
struct Quarantine {
    locked: AtomicBool,
    ring: UnsafeCell<[Option<(*mut u8, Layout)>; PLACES]>,
    next: AtomicUsize,
    inspected: AtomicUsize,
    spoiled: AtomicUsize,
}

// SAFETY: `ring` is only touched between `lock` and `unlock`, by one thread at a time.
unsafe impl Sync for Quarantine {}

impl Quarantine {
    /// Runs `visit` on the ring alone. An allocator must not sleep on what may allocate: hence a spin lock that yields.
    fn with<R>(&self, visit: impl FnOnce(&mut [Option<(*mut u8, Layout)>; PLACES]) -> R) -> R {
        while self.locked.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        // SAFETY: the flag was taken with acquire and is given back with release below, so this is the only reference.
        let result = visit(unsafe { &mut *self.ring.get() });
        self.locked.store(false, Ordering::Release);
        result
    }

    /// Counts the block as spoiled if somebody wrote to it.
    fn inspect(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` with this layout, was filled, and is not freed while it is in the ring.
        let intact = (0..layout.size()).all(|at| unsafe { block.add(at).read_volatile() } == PATTERN);
        self.inspected.fetch_add(1, Ordering::Relaxed);
        self.spoiled.fetch_add(usize::from(!intact), Ordering::Relaxed);
    }

    /// Looks at all that waits, and says how many blocks were looked at, and how many were spoiled.
    fn audit(&self) -> (usize, usize) {
        self.with(|ring| ring.iter().flatten().for_each(|(block, layout)| self.inspect(*block, *layout)));
        (self.inspected.load(Ordering::Relaxed), self.spoiled.load(Ordering::Relaxed))
    }
}

static QUARANTINE: Quarantine = Quarantine {
    locked: AtomicBool::new(false),
    ring: UnsafeCell::new([None; PLACES]),
    next: AtomicUsize::new(0),
    inspected: AtomicUsize::new(0),
    spoiled: AtomicUsize::new(0),
};

struct Suspicious;

// SAFETY: blocks come from `System` and go back to it with the layout that they came with, once, later than asked.
// Nothing here allocates or unwinds.
unsafe impl GlobalAlloc for Suspicious {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // The words of a barrier are on lines of their own; smaller blocks are names and lists.
        if layout.align() < 64 || layout.size() > 8192 {
            // SAFETY: `block` came from `alloc` above, from `System`, with this layout.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: the block is `layout.size()` bytes, and the caller has given it up.
        unsafe { block.write_bytes(PATTERN, layout.size()) };
        let place = QUARANTINE.next.fetch_add(1, Ordering::Relaxed) % PLACES;
        let evicted = QUARANTINE.with(|ring| ring[place].replace((block, layout)));
        if let Some((block, layout)) = evicted {
            QUARANTINE.inspect(block, layout);
            // SAFETY: it came from `System` with this layout, has left the ring, and so is freed once.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

#[cfg(not(miri))]
#[global_allocator]
static ALLOCATOR: Suspicious = Suspicious;

fn expect_clean(what: &str) {
    if cfg!(miri) {
        return;
    }
    let (inspected, spoiled) = QUARANTINE.audit();
    assert_eq!(spoiled, 0, "{what}: {spoiled} of {inspected} freed blocks were written to");
    assert!(inspected > 0, "{what}: the barrier's blocks never came by here: nothing was tested");
}

/// The allocator itself: a write after the end is seen.
#[cfg(not(miri))]
#[test]
fn a_write_after_free_is_seen() {
    #[repr(align(64))]
    struct Line([u8; 64]);
    let (block, layout) = (Box::into_raw(Box::new(Line([1; 64]))), Layout::new::<Line>());
    // SAFETY: made by `Box::into_raw` just above.
    drop(unsafe { Box::from_raw(block) });
    let local = Quarantine {
        locked: AtomicBool::new(false),
        ring: UnsafeCell::new([None; PLACES]),
        next: AtomicUsize::new(0),
        inspected: AtomicUsize::new(0),
        spoiled: AtomicUsize::new(0),
    };
    let mut other = Line([PATTERN; 64]);
    let pointer = other.0.as_mut_ptr();
    local.inspect(pointer, layout);
    // SAFETY: within `other`.
    unsafe { pointer.add(63).write(0) };
    local.inspect(pointer, layout);
    assert_eq!(local.spoiled.load(Ordering::Relaxed), 1);
    assert!(
        QUARANTINE.with(|ring| ring.iter().flatten().any(|(kept, _)| *kept == block.cast())),
        "it waits in the ring"
    );
}

/// Each party leaves for good right after its last wait, in any order, the control handle before all of them; the
/// memory goes with whoever is last.
#[test]
fn parties_leave_right_after_their_last_wait() {
    watched("freed: parties", patience(), |watch| {
        for algorithm in few(Algorithm::NAMED) {
            for policy in few(WaitPolicy::ALL) {
                for parties in few([1, 2, 3, 5]) {
                    let slow = policy == WaitPolicy::Spin && parties > common::cpus();
                    for round in 0..scaled(if slow { 1 } else { 20 }) {
                        let barrier =
                            Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).build().unwrap();
                        let handles = barrier.take_parties().unwrap();
                        drop(barrier);
                        let rng = Rng::new(watch.rng().next() ^ round as u64);
                        live_and_leave(watch, handles, rng);
                    }
                }
            }
        }
        expect_clean("parties");
    });
}

fn live_and_leave(watch: &Watch, handles: Vec<Party>, rng: Rng) {
    let jobs = handles.into_iter().map(|mut party| {
        let mut rng = rng.fork(party.rank());
        let job = move || {
            for trip in 0..3 {
                watch.mark(party.rank(), trip, Step::Waiting);
                rng.dawdle();
                assert!(party.wait().is_ok(), "nobody leaves before the last trip");
            }
            watch.mark(party.rank(), 3, Step::Leaving);
            drop(party);
        };
        Box::new(job) as common::watch::Job<'_, ()>
    });
    watch.crew(jobs.collect());
}

/// Breaks and resets replace the words that parties share, under the feet of those who are slow to leave.
#[test]
fn old_words_live_as_long_as_a_party_is_in_them() {
    watched("freed: eras", patience(), |watch| {
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([2, 3]) {
                let barrier =
                    Barrier::builder(parties).algorithm(algorithm).wait_policy(WaitPolicy::Park).build().unwrap();
                let over = AtomicBool::new(false);
                let handles = barrier.take_parties().unwrap();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut rng = watch.rng();
                        for _ in 0..scaled(300) {
                            barrier.abort("next era");
                            rng.dawdle();
                            let _ = barrier.reset();
                            rng.dawdle();
                        }
                        over.store(true, Ordering::SeqCst);
                        barrier.abort("end");
                    });
                    let jobs = handles.into_iter().map(|mut party| {
                        let over = &over;
                        let job = move || while party.wait().is_ok() || !over.load(Ordering::SeqCst) {};
                        Box::new(job) as common::watch::Job<'_, ()>
                    });
                    watch.crew(jobs.collect());
                });
            }
        }
        expect_clean("eras");
    });
}

/// Callers without handles share an `Arc`, which goes with whoever returns last.
#[test]
fn the_last_caller_takes_the_barrier_along() {
    watched("freed: compat", patience(), |watch| {
        for parties in few([1, 2, 3, 5]) {
            for _ in 0..scaled(100) {
                let barrier = Arc::new(compat::Barrier::new(parties));
                let jobs = (0..parties).map(|caller| {
                    let (barrier, mut rng) = (Arc::clone(&barrier), watch.rng().fork(caller));
                    let job = move || {
                        rng.dawdle();
                        barrier.wait();
                        drop(barrier);
                    };
                    Box::new(job) as common::watch::Job<'_, ()>
                });
                let jobs = jobs.collect();
                drop(barrier);
                watch.crew(jobs);
            }
        }
        expect_clean("compat");
    });
}
