//! The step of DualNet with groups. It is the step of `method.rs` under masks, with the update of
//! the new batch gated, or with a rate of its own for every parameter. With masks of 1 and nobody to
//! protect, or with rates of 1, it is that step to the byte.

use burn::tensor::{Gradients, Tensor};
use perdura_nn::masks::{Embeddings, GroupRows, MaskLearning};
use perdura_nn::plasticity::Guide;
use perdura_nn::{Mode, Network, Update, hold, losses, rows};
use perdura_sdk::{Error, Host, Result, Rng, Rows, Step};

use crate::groups::Groups;
use crate::masked::{Masked, StageMasks};
use crate::method::{DualNet, Learned, scalar};
use crate::nets::{Dropout, Nets, Phi};
use crate::supervised::Supervised;

/// What a supervised step learns from.
pub(crate) struct Lesson<'a> {
    pub current: &'a Rows<'a>,
    pub replay: Option<&'a Rows<'a>>,
    pub slow_learns: bool,
}

/// Where the rows of a pass belong, and the scale at which the group at hand learns its masks, if it
/// does.
struct Under<'a> {
    masks: &'a MaskLearning,
    here: usize,
    s: Option<f64>,
    slow_learns: bool,
}

/// Gradients of the networks and of the embeddings that are learned.
type Updates = (Update<Supervised>, Option<Update<Embeddings>>);

impl DualNet {
    /// Before anything is learned from a batch: the scale of the masks that learn from it.
    pub(crate) fn attend(&mut self, step: &Step<'_>) -> Result<()> {
        let Some(Groups { guide, masked: Some(masked) }) = &mut self.groups else { return Ok(()) };
        if guide.discovery.open().is_empty() {
            let message = "a step before the first experience, which opens the first group";
            return Err(Error::new(message));
        }
        masked.scale = masked.lesson.scale(guide.discovery.current(), step.position);
        Ok(())
    }

    /// `L = CE(X, Y) + CE(X_m, Y_m) + λ_tr · KD(X_m) + λ_c · R(a^γ)`, every sample under the masks of
    /// its own group: `(φ, θ, π) ← (φ, θ, π) − lr·(gate ⊙ ∇L_new + ∇L_replay)`. Without masks
    /// `−lr·μ ⊙ ∇L`.
    pub(crate) fn guided_step(
        &mut self,
        groups: &mut Groups,
        lesson: &Lesson<'_>,
        rng: &mut Rng,
        learned: &mut Learned,
    ) -> Result<()> {
        let (lr, p) = (self.config.lr, self.config.interaction_dropout);
        let mut dropout = Dropout { p, rng };
        let batches = [Some(lesson.current), lesson.replay];
        let mut beside = self.nets.tracked();
        let readout = self.readout_loss(&mut beside, batches)?;
        let Groups { guide, masked } = groups;
        let update = match masked {
            None => {
                let mut tracked = self.tracked_for(lesson.slow_learns);
                let answers = self.answers(&mut tracked, batches, &mut dropout)?;
                let (current, replay) = (lesson.current, lesson.replay);
                let loss = self.supervised_loss(current, replay, answers, learned)?;
                let update = Update::of(&Supervised::of(&tracked), &mut loss.backward());
                guide.paced(update, lr)
            }
            Some(masked) => self.masked_update(guide, masked, lesson, &mut dropout, learned)?,
        };
        self.step_supervised(update, lr);
        if let (Some(loss), Some(tracked)) = (readout, beside.readout) {
            let readout = self.nets.readout.as_mut().expect("the copy has one");
            readout.descend(tracked, loss.backward(), lr);
        }
        Ok(())
    }

    fn masked_update(
        &self,
        guide: &Guide<Supervised>,
        masked: &mut Masked,
        lesson: &Lesson<'_>,
        dropout: &mut Dropout<'_>,
        learned: &mut Learned,
    ) -> Result<Update<Supervised>> {
        let (here, s) = (guide.discovery.current(), masked.scale);
        masked.lesson.masks.own(here, lesson.current.labels());
        let fixed = masked.lesson.answering(here, s);
        let rows = masked.lesson.rows(here, &groups_of(guide, lesson), fixed);
        let under = Under { masks: &masked.lesson, here, s, slow_learns: lesson.slow_learns };
        let (mut update, of_masks) = match &masked.gate {
            None => self.learn_together(&under, (lesson, &rows), dropout, learned)?,
            Some(gate) => self.learn_apart(&under, gate, (lesson, &rows), dropout, learned)?,
        };
        if let Some(of_masks) = of_masks.zip(s) {
            masked.lesson.descend(here, of_masks, &mut update, self.config.lr);
        }
        Ok(update)
    }

