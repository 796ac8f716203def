//! The light network: one layer per layer of the backbone, whose output multiplies the backbone's.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use perdura_nn::{BatchNorm, Conv, ConvShape, Device, Linear, Listing, Mode, Network};
use perdura_sdk::{Result, rand::Rng};

use crate::features::Features;

/// The light network g, `m_l = g_l(h'_{l−1})`.
#[derive(Clone, Debug)]
pub enum Modulator {
    /// Linear layers with ReLU, `fc1`, `fc2`, …
    Units(Vec<Linear>),
    /// Convolutional blocks, `block1` … `block4`.
    Maps(Vec<Block>),
}

/// Of the weights of a fresh modulator of units: beside biases of 1 they leave `m_l ≈ 1`.
const UNIT_WEIGHT_SCALE: f64 = 0.1;

impl Modulator {
    /// As wide as the MLP it modulates, and close to 1 everywhere: a product of two fresh ReLU
    /// networks would start near zero.
    pub fn of_units(inputs: usize, widths: &[usize], rng: &mut impl Rng, device: &Device) -> Self {
        let widths = [&[inputs], widths].concat();
        let layer = |pair: &[usize]| {
            let Linear { weight, .. } = Linear::xavier(pair[0], pair[1], rng, device);
            let bias = Some(Tensor::ones([pair[1]], device));
            Linear { weight: weight.mul_scalar(UNIT_WEIGHT_SCALE), bias }
        };
        Modulator::Units(widths.windows(2).map(layer).collect())
    }

    /// Four blocks for a ResNet-18 of this width, with PyTorch's initialisation.
    pub fn of_maps(channels: usize, width: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let widths = [channels, width, 2 * width, 4 * width, 8 * width];
        let block = |pair: &[usize]| Block::new(pair[0], pair[1], rng, device);
        Modulator::Maps(widths.windows(2).map(block).collect())
    }

    /// `m_l` of layer `l`, counted from 0, from the fused output of the layer before.
    pub fn layer(&mut self, l: usize, before: Features, mode: Mode) -> Result<Features> {
        match (self, before) {
            (Modulator::Units(layers), Features::Units(x)) => {
                Ok(Features::Units(layers[l].forward_relu(x)))
            }
            (Modulator::Maps(blocks), Features::Maps(x)) => {
                Ok(Features::Maps(blocks[l].forward(x, mode)?))
            }
            _ => unreachable!("both networks are of one kind"),
        }
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        match self {
            Modulator::Units(layers) => layers.len(),
            Modulator::Maps(blocks) => blocks.len(),
        }
    }
}

impl Network for Modulator {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        match self {
            Modulator::Units(layers) => {
                for (i, layer) in layers.iter_mut().enumerate() {
                    tensors.part(&format!("fc{}", i + 1), layer);
                }
            }
            Modulator::Maps(blocks) => {
                for (i, block) in blocks.iter_mut().enumerate() {
                    tensors.part(&format!("block{}", i + 1), block);
                }
            }
        }
    }
}

/// Convolution 3x3 with bias, batch normalisation, ReLU, max-pooling 2x2 that keeps a last odd row.
#[derive(Clone, Debug)]
pub struct Block {
    pub conv: Conv,
    pub norm: BatchNorm,
}

impl Block {
    fn new(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let shape = ConvShape { inputs, outputs, kernel: 3, stride: 1 };
        let conv = Conv::new(shape, rng, device).with_bias(rng);
        Block { conv, norm: BatchNorm::new(outputs, device) }
    }

    fn forward(&mut self, x: Tensor<4>, mode: Mode) -> Result<Tensor<4>> {
        let x = relu(self.norm.forward(self.conv.forward(x), mode)?);
        let pooling = MaxPoolOptions::new([2, 2]).with_stride([2, 2]).with_ceil_mode(true);
        Ok(max_pool2d(x, pooling))
    }
}

impl Network for Block {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("conv", &mut self.conv);
        tensors.part("norm", &mut self.norm);
    }
}
