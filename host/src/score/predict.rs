//! Makes predictions: a new instance from the saved bytes, test samples of all experiences in one shuffled
//! order, so that neither the order nor the company of a sample tells where it comes from.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{
    ContextMsg, CreateMsg, PredictMsg, PredictReply, Profile, View, ViewNeeds,
};
use perdura_abi::table::{AbiError, ErrorKind, HostOp, Message, Op};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::sync::Arc;
use tracing::level_filters::LevelFilter;

use crate::interrupt::Interrupt;
use crate::metrics::{Prediction, Truth};
use crate::rng::{call_seed, keyed, shuffle};
use crate::run::{ABSENT_CLASS, After, FaultCode, Predictions};
use crate::stream::{Benchmark, EvalHead, Scenario};
use crate::trainer::{Activity, Ledger};
use crate::worker::{CallFault, HostServices, LearnerPort, NoServices};

/// Samples per `predict` call: large enough for the arithmetic, small enough for the message.
const BATCH_SAMPLES: usize = 500;

/// Predictions of one view; `None` while the view is not open.
#[derive(Clone, Debug, PartialEq)]
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
    Answer { view: String, problem: String, code: FaultCode },
    /// The run is to end; nothing is wrong with the learner.
    #[error("the run was asked to end")]
    Interrupted,
}

/// Scores states of one learner on one benchmark.
pub struct Scorer {
    pub benchmark: Arc<Benchmark>,
    pub views: Vec<View>,
    pub context: ContextMsg,
    pub config: serde_json::Value,
    pub seed: u64,
}

/// What scoring takes from the run around it.
pub struct Around<'a> {
    /// Makes a fresh instance; views that are told task labels or groups get one of their own.
    pub open: &'a mut Open<'a>,
    /// Is shown each instance before it is thrown away.
    pub look: &'a mut dyn FnMut(&dyn LearnerPort),
    /// Ends the scoring between two answers.
    pub interrupt: &'a Interrupt,
    pub ledger: &'a mut Ledger,
}

/// A moment of a run whose state is scored, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A row of the matrix: on the test samples of all experiences.
    After(After),
    /// So many steps into the stream, while this experience is being trained: on those of the
    /// experiences so far, this one included. Nothing is known of later ones, and most of the time of
    /// a stream they would be most of the work.
    During { step: u64, experience: usize },
}

impl From<After> for Moment {
    fn from(after: After) -> Moment {
        Moment::After(after)
    }
}

/// One test sample: its experience and its id.
#[derive(Clone, Copy)]
struct Sample {
    experience: u16,
    id: u32,
}

/// The test samples of one moment.
struct Paper {
    moment: Moment,
    /// By experience, then in file order.
    samples: Vec<Sample>,
    /// Places in `samples`, in the order asked: the same for every learner.
    order: Vec<u32>,
    /// Outputs that take part; `None` for all.
    seen: Option<Vec<bool>>,
}

/// What is wanted of a learner's log: warnings, and more where the host's own log is wanted in more
/// detail than usual.
fn learner_log_level() -> &'static str {
    match LevelFilter::current() {
        LevelFilter::TRACE => "trace",
        LevelFilter::DEBUG => "debug",
        _ => "warn",
    }
}

impl Scorer {
    /// What a fresh instance is created with: the same as the learner in training.
    pub fn create_message(&self) -> CreateMsg {
        CreateMsg {
            config: self.config.clone(),
            context: self.context.clone(),
            seed: call_seed(self.seed, "create", 0),
            log_level: learner_log_level().into(),
        }
    }

    /// Predictions of every view, in the order declared.
    pub fn score(
        &self,
        state: &[u8],
        moment: impl Into<Moment>,
        around: Around<'_>,
    ) -> Result<Vec<ViewPredictions>, ScoreFault> {
        let (moment, Around { open, look, interrupt, ledger }) = (moment.into(), around);
        let paper = ledger.time(Activity::Scoring, || self.paper(moment));
        let mut scored = Vec::new();
        for needs in [ViewNeeds::Nothing, ViewNeeds::TaskLabel, ViewNeeds::TrueGroup] {
            let views: Vec<usize> =
                (0..self.views.len()).filter(|&v| self.views[v].needs == needs).collect();
            if views.is_empty() {
                continue;
            }
            let mut port = ledger.time(Activity::Evaluation, || {
                let mut port = open(&self.create_message())?;
                load(port.as_mut(), state)?;
                Ok::<_, CallFault>(port)
            })?;
            scored.extend(self.answers(
                port.as_mut(),
                &views,
                &paper,
                (interrupt, &mut *ledger),
            )?);
            look(port.as_ref());
        }
        scored.sort_by_key(|s| s.view);
        Ok(scored)
    }

