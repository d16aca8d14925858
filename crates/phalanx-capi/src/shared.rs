//! Barriers without handles: any thread may wait.

use crate::barrier::{User, pointer, reason_in, reserved};
use crate::handle::{Kind, Pin, Shelf};
use crate::out;
use crate::party::deadline;
use crate::status::phalanx_status::{self, PHALANX_BUSY};
use crate::status::{Failure, guarded};
use crate::undisturbed::undisturbed;
use phalanx::compat::{Barrier, BarrierWaitResult};
use phalanx::{Broken, BuildError, MAX_PARTIES};
use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

/// A barrier that any thread may wait on, like a pthread_barrier_t; more callers than parties are served in batches. It cannot say who
/// is missing, only how many; it has no statistics; and its trip costs more than that of a phalanx_barrier.
pub struct phalanx_shared_barrier {
    _opaque: [u8; 0],
}

/// A callback that runs once per trip, after the last arrival and before any release, on the thread of the last caller. It must return by
/// returning: neither by an exception nor by longjmp().
pub type phalanx_shared_action = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// What can be chosen of a shared barrier. All 0 is the default of everything.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_shared_options {
    /// Runs once per trip; NULL for nothing. It cannot wait at its own barrier: that is refused with PHALANX_REENTERED.
    pub action: phalanx_shared_action,
    /// What the action is called with.
    pub user: *mut c_void,
    /// Must be 0; for later versions.
    pub reserved: [u64; 4],
}

/// A completed trip, as one of its callers sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_shared_trip {
    /// The caller's arrival index: 0 for the first of the trip, parties - 1 for the last.
    pub index: usize,
    /// 1 for exactly one caller of each trip, the last to arrive; else 0.
    pub leader: c_int,
}

static BARRIERS: Shelf<Barrier> = Shelf::new(Kind::Shared);

pub(crate) fn in_use() -> usize {
    BARRIERS.in_use()
}

fn pinned(barrier: *const phalanx_shared_barrier) -> Result<Pin<Barrier>, Failure> {
    let handle = barrier.addr();
    BARRIERS.pin(handle).map_err(|refusal| Failure::refused(refusal, Kind::Shared, handle))
}

/// Makes a shared barrier for `parties` callers, 1 to 65536. `options` may be NULL.
///
/// # Safety
///
/// `options` is NULL or points to options; `barrier` points to room for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_create(
    parties: usize,
    options: *const phalanx_shared_options,
    barrier: *mut *mut phalanx_shared_barrier,
) -> phalanx_status {
    undisturbed(|| {
        out::needed(barrier, "barrier")?;
        if !(1..=MAX_PARTIES).contains(&parties) {
            return Err(BuildError::Parties { parties }.into());
        }
        // SAFETY: by this function's own contract.
        let options = unsafe { options.as_ref() };
        options.map_or(Ok(()), |options| reserved(&options.reserved))?;
        let action = options.and_then(|options| options.action.map(|action| (action, User(options.user))));
        let made = match action {
            None => Barrier::new(parties),
            Some((action, user)) => Barrier::with_action(parties, move || {
                // SAFETY: the action can be called with its pointer on any thread that waits, as its author was told.
                unsafe { action(user.pointer()) }
            }),
        };
        let handle = BARRIERS.put(made).ok_or_else(|| Failure::no_room(Kind::Shared))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(barrier, "barrier", pointer(handle)) }
    })
}

/// Frees a shared barrier, also while others are still leaving a completed trip. If threads wait in an open trip, it returns PHALANX_BUSY
/// and does nothing; a thread that comes to wait meanwhile is told PHALANX_BROKEN, and does not hang.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_shared_free(barrier: *mut phalanx_shared_barrier) -> phalanx_status {
    undisturbed(|| {
        let handle = barrier.addr();
        let pin = pinned(barrier)?;
        let waiting = if pin.is_broken() { 0 } else { pin.arrived() };
        if waiting > 0 {
            let text = format!("{waiting} of {} threads wait at the shared barrier; it was not freed", pin.parties());
            return Err(Failure::new(PHALANX_BUSY, text));
        }
        pin.end().map_err(|refusal| Failure::refused(refusal, Kind::Shared, handle))?;
        // Who has been let in, and has not arrived yet, would wait for callers that nobody lets in any more.
        pin.abort("the barrier was freed");
        Ok(())
    })
}

