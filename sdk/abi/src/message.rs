//! Headers of the messages, as JSON. Unknown fields are ignored and missing ones take their default,
//! so that either side may be the newer one. Tensors are named by their index in the message. Longer than
//! other files, because the whole vocabulary of the boundary can be read here in one piece.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Index of a tensor in the message that carries the header.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct TensorId(pub u32);

/// What a learner may know and do while it is trained (design section 7).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Boundaries between experiences and their index are told.
    pub boundaries: bool,
    /// The classes of the current experience are told.
    pub experience_classes: bool,
    /// The finished experience may be iterated again.
    pub second_pass: bool,
}

/// Everything a learner is told when it is created.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ContextMsg {
    /// Output width C.
    pub classes: usize,
    /// Shape of one input without the batch axis: `[width]` or `[channels, height, width]`.
    pub input_shape: Vec<usize>,
    /// `flex`, or another one of those the plugin lists as built in.
    pub device: String,
    /// Threads the learner may use.
    pub threads: usize,
    pub grants: Grants,
}

/// `create`.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct CreateMsg {
    /// Hyper-parameters, complete.
    pub config: serde_json::Value,
    pub context: ContextMsg,
    pub seed: u64,
    /// Most detailed level of log records the host wants: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: String,
}

/// What a learner wants, declared once.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Declaration {
    pub requests: Vec<Request>,
    /// Evaluable networks; the first is the headline.
    pub views: Vec<View>,
    /// Names of the scalars that step reports carry.
    pub scalars: Vec<String>,
    pub columns: Vec<Column>,
    pub wishes: Wishes,
    /// The current batch also as raw u8.
    pub raw_inputs: bool,
    /// The learner uses the replay memory. Requests and columns say so by themselves.
    pub memory: bool,
}

/// A standing order for replay, drawn before every step.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default)]
pub struct Request {
    pub name: String,
    pub source: Source,
    pub filter: Filter,
    /// Samples per draw.
    pub count: usize,
    /// Independent draws per step.
    pub repeats: usize,
    /// Independently augmented copies of the inputs.
    pub views: usize,
    pub profile: Profile,
    /// Columns to deliver.
    pub columns: Vec<String>,
    /// Draw slots with replacement.
    pub replacement: bool,
    /// Deliver the raw u8 inputs too.
    pub raw: bool,
}

impl Declaration {
    /// Nothing yet: no view, no request, no memory. A learner needs at least one view.
    pub fn new() -> Self {
        Declaration { views: Vec::new(), ..Default::default() }
    }

    pub fn request(mut self, request: Request) -> Self {
        self.memory |= request.source != Source::Current && request.count > 0;
        self.requests.push(request);
        self
    }

    /// Whether the learner uses the memory, however the declaration says so.
    pub fn uses_the_memory(&self) -> bool {
        let replays = |r: &Request| r.source != Source::Current && r.count > 0;
        self.memory || !self.columns.is_empty() || self.requests.iter().any(replays)
    }

    /// A network that can be scored and needs nothing but inputs. The first one is the headline.
    pub fn view(mut self, name: &str) -> Self {
        let needs = ViewNeeds::Nothing;
        self.views.push(View { name: name.into(), needs, until_opened: false });
        self
    }

    /// A network that can be scored, with its needs spelled out.
    pub fn special_view(mut self, view: View) -> Self {
        self.views.push(view);
        self
    }

    pub fn scalar(mut self, name: &str) -> Self {
        self.scalars.push(name.into());
        self
    }

    pub fn column(mut self, name: &str, width: usize) -> Self {
        self.columns.push(Column { name: name.into(), width });
        self.uses_memory()
    }

    /// The learner uses the memory in other ways than by requests (iterates over it, replaces it).
    pub fn uses_memory(self) -> Self {
        Declaration { memory: true, ..self }
    }

    pub fn wishes(self, wishes: Wishes) -> Self {
        Declaration { wishes, ..self }
    }

    /// Deliver the current batch as raw u8 too.
    pub fn raw_inputs(self) -> Self {
        Declaration { raw_inputs: true, ..self }
    }
}

impl Default for Request {
    fn default() -> Self {
        Request {
            name: String::new(),
            source: Source::Memory,
            filter: Filter::All,
            count: 0,
            repeats: 1,
            views: 1,
            profile: Profile::Train,
            columns: Vec::new(),
            replacement: false,
            raw: false,
        }
    }
}

impl Request {
    /// `count` samples of the memory before every step.
    pub fn memory(name: &str, count: usize) -> Self {
        Request { name: name.into(), count, ..Default::default() }
    }

    pub fn source(self, source: Source) -> Self {
        Request { source, ..self }
    }

    pub fn filter(self, filter: Filter) -> Self {
        Request { filter, ..self }
    }

    pub fn profile(self, profile: Profile) -> Self {
        Request { profile, ..self }
    }

    /// Independent draws per step.
    pub fn repeats(self, repeats: usize) -> Self {
        Request { repeats, ..self }
    }

    /// Independently augmented copies of each draw.
    pub fn views(self, views: usize) -> Self {
        Request { views, ..self }
    }

