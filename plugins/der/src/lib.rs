//! Dark experience replay (DER): replayed samples are pulled towards the logits the network gave
//! when they were stored. The host keeps the memory (a reservoir) with these logits in a column,
//! and draws from it.
#![deny(unsafe_code)]

use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, losses, state};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
        /// Samples replayed per step, m.
        pub replay: usize = 10,
        /// Weight of the distance to the stored logits, α; at least 0.
        pub alpha: f64 = 0.2,
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
        if !(self.alpha >= 0.0 && self.alpha.is_finite()) {
            return Err(Error::config("alpha", "a number from 0", self.alpha));
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// The learner: one network.
pub struct Der {
    config: Config,
    network: Net,
}

impl ContinualLearner for Der {
    type Config = Config;

    fn about() -> About {
        About::new("replays samples with the logits they had when they were stored")
            .paper(
                "Buzzega et al., Dark Experience for General Continual Learning: a Strong, Simple \
                 Baseline, NeurIPS 2020, arXiv 2004.07211",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, ctx: &Context) -> Declaration {
        Declaration::new()
            .column("logits", ctx.classes)
            .request(Request::memory("dark", config.replay).column("logits"))
            .view("main")
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_mse")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(Der { config, network })
    }

    /// Equation 6: `L = CE(f(X), Y) + α · mean (f(X') − Z')²`, with `(X', Z')` from the memory;
    /// `θ ← θ − lr·∇L`. `f(X)` from before the update becomes the stored `Z` of this batch.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, dark) = (&step.current, step.draw("dark")?);
        let (network, mut tracked) = (&self.network, self.network.tracked());
        let logits = tracked.forward_train(network.rows(&[current.inputs()]))?;
        let z = logits.to_data().try_into_vec()?;
        let mut loss = losses::cross_entropy(logits, network.labels(&[current.labels()]));
        let (loss_ce, mut loss_mse) = (loss.clone().into_scalar(), 0.0);
        if !dark.is_empty() && self.config.alpha > 0.0 {
            let stored = network.logits(&[dark.column("logits")?.values]);
            let now = tracked.forward_train(network.rows(&[dark.inputs()]))?;
            let distance = losses::mean_squared_error(now, stored);
            loss_mse = distance.clone().into_scalar();
            loss = loss + distance * self.config.alpha;
        }
        let report = StepReport::new()
            .scalar("loss", loss.clone().into_scalar())
            .scalar("loss_ce", loss_ce)
            .scalar("loss_mse", loss_mse);
        self.network.descend(tracked, loss.backward(), self.config.lr);
        Ok(report.column("logits", z))
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
export_learner!(Der, id = "perdura/der");
