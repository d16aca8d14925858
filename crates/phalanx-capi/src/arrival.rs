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
pub unsafe extern "C" fn phalanx_party_arrival_wait(party: *mut phalanx_party, trip: *mut phalanx_trip) -> phalanx_status {
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
