//! Memory that all parties of a foreign team see: threads of one process, or processes that map one file.
//!
//! It has what C writes and Rust reads behind the round (native/rounds.h): a slot per party for the checked trips and one
//! for the number of the last trip, a report per party, and the passages of a round in which each trip is timed.

use super::object::{Report, Slot};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::fs::File;
use std::os::fd::AsFd;
use std::{mem, ptr};

/// Room for the passages, far more than any round has; a page that nobody writes to takes no memory.
const SEEN: usize = 64 << 20;

pub struct Shared {
    base: *mut u8,
    parties: usize,
}

// SAFETY: plain memory that belongs to this value; nothing in it is bound to a thread.
unsafe impl Send for Shared {}

impl Shared {
    /// For the threads of this process.
    pub fn private(parties: usize) -> Result<Self, String> {
        // SAFETY: the kernel chooses a place where nothing else lies.
        let base = unsafe {
            mmap_anonymous(ptr::null_mut(), size(parties), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        Self::at(base.map_err(|e| format!("mmap: {e}"))?, parties)
    }

    /// For all who map this file.
    pub fn of(file: &File, parties: usize) -> Result<Self, String> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses a place where nothing else lies.
        let base = unsafe { mmap(ptr::null_mut(), size(parties), access, flags, file.as_fd(), 0) };
        Self::at(base.map_err(|e| format!("mmap: {e}"))?, parties)
    }

    /// A file for so many parties, without a name, that others open by way of this process.
    pub fn file(parties: usize) -> Result<File, String> {
        let file = memfd_create("versus", MemfdFlags::CLOEXEC).map_err(|e| format!("memfd_create: {e}"))?;
        ftruncate(&file, size(parties) as u64).map_err(|e| format!("ftruncate: {e}"))?;
        Ok(file.into())
    }

    fn at(base: *mut std::ffi::c_void, parties: usize) -> Result<Self, String> {
        Ok(Self { base: base.cast(), parties })
    }

    pub fn slots(&self) -> *mut Slot {
        self.base.cast()
    }

    pub fn reports(&self) -> *mut Report {
        self.base.wrapping_add(slots(self.parties)).cast()
    }

    pub fn seen(&self) -> *mut u64 {
        self.base.wrapping_add(slots(self.parties) + reports(self.parties)).cast()
    }

    /// So many words of passages fit.
    pub const fn room() -> usize {
        SEEN / mem::size_of::<u64>()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped with this size, and nobody has the pointers any more. There is nothing to do about an error.
        let _ = unsafe { munmap(self.base.cast(), size(self.parties)) };
    }
}

fn slots(parties: usize) -> usize {
    (parties + 1) * mem::size_of::<Slot>()
}

/// In whole lines, so that what follows is aligned to one.
fn reports(parties: usize) -> usize {
    (parties * mem::size_of::<Report>()).next_multiple_of(128)
}

fn size(parties: usize) -> usize {
    slots(parties) + reports(parties) + SEEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_maps_of_a_file_are_one_memory() {
        let file = Shared::file(3).unwrap();
        let (a, b) = (Shared::of(&file, 3).unwrap(), Shared::of(&file, 3).unwrap());
        // SAFETY: the last word that fits, which both maps have; nobody else looks at it.
        unsafe {
            a.seen().add(Shared::room() - 1).write_volatile(7);
            assert_eq!(b.seen().add(Shared::room() - 1).read_volatile(), 7);
        }
        assert_eq!((a.reports() as usize % 128, a.seen() as usize % 128), (0, 0));
    }
}
