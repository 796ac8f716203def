//! The matrix as information, with numbers worked out by hand. That two identical views give
//! (N − 1)/N on the diagonal is in `tests/barlow.rs`, how matrices of two tasks compare in
//! `similarity/correlation.rs`.

use super::*;
use crate::barlow::{EPS_STD, cross_correlation};
use crate::similarity::testing::{normal, rng};
use crate::{Device, rows};

fn flex() -> Device {
    crate::device("flex", 0).unwrap()
}

fn matrix<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
    Tensor::from_data(values, &flex())
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

fn numbers(t: Tensor<2>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

fn near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance, "{found:?}, expected {expected:?}");
    }
}

/// Normal numbers `[rows, width]`.
fn features(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut rng = rng(seed);
    (0..rows * width).map(|_| normal(&mut rng)).collect()
}

/// ρ = ¾: the plain mean of the first four, then `C̄ ← ¾ C̄ + ¼ C`.
#[test]
fn the_running_mean_by_hand() {
    let mut mean = RunningMean::new(0.75);
    assert!(mean.is_empty() && mean.values().is_empty());
    let mut found = Vec::new();
    for c in [1.0, 3.0, 5.0, 7.0, 8.0] {
        mean.add([c, -c].into_iter());
        found.push(mean.values()[0]);
        assert_eq!(mean.values()[1], -mean.values()[0]);
    }
    near(&found, &[1.0, 2.0, 3.0, 4.0, 5.0], 1e-6);
    let mut last = RunningMean::new(0.0);
    [1.0, 9.0].into_iter().for_each(|c| last.add([c].into_iter()));
    assert_eq!(last.values(), [9.0], "without memory the last batch is the mean");
}

#[test]
fn a_saved_mean_goes_on() {
    let saved = |mean: &RunningMean| {
        let mut out = StateWriter::new();
        mean.save("mean", &mut out).unwrap();
        out.into_bytes().unwrap()
    };
    let mut mean = RunningMean::new(0.9);
    let mut other = RunningMean::new(0.9);
    let mut empty = StateReader::from_bytes(&saved(&mean)).unwrap();
    other.add([4.0, 5.0].into_iter());
    other.load("mean", 2, &mut empty).unwrap();
    assert_eq!(other, mean);
    (0..3).for_each(|i| mean.add([i as f32, 1.0].into_iter()));
    other.load("mean", 2, &mut StateReader::from_bytes(&saved(&mean)).unwrap()).unwrap();
    assert_eq!(other, mean);
    let wrong = other.load("mean", 3, &mut StateReader::from_bytes(&saved(&mean)).unwrap());
    assert!(wrong.unwrap_err().to_string().contains("expected [3], found [2]"));
}

/// Entries apart by 1, 0, −2, 0: (1 + 4)/2, and the slope 2 (C − C*)/D = (1, 0, −2, 0).
#[test]
fn relation_and_its_slope_by_hand() {
    let c = matrix([[1.0, 0.5], [-1.0, 0.25]]).autodiff().require_grad();
    let anchor = matrix([[0.0, 0.5], [1.0, 0.25]]);
    let loss = relation(c.clone(), anchor);
    assert_eq!(value(loss.clone()), 2.5);
    let slope = c.grad(&loss.backward()).unwrap();
    assert_eq!(numbers(slope), [1.0, 0.0, -2.0, 0.0]);
}

/// C* = C(B): no loss, and no slope at the features.
#[test]
fn a_matrix_is_no_way_from_itself() {
    let (a, b) = (features(7, 4, 1), features(7, 4, 2));
    let z = |values: &[f32]| rows(&[values], 4, &flex());
    let anchor = cross_correlation(z(&a), z(&b), EPS_STD).unwrap();
    let tracked = z(&a).autodiff().require_grad();
    let c = cross_correlation(tracked.clone(), z(&b), EPS_STD).unwrap();
    let loss = relation(c, anchor);
    assert_eq!(value(loss.clone()), 0.0);
    let slope = numbers(tracked.grad(&loss.backward()).unwrap());
    assert!(slope.iter().all(|g| *g == 0.0), "{slope:?}");
}

/// Through the standardisation: every slope at the features against a difference of the loss.
#[test]
fn the_slope_at_the_features_is_that_of_finite_differences() {
    let (a, b) = (features(6, 3, 3), features(6, 3, 4));
    let z = |values: &[f32]| rows(&[values], 3, &flex());
    let anchor = matrix([[0.9, 0.3, -0.2], [0.1, 0.7, 0.0], [0.4, -0.5, 0.8]]);
    let loss =
        |a: Tensor<2>| relation(cross_correlation(a, z(&b), EPS_STD).unwrap(), anchor.clone());
    let tracked = z(&a).autodiff().require_grad();
    let slope = numbers(tracked.grad(&loss(tracked.clone()).backward()).unwrap());
    let step = 1e-2;
    for (i, slope) in slope.iter().enumerate() {
        let at = |by: f32| {
            let mut moved = a.clone();
            moved[i] += by;
            value(loss(z(&moved)))
        };
        let difference = (at(step) - at(-step)) / (2.0 * f64::from(step));
        assert!((difference - f64::from(*slope)).abs() < 2e-3, "{i}: {slope}, {difference}");
    }
}

