//! Wilcoxon's signed-rank test. It asks no more of the differences than that they be symmetric; the
//! price is that few seeds cannot reach a small p-value, see [`signed_rank_floor`].

/// Up to so many values the distribution is counted out where there are neither ties nor zeros.
const EXACT_MAX: usize = 50;
/// Up to so many values it is counted out in any case.
const EXACT_WITH_TIES_MAX: usize = 13;

/// Two-sided p-value of the hypothesis that the values are symmetric about zero (Wilcoxon 1945).
/// Zeros are left out, equal sizes share their mean rank. The distribution of the rank sum is
/// counted over all signs, or approximated by a normal one that is corrected for ties, where
/// scipy's
/// `wilcoxon` does so by default. Without values that are not zero nothing speaks against equality:
/// 1. `None` without values.
pub fn signed_rank(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut kept: Vec<f64> = values.iter().copied().filter(|value| *value != 0.0).collect();
    if kept.is_empty() {
        return Some(1.0);
    }
    kept.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (ranks, ties) = doubled_ranks(&kept);
    let signed = kept.iter().zip(&ranks);
    let positive: usize = signed.filter(|(value, _)| **value > 0.0).map(|(_, rank)| rank).sum();
    let plain = ties.is_empty() && kept.len() == values.len();
    let most = if plain { EXACT_MAX } else { EXACT_WITH_TIES_MAX };
    Some(match values.len() <= most {
        true => counted(&ranks, positive),
        false => approximated(kept.len() as f64, &ties, positive as f64 / 2.0),
    })
}

/// The smallest p-value that [`signed_rank`] can give for so many values: all signs equal, 2 of 2^n
/// cases. With five it is 0.0625.
pub fn signed_rank_floor(values: usize) -> f64 {
    (2.0 * 0.5_f64.powi(i32::try_from(values).unwrap_or(i32::MAX))).min(1.0)
}

/// Twice the ranks of values sorted by size, so that mean ranks are whole; and the lengths of runs
/// of equal sizes.
fn doubled_ranks(sorted: &[f64]) -> (Vec<usize>, Vec<usize>) {
    let (mut ranks, mut ties) = (Vec::with_capacity(sorted.len()), Vec::new());
    for run in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = ranks.len() + 1;
        let last = ranks.len() + run.len();
        ranks.extend(run.iter().map(|_| first + last));
        if run.len() > 1 {
            ties.push(run.len());
        }
    }
    (ranks, ties)
}

/// Twice the smaller tail among all choices of signs. `cases[s]` is the share of choices whose
/// doubled positive rank sum is s.
fn counted(ranks: &[usize], positive: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    let mut cases = vec![0.0; total + 1];
    cases[0] = 1.0;
    for &rank in ranks {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { cases[sum - rank] } else { 0.0 };
            cases[sum] = 0.5 * (cases[sum] + with);
        }
    }
    let below: f64 = cases[..=positive].iter().sum();
    let above: f64 = cases[positive..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

/// Both tails of `z = (W - n(n+1)/4) / sqrt((n(n+1)(2n+1) - sum (t^3 - t)/2) / 24)` under the
/// normal distribution.
fn approximated(n: f64, ties: &[usize], positive: f64) -> f64 {
    let tied: f64 = ties.iter().map(|&t| (t as f64).powi(3) - t as f64).sum();
    let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - tied / 2.0) / 24.0).sqrt();
    let z = (positive - n * (n + 1.0) / 4.0) / deviation;
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::super::tests::close;
    use super::*;

    #[test]
    fn small_samples_by_hand() {
        // Ranks 1, 2, 3; only the sum 6 is as extreme on its side: 2 * 1/8.
        close(signed_rank(&[0.1, 0.2, 0.3]).unwrap(), 0.25, 1e-15);
        // Positive ranks 1 + 3 = 4 of 6. Sums of at least 4: {3,1}, {3,2}, {1,2,3}: 2 * 3/8.
        close(signed_rank(&[0.1, -0.2, 0.3]).unwrap(), 0.75, 1e-15);
        // Mean rank 1.5 twice. Sums 0, 1.5, 1.5, 3; of at least 1.5: three of four, at most: three.
        close(signed_rank(&[0.1, -0.1]).unwrap(), 1.0, 1e-15);
        assert_eq!(signed_rank(&[0.0, 0.0]), Some(1.0));
        assert_eq!(signed_rank(&[]), None);
    }

    #[test]
    fn few_values_cannot_reach_a_small_p() {
        assert_eq!(signed_rank_floor(5), 0.0625);
        close(signed_rank(&[0.5, 0.6, 0.7, 0.8, 0.9]).unwrap(), 0.0625, 1e-15);
        assert_eq!(signed_rank_floor(6), 0.03125);
        assert_eq!((signed_rank_floor(0), signed_rank_floor(1)), (1.0, 1.0));
    }

    #[test]
    fn the_sign_does_not_matter() {
        let values = [0.3, -0.1, 0.25, 0.0, 0.3, -0.7];
        let turned = values.map(|value: f64| -value);
        assert_eq!(signed_rank(&values), signed_rank(&turned));
    }
}
