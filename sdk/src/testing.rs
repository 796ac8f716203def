//! Drives a learner in process on a scripted stream and scripted draws, through the same adapter as a host:
//! what passes here has crossed the boundary's messages. Longer than other files: it is one type with an
//! answer to every host call.

use perdura_abi::message::{
    ContextMsg, CreateMsg, Declaration, DrawMsg, DrawsMsg, ExperienceMsg, Grants, IterateReply,
    NextReply, Position, PredictMsg, PredictReply, ReportMsg, RowsMsg, SeedMsg, StepMsg,
    ValidationReply,
};
use perdura_abi::serve::{Answerer, Parts, with_handle};
use perdura_abi::table::{LearnerAbi, PluginRootRef};
use perdura_abi::{AbiError, Element, ErrorKind, HostOp, Message, MessageBuf, Op, Reply};
use std::collections::VecDeque;
use std::marker::PhantomData;

use crate::adapter::Instance;
use crate::export::{Exported, root_module};
use crate::learner::ContinualLearner;

/// The root module of a plugin with this learner, as a host would find it in a shared library: for tests
/// that drive a learner with the real host in one process.
pub fn root_of<L: ContinualLearner>() -> PluginRootRef {
    struct UnderTest<L>(PhantomData<L>);
    impl<L: ContinualLearner> Exported for UnderTest<L> {
        type Learner = L;
        const ID: &'static str = "local/under-test";
    }
    root_module::<UnderTest<L>>()
}

/// What the learner is told about the world.
#[derive(Clone, Debug)]
pub struct Setting {
    pub context: ContextMsg,
    /// Run seed; every call gets a seed that counts up from it.
    pub seed: u64,
}

impl Setting {
    /// `classes` outputs, inputs of this shape, everything granted, one thread, seed 0.
    pub fn new(classes: usize, input_shape: &[usize]) -> Self {
        let grants = Grants { boundaries: true, experience_classes: true, second_pass: true };
        let (input_shape, device) = (input_shape.to_vec(), "flex".into());
        let context = ContextMsg { classes, input_shape, device, threads: 1, grants };
        Setting { context, seed: 0 }
    }

    pub fn seed(self, seed: u64) -> Self {
        Setting { seed, ..self }
    }

    /// Another device than `flex`.
    pub fn device(mut self, name: &str) -> Self {
        self.context.device = name.into();
        self
    }
}

/// Samples of a script.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// One entry per view, each row-major.
    pub views: Vec<Vec<f32>>,
    pub labels: Vec<u32>,
    /// Identities; counted from 0 where there are none.
    pub uids: Option<Vec<u64>>,
    pub experiences: Option<Vec<u32>>,
    pub groups: Option<Vec<u32>>,
    /// Name, values `[rows, width]`, presence `[rows]`.
    pub columns: Vec<(String, Vec<f32>, Vec<u8>)>,
}

impl Samples {
    /// One view and labels.
    pub fn new(inputs: &[f32], labels: &[u32]) -> Self {
        Samples { views: vec![inputs.to_vec()], labels: labels.to_vec(), ..Default::default() }
    }

    /// Adds a further view.
    pub fn view(mut self, inputs: &[f32]) -> Self {
        self.views.push(inputs.to_vec());
        self
    }

    /// Adds a column that every sample has.
    pub fn column(mut self, name: &str, values: &[f32]) -> Self {
        let present = vec![1; self.labels.len()];
        self.columns.push((name.into(), values.to_vec(), present));
        self
    }

    fn push(&self, message: &mut MessageBuf, from_memory: bool) -> RowsMsg {
        let count = self.labels.len();
        let counted = || (0..count as u64).collect();
        let ids: Vec<u64> = self.uids.clone().unwrap_or_else(counted);
        let slots: Vec<u32> = (0..count as u32).collect();
        let mut numbers = |values: &Vec<u32>| message.push(&[values.len()], values);
        let labels = Some(numbers(&self.labels));
        let experiences = self.experiences.as_ref().map(&mut numbers);
        let groups = self.groups.as_ref().map(&mut numbers);
        let slots = from_memory.then(|| numbers(&slots));
        let columns = self.columns.iter().map(|(name, values, present)| {
            perdura_abi::message::ColumnRowsMsg {
                name: name.clone(),
                values: message.push(&[values.len()], values),
                present: message.push(&[present.len()], present),
            }
        });
        let columns = columns.collect();
        let views = self.views.iter().map(|v| message.push(&[v.len()], v)).collect();
        let uids = Some(message.push(&[count], &ids));
        RowsMsg { count, views, raw: None, labels, uids, experiences, slots, groups, columns }
    }
}