/// The same units in another order: C has its rows and columns in that order, and the distance to
/// an anchor whose units changed places alike is the same.
#[test]
fn units_may_change_places() {
    let order = [2, 0, 3, 1];
    let permuted = |values: &[f32]| -> Vec<f32> {
        values.chunks(4).flat_map(|row| order.map(|k| row[k])).collect()
    };
    let (a, b) = (features(9, 4, 5), features(9, 4, 6));
    let correlation = |a: &[f32], b: &[f32]| {
        let z = |values| rows(&[values], 4, &flex());
        numbers(cross_correlation(z(a), z(b), EPS_STD).unwrap())
    };
    let both_ways = |c: &[f32]| -> Vec<f32> {
        let entry = |at: usize| c[order[at / 4] * 4 + order[at % 4]];
        (0..16).map(entry).collect()
    };
    let (plain, moved) = (correlation(&a, &b), correlation(&permuted(&a), &permuted(&b)));
    near(&moved, &both_ways(&plain), 1e-6);
    let anchor = correlation(&features(9, 4, 7), &features(9, 4, 8));
    let apart = |c: &[f32], anchor: &[f32]| {
        let of = |values| rows(&[values], 4, &flex());
        value(relation(of(c), of(anchor)))
    };
    let (before, after) = (apart(&plain, &anchor), apart(&moved, &both_ways(&anchor)));
    assert!(before > 0.1 && (before - after).abs() < 1e-5, "{before} {after}");
    assert!((apart(&moved, &anchor) - before).abs() > 1e-3, "the anchor did not move along");
}

/// d = (0.8, 0.4, −0.2); ρ = ((1 + 4)/2, (1 + 4)/2, (4 + 4)/2)·0.01, mean 3, so relative (5/6, 5/6,
/// 4/3): ω = (0.8·6/11, 0.4·6/11, 0).
#[test]
fn importance_by_hand() {
    let c = [0.8, 0.1, 0.2, 0.1, 0.4, 0.2, 0.2, 0.2, -0.2];
    near(&importance(&c, 3), &[4.8 / 11.0, 2.4 / 11.0, 0.0], 1e-6);
    near(&importance(&[0.8, 0.0, 0.0, 0.4], 2), &[0.8, 0.4], 1e-6);
    near(&importance(&[0.5], 1), &[0.5], 1e-6);
}

#[test]
fn importance_lies_between_nothing_and_one() {
    for seed in 0..20 {
        let z = |seed| rows(&[&features(5, 6, seed)], 6, &flex());
        for (a, b) in [(seed, seed), (seed, 100 + seed)] {
            let c = numbers(cross_correlation(z(a), z(b), EPS_STD).unwrap());
            assert!(importance(&c, 6).iter().all(|w| (0.0..=1.0).contains(w)));
        }
    }
}

/// H_A = [[1, 2], [0, 1]], H_B = [[3, 0], [1, 1]]: H_AᵀH_B = [[3, 0], [7, 1]], so [[3, 3.5],
/// [3.5, 1]]/2.
#[test]
fn auto_correlation_by_hand() {
    let found =
        auto_correlation(matrix([[1.0, 2.0], [0.0, 1.0]]), matrix([[3.0, 0.0], [1.0, 1.0]]));
    assert_eq!(numbers(found), [1.5, 1.75, 1.75, 0.5]);
}

/// Eigenvalues 6, 3, 1 and −5, of which the last holds nothing: 0.6, 0.9 and 1 of the energy.
#[test]
fn the_fewest_directions_that_hold_the_energy() {
    let mut diagonal = [0.0; 16];
    [3.0, -5.0, 6.0, 1.0].into_iter().enumerate().for_each(|(i, v)| diagonal[i * 5] = v);
    let unit = |k: usize| (0..4).map(|l| f32::from(u8::from(k == l))).collect::<Vec<f32>>();
    for (energy, expected) in
        [(0.5, vec![2]), (0.6, vec![2]), (0.61, vec![2, 0]), (0.95, vec![2, 0, 3])]
    {
        let expected: Vec<Vec<f32>> = expected.into_iter().map(unit).collect();
        assert_eq!(leading_span(&diagonal, 4, energy), expected, "{energy}");
    }
    assert_eq!(leading_span(&diagonal, 4, 1.0).len(), 3);
    assert!(leading_span(&[0.0; 16], 4, 0.95).is_empty());
    assert!(leading_span(&[-1.0], 1, 0.95).is_empty());
}

/// The gradient of a layer of 4 outputs on 12 features, most of whose energy lies in 3 directions.
#[test]
fn a_projected_gradient_has_nothing_left_within_the_span() {
    let (factors, loadings) = (features(200, 3, 20), features(3, 12, 21));
    let h = rows(&[&factors], 3, &flex()).matmul(rows(&[&loadings], 12, &flex()));
    let h = h + rows(&[&features(200, 12, 22)], 12, &flex()).mul_scalar(0.1);
    let moment = numbers(auto_correlation(h.clone(), h));
    let span = leading_span(&moment, 12, 0.95);
    assert!((2..=3).contains(&span.len()), "{}", span.len());
    let flat: Vec<f32> = span.concat();
    let directions = rows(&[&flat], 12, &flex());
    let gradient = rows(&[&features(12, 4, 23)], 4, &flex());
    let norm = |t: Tensor<2>| numbers(t).iter().map(|v| v * v).sum::<f32>().sqrt();
    let within = |g: Tensor<2>| norm(directions.clone().matmul(g));
    let projected = without_span(gradient.clone(), directions.clone());
    assert!(within(gradient.clone()) > 0.5);
    assert!(within(projected.clone()) <= 1e-5 * norm(gradient.clone()));
    // What lay outside is left as it was: Pythagoras.
    let kept = norm(projected).powi(2) + within(gradient.clone()).powi(2);
    assert!((kept - norm(gradient).powi(2)).abs() < 1e-3, "{kept}");
}
