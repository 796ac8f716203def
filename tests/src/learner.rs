//! One learner, called as the host calls it, with samples of the test's own. Wherever the learner runs, the
//! same messages go in and out.

use perdura::worker::{HostServices, LearnerPort, NoServices, SpawnOptions, in_process, spawn};
use perdura_abi::MessageBuf;
use perdura_abi::message::{
    ColumnRowsMsg, ContextMsg, CreateMsg, DrawMsg, ExperienceMsg, Grants, IterateReply, NextReply,
    PredictMsg, PredictReply, ReportMsg, RowsMsg, StepMsg, TensorId,
};
use perdura_abi::table::{AbiError, HostOp, Message, Op, PluginRootRef};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

use crate::built;

/// Inputs, row by row, and their labels.
#[derive(Default)]
pub struct Samples {
    pub inputs: Vec<f32>,
    /// The same samples, seen otherwise.
    pub second_view: Option<Vec<f32>>,
    pub labels: Vec<u32>,
    /// Values beside each sample, row by row.
    pub columns: Vec<(String, Vec<f32>)>,
}

/// What a step reported.
pub struct Report {
    pub scalars: BTreeMap<String, f64>,
    /// Values for each sample of the current batch, row by row.
    pub columns: BTreeMap<String, Vec<f32>>,
}

/// A learner of ten classes.
pub struct Learner {
    port: Box<dyn LearnerPort>,
    /// Shape of one input.
    input: Vec<usize>,
    steps: u64,
}

impl Learner {
    /// In a worker process.
    pub fn in_worker(plugin: &Path, config: &Value, input: &[usize]) -> Learner {
        let options = SpawnOptions { program: built().perdura(), ..SpawnOptions::new(plugin) };
        let port = spawn(&options, &create(config, input), &mut NoServices);
        let port = port.unwrap_or_else(|fault| panic!("{fault}"));
        Learner { port: Box::new(port), input: input.to_vec(), steps: 0 }
    }

    /// In this process.
    pub fn in_process(root: PluginRootRef, config: &Value, input: &[usize]) -> Learner {
        let port = in_process(root, &create(config, input), &mut NoServices);
        let port = port.unwrap_or_else(|fault| panic!("{fault}"));
        Learner { port: Box::new(port), input: input.to_vec(), steps: 0 }
    }

    /// One step, with one draw for each request.
    pub fn observe(&mut self, current: &Samples, draws: &[Samples]) -> Report {
        let draws: Vec<_> = (0..).zip(draws).collect();
        self.observe_draws(current, &draws)
    }

    /// One step, with any number of draws, each with the number of its request; those of one request stand
    /// together.
    pub fn observe_draws(&mut self, current: &Samples, draws: &[(u32, &Samples)]) -> Report {
        let mut message = MessageBuf::new();
        let current = self.rows(&mut message, current);
        let mut drawn: Vec<DrawMsg> = Vec::new();
        for &(request, samples) in draws {
            let repeat = drawn.iter().filter(|d| d.request == request).count() as u32;
            drawn.push(DrawMsg { request, repeat, rows: self.rows(&mut message, samples) });
        }
        let draws = drawn;
        let (seed, step) = (self.steps + 1, self.steps);
        message.set_header(&StepMsg { seed, step, position: None, current, draws });
        self.steps += 1;
        let reply = self.call(Op::OBSERVE, &message, &mut NoServices);
        let report: ReportMsg = serde_json::from_slice(reply.header()).expect("a report");
        let values = |id: TensorId| {
            reply.views()[id.0 as usize].elements::<f32>().expect("numbers").to_vec()
        };
        let columns = report.columns.into_iter().map(|c| (c.name, values(c.values)));
        Report { scalars: report.scalars, columns: columns.collect() }
    }

    /// The end of an experience. Whatever the learner then goes over, it meets these samples, as one batch.
    pub fn end_experience(&mut self, index: u32, samples: &Samples) {
        let (seed, index) = (u64::from(index), Some(index));
        let message = MessageBuf::of_header(&ExperienceMsg { seed, index, ..Default::default() });
        let mut pass = Pass { input: &self.input.clone(), samples };
        self.call(Op::END_EXPERIENCE, &message, &mut pass);
    }

