//! Running statistics of one group: batch normalisation keeps them, and each group has its own.

use burn::tensor::Tensor;
use perdura_sdk::{Result, StateReader, StateWriter};

use crate::net::Net;
use crate::network::{Network, TensorMut};

/// The running means and variances of a network, apart from it. Empty for a network without batch
/// normalisation.
#[derive(Clone, Debug)]
pub struct Statistics(Vec<Tensor<1>>);

impl Statistics {
    /// Those that the network has now.
    pub fn of(net: &Net) -> Self {
        let mut net = net.clone();
        let running = net.unnamed_mut().into_iter().filter_map(|tensor| match tensor {
            TensorMut::Running(t) => Some(t.clone()),
            _ => None,
        });
        Statistics(running.collect())
    }

    /// Puts them into the network.
    pub fn enter(&self, net: &mut Net) {
        let mut mine = self.0.iter();
        for tensor in net.unnamed_mut() {
            if let TensorMut::Running(t) = tensor {
                *t = mine.next().expect("statistics of this network").clone();
            }
        }
    }

    /// Numbers held.
    pub fn count(&self) -> usize {
        self.0.iter().map(|t| t.dims()[0]).sum()
    }

    /// As `<prefix><number>`.
    pub fn save(&self, prefix: &str, out: &mut StateWriter) -> Result<()> {
        for (number, t) in self.0.iter().enumerate() {
            let values: Vec<f32> = t.to_data().iter::<f32>().collect();
            out.tensor(&format!("{prefix}{number}"), &[values.len()], &values)?;
        }
        Ok(())
    }

    /// What [`save`](Self::save) wrote with the same prefix.
    pub fn load(&mut self, prefix: &str, saved: &mut StateReader) -> Result<()> {
        for (number, t) in self.0.iter_mut().enumerate() {
            let values = saved.tensor(&format!("{prefix}{number}"), &t.dims())?;
            *t = Tensor::from_data(values.as_slice(), &t.device());
        }
        Ok(())
    }
}
