//! What a user or a learner can ask of the memory that it cannot do.

/// The memory refused; it is unchanged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MemoryError {
    #[error("a memory of 0 samples holds nothing to replay; choose --memory 1 or more")]
    NoSamples,

    #[error(
        "a memory of {bytes} bytes holds no sample, each takes {bytes_per_sample} bytes; choose \
         --memory {bytes_per_sample}B or more"
    )]
    NoBytes { bytes: u64, bytes_per_sample: u64 },

    #[error("a memory of {samples} samples is larger than the limit of {limit}; choose less")]
    TooLarge { samples: u64, limit: u64 },

    #[error(
        "a ring memory of {samples} samples has no place for each of {experiences} experiences; \
         choose --memory {experiences} or more, or another --policy"
    )]
    RingShare { samples: usize, experiences: usize },

    #[error("column `{name}` has width 0; declare at least one number per sample")]
    ColumnWidth { name: String },

    #[error("column `{name}` is declared twice; give each column a name of its own")]
    ColumnTwice { name: String },

    #[error("unknown column `{name}`; the learner declared {}", list(declared))]
    UnknownColumn { name: String, declared: Vec<String> },

    #[error("column `{name}` takes {width} numbers per sample, got {found}")]
    ColumnValues { name: String, width: usize, found: usize },

    #[error("column `{name}` got {value}, which is not finite, for slot {slot}")]
    NotFinite { name: String, value: f32, slot: u32 },

    #[error("slot {slot} does not exist; the memory holds {samples} samples, slots count from 0")]
    Slot { slot: u64, samples: usize },

    #[error(
        "a sample cannot be placed in slot {slot}: the memory holds {samples} of at most \
         {capacity} samples; choose one of their slots, or the next one while there is room"
    )]
    Place { slot: usize, samples: usize, capacity: usize },

    #[error("an image of {found} bytes was given to a memory of images of {expected} bytes")]
    ImageLength { expected: usize, found: usize },

    #[error("{found} samples do not fit into a memory of {capacity}; name fewer")]
    ReplaceTooMany { found: usize, capacity: usize },

    #[error(
        "sample {uid} is neither in the memory nor in the current experience; name only \
         samples of these two"
    )]
    UnknownSample { uid: u64 },

    #[error(
        "the stored memory does not hold together: {reason}; it was written by other code or \
         is damaged"
    )]
    Snapshot { reason: String },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
