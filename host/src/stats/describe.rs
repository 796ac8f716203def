//! Mean and standard deviation, and the three numbers a table shows for a sample of seeds.

use serde::Serialize;

use super::mean_interval;

/// A sample in three numbers. `None` where undefined: all three for an empty sample, `std` and
/// `ci95` for a single value.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub mean: Option<f64>,
    /// Sample standard deviation (n - 1).
    pub std: Option<f64>,
    /// 95 % percentile bootstrap interval of the mean: lower and upper end.
    pub ci95: Option<[f64; 2]>,
}

impl Spread {
    /// Describes the values, one per seed.
    pub fn of(values: &[f64]) -> Spread {
        Spread {
            mean: mean(values),
            std: standard_deviation(values),
            ci95: mean_interval(values).map(|(low, high)| [low, high]),
        }
    }
}

/// Arithmetic mean; `None` for an empty sample.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`; `None` for fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FIRST, close};
    use super::*;

    #[test]
    fn small_numbers_by_hand() {
        // (1 + 2 + 6) / 3 = 3; deviations -2, -1, 3; (4 + 1 + 9) / 2 = 7.
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(standard_deviation(&[1.0, 2.0, 6.0]), Some(7.0_f64.sqrt()));
    }

    #[test]
    fn agrees_with_numpy() {
        // a.mean(), a.std(ddof=1)
        close(mean(&FIRST).unwrap(), 0.9048, 1e-15);
        close(standard_deviation(&FIRST).unwrap(), 0.01675410397484749, 1e-15);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(Spread::of(&[]), Spread::default());
        let single = Spread::of(&[0.5]);
        assert_eq!(single, Spread { mean: Some(0.5), std: None, ci95: None });
    }
}
