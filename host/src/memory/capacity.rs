//! How much a memory may hold, in samples or in bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MemoryError;

/// Slots are counted in u32.
const SAMPLES_MAX: u64 = u32::MAX as u64;

/// Limit on a memory. As text `200` is samples; `64KiB`, `1MB` or `5000B` is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    Samples(usize),
    /// Of pixels, labels, groups and columns together.
    Bytes(u64),
}

impl Capacity {
    /// Whole samples that fit.
    pub(super) fn samples(self, bytes_per_sample: u64) -> Result<usize, MemoryError> {
        let samples = match self {
            Capacity::Samples(0) => return Err(MemoryError::NoSamples),
            Capacity::Samples(samples) => samples as u64,
            Capacity::Bytes(bytes) if bytes < bytes_per_sample => {
                return Err(MemoryError::NoBytes { bytes, bytes_per_sample });
            }
            Capacity::Bytes(bytes) => bytes / bytes_per_sample,
        };
        if samples > SAMPLES_MAX {
            return Err(MemoryError::TooLarge { samples, limit: SAMPLES_MAX });
        }
        Ok(samples as usize)
    }
}

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// The text is no capacity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no size of a memory; expected samples such as 200, or bytes such as 64KiB, \
     1MB or 5000B"
)]
pub struct ParseCapacityError(String);

impl FromStr for Capacity {
    type Err = ParseCapacityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseCapacityError(text.to_owned());
        for (unit, size) in UNITS {
            if let Some(number) = text.strip_suffix(unit) {
                let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
                return number.checked_mul(size).map(Capacity::Bytes).ok_or_else(wrong);
            }
        }
        text.parse().map(Capacity::Samples).map_err(|_| wrong())
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capacity::Samples(samples) => write!(f, "{samples}"),
            Capacity::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}
