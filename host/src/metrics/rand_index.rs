//! How well one grouping matches another.

/// The adjusted Rand index of two groupings of the same things (Hubert and Arabie 1985):
/// `(Σ_ij C(n_ij, 2) − E)/(½(Σ_i C(a_i, 2) + Σ_j C(b_j, 2)) − E)` with `E = Σ_i C(a_i, 2) Σ_j C(b_j, 2)/C(n, 2)`,
/// where n_ij things are in group i of one and j of the other, a_i and b_j are the sizes. 1 for the same
/// grouping under any names, about 0 for chance. `None` where it is undefined: fewer than two things, or both
/// groupings trivial (all together, or all apart) in the same way.
pub fn adjusted_rand_index(found: &[u32], truth: &[u32]) -> Option<f64> {
    assert_eq!(found.len(), truth.len(), "two groupings of the same things");
    let pairs = |n: usize| (n * n.saturating_sub(1)) as f64 / 2.0;
    let sizes = |groups: &[u32]| {
        let mut counts = std::collections::BTreeMap::new();
        groups.iter().for_each(|group| *counts.entry(*group).or_insert(0usize) += 1);
        counts.into_values().map(pairs).sum::<f64>()
    };
    let mut cells = std::collections::BTreeMap::new();
    found.iter().zip(truth).for_each(|cell| *cells.entry(cell).or_insert(0usize) += 1);
    let together: f64 = cells.into_values().map(pairs).sum();
    let (a, b, all) = (sizes(found), sizes(truth), pairs(found.len()));
    let expected = a * b / all;
    let index = (together - expected) / ((a + b) / 2.0 - expected);
    index.is_finite().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_do_not_matter() {
        assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 2, 2]), Some(1.0));
    }

    /// n_ij = (2, 0; 1, 2): 2 pairs together; a = (2, 3) and b = (3, 2): 4 each; E = 4·4/10.
    #[test]
    fn the_index_by_hand() {
        let found = adjusted_rand_index(&[0, 0, 1, 1, 1], &[5, 5, 5, 6, 6]).unwrap();
        assert!((found - (2.0 - 1.6) / (4.0 - 1.6)).abs() < 1e-12);
    }

    #[test]
    fn worse_than_chance_is_below_zero() {
        // No pair stays together: E = 2·2/6.
        let found = adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]).unwrap();
        assert!((found + 0.5).abs() < 1e-12);
    }

    #[test]
    fn it_is_undefined_without_two_groups_or_two_things() {
        assert_eq!(adjusted_rand_index(&[], &[]), None);
        assert_eq!(adjusted_rand_index(&[0], &[0]), None);
        assert_eq!(adjusted_rand_index(&[1, 1, 1], &[0, 0, 0]), None);
        assert_eq!(adjusted_rand_index(&[1, 1, 1], &[0, 0, 1]), Some(0.0));
    }
}
