//! What methods share whose working network is taught by moving averages of itself (CLS-ER,
//! SG-CLS): the step of the working network, the choice among teachers, the updates of the
//! averages.

use burn::tensor::{Int, Tensor};
use perdura_sdk::rand::{Rng, RngExt};
use perdura_sdk::{Result, Rows, hyper_parameters};
use std::ops::Range;

use crate::losses::{Terms, values};
use crate::{Net, Network};

hyper_parameters! {
    /// Where the running statistics of the teachers' batch normalisation come from.
    pub enum EmaBn {
        /// Teachers answer in training mode: the replayed batch normalises itself, and each teacher
        /// keeps running statistics of the replayed batches alone (the authors' code).
        #[default]
        Code,
        /// Teachers answer as in a test; their running statistics are averaged with their
        /// parameters.
        Average,
    }
}

impl EmaBn {
    /// A teacher's logits, without gradients.
    pub fn answer(self, teacher: &mut Net, x: Tensor<2>) -> Result<Tensor<2>> {
        match self {
            EmaBn::Code => teacher.forward_train(x),
            EmaBn::Average => Ok(teacher.forward(x)),
        }
    }

    /// `θ_i ← α_i·θ_i + (1 − α_i)·θ_W` for every teacher that is due, in one pass over θ_W.
    pub fn follow(self, working: &mut Net, mut teachers: Vec<(&mut Net, f64)>) {
        working.lead(&mut teachers);
        if self == EmaBn::Average {
            working.lead_buffers(&mut teachers);
        }
    }
}

/// The decay of update `n`, so that early averages weigh all steps alike: `min(1 − 1/(n+1), α)`.
pub fn warm_up(n: u64, alpha: f64) -> f64 {
    (1.0 - 1.0 / (n as f64 + 1.0)).min(alpha)
}

/// One draw for each rate, in order, whether or not it matters: true where it is below the rate.
pub fn updates(rng: &mut impl Rng, rates: impl IntoIterator<Item = f64>) -> Vec<bool> {
    rates.into_iter().map(|rate| rng.random::<f64>() < rate).collect()
}

/// What the teachers say about the replayed batch. Constants: no gradient flows into them.
pub struct Target {
    /// Z, `[m, C]`.
    pub logits: Tensor<2>,
    /// Weight of each sample in the consistency loss, `[m]`; `None` for 1 each.
    pub weights: Option<Tensor<1>>,
}

/// The samples of a step and how to learn from them.
pub struct Lesson<'a> {
    pub current: &'a Rows<'a>,
    pub replay: &'a Rows<'a>,
    /// Weight of the consistency loss, λ.
    pub reg_weight: f64,
    pub lr: f64,
}

/// Losses of a step, before it.
#[derive(Clone, Copy, Debug)]
pub struct Learned {
    pub loss: f64,
    pub loss_ce: f64,
    /// Before λ.
    pub loss_cons: f64,
}

impl Lesson<'_> {
    /// The gradient step on the working network θ_W:
    /// `L = CE(f(X ∪ X_m; θ_W), Y ∪ Y_m) + λ · mean_i w_i · mean_c (f(X_m; θ_W) − Z)²`.
    ///
    /// `teach` is given (X_m, Y_m) before the step and answers with Z; it is not asked when nothing
    /// is replayed. λ = 0 is plain replay to the byte: no term, not a term of zero.
    pub fn learn(
        &self,
        working: &mut Net,
        teach: impl FnOnce(Tensor<2>, Tensor<1, Int>) -> Result<Target>,
    ) -> Result<Learned> {
        let (current, replay) = (self.current, self.replay);
        let (b, m) = (current.len(), replay.len());
        let x = working.rows(&[current.inputs(), replay.inputs()]);
        let target = match m {
            0 => None,
            _ => Some(teach(x.clone().narrow(0, b, m), working.labels(&[replay.labels()]))?),
        };
        let mut tracked = working.tracked();
        let passes = passes(&mut tracked, x, b, m)?;
        let mut terms = Terms::of(&passes.logits);
        let y = [current.labels(), replay.labels()].concat();
        let loss_ce = terms.cross_entropy(passes.joint, &y, 1.0);
        let loss_cons = target.map_or(0.0, |target| {
            add_consistency(&mut terms, passes.replayed, target, self.reg_weight)
        });
        let loss = terms.value();
        let gradients = terms.into_loss(passes.logits).backward();
        working.descend(tracked, gradients, self.lr);
        Ok(Learned { loss, loss_ce, loss_cons })
    }
}

