//! A network as an ordered list of named parameters, and what follows from that alone: copies that carry
//! gradients, the gradient step, moving averages, sizes.

use burn::tensor::{Gradients, Tensor};

/// A borrowed parameter.
pub enum Parameter<'a> {
    /// Biases, scales.
    Vector(&'a Tensor<1>),
    /// Weights of a linear layer, `[in, out]` in memory and `[out, in]` in files.
    Linear(&'a Tensor<2>),
    /// Weights of a convolution, `[out, in, height, width]`.
    Kernel(&'a Tensor<4>),
}

/// A borrowed parameter that may be replaced.
pub enum ParameterMut<'a> {
    /// Biases, scales.
    Vector(&'a mut Tensor<1>),
    /// Weights of a linear layer, `[in, out]`.
    Linear(&'a mut Tensor<2>),
    /// Weights of a convolution, `[out, in, height, width]`.
    Kernel(&'a mut Tensor<4>),
}

impl Parameter<'_> {
    /// Shape in memory.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Parameter::Vector(t) => t.dims().to_vec(),
            Parameter::Linear(t) => t.dims().to_vec(),
            Parameter::Kernel(t) => t.dims().to_vec(),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// True for a parameter without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Applies `$body` to the tensors of two parameters of the same kind.
macro_rules! zip_parameters {
    ($mine:expr, $theirs:expr, $body:expr) => {
        match ($mine, $theirs) {
            (ParameterMut::Vector(mine), Parameter::Vector(theirs)) => $body(mine, theirs),
            (ParameterMut::Linear(mine), Parameter::Linear(theirs)) => $body(mine, theirs),
            (ParameterMut::Kernel(mine), Parameter::Kernel(theirs)) => $body(mine, theirs),
            _ => unreachable!("a network lists its parameters in one order"),
        }
    };
}

/// A network: its parameters in a fixed order. Implement the three lists; the rest follows.
///
/// Parameters are plain tensors. A training step makes a [`tracked`](Network::tracked) copy (the memory
/// is shared), computes a loss with it, and takes the gradients back with
/// [`descend`](Network::descend). Networks that are never trained by gradient need nothing else.
pub trait Network: Clone {
    /// Names in PyTorch's manner, such as `fc1.weight`.
    fn names(&self) -> Vec<String>;

    /// Parameters in the order of [`names`](Network::names).
    fn parameters(&self) -> Vec<Parameter<'_>>;

    /// The same, to be replaced. A replacement keeps its shape.
    fn parameters_mut(&mut self) -> Vec<ParameterMut<'_>>;

    /// A copy whose parameters are the leaves of a new gradient graph.
    fn tracked(&self) -> Self {
        let mut copy = self.clone();
        for parameter in copy.parameters_mut() {
            match parameter {
                ParameterMut::Vector(t) => *t = t.clone().autodiff().require_grad(),
                ParameterMut::Linear(t) => *t = t.clone().autodiff().require_grad(),
                ParameterMut::Kernel(t) => *t = t.clone().autodiff().require_grad(),
            }
        }
        copy
    }

    /// One step of plain gradient descent, `θ ← θ − lr·g`, with the gradients of a loss that was computed
    /// with `tracked`. A parameter the loss does not depend on stays as it is.
    fn descend(&mut self, tracked: &Self, mut gradients: Gradients, lr: f64) {
        for (mine, leaf) in self.parameters_mut().into_iter().zip(tracked.parameters()) {
            zip_parameters!(mine, leaf, |mine, leaf| descend(mine, leaf, &mut gradients, lr));
        }
    }

    /// Moves towards `other`: `θ ← α·θ + (1−α)·θ_other`.
    fn average(&mut self, other: &Self, alpha: f64) {
        for (mine, theirs) in self.parameters_mut().into_iter().zip(other.parameters()) {
            zip_parameters!(mine, theirs, |mine, theirs| average(mine, theirs, alpha));
        }
    }

    /// Number of trainable numbers.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(Parameter::len).sum()
    }

    /// Bytes of the parameters (f32).
    fn parameter_bytes(&self) -> u64 {
        self.parameter_count() as u64 * size_of::<f32>() as u64
    }
}

fn descend<const D: usize>(
    mine: &mut Tensor<D>,
    leaf: &Tensor<D>,
    gradients: &mut Gradients,
    lr: f64,
) {
    if let Some(gradient) = leaf.grad_remove(gradients) {
        // The gradient's memory becomes the parameter's: no allocation.
        *mine = mine.clone() - gradient.mul_scalar(lr);
    }
}

fn average<const D: usize>(mine: &mut Tensor<D>, theirs: &Tensor<D>, alpha: f64) {
    mine.inplace(|mine| mine.mul_scalar(alpha) + theirs.clone().mul_scalar(1.0 - alpha));
}
