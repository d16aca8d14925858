//! The one place that names `std`, loom or shuttle: atomics, the mutex, fences, the futex, the clock, ways to pass time.
//!
//! Every other file takes these from here, so that the code that is shipped and the code that is modelled are the
//! same code. A model is an in-crate test built with `--cfg phalanx_loom`; then the atomics are loom's, the futex is a
//! condition variable that loom can schedule, both fences are `SeqCst`, and the clock stands still (a deadline is then
//! either past from the start or never, and loom decides *when* the impatient party looks).
//!
//! With `--cfg phalanx_shuttle` the same words are shuttle's, for random schedules of more parties and longer runs than
//! loom can explore. There every ordering is `SeqCst` and the fences do nothing; the clock is a count that steps, at
//! random, when somebody looks at it; and a sleep with a limit polls, since shuttle's condition variable never times
//! out.
//!
//! # Fences
//!
//! Two protocols of this crate cross a store and a load: "I publish, then look at your word" against "I publish my
//! word, then look at yours" (deciding a disputed trip in `fate`, parking in `wait`). Each needs a full fence on both
//! sides. One side runs on every trip, the other almost never, so the cost is moved to the rare side where the system
//! allows it: [`Fences::light`] is then a compiler fence, and [`Fences::heavy`] asks the kernel to run a full fence on
//! every CPU that runs a thread of this process (`membarrier(2)`, `MEMBARRIER_CMD_PRIVATE_EXPEDITED`). Where the call
//! is missing or forbidden when the first barrier is built, both sides are `fence(SeqCst)`. Where it begins to fail later, the
//! caller has itself sent to all the CPUs in question instead (`primitive/membarrier.rs`).
//!
//! Why that is as strong: after `heavy` returns, each other thread has executed a full fence at some point of its
//! program between the start and the end of the call. For a thread whose light fence came before that point, all that
//! it did before the light fence is visible to the caller; for one whose light fence comes after it, all that the
//! caller did before `heavy` is visible to the load behind the light fence. These are the two cases that a pair of
//! `SeqCst` fences gives.

