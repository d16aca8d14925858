//! What rides on a trip, and what it adds to the trip: values, an action, work between arrival and wait.
//!
//! The reference is as a rule a bare trip of the same algorithm in the same rounds, because what matters is what a rider
//! costs on top. It takes part twice; its ratio to itself is the noise.

mod action;
mod crowd;
mod rivals;
mod split;
mod values;

use super::{Context, Mode, Series, find};
use crate::peer::Field;
use crate::play::Turn;
use crate::report::{Ratio, Row, Section, Sense, Verdict};
use crate::seat::{Lap, Seat};
use crate::stats::Summary;

pub fn run(context: &Context, crowd: &[usize]) -> Section {
    let mut section = Section::new(
        "riders",
        "What rides on a trip",
        "Where nothing else is said two threads, each pinned to its CPU, cross back to back. Nanoseconds per trip, by party 0's clock; the result of every trip is checked.",
    );
    values::run(context, &mut section);
    values::by_algorithm(context, &mut section);
    rivals::run(context, &mut section);
    action::run(context, &mut section);
    split::run(context, &mut section);
    crowd::run(context, crowd, &mut section);
    section
}

fn crossing(turn: &Turn, seat: &mut dyn Seat) -> Lap {
    seat.back_to_back(16, turn.trips)
}

/// The column for rows that have references of their own.
const BARE: &str = "its bare trip";

/// Gives the row of `name` its ratio to `by`, in the column `to`.
fn compare(rows: &mut [Row], all: &[Series], name: &str, by: &str, to: &str) {
    let (Some(series), Some(by)) = (find(all, name), find(all, by)) else { return };
    if let Some(row) = rows.iter_mut().find(|row| row.name == name) {
        row.ratios.push(Ratio { to: to.into(), is: series.over(by) });
    }
}

/// A series made of others, round by round.
fn combined(name: &str, like: &Series, values: impl Iterator<Item = Option<f64>>) -> Series {
    Series { name: name.into(), role: like.role, values: values.collect() }
}

/// A target on a summary that no two series have a ratio for.
fn judge(context: &Context, claim: &str, is: Option<Summary>, sense: Sense, limit: f64) -> Verdict {
    Verdict::new(claim, is.filter(|_| context.mode != Mode::Smoke), sense, limit)
}

/// What the method cannot tell apart in a table: a bare trip divided by itself.
fn noise(all: &[Series], (again, first): (&str, &str), prefix: &str) -> Option<String> {
    let is = find(all, again)?.over(find(all, first)?);
    let quiet = (is.median - 1.0).abs() < 0.03 && is.q3 - is.q1 < 0.2;
    let advice = if quiet { "" } else { " **Too noisy: do not cite this table.**" };
    Some(format!(
        "{prefix}{first} divided by itself: {:.3} [{:.3}, {:.3}]; a difference smaller than that is noise.{advice}",
        is.median, is.q1, is.q3
    ))
}

/// Notes who is absent, once.
fn note_absent(section: &mut Section, field: Field) {
    for who in field.absent {
        if !section.absent.contains(&who) {
            section.absent.push(who);
        }
    }
}
