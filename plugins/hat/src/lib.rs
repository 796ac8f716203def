//! HAT (Serrà, Surís, Miron, Karatzoglou, ICML 2018): every task learns a mask over the units of
//! one network together with the weights; what an earlier task's mask holds is closed to the
//! gradients of later ones. At test the task must be told.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the step, `schedule.rs` the learning rate,
//! this file the rest of a learner's life.
#![deny(unsafe_code)]

mod config;
mod method;
mod schedule;

pub use config::Config;
pub use method::Hat;

use perdura_nn::masks::annealed;
use perdura_nn::{Net, Network, state};
use perdura_sdk::prelude::*;
use perdura_sdk::serde::{Deserialize, Serialize};

use schedule::Schedule;

/// Rows of held-out samples that are answered at once.
const ROWS_AT_ONCE: usize = 500;

/// Everything that is not a tensor.
#[derive(Serialize, Deserialize)]
#[serde(crate = "perdura_sdk::serde")]
struct Standing {
    /// The task that is being learned, and where it stands.
    current: Option<(usize, Schedule)>,
    /// There is a best epoch to go back to.
    best: bool,
    /// Tasks that have ended.
    ended: Vec<usize>,
}

impl ContinualLearner for Hat {
    type Config = Config;

    fn about() -> About {
        let about = About::new("learns a mask over the units for every task; the task is told")
            .paper(
                "Serrà, Surís, Miron, Karatzoglou: Overcoming Catastrophic Forgetting with Hard \
                 Attention to the Task, ICML 2018, arXiv 1801.01423",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES);
        About { scenarios: vec!["task-il".into()], ..about }
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        let (name, needs) = ("main".into(), ViewNeeds::TaskLabel);
        let view = View { name, needs, until_opened: false };
        let scalars = ["loss", "loss_ce", "loss_sparsity", "lr", "s", "capacity"];
        let declaration = Declaration::new().special_view(view);
        scalars.into_iter().fold(declaration, |wanted, name| wanted.scalar(name))
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        if !(ctx.grants.boundaries && ctx.grants.experience_classes) {
            return Err(Error::new(
                "hat learns a mask for every task: expected a stream that tells experiences and \
                 their classes, found one that hides them; choose a Task-IL or Class-IL benchmark",
            ));
        }
        let network = Net::of(ctx, &config.backbone())?;
        Hat::new(config, network)
    }

    /// A task begins: embeddings, running statistics and classes of its own.
    fn begin_experience(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        let untold = || Error::new("hat needs the number and the classes of every experience");
        let (index, classes) = info.index.zip(info.classes.as_ref()).ok_or_else(untold)?;
        let task = index as usize;
        let mut rng = info.call.rng("embedding");
        self.masks.open(task, self.network.device(), self.config.mask_mean, &mut rng);
        self.masks.own(task, classes);
        self.fresh.enter(&mut self.network);
        self.current = Some(self.task(task, Schedule::new(&self.config)));
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        let position = step.position.ok_or_else(|| Error::new("a step without its position"))?;
        if position.step_in_epoch == 0 && position.epoch > 0 {
            self.end_epoch(host)?;
        }
        let Some(task) = &self.current else {
            return Err(Error::new("a step before the first experience, which begins a task"));
        };
        if task.schedule.finished {
            return Ok(StepReport::new());
        }
        let lr = task.schedule.lr;
        let s = annealed(position.step_in_epoch, position.steps_per_epoch, self.config.s_max);
        let learned = self.learn(&step.current, s)?;
        let report = StepReport::new()
            .scalar("loss", learned.loss)
            .scalar("loss_ce", learned.loss_ce)
            .scalar("lr", lr)
            .scalar("s", s);
        let report = match learned.loss_sparsity {
            Some(term) => report.scalar("loss_sparsity", term),
            None => report,
        };
        let last = position.step_in_epoch + 1 == position.steps_per_epoch;
        Ok(if last { report.scalar("capacity", self.masks.capacity_used()) } else { report })
    }

