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
mod tests {
    use super::*;
    use burn::tensor::activation::relu;
    use burn::tensor::module::linear as burns;

    fn matrix(values: &[f32], shape: [usize; 2]) -> Tensor<2> {
        let device = crate::device("flex", 0).unwrap();
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &device)
    }

    fn vector(values: &[f32]) -> Tensor<1> {
        let device = crate::device("flex", 0).unwrap();
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    }

    /// Neither round nor regular.
    fn some(count: usize, from: u32) -> Vec<f32> {
        let number = |i: u32| ((i * 7919 + from) % 1009) as f32 / 501.3 - 1.0;
        (0..count as u32).map(number).collect()
    }

    fn bits<const D: usize>(tensor: Tensor<D>) -> Vec<u32> {
        tensor.into_data().as_slice::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
    }

    /// x·W + b = [1·1+2·(-1)+0.5, 1·2+2·1-5] = [-0.5, -1], [3+1+0.5, 6-1-5] = [4.5, 0]: ReLU lets
    /// one number through. With slopes of 1: g = [[0,0],[1,0]], so dW = xᵀg = [[3,0],[-1,0]],
    /// db = [1,0], dx = gWᵀ = [[0,0],[1,-1]].
    #[test]
    fn by_hand() {
        let x = matrix(&[1.0, 2.0, 3.0, -1.0], [2, 2]).autodiff().require_grad();
        let w = matrix(&[1.0, 2.0, -1.0, 1.0], [2, 2]).autodiff().require_grad();
        let b = vector(&[0.5, -5.0]).autodiff().require_grad();
        let y = linear(&x, &w, Some(&b), Then::Relu);
        assert_eq!(y.to_data(), TensorData::from([[0.0f32, 0.0], [4.5, 0.0]]));
        let slopes = y.sum().backward();
        let data = |t: Tensor<2>| t.into_data();
        assert_eq!(data(x.grad(&slopes).unwrap()), TensorData::from([[0.0f32, 0.0], [1.0, -1.0]]));
        assert_eq!(data(w.grad(&slopes).unwrap()), TensorData::from([[3.0f32, 0.0], [-1.0, 0.0]]));
        assert_eq!(b.grad(&slopes).unwrap().into_data(), TensorData::from([1.0f32, 0.0]));
    }

    /// Two layers, with and without bias, ReLU and a gradient for the inputs, on whole tensors and
    /// on every other row: the bits of burn's own operations, forward and back. 200 rows of 400
    /// are above the limit for threads.
    #[test]
    fn to_the_bit_as_burn_does_it() {
        for (n, inputs, outputs) in [(3, 5, 4), (200, 400, 100)] {
            let (w, v) = (some(inputs * outputs, 1), some(outputs * 6, 2));
            let (b, x) = (some(outputs, 3), some(2 * n * inputs, 4));
            let run = |fused: bool, biased: bool, inputs_too: bool, sliced: bool| {
                let x = matrix(&x, [2 * n, inputs]);
                let x = match sliced {
                    true => x.reshape([n, 2 * inputs]).slice([0..n, inputs..2 * inputs]),
                    false => x.slice([0..n, 0..inputs]),
                };
                let x = if inputs_too { x.autodiff().require_grad() } else { x };
                let w = matrix(&w, [inputs, outputs]).autodiff().require_grad();
                let v = matrix(&v, [outputs, 6]).autodiff().require_grad();
                let b = biased.then(|| vector(&b).autodiff().require_grad());
                let out = match fused {
                    true => {
                        let h = linear(&x, &w, b.as_ref(), Then::Relu);
                        linear(&h, &v, None, Then::Nothing)
                    }
                    false => {
                        let x = if inputs_too { x.clone() } else { x.clone().autodiff() };
                        let h = relu(burns(x, w.clone(), b.clone()));
                        burns(h, v.clone(), None)
                    }
                };
                let mut found = vec![bits(out.clone().inner())];
                let slopes = (out.clone() * out).sum().backward();
                found.push(bits(w.grad(&slopes).unwrap()));
                found.push(bits(v.grad(&slopes).unwrap()));
                found.extend(b.map(|b| bits(b.grad(&slopes).unwrap())));
                found.extend(inputs_too.then(|| bits(x.grad(&slopes).unwrap())));
                found
            };
            for case in 0..8 {
                let [biased, inputs_too, sliced] = [1, 2, 4].map(|bit| case & bit != 0);
                let (ours, theirs) =
                    (run(true, biased, inputs_too, sliced), run(false, biased, inputs_too, sliced));
                assert!(ours == theirs, "{n} rows: {biased} {inputs_too} {sliced}");
            }
        }
    }

    /// Without gradients nothing is recorded, and frozen weights get none.
    #[test]
    fn gradients_only_where_they_are_asked_for() {
        let (x, w) = (matrix(&some(6, 1), [2, 3]), matrix(&some(12, 2), [3, 4]));
        let plain = linear(&x, &w, None, Then::Relu);
        assert!(!plain.is_autodiff());
        let tracked = x.clone().autodiff().require_grad();
        let y = linear(&tracked, &w, None, Then::Relu);
        assert_eq!(bits(y.clone().inner()), bits(plain));
        let slopes = y.sum().backward();
        assert!(tracked.grad(&slopes).is_some());
        let (frozen, b) = (w.clone().autodiff(), vector(&some(4, 3)).autodiff().require_grad());
        let slopes = linear(&x, &frozen, Some(&b), Then::Nothing).sum().backward();
        assert!(frozen.grad(&slopes).is_none());
        assert_eq!(bits(b.grad(&slopes).unwrap()), [2.0f32.to_bits(); 4], "a row each");
    }

    /// A weight that two layers share has the sum of both gradients, and views that begin anywhere in their
    /// memory, or run across it, give burn's bits.
    #[test]
    fn shared_weights_and_views() {
        for across in [false, true] {
            let run = |fused: bool| {
                let x = matrix(&some(24, 1), [6, 4]).slice([2..5, 0..4]);
                let w = matrix(&some(24, 2), [6, 4]).autodiff().require_grad();
                let view = match across {
                    true => w.clone().slice([1..5, 0..4]).transpose(),
                    false => w.clone().slice([1..5, 0..4]),
                };
                let layer = |x: Tensor<2>| match fused {
                    true => linear(&x, &view, None, Then::Relu),
                    false => relu(burns(x.autodiff(), view.clone(), None)),
                };
                let y = layer(x);
                let y = match fused {
                    true => linear(&y, &view, None, Then::Nothing),
                    false => burns(y, view.clone(), None),
                };
                let slopes = (y.clone() * y.clone()).sum().backward();
                (bits(y.inner()), bits(w.grad(&slopes).unwrap()))
            };
            assert_eq!(run(true), run(false), "across {across}");
        }
    }

    #[test]
    fn what_is_no_number_stays_so() {
        let x = matrix(&[f32::NAN, 1.0], [2, 1]).autodiff().require_grad();
        let y = linear(&x, &matrix(&[-1.0], [1, 1]), None, Then::Relu);
        let values = y.to_data().try_to_vec::<f32>().unwrap();
        assert!(values[0].is_nan() && values[1] == 0.0, "{values:?}");
        let slopes = x.grad(&y.sum().backward()).unwrap().into_data();
        assert_eq!(slopes.as_slice::<f32>().unwrap(), [-1.0, 0.0]);
    }

    #[test]
    fn a_batch_without_rows_is_one() {
        let (x, w) = (matrix(&[], [0, 3]), matrix(&some(6, 1), [3, 2]));
        assert_eq!(linear(&x, &w, Some(&vector(&[1.0, 2.0])), Then::Relu).dims(), [0, 2]);
        let (x, w) = (matrix(&[], [2, 0]), matrix(&[], [0, 1]));
        let y = linear(&x, &w, Some(&vector(&[0.5])), Then::Nothing);
        assert_eq!(y.into_data(), TensorData::from([[0.5f32], [0.5]]));
        for (n, inputs) in [(0, 3), (2, 0)] {
            let x = matrix(&some(n * inputs, 1), [n, inputs]).autodiff().require_grad();
            let w = matrix(&some(inputs * 2, 2), [inputs, 2]).autodiff().require_grad();
            let slopes = linear(&x, &w, None, Then::Relu).sum().backward();
            assert_eq!(bits(w.grad(&slopes).unwrap()), vec![0; inputs * 2]);
            assert_eq!(x.grad(&slopes).unwrap().dims(), [n, inputs]);
        }
    }

    #[test]
    #[should_panic(expected = "a bias for each output")]
    fn a_bias_of_another_length_is_refused() {
        let (x, w) = (matrix(&some(6, 1), [2, 3]), matrix(&some(12, 1), [3, 4]));
        linear(&x, &w, Some(&vector(&[1.0, 2.0])), Then::Nothing);
    }

    #[test]
    #[should_panic(expected = "shapes of a product")]
    fn shapes_that_do_not_go_together_are_refused() {
        linear(&matrix(&some(6, 1), [2, 3]), &matrix(&some(8, 1), [4, 2]), None, Then::Nothing);
    }
}
