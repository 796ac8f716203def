//! ResNet-18 as the continual-learning literature uses it: a 3x3 stem of stride 1, four stages of
//! two blocks, global average pooling. A [`Net`](crate::Net) adds the head.

use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, FloatDType, Tensor};
use perdura_sdk::Result;
use rand::Rng;

use crate::batch_norm::{BatchNorm, Mode};
use crate::conv::{Conv, ConvShape};
use crate::device::Precision;
#[cfg(feature = "libtorch")]
use crate::libtorch;
use crate::network::{Listing, Network};

/// What comes before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 3x3 convolution of stride 1: images of 32x32 and 64x64 (CLS-ER, Mammoth).
    Plain,
    /// The same, then 3x3 max-pooling of stride 2: images of 84x84 (DualNet).
    Pooled,
}

impl Stem {
    pub(crate) fn pool(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Stem::Plain => x,
            Stem::Pooled => {
                max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]))
            }
        }
    }
}

/// Sizes of a [`ResNet18`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResNetShape {
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the first stage, 64 in the papers; the later ones have 2, 4 and 8 times as many.
    pub width: usize,
    pub stem: Stem,
}

/// Names as in PyTorch: `conv1`, `bn1`, `layer{1..4}.{0,1}.{conv1,bn1,conv2,bn2}` and
/// `layer{2..4}.0.shortcut.{0,1}`.
#[derive(Clone, Debug)]
pub struct ResNet18 {
    pub(crate) stem: Stem,
    precision: Precision,
    pub(crate) conv1: Conv,
    pub(crate) bn1: BatchNorm,
    pub(crate) layers: [[Block; 2]; 4],
}

impl ResNet18 {
    /// PyTorch's default initialisation, layers drawn first to last.
    pub fn new(shape: ResNetShape, rng: &mut impl Rng, device: &Device) -> Self {
        let ResNetShape { channels, width, stem } = shape;
        let conv1 = ConvShape { inputs: channels, outputs: width, kernel: 3, stride: 1 };
        let conv1 = Conv::new(conv1, rng, device);
        let layers = [1, 2, 4, 8].map(|times| {
            let outputs = width * times;
            let (inputs, stride) = if times == 1 { (width, 1) } else { (outputs / 2, 2) };
            let first = Block::new(inputs, outputs, stride, rng, device);
            [first, Block::new(outputs, outputs, 1, rng, device)]
        });
        let (precision, bn1) = (Precision::F32, BatchNorm::new(width, device));
        ResNet18 { stem, precision, conv1, bn1, layers }
    }

    /// Computes in these numbers from now on; parameters, running statistics and what the network
    /// gives stay f32. Without LibTorch there is only f32.
    pub(crate) fn compute_in(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Images `[n, channels, h, w]` to the outputs h₁ … h₄ of the stages, each after its ReLU. With
    /// the plain stem h₁ is as large as the image, with the pooled one half as large; each later
    /// stage halves, rounding up. `Mode::Train` moves the running statistics; it fails where a
    /// channel of the last stage has one value.
    pub fn stages(&mut self, x: Tensor<4>, mode: Mode) -> Result<[Tensor<4>; 4]> {
        // A stage in bf16 gives bf16 to the next one.
        Ok(self.trunk(x, mode)?.map(|stage| stage.cast(FloatDType::F32)))
    }

    fn trunk(&mut self, x: Tensor<4>, mode: Mode) -> Result<[Tensor<4>; 4]> {
        let precision = self.precision;
        let stem = convolved(x, &self.conv1, &mut self.bn1, mode, precision)?;
        let stem = self.stem.pool(stem);
        let [layer1, layer2, layer3, layer4] = &mut self.layers;
        let h1 = forward(layer1, stem, mode, precision)?;
        let h2 = forward(layer2, h1.clone(), mode, precision)?;
        let h3 = forward(layer3, h2.clone(), mode, precision)?;
        let h4 = forward(layer4, h3.clone(), mode, precision)?;
        Ok([h1, h2, h3, h4])
    }

    /// Images to features `[n, 8·width]`: the last stage, averaged over its pixels.
    pub fn features(&mut self, x: Tensor<4>, mode: Mode) -> Result<Tensor<2>> {
        let [.., h4] = self.trunk(x, mode)?;
        Ok(pool(h4.cast(FloatDType::F32)))
    }

    /// Width of the features.
    pub fn outputs(&self) -> usize {
        8 * self.conv1.weight.dims()[0]
    }
}

/// Global average pooling: `[n, c, h, w]` to `[n, c]`.
pub fn pool(x: Tensor<4>) -> Tensor<2> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
}

fn forward(
    blocks: &mut [Block; 2],
    x: Tensor<4>,
    mode: Mode,
    precision: Precision,
) -> Result<Tensor<4>> {
    let [first, second] = blocks;
    second.forward(first.forward(x, mode, precision)?, mode, precision)
}

/// `ReLU(norm(conv x))`. With LibTorch it is one operation, in `precision`; without, `precision` is
/// f32.
#[cfg_attr(not(feature = "libtorch"), allow(unused_variables))]
fn convolved(
    x: Tensor<4>,
    conv: &Conv,
    norm: &mut BatchNorm,
    mode: Mode,
    precision: Precision,
) -> Result<Tensor<4>> {
    #[cfg(feature = "libtorch")]
    if libtorch::computes_on(&x.device()) {
        return libtorch::stem(&x, libtorch::Layer { conv, norm }, mode, precision);
    }
    Ok(relu(norm.forward(conv.forward(x), mode)?))
}