    /// Deliver this column too.
    pub fn column(mut self, name: &str) -> Self {
        self.columns.push(name.into());
        self
    }

    pub fn with_replacement(self) -> Self {
        Request { replacement: true, ..self }
    }

    /// Deliver the raw u8 inputs too.
    pub fn with_raw(self) -> Self {
        Request { raw: true, ..self }
    }
}

/// Where samples come from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The replay memory.
    Memory,
    /// The current batch (in `draw`), the current experience (in `iterate`).
    Current,
    /// The current batch while the filtered memory is empty.
    CurrentOrMemory,
    /// The current experience followed by the memory; only in `iterate`.
    CurrentAndMemory,
    /// The held-out part of the training data of the experiences so far, labels withheld; only in
    /// `iterate`. [`ValidationMsg`] scores what the learner makes of it.
    Validation,
}

/// Which rows of the memory count.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    All,
    /// Of experiences before the current one.
    Past,
    /// Of the experience that has just ended.
    Finished,
    /// Of one group.
    Group(u32),
    /// Written since the last boundary.
    SinceBoundary,
}

/// How inputs are transformed before the learner sees them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The benchmark's training augmentation, then normalisation.
    Train,
    /// The stronger augmentation of self-supervised views, then normalisation as for `Train`, so that a
    /// network sees one kind of input.
    Ssl,
    /// The same, but normalised with mean 1/2 and deviation 1/2 whatever the benchmark has: what
    /// DualNet's released code does to self-supervised inputs alone.
    SslHalf,
    /// Normalisation alone.
    None,
}

/// An evaluable network of a learner.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub needs: ViewNeeds,
    /// The view may not exist yet when it is scored.
    #[serde(default)]
    pub until_opened: bool,
}

/// What a view must be told about a test sample.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum ViewNeeds {
    #[default]
    Nothing,
    TaskLabel,
    TrueGroup,
}

/// A named vector of numbers that the learner keeps beside each sample of the memory.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Numbers (f32) per sample.
    pub width: usize,
}

/// How the learner wants the stream to behave (design section 3).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Wishes {
    pub insert: Insert,
    pub insert_epochs: InsertEpochs,
    pub policy: InsertionPolicy,
    pub epoch_source: EpochSource,
    pub stream: StreamShape,
}

/// When the current batch enters the memory.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Insert {
    #[default]
    AfterStep,
    BeforeDraws,
    ByLearner,
}

/// In which epochs samples are offered to the memory.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum InsertEpochs {
    #[default]
    All,
    First,
}

/// Which of the samples offered the memory keeps. A user may choose another than the learner wishes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
pub enum InsertionPolicy {
    /// Every sample of the stream with equal probability.
    #[default]
    Reservoir,
    /// Classes equally, and within a class every sample with equal probability.
    ClassBalanced,
    /// Experiences equally, and of each the most recent samples. Needs boundaries.
    Ring,
}

impl InsertionPolicy {
    pub const ALL: [InsertionPolicy; 3] =
        [InsertionPolicy::Reservoir, InsertionPolicy::ClassBalanced, InsertionPolicy::Ring];

    /// As messages, plans and users write it.
    pub fn name(self) -> &'static str {
        match self {
            InsertionPolicy::Reservoir => "reservoir",
            InsertionPolicy::ClassBalanced => "class-balanced",
            InsertionPolicy::Ring => "ring",
        }
    }
}

/// What an epoch runs over.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum EpochSource {
    #[default]
    Experience,
    ExperienceAndMemory,
}

/// Experiences one after another, or their union in one (an upper bound).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum StreamShape {
    #[default]
    Experiences,
    Union,
}

/// `begin_experience` and `end_experience`. What is not granted is `None`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct ExperienceMsg {
    pub seed: u64,
    pub index: Option<u32>,
    pub classes: Option<Vec<u32>>,
    pub samples: Option<u64>,
    pub epochs: Option<u32>,
    /// Samples of a full batch of the stream.
    pub batch: Option<u32>,
    pub steps_per_epoch: Option<u64>,
    /// Samples the memory can hold; `None` without one. Told in every scenario.
    pub memory_samples_max: Option<u64>,
}

/// A call that carries nothing but its seed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
pub struct SeedMsg {
    pub seed: u64,
}

/// `observe`: one step.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct StepMsg {
    pub seed: u64,
    /// Steps before this one, over the whole stream.
    pub step: u64,
    /// Where boundaries are granted.
    #[serde(default)]
    pub position: Option<Position>,
    pub current: RowsMsg,
    /// In the order of the requests, repeats of one request side by side.
    #[serde(default)]
    pub draws: Vec<DrawMsg>,
}

/// Position in the stream, told where boundaries are granted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub experience: u32,
    pub epoch: u32,
    pub epochs: u32,
    pub step_in_epoch: u64,
    pub steps_per_epoch: u64,
}

