//! What a check asks the views of a learner, and how it reads what they answer: type, number and finiteness
//! are looked at once, here.

use perdura_abi::MessageBuf;
use perdura_abi::message::{PredictMsg, PredictReply, Profile, View, ViewNeeds};
use perdura_abi::table::Op;

use super::finding::Finding;
use super::session::Session;
use crate::rng::keyed;
use crate::worker::CallFault;

/// Logits of each view for the test samples, `[samples, classes]`; `None` for a view that is not open.
pub type Answers = Vec<(String, Option<Vec<f32>>)>;

/// What a view is told about the samples, beyond its needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Needs,
    /// Task labels too, though the view did not ask for them.
    TaskLabels,
}

impl Session {
    /// Inputs of the test samples as a view gets them, in the order of experiences.
    pub fn test_inputs(&self) -> Vec<f32> {
        let width: usize = self.benchmark.input_shape().iter().product();
        let mut unused = keyed(0, "unused", &[]);
        let mut transform = self.benchmark.pixels.transform(Profile::None, 0);
        let mut inputs = Vec::new();
        for (_, id) in self.test_samples() {
            let mut row = vec![0.0; width];
            transform.apply(&self.benchmark.test_image(id), &mut row, &mut unused);
            inputs.extend(row);
        }
        inputs
    }

    /// Experience and id of the test samples.
    pub fn test_samples(&self) -> Vec<(u32, u32)> {
        let experiences = self.benchmark.experiences.iter().enumerate();
        experiences.flat_map(|(e, part)| part.test.iter().map(move |&id| (e as u32, id))).collect()
    }

    /// What every view says to the test samples.
    pub fn answers(&mut self) -> Result<Answers, Finding> {
        let (inputs, experiences) = self.questions();
        let views = self.views();
        let ask = |view: View| {
            let logits = self.logits(&view, &inputs, &experiences, Told::Needs)?;
            Ok((view.name, logits))
        };
        views.into_iter().map(ask).collect()
    }

    /// Test inputs and the experience of each.
    pub fn questions(&self) -> (Vec<f32>, Vec<u32>) {
        (self.test_inputs(), self.test_samples().into_iter().map(|(e, _)| e).collect())
    }

    /// Logits of a view for samples of these experiences; `None` where it is not open.
    pub fn logits(
        &mut self,
        view: &View,
        inputs: &[f32],
        experiences: &[u32],
        told: Told,
    ) -> Result<Option<Vec<f32>>, Finding> {
        self.ask(view, inputs, experiences, told)?;
        let about = |problem: String| Finding::fail(problem).after(format!("view `{}`", view.name));
        read_logits(&self.reply, experiences.len(), self.benchmark.classes).map_err(about)
    }

    /// Asks a view; the answer is in `reply`.
    pub fn ask(
        &mut self,
        view: &View,
        inputs: &[f32],
        experiences: &[u32],
        told: Told,
    ) -> Result<(), CallFault> {
        let count = experiences.len();
        let shape = [&[count], &self.benchmark.input_shape()[..]].concat();
        self.message.clear();
        let inputs = self.message.push(&shape, inputs);
        let tells = view.needs == ViewNeeds::TaskLabel || told == Told::TaskLabels;
        let task_labels = tells.then(|| self.message.push(&[count], experiences));
        // Each experience of the toy is a group of its own.
        let groups =
            (view.needs == ViewNeeds::TrueGroup).then(|| self.message.push(&[count], experiences));
        let view = view.name.clone();
        self.message.set_header(&PredictMsg { seed: 1, view, inputs, task_labels, groups });
        self.call(Op::PREDICT)
    }
}

/// The logits in an answer, checked for type, number and finiteness.
fn read_logits(
    reply: &MessageBuf,
    count: usize,
    classes: usize,
) -> Result<Option<Vec<f32>>, String> {
    let header: PredictReply =
        serde_json::from_slice(reply.header()).map_err(|e| format!("its answer: {e}"))?;
    let Some(id) = header.logits else { return Ok(None) };
    let views = reply.views();
    let tensor = views.get(id.0 as usize).ok_or_else(|| format!("tensor {} is missing", id.0))?;
    let logits = tensor.elements::<f32>().map_err(|e| e.to_string())?;
    let shape: Vec<u64> = tensor.shape.to_vec();
    if logits.len() != count * classes || shape != [count as u64, classes as u64] {
        return Err(format!("expected logits of shape [{count}, {classes}], found {shape:?}"));
    }
    match logits.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let (sample, class) = (at / classes, at % classes);
            Err(format!("the logit of class {class} for sample {sample} is {}", logits[at]))
        }
        None => Ok(Some(logits.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(shape: &[usize], logits: &[f32]) -> MessageBuf {
        let mut reply = MessageBuf::new();
        let logits = Some(reply.push(shape, logits));
        reply.set_header(&PredictReply { logits });
        reply
    }

    #[test]
    fn answers_without_sense_are_named() {
        let good = answer(&[2, 2], &[0.0, 1.0, 2.0, 3.0]);
        assert_eq!(read_logits(&good, 2, 2).unwrap().unwrap(), [0.0, 1.0, 2.0, 3.0]);
        let closed = MessageBuf::of_header(&PredictReply { logits: None });
        assert_eq!(read_logits(&closed, 2, 2), Ok(None));
        let problem = |reply: &MessageBuf| read_logits(reply, 2, 2).unwrap_err();
        let narrow = problem(&answer(&[1, 2], &[0.0; 2]));
        assert_eq!(narrow, "expected logits of shape [2, 2], found [1, 2]");
        assert!(problem(&answer(&[4], &[0.0; 4])).ends_with("found [4]"));
        let infinite = problem(&answer(&[2, 2], &[0.0, 0.0, 0.0, f32::INFINITY]));
        assert_eq!(infinite, "the logit of class 1 for sample 1 is inf");
        let nameless = MessageBuf::of_header(&serde_json::json!({"logits": 3}));
        assert_eq!(problem(&nameless), "tensor 3 is missing");
    }
}
