//! Teams: threads that stay, and run a callback together.
//!
//! A member is a borrow of the callback's own frame, and bound to its thread. So its handle is not in a table: the frames of
//! the callbacks that are under way on a thread are chained from a word of that thread, and a handle is looked up among
//! them. One that is kept beyond its callback, or used by another thread, is not found.

use crate::barrier::{User, pointer, reason_in, reserved};
use crate::choice;
use crate::handle::{Kind, Pin, Refusal, Shelf};
use crate::out;
use crate::party::{deadline, phalanx_trip};
use crate::reduce::{Number, all_reduce};
use crate::status::phalanx_status::{
    self, PHALANX_BUSY, PHALANX_NO_CPU, PHALANX_NO_SUCH_RANK, PHALANX_NO_THREAD, PHALANX_REENTERED,
};
use crate::status::{Failure, Returned, guarded};
use crate::undisturbed::undisturbed;
use phalanx::team::{Member, RunError, Team, TeamError};
use phalanx::topology::Bind;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Threads that stay, and run one callback together as often as they are asked to, like a parallel region of OpenMP.
pub struct phalanx_team {
    _opaque: [u8; 0],
}

/// One member of a team, inside a callback. It belongs to that call and to its thread.
pub struct phalanx_member {
    _opaque: [u8; 0],
}

/// What every member of a team runs. 0 is success; anything else fails the run and releases the others. It must return by returning:
/// neither by an exception nor by longjmp().
pub type phalanx_member_body = Option<unsafe extern "C" fn(user: *mut c_void, member: *const phalanx_member) -> c_int>;

/// What can be chosen of a team. All 0 is the default of everything: `phalanx_team_options options = {0};`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_team_options {
    /// The threads are called `name-rank`; NULL for `phalanx`. Copied.
    pub name: *const c_char,
    /// The limit of every wait at the members' barrier in nanoseconds. 0 for none.
    pub timeout_ns: u64,
    /// How long members spin before they do something else. 0 for what a sleep and a wake cost here; UINT64_MAX for ever.
    pub spin_ns: u64,
    /// The size of the threads' stacks in bytes; 0 for 2 MiB.
    pub stack_size: usize,
    /// Where the threads run: `none`, `close`, `spread`, `per-llc`, `per-node`, or CPUs such as `0-3,8`. NULL for what the environment says
    /// (PHALANX_BIND), else `none`. Copied.
    pub bind: *const c_char,
    /// One of enum phalanx_wait_policy.
    pub wait_policy: c_int,
    /// Not 0: the thread that calls phalanx_team_run() only waits. Otherwise it is the member with rank 0.
    pub caller_stays_out: c_int,
    /// Must be 0; for later versions.
    pub reserved: [u64; 4],
}

static TEAMS: Shelf<Team> = Shelf::new(Kind::Team);

pub(crate) fn in_use() -> usize {
    TEAMS.in_use()
}

pub(crate) fn pinned(team: *const phalanx_team) -> Result<Pin<Team>, Failure> {
    let handle = team.addr();
    TEAMS.pin(handle).map_err(|refusal| Failure::refused(refusal, Kind::Team, handle))
}

impl From<TeamError> for Failure {
    fn from(error: TeamError) -> Self {
        let text = error.to_string();
        match error {
            TeamError::Spawn { .. } => Self::new(PHALANX_NO_THREAD, text),
            TeamError::Pin { .. } | TeamError::Place(_) | TeamError::Placement { .. } => {
                Self::new(PHALANX_NO_CPU, text)
            }
            _ => Self::invalid(text),
        }
    }
}

/// Makes a team of `members` threads, 1 to 65536, or as many as the process may use CPUs if that is 0. The thread that calls
/// phalanx_team_run() is one of them. `options` may be NULL.
///
/// # Safety
///
/// `options` is NULL or points to options whose `name` and `bind` are NULL or texts that end; `team` points to room for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_create(
    members: usize,
    options: *const phalanx_team_options,
    team: *mut *mut phalanx_team,
) -> phalanx_status {
    undisturbed(|| {
        out::needed(team, "team")?;
        let mut builder = Team::builder();
        if members > 0 {
            builder = builder.threads(members);
        }
        // SAFETY: by this function's own contract.
        if let Some(options) = unsafe { options.as_ref() } {
            reserved(&options.reserved)?;
            if let Some(policy) = choice::wait_policy(options.wait_policy)? {
                builder = builder.wait_policy(policy);
            }
            if let Some(timeout) = out::span(options.timeout_ns) {
                builder = builder.timeout(timeout);
            }
            if let Some(spin) = out::span(options.spin_ns) {
                builder = builder.spin_budget(spin);
            }
            if options.stack_size > 0 {
                builder = builder.stack_size(options.stack_size);
            }
            // SAFETY: by this function's own contract.
            let (name, bind) = unsafe { (out::text(options.name), out::text(options.bind)) };
            if let Some(name) = name {
                builder = builder.name(name);
            }
            if let Some(bind) = bind {
                builder = builder.place(bind.parse::<Bind>().map_err(|error| Failure::invalid(error.to_string()))?);
            }
            builder = builder.caller_joins(options.caller_stays_out == 0);
        }
        let handle = TEAMS.put(builder.build()?).ok_or_else(|| Failure::no_room(Kind::Team))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(team, "team", pointer(handle)) }
    })
}

