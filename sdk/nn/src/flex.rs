//! Linear layers in main memory, with or without ReLU, as one operation in burn's graph of
//! gradients. burn-flex zeroes memory for the result of every product, copies it to an aligned
//! place and only then fills it: for the gradient of a first layer that is 300 KB twice over, a
//! tenth of a small step. Here a product is written once, by the same kernel from the same
//! operands, so every number is the same to the bit.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

/// burn's handle of a tensor in main memory.
type Handle = FloatTensor<Flex>;
/// The same with its place in burn's graph of gradients.
type Node = FloatTensor<Autodiff<Flex>>;

/// What follows the product and the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// `max(0, ·)`; what is no number stays so.
    Relu,
}

/// `x·W + b`, then ReLU where that is asked for. `x` is `[n, in]`, `W` `[in, out]`, `b` `[out]`, all on flex.
pub fn linear(
    x: &Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    then: Then,
) -> Tensor<2> {
    let autodiff = [x.is_autodiff(), weight.is_autodiff(), bias.is_some_and(Tensor::is_autodiff)];
    if !autodiff.contains(&true) {
        let [x, weight] = [x, weight].map(|t| t.clone().try_into_primitive::<Flex>().expect(ONE));
        let bias = bias.map(|t| t.clone().try_into_primitive::<Flex>().expect(ONE));
        return Tensor::from_primitive::<Flex>(forward(&x, &weight, bias.as_ref(), then));
    }
    let (x, weight) = (node(x), node(weight));
    match bias {
        Some(bias) => record([x, weight, node(bias)], then),
        None => record([x, weight], then),
    }
}

const ONE: &str = "the tensors of a network are on one device";

fn node<const D: usize>(tensor: &Tensor<D>) -> Node {
    tensor.clone().autodiff().try_into_primitive::<Autodiff<Flex>>().expect(ONE)
}

/// `x`, `W` and, where there is one, `b`.
fn record<const N: usize>(nodes: [Node; N], then: Then) -> Tensor<2> {
    let tracked: Vec<bool> = nodes.iter().map(Node::is_tracked).collect();
    let (handles, guards): (Vec<Handle>, Vec<_>) = nodes.into_iter().map(Node::into_parts).unzip();
    let output = forward(&handles[0], &handles[1], handles.get(2), then);
    let Ok(guards) = guards.try_into() else { unreachable!("an operation of {N} inputs") };
    let prepare = Backward::<Flex, N>::prepare::<NoCheckpointing>(Layer, guards);
    let node = match prepare.compute_bound().stateful() {
        OpsKind::UnTracked(prepared) => prepared.finish(output),
        OpsKind::Tracked(prepared) => {
            let mut handles = handles.into_iter();
            let (x, weight) = (handles.next(), handles.next());
            let record = Record {
                x: x.filter(|_| tracked[1]),
                weight: weight.filter(|_| tracked[0]),
                output: (then == Then::Relu).then(|| output.clone()),
            };
            prepared.finish(record, output)
        }
    };
    Tensor::from_primitive::<Autodiff<Flex>>(node)
}

/// What the way back needs: the inputs where the weights have a gradient, the weights where the inputs
/// have one, the output where a ReLU decides what passes.
#[derive(Clone, Debug)]
struct Record {
    x: Option<Handle>,
    weight: Option<Handle>,
    output: Option<Handle>,
}

#[derive(Debug)]
struct Layer;

impl<const N: usize> Backward<Flex, N> for Layer {
    type State = Record;

    fn backward(self, ops: Ops<Record, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let mut given = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Record { x, weight, output } = ops.state;
        if let Some(output) = output {
            block(&mut given, numbers(&output));
        }
        let mut parents = ops.parents.into_iter();
        let mut parent = || parents.next().flatten().map(|parent| parent.id);
        let slopes = Matrix::of(&given);
        if let (Some(id), Some(weight)) = (parent(), &weight) {
            let weight = readable(weight);
            gradients.register::<Flex>(id, slopes.times(Matrix::of(&weight).transposed()).handle());
        }
        if let (Some(id), Some(x)) = (parent(), &x) {
            let x = readable(x);
            gradients.register::<Flex>(id, Matrix::of(&x).transposed().times(slopes).handle());
        }
        if let Some(id) = parent() {
            gradients.register::<Flex>(id, Flex::linear_bias_backward(given));
        }
    }
}

/// A gradient passes where the ReLU's output is not 0.
fn block(given: &mut Handle, output: &[f32]) {
    let (start, end) = place(given);
    let slopes = given.storage_mut::<f32>()[start..end].iter_mut();
    for (slope, &out) in slopes.zip(output) {
        let passes = out.is_nan() || out > 0.0;
        *slope = if passes { *slope } else { 0.0 };
    }
}

