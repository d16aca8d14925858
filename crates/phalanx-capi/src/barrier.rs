//! Barriers for parties with handles: their control.

use crate::choice;
use crate::handle::{Kind, Pin, Shelf};
use crate::out;
use crate::party::{phalanx_party, take_in};
use crate::status::phalanx_status::{self, PHALANX_NOT_BROKEN};
use crate::status::{Failure, phalanx_broken};
use crate::undisturbed::undisturbed;
use phalanx::{Barrier, Builder, TripInfo};
use std::ffi::{c_char, c_int, c_void};

/// A barrier for parties with handles: makes the parties, looks at them, breaks their trip, and returns them to service. Its
/// functions may be called from any thread at any time, but not from signal handlers.
pub struct phalanx_barrier {
    _opaque: [u8; 0],
}

pub(crate) static BARRIERS: Shelf<Barrier> = Shelf::new(Kind::Barrier);

/// What an action is told of its trip.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_trip_info {
    /// The number of the trip, counted from 0.
    pub generation: u64,
    /// How many parties take part in it.
    pub parties: usize,
    /// The party whose thread runs the action: the last to arrive.
    pub rank: usize,
}

/// A callback that runs once per trip, after the last arrival and before any release, on the thread of the last to arrive. It must
/// return by returning: neither by an exception nor by longjmp(). `info` is valid until then.
pub type phalanx_action = Option<unsafe extern "C" fn(user: *mut c_void, info: *const phalanx_trip_info)>;

/// What can be chosen of a barrier. All 0 is the default of everything: `phalanx_barrier_options options = {0};`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_barrier_options {
    /// For messages and reports; NULL for `barrier-1`, `barrier-2` and so on. Copied.
    pub name: *const c_char,
    /// The limit of every wait in nanoseconds: the trip of a party that has waited so long breaks. 0 for none.
    pub timeout_ns: u64,
    /// How long a party spins before it does something else. 0 for what a sleep and a wake cost here; UINT64_MAX for ever.
    pub spin_ns: u64,
    /// One of enum phalanx_algorithm.
    pub algorithm: c_int,
    /// One of enum phalanx_wait_policy.
    pub wait_policy: c_int,
    /// Runs once per trip; NULL for nothing. It cannot wait at its own barrier: that is refused with PHALANX_REENTERED. It may run on
    /// any thread that waits, as long as the barrier or a party of it lives.
    pub action: phalanx_action,
    /// What the action is called with.
    pub user: *mut c_void,
    /// Not 0: parties work between phalanx_party_arrive() and the wait, so PHALANX_AUTO takes an algorithm in which that holds up nobody.
    pub split_phase: c_int,
    /// Must be 0; for later versions.
    pub reserved: [u64; 4],
}

/// C's pointer for a callback, which is whatever the callback makes of it.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) *mut c_void);

// SAFETY: nothing is done with it here but to hand it to a callback, whose author has been told on which threads that runs.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    pub(crate) fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// What options say, checked.
///
/// # Safety
///
/// `name` is NULL or a text that ends; `action` can be called with `user` on any thread, as long as the barrier lives.
unsafe fn chosen(parties: usize, options: &phalanx_barrier_options) -> Result<Builder, Failure> {
    reserved(&options.reserved)?;
    let mut builder = Barrier::builder(parties).algorithm(choice::algorithm(options.algorithm)?);
    if let Some(policy) = choice::wait_policy(options.wait_policy)? {
        builder = builder.wait_policy(policy);
    }
    if let Some(timeout) = out::span(options.timeout_ns) {
        builder = builder.timeout(timeout);
    }
    if let Some(spin) = out::span(options.spin_ns) {
        builder = builder.spin_budget(spin);
    }
    // SAFETY: by this function's own contract.
    if let Some(name) = unsafe { out::text(options.name) } {
        builder = builder.name(name);
    }
    if options.split_phase != 0 {
        builder = builder.split_phase();
    }
    if let Some(action) = options.action {
        let user = User(options.user);
        builder = builder.action(move |trip: &TripInfo| {
            let info = phalanx_trip_info { generation: trip.generation, parties: trip.parties, rank: trip.rank };
            // SAFETY: by this function's own contract.
            unsafe { action(user.pointer(), &info) }
        });
    }
    Ok(builder)
}

