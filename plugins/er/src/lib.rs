//! Experience replay (ER): every step learns from the current batch and a batch of the replay
//! memory, as one. The host keeps the memory (a reservoir) and draws from it. With `plasticity` the
//! parameters that other groups of experiences own move at rates by similarity; by default they do
//! not.
//!
//! `config.rs` holds the hyper-parameters.
#![deny(unsafe_code)]

mod config;

pub use config::Config;

use perdura_nn::plasticity::{Guide, label_log_probability};
use perdura_nn::{Net, Network, Update, losses, state};
use perdura_sdk::prelude::*;

/// The learner: one network.
pub struct Er {
    lr: f64,
    network: Net,
    /// Groups of similar experiences and the rates that follow; `None` for plain replay.
    guide: Option<Guide>,
}

impl ContinualLearner for Er {
    type Config = Config;

    fn about() -> About {
        About::new("replays samples of the memory beside every batch")
            .paper(
                "Chaudhry et al., On Tiny Episodic Memories in Continual Learning, 2019, \
                 arXiv 1902.10486",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let replay = Request::memory("replay", config.replay);
        let declaration = Declaration::new().request(replay).view("main").scalar("loss");
        match config.is_paced() {
            true => declaration.uses_memory(),
            false => declaration,
        }
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(&ctx.grants)?;
        let network = Net::of(ctx, &config.backbone())?;
        let guide = config.is_paced().then(|| Guide::new(config.guide(), ctx.grants, &network));
        Ok(Er { lr: config.lr, network, guide })
    }

    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        if let Some(guide) = &mut self.guide {
            guide.begin(info, &self.network, host)?;
            guide.refresh(&self.network, None, None);
        }
        Ok(())
    }

    /// `L = CE(f(X ∪ X_m), Y ∪ Y_m)`, one mean over `b + m` samples in one forward pass; `θ ← θ −
    /// lr·∇L`, with rates `θ ← θ − lr·μ ⊙ ∇L`.
    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        let inputs = self.network.rows(&[current.inputs(), replay.inputs()]);
        let labels = self.network.labels(&[current.labels(), replay.labels()]);
        let mut laps = Laps::start();
        let mut tracked = self.network.tracked();
        let loss = losses::cross_entropy(tracked.forward_train(inputs)?, labels);
        let report = StepReport::new().scalar("loss", loss.clone().into_scalar());
        laps.lap("forward");
        let Some(guide) = &mut self.guide else {
            self.network.descend(tracked, loss.backward(), self.lr);
            laps.lap("backward");
            return Ok(report.spent(laps));
        };
        let update = Update::of(&tracked, &mut loss.backward());
        guide.descend(&mut self.network, update, self.lr);
        guide.observe(step, &self.network, host)?;
        guide.refresh(&self.network, None, None);
        Ok(report.group(guide.discovery.current() as u32))
    }

    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        if let Some(guide) = &mut self.guide {
            guide.end(info, &self.network, host)?;
            guide.measure(&self.network, host, label_log_probability)?;
            guide.refresh(&self.network, None, None);
        }
        Ok(())
    }

    fn end_of_stream(&mut self, call: &Call, _: &mut Host<'_>) -> Result<()> {
        if let Some(guide) = &mut self.guide {
            guide.finish(call);
        }
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        let resources = Resources::new().with("parameters", self.network.bytes());
        match &self.guide {
            None => resources,
            Some(guide) => resources.with("other", guide.bytes()),
        }
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)?;
        self.guide.as_ref().map_or(Ok(()), |guide| guide.save(out))
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)?;
        self.guide.as_mut().map_or(Ok(()), |guide| guide.load(&self.network, saved))
    }
}

#[cfg(feature = "export")]
export_learner!(Er, id = "perdura/er");
