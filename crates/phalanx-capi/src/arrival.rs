//! A trip in two halves, with work in between that needs nobody's data.

use crate::out;
use crate::party::{entered, phalanx_party, phalanx_trip};
use crate::status::phalanx_status::{self, PHALANX_PENDING};
use crate::status::{Failure, guarded};
use phalanx::{Arrival, Broken, Trip};

/// Arrives at the open trip and does not wait: the first half of phalanx_party_wait(). Never blocks. The other half is
/// phalanx_party_arrival_wait(); until then the party can do nothing else (PHALANX_OUT_OF_ORDER) but leave and be freed.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_party_arrive(party: *mut phalanx_party) -> phalanx_status {
    guarded(|| entered(party)?.content().arrive())
}

/// Asks an arrival how its trip is, and ends it once that is decided.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
unsafe fn asked(
    party: *mut phalanx_party,
    trip: *mut phalanx_trip,
    ask: impl FnOnce(&mut Arrival<'static>) -> Result<Option<Trip>, Broken>,
) -> phalanx_status {
    guarded(|| {
        let mut inside = entered(party)?;
        let place = inside.content().arrival()?;
        let answer = match place {
            Some(arrival) => ask(arrival),
            None => Ok(None),
        };
        if matches!(answer, Ok(None)) {
            return Err(Failure::new(PHALANX_PENDING, "the trip is not decided yet"));
        }
        *place = None;
        if let Some(crossed) = answer? {
            // SAFETY: by this function's own contract.
            unsafe { out::offer(trip, crossed.into()) };
        }
        Ok(())
    })
}

/// Stays until the trip is decided that the party has arrived at: the second half of phalanx_party_wait(), whose answers it gives.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_arrival_wait(
    party: *mut phalanx_party,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    guarded(|| {
        let mut inside = entered(party)?;
        let arrival = inside.content().arrival()?.take();
        if let Some(crossed) = arrival.map(Arrival::wait).transpose()? {
            // SAFETY: by this function's own contract.
            unsafe { out::offer(trip, crossed.into()) };
        }
        Ok(())
    })
}

/// phalanx_party_arrival_wait(), but returns PHALANX_PENDING when so many nanoseconds have passed. That breaks nothing, and it may be called
/// again. With 0 it only looks.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_party_arrival_wait_timeout(
    party: *mut phalanx_party,
    timeout_ns: u64,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    let ask = |arrival: &mut Arrival<'static>| match timeout_ns {
        0 => arrival.try_wait(),
        _ => arrival.wait_timeout(out::endless(timeout_ns)),
    };
    // SAFETY: by this function's own contract.
    unsafe { asked(party, trip, ask) }
}

/// Does without the second half: the arrival stands, and what became of its trip is the business of the party's next call, which
/// waits for that first, and tells of it if it broke.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_party_arrival_forget(party: *mut phalanx_party) -> phalanx_status {
    guarded(|| {
        *entered(party)?.content().arrival()? = None;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::{phalanx_barrier_claim, phalanx_barrier_create, phalanx_barrier_free};
    use crate::party::{phalanx_party_free, phalanx_party_leave, phalanx_party_wait};
    use phalanx_status::{PHALANX_BROKEN, PHALANX_OK, PHALANX_OUT_OF_ORDER};
    use std::ptr;

    /// For Miri: an arrival borrows its party, and both are in one seat.
    #[test]
    fn an_arrival_and_its_party_are_used_in_turn() {
        let (mut barrier, mut parties) = (ptr::null_mut(), [ptr::null_mut(); 2]);
        // SAFETY: all results have room, or are not wanted.
        unsafe {
            assert_eq!(phalanx_barrier_create(2, ptr::null(), &mut barrier), PHALANX_OK);
            for (rank, party) in parties.iter_mut().enumerate() {
                assert_eq!(phalanx_barrier_claim(barrier, rank, party), PHALANX_OK);
            }
            let [first, second] = parties;
            for _ in 0..3 {
                assert_eq!(phalanx_party_arrive(first), PHALANX_OK);
                assert_eq!(phalanx_party_wait(first, ptr::null_mut()), PHALANX_OUT_OF_ORDER);
                assert_eq!(phalanx_party_arrival_wait_timeout(first, 0, ptr::null_mut()), PHALANX_PENDING);
                assert_eq!(phalanx_party_wait(second, ptr::null_mut()), PHALANX_OK);
                assert_eq!(phalanx_party_arrival_wait_timeout(first, 0, ptr::null_mut()), PHALANX_OK);
                assert_eq!(phalanx_party_arrive(second), PHALANX_OK);
                assert_eq!(phalanx_party_arrival_forget(second), PHALANX_OK);
                assert_eq!(phalanx_party_arrive(first), PHALANX_OK);
                assert_eq!(phalanx_party_arrival_wait(first, ptr::null_mut()), PHALANX_OK);
            }
            // Gone with an arrival each.
            assert_eq!(phalanx_party_arrive(first), PHALANX_OK);
            assert_eq!(phalanx_party_arrive(second), PHALANX_OK);
            assert_eq!(phalanx_party_leave(first), PHALANX_OK);
            assert_eq!(phalanx_party_free(second), PHALANX_OK);
            assert_ne!(phalanx_party_wait(second, ptr::null_mut()), PHALANX_BROKEN);
        }
        assert_eq!(phalanx_barrier_free(barrier), PHALANX_OK);
    }
}
