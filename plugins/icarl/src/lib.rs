//! iCaRL (Rebuffi et al., CVPR 2017): new classes are learned together with exemplars of old ones
//! and with what the old network said of them; answers are the nearest mean of exemplars.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the method in the paper's order,
//! `herding.rs` the choice of exemplars, this file the rest of a learner's life.
#![deny(unsafe_code)]

mod config;
mod herding;
mod method;

pub use config::Config;
pub use method::Icarl;

use perdura_nn::{Net, Network, state};
use perdura_sdk::{Error, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

impl ContinualLearner for Icarl {
    type Config = Config;

    fn about() -> About {
        let scenarios = ["class-il", "task-il"].map(Into::into).into();
        let about =
            About::new("keeps exemplars by herding and answers with the nearest class mean")
                .paper(
                    "Rebuffi, Kolesnikov, Sperl, Lampert: iCaRL: Incremental Classifier and \
                 Representation Learning, CVPR 2017, arXiv 1611.07725",
                )
                .presets(include_str!("../presets.toml"))
                .devices(perdura_nn::DEVICES);
        About { scenarios, ..about }
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        let (insert, epoch_source) = (Insert::ByLearner, EpochSource::ExperienceAndMemory);
        let wishes = Wishes { insert, epoch_source, ..Wishes::default() };
        Declaration::new()
            .uses_memory()
            .wishes(wishes)
            .view("nearest_mean")
            .view("head")
            .scalar("loss")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(ctx)?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(Icarl {
            config,
            input_shape: ctx.input_shape.clone(),
            network,
            old: None,
            past: BTreeSet::new(),
            new: BTreeSet::new(),
            exemplars: BTreeMap::new(),
            means: BTreeMap::new(),
            room: 0,
        })
    }

    fn begin_experience(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.room = info.memory_samples_max.unwrap_or(0);
        if self.room == 0 {
            return Err(Error::new(
                "icarl keeps exemplars, but the memory holds 0 samples; give it room with \
                 --memory N",
            ));
        }
        let untold = || Error::new("icarl needs the classes of every experience");
        let classes = info.classes.as_ref().ok_or_else(untold)?;
        self.new = classes.iter().copied().filter(|class| !self.past.contains(class)).collect();
        if !self.past.is_empty() {
            self.old = Some(self.network.clone());
        }
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        Ok(StepReport::new().scalar("loss", self.learn(&step.current)?))
    }

    fn end_experience(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.choose_exemplars(host)?;
        self.take_means(host)?;
        self.past.append(&mut self.new);
        self.old = None;
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        match query.view {
            "nearest_mean" => self.nearest_mean(query.inputs, logits.as_mut_slice()),
            "head" => self.network.predict(query.inputs, logits.as_mut_slice()),
            other => return Err(Error::new(format!("no view is called `{other}`"))),
        }
        Ok(())
    }

    fn resources(&self) -> Resources {
        let networks = 1 + u64::from(self.old.is_some());
        let means: usize = self.means.values().map(Vec::len).sum();
        Resources::new()
            .with("parameters", networks * self.network.bytes())
            .with("other", (means * size_of::<f32>()) as u64)
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("room", &self.room)?;
        out.value("past", &self.past)?;
        out.value("new", &self.new)?;
        out.value("exemplars", &self.exemplars)?;
        out.value("means", &self.means.keys().collect::<Vec<_>>())?;
        out.value("distils", &self.old.is_some())?;
        state::save(&self.network, "", out)?;
        if let Some(old) = &self.old {
            state::save(old, "old.", out)?;
        }
        let mut means = self.means.iter();
        means.try_for_each(|(class, mean)| out.tensor(&mean_name(*class), &[mean.len()], mean))
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.room = saved.value("room")?;
        self.past = saved.value("past")?;
        self.new = saved.value("new")?;
        self.exemplars = saved.value("exemplars")?;
        state::load(&mut self.network, "", saved)?;
        self.old = match saved.value("distils")? {
            true => {
                let mut old = self.network.clone();
                state::load(&mut old, "old.", saved)?;
                Some(old)
            }
            false => None,
        };
        let width = self.network.backbone.outputs();
        let classes: Vec<u32> = saved.value("means")?;
        let mean = |class| Ok((class, saved.tensor(&mean_name(class), &[width])?));
        self.means = classes.into_iter().map(mean).collect::<Result<_>>()?;
        Ok(())
    }
}

/// Name of a class's mean in a saved state.
fn mean_name(class: u32) -> String {
    format!("mean.{class}")
}

#[cfg(feature = "export")]
export_learner!(Icarl, id = "perdura/icarl");
