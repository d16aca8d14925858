//! The two text forms in which Linux writes sets of CPUs: lists such as `0-3,8`, and hexadecimal masks.

use std::error::Error;
use std::fmt;

/// One more than the largest CPU id that the parsers accept.
///
/// Linux is built for at most 8192 CPUs today (`CONFIG_NR_CPUS` of x86-64); the bound only has to be beyond every real
/// machine, and small enough that `0-99999999999` is an error instead of an exhausted memory.
pub const MAX_CPU_IDS: usize = 1 << 16;

/// Reads a list whose order does not count; the ids come out ascending, each once.
pub(super) fn parse_set(text: &str) -> Result<Vec<usize>, ParseCpuListError> {
    if trim(text).is_empty() {
        return Ok(Vec::new());
    }
    let mut ranges = tokens(text).map(Token::range).collect::<Result<Vec<_>, _>>()?;
    ranges.sort_unstable();
    // Overlaps are cut before anything is expanded, so a long line of overlapping ranges costs no more than
    // MAX_CPU_IDS entries.
    let mut ids = Vec::new();
    let mut next = 0;
    for (first, last) in ranges {
        ids.extend(first.max(next)..=last);
        next = next.max(last + 1);
    }
    Ok(ids)
}

/// Reads words of 32 bits, the highest first; the ids come out ascending.
pub(super) fn parse_mask(text: &str) -> Result<Vec<usize>, ParseCpuListError> {
    let mut ids = Vec::new();
    if trim(text).is_empty() {
        return Ok(ids);
    }
    let words: Vec<Token<'_>> = tokens(text).collect();
    let limit = MAX_CPU_IDS / 32;
    if let Some(excess) = words.len().checked_sub(limit + 1) {
        return Err(words[excess].fault(CpuListFault::TooLarge));
    }
    for (index, word) in words.iter().rev().enumerate() {
        let fault = if word.text.is_empty() { CpuListFault::Missing } else { CpuListFault::NotANumber };
        // Digits only, and no more than a word has: the standard parser would take a sign and zeros as well.
        let digits = word.text.len() <= 8 && word.text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u32::from_str_radix(word.text, 16).ok().filter(|_| digits);
        let bits = bits.ok_or_else(|| word.fault(fault))?;
        ids.extend((0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| index * 32 + bit));
    }
    Ok(ids)
}

/// Writes ids in the order given, each ascending run of neighbours as `first-last`.
pub(super) fn write_runs(ids: &[usize], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let runs = ids.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    for (index, run) in runs.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        match run {
            [first, .., last] => write!(f, "{comma}{first}-{last}")?,
            ids => ids.iter().try_for_each(|id| write!(f, "{comma}{id}"))?,
        }
    }
    Ok(())
}

/// Reads a list whose order counts and in which no CPU may appear twice.
pub(super) fn parse_ordered(text: &str) -> Result<Vec<usize>, ParseCpuListError> {
    let mut seen = vec![false; MAX_CPU_IDS];
    let mut ids = Vec::new();
    for token in tokens(text) {
        let (first, last) = token.range()?;
        if seen[first..=last].contains(&true) {
            return Err(token.fault(CpuListFault::Duplicate));
        }
        seen[first..=last].fill(true);
        ids.extend(first..=last);
    }
    Ok(ids)
}

fn blank(c: char) -> bool {
    c.is_whitespace() || c == '\0'
}

fn trim(text: &str) -> &str {
    text.trim_matches(blank)
}

/// One comma-separated piece, without the blanks around it, and the byte at which it starts.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: &'a str,
    at: usize,
}

fn tokens(line: &str) -> impl Iterator<Item = Token<'_>> {
    let mut start = 0;
    line.split(',').map(move |piece| {
        let text = piece.trim_start_matches(blank);
        let at = start + (piece.len() - text.len());
        start += piece.len() + 1;
        Token { text: text.trim_end_matches(blank), line, at }
    })
}

impl Token<'_> {
    fn range(self) -> Result<(usize, usize), ParseCpuListError> {
        let (first, last) = self.text.split_once('-').unwrap_or((self.text, self.text));
        let (first, last) = (self.id(first)?, self.id(last)?);
        if first > last {
            return Err(self.fault(CpuListFault::Reversed));
        }
        Ok((first, last))
    }

    fn id(self, digits: &str) -> Result<usize, ParseCpuListError> {
        let digits = trim(digits);
        if digits.is_empty() {
            return Err(self.fault(CpuListFault::Missing));
        }
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.fault(CpuListFault::NotANumber));
        }
        // Digits alone can fail in one way only: too many of them.
        match digits.parse() {
            Ok(id) if id < MAX_CPU_IDS => Ok(id),
            _ => Err(self.fault(CpuListFault::TooLarge)),
        }
    }

    fn fault(self, fault: CpuListFault) -> ParseCpuListError {
        let column = self.line[..self.at].chars().count() + 1;
        ParseCpuListError { token: self.text.chars().take(SHOWN).collect(), column, fault }
    }
}

/// How many characters of a bad token an error repeats: enough to find it, and no page of garbage on a terminal.
const SHOWN: usize = 32;

/// What is wrong with one piece of a CPU list or mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CpuListFault {
    /// A number was expected and there is nothing: `0,,3` or `4-`.
    Missing,
    /// Something that is no number stands where a number was expected.
    NotANumber,
    /// The number is not below [`MAX_CPU_IDS`].
    TooLarge,
    /// The range runs downwards: `3-0`.
    Reversed,
    /// A CPU is named twice where the order counts.
    Duplicate,
}

/// The error of parsing a CPU list or mask: which piece, where, and why.
///
/// # Examples
///
/// ```
/// use phalanx::topology::{CpuListFault, CpuSet};
///
/// let error = "0-3,x".parse::<CpuSet>().unwrap_err();
/// assert_eq!((error.token(), error.column(), error.fault()), ("x", 5, CpuListFault::NotANumber));
/// assert_eq!(error.to_string(), "`x` at column 5 is not a CPU number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseCpuListError {
    token: String,
    column: usize,
    fault: CpuListFault,
}

impl ParseCpuListError {
    /// The piece that could not be read, cut to its first 32 characters.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The column in which the piece starts, counted in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> CpuListFault {
        self.fault
    }
}

impl fmt::Display for ParseCpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, column, fault } = self;
        match fault {
            CpuListFault::Missing if token.is_empty() => {
                write!(f, "a CPU number is missing at column {column}")
            }
            CpuListFault::Missing => {
                write!(f, "a CPU number is missing in `{token}` at column {column}")
            }
            CpuListFault::NotANumber => {
                write!(f, "`{token}` at column {column} is not a CPU number")
            }
            CpuListFault::TooLarge => {
                write!(f, "`{token}` at column {column} is beyond the largest CPU number, {}", MAX_CPU_IDS - 1)
            }
            CpuListFault::Reversed => {
                write!(f, "the range `{token}` at column {column} runs downwards")
            }
            CpuListFault::Duplicate => {
                write!(f, "`{token}` at column {column} names a CPU a second time")
            }
        }
    }
}

impl Error for ParseCpuListError {}
