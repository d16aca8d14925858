//! Core-to-core latencies as benchmarks write them down: a table of comma-separated values.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// How long a cache line takes between any two CPUs of a machine, as somebody measured it.
///
/// The format is what <https://github.com/nviennot/core-to-core-latency> and its successors print: row i, column j is
/// the time in nanoseconds between CPUs i and j. Rows are as long as there are rows, with empty cells where nothing was
/// measured, or end at the diagonal.
///
/// # Examples
///
/// ```
/// use phalanx::model::LatencyMatrix;
///
/// let matrix: LatencyMatrix = ",,\n25.5,,\n110,112.5,\n".parse()?;
/// assert_eq!(matrix.size(), 3);
/// assert_eq!(matrix.get(0, 1), Some(25.5)); // what was measured one way stands for both
/// assert_eq!(matrix.to_string(), "3 CPUs, 3 pairs: 25.5 to 112.5 ns, median 110.0 ns");
/// # Ok::<(), phalanx::model::ParseLatencyError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyMatrix {
    size: usize,
    /// Row by row; [`MISSING`] where there is none. (Not NaN, with which a table would differ from itself.)
    cells: Vec<f32>,
}

impl LatencyMatrix {
    /// The most rows that are read: 64 MiB of them.
    pub const MAX_ROWS: usize = 4096;
    /// The largest value that is believed: a millisecond.
    pub const MAX_NANOS: f64 = 1e6;

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// For text that is no such table; says where and why.
    pub fn from_csv(text: &str) -> Result<Self, ParseLatencyError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
        let size = text.lines().count();
        let fault = |line, column, value: &str, fault| {
            let value = value.chars().take(SHOWN).collect();
            Err(ParseLatencyError { line, column, value, fault })
        };
        if size == 0 {
            return fault(1, 1, "", LatencyFault::Empty);
        }
        if size > Self::MAX_ROWS {
            return fault(Self::MAX_ROWS + 1, 1, "", LatencyFault::TooManyRows);
        }
        let mut cells = vec![MISSING; size * size];
        for (row, line) in text.lines().enumerate() {
            let mut columns = 0;
            let mut used = 0;
            for (column, value) in line.split(',').map(str::trim).enumerate() {
                columns = column + 1;
                if value.is_empty() {
                    continue;
                }
                used = columns;
                if column >= size {
                    return fault(row + 1, column + 1, value, LatencyFault::TooLong { rows: size });
                }
                match nanos(value) {
                    Ok(nanos) => cells[row * size + column] = nanos,
                    Err(why) => return fault(row + 1, column + 1, value, why),
                }
            }
            // Trimming the text has cut the empty cells' commas off no line but perhaps the last.
            let is_whole = columns == size || columns == size + 1 || row + 1 == size;
            if !is_whole && (used > row + 1 || columns > size) {
                return fault(row + 1, columns, "", LatencyFault::TooShort { rows: size });
            }
        }
        Ok(Self { size, cells })
    }

    /// The number of CPUs.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The time between CPUs `i` and `j` in nanoseconds: as measured from `i` to `j`, else from `j` to `i`; `None` if
    /// neither was measured or there is no such CPU.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> Option<f64> {
        if i >= self.size || j >= self.size {
            return None;
        }
        let cell = |row: usize, column: usize| {
            let nanos = self.cells[row * self.size + column];
            (nanos != MISSING).then_some(f64::from(nanos))
        };
        cell(i, j).or_else(|| cell(j, i))
    }
}

fn nanos(value: &str) -> Result<f32, LatencyFault> {
    match value.parse::<f64>() {
        Err(_) => Err(LatencyFault::NotANumber),
        Ok(nanos) if !nanos.is_finite() => Err(LatencyFault::NotFinite),
        Ok(nanos) if nanos < 0.0 => Err(LatencyFault::Negative),
        Ok(nanos) if nanos > LatencyMatrix::MAX_NANOS => Err(LatencyFault::TooLarge),
        Ok(nanos) => Ok(nanos as f32),
    }
}