/// Ends the threads of a team and waits for them. PHALANX_BUSY, and nothing is done, while any thread is in a function of this team:
/// inside a run, that is.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_team_free(team: *mut phalanx_team) -> phalanx_status {
    undisturbed(|| {
        let handle = team.addr();
        let taken = TEAMS.take(handle).map_err(|refusal| Failure::refused(refusal, Kind::Team, handle))?;
        drop(taken);
        Ok(())
    })
}

/// How many members the team has.
///
/// # Safety
///
/// `size` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_size(team: *const phalanx_team, size: *mut usize) -> phalanx_status {
    undisturbed(|| {
        let members = pinned(team)?.size();
        // SAFETY: by this function's own contract.
        unsafe { out::give(size, "size", members) }
    })
}

/// Whether the thread of `rank` is pinned to a CPU: 0 or 1. Never that of a caller.
///
/// # Safety
///
/// `is_pinned` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_is_pinned(
    team: *const phalanx_team,
    rank: usize,
    is_pinned: *mut c_int,
) -> phalanx_status {
    undisturbed(|| {
        let team = pinned(team)?;
        if rank >= team.size() {
            let text = format!(
                "there is no rank {rank}: the team has {} members, ranks 0 to {}",
                team.size(),
                team.size() - 1
            );
            return Err(Failure::new(PHALANX_NO_SUCH_RANK, text));
        }
        // SAFETY: by this function's own contract.
        unsafe { out::give(is_pinned, "is_pinned", c_int::from(team.is_pinned(rank))) }
    })
}

/// Breaks the members' open trip: those who wait at the team's barrier, and those who come to it in this run, are told PHALANX_CAUSE_ABORTED
/// with this reason, which may be NULL. Has no effect while nothing runs.
///
/// # Safety
///
/// `reason` is NULL or a text that ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_abort(team: *const phalanx_team, reason: *const c_char) -> phalanx_status {
    undisturbed(|| {
        // SAFETY: by this function's own contract.
        let reason = unsafe { reason_in(reason) };
        pinned(team)?.abort(reason);
        Ok(())
    })
}

/// Where results go, by rank.
#[derive(Clone, Copy)]
struct Results(*mut c_int);

// SAFETY: each member writes its own place.
unsafe impl Sync for Results {}

impl Results {
    /// # Safety
    ///
    /// There is a place for this rank, which nobody else writes; or none for any.
    unsafe fn put(&self, rank: usize, code: c_int) {
        if !self.0.is_null() {
            // SAFETY: by this function's own contract.
            unsafe { self.0.add(rank).write(code) }
        }
    }
}

/// Lets every member call `body` with `user`, and returns when all have. The caller is rank 0, unless the team was made otherwise. What the
/// caller did before happens before every member's call, and that before the return.
///
/// `results`, which may be NULL, gets what each member returned, by rank. If that is not 0 for somebody, the others are released from
/// their barrier, and this returns PHALANX_FAILED, or PHALANX_BROKEN if something else had broken it before; phalanx_last_broken() says
/// by whom. The team is ready for the next run at once.
///
/// PHALANX_REENTERED from inside a run of this team, PHALANX_BUSY while another thread runs it.
///
/// # Safety
///
/// `body` can be called with `user` on several threads at once; `results` is NULL or has room for as many values as the team has
/// members.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_run(
    team: *const phalanx_team,
    body: phalanx_member_body,
    user: *mut c_void,
    results: *mut c_int,
) -> phalanx_status {
    undisturbed(|| {
        let body = body.ok_or_else(|| Failure::null("body"))?;
        let team = pinned(team)?;
        let (user, results) = (User(user), Results(results));
        let results = &results;
        let run = team.try_run(move |member: &mut Member<'_>| {
            let rank = member.rank();
            let frame = Frame::new(member);
            let _entered = Entered::new(&frame);
            // SAFETY: by this function's own contract.
            let code = unsafe { body(user.pointer(), pointer(frame.handle)) };
            // SAFETY: by this function's own contract, and each rank is one member's.
            unsafe { results.put(rank, code) };
            if code == 0 { Ok(()) } else { Err(Returned(code)) }
        });
        match run {
            Ok(_) => Ok(()),
            Err(RunError::Failed { rank, error }) => Err(Failure::failed(rank, error.0, team.size())),
            Err(RunError::Broken(broken)) => Err(broken.into()),
            Err(error @ RunError::Nested) => Err(Failure::new(PHALANX_REENTERED, error.to_string())),
            Err(error @ RunError::Busy) => Err(Failure::new(PHALANX_BUSY, error.to_string())),
            Err(error) => Err(Failure::new(phalanx_status::PHALANX_PANICKED, error.to_string())),
        }
    })
}