/// A constructor that is `const`, except in a model: loom's words are made at run time.
macro_rules! constant_unless_modelled {
    ($(#[$meta:meta])* $visibility:vis fn $($rest:tt)*) => {
        #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
        $(#[$meta])* $visibility const fn $($rest)*
        #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
        $(#[$meta])* $visibility fn $($rest)*
    };
}

/// A variable that each thread has for itself; in a model, each of the model's threads.
macro_rules! per_thread {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $first:expr;) => {
        #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
        std::thread_local! { $(#[$meta])* static $name: $type = const { $first }; }
        #[cfg(all(test, phalanx_loom))]
        loom::thread_local! { $(#[$meta])* static $name: $type = $first; }
        #[cfg(all(test, phalanx_shuttle))]
        shuttle::thread_local! { $(#[$meta])* static $name: $type = $first; }
    };
}

#[cfg(all(test, phalanx_loom))]
mod chosen {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[cfg(all(test, phalanx_shuttle))]
mod chosen {
    pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

#[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
mod chosen {
    #[cfg(any(miri, not(any(target_os = "linux", target_os = "android"))))]
    pub(crate) use std::sync::Condvar;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

pub(crate) use chosen::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence};
use std::mem::MaybeUninit;
use std::time::Instant;

pub(crate) mod direct;
mod looks;
pub(crate) use looks::{owning_looks, owning_looks_if_known};

/// For a load that an acquire fence follows: relaxed. ThreadSanitizer does not follow fences, so for it (`--cfg phalanx_tsan`)
/// such a load acquires by itself.
pub(crate) const FENCED: Ordering = if cfg!(phalanx_tsan) { Ordering::Acquire } else { Ordering::Relaxed };

/// Locks, and goes on after a panic of an earlier holder: no section guarded in this crate can be left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The time; in a model it stands still, or steps at random.
pub(crate) fn now() -> Instant {
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    {
        static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let epoch = *EPOCH.get_or_init(Instant::now);
        #[cfg(phalanx_shuttle)]
        let epoch = epoch + steps::now();
        epoch
    }
    #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
    Instant::now()
}

/// The processor's time stamp counter, in place of a call that reads it.
#[cfg(all(
    feature = "timeline",
    target_arch = "x86_64",
    not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))
))]
#[allow(unsafe_code)]
#[inline(always)]
pub(crate) fn time_stamp() -> u64 {
    // SAFETY: reads a register that every x86-64 processor has; whether the system lets programs do so, `quanta` has found
    // out before anybody gets here.
    #[allow(unused_unsafe)]
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
}

#[cfg(all(test, phalanx_shuttle))]
per_thread! {
    /// Whether this thread is within [`unwinding`].
    static UNWINDING: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// Whether the calling thread unwinds from a panic. In a random schedule, where all threads are one of the system's and would
/// all be said to unwind, whether it plays that it does.
pub(crate) fn panicking() -> bool {
    #[cfg(all(test, phalanx_shuttle))]
    {
        UNWINDING.with(std::cell::Cell::get)
    }
    #[cfg(not(all(test, phalanx_shuttle)))]
    std::thread::panicking()
}

/// Does what a panic does on its way up.
#[cfg(all(test, phalanx_shuttle))]
pub(crate) fn unwinding(drop_all: impl FnOnce()) {
    UNWINDING.with(|unwinding| unwinding.set(true));
    drop_all();
    UNWINDING.with(|unwinding| unwinding.set(false));
}

#[cfg(all(test, phalanx_shuttle))]
pub(crate) mod steps {
    use shuttle::rand::{RngCore, thread_rng};
    use std::cell::Cell;
    use std::time::Duration;

    /// What the clock moves by, when it does.
    pub(crate) const STEP: Duration = Duration::from_millis(1);

    thread_local! {
        // All threads of a shuttle execution are one of the system's, so this is their common clock. It goes on from one
        // execution to the next, which makes no difference to anybody who measures from a look of his own.
        static STEPS: Cell<u32> = const { Cell::new(0) };
    }

    /// One look in four finds that time has passed: drawn by shuttle, so that a replay sees the same times.
    pub(super) fn now() -> Duration {
        if thread_rng().next_u32() % 4 == 0 {
            STEPS.set(STEPS.get() + 1);
        }
        STEP * STEPS.get()
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
std::thread_local! {
    /// What [`thread_id`] answers; 0 before anybody has asked.
    static THREAD_ID: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The kernel's number of the calling thread, as `/proc/self/task` has it; `None` where there are no such numbers. Asked
/// once per thread: a long wait notes it.
pub(crate) fn thread_id() -> Option<u32> {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let known = THREAD_ID.with(std::cell::Cell::get);
        if known == 0 { ask_thread_id() } else { Some(known) }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    None
}

/// [`thread_id`], asked anew: the first thread of a forked process has another number than the one that it remembers.
pub(crate) fn ask_thread_id() -> Option<u32> {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let id = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()?;
        THREAD_ID.with(|known| known.set(id));
        Some(id)
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    None
}

/// A count that one thread writes at a time and any thread may read: for people, not for protocols. It orders nothing, so it is
/// std's in a model as well, where it would only add schedules.
#[derive(Debug, Default)]
pub(crate) struct Meter(std::sync::atomic::AtomicU64);

impl Meter {
    /// 0.
    pub(crate) const fn new() -> Self {
        Self(std::sync::atomic::AtomicU64::new(0))
    }

    /// Adds to it, without a read-modify-write: two writers at once would lose counts, and nothing else.
    #[inline(always)]
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it to `value`; whether it had another, which only one of several callers with the same value is told.
    pub(crate) fn change(&self, value: u64) -> bool {
        self.0.swap(value, Ordering::Relaxed) != value
    }
}

/// Goes on when all earlier loads have their values, and a little later, where the processor can be told so.
///
/// Twice: where two threads share a core (EPYC, virtual) a trip of two takes 27.7 ns with two of these between looks,
/// 30.6 with one, 33 with a PAUSE, and 37.7 with plain looks; on two cores all but the last are alike.
#[inline(always)]
pub(crate) fn settle() {
    #[cfg(all(target_arch = "x86_64", not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))))]
    // SAFETY: SSE2 belongs to every x86-64; the fence touches no memory.
    #[allow(unsafe_code, unused_unsafe)]
    unsafe {
        std::arch::x86_64::_mm_lfence();
        std::arch::x86_64::_mm_lfence();
    }
}

/// Tells the processor that this is a spin loop. `fruitless` counts the polls so far: a model gives up exploring a wait
/// after two of them, which bounds it (style of the loom manual; the bound is recorded in docs/verification.md).
#[inline(always)]
pub(crate) fn relax(fruitless: u32) {
    #[cfg(all(test, phalanx_shuttle))]
    {
        let _ = fruitless;
        shuttle::thread::yield_now();
    }
    #[cfg(all(test, phalanx_loom))]
    {
        if fruitless >= 2 {
            loom::skip_branch();
        }
        loom::thread::yield_now();
    }
    #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
    {
        let _ = fruitless;
        std::hint::spin_loop();
    }
}

/// Offers the CPU to another thread. `fruitless` as in [`relax`].
pub(crate) fn yield_now(fruitless: u32) {
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    relax(fruitless);
    #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
    {
        let _ = fruitless;
        give_way();
    }
}

/// In place: to whoever wakes from a long sleep the C library's code is one more page that is in no cache
/// (docs/results/2026-11-30-xeon-2cpu-preload/sleepers.md). With debug assertions rustix takes it for granted that the kernel does not refuse.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(debug_assertions), not(miri)))]
#[inline(always)]
fn give_way() {
    rustix::thread::sched_yield();
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(debug_assertions), not(miri))))]
fn give_way() {
    std::thread::yield_now();
}

/// Sleeps for a tenth of a millisecond. `fruitless` as in [`relax`].
pub(crate) fn doze(fruitless: u32) {
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    relax(fruitless);
    #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
    {
        let _ = fruitless;
        rest(std::time::Duration::from_micros(100));
    }
}

/// Sleeps for so long, or less; where the system refuses to let anybody sleep, gives the CPU away.
#[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
fn rest(time: std::time::Duration) {
    // std's sleep panics if it is refused: a system call filter can do that.
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
    {
        use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep, sched_yield};
        let most = Timespec { tv_sec: 0, tv_nsec: time.as_nanos().min(999_999_999) as _ };
        if let NanosleepRelativeResult::Err(_) = nanosleep(&most) {
            sched_yield();
        }
    }
    #[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
    std::thread::sleep(time);
}

/// Which pair of fences a barrier uses on its store/load crossings; chosen when it is built and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fences {
    /// `fence(SeqCst)` on both sides.
    Symmetric,
    /// A compiler fence on the side of the many, `membarrier` on the side of the few.
    Asymmetric,
}

impl Fences {
    /// The cheapest pair for the many that this process may use.
    pub(crate) fn cheapest() -> Self {
        if membarrier::registered() { Self::Asymmetric } else { Self::Symmetric }
    }

    /// The side that runs on every trip.
    #[inline(always)]
    pub(crate) fn light(self) {
        match self {
            Self::Symmetric => fence(Ordering::SeqCst),
            Self::Asymmetric => std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst),
        }
    }

    /// The side that runs when something is wrong, or before a sleep.
    pub(crate) fn heavy(self) {
        match self {
            Self::Symmetric => fence(Ordering::SeqCst),
            Self::Asymmetric => membarrier::everywhere(),
        }
    }
}

#[cfg(all(target_os = "linux", not(miri), not(all(test, any(phalanx_loom, phalanx_shuttle)))))]
mod membarrier;

#[cfg(not(all(target_os = "linux", not(miri), not(all(test, any(phalanx_loom, phalanx_shuttle))))))]
mod membarrier {
    pub(super) fn registered() -> bool {
        false
    }

    pub(super) fn everywhere() {
        super::fence(super::Ordering::SeqCst);
    }
}

/// Room for one value of any small `Copy` type, shared between threads without an atomic access: the one place in this
/// crate where the compiler cannot see who may touch what. Whoever uses it keeps writers and readers apart by a barrier.
///
/// Bytes travel as they are, never as integers: padding stays uninitialised and pointers keep their provenance. In a
/// loom model the cell is loom's, which finds accesses that nothing keeps apart.
#[derive(Debug)]
pub(crate) struct Berth<const WORDS: usize> {
    #[cfg(not(all(test, phalanx_loom)))]
    cell: std::cell::UnsafeCell<MaybeUninit<[u64; WORDS]>>,
    #[cfg(all(test, phalanx_loom))]
    cell: loom::cell::UnsafeCell<MaybeUninit<[u64; WORDS]>>,
}

// SAFETY: a berth is only reached through `put` and `get`, whose callers promise that nobody touches it at the same
// time and that what travels may be sent to other threads.
#[allow(unsafe_code)]
unsafe impl<const WORDS: usize> Sync for Berth<WORDS> {}

#[allow(unsafe_code)]
impl<const WORDS: usize> Berth<WORDS> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        #[cfg(not(all(test, phalanx_loom)))]
        let cell = std::cell::UnsafeCell::new(MaybeUninit::uninit());
        #[cfg(all(test, phalanx_loom))]
        let cell = loom::cell::UnsafeCell::new(MaybeUninit::uninit());
        Self { cell }
    }

    /// Whether a `T` fits.
    pub(crate) const fn fits<T>() -> bool {
        size_of::<T>() <= size_of::<[u64; WORDS]>() && align_of::<T>() <= align_of::<u64>()
    }

    /// Puts a value in.
    ///
    /// # Safety
    ///
    /// `T` fits, and no other thread reads or writes this berth from before to after the call.
    #[inline(always)]
    pub(crate) unsafe fn put<T: Copy + Send>(&self, value: T) {
        #[cfg(not(all(test, phalanx_loom)))]
        let with_mut = |write: fn(*mut MaybeUninit<[u64; WORDS]>, T)| write(self.cell.get(), value);
        #[cfg(all(test, phalanx_loom))]
        let with_mut = |write: fn(*mut MaybeUninit<[u64; WORDS]>, T)| self.cell.with_mut(|cell| write(cell, value));
        with_mut(|cell, value| {
            // SAFETY: `cell` points to memory of this berth, large and aligned enough for a `T`, and is exclusive, both
            // by the caller's promise.
            unsafe { cell.cast::<T>().write(value) }
        });
    }

    /// Copies the value out.
    ///
    /// # Safety
    ///
    /// The last `put` was of a `T`, it happens before this call, and no other thread writes this berth meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn get<T: Copy + Send>(&self) -> T {
        #[cfg(not(all(test, phalanx_loom)))]
        let with = |read: fn(*const MaybeUninit<[u64; WORDS]>) -> T| read(self.cell.get());
        #[cfg(all(test, phalanx_loom))]
        let with = |read: fn(*const MaybeUninit<[u64; WORDS]>) -> T| self.cell.with(|cell| read(cell));
        with(|cell| {
            // SAFETY: `cell` points to memory of this berth that holds a `T`, and nobody writes it, both by the caller's
            // promise. A `T` is `Copy`: the one that stays is not used up.
            unsafe { cell.cast::<T>().read() }
        })
    }
}

