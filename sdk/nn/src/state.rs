//! Networks in a learner's saved state: PyTorch's names and orientation (burn keeps a linear weight
//! as `[in, out]`, the file as `[out, in]`).

use burn::tensor::{Device, Tensor, TensorData};
use perdura_sdk::{Result, StateReader, StateWriter};

use crate::network::{Network, TensorMut};

/// Saves every tensor as `<prefix><name>`, for example `working.fc1.weight` or
/// `working.bn1.running_mean`.
pub fn save<N: Network>(network: &N, prefix: &str, state: &mut StateWriter) -> Result<()> {
    save_those(network, prefix, state, |_| true)
}

/// The same without running statistics.
pub(crate) fn save_parameters<N: Network>(
    network: &N,
    prefix: &str,
    state: &mut StateWriter,
) -> Result<()> {
    save_those(network, prefix, state, is_parameter)
}

fn is_parameter(tensor: &TensorMut<'_>) -> bool {
    !matches!(tensor, TensorMut::Running(_))
}

fn save_those<N: Network>(
    network: &N,
    prefix: &str,
    state: &mut StateWriter,
    those: impl Fn(&TensorMut<'_>) -> bool,
) -> Result<()> {
    for (name, tensor) in network.clone().tensors_mut() {
        if !those(&tensor) {
            continue;
        }
        let data = match tensor {
            TensorMut::Vector(t) | TensorMut::Running(t) => t.to_data(),
            TensorMut::Linear(t) => t.clone().transpose().into_data(),
            TensorMut::Kernel(t) => t.to_data(),
        };
        let values = data.as_slice::<f32>().expect("networks compute in f32");
        state.tensor(&format!("{prefix}{name}"), data.shape().as_slice(), values)?;
    }
    Ok(())
}

/// Loads what [`save`] wrote with the same prefix. A tensor that is missing or of another shape is
/// an error that names it; the network may then be half loaded.
pub fn load<N: Network>(network: &mut N, prefix: &str, state: &mut StateReader) -> Result<()> {
    load_those(network, prefix, state, |_| true)
}

/// Loads what [`save_parameters`] wrote; running statistics stay.
pub(crate) fn load_parameters<N: Network>(
    network: &mut N,
    prefix: &str,
    state: &mut StateReader,
) -> Result<()> {
    load_those(network, prefix, state, is_parameter)
}

fn load_those<N: Network>(
    network: &mut N,
    prefix: &str,
    state: &mut StateReader,
    those: impl Fn(&TensorMut<'_>) -> bool,
) -> Result<()> {
    for (name, tensor) in network.tensors_mut() {
        if !those(&tensor) {
            continue;
        }
        let name = format!("{prefix}{name}");
        match tensor {
            TensorMut::Vector(t) | TensorMut::Running(t) => {
                *t = read(state, &name, t.dims(), &t.device())?;
            }
            TensorMut::Kernel(t) => *t = read(state, &name, t.dims(), &t.device())?,
            TensorMut::Linear(t) => {
                let [inputs, outputs] = t.dims();
                let stored = state.tensor(&name, &[outputs, inputs])?;
                let weight = transposed(&stored, outputs, inputs);
                *t = Tensor::from_data(TensorData::new(weight, [inputs, outputs]), &t.device());
            }
        }
    }
    Ok(())
}

fn read<const D: usize>(
    state: &mut StateReader,
    name: &str,
    shape: [usize; D],
    device: &Device,
) -> Result<Tensor<D>> {
    Ok(Tensor::from_data(TensorData::new(state.tensor(name, &shape)?, shape), device))
}

/// A row-major `[rows, columns]` matrix as row-major `[columns, rows]`. Done here and not by the
/// tensor library, whose transpose is a view that every later product would have to walk across.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |c| (0..rows).map(move |r| values[r * columns + c]);
    (0..columns).flat_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackboneConfig, Net, NetShape};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn network(seed: u64, hidden: usize) -> Net {
        let backbone = BackboneConfig { hidden: vec![hidden], ..BackboneConfig::default() };
        let shape = NetShape { backbone, input: vec![3], classes: 2 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(seed), &device).unwrap()
    }

    fn saved(network: &Net) -> Vec<u8> {
        let mut state = StateWriter::new();
        save(network, "working.", &mut state).unwrap();
        state.into_bytes().unwrap()
    }

    #[test]
    fn a_network_comes_back_bit_for_bit() {
        let bytes = saved(&network(1, 4));
        let mut other = network(2, 4);
        let mut reader = StateReader::from_bytes(&bytes).unwrap();
        load(&mut other, "working.", &mut reader).unwrap();
        assert_eq!(saved(&other), bytes);
    }

    #[test]
    fn linear_weights_are_stored_as_pytorch_stores_them() {
        let mut network = network(1, 4);
        let mut reader = StateReader::from_bytes(&saved(&network)).unwrap();
        let stored = reader.tensor("working.fc1.weight", &[4, 3]).unwrap();
        let TensorMut::Linear(weight) = network.tensors_mut().remove(0).1 else { panic!() };
        let memory = weight.to_data();
        let memory = memory.as_slice::<f32>().unwrap();
        assert_eq!((memory[1], memory[4]), (stored[3], stored[1]));
    }

    #[test]
    fn another_width_is_an_error_that_names_the_tensor() {
        let mut reader = StateReader::from_bytes(&saved(&network(1, 4))).unwrap();
        let error = load(&mut network(1, 5), "working.", &mut reader).unwrap_err().to_string();
        assert_eq!(error, "tensor `working.fc1.weight`: expected [5, 3], found [4, 3]");
    }
}
