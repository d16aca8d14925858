//! The peers from the C and C++ libraries: `pthread_barrier`, and `std::barrier` of C++20.
//!
//! `pthread_barrier` needs no compiler, for the C library is there anyway. `std::barrier` is a template, so `build.rs`
//! compiles an object around it where a C++20 compiler is found, and notes why not where none is; the call
//! through a function pointer costs some two nanoseconds of its thousands.

use super::object;
use crate::seat::Crossing;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::iter;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// All parties of a `pthread_barrier`.
pub fn pthread(parties: usize) -> Result<Vec<Pthread>, String> {
    let barrier = Arc::new(PthreadBarrier(Box::new(UnsafeCell::new(MaybeUninit::uninit()))));
    let count = u32::try_from(parties).map_err(|e| e.to_string())?;
    // SAFETY: the place is valid for writes, and boxed, so that the barrier never moves afterwards.
    match unsafe { libc::pthread_barrier_init(barrier.raw(), ptr::null(), count) } {
        0 => Ok(iter::repeat_n(barrier, parties).map(Pthread).collect()),
        // Dropping what was never initialised would destroy garbage.
        error => {
            std::mem::forget(barrier);
            Err(format!("pthread_barrier_init: error {error}"))
        }
    }
}

struct PthreadBarrier(Box<UnsafeCell<MaybeUninit<libc::pthread_barrier_t>>>);

// SAFETY: a pthread barrier is made to be used by several threads at once, and is touched through its own functions
// only.
unsafe impl Send for PthreadBarrier {}
// SAFETY: as above.
unsafe impl Sync for PthreadBarrier {}

impl PthreadBarrier {
    fn raw(&self) -> *mut libc::pthread_barrier_t {
        self.0.get().cast()
    }
}

impl Drop for PthreadBarrier {
    fn drop(&mut self) {
        // SAFETY: initialised in `pthread`; the last handle goes, so nobody waits.
        unsafe { libc::pthread_barrier_destroy(self.raw()) };
    }
}

pub struct Pthread(Arc<PthreadBarrier>);

impl Crossing for Pthread {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        // SAFETY: initialised in `pthread`, and alive while a handle is.
        match unsafe { libc::pthread_barrier_wait(self.0.raw()) } {
            0 => false,
            libc::PTHREAD_BARRIER_SERIAL_THREAD => true,
            error => panic!("pthread_barrier_wait: error {error}"),
        }
    }
}

/// `std::barrier` of C++20.
pub struct StdBarrier(object::StdBarrier);

impl StdBarrier {
    /// # Errors
    ///
    /// Says why the build could not compile it, or why it cannot be loaded.
    pub fn load() -> Result<Arc<Self>, String> {
        let functions = object::std_barrier().map_err(|why| format!("C++20 std::barrier: {why}"))?;
        Ok(Arc::new(Self(functions)))
    }

    /// All parties of one barrier.
    pub fn parties(self: &Arc<Self>, parties: usize) -> Vec<Cxx> {
        // SAFETY: a count is all that it asks for.
        let barrier = unsafe { (self.0.create)(parties.cast_signed()) }.expect("out of memory");
        iter::repeat_n(Arc::new(CxxBarrier { library: self.clone(), barrier }), parties).map(Cxx).collect()
    }
}

struct CxxBarrier {
    library: Arc<StdBarrier>,
    barrier: NonNull<c_void>,
}

// SAFETY: `std::barrier` is made to be used by several threads at once, and is touched through its own functions only.
unsafe impl Send for CxxBarrier {}
// SAFETY: as above.
unsafe impl Sync for CxxBarrier {}

impl Drop for CxxBarrier {
    fn drop(&mut self) {
        // SAFETY: made by `create`; the last handle goes, so nobody waits.
        unsafe { (self.library.0.destroy)(self.barrier) };
    }
}

pub struct Cxx(Arc<CxxBarrier>);

impl Crossing for Cxx {
    const LEADS: bool = false;

    #[inline]
    fn wait(&mut self) -> bool {
        // SAFETY: made by `create`, and alive while a handle is.
        unsafe { (self.0.library.0.wait)(self.0.barrier) };
        false
    }
}
