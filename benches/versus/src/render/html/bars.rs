//! What every table shows as a picture: how the rounds of each peer are distributed, and how sure the ratios are.
//!
//! A row is a name, a strip of SVG and a number; the strips share one axis. Both pictures have the peers in the same
//! order, the fastest first.

use super::axis::{Axis, plain, short};
use super::{Escaped, class};
use crate::render::Sure;
use crate::render::terminal::reference;
use crate::report::{Row, Table};
use crate::stats::PERCENT;
use std::fmt::Write;

/// How to read them, said once per page.
pub const READING: &str = "In the pictures, a strip is the distribution of a peer's rounds: the mark is the median, the dark band half of the rounds, \
the pale band 5 to 95 %, the line 1 to 99 %; the dashed line is the floor. A dot is a ratio, with the 95 % interval of its median as a line; \
left of the line at 1 is faster than what it is divided by. All axes are logarithmic.";

const HEIGHT: u32 = 20;

pub fn pictures(table: &Table) -> String {
    let parts: Vec<String> = [distribution(table), forest(table)].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("<div class=\"pair\">{}</div>\n", parts.concat()) }
}

/// The fastest first.
fn ordered(table: &Table) -> Vec<&Row> {
    let mut rows: Vec<&Row> = table.rows.iter().filter(|row| row.value.median.is_finite()).collect();
    rows.sort_by(|a, b| a.value.median.total_cmp(&b.value.median));
    rows
}

/// The value below which so many percent of the rounds are.
fn below(row: &Row, percent: f64) -> f64 {
    PERCENT.iter().position(|it| *it == percent).and_then(|at| row.quantiles.get(at)).map_or(f64::NAN, |x| *x)
}

/// Nothing where a logarithm has no place for a value, such as a share below zero: the numbers are beneath.
fn distribution(table: &Table) -> Option<String> {
    let rows = ordered(table);
    if rows.iter().any(|row| below(row, 1.0) <= 0.0) {
        return None;
    }
    let axis = Axis::of(rows.iter().flat_map(|row| [below(row, 1.0), below(row, 99.0), row.value.median]))?;
    let floor = table.floor().map(|row| axis.at(row.value.median));
    let mut out = format!("<figure><h4>Distribution of the rounds, {}</h4><div class=\"bars\">", Escaped(table.unit));
    for row in rows {
        let mut strip = grid(&axis);
        strip += &floor.map_or_else(String::new, |at| vertical("floor", at));
        strip += &format!("<g{}>", class(row));
        for (kind, percent) in [("whisker", 1.0), ("wide", 5.0), ("half", 25.0)] {
            strip += &horizontal(kind, axis.at(below(row, percent)), axis.at(below(row, 100.0 - percent)));
        }
        let at = axis.at(row.value.median);
        write!(strip, "<line class=\"median\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"3\" y2=\"17\"/></g>").expect(STRING);
        out += &line(row, &strip, &short(row.value.median, table.unit));
    }
    out += &scale(&axis, |x| short(x, table.unit));
    Some(out + "</div></figure>")
}

fn forest(table: &Table) -> Option<String> {
    let to = reference(table)?;
    let of = |row: &Row| row.over(to).filter(|is| row.name != to && is.median > 0.0).copied();
    let rows = ordered(table);
    let ratios = rows.iter().filter_map(|row| of(row));
    let axis = Axis::of(ratios.flat_map(|is| [is.low, is.median, is.high]).chain([1.0]))?;
    let mut out = format!("<figure><h4>Ratio to {}</h4><div class=\"bars\">", Escaped(to));
    for row in rows {
        let mut strip = grid(&axis) + &vertical("one", axis.at(1.0)) + &format!("<g{}>", class(row));
        let number = match of(row) {
            _ if row.name == to => "1".into(),
            None => "-".into(),
            Some(is) => {
                strip += &horizontal("between", axis.at(is.low), axis.at(is.high));
                Sure(&is).to_string()
            }
        };
        if let Some(at) = of(row).map(|is| is.median).or((row.name == to).then_some(1.0)) {
            let (at, middle) = (axis.at(at), HEIGHT / 2);
            write!(strip, "<circle class=\"dot\" cx=\"{at:.2}%\" cy=\"{middle}\" r=\"4\"/>").expect(STRING);
        }
        out += &line(row, &(strip + "</g>"), &number);
    }
    out += &scale(&axis, plain);
    Some(out + "</div></figure>")
}

const STRING: &str = "a String takes everything";

fn line(row: &Row, strip: &str, number: &str) -> String {
    let kind = match &*row.role {
        "subject" => " subject",
        "floor" => " floor-name",
        _ => "",
    };
    let middle = format!("<svg height=\"{HEIGHT}\" aria-hidden=\"true\">{strip}</svg>");
    let name = Escaped(&row.name);
    format!("<div class=\"name{kind}\">{name}</div>{middle}<div class=\"num{kind}\">{}</div>\n", Escaped(number))
}

fn grid(axis: &Axis) -> String {
    axis.ticks().into_iter().map(|tick| vertical("grid", axis.at(tick))).collect()
}

fn vertical(class: &str, at: f64) -> String {
    format!("<line class=\"{class}\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"-1\" y2=\"{}\"/>", HEIGHT + 1)
}

fn horizontal(class: &str, from: f64, to: f64) -> String {
    let y = HEIGHT / 2;
    format!("<line class=\"{class}\" x1=\"{from:.2}%\" x2=\"{to:.2}%\" y1=\"{y}\" y2=\"{y}\"/>")
}

/// The axis beneath; on a phone every other tick has no words.
fn scale(axis: &Axis, words: impl Fn(f64) -> String) -> String {
    let text = |(index, tick): (usize, f64)| {
        let minor = if index % 2 == 1 { " class=\"minor\"" } else { "" };
        format!(
            "<text{minor} x=\"{:.2}%\" y=\"13\" text-anchor=\"middle\">{}</text>",
            axis.at(tick),
            Escaped(&words(tick))
        )
    };
    let texts: String = axis.ticks().into_iter().enumerate().map(text).collect();
    format!("<div></div><svg height=\"18\">{texts}</svg><div></div>")
}
