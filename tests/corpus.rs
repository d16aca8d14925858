//! The seeds of the fuzz target `rle`, with any toolchain: the promises of an example's parser. (Those of the library's
//! parsers are checked in the library, `src/fuzzing`.)
#![cfg(not(miri))] // files

#[path = "../examples/life/fault.rs"]
mod fault;
#[path = "../fuzz/properties/rle.rs"]
mod property;
#[allow(dead_code)] // the example uses more of it
#[path = "../examples/life/rle.rs"]
mod rle;

use std::fs;
use std::path::Path;

/// Every seed keeps the promise; so do its beginnings, and it with a byte changed.
#[test]
fn seeds_of_patterns_keep_the_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for folder in ["fuzz/seeds/rle", "examples/data"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            eprintln!("{}", path.display());
            property::rle(&data);
            for end in 0..data.len() {
                property::rle(&data[..end]);
                let mut changed = data.clone();
                for byte in *b"9bo$!#\n x\xff" {
                    changed[end] = byte;
                    property::rle(&changed);
                }
            }
            count += 1;
        }
    }
    assert!(count >= 10, "{count} seeds");
}
