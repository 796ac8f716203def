//! The step of DualNet, in the order of the authors' code. Symbols are the paper's: φ is the slow
//! network with its projector, φ̃ its temporary copy, θ the fast network, π the head.

use burn::tensor::{Device, Int, Tensor};
use perdura_nn::{Mode, Network, barlow, copy_out, distance, labels, look_ahead, losses, rows};
use perdura_sdk::{Error, Result, Rng, Rows, Step};
use std::collections::BTreeMap;

use crate::config::{Config, HeadKind, Quirks, SlowSchedule};
use crate::groups::Groups;
use crate::guided::Lesson;
use crate::matrix::Matrix;
use crate::nets::{Dropout, Nets, Phi};
use crate::orthogonal::Spared;
use crate::targets::Own;

pub(crate) use crate::learned::{Learned, Mean};

/// The learner.
pub struct DualNet {
    pub(crate) config: Config,
    pub(crate) classes: usize,
    pub(crate) width: usize,
    pub(crate) device: Device,
    pub(crate) nets: Nets,
    /// Every-K with `accumulate`: where the slow network will stand, trained on gradients taken
    /// where it stands now.
    pub(crate) pending: Option<Phi>,
    /// Supervised steps so far, those left out for want of labels included.
    pub(crate) supervised: u64,
    /// Groups of similar experiences; `None` for the plain method.
    pub(crate) groups: Option<Groups>,
    /// Classes of each experience, as far as a task-aware head has been told.
    pub(crate) tasks: BTreeMap<u32, Vec<u32>>,
    /// Where the correlation matrix is used.
    pub(crate) matrix: Option<Matrix>,
    /// With `anchors`.
    pub(crate) spared: Option<Spared>,
}

impl DualNet {
    /// One incoming batch: the self-supervised phase, then the supervised one. `labelled` is false
    /// for a batch whose labels are not to be used.
    pub(crate) fn learn(&mut self, step: &Step<'_>, labelled: bool) -> Result<Learned> {
        let mut learned = Learned::default();
        self.attend(step)?;
        let mut ssl = self.self_supervision(step)?.into_iter();
        if self.config.slow_schedule == SlowSchedule::Lookahead && ssl.len() > 0 {
            let before = self.nets.phi.slow.clone();
            self.look_ahead(&mut ssl, &mut learned)?;
            learned.slow_move_ssl = distance(&before, &self.nets.phi.slow);
        }
        let mut rng = step.call.rng("dropout");
        let mut replay = step.repeats("replay");
        let mut before = self.nets.phi.slow.clone();
        for _ in 0..self.config.sup_steps {
            let replayed = replay.next().filter(|_| replays_now(step));
            self.supervised += 1;
            let due = self.config.slow_schedule == SlowSchedule::EveryK
                && self.supervised.is_multiple_of(self.config.every as u64);
            if labelled {
                self.supervised_step(&step.current, replayed, due, &mut rng, &mut learned)?;
            }
            if due {
                if let Some(pending) = self.pending.take() {
                    self.nets.phi = pending;
                }
                learned.slow_move_sup += distance(&before, &self.nets.phi.slow);
                before = self.nets.phi.slow.clone();
                self.ssl_step(ssl.next(), &mut learned)?;
                learned.slow_move_ssl += distance(&before, &self.nets.phi.slow);
                before = self.nets.phi.slow.clone();
                self.pending = self.config.accumulates().then(|| self.nets.phi.clone());
            }
        }
        learned.slow_move_sup += distance(&before, &self.nets.phi.slow);
        if let Some(spared) = &mut self.spared {
            let batch = self.supervised / self.config.sup_steps as u64;
            spared.follow(&self.nets.phi.slow, batch, self.config.alpha_ema);
        }
        Ok(learned)
    }

    /// `n_outer` times: `φ̃ ← φ`; K steps `φ̃ ← φ̃ − ε ∇L_BT(φ̃)`, a fresh batch each;
    /// `φ ← φ + β(φ̃ − φ)`, running statistics included.
    fn look_ahead(
        &mut self,
        views: &mut impl Iterator<Item = Tensor<2>>,
        learned: &mut Learned,
    ) -> Result<()> {
        for _ in 0..self.config.n_outer {
            let before = self.nets.phi.clone();
            for _ in 0..self.config.k {
                self.ssl_step(views.next(), learned)?;
            }
            if let Some(spared) = &mut self.spared {
                spared.look(&self.nets.phi.slow);
            }
            look_ahead(&mut self.nets.phi, &before, self.config.beta);
            self.hold_closed(&before);
        }
        Ok(())
    }

    /// `φ ← φ − ε ∇L_BT(φ)`. Nothing else moves. Without samples nothing happens.
    fn ssl_step(&mut self, views: Option<Tensor<2>>, learned: &mut Learned) -> Result<()> {
        let Some(views) = views else { return Ok(()) };
        let Config { lambda_bt, eps_std, lr_ssl, ssl_weight, .. } = self.config;
        let mut tracked = self.nets.clone();
        tracked.phi = self.nets.phi.tracked();
        tracked.masks = self.self_supervised_masks();
        let [z_a, z_b] = tracked.project(views)?;
        let correlation = barlow::cross_correlation(z_a, z_b, eps_std)?;
        let loss = barlow::barlow_twins(correlation.clone(), lambda_bt);
        learned.loss_ssl.add(scalar(&loss));
        let loss = self.with_relation(loss, correlation, learned);
        let mut gradients = loss.backward();
        self.guard(&tracked, &mut gradients);
        self.step_self_supervised(tracked.phi, gradients, lr_ssl * ssl_weight);
        Ok(())
    }

