//! An [`Mlp`] that fits where its learner is: made from the context of `create`, fed from the host's slices.
//! For methods whose networks are plain MLPs; others build on [`rows`](crate::rows) and
//! [`labels`](crate::labels).

use burn::tensor::{Int, Tensor};
use perdura_sdk::{Context, Error, Result};

use crate::device::Device;
use crate::{Mlp, MlpShape, Network, Parameter};

impl Mlp {
    /// For `create`: on the device that the host wants, started from the call's seed; as wide as the
    /// benchmark's inputs and classes; weights from the call's stream `init`.
    pub fn of(context: &Context, hidden: &[usize]) -> Result<Mlp> {
        if hidden.contains(&0) {
            return Err(Error::config("hidden", "widths of at least 1", "0"));
        }
        let device = crate::device(&context.device, context.call.seed())?;
        let (inputs, hidden, outputs) = (context.input_width(), hidden.to_vec(), context.classes);
        Ok(Mlp::new(&MlpShape { inputs, hidden, outputs }, &mut context.call.rng("init"), &device))
    }

    /// Pieces of inputs as one matrix, ready for [`Mlp::forward`].
    pub fn rows(&self, pieces: &[&[f32]]) -> Tensor<2> {
        let (width, device) = self.input();
        crate::rows(pieces, width, &device)
    }

    /// Pieces of labels as one vector.
    pub fn labels(&self, pieces: &[&[u32]]) -> Tensor<1, Int> {
        crate::labels(pieces, self.outputs(), &self.input().1)
    }

    /// Pieces of logits as one matrix, as wide as the network's own.
    pub fn logits(&self, pieces: &[&[f32]]) -> Tensor<2> {
        crate::rows(pieces, self.outputs(), &self.input().1)
    }

    fn input(&self) -> (usize, Device) {
        match self.parameters()[0] {
            Parameter::Linear(weight) => (weight.dims()[0], weight.device()),
            _ => unreachable!("an MLP begins with a linear weight"),
        }
    }
}
