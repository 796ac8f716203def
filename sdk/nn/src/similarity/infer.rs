//! Which group a test sample belongs to, without being told: by the nearest class prototype.

use super::dot;
use super::prototypes::ClassMeans;

/// `π_g(x) ∝ exp(−d_g(x)/T)`, d_g the Euclidean distance of x to the nearest class prototype of
/// group g, over the classes of g that have samples. Rows `[n, width]` in, `[n, groups]` out.
/// `temperature` 0 gives all to the nearest group (the first of equals). A group without samples
/// gets nothing; where no group has any, all get the same.
pub fn group_probabilities(rows: &[f32], groups: &[&ClassMeans], temperature: f32) -> Vec<f32> {
    let Some(width) = groups.first().map(|means| means.width()) else { return Vec::new() };
    // |x − μ|² = |x|² − 2 xμ + |μ|²: one inner product per prototype.
    let prototypes: Vec<Vec<f32>> = groups.iter().map(|means| means.means()).collect();
    let norms = prototypes.iter().map(|means| {
        let norm = |mean: &[f32]| dot(mean, mean);
        means.chunks_exact(width).map(norm).collect::<Vec<f32>>()
    });
    let norms: Vec<Vec<f32>> = norms.collect();
    let mut all = Vec::with_capacity(rows.len() / width * groups.len());
    for row in rows.chunks_exact(width) {
        let own = dot(row, row);
        let distance = |group: usize| {
            let pairs = prototypes[group].chunks_exact(width).zip(&norms[group]);
            let squares = pairs.map(|(mean, norm)| own - 2.0 * dot(row, mean) + norm);
            squares.fold(f32::INFINITY, f32::min).max(0.0).sqrt()
        };
        let distances: Vec<f32> = (0..groups.len()).map(distance).collect();
        all.extend(shares(&distances, temperature));
    }
    all
}

fn shares(distances: &[f32], temperature: f32) -> Vec<f32> {
    let nearest = distances.iter().copied().fold(f32::INFINITY, f32::min);
    if nearest.is_infinite() {
        return vec![1.0 / distances.len() as f32; distances.len()];
    }
    if temperature == 0.0 {
        let first = distances.iter().position(|d| *d == nearest);
        return (0..distances.len()).map(|g| f32::from(u8::from(Some(g) == first))).collect();
    }
    let weights: Vec<f32> =
        distances.iter().map(|d| (-(d - nearest) / temperature).exp()).collect();
    let total: f32 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// `log Σ_g π_g σ(z_g)`: the mixture as logits. `pi` `[n, groups]`, one `[n, classes]` of logits
/// per group.
pub fn mix(pi: &[f32], logits: &[Vec<f32>], classes: usize) -> Vec<f32> {
    let groups = logits.len();
    let rows = logits.first().map_or(0, |z| z.len() / classes);
    let mut mixture = vec![0.0f32; rows * classes];
    for (row, out) in mixture.chunks_exact_mut(classes).enumerate() {
        for (group, z) in logits.iter().enumerate() {
            let z = &z[row * classes..][..classes];
            let highest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f32 = z.iter().map(|z| (z - highest).exp()).sum();
            let share = pi[row * groups + group] / total;
            out.iter_mut().zip(z).for_each(|(p, z)| *p += share * (z - highest).exp());
        }
        // A probability too small for f32 still needs a finite logarithm.
        out.iter_mut().for_each(|p| *p = p.max(f32::MIN_POSITIVE).ln());
    }
    mixture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(rows: &[([f32; 2], u32)]) -> ClassMeans {
        let mut means = ClassMeans::new(3, 2);
        rows.iter().for_each(|(row, label)| means.add(row, &[*label]));
        means
    }

    /// Distances of (0, 0): 1 to the nearer prototype of the first, 2 to the second: e^(−1)/(e^(−1)
    /// + e^(−2)).
    #[test]
    fn probabilities_by_hand() {
        let (near, far) = (means(&[([0.0, 1.0], 0), ([9.0, 9.0], 2)]), means(&[([2.0, 0.0], 1)]));
        let pi = group_probabilities(&[0.0, 0.0], &[&near, &far], 1.0);
        let expected = 1.0 / (1.0 + (-1.0f32).exp());
        assert!((pi[0] - expected).abs() < 1e-6 && (pi[0] + pi[1] - 1.0).abs() < 1e-6);
        let sharp = group_probabilities(&[0.0, 0.0, 2.0, 0.5], &[&near, &far], 0.0);
        assert_eq!(sharp, [1.0, 0.0, 0.0, 1.0]);
    }

    /// A class without samples has no prototype at the origin.
    #[test]
    fn classes_and_groups_without_samples_count_for_nothing() {
        let (some, none) = (means(&[([5.0, 5.0], 0)]), means(&[]));
        let pi = group_probabilities(&[0.0, 0.0], &[&none, &some], 1.0);
        assert_eq!(pi, [0.0, 1.0]);
        assert_eq!(group_probabilities(&[0.0, 0.0], &[&none, &none], 1.0), [0.5, 0.5]);
        assert!(group_probabilities(&[0.0, 0.0], &[], 1.0).is_empty());
    }

    /// σ(0, 0) = (½, ½); σ(ln 3, 0) = (¾, ¼). With π = (½, ½): (⅝, ⅜).
    #[test]
    fn mixtures_by_hand() {
        let logits = [vec![0.0, 0.0], vec![3.0f32.ln(), 0.0]];
        let found = mix(&[0.5, 0.5], &logits, 2);
        assert!((found[0].exp() - 0.625).abs() < 1e-6 && (found[1].exp() - 0.375).abs() < 1e-6);
        let certain = mix(&[0.0, 1.0], &[vec![1e4, 0.0], vec![0.0, 1e4]], 2);
        assert!(certain[1] > -1e-6 && certain[0].is_finite());
    }
}
