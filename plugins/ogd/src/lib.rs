//! OGD (Farajtabar et al., AISTATS 2020): after an experience the gradients of its samples' logits
//! join a basis, and later gradients are projected away from it, so that those logits stay to first
//! order. Beyond the paper, gradients can be taken at several points between fast and slow averages
//! of the network.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the method in the paper's order, `anchors.rs`
//! the points, this file the rest of a learner's life. The projection is `perdura_nn::orthogonal`.
#![deny(unsafe_code)]

mod anchors;
mod config;
mod heads;
mod method;

pub use config::*;
pub use method::Ogd;

use perdura_nn::orthogonal::{Bounds, Protected, Samples};
use perdura_nn::{Net, Network, copy_out, state};
use perdura_sdk::{Error, Position, prelude::*, serde_json};

use crate::anchors::Averages;
use crate::heads::Heads;

/// Samples that are answered at once where heads are task-aware.
const ROWS_AT_ONCE: usize = 64;

impl ContinualLearner for Ogd {
    type Config = Config;

    fn about() -> About {
        let scenarios = ["class-il", "task-il", "domain-il"].map(Into::into).into();
        let about = About::new("projects gradients away from those that old samples depend on")
            .paper(
                "Farajtabar, Azizan, Mott, Li: Orthogonal Gradient Descent for Continual \
                 Learning, AISTATS 2020, arXiv 1910.07104",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES);
        About { scenarios, ..about }
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let needs = match config.head {
            HeadKind::TaskAware => ViewNeeds::TaskLabel,
            HeadKind::TaskFree => ViewNeeds::Nothing,
        };
        let filter = match config.head {
            HeadKind::TaskAware => Filter::Past,
            HeadKind::TaskFree => Filter::All,
        };
        let replay = Request::memory("replay", config.replay).filter(filter);
        let mut wanted = Declaration::new().request(replay);
        if config.coverage > 0 {
            wanted = wanted.uses_memory();
        }
        let views = ["main", "plastic", "stable"];
        for name in views.into_iter().take(if config.averages() { 3 } else { 1 }) {
            wanted = wanted.special_view(View { name: name.into(), needs, until_opened: false });
        }
        let scalars = ["loss", "gradient_kept", "directions", "coverage"];
        scalars.into_iter().fold(wanted, |wanted, name| wanted.scalar(name))
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(ctx)?;
        let network = Net::of(ctx, &config.backbone())?;
        let averages = config.averages().then(|| Averages::new(&network));
        let bounds = Bounds { capacity: config.capacity, tau_rank: config.tau_rank as f32 };
        // Heads of their own stay out of each other's way already.
        let taken = |name: &str| config.head == HeadKind::TaskFree || !name.starts_with("head.");
        let protected = Protected::new(&network, config.basis, bounds, taken);
        Ok(Ogd { config, network, averages, protected, heads: Heads::default(), steps: 0 })
    }

    fn begin_experience(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        if self.config.head == HeadKind::TaskAware {
            let untold = || Error::new("a task-aware head needs the classes of every experience");
            let (index, classes) = info.index.zip(info.classes.clone()).ok_or_else(untold)?;
            self.heads.classes_of.insert(index, classes);
        }
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        let experience = step.position.map(|position| position.experience);
        let learned = self.learn(&step.current, step.draw("replay")?, experience)?;
        if let Some(averages) = &mut self.averages {
            let mut rng = step.call.rng("update");
            averages.follow(&mut self.network, &self.config, self.steps, &mut rng);
        }
        let report = StepReport::new()
            .scalar("loss", learned.loss)
            .scalar("gradient_kept", learned.kept)
            .scalar("directions", self.protected.directions() as f64);
        let ends = |p: Position| p.step_in_epoch + 1 == p.steps_per_epoch;
        if self.config.coverage == 0 || !step.position.is_some_and(ends) {
            return Ok(report);
        }
        Ok(match self.coverage(host)? {
            Some(coverage) => report.scalar("coverage", coverage),
            None => report,
        })
    }

    /// Gradients of n samples of the experience, drawn at random.
    fn end_experience(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        let samples = Samples::of_finished(host, self.config.samples)?;
        let admitted = self.protect(&samples)?;
        let (taken, held) = (samples.labels.len(), self.protected.directions());
        let data = serde_json::json!({ "taken": taken, "admitted": admitted, "held": held });
        host.report_event("directions", data)
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let network = match (query.view, &self.averages) {
            ("main", _) => &self.network,
            ("plastic", Some(averages)) => &averages.plastic,
            ("stable", Some(averages)) => &averages.stable,
            (other, _) => return Err(Error::new(format!("no view is called `{other}`"))),
        };
        let Some(tasks) = query.task_labels else {
            network.predict(query.inputs, logits.as_mut_slice());
            return Ok(());
        };
        let width = network.backbone.inputs();
        let inputs = query.inputs.chunks(ROWS_AT_ONCE * width);
        let out = logits.as_mut_slice().chunks_mut(ROWS_AT_ONCE * network.head.outputs());
        for ((inputs, out), tasks) in inputs.zip(out).zip(tasks.chunks(ROWS_AT_ONCE)) {
            let answer = network.forward(network.rows(&[inputs]));
            copy_out(self.heads.restrict(answer, tasks), out);
        }
        Ok(())
    }

    fn resources(&self) -> Resources {
        let networks = if self.averages.is_some() { 3 } else { 1 };
        Resources::new()
            .with("parameters", networks * self.network.bytes())
            .with("other", self.protected.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("steps", &self.steps)?;
        out.value("classes_of_experiences", &self.heads.classes_of)?;
        state::save(&self.network, "", out)?;
        if let Some(averages) = &self.averages {
            state::save(&averages.plastic, "plastic.", out)?;
            state::save(&averages.stable, "stable.", out)?;
        }
        self.protected.save(out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.steps = saved.value("steps")?;
        self.heads.classes_of = saved.value("classes_of_experiences")?;
        state::load(&mut self.network, "", saved)?;
        if let Some(averages) = &mut self.averages {
            state::load(&mut averages.plastic, "plastic.", saved)?;
            state::load(&mut averages.stable, "stable.", saved)?;
        }
        self.protected.load(saved)
    }
}

impl Ogd {
    /// Measured on samples of earlier experiences in the memory; none in the first one.
    fn coverage(&mut self, host: &mut Host<'_>) -> Result<Option<f64>> {
        let samples = Samples::of_past(host, self.config.coverage)?;
        Ok(self.coverage_of(&samples))
    }
}

#[cfg(feature = "export")]
export_learner!(Ogd, id = "perdura/ogd");