    /// Nobody to protect: one loss, one gradient.
    fn learn_together(
        &self,
        under: &Under<'_>,
        (lesson, rows): (&Lesson<'_>, &GroupRows),
        dropout: &mut Dropout<'_>,
        learned: &mut Learned,
    ) -> Result<Updates> {
        let (mut tracked, e) = self.tracked_under(under, rows);
        let batches = [Some(lesson.current), lesson.replay];
        let answers = self.answers(&mut tracked, batches, dropout)?;
        let loss = self.supervised_loss(lesson.current, lesson.replay, answers, learned)?;
        let loss = under.masks.with_sparsity(loss, e.as_ref().zip(under.s));
        Ok(updates(&tracked, e, loss))
    }

    /// The gradients of the new batch, which are gated, and of what is replayed, which are not, by
    /// two backward passes.
    fn learn_apart(
        &self,
        under: &Under<'_>,
        gate: &Supervised,
        (lesson, rows): (&Lesson<'_>, &GroupRows),
        dropout: &mut Dropout<'_>,
        learned: &mut Learned,
    ) -> Result<Updates> {
        let Lesson { current, replay, .. } = *lesson;
        let (mut tracked, e) = self.tracked_under(under, &rows.narrow(0, current.len()));
        let [answer, _] = self.answers(&mut tracked, [Some(current), None], dropout)?;
        let answer = answer.expect("there is a current batch in every step");
        let ce = losses::cross_entropy(answer, self.labels(&[current]));
        let mut total = scalar(&ce);
        learned.loss_ce.add(total);
        let loss = under.masks.with_sparsity(ce, e.as_ref().zip(under.s));
        let (mut update, mut of_masks) = updates(&tracked, e, loss);
        update.scale(gate);
        if let Some(replay) = replay {
            let rows = rows.narrow(current.len(), replay.len());
            let (mut tracked, e) = self.tracked_under(under, &rows);
            let [_, answer] = self.answers(&mut tracked, [None, Some(replay)], dropout)?;
            let answer = answer.expect("there is a replayed batch");
            let (repeated, kd) = self.replay_terms(replay, answer, learned)?;
            let loss = match kd {
                Some(kd) => repeated + kd.mul_scalar(self.config.lambda_tr),
                None => repeated,
            };
            total += scalar(&loss);
            let (of_replay, of_replayed_masks) = updates(&tracked, e, loss);
            update.add(of_replay);
            if let (Some(sum), Some(more)) = (&mut of_masks, of_replayed_masks) {
                sum.add(more);
            }
        }
        learned.loss.add(total);
        Ok((update, of_masks))
    }

    /// A copy that records gradients, the slow network's only where it learns.
    pub(crate) fn tracked_for(&self, slow_learns: bool) -> Nets {
        let mut tracked = self.nets.tracked();
        if !slow_learns {
            tracked.phi = self.nets.phi.clone();
        }
        tracked
    }

    /// The same for these rows, with embeddings that record gradients where they are learned.
    fn tracked_under(&self, under: &Under<'_>, rows: &GroupRows) -> (Nets, Option<Embeddings>) {
        let mut tracked = self.tracked_for(under.slow_learns);
        let e = under.masks.tracked(under.here, under.s);
        let masks = rows.learned(e.as_ref().zip(under.s)).masks();
        tracked.masks = Some(self.config.mask_site.stages(masks));
        (tracked, e)
    }

    /// The masks that self-supervision sees: the largest of all groups, where the slow network
    /// itself is masked.
    pub(crate) fn self_supervised_masks(&self) -> Option<StageMasks> {
        let site = self.config.mask_site;
        let groups = self.groups.as_ref().filter(|_| site.is_within())?;
        Some(groups.masked.as_ref()?.of_all(groups.guide.discovery.current(), site))
    }

    /// `φ ← φ − lr·g`, of the slow network `φ ← φ − lr·μ ⊙ g` where rates or a gate hold it.
    pub(crate) fn step_self_supervised(&mut self, tracked: Phi, mut gradients: Gradients, lr: f64) {
        let site = self.config.mask_site;
        let rates = self.groups.as_ref().and_then(|groups| groups.self_supervised_rates(site));
        let Some(rates) = rates else { return self.nets.phi.descend(tracked, gradients, lr) };
        let mut update = Update::of(&tracked.slow, &mut gradients);
        update.scale(rates);
        update.descend(&mut self.nets.phi.slow, lr);
        self.nets.phi.projector.descend(tracked.projector, gradients, lr);
    }

    /// After look-ahead: what is closed to self-supervision is to the bit what it was `before`.
    pub(crate) fn hold_closed(&mut self, before: &Phi) {
        let site = self.config.mask_site;
        let rates = self.groups.as_ref().and_then(|groups| groups.self_supervised_rates(site));
        if let Some(rates) = rates {
            hold(&mut self.nets.phi.slow, &before.slow, rates);
        }
    }

    /// At the end of an experience, where the Fisher information says who owns what.
    pub(crate) fn measure_ownership(
        &self,
        guide: &mut Guide<Supervised>,
        host: &mut Host<'_>,
    ) -> Result<()> {
        guide.measure(&Supervised::of(&self.nets), host, |trained, batch, row| {
            let mut nets = self.nets.clone();
            nets.phi.slow = trained.slow.clone();
            (nets.fast, nets.head) = (trained.fast.clone(), trained.head.clone());
            let x = rows(
                &[&batch.inputs()[row * self.width..][..self.width]],
                self.width,
                &self.device,
            );
            let features = nets.features(x, Mode::Eval, None)?;
            let logits = nets.head.forward(features);
            let logits = self.own(&[batch])?.row(row).restrict(logits);
            let label =
                perdura_nn::labels(&[&batch.labels()[row..][..1]], self.classes, &self.device);
            Ok(losses::label_log_probability(logits, label))
        })
    }
}

fn updates(tracked: &Nets, e: Option<Embeddings>, loss: Tensor<1>) -> Updates {
    let mut gradients = loss.backward();
    let update = Update::of(&Supervised::of(tracked), &mut gradients);
    (update, e.map(|e| Update::of(&e, &mut gradients)))
}

/// The groups of the new samples, then of the replayed ones. A sample of the batch at hand that the
/// memory already holds has no group there yet.
fn groups_of(guide: &Guide<Supervised>, lesson: &Lesson<'_>) -> Vec<usize> {
    let here = guide.discovery.current();
    let mut groups = vec![here; lesson.current.len()];
    if let Some(replay) = lesson.replay {
        let new = lesson.current.uids();
        let of = |(group, uid): (usize, &u64)| if new.contains(uid) { here } else { group };
        groups.extend(guide.discovery.of_rows(replay).into_iter().zip(replay.uids()).map(of));
    }
    groups
}

#[cfg(test)]
#[path = "guided_tests.rs"]
mod tests;
