//! Batch normalisation as PyTorch does it: the biased variance normalises, the unbiased one enters
//! the running estimate.

use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};
use perdura_sdk::{Error, Result};

use crate::network::{Listing, Network, TensorMut};

/// What normalises: the batch at hand, or the running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, which also move the running ones.
    Train,
    /// Running statistics, which stay.
    Eval,
}

/// `y = γ·(x − μ)/√(σ² + 1e-5) + β` for each channel, of `[n, c]` or `[n, c, h, w]`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// γ, `[c]`.
    pub weight: Tensor<1>,
    /// β, `[c]`.
    pub bias: Tensor<1>,
    /// Never carries gradients.
    pub running_mean: Tensor<1>,
    /// Never carries gradients.
    pub running_var: Tensor<1>,
}

pub(crate) const EPSILON: f64 = 1e-5;
/// Share of the batch in a running statistic.
pub(crate) const MOMENTUM: f64 = 0.1;

impl Mode {
    /// Refuses inputs `[n, c, ..]` that leave one value per channel to be normalised by.
    pub(crate) fn check(self, shape: &[usize]) -> Result<()> {
        let k = shape.iter().product::<usize>() / shape[1];
        if self == Mode::Eval || k >= 2 {
            return Ok(());
        }
        Err(Error::new(format!(
            "batch normalisation: expected at least 2 values per channel in training, found {k} \
             in an input of shape {shape:?}: use batches of 2 samples or more (a last, smaller \
             batch is left out with drop_last)"
        )))
    }
}

impl BatchNorm {
    /// γ = 1, β = 0, running mean 0 and variance 1.
    pub fn new(channels: usize, device: &Device) -> Self {
        let (zeros, ones) = (Tensor::zeros([channels], device), Tensor::ones([channels], device));
        let (weight, bias) = (ones.clone(), zeros.clone());
        BatchNorm { weight, bias, running_mean: zeros, running_var: ones }
    }

    /// In training, μ and σ² are mean and biased variance of the k values of a channel, and the
    /// running statistics become `0.9·running + 0.1·batch`, with the unbiased variance
    /// `σ²·k/(k−1)`. One value per channel has no variance: an error. In evaluation every batch
    /// will do.
    pub fn forward<const D: usize>(&mut self, x: Tensor<D>, mode: Mode) -> Result<Tensor<D>> {
        mode.check(&x.dims())?;
        #[cfg(feature = "libtorch")]
        if crate::libtorch::computes_on(&x.device()) {
            return Ok(crate::libtorch::batch_norm(&x, self, mode));
        }
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        if mode == Mode::Eval {
            let (mean, var) = (self.running_mean.clone(), self.running_var.clone());
            return Ok(batch_norm(x, weight, bias, mean, var, EPSILON));
        }
        let shape = x.dims();
        let k = shape.iter().product::<usize>() / shape[1];
        let normalised = batch_norm_train(x, weight, bias, EPSILON);
        let unbiased = normalised.variance.inner() * (k as f64 / (k - 1) as f64);
        move_towards(&mut self.running_mean, normalised.mean.inner());
        move_towards(&mut self.running_var, unbiased);
        Ok(normalised.output)
    }
}

fn move_towards(running: &mut Tensor<1>, batch: Tensor<1>) {
    *running = running.clone() * (1.0 - MOMENTUM) + batch * MOMENTUM;
}

impl Network for BatchNorm {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.tensor("weight", TensorMut::Vector(&mut self.weight));
        tensors.tensor("bias", TensorMut::Vector(&mut self.bias));
        tensors.tensor("running_mean", TensorMut::Running(&mut self.running_mean));
        tensors.tensor("running_var", TensorMut::Running(&mut self.running_var));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flex() -> Device {
        crate::device("flex", 0).unwrap()
    }

    #[track_caller]
    fn near<const D: usize>(found: Tensor<D>, expected: &[f32]) {
        let data = found.into_data();
        let found = data.as_slice::<f32>().unwrap();
        assert_eq!(found.len(), expected.len());
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(found.iter().zip(expected).all(close), "{found:?}, expected {expected:?}");
    }

