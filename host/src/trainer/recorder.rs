//! Writes a run down while it goes on: events, predictions, matrices. Summaries and resources are in
//! `recorder/writing.rs`.

use perdura_abi::message::{EventMsg, StreamShape};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

mod writing;

use super::compute::Compute;
use super::growth::Growth;
use super::keeper::Keeper;
use super::ledger::{Activity, Ledger};
use super::lines::{Lines, Progress};
use super::opener::Opener;
use super::points::results_fault;
use super::results::Results;
use super::snapshots::Snapshots;
use super::standing::{Point, Score, Stage};
use super::window::Window;
use super::world::{Place, World};
use super::{Desk, Observer, Stop};
use crate::metrics::AccuracyMatrix;
use crate::run::{
    After, EventKind, Fault, LearnerEvent, Outcome, Predictions, RunError, RunPlan, Summary,
    ViewSummary, utc_text,
};
use crate::score::{Row, Scorer, accuracy_row, scenarios_of};
use crate::stream::{Benchmark, Scenario};
use crate::worker::{LearnerPort, Tier, Usage};

/// Time between two looks at the memory in use; one takes about a millisecond.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Accuracies of one view in one scenario, as they come in.
pub(super) struct Scores {
    pub(super) view: usize,
    pub(super) scenario: Scenario,
    matrix: AccuracyMatrix,
}

/// Records one run.
pub struct Recorder {
    pub(super) lines: Lines,
    pub(super) benchmark: Arc<Benchmark>,
    tier: Tier,
    pub(super) keeper: Keeper,
    /// Set once the learner has declared its views.
    pub(super) scoring: Option<(Arc<Scorer>, Opener)>,
    /// Where scores between boundaries are wanted.
    pub(super) snapshots: Option<Snapshots>,
    pub(super) summary: Summary,
    growth: Growth,
    pub(super) union: bool,
    plugin_sha256: String,
    steps: u64,
    /// Experiences that are trained: one of a union.
    experiences: u32,
    pub(super) scores: Vec<Scores>,
    last: BTreeMap<usize, (After, Predictions)>,
    steps_per_second: Vec<Option<f64>>,
    peak_pss_bytes: Option<u64>,
    /// When it was last looked.
    pss_bytes: Option<u64>,
    pub(super) window: Window,
    started: String,
    /// CPU seconds of earlier processes of the run.
    cpu_seconds_before: f64,
    /// Step at which this process began.
    first_step: u64,
    resumed: u32,
    /// Process of the learner, where it has one of its own.
    pub(super) worker: Option<u32>,
    /// Of the learner that is trained.
    pub(super) compute: Compute,
    /// When memory was last looked at.
    looked: Instant,
}

impl Recorder {
    pub fn new(
        lines: Lines,
        keeper: Keeper,
        plan: &RunPlan,
        (benchmark, tier): (Arc<Benchmark>, Tier),
    ) -> Self {
        let summary = Summary::empty(plan, Outcome::Finished);
        let experiences = benchmark.experiences.len();
        Recorder {
            lines,
            benchmark,
            tier,
            keeper,
            scoring: None,
            snapshots: None,
            summary,
            growth: Growth::new(experiences),
            plugin_sha256: plan.plugin.sha256.clone(),
            union: false,
            steps: 0,
            experiences: experiences as u32,
            scores: Vec::new(),
            last: BTreeMap::new(),
            steps_per_second: vec![None; experiences],
            peak_pss_bytes: None,
            pss_bytes: None,
            window: Window::default(),
            started: utc_text(SystemTime::now()),
            cpu_seconds_before: 0.0,
            first_step: 0,
            resumed: 0,
            worker: None,
            compute: Compute::default(),
            looked: Instant::now(),
        }
    }

    /// The run begins.
    pub fn begun(&mut self) {
        self.lines.event(EventKind::RunBegun);
    }

    pub fn log_path(&self) -> PathBuf {
        self.lines.folder.log_path()
    }

    /// The learner has declared what it is. Its views are scored by instances of `opener`, snapshots by so many
    /// at a time.
    pub fn begin(&mut self, world: &World, (scorer, opener): (Scorer, Opener), lanes: usize) {
        let declaration = &world.declaration;
        self.summary.wishes = Some(declaration.wishes);
        self.union = declaration.wishes.stream == StreamShape::Union;
        let experiences = 0..world.benchmark.experiences.len();
        let epochs = u64::from(world.benchmark.epochs);
        self.steps = experiences.map(|e| world.benchmark.steps_per_epoch(e) * epochs).sum();
        self.experiences = world.benchmark.experiences.len() as u32;
        if self.union {
            self.steps_per_second = vec![None];
        }
        let all = self.benchmark.experiences.len();
        let by_steps = self.benchmark.scenario == Scenario::TaskFree;
        self.summary.scored_after_steps = by_steps.then(Vec::new);
        // Of a union only the last row exists.
        let rows =
            if self.union && !by_steps { vec![vec![None; all]; all - 1] } else { Vec::new() };
        for (view, declared) in declaration.views.iter().enumerate() {
            for scenario in scenarios_of(&self.benchmark, declared) {
                let matrix = AccuracyMatrix { initial: vec![None; all], rows: rows.clone() };
                self.scores.push(Scores { view, scenario, matrix });
            }
        }
        let views = declaration.views.iter();
        let empty = |view: &perdura_abi::message::View| ViewSummary {
            view: view.name.clone(),
            needs: view.needs,
            upper_bound: self.union,
            scenarios: Vec::new(),
        };
        self.summary.views = views.map(empty).collect();
        let scorer = Arc::new(scorer);
        if let Some(every) = world.benchmark.score_every.filter(|_| world.grants.boundaries) {
            let curves = self.scores.iter().map(|s| (s.view, s.scenario)).collect();
            let makers = (scorer.clone(), opener.beside());
            let interrupt = self.keeper.interrupt().clone();
            self.snapshots = Some(Snapshots::new((every, lanes), makers, curves, interrupt));
        }
        self.scoring = Some((scorer, opener));
    }

