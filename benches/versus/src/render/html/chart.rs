//! The two pictures over several tables: latency by the number of parties, and CPU time burnt against latency.

use super::axis::{Axis, plain, short};
use super::{Escaped, class};
use crate::report::{Report, Row, Section, Table};
use std::collections::BTreeMap;

/// Of the plots, in pixels; across they take what room there is.
const HEIGHT: f64 = 380.0;

/// A peer in several sizes.
struct Curve<'a> {
    row: &'a Row,
    points: Vec<(f64, f64)>,
}

/// Latency by parties, from the two parties of `pair` and the crowds that are dealt out to the CPUs.
pub fn by_parties(report: &Report) -> Option<String> {
    let mut curves: BTreeMap<&str, Curve<'_>> = BTreeMap::new();
    let mut unit = "";
    for (parties, table) in sizes(report) {
        for row in &table.rows {
            let key = match &*row.role {
                "floor" => "the floor",
                "subject" | "rival" => &row.name,
                _ => continue,
            };
            if row.value.median > 0.0 {
                unit = table.unit;
                let curve = curves.entry(key).or_insert_with(|| Curve { row, points: Vec::new() });
                if curve.points.iter().all(|(before, _)| *before != parties) {
                    curve.points.push((parties, row.value.median));
                }
            }
        }
    }
    curves.retain(|_, curve| curve.points.len() > 1);
    let all = || curves.values().flat_map(|curve| curve.points.iter().copied());
    let (x, y) = (Axis::of(all().map(|(x, _)| x))?, Axis::of(all().map(|(_, y)| y))?);
    let mut counts: Vec<f64> = all().map(|(x, _)| x).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();

    let down = |value: f64| HEIGHT * (1.0 - y.at(value) / 100.0);
    let mut out = frame(&x, &y, &counts, |count| parties_of(count, &counts), unit);
    let mut labels: Vec<(f64, &str)> = Vec::new();
    for (name, curve) in &mut curves {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        labels.extend(curve.points.last().map(|(_, last)| (down(*last), *name)));
    }
    let places = spread(labels);
    // The subject last, above the others.
    let subject_last = |curve: &&Curve<'_>| curve.row.role == "subject";
    let named: Vec<(&&str, &Curve<'_>)> = curves.iter().collect();
    let (subjects, others): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, curve)| subject_last(curve));
    for (name, curve) in others.into_iter().chain(subjects) {
        out += &format!("<g{}>", class(curve.row));
        for pair in curve.points.windows(2) {
            out += &segment("series", (x.at(pair[0].0), down(pair[0].1)), (x.at(pair[1].0), down(pair[1].1)));
        }
        if let (Some(&(parties, last)), Some(&place)) = (curve.points.last(), places.get(name)) {
            out += &segment("lead", (x.at(parties), down(last)), (100.0, place));
            out += &format!("<text x=\"100%\" dx=\"8\" y=\"{:.1}\">{}</text>", place + 4.0, Escaped(name));
        }
        for &(parties, value) in &curve.points {
            let title = format!("{name}, {parties} parties: {}", short(value, unit));
            out += &dot((x.at(parties), down(value)), &title);
        }
        out += "</g>";
    }
    Some(format!(
        "<figure><div class=\"plot\">{out}</svg></div><figcaption>Median time per trip by the number of parties, on two CPUs, \
         dealt out to both. The floor (dashed) is the bare exchange of two flags for two parties, and a counter whose waiters yield for more. \
         Peers that only take part with two are not shown.</figcaption></figure>\n"
    ))
}

/// A number on the axis; the first says of what.
fn parties_of(count: f64, all: &[f64]) -> String {
    let what = if all.first() == Some(&count) { " parties" } else { "" };
    format!("{}{what}", plain(count))
}

