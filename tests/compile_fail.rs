//! What the compiler refuses: each file in `tests/compile_fail` is a mistake that would be a hang or a race elsewhere.
//!
//! The messages beside them are those of the toolchain that `rust-toolchain.toml` names, stable: a new release may word
//! one differently. Then look at what has changed, and write them anew:
//!
//! ```text
//! TRYBUILD=overwrite cargo test --test compile_fail
//! ```

// Starts the compiler, and Miri starts no processes.
#[cfg(not(miri))]
#[test]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
