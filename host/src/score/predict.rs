//! Makes predictions: a new instance from the saved bytes, test samples of all experiences in one shuffled
//! order, so that neither the order nor the company of a sample tells where it comes from.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{ContextMsg, CreateMsg, PredictMsg, PredictReply, View, ViewNeeds};
use perdura_abi::table::{AbiError, HostOp, Message, Op};
use std::sync::Arc;

use crate::metrics::{Prediction, Truth};
use crate::rng::{call_seed, keyed, shuffle};
use crate::run::{ABSENT_CLASS, After, Predictions};
use crate::stream::{Benchmark, EvalHead};
use crate::worker::{CallFault, HostServices, LearnerPort};
use perdura_abi::message::Profile;

/// Samples per `predict` call: large enough for the arithmetic, small enough for the message.
const BATCH_SAMPLES: usize = 500;

/// Predictions of one view; `None` while the view is not open.
pub struct ViewPredictions {
    pub view: usize,
    pub predictions: Option<Predictions>,
}

/// Makes a fresh instance.
pub type Open<'a> = dyn FnMut(&CreateMsg) -> Result<Box<dyn LearnerPort>, CallFault> + 'a;

/// Why a state could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreFault {
    #[error(transparent)]
    Call(#[from] CallFault),
    /// What the learner answered cannot be scored.
    #[error("view `{view}`: {problem}")]
    Answer { view: String, problem: String },
}

/// Scores states of one learner on one benchmark.
pub struct Scorer {
    pub benchmark: Arc<Benchmark>,
    pub views: Vec<View>,
    pub context: ContextMsg,
    pub config: serde_json::Value,
    pub seed: u64,
}

/// One test sample.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    experience: u16,
    index: u32,
}

impl Scorer {
    /// What a fresh instance is created with: the same as the learner in training.
    pub fn create_message(&self) -> CreateMsg {
        CreateMsg {
            config: self.config.clone(),
            context: self.context.clone(),
            seed: call_seed(self.seed, "create", 0),
            log_level: "warn".into(),
        }
    }

    /// Predictions of every view. `open` makes a fresh instance; views that are told task labels or groups
    /// get one of their own. `look` is shown each instance before it is thrown away.
    pub fn score(
        &self,
        state: &[u8],
        after: After,
        open: &mut Open<'_>,
        look: &mut dyn FnMut(&dyn LearnerPort),
    ) -> Result<Vec<ViewPredictions>, ScoreFault> {
        let mut scored = Vec::new();
        for needs in [ViewNeeds::Nothing, ViewNeeds::TaskLabel] {
            let views: Vec<usize> =
                (0..self.views.len()).filter(|&v| self.views[v].needs == needs).collect();
            if views.is_empty() {
                continue;
            }
            let mut port = open(&self.create_message())?;
            let mut reader = StateSource { state, read: 0 };
            port.call(Op::LOAD, &MessageBuf::new(), &mut reader, &mut MessageBuf::new())?;
            for view in views {
                let predictions = self.score_view(port.as_mut(), view, after)?;
                scored.push(ViewPredictions { view, predictions });
            }
            look(port.as_ref());
        }
        scored.sort_by_key(|s| s.view);
        Ok(scored)
    }

    fn score_view(
        &self,
        port: &mut dyn LearnerPort,
        view: usize,
        after: After,
    ) -> Result<Option<Predictions>, ScoreFault> {
        let order = self.samples(after);
        let seen = match (self.benchmark.eval_head, after) {
            (EvalHead::Seen, After::Experience(index)) => Some(self.benchmark.seen_classes(index)),
            _ => None,
        };
        let mut rows: Vec<(Sample, Prediction)> = Vec::with_capacity(order.len());
        for (number, samples) in order.chunks(BATCH_SAMPLES).enumerate() {
            let Some(logits) = self.logits(port, view, after, number as u64, samples)? else {
                return Ok(None);
            };
            for (sample, row) in samples.iter().zip(logits.chunks(self.context.classes)) {
                let label = self.benchmark.label(false, sample.index);
                let task = &self.benchmark.experiences[usize::from(sample.experience)].classes;
                let truth = Truth { label, task, seen: seen.as_deref() };
                let row =
                    Prediction::from_logits(row, truth).ok_or_else(|| ScoreFault::Answer {
                        view: self.views[view].name.clone(),
                        problem: "its largest logit is not a finite number".into(),
                    })?;
                rows.push((*sample, row));
            }
        }
        rows.sort_by_key(|(sample, _)| *sample);
        Ok(Some(self.columns(view, &rows)))
    }

