//! Multi-layer perceptrons: linear layers with ReLU between them.

use burn::tensor::activation::relu;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::network::{Network, Parameter, ParameterMut};

/// A linear layer: `x·W + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Tensor<2>,
    /// `[out]`.
    pub bias: Tensor<1>,
}

impl Linear {
    /// Weights from `U(±√(6/(in+out)))` (Xavier), zero biases.
    ///
    /// Weights are drawn in the order of PyTorch's `[out, in]` matrix, one 32-bit word each: its upper 24
    /// bits `k` give `k·2⁻²⁴` in `[0, 1)`, exact in f32, so every machine starts from the same numbers.
    pub fn xavier(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt() as f32;
        let mut weight = vec![0.0; inputs * outputs];
        for output in 0..outputs {
            for input in 0..inputs {
                let unit = (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32);
                weight[input * outputs + output] = bound * (2.0 * unit - 1.0);
            }
        }
        let weight = Tensor::from_data(TensorData::new(weight, [inputs, outputs]), device);
        Linear { weight, bias: Tensor::zeros([outputs], device) }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        linear(inputs, self.weight.clone(), Some(self.bias.clone()))
    }
}

/// Widths of an [`Mlp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpShape {
    pub inputs: usize,
    pub hidden: Vec<usize>,
    pub outputs: usize,
}

/// Hidden layers `fc1`, `fc2`, … with ReLU, then `head`. Logits come out.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// A network with Xavier weights and zero biases, layers drawn first to last.
    pub fn new(shape: &MlpShape, rng: &mut impl Rng, device: &Device) -> Self {
        let widths = [&[shape.inputs], &shape.hidden[..], &[shape.outputs]].concat();
        let layer = |pair: &[usize]| Linear::xavier(pair[0], pair[1], rng, device);
        Mlp { layers: widths.windows(2).map(layer).collect() }
    }

    /// `[rows, inputs]` to logits `[rows, outputs]`.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let (head, hidden) = self.layers.split_last().expect("there is always a head");
        head.forward(hidden.iter().fold(inputs, |x, layer| relu(layer.forward(x))))
    }

    /// Width of the logits.
    pub fn outputs(&self) -> usize {
        self.layers.last().expect("there is always a head").bias.dims()[0]
    }
}

impl Network for Mlp {
    fn names(&self) -> Vec<String> {
        let hidden = self.layers.len() - 1;
        let layer = |i| if i < hidden { format!("fc{}", i + 1) } else { "head".to_string() };
        let both = |i| [format!("{}.weight", layer(i)), format!("{}.bias", layer(i))];
        (0..self.layers.len()).flat_map(both).collect()
    }

    fn parameters(&self) -> Vec<Parameter<'_>> {
        let layers = self.layers.iter();
        layers.flat_map(|l| [Parameter::Linear(&l.weight), Parameter::Vector(&l.bias)]).collect()
    }

    fn parameters_mut(&mut self) -> Vec<ParameterMut<'_>> {
        let layers = self.layers.iter_mut();
        layers
            .flat_map(|l| [ParameterMut::Linear(&mut l.weight), ParameterMut::Vector(&mut l.bias)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn mnist() -> Mlp {
        let shape = MlpShape { inputs: 784, hidden: vec![100, 100], outputs: 10 };
        let device = crate::device("flex", 0).unwrap();
        Mlp::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device)
    }

    #[test]
    fn the_mnist_network_has_89610_parameters() {
        assert_eq!(mnist().parameter_count(), 89_610);
        assert_eq!(mnist().parameter_bytes(), 358_440);
        assert_eq!(mnist().outputs(), 10);
    }

    #[test]
    fn names_are_pytorchs() {
        let names =
            ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "head.weight", "head.bias"];
        assert_eq!(mnist().names(), names);
    }

    #[test]
    fn weights_fill_the_xavier_interval_and_biases_are_zero() {
        for parameter in mnist().parameters() {
            match parameter {
                Parameter::Linear(weight) => {
                    let [inputs, outputs] = weight.dims();
                    let bound = (6.0 / (inputs + outputs) as f32).sqrt();
                    let largest: f32 = weight.clone().abs().max().into_scalar();
                    assert!(largest <= bound && largest > 0.99 * bound, "{largest} of {bound}");
                    let mean: f32 = weight.clone().mean().into_scalar();
                    assert!(mean.abs() < 0.1 * bound, "mean {mean}");
                }
                Parameter::Vector(bias) => {
                    assert_eq!(bias.clone().abs().max().into_scalar::<f32>(), 0.0);
                }
                Parameter::Kernel(_) => unreachable!("an MLP has no kernels"),
            }
        }
    }

    /// By hand: h = relu([1·1+2·(-1)+0.5, 1·2+2·1-1]) = [0, 3]; z = 0·4 + 3·5 + 1 = 16.
    #[test]
    fn forward_by_hand() {
        let device = crate::device("flex", 0).unwrap();
        let matrix = |v: &[f32], s: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(v.to_vec(), s), &device)
        };
        let vector =
            |v: &[f32]| Tensor::<1>::from_data(TensorData::new(v.to_vec(), [v.len()]), &device);
        let fc1 =
            Linear { weight: matrix(&[1.0, 2.0, -1.0, 1.0], [2, 2]), bias: vector(&[0.5, -1.0]) };
        let head = Linear { weight: matrix(&[4.0, 5.0], [2, 1]), bias: vector(&[1.0]) };
        let logits = Mlp { layers: vec![fc1, head] }.forward(matrix(&[1.0, 2.0], [1, 2]));
        assert_eq!(logits.into_scalar::<f32>(), 16.0);
    }
}
