//! Loops over all parameters of a network in main memory, compiled for each kind of vector
//! instruction; the best is chosen at run time. Every operation is rounded by itself, so all give
//! the bytes that operations on tensors give.

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

#[cfg(test)]
mod tests {
    #[test]
    fn by_hand() {
        let mut mine = [1.0, 2.0];
        super::average(&mut mine, &[3.0, -2.0], 0.75);
        assert_eq!(mine, [1.5, 1.0]);
        super::descend(&mut mine, &[2.0, -4.0], 0.25);
        assert_eq!(mine, [1.0, 2.0]);
    }
}
