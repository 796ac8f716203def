//! DualNet (Pham, Liu, Hoi, NeurIPS 2021; DualNets, TPAMI 2024): a slow network learns features
//! from augmented views without labels, a fast one, attached layer by layer, modulates them for the
//! supervised task.
//!
//! `config.rs` holds the hyper-parameters, `checks.rs` their ranges, `nets.rs` the networks and how
//! they meet, `method.rs` the step in the paper's order, `learned.rs` what it tells, `targets.rs`
//! the losses on old answers, this file the rest of a learner's life. Masks and rates of groups:
//! `groups.rs` their options and when, `masked.rs` where masks act, `guided.rs` the step,
//! `supervised.rs` what it is about, `views.rs` answers. Uses of the correlation matrix:
//! `switches.rs` their options, `matrix.rs` what is kept and done in a step, `sweep.rs` how the
//! memory is looked at, `boundaries.rs` when. OGD on copies of the slow network: `orthogonal.rs`.
#![deny(unsafe_code)]

mod boundaries;
mod checks;
mod config;
mod features;
mod groups;
mod guided;
mod learned;
mod masked;
mod matrix;
mod method;
mod modulator;
mod nets;
mod orthogonal;
mod supervised;
mod sweep;
mod switches;
mod targets;
mod views;

pub use config::*;
pub use masked::MaskSite;
pub use method::DualNet;
pub use orthogonal::{Anchors, BasisKind};

use perdura_nn::{Mode, Network, copy_out, rows, state};
use perdura_sdk::rand::RngExt;
use perdura_sdk::{Error, prelude::*};
use std::collections::BTreeMap;

use crate::groups::{Groups, ORACLE};
use crate::matrix::Matrix;
use crate::nets::Nets;
use crate::orthogonal::Spared;
use crate::targets::Own;

/// Samples that are answered at once outside of training: the activations of a ResNet are large.
const ROWS_AT_ONCE: usize = 64;

impl ContinualLearner for DualNet {
    type Config = Config;

