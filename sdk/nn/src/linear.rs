//! Linear layers.

use burn::tensor::activation::relu;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::device::in_main_memory;
use crate::flex::{self, Then};
use crate::init::{pytorch_bound, uniform};
use crate::network::{Listing, Network, TensorMut};
use crate::state::transposed;

/// A linear layer: `x·W + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Tensor<2>,
    /// `[out]`. `Linear { bias: None, ..layer }` makes a layer without.
    pub bias: Option<Tensor<1>>,
}

impl Linear {
    /// Weights from `U(±√(6/(in+out)))` (Xavier), zero biases. Weights are drawn in the order of
    /// PyTorch's `[out, in]` matrix.
    pub fn xavier(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt() as f32;
        let weight = weight(inputs, outputs, bound, rng, device);
        Linear { weight, bias: Some(Tensor::zeros([outputs], device)) }
    }

    /// PyTorch's default: weights, then biases from `U(±1/√in)`.
    pub fn pytorch(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let bound = pytorch_bound(inputs);
        let weight = weight(inputs, outputs, bound, rng, device);
        let bias = TensorData::new(uniform(outputs, bound, rng), [outputs]);
        Linear { weight, bias: Some(Tensor::from_data(bias, device)) }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        match in_main_memory(&inputs.device().without_autodiff()) {
            true => flex::linear(&inputs, &self.weight, self.bias.as_ref(), Then::Nothing),
            false => linear(inputs, self.weight.clone(), self.bias.clone()),
        }
    }

    /// `max(0, x·W + b)`.
    pub fn forward_relu(&self, inputs: Tensor<2>) -> Tensor<2> {
        match in_main_memory(&inputs.device().without_autodiff()) {
            true => flex::linear(&inputs, &self.weight, self.bias.as_ref(), Then::Relu),
            false => relu(self.forward(inputs)),
        }
    }

    /// Width of the inputs.
    pub fn inputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Width of the outputs.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[1]
    }
}

fn weight(
    inputs: usize,
    outputs: usize,
    bound: f32,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<2> {
    let drawn = transposed(&uniform(inputs * outputs, bound, rng), outputs, inputs);
    Tensor::from_data(TensorData::new(drawn, [inputs, outputs]), device)
}

impl Network for Linear {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.tensor("weight", TensorMut::Linear(&mut self.weight));
        if let Some(bias) = &mut self.bias {
            tensors.tensor("bias", TensorMut::Vector(bias));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn extremes<const D: usize>(tensor: &Tensor<D>) -> (f32, f32) {
        let largest = tensor.clone().abs().max().into_scalar();
        (largest, tensor.clone().mean().into_scalar())
    }

    #[test]
    fn weights_fill_the_xavier_interval_and_biases_are_zero() {
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(1), crate::device("flex", 0).unwrap());
        let layer = Linear::xavier(784, 100, &mut rng, &device);
        let bound = (6.0f32 / 884.0).sqrt();
        let (largest, mean) = extremes(&layer.weight);
        assert!(largest <= bound && largest > 0.99 * bound, "{largest} of {bound}");
        assert!(mean.abs() < 0.1 * bound, "mean {mean}");
        assert_eq!(extremes(&layer.bias.unwrap()), (0.0, 0.0));
    }

    /// √(6/((1 + 5)·400)) = 1/20 for weights, and the same for biases.
    #[test]
    fn pytorchs_default_fills_its_interval() {
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(1), crate::device("flex", 0).unwrap());
        let layer = Linear::pytorch(400, 500, &mut rng, &device);
        for (largest, mean) in [extremes(&layer.weight), extremes(&layer.bias.unwrap())] {
            assert!(largest <= 0.05 && largest > 0.049, "{largest}");
            assert!(mean.abs() < 0.005, "mean {mean}");
        }
    }
}
