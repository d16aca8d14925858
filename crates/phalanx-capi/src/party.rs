//! Parties: what threads wait with.

use crate::choice;
use crate::handle::{Booths, Inside, Kind};
use crate::out;
use crate::reduce::{Number, all_reduce};
use crate::status::phalanx_status::{self, PHALANX_OUT_OF_ORDER};
use crate::status::{Failure, guarded};
use crate::undisturbed::undisturbed;
use phalanx::{Arrival, Party, Trip};
use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One participant of a barrier: a rank, and the right to arrive with it. For one thread at a time; it may be handed from thread to
/// thread. A call that finds it in use returns PHALANX_BUSY and does nothing.
pub struct phalanx_party {
    _opaque: [u8; 0],
}

/// A completed trip, as one of its parties sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_trip {
    /// The number of the trip, counted from 0.
    pub generation: u64,
    /// 1 for exactly one party of each trip, else 0.
    pub leader: c_int,
}

impl From<Trip> for phalanx_trip {
    fn from(trip: Trip) -> Self {
        Self { generation: trip.generation(), leader: c_int::from(trip.is_leader()) }
    }
}

pub(crate) static PARTIES: Booths<Seat> = Booths::new(Kind::Party);

/// A party, and the arrival that borrows it, if it has arrived and not waited yet. Both are behind a raw pointer: who passes this on
/// claims nothing about what the arrival borrows.
pub(crate) struct Seat(NonNull<Lines>);

/// A party writes its handle on every trip: it is alone on its lines.
#[repr(align(128))]
struct Lines {
    /// Not used while there is an arrival, which has it then.
    party: UnsafeCell<Party>,
    arrival: UnsafeCell<Option<Arrival<'static>>>,
}

// SAFETY: a party may be sent from thread to thread, and an arrival is no more than a party on its way; a seat has both of them alone.
unsafe impl Send for Seat {}

impl Seat {
    fn new(party: Party) -> Self {
        let lines = Lines { party: UnsafeCell::new(party), arrival: UnsafeCell::new(None) };
        Self(NonNull::from(Box::leak(Box::new(lines))))
    }

    fn lines(&self) -> &Lines {
        // SAFETY: from a box that is there as long as this, and is lent out shared until then.
        unsafe { self.0.as_ref() }
    }

