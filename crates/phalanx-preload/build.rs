//! Links the unwinder into the library, where it can be.
//!
//! Rust's standard library takes its unwinder from `libgcc_s.so.1`. A program in C loads that for our sake alone, and looks up some
//! symbols more: a third of what a start cost more with us than without (docs/results/2026-11-29-epyc-2cpu-preload/sleepers.md). The static `libgcc_eh.a` is the same
//! code. As of everything else in here, none of its symbols leaves the library, so a program in C++ keeps its own unwinder; and no
//! exception crosses between the two, because none crosses our functions.
//!
//! Where the compiler that links has no such archive, the library is linked as it would be anyway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let Some(archive) = archive() else { return };
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    // Found before the compiler's own, this is what the linker takes for `-lgcc_s`: a script in the place of a library.
    if fs::write(folder.join("libgcc_s.so"), format!("INPUT(\"{}\")\n", archive.display())).is_ok() {
        println!("cargo::rustc-link-arg-cdylib=-L{}", folder.display());
    }
}

/// `libgcc_eh.a`, by the word of whoever links.
fn archive() -> Option<PathBuf> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let answer = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    // A compiler without one repeats the bare name. A quote would end the path in the script.
    let path = Path::new(text.trim());
    let found = answer.status.success() && path.is_absolute() && path.is_file() && !text.contains('"');
    found.then(|| path.to_owned())
}