/// Fields for later versions are not in use, and so not noise either.
pub(crate) fn reserved(fields: &[u64; 4]) -> Result<(), Failure> {
    if *fields == [0; 4] {
        return Ok(());
    }
    Err(Failure::invalid(
        "`reserved` is not 0: the options were not set to 0 before they were filled in, or are a later version's",
    ))
}

fn pinned(barrier: *const phalanx_barrier) -> Result<Pin<Barrier>, Failure> {
    let handle = barrier.addr();
    BARRIERS.pin(handle).map_err(|refusal| Failure::refused(refusal, Kind::Barrier, handle))
}

/// A number as C keeps it.
pub(crate) fn pointer<T>(handle: usize) -> *mut T {
    std::ptr::without_provenance_mut(handle)
}

/// Makes a barrier for `parties`, 1 to 65536. The first one of a process also measures what waiting costs here, in well under a
/// millisecond, and on Linux asks the kernel for a service that takes up to 15 ms once the process has several threads: make it before
/// them.
///
/// `options` may be NULL for all defaults.
///
/// # Safety
///
/// `options` is NULL or points to options whose `name` is NULL or a text that ends; `barrier` points to room for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_create(
    parties: usize,
    options: *const phalanx_barrier_options,
    barrier: *mut *mut phalanx_barrier,
) -> phalanx_status {
    undisturbed(|| {
        out::needed(barrier, "barrier")?;
        // SAFETY: by this function's own contract.
        let builder = match unsafe { options.as_ref() } {
            None => Barrier::builder(parties),
            // SAFETY: by this function's own contract.
            Some(options) => unsafe { chosen(parties, options) }?,
        };
        let handle = BARRIERS.put(builder.build()?).ok_or_else(|| Failure::no_room(Kind::Barrier))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(barrier, "barrier", pointer(handle)) }
    })
}

/// Gives up the control of a barrier. Its parties live on and work on; but a rank that nobody has claimed can never be claimed then,
/// and so breaks the trip. May be called while other threads are in functions of this barrier.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_barrier_free(barrier: *mut phalanx_barrier) -> phalanx_status {
    undisturbed(|| {
        let handle = barrier.addr();
        pinned(barrier)?.end().map_err(|refusal| Failure::refused(refusal, Kind::Barrier, handle))
    })
}

/// Gives out the party of `rank`. A rank whose party was freed may be claimed again: that is how a worker is restarted, before
/// phalanx_barrier_reset().
///
/// # Safety
///
/// `party` points to room for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_claim(
    barrier: *const phalanx_barrier,
    rank: usize,
    party: *mut *mut phalanx_party,
) -> phalanx_status {
    undisturbed(|| {
        out::needed(party, "party")?;
        let handle = take_in(pinned(barrier)?.claim(rank)?)?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(party, "party", pointer(handle)) }
    })
}

/// Adds a party, which takes part from the next trip on, while the others go on. It gets the lowest rank whose party has left, or
/// one more than there were.
///
/// # Safety
///
/// `party` points to room for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_join(
    barrier: *const phalanx_barrier,
    party: *mut *mut phalanx_party,
) -> phalanx_status {
    undisturbed(|| {
        out::needed(party, "party")?;
        let handle = take_in(pinned(barrier)?.join()?)?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(party, "party", pointer(handle)) }
    })
}

/// Breaks the open trip: all parties that wait, and those that come to wait, are told PHALANX_CAUSE_ABORTED with this reason. On a
/// broken barrier it changes nothing. `reason` may be NULL; it is copied.
///
/// # Safety
///
/// `reason` is NULL or a text that ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_abort(
    barrier: *const phalanx_barrier,
    reason: *const c_char,
) -> phalanx_status {
    undisturbed(|| {
        // SAFETY: by this function's own contract.
        let reason = unsafe { reason_in(reason) };
        pinned(barrier)?.abort(reason);
        Ok(())
    })
}

