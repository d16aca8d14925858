//! Lets one thread at a time run a team, and tells the others why not.

use crate::primitive::{AtomicU64, Ordering};
use std::cell::Cell;

/// One word: 0 while nothing runs, else the token of the thread whose run is under way.
#[derive(Debug)]
pub(super) struct Turnstile(AtomicU64);

impl Turnstile {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Lets the thread with this token in, until it leaves; or says whose run is under way.
    #[inline]
    pub(super) fn enter(&self, token: u64) -> Result<(), u64> {
        // [enter] Acquire: pairs with the Release of `exit`; carries what the last run left in the team.
        self.0.compare_exchange(0, token, Ordering::Acquire, Ordering::Relaxed).map(drop)
    }

    /// Lets the next run in; only by who has entered.
    #[inline]
    pub(super) fn exit(&self) {
        // [exit] Release: pairs with the Acquire of `enter`; carries what this run leaves in the team.
        self.0.store(0, Ordering::Release);
    }
}

/// What tells this thread from all others that live; never 0.
#[inline]
pub(super) fn thread_token() -> u64 {
    per_thread! { static HERE: Cell<u8> = Cell::new(0); }
    HERE.with(|here| std::ptr::from_ref(here).addr() as u64)
}
