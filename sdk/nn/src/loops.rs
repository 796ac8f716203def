//! Loops over all parameters of a network in main memory, compiled for each kind of vector
//! instruction; the best is chosen at run time. Every operation is rounded by itself and sums have
//! a fixed order, so all give the same bytes, those of operations on tensors where there are such.

use multiversion::multiversion;

/// `θ ← θ − lr·g`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn descend(numbers: &mut [f32], slopes: &[f32], lr: f32) {
    for (number, slope) in numbers.iter_mut().zip(slopes) {
        *number -= *slope * lr;
    }
}

/// `θ ← α·θ + (1 − α)·θ_other`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn average(mine: &mut [f32], theirs: &[f32], alpha: f64) {
    let (alpha, rest) = (alpha as f32, (1.0 - alpha) as f32);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = *mine * alpha + *theirs * rest;
    }
}

/// Sums side by side: the compiler makes vectors of them, and the error of a long sum stays small.
const LANES: usize = 32;

/// `a·b`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "two vectors of one space");
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// `a ← a + scale·b`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn add(a: &mut [f32], b: &[f32], scale: f32) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += scale * b);
}

#[cfg(test)]
mod tests {
    #[test]
    fn by_hand() {
        let mut mine = [1.0, 2.0];
        super::average(&mut mine, &[3.0, -2.0], 0.75);
        assert_eq!(mine, [1.5, 1.0]);
        super::descend(&mut mine, &[2.0, -4.0], 0.25);
        assert_eq!(mine, [1.0, 2.0]);
        super::add(&mut mine, &[1.0, -1.0], 0.5);
        assert_eq!(mine, [1.5, 1.5]);
        let (a, b): (Vec<f32>, Vec<f32>) = (0..70).map(|i| (i as f32, 2.0)).unzip();
        assert_eq!(super::dot(&a, &b), 70.0 * 69.0);
    }
}
