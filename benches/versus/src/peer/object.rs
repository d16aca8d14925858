//! The functions of the C and C++ peers, wherever the build put them.
//!
//! As a rule in shared objects, each opened when its peer first takes part: two OpenMP runtimes define the same
//! symbols, and no shape should run with a runtime that it does not use. A static binary can open nothing, so there
//! `build.rs` links in what it finds as an archive; LLVM's runtime stays out, for it and GCC's cannot both be in.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::NonNull;

/// native/std_barrier.cpp.
#[derive(Clone, Copy)]
pub struct StdBarrier {
    pub create: unsafe extern "C" fn(isize) -> Option<NonNull<c_void>>,
    pub wait: unsafe extern "C" fn(NonNull<c_void>),
    pub destroy: unsafe extern "C" fn(NonNull<c_void>),
}

/// native/ck.c.
#[derive(Clone, Copy)]
pub struct Ck {
    pub create: unsafe extern "C" fn(c_int, c_uint) -> Option<NonNull<c_void>>,
    pub party: unsafe extern "C" fn(NonNull<c_void>, c_uint) -> NonNull<c_void>,
    pub waiter: unsafe extern "C" fn(c_int) -> Option<Waiter>,
    pub destroy: unsafe extern "C" fn(NonNull<c_void>),
}

/// One trip of one party.
pub type Waiter = unsafe extern "C" fn(NonNull<c_void>);

/// native/openmp.c: a round of a whole team, with one report per party. Not zero if the team could not be had.
pub type OpenMp = unsafe extern "C" fn(*const Order, *mut Report) -> c_int;

/// native/mpi.c.
#[derive(Clone, Copy)]
pub struct Mpi {
    /// This rank, how many there are, and the library's name in so many bytes.
    pub start: unsafe extern "C" fn(*mut c_int, *mut c_int, *mut u8, c_int),
    /// Rank 0's bytes to all.
    pub tell: unsafe extern "C" fn(*mut u8, c_int),
    /// This rank's part in a round; the reports are shared by all.
    pub play: unsafe extern "C" fn(c_int, *const Order, *mut Report) -> c_int,
    pub end: unsafe extern "C" fn(),
}

/// What a round is, as in native/rounds.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum What {
    Trips,
    Reduce,
    Fork,
    Late,
    Until,
}

/// A line of its own, as in native/rounds.h.
#[repr(C, align(128))]
pub struct Slot(pub i64);

/// An order for a round, as in native/rounds.h.
#[repr(C)]
pub struct Order {
    pub what: What,
    pub parties: i32,
    pub cpus: *const i32,
    pub opening: i64,
    pub trips: i64,
    pub verified: i64,
    pub steps: u64,
    pub ticks: u64,
    pub idle: i64,
    pub slots: *mut Slot,
    pub seen: *mut u64,
    pub stamp: extern "C" fn() -> u64,
    pub cpu: Option<extern "C" fn() -> u64>,
    pub chain: extern "C" fn(u64),
    pub hold: extern "C" fn(*const c_void, c_int, i64),
    pub context: *const c_void,
}

/// native/epcc.c.
#[derive(Clone, Copy)]
pub struct Epcc {
    /// Starts the runtime; how many CPUs it sees.
    pub processors: unsafe extern "C" fn() -> c_int,
    /// On which CPUs, how many of them, the delay and its steps; how often each construct, and what was found of each.
    pub run: unsafe extern "C" fn(*const c_int, c_int, extern "C" fn(u64), u64, *const i64, *mut Found) -> c_int,
}

/// What the executions of one construct took.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub ns: i64,
    pub cpu_ns: i64,
    pub voluntary: i64,
    pub involuntary: i64,
    pub wrong: i64,
}

/// What one party found, as in native/rounds.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub ticks: u64,
    pub trips: i64,
    pub wrong: i64,
    pub team: i64,
    pub pid: i64,
    pub cpu_ns: i64,
    pub voluntary: i64,
    pub involuntary: i64,
}

/// An implementation of MPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    OpenMpi,
    Mpich,
}

