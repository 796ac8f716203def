//! Linear layers as one operation, beside burn's own.

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