/// A value that one thread at a time may use, kept apart by a barrier instead of a lock.
pub(crate) struct Sole<T> {
    #[cfg(not(all(test, phalanx_loom)))]
    cell: std::cell::UnsafeCell<T>,
    #[cfg(all(test, phalanx_loom))]
    cell: loom::cell::UnsafeCell<T>,
}

// SAFETY: the value is only reached through `with`, whose callers promise to be alone; it may go from thread to thread.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Sole<T> {}

#[allow(unsafe_code)]
impl<T> Sole<T> {
    pub(crate) fn new(value: T) -> Self {
        #[cfg(not(all(test, phalanx_loom)))]
        let cell = std::cell::UnsafeCell::new(value);
        #[cfg(all(test, phalanx_loom))]
        let cell = loom::cell::UnsafeCell::new(value);
        Self { cell }
    }

    /// Uses the value.
    ///
    /// # Safety
    ///
    /// No other call of this is under way, not even by this thread, and all earlier ones happen before this one.
    pub(crate) unsafe fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(all(test, phalanx_loom)))]
        let value = self.cell.get();
        #[cfg(all(test, phalanx_loom))]
        let guard = self.cell.get_mut();
        #[cfg(all(test, phalanx_loom))]
        // SAFETY: the pointer is to the value, which the guard keeps, in a model, from being used twice.
        let value = std::ptr::from_mut(unsafe { guard.deref() });
        // SAFETY: `value` points to the value of this cell, and nobody else uses it, by the caller's promise.
        act(unsafe { &mut *value })
    }
}