    /// First and second views, `[2n, width]`, one pair for each self-supervised step; none where
    /// self-supervision is off or nothing was drawn.
    fn self_supervision(&self, step: &Step<'_>) -> Result<Vec<Tensor<2>>> {
        let mut current = step.repeats("ssl_current");
        let mut pairs = Vec::new();
        for drawn in step.repeats("ssl") {
            let pieces: Vec<&Rows<'_>> = current.next().into_iter().chain([drawn]).collect();
            let samples: usize = pieces.iter().map(|p| p.len()).sum();
            if samples == 0 {
                continue;
            }
            if samples < 2 {
                return Err(barlow::BatchTooSmall { found: samples }.into());
            }
            let views = [0, 1].map(|view| pieces.iter().map(move |p| p.view(view)));
            let views: Vec<&[f32]> = views.into_iter().flatten().collect();
            pairs.push(rows(&views, self.width, &self.device));
        }
        Ok(pairs)
    }

    /// `L = CE(X, Y) + CE(X_m, Y_m) + λ_tr · KD(X_m)`, one step of gradient descent on θ, π and,
    /// where it is its turn, φ.
    fn supervised_step(
        &mut self,
        current: &Rows<'_>,
        replay: Option<&Rows<'_>>,
        due: bool,
        rng: &mut Rng,
        learned: &mut Learned,
    ) -> Result<()> {
        let replay = replay.filter(|rows| !rows.is_empty());
        let slow_learns = self.config.sup_updates_slow
            && (self.config.slow_schedule == SlowSchedule::Lookahead
                || self.config.accumulates()
                || due);
        if let Some(mut groups) = self.groups.take() {
            let lesson = Lesson { current, replay, slow_learns };
            let done = self.guided_step(&mut groups, &lesson, rng, learned);
            self.groups = Some(groups);
            return done;
        }
        let mut tracked = self.tracked_for(slow_learns);
        let mut dropout = Dropout { p: self.config.interaction_dropout, rng };
        let batches = [Some(current), replay];
        let answers = self.answers(&mut tracked, batches, &mut dropout)?;
        let mut loss = self.supervised_loss(current, replay, answers, learned)?;
        if let Some(extra) = self.readout_loss(&mut tracked, batches)? {
            loss = loss + extra;
        }
        let mut gradients = loss.backward();
        self.guard(&tracked, &mut gradients);
        if let Some(spared) = &mut self.spared {
            let kept = spared.descend(&mut self.nets, &tracked, gradients, self.config.lr);
            learned.kept.add(kept);
            return Ok(());
        }
        match self.pending.take() {
            None => self.nets.descend(tracked, gradients, self.config.lr),
            Some(pending) => {
                let mut next = Nets { phi: pending, ..self.nets.clone() };
                self.nets.phi.average_buffers(&tracked.phi, 0.0);
                next.descend(tracked, gradients, self.config.lr);
                self.pending = Some(next.phi);
                self.nets = Nets { phi: self.nets.phi.clone(), ..next };
            }
        }
        Ok(())
    }

