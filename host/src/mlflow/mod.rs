//! MLflow: runs are told to a tracking server while they go on, over its REST API (version 2.0): an
//! experiment for each benchmark, in it a run for each run. Nothing is read back, and no run ever waits
//! for a server: what is to be told lies in an [`Outbox`], which a thread of its own empties.
//!
//! ```text
//! plan, events, summary -> content -> Outbox of each run -> thread (teller) -> Client -> server
//! ```

mod client;
mod content;
mod outbox;
mod teller;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::compare::RunRecord;
use crate::http::{Patience, Target};
use crate::run::RunFolder;
use client::Client;
use outbox::{End, Outbox, State};
use teller::Shared;

pub use outbox::Metric;

/// How long anything may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For one question.
    pub patience: Patience,
    /// Between two rounds of telling.
    pub round: Duration,
    /// After the first question without an answer; it doubles up to `pause_max`.
    pub pause_min: Duration,
    pub pause_max: Duration,
    /// After the last run has ended, for what was not told yet.
    pub farewell: Duration,
}

impl Default for Times {
    fn default() -> Times {
        let answer = Duration::from_secs(10);
        let connect = Duration::from_secs(5);
        Times {
            patience: Patience { connect, silence: answer, answer: Some(answer) },
            round: Duration::from_secs(1),
            pause_min: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
            farewell: Duration::from_secs(15),
        }
    }
}

/// A server that is told of runs. Runs are named by numbers of the caller's.
pub struct Mlflow {
    uri: String,
    shared: Arc<Shared>,
    farewell: Duration,
}

/// How a run has ended, in MLflow's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    Finished,
    Failed,
    /// It was asked to end, and can be taken up.
    Killed,
}

/// Refuses what is no address of a tracking server.
///
/// # Errors
/// In words.
pub fn check_uri(uri: &str) -> Result<(), String> {
    Target::parse(uri).map(drop).map_err(|_| {
        format!(
            "`{uri}` is no tracking server; expected its address, such as http://127.0.0.1:5000 \
             (`mlflow server` starts one)"
        )
    })
}

impl Mlflow {
    /// Begins to tell the server at this address, which was checked by [`check_uri`].
    pub fn new(uri: &str, times: Times) -> Mlflow {
        let shared = Arc::new(Shared::default());
        let uri = uri.trim_end_matches('/').to_owned();
        let client = Client::new(&uri, times.patience);
        let thread = shared.clone();
        std::thread::spawn(move || teller::work(&thread, client, times));
        Mlflow { uri, shared, farewell: times.farewell }
    }

    /// A run begins, or goes on: the one that the server knows from before, if it does.
    pub fn begin(&self, run: usize, name: &str, folder: PathBuf) {
        let read = RunFolder::open(&folder).and_then(|opened| {
            let known = opened.mlflow_run().filter(|known| known.uri == self.uri);
            Ok((opened.plan()?, opened.tags()?, known.map(|known| known.run_id)))
        });
        match read {
            Ok((plan, tags, known)) => {
                let opening = content::opening(&plan, name, (&folder, &tags));
                let params = content::params(&plan);
                let outbox = Outbox::new(folder, opening, params, known);
                self.shared.change(|state| drop(state.runs.insert(run, outbox)));
            }
            Err(error) => {
                let note = format!("MLflow is not told of {name}: {error}");
                self.shared.change(|state| state.notes.push(note));
            }
        }
    }

    /// Values of a run after so many steps.
    pub fn metrics(&self, run: usize, step: u64, values: Vec<(String, f64)>) {
        let timestamp = now_ms();
        let metric = |(key, value): (String, f64)| {
            let key = content::plain_key(&key);
            Metric { key, value, timestamp, step }
        };
        let metrics = values.into_iter().filter(|(_, value)| value.is_finite()).map(metric);
        self.with(run, |outbox| outbox.push(metrics));
    }

    /// A run has ended; its folder says what it brought.
    pub fn end(&self, run: usize, status: RunStatus) {
        let folder = self.with(run, |outbox| outbox.folder.clone());
        let record =
            folder.and_then(|folder| RunRecord::read(&RunFolder::open(&folder).ok()?).ok());
        let mut tags = Vec::new();
        if let Some(record) = record {
            let step = record.summary.as_ref().map_or(0, |summary| summary.steps);
            self.metrics(run, step, content::final_values(&record));
            tags = content::end_tags(&record);
        }
        let end = End { status, at_ms: now_ms(), tags };
        self.with(run, |outbox| outbox.end = Some(end));
    }

    /// What people should know since it was last asked.
    pub fn notes(&self) -> Vec<String> {
        self.shared.change(|state| std::mem::take(&mut state.notes))
    }

    /// Waits until all is told, for a while at most. Returns what people should know.
    pub fn finish(self) -> Vec<String> {
        let untold = self.shared.farewell(self.farewell);
        let mut notes = self.notes();
        if untold > 0 {
            let runs = if untold == 1 { "a run".into() } else { format!("{untold} runs") };
            notes.push(format!(
                "MLflow at {} was not told everything of {runs}; it lies in the folders of results",
                self.uri
            ));
        }
        notes
    }

    fn with<T>(&self, run: usize, change: impl FnOnce(&mut Outbox) -> T) -> Option<T> {
        self.shared.change(|state: &mut State| state.runs.get_mut(&run).map(change))
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests;
