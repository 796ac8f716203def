//! How alike two tasks are, which group a task belongs to, and which group a test sample belongs
//! to: for methods that let similarity decide what is shared (algorithms 3.0). Pure functions over
//! samples, features, gradients and statistics; the only state is in [`Hysteresis`],
//! [`GroupSimilarities`] and [`ClassMeans`], which are plain data to be saved with the learner.
//!
//! 1. An estimator gives a raw score: [`prototype_similarity`] (S-PROTO), [`covariance_alignment`]
//!    (S-COV), [`linear_cka`] (S-CKA), [`gradient_cosine`] (S-GCOS), [`lookahead_affinity`]
//!    (S-TAG), [`task2vec_similarity`] (S-T2V), [`correlation_similarity`] (S-BT).
//! 2. [`calibrated`] places it between a shuffled null and the task's likeness to itself: a
//!    [`Score`].
//! 3. [`Leader`] joins the task to the group of the highest score or opens one; [`Hysteresis`]
//!    keeps decisions from flipping where boundaries are hidden.
//! 4. [`GroupSimilarities`] keeps what is known between groups, and makes the controls of an
//!    experiment.
//! 5. [`Discovery`] is all of it in a learner's life, for methods that need the group of what is
//!    learned and nothing more: look, decide, count in, relabel.
//! 6. [`group_probabilities`] infers the group of a test sample from class prototypes.
//!
//! An empty side has similarity 0. What cannot be computed is NaN in an estimator and 0 with
//! [`Score::undefined`] after calibration: never a high similarity by accident.

mod calibrate;
mod cka;
mod correlation;
mod covariance;
mod discovery;
mod features;
mod gradient;
mod grouping;
mod groups;
mod infer;
mod prototypes;
mod samples;
mod tag;
mod task2vec;
mod window;

pub use calibrate::{Null, Score, calibrated};
pub use cka::linear_cka;
pub use correlation::{CorrelationHalves, correlation_similarity};
pub use covariance::covariance_alignment;
pub use discovery::Discovery;
pub use features::first_hidden;
pub use gradient::{FlatGradient, gradient_cosine};
pub use grouping::{Decision, Grouping, Hysteresis, Leader, LeaderError, Link};
pub use groups::{Control, GroupSimilarities, SimilarityGiven};
pub use infer::{group_probabilities, mix};
pub use prototypes::{ClassMeans, prototype_similarity};
pub use samples::Samples;
pub use tag::{affinity, lookahead_affinity};
pub use task2vec::{diagonal_fisher, task2vec_similarity};
pub use window::Window;

/// Inner product. Eight partial sums, so that the compiler may use wide registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y);
    let rest: f32 = rest.sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Cosine of two vectors; NaN where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// Rows with the mean row taken off.
fn centred(values: &[f32], width: usize) -> Vec<f32> {
    let count = (values.len() / width.max(1)).max(1) as f32;
    let mut mean = vec![0.0; width];
    for row in values.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / count);
    }
    let rows = values.chunks_exact(width);
    rows.flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Samples;
    use crate::{BackboneConfig, Net, NetShape};
    use rand::{Rng, RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    pub fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// Two inputs, two classes.
    pub fn network(hidden: Vec<usize>) -> Net {
        let backbone = BackboneConfig { hidden, ..BackboneConfig::default() };
        let shape = NetShape { backbone, input: vec![2], classes: 2 };
        Net::new(&shape, &mut rng(1), &crate::device("flex", 0).unwrap()).unwrap()
    }

    /// About standard normal: the sum of twelve uniform numbers, centred.
    pub fn normal(rng: &mut impl Rng) -> f32 {
        (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
    }

    /// `count` samples around `classes` means that `task` decides. Noise of `noise` in each of 20
    /// numbers.
    pub fn task(task: u64, draw: u64, count: usize, noise: f32) -> Samples {
        let (width, classes) = (20, 10);
        let mut of_task = rng(1000 + task);
        let means: Vec<f32> = (0..classes * width).map(|_| normal(&mut of_task)).collect();
        let mut rng = rng(draw);
        let labels: Vec<u32> = (0..count).map(|i| (i % classes) as u32).collect();
        let mut values = Vec::new();
        for &label in &labels {
            let mean = &means[label as usize * width..][..width];
            values.extend(mean.iter().map(|m| m + noise * normal(&mut rng)));
        }
        Samples { values, width, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_by_hand() {
        let a: Vec<f32> = (1..=10).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 385.0);
        assert_eq!(cosine(&[1.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(cosine(&[3.0, 4.0], &[-4.0, 3.0]), 0.0);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
    }

    #[test]
    fn rows_are_centred_by_column() {
        assert_eq!(centred(&[1.0, 2.0, 3.0, 6.0], 2), [-1.0, -2.0, 1.0, 2.0]);
        assert!(centred(&[], 2).is_empty());
    }
}