    /// Restricted logits of the current and the replayed batch. Two passes where batches are
    /// normalised, as in the authors' code; else one pass over both.
    pub(crate) fn answers(
        &self,
        tracked: &mut Nets,
        batches: [Option<&Rows<'_>>; 2],
        dropout: &mut Dropout<'_>,
    ) -> Result<[Option<Tensor<2>>; 2]> {
        let mut pass = |batches: &[&Rows<'_>]| -> Result<Tensor<2>> {
            let inputs: Vec<&[f32]> = batches.iter().map(|b| b.inputs()).collect();
            let x = rows(&inputs, self.width, &self.device);
            let features = tracked.features(x, Mode::Train, Some(&mut *dropout))?;
            Ok(self.own(batches)?.restrict(tracked.head.forward(features)))
        };
        match batches {
            [Some(current), Some(replay)] if !self.nets.normalises_batches() => {
                let both = pass(&[current, replay])?;
                let (b, m) = (current.len(), replay.len());
                Ok([Some(both.clone().narrow(0, 0, b)), Some(both.narrow(0, b, m))])
            }
            [current, replay] => {
                let mut one = |batch: Option<&Rows<'_>>| batch.map(|b| pass(&[b])).transpose();
                Ok([one(current)?, one(replay)?])
            }
        }
    }

    pub(crate) fn supervised_loss(
        &self,
        current: &Rows<'_>,
        replay: Option<&Rows<'_>>,
        [answer, answer_m]: [Option<Tensor<2>>; 2],
        learned: &mut Learned,
    ) -> Result<Tensor<1>> {
        let answer = answer.expect("there is a current batch in every step");
        let mut loss = losses::cross_entropy(answer, self.labels(&[current]));
        learned.loss_ce.add(scalar(&loss));
        if let (Some(replay), Some(answer_m)) = (replay, answer_m) {
            let (repeated, kd) = self.replay_terms(replay, answer_m, learned)?;
            loss = loss + repeated;
            if let Some(kd) = kd {
                loss = loss + kd.mul_scalar(self.config.lambda_tr);
            }
        }
        learned.loss.add(scalar(&loss));
        Ok(loss)
    }

    /// `CE(X_m, Y_m)` and, where there are old answers, `KD(X_m)` before λ_tr.
    pub(crate) fn replay_terms(
        &self,
        replay: &Rows<'_>,
        answer: Tensor<2>,
        learned: &mut Learned,
    ) -> Result<(Tensor<1>, Option<Tensor<1>>)> {
        let repeated = losses::cross_entropy(answer.clone(), self.labels(&[replay]));
        learned.loss_ce_replay.add(scalar(&repeated));
        let kd = self.distillation(replay, answer)?;
        kd.iter().for_each(|kd| learned.loss_kd.add(scalar(kd)));
        Ok((repeated, kd))
    }

    /// Distance of the replayed samples' answers to those at the end of their experience.
    fn distillation(&self, replay: &Rows<'_>, answer: Tensor<2>) -> Result<Option<Tensor<1>>> {
        let Config { replay_kd, tau, kd_reduction, quirks, .. } = self.config;
        if !self.config.distils() {
            return Ok(None);
        }
        let stored = replay.column("logits")?;
        // Quirk Q4: a sample without an old answer is held to logits of 0.
        let all = vec![1; replay.len()];
        let present = if quirks == Quirks::ReleasedCode { &all[..] } else { stored.present };
        let target = self.own(&[replay])?.target(stored.values, present, &self.device);
        Ok(target.map(|target| target.distance(answer, replay_kd, tau, kd_reduction)))
    }

    /// Cross-entropy of the read-out on the slow network, which it does not teach.
    pub(crate) fn readout_loss(
        &self,
        tracked: &mut Nets,
        batches: [Option<&Rows<'_>>; 2],
    ) -> Result<Option<Tensor<1>>> {
        let Some(readout) = tracked.readout.clone() else { return Ok(None) };
        let batches: Vec<&Rows<'_>> = batches.into_iter().flatten().collect();
        let inputs: Vec<&[f32]> = batches.iter().map(|b| b.inputs()).collect();
        let x = rows(&inputs, self.width, &self.device);
        let features = self.nets.clone().slow_features(x, Mode::Eval)?;
        let logits = self.own(&batches)?.restrict(readout.forward(features));
        Ok(Some(losses::cross_entropy(logits, self.labels(&batches))))
    }

    pub(crate) fn labels(&self, batches: &[&Rows<'_>]) -> Tensor<1, Int> {
        let pieces: Vec<&[u32]> = batches.iter().map(|b| b.labels()).collect();
        labels(&pieces, self.classes, &self.device)
    }

    /// The classes that count for each sample.
    pub(crate) fn own(&self, batches: &[&Rows<'_>]) -> Result<Own> {
        let mut own = self.own_of_batch(batches[0])?;
        for batch in &batches[1..] {
            own = own.then(self.own_of_batch(batch)?);
        }
        Ok(own)
    }

    pub(crate) fn own_of_batch(&self, batch: &Rows<'_>) -> Result<Own> {
        if self.config.head == HeadKind::TaskFree {
            return Ok(Own::all(batch.len(), self.classes));
        }
        let missing = || Error::new("a task-aware head needs the experience of every sample");
        Ok(self.own_of(batch.experiences().ok_or_else(missing)?))
    }

    pub(crate) fn own_of(&self, experiences: &[u32]) -> Own {
        let classes_of = |task| self.tasks.get(&task).map(Vec::as_slice);
        Own::of_experiences(self.classes, experiences, classes_of)
    }

    /// Logits `[n, C]` of samples whose old answers are to be kept, in row-major memory. Quirk Q2:
    /// the released code takes them in training mode.
    pub(crate) fn old_answers(&mut self, batch: &Rows<'_>) -> Result<Vec<f32>> {
        let x = rows(&[batch.inputs()], self.width, &self.device);
        let mut nets = self.nets_for(batch);
        let logits = match self.config.quirks {
            Quirks::Fixed => nets.forward(x),
            Quirks::ReleasedCode => {
                let features = nets.features(x, Mode::Train, None)?;
                let logits = nets.head.forward(features);
                self.nets = Nets { masks: None, ..nets };
                logits
            }
        };
        let [n, classes] = logits.dims();
        let mut values = vec![0.0; n * classes];
        copy_out(logits, &mut values);
        Ok(values)
    }
}

/// Whether replay and old answers count: from the second experience on. Where experiences are not
/// told there is no second one, and everything that is drawn counts.
fn replays_now(step: &Step<'_>) -> bool {
    step.position.is_none_or(|position| position.experience > 0)
}

pub(crate) fn scalar(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}