impl Network for ResNet18 {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("conv1", &mut self.conv1);
        tensors.part("bn1", &mut self.bn1);
        for (i, blocks) in self.layers.iter_mut().enumerate() {
            for (j, block) in blocks.iter_mut().enumerate() {
                tensors.part(&format!("layer{}.{j}", i + 1), block);
            }
        }
    }
}

/// Two 3x3 convolutions beside a shortcut: `ReLU(bn2(conv2(ReLU(bn1(conv1 x)))) + shortcut(x))`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) conv1: Conv,
    pub(crate) bn1: BatchNorm,
    pub(crate) conv2: Conv,
    pub(crate) bn2: BatchNorm,
    /// A 1x1 convolution and its normalisation where the shape changes; else the input itself.
    pub(crate) shortcut: Option<(Conv, BatchNorm)>,
}

impl Block {
    fn new(
        inputs: usize,
        outputs: usize,
        stride: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Self {
        let mut conv = |inputs, kernel, stride| {
            Conv::new(ConvShape { inputs, outputs, kernel, stride }, rng, device)
        };
        let norm = || BatchNorm::new(outputs, device);
        let (conv1, conv2) = (conv(inputs, 3, stride), conv(outputs, 3, 1));
        let reshapes = stride != 1 || inputs != outputs;
        let shortcut = reshapes.then(|| (conv(inputs, 1, stride), norm()));
        Block { conv1, bn1: norm(), conv2, bn2: norm(), shortcut }
    }

    #[cfg_attr(not(feature = "libtorch"), allow(unused_variables))]
    fn forward(&mut self, x: Tensor<4>, mode: Mode, precision: Precision) -> Result<Tensor<4>> {
        #[cfg(feature = "libtorch")]
        if libtorch::computes_on(&x.device()) {
            let first = libtorch::Layer { conv: &self.conv1, norm: &mut self.bn1 };
            let second = libtorch::Layer { conv: &self.conv2, norm: &mut self.bn2 };
            let shortcut = self.shortcut.as_mut();
            let shortcut = shortcut.map(|(conv, norm)| libtorch::Layer { conv, norm });
            return libtorch::block(&x, [first, second], shortcut, mode, precision);
        }
        let inner = relu(self.bn1.forward(self.conv1.forward(x.clone()), mode)?);
        let inner = self.bn2.forward(self.conv2.forward(inner), mode)?;
        let beside = match &mut self.shortcut {
            None => x,
            Some((conv, norm)) => norm.forward(conv.forward(x), mode)?,
        };
        Ok(relu(inner + beside))
    }
}

impl Network for Block {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("conv1", &mut self.conv1);
        tensors.part("bn1", &mut self.bn1);
        tensors.part("conv2", &mut self.conv2);
        tensors.part("bn2", &mut self.bn2);
        if let Some((conv, norm)) = &mut self.shortcut {
            tensors.part("shortcut.0", conv);
            tensors.part("shortcut.1", norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn resnet(width: usize, stem: Stem) -> (ResNet18, Device) {
        let device = crate::device("flex", 0).unwrap();
        let shape = ResNetShape { channels: 3, width, stem };
        (ResNet18::new(shape, &mut ChaCha8Rng::seed_from_u64(1), &device), device)
    }

    /// The sizes of DualNet: 84 gives 42, 21, 11, 6.
    #[test]
    fn the_pooled_stem_halves_the_image() {
        let (mut net, device) = resnet(2, Stem::Pooled);
        let stages = net.stages(Tensor::ones([2, 3, 84, 84], &device), Mode::Train).unwrap();
        let sizes = stages.map(|h| h.dims());
        assert_eq!(sizes, [[2, 2, 42, 42], [2, 4, 21, 21], [2, 8, 11, 11], [2, 16, 6, 6]]);
    }

    #[test]
    fn the_plain_stem_keeps_it() {
        let (mut net, device) = resnet(2, Stem::Plain);
        let x = Tensor::ones([2, 3, 32, 32], &device);
        let stages = net.stages(x.clone(), Mode::Eval).unwrap();
        let least = stages.clone().map(|h| h.min().into_scalar::<f32>());
        assert!(least.iter().all(|&v| v >= 0.0), "stages come after their ReLU: {least:?}");
        let sizes = stages.map(|h| h.dims());
        assert_eq!(sizes, [[2, 2, 32, 32], [2, 4, 16, 16], [2, 8, 8, 8], [2, 16, 4, 4]]);
        assert_eq!(net.features(x, Mode::Eval).unwrap().dims(), [2, net.outputs()]);
    }

    #[test]
    fn names_are_pytorchs() {
        let names = resnet(2, Stem::Plain).0.names();
        // 20 convolutions, 20 normalisations of 4 tensors each.
        assert_eq!(names.len(), 20 + 20 * 4);
        assert_eq!(names[..3], ["conv1.weight", "bn1.weight", "bn1.bias"]);
        for name in ["layer1.0.bn1.running_mean", "layer2.0.shortcut.1.running_var"] {
            assert!(names.contains(&name.to_string()), "{name}");
        }
        assert!(!names.iter().any(|name| name.starts_with("layer1.0.shortcut")));
    }

    /// Images of 8x8 are one pixel in the last stage.
    #[test]
    fn one_small_image_cannot_be_trained_on() {
        let (mut net, device) = resnet(2, Stem::Plain);
        let one = Tensor::ones([1, 3, 8, 8], &device);
        let error = net.features(one.clone(), Mode::Train).unwrap_err().to_string();
        assert!(error.contains("found 1 in an input of shape [1, 16, 1, 1]"), "{error}");
        assert!(net.features(one, Mode::Eval).is_ok());
    }
}
