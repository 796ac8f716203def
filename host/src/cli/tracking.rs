//! `--mlflow`: what runs report, to a tracking server, while they go on. How a server is spoken to is
//! [`crate::mlflow`]'s.

use std::path::PathBuf;

use super::curves;
use crate::mlflow::{Mlflow, RunStatus, Times};
use crate::run::{EventKind, Outcome};
use crate::schedule::Watcher;
use crate::trainer::{Ended, Line, Progress};

/// Passes on to a server what runs report.
pub struct Tracking {
    /// Until all is said.
    server: Option<Mlflow>,
    runs: Vec<Run>,
    notes: Vec<String>,
}

struct Run {
    folder: PathBuf,
    /// Steps that were done when an experience ended, or when the run was taken up.
    step: u64,
    progress: Progress,
}

impl Tracking {
    /// For runs in these folders, to the server at this address, which was checked.
    pub fn new(uri: &str, folders: impl Iterator<Item = PathBuf>) -> Tracking {
        let run = |folder| Run { folder, step: 0, progress: Progress::default() };
        let server = Some(Mlflow::new(uri, Times::default()));
        Tracking { server, runs: folders.map(run).collect(), notes: Vec::new() }
    }
}

impl Watcher for Tracking {
    fn started(&mut self, job: usize, name: &str) {
        if let Some(server) = &self.server {
            server.begin(job, name, self.runs[job].folder.clone());
        }
    }

    fn line(&mut self, job: usize, line: &Line) {
        let values = self.runs[job].values(line);
        if let (Some(server), Some((step, values))) = (&self.server, values) {
            server.metrics(job, step, values);
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        let status = match ended {
            Ended::Outcome(Outcome::Finished) => RunStatus::Finished,
            Ended::Outcome(Outcome::Failed(_)) => RunStatus::Failed,
            Ended::Interrupted => RunStatus::Killed,
        };
        if let Some(server) = &self.server {
            server.end(job, status);
        }
    }

    fn finished(&mut self) {
        self.notes = self.notes();
        self.notes.extend(self.server.take().map(Mlflow::finish).unwrap_or_default());
    }

    fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.server.as_ref().map(Mlflow::notes).unwrap_or_default());
        notes
    }
}

impl Run {
    /// What a line has to show, and after how many steps of the run.
    fn values(&mut self, line: &Line) -> Option<(u64, Vec<(String, f64)>)> {
        let event = match line {
            Line::Event(event) => event,
            Line::Progress(progress) => {
                self.progress = progress.clone();
                return None;
            }
        };
        match &event.what {
            EventKind::Trained { step, scalars } => {
                let mut values = curves::scalars("training", scalars);
                let memory = self.progress.memory_bytes.map(|bytes| bytes as f64);
                values.extend(memory.map(|bytes| ("memory_bytes".into(), bytes)));
                if self.progress.steps_per_second > 0.0 {
                    values.push(("steps_per_second".into(), self.progress.steps_per_second));
                }
                Some((*step, values))
            }
            EventKind::ExperienceEnded { experience, step, .. } => {
                self.step = *step;
                Some((*step, vec![("experience".into(), f64::from(*experience) + 1.0)]))
            }
            EventKind::RunResumed { step } => {
                self.step = *step;
                None
            }
            what @ EventKind::Scored { step, .. } => {
                Some((step.unwrap_or(self.step), curves::scores(what)?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Event;

    #[test]
    fn scores_stand_at_the_step_at_which_they_were_taken() {
        let mut run = Run { folder: PathBuf::new(), step: 0, progress: Progress::default() };
        let mut at = |what| Some(run.values(&Line::Event(Event { at_ms: 0, what }))?.0);
        let scored = |after, step| EventKind::Scored {
            after,
            step,
            view: "main".into(),
            scenario: "class-il".into(),
            accuracy: vec![Some(0.5)],
        };
        assert_eq!(at(scored(None, None)), Some(0));
        assert_eq!(at(EventKind::ExperienceEnded { experience: 0, steps: 27, step: 27 }), Some(27));
        assert_eq!(at(scored(Some(0), None)), Some(27));
        assert_eq!(at(scored(None, Some(40))), Some(40));
        assert_eq!(at(EventKind::RunResumed { step: 54 }), None);
        assert_eq!(at(scored(Some(1), None)), Some(54));
    }

    #[test]
    fn speed_and_memory_come_with_the_scalars() {
        let mut run = Run { folder: PathBuf::new(), step: 0, progress: Progress::default() };
        let memory_bytes = Some(1024);
        let progress = Progress { steps_per_second: 2.0, memory_bytes, ..Progress::default() };
        assert_eq!(run.values(&Line::Progress(progress)), None);
        let scalars = [("loss".to_owned(), Some(0.5))].into();
        let what = EventKind::Trained { step: 100, scalars };
        let values = run.values(&Line::Event(Event { at_ms: 0, what }));
        let value = |name: &str, value| (name.to_owned(), value);
        let expected = vec![
            value("training/loss", 0.5),
            value("memory_bytes", 1024.0),
            value("steps_per_second", 2.0),
        ];
        assert_eq!(values, Some((100, expected)));
    }
}
