//! Holm's correction for asking several questions of the same data.

/// Holm's step-down adjusted p-values (Holm 1979), in the order given: the k-th smallest of m is
/// multiplied by m - k + 1, never below a smaller one's value, at most 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let scaled = p_values[index] * (p_values.len() - rank) as f64;
        largest = largest.max(scaled.min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::super::tests::close;
    use super::*;

    fn check(p_values: &[f64], expected: &[f64]) {
        let adjusted = holm(p_values);
        assert_eq!(adjusted.len(), expected.len());
        for (value, expected) in adjusted.iter().zip(expected) {
            close(*value, *expected, 1e-12);
        }
    }

    #[test]
    fn agrees_with_statsmodels() {
        // statsmodels.stats.multitest.multipletests(p, method="holm")[1]
        check(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]);
        check(&[0.02, 0.5, 0.021], &[0.06, 0.5, 0.06]);
    }

    #[test]
    fn edges() {
        check(&[], &[]);
        check(&[0.2], &[0.2]);
        check(&[0.9, 0.8], &[1.0, 1.0]);
    }
}
