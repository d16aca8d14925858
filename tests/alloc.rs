//! C8, the part that a test can see: once a party has waited for the first time, a trip allocates nothing and frees
//! nothing, in any party, with any algorithm and any policy. Nor does a barrier grow by its breaks. This binary counts
//! each thread's allocations; the count of one thread does not see the others, nor the test harness.

mod common;

use common::watch::{Job, Step};
use common::{Watch, few, patience, scaled, watched};
use phalanx::{Algorithm, Barrier, WaitPolicy, compat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// Constant and without a destructor: to touch it allocates nothing.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// Allocated and not given back, on this thread.
    static BALANCE: Cell<i64> = const { Cell::new(0) };
}

fn count(change: i64) {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    let _ = BALANCE.try_with(|balance| balance.set(balance.get() + change));
}

fn calls() -> u64 {
    CALLS.with(Cell::get)
}

struct Counting;

// SAFETY: passes everything on to `System`, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_count_counts() {
    let before = calls();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(calls() - before, 2);
}

/// What `cross` allocates and frees in `trips` calls, after some for warming up; marks the steps of `rank`.
fn count_trips(watch: &Watch, rank: usize, trips: u64, cross: &mut impl FnMut(u64)) -> u64 {
    (0..3).for_each(&mut *cross);
    let before = calls();
    for trip in 0..trips {
        watch.mark(rank, trip, Step::Waiting);
        cross(trip);
    }
    calls() - before
}

/// Now and then one party is late enough for the others to fall asleep.
fn be_late(rank: usize, trip: u64) {
    if rank == 0 && trip % 40 == 20 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn parties_allocate_nothing() {
    watched("alloc: parties", patience(), |watch| {
        for algorithm in few(Algorithm::NAMED) {
            for policy in few(WaitPolicy::ALL) {
                for parties in few([1, 2, 3, 5]) {
                    let slow = policy == WaitPolicy::Spin && parties > common::cpus();
                    let trips = scaled(if slow { 4 } else { 100 }) as u64;
                    let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
                    // Statistics allocate what they need when a rank is claimed.
                    #[cfg(feature = "hdr")]
                    let builder = match parties % 2 {
                        0 => builder,
                        _ => builder.statistics(phalanx::observe::Sampling::one_in(4)),
                    };
                    let barrier = builder.build().unwrap();
                    let all_done = &std::sync::Barrier::new(parties);
                    let jobs = barrier.take_parties().unwrap().into_iter().map(|mut party| {
                        let rank = party.rank();
                        let mut cross = move |trip| {
                            be_late(rank, trip);
                            let limit = Duration::from_secs(3600);
                            let crossed = if trip % 2 == 0 { party.wait() } else { party.wait_timeout(limit) };
                            assert!(crossed.is_ok());
                        };
                        // Nobody drops its handle before all are through: that would be a break.
                        let job = move || {
                            let allocated = count_trips(watch, rank, trips, &mut cross);
                            all_done.wait();
                            allocated
                        };
                        Box::new(job) as Job<'_, u64>
                    });
                    let allocated = watch.crew(jobs.collect());
                    assert_eq!(allocated, vec![0; parties], "{algorithm}, {policy}, {trips} trips");
                }
            }
        }
    });
}

#[test]
fn callers_allocate_nothing() {
    watched("alloc: compat", patience(), |watch| {
        for parties in few([1, 2, 3, 5]) {
            let (barrier, trips) = (&compat::Barrier::with_action(parties, || ()), scaled(100) as u64);
            let jobs = (0..parties).map(|rank| {
                let mut cross = move |trip| {
                    be_late(rank, trip);
                    let limit = Duration::from_secs(3600);
                    let crossed = if trip % 2 == 0 { barrier.try_wait() } else { barrier.wait_timeout(limit) };
                    assert!(crossed.is_ok());
                };
                Box::new(move || count_trips(watch, rank, trips, &mut cross)) as Job<'_, u64>
            });
            assert_eq!(watch.crew(jobs.collect()), vec![0; parties]);
        }
    });
}

/// Breaks and resets may allocate, but what they leave behind must not grow (all on this thread, so that its balance is
/// the whole of it).
#[test]
fn breaks_and_resets_leave_nothing_behind() {
    let balance = || BALANCE.with(Cell::get);
    let level = |mut cycle: Box<dyn FnMut()>| {
        (0..8).for_each(|_| cycle());
        let before = balance();
        (0..100).for_each(|_| cycle());
        balance() - before
    };
    for algorithm in few(Algorithm::NAMED) {
        let barrier = Barrier::builder(2).algorithm(algorithm).build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let cycle = move || {
            assert!(parties.iter_mut().all(|party| party.wait_timeout(Duration::ZERO).is_err()));
            barrier.reset().unwrap();
        };
        assert_eq!(level(Box::new(cycle)), 0, "{algorithm}");
    }
    let barrier = compat::Barrier::new(2);
    let cycle = move || {
        assert!((0..3).all(|_| barrier.wait_timeout(Duration::ZERO).is_err()));
        barrier.reset();
    };
    assert_eq!(level(Box::new(cycle)), 0, "compat");
}