/// Tables by their number of parties. Of the pair's, those with rivals come first: the subject is meant as it is there.
fn sizes(report: &Report) -> Vec<(f64, &Table)> {
    let of = |shape: &'static str| report.sections.iter().filter(move |section| section.shape == shape);
    let mut all: Vec<(f64, &Table)> =
        of("pair").flat_map(|section| &section.tables).map(|table| (2.0, table)).collect();
    all.sort_by_key(|(_, table)| !table.rows.iter().any(|row| row.role == "rival"));
    all.extend(of("crowd").flat_map(|section| &section.tables).filter_map(|table| {
        let (parties, rest) = table.title.split_once(" parties, ")?;
        rest.starts_with("dealt out").then_some((parties.parse().ok()?, table))
    }));
    all
}

/// CPU time of all parties against latency: of every peer in every table of a section.
pub fn burnt(section: &Section) -> Option<String> {
    let mut points: Vec<(&Row, f64, f64, String)> = Vec::new();
    let mut tables = 0;
    let mut unit = "";
    for table in &section.tables {
        let before = points.len();
        for row in &table.rows {
            let Some(cost) = &row.cost else { continue };
            // Tables that only divide up the same rounds have the same costs.
            let known = points.iter().any(|(other, cpu, ..)| other.name == row.name && *cpu == cost.cpu_ns);
            if cost.cpu_ns > 0.0 && row.value.median > 0.0 && !known && (unit.is_empty() || unit == table.unit) {
                unit = table.unit;
                points.push((row, cost.cpu_ns, row.value.median, format!("{}: {}", table.title, row.name)));
            }
        }
        tables += usize::from(points.len() > before);
    }
    let x = Axis::of(points.iter().map(|(_, cpu, ..)| *cpu))?;
    let y = Axis::of(points.iter().map(|(_, _, value, _)| *value))?;
    let rank = |row: &Row| match &*row.role {
        _ if is_gomp(row) => 3,
        "subject" => 4,
        "floor" => 2,
        "rival" => 1,
        _ => 0,
    };
    points.sort_by_key(|(row, ..)| rank(row));
    let mut out = frame(&x, &y, &x.ticks(), |tick| short(tick, "ns"), unit);
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut marks: Vec<String> = Vec::new();
    // Of a few tables, everybody, once; of many, only those that matter, and in each.
    let wants_name = |row: &Row, named: &[&str]| if tables > 2 { rank(row) > 2 } else { !named.contains(&&*row.name) };
    // Those that matter get their names first, and are drawn last.
    for (row, cpu, value, title) in points.iter().rev() {
        let (across, down) = (x.at(*cpu), HEIGHT * (1.0 - y.at(*value) / 100.0));
        // In a room of usual width; on a phone only those that matter have a name.
        let (left, width) = (across * 9.6 + 8.0, 7.0 * row.name.chars().count() as f64);
        let free = |left: f64| {
            left > 0.0
                && left + width < 980.0
                && taken.iter().all(|(l, w, y)| (y - down).abs() > 12.0 || left > l + w || l > &(left + width))
        };
        let before = left - 16.0 - width;
        let place = if free(left) { Some((left, "start", 8)) } else { free(before).then_some((before, "end", -8)) };
        let label = match place {
            Some((at, anchor, dx)) if wants_name(row, &named) => {
                named.push(&row.name);
                taken.push((at, width, down));
                let minor = if rank(row) < 3 { " class=\"minor\"" } else { "" };
                format!(
                    "<text{minor} x=\"{across:.2}%\" dx=\"{dx}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                    down + 4.0,
                    Escaped(&row.name)
                )
            }
            _ => String::new(),
        };
        let title = format!("{title}: {} of CPU time, {}", short(*cpu, "ns"), short(*value, unit));
        taken.push((across * 9.6 - 5.0, 10.0, down));
        marks.push(format!("<g{}>{}{label}</g>", class(row), dot((across, down), &title)));
    }
    marks.reverse();
    out += &marks.concat();
    Some(format!(
        "<figure><h4>CPU time burnt against latency</h4><div class=\"plot scatter\">{out}</svg></div><figcaption>Across: CPU time of all parties per trip. \
         Upwards: {}. Both medians, logarithmic; down and to the left is better. Blue: phalanx; dark: libgomp; hollow: the floor.</figcaption></figure>\n",
        Escaped(unit)
    ))
}

