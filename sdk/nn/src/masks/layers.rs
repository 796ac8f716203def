//! Which units a network has masks for, and whose units every parameter connects: what turns
//! numbers per unit into numbers per parameter.

use perdura_sdk::{Error, Result};

use crate::backbone::Backbone;
use crate::net::Net;
use crate::network::{Network, TensorMut};
use crate::numbers;

/// One number per unit, layer by layer. Where the head counts it is one more layer, of its outputs.
pub type Units = Vec<Vec<f32>>;

/// The layers on both sides of a parameter tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The layer whose units the parameter leads to.
    pub output: usize,
    /// `None` for weights from the inputs, and for vectors (biases, scales), which have one end.
    pub input: Option<usize>,
}

/// The masked layers of a network, in order: the hidden layers of an MLP; of a ResNet the stem and
/// both halves of every block. The head is the layer after them.
#[derive(Clone, Debug)]
pub struct Layers {
    widths: Vec<usize>,
    /// For every parameter tensor, in the network's order.
    ends: Vec<Ends>,
    /// How many of the first units of each layer are common to all groups.
    common: Vec<usize>,
}

impl Layers {
    /// An MLP without hidden layers has nothing to mask: refused.
    pub fn of(net: &Net) -> Result<Layers> {
        let mut layers = match &net.backbone {
            Backbone::Mlp(mlp) => {
                let widths: Vec<usize> = mlp.layers.iter().map(|layer| layer.outputs()).collect();
                if widths.is_empty() {
                    let expected = "at least one hidden layer: masks are over its units";
                    return Err(Error::config("hidden", expected, "[]"));
                }
                let mut layers = Layers::over(widths, Vec::new());
                for output in 0..layers.widths.len() {
                    layers.weights(output, output.checked_sub(1));
                    layers.vectors(output, 1);
                }
                layers
            }
            Backbone::ResNet18 { network, .. } => resnet(network.outputs() / 8),
        };
        let head = layers.widths.len();
        layers.weights(head, Some(head - 1));
        layers.vectors(head, 1);
        Ok(layers)
    }

    /// Those of a network that is not a [`Net`]: units of every masked layer, and the ends of every
    /// parameter tensor in the network's order. The layer after the last is the head.
    pub fn over(widths: Vec<usize>, ends: Vec<Ends>) -> Layers {
        let common = vec![0; widths.len()];
        Layers { widths, ends, common }
    }

    /// The first units of each layer, so many, are common to all groups: their masks are 1, and what
    /// leads to them is nobody's.
    pub fn with_common(self, common: Vec<usize>) -> Layers {
        Layers { common, ..self }
    }

    /// How many of the first units of each layer are common to all groups.
    pub fn common(&self) -> &[usize] {
        &self.common
    }

    /// Units of every masked layer; the head is not among them.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// `min(u_out, u_in)` for every parameter, u of the units it connects; of vectors and weights
    /// from the inputs `u_out` alone (HAT's rule), and 0 for what leads to common units. `units` has
    /// a row more than there are masked layers, for the head. Running statistics are those of
    /// `net`.
    pub fn spread<N: Network>(&self, net: &N, units: &Units) -> N {
        let mut owned = units.clone();
        for (layer, common) in owned.iter_mut().zip(&self.common) {
            layer[..*common].fill(0.0);
        }
        let shapes = shapes(net).into_iter().zip(&self.ends);
        let spread = shapes.map(|(shape, ends)| {
            let output = &owned[ends.output];
            let input = ends.input.map(|input| &units[input]);
            let of = |o: usize, i: usize| input.map_or(output[o], |input| output[o].min(input[i]));
            match shape {
                Shape::Vector => output.clone(),
                Shape::Linear { inputs } => {
                    let pairs = (0..inputs).flat_map(|i| (0..output.len()).map(move |o| (o, i)));
                    pairs.map(|(o, i)| of(o, i)).collect()
                }
                Shape::Kernel { inputs, pixels } => {
                    let pairs = (0..output.len()).flat_map(|o| (0..inputs).map(move |i| (o, i)));
                    pairs.flat_map(|(o, i)| vec![of(o, i); pixels]).collect()
                }
            }
        });
        numbers::filled(net, spread.collect())
    }

    fn weights(&mut self, output: usize, input: Option<usize>) {
        self.ends.push(Ends { output, input });
    }

    fn vectors(&mut self, output: usize, count: usize) {
        self.ends.extend(vec![Ends { output, input: None }; count]);
    }
}

/// The walk of `ResNet18::list`. The units of a block are those after its first ReLU, then those of
/// its output.
fn resnet(width: usize) -> Layers {
    let mut layers = Layers::over(vec![width], Vec::new());
    layers.weights(0, None);
    layers.vectors(0, 2);
    for block in 0..8 {
        let channels = width << (block / 2);
        let before = layers.widths.len() - 1;
        let (inner, outer) = (before + 1, before + 2);
        layers.widths.extend([channels, channels]);
        layers.common.extend([0, 0]);
        layers.weights(inner, Some(before));
        layers.vectors(inner, 2);
        layers.weights(outer, Some(inner));
        layers.vectors(outer, 2);
        // The first block of the later stages changes the shape.
        if block > 1 && block % 2 == 0 {
            layers.weights(outer, Some(before));
            layers.vectors(outer, 2);
        }
    }
    layers
}

