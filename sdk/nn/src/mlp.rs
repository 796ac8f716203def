//! Multi-layer perceptrons: linear layers with ReLU after each. A [`Net`](crate::Net) adds the
//! head.

use burn::tensor::{Device, Tensor};
use rand::Rng;

use crate::linear::Linear;
use crate::network::{Listing, Network};

/// Hidden layers `fc1`, `fc2`, … with ReLU.
#[derive(Clone, Debug)]
pub struct Mlp {
    inputs: usize,
    pub(crate) layers: Vec<Linear>,
}

impl Mlp {
    /// Layers of the given widths with Xavier weights and zero biases, drawn first to last.
    pub fn new(inputs: usize, widths: &[usize], rng: &mut impl Rng, device: &Device) -> Self {
        let widths = [&[inputs], widths].concat();
        let layer = |pair: &[usize]| Linear::xavier(pair[0], pair[1], rng, device);
        Mlp { inputs, layers: widths.windows(2).map(layer).collect() }
    }

    /// `[n, inputs]` to the outputs of every layer, each `[n, its width]`.
    pub fn stages(&self, x: Tensor<2>) -> Vec<Tensor<2>> {
        self.stages_with(x, |_, h| h)
    }

    /// The same with every output changed, by its number, before the next layer sees it.
    pub fn stages_with(
        &self,
        x: Tensor<2>,
        change: impl Fn(usize, Tensor<2>) -> Tensor<2>,
    ) -> Vec<Tensor<2>> {
        let apply = |x: &mut Tensor<2>, (number, layer): (usize, &Linear)| {
            *x = change(number, layer.forward_relu(x.clone()));
            Some(x.clone())
        };
        self.layers.iter().enumerate().scan(x, apply).collect()
    }

    /// `[n, inputs]` to the output of the last layer; without layers, the input.
    pub fn features(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().fold(x, |x, layer| layer.forward_relu(x))
    }

    /// Width of the inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the last layer; without layers, of the inputs.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(self.inputs, Linear::outputs)
    }
}

impl Network for Mlp {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            tensors.part(&format!("fc{}", i + 1), layer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    /// By hand: relu([1·1+2·(-1)+0.5, 1·2+2·1-1]) = [0, 3]; then relu(0·4 + 3·5 + 1) = 16.
    #[test]
    fn stages_by_hand() {
        let device = crate::device("flex", 0).unwrap();
        let matrix = |v: &[f32], s: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(v.to_vec(), s), &device)
        };
        let vector = |v: &[f32]| {
            Some(Tensor::<1>::from_data(TensorData::new(v.to_vec(), [v.len()]), &device))
        };
        let fc1 =
            Linear { weight: matrix(&[1.0, 2.0, -1.0, 1.0], [2, 2]), bias: vector(&[0.5, -1.0]) };
        let fc2 = Linear { weight: matrix(&[4.0, 5.0], [2, 1]), bias: vector(&[1.0]) };
        let mlp = Mlp { inputs: 2, layers: vec![fc1, fc2] };
        let values = |t: Tensor<2>| t.into_data().try_to_vec::<f32>().unwrap();
        let stages = mlp.stages(matrix(&[1.0, 2.0], [1, 2]));
        assert_eq!(
            stages.into_iter().map(values).collect::<Vec<_>>(),
            [vec![0.0, 3.0], vec![16.0]]
        );
        assert_eq!(values(mlp.features(matrix(&[1.0, 2.0], [1, 2]))), [16.0]);
        assert_eq!((mlp.inputs(), mlp.outputs()), (2, 1));
    }
}
