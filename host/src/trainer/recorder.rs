//! Writes a run down while it goes on: events, predictions, matrices, and at the end summary and resources.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{EventMsg, ResourcesReply, StreamShape};
use perdura_abi::table::Op;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::execute::Opener;
use super::growth::Growth;
use super::ledger::{Activity, Ledger};
use super::world::{Place, World};
use super::{Desk, Observer, fault_of};
use crate::metrics::AccuracyMatrix;
use crate::run::{
    After, Event, EventKind, Fault, LearnerEvent, Machine, Metrics, Outcome, Predictions,
    Resources, RunError, RunFolder, RunPlan, Summary, ViewSummary, utc_text,
};
use crate::score::{
    Around, Row, ScoreFault, Scorer, StreamFacts, accuracy_row, scenarios_of, summarise,
};
use crate::stream::{Benchmark, Scenario};
use crate::worker::{LearnerPort, Tier, Usage};

/// A line on the standard output of a run's process.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(untagged)]
pub enum Line {
    Event(Event),
    Progress(Progress),
}

/// How far a run has come.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub step: u64,
    pub steps: u64,
    pub experience: u32,
    pub experiences: u32,
    pub steps_per_second: f64,
}

/// Least time between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Where events go: the folder of the run, and standard output for the host that waits for it.
pub struct Lines {
    folder: RunFolder,
    begun: Instant,
    told: Option<Instant>,
    tell: bool,
}

impl Lines {
    pub fn new(folder: RunFolder, tell: bool) -> Self {
        Lines { folder, begun: Instant::now(), told: None, tell }
    }

    fn event(&mut self, what: EventKind) {
        let event = Event { at_ms: self.begun.elapsed().as_millis() as u64, what };
        if let Err(error) = self.folder.append_event(&event) {
            // Events are a convenience: the summary is what must not be lost.
            tracing::warn!("event not written: {error}");
        }
        self.print(&Line::Event(event));
    }

    fn progress(&mut self, progress: impl FnOnce() -> Progress) {
        if self.tell && self.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            self.told = Some(Instant::now());
            self.print(&Line::Progress(progress()));
        }
    }

    fn print(&self, line: &Line) {
        if self.tell {
            let text = serde_json::to_string(line).expect("lines are plain data");
            // Nobody has to listen.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }
}

/// Accuracies of one view in one scenario, as they come in.
struct Scores {
    view: usize,
    scenario: Scenario,
    matrix: AccuracyMatrix,
}

/// Records one run.
pub struct Recorder<'a> {
    lines: Lines,
    benchmark: Arc<Benchmark>,
    tier: Tier,
    /// Set once the learner has declared its views.
    pub scoring: Option<(Scorer, Opener<'a>)>,
    summary: Summary,
    growth: Growth,
    union: bool,
    steps: u64,
    scores: Vec<Scores>,
    last: BTreeMap<usize, Predictions>,
    steps_per_second: Vec<Option<f64>>,
    peak_pss_bytes: Option<u64>,
}

impl<'a> Recorder<'a> {
    pub fn new(mut lines: Lines, plan: &RunPlan, benchmark: Arc<Benchmark>, tier: Tier) -> Self {
        lines.event(EventKind::RunBegun);
        let summary = Summary::empty(plan, Outcome::Finished);
        let experiences = benchmark.experiences.len();
        Recorder {
            lines,
            benchmark,
            tier,
            scoring: None,
            summary,
            growth: Growth::new(experiences),
            union: false,
            steps: 0,
            scores: Vec::new(),
            last: BTreeMap::new(),
            steps_per_second: vec![None; experiences],
            peak_pss_bytes: None,
        }
    }

    pub fn log_path(&self) -> PathBuf {
        self.lines.folder.log_path()
    }

    /// The learner has declared what it is.
    pub fn begin(&mut self, world: &World) {
        let declaration = &world.declaration;
        self.summary.wishes = Some(declaration.wishes);
        self.union = declaration.wishes.stream == StreamShape::Union;
        let experiences = 0..world.benchmark.experiences.len();
        let epochs = u64::from(world.benchmark.epochs);
        self.steps = experiences.map(|e| world.benchmark.steps_per_epoch(e) * epochs).sum();
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
    }

    /// The learner is done, or has failed.
    pub fn end(&mut self, world: &World, claimed: ResourcesReply) {
        self.summary.steps = world.place.step;
        self.summary.memory_bytes = world.memory.as_ref().map_or(0, |m| m.bytes());
        self.summary.claimed_bytes = claimed.bytes;
    }

    /// Writes summary and resources.
    pub fn finish(
        &mut self,
        outcome: Outcome,
        ledger: &Ledger,
        started: SystemTime,
    ) -> Result<(), RunError> {
        match &outcome {
            Outcome::Finished => {
                self.lines.event(EventKind::RunFinished { steps: self.summary.steps })
            }
            Outcome::Failed(fault) => {
                self.lines.event(EventKind::RunFailed { fault: fault.clone() })
            }
        }
        let mut summary = self.summary.clone();
        summary.outcome = outcome;
        let truth: Vec<Option<u32>> = self.benchmark.experiences.iter().map(|e| e.group).collect();
        summary.grouping = self.growth.grouping(&truth);
        summary.growth = self.growth.networks();
        let facts = StreamFacts::of(&self.benchmark);
        for Scores { view, scenario, matrix } in std::mem::take(&mut self.scores) {
            let last = self.last.get(&view);
            let mut scores = summarise(&facts, scenario, matrix, last);
            // The last row of a stream that broke off is not its end.
            if summary.scored_after_steps.is_some() && summary.outcome != Outcome::Finished {
                scores.metrics = Metrics::default();
            }
            summary.views[view].scenarios.push(scores);
        }
        let seconds = started.elapsed().unwrap_or_default().as_secs_f64();
        let resources = Resources {
            format: Resources::FORMAT,
            seconds,
            cpu_seconds: cpu_seconds_with_children(),
            peak_pss_bytes: self.peak_pss_bytes,
            tier: self.tier.name().into(),
            machine: Machine::here(),
            started: utc_text(started),
            ledger: ledger.seconds(seconds),
            steps_per_second: std::mem::take(&mut self.steps_per_second),
        };
        self.lines.folder.finish(&summary, &resources)
    }

    fn record(
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
            Some(predictions) => self.last.insert(view, predictions),
            None => self.last.remove(&view),
        };
        Ok(())
    }

    fn watch_memory(&mut self, ports: &[&dyn LearnerPort]) {
        let own = Usage::of(std::process::id()).map(|u| u.pss_bytes);
        let others = ports.iter().filter(|p| p.tier() != Tier::InProcess);
        let others: u64 = others.filter_map(|p| p.usage()).map(|u| u.pss_bytes).sum();
        let total = own.map(|own| own + others);
        self.peak_pss_bytes = self.peak_pss_bytes.max(total);
    }
}