/// How the numbers of a parameter lie in memory.
enum Shape {
    Vector,
    /// `[inputs, outputs]`.
    Linear {
        inputs: usize,
    },
    /// `[outputs, inputs, pixels]`.
    Kernel {
        inputs: usize,
        pixels: usize,
    },
}

fn shapes<N: Network>(net: &N) -> Vec<Shape> {
    let mut net = net.clone();
    let tensors = net.unnamed_mut().into_iter();
    let shapes = tensors.filter_map(|tensor| match tensor {
        TensorMut::Vector(_) => Some(Shape::Vector),
        TensorMut::Linear(t) => Some(Shape::Linear { inputs: t.dims()[0] }),
        TensorMut::Kernel(t) => {
            let [_, inputs, height, width] = t.dims();
            Some(Shape::Kernel { inputs, pixels: height * width })
        }
        TensorMut::Running(_) => None,
    });
    shapes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackboneConfig, BackboneKind, NetShape};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(kind: BackboneKind, hidden: &[usize]) -> Net {
        let backbone = BackboneConfig { kind, hidden: hidden.to_vec(), width: 2 };
        let shape = NetShape { backbone, input: vec![1, 8, 8], classes: 3 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).unwrap()
    }

    /// Every tensor has the widths of the layers it is said to connect.
    #[test]
    fn parameters_connect_the_layers_they_are_said_to() {
        for (kind, hidden) in [
            (BackboneKind::Mlp, &[5, 4][..]),
            (BackboneKind::Resnet18, &[]),
            (BackboneKind::Resnet18Pool, &[]),
        ] {
            let mut net = net(kind, hidden);
            let layers = Layers::of(&net).unwrap();
            let widths = [layers.widths(), &[3]].concat();
            let tensors = net.tensors_mut().into_iter();
            let parameters: Vec<(String, TensorMut<'_>)> =
                tensors.filter(|(_, t)| !matches!(t, TensorMut::Running(_))).collect();
            assert_eq!(parameters.len(), layers.ends.len(), "{kind:?}");
            for ((name, tensor), ends) in parameters.into_iter().zip(&layers.ends) {
                let (output, input) = match tensor {
                    TensorMut::Vector(t) | TensorMut::Running(t) => (t.dims()[0], None),
                    TensorMut::Linear(t) => (t.dims()[1], Some(t.dims()[0])),
                    TensorMut::Kernel(t) => (t.dims()[0], Some(t.dims()[1])),
                };
                assert_eq!(output, widths[ends.output], "{name}");
                match ends.input {
                    Some(layer) => assert_eq!(input, Some(widths[layer]), "{name}"),
                    None => assert!(input.is_none_or(|n| n == 64 || n == 1), "{name}"),
                }
            }
        }
    }

    /// 17 masked layers of a ResNet; the shortcut of the second stage ends where its block does.
    #[test]
    fn a_resnet_has_a_stem_and_two_layers_a_block() {
        let layers = Layers::of(&net(BackboneKind::Resnet18, &[])).unwrap();
        let widths = [2, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16];
        assert_eq!(layers.widths(), widths);
        let names = net(BackboneKind::Resnet18, &[]).names();
        let parameters: Vec<&String> = names.iter().filter(|n| !n.contains("running")).collect();
        let of = |name: &str| layers.ends[parameters.iter().position(|n| *n == name).unwrap()];
        assert_eq!(of("layer2.0.shortcut.0.weight"), Ends { output: 6, input: Some(4) });
        assert_eq!(of("layer2.0.conv2.weight"), Ends { output: 6, input: Some(5) });
        assert_eq!(of("layer2.1.conv1.weight"), Ends { output: 7, input: Some(6) });
        assert_eq!(of("head.weight"), Ends { output: 17, input: Some(16) });
    }

    /// Units (1, 0.25), then the head (0.5, 1, 0): a weight has the smaller of its two ends, memory
    /// order `[in, out]`.
    #[test]
    fn units_are_spread_by_hand() {
        let net = net(BackboneKind::Mlp, &[2]);
        let layers = Layers::of(&net).unwrap();
        let spread = layers.spread(&net, &vec![vec![1.0, 0.25], vec![0.5, 1.0, 0.0]]);
        let values = numbers::by_tensor(&spread);
        assert_eq!(values[0][..4], [1.0, 0.25, 1.0, 0.25]);
        assert_eq!(values[1], [1.0, 0.25]);
        assert_eq!(values[2], [0.5, 1.0, 0.0, 0.25, 0.25, 0.0]);
        assert_eq!(values[3], [0.5, 1.0, 0.0]);
    }

    #[test]
    fn without_hidden_layers_there_is_nothing_to_mask() {
        let error = Layers::of(&net(BackboneKind::Mlp, &[])).unwrap_err().to_string();
        let expected = "hyper-parameter `hidden`: expected at least one hidden layer: masks are \
                        over its units, found []";
        assert_eq!(error, expected);
    }
}
