//! What can be wrong with a pattern file, and how that is said: to somebody with the file open in an editor, who
//! may know nothing of the format.

use std::fmt;

/// Where and why a file is not a pattern. Lines and columns count from 1, columns in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) problem: Problem,
}

/// What is wrong at that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The header needs something else here; `None` is the end of the file.
    Header { expected: &'static str, found: Option<u8> },
    /// A rule other than B3/S23.
    Rule(String),
    /// A number beyond `u32::MAX`.
    TooLarge,
    /// A run count of 0.
    ZeroCount,
    /// A byte that is no tag, count or blank.
    Unexpected(u8),
    /// A count and then the end of the pattern.
    CountWithoutTag,
    /// The cells from `column` (from 0) of `row` reach past the box.
    Outside { row: u32, end: u64, width: u32, height: u32 },
    /// The file ends before the `!`.
    NoEnd,
}

/// A byte as a reader can recognise it in an editor.
fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        format!("'{}'", char::from(byte))
    } else {
        match byte {
            b'\n' | b'\r' => "the end of the line".into(),
            b' ' | b'\t' => "a blank".into(),
            _ => format!("byte 0x{byte:02x}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Header { expected, found } => {
                let found = found.map_or("the end of the file".into(), shown);
                write!(f, "expected {expected}, found {found} (a header is `x = 7, y = 3, rule = B3/S23`)")
            }
            Problem::Rule(rule) => write!(f, "rule {rule:?} is not supported, only B3/S23 (Conway's Life)"),
            Problem::TooLarge => write!(f, "the number is larger than {}", u32::MAX),
            Problem::ZeroCount => write!(f, "a run count of 0"),
            Problem::Unexpected(byte) => write!(
                f,
                "unexpected {} (a pattern is made of b, o, $, counts before them, and a final !)",
                shown(*byte)
            ),
            Problem::CountWithoutTag => write!(f, "a run count with no b, o or $ behind it"),
            Problem::Outside { row, end, width, height } => write!(
                f,
                "row {} of the pattern gets cells up to column {end}, outside the {width} x {height} box of the header",
                u64::from(*row) + 1
            ),
            Problem::NoEnd => write!(f, "the file ends before the final ! of the pattern: is it cut off?"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for ParseError {}
