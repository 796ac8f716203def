//! What the recorder writes at a point of a run: the checkpoint, and the scores.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::table::Op;
use std::time::Instant;

use super::ledger::{Activity, Ledger};
use super::recorder::Recorder;
use super::snapshots::{Fresh, Snapshots};
use super::standing::Point;
use super::{Desk, fault_of, stored_fault};
use crate::run::{After, EventKind, Fault, RunError};
use crate::score::{Around, ScoreFault};
use crate::worker::LearnerPort;

impl Recorder {
    /// Has the learner save its state into `desk.saved`.
    pub fn save(&mut self, port: &mut dyn LearnerPort, desk: &mut Desk) -> Result<(), Box<Fault>> {
        desk.saved.clear();
        let mut reply = MessageBuf::new();
        self.compute.pause();
        let saved = port.call(Op::SAVE, &MessageBuf::new(), desk, &mut reply);
        self.compute.go_on();
        saved.map_err(|fault| fault_of(&desk.world, Op::SAVE, fault))
    }

    /// Writes a checkpoint: with the state in `desk.saved`, or, given the learner, with the one it saves now.
    /// That it cannot be written does not stop the run.
    pub fn keep(
        &mut self,
        point: &Point<'_>,
        learner: Option<&mut dyn LearnerPort>,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Box<Fault>> {
        let begun = Instant::now();
        let results = self.results(ledger);
        let waiting = self.snapshots.iter().flat_map(Snapshots::in_flight);
        let opened =
            results.and_then(|results| self.keeper.begin(point, &desk.world, (results, waiting)));
        let at = (point.stage, desk.world.place.step);
        let written = match (opened, learner) {
            (Ok(writer), Some(port)) => {
                desk.checkpoint = Some(writer);
                let saved = self.save(port, desk);
                let writer = desk.checkpoint.take().expect("put there above");
                saved?;
                self.keeper.finish(writer, at, begun)
            }
            (Ok(mut writer), None) => {
                writer.put(&desk.saved);
                self.keeper.finish(writer, at, begun)
            }
            (Err(error), _) => Err(error),
        };
        if let Err(error) = written {
            self.keeper.rest(begun);
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            self.lines.remark(format!("no checkpoint after {} steps: {error}{cause}", at.1));
        }
        ledger.since(Activity::Checkpoint, begun);
        Ok(())
    }

    /// Has the state in `desk.saved` scored while training goes on.
    pub fn submit(&mut self, desk: &mut Desk, ledger: &mut Ledger) {
        let Some(snapshots) = &mut self.snapshots else { return };
        let (place, state) = (desk.world.place, std::mem::take(&mut desk.saved));
        let submit = || snapshots.submit(place.step, place.experience as usize, state);
        let fresh = ledger.time(Activity::Snapshots, submit);
        fresh.into_iter().for_each(|fresh| self.tell(fresh));
    }

    /// Tells which snapshots were scored since.
    pub fn take_news(&mut self) {
        let fresh = self.snapshots.as_mut().map(Snapshots::news).unwrap_or_default();
        fresh.into_iter().for_each(|fresh| self.tell(fresh));
    }

    /// Waits until all snapshots are scored. `false`: the run is to end, and some are not.
    pub fn settle(&mut self, ledger: &mut Ledger) -> bool {
        let Some(snapshots) = &mut self.snapshots else { return true };
        let mut fresh = Vec::new();
        let settle = || snapshots.settle(&mut |scored| fresh.push(scored));
        let settled = ledger.time(Activity::Snapshots, settle);
        fresh.into_iter().for_each(|fresh| self.tell(fresh));
        settled
    }

    fn tell(&mut self, Fresh { step, accuracy }: Fresh) {
        for (scores, accuracy) in self.scores.iter().zip(accuracy) {
            let view = self.summary.views[scores.view].view.clone();
            let scenario = scores.scenario.to_string();
            self.lines.event(EventKind::ScoredAnytime { step, view, scenario, accuracy });
        }
    }

    /// Scores the state in `desk.saved`. `false`: the run is to end, and nothing was recorded.
    pub fn score(
        &mut self,
        after: After,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<bool, Box<Fault>> {
        // The union ends where the last experience does.
        let after = match after {
            After::Experience(_) if self.union => {
                After::Experience(self.benchmark.experiences.len() - 1)
            }
            after => after,
        };
        self.summary.state_bytes = desk.saved.len() as u64;
        let interrupt = self.keeper.interrupt().clone();
        let (scorer, mut opener) = self.scoring.take().expect("views are declared before training");
        let scored = {
            let mut open = |create: &_| opener.open(create);
            let mut look = |scored: &dyn LearnerPort| self.watch_memory(Some(scored));
            let (open, look) = (&mut open, &mut look);
            let around = Around { open, look, interrupt: &interrupt, ledger: &mut *ledger };
            scorer.score(&desk.saved, after, around)
        };
        self.scoring = Some((scorer, opener));
        let scored = match scored {
            Err(ScoreFault::Interrupted) => return Ok(false),
            scored => scored.map_err(score_fault)?,
        };
        if let (After::Step(step), Some(steps)) = (after, &mut self.summary.scored_after_steps) {
            steps.push(step);
        }
        for view in scored {
            let written =
                ledger.time(Activity::Results, || self.record(after, view.view, view.predictions));
            written.map_err(results_fault)?;
        }
        ledger.time(Activity::Results, || self.keep_partial(&desk.world));
        self.lines.progress(self.progress(&desk.world.place));
        Ok(true)
    }
}

/// A state that could not be scored, as it is kept with the run.
pub fn score_fault(fault: ScoreFault) -> Box<Fault> {
    match fault {
        ScoreFault::Call(fault) => stored_fault(None, fault),
        ScoreFault::Answer { code, .. } => {
            Box::new(Fault::new(code, "predict", "answer", fault.to_string()))
        }
        ScoreFault::Interrupted => unreachable!("it is no fault, and was looked for before"),
    }
}

pub fn results_fault(error: RunError) -> Box<Fault> {
    Box::new(Fault::of_results(&error))
}
