//! S-CKA: two networks are alike when they place the same samples alike.

use super::{centred, dot};

/// Linear CKA (Kornblith et al. 2019) of the features X `[rows, x_width]` and Y `[rows, y_width]`
/// that two networks give the same samples: `‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F)`, columns centred. In [0,
/// 1], symmetric, the same under rotation and isotropic scale of either. 0 without rows, NaN where
/// a side is constant.
///
/// Computed from the `[rows, rows]` inner products of either side. Panics when the rows differ in
/// number.
pub fn linear_cka(x: &[f32], x_width: usize, y: &[f32], y_width: usize) -> f32 {
    let rows = x.len() / x_width;
    assert_eq!(rows, y.len() / y_width, "features of the same samples");
    if rows == 0 {
        return 0.0;
    }
    let (x, y) = (centred(x, x_width), centred(y, y_width));
    let inner = |v: &[f32], width: usize, i: usize, j: usize| {
        f64::from(dot(&v[i * width..][..width], &v[j * width..][..width]))
    };
    let (mut xy, mut xx, mut yy) = (0.0f64, 0.0f64, 0.0f64);
    for i in 0..rows {
        for j in 0..=i {
            let (k, l) = (inner(&x, x_width, i, j), inner(&y, y_width, i, j));
            let twice = if i == j { 1.0 } else { 2.0 };
            (xy, xx, yy) = (xy + twice * k * l, xx + twice * k * k, yy + twice * l * l);
        }
    }
    (xy / (xx.sqrt() * yy.sqrt())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::task;

    /// X = (1, −1), Y = ((1, 1), (−1, −1)) and Z = ((0, 1), (0, 1)): one direction each, or none.
    #[test]
    fn cka_by_hand() {
        let x = [1.0, -1.0];
        assert!((linear_cka(&x, 1, &[1.0, 1.0, -1.0, -1.0], 2) - 1.0).abs() < 1e-6);
        assert!(linear_cka(&x, 1, &[0.0, 1.0, 0.0, 1.0], 2).is_nan());
        // Centred: x = (1, −1, 0, 0), y = (0, 0, 1, −1); K and L share no entry.
        assert_eq!(linear_cka(&[1.0, -1.0, 0.0, 0.0], 1, &[0.0, 0.0, 1.0, -1.0], 1), 0.0);
        assert_eq!(linear_cka(&[], 1, &[], 2), 0.0);
    }

    #[test]
    fn rotation_and_scale_change_nothing_but_stretching_does() {
        let x = task(1, 1, 30, 1.0);
        let (sin, cos) = 0.7f32.sin_cos();
        let rotate = |row: &[f32]| -> Vec<f32> {
            row.chunks_exact(2)
                .flat_map(|p| [3.0 * (cos * p[0] - sin * p[1]), 3.0 * (sin * p[0] + cos * p[1])])
                .collect()
        };
        let rotated: Vec<f32> = x.values.chunks_exact(20).flat_map(rotate).collect();
        assert!((linear_cka(&x.values, 20, &rotated, 20) - 1.0).abs() < 1e-5);
        let stretch = |(i, v): (usize, &f32)| if i % 20 == 0 { 50.0 * v } else { *v };
        let stretched: Vec<f32> = x.values.iter().enumerate().map(stretch).collect();
        assert!(linear_cka(&x.values, 20, &stretched, 20) < 0.9);
    }

    #[test]
    fn it_is_symmetric() {
        let (x, y) = (task(1, 1, 30, 1.0), task(2, 1, 30, 1.0));
        let (there, back) =
            (linear_cka(&x.values, 20, &y.values, 20), linear_cka(&y.values, 20, &x.values, 20));
        assert!((there - back).abs() < 1e-6 && there < 0.95);
    }
}
