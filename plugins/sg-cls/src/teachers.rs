//! What the memories say about the replayed batch: hard teachers, one for each sample, or soft
//! ones, all together as a single target.

use burn::tensor::{Int, Tensor, TensorData};
use perdura_nn::teaching::{EmaBn, Target};
use perdura_nn::{Net, losses};
use perdura_sdk::prelude::Result;

use crate::config::{Config, Teacher, TeacherSim};

/// Who may teach whom.
pub struct Similarities<'a> {
    /// Open groups, ascending.
    pub groups: &'a [usize],
    /// Similarities as the method is given them, row-major over `groups`.
    pub matrix: &'a [f32],
    /// Place of the current group γ in `groups`.
    pub current: usize,
}

impl Similarities<'_> {
    /// s(i, j), by places.
    pub fn between(&self, i: usize, j: usize) -> f32 {
        self.matrix[i * self.groups.len() + j]
    }

    /// ŝ of every memory for a sample of the group at place `h`.
    fn of_teachers(&self, h: usize, sim: TeacherSim) -> Vec<f32> {
        let of = |g| match sim {
            TeacherSim::SampleTask => self.between(h, g),
            TeacherSim::CurrentTask => self.between(self.current, g),
            TeacherSim::Product => self.between(h, g) * self.between(self.current, g),
        };
        (0..self.groups.len()).map(of).collect()
    }
}

/// Logits of some rows of the batch, on this side of the device.
struct Answer {
    rows: Vec<usize>,
    /// `[rows, C]`.
    logits: Vec<f32>,
    /// `log σ(z)_y`, `[rows]`.
    log_p: Vec<f32>,
}

/// Z and the weights of the samples. `places[i]` is the place of the group of sample i, `teachers`
/// are in the order of `similarities.groups`.
pub fn target(
    config: &Config,
    similarities: &Similarities<'_>,
    teachers: &mut [&mut Net],
    places: &[usize],
    (x_m, y_m): (Tensor<2>, Tensor<1, Int>),
) -> Result<Target> {
    let sims: Vec<Vec<f32>> = (0..similarities.groups.len())
        .map(|h| similarities.of_teachers(h, config.teacher_sim))
        .collect();
    let mut answers = Vec::with_capacity(teachers.len());
    for (teacher, rows) in teachers.iter_mut().zip(duties(config, &sims, places)) {
        answers.push(ask(teacher, rows, places.len(), (&x_m, &y_m), config.ema_bn)?);
    }
    let classes = teachers[0].head.outputs();
    let (logits, weights) = match config.teacher {
        Teacher::Hard => (hard(config, &sims, places, &answers, classes), None),
        Teacher::Soft => {
            let (logits, weights) = soft(config, &sims, places, &answers, classes);
            (logits, Some(weights))
        }
    };
    let device = x_m.device();
    let m = places.len();
    let logits = Tensor::from_data(TensorData::new(logits, [m, classes]), &device);
    let weights = weights.map(|w| Tensor::from_data(TensorData::new(w, [m]), &device));
    Ok(Target { logits, weights })
}

/// Which rows each memory is asked about: those of similarity above 0 if it is soft; if it is hard,
/// and chosen by the sample's group, those for which it is among the most similar.
fn duties(config: &Config, sims: &[Vec<f32>], places: &[usize]) -> Vec<Vec<usize>> {
    let restricted =
        config.teacher == Teacher::Hard && config.teacher_sim == TeacherSim::SampleTask;
    let asked: Vec<Vec<bool>> = sims
        .iter()
        .map(|sims| match config.teacher {
            Teacher::Soft => sims.iter().map(|&s| s > 0.0).collect(),
            Teacher::Hard if restricted => most_similar(sims, config.teachers_max),
            Teacher::Hard => vec![true; sims.len()],
        })
        .collect();
    let rows =
        |teacher: usize| (0..places.len()).filter(|&row| asked[places[row]][teacher]).collect();
    (0..sims.len()).map(rows).collect()
}