/// A value that many threads read or one writes, kept apart by trips instead of a lock.
pub(crate) struct Plot<T> {
    cell: std::cell::UnsafeCell<T>,
    /// In a model, takes note of who does what, and finds accesses that nothing keeps apart.
    #[cfg(all(test, phalanx_loom))]
    guard: loom::cell::UnsafeCell<()>,
}

// SAFETY: the value is only reached through `read` and `write`, whose callers promise what a lock for many readers or one
// writer would enforce; so what such a lock asks of the value is enough.
#[allow(unsafe_code)]
unsafe impl<T: Send + Sync> Sync for Plot<T> {}

#[allow(unsafe_code)]
impl<T> Plot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            cell: std::cell::UnsafeCell::new(value),
            #[cfg(all(test, phalanx_loom))]
            guard: loom::cell::UnsafeCell::new(()),
        }
    }

    /// The value, to read.
    ///
    /// # Safety
    ///
    /// Nobody writes it as long as the reference lives, and every earlier writing happens before this call.
    #[inline(always)]
    pub(crate) unsafe fn read(&self) -> &T {
        #[cfg(all(test, phalanx_loom))]
        self.guard.with(|_| ());
        // SAFETY: by the caller's promise, this reference is shared with none that is exclusive.
        unsafe { &*self.cell.get() }
    }

    /// The value, to write.
    ///
    /// # Safety
    ///
    /// Nobody else reads or writes it as long as the reference lives, and all that others did to it happens before this call.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // a cell's kind of access, for which the caller answers
    pub(crate) unsafe fn write(&self) -> &mut T {
        #[cfg(all(test, phalanx_loom))]
        self.guard.with_mut(|_| ());
        // SAFETY: by the caller's promise, this reference is the only one.
        unsafe { &mut *self.cell.get() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    pub(crate) fn into_inner(self) -> T {
        self.cell.into_inner()
    }
}

/// Who may sleep on a word, and so who can be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Threads of this process.
    Process,
    /// Threads of every process that has mapped the memory: on Linux and Android, where the kernel finds the sleepers by the
    /// memory and not by its address; elsewhere as [`Reach::Process`].
    Machine,
}