impl FromStr for LatencyMatrix {
    type Err = ParseLatencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_csv(text)
    }
}

/// A summary; the table itself is too long for a line.
impl fmt::Display for LatencyMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = (0..self.size).flat_map(|i| (0..i).filter_map(move |j| self.get(i, j)));
        let mut nanos: Vec<f64> = pairs.collect();
        nanos.sort_unstable_by(f64::total_cmp);
        let cpus = if self.size == 1 { "CPU" } else { "CPUs" };
        let pairs = if nanos.len() == 1 { "pair" } else { "pairs" };
        write!(f, "{} {cpus}, {} {pairs}", self.size, nanos.len())?;
        match (nanos.first(), nanos.get(nanos.len() / 2), nanos.last()) {
            (Some(least), Some(median), Some(most)) => {
                write!(f, ": {least:.1} to {most:.1} ns, median {median:.1} ns")
            }
            _ => Ok(()),
        }
    }
}

/// No time is below zero.
const MISSING: f32 = -1.0;

/// How many characters of a bad value an error repeats.
const SHOWN: usize = 32;

/// What is wrong with a latency table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LatencyFault {
    /// There is no row.
    Empty,
    /// There are more than [`LatencyMatrix::MAX_ROWS`] rows.
    TooManyRows,
    /// The row has more values than there are rows.
    TooLong {
        /// The number of rows.
        rows: usize,
    },
    /// The row goes beyond the diagonal, and ends before it has as many cells as there are rows.
    TooShort {
        /// The number of rows.
        rows: usize,
    },
    /// The cell is no number.
    NotANumber,
    /// The cell is an infinity, or the number that is no number.
    NotFinite,
    /// The cell is below zero.
    Negative,
    /// The cell is above [`LatencyMatrix::MAX_NANOS`].
    TooLarge,
}

/// The error of reading a [`LatencyMatrix`]: where, what, and why.
///
/// # Examples
///
/// ```
/// use phalanx::model::{LatencyFault, LatencyMatrix};
///
/// let error = ",\n-25,\n".parse::<LatencyMatrix>().unwrap_err();
/// assert_eq!((error.line(), error.column(), error.fault()), (2, 1, LatencyFault::Negative));
/// assert_eq!(error.to_string(), "line 2, column 1: `-25` is below 0 ns");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLatencyError {
    line: usize,
    column: usize,
    value: String,
    fault: LatencyFault,
}

impl ParseLatencyError {
    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The cell of that line, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What stands there, cut to its first 32 characters; empty if the fault is not in a value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> LatencyFault {
        self.fault
    }
}

impl fmt::Display for ParseLatencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, value, fault } = self;
        match fault {
            LatencyFault::Empty => f.write_str("a latency table needs at least one row"),
            LatencyFault::TooManyRows => {
                write!(f, "line {line}: a latency table has at most {} rows", LatencyMatrix::MAX_ROWS)
            }
            LatencyFault::TooLong { rows } => {
                write!(f, "line {line}, column {column}: `{value}` is one value too many in a table of {rows} rows")
            }
            LatencyFault::TooShort { rows } => {
                write!(f, "line {line} ends after {column} cells, beyond the diagonal but short of its {rows}")
            }
            LatencyFault::NotANumber => write!(f, "line {line}, column {column}: `{value}` is not a number"),
            LatencyFault::NotFinite => write!(f, "line {line}, column {column}: `{value}` is not a finite number"),
            LatencyFault::Negative => write!(f, "line {line}, column {column}: `{value}` is below 0 ns"),
            LatencyFault::TooLarge => {
                write!(f, "line {line}, column {column}: `{value}` is above {} ns", LatencyMatrix::MAX_NANOS)
            }
        }
    }
}

impl Error for ParseLatencyError {}
