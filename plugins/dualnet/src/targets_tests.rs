//! The losses of the supervised phase, with numbers worked out by hand.

use super::*;

fn flex() -> Device {
    perdura_nn::device("flex", 0).unwrap()
}

fn matrix<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
    Tensor::from_data(values, &flex())
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

/// q = softmax([2 ln 3, 0]/2) = [3/4, 1/4], p = softmax([0, 0]/2) = [1/2, 1/2]:
/// Σ q log(q/p) = ¾ log(3/2) + ¼ log(1/2).
fn divergence() -> f64 {
    0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln()
}

#[test]
fn soft_labels_by_hand() {
    let old = [2.0 * 3.0f32.ln(), 0.0, 2.0 * 3.0f32.ln(), 0.0];
    let with = |reduction| {
        let target = Own::all(2, 2).target(&old, &[1, 1], &flex()).unwrap();
        value(target.distance(matrix([[0.0; 2]; 2]), ReplayKd::SoftKl, 2.0, reduction))
    };
    // Two samples, two classes: Σ = 2·divergence.
    assert!((with(KdReduction::ElementMean) - divergence() / 2.0).abs() < 1e-6);
    assert!((with(KdReduction::BatchMean) - divergence()).abs() < 1e-6);
    assert!((with(KdReduction::ClassMean) - divergence()).abs() < 1e-6);
}

/// The second sample has no old answer: neither its distance nor its place in the mean counts.
/// (Quirk Q4.)
#[test]
fn a_sample_without_an_old_answer_does_not_count() {
    let old = [2.0 * 3.0f32.ln(), 0.0, 0.0, 0.0];
    let target = Own::all(2, 2).target(&old, &[1, 0], &flex()).unwrap();
    let logits = matrix([[0.0, 0.0], [5.0, -5.0]]);
    let found = target.distance(logits, ReplayKd::SoftKl, 2.0, KdReduction::ElementMean);
    assert!((value(found) - divergence() / 2.0).abs() < 1e-6);
    assert!(Own::all(2, 2).target(&old, &[0, 0], &flex()).is_none());
}

/// ((1−0)² + (2−0)²)/2 over the two own classes; the third, far away, does not count.
#[test]
fn squared_distance_by_hand_over_own_classes() {
    let own = Own::of_experiences(3, &[7], |task| (task == 7).then_some(&[0, 1][..]));
    let target = own.target(&[0.0, 0.0, 50.0], &[1], &flex()).unwrap();
    let logits = own.restrict(matrix([[1.0, 2.0, 9.0]]));
    let found = target.distance(logits, ReplayKd::LogitMse, 2.0, KdReduction::ElementMean);
    assert!((value(found) - 2.5).abs() < 1e-6);
}

/// Sample 0 belongs to classes {0, 1}, sample 1 to {2}: its only class has probability 1. The
/// gradient elsewhere is exactly 0, and no 0·∞ makes a NaN of the divergence.
#[test]
fn classes_of_other_experiences_have_no_probability_and_no_gradient() {
    let tasks: [&[u32]; 2] = [&[0, 1], &[2]];
    let own = Own::of_experiences(3, &[0, 1], |task| Some(tasks[task as usize]));
    let logits = matrix([[1.0, 1.0, 30.0], [4.0, 5.0, 6.0]]).autodiff().require_grad();
    let restricted = own.restrict(logits.clone());
    let labels = perdura_nn::labels(&[&[0, 2]], 3, &flex());
    let loss = perdura_nn::losses::cross_entropy(restricted.clone(), labels);
    assert!((value(loss.clone()) - 2.0f64.ln() / 2.0).abs() < 1e-6);
    let target = own.target(&[3.0, 1.0, 7.0, 0.0, 0.0, 1.0], &[1, 1], &flex()).unwrap();
    let kd = target.distance(restricted, ReplayKd::SoftKl, 2.0, KdReduction::ElementMean);
    assert!(value(kd.clone()) > 0.0);
    let gradient = logits.grad(&(loss + kd).backward()).unwrap().into_data();
    let gradient = gradient.as_slice::<f32>().unwrap().to_vec();
    assert!(gradient[0] != 0.0 && gradient[1] != 0.0);
    assert_eq!(gradient[2..].iter().map(|g| g.abs()).collect::<Vec<_>>(), [0.0; 4]);
}

#[test]
fn an_experience_that_is_not_known_leaves_all_classes() {
    let own = Own::of_experiences(2, &[9], |_| None);
    let found = own.restrict(matrix([[1.0, 2.0]])).into_data();
    assert_eq!(found.as_slice::<f32>().unwrap(), [1.0, 2.0]);
}