    /// The task's masks are closed: those of s_max.
    fn end_experience(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.end_epoch(host)?;
        let Some(task) = self.current.take() else { return Ok(()) };
        if let Some((network, embeddings)) = task.best {
            self.network = network;
            *self.masks.embeddings(task.number) = embeddings;
        }
        let statistics = perdura_nn::masks::Statistics::of(&self.network);
        self.statistics.insert(task.number, statistics);
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let told = query.task_labels.ok_or_else(|| Error::new("the tasks were not told"))?;
        self.answers(query.inputs, told, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        let numbers: usize = self.statistics.values().map(|of| of.count()).sum();
        let best = self.current.as_ref().and_then(|task| task.best.as_ref());
        let best = best.map_or(0, |(network, embeddings)| network.bytes() + embeddings.bytes());
        let gate = self.current.as_ref().and_then(|task| task.gate.as_ref());
        let gate = gate.map_or(0, Network::bytes);
        Resources::new()
            .with("parameters", self.network.bytes() + self.masks.bytes())
            .with("buffers", (numbers * size_of::<f32>()) as u64)
            .with("other", best + gate)
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        let current = self.current.as_ref();
        let best = current.and_then(|task| task.best.as_ref());
        out.value(
            "standing",
            &Standing {
                current: current.map(|task| (task.number, task.schedule.clone())),
                best: best.is_some(),
                ended: self.statistics.keys().copied().collect(),
            },
        )?;
        state::save(&self.network, "", out)?;
        self.masks.save(out)?;
        for (task, statistics) in &self.statistics {
            statistics.save(&format!("statistics.{task}."), out)?;
        }
        match best {
            None => Ok(()),
            Some((network, embeddings)) => {
                state::save(network, "best.", out)?;
                state::save(embeddings, "best.", out)
            }
        }
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        let standing: Standing = saved.value("standing")?;
        state::load(&mut self.network, "", saved)?;
        self.masks.load(self.network.device(), saved)?;
        self.statistics.clear();
        for task in standing.ended {
            let mut statistics = self.fresh.clone();
            statistics.load(&format!("statistics.{task}."), saved)?;
            self.statistics.insert(task, statistics);
        }
        self.current = standing.current.map(|(task, schedule)| self.task(task, schedule));
        if let Some(task) = self.current.as_mut().filter(|_| standing.best) {
            let mut network = self.network.clone();
            let mut embeddings = self.masks.embeddings(task.number).clone();
            state::load(&mut network, "best.", saved)?;
            state::load(&mut embeddings, "best.", saved)?;
            task.best = Some((network, embeddings));
        }
        Ok(())
    }
}

impl Hat {
    /// After an epoch, where held-out samples count: scores them, keeps the best weights, lowers
    /// the learning rate.
    fn end_epoch(&mut self, host: &mut Host<'_>) -> Result<()> {
        let Some(task) = self.current.as_ref().filter(|task| !task.schedule.finished) else {
            return Ok(());
        };
        if !self.config.validates() {
            return Ok(());
        }
        let classes = self.held_out(task.number, host)?;
        let Some(accuracy) = host.validation_score(&classes)? else {
            let expected = "samples that are held out (`--validation 0.1`), or `patience` 0 and \
                            `restore_best` false";
            let key = if self.config.patience > 0 { "patience" } else { "restore_best" };
            return Err(Error::config(key, expected, "a run that holds out none"));
        };
        let config = &self.config;
        let Some(task) = &mut self.current else { return Ok(()) };
        if task.schedule.after_epoch(accuracy, config) && config.restore_best {
            let embeddings = self.masks.embeddings(task.number).clone();
            task.best = Some((self.network.clone(), embeddings));
        }
        Ok(())
    }

    /// The class of every held-out sample of the tasks so far, each answered as its own task.
    fn held_out(&self, current: usize, host: &mut Host<'_>) -> Result<Vec<u32>> {
        let mut batches = host.iterate(&Iterate {
            source: Source::Validation,
            filter: Filter::All,
            profile: Profile::None,
            batch: ROWS_AT_ONCE,
            epochs: 1,
            shuffled: false,
            columns: vec![],
        })?;
        let outputs = self.network.head.outputs();
        let mut classes = Vec::new();
        while let Some(rows) = batches.next()? {
            let alone = vec![current as u32; rows.len()];
            let mut logits = vec![0.0; rows.len() * outputs];
            self.answers(rows.inputs(), rows.experiences().unwrap_or(&alone), &mut logits);
            classes.extend(logits.chunks_exact(outputs).map(highest));
        }
        Ok(classes)
    }
}

/// Place of the largest number.
fn highest(logits: &[f32]) -> u32 {
    let largest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    largest.map_or(0, |(class, _)| class as u32)
}

#[cfg(feature = "export")]
export_learner!(Hat, id = "perdura/hat");
