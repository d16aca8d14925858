//! Codes, causes, and what each thread remembers of the last call that failed.

use crate::handle::{Kind, Refusal};
use crate::out;
use phalanx::{Broken, BuildError, Cause, ClaimError, JoinError, ResetError};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a call. Every function that can fail returns one of these; 0 is success.
///
/// phalanx_strerror() has a sentence for each; phalanx_last_error() says what exactly was wrong with the last call of this thread
/// that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum phalanx_status {
    /// Done.
    PHALANX_OK = 0,
    /// The trip was broken, for all of its parties alike: phalanx_last_broken() says why, phalanx_last_error() in words.
    PHALANX_BROKEN = 1,
    /// The trip that was arrived at is not decided yet. Nothing is wrong; ask again.
    PHALANX_PENDING = 2,
    /// A pointer that is needed is NULL.
    PHALANX_NULL = 3,
    /// A value that no such argument can have: 0 parties, an operator that there is not, reserved fields that are not 0.
    PHALANX_INVALID = 4,
    /// A handle of nothing that lives: freed before, of another kind, or never given out. For a member also: not of a callback that
    /// is under way on the calling thread.
    PHALANX_STALE = 5,
    /// In use: a party by another call, a barrier on which threads wait, a team that is at work. Nothing was done.
    PHALANX_BUSY = 6,
    /// The barrier, or the snapshot, has no such rank.
    PHALANX_NO_SUCH_RANK = 7,
    /// The rank is claimed already.
    PHALANX_TAKEN = 8,
    /// The party of this rank has left.
    PHALANX_LEFT = 9,
    /// All parties have left: there will be no further trip.
    PHALANX_ENDED = 10,
    /// There are as many parties as there can be.
    PHALANX_FULL = 11,
    /// No reset: a party was freed and its rank not claimed again, so no trip could be completed.
    PHALANX_DESERTED = 12,
    /// Refused: called from inside what would have to be over first, the barrier's action or the team's run. Nothing was broken by it.
    PHALANX_REENTERED = 13,
    /// The party has arrived and not waited yet, and so can do nothing else; or it has not arrived, and so cannot wait for that.
    PHALANX_OUT_OF_ORDER = 14,
    /// A member's callback returned something else than 0.
    PHALANX_FAILED = 15,
    /// The system gave no thread.
    PHALANX_NO_THREAD = 16,
    /// The members of a team cannot be placed or pinned as asked.
    PHALANX_NO_CPU = 17,
    /// There is no break to tell of.
    PHALANX_NOT_BROKEN = 18,
    /// Too many handles are in use.
    PHALANX_NO_ROOM = 19,
    /// A bug in phalanx, caught before it reached its caller. Please report what phalanx_last_error() says.
    PHALANX_PANICKED = 20,
}

use phalanx_status::*;

impl phalanx_status {
    const ALL: [Self; 21] = [
        PHALANX_OK,
        PHALANX_BROKEN,
        PHALANX_PENDING,
        PHALANX_NULL,
        PHALANX_INVALID,
        PHALANX_STALE,
        PHALANX_BUSY,
        PHALANX_NO_SUCH_RANK,
        PHALANX_TAKEN,
        PHALANX_LEFT,
        PHALANX_ENDED,
        PHALANX_FULL,
        PHALANX_DESERTED,
        PHALANX_REENTERED,
        PHALANX_OUT_OF_ORDER,
        PHALANX_FAILED,
        PHALANX_NO_THREAD,
        PHALANX_NO_CPU,
        PHALANX_NOT_BROKEN,
        PHALANX_NO_ROOM,
        PHALANX_PANICKED,
    ];

    fn text(self) -> &'static std::ffi::CStr {
        match self {
            PHALANX_OK => c"success",
            PHALANX_BROKEN => c"the trip was broken for all of its parties",
            PHALANX_PENDING => c"the trip is not decided yet",
            PHALANX_NULL => c"a pointer that is needed is NULL",
            PHALANX_INVALID => c"an argument has a value that it cannot have",
            PHALANX_STALE => c"the handle is of nothing that lives",
            PHALANX_BUSY => c"in use by another call; nothing was done",
            PHALANX_NO_SUCH_RANK => c"there is no such rank",
            PHALANX_TAKEN => c"the rank is claimed already",
            PHALANX_LEFT => c"the party of this rank has left",
            PHALANX_ENDED => c"all parties have left the barrier",
            PHALANX_FULL => c"the barrier has as many parties as it can have",
            PHALANX_DESERTED => c"a party was freed and its rank not claimed again",
            PHALANX_REENTERED => c"refused inside the barrier's own action or the team's own run",
            PHALANX_OUT_OF_ORDER => c"arriving and waiting are out of order",
            PHALANX_FAILED => c"a member's callback returned something else than 0",
            PHALANX_NO_THREAD => c"the system gave no thread",
            PHALANX_NO_CPU => c"the members of the team cannot be placed as asked",
            PHALANX_NOT_BROKEN => c"there is no break to tell of",
            PHALANX_NO_ROOM => c"too many handles are in use",
            PHALANX_PANICKED => c"a bug in phalanx",
        }
    }
}

