//! CutMix (Yun et al., ICCV 2019): a box of every image is replaced by the same box of another one
//! of the batch, and labels are mixed by the areas.

use perdura_sdk::rand::{Rng, RngExt};

/// A mixed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// `[n, channels, height, width]`.
    pub inputs: Vec<f32>,
    /// Label of the image that gave the box, `[n]`.
    pub others: Vec<u32>,
    /// λ: share of the pixels that are the image's own.
    pub own: f64,
}

/// A box of pixels: rows and columns from .. to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    pub rows: (usize, usize),
    pub columns: (usize, usize),
}

/// Mixes images `[channels, height, width]`. λ' is drawn from Beta(α, α), a box of the share
/// `1 − λ'` of the area around a pixel drawn evenly, as far as it lies in the image, and one
/// shuffle of the batch says who gives to whom; λ is the share that the box leaves.
pub fn cutmix(
    (inputs, labels): (&[f32], &[u32]),
    [channels, height, width]: [usize; 3],
    alpha: f64,
    rng: &mut impl Rng,
) -> Mixed {
    let patch = patch(beta(alpha, rng), (height, width), rng);
    let mut giver: Vec<usize> = (0..labels.len()).collect();
    for last in (1..giver.len()).rev() {
        giver.swap(last, rng.random_range(0..=last));
    }
    let image = channels * height * width;
    let mut mixed = inputs.to_vec();
    for (to, from) in mixed.chunks_exact_mut(image).zip(&giver) {
        let from = &inputs[from * image..][..image];
        let rows = |c| (patch.rows.0..patch.rows.1).map(move |row| (c * height + row) * width);
        for row in (0..channels).flat_map(rows) {
            let piece = row + patch.columns.0..row + patch.columns.1;
            to[piece.clone()].copy_from_slice(&from[piece]);
        }
    }
    let area = (patch.rows.1 - patch.rows.0) * (patch.columns.1 - patch.columns.0);
    let own = 1.0 - area as f64 / (height * width) as f64;
    Mixed { inputs: mixed, others: giver.into_iter().map(|i| labels[i]).collect(), own }
}

/// A box of `⌊h·√(1−λ)⌋ x ⌊w·√(1−λ)⌋` around a pixel, cut off at the edges.
fn patch(lambda: f64, (height, width): (usize, usize), rng: &mut impl Rng) -> Patch {
    let side = (1.0 - lambda).sqrt();
    let mut span = |length: usize| {
        let half = (length as f64 * side) as usize / 2;
        let centre = rng.random_range(0..length);
        (centre.saturating_sub(half), (centre + half).min(length))
    };
    Patch { rows: span(height), columns: span(width) }
}

/// Beta(α, α) by Jöhnk's method: x = u^(1/α) and y = v^(1/α), taken once x + y ≤ 1, give x/(x + y).
/// Quick for α up to 2.
fn beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    loop {
        let x = rng.random::<f64>().powf(1.0 / alpha);
        let y = rng.random::<f64>().powf(1.0 / alpha);
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

    /// The box comes from one other image at the same place, λ is the share of pixels that stayed,
    /// and the other label is that image's.
    #[test]
    fn pixels_and_labels_are_mixed_by_the_same_share() {
        let (shape, image) = ([2, 6, 5], 60);
        let inputs: Vec<f32> = (0..4 * image).map(|at| at as f32).collect();
        let labels = [10, 11, 12, 13];
        let mut boxes = 0;
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mixed = cutmix((&inputs, &labels), shape, 1.0, &mut rng);
            for (number, pixels) in mixed.inputs.chunks(image).enumerate() {
                let from = |pixel: f32| pixel as usize / image;
                let giver = (mixed.others[number] - 10) as usize;
                let allowed = |p: &f32| from(*p) == number || from(*p) == giver;
                assert!(pixels.iter().all(allowed));
                assert!(pixels.iter().enumerate().all(|(at, p)| *p as usize % image == at));
                if giver != number {
                    let own = pixels.iter().filter(|p| from(**p) == number).count();
                    assert!((own as f64 / image as f64 - mixed.own).abs() < 1e-12);
                    boxes += usize::from(own < image);
                }
            }
        }
        assert!(boxes > 50, "{boxes}");
    }

    /// With α = 1 the share is uniform: mean 1/2, variance 1/12. With α = 2 the variance is 1/20.
    /// 20,000 draws; the bounds are five standard deviations of the mean.
    #[test]
    fn the_beta_distribution_has_its_moments() {
        for (alpha, variance) in [(1.0, 1.0 / 12.0), (2.0, 1.0 / 20.0), (0.5, 1.0 / 8.0)] {
            let mut rng = StdRng::seed_from_u64(1);
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|_| beta(alpha, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let spread = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            let bound = 5.0 * (variance / f64::from(n)).sqrt();
            assert!((mean - 0.5).abs() < bound, "alpha {alpha}: mean {mean}");
            assert!((spread / variance - 1.0).abs() < 0.05, "alpha {alpha}: variance {spread}");
        }
    }

    /// λ = 3/4 leaves a box of half the side: 4 x 4 of 8 x 8, less at the edges.
    #[test]
    fn boxes_by_hand() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut full = 0;
        for _ in 0..200 {
            let Patch { rows, columns } = patch(0.75, (8, 8), &mut rng);
            let sides = [rows.1 - rows.0, columns.1 - columns.0];
            assert!(sides.iter().all(|side| (2..=4).contains(side)), "{sides:?}");
            full += usize::from(sides == [4, 4]);
        }
        assert!(full > 50, "{full}");
        let none = patch(1.0, (8, 8), &mut rng);
        assert_eq!((none.rows.0, none.columns.0), (none.rows.1, none.columns.1));
    }
}
