//! GDumb (Prabhu, Torr, Dokania, ECCV 2020): keeps a balanced memory of the stream and learns
//! nothing else; for an answer a fresh network is trained on the memory alone. What a continual
//! learner should beat.
//!
//! Written from the paper's description and the project's specification; the authors' code (GPL)
//! was not read. `sampler.rs` fills the memory, `training.rs` trains with the rates of
//! `schedule.rs` and the mixing of `cutmix.rs`, this file is the rest of a learner's life.
#![deny(unsafe_code)]

mod config;
mod cutmix;
mod sampler;
mod schedule;
mod training;

pub use config::*;

use perdura_nn::{Device, Net, NetShape, Network, state};
use perdura_sdk::{Error, prelude::*, serde_json};

use crate::sampler::Greedy;

/// The learner.
pub struct Gdumb {
    config: Config,
    shape: NetShape,
    device: Device,
    /// Boundaries are told.
    told: bool,
    /// The network trained last; before that, one that was never trained.
    network: Net,
    greedy: Greedy,
    /// Samples the memory can hold.
    room: u64,
}

impl ContinualLearner for Gdumb {
    type Config = Config;

    fn about() -> About {
        About::new("trains a fresh network on a balanced memory, and on nothing else")
            .paper(
                "Prabhu, Torr, Dokania: GDumb: A Simple Approach that Questions Our Progress in \
                 Continual Learning, ECCV 2020",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let insert = match config.sampler {
            Sampler::Greedy => Insert::ByLearner,
            Sampler::Host => Insert::AfterStep,
        };
        let (policy, insert_epochs) = (InsertionPolicy::ClassBalanced, InsertEpochs::First);
        let wishes = Wishes { insert, insert_epochs, policy, ..Wishes::default() };
        Declaration::new().uses_memory().wishes(wishes).view("main").scalar("offered")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(ctx)?;
        let network = Net::of(ctx, &config.backbone())?;
        let (backbone, input) = (config.backbone(), ctx.input_shape.clone());
        let shape = NetShape { backbone, input, classes: ctx.classes };
        let (device, told) = (network.device().clone(), ctx.grants.boundaries);
        let greedy = Greedy::default();
        Ok(Gdumb { config, shape, device, told, network, greedy, room: 0 })
    }

    fn begin_experience(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.room = info.memory_samples_max.unwrap_or(0);
        match self.room {
            0 => Err(Error::new(
                "gdumb learns from the memory alone, but it holds 0 samples; give it room with \
                 --memory N",
            )),
            _ => Ok(()),
        }
    }

    /// Nothing is learned; samples are kept or not. In the first epoch only: later ones bring the
    /// same again.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let report = StepReport::new();
        if self.config.sampler == Sampler::Host {
            return Ok(report.scalar("offered", step.current.len() as f64));
        }
        if step.position.is_some_and(|position| position.epoch > 0) {
            let skipped = vec![Placement::Skip; step.current.len()];
            return Ok(report.scalar("offered", 0.0).place(skipped));
        }
        let (room, mut rng) = (self.room as usize, step.call.rng("greedy"));
        let mut place = |&class: &u32| self.greedy.place(class, room, &mut rng);
        let placements: Vec<Placement> = step.current.labels().iter().map(&mut place).collect();
        Ok(report.scalar("offered", placements.len() as f64).place(placements))
    }

    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        match self.config.train {
            TrainAt::EachExperience => self.train(&info.call, host),
            TrainAt::EndOfStream => Ok(()),
        }
    }

    fn end_of_stream(&mut self, call: &Call, host: &mut Host<'_>) -> Result<()> {
        match self.config.train {
            TrainAt::EachExperience if self.told => Ok(()),
            _ => self.train(call, host),
        }
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        Resources::new().with("parameters", self.network.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("room", &self.room)?;
        out.value("held", &self.greedy.classes)?;
        state::save(&self.network, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.room = saved.value("room")?;
        self.greedy.classes = saved.value("held")?;
        state::load(&mut self.network, "", saved)
    }
}

impl Gdumb {
    /// A fresh network, trained on what the memory holds now.
    fn train(&mut self, call: &Call, host: &mut Host<'_>) -> Result<()> {
        let mut network = Net::new(&self.shape, &mut call.rng("init"), &self.device)?;
        let trained = training::train(&mut network, &self.config, call, host)?;
        self.network = network;
        let data = serde_json::json!({ "steps": trained.steps, "loss": trained.loss });
        host.report_event("trained", data)
    }
}

#[cfg(feature = "export")]
export_learner!(Gdumb, id = "perdura/gdumb");
