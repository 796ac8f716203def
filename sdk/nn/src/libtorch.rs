//! Pieces of networks that LibTorch differentiates itself: a convolution, a batch normalisation, a
//! residual block. burn-tch composes a normalisation of a dozen passes over the activations, and
//! the gradients of a convolution of other convolutions; here LibTorch's own kernels do both, and
//! burn sees one operation. Beside `device.rs` and `flex.rs` this is the only file that names a backend.

#![allow(deprecated)] // see the head of `device.rs`

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, LibTorch};
use burn::tensor::{Device, Tensor};
use perdura_sdk::Result;

use crate::batch_norm::{BatchNorm, EPSILON, MOMENTUM, Mode};
use crate::conv::Conv;
use crate::device::Precision;

/// burn's handle of a tensor of LibTorch.
type Handle = FloatTensor<LibTorch>;
/// The same with its place in burn's graph of gradients.
type Node = FloatTensor<Autodiff<LibTorch>>;

/// Whether tensors on this device are LibTorch's.
pub fn computes_on(device: &Device) -> bool {
    let plain = device.clone().without_autodiff();
    matches!(plain.as_dispatch(), DispatchDevice::LibTorch(_))
}

/// A convolution without bias and the normalisation of what it gives.
pub struct Layer<'a> {
    pub conv: &'a Conv,
    pub norm: &'a mut BatchNorm,
}

/// `conv(x)`, with the bias if there is one.
pub fn conv(x: &Tensor<4>, conv: &Conv) -> Tensor<4> {
    let inputs = Inputs::default().with(x).with(&conv.weight);
    let apply = |t: &[tch::Tensor]| convolve(&t[0], &t[1], t.get(2), conv.stride());
    match &conv.bias {
        None => inputs.record::<2, 4>(apply),
        Some(bias) => inputs.with(bias).record::<3, 4>(apply),
    }
}

/// `BN(x)`; in training it moves the running statistics of `norm`.
pub fn batch_norm<const D: usize>(x: &Tensor<D>, norm: &mut BatchNorm, mode: Mode) -> Tensor<D> {
    let running = Running::of(norm, mode);
    let inputs = Inputs::default().with(x).with(&norm.weight).with(&norm.bias);
    let out = inputs.record::<3, D>(|t| running.normalise(&t[0], &t[1..]));
    running.put_back(norm);
    out
}

/// `ReLU(BN(conv x))`, computed in `precision` whatever the kind of `x`.
pub fn stem(
    x: &Tensor<4>,
    layer: Layer<'_>,
    mode: Mode,
    precision: Precision,
) -> Result<Tensor<4>> {
    layer.check(x, mode)?;
    let running = Running::of(layer.norm, mode);
    let inputs = layer.add_to(Inputs::default().with(x));
    let out = inputs.record::<4, 4>(|t| {
        let x = match precision {
            Precision::F32 => t[0].shallow_clone(),
            Precision::Bf16 => channels_last(&in_kind(&t[0], precision)),
        };
        layer.apply(&running, &x, &t[1..4], precision).relu_()
    });
    running.put_back(layer.norm);
    Ok(out)
}

