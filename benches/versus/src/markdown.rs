//! The report for people. Ratios come first, for they are the result; the absolute medians beside them only say on what
//! scale.

use crate::report::{Outcome, Report, Row, Section, Sense, Table, Verdict};
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
    for (key, value) in report.machine.lines() {
        writeln!(out, "- {key}: {value}")?;
    }
    if report.machine.mode == "smoke" {
        writeln!(out, "\nA smoke run: only the results were checked. The numbers say nothing.")?;
    }
    if report.machine.disturbed {
        writeln!(out, "\n**The CPUs were not ours alone ({}): do not cite this run.**", report.machine.lost)?;
    }
    summary(out, report)?;
    for section in &report.sections {
        write_section(out, section)?;
    }
    writeln!(out, "\n## How to read this\n\n{READING}")
}

const READING: &str = "\
All peers of a table ran in one process on the same CPUs (two, where nothing else is said), in turn, in many short rounds. A ratio is the median over the rounds of \
*this row divided by the other in the same round*, with [first to third quartile] and (minimum to maximum); the other columns are medians over the rounds. \
CPU time and context switches are sums over all parties, per trip. A target is judged by the median of its ratio.";

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
    let Some(widest) = table.rows.iter().max_by_key(|row| row.ratios.len()) else { return Ok(()) };
    let cost = table.rows.iter().any(|row| row.cost.is_some());
    let predicted = table.rows.iter().any(|row| row.predicted.is_some());
    write!(out, "\n### {}\n\n| peer |", table.title)?;
    for ratio in &widest.ratios {
        write!(out, " ratio to {} |", ratio.to)?;
    }
    write!(out, " median {} | quartiles |", table.unit)?;
    if predicted {
        write!(out, " predicted {} |", table.unit)?;
    }
    if cost {
        write!(out, " CPU ns/trip | switches/trip: voluntary | involuntary |")?;
    }
    let columns = 3 + widest.ratios.len() + usize::from(predicted) + if cost { 3 } else { 0 };
    writeln!(out, " rounds x trips |\n|---|{}", "---:|".repeat(columns))?;
    table.rows.iter().try_for_each(|row| write_row(out, row, widest, predicted, cost))
}

fn write_row(out: &mut String, row: &Row, widest: &Row, predicted: bool, cost: bool) -> fmt::Result {
    let mark = if row.role == "subject" { "**" } else { "" };
    write!(out, "| {mark}{}{mark}{} |", row.name, if row.role == "floor" { " (floor)" } else { "" })?;
    for column in &widest.ratios {
        match row.ratios.iter().find(|ratio| ratio.to == column.to) {
            Some(ratio) if ratio.to == row.name => write!(out, " 1 |")?,
            Some(ratio) => write!(out, " {} |", Spread(&ratio.is))?,
            None => write!(out, " |")?,
        }
    }
    let Summary { q1, median, q3, n, .. } = row.value;
    write!(out, " {} | {} to {} |", Num(median), Num(q1), Num(q3))?;
    if predicted {
        write!(out, " {} |", Num(row.predicted.unwrap_or(f64::NAN)))?;
    }
    match &row.cost {
        Some(c) => write!(out, " {} | {} | {} |", Num(c.cpu_ns), Num(c.voluntary), Num(c.involuntary))?,
        None if cost => write!(out, " | | |")?,
        None => {}
    }
    writeln!(out, " {n} x {} |", row.trips_per_round)
}

fn targets(out: &mut String, verdicts: &[Verdict]) -> fmt::Result {
    if verdicts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| target | measured | |\n|---|---:|---|")?;
    for verdict in verdicts {
        let outcome = match verdict.outcome {
            Outcome::Pass => "pass",
            Outcome::Miss => "**miss**",
            Outcome::Open => "open",
        };
        let measured = verdict.measured.as_ref().map(|is| Spread(is).to_string()).unwrap_or_default();
        writeln!(out, "| {} | {measured} | {outcome} |", Claim(verdict))?;
    }
    Ok(())
}

/// How many targets were met, and which were not.
fn summary(out: &mut String, report: &Report) -> fmt::Result {
    let all =
        || report.sections.iter().flat_map(|section| section.verdicts.iter().map(move |verdict| (section, verdict)));
    let count = |outcome: Outcome| all().filter(|(_, verdict)| verdict.outcome == outcome).count();
    let (pass, miss, open) = (count(Outcome::Pass), count(Outcome::Miss), count(Outcome::Open));
    writeln!(out, "\n**Targets: {pass} met, {miss} missed, {open} not judged.**\n")?;
    for (section, verdict) in all().filter(|(_, verdict)| verdict.outcome == Outcome::Miss) {
        let is = verdict.measured.as_ref().map_or(f64::NAN, |is| is.median);
        writeln!(out, "- missed: {}: {}; it is {}", section.shape, Claim(verdict), Num(is))?;
    }
    Ok(())
}

struct Claim<'a>(&'a Verdict);

impl Display for Claim<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sense = match self.0.sense {
            Sense::AtMost => "at most",
            Sense::AtLeast => "at least",
            Sense::Above => "above",
        };
        write!(f, "{}: {sense} {}", self.0.claim, self.0.limit)
    }
}

/// A ratio with all its quartiles.
struct Spread<'a>(&'a Summary);

impl Display for Spread<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { min, q1, median, q3, max, .. } = *self.0;
        write!(f, "{} [{}, {}] ({} to {})", Num(median), Num(q1), Num(q3), Num(min), Num(max))
    }
}

/// Three or four digits that matter, and never an exponent.
struct Num(f64);

impl Display for Num {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(x) = *self;
        match x.abs() {
            _ if x.is_nan() => f.write_str("-"),
            0.0 => f.write_str("0"),
            size if size >= 100.0 => write!(f, "{x:.0}"),
            size if size >= 10.0 => write!(f, "{x:.1}"),
            size if size >= 2.0 => write!(f, "{x:.2}"),
            size if size >= 0.1 => write!(f, "{x:.3}"),
            _ => write!(f, "{x:.4}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let text = [0.0, 0.00123, 0.5, 1.149, 23.44, 11_600.4, f64::NAN].map(|x| Num(x).to_string());
        assert_eq!(text, ["0", "0.0012", "0.500", "1.149", "23.4", "11600", "-"]);
    }
}
