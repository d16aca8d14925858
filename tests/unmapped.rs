//! C9 with teeth: memory that is given back is gone at once, so that any touch behind the end, a read as well as a write, ends
//! the process with SIGSEGV (B6, museum M1; the shapes of glibc's tst-barrier4 and of libuv's serial thread).
//!
//! This binary has its own allocator: blocks on cache lines of their own, as all words of a barrier are, and all but the smallest of
//! the others lie on pages of their own.
//! To free one is to put pages in its place that nobody may touch; these stay for a while, so that the address is not used again at
//! once. Each part runs in a child process, whose death by a signal the parent reports.
//!
//! `freed.rs` asks the same of a heap that is merely watched: there a late write leaves a mark, and a late read none.
#![cfg(all(target_os = "linux", not(miri)))] // Miri sees such accesses by itself

mod common;

use common::{Rng, patience, scaled, watched};
use phalanx::team::Team;
use phalanx::{Algorithm, Barrier, Party, WaitPolicy, compat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const PLACES: usize = 8192;
const PAGE: usize = 4096;

/// Blocks that have been unmapped, in a ring: their addresses are used again when the ring has gone round.
static RING: [(AtomicPtr<u8>, AtomicUsize); PLACES] =
    [const { (AtomicPtr::new(null_mut()), AtomicUsize::new(0)) }; PLACES];
static UNMAPPED: AtomicUsize = AtomicUsize::new(0);

struct Pages;

/// Whether a block lies on pages of its own, and on how many bytes of them.
fn whole_pages(layout: Layout) -> Option<usize> {
    let own = (layout.align() >= 64 || layout.size() >= 96) && layout.align() <= PAGE && layout.size() <= 16 * PAGE;
    own.then(|| layout.size().max(1).next_multiple_of(PAGE))
}

fn map(at: *mut u8, bytes: usize, access: i32, more: i32) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more;
    // SAFETY: with `MAP_FIXED` only for a block that was mapped here and has been given up by its owner; else a new one.
    let block = unsafe { libc::mmap(at.cast(), bytes, access, flags, -1, 0) };
    if block == libc::MAP_FAILED { null_mut() } else { block.cast() }
}

// SAFETY: blocks are mapped anew, or come from `System`, by a property of the layout alone, and go back to where they came from,
// once. Pages are aligned as asked and zeroed. Nothing here allocates or unwinds.
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match whole_pages(layout) {
            Some(bytes) => map(null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, 0),
            // SAFETY: the caller's promise about `layout` is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(bytes) = whole_pages(layout) else {
            // SAFETY: `block` came from `System` with this layout.
            return unsafe { System.dealloc(block, layout) };
        };
        map(block, bytes, libc::PROT_NONE, libc::MAP_FIXED | libc::MAP_NORESERVE);
        let (place, size) = &RING[UNMAPPED.fetch_add(1, Relaxed) % PLACES];
        // A place is taken whole by the swap of its pointer; two who are a whole ring apart would have to meet here.
        let evicted = place.swap(null_mut(), SeqCst);
        let its_size = size.swap(bytes, SeqCst);
        place.store(block, SeqCst);
        if !evicted.is_null() {
            // SAFETY: nobody's pages for as long as the ring took to go round.
            unsafe { libc::munmap(evicted.cast(), its_size) };
        }
    }
}

#[global_allocator]
static ALLOCATOR: Pages = Pages;

const CHILD: &str = "PHALANX_TEST_UNMAPPED";

/// Whether this is the child process of a test of the same name; else runs it and says how it ended.
fn child(name: &str) -> Result<(), std::process::ExitStatus> {
    if std::env::var_os(CHILD).is_some() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "the child ran nothing");
    Err(output.status)
}

/// Runs `part` in a child process, and passes on how it ended.
fn in_a_child(name: &str, part: impl FnOnce()) {
    match child(name) {
        Ok(()) => {
            watched(&format!("unmapped: {name}"), patience(), |_| part());
            println!("{name}: {} blocks unmapped", UNMAPPED.load(Relaxed));
            assert!(UNMAPPED.load(Relaxed) > 0, "the barrier's blocks never came by here: nothing was tested");
        }
        Err(status) => match status.signal() {
            Some(libc::SIGSEGV) => panic!("{name}: memory was touched behind its end (SIGSEGV)"),
            _ => assert!(status.success(), "{name}: {status}"),
        },
    }
}

