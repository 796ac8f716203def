//! OGD on copies of the slow network (algorithms 3.5): when an experience ends, gradients of its
//! samples' logits are taken at the network, or on the way to it from two copies of its slow part,
//! and later supervised gradients are projected away from them. Self-supervision is left alone:
//! what OGD does to the supervised loss is the question.

use burn::tensor::Gradients;
use perdura_nn::orthogonal::{Bounds, Points, Protected, Samples, norm};
use perdura_nn::plasticity::Plasticity;
use perdura_nn::teaching::warm_up;
use perdura_nn::{Network, numbers, rows, state};
use perdura_sdk::{Error, Position, prelude::*, serde_json};

use crate::config::{Config, HeadKind, SlowSchedule};
use crate::method::{DualNet, Mean};
use crate::nets::{Nets, Part};

pub use perdura_nn::orthogonal::BasisKind;

hyper_parameters! {
    /// At which points gradients are taken that later supervision spares. θ is the same at all.
    pub enum Anchors {
        /// At none: nothing is spared (the paper).
        #[default]
        None,
        /// At the network as the experience leaves it, (φ, θ).
        Working,
        /// At five points of the way from φ_EMA over φ̃_K to φ, each for a fifth of the samples.
        Segments,
        /// At (φ, θ), and the differences φ − φ̃_K, φ − φ_EMA and φ̃_K − φ_EMA are directions too.
        Chords,
    }
}

/// What supervision spares, and the copies that say where.
pub(crate) struct Spared {
    anchors: Anchors,
    protected: Protected,
    copies: Option<Copies>,
}

/// Copies of the slow network without its projector, which no logit depends on.
struct Copies {
    /// φ̃_K of the last look-ahead before it was interpolated; φ after a batch that brought none.
    ahead: Part,
    /// φ_EMA, a moving average of φ over batches.
    average: Part,
    /// The current batch has brought a look-ahead.
    looked: bool,
}

/// Refuses values outside their range, and options that contradict each other or the stream.
pub(crate) fn check(config: &Config, ctx: &Context) -> Result<()> {
    for (key, value) in [("ogd_samples", config.ogd_samples), ("capacity", config.capacity)] {
        if value == 0 {
            return Err(Error::config(key, "at least 1", value));
        }
    }
    if !(config.tau_rank > 0.0 && config.tau_rank < 1.0) {
        return Err(Error::config("tau_rank", "a number between 0 and 1", config.tau_rank));
    }
    if !(0.0..=1.0).contains(&config.alpha_ema) {
        return Err(Error::config("alpha_ema", "a number from 0 to 1", config.alpha_ema));
    }
    if config.anchors == Anchors::None {
        let expected = "0 without `anchors`: nothing is protected that could be measured";
        return match config.coverage {
            0 => Ok(()),
            found => Err(Error::config("coverage", expected, found)),
        };
    }
    let heads_alone =
        !config.fast && !config.sup_updates_slow && config.head == HeadKind::TaskAware;
    let contradictions = [
        (
            config.slow_schedule == SlowSchedule::EveryK,
            "none with `slow_schedule = \"every_k\"`: it has no look-ahead whose copy could be an \
             anchor, and in most steps no gradient of the slow network to project",
        ),
        (config.labelled < 1.0, "none with `labelled` below 1: the gradients are those of labels"),
        (
            config.has_groups(),
            "none with masks or rates of groups, which change a projected gradient again",
        ),
        (
            config.project != 0.0 || config.unit_roles != Plasticity::None,
            "none with `project` or `unit_roles`: a gradient cannot be kept out of two spaces, or \
             slowed, one after the other without losing the first",
        ),
        (
            config.anchors == Anchors::Chords && !config.sup_updates_slow,
            "working or segments with `sup_updates_slow = false`: chords lie in the slow network",
        ),
        (
            heads_alone,
            "none where only task-aware heads learn from labels: they are left out of the \
             projection",
        ),
    ];
    if let Some((_, expected)) = contradictions.into_iter().find(|(wrong, _)| *wrong) {
        let found = serde_json::to_value(config.anchors).unwrap_or_default();
        return Err(Error::config("anchors", expected, found.as_str().unwrap_or_default()));
    }
    match ctx.grants.second_pass && ctx.grants.boundaries {
        true => Ok(()),
        false => Err(Error::new(
            "with `anchors` dualnet takes gradients of samples of an experience that has ended, \
             but this stream passes once or hides its boundaries; leave --online or `anchors` \
             out, or choose another benchmark",
        )),
    }
}

/// Adds what `anchors` report, and the memory where coverage is measured on it.
pub(crate) fn declare(config: &Config, wanted: Declaration) -> Declaration {
    if config.anchors == Anchors::None {
        return wanted;
    }
    let wanted = if config.coverage > 0 { wanted.uses_memory() } else { wanted };
    let scalars = ["gradient_kept", "directions", "coverage"];
    scalars.into_iter().fold(wanted, |wanted, name| wanted.scalar(name))
}

