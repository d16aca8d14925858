//! What a run found, as data; `markdown` renders it, serde writes it as JSON.

use crate::machine::Machine;
use crate::shape::family::constants::Constants;
use crate::stats::Summary;
use serde::Serialize;

/// The whole run.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub sections: Vec<Section>,
}

/// One shape.
#[derive(Serialize)]
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<Constants>,
    /// Results that break a barrier's promise.
    pub wrong: Vec<String>,
    pub seconds: f64,
}

#[derive(Serialize)]
pub struct Table {
    pub title: String,
    /// Of the value.
    pub unit: &'static str,
    pub rows: Vec<Row>,
}

/// One peer in one table.
#[derive(Serialize)]
pub struct Row {
    pub name: String,
    pub role: String,
    pub value: Summary,
    /// This row divided by another, round by round.
    pub ratios: Vec<Ratio>,
    /// Of all parties, per trip.
    pub cost: Option<Cost>,
    /// By the cost model, in the table's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<f64>,
    pub trips_per_round: u64,
}

#[derive(Clone, Serialize)]
pub struct Ratio {
    pub to: String,
    pub is: Summary,
}

#[derive(Serialize)]
pub struct Cost {
    pub cpu_ns: f64,
    pub voluntary: f64,
    pub involuntary: f64,
}

/// One line of the table of targets.
#[derive(Serialize)]
pub struct Verdict {
    pub claim: String,
    pub limit: f64,
    pub sense: Sense,
    /// The median of the paired ratios, with its quartiles.
    pub measured: Option<Summary>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Sense {
    AtMost,
    AtLeast,
    Above,
}

#[derive(Clone, Copy, Serialize, PartialEq, Eq, Debug)]
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
        let kept = measured.map(|is| match sense {
            Sense::AtMost => is.median <= limit,
            Sense::AtLeast => is.median >= limit,
            Sense::Above => is.median > limit,
        });
        let outcome = match kept {
            Some(true) => Outcome::Pass,
            Some(false) => Outcome::Miss,
            None => Outcome::Open,
        };
        Self { claim: claim.into(), limit, sense, measured, outcome }
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
}
