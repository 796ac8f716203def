//! The step of CLS-ER, in the order of the authors' code. Symbols are the paper's: θ_W, θ_P, θ_S
//! are the parameters of the working, plastic and stable network, (X, Y) the current batch of b
//! samples, (X_m, Y_m) the replayed one of m, C the number of classes.

use burn::tensor::Tensor;
use perdura_nn::teaching::{self, Lesson, updates, warm_up};
use perdura_nn::{Net, copy_out, losses};
use perdura_sdk::rand::Rng;
use perdura_sdk::{Result, Rows};

use crate::config::{Config, TeacherSelect};

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
    /// Z, `[m, C]`, row-major: in each row the logits of the chosen teacher.
    pub logits: Vec<f32>,
    pub n_select_stable: f64,
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
    (x_m, y_m): (Tensor<2>, &[u32]),
) -> Result<Target> {
    let classes = stable.head.outputs();
    let answer = |teacher: &mut Net| -> Result<Vec<f32>> {
        let mut logits = vec![0.0; y_m.len() * classes];
        copy_out(config.ema_bn.answer(teacher, x_m.clone())?, &mut logits);
        Ok(logits)
    };
    let (z_s, mut z) = (answer(stable)?, answer(plastic)?);
    let stable = choose_stable(&z_s, &z, y_m, config.teacher_select);
    let rows = z.chunks_exact_mut(classes).zip(z_s.chunks_exact(classes)).zip(&stable);
    rows.filter(|(_, chosen)| **chosen).for_each(|((z, z_s), _)| z.copy_from_slice(z_s));
    let n_select_stable = stable.iter().filter(|chosen| **chosen).count() as f64;
    Ok(Target { logits: z, n_select_stable })
}

/// True where the stable network gives the label the strictly higher probability: a tie is the
/// plastic network's. `[m]`, of logits `[m, C]`.
pub(crate) fn choose_stable(
    z_s: &[f32],
    z_p: &[f32],
    y_m: &[u32],
    select: TeacherSelect,
) -> Vec<bool> {
    let log_p_s = losses::label_log_probabilities(z_s, y_m);
    let log_p_p = losses::label_log_probabilities(z_p, y_m);
    match select {
        TeacherSelect::PerSample => log_p_s.iter().zip(&log_p_p).map(|(s, p)| s > p).collect(),
        TeacherSelect::PerBatch => {
            let better = log_p_s.iter().sum::<f32>() > log_p_p.iter().sum::<f32>();
            vec![better; y_m.len()]
        }
    }
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
