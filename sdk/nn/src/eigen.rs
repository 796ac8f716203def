//! Leading eigenvectors of a small symmetric matrix, by Jacobi's rotations: exact enough for
//! orthonormality, and quick for the few hundred directions of an experience or units of a layer.

/// Sweeps over all pairs; convergence is quadratic, so that a handful is the rule.
const SWEEPS_MAX: usize = 30;

/// The `count` largest eigenvalues of a symmetric matrix `[n, n]` with their eigenvectors, largest
/// first; of equal ones, in the order of their place. Computed in double precision.
pub fn leading_eigenvectors(matrix: &[f32], n: usize, count: usize) -> Vec<(f32, Vec<f32>)> {
    let mut a: Vec<f64> = matrix.iter().map(|&v| f64::from(v)).collect();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale = a.iter().map(|v| v * v).sum::<f64>();
    for _ in 0..SWEEPS_MAX {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        if off <= 1e-22 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, (p, q));
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let vector = |i: usize| vectors[i * n..][..n].iter().map(|&v| v as f32).collect();
    order.into_iter().take(count).map(|i| (a[i * n + i] as f32, vector(i))).collect()
}

/// Makes entry (p, q) zero: `A ← J A Jᵀ`, `V ← J V`, eigenvectors being the rows of V.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, (p, q): (usize, usize)) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let turn = |x: usize, y: usize, of: &mut [f64]| {
        let (u, v) = (of[x], of[y]);
        (of[x], of[y]) = (c * u - s * v, s * u + c * v);
    };
    (0..n).for_each(|k| turn(p * n + k, q * n + k, a));
    (0..n).for_each(|k| turn(k * n + p, k * n + q, a));
    (0..n).for_each(|k| turn(p * n + k, q * n + k, vectors));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [[2, 1], [1, 2]] has 3 for (1, 1)/√2 and 1 for (1, −1)/√2.
    #[test]
    fn two_by_two_by_hand() {
        let found = leading_eigenvectors(&[2.0, 1.0, 1.0, 2.0], 2, 2);
        assert!((found[0].0 - 3.0).abs() < 1e-6 && (found[1].0 - 1.0).abs() < 1e-6);
        let half = 0.5f32.sqrt();
        assert!((found[0].1[0] - found[0].1[1]).abs() < 1e-6);
        assert!((found[0].1[0].abs() - half).abs() < 1e-6);
        assert!((found[1].1[0] + found[1].1[1]).abs() < 1e-6);
    }

    /// Equal eigenvalues keep their order, and a matrix of zeros has every vector.
    #[test]
    fn diagonal_matrices_stay() {
        let found = leading_eigenvectors(&[1.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 1.0], 3, 2);
        assert_eq!(found, [(4.0, vec![0.0, 1.0, 0.0]), (1.0, vec![1.0, 0.0, 0.0])]);
        assert_eq!(leading_eigenvectors(&[0.0; 4], 2, 1), [(0.0, vec![1.0, 0.0])]);
    }

    /// A v = λ v, and vectors are orthonormal, for a matrix of 12 that has no pattern.
    #[test]
    fn a_larger_matrix_is_diagonalised() {
        let n = 12;
        let entry = |i: usize, j: usize| ((i * 7 + j * 7 + i * j * 5) % 13) as f32 - 6.0;
        let matrix: Vec<f32> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        let found = leading_eigenvectors(&matrix, n, n);
        for (value, vector) in &found {
            for i in 0..n {
                let row: f32 = (0..n).map(|j| matrix[i * n + j] * vector[j]).sum();
                assert!((row - value * vector[i]).abs() < 1e-4, "{row} {value}");
            }
        }
        for (i, (_, a)) in found.iter().enumerate() {
            for (j, (_, b)) in found.iter().enumerate() {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f32::from(u8::from(i == j))).abs() < 1e-6, "{i} {j} {product}");
            }
        }
        assert!(found.windows(2).all(|pair| pair[0].0 >= pair[1].0));
    }
}