/// `ReLU(BN(conv₂(ReLU(BN(conv₁ x)))) + BN(shortcut x))`; without `shortcut`, `+ x`.
pub fn block(
    x: &Tensor<4>,
    [first, second]: [Layer<'_>; 2],
    shortcut: Option<Layer<'_>>,
    mode: Mode,
    precision: Precision,
) -> Result<Tensor<4>> {
    first.check(x, mode)?;
    let statistics = [&first, &second].map(|layer| Running::of(layer.norm, mode));
    let beside = shortcut.as_ref().map(|layer| Running::of(layer.norm, mode));
    let inputs = second.add_to(first.add_to(Inputs::default().with(x)));
    let apply = |t: &[tch::Tensor]| {
        let inner = first.apply(&statistics[0], &t[0], &t[1..4], precision).relu_();
        let mut inner = second.apply(&statistics[1], &inner, &t[4..7], precision);
        match (&shortcut, &beside) {
            (Some(layer), Some(running)) => {
                inner.g_add_(&layer.apply(running, &t[0], &t[7..10], precision)).relu_()
            }
            _ => inner.g_add_(&in_kind(&t[0], precision)).relu_(),
        }
    };
    let out = match &shortcut {
        None => inputs.record::<7, 4>(apply),
        Some(layer) => layer.add_to(inputs).record::<10, 4>(apply),
    };
    let layers = [Some(first), Some(second), shortcut].into_iter().flatten();
    let [one, two] = statistics;
    for (layer, running) in layers.zip([Some(one), Some(two), beside].into_iter().flatten()) {
        running.put_back(layer.norm);
    }
    Ok(out)
}

impl Layer<'_> {
    fn add_to(&self, inputs: Inputs) -> Inputs {
        inputs.with(&self.conv.weight).with(&self.norm.weight).with(&self.norm.bias)
    }

    /// Refuses images that leave nothing to normalise by.
    fn check(&self, x: &Tensor<4>, mode: Mode) -> Result<()> {
        let [n, _, h, w] = x.dims();
        let [outputs, ..] = self.conv.weight.dims();
        let size = |pixels: usize| pixels.div_ceil(self.conv.stride());
        mode.check(&[n, outputs, size(h), size(w)])
    }

    /// `tensors` are the kernel, γ and β.
    fn apply(
        &self,
        running: &Running,
        x: &tch::Tensor,
        tensors: &[tch::Tensor],
        precision: Precision,
    ) -> tch::Tensor {
        let (x, kernel) = (in_kind(x, precision), in_kind(&tensors[0], precision));
        running.normalise(&convolve(&x, &kernel, None, self.conv.stride()), &tensors[1..])
    }
}

fn convolve(
    x: &tch::Tensor,
    kernel: &tch::Tensor,
    bias: Option<&tch::Tensor>,
    stride: usize,
) -> tch::Tensor {
    let (stride, padding) = (stride as i64, kernel.size()[2] / 2);
    x.conv2d(kernel, bias, [stride; 2], [padding; 2], [1, 1], 1)
}

/// LibTorch computes in the kind of its operands. Parameters stay f32: a copy in bf16 is part of
/// what is recorded, so their gradients come back in f32.
fn in_kind(tensor: &tch::Tensor, precision: Precision) -> tch::Tensor {
    match precision {
        Precision::F32 => tensor.shallow_clone(),
        Precision::Bf16 => tensor.to_kind(tch::Kind::BFloat16),
    }
}

/// The same images with the channels of a pixel side by side in memory. Convolutions in bf16 read
/// that faster and give it on, so it is asked for once. In f32 it gains a tenth, but LibTorch sums
/// statistics less exactly in this order: parameters are 1e-4 from the reference after one step.
fn channels_last(images: &tch::Tensor) -> tch::Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Running statistics of a normalisation. LibTorch moves them in place, so in training these are
/// copies: other networks may share the originals.
struct Running {
    mean: tch::Tensor,
    var: tch::Tensor,
    mode: Mode,
}

impl Running {
    fn of(norm: &BatchNorm, mode: Mode) -> Running {
        let own = |tensor: &Tensor<1>| {
            let handle: Handle =
                tensor.clone().try_into_primitive::<LibTorch>().expect("one device, no gradients");
            match mode {
                Mode::Train => handle.tensor.copy(),
                Mode::Eval => handle.tensor.shallow_clone(),
            }
        };
        Running { mean: own(&norm.running_mean), var: own(&norm.running_var), mode }
    }

    /// `tensors` are γ and β. Statistics are f32 whatever the kind of `x`.
    fn normalise(&self, x: &tch::Tensor, tensors: &[tch::Tensor]) -> tch::Tensor {
        let (weight, bias) = (Some(&tensors[0]), Some(&tensors[1]));
        let (mean, var) = (Some(&self.mean), Some(&self.var));
        x.batch_norm(weight, bias, mean, var, self.mode == Mode::Train, MOMENTUM, EPSILON, true)
    }

