//! The backbones a method can be run on, chosen by hyper-parameters that all plugins share.

use burn::tensor::{Device, Tensor};
use perdura_sdk::{Error, Result, hyper_parameters};
use rand::Rng;

use crate::batch_norm::Mode;
use crate::device::Precision;
use crate::linear::Linear;
use crate::mlp::Mlp;
use crate::network::{Listing, Network};
use crate::resnet18::{ResNet18, ResNetShape, Stem, pool};

hyper_parameters! {
    /// The network between the inputs and the head.
    pub enum BackboneKind {
        /// Hidden layers with ReLU.
        #[default]
        Mlp,
        /// ResNet-18 with a 3x3 stem of stride 1, for images of about 32x32 or 64x64.
        Resnet18,
        /// The same with 3x3 max-pooling of stride 2 after the stem, for images of about 84x84.
        Resnet18Pool,
    }
}

/// What a plugin's hyper-parameters say about its backbone. Plugins name them alike: `backbone`,
/// `hidden`, `width`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackboneConfig {
    /// Hyper-parameter `backbone`.
    pub kind: BackboneKind,
    /// Hyper-parameter `hidden`, for the MLP: widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Hyper-parameter `width`, for ResNet-18: channels of the first stage.
    pub width: usize,
}

impl Default for BackboneConfig {
    /// The networks of the papers: an MLP of 100 and 100, a ResNet-18 of 64.
    fn default() -> Self {
        BackboneConfig { kind: BackboneKind::Mlp, hidden: vec![100, 100], width: 64 }
    }
}

impl BackboneConfig {
    /// An MLP with these widths.
    pub fn mlp(hidden: &[usize]) -> Self {
        BackboneConfig { hidden: hidden.to_vec(), ..BackboneConfig::default() }
    }
}

/// From inputs, each a row of numbers, to features.
#[derive(Clone, Debug)]
pub enum Backbone {
    Mlp(Mlp),
    ResNet18 {
        network: Box<ResNet18>,
        /// Channels, height and width of an input.
        image: [usize; 3],
    },
}

impl Backbone {
    /// A fresh backbone for inputs of shape `[width]` or `[channels, height, width]`: MLPs with
    /// Xavier weights and zero biases, ResNets with PyTorch's default. A size of 0, and a ResNet
    /// for inputs that are not images, are refused.
    pub fn new(
        config: &BackboneConfig,
        input_shape: &[usize],
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Self> {
        let stem = match config.kind {
            BackboneKind::Mlp => {
                if config.hidden.contains(&0) {
                    return Err(Error::config("hidden", "widths of at least 1", "0"));
                }
                let inputs = input_shape.iter().product();
                return Ok(Backbone::Mlp(Mlp::new(inputs, &config.hidden, rng, device)));
            }
            BackboneKind::Resnet18 => Stem::Plain,
            BackboneKind::Resnet18Pool => Stem::Pooled,
        };
        if config.width == 0 {
            return Err(Error::config("width", "at least 1", "0"));
        }
        let Ok(image) = <[usize; 3]>::try_from(input_shape) else {
            let found = format!("a ResNet for inputs of shape {input_shape:?}");
            let expected = "`mlp`, or inputs of shape [channels, height, width]";
            return Err(Error::config("backbone", expected, found));
        };
        let shape = ResNetShape { channels: image[0], width: config.width, stem };
        let network = Box::new(ResNet18::new(shape, rng, device));
        Ok(Backbone::ResNet18 { network, image })
    }

    /// Computes in these numbers from now on; parameters and features stay f32. An MLP has nothing
    /// that gains by less than f32, and refuses it.
    pub fn compute_in(&mut self, precision: Precision) -> Result<()> {
        match (self, precision) {
            (_, Precision::F32) => {}
            (Backbone::ResNet18 { network, .. }, _) => network.compute_in(precision),
            (Backbone::Mlp(_), Precision::Bf16) => {
                let expected = "a device without `+bf16` for the backbone `mlp`";
                return Err(Error::config("device", expected, "bf16, which serves convolutions"));
            }
        }
        Ok(())
    }

    /// `[n, inputs]` to features `[n, outputs]`. `mode` matters to batch normalisation alone; a
    /// batch too small to be normalised in training is an error.
    pub fn features(&mut self, x: Tensor<2>, mode: Mode) -> Result<Tensor<2>> {
        match self {
            Backbone::Mlp(mlp) => Ok(mlp.features(x)),
            Backbone::ResNet18 { network, image } => network.features(images(x, *image), mode),
        }
    }

    /// `[n, inputs]` to one matrix per stage, first to last: the hidden layers of an MLP after
    /// their ReLU, the four stages of a ResNet averaged over pixels. The last are the features; an
    /// MLP without hidden layers has none.
    pub fn stages(&mut self, x: Tensor<2>, mode: Mode) -> Result<Vec<Tensor<2>>> {
        match self {
            Backbone::Mlp(mlp) => Ok(mlp.stages(x)),
            Backbone::ResNet18 { network, image } => {
                Ok(network.stages(images(x, *image), mode)?.map(pool).into())
            }
        }
    }

    /// A head for these features, initialised in the manner of the backbone.
    pub fn head(&self, classes: usize, rng: &mut impl Rng, device: &Device) -> Linear {
        match self {
            Backbone::Mlp(mlp) => Linear::xavier(mlp.outputs(), classes, rng, device),
            Backbone::ResNet18 { network, .. } => {
                Linear::pytorch(network.outputs(), classes, rng, device)
            }
        }
    }

    /// Numbers in one input.
    pub fn inputs(&self) -> usize {
        match self {
            Backbone::Mlp(mlp) => mlp.inputs(),
            Backbone::ResNet18 { image, .. } => image.iter().product(),
        }
    }

    /// Width of the features.
    pub fn outputs(&self) -> usize {
        match self {
            Backbone::Mlp(mlp) => mlp.outputs(),
            Backbone::ResNet18 { network, .. } => network.outputs(),
        }
    }
}

/// Rows as images `[n, channels, height, width]`.
pub fn images(rows: Tensor<2>, [channels, height, width]: [usize; 3]) -> Tensor<4> {
    let [n, _] = rows.dims();
    rows.reshape([n, channels, height, width])
}

impl Network for Backbone {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        match self {
            Backbone::Mlp(mlp) => mlp.list(tensors),
            Backbone::ResNet18 { network, .. } => network.list(tensors),
        }
    }
}
