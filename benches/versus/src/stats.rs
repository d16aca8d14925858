//! Quartiles, and ratios of rounds that ran side by side.
//!
//! On a shared machine the rounds of one peer scatter by far more than two peers differ, and they scatter together:
//! what slows one round slows its neighbours. So each round of one peer is divided by the same round of the other, and
//! the median of these ratios is the result. The quartiles beside it say how much the ratios themselves scatter.

use serde::Serialize;

/// Minimum, quartiles and maximum of a sample.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Summary {
    pub min: f64,
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
    pub max: f64,
    pub n: usize,
}

impl Summary {
    /// Of all numbers in the sample; NaN everywhere if there are none.
    pub fn of(sample: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = sample.into_iter().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            min: quantile(&sorted, 0.0),
            q1: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            q3: quantile(&sorted, 0.75),
            max: quantile(&sorted, 1.0),
            n: sorted.len(),
        }
    }

    /// Of `a[i] / b[i]` for every round that both took part in.
    pub fn of_ratios(a: &[Option<f64>], b: &[Option<f64>]) -> Self {
        Self::of(a.iter().zip(b).filter_map(|(a, b)| Some((*a)? / (*b)?)))
    }
}

/// Linear between the two neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = last as f64 * q;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The median alone.
pub fn median(sample: impl IntoIterator<Item = f64>) -> f64 {
    Summary::of(sample).median
}

/// Another quantile alone.
pub fn quantile_of(sample: impl IntoIterator<Item = f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = sample.into_iter().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_five() {
        let s = Summary::of([5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((s.min, s.q1, s.median, s.q3, s.max, s.n), (1.0, 2.0, 3.0, 4.0, 5.0, 5));
    }

    #[test]
    fn between_two_it_is_the_middle() {
        assert_eq!(median([1.0, 2.0]), 1.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let a = [Some(2.0), None, Some(30.0)];
        let b = [Some(1.0), Some(1.0), Some(10.0)];
        let s = Summary::of_ratios(&a, &b);
        assert_eq!((s.min, s.max, s.n), (2.0, 3.0, 2));
    }
}