/// The allocator itself: a read behind the end is seen.
#[test]
fn a_read_behind_the_end_is_seen() {
    #[repr(align(64))]
    struct Line([u8; 64]);
    match child("a_read_behind_the_end_is_seen") {
        Ok(()) => {
            let line = Box::into_raw(Box::new(Line([1; 64])));
            // SAFETY: made by `Box::into_raw` just above.
            drop(unsafe { Box::from_raw(line) });
            // SAFETY: there is none: this is the bug that must be seen.
            let read = unsafe { (&raw const (*line).0[7]).read_volatile() };
            println!("read {read} where there is nothing");
        }
        Err(status) => assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}"),
    }
}

/// Threads that cross what they are sent, and drop it behind their last wait.
struct Crew {
    work: Vec<Sender<Box<dyn FnOnce() + Send>>>,
    done: Receiver<()>,
}

impl Crew {
    fn new(size: usize) -> Self {
        let (report, done) = channel();
        let start = |_| {
            let (work, jobs) = channel::<Box<dyn FnOnce() + Send>>();
            let report = report.clone();
            thread::spawn(move || {
                for job in jobs {
                    job();
                    if report.send(()).is_err() {
                        return;
                    }
                }
            });
            work
        };
        Self { work: (0..size).map(start).collect(), done }
    }

    fn run(&self, jobs: impl Iterator<Item = Box<dyn FnOnce() + Send>>) {
        let mut sent = 0;
        for (worker, job) in self.work.iter().zip(jobs) {
            worker.send(job).unwrap();
            sent += 1;
        }
        (0..sent).for_each(|_| self.done.recv().expect("no party panics"));
    }
}

/// How often the combination of an algorithm and a policy is destroyed: 10,000 times in all, few of them with parties that
/// keep the CPU from each other.
fn rounds(policy: WaitPolicy, parties: usize) -> usize {
    match policy {
        WaitPolicy::Spin if parties > common::cpus() => 2,
        WaitPolicy::Spin => scaled(20),
        _ => scaled(10_000usize.div_ceil(2 * 4 * Algorithm::NAMED.len())),
    }
}

/// Crosses some trips and goes; the leader of the last one takes the last control handle along, whatever the others are at.
fn cross_and_go(mut party: Party, mut control: Option<Barrier>, mut rng: Rng) {
    for trip in 0..2 {
        rng.dawdle();
        let crossed = party.wait().expect("nobody leaves before the last trip");
        if trip == 1 && crossed.is_leader() {
            drop(control.take());
        }
    }
    drop(party);
    drop(control);
}

#[test]
fn the_last_party_takes_a_barrier_along() {
    in_a_child("the_last_party_takes_a_barrier_along", || {
        let crew = Crew::new(3);
        let mut rng = Rng::new(Rng::seed_of("unmapped parties"));
        let mut destroyed = 0;
        for algorithm in Algorithm::NAMED {
            for policy in WaitPolicy::ALL {
                for parties in [2, 3] {
                    for round in 0..rounds(policy, parties) {
                        let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
                        let builder = if round % 4 == 3 { builder.split_phase() } else { builder };
                        let barrier = builder.build().unwrap();
                        let handles = barrier.take_parties().unwrap();
                        let jobs = handles.into_iter().map(|party| {
                            let (rng, control) = (Rng::new(rng.next()), Some(barrier.clone()));
                            Box::new(move || cross_and_go(party, control, rng)) as Box<dyn FnOnce() + Send>
                        });
                        let jobs: Vec<_> = jobs.collect();
                        drop(barrier);
                        crew.run(jobs.into_iter());
                        destroyed += 1;
                    }
                }
            }
        }
        println!("{destroyed} barriers destroyed");
    });
}

