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

/// native/openmp.c.
#[derive(Clone, Copy)]
pub struct OpenMp {
    pub cross: Cross,
    pub reduce: Cross,
    /// The last but one number is how long to idle before each region.
    pub fork: Cross,
    pub late: unsafe extern "C" fn(*const c_int, c_int, i64, *const Clock, *mut u64) -> c_int,
}

/// A round: on which CPUs, how many of them, opening trips, timed ones, checked ones; what was found.
pub type Cross = unsafe extern "C" fn(*const c_int, c_int, i64, i64, i64, *mut Report) -> c_int;

/// What a round of OpenMP's found.
#[repr(C)]
#[derive(Default)]
pub struct Report {
    pub ns: i64,
    pub wrong: i64,
    pub team: i64,
}

/// Our clock and our delays, for C to call.
#[repr(C)]
pub struct Clock {
    pub stamp: extern "C" fn() -> u64,
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

#[cfg(not(target_feature = "crt-static"))]
mod place {
    use super::{Ck, Epcc, OpenMp, StdBarrier};
    use libloading::Library;

    pub fn std_barrier() -> Result<StdBarrier, String> {
        let library = open(env!("VERSUS_STD_BARRIER"), env!("VERSUS_STD_BARRIER_WHY"))?;
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
        let library = open(env!("VERSUS_CK"), env!("VERSUS_CK_WHY"))?;
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
        let library = open(path, why_not)?;
        // SAFETY: these are the signatures in native/openmp.c.
        unsafe {
            Ok(OpenMp {
                cross: *library.get(b"versus_openmp").map_err(|e| e.to_string())?,
                reduce: *library.get(b"versus_openmp_reduce").map_err(|e| e.to_string())?,
                fork: *library.get(b"versus_openmp_fork").map_err(|e| e.to_string())?,
                late: *library.get(b"versus_openmp_late").map_err(|e| e.to_string())?,
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
        let library = open(path, why_not)?;
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
    fn open(path: &str, why_not: &str) -> Result<&'static Library, String> {
        if path.is_empty() {
            return Err(why_not.into());
        }
        // SAFETY: our own objects; all that runs on loading are the initialisers of the runtime libraries behind them.
        let library = unsafe { Library::new(path) }.map_err(|e| e.to_string())?;
        Ok(Box::leak(Box::new(library)))
    }
}

#[cfg(target_feature = "crt-static")]
mod place {
    use super::{Ck, Epcc, OpenMp, StdBarrier};

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
        use super::{Clock, Report};
        use std::ffi::c_int;
        // As in native/openmp.c.
        unsafe extern "C" {
            fn versus_openmp(
                cpus: *const c_int,
                n: c_int,
                opening: i64,
                trips: i64,
                checked: i64,
                out: *mut Report,
            ) -> c_int;
            fn versus_openmp_reduce(
                cpus: *const c_int,
                n: c_int,
                opening: i64,
                trips: i64,
                checked: i64,
                out: *mut Report,
            ) -> c_int;
            fn versus_openmp_fork(
                cpus: *const c_int,
                n: c_int,
                opening: i64,
                trips: i64,
                idle: i64,
                out: *mut Report,
            ) -> c_int;
            fn versus_openmp_late(
                cpus: *const c_int,
                n: c_int,
                trips: i64,
                clock: *const Clock,
                seen: *mut u64,
            ) -> c_int;
        }
        Ok(OpenMp {
            cross: versus_openmp,
            reduce: versus_openmp_reduce,
            fork: versus_openmp_fork,
            late: versus_openmp_late,
        })
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
}

pub use place::{ck, epcc_libgomp, epcc_libomp, libgomp, libomp, std_barrier};
