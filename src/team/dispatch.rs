//! How a call reaches the members of a team, and how their reports come back.
//!
//! A fork and a join: the caller publishes a call, the workers make it, each reports, the caller goes on. Two hops of a
//! cache line where everybody spins, and nobody on a CPU where nothing is called.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | `go` | caller | workers | an epoch (`fate/epoch.rs`): `k + 1` says that call number k is there |
//! | `call` | caller, before `go` | workers, behind it | what to do; nothing in it means: end |
//! | `reports[r]`, `near` | member r | caller; members that look after the others | an epoch: `k + 1` says that member r is done with call k |
//! | attention (`wait::Door`) | who sleeps and who wakes | all | workers sleep as for trip 2k, the caller as for trip 2k + 1: two different bits |
//!
//! Calls are numbered from 0, and at most one is under way.
//!
//! # Protocol
//!
//! 1. The caller puts call k down and publishes `go`; then the light fence and a look: sleepers are woken.
//! 2. A worker waits until `go` has reached k, copies the call, makes it, publishes its report; then the light fence and a
//!    look. If somebody sleeps, a full fence, and if all have reported it wakes the caller.
//! 3. The caller makes its own part if it is a member, publishes its own report, and waits until all reports have reached
//!    k. Only then does it return, and whatever the call borrowed may go.
//!
//! No wake is lost: steps 1 and 2 publish before the look, and who sleeps announces it before its last look (`wait`,
//! "Protocol: parking"). Two workers that report at the same time beside a sleeping caller must not both find that the
//! other has not: hence the full fence, behind which the last of them sees all.
//!
//! # Memory ordering
//!
//! `go` carries the call, and everything that the caller did before, to the workers; `reports` carry everything that the
//! members did to the caller. A place is written for call k + 1 behind all reports on k, which come behind the reading.

use crate::fate::epoch::{publish, reached};
use crate::primitive::{AtomicU64, Berth, Fences};
use crate::wait::{Door, Limit, Pace, Stay, Stop};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// What the caller writes and the workers read.
#[derive(Debug)]
struct Order {
    go: AtomicU64,
    call: Berth<3>,
    /// The report of the one worker of a team of two, whose caller is a member: the line has to go there and back anyway.
    /// (Measured on 2 virtual CPUs: a run is a tenth faster than with two lines.)
    near: AtomicU64,
    /// Room for a small closure, so that it comes with the call: one transfer less than a pointer to it. (Measured on 2 virtual
    /// CPUs with a closure that captures one reference: 236 ns per run instead of 455.)
    room: UnsafeCell<MaybeUninit<[u64; 3]>>,
}

// SAFETY: `room` is only reached through `Dispatch::room`, whose callers keep writers and readers apart by calls and reports.
#[allow(unsafe_code)]
unsafe impl Sync for Order {}

/// The words between the caller of a team and its members. `C` is what a call is; `None` ends the workers.
#[derive(Debug)]
pub(super) struct Dispatch<C> {
    order: CachePadded<Order>,
    /// By rank.
    reports: Box<[CachePadded<AtomicU64>]>,
    door: Door,
    calls: PhantomData<fn() -> C>,
}

/// Words that grow from here on: near the wrap in tests.
pub(super) const FIRST: u64 = if cfg!(test) { u64::MAX - 1 } else { 0 };

impl<C: Copy + Send> Dispatch<C> {
    /// The words of `members`, with no call made yet; the next is number [`FIRST`].
    pub(super) fn new(members: usize, fences: Fences) -> Self {
        const { assert!(Berth::<3>::fits::<Option<C>>()) };
        Self {
            order: CachePadded::new(Order {
                go: AtomicU64::new(FIRST),
                call: Berth::new(),
                near: AtomicU64::new(FIRST),
                room: UnsafeCell::new(MaybeUninit::uninit()),
            }),
            reports: (0..members).map(|_| CachePadded::new(AtomicU64::new(FIRST))).collect(),
            door: Door::new(fences),
            calls: PhantomData,
        }
    }

