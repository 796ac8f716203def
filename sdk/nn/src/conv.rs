//! Convolutions with square kernels that keep the size at stride 1.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::init::{pytorch_bound, uniform};
use crate::network::{Listing, Network, TensorMut};

/// Channels, kernel and stride of a [`Conv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    pub inputs: usize,
    pub outputs: usize,
    /// Height and width of the kernel, odd.
    pub kernel: usize,
    pub stride: usize,
}

/// A convolution, padded with `kernel / 2` zeros on every side.
#[derive(Clone, Debug)]
pub struct Conv {
    /// `[out, in, kernel, kernel]`.
    pub weight: Tensor<4>,
    /// `[out]`; none where a batch normalisation follows.
    pub bias: Option<Tensor<1>>,
    stride: usize,
}

impl Conv {
    /// Without bias, weights from PyTorch's default `U(±1/√(in·kernel²))`.
    pub fn new(shape: ConvShape, rng: &mut impl Rng, device: &Device) -> Self {
        let ConvShape { inputs, outputs, kernel, stride } = shape;
        let fan_in = inputs * kernel * kernel;
        let weight = uniform(outputs * fan_in, pytorch_bound(fan_in), rng);
        let weight = TensorData::new(weight, [outputs, inputs, kernel, kernel]);
        Conv { weight: Tensor::from_data(weight, device), bias: None, stride }
    }

    /// With a bias from PyTorch's default, the same interval as the weights.
    pub fn with_bias(self, rng: &mut impl Rng) -> Self {
        let [outputs, inputs, kernel, _] = self.weight.dims();
        let bias = uniform(outputs, pytorch_bound(inputs * kernel * kernel), rng);
        let bias = Tensor::from_data(TensorData::new(bias, [outputs]), &self.weight.device());
        Conv { bias: Some(bias), ..self }
    }

    /// `[n, in, h, w]` to `[n, out, ⌈h/stride⌉, ⌈w/stride⌉]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "libtorch")]
        if crate::libtorch::computes_on(&x.device()) {
            return crate::libtorch::conv(&x, self);
        }
        let (padding, stride) = (self.weight.dims()[2] / 2, self.stride);
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        conv2d(x, self.weight.clone(), self.bias.clone(), options)
    }
}

#[cfg(feature = "libtorch")]
impl Conv {
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

impl Network for Conv {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.tensor("weight", TensorMut::Kernel(&mut self.weight));
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

    /// A 3x3 kernel of ones sums each pixel's neighbourhood; stride 2 takes every other. Of a 3x3
    /// image of ones: corners have 4 neighbours (themselves included), and the bias adds 0.5.
    #[test]
    fn padding_and_stride_by_hand() {
        let device = crate::device("flex", 0).unwrap();
        let shape = ConvShape { inputs: 1, outputs: 1, kernel: 3, stride: 2 };
        let mut conv = Conv::new(shape, &mut ChaCha8Rng::seed_from_u64(1), &device);
        conv.weight = Tensor::ones([1, 1, 3, 3], &device);
        conv.bias = Some(Tensor::from_data([0.5], &device));
        let out = conv.forward(Tensor::ones([1, 1, 3, 3], &device)).into_data();
        assert_eq!(out.shape().as_slice(), [1, 1, 2, 2]);
        assert_eq!(out.as_slice::<f32>().unwrap(), [4.5; 4]);
    }

    /// fan_in = 4·3·3 = 36: weights and biases from ±1/6.
    #[test]
    fn weights_and_biases_fill_pytorchs_interval() {
        let device = crate::device("flex", 0).unwrap();
        let shape = ConvShape { inputs: 4, outputs: 200, kernel: 3, stride: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let conv = Conv::new(shape, &mut rng, &device).with_bias(&mut rng);
        let largest_weight: f32 = conv.weight.abs().max().into_scalar();
        let largest_bias: f32 = conv.bias.unwrap().abs().max().into_scalar();
        for largest in [largest_weight, largest_bias] {
            assert!(largest <= 1.0 / 6.0 && largest > 0.98 / 6.0, "{largest}");
        }
    }
}
