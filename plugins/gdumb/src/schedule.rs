//! The learning rate by epoch: a careful first epoch, then cosine cycles that double in length
//! (SGDR, Loshchilov and Hutter 2017, with T_0 = 1 and T_mult = 2).

use std::f64::consts::PI;

/// Rate of an epoch, counted from 0. Epoch 0 runs at a tenth of `max`; then a cycle of T epochs,
/// T = 1, 2, 4, …, runs at `min + ½(max − min)(1 + cos(π·t/T))` in its epoch t = 0 … T − 1. So 256
/// epochs are the first one and eight whole cycles.
pub fn rate(epoch: usize, (max, min): (f64, f64)) -> f64 {
    if epoch == 0 {
        return 0.1 * max;
    }
    // Cycles begin at epochs 1, 2, 4, 8, …, each as long as the epochs before it.
    let length = 1usize << epoch.ilog2();
    let t = (epoch - length) as f64 / length as f64;
    min + 0.5 * (max - min) * (1.0 + (PI * t).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles begin at epochs 1, 2, 4 and 8; halfway through one the rate is the mean of both ends;
    /// a quarter of the way it is min + ½(max − min)(1 + √½).
    #[test]
    fn rates_by_hand() {
        let of = |epoch| rate(epoch, (0.05, 0.0005));
        let near = |epoch, expected: f64| {
            assert!((of(epoch) - expected).abs() < 1e-12, "{epoch}: {}", of(epoch));
        };
        near(0, 0.005);
        for restart in [1, 2, 4, 8, 128] {
            near(restart, 0.05);
        }
        for middle in [3, 6, 12, 192] {
            near(middle, 0.02525);
        }
        near(5, 0.0005 + 0.02475 * (1.0 + 0.5f64.sqrt()));
        near(7, 0.0005 + 0.02475 * (1.0 - 0.5f64.sqrt()));
        assert!(of(255) < 0.00051 && of(256) == 0.05, "256 epochs end with a cycle");
    }
}
