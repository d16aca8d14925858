//! The machine and this process's share of it: CPUs and caches, affinity mask and quota, placement and pinning.
//!
//! A barrier is as fast as its slowest cache-line transfer, so it matters where the parties run; and a barrier that
//! spins is only as good as its knowledge of how many CPUs it really has. Four questions, each answered apart:
//!
//! 1. **What is there?** [`Topology::detect`] reads packages, NUMA nodes, LLC groups, cores and SMT siblings.
//! 2. **What may we use?** [`startup_mask`] says which CPUs ([`allowed_from_root`] which those of a snapshot were),
//!    [`quota()`] how much time, and [`available_cpus`] is the number to compare with the number of parties. They
//!    differ: a container limited to 1.5 CPUs sees all 128.
//! 3. **Who goes where?** [`Topology::place`] makes a [`Placement`] from a [`Bind`] policy. It is pure: nothing is
//!    bound yet.
//! 4. **Do it.** [`pin_current`] pins the calling thread, checks what the system really did, and undoes it on drop.
//!
//! ```
//! use phalanx::topology::{Bind, Topology, pin_current, startup_mask};
//!
//! let plan = Topology::detect().place(&Bind::Close, 2, startup_mask())?;
//! std::thread::scope(|s| {
//!     for cpu in plan.cpus() {
//!         s.spawn(move || {
//!             // Each thread pins itself, and holds on to the guard for as long as it works.
//!             let _pinned = cpu.and_then(|cpu| pin_current(cpu).ok());
//!         });
//!     }
//! });
//! # Ok::<(), phalanx::topology::PlaceError>(())
//! ```
//!
//! # Two traps
//!
//! *Children inherit.* A thread started by a pinned thread has the same single CPU, and believes that the machine has
//! no other. So start first, pin then, each thread itself; and the start-up mask is taken before anything is pinned.
//!
//! *The mask is not a wall.* Linux lets a thread widen its own mask again, beyond what `taskset` gave it. Whoever
//! limited this process meant it, so [`pin_current`] never leaves the start-up mask.
//!
//! # Platform notes
//!
//! Topology, mask, quota and pinning are Linux's. Elsewhere the topology is [flat](Topology::flat) over
//! [`available_parallelism`](std::thread::available_parallelism) CPUs, there is no quota, and pinning is
//! [unsupported](PinError::Unsupported), which is an answer and not a failure.

mod affinity;
mod allowed;
mod bind;
mod cgroup;
mod cpu_list;
mod cpu_set;
mod distance;
#[cfg(any(test, phalanx_fuzz))]
pub(crate) mod fuzzing;
mod kind;
mod machine;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod only_group;
mod pin;
mod placement;
mod plan;
mod quota;
mod regular;
mod sites;
mod sysfs;

pub(crate) use affinity::{affordable, current_cpus, exact_cpus, roam};
pub use affinity::{available_cpus, current_cpu, current_mask, startup_mask};
pub use allowed::allowed_from_root;
pub use bind::{Bind, ParseBindError};
pub use cpu_list::{CpuListFault, MAX_CPU_IDS, ParseCpuListError};
pub use cpu_set::CpuSet;
pub use machine::{Cpu, Topology, TopologyError};
pub use pin::{PinError, Pinned, pin_current};
pub use placement::{Level, Placement};
pub use plan::PlaceError;
pub use quota::{quota, quota_from_root};
pub use regular::RegularError;
pub(crate) use sites::Sites;
