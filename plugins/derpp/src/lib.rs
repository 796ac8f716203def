//! Dark experience replay with labels (DER++): replayed samples are pulled towards the logits the
//! network gave when they were stored, and the labels of a second, independent draw are learned.
//! The host keeps the memory (a reservoir) with these logits in a column, and draws from it.
#![deny(unsafe_code)]

use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, losses, state};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
        /// Samples of each of the two draws, m.
        pub replay: usize = 128,
        /// Weight of the distance to the stored logits, α; at least 0.
        pub alpha: f64 = 0.2,
        /// Weight of the labels of the second draw, β; at least 0.
        pub beta: f64 = 1.0,
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
        for (name, weight) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(name, "a number from 0", weight));
            }
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// The learner: one network.
pub struct DerPp {
    config: Config,
    network: Net,
}

impl ContinualLearner for DerPp {
    type Config = Config;

    fn about() -> About {
        About::new("replays samples with the logits of their own step and, drawn anew, with labels")
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
            .request(Request::memory("labelled", config.replay))
            .view("main")
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_mse")
            .scalar("loss_ce_replay")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(DerPp { config, network })
    }

    /// Equation 7: `L = CE(f(X), Y) + α · mean (f(X') − Z')² + β · CE(f(X''), Y'')`, with `(X',
    /// Z')` and `(X'', Y'')` from two draws of the memory; `θ ← θ − lr·∇L`. `f(X)` from before the
    /// update becomes the stored `Z` of this batch.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, dark, labelled) = (&step.current, step.draw("dark")?, step.draw("labelled")?);
        let Config { lr, alpha, beta, .. } = self.config;
        let (network, mut tracked) = (&self.network, self.network.tracked());
        let logits = tracked.forward_train(network.rows(&[current.inputs()]))?;
        let z = logits.to_data().try_into_vec()?;
        let mut loss = losses::cross_entropy(logits, network.labels(&[current.labels()]));
        let (loss_ce, mut loss_mse, mut loss_ce_replay) = (loss.clone().into_scalar(), 0.0, 0.0);
        if !dark.is_empty() && alpha > 0.0 {
            let stored = network.logits(&[dark.column("logits")?.values]);
            let now = tracked.forward_train(network.rows(&[dark.inputs()]))?;
            let distance = losses::mean_squared_error(now, stored);
            loss_mse = distance.clone().into_scalar();
            loss = loss + distance * alpha;
        }
        if !labelled.is_empty() && beta > 0.0 {
            let now = tracked.forward_train(network.rows(&[labelled.inputs()]))?;
            let ce = losses::cross_entropy(now, network.labels(&[labelled.labels()]));
            loss_ce_replay = ce.clone().into_scalar();
            loss = loss + ce * beta;
        }
        let report = StepReport::new()
            .scalar("loss", loss.clone().into_scalar())
            .scalar("loss_ce", loss_ce)
            .scalar("loss_mse", loss_mse)
            .scalar("loss_ce_replay", loss_ce_replay);
        self.network.descend(tracked, loss.backward(), lr);
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
export_learner!(DerPp, id = "perdura/derpp");