impl Kind {
    /// Its `mpirun`.
    pub fn run(self) -> Result<&'static str, String> {
        let (object, run, why_not) = self.built();
        if object.is_empty() { Err(why_not.into()) } else { Ok(run) }
    }

    fn built(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::OpenMpi => (env!("VERSUS_OPENMPI"), env!("VERSUS_OPENMPI_RUN"), env!("VERSUS_OPENMPI_WHY")),
            Self::Mpich => (env!("VERSUS_MPICH"), env!("VERSUS_MPICH_RUN"), env!("VERSUS_MPICH_WHY")),
        }
    }
}

#[cfg(not(target_feature = "crt-static"))]
mod place {
    use super::{Ck, Epcc, Kind, Mpi, OpenMp, StdBarrier};
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};
    use std::error::Error;
    use std::ffi::c_int;

    pub fn std_barrier() -> Result<StdBarrier, String> {
        let library = open(env!("VERSUS_STD_BARRIER"), env!("VERSUS_STD_BARRIER_WHY"), RTLD_LOCAL)?;
        // SAFETY: these are the signatures in native/std_barrier.cpp.
        unsafe {
            Ok(StdBarrier {
                create: *library.get(b"versus_create").map_err(|e| e.to_string())?,
                wait: *library.get(b"versus_wait").map_err(|e| e.to_string())?,
                destroy: *library.get(b"versus_destroy").map_err(|e| e.to_string())?,
            })
        }
    }

    pub fn ck() -> Result<Ck, String> {
        let library = open(env!("VERSUS_CK"), env!("VERSUS_CK_WHY"), RTLD_LOCAL)?;
        // SAFETY: these are the signatures in native/ck.c.
        unsafe {
            Ok(Ck {
                create: *library.get(b"versus_ck_create").map_err(|e| e.to_string())?,
                party: *library.get(b"versus_ck_party").map_err(|e| e.to_string())?,
                waiter: *library.get(b"versus_ck_waiter").map_err(|e| e.to_string())?,
                destroy: *library.get(b"versus_ck_destroy").map_err(|e| e.to_string())?,
            })
        }
    }

    pub fn libgomp() -> Result<OpenMp, String> {
        openmp(env!("VERSUS_GOMP"), env!("VERSUS_GOMP_WHY"))
    }

    pub fn libomp() -> Result<OpenMp, String> {
        openmp(env!("VERSUS_LIBOMP"), env!("VERSUS_LIBOMP_WHY"))
    }

    fn openmp(path: &str, why_not: &str) -> Result<OpenMp, String> {
        let library = open(path, why_not, RTLD_LOCAL)?;
        // SAFETY: this is the signature in native/openmp.c.
        unsafe { Ok(*library.get(b"versus_openmp").map_err(|e| e.to_string())?) }
    }

    pub fn mpi(kind: Kind) -> Result<Mpi, String> {
        let (path, _, why_not) = kind.built();
        // Parts that the library loads itself look for its symbols among those that all can see.
        let library = open(path, why_not, RTLD_GLOBAL)?;
        // SAFETY: these are the signatures in native/mpi.c.
        unsafe {
            Ok(Mpi {
                start: *library.get(b"versus_mpi_start").map_err(|e| e.to_string())?,
                tell: *library.get(b"versus_mpi_tell").map_err(|e| e.to_string())?,
                play: *library.get(b"versus_mpi").map_err(|e| e.to_string())?,
                end: *library.get(b"versus_mpi_end").map_err(|e| e.to_string())?,
            })
        }
    }

    pub fn epcc_libgomp() -> Result<Epcc, String> {
        epcc(env!("VERSUS_EPCC_GOMP"), env!("VERSUS_EPCC_GOMP_WHY"))
    }

    pub fn epcc_libomp() -> Result<Epcc, String> {
        epcc(env!("VERSUS_EPCC_LIBOMP"), env!("VERSUS_EPCC_LIBOMP_WHY"))
    }

    fn epcc(path: &str, why_not: &str) -> Result<Epcc, String> {
        let library = open(path, why_not, RTLD_LOCAL)?;
        // SAFETY: these are the signatures in native/epcc.c.
        unsafe {
            Ok(Epcc {
                processors: *library.get(b"versus_epcc_processors").map_err(|e| e.to_string())?,
                run: *library.get(b"versus_epcc").map_err(|e| e.to_string())?,
            })
        }
    }

    /// Opens a shared object that `build.rs` made, or says why it made none.
    ///
    /// It stays open: a pool thread of OpenMP sleeps in the runtime's code after the last round, and must not have it
    /// unmapped under its feet.
    fn open(path: &str, why_not: &str, visible: c_int) -> Result<&'static Library, String> {
        if path.is_empty() {
            return Err(why_not.into());
        }
        // SAFETY: our own objects; all that runs on loading are the initialisers of the runtime libraries behind them.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | visible) };
        // What exactly went wrong is one error further down.
        let library = library.map_err(|e| e.source().map_or_else(|| e.to_string(), ToString::to_string))?;
        Ok(Box::leak(Box::new(library)))
    }
}

