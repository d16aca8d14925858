//! Compiles the C and C++ peers into shared objects, and notes why where it cannot.
//!
//! No compiler is no reason to fail: the harness then runs without these peers and prints the reason. So each object is
//! tried on its own, and the program gets two strings per object: the path, which is empty if there is none, and the
//! reason. Shared objects instead of static libraries keep two OpenMP runtimes apart, which define the same symbols,
//! and load none of them into the shapes that do not use them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=native");
    println!("cargo:rerun-if-env-changed=CC");
    println!("cargo:rerun-if-env-changed=CXX");
    println!("cargo:rerun-if-env-changed=PATH");

    let c = compiler(cc::Build::new().warnings(false));
    let cxx = compiler(cc::Build::new().cpp(true).warnings(false));
    let clang = version("clang").map(|_| PathBuf::from("clang"));

    object("VERSUS_STD_BARRIER", "std_barrier.cpp", &cxx, &["-std=c++20"]);
    // libgomp is the runtime of GCC; what other compilers call `-fopenmp` is another.
    let gcc =
        c.clone().and_then(|path| if is_clang(&path) { Err("the C compiler is not GCC".into()) } else { Ok(path) });
    object("VERSUS_GOMP", "openmp.c", &gcc, &["-fopenmp"]);
    object("VERSUS_LIBOMP", "openmp.c", &clang, &["-fopenmp=libomp"]);

    tell("VERSUS_CC", &c.and_then(|path| version(&path)).unwrap_or_else(|why| why));
    tell("VERSUS_CXX", &cxx.and_then(|path| version(&path)).unwrap_or_else(|why| why));
    tell("VERSUS_CLANG", &clang.and_then(|path| version(&path)).unwrap_or_else(|why| why));
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    tell("VERSUS_RUSTC", &version(&rustc).unwrap_or_else(|why| why));
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\x1f', " ");
    let level = env::var("OPT_LEVEL").unwrap_or_default();
    tell("VERSUS_FLAGS", &format!("opt-level {level}, RUSTFLAGS {flags:?}"));
}

/// The compiler that the `cc` crate would use, if it runs.
fn compiler(build: &mut cc::Build) -> Result<PathBuf, String> {
    let tool = build.try_get_compiler().map_err(|e| format!("no compiler: {}", one_line(&e.to_string())))?;
    version(tool.path()).map(|_| tool.path().to_owned())
}

/// The first line of `--version`.
fn version(program: impl AsRef<Path>) -> Result<String, String> {
    let program = program.as_ref();
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|_| format!("no `{}` to be found", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::to_owned).ok_or_else(|| format!("`{} --version` says nothing", program.display()))
}

fn is_clang(compiler: &Path) -> bool {
    Command::new(compiler).arg("--version").output().is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("clang"))
}

/// Compiles one source into `NAME`'s object, or sets `NAME_WHY`.
fn object(name: &str, source: &str, compiler: &Result<PathBuf, String>, flags: &[&str]) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join(format!("{}.so", name.to_lowercase()));
    let source = Path::new("native").join(source);
    // An object of an earlier build must not stand in for one that fails now.
    let _ = fs::remove_file(&out);
    let built = compiler.clone().and_then(|compiler| {
        let output = Command::new(&compiler)
            .args(["-O2", "-shared", "-fPIC", "-pthread", "-o"])
            .arg(&out)
            .arg(&source)
            .args(flags)
            .output()
            .map_err(|e| format!("{}: {e}", compiler.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{} does not compile it: {}", compiler.display(), one_line(&complaint)))
        }
    });
    tell(name, &built.as_ref().map_or_else(|_| String::new(), |()| out.display().to_string()));
    tell(&format!("{name}_WHY"), &built.err().unwrap_or_default());
}

/// The first line with an error in it, or else the first; an environment variable has only one.
fn one_line(text: &str) -> String {
    text.lines().find(|line| line.contains("error")).or(text.lines().next()).unwrap_or_default().trim().to_owned()
}

fn tell(name: &str, value: &str) {
    println!("cargo:rustc-env={name}={value}");
}