    /// The run goes on after `step` steps with what was recorded before, and with snapshots that were not
    /// scored yet; [`begin`](Recorder::begin) was called.
    pub fn restore(
        &mut self,
        results: Results,
        (step, waiting): (u64, BTreeMap<u64, Vec<u8>>),
        ledger: &mut Ledger,
    ) -> Result<(), Box<Fault>> {
        for (view, after) in results.last {
            let name = &results.summary.views[view].view;
            let predictions = self.lines.folder.predictions(after, name).map_err(results_fault)?;
            self.last.insert(view, (after, predictions));
        }
        for (scores, matrix) in self.scores.iter_mut().zip(results.matrices) {
            scores.matrix = matrix;
        }
        (self.summary, self.growth) = (results.summary, results.growth);
        (self.steps_per_second, self.peak_pss_bytes) =
            (results.steps_per_second, results.peak_pss_bytes);
        (self.started, self.cpu_seconds_before) = (results.started, results.cpu_seconds);
        (self.first_step, self.resumed) = (step, results.resumed + 1);
        ledger.add(&results.ledger);
        self.compute.add(results.learner_cpu_seconds);
        if let (Some(snapshots), Some(so_far)) = (&mut self.snapshots, results.anytime) {
            snapshots.restore(so_far, waiting);
        }
        self.lines.event(EventKind::RunResumed { step });
        Ok(())
    }

    pub(super) fn results(&self, ledger: &Ledger) -> Result<Results, RunError> {
        Ok(Results {
            summary: self.summary.clone(),
            growth: self.growth.clone(),
            matrices: self.scores.iter().map(|scores| scores.matrix.clone()).collect(),
            last: self.last.iter().map(|(view, (after, _))| (*view, *after)).collect(),
            anytime: self.snapshots.as_ref().map(Snapshots::so_far),
            steps_per_second: self.steps_per_second.clone(),
            peak_pss_bytes: self.peak_pss_bytes,
            spent: self.lines.spent(),
            cpu_seconds: self.cpu_seconds(),
            learner_cpu_seconds: self.compute.seconds(),
            ledger: ledger.clone(),
            started: self.started.clone(),
            resumed: self.resumed,
            events_bytes: self.lines.folder.events_bytes(),
            predictions: self.lines.folder.prediction_files()?,
        })
    }

    /// The learner is trained from now on. One in this process has no count of its own.
    pub fn training_begins(&mut self, port: &dyn LearnerPort) {
        let own = port.tier() != Tier::InProcess;
        self.worker = own.then(|| port.usage().map(|usage| usage.pid)).flatten();
        self.compute.begin(self.worker, port.looking_out());
    }

    /// The run was asked to end: it can be taken up after so many steps.
    pub fn interrupted(&mut self, step: u64) {
        self.lines.event(EventKind::RunInterrupted { step });
    }

    /// How far the run has come.
    pub(super) fn progress(&self, place: &Place) -> Progress {
        let steps_here = (place.step - self.first_step) as f64;
        Progress {
            step: place.step,
            steps: self.steps,
            experience: place.experience,
            experiences: self.experiences,
            steps_per_second: steps_here / self.lines.begun.elapsed().as_secs_f64(),
            memory_bytes: self.pss_bytes,
        }
    }

    pub(super) fn record(
        &mut self,
        after: After,
        view: usize,
        predictions: Option<Predictions>,
    ) -> Result<(), RunError> {
        let name = self.summary.views[view].view.clone();
        if let Some(predictions) = &predictions {
            self.lines.folder.write_predictions(after, &name, predictions)?;
        }
        let experiences = self.benchmark.experiences.len();
        for scores in self.scores.iter_mut().filter(|s| s.view == view) {
            let row: Row = match &predictions {
                Some(p) => accuracy_row(p, scores.scenario, experiences),
                None => vec![None; experiences],
            };
            let (experience, step) = match after {
                After::Initial => (None, None),
                After::Experience(index) => (Some(index as u32), None),
                After::Step(step) => (None, Some(step)),
            };
            self.lines.event(EventKind::Scored {
                after: experience,
                step,
                view: name.clone(),
                scenario: scores.scenario.to_string(),
                accuracy: row.clone(),
            });
            match after {
                After::Initial => scores.matrix.initial = row,
                After::Experience(_) | After::Step(_) => scores.matrix.rows.push(row),
            }
        }
        match predictions {
            Some(predictions) => self.last.insert(view, (after, predictions)),
            None => self.last.remove(&view),
        };
        Ok(())
    }