/// True for the `count` highest; of equal ones the first.
fn most_similar(sims: &[f32], count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..sims.len()).collect();
    order.sort_by(|&a, &b| sims[b].total_cmp(&sims[a]).then(a.cmp(&b)));
    let mut chosen = vec![false; sims.len()];
    order.into_iter().take(count).for_each(|place| chosen[place] = true);
    chosen
}

/// One forward pass over some rows of the batch, without gradients.
fn ask(
    teacher: &mut Net,
    rows: Vec<usize>,
    m: usize,
    (x_m, y_m): (&Tensor<2>, &Tensor<1, Int>),
    ema_bn: EmaBn,
) -> Result<Answer> {
    if rows.is_empty() {
        return Ok(Answer { rows, logits: Vec::new(), log_p: Vec::new() });
    }
    let (x, y) = match rows.len() == m {
        true => (x_m.clone(), y_m.clone()),
        false => {
            let numbers: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            let numbers = TensorData::new(numbers, [rows.len()]);
            let numbers = Tensor::<1, Int>::from_data(numbers, &x_m.device());
            (x_m.clone().select(0, numbers.clone()), y_m.clone().select(0, numbers))
        }
    };
    let logits = ema_bn.answer(teacher, x)?;
    let log_p = values(losses::label_log_probability(logits.clone(), y));
    Ok(Answer { rows, logits: values(logits), log_p })
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("networks compute in f32")
}

/// For each sample the logits of `argmax_g [w_c log σ(z_g)_y + w_s log(ε + ŝ_g)]`; of equals the
/// first.
fn hard(
    config: &Config,
    sims: &[Vec<f32>],
    places: &[usize],
    answers: &[Answer],
    classes: usize,
) -> Vec<f32> {
    let mut best: Vec<Option<f32>> = vec![None; places.len()];
    let mut logits = vec![0.0; places.len() * classes];
    for (teacher, answer) in answers.iter().enumerate() {
        for (i, &row) in answer.rows.iter().enumerate() {
            let s = sims[places[row]][teacher];
            let mut score = config.w_correct as f32 * answer.log_p[i];
            if config.w_similar > 0.0 {
                score += config.w_similar as f32 * (config.epsilon as f32 + s).ln();
            }
            if best[row].is_none_or(|highest| score > highest) {
                best[row] = Some(score);
                let z = &answer.logits[i * classes..][..classes];
                logits[row * classes..][..classes].copy_from_slice(z);
            }
        }
    }
    logits
}

/// `z̄_i = Σ_g ŝ_g z_g / Σ_g ŝ_g`, and the weight of each sample: Σ_g ŝ_g, or 1 if that is
/// normalised away. A sample to which no memory is similar has weight 0. In place of one term per
/// memory: `Σ_g ŝ_g mean (f − z_g)²` and `(Σ_g ŝ_g) mean (f − z̄)²` have the same gradient.
fn soft(
    config: &Config,
    sims: &[Vec<f32>],
    places: &[usize],
    answers: &[Answer],
    classes: usize,
) -> (Vec<f32>, Vec<f32>) {
    let mut logits = vec![0.0; places.len() * classes];
    let mut totals = vec![0.0; places.len()];
    for (teacher, answer) in answers.iter().enumerate() {
        for (i, &row) in answer.rows.iter().enumerate() {
            let s = sims[places[row]][teacher];
            totals[row] += s;
            let z = &answer.logits[i * classes..][..classes];
            let sum = &mut logits[row * classes..][..classes];
            sum.iter_mut().zip(z).for_each(|(sum, z)| *sum += s * z);
        }
    }
    for (row, total) in logits.chunks_exact_mut(classes).zip(&totals).filter(|(_, t)| **t > 0.0) {
        row.iter_mut().for_each(|z| *z /= total);
    }
    if config.soft_normalised {
        totals.iter_mut().for_each(|total| *total = f32::from(u8::from(*total > 0.0)));
    }
    (logits, totals)
}

#[cfg(test)]
#[path = "teachers_tests.rs"]
mod tests;
