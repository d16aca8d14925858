//! The watchdog: says when a trip has not completed in time, who is missing, and why, as far as can be known.
//!
//! - [`patrol`]: the one thread of the process, and the list of what it watches.
//! - [`vigil`]: when a trip is stuck, and when to say so again.
//! - [`subject`]: what it asks of a barrier.
//! - [`thread_state`]: what it asks of the system about a thread.
//! - [`lookout`]: the same for barriers whose callers have no handles.
//! - [`examine`]: how a report comes about; [`report`]: what is in it; [`hint`]: what follows from it.
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
//! already), eight times per limit and at most once a millisecond, which takes a line from its owner now and then. The
//! process one thread, asleep but for that. Threads are looked at only when a trip is stuck.
//!
//! # Why it gives no false alarm
//!
//! A look compares the trip with that of the look before, so one that moves is never old. A trip that is about to be
//! reported is looked at twice, before and after its threads have been watched for some milliseconds, and only if nothing has
//! moved there is a report. A look that comes late, since the whole process stood still, does not count for the time in between.
//!
//! # Memory ordering
//!
//! None of its own. Who has arrived comes from the slots (acquire); an arrived party's tally is read behind its slot, so what
//! is read there is of this trip or a later one, and the second look finds out about the latter. What the tally says is for people.

mod examine;
mod hint;
mod lookout;
mod patrol;
mod report;
mod subject;
mod thread_state;
mod vigil;

pub use hint::Hint;
pub(crate) use lookout::{Duty, Lookout};
pub(crate) use patrol::{Sink, Watched, watch};
pub use report::{Absent, Present, Report, Thread};
pub use subject::Handle;
pub(crate) use subject::{Known, Presence, Seat, Sight, Snapshot, Subject, TripId};
pub use thread_state::{Asleep, ThreadState};
pub(crate) use thread_state::{last_cpu, started_at};
pub(crate) use vigil::Orders;
