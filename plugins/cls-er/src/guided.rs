//! The step of CLS-ER with groups. It is the step of `method.rs` under masks, with the update of
//! the new batch gated, or with a rate of its own for every parameter. With masks of 1 and nobody
//! to protect, or with rates of 1, it is that step to the byte.

use burn::tensor::{Int, Tensor};
use perdura_nn::masks::{Embeddings, GroupRows, GroupStatistics};
use perdura_nn::plasticity::Guide;
use perdura_nn::teaching::{self, consistency};
use perdura_nn::{Mode, Net, Network, Update, losses};
use perdura_sdk::{Position, Result, Rows};

use crate::config::Config;
use crate::groups::{Groups, Masked};
use crate::method::{ClsEr, Learned, Target, chosen};

/// A batch: the new samples, then the replayed ones.
struct Batch {
    x: Tensor<2>,
    y: Tensor<1, Int>,
    new: usize,
    old: usize,
}

/// The terms of a loss.
struct Terms {
    ce: Tensor<1>,
    /// Before λ.
    cons: Option<Tensor<1>>,
}

/// Rows with their masks, and the running statistics of the network that sees them.
type Under<'a> = (&'a GroupRows, &'a mut GroupStatistics);

impl ClsEr {
    /// `L = CE(f(X ∪ X_m; θ_W, A), Y ∪ Y_m) + λ · mean (f(X_m; θ_W, A) − Z)² + λ_c · R(a^γ)`: A gives
    /// every sample the masks of its own group, in the teachers' answers Z too, and R is HAT's
    /// sparsity term. `θ_W ← θ_W − lr·(gate ⊙ ∇L_new + ∇L_replay,cons)`: replay may repair what the
    /// new batch may not touch. Without masks `θ_W ← θ_W − lr·μ ⊙ ∇L`.
    pub(crate) fn learn_guided(
        &mut self,
        groups: &mut Groups,
        (current, replay): (&Rows<'_>, &Rows<'_>),
        position: Option<Position>,
    ) -> Result<Learned> {
        let batch = Batch {
            x: self.working.rows(&[current.inputs(), replay.inputs()]),
            y: self.working.labels(&[current.labels(), replay.labels()]),
            new: current.len(),
            old: replay.len(),
        };
        let Groups { guide, masked } = groups;
        let Some(masked) = masked else { return self.learn_paced(guide, &batch) };
        let here = guide.discovery.current();
        masked.lesson.masks.own(here, current.labels());
        let s = masked.lesson.scale(here, position);
        let fixed = masked.lesson.answering(here, s);
        let numbers = [vec![here; batch.new], guide.discovery.of_rows(replay)].concat();
        let rows = masked.lesson.rows(here, &numbers, fixed);
        let target = self.target(&batch, Some((&rows, &mut masked.statistics)))?;
        let learned = match masked.gate.take() {
            None => self.learn_together(masked, here, &batch, &rows, target, s)?,
            Some(gate) => {
                let learned = self.learn_apart(masked, here, &gate, (&batch, &rows), target, s);
                masked.gate = Some(gate);
                learned?
            }
        };
        masked.lesson.count(s.is_some(), position);
        Ok(learned)
    }

    fn learn_paced(&mut self, guide: &mut Guide, batch: &Batch) -> Result<Learned> {
        let target = self.target(batch, None)?;
        let mut tracked = self.working.tracked();
        let terms = together(&mut tracked, batch, target.as_ref(), None)?;
        let loss = terms.loss(&self.config);
        let learned = terms.learned(&loss, target.as_ref());
        let update = Update::of(&tracked, &mut loss.backward());
        guide.descend(&mut self.working, update, self.config.lr);
        Ok(learned)
    }

    /// Nobody to protect: one loss, one step.
    fn learn_together(
        &mut self,
        masked: &mut Masked,
        here: usize,
        batch: &Batch,
        rows: &GroupRows,
        target: Option<Target>,
        s: Option<f64>,
    ) -> Result<Learned> {
        let mut tracked = self.working.tracked();
        let e = masked.lesson.tracked(here, s);
        let rows = rows.learned(e.as_ref().zip(s));
        let under = Some((&rows, &mut masked.statistics[0]));
        let terms = together(&mut tracked, batch, target.as_ref(), under)?;
        let loss = masked.lesson.with_sparsity(terms.loss(&self.config), e.as_ref().zip(s));
        let learned = terms.learned(&loss, target.as_ref());
        let mut gradients = loss.backward();
        let update = Update::of(&tracked, &mut gradients);
        let of_masks = e.map(|e| Update::of(&e, &mut gradients));
        self.step(masked, here, update, of_masks.zip(s));
        Ok(learned)
    }

