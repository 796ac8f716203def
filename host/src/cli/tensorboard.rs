//! `--tensorboard`: what runs report, as event files beside their results, while they go on.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::report::EventFile;
use crate::run::{Event, EventKind};
use crate::schedule::Watcher;
use crate::trainer::{Ended, Line};

/// Folder of the event files in that of a run.
pub const FOLDER: &str = "tensorboard";

/// Passes everything on to another watcher and writes it down.
pub struct TensorBoard<'a> {
    inner: &'a mut dyn Watcher,
    runs: Vec<Writer>,
}

/// The event file of one run.
struct Writer {
    folder: PathBuf,
    file: Option<EventFile>,
    epochs: u64,
    complained: bool,
}

impl<'a> TensorBoard<'a> {
    /// For runs in these folders.
    pub fn new<'b>(inner: &'a mut dyn Watcher, folders: impl Iterator<Item = &'b Path>) -> Self {
        let writer = |folder: &Path| Writer {
            folder: folder.join(FOLDER),
            file: None,
            epochs: 0,
            complained: false,
        };
        TensorBoard { inner, runs: folders.map(writer).collect() }
    }
}

impl Watcher for TensorBoard<'_> {
    fn started(&mut self, job: usize, name: &str) {
        self.inner.started(job, name);
    }

    fn line(&mut self, job: usize, line: &Line) {
        if let Line::Event(event) = line {
            self.runs[job].write(event);
        }
        self.inner.line(job, line);
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        self.inner.ended(job, ended);
    }
}

impl Writer {
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
                tracing::warn!("no events for TensorBoard in {}: {error}", self.folder.display());
                self.complained = true;
            }
        }
    }

    /// What an event has to show: scalars over epochs, accuracies over experiences or steps.
    fn scalars(&mut self, event: &Event) -> Option<(u64, Vec<(String, f64)>)> {
        match &event.what {
            EventKind::EpochEnded { scalars, .. } => {
                self.epochs += 1;
                let known = scalars.iter().filter_map(|(name, value)| Some((name, (*value)?)));
                let tagged = known.map(|(name, value)| (format!("training/{name}"), value));
                Some((self.epochs, tagged.collect()))
            }
            EventKind::Scored { after, step, view, scenario, accuracy } => {
                let at = after.map(|after| u64::from(after) + 1).or(*step)?;
                // Of experiences, those that have been learned; of points in time, all.
                let learned = after.map_or(accuracy.len(), |after| after as usize + 1);
                let learned = &accuracy[..learned.min(accuracy.len())];
                let values: Vec<f64> = learned.iter().flatten().copied().collect();
                let mean = crate::stats::mean(&values).filter(|_| values.len() == learned.len());
                let place = format!("{scenario}/{view}");
                let each = accuracy.iter().enumerate().filter_map(|(i, a)| Some((i, (*a)?)));
                let mut tagged: Vec<(String, f64)> =
                    each.map(|(i, a)| (format!("{place}/experience-{}", i + 1), a)).collect();
                tagged.extend(mean.map(|mean| (format!("{place}/accuracy"), mean)));
                Some((at, tagged))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(folder: &Path) -> Writer {
        Writer { folder: folder.to_owned(), file: None, epochs: 0, complained: false }
    }

    fn event(what: EventKind) -> Event {
        Event { at_ms: 0, what }
    }

    fn scored(after: Option<u32>, step: Option<u64>) -> Event {
        let (view, scenario) = ("main".into(), "class-il".into());
        event(EventKind::Scored {
            after,
            step,
            view,
            scenario,
            accuracy: vec![Some(0.5), Some(0.25)],
        })
    }

    #[test]
    fn scores_are_over_what_was_learned() {
        let mut writer = writer(Path::new("nowhere"));
        let tags = |name: &str, value| (format!("class-il/main/{name}"), value);
        let each = [tags("experience-1", 0.5), tags("experience-2", 0.25)];
        let first = [each.as_slice(), &[tags("accuracy", 0.5)]].concat();
        assert_eq!(writer.scalars(&scored(Some(0), None)), Some((1, first)));
        let at_step = [each.as_slice(), &[tags("accuracy", 0.375)]].concat();
        assert_eq!(writer.scalars(&scored(None, Some(40))), Some((40, at_step)));
        assert_eq!(writer.scalars(&scored(None, None)), None, "before training there is no step");
    }

    #[test]
    fn epochs_count_over_all_experiences() {
        let mut writer = writer(Path::new("nowhere"));
        let mut epoch = |value| {
            let scalars = [("loss".to_owned(), value)].into();
            let what = EventKind::EpochEnded { experience: 0, epoch: 0, steps: 1, scalars };
            writer.scalars(&event(what)).unwrap()
        };
        assert_eq!(epoch(Some(0.5)), (1, vec![("training/loss".into(), 0.5)]));
        assert_eq!(epoch(None), (2, vec![]));
    }

    #[test]
    fn trouble_is_survived_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensorboard");
        std::fs::write(&path, "in the way").unwrap();
        let mut writer = writer(&path);
        writer.write(&scored(Some(0), None));
        assert!(writer.complained && writer.file.is_none());
        std::fs::remove_file(&path).unwrap();
        writer.write(&scored(Some(1), None));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }
}
