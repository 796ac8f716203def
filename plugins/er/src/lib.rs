//! Experience replay (ER): every step learns from the current batch and a batch of the replay
//! memory, as one. The host keeps the memory (a reservoir) and draws from it.
#![deny(unsafe_code)]

use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, losses, state};
use perdura_sdk::{Error, prelude::*};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.01,
        /// Samples replayed per step, m.
        pub replay: usize = 10,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

impl Config {
    fn check(&self) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// The learner: one network.
pub struct Er {
    lr: f64,
    network: Net,
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
        Declaration::new().request(replay).view("main").scalar("loss")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(Er { lr: config.lr, network })
    }

    /// `L = CE(f(X ∪ X_m), Y ∪ Y_m)`, one mean over `b + m` samples in one forward pass; `θ ← θ −
    /// lr·∇L`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        let inputs = self.network.rows(&[current.inputs(), replay.inputs()]);
        let labels = self.network.labels(&[current.labels(), replay.labels()]);
        let mut tracked = self.network.tracked();
        let loss = losses::cross_entropy(tracked.forward_train(inputs)?, labels);
        let report = StepReport::new().scalar("loss", loss.clone().into_scalar());
        self.network.descend(tracked, loss.backward(), self.lr);
        Ok(report)
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        Resources::new().with("parameters", self.network.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)
    }
}

#[cfg(feature = "export")]
export_learner!(Er, id = "perdura/er");
