//! A backbone with a head, as most methods train it: made from the context of `create`, fed from
//! the host's slices, answering with logits.

use burn::tensor::{Int, Tensor};
use perdura_sdk::{Context, Result};
use rand::Rng;

use crate::backbone::{Backbone, BackboneConfig};
use crate::batch_norm::Mode;
use crate::device::{Device, device_and_precision};
use crate::linear::Linear;
use crate::network::{Listing, Network};
use crate::{copy_out, labels, rows};

/// Rows that a ResNet answers at once: its activations are large, and more rows are not faster.
pub(crate) const ROWS_AT_ONCE: usize = 50;

/// Sizes of a [`Net`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetShape {
    pub backbone: BackboneConfig,
    /// Shape of one input, `[width]` or `[channels, height, width]`.
    pub input: Vec<usize>,
    /// Width of the logits.
    pub classes: usize,
}

/// A backbone and a linear head. Saved, the backbone's tensors have no prefix and the head's are
/// `head.weight` and `head.bias`.
#[derive(Clone, Debug)]
pub struct Net {
    pub backbone: Backbone,
    pub head: Linear,
    device: Device,
}

impl Net {
    /// For `create`: on the device that the host wants, started from the call's seed; as wide as
    /// the benchmark's inputs and classes; weights from the call's stream `init`.
    pub fn of(context: &Context, backbone: &BackboneConfig) -> Result<Net> {
        let (device, precision) = device_and_precision(&context.device, context.call.seed())?;
        let (backbone, input) = (backbone.clone(), context.input_shape.clone());
        let shape = NetShape { backbone, input, classes: context.classes };
        let mut net = Net::new(&shape, &mut context.call.rng("init"), &device)?;
        net.backbone.compute_in(precision)?;
        Ok(net)
    }

    /// A network of parts that exist: the parts share their memory with it until one is replaced.
    pub fn of_parts(backbone: Backbone, head: Linear, device: &Device) -> Net {
        Net { backbone, head, device: device.clone() }
    }

    /// A fresh network, the backbone drawn before the head.
    pub fn new(shape: &NetShape, rng: &mut impl Rng, device: &Device) -> Result<Net> {
        let backbone = Backbone::new(&shape.backbone, &shape.input, rng, device)?;
        let head = backbone.head(shape.classes, rng, device);
        Ok(Net { backbone, head, device: device.clone() })
    }

    /// `[n, inputs]` to logits `[n, classes]` as in a test: running statistics normalise.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.features(x))
    }

    /// The same in training: the batch normalises itself and moves the running statistics of this
    /// network. A network without batch normalisation computes what [`forward`](Net::forward)
    /// computes. Fails on a batch too small to be normalised.
    pub fn forward_train(&mut self, x: Tensor<2>) -> Result<Tensor<2>> {
        let features = self.backbone.features(x, Mode::Train)?;
        Ok(self.head.forward(features))
    }

    /// What the head sees, `[n, head.inputs()]`, as in a test.
    pub fn features(&self, x: Tensor<2>) -> Tensor<2> {
        // The clone shares all memory, and evaluation moves nothing.
        let features = self.backbone.clone().features(x, Mode::Eval);
        features.expect("evaluation takes batches of any size")
    }

    /// For `predict`: logits of row-major inputs into `out`.
    pub fn predict(&self, inputs: &[f32], out: &mut [f32]) {
        let classes = self.head.outputs();
        let at_once = match self.backbone {
            Backbone::Mlp(_) => out.len() / classes,
            Backbone::ResNet18 { .. } => ROWS_AT_ONCE,
        };
        let pieces = inputs.chunks((at_once * self.backbone.inputs()).max(1));
        for (inputs, out) in pieces.zip(out.chunks_mut((at_once * classes).max(1))) {
            copy_out(self.forward(self.rows(&[inputs])), out);
        }
    }

    /// True where training and evaluation differ: the network keeps running statistics.
    pub fn normalises_batches(&self) -> bool {
        matches!(self.backbone, Backbone::ResNet18 { .. })
    }

    /// Pieces of inputs as one matrix `[n, inputs]`.
    pub fn rows(&self, pieces: &[&[f32]]) -> Tensor<2> {
        rows(pieces, self.backbone.inputs(), &self.device)
    }

    /// Pieces of labels as one vector.
    pub fn labels(&self, pieces: &[&[u32]]) -> Tensor<1, Int> {
        labels(pieces, self.head.outputs(), &self.device)
    }

    /// Pieces of logits as one matrix, as wide as the network's own.
    pub fn logits(&self, pieces: &[&[f32]]) -> Tensor<2> {
        rows(pieces, self.head.outputs(), &self.device)
    }

    /// Where the network computes.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Network for Net {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("", &mut self.backbone);
        tensors.part("head", &mut self.head);
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
