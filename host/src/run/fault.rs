//! How a run failed, as its summary keeps it: a code for programs, words for people.

use serde::{Deserialize, Serialize};

use super::RunError;
use crate::worker::{CallFault, FaultKind, FaultTraces};

/// Why a run failed. As far as it is determined by plan, seed and plugin; the rest is in `resources.json`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    #[serde(default)]
    pub code: FaultCode,
    /// Number of the signal that ended the process, for [`FaultCode::Signal`].
    #[serde(default)]
    pub signal: Option<i32>,
    /// For [`FaultCode::Exit`].
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Step in flight; `None` outside `observe`.
    pub step: Option<u64>,
    /// Call in flight, for example `observe`; `results` where the host wrote them, `run` where the process of
    /// the run went down.
    pub call: String,
    /// What happened, in words: `panicked`, `was ended by SIGSEGV (signal 11)`, ...
    pub kind: String,
    pub message: String,
    /// File and line in the plugin, where known.
    pub location: Option<String>,
    /// Last lines the plugin printed or logged, without times; of a panic those before it.
    pub last_log: Vec<String>,
    /// On their way to `resources.json`.
    #[serde(skip)]
    pub traces: FaultTraces,
}

/// What went wrong. A name keeps its meaning; new ones may come.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// The learner returned an error.
    Error,
    /// The learner panicked.
    Panic,
    /// A signal ended its process, or that of the run.
    Signal,
    /// Its process, or that of the run, left by itself.
    Exit,
    /// A call took longer than its deadline.
    Timeout,
    /// The learner's process could not be started, or does not keep to the conversation.
    Protocol,
    /// The plugin could not be opened.
    Load,
    /// A step reported what it may not.
    Report,
    /// An answer of `predict` cannot be scored.
    Answer,
    /// A report or an answer holds a number that is not finite.
    NotFinite,
    /// The host cannot give the learner what it declares.
    Refused,
    /// Disk or quota were full when results were written.
    DiskFull,
    /// Results could not be written or read for another reason.
    Results,
    /// The process of the run could not be started.
    NotStarted,
    /// There is no summary: the run goes on, or was killed.
    Unfinished,
    /// Recorded by a build that knew no codes.
    #[default]
    Unknown,
}

impl FaultCode {
    /// As in files.
    pub fn name(self) -> &'static str {
        match self {
            FaultCode::Error => "error",
            FaultCode::Panic => "panic",
            FaultCode::Signal => "signal",
            FaultCode::Exit => "exit",
            FaultCode::Timeout => "timeout",
            FaultCode::Protocol => "protocol",
            FaultCode::Load => "load",
            FaultCode::Report => "report",
            FaultCode::Answer => "answer",
            FaultCode::NotFinite => "not-finite",
            FaultCode::Refused => "refused",
            FaultCode::DiskFull => "disk-full",
            FaultCode::Results => "results",
            FaultCode::NotStarted => "not-started",
            FaultCode::Unfinished => "unfinished",
            FaultCode::Unknown => "unknown",
        }
    }
}

impl Fault {
    /// Without a step, a place or a log.
    pub fn new(
        code: FaultCode,
        call: impl Into<String>,
        kind: impl Into<String>,
        message: impl Into<String>,
    ) -> Fault {
        let (call, kind, message) = (call.into(), kind.into(), message.into());
        Fault { code, call, kind, message, ..Fault::default() }
    }

    /// Of a run that goes on, or whose processes were all killed.
    pub fn unfinished() -> Fault {
        let message = "the run left no summary: it goes on, or was killed";
        Fault::new(FaultCode::Unfinished, "", "unfinished", message)
    }

    pub fn is_unfinished(&self) -> bool {
        self.code == FaultCode::Unfinished
    }

    /// Results that could not be written or read.
    pub fn of_results(error: &RunError) -> Fault {
        let (code, kind) = match error.is_disk_full() {
            true => (FaultCode::DiskFull, "the disk was full"),
            false => (FaultCode::Results, "host"),
        };
        let cause = std::error::Error::source(error);
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        Fault::new(code, "results", kind, format!("{error}{cause}"))
    }

    /// A failed call, in a step where it is known.
    pub fn of_call(step: Option<u64>, fault: CallFault) -> Fault {
        let CallFault { kind, call, message, location, last_log, traces } = fault;
        let (code, signal, exit_code) = match &kind {
            FaultKind::Error { .. } if call == "open" => (FaultCode::Load, None, None),
            FaultKind::Error { .. } => (FaultCode::Error, None, None),
            FaultKind::Panic => (FaultCode::Panic, None, None),
            FaultKind::Signal { number, .. } => (FaultCode::Signal, Some(*number), None),
            FaultKind::Exit { code } => (FaultCode::Exit, None, Some(*code)),
            FaultKind::Timeout { .. } => (FaultCode::Timeout, None, None),
            FaultKind::Protocol => (FaultCode::Protocol, None, None),
        };
        let (location, traces) = (location.map(String::from), *traces);
        let fault = Fault::new(code, call, kind.to_string(), message);
        Fault { signal, exit_code, step, location, last_log: last_log.into(), traces, ..fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_they_are_written() {
        use FaultCode::*;
        let all = [
            Error, Panic, Signal, Exit, Timeout, Protocol, Load, Report, Answer, NotFinite,
            Refused, DiskFull, Results, NotStarted, Unfinished, Unknown,
        ];
        for code in all {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn a_failed_call_keeps_signal_exit_code_and_traces_apart() {
        let of = |kind| Fault::of_call(Some(3), CallFault::new(kind, "observe", "why"));
        let killed = of(FaultKind::Signal { number: 11, name: "SIGSEGV".into() });
        assert_eq!(
            (killed.code, killed.signal, killed.exit_code),
            (FaultCode::Signal, Some(11), None)
        );
        assert_eq!(
            (killed.kind.as_str(), killed.step),
            ("was ended by SIGSEGV (signal 11)", Some(3))
        );
        let left = of(FaultKind::Exit { code: 0 });
        assert_eq!((left.code, left.signal, left.exit_code), (FaultCode::Exit, None, Some(0)));
        let not_opened = CallFault::new(FaultKind::Error { kind: "load".into() }, "open", "why");
        assert_eq!(Fault::of_call(None, not_opened).code, FaultCode::Load);
        let mut panicked = CallFault::new(FaultKind::Panic, "save", "why");
        panicked.traces.backtrace = vec!["0: f".into()];
        let fault = Fault::of_call(None, panicked);
        assert_eq!(fault.traces.backtrace, ["0: f"]);
        let stored = serde_json::to_value(&fault).unwrap();
        assert_eq!((&stored["code"], stored.get("traces")), (&"panic".into(), None));
        // What a build without codes has written.
        let old = r#"{"step":null,"call":"save","kind":"panicked","message":"","location":null,"last_log":[]}"#;
        assert_eq!(serde_json::from_str::<Fault>(old).unwrap().code, FaultCode::Unknown);
    }
}