fn forward(x: &Handle, weight: &Handle, bias: Option<&Handle>, then: Then) -> Handle {
    let (x, weight) = (readable(x), readable(weight));
    let mut out = Matrix::of(&x).times(Matrix::of(&weight));
    let bias = bias.map(Handle::to_contiguous);
    if let Some(bias) = &bias {
        let bias = numbers(bias);
        assert_eq!(bias.len(), out.columns, "a bias for each output");
        for row in out.values.chunks_exact_mut(bias.len().max(1)) {
            row.iter_mut().zip(bias).for_each(|(value, b)| *value += b);
        }
    }
    if then == Then::Relu {
        for value in &mut out.values {
            let passes = value.is_nan() || *value > 0.0;
            *value = if passes { *value } else { 0.0 };
        }
    }
    out.handle()
}

/// Where in its memory the numbers of a tensor without gaps begin and end.
fn place(tensor: &Handle) -> (usize, usize) {
    tensor.layout().contiguous_offsets().expect("a tensor without gaps")
}

/// The numbers of a tensor without gaps.
fn numbers(tensor: &Handle) -> &[f32] {
    let (start, end) = place(tensor);
    &tensor.storage::<f32>()[start..end]
}

/// The tensor, in an order of memory that the kernel of products reads.
fn readable(tensor: &Handle) -> Handle {
    match tensor.layout().strides().iter().all(|stride| *stride >= 0) {
        true => tensor.clone(),
        false => tensor.to_contiguous(),
    }
}

/// A matrix in main memory as the kernel of products reads it.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    /// From its first number on.
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one row to the next, from one column to the next; not below 0.
    strides: (isize, isize),
}

/// A product, row by row.
struct Product {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

/// From this many multiplications on a product is spread over the threads of the learner, as burn-flex does.
const PARALLEL: usize = 192 * 192 * 192;

impl<'a> Matrix<'a> {
    /// A tensor of two dimensions that is [`readable`].
    fn of(tensor: &'a Handle) -> Self {
        let layout = tensor.layout();
        let (&[rows, columns], &[row, column]) = (&layout.shape()[..], layout.strides()) else {
            unreachable!("linear layers take matrices")
        };
        let values = &tensor.storage::<f32>()[layout.start_offset()..];
        Matrix { values, rows, columns, strides: (row, column) }
    }

    fn transposed(self) -> Self {
        let Matrix { values, rows, columns, strides: (row, column) } = self;
        Matrix { values, rows: columns, columns: rows, strides: (column, row) }
    }

    /// Whether all its numbers are there.
    fn is_whole(&self) -> bool {
        let steps = |count: usize, stride: isize| {
            count.checked_sub(1)?.checked_mul(usize::try_from(stride).ok()?)
        };
        let last = || {
            let (row, column) = self.strides;
            steps(self.rows, row)?.checked_add(steps(self.columns, column)?)
        };
        self.rows == 0 || self.columns == 0 || last().is_some_and(|last| last < self.values.len())
    }

    fn times(self, other: Matrix<'_>) -> Product {
        let (m, k, n) = (self.rows, self.columns, other.columns);
        assert_eq!(k, other.rows, "shapes of a product");
        assert!(self.is_whole() && other.is_whole(), "a matrix has all its numbers");
        let count = m.checked_mul(n).expect("numbers that have room in memory");
        let mut values = Vec::with_capacity(count);
        let parallelism = match count.saturating_mul(k) >= PARALLEL {
            true => gemm::Parallelism::Rayon(0),
            false => gemm::Parallelism::None,
        };
        let ((row, column), (other_row, other_column)) = (self.strides, other.strides);
        // SAFETY: every address of an operand lies in its slice: strides are not below 0, and the last of its
        // numbers, the one farthest from the first, has been found to lie in it; an operand without numbers
        // is not read. The result is m·n numbers in rows of n, for which there is room, and nothing else
        // knows of; the kernel does not read it (`false`) and writes all of it, so that the length is true
        // afterwards.
        #[allow(unsafe_code)]
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                values.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.values.as_ptr(),
                column,
                row,
                other.values.as_ptr(),
                other_column,
                other_row,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
            values.set_len(count);
        }
        Product { values, rows: m, columns: n }
    }
}

impl Product {
    fn handle(self) -> Handle {
        Handle::from_data(TensorData::new(self.values, [self.rows, self.columns]))
    }
}

#[cfg(test)]
#[path = "flex_tests.rs"]
mod tests;
