//! The one error type of the SDK: a kind for the host and a sentence for people.

use perdura_abi::{AbiError, ErrorKind, tensor::TensorError};

/// A failure of a learner or of the host it calls. Any `std::error::Error` converts with `?`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    location: String,
}

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the learner.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::LEARNER, message)
    }

    /// A hyper-parameter is out of range: `key`, what was expected, what was found.
    pub fn config(key: &str, expected: &str, found: impl std::fmt::Display) -> Self {
        let message = format!("hyper-parameter `{key}`: expected {expected}, found {found}");
        Self::of_kind(ErrorKind::CONFIG, message)
    }

    /// The state to load does not fit.
    pub fn state(message: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::STATE, message)
    }

    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), location: String::new() }
    }

    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::MESSAGE, message)
    }

    /// The same error with what it is about in front.
    pub fn context(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

// `Error` itself does not implement `std::error::Error`, so that everything that does converts.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Error::new(message)
    }
}

/// An error of the host, passed on unchanged.
pub(crate) fn from_host(error: AbiError) -> Error {
    Error { kind: error.kind, message: error.message.into(), location: error.location.into() }
}

pub(crate) fn from_tensor(error: TensorError) -> Error {
    Error::message(error.to_string())
}

pub(crate) fn to_abi(error: Error) -> AbiError {
    AbiError { kind: error.kind, message: error.message.into(), location: error.location.into() }
}
