//! Learning without forgetting (LwF), the multi-class variant: before an experience the network
//! answers for all of its samples, and while it learns their classes these answers, over the
//! classes of before, are kept. Nothing of earlier experiences is stored.
#![deny(unsafe_code)]

mod answers;

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, flat, losses, state};
use perdura_sdk::{Error, prelude::*};

use answers::Answers;

/// Samples that the network answers for at once before an experience.
const BATCH: usize = 100;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
        /// Weight of the old answers, α; at least 0.
        pub alpha: f64 = 1.0,
        /// Temperature of the old answers, T; above 0.
        pub temperature: f64 = 2.0,
        /// Weight of the squared length of all parameters; at least 0.
        pub weight_decay: f64 = 5e-4,
        /// Train the head's rows of new classes alone for as many epochs as the experience has,
        /// before the old answers are recorded.
        pub warm_up: bool = true,
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
        for (name, value) in [("lr", self.lr), ("temperature", self.temperature)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(name, "a number above 0", value));
            }
        }
        for (name, weight) in [("alpha", self.alpha), ("weight_decay", self.weight_decay)] {
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

/// The learner: one network, the classes it knows, and what it answered before this experience.
pub struct Lwf {
    config: Config,
    network: Net,
    /// Classes of this experience and those before it, ascending.
    seen: Vec<u32>,
    /// Of these, the ones before it.
    old: Vec<u32>,
    /// Logits of this experience's samples from before it; empty in the first one.
    answers: Answers,
}

impl ContinualLearner for Lwf {
    type Config = Config;

    fn about() -> About {
        About::new("keeps the answers that the network gave to new samples before it learned them")
            .paper(
                "Li and Hoiem, Learning without Forgetting, ECCV 2016, arXiv 1606.09282; one \
                 softmax over all classes as in Rebuffi et al., iCaRL, CVPR 2017, arXiv 1611.07725",
            )
            .scenarios(&["class-il", "task-il"])
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("loss").scalar("loss_ce").scalar("loss_kd")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        if !(ctx.grants.experience_classes && ctx.grants.second_pass) {
            return Err(Error::new(
                "lwf must know the classes of an experience and go over it before it begins, and \
                 this stream does not grant that; leave out --online, or choose a benchmark whose \
                 experiences have classes of their own",
            ));
        }
        let network = Net::of(ctx, &config.backbone())?;
        let answers = Answers::default();
        Ok(Lwf { config, network, seen: Vec::new(), old: Vec::new(), answers })
    }

    /// From the second experience on: the new rows of the head are warmed up, then the network
    /// answers for all new samples.
    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        let classes = info.classes.as_deref().unwrap_or_default();
        let is_new = |class: &&u32| !self.seen.contains(class);
        let new: Vec<u32> = classes.iter().filter(is_new).copied().collect();
        self.old = self.seen.clone();
        self.seen.extend(&new);
        self.seen.sort_unstable();
        if self.old.is_empty() {
            return Ok(());
        }
        if self.config.warm_up && !new.is_empty() {
            self.warm_up(&new, info, host)?;
        }
        self.answers = self.record(host)?;
        Ok(())
    }

    /// `L = CE over the classes seen + α·L_old + weight_decay·‖θ‖²`, with `L_old = −mean Σ_c q_c log
    /// p_c` over the classes of before, `q = softmax(recorded/T)` and `p = softmax(f(X)/T)`; `θ ← θ −
    /// lr·∇L`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let Config { lr, alpha, temperature, weight_decay, .. } = self.config;
        let current = &step.current;
        let mut tracked = self.network.tracked();
        let logits = tracked.forward_train(self.network.rows(&[current.inputs()]))?;
        let mut loss = self.cross_entropy(logits.clone(), current.labels(), &self.seen)?;
        let mut report = StepReport::new().scalar("loss_ce", loss.clone().into_scalar());
        if !self.old.is_empty() && alpha > 0.0 {
            let recorded = self.answers.of(current.uids(), self.network.head.outputs())?;
            let recorded = self.network.logits(&[&recorded]);
            let q = softmax(self.only(recorded, &self.old).div_scalar(temperature), 1);
            let p = log_softmax(self.only(logits, &self.old).div_scalar(temperature), 1);
            let kept = (q * p).sum_dim(1).mean().neg();
            report = report.scalar("loss_kd", kept.clone().into_scalar());
            loss = loss + kept * alpha;
        }
        let mut total: f64 = loss.clone().into_scalar();
        let gradients = loss.backward();
        if weight_decay > 0.0 {
            let theta = flat::parameters(&self.network);
            let length: f64 = (theta.clone() * theta.clone()).sum().into_scalar();
            total += weight_decay * length;
            let gradient = flat::gradient(&tracked, gradients);
            let direction = gradient + theta.mul_scalar(2.0 * weight_decay);
            flat::descend(&mut self.network, &tracked, direction, lr);
        } else {
            self.network.descend(&tracked, gradients, lr);
        }
        Ok(report.scalar("loss", total))
    }

    /// The answers were for this experience alone.
    fn end_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.answers = Answers::default();
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        let parameters = self.network.bytes();
        Resources::new().with("parameters", parameters).with("other", self.answers.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)?;
        out.value("seen", &self.seen)?;
        out.value("old", &self.old)?;
        self.answers.save(self.network.head.outputs(), out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)?;
        (self.seen, self.old) = (saved.value("seen")?, saved.value("old")?);
        self.answers = Answers::load(self.network.head.outputs(), saved)?;
        Ok(())
    }
}

