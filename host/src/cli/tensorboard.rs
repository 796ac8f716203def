//! `--tensorboard`: what runs report, as event files beside their results, while they go on.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::curves;
use crate::report::EventFile;
use crate::run::{Event, EventKind};
use crate::schedule::Watcher;
use crate::trainer::{Ended, Line};

/// Folder of the event files in that of a run.
pub const FOLDER: &str = "tensorboard";

/// Writes down what runs report.
pub struct TensorBoard {
    runs: Vec<Writer>,
}

/// The event file of one run.
struct Writer {
    folder: PathBuf,
    file: Option<EventFile>,
    epochs: u64,
    complained: bool,
    notes: Vec<String>,
}

impl TensorBoard {
    /// For runs in these folders.
    pub fn new<'b>(folders: impl Iterator<Item = &'b Path>) -> Self {
        TensorBoard { runs: folders.map(Writer::new).collect() }
    }
}

impl Watcher for TensorBoard {
    fn started(&mut self, _: usize, _: &str) {}

    fn line(&mut self, job: usize, line: &Line) {
        if let Line::Event(event) = line {
            self.runs[job].write(event);
        }
    }

    fn ended(&mut self, _: usize, _: &Ended) {}

    fn notes(&mut self) -> Vec<String> {
        self.runs.iter_mut().flat_map(|run| std::mem::take(&mut run.notes)).collect()
    }
}

impl Writer {
    fn new(folder: &Path) -> Writer {
        Writer {
            folder: folder.join(FOLDER),
            file: None,
            epochs: 0,
            complained: false,
            notes: Vec::new(),
        }
    }

    /// Trouble is said once and stops nothing; every further event tries again.
    fn write(&mut self, event: &Event) {
        let Some((step, scalars)) = self.scalars(event) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut try_it = || {
            if self.file.is_none() {
                self.file = Some(EventFile::create(&self.folder, now)?);
            }
            self.file.as_mut().expect("made above").scalars(now, step, &scalars)
        };
        if let Err(error) = try_it() {
            self.file = None;
            if !self.complained {
                let folder = self.folder.display();
                self.notes.push(format!("no events for TensorBoard in {folder}: {error}"));
                self.complained = true;
            }
        }
    }

    /// What an event has to show: scalars over epochs and over steps, accuracies over experiences or
    /// steps.
    fn scalars(&mut self, event: &Event) -> Option<(u64, Vec<(String, f64)>)> {
        match &event.what {
            EventKind::EpochEnded { scalars, .. } => {
                self.epochs += 1;
                Some((self.epochs, curves::scalars("training", scalars)))
            }
            EventKind::Trained { step, scalars } => {
                Some((*step, curves::scalars("training-steps", scalars)))
            }
            what @ EventKind::Scored { after, step, .. } => {
                let at = after.map(|after| u64::from(after) + 1).or(*step)?;
                Some((at, curves::scores(what)?))
            }
            EventKind::ScoredAnytime { step, view, scenario, accuracy } => {
                let begun: Vec<f64> = accuracy.iter().flatten().copied().collect();
                let name = format!("{scenario}/{view}/accuracy-between-boundaries");
                Some((*step, vec![(name, crate::stats::mean(&begun)?)]))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: EventKind) -> Event {
        Event { at_ms: 0, what }
    }

    fn scored(after: Option<u32>, step: Option<u64>) -> Event {
        let (view, scenario) = ("main".into(), "class-il".into());
        let accuracy = vec![Some(0.5)];
        event(EventKind::Scored { after, step, view, scenario, accuracy })
    }

    #[test]
    fn scores_are_over_experiences_or_steps() {
        let mut writer = Writer::new(Path::new("nowhere"));
        let mut at = |after, step| Some(writer.scalars(&scored(after, step))?.0);
        assert_eq!(at(Some(0), None), Some(1));
        assert_eq!(at(None, Some(40)), Some(40));
        assert_eq!(at(None, None), None, "before training there is no step");
    }

    #[test]
    fn scores_between_boundaries_are_over_what_has_begun_by_step() {
        let (view, scenario) = ("main".into(), "class-il".into());
        let accuracy = vec![Some(0.5), Some(0.25), None];
        let what = EventKind::ScoredAnytime { step: 30, view, scenario, accuracy };
        let tagged = ("class-il/main/accuracy-between-boundaries".to_owned(), 0.375);
        let mut writer = Writer::new(Path::new("nowhere"));
        assert_eq!(writer.scalars(&event(what)), Some((30, vec![tagged])));
    }

    #[test]
    fn epochs_count_over_all_experiences() {
        let mut writer = Writer::new(Path::new("nowhere"));
        let mut epoch = |value| {
            let scalars = [("loss".to_owned(), value)].into();
            let what = EventKind::EpochEnded { experience: 0, epoch: 0, steps: 1, scalars };
            writer.scalars(&event(what)).unwrap()
        };
        assert_eq!(epoch(Some(0.5)), (1, vec![("training/loss".into(), 0.5)]));
        assert_eq!(epoch(None), (2, vec![]));
    }

    #[test]
    fn trouble_is_survived_said_once_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensorboard");
        std::fs::write(&path, "in the way").unwrap();
        let mut board = TensorBoard::new([folder.path()].into_iter());
        let mut write = |after| {
            board.line(0, &Line::Event(scored(Some(after), None)));
            board.notes().len()
        };
        assert_eq!([write(0), write(1)], [1, 0]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(write(2), 0);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }
}
