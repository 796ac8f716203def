//! The parameters of a network as plain numbers, tensor by tensor, and back, for what is computed
//! once in a while and not in every step. As one vector for every step: `flat`.

use burn::tensor::{Tensor, TensorData};

use crate::network::{Network, TensorMut};

/// The numbers of every parameter in memory order, in the network's order; running statistics are
/// left out.
pub(crate) fn parameters<N: Network>(network: &N) -> Vec<Vec<f32>> {
    let mut network = network.clone();
    let tensors = network.unnamed_mut().into_iter();
    let values = tensors.filter_map(|tensor| match tensor {
        TensorMut::Vector(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Linear(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Kernel(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Running(_) => None,
    });
    values.collect()
}

/// A network of the same shape with these parameters; its running statistics are those of `like`.
pub(crate) fn filled<N: Network>(like: &N, parameters: Vec<Vec<f32>>) -> N {
    let mut network = like.clone();
    let mut parameters = parameters.into_iter();
    let mut next = || parameters.next().expect("values for every parameter");
    for tensor in network.unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => *t = made(t, next()),
            TensorMut::Linear(t) => *t = made(t, next()),
            TensorMut::Kernel(t) => *t = made(t, next()),
            TensorMut::Running(_) => {}
        }
    }
    network
}

fn made<const D: usize>(like: &Tensor<D>, values: Vec<f32>) -> Tensor<D> {
    let device = like.device().without_autodiff();
    Tensor::from_data(TensorData::new(values, like.dims()), &device)
}
