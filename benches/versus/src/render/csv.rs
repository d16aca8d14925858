//! One line per row and ratio, for spreadsheets and data frames; quoted as RFC 4180 has it.

use crate::report::{Ratio, Report, Row, Section, Table};

const HEAD: &str = "shape,table,peer,role,unit,median,low,high,q1,q3,min,max,ratio_to,ratio_median,ratio_low,ratio_high,ratio_q1,ratio_q3,cpu_ns,voluntary,involuntary,trips_per_round,rounds";

pub fn render(report: &Report) -> String {
    let mut out = format!("{HEAD}\n");
    for section in &report.sections {
        for table in &section.tables {
            for row in &table.rows {
                // A row without ratios has its line too.
                let ratios = row.ratios.iter().map(Some).chain(row.ratios.is_empty().then_some(None));
                ratios.for_each(|ratio| out += &line(section, table, row, ratio));
            }
        }
    }
    out
}

fn line(section: &Section, table: &Table, row: &Row, ratio: Option<&Ratio>) -> String {
    let words = [&section.shape, &table.title, &row.name, &row.role, table.unit].map(quoted);
    let value = &row.value;
    let value = [value.median, value.low, value.high, value.q1, value.q3, value.min, value.max].map(number);
    let ratio = ratio.map_or_else(
        || vec![String::new(); 6],
        |Ratio { to, is }| {
            let numbers = [is.median, is.low, is.high, is.q1, is.q3].map(number);
            [quoted(to)].into_iter().chain(numbers).collect()
        },
    );
    let cost = row.cost.as_ref().map_or([f64::NAN; 3], |cost| [cost.cpu_ns, cost.voluntary, cost.involuntary]);
    let counts = [row.trips_per_round.to_string(), row.value.n.to_string()];
    let cells: Vec<String> =
        words.into_iter().chain(value).chain(ratio).chain(cost.map(number)).chain(counts).collect();
    cells.join(",") + "\n"
}

/// Nothing for what is not a number.
fn number(x: f64) -> String {
    if x.is_finite() { x.to_string() } else { String::new() }
}

fn quoted(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of a line, by the same rules.
    fn cells(line: &str) -> Vec<String> {
        let (mut cells, mut within, mut chars) = (vec![String::new()], false, line.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                '"' if within && chars.peek() == Some(&'"') => {
                    chars.next();
                    cells.last_mut().unwrap().push('"');
                }
                '"' => within = !within,
                ',' if !within => cells.push(String::new()),
                c => cells.last_mut().unwrap().push(c),
            }
        }
        cells
    }

    #[test]
    fn every_line_has_a_cell_for_each_column() {
        let report = crate::render::tests::awkward();
        let text = render(&report);
        let columns = HEAD.split(',').count();
        assert!(text.lines().all(|line| cells(line).len() == columns), "{text}");
        let line = text.lines().find(|line| line.contains("nothing")).unwrap();
        assert_eq!(cells(line)[2], "nothing, \"quoted\"");
        assert_eq!(cells(line)[5], "");
        let line = text.lines().find(|line| line.contains("spin<T>")).unwrap();
        assert_eq!((&*cells(line)[12], &*cells(line)[13], &*cells(line)[18]), ("phalanx", "2", "400"));
        assert_eq!(text.lines().count(), 1 + 2 + 6 + 6 + 1);
    }
}
