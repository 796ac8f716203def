//! What the cross-correlation matrix of Barlow Twins ([`crate::barlow::cross_correlation`]) tells
//! beyond the loss made from it (algorithms 3.6): a mean over batches with little noise, the
//! distance to an earlier matrix, the units that carry most, the directions that features use. Pure
//! numbers; how alike the matrices of two tasks are is [`crate::similarity::correlation_similarity`].

use burn::tensor::Tensor;
use perdura_sdk::{Result, StateReader, StateWriter};

use crate::eigen::leading_eigenvectors;

/// A moving average over batches: `C̄ ← ρ C̄ + (1 − ρ) C`, and the plain mean of the first
/// `1/(1 − ρ)` of them, so that the first batch does not weigh more than the others. Once ρ has
/// taken over, batches of N samples have noise like that of `N (1 + ρ)/(1 − ρ)` samples.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMean {
    rho: f32,
    batches: u64,
    values: Vec<f32>,
}

impl RunningMean {
    /// Nothing yet; `rho` in [0, 1).
    pub fn new(rho: f32) -> Self {
        RunningMean { rho, batches: 0, values: Vec::new() }
    }

    /// Takes in one batch, which has as many numbers as those before.
    pub fn add(&mut self, batch: impl Iterator<Item = f32>) {
        let share = (1.0 - self.rho).max(1.0 / (self.batches + 1) as f32);
        match self.batches {
            0 => self.values.extend(batch),
            _ => {
                let pairs = self.values.iter_mut().zip(batch);
                pairs.for_each(|(mean, value)| *mean += share * (value - *mean));
            }
        }
        self.batches += 1;
    }

    /// The mean; empty before the first batch.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        size_of_val(&self.values[..]) as u64
    }

    /// As the value `<name>.batches` and the tensor `<name>`.
    pub fn save(&self, name: &str, out: &mut StateWriter) -> Result<()> {
        out.value(&format!("{name}.batches"), &self.batches)?;
        out.tensor(name, &[self.values.len()], &self.values)
    }

    /// What [`save`](Self::save) wrote of a mean over batches of `count` numbers.
    pub fn load(&mut self, name: &str, count: usize, saved: &mut StateReader) -> Result<()> {
        self.batches = saved.value(&format!("{name}.batches"))?;
        let count = if self.batches == 0 { 0 } else { count };
        self.values = saved.tensor(name, &[count])?;
        Ok(())
    }
}

/// `(1/D) ‖C − C*‖²_F` of matrices `[D, D]`; a scalar. It keeps which features go together, not
/// their values. Noise of a single batch of N samples makes it about D/N where nothing has changed.
pub fn relation(correlation: Tensor<2>, anchor: Tensor<2>) -> Tensor<1> {
    let [width, _] = correlation.dims();
    let apart = correlation - anchor;
    (apart.clone() * apart).sum().div_scalar(width as f64)
}

/// `ω_k = max(d_k, 0)/(1 + ρ_k/ρ̄)` in [0, 1] for every unit of a matrix `[D, D]` in memory:
/// `d_k = C_kk`, how far unit k says the same of both views, and `ρ_k = Σ_{l≠k} C_kl²/(D − 1)`, how
/// far others say it too, ρ̄ its mean. Where nothing is said twice (and for D = 1) `ω_k` is
/// `max(d_k, 0)`.
pub fn importance(correlation: &[f32], width: usize) -> Vec<f32> {
    assert_eq!(correlation.len(), width * width, "a square matrix");
    let row = |k: usize| correlation[k * width..][..width].iter().enumerate();
    let others = (width.max(2) - 1) as f32;
    let repeated = |k: usize| row(k).filter(|(l, _)| *l != k).map(|(_, c)| c * c).sum::<f32>();
    let rho: Vec<f32> = (0..width).map(|k| repeated(k) / others).collect();
    let mean = rho.iter().sum::<f32>() / width as f32;
    let relative = |rho: f32| if mean > 0.0 { rho / mean } else { 0.0 };
    let omega = |k: usize| correlation[k * width + k].max(0.0) / (1.0 + relative(rho[k]));
    (0..width).map(|k| omega(k).min(1.0)).collect()
}

/// `(H_Aᵀ H_B + H_Bᵀ H_A)/2N`, `[D, D]`, of the features `[N, D]` of two views of the same samples:
/// their second moment as far as views agree. Neither centred nor scaled: a layer sees features as
/// they are, and what it may not change has to be said in their own coordinates.
pub fn auto_correlation(h_a: Tensor<2>, h_b: Tensor<2>) -> Tensor<2> {
    let [samples, _] = h_a.dims();
    let one_way = h_a.transpose().matmul(h_b);
    (one_way.clone() + one_way.transpose()).div_scalar(2.0 * samples as f64)
}

/// U: the fewest leading eigenvectors of a symmetric matrix `[D, D]` in memory that hold the share
/// `energy` of the sum of its positive eigenvalues; one row of D numbers each, orthonormal. None
/// for a matrix without a positive eigenvalue. Their cost grows with D³.
pub fn leading_span(matrix: &[f32], width: usize, energy: f64) -> Vec<Vec<f32>> {
    let pairs = leading_eigenvectors(matrix, width, width);
    let positive = pairs.into_iter().filter(|(value, _)| *value > 0.0);
    let positive: Vec<(f32, Vec<f32>)> = positive.collect();
    let total: f64 = positive.iter().map(|(value, _)| f64::from(*value)).sum();
    let mut held = 0.0;
    let needed = positive.into_iter().take_while(|(value, _)| {
        let more = held < energy * total;
        held += f64::from(*value);
        more
    });
    needed.map(|(_, vector)| vector).collect()
}

/// `(I − UᵀU) G`: the gradient `[D, outputs]` of a layer's weights without what answers to the
/// orthonormal directions `[k, D]` among its inputs, so that a step changes no output for an input
/// within them. Carried out twice, since one pass leaves the rounding of large components.
pub fn without_span(gradient: Tensor<2>, directions: Tensor<2>) -> Tensor<2> {
    let once = |g: Tensor<2>| {
        let within = directions.clone().matmul(g.clone());
        g - directions.clone().transpose().matmul(within)
    };
    once(once(gradient))
}

#[cfg(test)]
#[path = "matrix_tests.rs"]
mod tests;
