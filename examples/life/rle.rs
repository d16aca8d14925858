//! Reads Life patterns in the run-length format of the Life community (`.rle`).
//!
//! ```text
//! #N Acorn                        comment lines; #N is the name
//! x = 7, y = 3, rule = B3/S23     the box, and the rule (B3/S23 when it is not given)
//! bo5b$3bo3b$2o2b3o!              b dead, o live, $ next row, a count before a tag repeats it, ! ends the pattern
//! ```
//!
//! A pattern is kept as runs of live cells, so the memory that a file can ask for is bounded by its own length: a
//! hostile `x = 4000000000` and `4000000000o` cost one run. Whoever places the pattern on a grid checks its box first.
//!
//! The reader is strict about what would change the picture (a cell outside the box, another rule, a missing `!`, a
//! count that overflows) and lenient about what would not (BOM, CRLF, blanks and line wraps anywhere between two items,
//! text after `!`). It takes bytes, not `str`, and answers any bytes with a pattern or with the line and column of the
//! fault.

use crate::fault::{ParseError, Problem};

/// A horizontal run of live cells, in the pattern's own coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) row: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

/// A pattern: its box and its live cells. Touching runs are merged, so equal pictures are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What the `#N` line says, without control characters (it is going to be printed).
    pub(crate) name: Option<String>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// In reading order.
    pub(crate) runs: Vec<Run>,
}

impl Pattern {
    /// Counts the live cells.
    pub(crate) fn population(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.length)).sum()
    }

    /// Tells whether both show the same cells in the same box, whatever their names.
    pub(crate) fn same_picture(&self, other: &Pattern) -> bool {
        (self.width, self.height, &self.runs) == (other.width, other.height, &other.runs)
    }

    fn push(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.row == run.row && last.column + last.length == run.column => {
                last.length += run.length;
            }
            _ => self.runs.push(run),
        }
    }
}

/// Reads one pattern.
///
/// # Errors
///
/// The first place at which `bytes` is not a pattern.
pub(crate) fn parse(bytes: &[u8]) -> Result<Pattern, ParseError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut cursor = Cursor { bytes, at: 0, line: 1, line_start: 0 };
    let mut pattern = Pattern { name: None, width: 0, height: 0, runs: Vec::new() };
    cursor.preamble(&mut pattern);
    cursor.header(&mut pattern)?;
    cursor.body(&mut pattern)?;
    Ok(pattern)
}

