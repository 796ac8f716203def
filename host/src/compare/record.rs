//! One run as a comparison sees it.

use perdura_abi::message::ViewNeeds;

use crate::run::{
    Fault, Outcome, Resources, RunError, RunFolder, RunPlan, ScenarioSummary, Summary, ViewSummary,
};
use crate::worker::FaultTraces;

/// One run: its plan, and what it left if it came to an end.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub plan: RunPlan,
    /// Of a run that did not end, what it has brought so far, if that is anything: it counts as failed.
    pub summary: Option<Summary>,
    pub resources: Option<Resources>,
}

impl RunRecord {
    /// Reads the files of a run.
    pub fn read(folder: &RunFolder) -> Result<RunRecord, RunError> {
        Ok(RunRecord {
            plan: folder.plan()?,
            summary: folder.summary()?.or_else(|| folder.partial()),
            resources: folder.resources()?,
        })
    }

    /// The summary of a run that finished.
    pub(crate) fn finished(&self) -> Option<&Summary> {
        self.summary.as_ref().filter(|summary| summary.outcome == Outcome::Finished)
    }

    /// Why the run did not finish; `None` if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.summary.as_ref().map(|summary| &summary.outcome) {
            Some(Outcome::Finished) => None,
            Some(Outcome::Failed(fault)) => Some(fault.clone()),
            None => Some(Fault::unfinished()),
        }
    }

    /// What its fault left; where a learner of its own process had no time to be looked at, the memory of
    /// all processes together as it was seen last.
    pub(crate) fn traces(&self) -> FaultTraces {
        let resources = self.resources.as_ref();
        let traces = resources.and_then(|resources| resources.fault.clone()).unwrap_or_default();
        let seen = resources.and_then(|resources| resources.peak_pss_bytes);
        FaultTraces { peak_memory_bytes: traces.peak_memory_bytes.or(seen), ..traces }
    }

    /// `finished`, `failed` or `unfinished`.
    pub(crate) fn status(&self) -> &'static str {
        match self.summary.as_ref().map(|summary| &summary.outcome) {
            Some(Outcome::Finished) => "finished",
            Some(Outcome::Failed(fault)) if !fault.is_unfinished() => "failed",
            Some(Outcome::Failed(_)) | None => "unfinished",
        }
    }

    /// Scores of a finished run under (view, scenario).
    pub(crate) fn scores(&self, view: &str, scenario: &str) -> Option<&ScenarioSummary> {
        let view = self.finished()?.views.iter().find(|candidate| candidate.view == view)?;
        view.scenarios.iter().find(|candidate| candidate.scenario == scenario)
    }
}

/// The runs of one method, or of one arm of it, by seed.
pub(crate) struct MethodRuns<'a> {
    /// Full id, or the name of the arm.
    pub method: &'a str,
    pub runs: Vec<&'a RunRecord>,
}

impl MethodRuns<'_> {
    /// The view by which the method is compared: the first that is not told the true group, because
    /// no method knows that outside an experiment. From the first run whose views are known.
    pub fn headline(&self) -> Option<&ViewSummary> {
        let known = |run: &&RunRecord| run.summary.as_ref().is_some_and(|s| !s.views.is_empty());
        let finished = self.runs.iter().copied().filter(|run| run.finished().is_some()).find(known);
        let run = finished.or_else(|| self.runs.iter().copied().find(known))?;
        let views = &run.summary.as_ref()?.views;
        views.iter().find(|view| view.needs != ViewNeeds::TrueGroup)
    }
}

/// The records by method or arm, in the order in which methods first appear, each ordered by seed.
pub(crate) fn by_method<'a>(
    records: impl IntoIterator<Item = &'a RunRecord>,
) -> Vec<MethodRuns<'a>> {
    let mut methods: Vec<MethodRuns<'a>> = Vec::new();
    for record in records {
        match methods.iter_mut().find(|group| group.method == record.plan.arm()) {
            Some(group) => group.runs.push(record),
            None => methods.push(MethodRuns { method: record.plan.arm(), runs: vec![record] }),
        }
    }
    for group in &mut methods {
        group.runs.sort_by_key(|run| run.plan.seed);
    }
    methods
}

/// Scenarios in the order of tables; unknown ones last.
pub(crate) fn scenario_rank(scenario: &str) -> usize {
    let order = ["class-il", "task-il", "domain-il", "task-free"];
    order.iter().position(|known| *known == scenario).unwrap_or(order.len())
}
