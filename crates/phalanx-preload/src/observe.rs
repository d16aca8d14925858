//! What happens around the waits at a barrier whose note is not 0: two looks at the clock, sums, and the watchdog.
//!
//! The note is 0 unless `PHALANX_PRELOAD_STATS` or `PHALANX_WATCHDOG` was set when the barrier was made; then nothing of this file runs.
//!
//! A process-shared barrier is observed by each process for itself, if the process that has made it observes; its threads are those
//! of that process.

use crate::lines::{self, Key};
use crate::say::Undisturbed;
use crate::settings::settings;
use crate::slots::{self, Member, SHARED, Slot};
use crate::table;
use crate::threads::forget_number;
use crate::watchdog;
use phalanx::compat::in_place::{InPlace, Means, Passage, Sight};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A barrier has been made, and is written already but for its note: `old` is what was in the note's place before.
pub(crate) fn adopt(barrier: &InPlace, old: u32, shared: bool, place: usize) {
    static FIRST: AtomicBool = AtomicBool::new(true);
    if FIRST.swap(false, Ordering::Relaxed) {
        print_at_exit();
    }
    let address = std::ptr::from_ref(barrier).addr();
    if let Some(slot) = find(old, address) {
        // Made anew without having been destroyed, which POSIX leaves undefined, and nobody is hurt by here.
        drop_out(slot);
    }
    match settle(address, barrier.parties(), shared, place) {
        Some(slot) => barrier.set_note(slot.note()),
        None => _ = slots::UNSEEN.fetch_add(1, Ordering::Relaxed),
    }
}

/// Once, when the library is loaded: of a process that only waits at barriers of others nothing else calls, and its waits must not allocate.
pub(crate) fn prepare() {
    // SAFETY: the function is there as long as the library is, which is for ever.
    unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
    print_at_exit();
}

/// What is registered last comes first. So by the first barrier that is made it is registered again: before that many a program has
/// registered what closes its stderr.
fn print_at_exit() {
    // SAFETY: the function is there as long as the library is, which is for ever: glibc calls it on `dlclose` at the latest.
    unsafe { libc::atexit(at_exit) };
}

static PRINTED: AtomicBool = AtomicBool::new(false);

extern "C" fn at_exit() {
    if PRINTED.swap(true, Ordering::Relaxed) {
        return;
    }
    let _undisturbed = Undisturbed::new();
    // A panic ends the table, not the program.
    let _ = std::panic::catch_unwind(|| {
        if let Some(target) = &settings().stats {
            table::print(target);
        }
    });
}

/// Sums begin anew: the parent prints its own.
unsafe extern "C" fn in_the_child() {
    PRINTED.store(false, Ordering::Relaxed);
    forget_number();
    slots::forget_all();
    lines::forget_all();
    for line in slots::live().filter_map(Slot::line) {
        line.made.fetch_add(1, Ordering::Relaxed);
    }
}

/// A slot for the barrier, if there is one left.
fn settle(address: usize, parties: u32, shared: bool, place: usize) -> Option<&'static Slot> {
    if shared && !slots::has_room_for_shared() {
        return None;
    }
    let slot = slots::take()?;
    let line = lines::of(Key { place, parties, address, shared });
    slot.settle(address, parties, shared, line);
    if shared && !slots::publish(slot) {
        slot.give_back();
        return None;
    }
    if let Some(line) = line {
        line.made.fetch_add(1, Ordering::Relaxed);
    }
    Some(slot)
}

/// A slot for a barrier of another process, at which a thread of this one waits for the first time.
fn settle_as_guest(address: usize, parties: u32) -> Option<&'static Slot> {
    let slot = settle(address, parties, true, 0)?;
    // Not found: somebody has taken its entry for one of a barrier that is gone. This one wait is counted.
    let first = slots::of_shared(address).unwrap_or(slot);
    if !std::ptr::eq(first, slot) {
        // Two threads at once, and the other one was first.
        if let Some(line) = slot.line() {
            line.made.fetch_sub(1, Ordering::Relaxed);
        }
        slot.give_back();
    }
    Some(first)
}

fn find(note: u32, address: usize) -> Option<&'static Slot> {
    if note == SHARED { slots::of_shared(address) } else { slots::of(note, address) }
}

fn drop_out(slot: &Slot) {
    if let Some(line) = slot.line() {
        line.collect(slot);
    }
    slot.give_back();
}

