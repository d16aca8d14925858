//! The launcher: what it starts, and what it says where the library could not be used.

// Not all of it is used by each file of tests.
#[allow(dead_code)]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::SystemTime;
use std::{env, fs};
use support::{Ended, clean, launcher, library, program, run, scratch, skip};

const ONE: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **arguments) {
    pthread_barrier_t barrier;
    if (pthread_barrier_init(&barrier, NULL, 1)) return 3;
    int answer = pthread_barrier_wait(&barrier);
    printf("%d %s %s\n", answer, count > 1 ? arguments[1] : "-", getenv("LD_PRELOAD"));
    return count - 1;
}
"#;

fn launch(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(launcher());
    clean(&mut command).env("PHALANX_PRELOAD_LIB", library()).args(arguments).current_dir(scratch());
    command.envs(variables.iter().copied());
    run(&mut command)
}

fn refused(ended: &Ended, status: i32, word: &str) {
    assert_eq!((ended.status, ended.out.as_str()), (status, ""), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.starts_with("phalanx-preload: ") && ended.err.contains(word), "no {word:?} in {}", ended.err);
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

#[test]
fn a_program_is_started_with_its_arguments_and_its_status() {
    if program("cc", &[], "one", ONE).is_none() {
        return;
    }
    let library = library();
    let library = library.to_str().unwrap();
    let ended = launch(&["./one", "a b"], &[]);
    assert_eq!((ended.status, ended.out), (1, format!("-1 a b {library}\n")));
    assert_eq!(ended.err, "");
    // From PATH; what is preloaded already stays.
    let path = format!("/nowhere:{}:/usr/bin:/bin", scratch().display());
    let ended = launch(&["--", "one"], &[("PATH", &path), ("LD_PRELOAD", "libc.so.6")]);
    assert_eq!((ended.status, ended.out), (0, format!("-1 - {library}:libc.so.6\n")));
    let ended = launch(&["--stats", "--watchdog", "10s", "./one"], &[]);
    assert!(ended.status == 0 && ended.err.contains("barriers of one"), "{ended:?}");
    // A file in this folder, by its bare name.
    let table = scratch().join("one_table");
    let _ = fs::remove_file(&table); // Of the last run.
    let ended = launch(&["--stats=one_table", "./one"], &[]);
    assert!(ended.status == 0 && ended.err.is_empty(), "{ended:?}");
    assert!(fs::read_to_string(&table).is_ok_and(|text| text.contains("barriers of one")));
    let ended = launch(&["--watchdog=soon", "./one"], &[]);
    assert!(ended.status == 0 && ended.err.starts_with("phalanx: PHALANX_WATCHDOG"), "{ended:?}");
}

#[test]
fn scripts_are_started_and_pass_it_on() {
    if program("cc", &[], "one_of_script", ONE).is_none() {
        return;
    }
    let script = scratch().join("script");
    fs::write(&script, "#!/bin/sh\nexec ./one_of_script \"$@\"\n").unwrap();
    set_mode(&script, 0o755);
    let ended = launch(&["./script", "x"], &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.out.starts_with("-1 x /") && ended.err.is_empty(), "{ended:?}");
}

#[test]
fn programs_that_cannot_use_it_are_refused_with_the_reason() {
    let Some(one) = program("cc", &[], "one_refused", ONE) else { return };
    refused(&launch(&["no-such-program"], &[]), 127, "in PATH");
    refused(&launch(&["./no-such-program"], &[]), 127, "no such program");
    refused(&launch(&["./one_refused.c"], &[]), 126, "no program that may be run");
    if program("cc", &["-static"], "one_static", ONE).is_some() {
        refused(&launch(&["./one_static"], &[]), 126, "statically linked");
    }
    if program("musl-gcc", &[], "one_musl", ONE).is_some() {
        refused(&launch(&["./one_musl"], &[]), 126, "musl");
    }
    if program("cc", &["-Wl,--dynamic-linker=/no/such/ld"], "one_alien_loader", ONE).is_some() {
        refused(&launch(&["./one_alien_loader"], &[]), 126, "loaded by /no/such/ld, which is not glibc's");
    }
    // By its header alone: of a processor that this one is not.
    let mut alien = fs::read(&one).unwrap();
    alien[18] ^= 0x55;
    fs::write(scratch().join("alien"), alien).unwrap();
    set_mode(&scratch().join("alien"), 0o755);
    refused(&launch(&["./alien"], &[]), 126, "another kind of processor");
    // Of another user's, with that user's rights.
    let chown =
        |owner: &str, file: &Path| Command::new("chown").arg(owner).arg(file).status().is_ok_and(|s| s.success());
    for (mode, owner, word) in [(0o4755, "65534:0", "setuid"), (0o2755, "0:65534", "setgid")] {
        let copy = scratch().join(word);
        fs::copy(&one, &copy).unwrap();
        if !chown(owner, &copy) {
            skip(word, "this user cannot give a file to another one");
            continue;
        }
        set_mode(&copy, mode);
        refused(&launch(&[copy.to_str().unwrap()], &[]), 126, word);
        let _ = fs::remove_file(&copy);
    }
}

#[test]
fn a_program_with_file_capabilities_is_refused_to_others_than_root() {
    const NOBODY: u32 = 65534;
    let name = "file capabilities";
    let Some(one) = program("cc", &[], "one_capable", ONE) else { return };
    // Where another user can reach it.
    let folder = Folder::new();
    let place = |from: &Path, name: &str| {
        let to = folder.0.join(name);
        // By another program: what this one has written cannot be started while a child of another test still has it open.
        assert!(Command::new("cp").args([from, &to]).status().unwrap().success());
        set_mode(&to, 0o755);
        to
    };
    let script = place(launcher(), "phalanx-preload");
    let library = place(&library(), "libphalanx_preload.so");
    let one = place(&one, "one");
    let launch_as_nobody = || {
        let mut command = Command::new(&script);
        clean(&mut command).env("PHALANX_PRELOAD_LIB", &library).arg(&one).current_dir(&folder.0);
        run(command.uid(NOBODY).gid(NOBODY))
    };
    let alone = Command::new(&one).uid(NOBODY).gid(NOBODY).output();
    if !alone.is_ok_and(|output| output.status.success()) {
        return skip(name, "no other user can be had who runs what lies in the folder of temporary files");
    }
    let before = launch_as_nobody();
    assert!(before.status == 0 && before.out.starts_with("-1 - /") && before.err.is_empty(), "{before:?}");
    let setcap = |file: &Path| {
        let tried = ["setcap", "/sbin/setcap", "/usr/sbin/setcap"].into_iter();
        tried.map(|setcap| Command::new(setcap).arg("cap_net_raw+ep").arg(file).status()).find_map(Result::ok)
    };
    if !setcap(&one).is_some_and(|status| status.success()) {
        return skip(name, "none can be given to a file");
    }
    refused(&launch_as_nobody(), 126, "has file capabilities");
}

/// A folder that everybody can look into, and that is gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
        let folder = env::temp_dir().join(format!("phalanx-preload-{}-{now}", process::id()));
        // Not one that is there: anybody may have made it.
        fs::create_dir(&folder).expect("a folder can be made");
        set_mode(&folder, 0o755);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_library_that_the_linker_will_not_load_is_said() {
    if program("cc", &[], "one_unloaded", ONE).is_none() {
        return;
    }
    let folder = scratch().join("unloaded");
    let _ = fs::create_dir_all(&folder);
    let broken = folder.join("libphalanx_preload.so");
    let broken_library = [("PHALANX_PRELOAD_LIB", broken.to_str().unwrap())];
    // By its header one of this processor, and then nothing.
    fs::write(&broken, &fs::read(library()).unwrap()[..64]).unwrap();
    refused(&launch(&["./one_unloaded"], &broken_library), 126, "the linker will not load the library");
    fs::write(&broken, "no library\n").unwrap();
    refused(&launch(&["./one_unloaded"], &broken_library), 126, "libphalanx_preload.so is no library");
}

#[test]
fn a_program_without_barriers_is_started_with_a_note() {
    let source = "#include <stdio.h>\nint main(void) { puts(\"here\"); return 0; }\n";
    if program("cc", &[], "without", source).is_none() {
        return;
    }
    let ended = launch(&["./without"], &[]);
    assert_eq!((ended.status, ended.out.as_str()), (0, "here\n"));
    assert!(ended.err.contains("note: neither ./without nor its libraries call pthread_barrier_wait"), "{}", ended.err);
}

#[test]
fn a_wrong_usage_and_a_missing_library_are_said() {
    refused(&launch(&[], &[]), 125, "which program?");
    refused(&launch(&["--verbose"], &[]), 125, "--verbose");
    refused(&launch(&["--watchdog"], &[]), 125, "wants a time");
    refused(&launch(&["true"], &[("PHALANX_PRELOAD_LIB", "/no/such.so")]), 125, "/no/such.so");
    let folder = scratch().join("a folder");
    let _ = fs::create_dir(&folder);
    let copy = folder.join("libphalanx_preload.so");
    fs::copy(library(), &copy).unwrap();
    refused(&launch(&["true"], &[("PHALANX_PRELOAD_LIB", copy.to_str().unwrap())]), 125, "space or a colon");
    let text = launch(&["--help"], &[]);
    assert!(text.status == 0 && text.out.contains("Usage: ") && !text.out.contains("set -u"), "{text:?}");
    // Beside itself, and in ../lib.
    for place in ["place/bin", "place/lib"] {
        let _ = fs::remove_dir_all(scratch().join("place"));
        fs::create_dir_all(scratch().join("place/bin")).unwrap();
        fs::create_dir_all(scratch().join("place/lib")).unwrap();
        let script = scratch().join("place/bin/phalanx-preload");
        fs::copy(launcher(), &script).unwrap();
        let mut command = Command::new(&script);
        clean(&mut command).env_remove("PHALANX_PRELOAD_LIB").env("CARGO_TARGET_DIR", "/nowhere");
        refused(&run(command.arg("true")), 125, "cargo build --profile lean -p phalanx-preload");
        let copy = scratch().join(place).join("libphalanx_preload.so");
        fs::copy(library(), &copy).unwrap();
        let mut command = Command::new(&script);
        clean(&mut command).env("CARGO_TARGET_DIR", "/nowhere").args(["sh", "-c", "echo $LD_PRELOAD"]);
        let ended = run(&mut command);
        assert_eq!(ended.out.trim_end(), copy.canonicalize().unwrap().to_str().unwrap(), "{ended:?}");
    }
}
