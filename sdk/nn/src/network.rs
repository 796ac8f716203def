//! A network as an ordered list of named tensors, and what follows from that alone: copies that
//! carry gradients, the gradient step, moving averages, sizes.

use burn::tensor::{Gradients, Tensor};
use std::borrow::Borrow;

use crate::averages;
use crate::device::in_main_memory;
use crate::loops;

/// A tensor of a network, to be read or replaced. A replacement keeps its shape.
pub enum TensorMut<'a> {
    /// A parameter: biases, scales.
    Vector(&'a mut Tensor<1>),
    /// A parameter: weights of a linear layer, `[in, out]` in memory and `[out, in]` in files.
    Linear(&'a mut Tensor<2>),
    /// A parameter: weights of a convolution, `[out, in, height, width]`.
    Kernel(&'a mut Tensor<4>),
    /// A buffer: a running statistic of batch normalisation. It has no gradient.
    Running(&'a mut Tensor<1>),
}

impl TensorMut<'_> {
    /// Number of elements.
    fn count(&self) -> usize {
        match self {
            TensorMut::Vector(t) | TensorMut::Running(t) => t.dims().iter().product(),
            TensorMut::Linear(t) => t.dims().iter().product(),
            TensorMut::Kernel(t) => t.dims().iter().product(),
        }
    }
}

/// The list that [`Network::list`] fills: names in PyTorch's manner, such as
/// `layer1.0.conv1.weight`.
pub struct Listing<'a> {
    /// False where nobody asks for names: a step goes through the tensors several times.
    named: bool,
    prefix: String,
    tensors: Vec<(String, TensorMut<'a>)>,
}

impl<'a> Listing<'a> {
    /// Adds one tensor.
    pub fn tensor(&mut self, name: &str, tensor: TensorMut<'a>) {
        let name = if self.named { format!("{}{name}", self.prefix) } else { String::new() };
        self.tensors.push((name, tensor));
    }

    /// Adds all tensors of a part as `<name>.<its name>`; with an empty name, under their own
    /// names.
    pub fn part(&mut self, name: &str, part: &'a mut impl Network) {
        if !self.named {
            return part.list(self);
        }
        let outer = self.prefix.len();
        self.prefix.push_str(name);
        if !name.is_empty() {
            self.prefix.push('.');
        }
        part.list(self);
        self.prefix.truncate(outer);
    }
}

/// A network, or a layer, or any group of them: it lists its tensors, the rest follows.
///
/// Tensors are handles, so a clone shares the memory of its original until one of them is replaced.
/// A training step makes a [`tracked`](Network::tracked) clone, computes a loss with it, and takes
/// the gradients and the running statistics back with [`descend`](Network::descend). Networks that
/// are never trained by gradient need neither.
///
/// ```
/// use perdura_nn::{BatchNorm, Linear, Listing, Network};
///
/// /// Two layers that are trained, averaged and saved as one.
/// #[derive(Clone)]
/// struct Projector {
///     first: Linear,
///     norm: BatchNorm,
/// }
///
/// impl Network for Projector {
///     fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
///         tensors.part("projector.0", &mut self.first);
///         tensors.part("projector.1", &mut self.norm);
///     }
/// }
/// ```
pub trait Network: Clone {
    /// Lists every tensor, always in the same order.
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>);

    /// Every tensor with its name.
    fn tensors_mut(&mut self) -> Vec<(String, TensorMut<'_>)> {
        let mut listing = Listing { named: true, prefix: String::new(), tensors: Vec::new() };
        self.list(&mut listing);
        listing.tensors
    }

    /// Every tensor in the same order, without names.
    fn unnamed_mut(&mut self) -> Vec<TensorMut<'_>> {
        let mut listing = Listing { named: false, prefix: String::new(), tensors: Vec::new() };
        self.list(&mut listing);
        listing.tensors.into_iter().map(|(_, tensor)| tensor).collect()
    }

    /// Names of all tensors, buffers included.
    fn names(&self) -> Vec<String> {
        self.clone().tensors_mut().into_iter().map(|(name, _)| name).collect()
    }

    /// A clone whose parameters are the leaves of a new gradient graph.
    fn tracked(&self) -> Self {
        let mut copy = self.clone();
        for tensor in copy.unnamed_mut() {
            match tensor {
                TensorMut::Vector(t) => *t = t.clone().autodiff().require_grad(),
                TensorMut::Linear(t) => *t = t.clone().autodiff().require_grad(),
                TensorMut::Kernel(t) => *t = t.clone().autodiff().require_grad(),
                TensorMut::Running(_) => {}
            }
        }
        copy
    }

    /// One step of plain gradient descent, `θ ← θ − lr·g`, with the gradients of a loss that was
    /// computed with `tracked`. A parameter the loss does not depend on stays as it is. The running
    /// statistics become those of `tracked`, as its passes in training mode left them.
    ///
    /// The leaves share the memory of the parameters: when `tracked` is given away, and not lent,
    /// parameters in main memory are changed in place.
    fn descend(&mut self, tracked: impl Borrow<Self>, mut gradients: Gradients, lr: f64) {
        let mut leaves = tracked.borrow().clone();
        let changes = leaves.unnamed_mut().into_iter().map(|leaf| Change::of(leaf, &mut gradients));
        let changes: Vec<Change> = changes.collect();
        drop((leaves, tracked));
        for (mine, change) in self.unnamed_mut().into_iter().zip(changes) {
            match (mine, change) {
                (TensorMut::Vector(mine), Change::Vector(g)) => descend(mine, g, lr),
                (TensorMut::Linear(mine), Change::Linear(g)) => descend(mine, g, lr),
                (TensorMut::Kernel(mine), Change::Kernel(g)) => descend(mine, g, lr),
                (TensorMut::Running(mine), Change::Running(theirs)) => *mine = theirs,
                _ => unreachable!("a network lists its tensors in one order"),
            }
        }
    }

    /// Moves the parameters towards those of `other`: `θ ← α·θ + (1−α)·θ_other`. Running statistics
    /// stay.
    fn average(&mut self, other: &Self, alpha: f64) {
        for_each_pair(self, &mut other.clone(), |pair| match pair {
            Pair::Vector(mine, theirs) => average(mine, theirs, alpha),
            Pair::Linear(mine, theirs) => average(mine, theirs, alpha),
            Pair::Kernel(mine, theirs) => average(mine, theirs, alpha),
            Pair::Running(..) => {}
        });
    }

    /// Moves the running statistics, and nothing else, towards those of `other`.
    fn average_buffers(&mut self, other: &Self, alpha: f64) {
        for_each_pair(self, &mut other.clone(), |pair| {
            if let Pair::Running(mine, theirs) = pair {
                average(mine, theirs, alpha);
            }
        });
    }

    /// Moves networks towards this one, each with a decay of its own: `θ_i ← α_i·θ_i + (1 −
    /// α_i)·θ`, in one pass over θ whatever their number. Running statistics stay.
    fn lead(&mut self, followers: &mut [(&mut Self, f64)]) {
        averages::lead(self, followers, averages::Part::Parameters);
    }

    /// The same for the running statistics, and nothing else.
    fn lead_buffers(&mut self, followers: &mut [(&mut Self, f64)]) {
        averages::lead(self, followers, averages::Part::Buffers);
    }

    /// Number of trainable numbers.
    fn parameter_count(&self) -> usize {
        count(self, |tensor| !matches!(tensor, TensorMut::Running(_)))
    }

    /// Numbers in running statistics; 0 for a network without batch normalisation.
    fn buffer_count(&self) -> usize {
        count(self, |tensor| matches!(tensor, TensorMut::Running(_)))
    }

    /// Bytes of parameters and running statistics (f32).
    fn bytes(&self) -> u64 {
        ((self.parameter_count() + self.buffer_count()) * size_of::<f32>()) as u64
    }
}

