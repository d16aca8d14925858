//! The calling thread's number and name, from the kernel.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// The calling thread's number; asks the kernel once.
pub(crate) fn number() -> u32 {
    NUMBER.with(|number| {
        if number.get() == 0 {
            // SAFETY: has no preconditions.
            number.set(unsafe { libc::gettid() } as u32);
        }
        number.get()
    })
}

/// In the child of a fork: the thread has another number now.
pub(crate) fn forget_number() {
    NUMBER.with(|number| number.set(0));
}

/// Whether the process has no such thread any more. Changes `errno`.
pub(crate) fn has_ended(thread: u32) -> bool {
    // SAFETY: signal 0 is none; whether one could be sent is all that is asked.
    let answer = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) };
    // Whatever else goes wrong (a filter that refuses), it may be alive.
    answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// A thread's name, of at most 15 bytes, that others may read while it changes.
#[derive(Debug)]
pub(crate) struct Name([AtomicU64; 2]);

impl Name {
    pub(crate) const fn none() -> Self {
        Self([AtomicU64::new(0), AtomicU64::new(0)])
    }

    /// Takes the calling thread's.
    pub(crate) fn take(&self) {
        let mut bytes = [0u8; 16];
        // SAFETY: the kernel writes 16 bytes, the last of which is 0.
        unsafe { libc::prctl(libc::PR_GET_NAME, bytes.as_mut_ptr()) };
        let whole = u128::from_ne_bytes(bytes);
        self.set([whole as u64, (whole >> 64) as u64]);
    }

    // Relaxed, all of them: a name that changes just now may be read half old; it is for people.
    pub(crate) fn words(&self) -> [u64; 2] {
        [self.0[0].load(Ordering::Relaxed), self.0[1].load(Ordering::Relaxed)]
    }

    pub(crate) fn set(&self, words: [u64; 2]) {
        self.0[0].store(words[0], Ordering::Relaxed);
        self.0[1].store(words[1], Ordering::Relaxed);
    }
}

/// The text of [`Name::words`].
pub(crate) fn spell(words: [u64; 2]) -> String {
    let whole = u128::from(words[0]) | u128::from(words[1]) << 64;
    let bytes = whole.to_ne_bytes();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_they_went_in() {
        let name = Name::none();
        assert_eq!(spell(name.words()), "");
        std::thread::scope(|scope| {
            let named = std::thread::Builder::new().name("0123456789abcdefgh".into());
            named.spawn_scoped(scope, || name.take()).unwrap().join().unwrap();
        });
        assert_eq!(spell(name.words()), "0123456789abcde");
    }
}
