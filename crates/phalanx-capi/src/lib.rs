//! phalanx for C, C++ and Fortran: what `include/phalanx.h` declares.
//!
//! The header is made from these files by `cbindgen`, doc comments and all (`cbindgen.toml` has its preface), so they speak to
//! readers of C.
//!
//! # What a C caller may do wrong
//!
//! In Rust the compiler sees to it that a party is used by one thread, that nothing is used after its end, that a choice is
//! one of those that there are. Here all of that has to be found out at run time, and answered by a code:
//!
//! - *Handles are numbers.* What C is given as a pointer is never followed. It says which kind of object it is, in which cell of
//!   which table that is, and how often the cell had been used before (`handle`). Cells are never given back to the system,
//!   so looking one up is safe whatever the number is: NULL, an object that is gone, an object of another kind, or noise.
//! - *One at a time.* A party's cell has a word that whoever uses it takes by a compare and swap, and that also holds the count of
//!   its lives: so the check that the party lives and that nobody else uses it is one operation, on a line that belongs to the
//!   party. Objects that many may use at once are pinned meanwhile; who ends one waits for nobody, and the last one out
//!   cleans up.
//! - *Choices are integers* until they have been checked.
//! - *Members of a team* live in the frame of a callback, and are looked up among those of the calling thread ([`team`]).
//!
//! What remains is what C cannot be protected from: pointers to results that point nowhere, texts without an end, callbacks
//! that do not return by returning. The functions that have such parameters are `unsafe` here, and say what they ask for.
//!
//! # What never crosses
//!
//! No panic leaves these functions: each body runs under `catch_unwind` (`status::guarded`). There should be none; one is answered by
//! `PHALANX_PANICKED`. Callbacks are `extern "C"`: what unwinds out of one ends the process.
//!
//! # Parts
//!
//! - [`status`]: codes, causes, and what each thread remembers of its last failure. `undisturbed`: and no cancellation meanwhile.
//! - `handle`: numbers to objects. `out`: results and texts, from and to C.
//! - [`choice`]: algorithms, policies, operators. `reduce`: the operators.
//! - [`barrier`], [`party`], [`arrival`], [`shared`], [`team`], [`stats`]: the functions.

#![allow(non_camel_case_types)]

pub mod arrival;
pub mod barrier;
pub mod choice;
mod handle;
mod out;
pub mod party;
mod reduce;
pub mod shared;
pub mod stats;
pub mod status;
pub mod team;
mod undisturbed;