    /// The gradients of the new batch, which are gated, and of what is replayed, which are not, by
    /// two backward passes. Both losses are parts of one mean over all samples.
    fn learn_apart(
        &mut self,
        masked: &mut Masked,
        here: usize,
        gate: &Net,
        (batch, rows): (&Batch, &GroupRows),
        target: Option<Target>,
        s: Option<f64>,
    ) -> Result<Learned> {
        let Masked { lesson, statistics: [of_working, ..], .. } = &mut *masked;
        let lesson = &*lesson;
        let mut part = |start: usize, count: usize| {
            let (mut tracked, e) = (self.working.tracked(), lesson.tracked(here, s));
            let rows = rows.narrow(start, count).learned(e.as_ref().zip(s));
            let x = batch.x.clone().narrow(0, start, count);
            let logits = pass(&mut tracked, x, Some((&rows, &mut *of_working)))?;
            let y = batch.y.clone().narrow(0, start, count);
            let sum = losses::label_log_probability(logits.clone(), y).sum().neg();
            let ce = sum.div_scalar((batch.new + batch.old) as f64);
            Ok::<_, perdura_sdk::Error>((tracked, e, logits, ce))
        };
        let (tracked, e, _, ce) = part(0, batch.new)?;
        let mut terms = Terms { ce: ce.clone().inner(), cons: None };
        let mut total = terms.ce.clone();
        let mut gradients = lesson.with_sparsity(ce, e.as_ref().zip(s)).backward();
        let mut update = Update::of(&tracked, &mut gradients);
        let mut of_masks = e.map(|e| Update::of(&e, &mut gradients));
        update.scale(gate);
        if let Some(target) = &target {
            let (tracked, e, logits, ce) = part(batch.new, batch.old)?;
            let cons = consistency(logits, target.to_teach());
            let replayed = Terms { ce: ce.clone(), cons: Some(cons.clone()) };
            let loss = replayed.loss(&self.config);
            total = total + loss.clone().inner();
            terms.ce = terms.ce + ce.inner();
            terms.cons = Some(cons.inner());
            let mut gradients = loss.backward();
            update.add(Update::of(&tracked, &mut gradients));
            if let (Some(sum), Some(e)) = (&mut of_masks, e) {
                sum.add(Update::of(&e, &mut gradients));
            }
        }
        let learned = terms.learned(&total, target.as_ref());
        self.step(masked, here, update, of_masks.zip(s));
        Ok(learned)
    }

    /// `θ_W ← θ_W − lr·u`; where masks are learned, HAT's step of the embeddings with it.
    fn step(
        &mut self,
        masked: &mut Masked,
        here: usize,
        mut update: Update<Net>,
        of_masks: Option<(Update<Embeddings>, f64)>,
    ) {
        if let Some(of_masks) = of_masks {
            masked.lesson.descend(here, of_masks, &mut update, self.config.lr);
        }
        update.descend(&mut self.working, self.config.lr);
    }

    /// Z, where something is replayed.
    fn target(
        &mut self,
        batch: &Batch,
        masked: Option<(&GroupRows, &mut [GroupStatistics; 3])>,
    ) -> Result<Option<Target>> {
        if batch.old == 0 {
            return Ok(None);
        }
        let x_m = batch.x.clone().narrow(0, batch.new, batch.old);
        let y_m = batch.y.clone().narrow(0, batch.new, batch.old);
        let (z_s, z_p) = match masked {
            None => {
                let z_s = self.config.ema_bn.answer(&mut self.stable, x_m.clone())?;
                (z_s, self.config.ema_bn.answer(&mut self.plastic, x_m)?)
            }
            Some((rows, [_, of_plastic, of_stable])) => {
                let rows = rows.narrow(batch.new, batch.old);
                let z_s = pass(&mut self.stable, x_m.clone(), Some((&rows, of_stable)))?;
                (z_s, pass(&mut self.plastic, x_m, Some((&rows, of_plastic)))?)
            }
        };
        Ok(Some(chosen(&self.config, z_s, z_p, y_m)))
    }
}

impl Terms {
    /// λ = 0 leaves the term out, as the plain method does.
    fn loss(&self, config: &Config) -> Tensor<1> {
        match &self.cons {
            Some(cons) if config.reg_weight > 0.0 => {
                self.ce.clone() + cons.clone() * config.reg_weight
            }
            _ => self.ce.clone(),
        }
    }

    fn learned(&self, loss: &Tensor<1>, target: Option<&Target>) -> Learned {
        let number = |t: &Tensor<1>| t.clone().into_scalar::<f64>();
        Learned {
            loss: number(loss),
            loss_ce: number(&self.ce),
            loss_cons: self.cons.as_ref().map_or(0.0, number),
            n_select_stable: target.map_or(0.0, |target| target.n_select_stable),
        }
    }
}

/// Cross-entropy over the whole batch and consistency over what is replayed; see
/// `perdura_nn::teaching` on why a network that normalises batches sees X_m twice.
fn together(
    net: &mut Net,
    batch: &Batch,
    target: Option<&Target>,
    mut under: Option<Under<'_>>,
) -> Result<Terms> {
    let Batch { x, y, new, old } = batch;
    let mut logits_m = None;
    if target.is_some() && net.normalises_batches() {
        let x_m = x.clone().narrow(0, *new, *old);
        let of_old = under.as_mut().map(|(rows, statistics)| (rows.narrow(*new, *old), statistics));
        logits_m = Some(match of_old {
            None => pass(net, x_m, None)?,
            Some((rows, statistics)) => pass(net, x_m, Some((&rows, statistics)))?,
        });
    }
    let logits = pass(net, x.clone(), under)?;
    let last_rows = || logits.clone().narrow(0, *new, *old);
    let cons =
        target.map(|target| consistency(logits_m.unwrap_or_else(last_rows), target.to_teach()));
    Ok(Terms { ce: losses::cross_entropy(logits, y.clone()), cons })
}

fn pass(net: &mut Net, x: Tensor<2>, under: Option<Under<'_>>) -> Result<Tensor<2>> {
    match under {
        None => net.forward_train(x),
        Some((rows, statistics)) => rows.forward(net, statistics, x, Mode::Train),
    }
}

impl Target {
    fn to_teach(&self) -> teaching::Target {
        teaching::Target { logits: self.logits.clone(), weights: None }
    }
}

#[cfg(test)]
#[path = "guided_tests.rs"]
mod tests;