impl Spared {
    /// Nothing yet, over what the supervised loss trains: φ without projector where it trains it,
    /// θ, and a head over all classes. Heads of their own stay out of each other's way already, and
    /// the read-out teaches nobody.
    pub fn new(config: &Config, nets: &Nets) -> Option<Spared> {
        if config.anchors == Anchors::None {
            return None;
        }
        let taken = |name: &str| match name.split('.').next() {
            Some("slow") => config.sup_updates_slow,
            Some("fast") => true,
            Some("head") => config.head == HeadKind::TaskFree,
            _ => false,
        };
        let bounds = Bounds { capacity: config.capacity, tau_rank: config.tau_rank as f32 };
        let protected = Protected::new(nets, config.basis, bounds, taken);
        let slow = || nets.phi.slow.clone();
        let copies = || Copies { ahead: slow(), average: slow(), looked: false };
        let copies = (config.anchors != Anchors::Working).then(copies);
        Some(Spared { anchors: config.anchors, protected, copies })
    }

    /// In a look-ahead, after its K steps: φ̃_K.
    pub fn look(&mut self, ahead: &Part) {
        if let Some(copies) = &mut self.copies {
            (copies.ahead, copies.looked) = (ahead.clone(), true);
        }
    }

    /// After the n-th batch, n ≥ 1: `φ_EMA ← α·φ_EMA + (1 − α)·φ`, running statistics included,
    /// `α = min(1 − 1/(n+1), alpha_ema)`.
    pub fn follow(&mut self, slow: &Part, n: u64, alpha_ema: f64) {
        let Some(copies) = &mut self.copies else { return };
        let alpha = warm_up(n, alpha_ema);
        copies.average.average(slow, alpha);
        copies.average.average_buffers(slow, alpha);
        if !std::mem::take(&mut copies.looked) {
            copies.ahead = slow.clone();
        }
    }

    /// `g̃ = g − QQᵀg`, one step of gradient descent with it, and the running statistics. Returns
    /// `‖g̃‖ / ‖g‖`.
    pub fn descend(
        &mut self,
        nets: &mut Nets,
        tracked: &Nets,
        gradients: Gradients,
        lr: f64,
    ) -> f64 {
        let mut gradient = numbers::gradient(tracked, gradients);
        let before = norm(&gradient);
        self.protected.project(&mut gradient);
        let kept = if before > 0.0 { norm(&gradient) / before } else { 1.0 };
        numbers::descend(nets, tracked, &gradient, lr);
        kept
    }

    /// Where the gradients of an experience that ends are taken.
    fn points(&self, nets: &Nets) -> Points<Nets> {
        let Some(Copies { ahead, average, .. }) = &self.copies else { return Points::one(nets) };
        let [average, ahead] = [average, ahead].map(|slow| {
            let mut point = nets.clone();
            point.phi.slow = slow.clone();
            point
        });
        match self.anchors {
            Anchors::Chords => Points::chords([&average, &ahead, nets]),
            _ => Points::segments([&average, &ahead, nets]),
        }
    }

    /// Bytes of the copies, and of the directions.
    pub fn bytes(&self) -> [u64; 2] {
        let copies = self.copies.as_ref();
        let copies = copies.map_or(0, |copies| copies.ahead.bytes() + copies.average.bytes());
        [copies, self.protected.bytes()]
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        if let Some(Copies { ahead, average, .. }) = &self.copies {
            state::save(ahead, "ahead.", out)?;
            state::save(average, "average.", out)?;
        }
        self.protected.save(out)
    }

    pub fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        if let Some(Copies { ahead, average, .. }) = &mut self.copies {
            state::load(ahead, "ahead.", saved)?;
            state::load(average, "average.", saved)?;
        }
        self.protected.load(saved)
    }
}

impl DualNet {
    /// At the end of an experience: gradients of n of its samples join what is spared.
    pub(crate) fn spare_finished(&mut self, host: &mut Host<'_>) -> Result<()> {
        let Some(spared) = &mut self.spared else { return Ok(()) };
        let samples = Samples::of_finished(host, self.config.ogd_samples)?;
        let at = spared.points(&self.nets);
        let (width, device) = (self.width, &self.device);
        let answer = |nets: &Nets, input: &[f32]| nets.forward(rows(&[input], width, device));
        let admitted = spared.protected.take_in(&samples, &at, answer)?;
        let (taken, held) = (samples.labels.len(), spared.protected.directions());
        let data = serde_json::json!({ "taken": taken, "admitted": admitted, "held": held });
        host.report_event("directions", data)
    }

    /// What a batch reports beside the method's own scalars; at the end of an epoch also the
    /// coverage, which there is from the second experience on.
    pub(crate) fn report_spared(
        &mut self,
        report: StepReport,
        kept: Mean,
        position: Option<Position>,
        host: &mut Host<'_>,
    ) -> Result<StepReport> {
        let Some(spared) = &mut self.spared else { return Ok(report) };
        let mut report = report.scalar("directions", spared.protected.directions() as f64);
        if let Some(kept) = kept.get() {
            report = report.scalar("gradient_kept", kept);
        }
        let ends = |p: Position| p.step_in_epoch + 1 == p.steps_per_epoch;
        if self.config.coverage == 0 || !position.is_some_and(ends) {
            return Ok(report);
        }
        let samples = Samples::of_past(host, self.config.coverage)?;
        let (width, device) = (self.width, &self.device);
        let answer = |nets: &Nets, input: &[f32]| nets.forward(rows(&[input], width, device));
        Ok(match spared.protected.coverage_over(&self.nets, &samples, answer) {
            Some(coverage) => report.scalar("coverage", coverage),
            None => report,
        })
    }
}
