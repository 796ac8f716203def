//! What a check that does not pass says, and what a fault of the plugin means to it.

use serde::{Deserialize, Serialize};

use crate::worker::{CallFault, FaultKind};

/// How a check ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Pass,
    /// The property does not hold.
    Fail,
    /// The plugin panicked, or ended its process.
    Crash,
    /// The plugin did not answer in time.
    Timeout,
    /// The check says nothing about this plugin, or one that it needs did not pass.
    Skipped,
    /// It holds as far as can be told, but look at it.
    Warning,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pass => "pass",
            Kind::Fail => "fail",
            Kind::Crash => "crash",
            Kind::Timeout => "timeout",
            Kind::Skipped => "skipped",
            Kind::Warning => "warning",
        }
    }

    /// Whether the property was found broken.
    pub fn is_broken(self) -> bool {
        matches!(self, Kind::Fail | Kind::Crash | Kind::Timeout)
    }
}

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub cause: String,
    /// In place of the remedy that belongs to the check.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn fail(cause: impl Into<String>) -> Self {
        Finding { kind: Kind::Fail, cause: cause.into(), remedy: None }
    }

    pub fn skipped(cause: impl Into<String>) -> Self {
        Finding { kind: Kind::Skipped, cause: cause.into(), remedy: None }
    }

    pub fn warning(cause: impl Into<String>) -> Self {
        Finding { kind: Kind::Warning, cause: cause.into(), remedy: None }
    }

    /// With what led to it in front.
    pub fn after(self, what: impl std::fmt::Display) -> Self {
        Finding { cause: format!("{what}: {}", self.cause), ..self }
    }
}

impl From<CallFault> for Finding {
    fn from(fault: CallFault) -> Self {
        let (kind, remedy) = match &fault.kind {
            FaultKind::Error { .. } => (Kind::Fail, None),
            FaultKind::Panic => (Kind::Crash, Some("return an error instead of panicking")),
            FaultKind::Timeout { .. } => (
                Kind::Timeout,
                Some("look for an endless loop or a lock; --deadline gives more time"),
            ),
            FaultKind::Signal { .. } | FaultKind::Exit { .. } | FaultKind::Protocol => (
                Kind::Crash,
                Some("a plugin leaves its process alone; log.txt holds its last words"),
            ),
        };
        // The log lies in the folder; one line of it may be the reason.
        let cause = CallFault { last_log: Box::default(), ..fault }.to_string();
        Finding { kind, cause, remedy: remedy.map(Into::into) }
    }
}

/// Passes when `holds`, else fails with a cause.
pub fn require(holds: bool, cause: impl FnOnce() -> String) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::fail(cause())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        let kinds = [
            (FaultKind::Error { kind: "error".into() }, Kind::Fail),
            (FaultKind::Panic, Kind::Crash),
            (FaultKind::Exit { code: 0 }, Kind::Crash),
            (FaultKind::Signal { number: 11, name: "SIGSEGV".into() }, Kind::Crash),
            (FaultKind::Timeout { seconds: 1.0 }, Kind::Timeout),
            (FaultKind::Protocol, Kind::Crash),
        ];
        for (kind, expected) in kinds {
            let fault = CallFault::new(kind, "observe", "why");
            let fault = CallFault { last_log: ["x".into()].into(), ..fault };
            let finding = Finding::from(fault);
            assert_eq!(finding.kind, expected);
            assert!(finding.cause.contains("`observe`: why"), "{}", finding.cause);
            assert_eq!(finding.remedy.is_some(), expected != Kind::Fail);
        }
    }
}