/// Why somebody aborts, in C's words.
///
/// # Safety
///
/// `reason` is NULL or a text that ends.
pub(crate) unsafe fn reason_in(reason: *const c_char) -> String {
    // SAFETY: by this function's own contract.
    unsafe { out::text(reason) }.unwrap_or_else(|| "no reason given".into())
}

/// Returns a broken barrier to service; no arrival from before counts. Parties that are waiting are told PHALANX_CAUSE_RESET; if nothing is
/// broken and nobody waits, nothing changes. A party that had not come to the broken trip is told of it at its next wait.
///
/// `generation`, which may be NULL, gets the number of the next trip.
///
/// # Safety
///
/// `generation` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_reset(
    barrier: *const phalanx_barrier,
    generation: *mut u64,
) -> phalanx_status {
    undisturbed(|| {
        let next = pinned(barrier)?.reset()?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(generation, next) };
        Ok(())
    })
}

/// How many parties take part in the open trip.
///
/// # Safety
///
/// `parties` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_parties(
    barrier: *const phalanx_barrier,
    parties: *mut usize,
) -> phalanx_status {
    undisturbed(|| {
        let now = pinned(barrier)?.parties();
        // SAFETY: by this function's own contract.
        unsafe { out::give(parties, "parties", now) }
    })
}

/// The number of the open trip; on a broken barrier, of the broken one. A snapshot.
///
/// # Safety
///
/// `generation` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_generation(
    barrier: *const phalanx_barrier,
    generation: *mut u64,
) -> phalanx_status {
    undisturbed(|| {
        let now = pinned(barrier)?.generation();
        // SAFETY: by this function's own contract.
        unsafe { out::give(generation, "generation", now) }
    })
}

/// The ranks that have not arrived at the open trip, ascending; on a broken barrier, those that had not when it broke. A snapshot.
///
/// Writes at most `capacity` of them to `ranks`, and how many there are to `count`, which may be NULL.
///
/// # Safety
///
/// `ranks` has room for `capacity` ranks, or is NULL if that is 0; `count` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_missing(
    barrier: *const phalanx_barrier,
    ranks: *mut usize,
    capacity: usize,
    count: *mut usize,
) -> phalanx_status {
    undisturbed(|| {
        let missing = pinned(barrier)?.missing();
        // SAFETY: by this function's own contract.
        unsafe { out::give_all(&missing, ranks, capacity, count) }
    })
}

/// Whether the barrier is broken: 0 or 1.
///
/// # Safety
///
/// `is_broken` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_is_broken(
    barrier: *const phalanx_barrier,
    is_broken: *mut c_int,
) -> phalanx_status {
    undisturbed(|| {
        let now = pinned(barrier)?.is_broken();
        // SAFETY: by this function's own contract.
        unsafe { out::give(is_broken, "is_broken", c_int::from(now)) }
    })
}

/// What every wait is told while the barrier is broken, in numbers and in words. `broken` may be NULL; so may `buffer` if `size` is 0; so
/// may `length`, which gets the length of the whole text without its NUL, as snprintf() returns it.
///
/// Returns PHALANX_NOT_BROKEN if it is not broken.
///
/// # Safety
///
/// `broken` and `length` are NULL or point to room for a result; `buffer` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_broken(
    barrier: *const phalanx_barrier,
    broken: *mut phalanx_broken,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> phalanx_status {
    undisturbed(|| {
        let record = pinned(barrier)?.broken();
        let record = record.ok_or_else(|| Failure::new(PHALANX_NOT_BROKEN, "the barrier is not broken"))?;
        // SAFETY: by this function's own contract.
        unsafe {
            out::offer(broken, phalanx_broken::from(&record));
            out::give_text(&record.to_string(), buffer, size, length)
        }
    })
}

/// What was chosen for this barrier and why, in a few lines for a person. Texts as with phalanx_barrier_broken().
///
/// # Safety
///
/// `buffer` has room for `size` bytes, or is NULL if that is 0; `length` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_explain(
    barrier: *const phalanx_barrier,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> phalanx_status {
    undisturbed(|| {
        let text = pinned(barrier)?.explain().to_string();
        // SAFETY: by this function's own contract.
        unsafe { out::give_text(&text, buffer, size, length) }
    })
}
