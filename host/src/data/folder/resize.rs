//! Bilinear resizing of u8 planes with antialiasing, step by step as Pillow's `BILINEAR` does it,
//! so that a protocol written in PyTorch meets the same pixels.
//! Source: Pillow, `src/libImaging/Resample.c`.

/// Fraction bits of a weight: 32 less 8 for the pixel and 2 against overflow.
const PRECISION_BITS: u32 = 22;

/// Which pixels of the old axis make up a pixel of the new one, and with which weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes one plane from `(height, width)` to `(height, width)`.
///
/// # Panics
/// When a size is 0 or the plane is not of the size it is said to be.
pub(super) fn resize(plane: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    assert_eq!(plane.len(), from.0 * from.1);
    // Rows first, then columns, with rounding to u8 between them.
    let narrowed = match from.1 == to.1 {
        true => plane.to_vec(),
        false => {
            let taps = taps(from.1, to.1);
            plane
                .chunks_exact(from.1)
                .flat_map(|row| taps.iter().map(|tap| tap.at(row, 1)))
                .collect()
        }
    };
    if from.0 == to.0 {
        return narrowed;
    }
    let taps = taps(from.0, to.0);
    let columns = |tap: &Taps| (0..to.1).map(|x| tap.at(&narrowed[x..], to.1)).collect::<Vec<_>>();
    taps.iter().flat_map(columns).collect()
}

impl Taps {
    /// The weighted sum along an axis whose neighbours lie `stride` apart.
    fn at(&self, pixels: &[u8], stride: usize) -> u8 {
        let pixels = pixels[self.first * stride..].iter().step_by(stride);
        let half = 1 << (PRECISION_BITS - 1);
        let sum = self
            .weights
            .iter()
            .zip(pixels)
            .fold(half, |sum, (weight, &pixel)| sum + weight * i32::from(pixel));
        (sum >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

/// A triangle around the place in the old axis, as wide as a new pixel where that is larger.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let tap = |place: usize| {
        let centre = (place as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |x: usize| (1.0 - ((x as f64 - centre + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed =
            |weight: &f64| (weight / sum * f64::from(1u32 << PRECISION_BITS)).round() as i32;
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_weighs_three_neighbours() {
        // The new pixel reaches two old ones to each side of its centre at 1: 3/4, 3/4 and 1/4 of
        // 7/4, so (3 * 0 + 3 * 70 + 140) / 7 = 50; the other is its mirror image.
        assert_eq!(resize(&[0, 70, 140, 210], (1, 4), (1, 2)), [50, 160]);
        assert_eq!(resize(&[0, 70, 140, 210], (4, 1), (2, 1)), [50, 160]);
    }

    #[test]
    fn doubling_interpolates() {
        // Centres at 0.25, 0.75, 1.25, 1.75 between old ones at 0.5 and 1.5.
        assert_eq!(resize(&[0, 100], (1, 2), (1, 4)), [0, 25, 75, 100]);
    }

    #[test]
    fn both_axes_are_resized_and_flat_stays_flat() {
        let plane: Vec<u8> = [[0, 70, 140, 210]; 3].concat();
        assert_eq!(resize(&plane, (3, 4), (5, 2)), [[50, 160]; 5].concat());
        assert_eq!(resize(&[200; 12], (3, 4), (7, 9)), [200; 63]);
        assert_eq!(resize(&plane, (3, 4), (3, 4)), plane);
    }
}