/// A callback that is under way on this thread.
struct Frame {
    handle: usize,
    /// Used by one call at a time.
    member: *mut Member<'static>,
    busy: Cell<bool>,
    /// The one that it was called in, if any.
    outer: Cell<*const Frame>,
}

thread_local!(static INNERMOST: Cell<*const Frame> = const { Cell::new(std::ptr::null()) });

impl Frame {
    fn new(member: &mut Member<'_>) -> Self {
        let member = std::ptr::from_mut(member).cast();
        Self { handle: next_handle(), member, busy: Cell::new(false), outer: Cell::new(std::ptr::null()) }
    }
}

/// A handle that no other callback of this process has. Taken from a thread's own stock, so that members do not meet at a counter
/// on every run.
fn next_handle() -> usize {
    const STOCK: usize = 1 << 12;
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<(usize, usize)> = const { Cell::new((0, 0)) });
    OWN.with(|own| {
        let (mut next, mut end) = own.get();
        if next == end {
            next = TAKEN.fetch_add(STOCK, Ordering::Relaxed);
            end = next.wrapping_add(STOCK);
        }
        own.set((next.wrapping_add(1), end));
        (next << 3) | Kind::Member as usize
    })
}

/// A frame in the chain of its thread, as long as this lives.
struct Entered<'a>(&'a Frame);

impl<'a> Entered<'a> {
    fn new(frame: &'a Frame) -> Self {
        frame.outer.set(INNERMOST.replace(frame));
        Self(frame)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        INNERMOST.set(self.0.outer.get());
    }
}

/// Lets `work` have the member, if that is one of this thread.
#[inline]
fn on<R>(
    member: *const phalanx_member,
    work: impl FnOnce(&mut Member<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    struct Free<'a>(&'a Frame);
    impl Drop for Free<'_> {
        fn drop(&mut self) {
            self.0.busy.set(false);
        }
    }
    let handle = member.addr();
    let mut at = INNERMOST.get();
    // SAFETY: the frames of the chain are those of calls under way on this thread, which take themselves out before they end.
    while let Some(frame) = unsafe { at.as_ref() } {
        if frame.handle == handle {
            if frame.busy.replace(true) {
                return Err(Failure::refused(Refusal::Busy, Kind::Member, handle));
            }
            let _free = Free(frame);
            // SAFETY: the member lives as long as its frame, is bound to this thread, and `busy` says that nobody else here has it.
            return work(unsafe { &mut *frame.member });
        }
        at = frame.outer.get();
    }
    Err(Failure::refused(Refusal::Stale, Kind::Member, handle))
}

/// This member's number, from 0.
///
/// # Safety
///
/// `rank` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_rank(member: *const phalanx_member, rank: *mut usize) -> phalanx_status {
    guarded(|| {
        let own = on(member, |member| Ok(member.rank()))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(rank, "rank", own) }
    })
}

/// How many members there are.
///
/// # Safety
///
/// `size` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_size(member: *const phalanx_member, size: *mut usize) -> phalanx_status {
    guarded(|| {
        let all = on(member, |member| Ok(member.size()))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(size, "size", all) }
    })
}

/// This member's part of the `count` things numbered from 0: from `begin` to below `end`. In the order of the ranks, no two parts differing
/// by more than one.
///
/// # Safety
///
/// `begin` and `end` point to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_chunk(
    member: *const phalanx_member,
    count: usize,
    begin: *mut usize,
    end: *mut usize,
) -> phalanx_status {
    guarded(|| {
        out::needed(begin, "begin")?;
        let part = on(member, |member| Ok(member.chunk(0..count)))?;
        // SAFETY: by this function's own contract.
        unsafe {
            out::give(end, "end", part.end)?;
            out::give(begin, "begin", part.start)
        }
    })
}