    /// Memory of this process, of the learner's and of `scored`, an instance that is being scored.
    pub(super) fn watch_memory(&mut self, scored: Option<&dyn LearnerPort>) {
        let pss = |pid: u32| Usage::of(pid).map(|usage| usage.pss_bytes);
        let scored = scored.filter(|port| port.tier() != Tier::InProcess);
        let scored = scored.and_then(|port| port.usage()).map_or(0, |usage| usage.pss_bytes);
        let learner = self.worker.and_then(pss).unwrap_or(0);
        let beside = self.snapshots.iter().flat_map(Snapshots::workers).filter_map(pss);
        let scored = scored + beside.sum::<u64>();
        let total = pss(std::process::id()).map(|own| own + learner + scored);
        self.peak_pss_bytes = self.peak_pss_bytes.max(total);
        self.pss_bytes = total;
        self.looked = Instant::now();
    }
}

impl Observer for Recorder {
    fn point(
        &mut self,
        point: &Point<'_>,
        port: &mut dyn LearnerPort,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Stop> {
        let (step, leave) = (desk.world.place.step, self.keeper.interrupt().asked());
        self.take_news();
        let row = point.score.row().filter(|_| !leave);
        let wanted = self.snapshots.as_ref().is_some_and(Snapshots::wanted);
        let snapshot = point.score == Score::Snapshot && wanted && !leave;
        if row.is_some() || snapshot {
            ledger.time(Activity::Save, || self.save(port, desk))?;
        }
        if self.keeper.is_due(point.stage, step) {
            match row.is_some() || snapshot {
                // One state serves checkpoint and scores.
                true => self.keep(point, None, desk, ledger)?,
                false => self.keep(point, Some(port), desk, ledger)?,
            }
        }
        if leave {
            return Err(Stop::Interrupted);
        }
        if snapshot {
            self.submit(desk, ledger);
        }
        let Some(after) = row else { return Ok(()) };
        let world = &desk.world;
        let last = world.place.experience as usize + 1 == world.benchmark.experiences.len();
        let at_end = point.stage == Stage::Ended && last;
        // Nothing comes behind the end of the stream at which snapshots could be kept.
        let settled = !at_end || self.settle(ledger);
        if !(settled && self.score(after, desk, ledger)?) {
            if self.keeper.is_due(point.stage, step) {
                self.keep(point, None, desk, ledger)?;
            }
            return Err(Stop::Interrupted);
        }
        if !at_end {
            // A whole state would lie in memory until the next one; of the last one the hash is kept.
            desk.saved = Vec::new();
        }
        Ok(())
    }

    fn experience_begun(&mut self, place: &Place, samples: u64) {
        let (experience, epochs) = (place.experience, place.epochs);
        tracing::info!(experience, samples, epochs, "experience begins");
        self.lines.event(EventKind::ExperienceBegun { experience, samples, epochs });
    }

    fn experience_ended(&mut self, place: &Place, steps: u64, seconds: f64) {
        let experience = place.experience;
        let speed = steps as f64 / seconds;
        tracing::info!(experience, steps, speed, "experience ended");
        self.steps_per_second[experience as usize] = Some(speed);
        let step = place.step;
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.experience_ended(step);
        }
        self.lines.event(EventKind::ExperienceEnded { experience, steps, step });
    }

    fn epoch_ended(&mut self, place: &Place, steps: u64, means: BTreeMap<String, f64>) {
        let (experience, epoch) = (place.experience, place.epoch);
        tracing::debug!(experience, epoch, steps, "epoch ended");
        let scalars = means.into_iter().map(|(k, v)| (k, v.is_finite().then_some(v))).collect();
        self.lines.event(EventKind::EpochEnded { experience, epoch, steps, scalars });
    }

    fn learner_event(&mut self, place: &Place, event: EventMsg) {
        let step = place.step;
        self.growth.follow(&event, step, place.experience as usize);
        self.lines.event(EventKind::Learner { step, report: event.clone() });
        self.summary.events.push(LearnerEvent { step, event });
    }

    fn step_ended(&mut self, place: &Place, scalars: &BTreeMap<String, f64>) {
        if let Some(scalars) = self.window.add(place.step, scalars) {
            // Speed and memory are told with the means, however short the run is.
            self.lines.progress(self.progress(place));
            self.lines.event(EventKind::Trained { step: place.step, scalars });
        }
        if self.looked.elapsed() >= LOOK_EVERY {
            self.watch_memory(None);
        }
        if self.lines.wants_progress() {
            self.lines.progress(self.progress(place));
        }
    }
}
