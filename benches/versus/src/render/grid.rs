//! A table that is Markdown, and whose columns are aligned for those who read it as it is, in a terminal.

use std::fmt::{self, Display, Formatter};

/// Cells by row; the first row is the head.
pub struct Grid {
    /// Numbers: to the right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// The first `words` columns are words, and the others numbers.
    pub fn new(words: usize, head: Vec<String>) -> Self {
        Self { right: (0..head.len()).map(|column| column >= words).collect(), rows: vec![head] }
    }

    pub fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.right.len(), String::new());
        self.rows.push(cells);
    }
}

impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cell.replace('|', r"\|")).collect()).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for (index, row) in rows.iter().enumerate() {
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&self.right) {
                if right { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for (&width, &right) in widths.iter().zip(&self.right) {
                    write!(f, "|{}{}", "-".repeat(width + 1), if right { ':' } else { '-' })?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut grid = Grid::new(1, vec!["peer".into(), "µs".into()]);
        grid.row(vec!["a|b".into(), "1234".into()]);
        grid.row(vec!["c".into()]);
        assert_eq!(grid.to_string(), "| peer |   µs |\n|------|-----:|\n| a\\|b | 1234 |\n| c    |      |\n");
    }
}