/// `mean_i w_i · mean_c (f − Z)²`.
pub fn consistency(logits: Tensor<2>, target: Target) -> Tensor<1> {
    let mut terms = Terms::of(&logits);
    add_consistency(&mut terms, 0..logits.dims()[0], target, 1.0);
    terms.into_loss(logits)
}

fn add_consistency(terms: &mut Terms, rows: Range<usize>, target: Target, weight: f64) -> f64 {
    let weights = target.weights.map(values);
    terms.squared_error(rows, &values(target.logits), weights.as_deref(), weight)
}

/// Logits of a network in training mode.
struct Passes {
    /// Of all passes, `[n, C]`.
    logits: Tensor<2>,
    /// The rows of `f(X ∪ X_m)`.
    joint: Range<usize>,
    /// The rows of `f(X_m)`.
    replayed: Range<usize>,
}

/// `f(X ∪ X_m)` and `f(X_m)`; `x` holds the b samples of X, then the m of X_m.
///
/// The authors of CLS-ER run X_m by itself first. With batch normalisation these are other numbers
/// than in the joint batch, and the running statistics move twice. Without it the last m rows of
/// the joint pass are `f(X_m)`, and it is the only one.
fn passes(network: &mut Net, x: Tensor<2>, b: usize, m: usize) -> Result<Passes> {
    if m > 0 && network.normalises_batches() {
        let alone = network.forward_train(x.clone().narrow(0, b, m))?;
        let joint = network.forward_train(x)?;
        let logits = Tensor::cat(vec![alone, joint], 0);
        return Ok(Passes { logits, joint: m..m + b + m, replayed: 0..m });
    }
    Ok(Passes { logits: network.forward_train(x)?, joint: 0..b + m, replayed: b..b + m })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn warm_up_by_hand() {
        assert_eq!(warm_up(1, 0.99), 0.5);
        assert_eq!(warm_up(3, 0.99), 0.75);
        assert_eq!(warm_up(200, 0.99), 0.99);
        assert_eq!(warm_up(5, 0.0), 0.0);
    }

    /// Draws do not depend on the rates, so that groups and methods share their chance.
    #[test]
    fn every_rate_takes_one_draw() {
        let rng = || ChaCha8Rng::seed_from_u64(1);
        let alone: Vec<bool> = (0..3).map(|i| updates(&mut rng(), [0.5; 3])[i]).collect();
        for (certain, expected) in [(1.0, true), (0.0, false)] {
            let found = updates(&mut rng(), [certain, 0.5, 0.5]);
            assert_eq!(found, [expected, alone[1], alone[2]]);
        }
    }

    /// Rows differ by (1, 1) and (2, 0): means of squares 1 and 2. Plain: 1.5; weighted by 0 and 3:
    /// 3.
    #[test]
    fn consistency_by_hand() {
        let device = crate::device("flex", 0).unwrap();
        let logits = Tensor::<2>::from_data([[1.0, 1.0], [2.0, 5.0]], &device);
        let target = || Tensor::<2>::from_data([[0.0, 0.0], [0.0, 5.0]], &device);
        let of = |weights: Option<[f32; 2]>| {
            let weights = weights.map(|w| Tensor::from_data(w, &device));
            consistency(logits.clone(), Target { logits: target(), weights }).into_scalar::<f32>()
        };
        assert_eq!((of(None), of(Some([1.0, 1.0])), of(Some([0.0, 3.0]))), (1.5, 1.5, 3.0));
    }
}
