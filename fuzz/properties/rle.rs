//! What the reader of Life patterns promises for any bytes; for a fuzz target and for `tests/corpus.rs`, which both have the
//! example's modules `rle` and `fault` beside this one.

use crate::fault::{ParseError, Problem};
use crate::rle::{Pattern, parse};

/// Panics where the promise is broken.
pub(crate) fn rle(data: &[u8]) {
    match parse(data) {
        Ok(pattern) => {
            sound(&pattern, data);
            let runs: Vec<[u64; 3]> =
                pattern.runs.iter().map(|run| [run.row, run.column, run.length].map(u64::from)).collect();
            assert_eq!(Some(runs), slow_runs(data));
            assert!(pattern.name.iter().flat_map(|name| name.chars()).all(|letter| !letter.is_control()));
            let again = parse(&written(&pattern)).expect("what is written can be read");
            assert!(again.same_picture(&pattern) && again.name.is_none());
            // Line ends are blanks, whichever they are.
            if !data.contains(&b'\r') {
                let other: Vec<u8> =
                    data.iter().flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect();
                assert!(parse(&other).is_ok_and(|other| other.same_picture(&pattern)));
            }
        }
        Err(error) => at_its_place(&error, data),
    }
}

/// Runs in reading order, apart from each other, within the box, and no more of them than there are bytes.
fn sound(pattern: &Pattern, data: &[u8]) {
    assert!(pattern.runs.len() <= data.len());
    for run in &pattern.runs {
        assert!(run.length > 0 && run.row < pattern.height, "{run:?}");
        assert!(u64::from(run.column) + u64::from(run.length) <= u64::from(pattern.width), "{run:?}");
    }
    for pair in pattern.runs.windows(2) {
        let end = u64::from(pair[0].column) + u64::from(pair[0].length);
        assert!(pair[0].row < pair[1].row || pair[0].row == pair[1].row && end < u64::from(pair[1].column), "{pair:?}");
    }
}

/// Row, column and length of the live runs, letter by letter; touching ones are one.
fn slow_runs(data: &[u8]) -> Option<Vec<[u64; 3]>> {
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    // Lines that begin with `#`, perhaps behind blanks before the header, are comments; the first other line is the header.
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| line.first() != Some(&b'#'));
    let header = lines
        .by_ref()
        .map(|line| line.trim_ascii_start())
        .find(|line| line.first().is_some_and(|&byte| byte != b'#'))?;
    // A carriage return alone ends it too.
    let behind = header.splitn(2, |&byte| byte == b'\r').nth(1).unwrap_or_default();
    let (mut count, mut row, mut column) = (None, 0, 0);
    let mut runs: Vec<[u64; 3]> = Vec::new();
    for &byte in std::iter::once(behind).chain(lines).collect::<Vec<_>>().join(&b'\n').iter() {
        if let b'0'..=b'9' = byte {
            count = Some(count.unwrap_or(0) * 10 + u64::from(byte - b'0'));
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let times = count.take().unwrap_or(1);
        match byte {
            b'!' => return Some(runs),
            b'$' => (row, column) = (row + times, 0),
            b'b' => column += times,
            b'o' => {
                match runs.iter_mut().find(|run| run[0] == row && run[1] + run[2] == column) {
                    Some(run) => run[2] += times,
                    None => runs.push([row, column, times]),
                }
                column += times;
            }
            _ => return None,
        }
    }
    None
}

fn written(pattern: &Pattern) -> Vec<u8> {
    let mut text = format!("x = {}, y = {}, rule = B3/S23\n", pattern.width, pattern.height);
    let (mut row, mut column) = (0, 0);
    for run in &pattern.runs {
        if run.row > row {
            text += &format!("{}$", run.row - row);
            (row, column) = (run.row, 0);
        }
        if run.column > column {
            text += &format!("{}b", run.column - column);
        }
        text += &format!("{}o\n", run.length);
        column = run.column + run.length;
    }
    (text + "!").into_bytes()
}

/// The error's place is one of the file, and what it finds fault with stands there.
fn at_its_place(error: &ParseError, data: &[u8]) {
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let line = lines.get(error.line - 1).unwrap_or_else(|| panic!("{error}"));
    // Behind the last byte of a line stands its end, or the end of the file.
    assert!((1..=line.len() + 1).contains(&error.column), "{error}");
    let end = if error.line < lines.len() { Some(b'\n') } else { None };
    let there = line.get(error.column - 1).copied().or(end);
    let just = match &error.problem {
        Problem::Header { found, .. } => *found == there,
        Problem::Unexpected(byte) => Some(*byte) == there,
        Problem::NoEnd => there.is_none(),
        Problem::TooLarge => there.is_some_and(|byte| byte.is_ascii_digit() || byte == b'$'),
        Problem::ZeroCount => there == Some(b'0'),
        Problem::CountWithoutTag => there.is_some_and(|byte| byte.is_ascii_digit()),
        Problem::Outside { .. } => there.is_some_and(|byte| byte.is_ascii_digit() || b"bo".contains(&byte)),
        Problem::Rule(_) => true,
    };
    assert!(just, "{error}");
    assert!(error.to_string().starts_with(&format!("{}:{}: ", error.line, error.column)));
}