    /// Logits of a view, `[rows, 10]`.
    pub fn predict(&mut self, view: &str, inputs: &[f32]) -> Vec<f32> {
        let mut message = MessageBuf::new();
        let width: usize = self.input.iter().product();
        let inputs = message.push(&self.shape(inputs.len() / width), inputs);
        let (task_labels, groups) = (None, None);
        message.set_header(&PredictMsg { seed: 1, view: view.into(), inputs, task_labels, groups });
        let reply = self.call(Op::PREDICT, &message, &mut NoServices);
        let answer: PredictReply = serde_json::from_slice(reply.header()).expect("an answer");
        let id = answer.logits.expect("the view is open");
        reply.views()[id.0 as usize].elements::<f32>().expect("numbers").to_vec()
    }

    /// The saved state.
    pub fn save(&mut self) -> Vec<u8> {
        let mut state = State { bytes: Vec::new(), read: false };
        self.call(Op::SAVE, &MessageBuf::new(), &mut state);
        state.bytes
    }

    pub fn load(&mut self, bytes: &[u8]) {
        let mut state = State { bytes: bytes.to_vec(), read: false };
        self.call(Op::LOAD, &MessageBuf::new(), &mut state);
    }

    fn call(
        &mut self,
        op: Op,
        message: &MessageBuf,
        services: &mut dyn HostServices,
    ) -> MessageBuf {
        let mut reply = MessageBuf::new();
        let called = self.port.call(op, message, services, &mut reply);
        called.unwrap_or_else(|fault| panic!("{fault}"));
        reply
    }

    fn rows(&self, message: &mut MessageBuf, samples: &Samples) -> RowsMsg {
        rows_of(&self.input, message, samples)
    }

    /// Shape of `count` inputs.
    fn shape(&self, count: usize) -> Vec<usize> {
        [&[count], &self.input[..]].concat()
    }
}

fn rows_of(input: &[usize], message: &mut MessageBuf, samples: &Samples) -> RowsMsg {
    let count = samples.labels.len();
    let uids: Vec<u64> = (0..count as u64).collect();
    let columns = samples.columns.iter().map(|(name, values)| ColumnRowsMsg {
        name: name.clone(),
        values: message.push(&[count, values.len() / count], values),
        present: message.push(&[count], &vec![1u8; count]),
    });
    let columns = columns.collect();
    let views = std::iter::once(&samples.inputs).chain(&samples.second_view);
    RowsMsg {
        count,
        views: views.map(|view| message.push(&[&[count], input].concat(), view)).collect(),
        labels: Some(message.push(&[count], &samples.labels)),
        uids: Some(message.push(&[count], &uids)),
        columns,
        ..RowsMsg::default()
    }
}

fn create(config: &Value, input: &[usize]) -> CreateMsg {
    let grants = Grants { boundaries: true, experience_classes: true, second_pass: true };
    let (input_shape, device) = (input.to_vec(), "flex".into());
    CreateMsg {
        config: config.clone(),
        context: ContextMsg { classes: 10, input_shape, device, threads: 1, grants },
        seed: 7,
        log_level: "warn".into(),
    }
}

/// A pass over some samples, in one batch.
struct Pass<'a> {
    /// Shape of one input.
    input: &'a [usize],
    samples: &'a Samples,
}

impl HostServices for Pass<'_> {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        match op {
            HostOp::ITERATE => answer.set_header(&IterateReply { handle: 0, batches: 1 }),
            HostOp::NEXT => {
                let rows = Some(rows_of(self.input, answer, self.samples));
                answer.set_header(&NextReply { rows });
            }
            _ => return NoServices.serve(op, message, answer),
        }
        Ok(())
    }
}

/// A state on its way out of a learner, or into one.
struct State {
    bytes: Vec<u8>,
    read: bool,
}

impl HostServices for State {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        match op {
            HostOp::WRITE_STATE => self.bytes.extend_from_slice(message.tensors[0].data.as_slice()),
            HostOp::READ_STATE => {
                let rest: &[u8] = if self.read { &[] } else { &self.bytes };
                answer.push(&[rest.len()], rest);
                self.read = true;
            }
            _ => return NoServices.serve(op, message, answer),
        }
        Ok(())
    }
}
