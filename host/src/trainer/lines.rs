//! What a run tells while it goes on: events into its folder, and lines on standard output for the host that
//! waits for it.

use serde::{Deserialize, Serialize};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::run::{Event, EventKind, RunFolder};

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
    /// Since this process of the run began, scoring included.
    pub steps_per_second: f64,
    /// Of all processes of the run, when it was last looked.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// Least time between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Where events go: the folder of the run, and standard output for the host that waits for it.
pub struct Lines {
    pub folder: RunFolder,
    pub begun: Instant,
    /// Spent by earlier processes of the run.
    before: Duration,
    told: Option<Instant>,
    tell: bool,
}

impl Lines {
    /// Of a process that began then; earlier ones of the run have spent `before`.
    pub fn new(folder: RunFolder, tell: bool, (begun, before): (Instant, Duration)) -> Self {
        Lines { folder, begun, before, told: None, tell }
    }

    /// Something that people should know, in the log too.
    pub fn remark(&mut self, message: String) {
        tracing::warn!("{message}");
        self.event(EventKind::Remark { message });
    }

    pub fn event(&mut self, what: EventKind) {
        let event = Event { at_ms: self.spent().as_millis() as u64, what };
        if let Err(error) = self.folder.append_event(&event) {
            // Events are a convenience: the summary is what must not be lost.
            tracing::warn!("event not written: {error}");
        }
        self.print(&Line::Event(event));
    }

    pub fn spent(&self) -> Duration {
        self.before + self.begun.elapsed()
    }

    /// Whether it is time to tell how far the run has come.
    pub fn wants_progress(&self) -> bool {
        self.tell && self.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY)
    }

    pub fn progress(&mut self, progress: Progress) {
        self.told = Some(Instant::now());
        self.print(&Line::Progress(progress));
    }

    fn print(&self, line: &Line) {
        if self.tell {
            let text = serde_json::to_string(line).expect("lines are plain data");
            // Nobody has to listen.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }
}
