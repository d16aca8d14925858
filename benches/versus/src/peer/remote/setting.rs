//! The libraries that are played in other processes, and the settings that they are played in.

use super::child::Library;

/// A library in a setting.
#[derive(Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub(super) library: Library,
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// What the runtime must say of itself when asked for its settings, if it knows this one.
    pub(super) says: Option<&'static str>,
    /// How many parties each CPU may have, and why no more.
    pub(super) most: Option<(usize, &'static str)>,
}

const DIST: &[(&str, &str)] = &[
    ("KMP_FORKJOIN_BARRIER_PATTERN", "dist,dist"),
    ("KMP_PLAIN_BARRIER_PATTERN", "dist,dist"),
    ("KMP_REDUCTION_BARRIER_PATTERN", "dist,dist"),
    ("KMP_SETTINGS", "1"),
];

/// GCC's runtime as it comes.
pub const LIBGOMP: Setting =
    Setting { name: "libgomp", library: Library::Libgomp, environment: &[], says: None, most: None };

/// LLVM's runtime as it comes, with the hypercube pattern.
pub const LIBOMP: Setting =
    Setting { name: "libomp", library: Library::Libomp, environment: &[], says: None, most: None };

/// LLVM's runtime with its distributed pattern, which it has since version 14.
pub const LIBOMP_DIST: Setting = Setting {
    name: "libomp dist",
    library: Library::Libomp,
    environment: DIST,
    says: Some("KMP_PLAIN_BARRIER_PATTERN='dist,dist'"),
    most: Some((
        1,
        "with more threads than CPUs its waiters do not yield: 4 ms a trip, whole time slices, from 3 threads on",
    )),
};

pub const OPEN_MPI: Setting = Setting {
    name: "Open MPI",
    library: Library::Openmpi,
    environment: &[],
    says: None,
    most: Some((2, "its ranks never sleep: with more than twice as many as CPUs they only take turns")),
};

pub const MPICH: Setting = Setting {
    name: "MPICH",
    library: Library::Mpich,
    environment: &[],
    says: None,
    most: Some((1, "with more ranks than CPUs they do not yield: 8 ms a trip, whole time slices, from 3 ranks on")),
};

/// All of them.
pub const ALL: [Setting; 5] = [LIBGOMP, LIBOMP, LIBOMP_DIST, OPEN_MPI, MPICH];
