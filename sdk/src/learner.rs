//! The trait a method implements, and what its calls are given.

use perdura_abi::message::{ContextMsg, Declaration, ExperienceMsg, Grants};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

use crate::about::About;
use crate::error::Result;
use crate::host::Host;
use crate::random::Call;
use crate::report::StepReport;
use crate::rows::Step;
use crate::state::{StateReader, StateWriter};

/// A continual-learning method.
///
/// The host owns the stream, the replay memory, chance and judgement; the learner owns the network and the
/// learning. Calls come one at a time, in this order:
///
/// ```text
/// declare, create
/// for every experience:  begin_experience, observe (once per step), end_experience
/// end_of_stream
/// ```
///
/// Where boundaries are not granted there is one `begin_experience`, no `end_experience`, and one
/// `end_of_stream`. `save` may come between any two calls. Scoring happens in another instance made by
/// `create` and `load`, in another process: `predict` there cannot change what is trained here.
pub trait ContinualLearner: Sized + Send + 'static {
    /// Hyper-parameters, best declared with [`crate::hyper_parameters!`].
    type Config: Serialize + DeserializeOwned + JsonSchema + Default;

    /// What the method is: one sentence, its paper, its presets.
    fn about() -> About;

    /// What the learner asks of the host: replay, columns, views, scalars, wishes. Called once before
    /// `create`; depends on nothing but its arguments.
    fn declare(config: &Self::Config, ctx: &Context) -> Declaration;

    /// A fresh learner. Refuse bad hyper-parameters with [`crate::Error::config`].
    fn create(config: Self::Config, ctx: &Context) -> Result<Self>;

    /// Before the first step of an experience.
    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        let _ = (info, host);
        Ok(())
    }

    /// One training step.
    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport>;

    /// After the last step of an experience; `info` is the experience that ends.
    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        let _ = (info, host);
        Ok(())
    }

    /// After the last experience.
    fn end_of_stream(&mut self, call: &Call, host: &mut Host<'_>) -> Result<()> {
        let _ = (call, host);
        Ok(())
    }

    /// Logits of one view for some inputs. Must not depend on how inputs are cut into batches.
    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()>;

    /// Bytes held, by kind.
    fn resources(&self) -> Resources {
        Resources::default()
    }

    /// Writes everything that training changes.
    fn save(&self, state: &mut StateWriter) -> Result<()>;

    /// Restores what `save` wrote, into a learner made with the same hyper-parameters.
    fn load(&mut self, state: &mut StateReader) -> Result<()>;
}

/// What a learner is told when it is made.
#[derive(Clone, Debug)]
pub struct Context {
    /// Output width C.
    pub classes: usize,
    /// Shape of one input: `[width]` or `[channels, height, width]`.
    pub input_shape: Vec<usize>,
    /// Device the host wants, e.g. `flex`.
    pub device: String,
    /// Threads the learner may use.
    pub threads: usize,
    /// What may be known and done in training.
    pub grants: Grants,
    pub call: Call,
}

impl Context {
    pub(crate) fn new(message: &ContextMsg, call: Call) -> Self {
        let ContextMsg { classes, input_shape, device, threads, grants } = message.clone();
        Context { classes, input_shape, device, threads, grants, call }
    }

    /// Numbers in one input.
    pub fn input_width(&self) -> usize {
        self.input_shape.iter().product()
    }
}

/// An experience, as far as it may be known. What is not granted is `None`.
#[derive(Clone, Debug)]
pub struct Experience {
    pub index: Option<u32>,
    /// Labels that occur in it.
    pub classes: Option<Vec<u32>>,
    /// Training samples.
    pub samples: Option<u64>,
    pub epochs: Option<u32>,
    /// Samples of a full batch; the last of an epoch may be smaller.
    pub batch: Option<u32>,
    /// Steps of an epoch that would begin now.
    pub steps_per_epoch: Option<u64>,
    /// Samples the replay memory can hold; `None` in a run without one. It depends on the columns, so it
    /// is known only after `create`, and is told in every scenario.
    pub memory_samples_max: Option<u64>,
    pub call: Call,
}

impl Experience {
    pub(crate) fn new(m: ExperienceMsg, call: Call) -> Self {
        let ExperienceMsg { index, classes, samples, epochs, batch, steps_per_epoch, .. } = m;
        let memory_samples_max = m.memory_samples_max;
        Experience {
            index,
            classes,
            samples,
            epochs,
            batch,
            steps_per_epoch,
            memory_samples_max,
            call,
        }
    }
}

/// Inputs to be scored.
#[derive(Debug)]
pub struct Query<'a> {
    /// Name of the view.
    pub view: &'a str,
    /// Row-major `[len, ..input_shape]`, normalised as in training, not augmented.
    pub inputs: &'a [f32],
    pub len: usize,
    pub input_shape: &'a [usize],
    /// Index of each sample's experience, for views that declared the need.
    pub task_labels: Option<&'a [u32]>,
    /// True group of each sample, for views that declared the need.
    pub groups: Option<&'a [u32]>,
    pub call: Call,
}

/// Where `predict` writes: row-major `[len, classes]`.
#[derive(Debug)]
pub struct Logits<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) open: bool,
}

impl Logits<'_> {
    /// Writes all logits. Panics when the number of values is wrong.
    pub fn write(&mut self, values: &[f32]) {
        self.values.copy_from_slice(values);
    }

    /// The memory to write into, for those who compute in place.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.values
    }

    /// The view does not exist yet: it gets no score (only for views declared `until_opened`).
    pub fn not_open(&mut self) {
        self.open = false;
    }
}

/// Bytes a learner holds, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub(crate) bytes: BTreeMap<String, u64>,
}

impl Resources {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes of a kind: `parameters`, `buffers`, `optimizer` or `other`.
    pub fn with(mut self, kind: &str, bytes: u64) -> Self {
        *self.bytes.entry(kind.into()).or_default() += bytes;
        self
    }
}
