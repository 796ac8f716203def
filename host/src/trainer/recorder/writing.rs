//! What a run leaves in its folder beside predictions and events: summary and resources at its end,
//! and the summary so far, for the case that its process dies.

use perdura_abi::message::ResourcesReply;
use sha2::{Digest, Sha256};

use super::{Recorder, Scores};
use crate::run::{
    Anytime, AnytimeSummary, EventKind, Fault, Machine, Metrics, Outcome, Resources, RunError,
    Summary,
};
use crate::score::{Scored, StreamFacts, curve_of, summarise};
use crate::trainer::ledger::Ledger;
use crate::trainer::snapshots::Snapshots;
use crate::trainer::world::World;

impl Recorder {
    /// The learner is done, or has failed. `state` is what it saved at the end of the stream.
    pub fn end(&mut self, world: &World, claimed: ResourcesReply, state: Option<&[u8]>) {
        let digest = |state| Sha256::digest(state).iter().map(|b| format!("{b:02x}")).collect();
        self.summary.state_sha256 = state.map(digest);
        self.summary.steps = world.place.step;
        self.summary.memory_bytes = world.memory.as_ref().map_or(0, |m| m.bytes());
        self.summary.claimed_bytes = claimed.bytes;
    }

    /// Writes summary and resources. A finished run needs no checkpoints.
    pub fn finish(&mut self, outcome: Outcome, ledger: &Ledger) -> Result<(), RunError> {
        match &outcome {
            Outcome::Finished => {
                self.lines.event(EventKind::RunFinished { steps: self.summary.steps })
            }
            Outcome::Failed(fault) => {
                self.lines.event(EventKind::RunFailed { fault: fault.clone() })
            }
        }
        let anytime = self.snapshots.as_ref().map(Snapshots::result);
        if let Some((anytime, _)) = &anytime {
            self.lines.folder.write_anytime(anytime)?;
        }
        let summary = self.summary_so_far(outcome, anytime.as_ref());
        let fault = match &summary.outcome {
            Outcome::Failed(fault) => Some(fault.traces.clone()),
            Outcome::Finished => None,
        };
        let seconds = self.lines.spent().as_secs_f64();
        let resources = Resources {
            format: Resources::FORMAT,
            seconds,
            cpu_seconds: self.cpu_seconds(),
            learner_cpu_seconds: self.compute.seconds(),
            peak_pss_bytes: self.peak_pss_bytes,
            tier: self.tier.name().into(),
            machine: Machine::here(),
            started: self.started.clone(),
            ledger: ledger.seconds(seconds),
            steps_per_second: std::mem::take(&mut self.steps_per_second),
            resumed: self.resumed,
            snapshot_seconds: self.snapshots.as_ref().map(|s| s.worked().as_secs_f64()),
            check: crate::check::note_of(&self.plugin_sha256),
            fault,
        };
        self.lines.folder.finish(&summary, &resources)?;
        if summary.outcome == Outcome::Finished
            && let Err(error) = self.keeper.remove()
        {
            tracing::warn!("checkpoints are left: {error}");
        }
        Ok(())
    }

    /// The summary if the run ended now, with what was scored between boundaries.
    fn summary_so_far(
        &self,
        outcome: Outcome,
        anytime: Option<&(Anytime, AnytimeSummary)>,
    ) -> Summary {
        let mut summary = Summary { outcome, ..self.summary.clone() };
        let truth: Vec<Option<u32>> = self.benchmark.experiences.iter().map(|e| e.group).collect();
        summary.grouping = self.growth.grouping(&truth);
        summary.growth = self.growth.networks();
        summary.anytime = anytime.map(|(_, scored)| scored.clone());
        // Points that break off are not the whole curve.
        let whole = anytime.filter(|(_, scored)| scored.fault.is_none());
        let facts = StreamFacts::of(&self.benchmark);
        for Scores { view, scenario, matrix } in &self.scores {
            let last = self.last.get(view).map(|(_, predictions)| predictions);
            let (name, of) = (&summary.views[*view].view, scenario.to_string());
            let curve = whole.and_then(|(anytime, _)| curve_of(anytime, (name, &of), &matrix.rows));
            let (scenario, matrix, curve) = (*scenario, matrix.clone(), curve.as_ref());
            let mut scores = summarise(&facts, Scored { scenario, matrix, last, curve });
            // The last row of a stream that broke off is not its end.
            if summary.scored_after_steps.is_some() && summary.outcome != Outcome::Finished {
                scores.metrics = Metrics::default();
            }
            summary.views[*view].scenarios.push(scores);
        }
        summary
    }

    /// Writes down what has been scored until now, so that it outlives this process. That it cannot be
    /// written does not stop the run.
    pub(in crate::trainer) fn keep_partial(&mut self, world: &World) {
        let outcome = Outcome::Failed(Fault::unfinished());
        let mut summary = self.summary_so_far(outcome, None);
        summary.steps = world.place.step;
        summary.memory_bytes = world.memory.as_ref().map_or(0, |memory| memory.bytes());
        if let Err(error) = self.lines.folder.write_partial(&summary) {
            self.lines.remark(format!("what was scored is not in the summary so far: {error}"));
        }
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        self.cpu_seconds_before + cpu_seconds_with_children()
    }
}

/// User and system time of this process and of the workers that have ended, in steps of 10 ms.
pub(super) fn cpu_seconds_with_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 to 17; the name in field 2 may hold spaces and brackets.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let ticks: f64 = fields.skip(11).take(4).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}
