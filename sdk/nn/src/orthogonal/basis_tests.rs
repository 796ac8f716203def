//! The basis by hand, its properties on numbers without a pattern, and quotas.

use super::*;

const BOUNDS: Bounds = Bounds { capacity: 100, tau_rank: 0.1 };

fn basis(width: usize) -> Basis {
    let mut basis = Basis::new(width, BOUNDS);
    basis.open_part();
    basis
}

/// Numbers between −1 and 1, different for every `salt`.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[track_caller]
fn near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
    assert!(found.iter().zip(expected).all(close), "{found:?}, expected {expected:?}");
}

/// (3, 4, 0) is the direction (.6, .8, 0); once more it is known; (0, 0, 2) is new. Of (1, 1, 1)
/// what is left is (1 − 1.4·.6, 1 − 1.4·.8, 0).
#[test]
fn projection_by_hand() {
    let mut basis = basis(3);
    assert_eq!(basis.admit(&[3.0, 4.0, 0.0]), 1);
    assert_eq!(basis.admit(&[3.0, 4.0, 0.0]), 0);
    assert_eq!(basis.admit(&[0.0, 0.0, 2.0]), 1);
    near(&basis.parts()[0].directions, &[0.6, 0.8, 0.0, 0.0, 0.0, 1.0]);
    let mut vector = [1.0, 1.0, 1.0];
    basis.remove(&mut vector);
    near(&vector, &[0.16, -0.12, 0.0]);
    assert_eq!(basis.admit(&[0.0; 3]), 0, "zeros have no direction");
}

/// Of (1, r) r/√(1 + r²) is left beside (1, 0): below a tenth it is known.
#[test]
fn the_rank_threshold_is_a_share_of_the_norm() {
    for (r, admitted) in [(0.05, 0), (0.09, 0), (0.11, 1), (0.5, 1)] {
        let mut basis = basis(2);
        basis.admit(&[7.0, 0.0]);
        assert_eq!(basis.admit(&[1.0, r]), admitted, "{r}");
    }
}

/// Gradients that are nearly alike are where one pass of Gram-Schmidt loses its grip.
#[test]
fn directions_are_orthonormal_and_nothing_is_left_along_them() {
    let (width, count) = (700, 90);
    let bounds = Bounds { tau_rank: 1e-3, ..BOUNDS };
    let mut basis = Basis::new(width, bounds);
    let common = numbers(width, 1000);
    for salt in 0..count {
        if salt % 30 == 0 {
            basis.open_part();
        }
        let own = numbers(width, salt);
        let gradient: Vec<f32> = common.iter().zip(own).map(|(c, o)| 50.0 * c + o).collect();
        assert_eq!(basis.admit(&gradient), 1, "{salt}");
    }
    let all: Vec<f32> = basis.parts().iter().flat_map(|part| part.directions.clone()).collect();
    let rows: Vec<&[f32]> = all.chunks(width).collect();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((dot(a, b) - expected).abs() < 1e-4, "{i} {j} {}", dot(a, b));
        }
    }
    let gradient = numbers(width, 5000);
    let mut left = gradient.clone();
    basis.remove(&mut left);
    let along: f64 = rows.iter().map(|q| f64::from(dot(q, &left)).powi(2)).sum::<f64>().sqrt();
    assert!(along <= 1e-4 * norm(&gradient), "{along}");
    assert!(norm(&left) < norm(&gradient));
}