    /// Makes a call, or ends the workers (step 1).
    ///
    /// # Safety
    ///
    /// `number` is one more than that of the last call, or [`FIRST`]; all members have reported on that one, and the caller
    /// has seen it ([`Dispatch::await_reports`]).
    #[allow(unsafe_code)]
    #[inline]
    pub(super) unsafe fn call(&self, number: u64, call: Option<C>) {
        // SAFETY: an `Option<C>` fits, as `new` has asserted. Nobody reads the place: the workers copied the last call
        // before they reported on it, the caller has acquired their reports, and they read again only behind `go`.
        unsafe { self.order.call.put(call) };
        publish(&self.order.go, number);
        if !self.door.look().undisturbed() {
            self.door.wake_sleepers(number.wrapping_mul(2));
        }
    }

    /// Room for an `F` beside the call, if it is small. Whoever calls may use it from the last call's reports to the next ones'.
    pub(super) fn room<F>(&self) -> Option<*mut F> {
        let fits = size_of::<F>() <= size_of::<[u64; 3]>() && align_of::<F>() <= align_of::<u64>();
        fits.then(|| self.order.room.get().cast())
    }

    /// Waits for call `number`; `None` ends the worker, and `Err` says that the limit has passed (step 2).
    #[allow(unsafe_code)]
    #[inline]
    pub(super) fn await_call(&self, number: u64, pace: &mut Pace, limit: Limit) -> Result<Option<C>, Stop> {
        let go = &self.order.go;
        let stay = Stay { generation: number.wrapping_mul(2), pace, limit: &limit };
        self.door.until(stay, move || reached(go, number))?;
        // SAFETY: the last `put` was that of this call, by a caller that does not make the next one before this member has
        // reported; it happens before this, as `reached` has acquired `go`, which was published behind it.
        Ok(unsafe { self.order.call.get::<Option<C>>() })
    }

    /// Says that the member with this rank is done with call `number` (steps 2 and 3).
    #[inline]
    pub(super) fn report(&self, number: u64, rank: usize) {
        publish(self.report_of(rank), number);
        if !self.door.look().undisturbed() {
            self.report_to_a_sleeper(number);
        }
    }

    #[cold]
    fn report_to_a_sleeper(&self, number: u64) {
        // [join] Between this report and the look at the others': of those who find a sleeper the last one has to see all.
        self.door.fully();
        if self.is_over(number) {
            self.door.wake_sleepers(number.wrapping_mul(2).wrapping_add(1));
        }
    }

    /// Waits until all members are done with call `number` (step 3).
    #[inline]
    pub(super) fn await_reports(&self, number: u64, pace: &mut Pace, limit: Limit) -> Result<(), Stop> {
        let seen = Cell::new(0);
        let (members, seen) = (self.reports.len(), &seen);
        let all = move || {
            while seen.get() < members {
                if !reached(self.report_of(seen.get()), number) {
                    return false;
                }
                seen.set(seen.get() + 1);
            }
            true
        };
        self.door.until(Stay { generation: number.wrapping_mul(2).wrapping_add(1), pace, limit: &limit }, all)
    }

    /// Whether anybody sleeps here.
    #[cfg(all(test, phalanx_loom))]
    pub(super) fn somebody_sleeps(&self) -> bool {
        !self.door.look().undisturbed()
    }

    /// Whether call `number` has been made.
    pub(super) fn is_called(&self, number: u64) -> bool {
        reached(&self.order.go, number)
    }

    /// Whether all members are done with call `number`.
    pub(super) fn is_over(&self, number: u64) -> bool {
        (0..self.reports.len()).all(|rank| reached(self.report_of(rank), number))
    }

    /// Where the member with this rank reports.
    #[inline(always)]
    fn report_of(&self, rank: usize) -> &AtomicU64 {
        if rank == 1 && self.reports.len() == 2 { &self.order.near } else { &self.reports[rank] }
    }
}
