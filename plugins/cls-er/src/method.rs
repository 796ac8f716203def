//! The step of CLS-ER, in the order of the authors' code. Symbols are the paper's: θ_W, θ_P, θ_S
//! are the parameters of the working, plastic and stable network, (X, Y) the current batch of b
//! samples, (X_m, Y_m) the replayed one of m, C the number of classes.

use burn::tensor::{Bool, Int, Tensor};
use perdura_nn::teaching::{self, Lesson, updates, warm_up};
use perdura_nn::{Net, losses};
use perdura_sdk::rand::Rng;
use perdura_sdk::{Result, Rows};

use crate::config::{Config, TeacherSelect};
use crate::groups::Groups;

/// The learner: three networks of one shape and the number of steps done.
pub struct ClsEr {
    pub(crate) config: Config,
    pub(crate) working: Net,
    pub(crate) plastic: Net,
    pub(crate) stable: Net,
    /// n, never reset: the method knows no boundaries.
    pub(crate) steps: u64,
    /// Groups of similar experiences; `None` for the plain method.
    pub(crate) groups: Option<Groups>,
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

impl ClsEr {
    /// `θ_P` and `θ_S` start as copies of `θ_W`.
    pub(crate) fn new(config: Config, working: Net) -> ClsEr {
        let (plastic, stable) = (working.clone(), working.clone());
        ClsEr { config, working, plastic, stable, steps: 0, groups: None }
    }

    /// The gradient step on `θ_W`:
    /// `L = CE(f(X ∪ X_m; θ_W), Y ∪ Y_m) + λ · mean (f(X_m; θ_W) − Z)²`.
    pub(crate) fn learn(&mut self, current: &Rows<'_>, replay: &Rows<'_>) -> Result<Learned> {
        let Config { reg_weight, lr, .. } = self.config;
        let lesson = Lesson { current, replay, reg_weight, lr };
        let (config, stable, plastic) = (&self.config, &mut self.stable, &mut self.plastic);
        let mut n_select_stable = 0.0;
        let learned = lesson.learn(&mut self.working, |x_m, y_m| {
            let target = target(config, stable, plastic, (x_m, y_m))?;
            n_select_stable = target.n_select_stable;
            Ok(teaching::Target { logits: target.logits, weights: None })
        })?;
        let teaching::Learned { loss, loss_ce, loss_cons } = learned;
        Ok(Learned { loss, loss_ce, loss_cons, n_select_stable })
    }

    /// After the gradient step: `n ← n + 1`; with probability `r_i` each,
    /// `θ_i ← α_i·θ_i + (1 − α_i)·θ_W` for i = P, then S, the two draws independent.
    pub(crate) fn consolidate(&mut self, rng: &mut impl Rng) {
        self.steps += 1;
        let due = updates(rng, [self.config.r_plastic, self.config.r_stable]);
        let averages = [
            (&mut self.plastic, self.config.alpha_plastic),
            (&mut self.stable, self.config.alpha_stable),
        ];
        let teachers = averages.into_iter().zip(due).filter(|(_, due)| *due);
        let teachers = teachers.map(|((net, alpha), _)| (net, warm_up(self.steps, alpha)));
        self.config.ema_bn.follow(&mut self.working, teachers.collect());
    }
}

/// Z: for each replayed sample the logits of the teacher that knows it better. Constants: the
/// teachers compute without gradients. Where they normalise by the batch, their running statistics
/// move.
pub(crate) fn target(
    config: &Config,
    stable: &mut Net,
    plastic: &mut Net,
    (x_m, y_m): (Tensor<2>, Tensor<1, Int>),
) -> Result<Target> {
    let z_s = config.ema_bn.answer(stable, x_m.clone())?;
    let z_p = config.ema_bn.answer(plastic, x_m)?;
    Ok(chosen(config, z_s, z_p, y_m))
}

/// Z from the answers of both teachers.
pub(crate) fn chosen(
    config: &Config,
    z_s: Tensor<2>,
    z_p: Tensor<2>,
    y_m: Tensor<1, Int>,
) -> Target {
    let stable = choose_stable(&z_s, &z_p, y_m, config.teacher_select);
    let n_select_stable = stable.clone().int().sum().into_scalar::<i64>() as f64;
    let shape = z_s.dims();
    let chosen = stable.unsqueeze_dim::<2>(1).expand(shape);
    Target { logits: z_p.mask_where(chosen, z_s), n_select_stable }
}

/// True where the stable network gives the label the strictly higher probability: a tie is the
/// plastic network's. `[m]`.
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
