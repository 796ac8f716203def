//! Student's t-test. The paired test is the one-sample test of the differences.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{mean, standard_deviation};

/// Two-sided p-value of the hypothesis that the values have mean zero (Student 1908): the tail of
/// `t = mean / (std / sqrt(n))` under n - 1 degrees of freedom.
///
/// `None` for fewer than two values. Values that are all zero give 1: nothing speaks against
/// equality. Values that are all equal but not zero give 0, the limit of the formula.
pub fn one_sample_t(values: &[f64]) -> Option<f64> {
    let deviation = standard_deviation(values)?;
    let mean = mean(values)?;
    if mean == 0.0 {
        return Some(1.0);
    }
    let t = mean.abs() / (deviation / (values.len() as f64).sqrt());
    let distribution = StudentsT::new(0.0, 1.0, (values.len() - 1) as f64).ok()?;
    Some((2.0 * distribution.sf(t)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::differences;
    use super::super::tests::{FIRST, SECOND, close};
    use super::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.ttest_rel(a, b).pvalue
        let paired = one_sample_t(&differences(&FIRST, &SECOND)).unwrap();
        close(paired, 0.0034484382031967366, 1e-12);
        // scipy.stats.ttest_1samp(values, 0).pvalue
        close(one_sample_t(&[0.01, -0.02, 0.03]).unwrap(), 0.6913933000758162, 1e-12);
        close(one_sample_t(&[0.01, 0.03]).unwrap(), 0.2951672353008665, 1e-12);
        close(one_sample_t(&[-0.123, -0.118, -0.131]).unwrap(), 0.0009308872505225294, 1e-12);
    }

    #[test]
    fn degenerate_samples() {
        assert_eq!(one_sample_t(&[]), None);
        assert_eq!(one_sample_t(&[0.5]), None);
        assert_eq!(one_sample_t(&[0.0, 0.0, 0.0]), Some(1.0));
        assert_eq!(one_sample_t(&[0.5, -0.5]), Some(1.0));
        assert_eq!(one_sample_t(&[0.5, 0.5, 0.5]), Some(0.0));
    }
}
