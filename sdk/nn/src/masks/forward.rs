//! The passes of a masked network. They are those of [`Net::forward`] and [`Net::forward_train`]
//! with a product after each ReLU: a mask of ones changes no bit.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use perdura_sdk::Result;

use crate::backbone::{Backbone, images};
use crate::batch_norm::Mode;
use crate::copy_out;
use crate::net::{Net, ROWS_AT_ONCE};
use crate::resnet18::{Block, ResNet18, pool};

/// One mask per layer and row, or one per layer for all rows.
#[derive(Clone, Debug)]
pub struct RowMasks {
    /// `[n, units]` or `[1, units]`.
    layers: Vec<Tensor<2>>,
}

impl RowMasks {
    /// The same masks for every row.
    pub fn same(masks: Vec<Tensor<1>>) -> Self {
        RowMasks { layers: masks.into_iter().map(|mask| mask.unsqueeze_dim(0)).collect() }
    }

    /// The masks of every layer, `[n, units]`, or `[1, units]` where all rows have the same.
    pub fn layers(&self) -> &[Tensor<2>] {
        &self.layers
    }

    /// Row i has the masks of its group, `masks[places[i]]`. Exact, and gradients go to the groups
    /// whose masks carry some: `Σ_g 1[place = g]·a^g`.
    pub fn by_row(masks: &[Vec<Tensor<1>>], places: &[usize]) -> Self {
        let device = masks[0][0].device().without_autodiff();
        let chosen: Vec<Tensor<2>> =
            (0..masks.len()).map(|place| indicator(places, place, &device)).collect();
        let layer = |layer: usize| {
            let terms = masks.iter().zip(&chosen).map(|(of_group, chosen)| {
                of_group[layer].clone().unsqueeze_dim::<2>(0) * chosen.clone()
            });
            terms.reduce(|sum, term| sum + term).expect("a group at least")
        };
        RowMasks { layers: (0..masks[0].len()).map(layer).collect() }
    }
}

/// `[n, 1]`: 1 where a row is of this place.
fn indicator(places: &[usize], place: usize, device: &Device) -> Tensor<2> {
    let ones: Vec<f32> = places.iter().map(|&p| f32::from(u8::from(p == place))).collect();
    Tensor::from_data(TensorData::new(ones, [places.len(), 1]), device)
}

/// `[n, inputs]` to logits `[n, classes]`, units multiplied by their masks. In `Mode::Train` batch
/// normalisation normalises all rows together and moves the statistics of `net`; it fails on a
/// batch that is too small.
pub fn forward(net: &mut Net, x: Tensor<2>, masks: &RowMasks, mode: Mode) -> Result<Tensor<2>> {
    let features = match &mut net.backbone {
        Backbone::Mlp(mlp) => {
            let layers = mlp.layers.iter().zip(&masks.layers);
            layers.fold(x, |x, (layer, mask)| layer.forward_relu(x) * mask.clone())
        }
        Backbone::ResNet18 { network, image } => {
            pool(resnet(network, images(x, *image), masks, mode)?)
        }
    };
    Ok(net.head.forward(features))
}

/// For `predict`: logits of row-major inputs into `out`, all under the same masks and the running
/// statistics that `net` has.
pub fn predict(net: &Net, masks: &[Tensor<1>], inputs: &[f32], out: &mut [f32]) {
    let masks = RowMasks::same(masks.to_vec());
    // The clone shares all memory, and evaluation moves nothing.
    let (mut net, classes) = (net.clone(), net.head.outputs());
    let at_once = match net.normalises_batches() {
        true => ROWS_AT_ONCE,
        false => out.len() / classes,
    };
    let pieces = inputs.chunks((at_once * net.backbone.inputs()).max(1));
    for (inputs, out) in pieces.zip(out.chunks_mut((at_once * classes).max(1))) {
        let x = net.rows(&[inputs]);
        let logits = forward(&mut net, x, &masks, Mode::Eval);
        copy_out(logits.expect("evaluation takes batches of any size"), out);
    }
}

fn resnet(network: &mut ResNet18, x: Tensor<4>, masks: &RowMasks, mode: Mode) -> Result<Tensor<4>> {
    let mut masks = masks.layers.iter();
    let mut next = || masks.next().expect("a mask for every layer");
    let stem = relu(network.bn1.forward(network.conv1.forward(x), mode)?);
    let mut h = network.stem.pool(masked(stem, next()));
    for block in network.layers.iter_mut().flatten() {
        h = of_block(block, h, [next(), next()], mode)?;
    }
    Ok(h)
}

fn of_block(
    block: &mut Block,
    x: Tensor<4>,
    [inner_mask, outer_mask]: [&Tensor<2>; 2],
    mode: Mode,
) -> Result<Tensor<4>> {
    let inner = relu(block.bn1.forward(block.conv1.forward(x.clone()), mode)?);
    let inner = block.bn2.forward(block.conv2.forward(masked(inner, inner_mask)), mode)?;
    let beside = match &mut block.shortcut {
        None => x,
        Some((conv, norm)) => norm.forward(conv.forward(x), mode)?,
    };
    Ok(masked(relu(inner + beside), outer_mask))
}

/// Channels times their masks.
fn masked(x: Tensor<4>, mask: &Tensor<2>) -> Tensor<4> {
    let [rows, channels] = mask.dims();
    x * mask.clone().reshape([rows, channels, 1, 1])
}
