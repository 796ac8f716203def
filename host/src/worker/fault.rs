//! What can go wrong in a call to a learner, in the form that is stored with a run.

use perdura_abi::table::{AbiError, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A call that failed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CallFault {
    pub kind: FaultKind,
    /// The call: `observe`, `create`, ...
    pub call: String,
    pub message: String,
    /// `file:line:column` of a panic.
    pub location: Option<Box<str>>,
    /// Last lines of what the worker printed, oldest first; of a panic those before it.
    pub last_log: Box<[String]>,
    #[serde(default)]
    pub traces: Box<FaultTraces>,
}

/// What a fault leaves that another one like it may leave otherwise.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FaultTraces {
    /// Frames of a panic, innermost first, as the plugin printed them; empty where there are none.
    pub backtrace: Vec<String>,
    /// Largest resident size of the learner's process. `None` where it cannot be told from what the host
    /// had when it started the process, and for a learner without one of its own.
    pub peak_memory_bytes: Option<u64>,
}

/// How a call failed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FaultKind {
    /// The learner or its adapter returned an error; `kind` is [`ErrorKind::name`], or `load` when the
    /// worker could not open the plugin.
    Error { kind: String },
    /// The learner panicked.
    Panic,
    /// A signal ended the worker.
    Signal { number: i32, name: String },
    /// The worker ended by itself in the middle of a call.
    Exit { code: i32 },
    /// The call took longer than its deadline.
    Timeout { seconds: f64 },
    /// The worker could not be started, or broke the rules of the conversation.
    Protocol,
}

impl CallFault {
    /// Without a place, a log or traces.
    pub fn new(kind: FaultKind, call: &str, message: impl Into<String>) -> Self {
        let (call, message) = (call.into(), message.into());
        CallFault {
            kind,
            call,
            message,
            location: None,
            last_log: Box::default(),
            traces: Box::default(),
        }
    }

    /// What an error that crossed the boundary means to the host.
    pub(super) fn from_abi(call: &str, error: AbiError) -> Self {
        let kind = match error.kind {
            ErrorKind::PANIC => FaultKind::Panic,
            kind => FaultKind::Error { kind: kind.name().into() },
        };
        let location = (!error.location.is_empty()).then(|| error.location.as_str().into());
        CallFault { location, ..CallFault::new(kind, call, error.message) }
    }

    pub(super) fn protocol(call: &str, message: impl Into<String>) -> Self {
        CallFault::new(FaultKind::Protocol, call, message)
    }

    /// Whether the learner can still be called.
    pub fn learner_lives(&self) -> bool {
        matches!(self.kind, FaultKind::Error { .. } | FaultKind::Panic)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Error { kind } if kind == "error" => f.write_str("returned an error"),
            FaultKind::Error { kind } => write!(f, "returned an error ({kind})"),
            FaultKind::Panic => f.write_str("panicked"),
            FaultKind::Signal { number, name } => {
                write!(f, "was ended by {name} (signal {number})")
            }
            FaultKind::Exit { code } => write!(f, "left with exit code {code}"),
            FaultKind::Timeout { seconds } => write!(f, "gave no answer within {seconds} s"),
            FaultKind::Protocol => f.write_str("could not be talked to"),
        }
    }
}

/// One sentence; the last words of a learner that is gone follow on lines of their own.
impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the learner {} in `{}`", self.kind, self.call)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(location) = &self.location {
            write!(f, " (at {location})")?;
        }
        let last_words = if self.learner_lives() { &[] } else { &self.last_log[..] };
        for line in last_words {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CallFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_well_and_are_stored_with_a_tag() {
        let kind = FaultKind::Signal { number: 11, name: "SIGSEGV".into() };
        let last_log = ["last words".to_string()].into();
        let fault = CallFault { last_log, ..CallFault::new(kind, "observe", "") };
        let text = "the learner was ended by SIGSEGV (signal 11) in `observe`\n  | last words";
        assert_eq!(fault.to_string(), text);
        let json = serde_json::to_value(&fault).unwrap();
        let kind = serde_json::json!({"type": "signal", "number": 11, "name": "SIGSEGV"});
        assert_eq!(json["kind"], kind);
        assert_eq!(serde_json::from_value::<CallFault>(json).unwrap(), fault);
    }

    #[test]
    fn a_panic_keeps_its_place() {
        let mut error = AbiError::new(ErrorKind::PANIC, "index 3");
        error.location = "src/lib.rs:4:9".into();
        let mut fault = CallFault::from_abi("predict", error);
        fault.last_log = ["not shown of a learner that lives".into()].into();
        assert_eq!(fault.kind, FaultKind::Panic);
        let text = "the learner panicked in `predict`: index 3 (at src/lib.rs:4:9)";
        assert_eq!(fault.to_string(), text);
        assert!(fault.learner_lives());
    }
}
