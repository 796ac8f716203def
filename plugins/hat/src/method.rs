//! The step of HAT in the order of the authors' code, and how a task is answered. Symbols are the
//! paper's: t the task, e its embeddings, a = σ(s·e) its masks, θ the network.

use burn::tensor::{Device, Tensor, TensorData};
use perdura_nn::masks::{Embeddings, GroupMasks, RowMasks, Statistics, Units};
use perdura_nn::masks::{forward, sparsity};
use perdura_nn::{Mode, Net, Network, Update, clip_factor, losses};
use perdura_sdk::prelude::*;
use std::collections::BTreeMap;

use crate::config::Config;
use crate::schedule::Schedule;

/// Logit of a class that the task does not have: its probability is exactly 0, and unlike infinity
/// it can be multiplied by 0.
const ELSEWHERE: f32 = -1e9;

/// The learner.
pub struct Hat {
    pub(crate) config: Config,
    pub(crate) network: Net,
    /// Masks and classes of all tasks so far.
    pub(crate) masks: GroupMasks,
    /// Running statistics of the tasks that have ended, for networks that have some.
    pub(crate) statistics: BTreeMap<usize, Statistics>,
    /// Those that a task begins with.
    pub(crate) fresh: Statistics,
    /// The task that is being learned.
    pub(crate) current: Option<Task>,
}

/// A task while it is learned.
pub(crate) struct Task {
    pub number: usize,
    /// `a^{<t}`, and what follows from it for every weight. `None` for the first task.
    pub earlier: Option<Units>,
    pub gate: Option<Net>,
    pub schedule: Schedule,
    /// Network and embeddings of the best epoch.
    pub best: Option<(Net, Embeddings)>,
}

/// Losses of a step, before it.
pub(crate) struct Learned {
    pub loss: f64,
    pub loss_ce: f64,
    /// Before λ_c; `None` where every unit is taken.
    pub loss_sparsity: Option<f64>,
}

impl Hat {
    pub(crate) fn new(config: Config, network: Net) -> Result<Hat> {
        let masks = GroupMasks::new(&network, config.s_max)?;
        let fresh = Statistics::of(&network);
        let statistics = BTreeMap::new();
        Ok(Hat { config, network, masks, statistics, fresh, current: None })
    }

    /// The task that begins, or that a saved state is in the middle of.
    pub(crate) fn task(&self, number: usize, schedule: Schedule) -> Task {
        let earlier = self.masks.others(number);
        let gate = self.masks.gate(&self.network, number);
        Task { number, earlier, gate, schedule, best: None }
    }

    /// One step of task t at scale s:
    ///
    /// `L = CE(f(X; a^t), Y) + λ_c · Σ a^t(1 − a^{<t})/Σ(1 − a^{<t})`, over the classes of the task.
    /// Gradients of θ are multiplied by `1 − min(a^{<t}_out, a^{<t}_in)`, those of e compensated for
    /// s; all together are clipped by norm; then `θ ← θ − lr·∇θ`, `e ← clamp(e − lr·∇e, ±6)`.
    pub(crate) fn learn(&mut self, rows: &Rows<'_>, s: f64) -> Result<Learned> {
        let no_task = || Error::new("a step before the first experience, which begins a task");
        let task = self.current.as_ref().ok_or_else(no_task)?;
        let embeddings = self.masks.embeddings(task.number).tracked();
        let mut tracked = self.network.tracked();
        let a = embeddings.masks(s);
        let (x, y) = (tracked.rows(&[rows.inputs()]), tracked.labels(&[rows.labels()]));
        let logits = forward(&mut tracked, x, &RowMasks::same(a.clone()), Mode::Train)?;
        let own = Own::of(&self.masks, task.number, &self.network);
        let mut loss = losses::cross_entropy(own.restrict(logits), y);
        let loss_ce = loss.clone().into_scalar();
        let term = sparsity(&a, task.earlier.as_ref());
        let loss_sparsity = term.clone().map(|term| term.into_scalar::<f64>());
        if let Some(term) = term.filter(|_| self.config.lambda_c > 0.0) {
            loss = loss + term * self.config.lambda_c;
        }
        let total = loss.clone().into_scalar();

        let mut gradients = loss.backward();
        let mut of_network = Update::of(&tracked, &mut gradients);
        let mut of_embeddings = Update::of(&embeddings, &mut gradients);
        if let Some(gate) = &task.gate {
            of_network.scale(gate);
        }
        of_embeddings.scale(&self.masks.embeddings(task.number).factors(s, self.config.s_max));
        let norms = [of_network.square_norm(), of_embeddings.square_norm()];
        if let Some(factor) = clip_factor(&norms, self.config.grad_norm_max) {
            of_network.shrink(factor);
            of_embeddings.shrink(factor);
        }
        of_network.descend(&mut self.network, task.schedule.lr);
        let e = self.masks.embeddings(task.number);
        of_embeddings.descend(e, task.schedule.lr);
        e.clamp();
        Ok(Learned { loss: total, loss_ce, loss_sparsity })
    }

