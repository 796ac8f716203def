//! Why a benchmark cannot be made. Each message names the option or class at fault and the way out.

use crate::data::DataError;

/// A benchmark could not be assembled.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("unknown benchmark `{name}`{} `perdura benchmarks list` shows all", hint(nearest))]
    Unknown { name: String, nearest: Option<String> },

    #[error("benchmark `{benchmark}`: {problem}")]
    Parameter { benchmark: String, problem: String },

    #[error(transparent)]
    Data(#[from] DataError),

    #[error("class {class} stands twice in the class order; each of 0 to {last} must stand once")]
    ClassRepeated { class: u32, last: usize },

    #[error("class {class} is missing in the class order; each of 0 to {last} must stand once")]
    ClassMissing { class: u32, last: usize },

    #[error("class {class} in the class order does not exist; each of 0 to {last} must stand once")]
    ClassUnknown { class: u32, last: usize },

    #[error(
        "{classes} classes of `{data}` cannot be split into {experiences} experiences of equal \
         size; choose a number of experiences that divides {classes}"
    )]
    UnevenSplit { data: String, classes: usize, experiences: usize },

    #[error(
        "{classes} classes of the folder cannot be split into experiences of {width}; choose \
         another `classes`, or how many with `experiences`"
    )]
    UnevenFolder { classes: usize, width: usize },

    #[error(
        "the data set has no {part} samples of classes {classes:?}, which belong to experience \
         {}; complete it, every class needs training and test samples",
        experience + 1
    )]
    NoSamples { experience: usize, classes: Vec<u32>, part: &'static str },

    #[error(
        "an experience is to have {wanted} {part} images, but `{data}` has {available}; choose a \
         number from 1 to {available}"
    )]
    TooFewImages { data: String, part: &'static str, wanted: usize, available: usize },

    #[error(
        "{experiences} experiences of {rows} samples are more than can be counted; choose fewer \
         experiences"
    )]
    TooManySamples { experiences: usize, rows: usize },

    #[error(
        "a task-free stream cannot be made of experiences that each transform one data set: the \
         identities of its samples would tell the boundaries; choose another scenario"
    )]
    TaskFreeTransforms,

    #[error(
        "{classes} of {available} classes of `{data}` in {rounds} rounds make no circle; choose 2 to \
         {available} classes and at least one round"
    )]
    NoCircle { data: String, classes: usize, rounds: usize, available: usize },

    #[error(
        "class {class} has {images} training images, too few for {segments} segments; choose fewer \
         rounds or another data set"
    )]
    SegmentEmpty { class: u32, images: usize, segments: usize },

    #[error(
        "--validation {fraction}: a stream that draws its samples holds none out; leave the option \
         away"
    )]
    ValidationOfDraws { fraction: f64 },

    #[error(
        "the stream is not the one that was planned: the plan has the hash {planned}, this stream \
         {found}; the data, or the build of the host, have changed since: plan the run again"
    )]
    NotAsPlanned { planned: String, found: String },

    #[error("the validation fraction is {fraction}; it must be at least 0 and less than 1")]
    ValidationFraction { fraction: f64 },

    #[error(
        "the validation fraction {fraction} holds out {held_out} of the {samples} training \
         samples of experience {}; choose a fraction that leaves samples on both sides, or 0 for \
         none", experience + 1
    )]
    ValidationEmpties { fraction: f64, held_out: usize, samples: usize, experience: usize },

    #[error("--score-on validation: nothing is held out; choose --validation above 0")]
    NothingHeldOut,

    #[error("{option} is 0; it must be at least 1")]
    Zero { option: &'static str },

    #[error(
        "a batch of {batch} is larger than experience {}, which has {samples} training samples{}; \
         choose --batch {samples} or less", experience + 1, consequence(*drop_last)
    )]
    BatchTooLarge { batch: u32, experience: usize, samples: usize, drop_last: bool },
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => ";".into(),
    }
}

fn consequence(drop_last: bool) -> &'static str {
    if drop_last { ", and with --drop-last no step would be left" } else { "" }
}