/// Tensors of the same name of two networks.
pub(crate) enum Pair<'a> {
    Vector(&'a mut Tensor<1>, &'a Tensor<1>),
    Linear(&'a mut Tensor<2>, &'a Tensor<2>),
    Kernel(&'a mut Tensor<4>, &'a Tensor<4>),
    Running(&'a mut Tensor<1>, &'a Tensor<1>),
}

pub(crate) fn for_each_pair<N: Network>(
    mine: &mut N,
    theirs: &mut N,
    mut apply: impl FnMut(Pair<'_>),
) {
    for (mine, theirs) in mine.unnamed_mut().into_iter().zip(theirs.unnamed_mut()) {
        apply(match (mine, theirs) {
            (TensorMut::Vector(a), TensorMut::Vector(b)) => Pair::Vector(a, b),
            (TensorMut::Linear(a), TensorMut::Linear(b)) => Pair::Linear(a, b),
            (TensorMut::Kernel(a), TensorMut::Kernel(b)) => Pair::Kernel(a, b),
            (TensorMut::Running(a), TensorMut::Running(b)) => Pair::Running(a, b),
            _ => unreachable!("a network lists its tensors in one order"),
        });
    }
}

/// What a step does to one tensor: its gradient, where it has one, or its new value.
enum Change {
    Vector(Option<Tensor<1>>),
    Linear(Option<Tensor<2>>),
    Kernel(Option<Tensor<4>>),
    Running(Tensor<1>),
}

impl Change {
    fn of(leaf: TensorMut<'_>, gradients: &mut Gradients) -> Change {
        match leaf {
            TensorMut::Vector(leaf) => Change::Vector(leaf.grad_remove(gradients)),
            TensorMut::Linear(leaf) => Change::Linear(leaf.grad_remove(gradients)),
            TensorMut::Kernel(leaf) => Change::Kernel(leaf.grad_remove(gradients)),
            TensorMut::Running(theirs) => Change::Running(theirs.clone()),
        }
    }
}

fn descend<const D: usize>(mine: &mut Tensor<D>, gradient: Option<Tensor<D>>, lr: f64) {
    let Some(gradient) = gradient else { return };
    let device = mine.device();
    mine.inplace(|mine| match in_main_memory(&device) {
        false => mine - gradient.mul_scalar(lr),
        true => {
            let (mut mine, gradient) = (mine.into_data(), gradient.into_data());
            let numbers = mine.as_mut_slice::<f32>().expect("networks compute in f32");
            let slopes = gradient.as_slice::<f32>().expect("networks compute in f32");
            loops::descend(numbers, slopes, lr as f32);
            Tensor::from_data(mine, &device)
        }
    });
}

fn average<const D: usize>(mine: &mut Tensor<D>, theirs: &Tensor<D>, alpha: f64) {
    mine.inplace(|mine| mine.mul_scalar(alpha) + theirs.clone().mul_scalar(1.0 - alpha));
}

fn count(network: &impl Network, of: impl Fn(&TensorMut<'_>) -> bool) -> usize {
    let mut handles = network.clone();
    handles.unnamed_mut().iter().filter(|t| of(t)).map(TensorMut::count).sum()
}
