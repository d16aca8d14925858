//! What a run found, as data.
//!
//! Everything that is shown or written anywhere is made from this and from nothing else: the JSON is this, and the
//! Markdown, the lines of the CSV, the page with its plots and the headline table can be made again from the JSON alone.

use crate::machine::Machine;
use crate::shape::family::constants::Constants;
use crate::stats::{self, Summary};
use serde::{Deserialize, Deserializer, Serialize};

/// The whole run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    pub sections: Vec<Section>,
}

/// One shape.
#[derive(Serialize, Deserialize)]
pub struct Section {
    pub shape: String,
    pub title: String,
    /// What was done, in a sentence or two.
    pub method: String,
    pub tables: Vec<Table>,
    pub verdicts: Vec<Verdict>,
    /// Peers that could not take part, with the reason.
    pub absent: Vec<String>,
    pub notes: Vec<String>,
    /// What the cost model needs to know, measured beside the barriers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<Constants>,
    /// Results that break a barrier's promise.
    pub wrong: Vec<String>,
    pub seconds: f64,
}

#[derive(Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    /// Of the value.
    #[serde(deserialize_with = "unit")]
    pub unit: Unit,
    pub rows: Vec<Row>,
}

/// A literal wherever a table is made. (By a name of its own, since serde would have a `&str` borrow from the file.)
pub type Unit = &'static str;

/// Read from a file, it stays for the rest of the process, which reads one report and ends.
fn unit<'de, D: Deserializer<'de>>(from: D) -> Result<Unit, D::Error> {
    Ok(String::deserialize(from)?.leak())
}

/// One peer in one table.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub role: String,
    pub value: Summary,
    /// At [`stats::PERCENT`]; enough to draw the distribution.
    #[serde(deserialize_with = "stats::numbers")]
    pub quantiles: Vec<f64>,
    /// This row divided by another, round by round.
    pub ratios: Vec<Ratio>,
    /// Of all parties, per trip.
    pub cost: Option<Cost>,
    /// By the cost model, in the table's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<f64>,
    pub trips_per_round: u64,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Ratio {
    pub to: String,
    pub is: Summary,
}

#[derive(Serialize, Deserialize)]
pub struct Cost {
    #[serde(deserialize_with = "stats::number")]
    pub cpu_ns: f64,
    #[serde(deserialize_with = "stats::number")]
    pub voluntary: f64,
    #[serde(deserialize_with = "stats::number")]
    pub involuntary: f64,
}

/// One line of the table of targets.
#[derive(Serialize, Deserialize)]
pub struct Verdict {
    pub claim: String,
    pub limit: f64,
    pub sense: Sense,
    /// The median of the paired ratios, with its quartiles.
    pub measured: Option<Summary>,
    pub outcome: Outcome,
    /// The whole interval lies on the same side of the limit as the median.
    pub clear: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Sense {
    AtMost,
    AtLeast,
    Above,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    Miss,
    /// A peer is absent, or nothing but correctness was looked at.
    Open,
}

impl Verdict {
    /// Judges a median against its limit.
    pub fn new(claim: impl Into<String>, measured: Option<Summary>, sense: Sense, limit: f64) -> Self {
        let keeps = |ratio: f64| match sense {
            Sense::AtMost => ratio <= limit,
            Sense::AtLeast => ratio >= limit,
            Sense::Above => ratio > limit,
        };
        let kept = measured.map(|is| keeps(is.median));
        let clear = measured.is_some_and(|is| keeps(is.low) == keeps(is.high) && !is.median.is_nan());
        let outcome = match kept {
            Some(true) => Outcome::Pass,
            Some(false) => Outcome::Miss,
            None => Outcome::Open,
        };
        Self { claim: claim.into(), limit, sense, measured, outcome, clear }
    }
}

impl Table {
    /// phalanx as it comes, if it takes part.
    pub fn subject(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.role == "subject")
    }

    /// What no barrier can be faster than, if there is such a row: the fastest of them.
    pub fn floor(&self) -> Option<&Row> {
        let floors = self.rows.iter().filter(|row| row.role == "floor");
        floors.min_by(|a, b| a.value.median.total_cmp(&b.value.median))
    }
}

impl Row {
    /// This row divided by that one, round by round.
    pub fn over(&self, name: &str) -> Option<&Summary> {
        self.ratios.iter().find(|ratio| ratio.to == name).map(|ratio| &ratio.is)
    }
}

impl Section {
    pub fn new(shape: &str, title: &str, method: impl Into<String>) -> Self {
        Self {
            shape: shape.into(),
            title: title.into(),
            method: method.into(),
            tables: Vec::new(),
            verdicts: Vec::new(),
            absent: Vec::new(),
            notes: Vec::new(),
            constants: Vec::new(),
            wrong: Vec::new(),
            seconds: 0.0,
        }
    }
}

impl Report {
    /// Something broke a barrier's promise; the numbers beside it mean nothing.
    pub fn is_wrong(&self) -> bool {
        self.sections.iter().any(|section| !section.wrong.is_empty())
    }

    /// Every target, with the section that it belongs to.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Section, &Verdict)> {
        self.sections.iter().flat_map(|section| section.verdicts.iter().map(move |verdict| (section, verdict)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let is = |median| Some(Summary { median, ..Summary::default() });
        assert_eq!(Verdict::new("", is(1.15), Sense::AtMost, 1.15).outcome, Outcome::Pass);
        assert_eq!(Verdict::new("", is(2.9), Sense::AtLeast, 3.0).outcome, Outcome::Miss);
        assert_eq!(Verdict::new("", is(1.0), Sense::Above, 1.0).outcome, Outcome::Miss);
        assert_eq!(Verdict::new("", is(f64::NAN), Sense::AtMost, 1.0).outcome, Outcome::Miss);
        assert_eq!(Verdict::new("", None, Sense::AtMost, 1.0).outcome, Outcome::Open);
    }

    #[test]
    fn a_verdict_is_clear_if_the_interval_does_not_span_the_limit() {
        let clear = |low, high, sense| {
            Verdict::new("", Some(Summary { median: 1.0, low, high, ..Summary::default() }), sense, 1.1).clear
        };
        assert!(clear(0.9, 1.1, Sense::AtMost));
        assert!(!clear(0.9, 1.2, Sense::AtMost));
        assert!(clear(0.9, 1.05, Sense::AtLeast));
        assert!(!clear(0.9, 1.2, Sense::Above));
        assert!(!Verdict::new("", Some(Summary::default()), Sense::AtMost, 1.0).clear);
        assert!(!Verdict::new("", None, Sense::AtMost, 1.0).clear);
    }
}