impl Lwf {
    /// Gradient descent on the head with everything below it as it is. The loss knows the new
    /// classes alone, so that no other row of the head moves.
    fn warm_up(&mut self, new: &[u32], info: &Experience, host: &mut Host<'_>) -> Result<()> {
        let told = |number: Option<u32>| number.map_or(1, |n| n.max(1) as usize);
        let mut batches = host.iterate(&Iterate {
            batch: told(info.batch),
            epochs: told(info.epochs),
            profile: Profile::Train,
            shuffled: true,
            ..over_the_experience()
        })?;
        while let Some(rows) = batches.next()? {
            let features = self.network.features(self.network.rows(&[rows.inputs()]));
            let tracked = self.network.head.tracked();
            let loss = self.cross_entropy(tracked.forward(features), rows.labels(), new)?;
            self.network.head.descend(&tracked, loss.backward(), self.config.lr);
        }
        Ok(())
    }

    /// What the network answers for each sample of the experience, without augmentation.
    fn record(&self, host: &mut Host<'_>) -> Result<Answers> {
        let mut answers = Answers::default();
        let mut batches = host.iterate(&over_the_experience())?;
        while let Some(rows) = batches.next()? {
            let logits = self.network.forward(self.network.rows(&[rows.inputs()]));
            answers.add(rows.uids(), logits);
        }
        Ok(answers)
    }

    /// The columns of some classes, in their order.
    fn only(&self, logits: Tensor<2>, classes: &[u32]) -> Tensor<2> {
        logits.select(1, self.network.labels(&[classes]))
    }

    /// Cross-entropy by a softmax over some classes alone.
    fn cross_entropy(
        &self,
        logits: Tensor<2>,
        labels: &[u32],
        classes: &[u32],
    ) -> Result<Tensor<1>> {
        let place = |label: &u32| {
            let place = classes.iter().position(|class| class == label);
            place.map(|place| place as u32).ok_or_else(|| {
                Error::new(format!(
                    "a sample of class {label}, but the experience was said to have {classes:?}"
                ))
            })
        };
        let places = labels.iter().map(place).collect::<Result<Vec<u32>>>()?;
        let places: Tensor<1, Int> = self.network.labels(&[&places]);
        Ok(losses::cross_entropy(self.only(logits, classes), places))
    }
}

/// Once, in file order, as in a test.
fn over_the_experience() -> Iterate {
    Iterate {
        source: Source::Current,
        filter: Filter::All,
        profile: Profile::None,
        batch: BATCH,
        epochs: 1,
        shuffled: false,
        columns: Vec::new(),
    }
}

#[cfg(feature = "export")]
export_learner!(Lwf, id = "perdura/lwf");
