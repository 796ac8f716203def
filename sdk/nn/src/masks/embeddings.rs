//! The embeddings of one group and what HAT does with them: masks, annealing, compensation,
//! sparsity. HAT's code is `joansj/hat`, `src/approaches/hat.py`.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};

use super::layers::Units;
use crate::network::{Listing, Network, TensorMut};

/// Embeddings stay within ±6.
const EMBEDDING_MAX: f32 = 6.0;
/// Argument of the hyperbolic cosine in the compensation, at most.
const COSH_MAX: f64 = 50.0;

/// `s = 1/s_max + (s_max − 1/s_max)·i/N`: from 1/s_max at the first step of an epoch, i = 0,
/// towards s_max, N steps.
pub fn annealed(step: u64, steps: u64, s_max: f64) -> f64 {
    let share = (step as f64 / steps.max(1) as f64).min(1.0);
    1.0 / s_max + (s_max - 1.0 / s_max) * share
}

/// e_l of one group: one vector per masked layer. Saved as `embedding.0`, `embedding.1`, …
#[derive(Clone, Debug)]
pub struct Embeddings {
    layers: Vec<Tensor<1>>,
    /// Per layer 1 for units that are common to all groups and 0 for the others; empty where none
    /// is.
    common: Vec<Tensor<1>>,
}

impl Embeddings {
    /// Drawn from N(mean, 1), layer by layer. The authors have mean 0.
    pub fn new(widths: &[usize], mean: f64, rng: &mut impl Rng, device: &Device) -> Self {
        let mut layer = |width: &usize| {
            let values: Vec<f32> = (0..*width).map(|_| (mean + normal(rng)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [*width]), device)
        };
        Embeddings { layers: widths.iter().map(&mut layer).collect(), common: Vec::new() }
    }

    /// The masks of the first units of each layer, so many, are 1 whatever is learned.
    pub fn with_common(self, common: &[usize]) -> Self {
        if common.iter().all(|count| *count == 0) {
            return self;
        }
        let layer = |(e, count): (&Tensor<1>, &usize)| {
            let (units, device) = (e.dims()[0], e.device().without_autodiff());
            let ones = (0..units).map(|unit| f32::from(u8::from(unit < *count))).collect();
            Tensor::from_data(TensorData::new::<f32, _>(ones, [units]), &device)
        };
        let common = self.layers.iter().zip(common).map(layer).collect();
        Embeddings { common, ..self }
    }

    /// Given ones, layer by layer.
    pub fn of(layers: &Units, device: &Device) -> Self {
        let layer = |e: &Vec<f32>| Tensor::from_data(TensorData::new(e.clone(), [e.len()]), device);
        Embeddings { layers: layers.iter().map(layer).collect(), common: Vec::new() }
    }

    /// `a_l = σ(s·e_l)`, with gradients where the embeddings are tracked; 1 for common units.
    pub fn masks(&self, s: f64) -> Vec<Tensor<1>> {
        let own = self.layers.iter().map(|e| sigmoid(e.clone().mul_scalar(s)));
        if self.common.is_empty() {
            return own.collect();
        }
        // Exact: 1 + 0·σ, and 0 + 1·σ.
        let layer = |(own, common): (Tensor<1>, &Tensor<1>)| {
            common.clone() + own * common.clone().neg().add_scalar(1.0)
        };
        own.zip(&self.common).map(layer).collect()
    }

    /// The masks as numbers.
    pub fn units(&self, s: f64) -> Units {
        self.masks(s).into_iter().map(values).collect()
    }

    /// What the gradient of every embedding is multiplied by, so that it moves at a small s as it
    /// would without annealing: `s_max/s · (cosh(clip(s·e, ±50)) + 1)/(cosh(e) + 1)`.
    pub fn factors(&self, s: f64, s_max: f64) -> Embeddings {
        let layer = |e: &Tensor<1>| {
            let (device, e) = (e.device().without_autodiff(), values(e.clone()));
            let factors: Vec<f32> = e.iter().map(|&e| compensation(e, s, s_max)).collect();
            Tensor::from_data(TensorData::new(factors, [e.len()]), &device)
        };
        Embeddings { layers: self.layers.iter().map(layer).collect(), ..self.clone() }
    }

    /// After the step: every embedding back to within ±6.
    pub fn clamp(&mut self) {
        for e in &mut self.layers {
            *e = e.clone().clamp(-EMBEDDING_MAX, EMBEDDING_MAX);
        }
    }
}

impl Network for Embeddings {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        for (layer, e) in self.layers.iter_mut().enumerate() {
            tensors.tensor(&format!("embedding.{layer}"), TensorMut::Vector(e));
        }
    }
}

/// `Σ a(1 − a^{<t}) / Σ (1 − a^{<t})` over all units of all layers: the share of the free units
/// that the group takes. `earlier` holds the largest mask of the other groups, `None` for the first
/// group, whose term is the mean of a. `None` where no unit is free.
pub fn sparsity(masks: &[Tensor<1>], earlier: Option<&Units>) -> Option<Tensor<1>> {
    let mut taken: Option<Tensor<1>> = None;
    let mut free = 0.0;
    for (layer, mask) in masks.iter().enumerate() {
        let sum = match earlier {
            None => {
                free += mask.dims()[0] as f64;
                mask.clone().sum()
            }
            Some(earlier) => {
                let left: Vec<f32> = earlier[layer].iter().map(|a| 1.0 - a).collect();
                free += left.iter().map(|&left| f64::from(left)).sum::<f64>();
                let device = mask.device().without_autodiff();
                let left = Tensor::<1>::from_data(TensorData::new(left, mask.dims()), &device);
                (mask.clone() * left).sum()
            }
        };
        taken = Some(match taken {
            None => sum,
            Some(before) => before + sum,
        });
    }
    taken.filter(|_| free > 0.0).map(|taken| taken.div_scalar(free))
}