/// Waits until all members have come here; phalanx_party_wait() of the team's barrier.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_wait(member: *const phalanx_member, trip: *mut phalanx_trip) -> phalanx_status {
    guarded(|| {
        let crossed = on(member, |member| Ok(member.barrier()?))?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// phalanx_member_wait(), but breaks the trip when so many nanoseconds have passed.
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_wait_timeout(
    member: *const phalanx_member,
    timeout_ns: u64,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    guarded(|| {
        let crossed = on(member, |member| Ok(member.barrier_timeout(out::endless(timeout_ns))?))?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// phalanx_member_wait(), but breaks the trip at a time of phalanx_now_ns().
///
/// # Safety
///
/// `trip` is NULL or points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_wait_deadline(
    member: *const phalanx_member,
    deadline_ns: u64,
    trip: *mut phalanx_trip,
) -> phalanx_status {
    guarded(|| {
        let crossed = on(member, |member| match deadline(deadline_ns) {
            Some(deadline) => Ok(member.barrier_deadline(deadline)?),
            None => Ok(member.barrier_timeout(Duration::MAX)?),
        })?;
        // SAFETY: by this function's own contract.
        unsafe { out::offer(trip, crossed.into()) };
        Ok(())
    })
}

/// Crosses a trip with a value along.
///
/// # Safety
///
/// `result` points to room for a result.
#[inline]
unsafe fn reduced<T: Number>(member: *const phalanx_member, op: c_int, value: T, result: *mut T) -> phalanx_status {
    guarded(|| {
        out::needed(result, "result")?;
        let op = choice::op(op)?;
        let all = on(member, |member| Ok(all_reduce(member, op, value)?))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(result, "result", all) }
    })
}

/// Combines one value of each member into one for all; see phalanx_party_all_reduce_double().
///
/// # Safety
///
/// `result` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_all_reduce_double(
    member: *const phalanx_member,
    op: c_int,
    value: f64,
    result: *mut f64,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { reduced(member, op, value, result) }
}

/// phalanx_member_all_reduce_double() for integers of 64 bits.
///
/// # Safety
///
/// `result` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_member_all_reduce_int64(
    member: *const phalanx_member,
    op: c_int,
    value: i64,
    result: *mut i64,
) -> phalanx_status {
    // SAFETY: by this function's own contract.
    unsafe { reduced(member, op, value, result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_status::{PHALANX_OK, PHALANX_STALE};
    use std::ptr;

    /// Keeps its member in `user`, and returns the sum of the ranks.
    unsafe extern "C" fn body(user: *mut c_void, member: *const phalanx_member) -> c_int {
        let (mut rank, mut sum) = (0, 0);
        // SAFETY: all results have room; `user` is an array with a place for each member.
        unsafe {
            assert_eq!(phalanx_member_rank(member, &mut rank), PHALANX_OK);
            user.cast::<usize>().add(rank).write(member.addr());
            assert_eq!(phalanx_member_wait(member, ptr::null_mut()), PHALANX_OK);
            assert_eq!(phalanx_member_all_reduce_int64(member, 0, rank as i64, &mut sum), PHALANX_OK);
        }
        sum as c_int - 1
    }

    /// For Miri: members are found by their numbers, as long as their callbacks are under way.
    #[test]
    fn members_are_found_while_their_callbacks_are_under_way() {
        let mut team = ptr::null_mut();
        let mut members = [0_usize; 2];
        let mut results = [9; 2];
        // SAFETY: all results have room.
        unsafe {
            assert_eq!(phalanx_team_create(2, ptr::null(), &mut team), PHALANX_OK);
            for _ in 0..3 {
                let user = members.as_mut_ptr().cast();
                assert_eq!(phalanx_team_run(team, Some(body), user, results.as_mut_ptr()), PHALANX_OK);
                assert_eq!(results, [0, 0]);
                assert_ne!(members[0], members[1]);
                for member in members {
                    assert_eq!(phalanx_member_wait(pointer::<phalanx_member>(member), ptr::null_mut()), PHALANX_STALE);
                }
            }
        }
        assert_eq!(phalanx_team_free(team), PHALANX_OK);
        assert_eq!(phalanx_team_free(team), PHALANX_STALE);
    }
}
