//! `LD_PRELOAD=libphalanx_preload.so program`: the pthread barriers of a program that knows nothing of Rust, replaced.
//!
//! The mechanism is not here: it is [`phalanx::compat::in_place`], a barrier in the caller's 32 bytes, with its models.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("phalanx-preload knows pthread_barrier_t of Linux on x86-64 and AArch64 only");

mod once;

use libc::{EBUSY, EINVAL, c_int, c_uint, pthread_barrier_t, pthread_barrierattr_t};
use once::Once;
use phalanx::compat::in_place::{InPlace, Means, Reach};
use std::num::NonZeroU32;

const _: () = assert!(
    size_of::<InPlace>() <= size_of::<pthread_barrier_t>() && align_of::<InPlace>() <= align_of::<pthread_barrier_t>(),
    "a barrier must fit into what the program has for one"
);

/// More parties than glibc takes are an error here as well.
const MOST_PARTIES: c_uint = c_uint::MAX / 2;

/// What waiting costs: measured by the first `pthread_barrier_init`.
static MEANS: Once<Means> = Once::new();

/// The same without a measurement, for a process that waits at barriers of others.
static PLAIN: Once<Means> = Once::new();

/// Replaces the C library's.
///
/// # Safety
///
/// As POSIX says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_barrier_init(
    barrier: *mut pthread_barrier_t,
    attributes: *const pthread_barrierattr_t,
    count: c_uint,
) -> c_int {
    let Some(parties) = NonZeroU32::new(count).filter(|parties| parties.get() <= MOST_PARTIES) else { return EINVAL };
    if barrier.is_null() {
        return EINVAL;
    }
    let mut shared = libc::PTHREAD_PROCESS_PRIVATE;
    if !attributes.is_null() {
        // SAFETY: the caller's attributes are what they say, as POSIX demands.
        unsafe { libc::pthread_barrierattr_getpshared(attributes, &mut shared) };
    }
    let reach = if shared == libc::PTHREAD_PROCESS_SHARED { Reach::Machine } else { Reach::Process };
    MEANS.fill(Means::here);
    // SAFETY: the caller gives the memory of a `pthread_barrier_t`, which is large enough and aligned (asserted above).
    unsafe { barrier.cast::<InPlace>().write(InPlace::new(parties, reach, 0)) };
    0
}

/// Replaces the C library's.
///
/// # Safety
///
/// As POSIX says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    // SAFETY: the caller's barrier has been initialised, which is to say that `pthread_barrier_init` above has written it.
    let Some(barrier) = (unsafe { barrier.cast::<InPlace>().as_ref() }) else { return EINVAL };
    if barrier.parties() == 0 {
        return EINVAL;
    }
    let last = match MEANS.get() {
        Some(means) => barrier.wait(means),
        None => wait_plainly(barrier),
    };
    if last { libc::PTHREAD_BARRIER_SERIAL_THREAD } else { 0 }
}

#[cold]
#[inline(never)]
fn wait_plainly(barrier: &InPlace) -> bool {
    PLAIN.fill(Means::plain);
    match PLAIN.get() {
        Some(means) => barrier.wait(means),
        None => barrier.wait(&Means::plain()),
    }
}

/// Replaces the C library's.
///
/// # Safety
///
/// As POSIX says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_barrier_destroy(barrier: *mut pthread_barrier_t) -> c_int {
    // SAFETY: as in `pthread_barrier_wait`.
    let Some(barrier) = (unsafe { barrier.cast::<InPlace>().as_ref() }) else { return EINVAL };
    if barrier.parties() == 0 {
        return EINVAL;
    }
    if barrier.retire().is_err() { EBUSY } else { 0 }
}