impl Observer for Recorder<'_> {
    fn score(
        &mut self,
        after: After,
        port: &mut dyn LearnerPort,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Box<Fault>> {
        // The union ends where the last experience does.
        let after = match after {
            After::Experience(_) if self.union => {
                After::Experience(self.benchmark.experiences.len() - 1)
            }
            after => after,
        };
        if let (After::Step(step), Some(steps)) = (after, &mut self.summary.scored_after_steps) {
            steps.push(step);
        }
        desk.saved.clear();
        let mut reply = MessageBuf::new();
        ledger
            .time(Activity::Save, || port.call(Op::SAVE, &MessageBuf::new(), desk, &mut reply))
            .map_err(|fault| fault_of(&desk.world, Op::SAVE, fault))?;
        let state = std::mem::take(&mut desk.saved);
        self.summary.state_bytes = state.len() as u64;
        let (scorer, mut opener) = self.scoring.take().expect("views are declared before training");
        let scored = {
            let mut open = |create: &_| opener.open(create);
            let mut look = |scored: &dyn LearnerPort| {
                let others: &[&dyn LearnerPort] = &[&*port, scored];
                self.watch_memory(others);
            };
            let around = Around { open: &mut open, look: &mut look, ledger: &mut *ledger };
            scorer.score(&state, after, around)
        };
        self.scoring = Some((scorer, opener));
        desk.saved = state;
        for view in scored.map_err(score_fault)? {
            let written =
                ledger.time(Activity::Results, || self.record(after, view.view, view.predictions));
            written.map_err(results_fault)?;
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
        self.lines.event(EventKind::ExperienceEnded { experience, steps });
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

    fn step_ended(&mut self, place: &Place) {
        let (steps, experiences) = (self.steps, self.benchmark.experiences.len() as u32);
        let begun = self.lines.begun;
        self.lines.progress(|| Progress {
            step: place.step,
            steps,
            experience: place.experience,
            experiences,
            steps_per_second: place.step as f64 / begun.elapsed().as_secs_f64(),
        });
    }
}

fn score_fault(fault: ScoreFault) -> Box<Fault> {
    match fault {
        ScoreFault::Call(fault) => super::stored_fault(None, fault),
        ScoreFault::Answer { .. } => {
            let (call, kind) = ("predict".into(), "answer".into());
            Box::new(Fault { call, kind, message: fault.to_string(), ..Fault::default() })
        }
    }
}

fn results_fault(error: RunError) -> Box<Fault> {
    let (call, kind) = ("results".into(), "host".into());
    Box::new(Fault { call, kind, message: error.to_string(), ..Fault::default() })
}

/// User and system time of this process and of the workers that have ended, in steps of 10 ms.
fn cpu_seconds_with_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 to 17; the name in field 2 may hold spaces and brackets.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let ticks: f64 = fields.skip(11).take(4).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}