/// A wait at a barrier with a note. True for the last caller of a batch.
#[cold]
#[inline(never)]
pub(crate) fn wait(barrier: &InPlace, note: u32, means: &Means) -> bool {
    let address = std::ptr::from_ref(barrier).addr();
    let guest = |parties: u32| settings().observe().then(|| settle_as_guest(address, parties)).flatten();
    let slot = match find(note, address) {
        // Made anew by another process.
        Some(slot) if note == SHARED && slot.parties.load(Ordering::Relaxed) != barrier.parties() => None,
        None if note == SHARED => guest(barrier.parties()),
        slot => slot,
    };
    match slot.and_then(|slot| Some((slot, slot.member()?))) {
        Some((slot, member)) => wait_as(barrier, means, slot, member),
        None => barrier.wait(means),
    }
}

fn wait_as(barrier: &InPlace, means: &Means, slot: &Slot, member: &Member) -> bool {
    let after = settings().after;
    // Relaxed: the batch's end orders it for whoever destroys the barrier.
    member.inside.fetch_add(1, Ordering::Relaxed);
    let start = now();
    if slot.first.load(Ordering::Relaxed) == 0 {
        let (open, _) = barrier.now_open();
        if slot.first.compare_exchange(0, start, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            slot.first_batch.store(open, Ordering::Relaxed);
        }
    }
    let mut look = |sight: Sight| {
        if let Some(after) = after {
            let _undisturbed = Undisturbed::new();
            // A report that panics is lost, and that is all.
            let _ = std::panic::catch_unwind(|| watchdog::look(slot, sight, after));
        }
    };
    let passage = barrier.wait_watched(means, after, &mut look);
    let end = now();
    let last = passage.index + 1 == barrier.parties();
    note_down(member, &passage, last, end.saturating_sub(start));
    member.left.store(end, Ordering::Relaxed);
    if last {
        watchdog::moved(slot, passage.batch);
    }
    // Release: pairs with `is_crossed`; nothing of the slot is touched behind this.
    member.inside.fetch_sub(1, Ordering::Release);
    last
}

fn note_down(member: &Member, passage: &Passage, last: bool, waited: u64) {
    let add = |sum: &AtomicU64, more: u64| {
        if more != 0 {
            // Read, modify, write, since one of the members stands for many threads. It is the thread's own line nearly always.
            sum.fetch_add(more, Ordering::Relaxed);
        }
    };
    let sums = &member.sums;
    let waits = sums.waits.fetch_add(1, Ordering::Relaxed);
    add(&sums.lasts, last.into());
    add(&sums.waited, waited);
    add(&sums.spins, passage.spins.into());
    add(&sums.yields, passage.yields.into());
    add(&sums.parks, passage.parks.into());
    if sums.slowest.load(Ordering::Relaxed) < waited {
        sums.slowest.fetch_max(waited, Ordering::Relaxed);
    }
    member.batch.store(passage.batch.wrapping_add(1), Ordering::Relaxed);
    // Threads are often named a little after they have begun.
    if waits.is_power_of_two() || waits == 0 {
        member.name.take();
    }
}

/// A barrier with a note is about to be destroyed: everybody has left it, but may still be writing down how it went.
pub(crate) fn release(barrier: &InPlace, note: u32) {
    if let Some(slot) = find(note, std::ptr::from_ref(barrier).addr()) {
        let mut polls = 0;
        while slot.is_crossed() {
            polls += 1;
            // Sleeps in the end: to yield does not let a thread of lower priority on.
            if polls < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
        }
        // Before the slot has another barrier: a program that goes on using this one is not to meet it there.
        barrier.set_note(0);
        drop_out(slot);
    }
}

/// Nanoseconds of a clock that only goes on.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is good for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn two_threads_that_find_a_barrier_of_another_process_count_at_one_place() {
        let (both, addresses) = (Barrier::new(2), (1..=2000).map(|number| number * 4096));
        for address in addresses {
            let find = || {
                both.wait();
                settle_as_guest(address, 2).map(|slot| std::ptr::from_ref(slot).addr())
            };
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(find);
                (find(), other.join().unwrap())
            });
            assert!(one.is_some() && one == other, "turn {}", address / 4096);
            slots::of_shared(address).unwrap().give_back();
        }
        let made = lines::all().map(|line| line.made.load(Ordering::Relaxed)).sum::<u64>();
        assert_eq!(made, 2000, "and for one");
    }
}
