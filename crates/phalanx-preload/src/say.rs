//! Words for a person, to stderr in one piece, without a lock that a forked child could find taken.

/// Writes `text` to stderr.
pub(crate) fn say(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the buffer is as long as it says.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(_) if errno() == libc::EINTR => {}
            // Nobody listens.
            Err(_) => return,
        }
    }
}

fn errno() -> libc::c_int {
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() }
}

/// Until it is dropped, the calling thread is not cancelled, and afterwards its `errno` is what it was.
///
/// None of the barrier's functions is a cancellation point, and what a cancellation unwinds must be C. `read` and `write` are
/// cancellation points, so what may call them goes in here.
pub(crate) struct Undisturbed {
    errno: libc::c_int,
    cancel: libc::c_int,
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
}

/// glibc's and musl's.
const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;

impl Undisturbed {
    pub(crate) fn new() -> Self {
        let mut cancel = 0;
        // SAFETY: the pointer is good for the call.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut cancel) };
        Self { errno: errno(), cancel }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        let mut disabled = 0;
        // SAFETY: the pointer is good for the call; `errno` is the calling thread's own.
        unsafe {
            pthread_setcancelstate(self.cancel, &mut disabled);
            *libc::__errno_location() = self.errno;
        }
    }
}
