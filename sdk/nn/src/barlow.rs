//! Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230): two views of the same samples are to
//! give features that agree sample by sample and do not repeat each other. The cross-correlation
//! matrix is here on its own, since it tells more about features than the loss made from it.

use burn::tensor::Tensor;

/// Added to every standard deviation, unless a reference wants another value.
pub const EPS_STD: f64 = 1e-6;

/// Too few samples to standardise features over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Barlow Twins standardises features over the batch: expected at least 2 samples, found \
     {found}; choose a batch size that leaves no single sample at the end, or drop the last batch"
)]
pub struct BatchTooSmall {
    pub found: usize,
}

/// Every column of `[N, D]` less its mean, divided by its unbiased standard deviation (N − 1) plus
/// `eps_std`.
///
/// A constant column has no direction to learn in: its deviation counts as 0 and gets no gradient.
/// With `eps_std = 0` it becomes NaN, as in the authors' code.
pub fn standardise(features: Tensor<2>, eps_std: f64) -> Result<Tensor<2>, BatchTooSmall> {
    let [samples, _] = features.dims();
    if samples < 2 {
        return Err(BatchTooSmall { found: samples });
    }
    let centred = features.clone() - features.mean_dim(0);
    let variance = (centred.clone() * centred.clone()).sum_dim(0).div_scalar(samples as f64 - 1.0);
    // The slope of the root is infinite at 0, and infinity times 0 would reach the network as NaN.
    let constant = variance.clone().equal_elem(0.0);
    let root = variance.mask_fill(constant.clone(), 1.0).sqrt();
    Ok(centred / root.mask_fill(constant, 0.0).add_scalar(eps_std))
}

/// `C = Ẑ_Aᵀ Ẑ_B / N` of two views `[N, D]`: `[D, D]`, entries from −(N−1)/N to (N−1)/N.
///
/// The divisor is N and not N − 1, so two identical views give (N−1)/N on the diagonal.
pub fn cross_correlation(
    z_a: Tensor<2>,
    z_b: Tensor<2>,
    eps_std: f64,
) -> Result<Tensor<2>, BatchTooSmall> {
    let [samples, _] = z_a.dims();
    assert_eq!(z_a.dims(), z_b.dims(), "two views of the same samples");
    let (z_a, z_b) = (standardise(z_a, eps_std)?, standardise(z_b, eps_std)?);
    Ok(z_a.transpose().matmul(z_b).div_scalar(samples as f64))
}

/// `Σ_i (1 − C_ii)² + λ Σ_{i≠j} C_ij²` of a cross-correlation matrix; a scalar.
pub fn barlow_twins(correlation: Tensor<2>, lambda: f64) -> Tensor<1> {
    let [width, _] = correlation.dims();
    let eye = Tensor::<2>::eye(width, &correlation.device());
    let diagonal = (correlation.clone() * eye.clone()).sum_dim(1);
    let missing = diagonal.neg().add_scalar(1.0);
    let repeated = correlation.clone() * (eye.neg().add_scalar(1.0));
    (missing.clone() * missing).sum() + (repeated.clone() * repeated).sum().mul_scalar(lambda)
}