pub fn is_gomp(row: &Row) -> bool {
    row.name.starts_with("libgomp")
}

/// The beginning of a plot, with its grid: ticks beneath at these values and at the left wherever the axis has them.
fn frame(x: &Axis, y: &Axis, beneath: &[f64], words: impl Fn(f64) -> String, unit: &str) -> String {
    let mut out = format!("<svg height=\"{HEIGHT}\">");
    for tick in y.ticks() {
        let at = HEIGHT * (1.0 - y.at(tick) / 100.0);
        out += &segment("grid", (0.0, at), (100.0, at));
        out += &format!(
            "<text x=\"0\" dx=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            at + 4.0,
            Escaped(&short(tick, unit))
        );
    }
    let mut last = -100.0_f64;
    for &tick in beneath {
        let at = x.at(tick);
        out += &segment("grid", (at, 0.0), (at, HEIGHT));
        let minor = if at - last < 9.0 { " class=\"minor\"" } else { "" };
        let words = words(tick);
        if at - last > 3.5 {
            out +=
                &format!("<text{minor} x=\"{at:.2}%\" y=\"{}\" text-anchor=\"middle\">{words}</text>", HEIGHT + 18.0);
        }
        last = at;
    }
    out
}

fn segment(class: &str, from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line class=\"{class}\" x1=\"{:.2}%\" y1=\"{:.1}\" x2=\"{:.2}%\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    )
}

fn dot(at: (f64, f64), title: &str) -> String {
    format!(
        "<circle class=\"dot\" cx=\"{:.2}%\" cy=\"{:.1}\" r=\"4\"><title>{}</title></circle>",
        at.0,
        at.1,
        Escaped(title)
    )
}

/// Heights for labels that want to be where they do not fit: pushed apart, in their order.
fn spread(mut wanted: Vec<(f64, &str)>) -> BTreeMap<&str, f64> {
    const LINE: f64 = 15.0;
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut places: Vec<f64> = wanted.iter().map(|(at, _)| *at).collect();
    // Down from above, and then up again from the lower edge.
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + LINE);
    }
    let mut limit = HEIGHT;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LINE;
    }
    wanted.into_iter().map(|(_, name)| name).zip(places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap_and_stay_within() {
        let wanted = vec![(370.0, "a"), (371.0, "b"), (10.0, "c"), (372.0, "d"), (12.0, "e")];
        let places = spread(wanted);
        let mut heights: Vec<f64> = places.values().copied().collect();
        heights.sort_by(f64::total_cmp);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= 14.9), "{places:?}");
        assert!(heights.iter().all(|at| (0.0..=HEIGHT).contains(at)));
        assert!(places["c"] < places["e"] && places["a"] < places["d"]);
    }

    #[test]
    fn curves_go_from_the_pair_to_the_crowds() {
        let report = crate::render::tests::awkward();
        let text = by_parties(&report).unwrap();
        for title in
            ["phalanx, 2 parties", "phalanx, 64 parties", "the floor, 2 parties", "std::sync::Barrier, 4 parties"]
        {
            assert!(text.contains(title), "{title} is not in {text}");
        }
        assert!(!text.contains("spin"), "two parties alone are no curve");
    }

    #[test]
    fn what_is_burnt_is_shown_of_those_who_say_so() {
        let report = crate::render::tests::awkward();
        let text = burnt(&report.sections[0]).unwrap();
        assert!(text.contains("spin&lt;T&gt;") && text.contains("class=\"gomp\""), "{text}");
        assert!(!text.contains("std::sync::Barrier"));
        assert!(burnt(&report.sections[2]).is_none());
    }
}
