//! The step of CLS-ER, in the order of the authors' code. Symbols are the paper's: θ_W, θ_P, θ_S are the
//! parameters of the working, plastic and stable network, (X, Y) the current batch of b samples,
//! (X_m, Y_m) the replayed one of m, C the number of classes.

use burn::tensor::{Bool, Int, Tensor};
use perdura_nn::{Net, Network, losses};
use perdura_sdk::rand::{Rng, RngExt};
use perdura_sdk::{Result, Rows};

use crate::config::{Config, EmaBn, TeacherSelect};

/// The learner: three networks of one shape and the number of steps done.
pub struct ClsEr {
    pub(crate) config: Config,
    pub(crate) working: Net,
    pub(crate) plastic: Net,
    pub(crate) stable: Net,
    /// n, never reset: the method knows no boundaries.
    pub(crate) steps: u64,
}

/// What a step reports.
pub(crate) struct Learned {
    pub loss: f64,
    pub loss_ce: f64,
    /// Before λ.
    pub loss_cons: f64,
    pub n_select_stable: f64,
}

/// What the teachers say about the replayed batch.
pub(crate) struct Target {
    /// Z, `[m, C]`: in each row the logits of the chosen teacher.
    pub logits: Tensor<2>,
    pub n_select_stable: f64,
}

/// The decay of update `n`, so that early averages weigh all steps alike: `min(1 − 1/(n+1), α)`.
pub fn warm_up(n: u64, alpha: f64) -> f64 {
    (1.0 - 1.0 / (n as f64 + 1.0)).min(alpha)
}

impl ClsEr {
    /// `θ_P` and `θ_S` start as copies of `θ_W`.
    pub(crate) fn new(config: Config, working: Net) -> ClsEr {
        let (plastic, stable) = (working.clone(), working.clone());
        ClsEr { config, working, plastic, stable, steps: 0 }
    }

    /// The gradient step on `θ_W`:
    /// `L = CE(f(X ∪ X_m; θ_W), Y ∪ Y_m) + λ · mean (f(X_m; θ_W) − Z)²`.
    pub(crate) fn learn(&mut self, current: &Rows<'_>, replay: &Rows<'_>) -> Result<Learned> {
        let (b, m) = (current.len(), replay.len());
        let x = self.working.rows(&[current.inputs(), replay.inputs()]);
        let y = self.working.labels(&[current.labels(), replay.labels()]);
        let mut target = None;
        if m > 0 {
            let y_m = self.working.labels(&[replay.labels()]);
            target = Some(self.target(x.clone().narrow(0, b, m), y_m)?);
        }

        let mut tracked = self.working.tracked();
        let (logits, logits_m) = both_passes(&mut tracked, x, b, m)?;
        let mut loss = losses::cross_entropy(logits, y);
        let loss_ce = loss.clone().into_scalar();
        let (mut loss_cons, mut n_select_stable) = (0.0, 0.0);
        if let (Some(target), Some(logits_m)) = (target, logits_m) {
            let consistency = losses::mean_squared_error(logits_m, target.logits);
            loss_cons = consistency.clone().into_scalar();
            n_select_stable = target.n_select_stable;
            // λ = 0 is ER to the byte: no term, not a term of zero.
            if self.config.reg_weight > 0.0 {
                loss = loss + consistency * self.config.reg_weight;
            }
        }
        let total = loss.clone().into_scalar();
        self.working.descend(&tracked, loss.backward(), self.config.lr);
        Ok(Learned { loss: total, loss_ce, loss_cons, n_select_stable })
    }

    /// Z: for each replayed sample the logits of the teacher that knows it better. Constants: the teachers
    /// compute without gradients. Where they normalise by the batch, their running statistics move.
    pub(crate) fn target(&mut self, x_m: Tensor<2>, y_m: Tensor<1, Int>) -> Result<Target> {
        let ema_bn = self.config.ema_bn;
        let answer = |teacher: &mut Net, x_m| match ema_bn {
            EmaBn::Code => teacher.forward_train(x_m),
            EmaBn::Average => Ok(teacher.forward(x_m)),
        };
        let z_s = answer(&mut self.stable, x_m.clone())?;
        let z_p = answer(&mut self.plastic, x_m)?;
        let stable = choose_stable(&z_s, &z_p, y_m, self.config.teacher_select);
        let n_select_stable = stable.clone().int().sum().into_scalar::<i64>() as f64;
        let shape = z_s.dims();
        let chosen = stable.unsqueeze_dim::<2>(1).expand(shape);
        Ok(Target { logits: z_p.mask_where(chosen, z_s), n_select_stable })
    }

    /// After the gradient step: `n ← n + 1`; with probability `r_i` each,
    /// `θ_i ← α_i·θ_i + (1 − α_i)·θ_W` for i = P, then S, the two draws independent.
    pub(crate) fn consolidate(&mut self, rng: &mut impl Rng) {
        self.steps += 1;
        let (u_1, u_2) = (rng.random::<f64>(), rng.random::<f64>());
        if u_1 < self.config.r_plastic {
            let alpha = warm_up(self.steps, self.config.alpha_plastic);
            move_towards(&mut self.plastic, &self.working, alpha, self.config.ema_bn);
        }
        if u_2 < self.config.r_stable {
            let alpha = warm_up(self.steps, self.config.alpha_stable);
            move_towards(&mut self.stable, &self.working, alpha, self.config.ema_bn);
        }
    }
}

fn move_towards(teacher: &mut Net, working: &Net, alpha: f64, ema_bn: EmaBn) {
    teacher.average(working, alpha);
    if ema_bn == EmaBn::Average {
        teacher.average_buffers(working, alpha);
    }
}

/// `f(X ∪ X_m)` and, unless m is 0, `f(X_m)`, of one network in training mode; `x` holds the b samples of X,
/// then the m of X_m.
///
/// The authors run X_m by itself first. With batch normalisation these are other numbers than in the joint
/// batch, and the running statistics move twice. Without it the last m rows of the joint pass are `f(X_m)`,
/// and it is the only one.
fn both_passes(
    network: &mut Net,
    x: Tensor<2>,
    b: usize,
    m: usize,
) -> Result<(Tensor<2>, Option<Tensor<2>>)> {
    if m == 0 {
        return Ok((network.forward_train(x)?, None));
    }
    if network.normalises_batches() {
        let logits_m = network.forward_train(x.clone().narrow(0, b, m))?;
        return Ok((network.forward_train(x)?, Some(logits_m)));
    }
    let logits = network.forward_train(x)?;
    Ok((logits.clone(), Some(logits.narrow(0, b, m))))
}

/// True where the stable network gives the label the strictly higher probability: a tie is the plastic
/// network's. `[m]`.
pub(crate) fn choose_stable(
    z_s: &Tensor<2>,
    z_p: &Tensor<2>,
    y_m: Tensor<1, Int>,
    select: TeacherSelect,
) -> Tensor<1, Bool> {
    let [m, _] = z_s.dims();
    let log_p_s = losses::label_log_probability(z_s.clone(), y_m.clone());
    let log_p_p = losses::label_log_probability(z_p.clone(), y_m);
    match select {
        TeacherSelect::PerSample => log_p_s.greater(log_p_p),
        TeacherSelect::PerBatch => log_p_s.mean().greater(log_p_p.mean()).expand([m]),
    }
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