/// Waits in one of the ways that there are.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[inline]
unsafe fn crossed(
    barrier: *const phalanx_shared_barrier,
    trip: *mut phalanx_shared_trip,
    cross: impl FnOnce(&Barrier) -> Result<BarrierWaitResult, Broken>,
) -> phalanx_status {
    guarded(|| {
        let result = cross(&*pinned(barrier)?)?;
        // SAFETY: by this function's own contract.
        unsafe {
            out::offer(trip, phalanx_shared_trip { index: result.index(), leader: c_int::from(result.is_leader()) });
        }
        Ok(())
    })
}

/// Arrives, and stays until as many callers as the barrier has parties have arrived. `trip` may be NULL.
///
/// Returns PHALANX_BROKEN for all callers of a trip alike, and from then on until somebody calls phalanx_shared_reset().
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_wait(
    barrier: *const phalanx_shared_barrier,
    trip: *mut phalanx_shared_trip,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { crossed(barrier, trip, Barrier::try_wait) }
}

/// phalanx_shared_wait(), but breaks the trip when so many nanoseconds have passed. 0 does not wait.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_wait_timeout(
    barrier: *const phalanx_shared_barrier,
    timeout_ns: u64,
    trip: *mut phalanx_shared_trip,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { crossed(barrier, trip, |barrier| barrier.wait_timeout(out::endless(timeout_ns))) }
}

/// phalanx_shared_wait(), but breaks the trip at a time of phalanx_now_ns(). One in the past does not wait.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_wait_deadline(
    barrier: *const phalanx_shared_barrier,
    deadline_ns: u64,
    trip: *mut phalanx_shared_trip,
) -> phalanx_status {
    let cross = |barrier: &Barrier| match deadline(deadline_ns) {
        Some(deadline) => barrier.wait_deadline(deadline),
        None => barrier.wait_timeout(Duration::MAX),
    };
    // SAFETY: by this function's own contract.
    unsafe { crossed(barrier, trip, cross) }
}

/// Breaks the open trip: its callers, and those who come before phalanx_shared_reset(), are told PHALANX_CAUSE_ABORTED with this reason,
/// which may be NULL.
///
/// # Safety
///
/// `reason` is NULL or a text that ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_abort(
    barrier: *const phalanx_shared_barrier,
    reason: *const c_char,
) -> phalanx_status {
    undisturbed(|| {
        // SAFETY: by this function's own contract.
        let reason = unsafe { reason_in(reason) };
        pinned(barrier)?.abort(reason);
        Ok(())
    })
}

/// Returns a shared barrier to service. Callers that are waiting are told PHALANX_CAUSE_RESET; if nobody waits and nothing is broken, nothing
/// changes.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_shared_reset(barrier: *const phalanx_shared_barrier) -> phalanx_status {
    undisturbed(|| {
        pinned(barrier)?.reset();
        Ok(())
    })
}

/// Whether the shared barrier is broken (0 or 1), how many callers make a trip, and how many have arrived at the open one: a snapshot.
/// Each may be NULL.
///
/// # Safety
///
/// Each is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_shared_state(
    barrier: *const phalanx_shared_barrier,
    is_broken: *mut c_int,
    parties: *mut usize,
    arrived: *mut usize,
) -> phalanx_status {
    undisturbed(|| {
        let pin = pinned(barrier)?;
        // SAFETY: by this function's own contract.
        unsafe {
            out::offer(is_broken, c_int::from(pin.is_broken()));
            out::offer(parties, pin.parties());
            out::offer(arrived, pin.arrived());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_status::{PHALANX_OK, PHALANX_STALE};

    /// A caller that has been let in and has not arrived yet: nobody comes behind it.
    #[test]
    fn who_arrives_at_a_barrier_that_was_freed_does_not_wait() {
        let mut barrier = std::ptr::null_mut();
        // SAFETY: there is room for the handle.
        assert_eq!(unsafe { phalanx_shared_create(2, std::ptr::null(), &mut barrier) }, PHALANX_OK);
        let caller = pinned(barrier).expect("it lives");
        assert_eq!(phalanx_shared_free(barrier), PHALANX_OK);
        assert_eq!(phalanx_shared_free(barrier), PHALANX_STALE);
        // With a limit: a test that hangs says nothing.
        let told = caller.wait_timeout(Duration::from_secs(60)).expect_err("one of two");
        assert!(told.to_string().contains("the barrier was freed"), "{told}");
    }
}
