//! What a run leaves behind: one folder per run, and the types of the files in it.
//!
//! | file | content | equal for equal plans |
//! |---|---|---|
//! | `plan.json` | [`RunPlan`]: everything needed to redo the run; written first | yes |
//! | `events.jsonl` | [`Event`] per line, appended while the run goes on | no (times) |
//! | `predictions/after-<i>.<view>.safetensors` | [`Predictions`] of a view | yes |
//! | `anytime.safetensors` | [`Anytime`]: accuracies between boundaries, where they were asked for | yes |
//! | `checkpoints/<n>.checkpoint` | where a run that has not ended can be taken up; gone when it is finished | no |
//! | `summary.json` | [`Summary`]: outcome, matrices, metrics; written last | yes |
//! | `partial.json` | [`Summary`] so far, after every score; gone when there is one of the end | no |
//! | `resources.json` | [`Resources`]: time, memory, tier, machine, date | no |
//! | `reserve` | room that a failed run needs on a full disk to say so; gone when it has ended | yes |
//! | `tags.txt` | words people gave the run | no |
//! | `mlflow.json` | what the run is called at a tracking server | no |
//! | `log.txt` | log lines of host and plugin | no |
//!
//! Nothing here trains, scores or prints: the trainer fills these types, `compare` reads them.

mod anytime;
mod checkpoint;
mod checkpoints;
mod error;
mod event;
mod fault;
mod files;
mod find;
mod folder;
mod mlflow_run;
mod plan;
mod predictions;
mod resources;
mod summary;
mod tags;

pub use anytime::{Anytime, AnytimeCurve};
pub use checkpoint::{Checkpoint, CheckpointWriter};
pub use checkpoints::Checkpoints;
pub use error::RunError;
pub use event::{Event, EventKind};
pub use fault::{Fault, FaultCode};
pub use find::{find, readable};
pub use folder::{RunFolder, Status};
pub use mlflow_run::MlflowRun;
pub use plan::{
    HostBuild, MemorySize, PluginFile, PresetUsed, RunPlan, StreamSettings, memory_text,
};
pub use predictions::{ABSENT_CLASS, After, Predictions};
pub use resources::{Machine, Resources, utc_text};
pub use summary::{
    AnytimeSummary, Grouping, LearnerEvent, Metrics, Networks, Outcome, ScenarioSummary, Summary,
    ViewSummary,
};
pub use tags::check_tag;

#[cfg(test)]
pub(crate) mod tests;
