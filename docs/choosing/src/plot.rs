//! One picture per machine: parties to the right, nanoseconds upwards, both on log scales; all together beside one late.

use crate::forecast::{Cost, Forecast};
use crate::machine::Fallible;
use phalanx::Algorithm;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use std::ops::Range;

const SIZE: (u32, u32) = (940, 520);
const LEGEND: u32 = 70;
/// Text that is seen against white; the picture brings its own white with it, so that it can be read on a dark page.
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(221, 221, 221);
/// One colour for each of [`Algorithm::NAMED`], told apart by the colour-blind as well; with the marks below, by all.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
    RGBColor(0, 158, 115),
    RGBColor(128, 190, 60),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
];

/// A log scale: logarithms, with lines at round numbers.
struct Log {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Log {
    fn new(from: f64, to: f64, ticks: impl IntoIterator<Item = f64>) -> Self {
        Self { from, to, ticks: ticks.into_iter().filter(|tick| (from..=to).contains(tick)).collect() }
    }
}

impl Ranged for Log {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.from) / (self.to - self.from);
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture, as text.
pub fn svg(forecast: &Forecast) -> Fallible<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (panels, legend) = root.split_vertically(SIZE.1 - LEGEND);
        let (left, right) = panels.split_horizontally(SIZE.0 / 2);
        let name = forecast.machine.name;
        panel(&left, forecast, &format!("{name}: all arrive together"), |cost| cost.together)?;
        panel(&right, forecast, &format!("{name}: one is late"), |cost| cost.straggler)?;
        explain(&legend)?;
        root.present()?;
    }
    Ok(text)
}

fn panel(area: &Area, forecast: &Forecast, title: &str, of: impl Fn(&Cost) -> u64) -> Fallible<()> {
    let rows = &forecast.rows;
    let both = rows.iter().flat_map(|row| &row.costs).flat_map(|cost| [cost.together, cost.straggler]);
    let (least, most) = both.fold((u64::MAX, 1), |(least, most), nanos| (least.min(nanos), most.max(nanos)));
    let parties: Vec<f64> = rows.iter().map(|row| (row.parties as f64).log2()).collect();
    let last = parties.last().copied().unwrap_or(1.0);
    let x = Log::new(0.9, last + 0.1, (1..10).map(f64::from));
    let round = (1..6).flat_map(|decade| [1.0, 2.0, 5.0].map(|step: f64| step.log10() + f64::from(decade)));
    let y = Log::new((least.max(1) as f64 * 0.8).log10(), (most as f64 * 1.25).log10(), round);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16).into_font().color(&INK))
        .margin(8)
        .margin_right(16)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc("parties")
        .y_desc("ns per trip")
        .x_label_formatter(&|parties| format!("{:.0}", parties.exp2()))
        .y_label_formatter(&|nanos| format!("{:.0}", 10_f64.powf(*nanos)))
        .draw()?;
    // The first algorithms last, since they are on top where lines meet.
    for (index, colour) in COLOURS.into_iter().enumerate().rev() {
        let points = rows.iter().zip(&parties);
        let points = points.map(|(row, &parties)| (parties, (of(&row.costs[index]) as f64).log10()));
        let points: Vec<(f64, f64)> = points.collect();
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        match index % 3 {
            0 => chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?,
            1 => chart.draw_series(points.into_iter().map(|point| TriangleMarker::new(point, 4, colour.filled())))?,
            _ => chart.draw_series(points.into_iter().map(|point| Cross::new(point, 3, colour.stroke_width(2))))?,
        };
    }
    Ok(())
}

/// Which colour is whose.
fn explain(area: &Area) -> Fallible<()> {
    const COLUMNS: i32 = 5;
    let style = ("sans-serif", 13).into_font().color(&INK);
    for (index, (algorithm, colour)) in Algorithm::NAMED.into_iter().zip(COLOURS).enumerate() {
        let index = index as i32;
        let (x, y) = (40 + index % COLUMNS * 180, 18 + index / COLUMNS * 24);
        area.draw(&PathElement::new(vec![(x, y), (x + 28, y)], colour.stroke_width(2)))?;
        match index % 3 {
            0 => area.draw(&Circle::new((x + 14, y), 3, colour.filled()))?,
            1 => area.draw(&TriangleMarker::new((x + 14, y), 4, colour.filled()))?,
            _ => area.draw(&Cross::new((x + 14, y), 3, colour.stroke_width(2)))?,
        }
        area.draw(&Text::new(algorithm.to_string(), (x + 36, y - 6), style.clone()))?;
    }
    Ok(())
}
