//! Compiles the C and C++ peers into shared objects, and notes why where it cannot.
//!
//! No compiler is no reason to fail: the harness then runs without these peers and prints the reason. So each object is
//! tried on its own, and the program gets two strings per object: the path, which is empty if there is none, and the
//! reason. Shared objects instead of static libraries keep two OpenMP runtimes apart, which define the same symbols,
//! and load none of them into the shapes that do not use them. For a static binary (`+crt-static`), which can load
//! nothing, the same sources become archives, as far as the compiler's own libraries are there as archives too.

use std::collections::BTreeSet;
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

    println!("cargo:rustc-check-cfg=cfg(versus_std_barrier, versus_gomp, versus_epcc_gomp, versus_ck)");
    let fixed = env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|list| list.split(',').any(|it| it == "crt-static"));
    let mut libraries = BTreeSet::new();
    let mut object = |name: &str, source: &str, compiler: &Result<PathBuf, String>, flags: &[&str], library: &str| {
        let built =
            if fixed { archive(name, source, compiler, flags, library) } else { shared(name, source, compiler, flags) };
        if fixed && built.is_ok() {
            libraries.insert(library.to_owned());
        }
        let (path, why) =
            built.map_or_else(|why| (String::new(), why), |path| (path.display().to_string(), String::new()));
        tell(name, &path);
        tell(&format!("{name}_WHY"), &why);
    };
    object("VERSUS_STD_BARRIER", "std_barrier.cpp", &cxx, &["-std=c++20"], "stdc++");
    // Concurrency Kit: its header and library, as distributions package them.
    object("VERSUS_CK", "ck.c", &c, &["-std=gnu11", "-lck"], "ck");
    // libgomp is the runtime of GCC; what other compilers call `-fopenmp` is another.
    let gcc =
        c.clone().and_then(|path| if is_clang(&path) { Err("the C compiler is not GCC".into()) } else { Ok(path) });
    object("VERSUS_GOMP", "openmp.c", &gcc, &["-fopenmp"], "gomp");
    let clang_object = if fixed {
        Err("not in a static binary, which has libgomp's symbols of the same names".into())
    } else {
        clang.clone()
    };
    object("VERSUS_LIBOMP", "openmp.c", &clang_object, &["-fopenmp=libomp"], "omp");
    object("VERSUS_EPCC_GOMP", "epcc.c", &gcc, &["-fopenmp"], "gomp");
    object("VERSUS_EPCC_LIBOMP", "epcc.c", &clang_object, &["-fopenmp=libomp"], "omp");
    for library in libraries {
        println!("cargo:rustc-link-lib=static:-bundle={library}");
    }
    for (name, suffix) in [("VERSUS_OPENMPI", "openmpi"), ("VERSUS_MPICH", "mpich")] {
        let built =
            if fixed { Err("not in a static binary, which can load no library".into()) } else { mpi(name, suffix) };
        let (path, run, why) = match built {
            Ok((object, run)) => (object.display().to_string(), run.display().to_string(), String::new()),
            Err(why) => (String::new(), String::new(), why),
        };
        tell(name, &path);
        tell(&format!("{name}_RUN"), &run);
        tell(&format!("{name}_WHY"), &why);
    }

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

/// Compiles one source into a shared object.
fn shared(name: &str, source: &str, compiler: &Result<PathBuf, String>, flags: &[&str]) -> Result<PathBuf, String> {
    compile(name, "so", source, compiler, &[&["-shared", "-pthread"], flags].concat())
}

/// Compiles one source into an archive that is linked in; the compiler's library is the caller's to name, once and behind all.
fn archive(
    name: &str,
    source: &str,
    compiler: &Result<PathBuf, String>,
    flags: &[&str],
    library: &str,
) -> Result<PathBuf, String> {
    let object = compile(name, "o", source, compiler, &[&["-c", "-pthread"], flags].concat())?;
    let wanted = format!("lib{library}.a");
    let found = output(compiler.as_ref().map_err(String::clone)?, &[&format!("-print-file-name={wanted}")])?;
    // A compiler that has no such file prints the bare name.
    let found = Path::new(found.trim());
    let Some(folder) = found.parent().filter(|_| found.is_absolute()) else {
        return Err(format!("no {wanted} to link statically"));
    };
    let (own, lower) = (object.with_file_name(format!("lib{}.a", name.to_lowercase())), name.to_lowercase());
    let _ = fs::remove_file(&own);
    let made = Command::new("ar").arg("crs").arg(&own).arg(&object).status().map_err(|e| format!("ar: {e}"))?;
    if !made.success() {
        return Err(format!("ar: {made}"));
    }
    println!("cargo:rustc-cfg={lower}");
    println!("cargo:rustc-link-search=native={}", own.parent().expect("in OUT_DIR").display());
    println!("cargo:rustc-link-lib=static={lower}");
    println!("cargo:rustc-link-search=native={}", folder.display());
    Ok(own)
}

/// Compiles the MPI peer with this implementation's own compiler driver, and finds its `mpirun`.
///
/// Debian has both implementations side by side under names with a suffix; elsewhere `mpicc` is one of them, and the
/// source refuses to be compiled by the other.
fn mpi(name: &str, suffix: &str) -> Result<(PathBuf, PathBuf), String> {
    let mut why = format!("no `mpicc.{suffix}` or `mpicc` to be found");
    for ending in [&*format!(".{suffix}"), ""] {
        let Some(driver) = on_path(&format!("mpicc{ending}")) else { continue };
        let Some(run) = on_path(&format!("mpirun{ending}")) else {
            why = format!("`mpicc{ending}`, but no `mpirun{ending}`");
            continue;
        };
        match shared(name, "mpi.c", &Ok(driver), &[&format!("-D{name}")]) {
            Ok(object) => return Ok((object, run)),
            Err(complaint) => why = complaint,
        }
    }
    Err(why)
}

/// Where a program lies.
fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn compile(
    name: &str,
    ending: &str,
    source: &str,
    compiler: &Result<PathBuf, String>,
    flags: &[&str],
) -> Result<PathBuf, String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let out = out.join(format!("{}.{ending}", name.to_lowercase()));
    let (source, target) = (Path::new("native").join(source).display().to_string(), out.display().to_string());
    // An object of an earlier build must not stand in for one that fails now.
    let _ = fs::remove_file(&out);
    output(compiler.as_ref().map_err(String::clone)?, &[&["-O2", "-fPIC", "-o", &target, &source], flags].concat())?;
    Ok(out)
}

/// What a compiler prints, or its complaint.
fn output(compiler: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(compiler).args(arguments).output().map_err(|e| format!("{}: {e}", compiler.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{} does not compile it: {}", compiler.display(), one_line(&complaint)))
}

/// The first line with an error in it, of a compiler or of a linker that misses a library, or else the first; an
/// environment variable has only one.
fn one_line(text: &str) -> String {
    let tells = |line: &&str| ["error", "cannot find"].iter().any(|sign| line.contains(sign));
    text.lines().find(tells).or(text.lines().next()).unwrap_or_default().trim().to_owned()
}

fn tell(name: &str, value: &str) {
    println!("cargo:rustc-env={name}={value}");
}
