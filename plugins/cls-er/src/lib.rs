//! CLS-ER (Arani, Sarfraz, Zonooz, ICLR 2022): a working network learns from the stream and the
//! replay memory; a plastic (fast) and a stable (slow) network are moving averages of it and teach
//! it on replayed samples. The stable one is the result.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the step in the paper's order, `groups.rs` and
//! `guided.rs` what masks and rates of groups add to it, `views.rs` the answers, this file the rest
//! of a learner's life.
#![deny(unsafe_code)]

mod config;
mod groups;
mod guided;
mod method;
mod views;

pub use config::{Config, Masks, TeacherSelect};
pub use method::ClsEr;

use perdura_nn::plasticity::label_log_probability;
use perdura_nn::{Net, Network, state};
use perdura_sdk::prelude::*;

use groups::Groups;

impl ContinualLearner for ClsEr {
    type Config = Config;

    fn about() -> About {
        About::new("replay with a fast and a slow average of the network as teachers")
            .paper(
                "Arani, Sarfraz, Zonooz: Learning Fast, Learning Slow, ICLR 2022, arXiv 2201.12604",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let declaration = Declaration::new()
            .request(Request::memory("replay", config.replay))
            .view("stable")
            .view("plastic")
            .view("working")
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_cons")
            .scalar("n_select_stable");
        match config.has_groups() {
            false => declaration,
            true => views::with_groups(declaration, config),
        }
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(&ctx.grants)?;
        let working = Net::of(ctx, &config.backbone())?;
        let groups = Groups::new(&config, ctx.grants, &working)?;
        Ok(ClsEr { groups, ..ClsEr::new(config, working) })
    }

    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        if let Some(groups) = &mut self.groups {
            groups.guide.begin(info, &self.stable, host)?;
            groups.look(&self.config, &self.working, &mut info.call.rng("masks"));
        }
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        let replay = step.draw("replay")?;
        let mut groups = self.groups.take();
        let learned = match &mut groups {
            None => self.learn(&step.current, replay),
            Some(groups) => self.learn_guided(groups, (&step.current, replay), step.position),
        };
        self.groups = groups;
        let learned = learned?;
        self.consolidate(&mut step.call.rng("update"));
        let report = StepReport::new()
            .scalar("loss", learned.loss)
            .scalar("loss_ce", learned.loss_ce)
            .scalar("loss_cons", learned.loss_cons)
            .scalar("n_select_stable", learned.n_select_stable);
        let Some(groups) = &mut self.groups else { return Ok(report) };
        groups.guide.observe(step, &self.stable, host)?;
        groups.look(&self.config, &self.working, &mut step.call.rng("masks"));
        Ok(groups.tell(report))
    }

    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        if let Some(groups) = &mut self.groups {
            groups.guide.end(info, &self.stable, host)?;
            groups.guide.measure(&self.working, host, label_log_probability)?;
            groups.look(&self.config, &self.working, &mut info.call.rng("masks"));
            groups.freeze();
        }
        Ok(())
    }

    fn end_of_stream(&mut self, call: &Call, _: &mut Host<'_>) -> Result<()> {
        if let Some(groups) = &mut self.groups {
            groups.guide.finish(call);
        }
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.answer(query, logits)
    }

    fn resources(&self) -> Resources {
        let resources = Resources::new().with("parameters", 3 * self.working.bytes());
        match &self.groups {
            None => resources,
            Some(groups) => resources.with("other", groups.bytes()),
        }
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("steps", &self.steps)?;
        state::save(&self.working, "working.", out)?;
        state::save(&self.plastic, "plastic.", out)?;
        state::save(&self.stable, "stable.", out)?;
        match &self.groups {
            None => Ok(()),
            Some(groups) => groups.save(out),
        }
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.steps = saved.value("steps")?;
        state::load(&mut self.working, "working.", saved)?;
        state::load(&mut self.plastic, "plastic.", saved)?;
        state::load(&mut self.stable, "stable.", saved)?;
        match &mut self.groups {
            None => Ok(()),
            Some(groups) => groups.load(&self.config, &self.working, saved),
        }
    }
}

#[cfg(feature = "export")]
export_learner!(ClsEr, id = "perdura/cls-er");