/// Why a trip was broken.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum phalanx_cause {
    /// One that this version has no number for; the text says what it is.
    PHALANX_CAUSE_OTHER = 0,
    /// A party waited as long as it was told to, and somebody had still not arrived.
    PHALANX_CAUSE_TIMED_OUT = 1,
    /// Somebody called an abort function.
    PHALANX_CAUSE_ABORTED = 2,
    /// A party was freed: it comes no more. Also: a member of a team returned while others waited for it.
    PHALANX_CAUSE_DROPPED = 3,
    /// A member of a team returned something else than 0.
    PHALANX_CAUSE_FAILED = 4,
    /// On the trip before, two parties did not call the same function with the same operator.
    PHALANX_CAUSE_MISMATCHED = 5,
    /// Somebody called a reset function while parties were waiting.
    PHALANX_CAUSE_RESET = 6,
    /// The barrier's own action waited at the barrier. That call is refused (PHALANX_REENTERED), and nothing is broken by it.
    PHALANX_CAUSE_REENTERED = 7,
    /// Cancelled for good, by a part of the program that is written in Rust.
    PHALANX_CAUSE_CANCELLED = 8,
    /// A thread panicked, in a part of the program that is written in Rust.
    PHALANX_CAUSE_PANICKED = 9,
}

use phalanx_cause::*;

impl phalanx_cause {
    /// What [`Cause::kind`] calls each.
    const KINDS: [(Self, &'static str, &'static std::ffi::CStr); 10] = [
        (PHALANX_CAUSE_OTHER, "other", c"other"),
        (PHALANX_CAUSE_TIMED_OUT, "timed_out", c"timed_out"),
        (PHALANX_CAUSE_ABORTED, "aborted", c"aborted"),
        (PHALANX_CAUSE_DROPPED, "dropped", c"dropped"),
        (PHALANX_CAUSE_FAILED, "failed", c"failed"),
        (PHALANX_CAUSE_MISMATCHED, "mismatched", c"mismatched"),
        (PHALANX_CAUSE_RESET, "reset", c"reset"),
        (PHALANX_CAUSE_REENTERED, "reentered", c"reentered"),
        (PHALANX_CAUSE_CANCELLED, "cancelled", c"cancelled"),
        (PHALANX_CAUSE_PANICKED, "panicked", c"panicked"),
    ];

    fn of(cause: &Cause) -> Self {
        let kind = cause.kind();
        Self::KINDS.into_iter().find(|(_, name, _)| *name == kind).map_or(PHALANX_CAUSE_OTHER, |(cause, ..)| cause)
    }

    /// The name of a number that C gave, if it is one of these.
    pub(crate) fn kind(number: c_int) -> Option<&'static str> {
        Self::KINDS.into_iter().find(|(cause, ..)| *cause as c_int == number).map(|(_, name, _)| name)
    }
}

/// A break, in numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct phalanx_broken {
    /// Why: one of enum phalanx_cause.
    pub cause: c_int,
    /// Who caused it, where that was one party; else -1. On a shared barrier the arrival index of who timed out.
    pub rank: i64,
    /// The number of the broken trip, counted from 0.
    pub generation: u64,
    /// How many parties the barrier has.
    pub parties: usize,
    /// How many of them had arrived.
    pub arrived: usize,
}

impl From<&Broken> for phalanx_broken {
    fn from(broken: &Broken) -> Self {
        Self {
            cause: phalanx_cause::of(broken.cause()) as c_int,
            rank: broken.cause().rank().map_or(-1, |rank| rank as i64),
            generation: broken.generation(),
            parties: broken.parties(),
            arrived: broken.arrived(),
        }
    }
}

/// Why a call failed: the code, and what its thread is to remember.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: phalanx_status,
    text: Cow<'static, str>,
    broken: Option<phalanx_broken>,
}