    /// Channel 0 holds 1, 3: mean 2, biased variance 1, unbiased 2. Channel 1 holds 0, 4: 2, 4 and
    /// 8. Outputs are ∓2/√(1+ε)+1 and ∓2/√(1+ε/4)+1 with γ = 2, β = 1.
    #[test]
    fn training_by_hand() {
        let mut norm = BatchNorm::new(2, &flex());
        norm.weight = Tensor::from_data([2.0, 2.0], &flex());
        norm.bias = Tensor::from_data([1.0, 1.0], &flex());
        let x = Tensor::<2>::from_data([[1.0, 0.0], [3.0, 4.0]], &flex());
        let y = norm.forward(x, Mode::Train).unwrap();
        let (a, b) = (2.0 / 1.00001f32.sqrt(), 2.0 / 1.0000025f32.sqrt());
        near(y, &[1.0 - a, 1.0 - b, 1.0 + a, 1.0 + b]);
        near(norm.running_mean.clone(), &[0.2, 0.2]);
        near(norm.running_var.clone(), &[0.9 + 0.2, 0.9 + 0.8]);
    }

    /// With the running statistics 0.5 and 4: (x − 0.5)/√(4 + ε), and nothing moves.
    #[test]
    fn evaluation_uses_the_running_statistics_and_leaves_them() {
        let mut norm = BatchNorm::new(1, &flex());
        norm.running_mean = Tensor::from_data([0.5], &flex());
        norm.running_var = Tensor::from_data([4.0], &flex());
        let x = Tensor::<2>::from_data([[2.5]], &flex());
        near(norm.forward(x, Mode::Eval).unwrap(), &[2.0 / 4.00001f32.sqrt()]);
        near(norm.running_mean.clone(), &[0.5]);
        near(norm.running_var.clone(), &[4.0]);
    }

    /// The four values 1, 2, 3, 6 of a channel, as two images of 1x2: mean 3, biased variance 3.5,
    /// and the second channel, four zeros, leaves mean 0 and variance 0.
    #[test]
    fn images_are_normalised_over_samples_and_pixels() {
        let mut norm = BatchNorm::new(2, &flex());
        let x = Tensor::<4>::from_data(
            [[[[1.0, 2.0]], [[0.0, 0.0]]], [[[3.0, 6.0]], [[0.0, 0.0]]]],
            &flex(),
        );
        let y = norm.forward(x, Mode::Train).unwrap();
        let s = 3.50001f32.sqrt();
        near(y, &[-2.0 / s, -1.0 / s, 0.0, 0.0, 0.0, 3.0 / s, 0.0, 0.0]);
        near(norm.running_mean.clone(), &[0.3, 0.0]);
        near(norm.running_var.clone(), &[0.9 + 0.1 * 3.5 * 4.0 / 3.0, 0.9]);
    }

    /// L = Σ w·y. The sum of the gradients of a channel is 0, and so is their product with the
    /// normalised inputs, because neither a shift nor a (small-ε) stretch of the inputs changes the
    /// outputs.
    #[test]
    fn gradients_flow_through_the_statistics() {
        let mut norm = BatchNorm::new(1, &flex()).tracked();
        let x = Tensor::<2>::from_data([[1.0], [2.0], [6.0]], &flex()).autodiff().require_grad();
        let y = norm.forward(x.clone(), Mode::Train).unwrap();
        let w = Tensor::<2>::from_data([[1.0], [-1.0], [3.0]], &flex());
        let gradients = (y.clone() * w).sum().backward();
        let g = x.grad(&gradients).unwrap();
        assert!(g.clone().abs().max().into_scalar::<f32>() > 0.1);
        assert!(g.clone().sum().into_scalar::<f32>().abs() < 1e-6);
        assert!((g * y.inner()).sum().into_scalar::<f32>().abs() < 1e-5);
        assert!(!norm.running_mean.is_autodiff() && !norm.running_var.is_autodiff());
    }

    #[test]
    fn one_value_per_channel_is_refused_in_training_only() {
        let mut norm = BatchNorm::new(3, &flex());
        let x = Tensor::<2>::zeros([1, 3], &flex());
        assert!(norm.forward(x.clone(), Mode::Eval).is_ok());
        let error = norm.forward(x, Mode::Train).unwrap_err().to_string();
        assert_eq!(
            error,
            "batch normalisation: expected at least 2 values per channel in training, found 1 in \
             an input of shape [1, 3]: use batches of 2 samples or more (a last, smaller batch is \
             left out with drop_last)"
        );
        let pixels = Tensor::<4>::zeros([1, 3, 1, 2], &flex());
        assert!(norm.forward(pixels, Mode::Train).is_ok());
    }
}