    /// All test samples, in an order that is the same for every learner.
    fn samples(&self, after: After) -> Vec<Sample> {
        let experiences = self.benchmark.experiences.iter().enumerate();
        let mut all: Vec<Sample> = experiences
            .flat_map(|(experience, e)| {
                let experience = experience as u16;
                e.test.iter().map(move |&index| Sample { experience, index })
            })
            .collect();
        shuffle(&mut keyed(self.seed, "test-order", &[after_number(after)]), &mut all);
        all
    }

    fn logits(
        &self,
        port: &mut dyn LearnerPort,
        view: usize,
        after: After,
        number: u64,
        samples: &[Sample],
    ) -> Result<Option<Vec<f32>>, ScoreFault> {
        let View { name, needs, until_opened } = &self.views[view];
        let problem = |problem: String| ScoreFault::Answer { view: name.clone(), problem };
        let message = self.question(view, after, number, samples, *needs);
        let mut reply = MessageBuf::new();
        port.call(Op::PREDICT, &message, &mut Silent, &mut reply)?;
        let header: PredictReply = serde_json::from_slice(reply.header())
            .map_err(|e| problem(format!("the answer to `predict` cannot be read: {e}")))?;
        let Some(id) = header.logits else {
            return match until_opened {
                true => Ok(None),
                false => Err(problem("it is not open, but not declared `until_opened`".into())),
            };
        };
        let views = reply.views();
        let tensor = views.get(id.0 as usize);
        let tensor = tensor.ok_or_else(|| problem(format!("tensor {} is missing", id.0)))?;
        let logits = tensor.elements::<f32>().map_err(|e| problem(e.to_string()))?;
        let expected = samples.len() * self.context.classes;
        if logits.len() != expected {
            let found = logits.len();
            return Err(problem(format!("expected {expected} logits, found {found}")));
        }
        Ok(Some(logits.to_vec()))
    }

    fn question(
        &self,
        view: usize,
        after: After,
        number: u64,
        samples: &[Sample],
        needs: ViewNeeds,
    ) -> MessageBuf {
        let benchmark = &self.benchmark;
        let width: usize = self.context.input_shape.iter().product();
        let shape: Vec<usize> = std::iter::once(samples.len())
            .chain(self.context.input_shape.iter().copied())
            .collect();
        let mut message = MessageBuf::new();
        // The profile `None` takes nothing from the generator.
        let mut unused = keyed(0, "unused", &[]);
        let inputs = message.push_with(&shape, |out: &mut [f32]| {
            for (sample, out) in samples.iter().zip(out.chunks_mut(width)) {
                let image = benchmark.test_image(usize::from(sample.experience), sample.index);
                benchmark.pixels.apply(Profile::None, &image, out, &mut unused);
            }
        });
        let labels: Vec<u32> = samples.iter().map(|s| u32::from(s.experience)).collect();
        let task_labels =
            (needs == ViewNeeds::TaskLabel).then(|| message.push(&[labels.len()], &labels));
        // The seed must not tell the view or the moment more than a counter does.
        let index = after_number(after) << 32 | number;
        let seed = call_seed(self.seed, "predict", index);
        let view = self.views[view].name.clone();
        message.set_header(&PredictMsg { seed, view, inputs, task_labels, groups: None });
        message
    }

    fn columns(&self, view: usize, rows: &[(Sample, Prediction)]) -> Predictions {
        let told = self.views[view].needs == ViewNeeds::TaskLabel;
        let by_task = !matches!(self.benchmark.scenario, crate::stream::Scenario::DomainIl);
        let mut columns = Predictions::default();
        for (sample, row) in rows {
            columns.sample.push(sample.index);
            columns.experience.push(sample.experience);
            columns.label.push(self.benchmark.label(false, sample.index) as u16);
            columns.class.push(if told { ABSENT_CLASS } else { row.class as u16 });
            let task_class = if by_task { row.task_class as u16 } else { ABSENT_CLASS };
            columns.task_class.push(task_class);
            columns.top_probability.push(row.top_probability);
            columns.true_log_probability.push(row.true_log_probability);
        }
        columns
    }
}

fn after_number(after: After) -> u64 {
    match after {
        After::Initial => 0,
        After::Experience(index) => index as u64 + 1,
    }
}

/// Offers a state to be loaded.
struct StateSource<'a> {
    state: &'a [u8],
    read: usize,
}

/// Pieces in which a state is handed over.
const PIECE_BYTES: usize = 4 << 20;

impl HostServices for StateSource<'_> {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        if op != HostOp::READ_STATE {
            return Silent.serve(op, message, answer);
        }
        let end = self.state.len().min(self.read + PIECE_BYTES);
        answer.push(&[end - self.read], &self.state[self.read..end]);
        self.read = end;
        Ok(())
    }
}

/// Offers nothing: an instance that is scored must not reach the data.
use crate::worker::NoServices as Silent;