/// Some samples. All tensors have `count` rows.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct RowsMsg {
    pub count: usize,
    /// f32 `[count, ..input shape]`, one tensor per view.
    pub views: Vec<TensorId>,
    /// u8 `[count, ..input shape]`.
    pub raw: Option<TensorId>,
    /// u32 `[count]`.
    pub labels: Option<TensorId>,
    /// u64 `[count]`: identity of the sample in its training set.
    pub uids: Option<TensorId>,
    /// u32 `[count]`, where granted.
    pub experiences: Option<TensorId>,
    /// u32 `[count]`: place in the memory; absent for rows that are not from there.
    pub slots: Option<TensorId>,
    /// u32 `[count]`.
    pub groups: Option<TensorId>,
    pub columns: Vec<ColumnRowsMsg>,
}

/// One column of some samples.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ColumnRowsMsg {
    pub name: String,
    /// f32 `[count, width]`; zero where absent.
    pub values: TensorId,
    /// u8 `[count]`: 1 where a value was written.
    pub present: TensorId,
}

/// One draw of a request.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct DrawMsg {
    /// Index into [`Declaration::requests`]; 0 for the answer to `draw`.
    pub request: u32,
    pub repeat: u32,
    pub rows: RowsMsg,
}

/// Answer to [`crate::HostOp::DRAW`].
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct DrawsMsg {
    pub draws: Vec<DrawMsg>,
}

/// Answer to `observe`.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct ReportMsg {
    /// JSON writes NaN and infinities as null; null is read as NaN.
    #[serde(deserialize_with = "null_as_nan")]
    pub scalars: BTreeMap<String, f64>,
    /// Seconds of parts of the step by the learner's clock, for the host's time ledger.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<String, f64>,
    /// Columns of the current samples: f32 `[batch, width]`.
    pub columns: Vec<ReportColumnMsg>,
    pub writes: Vec<WriteColumnMsg>,
    /// i64 `[batch]`: [`PLACE_HOST`], [`PLACE_SKIP`] or a slot.
    pub placements: Option<TensorId>,
    /// Group of those current samples that are in the memory after the step; 0 if not said.
    pub group: Option<u32>,
    pub events: Vec<EventMsg>,
}

fn null_as_nan<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let scalars = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    Ok(scalars.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// Placement: the host's policy decides.
pub const PLACE_HOST: i64 = -1;
/// Placement: the sample is not offered.
pub const PLACE_SKIP: i64 = -2;

/// A column of the current samples, to be stored with those that enter the memory.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ReportColumnMsg {
    pub name: String,
    pub values: TensorId,
}

/// Values for a column of samples in the memory. A slot that no longer holds its uid is passed over.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct WriteColumnMsg {
    pub column: String,
    pub slots: TensorId,
    pub uids: TensorId,
    pub values: TensorId,
}

/// Something that happened inside a learner, for the report (a network opened, merged, why).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct EventMsg {
    pub kind: String,
    pub data: serde_json::Value,
}

/// New groups of samples in the memory: u32 slots, u64 uids, u32 groups.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct RelabelMsg {
    pub slots: TensorId,
    pub uids: TensorId,
    pub groups: TensorId,
}

/// The memory becomes exactly these samples (u64 uids, of the memory or the current experience), in order.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ReplaceMsg {
    pub uids: TensorId,
}

/// `iterate`: some epochs over a source.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct IterateMsg {
    pub source: Source,
    pub filter: Filter,
    pub profile: Profile,
    pub batch: usize,
    pub epochs: usize,
    pub shuffled: bool,
    #[serde(default)]
    pub columns: Vec<String>,
}

/// Answer to `iterate`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct IterateReply {
    pub handle: u32,
    pub batches: u64,
}

/// `next` batch of an iteration.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct NextMsg {
    pub handle: u32,
}

/// Answer to `next`; `None` at the end.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct NextReply {
    pub rows: Option<RowsMsg>,
}

/// `validation_score`: u32 class predicted for each sample of [`Source::Validation`], in the order of an
/// unshuffled iteration.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ValidationMsg {
    pub classes: TensorId,
}

/// Answer to `validation_score`; `None` without held-out data.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct ValidationReply {
    pub accuracy: Option<f64>,
}

/// Answer to `cancelled`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct CancelledReply {
    pub cancelled: bool,
}

/// A log record of a plugin.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct LogMsg {
    pub level: String,
    pub target: String,
    pub message: String,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// `predict`: inputs f32 `[n, ..input shape]`; what the view does not need is absent.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct PredictMsg {
    pub seed: u64,
    pub view: String,
    pub inputs: TensorId,
    /// u32 `[n]`, only for views that need it.
    #[serde(default)]
    pub task_labels: Option<TensorId>,
    /// u32 `[n]`, only for views that need it.
    #[serde(default)]
    pub groups: Option<TensorId>,
}

/// Answer to `predict`: f32 `[n, classes]`, or `None` for a view that is not open yet.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct PredictReply {
    pub logits: Option<TensorId>,
}

/// Answer to `resources`: bytes per kind (`parameters`, `buffers`, `optimizer`, `other`).
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct ResourcesReply {
    pub bytes: BTreeMap<String, u64>,
}