    fn about() -> About {
        About::new("a slow network learns features without labels, a fast one modulates them")
            .paper(
                "Pham, Liu, Hoi: DualNet: Continual Learning, Fast and Slow, NeurIPS 2021, \
                 arXiv 2110.00175",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, ctx: &Context) -> Declaration {
        let mut wanted = Declaration::new().wishes(wishes(config));
        if config.self_supervised() {
            for request in ssl_requests(config) {
                wanted = wanted.request(request);
            }
        }
        let filter = match config.head {
            HeadKind::TaskAware => Filter::Past,
            HeadKind::TaskFree => Filter::All,
        };
        let replay = Request::memory("replay", config.replay).filter(filter);
        let mut replay = replay.repeats(config.sup_steps.max(1));
        if config.distils() {
            wanted = wanted.column("logits", ctx.classes);
            replay = replay.column("logits");
        }
        wanted = wanted.request(replay);
        let needs = match config.head {
            HeadKind::TaskAware => ViewNeeds::TaskLabel,
            HeadKind::TaskFree => ViewNeeds::Nothing,
        };
        if config.has_groups() {
            wanted = wanted.uses_memory();
        }
        if config.has_masks() {
            wanted = wanted.scalar("capacity");
        }
        if config.oracle_view {
            let (name, needs) = (ORACLE.into(), ViewNeeds::TrueGroup);
            wanted = wanted.special_view(View { name, needs, until_opened: false });
        }
        let views = ["main", "slow"].into_iter().take(1 + usize::from(config.slow_readout));
        for name in views {
            let name = name.into();
            wanted = wanted.special_view(View { name, needs, until_opened: false });
        }
        let scalars = ["loss", "loss_ce", "loss_ce_replay", "loss_kd", "loss_ssl"];
        let moves = ["slow_move_ssl", "slow_move_sup", "slow_move_ratio"];
        let names = scalars.into_iter().chain(moves).chain(Matrix::scalars(config).iter().copied());
        let wanted = names.fold(wanted, |wanted, name| wanted.scalar(name));
        orthogonal::declare(config, wanted)
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check(ctx)?;
        let (device, precision) = perdura_nn::device_and_precision(&ctx.device, ctx.call.seed())?;
        let mut nets = Nets::new(&config, ctx, &device)?;
        nets.compute_in(precision)?;
        let pending = config.accumulates().then(|| nets.phi.clone());
        let (classes, width) = (ctx.classes, ctx.input_width());
        let tasks = BTreeMap::new();
        let groups = Groups::new(&config, ctx, &nets, &device)?;
        let matrix = Matrix::new(&config, &nets, &device);
        let (spared, supervised) = (Spared::new(&config, &nets), 0);
        Ok(DualNet {
            config,
            classes,
            width,
            device,
            nets,
            pending,
            supervised,
            groups,
            tasks,
            matrix,
            spared,
        })
    }

    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.open_matrix(info)?;
        if self.config.head == HeadKind::TaskAware {
            let untold = || Error::new("a task-aware head needs the classes of every experience");
            let (index, classes) = info.index.zip(info.classes.clone()).ok_or_else(untold)?;
            self.tasks.insert(index, classes);
        }
        self.with_groups(|learner, groups| {
            groups.guide.begin(info, &learner.nets.plain(&learner.device), host)?;
            groups.look(learner, &mut info.call.rng("masks"));
            Ok(())
        })
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        let drawn = step.call.rng("labelled").random::<f64>();
        let labelled = drawn < self.config.labelled;
        let learned = self.learn(step, labelled)?;
        let mut report = learned.report();
        self.with_groups(|learner, groups| {
            groups.guide.observe(step, &learner.nets.plain(&learner.device), host)?;
            groups.look(learner, &mut step.call.rng("masks"));
            report = groups.tell(std::mem::take(&mut report));
            Ok(())
        })?;
        self.probe_matrix(host)?;
        let report = self.report_spared(report, learned.kept, step.position, host)?;
        // A batch without labels must not come back from the memory with them.
        match labelled || !self.config.uses_memory() {
            true => Ok(report),
            false => Ok(report.place(vec![Placement::Skip; step.current.len()])),
        }
    }

    /// Keeps the answers of the finished experience's samples in the memory.
    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.with_groups(|learner, groups| {
            groups.guide.end(info, &learner.nets.plain(&learner.device), host)?;
            learner.measure_ownership(&mut groups.guide, host)?;
            groups.look(learner, &mut info.call.rng("masks"));
            groups.masked.iter_mut().for_each(|masked| masked.lesson.freeze());
            Ok(())
        })?;
        self.close_matrix(host)?;
        self.spare_finished(host)?;
        if !self.config.distils() {
            return Ok(());
        }
        let mut finished = host.iterate(&Iterate {
            source: Source::Memory,
            filter: Filter::Finished,
            profile: Profile::None,
            batch: ROWS_AT_ONCE,
            epochs: 1,
            shuffled: false,
            columns: Vec::new(),
        })?;
        let (mut slots, mut uids, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(batch) = finished.next()? {
            slots.extend_from_slice(batch.slots().unwrap_or_default());
            uids.extend_from_slice(batch.uids());
            answers.extend(self.old_answers(&batch)?);
        }
        match slots.is_empty() {
            true => Ok(()),
            false => host.write_column("logits", &slots, &uids, &answers),
        }
    }

    fn end_of_stream(&mut self, call: &Call, _: &mut Host<'_>) -> Result<()> {
        self.groups.iter_mut().for_each(|groups| groups.guide.finish(call));
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let inputs = query.inputs.chunks(ROWS_AT_ONCE * self.width);
        let outputs = logits.as_mut_slice().chunks_mut(ROWS_AT_ONCE * self.classes);
        for (number, (inputs, out)) in inputs.zip(outputs).enumerate() {
            let (first, count) = (number * ROWS_AT_ONCE, inputs.len() / self.width);
            let own = match query.task_labels {
                Some(tasks) => self.own_of(&tasks[first..][..count]),
                None => Own::all(count, self.classes),
            };
            let answer = match (query.view, &self.nets.readout) {
                ("main", _) => self.answer_rows(query, first, inputs, &own)?,
                (ORACLE, _) if self.config.oracle_view => {
                    self.answer_rows(query, first, inputs, &own)?
                }
                ("slow", Some(readout)) => {
                    let x = rows(&[inputs], self.width, &self.device);
                    let features = self.nets.clone().slow_features(x, Mode::Eval)?;
                    own.restrict(readout.forward(features))
                }
                (other, _) => return Err(Error::new(format!("no view is called `{other}`"))),
            };
            copy_out(answer, out);
        }
        Ok(())
    }

