//! A token that breaks any number of barriers at once, for good.
//!
//! # Protocol
//!
//! The token knows its barriers by weak references, each barrier its tokens by strong ones.
//!
//! 1. `cancel` sets the reason under the token's lock, takes the list of barriers, lets the lock go, and breaks the open trip
//!    of each, as an abort does, under that barrier's registry lock.
//! 2. `bind` adds a barrier under the token's lock, or finds the reason there; then the barrier is broken at once. So a
//!    barrier is either in the list that step 1 takes, or told here.
//! 3. A reset asks for the reason under the registry's lock. If it finds none, then the reason is set later, and the break of
//!    step 1, which needs the same registry lock, comes behind the reset and meets the new era. If it finds one, it is
//!    refused. So no reset undoes a cancellation that it did not see.
//!
//! Locks: the registry's before the token's (step 3); steps 1 and 2 hold one at a time.

use super::control::Control;
use crate::error::Cause;
use crate::primitive::{AtomicU32, Mutex, Ordering, lock};
use std::fmt;
use std::sync::{Arc, Weak};

/// Breaks the trips of all the barriers that are bound to it, for good: .NET's `CancellationToken`, Go's `Context`.
///
/// Cheap to clone, and every clone is the same token. Bind it with [`Builder::cancel_on`](crate::Builder::cancel_on),
/// [`TeamBuilder::cancel_on`](crate::team::TeamBuilder::cancel_on) or the lockstep engine's. Where
/// [`Barrier::abort`](crate::Barrier::abort) breaks one trip of one barrier, which a reset mends, a cancellation is final:
/// a barrier that is bound to a cancelled token stays broken.
///
/// # Examples
///
/// ```
/// use phalanx::{Barrier, CancelToken, Cause};
///
/// let token = CancelToken::new();
/// let barriers = [2, 3].map(|parties| Barrier::builder(parties).cancel_on(&token).build().unwrap());
/// std::thread::scope(|s| {
///     for barrier in &barriers {
///         for mut party in barrier.take_parties().unwrap() {
///             s.spawn(move || {
///                 let broken = loop {
///                     if let Err(broken) = party.wait() {
///                         break broken;
///                     }
///                 };
///                 assert_eq!(broken.cause(), &Cause::Cancelled { reason: "the user has left".into() });
///             });
///         }
///     }
///     assert!(token.cancel("the user has left"));
/// });
/// assert!(barriers[0].reset().is_err());
/// ```
#[derive(Clone)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// 1 once the reason is set, to be asked for often.
    cancelled: AtomicU32,
}

struct State {
    reason: Option<String>,
    bound: Vec<Weak<Control>>,
    /// So many barriers, and those that are gone are swept out.
    sweep_at: usize,
}

/// A list that is shorter is not worth sweeping.
const FEW: usize = 16;

impl CancelToken {
    /// Makes a token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        let state = Mutex::new(State { reason: None, bound: Vec::new(), sweep_at: FEW });
        Self { shared: Arc::new(Shared { state, cancelled: AtomicU32::new(0) }) }
    }

    /// Breaks the open trip of every barrier that is bound to this token, and of every one that will be, with
    /// [`Cause::Cancelled`] and this reason. Whether this call did it: a later one changes nothing, not even the reason.
    ///
    /// A trip at which all have arrived is complete and stays so; then the next one breaks. When the call that did it returns,
    /// all barriers that were bound before are broken. From any thread that may call [`Barrier::abort`](crate::Barrier::abort): not
    /// from a signal handler, which may not take locks.
    pub fn cancel(&self, reason: impl Into<String>) -> bool {
        let reason = reason.into();
        let bound = {
            let mut state = lock(&self.shared.state);
            if state.reason.is_some() {
                return false;
            }
            state.reason = Some(reason.clone());
            // Relaxed: it says that the reason is there, which is read under the lock. Before anybody can learn the reason.
            self.shared.cancelled.store(1, Ordering::Relaxed);
            std::mem::take(&mut state.bound)
        };
        let cause = Cause::Cancelled { reason };
        for control in bound.iter().filter_map(Weak::upgrade) {
            control.break_open_trip(&cause);
        }
        true
    }

    /// Whether somebody has cancelled it: one load, for loops that look between trips.
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed) != 0
    }

    /// Why it was cancelled, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        lock(&self.shared.state).reason.clone()
    }

    /// Whether these are clones of each other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Adds a barrier; the reason, if it is too late (step 2).
    pub(super) fn bind(&self, control: &Arc<Control>) -> Option<String> {
        let mut state = lock(&self.shared.state);
        if state.reason.is_none() {
            if state.bound.len() >= state.sweep_at {
                state.bound.retain(|bound| bound.strong_count() > 0);
                state.sweep_at = FEW.max(2 * state.bound.len());
            }
            state.bound.push(Arc::downgrade(control));
        }
        state.reason.clone()
    }

    /// How many barriers it keeps in mind, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn remembered(&self) -> usize {
        lock(&self.shared.state).bound.len()
    }
}

#[cfg(feature = "ctrl-c")]
impl CancelToken {
    /// Makes the process's first Ctrl-C (`SIGINT`) cancel the token that this returns, with the reason `interrupted`, instead
    /// of ending the process. The second one ends it, with exit status 130 as a shell has it.
    ///
    /// One per process: every call returns the same token.
    ///
    /// # Errors
    ///
    /// [`ctrlc::Error`] as text, if the process has a handler already that somebody else has set with that crate, or the
    /// system refuses.
    pub fn on_ctrl_c() -> Result<Self, CtrlCError> {
        static TOKEN: std::sync::OnceLock<Result<CancelToken, String>> = std::sync::OnceLock::new();
        let token = TOKEN.get_or_init(|| {
            let token = Self::new();
            let cancelled = token.clone();
            // On a thread of that crate's, so that locks may be taken.
            let handler = move || {
                if !cancelled.cancel("interrupted") {
                    std::process::exit(130);
                }
            };
            ctrlc::set_handler(handler).map(|()| token).map_err(|error| error.to_string())
        });
        token.clone().map_err(|reason| CtrlCError { reason })
    }
}

/// Why Ctrl-C cannot be caught.
#[cfg(feature = "ctrl-c")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CtrlCError {
    reason: String,
}

#[cfg(feature = "ctrl-c")]
impl fmt::Display for CtrlCError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctrl-C cannot be caught: {}", self.reason)
    }
}

#[cfg(feature = "ctrl-c")]
impl std::error::Error for CtrlCError {}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        let mut text = f.debug_struct("CancelToken");
        text.field("reason", &state.reason).field("barriers", &state.bound.len()).finish()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;

    #[cfg(feature = "ctrl-c")]
    #[test]
    fn why_ctrl_c_cannot_be_caught_is_told() {
        let error = CtrlCError { reason: "it is taken".into() };
        assert_eq!(error.to_string(), "Ctrl-C cannot be caught: it is taken");
    }

    #[test]
    fn the_list_is_swept_when_it_has_doubled() {
        let token = CancelToken::new();
        let build = || Barrier::builder(1).cancel_on(&token).build().unwrap();
        let kept: Vec<Barrier> = (0..FEW).map(|_| build()).collect();
        let remembered = (0..3 * FEW).map(|_| {
            drop(build());
            token.remembered()
        });
        assert_eq!(remembered.max(), Some(2 * kept.len()));
    }
}
