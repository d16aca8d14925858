//! From what, and how to do it again: the commit, the command, and the versions of the peers that are crates.

use std::env;
use std::process::Command;

/// Of the tree that this was built in, as it is now.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short=12", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(head), Some(changes)) if changes.is_empty() => head,
        (Some(head), _) => format!("{head}-dirty"),
        // Built somewhere else: whoever built it could say.
        (None, _) => option_env!("VERSUS_COMMIT").unwrap_or("unknown (no commit, or no git)").into(),
    }
}

/// Whether somebody else can look at the tree that was measured.
pub fn is_known(commit: &str) -> bool {
    commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit())
}

/// What a stranger can type to do this run again.
///
/// Where the report goes is left out: it changes nothing that is measured, and is a path of this machine.
pub fn command() -> String {
    let features = if cfg!(feature = "forkunion") { "" } else { " --no-default-features" };
    let debug = if cfg!(debug_assertions) { "" } else { " --release" };
    let arguments = retyped(env::args().skip(1));
    let dashes = if arguments.is_empty() { "" } else { " --" };
    format!("cargo run{debug}{features} -p phalanx-versus{dashes}{arguments}")
}

/// Each with a space before it, and in quotes if a shell would take it apart.
fn retyped(arguments: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--out" {
            arguments.next();
        } else if !argument.starts_with("--out=") {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:".contains(c);
            let quoted = format!("'{}'", argument.replace('\'', r"'\''"));
            out += " ";
            out += if !argument.is_empty() && argument.chars().all(plain) { &argument } else { &quoted };
        }
    }
    out
}

/// As the lock file had them when this was built.
pub fn peers() -> String {
    peers_of(include_str!("../../../../Cargo.lock"))
}

/// The crates that take part if the harness depends on them.
const CRATES: [&str; 7] = ["spin", "hurdles", "rayon", "forkunion", "tokio", "async-lock", "parking_lot"];

fn peers_of(lock: &str) -> String {
    let package = |name: &str, version: Option<&str>| {
        lock.split("[[package]]").find(|block| {
            let has = |key: &str, value: &str| block.lines().any(|line| line == format!("{key} = \"{value}\""));
            has("name", name) && version.is_none_or(|version| has("version", version))
        })
    };
    let Some(own) = package("phalanx-versus", None) else { return "not in the lock file".into() };
    // `"spin"`, or `"spin 0.12.3"` where there are several of that name.
    let depends = |name: &str| {
        let words = own.lines().map(|line| line.trim().trim_matches(['"', ',']));
        words.map(|entry| entry.split(' ').collect::<Vec<_>>()).find(|entry| entry[0] == name)
    };
    let version = |name: &&str| {
        let block = package(name, depends(name)?.get(1).copied())?;
        let line = block.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(format!("{name} {}", line.trim_matches('"')))
    };
    CRATES.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again_and_names_no_folder() {
        let again = |arguments: &[&str]| retyped(arguments.iter().map(ToString::to_string));
        assert_eq!(again(&["--quick", "--out", "/somewhere/here", "--crowd", "3,64"]), " --quick --crowd 3,64");
        assert_eq!(again(&["--out=x", "it's", ""]), r" 'it'\''s' ''");
    }

    #[test]
    fn versions_are_those_that_the_harness_depends_on() {
        let lock = r#"
[[package]]
name = "phalanx-versus"
version = "0.0.0"
dependencies = [
 "hurdles",
 "spin 0.12.3",
]

[[package]]
name = "hurdles"
version = "1.0.1"

[[package]]
name = "rayon"
version = "1.11.0"

[[package]]
name = "spin"
version = "0.9.8"

[[package]]
name = "spin"
version = "0.12.3"
"#;
        assert_eq!(peers_of(lock), "spin 0.12.3, hurdles 1.0.1");
        assert!(peers().contains("spin 0.12."), "{}", peers());
    }

    #[test]
    fn a_commit_that_others_can_look_at() {
        assert!(is_known("a87dc5806d90"));
        assert!(!is_known("a87dc5806d90-dirty"));
        assert!(!is_known("unknown (no commit, or no git)"));
        assert!(!is_known(""));
    }
}