/// Answers the learner's calls to the host from a script and records them.
#[derive(Default)]
pub struct Script {
    /// Answers to `draw`, in order.
    pub draws: VecDeque<Samples>,
    /// Answers to `iterate`, in order: the batches of each.
    pub iterations: VecDeque<Vec<Samples>>,
    /// Answer to `validation_score`.
    pub validation: Option<f64>,
    /// Every call to the host: its name and its header.
    pub calls: Vec<(String, serde_json::Value)>,
    /// Values of every `write_column`, in order.
    pub written: Vec<Vec<f32>>,
    /// Identity and new group of every sample, by call of `relabel`.
    pub relabelled: Vec<Vec<(u64, u32)>>,
    /// Identities that the memory was to hold, by call of `replace`.
    pub replaced: Vec<Vec<u64>>,
    answer: MessageBuf,
    current: VecDeque<Samples>,
    state: Vec<u8>,
    state_read: usize,
}

impl Answerer for Script {
    fn answer(&mut self, op: HostOp, message: Message<'_>) -> Result<Parts<'_>, AbiError> {
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        let answered = self.serve(op, message, &mut answer);
        self.answer = answer;
        answered.map(|()| Parts::from(&self.answer))
    }

    fn log(&mut self, message: Message<'_>) -> Result<(), AbiError> {
        self.serve(HostOp::LOG, message, &mut MessageBuf::new())
    }
}

impl Script {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        let header = serde_json::from_slice(message.header.as_slice()).unwrap_or_default();
        self.calls.push((op.name().into(), header));
        let missing =
            |what| AbiError::new(ErrorKind::HOST, format!("the script has no more {what}"));
        match op {
            HostOp::DRAW => {
                let samples = self.draws.pop_front().ok_or_else(|| missing("draws"))?;
                let rows = samples.push(answer, true);
                answer
                    .set_header(&DrawsMsg { draws: vec![DrawMsg { request: 0, repeat: 0, rows }] });
            }
            HostOp::ITERATE => {
                self.current =
                    self.iterations.pop_front().ok_or_else(|| missing("iterations"))?.into();
                let batches = self.current.len() as u64;
                answer.set_header(&IterateReply { handle: 0, batches });
            }
            HostOp::NEXT => {
                let rows = self.current.pop_front().map(|samples| samples.push(answer, true));
                answer.set_header(&NextReply { rows });
            }
            HostOp::VALIDATION_SCORE => {
                answer.set_header(&ValidationReply { accuracy: self.validation });
            }
            HostOp::CANCELLED => answer.set_header(&serde_json::json!({ "cancelled": false })),
            HostOp::WRITE_COLUMN => {
                // Slots, uids, values.
                self.written.push(elements(&message, 2)?);
            }
            HostOp::RELABEL => {
                // Slots, uids, groups.
                let (uids, groups) = (elements(&message, 1)?, elements(&message, 2)?);
                self.relabelled.push(uids.into_iter().zip(groups).collect());
            }
            HostOp::REPLACE => self.replaced.push(elements(&message, 0)?),
            HostOp::WRITE_STATE => {
                self.state.extend_from_slice(message.tensors[0].data.as_slice());
            }
            HostOp::READ_STATE => {
                let end = self.state.len().min(self.state_read + (1 << 20));
                answer.push(&[end - self.state_read], &self.state[self.state_read..end]);
                self.state_read = end;
            }
            _ => {}
        }
        Ok(())
    }
}

fn elements<T: Element + Clone>(message: &Message<'_>, tensor: usize) -> Result<Vec<T>, AbiError> {
    let elements = message.tensors[tensor].elements::<T>();
    elements.map(<[T]>::to_vec).map_err(|e| AbiError::new(ErrorKind::HOST, e.to_string()))
}