fn compensation(e: f32, s: f64, s_max: f64) -> f32 {
    let e = f64::from(e);
    let annealed = (s * e).clamp(-COSH_MAX, COSH_MAX).cosh() + 1.0;
    (s_max / s * annealed / (e.cosh() + 1.0)) as f32
}

/// Box and Muller's transform.
fn normal(rng: &mut impl Rng) -> f64 {
    // 1 − u is in (0, 1]: its logarithm is finite.
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn embeddings(layers: &[&[f32]]) -> Embeddings {
        let device = crate::device("flex", 0).unwrap();
        Embeddings::of(&layers.iter().map(|e| e.to_vec()).collect(), &device)
    }

    #[track_caller]
    fn near(found: f32, expected: f32) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} {expected}");
    }

    /// s_max = 4, 5 steps: 1/4, then by 3.75/5 = 0.75 a step.
    #[test]
    fn annealing_by_hand() {
        let s: Vec<f64> = (0..6).map(|i| annealed(i, 5, 4.0)).collect();
        assert_eq!(s, [0.25, 1.0, 1.75, 2.5, 3.25, 4.0]);
        assert_eq!(annealed(9, 5, 4.0), 4.0, "no further");
        assert_eq!(annealed(0, 0, 400.0), 1.0 / 400.0, "an epoch without steps");
    }

    /// σ(0) = 1/2, σ(ln 3) = 3/4; at s = 400 an embedding of ±6 gives exactly 1 and 0.
    #[test]
    fn masks_by_hand() {
        let e = embeddings(&[&[0.0, 3.0f32.ln()], &[6.0, -6.0]]);
        let soft = e.units(1.0);
        near(soft[0][0], 0.5);
        near(soft[0][1], 0.75);
        assert_eq!(e.units(400.0)[1], [1.0, 0.0]);
    }

    /// At s = s_max/2 = 2, e = 1: 2·(cosh 2 + 1)/(cosh 1 + 1) = 2·4.762196/2.543081. At e = 0 it
    /// is s_max/s, and the cosine's argument stops at 50.
    #[test]
    fn compensation_by_hand() {
        near(compensation(1.0, 2.0, 4.0), 2.0 * 4.762_196 / 2.543_081);
        near(compensation(0.0, 0.5, 400.0), 800.0);
        let stopped = 50.0f64.cosh() + 1.0;
        near(compensation(6.0, 400.0, 400.0), (stopped / (6.0f64.cosh() + 1.0)) as f32);
        assert_eq!(compensation(-2.0, 3.0, 4.0), compensation(2.0, 3.0, 4.0));
        let e = embeddings(&[&[1.0], &[0.0]]);
        let factors = e.factors(2.0, 4.0);
        near(values(factors.layers[0].clone())[0], 2.0 * 4.762_196 / 2.543_081);
        near(values(factors.layers[1].clone())[0], 2.0);
    }

    /// The purpose of the compensation: gradients of σ(s·e) times the factor are those of σ(e)
    /// times s_max, whatever s is. σ'(x) = 1/(2(cosh x + 1)).
    #[test]
    fn compensated_gradients_do_not_depend_on_s() {
        for s in [0.01, 0.3, 1.0, 7.0] {
            let e = embeddings(&[&[0.7, -1.3]]).tracked();
            let gradients = e.masks(s)[0].clone().sum().backward();
            let gradient = values(e.layers[0].grad(&gradients).unwrap());
            let factors = values(e.factors(s, 400.0).layers[0].clone());
            for (i, x) in [0.7f32, -1.3].into_iter().enumerate() {
                let plain = 400.0 / (2.0 * (x.cosh() + 1.0));
                let found = gradient[i] * factors[i];
                assert!((found / plain - 1.0).abs() < 1e-4, "s {s}: {found} {plain}");
            }
        }
    }

    /// First group: the mean of (0.5, 1, 0) is 0.5. Then, with (1, 0.5, 0) taken:
    /// (0.5·0 + 1·0.5 + 0·1)/(0 + 0.5 + 1) = 1/3.
    #[test]
    fn sparsity_by_hand() {
        let device = crate::device("flex", 0).unwrap();
        let masks =
            vec![Tensor::<1>::from_data([0.5, 1.0], &device), Tensor::from_data([0.0], &device)];
        let of = |earlier: Option<&Units>| {
            sparsity(&masks, earlier).map(|term| term.into_scalar::<f32>())
        };
        near(of(None).unwrap(), 0.5);
        near(of(Some(&vec![vec![1.0, 0.5], vec![0.0]])).unwrap(), 1.0 / 3.0);
        assert_eq!(of(Some(&vec![vec![1.0, 1.0], vec![1.0]])), None, "nothing is free");
    }

    #[test]
    fn embeddings_are_clamped() {
        let mut e = embeddings(&[&[7.0, -9.0, 1.5]]);
        e.clamp();
        assert_eq!(values(e.layers[0].clone()), [6.0, -6.0, 1.5]);
    }

    /// 4,000 draws: mean within 5/√4000 of 2, variance within 0.12 of 1.
    #[test]
    fn embeddings_begin_as_standard_normal_around_their_mean() {
        let device = crate::device("flex", 0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let e = values(Embeddings::new(&[4000], 2.0, &mut rng, &device).layers[0].clone());
        let mean = e.iter().sum::<f32>() / 4000.0;
        let variance = e.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 4000.0;
        assert!((mean - 2.0).abs() < 0.08 && (variance - 1.0).abs() < 0.12, "{mean} {variance}");
    }
}