impl Failure {
    #[cold]
    pub(crate) fn new(status: phalanx_status, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), broken: None }
    }

    /// A pointer of this name is NULL.
    #[cold]
    pub(crate) fn null(name: &str) -> Self {
        Self::new(PHALANX_NULL, format!("`{name}` is NULL"))
    }

    #[cold]
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PHALANX_INVALID, text)
    }

    /// A handle that cannot be used.
    #[cold]
    pub(crate) fn refused(refusal: Refusal, kind: Kind, handle: usize) -> Self {
        let kind = kind.name();
        match refusal {
            _ if handle == 0 => Self::null(kind),
            Refusal::Stale => Self::new(
                PHALANX_STALE,
                format!("{handle:#x} is no {kind} that lives: freed before, of another kind, or never given out"),
            ),
            Refusal::Busy => {
                // Not made of pieces: who finds a party in use may try again at once.
                Self::new(PHALANX_BUSY, "in use: by another thread, or further up in this one")
            }
        }
    }

    #[cold]
    pub(crate) fn no_room(kind: Kind) -> Self {
        Self::new(PHALANX_NO_ROOM, format!("there is no handle left for another {}", kind.name()))
    }

    /// A member's callback returned `code`.
    #[cold]
    pub(crate) fn failed(rank: usize, code: c_int, size: usize) -> Self {
        let broken = phalanx_broken {
            cause: PHALANX_CAUSE_FAILED as c_int,
            rank: rank as i64,
            generation: 0,
            parties: size,
            arrived: 0,
        };
        let text = format!("rank {rank} failed: {}", Returned(code));
        Self { status: PHALANX_FAILED, text: text.into(), broken: Some(broken) }
    }
}

/// What a callback returned that is not 0, as the others are told.
pub(crate) struct Returned(pub(crate) c_int);

impl std::fmt::Display for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "its callback returned {}", self.0)
    }
}

impl From<Broken> for Failure {
    #[cold]
    fn from(broken: Broken) -> Self {
        let status = match broken.cause() {
            Cause::Reentered { .. } => PHALANX_REENTERED,
            _ => PHALANX_BROKEN,
        };
        Self { status, text: broken.to_string().into(), broken: Some((&broken).into()) }
    }
}

impl From<BuildError> for Failure {
    #[cold]
    fn from(error: BuildError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ClaimError> for Failure {
    #[cold]
    fn from(error: ClaimError) -> Self {
        let status = match error {
            ClaimError::NoSuchRank { .. } => PHALANX_NO_SUCH_RANK,
            ClaimError::Left { .. } => PHALANX_LEFT,
            _ => PHALANX_TAKEN,
        };
        Self::new(status, error.to_string())
    }
}

impl From<JoinError> for Failure {
    #[cold]
    fn from(error: JoinError) -> Self {
        let status = if error == JoinError::Ended { PHALANX_ENDED } else { PHALANX_FULL };
        Self::new(status, error.to_string())
    }
}

impl From<ResetError> for Failure {
    #[cold]
    fn from(error: ResetError) -> Self {
        let status = match error {
            ResetError::Ended => PHALANX_ENDED,
            ResetError::Deserted { .. } => PHALANX_DESERTED,
            _ => PHALANX_BROKEN,
        };
        Self::new(status, error.to_string())
    }
}

/// What this thread remembers.
#[derive(Default)]
struct Last {
    text: Cow<'static, str>,
    broken: Option<phalanx_broken>,
}

thread_local!(static LAST: RefCell<Last> = RefCell::default());

/// Runs the body of a function that C calls: a failure becomes a code and is remembered, a panic goes no further.
#[inline]
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> phalanx_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => PHALANX_OK,
        Ok(Err(failure)) => remember(failure),
        Err(payload) => remember(panicked(&*payload)),
    }
}

#[cold]
fn panicked(payload: &(dyn std::any::Any + Send)) -> Failure {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
    Failure::new(PHALANX_PANICKED, format!("a bug in phalanx: {text}"))
}

#[cold]
fn remember(failure: Failure) -> phalanx_status {
    let Failure { status, text, broken } = failure;
    // A thread that is ending, and whose storage is gone, remembers nothing.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.text = text;
            last.broken = broken.or(last.broken);
        }
    });
    status
}

/// A sentence for a code. Never NULL; static, so any thread may use it for as long as it likes.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_strerror(status: c_int) -> *const c_char {
    let known = phalanx_status::ALL.into_iter().find(|known| *known as c_int == status);
    known.map_or(c"no status of phalanx", phalanx_status::text).as_ptr()
}