/// Breaks and resets replace the words under the feet of those who are slow to leave; then all goes.
#[test]
fn old_eras_go_when_the_last_party_has_left_them() {
    in_a_child("old_eras_go_when_the_last_party_has_left_them", || {
        let crew = Crew::new(4);
        let mut rng = Rng::new(Rng::seed_of("unmapped eras"));
        for algorithm in Algorithm::NAMED {
            for policy in [WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive] {
                for _ in 0..scaled(10) {
                    let barrier = Barrier::builder(3).algorithm(algorithm).wait_policy(policy).build().unwrap();
                    let handles = barrier.take_parties().unwrap();
                    let breaker = {
                        let mut rng = Rng::new(rng.next());
                        move || {
                            for _ in 0..5 {
                                barrier.abort("next era");
                                rng.dawdle();
                                let _ = barrier.reset();
                                rng.dawdle();
                            }
                            barrier.abort("end");
                        }
                    };
                    let cross = |mut party: Party| {
                        move || {
                            while party.wait().map_or_else(|broken| !broken.to_string().contains("end"), |_| true) {}
                        }
                    };
                    let breaker = Box::new(breaker) as Box<dyn FnOnce() + Send>;
                    let crossing = handles.into_iter().map(|party| Box::new(cross(party)) as Box<dyn FnOnce() + Send>);
                    crew.run(std::iter::once(breaker).chain(crossing));
                }
            }
        }
    });
}

/// A barrier in a box, and its callers' count of those who have returned: whoever is the last frees it, at that moment.
struct Shared {
    barrier: *mut compat::Barrier,
    returned: AtomicUsize,
}

// SAFETY: the barrier may be shared, and is freed by one thread, when all others have said that they have returned.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[test]
fn the_last_caller_frees_a_barrier_without_handles() {
    in_a_child("the_last_caller_frees_a_barrier_without_handles", || {
        let crew = Crew::new(5);
        let mut rng = Rng::new(Rng::seed_of("unmapped compat"));
        for parties in [1, 2, 3, 5] {
            for _ in 0..scaled(2500) {
                #[repr(align(64))]
                struct Own(compat::Barrier);
                let own = Box::into_raw(Box::new(Own(compat::Barrier::new(parties))));
                // SAFETY: the box is alive.
                let barrier = unsafe { &raw mut (*own).0 };
                let shared = Arc::new(Shared { barrier, returned: AtomicUsize::new(0) });
                let jobs = (0..parties).map(|_| {
                    let (shared, mut rng) = (Arc::clone(&shared), Rng::new(rng.next()));
                    let job = move || {
                        rng.dawdle();
                        // SAFETY: alive until all callers have returned.
                        unsafe { (*shared.barrier).wait() };
                        if shared.returned.fetch_add(1, SeqCst) + 1 == parties {
                            // SAFETY: this is the last caller; the only field of a box of this kind.
                            drop(unsafe { Box::from_raw(shared.barrier.cast::<Own>()) });
                        }
                    };
                    Box::new(job) as Box<dyn FnOnce() + Send>
                });
                crew.run(jobs.collect::<Vec<_>>().into_iter());
            }
        }
    });
}

/// What a run borrows is gone when it has returned, and so is a team when it has been dropped, with its threads idle or asleep.
#[test]
fn teams_go_with_what_their_runs_borrowed() {
    in_a_child("teams_go_with_what_their_runs_borrowed", || {
        #[repr(align(64))]
        struct Line(AtomicUsize);
        for policy in [WaitPolicy::SpinPark, WaitPolicy::Park, WaitPolicy::Adaptive] {
            for threads in [2, 3] {
                for team in 0..scaled(20) {
                    let joins = team % 2 == 0;
                    let team =
                        Team::builder().threads(threads).wait_policy(policy).caller_joins(joins).build().unwrap();
                    for _ in 0..85 {
                        let lines: Vec<Line> = (0..threads).map(|_| Line(AtomicUsize::new(0))).collect();
                        let body = |m: &mut phalanx::team::Member<'_>| {
                            lines[m.rank()].0.fetch_add(1, Relaxed);
                            m.barrier().unwrap();
                            lines.iter().map(|line| line.0.load(Relaxed)).sum::<usize>()
                        };
                        assert_eq!(team.run(body).unwrap(), vec![threads; threads]);
                        drop(lines);
                    }
                }
            }
        }
    });
}
