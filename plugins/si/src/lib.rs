//! Synaptic intelligence (SI): while it learns, each weight collects how much its way has lowered
//! the loss; once an experience has ended, a spring holds it near where it was, the harder the more
//! it did. No replay memory, and no second look at the samples.
#![deny(unsafe_code)]

use burn::tensor::Tensor;
use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, flat, losses, state};
use perdura_sdk::{Error, prelude::*};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.1,
        /// Weight of the penalty, c; at least 0.
        pub c: f64 = 1.0,
        /// Keeps a weight that hardly moved from mattering without bound, ξ, in squared units of a
        /// weight; above 0.
        pub xi: f64 = 0.9,
        /// Each number of the gradient, penalty included, is cut off at this size; above 0.
        pub clip: f64 = 1.0,
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
        for (name, value) in [("lr", self.lr), ("xi", self.xi), ("clip", self.clip)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(name, "a number above 0", value));
            }
        }
        if !(self.c >= 0.0 && self.c.is_finite()) {
            return Err(Error::config("c", "a number from 0", self.c));
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// The learner: one network, and three numbers for each of its parameters.
pub struct Si {
    config: Config,
    network: Net,
    /// ω, what the parameter's way has lowered the loss by in this experience.
    path: Tensor<1>,
    /// Ω, how much it matters to the experiences that have ended.
    importance: Tensor<1>,
    /// θ*, where the last experience left it; at first, where it started.
    anchor: Tensor<1>,
}

impl ContinualLearner for Si {
    type Config = Config;

    fn about() -> About {
        About::new("holds weights where they were, the harder the more their way lowered the loss")
            .paper(
                "Zenke et al., Continual Learning Through Synaptic Intelligence, ICML 2017, \
                 arXiv 1703.04200",
            )
            .scenarios(&["class-il", "task-il", "domain-il"])
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("loss").scalar("loss_ce").scalar("penalty")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        if !ctx.grants.boundaries {
            return Err(Error::new(
                "si weighs what was learned when an experience ends, and this stream does not say \
                 when; choose a benchmark with boundaries",
            ));
        }
        let network = Net::of(ctx, &config.backbone())?;
        let anchor = flat::parameters(&network);
        let (path, importance) = (anchor.zeros_like(), anchor.zeros_like());
        Ok(Si { config, network, path, importance, anchor })
    }

    /// Equation 4: `L = CE(f(X), Y) + c · Σ_k Ω_k (θ_k − θ*_k)²`. The step goes down `g + 2c·Ω(θ − θ*)`,
    /// with g = ∇CE, each number cut off at ±1: `θ' = θ − lr·clip(…)`. Equation 3, discretised: `ω ←
    /// ω + g·(θ − θ')`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let Config { lr, c, clip, .. } = self.config;
        let network = &mut self.network;
        let mut tracked = network.tracked();
        let logits = tracked.forward_train(network.rows(&[step.current.inputs()]))?;
        let loss = losses::cross_entropy(logits, network.labels(&[step.current.labels()]));
        let loss_ce: f64 = loss.clone().into_scalar();
        let g = flat::gradient(&tracked, loss.backward());
        let before = flat::parameters(network);
        let mut direction = g.clone();
        let mut penalty = 0.0;
        if c > 0.0 {
            let distance = before.clone() - self.anchor.clone();
            let pull = self.importance.clone() * distance.clone();
            penalty = (pull.clone() * distance).sum().into_scalar();
            direction = direction + pull.mul_scalar(2.0 * c);
        }
        flat::descend(network, &tracked, direction.clamp(-clip, clip), lr);
        let way = before - flat::parameters(network);
        self.path = self.path.clone() + g * way;
        Ok(StepReport::new()
            .scalar("loss", loss_ce + c * penalty)
            .scalar("loss_ce", loss_ce)
            .scalar("penalty", penalty))
    }

    /// Equation 5: `Ω ← Ω + ω / ((θ − θ*)² + ξ)`; then `θ* ← θ` and `ω ← 0`.
    fn end_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        let theta = flat::parameters(&self.network);
        let distance = theta.clone() - self.anchor.clone();
        let room = (distance.clone() * distance).add_scalar(self.config.xi);
        self.importance = self.importance.clone() + self.path.clone() / room;
        self.path = theta.zeros_like();
        self.anchor = theta;
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        let held = 3 * 4 * self.network.parameter_count() as u64;
        Resources::new().with("parameters", self.network.bytes()).with("other", held)
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)?;
        flat::save(&self.path, &self.network, "path.", out)?;
        flat::save(&self.importance, &self.network, "importance.", out)?;
        flat::save(&self.anchor, &self.network, "anchor.", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)?;
        self.path = flat::load(&self.network, "path.", saved)?;
        self.importance = flat::load(&self.network, "importance.", saved)?;
        self.anchor = flat::load(&self.network, "anchor.", saved)?;
        Ok(())
    }
}

#[cfg(feature = "export")]
export_learner!(Si, id = "perdura/si");