/// Whether anybody may still touch a piece of memory: nothing, but in a loom model, which finds who comes too late.
#[derive(Debug)]
pub(crate) struct Presence {
    #[cfg(all(test, phalanx_loom))]
    guard: loom::cell::UnsafeCell<()>,
}

// SAFETY: there is nothing in it that is shared; in a model, loom's cell says which accesses nothing keeps apart.
#[cfg(all(test, phalanx_loom))]
#[allow(unsafe_code)]
unsafe impl Sync for Presence {}

impl Presence {
    constant_unless_modelled! {
        pub(crate) fn new() -> Self {
            Self {
                #[cfg(all(test, phalanx_loom))]
                guard: loom::cell::UnsafeCell::new(()),
            }
        }
    }

    /// The memory is used here, and not behind.
    #[inline(always)]
    pub(crate) fn last_use(&self) {
        #[cfg(all(test, phalanx_loom))]
        self.guard.with(|_| ());
    }

    /// The memory is given back here.
    #[cfg(all(test, phalanx_loom))]
    pub(crate) fn give_back(&self) {
        self.guard.with_mut(|_| ());
    }
}

/// A word that threads can sleep on.
///
/// On Linux and Android a futex, private unless told otherwise; elsewhere (and in a model, and under Miri) the same three operations over a
/// mutex and a condition variable. A sleeper may wake for no reason: every caller looks again.
#[derive(Debug)]
pub(crate) struct Futex {
    word: AtomicU32,
    queue: queue::Queue,
}

impl Futex {
    constant_unless_modelled! {
        /// A word with value `value` and nobody asleep.
        pub(crate) fn new(value: u32) -> Self {
            Self { word: AtomicU32::new(value), queue: queue::Queue::new() }
        }
    }

    /// The word itself, for everything that is not sleeping.
    #[inline(always)]
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Sleeps if the word is `expected`, until a wake, `expires`, a signal, or no reason at all. `fruitless` counts the sleeps of
    /// this wait so far. Whether the sleep was as long as they come, and nobody woke the sleeper.
    pub(crate) fn sleep(&self, expected: u32, expires: Option<Instant>, fruitless: u32) -> bool {
        self.sleep_within(Reach::Process, expected, expires, fruitless)
    }

    /// [`Futex::sleep`], where whoever wakes may be of another process.
    pub(crate) fn sleep_within(&self, reach: Reach, expected: u32, expires: Option<Instant>, fruitless: u32) -> bool {
        self.queue.sleep(&self.word, expected, expires, fruitless, reach)
    }