#[cfg(target_feature = "crt-static")]
mod place {
    use super::{Ck, Epcc, Kind, Mpi, OpenMp, StdBarrier};

    #[cfg(versus_std_barrier)]
    pub fn std_barrier() -> Result<StdBarrier, String> {
        use std::ffi::c_void;
        use std::ptr::NonNull;
        // As in native/std_barrier.cpp.
        unsafe extern "C" {
            fn versus_create(parties: isize) -> Option<NonNull<c_void>>;
            fn versus_wait(barrier: NonNull<c_void>);
            fn versus_destroy(barrier: NonNull<c_void>);
        }
        Ok(StdBarrier { create: versus_create, wait: versus_wait, destroy: versus_destroy })
    }

    #[cfg(not(versus_std_barrier))]
    pub fn std_barrier() -> Result<StdBarrier, String> {
        Err(env!("VERSUS_STD_BARRIER_WHY").into())
    }

    #[cfg(versus_ck)]
    pub fn ck() -> Result<Ck, String> {
        use super::Waiter;
        use std::ffi::{c_int, c_uint, c_void};
        use std::ptr::NonNull;
        // As in native/ck.c.
        unsafe extern "C" {
            fn versus_ck_create(kind: c_int, parties: c_uint) -> Option<NonNull<c_void>>;
            fn versus_ck_party(barrier: NonNull<c_void>, rank: c_uint) -> NonNull<c_void>;
            fn versus_ck_waiter(kind: c_int) -> Option<Waiter>;
            fn versus_ck_destroy(barrier: NonNull<c_void>);
        }
        Ok(Ck {
            create: versus_ck_create,
            party: versus_ck_party,
            waiter: versus_ck_waiter,
            destroy: versus_ck_destroy,
        })
    }

    #[cfg(not(versus_ck))]
    pub fn ck() -> Result<Ck, String> {
        Err(env!("VERSUS_CK_WHY").into())
    }

    #[cfg(versus_gomp)]
    pub fn libgomp() -> Result<OpenMp, String> {
        use super::{Order, Report};
        use std::ffi::c_int;
        // As in native/openmp.c.
        unsafe extern "C" {
            fn versus_openmp(order: *const Order, out: *mut Report) -> c_int;
        }
        Ok(versus_openmp)
    }

    #[cfg(not(versus_gomp))]
    pub fn libgomp() -> Result<OpenMp, String> {
        Err(env!("VERSUS_GOMP_WHY").into())
    }

    pub fn libomp() -> Result<OpenMp, String> {
        Err(env!("VERSUS_LIBOMP_WHY").into())
    }

    #[cfg(versus_epcc_gomp)]
    pub fn epcc_libgomp() -> Result<Epcc, String> {
        use super::Found;
        use std::ffi::c_int;
        // As in native/epcc.c.
        unsafe extern "C" {
            fn versus_epcc_processors() -> c_int;
            fn versus_epcc(
                cpus: *const c_int,
                members: c_int,
                delay: extern "C" fn(u64),
                steps: u64,
                inner: *const i64,
                out: *mut Found,
            ) -> c_int;
        }
        Ok(Epcc { processors: versus_epcc_processors, run: versus_epcc })
    }

    #[cfg(not(versus_epcc_gomp))]
    pub fn epcc_libgomp() -> Result<Epcc, String> {
        Err(env!("VERSUS_EPCC_GOMP_WHY").into())
    }

    pub fn epcc_libomp() -> Result<Epcc, String> {
        Err(env!("VERSUS_EPCC_LIBOMP_WHY").into())
    }

    pub fn mpi(kind: Kind) -> Result<Mpi, String> {
        Err(kind.built().2.into())
    }
}

pub use place::{ck, epcc_libgomp, epcc_libomp, libgomp, libomp, mpi, std_barrier};
