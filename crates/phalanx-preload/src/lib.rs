//! `LD_PRELOAD=libphalanx_preload.so program`: the pthread barriers of a program that knows nothing of Rust, replaced.
//!
//! For users there is `docs/preload.md`. The mechanism is not here: it is [`phalanx::compat::in_place`], a barrier in the 32 bytes of
//! the caller's `pthread_barrier_t`, with its models. Here is what lies between a C program and that.
//!
//! # Symbols
//!
//! Three, without a version. A program asks for `pthread_barrier_wait@GLIBC_2.34`, or `@GLIBC_2.2.5` (x86-64) or `@GLIBC_2.17`
//! (AArch64) if it was linked against a glibc from before 2.34; glibc's linker gives it a symbol without a version for each of them,
//! as long as the library comes first. A version script with those names would make it pickier: a program linked against a version
//! that is not in it would go past. What goes past us is `dlvsym` with a version, and `dlsym` with libc's own handle: whoever takes all
//! three functions from there has glibc's barriers, and whoever mixes them has neither.
//!
//! # State
//!
//! All of a barrier is in its 32 bytes, so nothing is allocated by `_init`, nothing freed by `_destroy`, and processes may share it,
//! if all of them have this library. How to wait here ([`Means`]) is one static: made by the first `_init` of a process (from the
//! mask and the environment at its start, and the quota; nothing is timed, no thread is started), read by `_wait` without a lock, an
//! allocation, an environment or thread-local storage, and by those alone who may stay awake: where trips are far apart each line of
//! memory that a wait touches shows in the program's CPU time. Who waits in a process that makes no barriers goes by the same
//! without the quota, since a wait opens no file. What a barrier keeps of past waits is counted from the start of the system, in all processes
//! that share it.
//!
//! The unwinder that Rust's standard library needs is linked into the library (`build.rs`).
//!
//! What is counted for `PHALANX_PRELOAD_STATS` and `PHALANX_WATCHDOG` is in tables (`slots`, `lines`), whose number is in
//! the barrier's note. Without these variables the note is 0, and that is all that `_wait` looks at: it is in the line that it reads
//! anyway. `observe` has the rest.
//!
//! # What C expects
//!
//! - **No unwinding.** Every function is `extern "C"`, which aborts where a panic would cross. `_wait` has nothing that panics; what
//!   formats, allocates or asks the system is behind `catch_unwind`.
//! - **No cancellation point.** Sleeps and yields are system calls of our own, not the C library's (in builds with debug assertions yields
//!   are its `sched_yield`, which is none); what else calls the C library (the first `_init`, reports) does so with cancellation disabled.
//! - **`errno`** stays as it was.
//! - **Fork.** There is no lock that the child could find taken. The child's own barriers work, also those that were forked along, as
//!   far as they are not waited at by threads that the child does not have.
//! - **Threads and signals**: no thread is ever started, no handler installed.
//!
//! # What is undefined, and what happens
//!
//! | what the program does | glibc | here |
//! |---|---|---|
//! | destroys a barrier while threads wait at it for others | hangs, or worse | `EBUSY`, nothing changes |
//! | makes a barrier anew while threads wait at it or leave it | they may hang | they may hang |
//! | makes one anew that nobody is at, without destroying it | works | works |
//! | waits at memory that is full of zeros | dies of a division by zero | `EINVAL` |
//! | waits at a barrier that it has destroyed | may work, for a while | works |
//!
//! # Limits
//!
//! glibc on x86-64 and AArch64: on other systems the crate does not build. Not for programs with more rights than their user, where
//! the linker ignores the variable. Helgrind, DRD and ThreadSanitizer know glibc's barriers by name and not these.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("phalanx-preload knows pthread_barrier_t of Linux on x86-64 and AArch64 only");

mod lines;
mod observe;
mod once;
mod place;
mod say;
mod settings;
mod slots;
mod table;
mod threads;
mod watchdog;

use libc::{EBUSY, EINVAL, c_int, c_uint, pthread_barrier_t, pthread_barrierattr_t};
use once::Once;
use phalanx::compat::in_place::{InPlace, Means, Reach};
use say::Undisturbed;
use std::num::NonZeroU32;
use std::panic::catch_unwind;

const _: () = assert!(
    size_of::<InPlace>() <= size_of::<pthread_barrier_t>() && align_of::<InPlace>() <= align_of::<pthread_barrier_t>(),
    "a barrier must fit into what the program has for one"
);

/// The greatest count that glibc takes.
const MOST_PARTIES: c_uint = c_uint::MAX / 2 - 1;

/// How to wait here: found out by the first `pthread_barrier_init`.
static MEANS: Once<Means> = Once::new();

/// The same without the quota, for a process that waits at barriers of others: a wait opens no file.
static GUESTS: Once<Means> = Once::new();