    /// [`Futex::sleep`] in few instructions, `limited` to the longest sleep that there is or until a wake and without any limit; the latter
    /// for who has found that [wakes come](Futex::wakes_come). Behind a failure go on with [`Futex::recover_from_doze`].
    #[inline(always)]
    pub(crate) fn doze(&self, expected: u32, limited: bool) -> Result<(), DozeFailure> {
        self.queue.doze(&self.word, expected, limited).map_err(DozeFailure)
    }

    /// Rests as [`Futex::sleep`] would have done by itself, and says what that says.
    #[cold]
    pub(crate) fn recover_from_doze(&self, failure: DozeFailure, expected: u32, fruitless: u32) -> bool {
        self.queue.recover_from_doze(failure.0, &self.word, expected, fruitless)
    }

    /// Whether no sleep and no wake of this process has been refused so far.
    pub(crate) fn obeys() -> bool {
        queue::Queue::obeys()
    }

    /// Whether a wake has ended a sleep of this process, so that others may sleep without a limit, and nothing has been refused so far.
    pub(crate) fn wakes_come() -> bool {
        queue::Queue::wakes_come()
    }

    /// Wakes every sleeper. Call after the word has changed.
    pub(crate) fn wake_all(&self) {
        self.wake_all_within(Reach::Process);
    }

    /// [`Futex::wake_all`] for those who sleep within the same reach.
    #[inline]
    pub(crate) fn wake_all_within(&self, reach: Reach) {
        self.queue.wake_all(&self.word, reach);
    }
}

/// Why no wake has ended a [`Futex::doze`].
#[derive(Debug)]
pub(crate) struct DozeFailure(queue::Failure);

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(miri),
    not(all(test, any(phalanx_loom, phalanx_shuttle)))
))]
mod queue;

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    not(miri),
    not(all(test, any(phalanx_loom, phalanx_shuttle)))
)))]
mod queue {
    use super::chosen::Condvar;
    use super::{AtomicU32, Instant, Mutex, Ordering, Reach, lock};

    /// The portable queue. The mutex makes "is the word still `expected`" and "fall asleep" one step against a waker,
    /// who takes the same mutex after changing the word.
    #[derive(Debug)]
    pub(super) struct Queue {
        gate: Mutex<()>,
        bell: Condvar,
    }

    /// There is none.
    pub(super) type Failure = std::convert::Infallible;

    impl Queue {
        constant_unless_modelled! {
            pub(super) fn new() -> Self {
                Self { gate: Mutex::new(()), bell: Condvar::new() }
            }
        }

        pub(super) fn sleep(
            &self,
            word: &AtomicU32,
            expected: u32,
            expires: Option<Instant>,
            _fruitless: u32,
            _reach: Reach,
        ) -> bool {
            let gate = lock(&self.gate);
            // Relaxed: the mutex orders it against the waker; what the word announces is acquired by the caller's next
            // look.
            if word.load(Ordering::Relaxed) != expected {
                return false;
            }
            #[cfg(all(test, phalanx_shuttle))]
            if let Some(at) = expires {
                drop(gate);
                while word.load(Ordering::Relaxed) == expected && super::now() < at {
                    shuttle::thread::yield_now();
                }
                return false;
            }
            #[cfg(not(all(test, any(phalanx_loom, phalanx_shuttle))))]
            if let Some(at) = expires {
                let left = at.saturating_duration_since(super::now());
                drop(self.bell.wait_timeout(gate, left));
                return false;
            }
            let _ = expires;
            drop(self.bell.wait(gate));
            false
        }

        pub(super) fn doze(&self, word: &AtomicU32, expected: u32, _limited: bool) -> Result<(), Failure> {
            self.sleep(word, expected, None, 0, Reach::Process);
            Ok(())
        }

        pub(super) fn recover_from_doze(&self, failure: Failure, _: &AtomicU32, _: u32, _: u32) -> bool {
            match failure {}
        }

        pub(super) fn obeys() -> bool {
            true
        }

        pub(super) fn wakes_come() -> bool {
            true
        }

        pub(super) fn wake_all(&self, _word: &AtomicU32, _reach: Reach) {
            drop(lock(&self.gate));
            self.bell.notify_all();
        }
    }
}