/// A place in the file.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// Index of the first byte of this line.
    line_start: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line += 1;
            self.line_start = self.at + 1;
        }
        self.at += 1;
    }

    fn fault(&self, problem: Problem) -> ParseError {
        ParseError { line: self.line, column: self.at - self.line_start + 1, problem }
    }

    fn skip(&mut self, blank: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&blank) {
            self.step();
        }
    }

    /// The rest of the line, without its end; the cursor stays in front of that end.
    fn rest_of_line(&mut self) -> &'a [u8] {
        let start = self.at;
        self.skip(|byte| byte != b'\n');
        self.bytes[start..self.at].trim_ascii()
    }

    /// The rest of the header, as [`rest_of_line`](Self::rest_of_line); a carriage return alone ends it too.
    fn rest_of_header(&mut self) -> &'a [u8] {
        let start = self.at;
        self.skip(|byte| byte != b'\n' && byte != b'\r');
        self.bytes[start..self.at].trim_ascii()
    }

    /// The comment lines before the header.
    fn preamble(&mut self, pattern: &mut Pattern) {
        loop {
            self.skip(|byte| byte.is_ascii_whitespace());
            if self.peek() != Some(b'#') {
                return;
            }
            if let Some(name) = self.rest_of_line().strip_prefix(b"#N") {
                let name = String::from_utf8_lossy(name.trim_ascii());
                pattern.name = Some(name.chars().filter(|c| !c.is_control()).collect());
            }
        }
    }

    /// `x = 7, y = 3` and perhaps `, rule = B3/S23`.
    fn header(&mut self, pattern: &mut Pattern) -> Result<(), ParseError> {
        self.expect(b'x', "x")?;
        self.expect(b'=', "=")?;
        pattern.width = self.header_number()?;
        self.expect(b',', "a comma")?;
        self.expect(b'y', "y")?;
        self.expect(b'=', "=")?;
        pattern.height = self.header_number()?;
        self.skip_inline();
        if self.peek() == Some(b',') {
            self.step();
            self.skip_inline();
            for byte in *b"rule" {
                // No blanks between the letters.
                if self.peek() != Some(byte) {
                    return Err(self.fault(Problem::Header { expected: "rule", found: self.peek() }));
                }
                self.step();
            }
            self.expect(b'=', "=")?;
            self.skip_inline();
            let place = *self;
            let rule = self.rest_of_header();
            // 23/3 is how older files spell B3/S23.
            if !rule.eq_ignore_ascii_case(b"B3/S23") && rule != b"23/3" {
                let rule = String::from_utf8_lossy(rule).chars().take(40).collect();
                return Err(place.fault(Problem::Rule(rule)));
            }
        }
        match self.peek() {
            None | Some(b'\n' | b'\r') => Ok(()),
            found => Err(self.fault(Problem::Header { expected: "a comma or the end of the line", found })),
        }
    }

    fn skip_inline(&mut self) {
        self.skip(|byte| byte == b' ' || byte == b'\t');
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), ParseError> {
        self.skip_inline();
        if self.peek() != Some(byte) {
            return Err(self.fault(Problem::Header { expected, found: self.peek() }));
        }
        self.step();
        Ok(())
    }

    fn header_number(&mut self) -> Result<u32, ParseError> {
        self.skip_inline();
        match self.peek() {
            Some(b'0'..=b'9') => self.number(),
            found => Err(self.fault(Problem::Header { expected: "a number", found })),
        }
    }

    /// The number that starts here.
    fn number(&mut self) -> Result<u32, ParseError> {
        let place = *self;
        let mut number = 0u32;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u32::from(digit - b'0')))
                .ok_or_else(|| place.fault(Problem::TooLarge))?;
            self.step();
        }
        Ok(number)
    }

    /// The runs, up to the `!`.
    fn body(&mut self, pattern: &mut Pattern) -> Result<(), ParseError> {
        let (width, height) = (pattern.width, pattern.height);
        let (mut row, mut column) = (0u32, 0u32);
        loop {
            self.skip(|byte| byte.is_ascii_whitespace());
            // Where the item starts: that is what an editor should jump to, not the byte behind it.
            let place = *self;
            let count = match self.peek() {
                Some(b'0'..=b'9') => Some(self.number()?),
                Some(b'#') if self.at == self.line_start => {
                    self.rest_of_line();
                    continue;
                }
                _ => None,
            };
            if count == Some(0) {
                return Err(place.fault(Problem::ZeroCount));
            }
            if count.is_some() {
                self.skip(|byte| byte.is_ascii_whitespace());
            }
            let length = count.unwrap_or(1);
            match self.peek() {
                Some(tag @ (b'b' | b'o')) => {
                    let end = u64::from(column) + u64::from(length);
                    if row >= height || end > u64::from(width) {
                        return Err(place.fault(Problem::Outside { row, end, width, height }));
                    }
                    if tag == b'o' {
                        pattern.push(Run { row, column, length });
                    }
                    column += length; // cannot overflow: `end` is within the box
                }
                Some(b'$') => {
                    // Rows below the box are refused when a cell comes, not before: many files end in `$!`.
                    row = row.checked_add(length).ok_or_else(|| place.fault(Problem::TooLarge))?;
                    column = 0;
                }
                Some(b'!') if count.is_some() => return Err(place.fault(Problem::CountWithoutTag)),
                Some(b'!') => return Ok(()),
                None => return Err(self.fault(Problem::NoEnd)),
                Some(byte) => return Err(self.fault(Problem::Unexpected(byte))),
            }
            self.step();
        }
    }
}
