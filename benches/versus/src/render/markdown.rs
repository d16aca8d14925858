//! The whole report as Markdown. Ratios come first, for they are the result; the absolute medians beside them only say on
//! what scale.

use super::grid::Grid;
use super::{Claim, Num, Sure, headline, label, outcome, tally};
use crate::report::{Outcome, Report, Row, Section, Table, Verdict};
use crate::stats::Summary;
use std::fmt::{self, Display, Formatter, Write};

/// The whole report as Markdown.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("a String takes everything");
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "# phalanx against the others\n")?;
    for warning in &report.machine.warnings {
        writeln!(out, "- **Warning:** {warning}")?;
    }
    writeln!(out, "\n{}", headline::table(report))?;
    summary(out, report)?;
    writeln!(out, "\n## The machine\n")?;
    for (key, value) in report.machine.lines() {
        writeln!(out, "- {key}: {value}")?;
    }
    for section in &report.sections {
        write_section(out, section)?;
    }
    writeln!(out, "\n## How to read this\n\n{READING}")
}

pub const READING: &str = "\
All peers of a table ran side by side on the same CPUs (two, where nothing else is said), in turn, in many short rounds. A ratio is the median over the rounds of \
*this row divided by the other in the same round*; the other columns are medians over the rounds. \
In [brackets] is the 95 % interval of the median, by a moving-block bootstrap over the rounds; in (parentheses) are the first and third quartile of the rounds. \
CPU time and context switches are sums over all parties, per trip. A target is judged by the median of its ratio. \
Minima, maxima and more quantiles are in the JSON.";

fn write_section(out: &mut String, section: &Section) -> fmt::Result {
    writeln!(out, "\n## {}\n\n{}", section.title, section.method)?;
    for wrong in &section.wrong {
        writeln!(out, "\n**WRONG RESULT: {wrong}**")?;
    }
    for table in &section.tables {
        write_table(out, table)?;
    }
    targets(out, &section.verdicts)?;
    writeln!(out)?;
    for absent in &section.absent {
        writeln!(out, "- skipped: {absent}")?;
    }
    for note in &section.notes {
        writeln!(out, "- {note}")?;
    }
    writeln!(out, "- took {:.1} s", section.seconds)
}

fn write_table(out: &mut String, table: &Table) -> fmt::Result {
    let Some((head, rows)) = cells(table) else { return Ok(()) };
    let mut grid = Grid::new(1, head);
    for (row, mut cells) in table.rows.iter().zip(rows) {
        if row.role == "subject" {
            cells[0] = format!("**{}**", cells[0]);
        }
        grid.row(cells);
    }
    write!(out, "\n### {}\n\n{grid}", table.title)
}

/// All that a table shows, as text: the head, and the rows in their order. Nothing of a table without rows.
pub fn cells(table: &Table) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let widest = table.rows.iter().max_by_key(|row| row.ratios.len())?;
    let cost = table.rows.iter().any(|row| row.cost.is_some());
    let predicted = table.rows.iter().any(|row| row.predicted.is_some());
    let mut head = vec!["peer".into()];
    head.extend(widest.ratios.iter().map(|ratio| format!("ratio to {}", ratio.to)));
    head.push(format!("median {}", table.unit));
    head.extend(predicted.then(|| format!("predicted {}", table.unit)));
    if cost {
        head.extend(["CPU ns/trip", "switches/trip: voluntary", "involuntary"].map(String::from));
    }
    head.push("rounds x trips".into());
    let row = |row: &Row| {
        let mut cells = vec![label(row)];
        cells.extend(widest.ratios.iter().map(|column| match row.over(&column.to) {
            Some(_) if column.to == row.name => "1".into(),
            Some(is) => Spread(is).to_string(),
            None => String::new(),
        }));
        cells.push(Spread(&row.value).to_string());
        cells.extend(predicted.then(|| Num(row.predicted.unwrap_or(f64::NAN)).to_string()));
        if cost {
            let of = |c: &crate::report::Cost| [c.cpu_ns, c.voluntary, c.involuntary].map(|x| Num(x).to_string());
            cells.extend(row.cost.as_ref().map_or_else(Default::default, of));
        }
        cells.push(format!("{} x {}", row.value.n, row.trips_per_round));
        cells
    };
    Some((head, table.rows.iter().map(row).collect()))
}

fn targets(out: &mut String, verdicts: &[Verdict]) -> fmt::Result {
    if verdicts.is_empty() {
        return Ok(());
    }
    let mut grid = Grid::new(1, ["target", "measured", ""].map(String::from).into());
    for verdict in verdicts {
        let measured = verdict.measured.as_ref().map(|is| Spread(is).to_string()).unwrap_or_default();
        let word = outcome(verdict);
        let word = if verdict.outcome == Outcome::Miss { format!("**{word}**") } else { word.into() };
        grid.row(vec![Claim(verdict).to_string(), measured, word]);
    }
    write!(out, "\n{grid}")
}

/// How many targets were met, and which were not.
fn summary(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "**{}**\n", tally(report))?;
    missed(report).try_for_each(|line| writeln!(out, "- missed: {line}"))
}

/// Each target that was missed, in a line.
pub fn missed(report: &Report) -> impl Iterator<Item = String> {
    report.verdicts().filter(|(_, verdict)| verdict.outcome == Outcome::Miss).map(|(section, verdict)| {
        let is = verdict.measured.as_ref().map_or_else(|| "-".into(), |is| Sure(is).to_string());
        let spans = if verdict.clear { "" } else { ", and the interval spans the limit" };
        format!("{}: {}; it is {is}{spans}", section.shape, Claim(verdict))
    })
}

/// A median with its interval and quartiles.
struct Spread<'a>(&'a Summary);

impl Display for Spread<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.n == 0 && self.0.median.is_nan() {
            return f.write_str("-");
        }
        write!(f, "{} ({} to {})", Sure(self.0), Num(self.0.q1), Num(self.0.q3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        let text = render(&crate::render::tests::awkward());
        for part in [
            "- **Warning:** a \"warning\" with <angles>",
            "**Targets: 1 met, 1 missed, 1 not judged.**",
            "- missed: pair: spin | phalanx: at least 3; it is 2.00 [1.900, 2.10]\n",
            "pass, but the interval spans the limit |",
            "| **phalanx** ",
            "WRONG RESULT: x: rank 1",
            "- skipped: libomp",
            r"| spin \| phalanx: at least 3 ",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