/// Makes a barrier of the caller's 32 bytes.
///
/// # Errors
///
/// `EINVAL`: a count of 0, or above what glibc takes; NULL.
///
/// # Safety
///
/// The first pointer is NULL or good for a `pthread_barrier_t`, the second one NULL or initialised attributes.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn pthread_barrier_init(
    _barrier: *mut pthread_barrier_t,
    _attributes: *const pthread_barrierattr_t,
    _count: c_uint,
) -> c_int {
    // Goes on in `init_from` with one argument more: where it was called from.
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {}", sym init_from);
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!("mov x3, x30", "b {}", sym init_from);
}

/// # Safety
///
/// As [`pthread_barrier_init`].
unsafe extern "C" fn init_from(
    barrier: *mut pthread_barrier_t,
    attributes: *const pthread_barrierattr_t,
    count: c_uint,
    place: usize,
) -> c_int {
    let Some(parties) = NonZeroU32::new(count).filter(|parties| parties.get() <= MOST_PARTIES) else { return EINVAL };
    if barrier.is_null() {
        return EINVAL;
    }
    let _undisturbed = Undisturbed::new();
    let mut shared = libc::PTHREAD_PROCESS_PRIVATE;
    if !attributes.is_null() {
        // SAFETY: the caller's attributes are what they say.
        unsafe { libc::pthread_barrierattr_getpshared(attributes, &mut shared) };
    }
    let shared = shared == libc::PTHREAD_PROCESS_SHARED;
    let reach = if shared { Reach::Machine } else { Reach::Process };
    MEANS.fill(|| catch_unwind(settings::means).unwrap_or_else(|_| Means::plain()));
    let barrier = barrier.cast::<InPlace>();
    let observe = settings::settings().observe();
    // SAFETY: the caller's memory, large enough and aligned (asserted above). What is in there may be a barrier that the program makes
    // anew; any bits are a barrier as far as its note is concerned.
    let old = if observe { unsafe { (*barrier).note() } } else { 0 };
    // SAFETY: as above.
    unsafe { barrier.write(InPlace::new(parties, reach, 0)) };
    // SAFETY: written above.
    let barrier = unsafe { &*barrier };
    if let Some(means) = MEANS.get() {
        barrier.begin(means);
    }
    if observe {
        // A barrier that cannot be observed because of a panic works all the same.
        let _ = catch_unwind(|| observe::adopt(barrier, old, shared, place));
    }
    0
}

/// Waits for as many callers as the barrier is for: `PTHREAD_BARRIER_SERIAL_THREAD` for the last of them, 0 for the others.
///
/// # Errors
///
/// `EINVAL`: NULL, or memory full of zeros.
///
/// # Safety
///
/// The pointer is NULL, or that of a barrier which `pthread_barrier_init` has made, here or in another process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    // SAFETY: made by `pthread_barrier_init`, so it is one; all its fields are atomic, whoever else uses them.
    let Some(barrier) = (unsafe { barrier.cast::<InPlace>().as_ref() }) else { return EINVAL };
    if barrier.parties() == 0 {
        return EINVAL;
    }
    let last = match barrier.note() {
        0 => barrier.wait_with(|| MEANS.get().or_else(of_a_guest), means_of_a_guest),
        note => wait_observed(barrier, note),
    };
    if last { libc::PTHREAD_BARRIER_SERIAL_THREAD } else { 0 }
}

/// In a process that makes no barriers, or before its first is made.
#[cold]
#[inline(never)]
fn of_a_guest() -> Option<&'static Means> {
    // Not for good, before the environment has been read: a constructor of another library may wait.
    if settings::are_known() {
        GUESTS.fill(means_of_a_guest);
    }
    GUESTS.get()
}

fn means_of_a_guest() -> Means {
    catch_unwind(settings::means_of_a_guest).unwrap_or_else(|_| Means::plain())
}

#[cold]
#[inline(never)]
fn wait_observed(barrier: &InPlace, note: u32) -> bool {
    let local;
    let means = match MEANS.get().or_else(of_a_guest) {
        Some(means) => means,
        None => {
            local = means_of_a_guest();
            &local
        }
    };
    observe::wait(barrier, note, means)
}

/// Returns when everybody has left whom the barrier has let go. Its memory is the caller's again then; nothing else belongs to it.
///
/// # Errors
///
/// `EBUSY`: somebody waits for others. `EINVAL`: NULL, or memory full of zeros.
///
/// # Safety
///
/// As [`pthread_barrier_wait`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_barrier_destroy(barrier: *mut pthread_barrier_t) -> c_int {
    // SAFETY: as in `pthread_barrier_wait`.
    let Some(barrier) = (unsafe { barrier.cast::<InPlace>().as_ref() }) else { return EINVAL };
    if barrier.parties() == 0 {
        return EINVAL;
    }
    if barrier.retire().is_err() {
        return EBUSY;
    }
    match barrier.note() {
        0 => {}
        note => {
            let _undisturbed = Undisturbed::new();
            let _ = catch_unwind(|| observe::release(barrier, note));
        }
    }
    0
}