/// The name of a cause (enum phalanx_cause) in one word. Never NULL; static.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_cause_name(cause: c_int) -> *const c_char {
    let known = phalanx_cause::KINDS.into_iter().find(|(known, ..)| *known as c_int == cause);
    known.map_or(c"unknown", |(.., name)| name).as_ptr()
}

/// The version of the library, as text. Never NULL; static.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// What was wrong with the last call of this thread that failed, in words: which value, which limit; for a broken trip, why, by
/// whom, and who was missing. Calls that succeed leave it as it is; empty if none has failed.
///
/// Copies at most `size` bytes to `buffer`, the terminating NUL included, and returns the length of the whole text without
/// it, like snprintf(). A text that is cut is cut between characters. With `size` 0 `buffer` may be NULL.
///
/// # Safety
///
/// `buffer` has room for `size` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_last_error(buffer: *mut c_char, size: usize) -> usize {
    let text = LAST.try_with(|last| last.try_borrow().map(|last| last.text.clone()).unwrap_or_default());
    // SAFETY: by this function's own contract.
    unsafe { out::copy_text(&text.unwrap_or_default(), buffer, size) }
}

/// The last break that a call of this thread was told of (PHALANX_BROKEN, PHALANX_FAILED, PHALANX_REENTERED), in numbers.
///
/// For PHALANX_FAILED `generation` and `arrived` are 0.
///
/// Returns PHALANX_NOT_BROKEN if there was none.
///
/// # Safety
///
/// `broken` points to room for a result, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_last_broken(broken: *mut phalanx_broken) -> phalanx_status {
    guarded(|| {
        let last = LAST.try_with(|last| last.try_borrow().ok().and_then(|last| last.broken)).ok().flatten();
        let last =
            last.ok_or_else(|| Failure::new(PHALANX_NOT_BROKEN, "no call of this thread was told of a break"))?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(broken, "broken", last) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: these functions return static texts that end.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn each_code_has_a_sentence_of_its_own() {
        let mut all: Vec<&str> = (0..21).map(|code| text(phalanx_strerror(code))).collect();
        assert_eq!(phalanx_status::ALL.map(|status| status as c_int).to_vec(), (0..21).collect::<Vec<_>>());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 21);
        for none in [-1, 21, c_int::MAX, c_int::MIN] {
            assert_eq!(text(phalanx_strerror(none)), "no status of phalanx");
            assert_eq!(text(phalanx_cause_name(none)), "unknown");
        }
    }

    #[test]
    fn causes_have_the_names_that_the_library_gives_them() {
        let named = [
            (Cause::Reset, PHALANX_CAUSE_RESET),
            (Cause::Dropped { rank: 1 }, PHALANX_CAUSE_DROPPED),
            (Cause::Panicked { rank: 1 }, PHALANX_CAUSE_PANICKED),
            (Cause::Reentered { rank: 1 }, PHALANX_CAUSE_REENTERED),
            (Cause::Aborted { reason: String::new() }, PHALANX_CAUSE_ABORTED),
            (Cause::Cancelled { reason: String::new() }, PHALANX_CAUSE_CANCELLED),
            (Cause::Failed { rank: 1, message: String::new() }, PHALANX_CAUSE_FAILED),
            (Cause::TimedOut { rank: 1, after: std::time::Duration::ZERO }, PHALANX_CAUSE_TIMED_OUT),
            (Cause::NoSuchRank { rank: 1, named: 2 }, PHALANX_CAUSE_OTHER),
        ];
        for (cause, number) in named {
            assert_eq!(phalanx_cause::of(&cause), number);
            if number != PHALANX_CAUSE_OTHER {
                assert_eq!(text(phalanx_cause_name(number as c_int)), cause.kind());
            }
        }
    }

    #[test]
    fn a_panic_becomes_a_code_and_is_remembered() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let status = guarded(|| panic!("the number is {}", 7));
        std::panic::set_hook(hook);
        assert_eq!(status, PHALANX_PANICKED);
        let mut buffer = [0; 64];
        // SAFETY: the buffer has the room that is named.
        let length = unsafe { phalanx_last_error(buffer.as_mut_ptr(), buffer.len()) };
        assert_eq!(text(buffer.as_ptr()), "a bug in phalanx: the number is 7");
        assert_eq!(length, 33);
    }
}
