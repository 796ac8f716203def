//! Losses as the papers of the field use them: means, over the batch or over all elements.
//!
//! Value and gradient of a loss of logits are known in closed form, and logits are small. So they
//! are computed row by row in main memory, and automatic differentiation starts from the logits: a
//! training step is spared some fifteen operations on tensors, forward and backward.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;

/// A loss of the logits of one forward pass, as a sum of weighted terms.
///
/// ```
/// use burn::tensor::Tensor;
/// use perdura_nn::losses::Terms;
///
/// let device = perdura_nn::device("flex", 0)?;
/// let logits = Tensor::<2>::from_data([[0.0, 0.0], [1.0, 3.0]], &device);
/// let mut terms = Terms::of(&logits);
/// let ce = terms.cross_entropy(0..1, &[1], 1.0);
/// let distance = terms.squared_error(1..2, &[1.0, 1.0], None, 0.5);
/// assert_eq!((ce as f32, distance), (2f32.ln(), 2.0));
/// assert_eq!(terms.value() as f32, 2f32.ln() + 0.5 * 2.0);
/// # Ok::<(), perdura_sdk::Error>(())
/// ```
pub struct Terms {
    /// `[n, C]`, row-major.
    logits: Vec<f32>,
    classes: usize,
    value: f64,
    /// Of the value, by the logits.
    gradient: Vec<f32>,
}

impl Terms {
    /// No term yet. Logits `[n, C]`.
    pub fn of(logits: &Tensor<2>) -> Terms {
        let [count, classes] = logits.dims();
        let logits = values(logits.clone());
        Terms { logits, classes, value: 0.0, gradient: vec![0.0; count * classes] }
    }

    /// Adds `weight` times the mean over these rows of `−log softmax(f)_y`; returns the mean. A
    /// weight of 0 adds nothing.
    ///
    /// Panics when there is not one label for each row, or a label has no output: the host has
    /// checked both.
    pub fn cross_entropy(&mut self, rows: Range<usize>, labels: &[u32], weight: f64) -> f64 {
        assert_eq!(rows.len(), labels.len(), "one label for each row");
        let (classes, numbers) = (self.classes, self.numbers(rows));
        let share = weight / labels.len() as f64;
        let (mut sum, mut softmax) = (0.0, vec![0.0; classes]);
        let logits = self.logits[numbers.clone()].chunks_exact(classes);
        let gradient = self.gradient[numbers].chunks_exact_mut(classes);
        for ((f, g), &label) in logits.zip(gradient).zip(labels) {
            sum -= f64::from(log_softmax_at(f, label, &mut softmax));
            if share != 0.0 {
                softmax[label as usize] -= 1.0;
                add_scaled(g, &softmax, share as f32);
            }
        }
        self.value += share * sum;
        sum / labels.len() as f64
    }

    /// Adds `weight · mean_i w_i · mean_c (f − target)²` over these rows i; returns the mean. A
    /// weight of 0 adds nothing.
    ///
    /// `target` has the shape of the rows and is a constant; without weights every `w_i` is 1.
    /// Panics on other sizes.
    pub fn squared_error(
        &mut self,
        rows: Range<usize>,
        target: &[f32],
        weights: Option<&[f32]>,
        weight: f64,
    ) -> f64 {
        assert!(weights.is_none_or(|w| w.len() == rows.len()), "a weight for each row");
        let (classes, numbers) = (self.classes, self.numbers(rows));
        assert_eq!(numbers.len(), target.len(), "a target for each logit");
        let elements = target.len() as f64;
        let share = weight / elements;
        let (mut sum, mut difference) = (0.0, vec![0.0; classes]);
        let logits = self.logits[numbers.clone()].chunks_exact(classes);
        let gradient = self.gradient[numbers].chunks_exact_mut(classes);
        for (i, ((f, g), z)) in logits.zip(gradient).zip(target.chunks_exact(classes)).enumerate() {
            let w = weights.map_or(1.0, |weights| weights[i]);
            difference.iter_mut().zip(f.iter().zip(z)).for_each(|(d, (f, z))| *d = f - z);
            sum += f64::from(w * difference.iter().map(|d| d * d).sum::<f32>());
            if share != 0.0 {
                add_scaled(g, &difference, (2.0 * share) as f32 * w);
            }
        }
        self.value += share * sum;
        sum / elements
    }

    /// The sum of the weighted terms.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The logits, `[n, C]`, row-major.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The sum as a scalar with its gradient, for `backward`. `logits` are those that the terms are
    /// [`of`](Terms::of).
    ///
    /// With the gradient G as a constant, `Σ f·G` has the gradient G; what its value lacks is added
    /// as a constant too.
    pub fn into_loss(self, logits: Tensor<2>) -> Tensor<1> {
        let product = |(f, g): (&f32, &f32)| f64::from(*f) * f64::from(*g);
        let linear: f64 = self.logits.iter().zip(&self.gradient).map(product).sum();
        let gradient = TensorData::new(self.gradient, logits.dims());
        let gradient = Tensor::<2>::from_data(gradient, &logits.device());
        (logits * gradient).sum() + (self.value - linear)
    }

    /// Where these rows lie.
    fn numbers(&self, rows: Range<usize>) -> Range<usize> {
        rows.start * self.classes..rows.end * self.classes
    }
}

/// Mean over the batch of `−log softmax(logits)[label]`. Logits `[n, C]`, labels `[n]`; a scalar.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let labels: Vec<u32> = labels.into_data().iter::<u32>().collect();
    let mut terms = Terms::of(&logits);
    terms.cross_entropy(0..labels.len(), &labels, 1.0);
    terms.into_loss(logits)
}

/// Mean over all elements of `(a − target)²`; a scalar. The target is a constant: no gradient flows
/// into it.
pub fn mean_squared_error(a: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let mut terms = Terms::of(&a);
    terms.squared_error(0..a.dims()[0], &values(target), None, 1.0);
    terms.into_loss(a)
}

/// `log softmax(logits)[label]` of each sample: `[n]`.
pub fn label_log_probability(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    if logits.is_autodiff() {
        let chosen = log_softmax(logits, 1).gather(1, labels.unsqueeze_dim::<2>(1));
        return chosen.squeeze_dim(1);
    }
    let ([count, classes], device) = (logits.dims(), logits.device());
    let mut softmax = vec![0.0; classes];
    let (logits, labels) = (values(logits), labels.into_data());
    let rows = logits.chunks_exact(classes).zip(labels.iter::<u32>());
    let rows: Vec<f32> = rows.map(|(f, label)| log_softmax_at(f, label, &mut softmax)).collect();
    Tensor::from_data(TensorData::new(rows, [count]), &device)
}

/// `log softmax(f)_label`; leaves `softmax(f)` behind. The largest logit is taken away first, so
/// that no power overflows.
fn log_softmax_at(f: &[f32], label: u32, softmax: &mut [f32]) -> f32 {
    let largest = f.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    softmax.iter_mut().zip(f).for_each(|(s, f)| *s = (f - largest).exp());
    let sum: f32 = softmax.iter().sum();
    softmax.iter_mut().for_each(|s| *s /= sum);
    f[label as usize] - largest - sum.ln()
}

fn add_scaled(sum: &mut [f32], values: &[f32], scale: f32) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += scale * value);
}

/// The numbers of a tensor in main memory.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("networks compute in f32")
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;
