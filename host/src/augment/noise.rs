//! Gaussian noise, by the transform of Box and Muller (1958, "A Note on the Generation of Random
//! Normal Deviates"). Logarithm, sine and cosine are series written here: those of a system's
//! library differ in the last bit from machine to machine, and take one number at a time.

use multiversion::multiversion;
use rand_chacha::rand_core::Rng as _;

use crate::rng::Rng;

/// Pairs made at a time.
const PAIRS: usize = 16;

/// Adds independent normal numbers of mean 0 and this standard deviation.
pub(super) fn add(values: &mut [f32], deviation: f32, rng: &mut Rng) {
    for values in values.chunks_mut(2 * PAIRS) {
        let words = std::array::from_fn(|_| rng.next_u64());
        let normals = normals(&words);
        for (value, normal) in values.iter_mut().zip(normals.as_flattened()) {
            *value += deviation * normal;
        }
    }
}

/// Independent standard normal numbers from uniform random bits.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn normals(words: &[u64; PAIRS]) -> [[f32; PAIRS]; 2] {
    let mut out = [[0.0; PAIRS]; 2];
    for (place, &word) in words.iter().enumerate() {
        // Uniform in (0, 1], in steps of 2^-24.
        let share = ((word >> 40) as u32 + 1) as f32 * (1.0 / (1 << 24) as f32);
        let radius = (-2.0 * logarithm(share)).sqrt();
        let [cosine, sine] = direction(word as u32);
        out[0][place] = radius * cosine;
        out[1][place] = radius * sine;
    }
    out
}

/// Natural logarithm of a positive number, off by at most 5e-7 of itself:
/// `x = m 2^e`, `ln m = 2 artanh((m - 1) / (m + 1))` with `m` between `sqrt(1/2)` and `sqrt(2)`.
#[inline(always)]
fn logarithm(x: f32) -> f32 {
    let bits = x.to_bits();
    let mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
    let large = mantissa > std::f32::consts::SQRT_2;
    let m = if large { 0.5 * mantissa } else { mantissa };
    let exponent = (bits >> 23) as i32 - 127 + i32::from(large);
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = 1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + 2.0 * s * series
}

/// Cosine and sine of an angle given as a part of a whole turn in units of 2^-32: the two highest
/// bits choose the quarter, the others an angle within an eighth of a turn about its middle.
#[inline(always)]
fn direction(turn: u32) -> [f32; 2] {
    let x = (turn << 2) as i32 as f32 * (std::f32::consts::FRAC_PI_2 / (1u64 << 32) as f32);
    let x2 = x * x;
    let c4 = 1.0 / 24.0 - x2 * (1.0 / 720.0 - x2 * (1.0 / 40_320.0));
    let cosine = 1.0 - x2 * (0.5 - x2 * c4);
    let s5 = 1.0 / 120.0 - x2 * (1.0 / 5_040.0 - x2 * (1.0 / 362_880.0));
    let sine = x * (1.0 - x2 * (1.0 / 6.0 - x2 * s5));
    let quarter = turn >> 30;
    let [a, b] = if quarter & 1 == 0 { [cosine, sine] } else { [-sine, cosine] };
    if quarter & 2 == 0 { [a, b] } else { [-a, -b] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::keyed;

    #[test]
    fn the_logarithm_is_the_logarithm() {
        assert_eq!(logarithm(1.0), 0.0);
        for i in 1..=100_000u32 {
            let x = i as f32 / 100_000.0;
            let exact = f64::from(x).ln();
            let error = (f64::from(logarithm(x)) - exact).abs();
            assert!(error <= 5e-7 * exact.abs(), "{x}: {error}");
        }
    }

    #[test]
    fn directions_go_once_around_the_circle() {
        for i in 0..100_000u32 {
            let turn = i * 42_949;
            // The first quarter lies about the angle 0, and the angles of one go from -1/8 to 1/8.
            let folded = f64::from((turn << 2) as i32) / (1u64 << 34) as f64;
            let exact = (f64::from(turn >> 30) / 4.0 + folded) * std::f64::consts::TAU;
            let [cosine, sine] = direction(turn).map(f64::from);
            let error = (cosine - exact.cos()).abs().max((sine - exact.sin()).abs());
            assert!(error < 2e-7, "{turn}: {error}");
        }
    }

    #[test]
    fn noise_has_the_moments_of_the_normal_distribution() {
        const COUNT: usize = 200_000;
        let mut values = vec![0.5f32; COUNT];
        add(&mut values, 0.1, &mut keyed(0, "noise", &[]));
        let normal = values.iter().map(|&v| (f64::from(v) - 0.5) / 0.1);
        let moment = |power| normal.clone().map(|z| z.powi(power)).sum::<f64>() / COUNT as f64;
        // Standard errors: 0.0022, 0.0032, 0.0087, 0.022.
        assert!(moment(1).abs() < 0.009, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.013, "{}", moment(2));
        assert!(moment(3).abs() < 0.035, "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.09, "{}", moment(4));
        // Beyond 3 deviations lie 0.270 % of them, with a standard error of 0.012 %.
        let far = normal.filter(|z| z.abs() > 3.0).count() as f64 / COUNT as f64;
        assert!((far - 0.0027).abs() < 0.0005, "{far}");
    }

    /// The two numbers of a pair, and numbers of neighbouring pairs, do not go together.
    #[test]
    fn numbers_of_a_pair_are_uncorrelated() {
        let mut values = vec![0.0f32; 64_000];
        add(&mut values, 1.0, &mut keyed(1, "noise", &[]));
        for lag in [1, PAIRS] {
            let products = values.iter().zip(&values[lag..]).map(|(a, b)| f64::from(a * b));
            assert!((products.sum::<f64>() / 64_000.0).abs() < 0.016, "lag {lag}");
        }
    }
}
