//! SG-CLS: similarity-grouped expansion of CLS-ER. One semantic memory, a moving average of the
//! working network, per group of similar experiences; an experience that is like none opens a new
//! one. Which memory teaches a replayed sample, how strongly, and how fast each memory follows are
//! decided by measured similarity.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the step, `teachers.rs` its targets,
//! `measure.rs` and `groups.rs` similarity and what follows from it, `late.rs` decisions that come
//! after the fact, `merging.rs` what happens at capacity, `views.rs` the answers; this file a
//! learner's life.
#![deny(unsafe_code)]

mod config;
mod groups;
mod late;
mod measure;
mod memories;
mod merging;
mod method;
#[cfg(test)]
mod resnet_tests;
mod saved;
#[cfg(test)]
mod support;
mod teachers;
mod views;

pub use config::*;
pub use method::SgCls;

use perdura_sdk::prelude::*;

use crate::views::Asked;

impl ContinualLearner for SgCls {
    type Config = Config;

    fn about() -> About {
        About::new("one average of the network per group of similar experiences, as teachers")
            .paper("proposal: similarity-grouped expansion of CLS-ER (Arani et al., ICLR 2022)")
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let replay = match config.group_update {
            GroupUpdate::Ema => config.replay,
            // Drawn by the group of the step, which is not known beforehand.
            GroupUpdate::Gradient => 0,
        };
        let declaration = Declaration::new()
            .request(Request::memory("replay", replay))
            .uses_memory()
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_cons")
            .scalar("networks");
        views::declared(config).into_iter().fold(declaration, Declaration::special_view)
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        if !config.groups.is_empty() && !ctx.grants.boundaries {
            let expected = "none where boundaries are hidden";
            return Err(Error::config("groups", expected, format!("{:?}", config.groups)));
        }
        SgCls::new(config, ctx)
    }

    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.asked = Asked::default();
        if !self.begun {
            self.decided = self.grants.boundaries;
            return self.open_first(info.index, host);
        }
        self.decided = self.grants.second_pass;
        if self.grants.second_pass {
            let probe = self.look(host)?;
            let scores = self.scores(&probe, host, &mut info.call.rng("similarity"))?;
            let given = self.given_group(info.index)?;
            self.act(self.decide(given, &scores)?, given, &scores, host)?;
        }
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.asked = Asked::default();
        if !self.begun {
            return Err(Error::new(
                "a step before the first experience, which opens the first group",
            ));
        }
        let learned = match self.config.group_update {
            GroupUpdate::Ema => self.learn(&step.current, step.draw("replay")?)?,
            GroupUpdate::Gradient => {
                let request = Request::memory("replay", self.config.replay);
                let group = Filter::Group(self.current as u32);
                let drawn = host.draw(&request.filter(group))?;
                self.learn(&step.current, &drawn[0])?
            }
        };
        self.consolidate(step, host, &mut step.call.rng("update"))?;
        match self.decided {
            true => self.count(step.current.inputs(), step.current.labels()),
            false => self.wait(step, host)?,
        }
        Ok(StepReport::new()
            .scalar("loss", learned.loss)
            .scalar("loss_ce", learned.loss_ce)
            .scalar("loss_cons", learned.loss_cons)
            .scalar("networks", self.memories.open().len() as f64)
            .group(self.current as u32))
    }

    /// An experience shorter than a window is decided by what there was of it.
    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.asked = Asked::default();
        match self.decided || self.window.is_empty() {
            true => Ok(()),
            false => self.look_back(info.index, &mut info.call.rng("similarity"), host),
        }
    }

    /// What is still in doubt stays with the group that it was learned as.
    fn end_of_stream(&mut self, _: &Call, _: &mut Host<'_>) -> Result<()> {
        self.asked = Asked::default();
        self.settle(0);
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.answer(query, logits)
    }

    fn resources(&self) -> Resources {
        let means: u64 = self.memories.iter().map(|(_, memory)| memory.means.bytes()).sum();
        Resources::new()
            .with("parameters", self.network_bytes())
            .with("other", means + self.window.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.write(out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.asked = Asked::default();
        self.read(saved)
    }
}

#[cfg(feature = "export")]
export_learner!(SgCls, id = "perdura/sg-cls");
