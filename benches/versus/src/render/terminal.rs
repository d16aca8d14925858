//! What the terminal gets: what speaks against the run, the headline, each table in as few columns as tell who is ahead,
//! and which targets were missed. All else is in the files.

use super::grid::Grid;
use super::markdown::missed;
use super::{Num, Sure, headline, label, tally};
use crate::report::{Report, Row, Table};
use std::fmt::{self, Write};

pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("a String takes everything");
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    for warning in &report.machine.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for section in &report.sections {
        writeln!(out, "\n# {}: {}", section.shape, section.title)?;
        for table in &section.tables {
            write_table(out, table)?;
        }
        writeln!(out)?;
        for wrong in &section.wrong {
            writeln!(out, "WRONG RESULT: {wrong}")?;
        }
        for absent in &section.absent {
            writeln!(out, "skipped: {absent}")?;
        }
        writeln!(out, "took {:.1} s", section.seconds)?;
    }
    writeln!(out, "\n# The headline\n\n{}\n{}", headline::table(report), tally(report))?;
    missed(report).try_for_each(|line| writeln!(out, "missed: {line}"))
}

fn write_table(out: &mut String, table: &Table) -> fmt::Result {
    if table.rows.is_empty() {
        return Ok(());
    }
    let reference = reference(table);
    let mut head = vec![table.title.clone(), format!("median {}", table.unit)];
    head.extend(reference.map(|to| format!("ratio to {to}")));
    let cost = table.rows.iter().any(|row| row.cost.is_some());
    if cost {
        head.extend(["CPU ns/trip", "switches/trip"].map(String::from));
    }
    let mut grid = Grid::new(1, head);
    for row in &table.rows {
        grid.row(cells(row, reference, cost));
    }
    write!(out, "\n{grid}")
}

fn cells(row: &Row, reference: Option<&str>, cost: bool) -> Vec<String> {
    let mut cells = vec![label(row), Num(row.value.median).to_string()];
    cells.extend(reference.map(|to| match row.over(to) {
        _ if row.name == to => "1".into(),
        Some(is) => Sure(is).to_string(),
        None => String::new(),
    }));
    if let (true, Some(c)) = (cost, &row.cost) {
        cells.extend([c.cpu_ns, c.voluntary + c.involuntary].map(|x| Num(x).to_string()));
    }
    cells
}

/// What the rows are divided by: phalanx, or else what the table has first.
pub fn reference(table: &Table) -> Option<&str> {
    let has = |to: &&str| table.rows.iter().any(|row| row.name != *to && row.over(to).is_some());
    let first = || table.rows.iter().flat_map(|row| &row.ratios).map(|ratio| &*ratio.to).find(has);
    table.subject().map(|row| &*row.name).filter(has).or_else(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let text = render(&crate::render::tests::awkward());
        assert!(text.starts_with("warning: a \"warning\""), "{text}");
        let from = text.find("| Against <the>").unwrap();
        let lines: Vec<&str> = text[from..].lines().take_while(|line| line.starts_with('|')).collect();
        assert_eq!(lines.len(), 8);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{text}");
        assert!(text.contains("Targets: 1 met"));
    }

    #[test]
    fn ratios_are_to_phalanx_if_there_are_any() {
        let report = crate::render::tests::awkward();
        let of = |section: usize, table: usize| reference(&report.sections[section].tables[table]);
        assert_eq!((of(0, 0), of(0, 1), of(2, 0), of(2, 1)), (Some("flags"), Some("phalanx"), None, None));
    }
}