    /// Logits of row-major inputs, each of the task it is told to be of, into `out`.
    pub(crate) fn answers(&self, inputs: &[f32], told: &[u32], out: &mut [f32]) {
        let (width, classes) = (self.network.backbone.inputs(), self.network.head.outputs());
        let mut tasks = told.to_vec();
        tasks.sort_unstable();
        tasks.dedup();
        for task in tasks {
            let rows: Vec<usize> = (0..told.len()).filter(|&row| told[row] == task).collect();
            let of_row = |row: &usize| &inputs[row * width..][..width];
            let own: Vec<f32> = rows.iter().flat_map(of_row).copied().collect();
            let mut answers = vec![0.0; rows.len() * classes];
            self.answer(task as usize, &own, &mut answers);
            for (row, answer) in rows.into_iter().zip(answers.chunks_exact(classes)) {
                out[row * classes..][..classes].copy_from_slice(answer);
            }
        }
    }

    /// Logits of row-major inputs that are all of one task, into `out`: under its masks at s_max,
    /// its running statistics and its classes. A task that has not begun has none of them: the
    /// whole network answers.
    fn answer(&self, task: usize, inputs: &[f32], out: &mut [f32]) {
        let Some(a) = self.masks.hard(task) else {
            return self.network.predict(inputs, out);
        };
        let mut network = self.network.clone();
        if let Some(statistics) = self.statistics.get(&task) {
            statistics.enter(&mut network);
        }
        perdura_nn::masks::predict(&network, &a, inputs, out);
        let classes = self.masks.classes_of(task).unwrap_or_default();
        let width = network.head.outputs();
        for (place, logit) in out.iter_mut().enumerate() {
            if !classes.contains(&((place % width) as u32)) {
                *logit = ELSEWHERE;
            }
        }
    }
}

/// The classes of a task: its part of the head.
struct Own {
    /// `[1, C]`, 1 where the class counts.
    mask: Tensor<2>,
    /// `[1, C]`, what is added to the others.
    away: Tensor<2>,
}

impl Own {
    fn of(masks: &GroupMasks, task: usize, network: &Net) -> Own {
        let width = network.head.outputs();
        let mut mask = vec![0.0f32; width];
        let classes = masks.classes_of(task).unwrap_or_default();
        classes.iter().for_each(|&class| mask[class as usize] = 1.0);
        let away = mask.iter().map(|own| (1.0 - own) * ELSEWHERE).collect();
        let row = |values: Vec<f32>, device: &Device| {
            Tensor::from_data(TensorData::new(values, [1, width]), device)
        };
        Own { mask: row(mask, network.device()), away: row(away, network.device()) }
    }

    fn restrict(&self, logits: Tensor<2>) -> Tensor<2> {
        logits * self.mask.clone() + self.away.clone()
    }
}