    /// The arrival, if there is one.
    fn pending(&mut self) -> &mut Option<Arrival<'static>> {
        // SAFETY: only this seat leads there, and `&mut` says that nobody else uses it.
        unsafe { &mut *self.lines().arrival.get() }
    }

    #[inline]
    pub(crate) fn party(&mut self) -> Result<&mut Party, Failure> {
        if self.pending().is_some() {
            return Err(Failure::new(
                PHALANX_OUT_OF_ORDER,
                "the party has arrived, and has to wait for that trip first",
            ));
        }
        // SAFETY: only this seat leads there, `&mut` says that nobody else uses it, and no arrival borrows it.
        Ok(unsafe { &mut *self.lines().party.get() })
    }

    /// Arrives, and keeps the arrival.
    pub(crate) fn arrive(&mut self) -> Result<(), Failure> {
        self.party()?;
        // SAFETY: as in `party`; the party stays where it is until the arrival has gone (`into_party`, `drop`).
        let party: &'static mut Party = unsafe { &mut *self.lines().party.get() };
        *self.pending() = Some(party.arrive());
        Ok(())
    }

    /// The arrival that is to be waited for.
    pub(crate) fn arrival(&mut self) -> Result<&mut Option<Arrival<'static>>, Failure> {
        if self.pending().is_none() {
            return Err(Failure::new(
                PHALANX_OUT_OF_ORDER,
                "the party has not arrived, so there is nothing to wait for",
            ));
        }
        Ok(self.pending())
    }

    /// The party, out of its box.
    fn into_party(self) -> Party {
        let mut seat = ManuallyDrop::new(self);
        *seat.pending() = None;
        // SAFETY: it is from a box, nothing borrows it any more, and the seat will not drop it.
        let lines = unsafe { Box::from_raw(seat.0.as_ptr()) };
        lines.party.into_inner()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.pending() = None;
        // SAFETY: it is from a box, and nothing borrows it any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Gives a party a handle.
pub(crate) fn take_in(party: Party) -> Result<usize, Failure> {
    PARTIES.put(Seat::new(party)).ok_or_else(|| Failure::no_room(Kind::Party))
}

#[inline]
pub(crate) fn entered(party: *const phalanx_party) -> Result<Inside<Seat>, Failure> {
    let handle = party.addr();
    PARTIES.enter(handle).map_err(|refusal| Failure::refused(refusal, Kind::Party, handle))
}

/// Where `phalanx_now_ns` counts from.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// A time of this library's clock as one of the system's; none if it is beyond that clock's range.
pub(crate) fn deadline(nanoseconds: u64) -> Option<Instant> {
    start().checked_add(Duration::from_nanos(nanoseconds))
}

/// Now, in nanoseconds of this library's monotonic clock: what deadlines are made of. It starts with its first use in the process,
/// and is no other clock's.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_now_ns() -> u64 {
    u64::try_from(start().elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Arrives, and stays until the trip is decided. Everything that any party did before it arrived happens before everything that any
/// party does after it was given PHALANX_OK.
///
/// `trip` may be NULL. Limited by the barrier's `timeout_ns`. Returns PHALANX_BROKEN for all parties of a trip alike, and from then on until
/// somebody calls phalanx_barrier_reset().
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_wait(party: *mut phalanx_party, trip: *mut phalanx_trip) -> phalanx_status {
    guarded(|| {
        let crossed = entered(party)?.content().party()?.wait()?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// phalanx_party_wait(), but breaks the trip when so many nanoseconds have passed: then all are told PHALANX_CAUSE_TIMED_OUT. 0 does not
/// wait: the trip is complete if this party is the last to arrive, and breaks otherwise.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_wait_timeout(
    party: *mut phalanx_party,
    timeout_ns: u64,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    guarded(|| {
        let crossed = entered(party)?.content().party()?.wait_timeout(out::endless(timeout_ns))?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// phalanx_party_wait(), but breaks the trip at a time of phalanx_now_ns(). One in the past does not wait.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_wait_deadline(
    party: *mut phalanx_party,
    deadline_ns: u64,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    guarded(|| {
        let mut inside = entered(party)?;
        let party = inside.content().party()?;
        let crossed = match deadline(deadline_ns) {
            Some(deadline) => party.wait_deadline(deadline)?,
            None => party.wait_timeout(Duration::MAX)?,
        };
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// Crosses a trip with a value along; every party does the same, or all are told.
///
/// # Safety
///
/// `result` points to room for a result.
#[inline]
unsafe fn reduced<T: Number>(party: *mut phalanx_party, op: c_int, value: T, result: *mut T) -> phalanx_status {
    guarded(|| {
        out::needed(result, "result")?;
        let op = choice::op(op)?;
        let all = all_reduce(entered(party)?.content().party()?, op, value)?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(result, "result", all) }
    })
}

/// Crosses a trip, as phalanx_party_wait(), and combines one value of each party into one for all, by one of enum phalanx_op. In the order of
/// the ranks, whoever arrives when: so sums have the same bits on every run. On failure `result` stays as it is.
///
/// Every party has to call the same function with the same `op`; otherwise those that called a reduction are told
/// PHALANX_CAUSE_MISMATCHED.
///
/// # Safety
///
/// `result` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_all_reduce_double(
    party: *mut phalanx_party,
    op: c_int,
    value: f64,
    result: *mut f64,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { reduced(party, op, value, result) }
}

/// phalanx_party_all_reduce_double() for integers of 64 bits.
///
/// # Safety
///
/// `result` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_all_reduce_int64(
    party: *mut phalanx_party,
    op: c_int,
    value: i64,
    result: *mut i64,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { reduced(party, op, value, result) }
}

/// This party's number.
///
/// # Safety
///
/// `rank` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_rank(party: *const phalanx_party, rank: *mut usize) -> phalanx_status {
    guarded(|| {
        let own = entered(party)?.content().party()?.rank();
        // SAFETY: by this function's own contract.
        unsafe { out::give(rank, "rank", own) }
    })
}

/// The trip that this party arrives at next; after a break, the broken one until the party has moved on.
///
/// # Safety
///
/// `generation` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_generation(party: *const phalanx_party, generation: *mut u64) -> phalanx_status {
    guarded(|| {
        let next = entered(party)?.content().party()?.generation();
        // SAFETY: by this function's own contract.
        unsafe { out::give(generation, "generation", next) }
    })
}

/// Arrives at the open trip, does not stay, and takes part in no further one; from the next trip on the others are one fewer. Nothing
/// breaks. The handle is gone. Never waits, unless the party has arrived and not waited: then first for the end of that trip.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_party_leave(party: *mut phalanx_party) -> phalanx_status {
    undisturbed(|| {
        entered(party)?.remove().into_party().leave();
        Ok(())
    })
}

/// Says that this party comes no more. The handle is gone, and the trip that it has not arrived at breaks, with PHALANX_CAUSE_DROPPED, for
/// whoever waits or comes to wait; so parties that all finish together notice nothing, and one that goes early is found at once.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_party_free(party: *mut phalanx_party) -> phalanx_status {
    undisturbed(|| {
        drop(entered(party)?.remove());
        Ok(())
    })
}