    /// Asks one instance for all these views, which need the same. Inputs are made once for all.
    fn answers(
        &self,
        port: &mut dyn LearnerPort,
        views: &[usize],
        paper: &Paper,
        (interrupt, ledger): (&Interrupt, &mut Ledger),
    ) -> Result<Vec<ViewPredictions>, ScoreFault> {
        let blank = self.blank(&paper.samples);
        let blank = |&view: &usize| ViewPredictions { view, predictions: Some(blank.clone()) };
        let mut scored: Vec<ViewPredictions> = views.iter().map(blank).collect();
        let (mut message, mut reply) = (MessageBuf::new(), MessageBuf::new());
        for (number, places) in paper.order.chunks(BATCH_SAMPLES).enumerate() {
            let needs = self.views[views[0]].needs;
            let question = ledger.time(Activity::Scoring, || {
                self.push_question(&mut message, paper, number as u64, (places, needs))
            });
            for answer in &mut scored {
                let Some(predictions) = &mut answer.predictions else { continue };
                if interrupt.asked() {
                    return Err(ScoreFault::Interrupted);
                }
                let view = self.views[answer.view].name.clone();
                message.set_header(&PredictMsg { view, ..question.clone() });
                ledger.time(Activity::Evaluation, || {
                    port.call(Op::PREDICT, &message, &mut NoServices, &mut reply)
                })?;
                let open = ledger.time(Activity::Scoring, || {
                    self.read_answer(&reply, paper, places, (answer.view, predictions))
                })?;
                if !open {
                    answer.predictions = None;
                }
            }
        }
        Ok(scored)
    }

    fn paper(&self, moment: Moment) -> Paper {
        let asked = match moment {
            Moment::After(_) => self.benchmark.experiences.len(),
            Moment::During { experience, .. } => experience + 1,
        };
        let experiences = self.benchmark.experiences[..asked].iter().enumerate();
        let samples: Vec<Sample> = experiences
            .flat_map(|(experience, e)| {
                let experience = experience as u16;
                e.test.iter().map(move |&id| Sample { experience, id })
            })
            .collect();
        let mut order: Vec<u32> = (0..samples.len() as u32).collect();
        let key = order_key(samples.iter().map(|s| self.benchmark.label(false, s.id)));
        let purpose = match moment {
            Moment::After(_) => "test-order",
            Moment::During { .. } => "test-order/during",
        };
        shuffle(&mut keyed(self.seed, purpose, &[moment_number(moment), key]), &mut order);
        let seen = match (self.benchmark.eval_head, moment) {
            (EvalHead::Seen, Moment::After(After::Experience(experience)))
            | (EvalHead::Seen, Moment::During { experience, .. }) => {
                Some(self.benchmark.seen_classes(experience))
            }
            (EvalHead::Seen, Moment::After(After::Step(step))) => {
                Some(self.benchmark.seen_after_steps(step))
            }
            _ => None,
        };
        Paper { moment, samples, order, seen }
    }

    /// Puts the inputs of these places into the message, with what the views need; the answer is the
    /// header but for the name of the view.
    fn push_question(
        &self,
        message: &mut MessageBuf,
        paper: &Paper,
        number: u64,
        (places, needs): (&[u32], ViewNeeds),
    ) -> PredictMsg {
        let benchmark = &self.benchmark;
        let width: usize = self.context.input_shape.iter().product();
        let shape: Vec<usize> =
            std::iter::once(places.len()).chain(self.context.input_shape.iter().copied()).collect();
        let sample = |place: &u32| paper.samples[*place as usize];
        message.clear();
        // The profile `None` takes nothing from the generator.
        let mut unused = keyed(0, "unused", &[]);
        let mut transform = benchmark.pixels.transform(Profile::None, 0);
        let inputs = message.push_with(&shape, |out: &mut [f32]| {
            for (place, out) in places.iter().zip(out.chunks_mut(width)) {
                let image = benchmark.test_image(sample(place).id);
                transform.apply(&image, out, &mut unused);
            }
        });
        let experience = |place: &u32| usize::from(sample(place).experience);
        let told = |told: &dyn Fn(usize) -> u32, message: &mut MessageBuf| {
            let values: Vec<u32> = places.iter().map(|place| told(experience(place))).collect();
            message.push(&[values.len()], &values)
        };
        let task = |experience: usize| experience as u32;
        let group = |experience: usize| {
            benchmark.experiences[experience].group.expect("checked with the declaration")
        };
        let task_labels = (needs == ViewNeeds::TaskLabel).then(|| told(&task, message));
        let groups = (needs == ViewNeeds::TrueGroup).then(|| told(&group, message));
        // The seed must not tell the view or the moment more than a counter does.
        let purpose = match paper.moment {
            Moment::After(_) => "predict",
            Moment::During { .. } => "predict/during",
        };
        let seed = call_seed(self.seed, purpose, moment_number(paper.moment) << 32 | number);
        PredictMsg { seed, view: String::new(), inputs, task_labels, groups }
    }