/// What a step was answered with.
#[derive(Clone, Debug)]
pub struct Observed {
    pub report: ReportMsg,
    /// Tensors that the report names by index.
    pub tensors: Vec<Vec<u8>>,
}

impl Observed {
    /// A scalar of the report.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.report.scalars.get(name).copied()
    }

    /// A column of the current samples.
    pub fn column(&self, name: &str) -> Option<Vec<f32>> {
        let column = self.report.columns.iter().find(|c| c.name == name)?;
        let bytes = self.tensors.get(column.values.0 as usize)?.chunks_exact(4);
        Some(bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// What a view is told about its samples.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    task_labels: Option<&'a [u32]>,
    groups: Option<&'a [u32]>,
}

/// One learner under test.
pub struct Driver<L: ContinualLearner> {
    instance: Instance<L>,
    seed: u64,
    step: u64,
    /// Where the next steps are said to be; `None` as where boundaries are not granted.
    pub position: Option<Position>,
    /// How many epochs the next experiences are said to have, and how many samples a batch.
    pub epochs: Option<u32>,
    pub batch: Option<u32>,
    /// What is told of the memory's room at boundaries.
    pub memory_samples_max: Option<u64>,
    /// What the host answers, and what it was asked.
    pub script: Script,
    pub declaration: Declaration,
}

impl<L: ContinualLearner> Driver<L> {
    /// Makes the learner.
    pub fn new(config: L::Config, setting: Setting) -> Result<Self, AbiError> {
        let config = serde_json::to_value(config)
            .map_err(|e| AbiError::new(ErrorKind::CONFIG, e.to_string()))?;
        Self::from_json(config, setting)
    }

    /// Makes the learner from hyper-parameters as the host would send them.
    pub fn from_json(config: serde_json::Value, setting: Setting) -> Result<Self, AbiError> {
        let Setting { context, seed } = setting;
        let create = CreateMsg { config, context, seed, log_level: "error".into() };
        let mut script = Script::default();
        let message = MessageBuf::of_header(&create);
        let instance = with_handle(&mut script, |host| {
            message.with(|message| Instance::create(message, host))
        })?;
        let declaration = Declaration::default();
        let (step, position, epochs, batch, memory_samples_max) = (0, None, None, None, None);
        let mut driver = Driver {
            instance,
            seed,
            step,
            position,
            epochs,
            batch,
            memory_samples_max,
            script,
            declaration,
        };
        driver.declaration = header(&driver.call(Op::DECLARE, &MessageBuf::new())?)?;
        Ok(driver)
    }

    /// One operation, as a host would call it.
    pub fn call(&mut self, op: Op, message: &MessageBuf) -> Result<Reply, AbiError> {
        with_handle(&mut self.script, |host| {
            message.with(|message| self.instance.call(op, message, host))
        })
        .into_result()
    }

    fn next_seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    pub fn begin_experience(&mut self, index: u32) -> Result<(), AbiError> {
        let message = MessageBuf::of_header(&self.experience(index));
        self.call(Op::BEGIN_EXPERIENCE, &message).map(drop)
    }

    /// The same, of an experience whose classes are told.
    pub fn begin_experience_of(&mut self, index: u32, classes: &[u32]) -> Result<(), AbiError> {
        let classes = Some(classes.to_vec());
        let message = ExperienceMsg { classes, ..self.experience(index) };
        self.call(Op::BEGIN_EXPERIENCE, &MessageBuf::of_header(&message)).map(drop)
    }

    pub fn end_experience(&mut self, index: u32) -> Result<(), AbiError> {
        let message = MessageBuf::of_header(&self.experience(index));
        self.call(Op::END_EXPERIENCE, &message).map(drop)
    }

    fn experience(&mut self, index: u32) -> ExperienceMsg {
        let (seed, index) = (self.next_seed(), Some(index));
        let (epochs, batch, memory_samples_max) =
            (self.epochs, self.batch, self.memory_samples_max);
        ExperienceMsg { seed, index, epochs, batch, memory_samples_max, ..Default::default() }
    }

    pub fn end_of_stream(&mut self) -> Result<(), AbiError> {
        let message = MessageBuf::of_header(&SeedMsg { seed: self.next_seed() });
        self.call(Op::END_OF_STREAM, &message).map(drop)
    }

    /// A step without draws.
    pub fn observe(&mut self, inputs: &[f32], labels: &[u32]) -> Result<Observed, AbiError> {
        self.step(&Samples::new(inputs, labels), &[])
    }

    /// A step; `draws` holds the name of a request and what it drew.
    pub fn step(
        &mut self,
        current: &Samples,
        draws: &[(&str, Samples)],
    ) -> Result<Observed, AbiError> {
        let mut message = MessageBuf::new();
        let mut header = StepMsg {
            seed: self.next_seed(),
            step: self.step,
            position: self.position,
            current: current.push(&mut message, false),
            draws: Vec::new(),
        };
        for (name, samples) in draws {
            let request = self.declaration.requests.iter().position(|r| r.name == *name);
            let request = request.ok_or_else(|| {
                AbiError::new(ErrorKind::HOST, format!("request `{name}` was not declared"))
            })? as u32;
            let repeat = header.draws.iter().filter(|d| d.request == request).count() as u32;
            header.draws.push(DrawMsg { request, repeat, rows: samples.push(&mut message, true) });
        }
        message.set_header(&header);
        self.step += 1;
        let reply = self.call(Op::OBSERVE, &message)?;
        let tensors = reply.tensors.iter().map(|t| t.data.to_vec()).collect();
        Ok(Observed { report: header_of(&reply)?, tensors })
    }

    /// Logits of a view; `None` where the view is not open yet.
    pub fn predict(&mut self, view: &str, inputs: &[f32]) -> Result<Option<Vec<f32>>, AbiError> {
        self.ask(view, inputs, Told::default())
    }

    /// The same, of a view that is told the experience of each sample.
    pub fn predict_told(
        &mut self,
        view: &str,
        inputs: &[f32],
        task_labels: &[u32],
    ) -> Result<Option<Vec<f32>>, AbiError> {
        self.ask(view, inputs, Told { task_labels: Some(task_labels), groups: None })
    }

    /// The same, of a view that is told the true group of each sample.
    pub fn predict_grouped(
        &mut self,
        view: &str,
        inputs: &[f32],
        groups: &[u32],
    ) -> Result<Option<Vec<f32>>, AbiError> {
        self.ask(view, inputs, Told { groups: Some(groups), task_labels: None })
    }

    fn ask(
        &mut self,
        view: &str,
        inputs: &[f32],
        told: Told<'_>,
    ) -> Result<Option<Vec<f32>>, AbiError> {
        let mut message = MessageBuf::new();
        let header = PredictMsg {
            seed: self.next_seed(),
            view: view.into(),
            inputs: message.push(&[inputs.len()], inputs),
            task_labels: told.task_labels.map(|labels| message.push(&[labels.len()], labels)),
            groups: told.groups.map(|groups| message.push(&[groups.len()], groups)),
        };
        message.set_header(&header);
        let reply = self.call(Op::PREDICT, &message)?;
        let PredictReply { logits } = header_of(&reply)?;
        let values = |bytes: &[u8]| {
            let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            bytes.chunks_exact(4).map(word).collect()
        };
        Ok(logits.map(|id| values(&reply.tensors[id.0 as usize].data)))
    }

    /// The saved state.
    pub fn save(&mut self) -> Result<Vec<u8>, AbiError> {
        self.script.state.clear();
        self.call(Op::SAVE, &MessageBuf::new())?;
        Ok(std::mem::take(&mut self.script.state))
    }

    /// Loads a saved state.
    pub fn load(&mut self, state: &[u8]) -> Result<(), AbiError> {
        (self.script.state, self.script.state_read) = (state.to_vec(), 0);
        self.call(Op::LOAD, &MessageBuf::new()).map(drop)
    }
}

fn header<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, AbiError> {
    serde_json::from_slice(&reply.header)
        .map_err(|e| AbiError::new(ErrorKind::MESSAGE, format!("reply header: {e}")))
}

use header as header_of;