/// Rows (1, 0, 0) and (2, 0, 0) span one direction, and (0, 3, 0) beside them a second one, which
/// is found first because it is longer.
#[test]
fn a_matrix_brings_the_directions_of_its_rows() {
    let mut one = basis(3);
    assert_eq!(one.admit(&[1.0, 0.0, 0.0, 2.0, 0.0, 0.0]), 1);
    near(&one.parts()[0].directions, &[1.0, 0.0, 0.0]);
    let mut two = basis(3);
    assert_eq!(two.admit(&[1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0]), 2);
    near(&two.parts()[0].directions, &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
}

/// What a matrix keeps outside the basis is at most τ of its norm, and row by row is the same as by
/// products of matrices.
#[test]
fn matrices_are_projected_as_their_rows_are() {
    let (rows, width) = (6, 20);
    let mut basis = basis(width);
    let low_rank: Vec<f32> = {
        let (a, b) = (numbers(2 * rows, 1), numbers(2 * width, 2));
        let entry = |at: usize| {
            let (r, c) = (at / width, at % width);
            a[r] * b[c] + 0.3 * a[rows + r] * b[width + c]
        };
        (0..rows * width).map(entry).collect()
    };
    assert_eq!(basis.admit(&low_rank), 2, "it has rank 2");
    let device = crate::device("flex", 0).unwrap();
    let mut project = |values: &[f32]| {
        let matrix = Tensor::from_data(TensorData::new(values.to_vec(), [rows, width]), &device);
        basis.remove_rows(matrix, &device).into_data().try_to_vec::<f32>().unwrap()
    };
    assert!(norm(&project(&low_rank)) < 1e-4 * norm(&low_rank));
    let other = numbers(rows * width, 3);
    let left = project(&other);
    let mut by_row = other.clone();
    by_row.chunks_mut(width).for_each(|row| basis.remove(row));
    near(&left, &by_row);
    assert!(norm(&left) > 0.5 * norm(&other));
}

#[test]
fn a_full_space_takes_no_more() {
    let mut basis = basis(4);
    for salt in 0..20 {
        basis.admit(&numbers(4, salt));
    }
    assert!(basis.count() <= 4);
    let mut vector = numbers(4, 99);
    basis.remove(&mut vector);
    assert!(norm(&vector) < 0.2);
}

#[test]
fn quotas_by_hand() {
    assert_eq!(quotas(&[100, 100, 100], 200), [67, 67, 66]);
    assert_eq!(quotas(&[10, 100, 100], 200), [10, 95, 95]);
    assert_eq!(quotas(&[5, 5], 20), [5, 5]);
    assert_eq!(quotas(&[3, 0, 3], 1), [1, 0, 0]);
    assert_eq!(quotas(&[], 7), [0; 0]);
}

/// Gradients (3, 0) and (2.9, 1): GᵀG = [[17.41, 2.9], [2.9, 1]], whose larger axis lies at
/// ½·atan(5.8/16.41) = 0.16987: (0.985607, 0.169054).
#[test]
fn a_cut_keeps_the_leading_singular_vector() {
    let mut basis = Basis::new(2, Bounds { capacity: 1, ..BOUNDS });
    basis.open_part();
    assert_eq!(basis.admit(&[3.0, 0.0]) + basis.admit(&[2.9, 1.0]), 2);
    near(&basis.parts()[0].energy, &[17.41, 2.9, 2.9, 1.0]);
    basis.close_part();
    let direction = &basis.parts()[0].directions;
    let sign = direction[0].signum();
    near(&[sign * direction[0], sign * direction[1]], &[0.985607, 0.169054]);
    // The larger eigenvalue: (18.41 + √(16.41² + 5.8²))/2.
    near(&basis.parts()[0].energy, &[17.907415]);
}

/// Five experiences of 10 gradients in a capacity of 16: equal quotas, one more for earlier ones,
/// and never fewer directions than before.
#[test]
fn experiences_share_the_capacity_and_the_basis_does_not_shrink() {
    let mut basis = Basis::new(60, Bounds { capacity: 16, ..BOUNDS });
    let mut held = Vec::new();
    for experience in 0..5 {
        basis.open_part();
        (0..10).for_each(|salt| {
            basis.admit(&numbers(60, 100 * experience + salt));
        });
        basis.close_part();
        held.push(basis.count());
    }
    assert_eq!(held, [10, 16, 16, 16, 16]);
    let sizes: Vec<usize> = basis.parts().iter().map(|p| p.directions.len() / 60).collect();
    assert_eq!(sizes, [4, 3, 3, 3, 3]);
    let all: Vec<f32> = basis.parts().iter().flat_map(|p| p.directions.clone()).collect();
    for (i, a) in all.chunks(60).enumerate() {
        for (j, b) in all.chunks(60).enumerate() {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((dot(a, b) - expected).abs() < 1e-4, "{i} {j}");
        }
    }
}
