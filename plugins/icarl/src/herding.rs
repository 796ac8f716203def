//! Herding and class means (iCaRL, algorithms 1, 4 and 5), on plain numbers: features are vectors
//! of length 1, and distances between them are what counts.

/// Algorithm 4: the places of `count` exemplars among samples with features `[n, width]`, the most
/// important first. Each is the one that brings the mean of those chosen so far nearest to the mean
/// of all; of equally near ones, the first. All samples where there are no more.
pub fn herd(features: &[f32], width: usize, count: usize) -> Vec<usize> {
    let rows: Vec<&[f32]> = features.chunks_exact(width).collect();
    let mean = mean(features, width);
    let mut sum = vec![0.0f64; width];
    let mut chosen = Vec::new();
    let mut free: Vec<usize> = (0..rows.len()).collect();
    while chosen.len() < count.min(rows.len()) {
        let k = (chosen.len() + 1) as f64;
        let distance = |row: &[f32]| -> f64 {
            let parts = mean.iter().zip(&sum).zip(row);
            parts.map(|((mean, sum), x)| (mean - (sum + f64::from(*x)) / k).powi(2)).sum()
        };
        let nearer = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
        let next = free.iter().enumerate().map(|(at, &row)| (at, distance(rows[row])));
        let (at, _) = next.min_by(nearer).expect("fewer are chosen than there are");
        let row = free.remove(at);
        sum.iter_mut().zip(rows[row]).for_each(|(sum, x)| *sum += f64::from(*x));
        chosen.push(row);
    }
    chosen
}

/// The mean of features `[n, width]`.
pub fn mean(features: &[f32], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in features.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x));
    }
    let count = (features.len() / width).max(1) as f64;
    mean.iter_mut().for_each(|mean| *mean /= count);
    mean
}

/// Scales each row of `[n, width]` to length 1; rows of zeros stay.
pub fn normalise(features: &mut [f32], width: usize) {
    for row in features.chunks_exact_mut(width) {
        let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
}

/// `‖a − b‖²`.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a line: 0, 1, 5 and 6 have the mean 3. Nearest is 1 or 5, both 2 away: 1, the first. Then
    /// (1 + 5)/2 = 3 is the mean itself. Then (1 + 5 + x)/3 is 2 for x = 0 and 4 for x = 6: 0.
    #[test]
    fn exemplars_by_hand() {
        let samples = [0.0, 1.0, 5.0, 6.0];
        assert_eq!(herd(&samples, 1, 4), [1, 2, 0, 3]);
        assert_eq!(herd(&samples, 1, 2), [1, 2]);
        assert_eq!(herd(&samples, 1, 9).len(), 4);
        assert_eq!(herd(&samples, 1, 0), [0; 0]);
    }

    /// What is kept of a longer list is the list that would have been made: exemplars are dropped
    /// from the end.
    #[test]
    fn a_shorter_list_is_the_beginning_of_a_longer_one() {
        let samples: Vec<f32> = (0..60).map(|i| ((i * 37) % 23) as f32).collect();
        let all = herd(&samples, 3, 20);
        for count in 0..20 {
            assert_eq!(herd(&samples, 3, count), all[..count]);
        }
    }

    #[test]
    fn rows_get_length_one_and_means_are_means() {
        let mut rows = [3.0, 4.0, 0.0, 0.0, 0.0, 2.0];
        normalise(&mut rows, 2);
        assert_eq!(rows, [0.6, 0.8, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
        assert_eq!(squared_distance(&[1.0, 2.0], &[3.0, -1.0]), 13.0);
    }
}
