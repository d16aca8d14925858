//! Cancellation (`pthread_cancel`) kept out of the functions that make system calls.
//!
//! Where a thread is to be cancelled, its next cancellation point ends it by unwinding, and an unwinding that is not Rust's own ends the process
//! when it comes to `catch_unwind`. To make a barrier reads files and starts threads, to free a team waits for some: all of that, and more
//! that std does, are cancellation points. So what is not a wait or an arrival puts cancellation off while it lasts, for some
//! nanoseconds. Those cannot afford them, and make their system calls without the C library (`primitive/direct.rs` of the library).

use crate::status::phalanx_status;
use crate::status::{Failure, guarded};

/// [`guarded`], and until it returns the calling thread is not cancelled.
#[inline]
pub(crate) fn undisturbed(body: impl FnOnce() -> Result<(), Failure>) -> phalanx_status {
    let _undisturbed = Undisturbed::new();
    guarded(body)
}

#[cfg(all(unix, not(any(target_os = "android", miri))))]
mod cancellation {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    }

    const PTHREAD_CANCEL_DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    /// Until it is dropped, the calling thread is not cancelled; afterwards that is as it was.
    pub(super) struct Undisturbed(c_int);

    impl Undisturbed {
        pub(super) fn new() -> Self {
            let mut before = 0;
            // SAFETY: the pointer is good for the call.
            unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
            Self(before)
        }
    }

    impl Drop for Undisturbed {
        fn drop(&mut self) {
            let mut disabled = 0;
            // SAFETY: as above.
            unsafe { pthread_setcancelstate(self.0, &mut disabled) };
        }
    }
}

/// Where nobody is cancelled.
#[cfg(not(all(unix, not(any(target_os = "android", miri)))))]
mod cancellation {
    pub(super) struct Undisturbed;

    impl Undisturbed {
        pub(super) fn new() -> Self {
            Self
        }
    }
}

use cancellation::Undisturbed;
