//! Builds programs of C and runs them under the preload; for the tests beside it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// What a program has said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// 128 and the signal, if it was one.
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The library, built with the profile of the tests.
pub(crate) fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            // `cargo test` does not build a shared library that no test is linked with. In a folder of its own: cargo holds the lock of
            // the other one for as long as the tests run, on some versions.
            let target = scratch().join("target");
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
            build.arg("--target-dir").arg(&target);
            assert!(build.status().expect("cargo runs").success(), "the library does not build");
            target.join("debug/libphalanx_preload.so")
        })
        .clone()
}

/// The launcher.
pub(crate) fn launcher() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/phalanx-preload"))
}

/// A folder for what the tests build.
pub(crate) fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("preload");
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Says that `what` is left out, aloud: what goes to `println!` is seen of tests alone that fail.
pub(crate) fn skip(what: &str, why: &str) {
    let _ = writeln!(io::stderr(), "{what}: SKIPPED: {why}");
}

/// Builds `source` as program `name`; `None`, aloud, without the compiler.
pub(crate) fn program(compiler: &str, flags: &[&str], name: &str, source: &str) -> Option<PathBuf> {
    let folder = scratch();
    let (file, binary) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&file, source).expect("a file can be written");
    let mut build = Command::new(compiler);
    build.args(["-O1", "-pthread", "-Wall", "-Werror"]).args(flags).arg("-o").arg(&binary).arg(&file);
    let output = match build.output() {
        Ok(output) => output,
        Err(error) => {
            skip(name, &format!("{compiler}: {error}"));
            return None;
        }
    };
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(binary)
}

/// Runs it for at most half a minute.
pub(crate) fn run(command: &mut Command) -> Ended {
    let shown = format!("{command:?}");
    let name =
        format!("out-{:?}-{:?}", thread::current().id(), Instant::now()).replace(|c: char| !c.is_alphanumeric(), "_");
    let (out, err) = (scratch().join(format!("{name}.1")), scratch().join(format!("{name}.2")));
    let file = |path: &Path| Stdio::from(fs::File::create(path).expect("a file can be made"));
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let start = Instant::now();
    let mut child = loop {
        match command.spawn() {
            // What was copied just now: a child that another test has forked, and that has not started its program yet, has it open.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && start.elapsed() < Duration::from_secs(10) =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            child => break child.expect("the program starts"),
        }
    };
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > Duration::from_secs(30) {
            let _ = child.kill();
            panic!("{shown} hangs; it said {:?}", fs::read_to_string(&err));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |path: &Path| {
        let text = String::from_utf8_lossy(&fs::read(path).expect("what was written")).into_owned();
        let _ = fs::remove_file(path);
        text
    };
    let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ended { status, out: text(&out), err: text(&err) }
}

/// The program with the library, in an environment of these variables.
pub(crate) fn preloaded<S: AsRef<OsStr>>(program: &Path, variables: &[(&str, S)]) -> Command {
    let mut command = Command::new(program);
    clean(&mut command).env("LD_PRELOAD", library());
    command.envs(variables.iter().map(|(name, value)| (name, value.as_ref())));
    command
}

/// Without variables that whoever runs the tests has set for other purposes.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for name in ["LD_PRELOAD", "PHALANX_PRELOAD_STATS", "PHALANX_WATCHDOG", "PHALANX_SPIN", "PHALANX_WAIT_POLICY"] {
        command.env_remove(name);
    }
    command
}
