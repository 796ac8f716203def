//! Online elastic weight consolidation (oEWC): after each experience it is measured how much each
//! weight matters (the diagonal of the Fisher information), and from then on a spring holds the
//! weights near where they were, the harder the more they matter. No replay memory.
#![deny(unsafe_code)]

mod fisher;

use burn::tensor::Tensor;
use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, flat, losses, state};
use perdura_sdk::{Error, prelude::*};

pub use fisher::{one_by_one, weighted_squares};

/// Samples that the host hands over at once when an experience ends; the sum over them does not
/// depend on it.
const BATCH: usize = 100;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
        /// Weight of the penalty, λ; at least 0.
        pub e_lambda: f64 = 90.0,
        /// What is left of the importance of earlier experiences when another ends, γ; from 0 to 1.
        pub gamma: f64 = 1.0,
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
        if !(self.e_lambda >= 0.0 && self.e_lambda.is_finite()) {
            return Err(Error::config("e_lambda", "a number from 0", self.e_lambda));
        }
        if !(0.0..=1.0).contains(&self.gamma) {
            return Err(Error::config("gamma", "a number from 0 to 1", self.gamma));
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// What is remembered of the experiences that have ended: one number for each parameter.
struct Anchor {
    /// F, how much each parameter matters.
    fisher: Tensor<1>,
    /// θ*, where the last experience left it.
    theta: Tensor<1>,
}

/// The learner: one network, and its anchor once an experience has ended.
pub struct EwcOnline {
    config: Config,
    network: Net,
    anchor: Option<Anchor>,
}

impl ContinualLearner for EwcOnline {
    type Config = Config;

    fn about() -> About {
        About::new("holds weights where they were, the harder the more they mattered")
            .paper(
                "Schwarz et al., Progress & Compress: A Scalable Framework for Continual Learning, \
                 ICML 2018, arXiv 1805.06370",
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
        if !(ctx.grants.boundaries && ctx.grants.second_pass) {
            return Err(Error::new(
                "ewc-online goes over each experience once more when it ends, and this stream \
                 does not grant that; leave out --online, or choose a benchmark with boundaries",
            ));
        }
        let network = Net::of(ctx, &config.backbone())?;
        Ok(EwcOnline { config, network, anchor: None })
    }

    /// `L = CE(f(X), Y) + λ · Σ_i F_i (θ_i − θ*_i)²`, in the first experience without the second
    /// term; `θ ← θ − lr·(∇CE + 2λ·F(θ − θ*))`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let Config { lr, e_lambda, .. } = self.config;
        let network = &mut self.network;
        let mut tracked = network.tracked();
        let logits = tracked.forward_train(network.rows(&[step.current.inputs()]))?;
        let loss = losses::cross_entropy(logits, network.labels(&[step.current.labels()]));
        let loss_ce: f64 = loss.clone().into_scalar();
        let gradients = loss.backward();
        let mut penalty: f64 = 0.0;
        match &self.anchor {
            Some(Anchor { fisher, theta }) if e_lambda > 0.0 => {
                let distance = flat::parameters(network) - theta.clone();
                let pull = fisher.clone() * distance.clone();
                penalty = (pull.clone() * distance).sum().into_scalar();
                let gradient = flat::gradient(&tracked, gradients);
                let direction = gradient + pull.mul_scalar(2.0 * e_lambda);
                flat::descend(network, &tracked, direction, lr);
            }
            _ => network.descend(&tracked, gradients, lr),
        }
        Ok(StepReport::new()
            .scalar("loss", loss_ce + e_lambda * penalty)
            .scalar("loss_ce", loss_ce)
            .scalar("penalty", penalty))
    }

    /// `F_t = (1/N) Σ p(y|x)·(∇ log p(y|x))²` over the N samples of the experience, one at a time;
    /// `F ← γF + F_t`; `θ* ← θ`.
    fn end_experience(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        let (mut sum, mut samples) = (None, 0);
        let mut batches = host.iterate(&Iterate {
            source: Source::Current,
            filter: Filter::All,
            profile: Profile::Train,
            batch: BATCH,
            epochs: 1,
            shuffled: false,
            columns: Vec::new(),
        })?;
        while let Some(rows) = batches.next()? {
            let x = self.network.rows(&[rows.inputs()]);
            let squares = weighted_squares(&self.network, x, rows.labels());
            samples += rows.len();
            sum = Some(match sum {
                None => squares,
                Some(sum) => sum + squares,
            });
        }
        let Some(sum) = sum else { return Ok(()) };
        let mean: Tensor<1> = sum.div_scalar(samples as f64);
        let fisher = match self.anchor.take() {
            None => mean,
            Some(before) => before.fisher.mul_scalar(self.config.gamma) + mean,
        };
        self.anchor = Some(Anchor { fisher, theta: flat::parameters(&self.network) });
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        let parameters = self.network.bytes();
        let held = self.anchor.as_ref().map_or(0, |_| 2 * 4 * self.network.parameter_count());
        Resources::new().with("parameters", parameters).with("other", held as u64)
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)?;
        out.value("anchored", &self.anchor.is_some())?;
        if let Some(Anchor { fisher, theta }) = &self.anchor {
            flat::save(fisher, &self.network, "fisher.", out)?;
            flat::save(theta, &self.network, "anchor.", out)?;
        }
        Ok(())
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)?;
        self.anchor = None;
        if saved.value("anchored")? {
            let fisher = flat::load(&self.network, "fisher.", saved)?;
            let theta = flat::load(&self.network, "anchor.", saved)?;
            self.anchor = Some(Anchor { fisher, theta });
        }
        Ok(())
    }
}

#[cfg(feature = "export")]
export_learner!(EwcOnline, id = "perdura/ewc-online");
