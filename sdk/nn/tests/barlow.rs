//! Barlow Twins against a float32 reference, and its identities (algorithm specification 2.12.4,
//! 2.12.5).

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use golden::{Golden, assert_values};
use perdura_nn::barlow::{BatchTooSmall, EPS_STD, barlow_twins, cross_correlation};

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the trajectories of the methods
mod golden;

fn flex() -> Device {
    perdura_nn::device("flex", 11).unwrap()
}

fn matrix(values: &[f32], rows: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, values.len() / rows]), &flex())
}

fn normal(rows: usize, columns: usize) -> Tensor<2> {
    Tensor::random([rows, columns], Distribution::Normal(0.0, 1.0), &flex())
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Six cases: independent, identical, sign-flipped and noisy views, two values of λ.
#[test]
fn follows_the_reference() {
    let golden = Golden::read("barlow");
    for case in 1..=6 {
        let of = |name: &str| golden.floats(&format!("case{case}/{name}"));
        let expected = |name: &str| golden.floats(&format!("expect/case{case}/{name}"));
        let leaf = |name: &str| matrix(&of(name), 8).autodiff().require_grad();
        let (z_a, z_b) = (leaf("z_a"), leaf("z_b"));
        let correlation = cross_correlation(z_a.clone(), z_b.clone(), 0.0).unwrap();
        let name = |what: &str| format!("case {case}: {what}");
        assert_values(&name("C"), &values(correlation.clone().inner()), &expected("C"));
        let loss = barlow_twins(correlation, f64::from(of("lambda")[0]));
        assert_values(&name("loss"), &[loss.clone().into_scalar()], &expected("loss"));
        let gradients = loss.backward();
        let gradient = |leaf: Tensor<2>| values(leaf.grad(&gradients).unwrap());
        assert_values(&name("gradient of a"), &gradient(z_a), &expected("grad_a"));
        assert_values(&name("gradient of b"), &gradient(z_b), &expected("grad_b"));
    }
}

#[test]
fn identical_views_agree_to_n_minus_1_of_n() {
    for samples in [2, 7, 32] {
        let z = normal(samples, 5);
        let correlation = values(cross_correlation(z.clone(), z, 0.0).unwrap());
        let expected = (samples as f32 - 1.0) / samples as f32;
        for i in 0..5 {
            let found = correlation[i * 5 + i];
            assert!((found - expected).abs() < 1e-6, "{samples} samples: {found}");
        }
    }
}

/// Column 1 of both views exchanged with column 2: rows and columns of C change places, the loss
/// stays.
#[test]
fn the_order_of_features_does_not_matter() {
    let order = [2, 0, 3, 1];
    let permuted = |z: &Tensor<2>| {
        let columns = order.map(|c| z.clone().narrow(1, c, 1));
        Tensor::cat(columns.to_vec(), 1)
    };
    let (z_a, z_b) = (normal(16, 4), normal(16, 4));
    let plain = cross_correlation(z_a.clone(), z_b.clone(), EPS_STD).unwrap();
    let moved = cross_correlation(permuted(&z_a), permuted(&z_b), EPS_STD).unwrap();
    let (c, c_moved) = (values(plain.clone()), values(moved.clone()));
    for i in 0..4 {
        for j in 0..4 {
            let distance = (c_moved[i * 4 + j] - c[order[i] * 4 + order[j]]).abs();
            assert!(distance < 1e-6, "entry {i}, {j}: {distance}");
        }
    }
    let loss = |c| barlow_twins(c, 0.002).into_scalar::<f32>();
    assert!((loss(plain) - loss(moved)).abs() < 1e-5);
}

/// Independent features: `E Σ_{i≠j} C_ij² = D(D−1)(N−1)/N²`, 7,920 for D = 512 and N = 32.
#[test]
fn noise_has_a_known_floor() {
    let (n, d) = (32, 512);
    let correlation = cross_correlation(normal(n, d), normal(n, d), EPS_STD).unwrap();
    let with = |lambda| f64::from(barlow_twins(correlation.clone(), lambda).into_scalar::<f32>());
    let off_diagonal = with(1.0) - with(0.0);
    let floor = (d * (d - 1) * (n - 1)) as f64 / (n * n) as f64;
    assert!((floor - 7920.5).abs() < 0.1, "{floor}");
    assert!((off_diagonal / floor - 1.0).abs() < 0.02, "{off_diagonal} beside {floor}");
}

/// By hand: views (1, −1) and (1, −1) have deviation √2, so Ẑ = ±1/√2 and C = (1/2 + 1/2)/2 = 1/2.
/// The second column is the first negated: C = [[½, −½], [−½, ½]], loss = 2·¼ + λ·2·¼.
#[test]
fn two_samples_by_hand() {
    let z = matrix(&[1.0, -1.0, -1.0, 1.0], 2);
    let correlation = cross_correlation(z.clone(), z, 0.0).unwrap();
    for (found, expected) in values(correlation.clone()).into_iter().zip([0.5, -0.5, -0.5, 0.5]) {
        assert!((found - expected).abs() < 1e-6, "{found}");
    }
    let loss: f32 = barlow_twins(correlation, 0.1).into_scalar();
    assert!((loss - 0.55).abs() < 1e-6, "{loss}");
}

#[test]
fn a_constant_column_has_no_gradient_and_no_nan() {
    let z = matrix(&[1.0, 3.0, 2.0, 3.0, 4.0, 3.0], 3).autodiff().require_grad();
    let correlation = cross_correlation(z.clone(), z.clone(), EPS_STD).unwrap();
    let loss = barlow_twins(correlation, 0.002);
    assert!(loss.clone().into_scalar::<f32>().is_finite());
    let gradient = values(z.grad(&loss.backward()).unwrap());
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    assert_eq!([gradient[1], gradient[3], gradient[5]].map(f32::abs), [0.0; 3]);
}

#[test]
fn a_batch_of_one_is_refused() {
    let error = cross_correlation(normal(1, 3), normal(1, 3), EPS_STD).unwrap_err();
    assert_eq!(error, BatchTooSmall { found: 1 });
    assert!(error.to_string().contains("expected at least 2 samples, found 1"));
}
