//! What the reader of latency tables promises (`crate::fuzzing`).

use super::{LatencyFault, LatencyMatrix};
use crate::fuzzing::names;

/// Tables of comma-separated values.
pub fn latency(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let rows: Vec<Vec<&str>> = text
        .strip_prefix('\u{feff}')
        .unwrap_or(&text)
        .trim_end()
        .lines()
        .map(|line| line.split(',').map(str::trim).collect())
        .collect();
    let cell = |row: usize, column: usize| rows.get(row)?.get(column).copied().filter(|value| !value.is_empty());
    match text.parse::<LatencyMatrix>() {
        Ok(matrix) => {
            assert!(matrix.size() == rows.len() && (1..=LatencyMatrix::MAX_ROWS).contains(&rows.len()));
            let value = |row, column| {
                let nanos: f64 = cell(row, column)?.parse().expect("a cell that is no number");
                assert!((0.0..=LatencyMatrix::MAX_NANOS).contains(&nanos), "{nanos}");
                Some(f64::from(nanos as f32))
            };
            // Large tables: the first rows, and all that is written in the others.
            let near = rows.len().min(48);
            for (i, j) in (0..near).flat_map(|i| (0..near).map(move |j| (i, j))) {
                assert_eq!(matrix.get(i, j), value(i, j).or_else(|| value(j, i)), "{i} {j}");
            }
            for (row, cells) in rows.iter().enumerate() {
                for column in (0..cells.len()).filter(|&column| cell(row, column).is_some()) {
                    assert_eq!(matrix.get(row, column), value(row, column), "{row} {column}");
                }
            }
            assert_eq!((matrix.get(rows.len(), 0), matrix.get(0, rows.len())), (None, None));
            if rows.len() <= 48 {
                assert!(matrix.to_string().starts_with(&format!("{} CPU", rows.len())), "{matrix}");
                same_when_written(&matrix);
            }
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let found = (line, column) == (1, 1) || line <= rows.len() && column <= rows[line - 1].len();
            assert!(found && line > 0 && column > 0, "{error}");
            let value = cell(line - 1, column - 1).unwrap_or_default();
            let shown: String = value.chars().take(32).collect();
            let number = value.parse::<f64>();
            let is = |sound: fn(f64) -> bool| number.clone().is_ok_and(sound) && names(&error.to_string(), &shown);
            let just = match error.fault() {
                LatencyFault::Empty => rows.is_empty(),
                LatencyFault::TooManyRows => {
                    rows.len() > LatencyMatrix::MAX_ROWS && line == LatencyMatrix::MAX_ROWS + 1
                }
                LatencyFault::TooLong { rows: all } => {
                    all == rows.len() && column > all && names(&error.to_string(), &shown)
                }
                LatencyFault::TooShort { rows: all } => {
                    let last = rows[line - 1].iter().rposition(|value| !value.is_empty()).unwrap_or(0);
                    all == rows.len() && column == rows[line - 1].len() && (last > line - 1 || column > all)
                }
                LatencyFault::NotANumber => number.is_err() && names(&error.to_string(), &shown),
                LatencyFault::NotFinite => is(|nanos| !nanos.is_finite()),
                LatencyFault::Negative => is(|nanos| nanos < 0.0),
                LatencyFault::TooLarge => is(|nanos| nanos > LatencyMatrix::MAX_NANOS),
            };
            assert!(just, "{error}");
            let in_a_value = !matches!(
                error.fault(),
                LatencyFault::Empty | LatencyFault::TooManyRows | LatencyFault::TooShort { .. }
            );
            assert_eq!(error.value(), if in_a_value { shown.as_str() } else { "" });
        }
    }
}

/// A table of what a matrix has is read as that matrix.
fn same_when_written(matrix: &LatencyMatrix) {
    let all = 0..matrix.size();
    let row = |i: usize| -> String {
        all.clone().map(|j| matrix.get(i, j).map(|nanos| nanos.to_string()).unwrap_or_default() + ",").collect()
    };
    let text: Vec<String> = all.clone().map(row).collect();
    let again: LatencyMatrix = text.join("\n").parse().expect("what is written can be read");
    assert_eq!(again.size(), matrix.size());
    for (i, j) in all.clone().flat_map(|i| all.clone().map(move |j| (i, j))) {
        assert_eq!(again.get(i, j), matrix.get(i, j));
    }
}
