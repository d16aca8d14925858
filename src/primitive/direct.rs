//! Files that are read and lines that are written by whoever waits.
//!
//! On Linux by system calls of our own. The C library's `open`, `read`, `write` and `close` are cancellation points: where a thread has been
//! asked to end by `pthread_cancel`, they end it, by unwinding. What a C program calls here must not be unwound: no function of a barrier is
//! a cancellation point, and a cancellation that comes upon a frame of Rust's ends the process. (std's files, and each drop of an `OwnedFd`,
//! call the C library. So does rustix on some processors: not on x86, Arm and RISC-V.)

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod calls {
    use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::{close, read, retry_on_intr, write};
    use rustix::path::Arg;
    use std::path::Path;

    /// A file that is read.
    pub(crate) struct File(Option<OwnedFd>);

    impl File {
        /// Should anything but a file be there, `also` may have `NONBLOCK`, which keeps nobody waiting.
        pub(crate) fn open(path: impl Arg + Copy, also: OFlags) -> Option<Self> {
            // Not `open`, whose call of old a sandbox may take amiss.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | also;
            Some(Self(Some(retry_on_intr(|| openat(CWD, path, flags, Mode::empty())).ok()?)))
        }

        /// Reads on into `buffer`; how many bytes, 0 at the end.
        pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
            retry_on_intr(|| read(self, &mut *buffer)).ok()
        }
    }

    impl AsFd for File {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_ref().expect("it is open until it is dropped").as_fd()
        }
    }

    impl Drop for File {
        #[allow(unsafe_code)]
        fn drop(&mut self) {
            if let Some(file) = self.0.take() {
                // SAFETY: it was owned, and is no more.
                unsafe { close(file.into_raw_fd()) }
            }
        }
    }

    /// What is in a file, `most` bytes of it.
    pub(crate) fn content(path: &Path, most: usize) -> Option<Vec<u8>> {
        let file = File::open(path, OFlags::empty())?;
        // What is to be read is seldom longer.
        let (mut bytes, mut long) = (vec![0; most.min(4096)], 0);
        loop {
            if long == bytes.len() {
                if long == most {
                    break;
                }
                bytes.resize(most.min(2 * long), 0);
            }
            match file.read(&mut bytes[long..])? {
                0 => break,
                more => long += more,
            }
        }
        bytes.truncate(long);
        Some(bytes)
    }

    /// Writes to stderr, all at once, so that no other thread's lines get in between.
    pub(crate) fn say(text: &str) {
        let stderr = std::io::stderr().lock();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // That it cannot be written is no reason to panic.
            match retry_on_intr(|| write(&stderr, rest)) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                _ => return,
            }
        }
    }
}

/// Elsewhere, and under Miri, which lets nobody make calls of their own, as std does it.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
mod calls {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::path::Path;

    /// What is in a file, `most` bytes of it.
    pub(crate) fn content(path: &Path, most: usize) -> Option<Vec<u8>> {
        // From nothing the buffer would grow in steps of 32 bytes, with a system call each.
        let mut bytes = Vec::with_capacity(4096);
        File::open(path).ok()?.take(most as u64).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Writes to stderr, all at once, so that no other thread's lines get in between.
    pub(crate) fn say(text: &str) {
        // That it cannot be written is no reason to panic.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

pub(crate) use calls::*;

#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_end_or_as_far_as_is_asked() {
        let path = std::env::temp_dir().join(format!("phalanx-direct-{}", std::process::id()));
        for long in [0, 1, 4095, 4096, 4097, 20_000] {
            let bytes: Vec<u8> = (0..long).map(|at: usize| at as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            for most in [0, 1, 4096, 5000, 1 << 20] {
                assert_eq!(content(&path, most).unwrap(), bytes[..long.min(most)], "{long} {most}");
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(content(&path, 1), None);
        assert_eq!(content(&std::env::temp_dir(), 1), None, "a folder");
    }
}