    fn resources(&self) -> Resources {
        let pending = self.pending.as_ref().map_or(0, Network::bytes);
        let matrix = self.matrix.as_ref().map_or(0, Matrix::bytes);
        let [copies, directions] = self.spared.as_ref().map_or([0, 0], Spared::bytes);
        let resources = Resources::new().with("parameters", self.nets.bytes() + copies);
        let resources = resources.with("optimizer", pending);
        let groups = self.groups.as_ref().map_or(0, Groups::bytes);
        match matrix + groups + directions {
            0 => resources,
            other => resources.with("other", other),
        }
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("supervised_steps", &self.supervised)?;
        out.value("classes_of_experiences", &self.tasks)?;
        state::save(&self.nets, "", out)?;
        if let Some(matrix) = &self.matrix {
            matrix.save(out)?;
        }
        if let Some(spared) = &self.spared {
            spared.save(out)?;
        }
        if let Some(pending) = &self.pending {
            state::save(pending, "pending.", out)?;
        }
        self.groups.as_ref().map_or(Ok(()), |groups| groups.save(out))
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.supervised = saved.value("supervised_steps")?;
        self.tasks = saved.value("classes_of_experiences")?;
        state::load(&mut self.nets, "", saved)?;
        if let Some(matrix) = &mut self.matrix {
            matrix.load(&self.nets.phi.slow, saved)?;
        }
        if let Some(spared) = &mut self.spared {
            spared.load(saved)?;
        }
        if let Some(pending) = &mut self.pending {
            state::load(pending, "pending.", saved)?;
        }
        self.with_groups(|learner, groups| groups.load(learner, saved))
    }
}

/// The batch enters the memory before the draws, in its first epoch only: the method is an online
/// one. Where some batches have no labels it enters after the step, so that those can be kept out.
/// The task-aware file keeps the most recent samples of every experience, the task-free one a
/// reservoir.
fn wishes(config: &Config) -> Wishes {
    let insert = match config.labelled < 1.0 {
        true => Insert::AfterStep,
        false => Insert::BeforeDraws,
    };
    let policy = match config.head {
        HeadKind::TaskAware => InsertionPolicy::Ring,
        HeadKind::TaskFree => InsertionPolicy::Reservoir,
    };
    Wishes { insert, insert_epochs: InsertEpochs::First, policy, ..Wishes::default() }
}

fn ssl_requests(config: &Config) -> Vec<Request> {
    // Quirk Q3: views are normalised by one half, whatever the inputs are normalised by.
    let profile = match config.quirks {
        Quirks::Fixed => Profile::Ssl,
        Quirks::ReleasedCode => Profile::SslHalf,
    };
    let request = |name: &str, source| {
        let repeats = config.ssl_steps_max().max(1);
        let request = Request::memory(name, config.ssl_batch).source(source);
        request.repeats(repeats).views(2).profile(profile)
    };
    match config.ssl_source {
        SslSource::PastOnly => {
            vec![request("ssl", Source::CurrentOrMemory).filter(Filter::Past)]
        }
        SslSource::MemoryAll => vec![request("ssl", Source::CurrentOrMemory)],
        SslSource::CurrentAndMemory => {
            vec![request("ssl", Source::Memory), request("ssl_current", Source::Current)]
        }
    }
}

#[cfg(feature = "export")]
export_learner!(DualNet, id = "perdura/dualnet");
