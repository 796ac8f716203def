//! Random numbers for the weights of fresh layers, the same on every machine.

use rand::Rng;

/// `count` numbers from `U(−bound, bound)`, one 32-bit word each: its upper 24 bits `k` give
/// `k·2⁻²⁴` in `[0, 1)`, exact in f32, so every machine starts from the same numbers.
pub(crate) fn uniform(count: usize, bound: f32, rng: &mut impl Rng) -> Vec<f32> {
    let unit = |word: u32| (word >> 8) as f32 * (1.0 / (1 << 24) as f32);
    (0..count).map(|_| bound * (2.0 * unit(rng.next_u32()) - 1.0)).collect()
}

/// Bound of PyTorch's default for weights and biases alike, `1/√fan_in`: for weights this is
/// `kaiming_uniform(a = √5)`, whose bound is `√(6 / ((1 + a²)·fan_in))`.
pub(crate) fn pytorch_bound(fan_in: usize) -> f32 {
    (1.0 / (fan_in as f64).sqrt()) as f32
}
