//! Logarithmic axes, in percent of whatever room there is: so a plot fits a phone and a screen without a script, and its
//! letters stay as large as the text around it.

/// From the least to the greatest value, with some room on both sides.
pub struct Axis {
    /// Decimal logarithms.
    low: f64,
    high: f64,
}

impl Axis {
    /// Of all values that a logarithm can show; nothing if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let logs = values.into_iter().filter(|x| x.is_finite() && *x > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        // Values that hardly differ shall not look as if they did.
        let room = ((0.2 - (high - low)) / 2.0).max(0.03 * (high - low)).max(0.01);
        (low <= high).then_some(Self { low: low - room, high: high + room })
    }

    /// Where a value lies, in percent; at the edge if it is beyond.
    pub fn at(&self, value: f64) -> f64 {
        let log = if value > 0.0 { value.log10() } else { self.low };
        (100.0 * (log - self.low) / (self.high - self.low)).clamp(0.0, 100.0)
    }

    /// Half a dozen round values, of which each can be told from its neighbours.
    pub fn ticks(&self) -> Vec<f64> {
        let span = self.high - self.low;
        let within = |x: &f64| (self.low..=self.high).contains(&x.log10());
        let decades = || (self.low.floor() as i32)..=(self.high.ceil() as i32);
        if span < 0.75 {
            let (from, to) = (10_f64.powf(self.low), 10_f64.powf(self.high));
            let step = round_up((to - from) / 4.5);
            let first = (from / step).ceil() as i64;
            return (first..).map(|k| tidy(k as f64 * step)).take_while(|x| *x <= to).collect();
        }
        let steps: &[f64] = match span {
            ..1.3 => &[1.0, 2.0, 5.0],
            ..2.6 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let every = (span / 6.0).ceil() as i32;
        decades()
            .filter(|decade| decade.rem_euclid(every) == 0)
            .flat_map(|decade| steps.iter().map(move |step| tidy(step * 10_f64.powi(decade))))
            .filter(within)
            .collect()
    }
}

/// The next of 1, 2, 5, 10, ..
fn round_up(x: f64) -> f64 {
    let decade = 10_f64.powf(x.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| *step >= x).unwrap_or(x)
}

/// Without the last digits, which are the arithmetic's.
fn tidy(x: f64) -> f64 {
    format!("{x:.9e}").parse().unwrap_or(x)
}

/// A time as short as can be, if the unit is one; else the number.
pub fn short(value: f64, unit: &str) -> String {
    let ns = match unit.split(['/', ' ']).next() {
        Some("ns") => value,
        Some("µs") => value * 1e3,
        Some("ms") => value * 1e6,
        _ => return plain(value),
    };
    match ns.abs() {
        size if size < 999.5 => format!("{} ns", plain(ns)),
        size if size < 999.5e3 => format!("{} µs", plain(ns / 1e3)),
        size if size < 999.5e6 => format!("{} ms", plain(ns / 1e6)),
        _ if ns.is_nan() => "-".into(),
        _ => format!("{} s", plain(ns / 1e9)),
    }
}

/// Three digits, and none that are zero at the end.
pub fn plain(x: f64) -> String {
    if !x.is_finite() || x == 0.0 {
        return if x == 0.0 { "0".into() } else { "-".into() };
    }
    let digits = (2 - x.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_round_and_within() {
        for (from, to) in [(100.0, 110.0), (1.0, 1.0), (80.0, 900.0), (0.5, 40.0), (3.0, 3e5), (1e-3, 1e9)] {
            let axis = Axis::of([from, to]).unwrap();
            let ticks = axis.ticks();
            assert!((2..=8).contains(&ticks.len()), "{from} {to}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(ticks.iter().all(|x| (0.0..=100.0).contains(&axis.at(*x))));
        }
    }

    #[test]
    fn places() {
        let axis = Axis::of([1.0, 10.0, 100.0, f64::NAN, 0.0]).unwrap();
        assert!((axis.at(10.0) - 50.0).abs() < 1e-9);
        assert!(axis.at(1.0) > 0.0 && axis.at(0.0) == 0.0 && axis.at(1e9) == 100.0);
        assert!(Axis::of([f64::NAN, -1.0]).is_none());
    }

    #[test]
    fn short_numbers() {
        let text = [(168.4, "ns/trip"), (29_345.0, "ns"), (1.5, "µs"), (2.5e6, "ns/trip"), (0.1234, "share")];
        assert_eq!(text.map(|(x, unit)| short(x, unit)), ["168 ns", "29.3 µs", "1.5 µs", "2.5 ms", "0.123"]);
        assert_eq!([0.0, 1000.0, 1234.5, f64::NAN].map(plain), ["0", "1000", "1234", "-"]);
    }
}
