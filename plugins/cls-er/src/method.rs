//! The step of CLS-ER, in the order of the authors' code. Symbols are the paper's: θ_W, θ_P, θ_S are the
//! parameters of the working, plastic and stable network, (X, Y) the current batch of b samples,
//! (X_m, Y_m) the replayed one of m, C the number of classes.

use burn::tensor::{Bool, Device, Int, Tensor};
use perdura_nn::{Mlp, MlpShape, Network, labels, losses, rows};
use perdura_sdk::Rows;
use perdura_sdk::rand::{Rng, RngExt};

use crate::config::{Config, TeacherSelect};

/// The learner: three networks of one shape and the number of steps done.
pub struct ClsEr {
    pub(crate) config: Config,
    pub(crate) shape: MlpShape,
    pub(crate) device: Device,
    pub(crate) working: Mlp,
    pub(crate) plastic: Mlp,
    pub(crate) stable: Mlp,
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
    pub(crate) fn new(
        config: Config,
        shape: MlpShape,
        rng: &mut impl Rng,
        device: Device,
    ) -> ClsEr {
        let working = Mlp::new(&shape, rng, &device);
        let (plastic, stable) = (working.clone(), working.clone());
        ClsEr { config, shape, device, working, plastic, stable, steps: 0 }
    }

    /// The gradient step on `θ_W`:
    /// `L = CE(f(X ∪ X_m; θ_W), Y ∪ Y_m) + λ · mean (f(X_m; θ_W) − Z)²`.
    ///
    /// One forward pass serves both terms: its last m rows are `f(X_m; θ_W)`.
    pub(crate) fn learn(&mut self, current: &Rows<'_>, replay: &Rows<'_>) -> Learned {
        let MlpShape { inputs: width, outputs: classes, .. } = self.shape;
        let (b, m) = (current.len(), replay.len());
        let inputs = rows(&[current.inputs(), replay.inputs()], width, &self.device);
        let y = labels(&[current.labels(), replay.labels()], classes, &self.device);
        let target = (m > 0).then(|| {
            let y_m = labels(&[replay.labels()], classes, &self.device);
            self.target(inputs.clone().narrow(0, b, m), y_m)
        });

        let tracked = self.working.tracked();
        let logits = tracked.forward(inputs);
        let mut loss = losses::cross_entropy(logits.clone(), y);
        let loss_ce = loss.clone().into_scalar();
        let (mut loss_cons, mut n_select_stable) = (0.0, 0.0);
        if let Some(target) = target {
            let consistency = losses::mean_squared_error(logits.narrow(0, b, m), target.logits);
            loss_cons = consistency.clone().into_scalar();
            n_select_stable = target.n_select_stable;
            // λ = 0 is ER to the byte: no term, not a term of zero.
            if self.config.reg_weight > 0.0 {
                loss = loss + consistency * self.config.reg_weight;
            }
        }
        let total = loss.clone().into_scalar();
        self.working.descend(&tracked, loss.backward(), self.config.lr);
        Learned { loss: total, loss_ce, loss_cons, n_select_stable }
    }

    /// Z: for each replayed sample the logits of the teacher that knows it better. Constants: the teachers
    /// compute without gradients.
    pub(crate) fn target(&self, x_m: Tensor<2>, y_m: Tensor<1, Int>) -> Target {
        let z_s = self.stable.forward(x_m.clone());
        let z_p = self.plastic.forward(x_m);
        let stable = choose_stable(&z_s, &z_p, y_m, self.config.teacher_select);
        let n_select_stable = stable.clone().int().sum().into_scalar::<i64>() as f64;
        let shape = z_s.dims();
        let chosen = stable.unsqueeze_dim::<2>(1).expand(shape);
        Target { logits: z_p.mask_where(chosen, z_s), n_select_stable }
    }

    /// After the gradient step: `n ← n + 1`; with probability `r_i` each,
    /// `θ_i ← α_i·θ_i + (1 − α_i)·θ_W` for i = P, then S, the two draws independent.
    pub(crate) fn consolidate(&mut self, rng: &mut impl Rng) {
        self.steps += 1;
        let (u_1, u_2) = (rng.random::<f64>(), rng.random::<f64>());
        if u_1 < self.config.r_plastic {
            let alpha = warm_up(self.steps, self.config.alpha_plastic);
            self.plastic.average(&self.working, alpha);
        }
        if u_2 < self.config.r_stable {
            let alpha = warm_up(self.steps, self.config.alpha_stable);
            self.stable.average(&self.working, alpha);
        }
    }
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
