//! Makes learners: the one that is trained, and throw-away instances of the same file for scoring.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{CreateMsg, LogMsg};
use perdura_abi::table::PluginRootRef;
use std::path::PathBuf;

use super::ExecuteOptions;
use crate::plugin::{self, Found, GoodCopy, LoadError};
use crate::worker::{
    CallFault, Confinement, LearnerPort, NoServices, SpawnOptions, Tier, in_process, spawn,
};

/// Makes the learners of one run.
pub struct Opener {
    options: ExecuteOptions,
    found: Found,
    log: PathBuf,
    opened: u64,
    /// It opens for scoring beside the training: in this process, all from one private copy.
    beside: bool,
    root: Option<PluginRootRef>,
    /// The plugin's copy that the last worker was given.
    copy: Option<GoodCopy>,
}

impl Opener {
    /// Opens this file. What learners print goes to `log`.
    pub fn new(options: &ExecuteOptions, found: &Found, log: PathBuf) -> Opener {
        let (options, found) = (options.clone(), found.clone());
        Opener { options, found, log, opened: 0, beside: false, root: None, copy: None }
    }

    /// One for instances that are scored while the first learner is trained, one after another.
    pub fn beside(&self) -> Opener {
        Opener { beside: true, ..Opener::new(&self.options, &self.found, self.log.clone()) }
    }

    pub fn open(&mut self, create: &CreateMsg) -> Result<Box<dyn LearnerPort>, CallFault> {
        self.opened += 1;
        match self.options.tier {
            tier @ (Tier::Sandbox | Tier::Process) => {
                let own = plugin::spawn_options_again(&self.found, &mut self.copy);
                let own = own.map_err(load_fault)?;
                let ExecuteOptions { deadlines, limits, .. } = self.options;
                let threads = create.context.threads;
                let log = Some(self.log.clone());
                let (device, further) = (&create.context.device, &self.options.allow_read);
                let confine = (tier == Tier::Sandbox).then(|| Confinement::new(device, further));
                let spawned = SpawnOptions { threads, deadlines, limits, confine, log, ..own };
                Ok(Box::new(spawn(&spawned, create, &mut LogOnly)?))
            }
            Tier::InProcess => {
                let root = self.root().map_err(load_fault)?;
                Ok(Box::new(in_process(root, create, &mut LogOnly)?))
            }
        }
    }

    /// The file in this process. What is not the learner in training has statics of its own, from a
    /// file of its own; those that are scored beside it share one, because a file is never closed
    /// again.
    fn root(&mut self) -> Result<PluginRootRef, LoadError> {
        if let Some(root) = self.root {
            return Ok(root);
        }
        let root = match (self.beside, self.opened) {
            (false, 1) => plugin::open(&self.found)?.root,
            _ => plugin::open_private_copy(&self.found)?.root,
        };
        self.root = self.beside.then_some(root);
        Ok(root)
    }
}

fn load_fault(error: LoadError) -> CallFault {
    let kind = crate::worker::FaultKind::Error { kind: error.code().into() };
    CallFault::new(kind, "open", error.to_string())
}

/// Offers a learner that is being created nothing but a log.
struct LogOnly;

impl crate::worker::HostServices for LogOnly {
    fn serve(
        &mut self,
        op: perdura_abi::HostOp,
        message: perdura_abi::Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), perdura_abi::AbiError> {
        if op == perdura_abi::HostOp::LOG
            && let Ok(record) = serde_json::from_slice(message.header.as_slice())
        {
            log_record(&record);
        }
        NoServices.serve(op, message, answer)
    }
}

/// Writes a learner's log record to the log of the run.
pub fn log_record(record: &LogMsg) {
    let LogMsg { level, target, message, fields } = record;
    let fields: String = fields.iter().map(|(k, v)| format!(" {k}={v}")).collect();
    match level.as_str() {
        "error" => tracing::error!(target: "plugin", "{target}: {message}{fields}"),
        "warn" => tracing::warn!(target: "plugin", "{target}: {message}{fields}"),
        "info" => tracing::info!(target: "plugin", "{target}: {message}{fields}"),
        _ => tracing::debug!(target: "plugin", "{target}: {message}{fields}"),
    }
}
