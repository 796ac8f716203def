//! Experience replay with asymmetric cross-entropy (ER-ACE): from the second experience on, the
//! current batch competes only among its own classes and those still to come, so that it does not
//! push old classes away; replayed samples compete among all. The host keeps the memory (a
//! reservoir) and draws from it.
#![deny(unsafe_code)]

use burn::tensor::{Bool, Tensor};
use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, losses, state};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
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

/// The learner: one network, and where in the stream it is.
pub struct ErAce {
    config: Config,
    network: Net,
    /// The first experience is being learned: all classes compete and nothing is replayed. Never
    /// true where boundaries are hidden.
    first: bool,
    /// Largest label so far.
    label_max: u32,
}

impl ContinualLearner for ErAce {
    type Config = Config;

    fn about() -> About {
        About::new("replay in which the current batch competes among its own classes only")
            .paper(
                "Caccia et al., New Insights on Reducing Abrupt Representation Change in Online \
                 Continual Learning, ICLR 2022, arXiv 2104.05025",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        Declaration::new()
            .request(Request::memory("replay", config.replay))
            .view("main")
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_ce_replay")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(ErAce { config, network, first: ctx.grants.boundaries, label_max: 0 })
    }

    fn end_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.first = false;
        Ok(())
    }

    /// `L = CE(f(X) over C(X), Y) + CE(f(X_m), Y_m)`; `θ ← θ − lr·∇L`. In the first experience
    /// `L = CE(f(X), Y)`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        self.label_max = self.label_max.max(current.labels().iter().copied().max().unwrap_or(0));
        let (network, mut tracked) = (&self.network, self.network.tracked());
        let mut logits = tracked.forward_train(network.rows(&[current.inputs()]))?;
        if !self.first {
            logits = logits.clone().mask_fill(self.masked(current.labels(), &logits), f32::MIN);
        }
        let mut loss = losses::cross_entropy(logits, network.labels(&[current.labels()]));
        let (loss_ce, mut loss_ce_replay) = (loss.clone().into_scalar(), 0.0);
        if !self.first && !replay.is_empty() {
            let logits = tracked.forward_train(network.rows(&[replay.inputs()]))?;
            let ce = losses::cross_entropy(logits, network.labels(&[replay.labels()]));
            loss_ce_replay = ce.clone().into_scalar();
            loss = loss + ce;
        }
        let report = StepReport::new()
            .scalar("loss", loss.clone().into_scalar())
            .scalar("loss_ce", loss_ce)
            .scalar("loss_ce_replay", loss_ce_replay);
        self.network.descend(tracked, loss.backward(), self.config.lr);
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
        state::save(&self.network, "", out)?;
        out.value("first", &self.first)?;
        out.value("label_max", &self.label_max)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)?;
        self.first = saved.value("first")?;
        self.label_max = saved.value("label_max")?;
        Ok(())
    }
}

impl ErAce {
    /// True for the classes that do not compete: all but the batch's own, C(X), and those from the
    /// largest label so far upwards, which are the newest and the ones still to come. Shape of
    /// `logits`.
    fn masked(&self, labels: &[u32], logits: &Tensor<2>) -> Tensor<2, Bool> {
        let [count, classes] = logits.dims();
        let last = classes as u32 - 1;
        let out = |class: u32| {
            let newest = self.label_max < last && class >= self.label_max;
            !labels.contains(&class) && !newest
        };
        let row: Vec<bool> = (0..classes as u32).map(out).collect();
        let row = Tensor::<1, Bool>::from_data(row.as_slice(), &logits.device());
        row.unsqueeze_dim::<2>(0).expand([count, classes])
    }
}

#[cfg(feature = "export")]
export_learner!(ErAce, id = "perdura/er-ace");
