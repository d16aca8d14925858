//! The report for people and for other programs: a terminal, a folder of files, and the table of the project's README.
//!
//! All of it is made from [`Report`](crate::report::Report) alone, so that a file of it can be rendered again later. The
//! same words and digits are used everywhere, and they are here.

pub mod csv;
pub mod folder;
pub mod grid;
pub mod headline;
pub mod html;
pub mod markdown;
pub mod terminal;

use crate::report::{Outcome, Sense, Verdict};
use crate::stats::Summary;
use std::fmt::{self, Display, Formatter};

/// Three or four digits that matter, and never an exponent.
pub struct Num(pub f64);

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

/// A median with its interval.
pub struct Sure<'a>(pub &'a Summary);

impl Display for Sure<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { median, low, high, .. } = *self.0;
        write!(f, "{} [{}, {}]", Num(median), Num(low), Num(high))
    }
}

/// What is claimed, with its limit.
pub struct Claim<'a>(pub &'a Verdict);

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

/// Whether it was met, and how sure that is.
pub fn outcome(verdict: &Verdict) -> &'static str {
    match (verdict.outcome, verdict.clear) {
        (Outcome::Pass, true) => "pass",
        (Outcome::Pass, false) => "pass, but the interval spans the limit",
        (Outcome::Miss, true) => "miss",
        (Outcome::Miss, false) => "miss, but the interval spans the limit",
        (Outcome::Open, _) => "open",
    }
}

/// A row's name, with what it is if that is not plain.
pub fn label(row: &crate::report::Row) -> String {
    format!("{}{}", row.name, if row.role == "floor" { " (floor)" } else { "" })
}

/// How many targets were met, missed and not judged.
pub fn tally(report: &crate::report::Report) -> String {
    let count = |outcome: Outcome| report.verdicts().filter(|(_, verdict)| verdict.outcome == outcome).count();
    let (pass, miss, open) = (count(Outcome::Pass), count(Outcome::Miss), count(Outcome::Open));
    format!("Targets: {pass} met, {miss} missed, {open} not judged.")
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::{Cost, Ratio, Report, Row, Section, Table};
    use crate::{machine, stats};

    #[test]
    fn numbers() {
        let text = [0.0, 0.00123, 0.5, 1.149, 23.44, 11_600.4, f64::NAN].map(|x| Num(x).to_string());
        assert_eq!(text, ["0", "0.0012", "0.500", "1.149", "23.4", "11600", "-"]);
    }

    pub fn row(name: &str, role: &str, values: &[f64], ratios: &[(&str, &[f64])], cpu_ns: Option<f64>) -> Row {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        Row {
            name: name.into(),
            role: role.into(),
            value: of(values),
            quantiles: stats::quantiles(values.iter().copied()),
            ratios: ratios.iter().map(|(to, values)| Ratio { to: to.to_string(), is: of(values) }).collect(),
            cost: cpu_ns.map(|cpu_ns| Cost { cpu_ns, voluntary: 0.5, involuntary: f64::NAN }),
            predicted: None,
            trips_per_round: 7,
        }
    }

    /// With everything that is awkward: nothing measured, no ratios, no rows, names that mean something elsewhere.
    pub fn awkward() -> Report {
        let mut pair = Section::new("pair", "Two <parties>", "With a \"method\" & `code`.");
        pair.tables.push(Table {
            title: "Against the floor".into(),
            unit: "ns/trip",
            rows: vec![
                row("flags", "floor", &[100.0, 110.0, 120.0], &[("flags", &[1.0, 1.0, 1.0])], Some(200.0)),
                row("phalanx", "subject", &[110.0, 120.0, 130.0], &[("flags", &[1.1, 1.1, 1.2])], Some(220.0)),
            ],
        });
        pair.tables.push(Table {
            title: "Against <the> | others".into(),
            unit: "ns/trip",
            rows: vec![
                row("phalanx", "subject", &[110.0, 120.0, 130.0], &[("phalanx", &[1.0, 1.0, 1.0])], Some(220.0)),
                row("spin<T>", "rival", &[220.0, 240.0, 250.0], &[("phalanx", &[2.0, 2.0, 2.1])], Some(400.0)),
                row("libgomp", "rival", &[350.0, 360.0, 370.0], &[("phalanx", &[3.0, 3.0, 3.2])], Some(440.0)),
                row("std::sync::Barrier", "rival", &[9e4, 9e4], &[("phalanx", &[800.0])], None),
                row("nothing, \"quoted\"", "rival", &[], &[("phalanx", &[])], None),
                row("zero & none", "info", &[0.0], &[], Some(0.0)),
            ],
        });
        let is = |median, low, high| Some(Summary { median, low, high, ..Summary::default() });
        pair.verdicts.push(Verdict::new("phalanx <over> the floor", is(1.1, 1.0, 1.2), Sense::AtMost, 1.15));
        pair.verdicts.push(Verdict::new("spin | phalanx", is(2.0, 1.9, 2.1), Sense::AtLeast, 3.0));
        pair.verdicts.push(Verdict::new("nobody", None, Sense::Above, 1.0));
        pair.absent.push("libomp: no `clang` to be found <here>".into());
        pair.notes.push("the floor by itself. **Too noisy: do not cite.**".into());
        let mut crowd = Section::new("crowd", "More parties than CPUs", "");
        for parties in [4, 64] {
            let scale = f64::from(parties) * 100.0;
            crowd.tables.push(Table {
                title: format!("{parties} parties, dealt out on 2 CPUs"),
                unit: "ns/trip",
                rows: vec![
                    row("counter and yield", "floor", &[scale], &[("phalanx", &[0.9])], Some(scale)),
                    row("phalanx", "subject", &[scale * 1.1], &[("phalanx", &[1.0])], Some(scale)),
                    row("std::sync::Barrier", "rival", &[scale * 9.0], &[("phalanx", &[8.2])], Some(scale)),
                ],
            });
        }
        let mut empty = Section::new("empty", "Nothing", "Nothing was measured.");
        empty.tables.push(Table { title: "No rows".into(), unit: "ns", rows: Vec::new() });
        empty.tables.push(Table {
            title: "Nothing measured".into(),
            unit: "share",
            rows: vec![row("x", "own", &[], &[], None)],
        });
        empty.wrong.push("x: rank 1 saw <2>".into());
        let mut machine = machine::Machine::default();
        machine.warnings.push("a \"warning\" with <angles>".into());
        machine.commit = "a87dc5806d90".into();
        machine.mode = "full".into();
        machine.date = "2026-01-02 03:04 UTC".into();
        Report { machine, sections: vec![pair, crowd, empty] }
    }

    #[test]
    fn json_and_back_renders_the_same() {
        let report = awkward();
        let back: Report = serde_json::from_str(&serde_json::to_string_pretty(&report).unwrap()).unwrap();
        assert_eq!(markdown::render(&back), markdown::render(&report));
        assert_eq!(html::render(&back), html::render(&report));
        assert_eq!(csv::render(&back), csv::render(&report));
        assert_eq!(terminal::render(&back), terminal::render(&report));
        assert_eq!(headline::render(&back, "x.json"), headline::render(&report, "x.json"));
    }
}