    fn put_back(self, norm: &mut BatchNorm) {
        if self.mode == Mode::Train {
            let tensor = |of| Tensor::from_primitive::<LibTorch>(Handle::new(of));
            norm.running_mean = tensor(self.mean);
            norm.running_var = tensor(self.var);
        }
    }
}

/// What an operation is computed from.
#[derive(Default)]
struct Inputs {
    nodes: Vec<Node>,
    /// Whether the result belongs into a graph of gradients.
    autodiff: bool,
}

impl Inputs {
    fn with<const D: usize>(mut self, tensor: &Tensor<D>) -> Self {
        self.autodiff |= tensor.is_autodiff();
        let node = tensor.clone().autodiff().try_into_primitive::<Autodiff<LibTorch>>();
        self.nodes.push(node.expect("the tensors of a network are on one device"));
        self
    }

    /// One operation of `N` inputs. `compute` gets them in the order in which they were added, and
    /// gives fresh memory back.
    fn record<const N: usize, const D: usize>(
        self,
        compute: impl FnOnce(&[tch::Tensor]) -> tch::Tensor,
    ) -> Tensor<D> {
        let Inputs { nodes, autodiff } = self;
        let tracked: Vec<bool> = nodes.iter().map(Node::is_tracked).collect();
        let (handles, guards): (Vec<Handle>, Vec<_>) =
            nodes.into_iter().map(Node::into_parts).unzip();
        let leaf = |(handle, &tracked): (&Handle, &bool)| {
            handle.tensor.detach().set_requires_grad(tracked)
        };
        let leaves: Vec<tch::Tensor> = handles.iter().zip(&tracked).map(leaf).collect();
        let computed = compute(&leaves);
        let output = Handle::new(computed.detach());
        let Ok(guards) = guards.try_into() else { unreachable!("an operation of {N} inputs") };
        let prepare = Backward::<LibTorch, N>::prepare::<NoCheckpointing>(Recorded, guards);
        let node = match prepare.compute_bound().stateful() {
            OpsKind::UnTracked(prepared) => prepared.finish(output),
            OpsKind::Tracked(prepared) => {
                // Handles count who else holds the memory. What LibTorch recorded reads inputs and
                // output again, so burn must not write there while this lives.
                let _shared = handles.into_iter().chain([output.clone()]).collect();
                let leaves = leaves.into_iter().map(Handle::new).collect();
                let record = Record { computed: Handle::new(computed), leaves, _shared };
                prepared.finish(record, output)
            }
        };
        let out = Tensor::from_primitive::<Autodiff<LibTorch>>(node);
        if autodiff { out } else { out.inner() }
    }
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct Record {
    computed: Handle,
    leaves: Vec<Handle>,
    _shared: Vec<Handle>,
}

#[derive(Debug)]
struct Recorded;

impl<const N: usize> Backward<LibTorch, N> for Recorded {
    type State = Record;

    fn backward(self, ops: Ops<Record, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let given = gradients.consume::<LibTorch>(&ops.node).tensor;
        let Record { computed, leaves, .. } = ops.state;
        let (computed, given) = (&computed.tensor, given.to_kind(computed.tensor.kind()));
        // In the order in which memory holds what was computed: nothing is copied.
        let last = computed.dim() == 4 && !computed.is_contiguous();
        let flat = |tensor: &tch::Tensor| match last {
            true => tensor.permute([0, 2, 3, 1]).reshape([-1]),
            false => tensor.reshape([-1]),
        };
        // LibTorch starts from a scalar. The gradient of Σ computed·given is what was given.
        let scalar = flat(computed).dot(&flat(&given));
        let wanted = ops.parents.into_iter().zip(&leaves);
        let (ids, leaves): (Vec<_>, Vec<_>) =
            wanted.filter_map(|(parent, leaf)| Some((parent?.id, &leaf.tensor))).unzip();
        let found = tch::Tensor::run_backward(&[scalar], &leaves, false, false);
        for (id, gradient) in ids.into_iter().zip(found) {
            gradients.register::<LibTorch>(id, Handle::new(gradient));
        }
    }
}
