//! How often one method beats another.

/// Probability that a run of the first method is better than a run of the second, ties counting
/// half: the mean over all pairs of runs. Source: Agarwal et al. 2021, "Deep Reinforcement Learning
/// at the Edge of the Statistical Precipice", probability of improvement; it is the Mann-Whitney
/// statistic over the number of pairs. `None` where one sample is empty.
pub fn probability_of_improvement(first: &[f64], second: &[f64]) -> Option<f64> {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
    let wins: f64 =
        pairs.map(|(a, b)| if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 }).sum();
    let count = first.len() * second.len();
    (count > 0).then(|| wins / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        // 3 > 1, 3 > 2; 2 > 1, 2 = 2: 3.5 of 4.
        assert_eq!(probability_of_improvement(&[3.0, 2.0], &[1.0, 2.0]), Some(0.875));
        assert_eq!(probability_of_improvement(&[1.0, 2.0], &[3.0, 2.0]), Some(0.125));
        assert_eq!(probability_of_improvement(&[1.0], &[1.0, 1.0]), Some(0.5));
        assert_eq!(probability_of_improvement(&[], &[1.0]), None);
    }
}
