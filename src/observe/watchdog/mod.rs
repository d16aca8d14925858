//! The watchdog: says when a trip has not completed in time, who is missing, and why, as far as can be known.
//!
//! What a thread dump is to a program that hangs, made by itself, at the right moment, and read for you. Switched on per barrier
//! ([`Builder::watchdog`](crate::Builder::watchdog), [`TeamBuilder::watchdog`](crate::team::TeamBuilder::watchdog)) or for a
//! whole process without a rebuild (`PHALANX_WATCHDOG=30s`, which writes to stderr; `30s,break=10m` also breaks a trip that
//! is stuck for ten minutes). A [`Report`] reads like this:
//!
//! ```text
//! barrier `halo`: trip 4711 is stuck for 30.1 s: 3 of 4 parties have arrived
//!   missing: rank 2, `solver-2` (thread 1729, last on cpu 5): asleep in futex (futex_do_wait); phase "exchange"; last arrived 30.1 s to 30.4 s ago
//!   here: rank 0, `solver-0` (thread 1727, last on cpu 3): asleep in futex (futex_do_wait); waits for 30.1 s
//!   here: rank 1, `solver-1` (thread 1728, last on cpu 4): asleep in futex (futex_do_wait); waits for 30.1 s
//!   here: rank 3, `solver-3` (thread 1730, last on cpu 6): asleep in futex (futex_do_wait); waits for 30 s
//!   cause: the thread of rank 2 is alive and asleep outside the barrier, likely for a lock, a condition variable, a channel or a join; ..
//!   to see all stacks: gdb -p 1720 -batch -ex 'thread apply all bt'
//! ```
//!
//! # Parts
//!
//! - `patrol`: the one thread of the process, and the list of what it watches.
//! - `vigil`: when a trip is stuck, and when to say so again.
//! - `subject`: what it asks of a barrier.
//! - `thread_state`: what it asks of the system about a thread.
//! - `lookout`: the same for barriers whose callers have no handles.
//! - `examine`: how a report comes about; `report`: what is in it; `hint`: what follows from it.
//!
//! # What counts as stuck
//!
//! A trip at which somebody has arrived, and which is still not decided so long after. A barrier at which nobody has arrived
//! is at rest, for however long; so is one that is broken, and one that has ended. A party that arrives without waiting
//! ([`Party::arrive`](crate::Party::arrive)) has arrived: if the others stay away for longer than the watchdog allows, that
//! is reported, and the report says that nobody waits yet. A trip at which all have arrived is complete; but if somebody
//! waits all the same, because an action, a serial section or an operator takes its time, that is reported as well
//! ([`Report::is_held`]). A newcomer that waits for the trip behind one at which nobody has arrived is somebody who waits.
//!
//! A [`compat::Barrier`](crate::compat::Barrier) has no ranks and no builder. With `PHALANX_WATCHDOG` its trips are reported as
//! well, by the first caller, with what there is to say: how many have come.
//!
//! # What it costs
//!
//! The parties nothing: the watchdog reads what they leave behind anyway (arrival slots, and the tally of a wait that is long
//! already), eight times per limit and at most once a millisecond, which takes a line from its owner now and then; and once,
//! at its first wait, a party reads from `/proc` when its thread was started (some 10 µs). The process one thread, asleep but for that. Threads are looked at only when a trip is stuck.
//!
//! # Why it gives no false alarm
//!
//! A look compares the trip with that of the look before, so one that moves is never old. A trip that is about to be
//! reported is looked at twice, before and after its threads have been watched for some milliseconds, and only if nothing has
//! moved there is a report. A look that comes late, since the whole process stood still, does not count for the time in between.
//!
//! # What it cannot know
//!
//! A thread is that of a rank from its first wait on, and after a long wait of another thread with the same handle that one; a
//! handle that is handed on and never waited with long is believed to be where it was. Only barriers that are watched are looked
//! through for a thread that waits elsewhere. Elsewhere than on Linux, or without `/proc`, nothing is known of threads but their
//! names. After a `fork` the child has no watchdog.
//!
//! # Memory ordering
//!
//! None of its own. Who has arrived comes from the slots (acquire); an arrived party's tally is read behind its slot, so what
//! is read there is of this trip or a later one, and the second look finds out about the latter. What the tally says is for people.

mod examine;
#[cfg(any(test, phalanx_fuzz))]
pub(crate) mod fuzzing;
mod hint;
mod lookout;
mod patrol;
mod report;
mod subject;
mod thread_state;
mod vigil;

pub(crate) use examine::watch_by_number;
pub use hint::Hint;
pub(crate) use lookout::{Duty, Lookout};
pub(crate) use patrol::{END_OF_PATIENCE, Sink, Watched, watch};
pub use report::{Absent, Present, Report, Thread};
pub use subject::Handle;
pub(crate) use subject::{Known, Presence, Seat, Sight, Snapshot, Subject, TripId};
pub use thread_state::{Asleep, ThreadState};
pub(crate) use thread_state::{given_name, last_cpu, started_at};
pub(crate) use vigil::Orders;
