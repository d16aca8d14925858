//! A root in memory, in place of the disk: what `sysfs` reads while one is mounted on the calling thread.
//!
//! As text it is a listing as in `tests/data/topology`: a line is a folder, and below it `<tab>file<tab>content` each, where
//! newline, tab, zero byte and backslash are written as `\n`, `\t`, `\0` and `\\`. Any bytes are some tree. Whoever asks for
//! a path that is not below the root panics: a snapshot must not be answered with files of the machine that reads it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Where trees are mounted. There is no such folder.
const ROOT: &str = "/a root in memory";

thread_local! {
    static MOUNTED: RefCell<Option<Tree>> = const { RefCell::new(None) };
}

/// The files by their path, relative to the root.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    /// Reads a listing.
    #[must_use]
    pub fn of(listing: &[u8]) -> Self {
        let mut files = BTreeMap::new();
        let mut folder = PathBuf::new();
        for line in listing.split(|&byte| byte == b'\n') {
            let mut fields = line.splitn(3, |&byte| byte == b'\t');
            match (fields.next(), fields.next(), fields.next()) {
                (Some([]), Some(file), Some(content)) => {
                    if let (Some(file), false) = (relative(file), folder.as_os_str().is_empty()) {
                        files.insert(folder.join(file), unescape(content));
                    }
                }
                _ => folder = relative(line).unwrap_or_default(),
            }
        }
        // What is a file is no folder.
        let paths: BTreeSet<PathBuf> = files.keys().cloned().collect();
        files.retain(|path, _| !path.ancestors().skip(1).any(|above| paths.contains(above)));
        Self { files }
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_path(), content.as_slice()))
    }

    /// Without the files that are called so.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut tree = self.clone();
        tree.files.retain(|path, _| !names.iter().any(|name| path.ends_with(name)));
        tree
    }

    /// With every line of the files that are called so written twice; without blanks around them all, which nobody reads.
    #[must_use]
    pub fn stuttering(&self, names: &[&str]) -> Self {
        let mut tree = self.clone();
        for (path, content) in &mut tree.files {
            if names.iter().any(|name| path.ends_with(name)) {
                let text = String::from_utf8_lossy(content);
                let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
                let lines: Vec<&str> = text.split('\n').flat_map(|line| [line, line]).collect();
                *content = lines.join("\n").into_bytes();
            }
        }
        tree
    }

    /// Calls `look` with the path of a root that is this tree.
    pub fn mount<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        struct Unmount;
        impl Drop for Unmount {
            fn drop(&mut self) {
                MOUNTED.set(None);
            }
        }
        MOUNTED.set(Some(self.clone()));
        let _unmount = Unmount;
        look(Path::new(ROOT))
    }
}

fn relative(path: &[u8]) -> Option<PathBuf> {
    let path = PathBuf::from(std::str::from_utf8(path).ok()?);
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    (path.components().all(normal) && path.components().next().is_some()).then(|| path.components().collect())
}

fn unescape(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(&other) => other,
                None => b'\\',
            },
            _ => byte,
        });
    }
    bytes
}

/// The path below the root. A true root would follow `..` out of itself.
fn inside(path: &Path) -> &Path {
    let below = path.strip_prefix(ROOT).unwrap_or_else(|_| panic!("{} is outside the root", path.display()));
    assert!(!below.components().any(|part| part == Component::ParentDir), "{} leaves the root", path.display());
    below
}

/// What a file of the mounted tree holds, or that there is no such file; `None` if nothing is mounted.
pub(crate) fn content(path: &Path) -> Option<Option<Vec<u8>>> {
    MOUNTED.with_borrow(|tree| Some(tree.as_ref()?.files.get(inside(path)).cloned()))
}

/// The entries of a folder of the mounted tree; `None` if nothing is mounted.
pub(crate) fn names(folder: &Path) -> Option<io::Result<Vec<OsString>>> {
    MOUNTED.with_borrow(|tree| {
        let files = &tree.as_ref()?.files;
        let folder = inside(folder);
        let below = files.keys().filter_map(|path| path.strip_prefix(folder).ok()?.iter().next());
        let names: BTreeSet<&std::ffi::OsStr> = below.collect();
        Some(if names.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(names.into_iter().map(OsString::from).collect())
        })
    })
}
