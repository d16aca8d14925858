//! What every parser promises for any bytes at all: one function each, which panics where the promise is broken.
//!
//! The fuzz targets in `fuzz/` call these functions under a fuzzer that is guided by coverage (`--cfg phalanx_fuzz`); the
//! test below calls them with the seeds of `fuzz/seeds`, with any toolchain. They lie beside the parsers, most of which are
//! private, as models do. Each promise is one or more of:
//!
//! - **no panic, no hang, no more memory than documented**: the fuzzer's own limits watch over the last two;
//! - **the same as a slow reader** that was written from the documentation and goes letter by letter;
//! - **round trip**: what is printed is read as the same;
//! - **bounds**: no CPU at or above the limit, nothing read outside the root;
//! - **errors name the value**, and the place in the text where it stands.
//!
//! Not part of the interface: without the cfg there is no such module in a library that somebody uses.

pub mod tree;

pub use crate::model::fuzzing::latency;
#[cfg(all(feature = "serde", feature = "hdr", feature = "timeline"))]
pub use crate::observe::fuzzing::snapshot;
pub use crate::observe::watchdog::fuzzing::thread_state;
pub use crate::topology::fuzzing::{bind, cgroup, cpu_list, cpu_mask, root};
pub use crate::wait::fuzzing::{duration, wait_policy, watchdog};

/// What a parser promises: panics for bytes with which it is broken.
pub type Promise = fn(&[u8]);

/// Every promise, by the name of its fuzz target. (`rle` is the example's, and `tests/corpus.rs` has it.)
pub const TARGETS: &[(&str, Promise)] = &[
    ("bind", bind),
    ("cgroup", cgroup),
    ("cpu_list", cpu_list),
    ("cpu_mask", cpu_mask),
    ("duration", duration),
    ("latency", latency),
    ("root", root),
    #[cfg(all(feature = "serde", feature = "hdr", feature = "timeline"))]
    ("snapshot", snapshot),
    ("thread_state", thread_state),
    ("wait_policy", wait_policy),
    ("watchdog", watchdog),
];

/// Whether an error's text shows `value`, as it is or as a literal.
pub(crate) fn names(error: &str, value: &str) -> bool {
    error.contains(value) || error.contains(&format!("{value:?}"))
}

#[cfg(all(test, not(miri)))] // many files, and each promise runs a slow reader
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Every seed keeps the promise of its target; so do its beginnings, and it with a byte changed.
    #[test]
    fn seeds_keep_the_promises() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        if !seeds.exists() && !Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").exists() {
            return; // the package as it is published has neither
        }
        for (target, promise) in TARGETS {
            let entries = fs::read_dir(seeds.join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
            let mut count = 0;
            for entry in entries {
                let path = entry.unwrap().path();
                let data = fs::read(&path).unwrap();
                eprintln!("{}", path.display());
                promise(&data);
                // Few of the large ones, all of the small ones.
                for end in (0..data.len()).step_by(1 + data.len() / 40) {
                    promise(&data[..end]);
                    let mut changed = data.clone();
                    for byte in [b'-', b',', b'9', b'\n', b' ', 0, 0xff] {
                        changed[end] = byte;
                        promise(&changed);
                    }
                }
                count += 1;
            }
            assert!(count >= 5, "{target} has {count} seeds");
        }
    }
}