    /// Takes the logits of these places over into the predictions; false if the view is not open.
    fn read_answer(
        &self,
        reply: &MessageBuf,
        paper: &Paper,
        places: &[u32],
        (view, predictions): (usize, &mut Predictions),
    ) -> Result<bool, ScoreFault> {
        let View { name, until_opened, .. } = &self.views[view];
        let wrong = |code, problem| ScoreFault::Answer { view: name.clone(), problem, code };
        let problem = |problem: String| wrong(FaultCode::Answer, problem);
        let infinite =
            || wrong(FaultCode::NotFinite, "its largest logit is not a finite number".to_owned());
        let header: PredictReply = serde_json::from_slice(reply.header())
            .map_err(|e| problem(format!("the answer to `predict` cannot be read: {e}")))?;
        let Some(id) = header.logits else {
            return match until_opened {
                true => Ok(false),
                false => Err(problem("it is not open, but not declared `until_opened`".into())),
            };
        };
        let views = reply.views();
        let tensor = views.get(id.0 as usize);
        let tensor = tensor.ok_or_else(|| problem(format!("tensor {} is missing", id.0)))?;
        let logits = tensor.elements::<f32>().map_err(|e| problem(e.to_string()))?;
        let expected = places.len() * self.context.classes;
        if logits.len() != expected {
            let found = logits.len();
            return Err(problem(format!("expected {expected} logits, found {found}")));
        }
        for (&place, row) in places.iter().zip(logits.chunks(self.context.classes)) {
            let place = place as usize;
            let label = u32::from(predictions.label[place]);
            let experience = usize::from(paper.samples[place].experience);
            let task = &self.benchmark.experiences[experience].classes;
            let truth = Truth { label, task, seen: paper.seen.as_deref() };
            let row = Prediction::from_logits(row, truth).ok_or_else(infinite)?;
            self.keep(predictions, place, &row, view);
        }
        Ok(true)
    }

    /// Columns in which the answers are not written yet.
    fn blank(&self, samples: &[Sample]) -> Predictions {
        let count = samples.len();
        let label = |s: &Sample| self.benchmark.label(false, s.id) as u16;
        Predictions {
            sample: samples.iter().map(|s| s.id).collect(),
            experience: samples.iter().map(|s| s.experience).collect(),
            label: samples.iter().map(label).collect(),
            class: vec![ABSENT_CLASS; count],
            task_class: vec![ABSENT_CLASS; count],
            top_probability: vec![0.0; count],
            true_log_probability: vec![0.0; count],
        }
    }

    fn keep(&self, columns: &mut Predictions, place: usize, row: &Prediction, view: usize) {
        let told = self.views[view].needs == ViewNeeds::TaskLabel;
        if !told {
            columns.class[place] = row.class as u16;
        }
        if told || matches!(self.benchmark.scenario, Scenario::ClassIl | Scenario::TaskIl) {
            columns.task_class[place] = row.task_class as u16;
        }
        columns.top_probability[place] = row.top_probability;
        columns.true_log_probability[place] = row.true_log_probability;
    }
}

/// Part of the key of the order of test samples: their labels, which no learner is given.
///
/// The seed alone would not do. A learner can find it by trying small numbers until one gives the seed
/// of its own `create`, and an order made from it would then tell the experience of every test sample.
pub fn order_key(labels: impl Iterator<Item = u32>) -> u64 {
    let mut hash = Sha256::new();
    labels.for_each(|label| hash.update(label.to_le_bytes()));
    let digest = hash.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

fn moment_number(moment: Moment) -> u64 {
    match moment {
        Moment::After(After::Initial) => 0,
        Moment::After(After::Experience(index)) => index as u64 + 1,
        Moment::After(After::Step(step)) | Moment::During { step, .. } => step,
    }
}

/// Has a learner load a state.
pub fn load(port: &mut dyn LearnerPort, state: impl Read) -> Result<(), CallFault> {
    let mut source = StateSource { state };
    port.call(Op::LOAD, &MessageBuf::new(), &mut source, &mut MessageBuf::new())
}

/// Offers a state to be loaded.
struct StateSource<R> {
    state: R,
}

/// Pieces in which a state is handed over.
const PIECE_BYTES: u64 = 4 << 20;

impl<R: Read> HostServices for StateSource<R> {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        if op != HostOp::READ_STATE {
            return NoServices.serve(op, message, answer);
        }
        let mut piece = Vec::new();
        let read = (&mut self.state).take(PIECE_BYTES).read_to_end(&mut piece);
        read.map_err(|e| AbiError::new(ErrorKind::HOST, format!("the state cannot be read: {e}")))?;
        answer.push(&[piece.len()], &piece);
        Ok(())
    }
}
