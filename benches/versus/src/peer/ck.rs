//! Concurrency Kit's five barriers: centralized, combining, dissemination, tournament and MCS.
//!
//! They are what the textbooks have, in C, and their waiters spin with the processor's hint and never sleep. native/ck.c
//! sets each kind up; here they are all one type. A trip is a call through a function pointer and another through the
//! library's table: some three nanoseconds of its tens. None names a leader.

use super::object;
use crate::seat::Crossing;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

/// Their names, in the order of native/ck.c.
pub const KINDS: [&str; 5] = ["centralized", "combining", "dissemination", "tournament", "mcs"];

/// All parties of one barrier of a kind.
///
/// # Errors
///
/// Says why the build could not compile it, or why it cannot be loaded or built.
pub fn parties(kind: usize, parties: usize) -> Result<Vec<Ck>, String> {
    let library = object::ck()?;
    let kind = kind as c_int;
    let count = u32::try_from(parties).map_err(|e| e.to_string())?;
    // SAFETY: numbers are all that they ask for.
    let (made, waiter) = unsafe { ((library.create)(kind, count), (library.waiter)(kind)) };
    let waiter = waiter.ok_or("no such kind")?;
    let barrier = Arc::new(Barrier { library, barrier: made.ok_or("out of memory")? });
    let party = |rank| {
        // SAFETY: the barrier was made for more parties than this rank.
        let handle = unsafe { (library.party)(barrier.barrier, rank) };
        Ck { handle, waiter, _barrier: Arc::clone(&barrier) }
    };
    Ok((0..count).map(party).collect())
}

struct Barrier {
    library: object::Ck,
    barrier: NonNull<c_void>,
}

// SAFETY: it is made to be used by several threads at once; from here it is only destroyed, by the last handle.
unsafe impl Send for Barrier {}
// SAFETY: as above.
unsafe impl Sync for Barrier {}

impl Drop for Barrier {
    fn drop(&mut self) {
        // SAFETY: made by `create`; the last handle goes, so nobody waits.
        unsafe { (self.library.destroy)(self.barrier) };
    }
}

pub struct Ck {
    handle: NonNull<c_void>,
    waiter: object::Waiter,
    _barrier: Arc<Barrier>,
}

// SAFETY: the state behind the handle is this party's alone and bound to no thread.
unsafe impl Send for Ck {}

impl Crossing for Ck {
    const LEADS: bool = false;

    #[inline]
    fn wait(&mut self) -> bool {
        // SAFETY: this kind's own waiter, on a party of a barrier that the handle keeps alive; `&mut` keeps a second
        // thread out.
        unsafe { (self.waiter)(self.handle) };
        false
    }
}
