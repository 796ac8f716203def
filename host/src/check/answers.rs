//! `predict` is a function of the state and the samples: it changes nothing, and neither the company of a
//! sample nor a task label that was not asked for moves its logits.

use perdura_abi::message::{View, ViewNeeds};

use super::chance::answers_difference;
use super::finding::{Finding, require};
use super::questions::{Answers, Told};
use super::saved::state_difference;
use super::session::Session;
use super::trial::Trial;
use super::{Check, Level};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "predict-pure",
        about: "predicting twice gives the same bytes, and leaves the state as it is",
        level: Level::Standard,
        needs: &["reports", "logits"],
        remedy: "change nothing in `predict`: no counters, no running statistics, no dropout",
        run: predict_pure,
    },
    Check {
        name: "batch-split",
        about: "logits do not depend on how samples are cut into batches, or on their order",
        level: Level::Standard,
        needs: &["predict-pure"],
        remedy: "compute each row from its own input; batch normalisation has running statistics",
        run: batch_split,
    },
    Check {
        name: "task-labels",
        about: "a view that needs no task label makes no use of one",
        level: Level::Standard,
        needs: &["predict-pure"],
        remedy: "declare the view with `ViewNeeds::TaskLabel`, or leave `query.task_labels` alone",
        run: task_labels,
    },
];

/// Rounding differs with the shape of a product of matrices; relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

fn predict_pure(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trained(trial)?;
    let before = session.save()?;
    let (first, second) = (session.answers()?, session.answers()?);
    if let Some(difference) = answers_difference(&first, &second, 0.0) {
        return Err(Finding::fail(difference).after("asked twice"));
    }
    match state_difference(&before, &session.save()?) {
        Some(difference) => Err(Finding::fail(difference).after("the state after predicting")),
        None => Ok(()),
    }
}

fn batch_split(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trained(trial)?;
    let whole = session.answers()?;
    for (what, cut) in [("one by one", 1), ("in batches of 7", 7)] {
        let parts = in_parts(&mut session, cut, false)?;
        expect_close(&whole, &parts).map_err(|f| f.after(format!("samples asked {what}")))?;
    }
    let backwards = in_parts(&mut session, usize::MAX, true)?;
    expect_close(&whole, &backwards).map_err(|f| f.after("samples asked in reverse order"))
}

fn expect_close(a: &Answers, b: &Answers) -> Result<(), Finding> {
    answers_difference(a, b, TOLERANCE).map_or(Ok(()), |difference| Err(Finding::fail(difference)))
}

/// Answers asked in batches of `cut`, from the last sample to the first where `backwards`; in the usual
/// order.
fn in_parts(session: &mut Session, cut: usize, backwards: bool) -> Result<Answers, Finding> {
    let (inputs, experiences) = session.questions();
    let (count, classes) = (experiences.len(), session.benchmark.classes);
    let width = inputs.len() / count;
    let mut order: Vec<usize> = (0..count).collect();
    if backwards {
        order.reverse();
    }
    let mut answers = Vec::new();
    for view in session.views() {
        let mut logits = vec![0.0; count * classes];
        let mut open = true;
        for part in order.chunks(cut.min(count)) {
            let rows: Vec<f32> =
                part.iter().flat_map(|&i| &inputs[i * width..][..width]).copied().collect();
            let of: Vec<u32> = part.iter().map(|&i| experiences[i]).collect();
            let Some(found) = session.logits(&view, &rows, &of, Told::Needs)? else {
                open = false;
                break;
            };
            for (&i, row) in part.iter().zip(found.chunks(classes)) {
                logits[i * classes..][..classes].copy_from_slice(row);
            }
        }
        answers.push((view.name, open.then_some(logits)));
    }
    Ok(answers)
}

fn task_labels(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    session.train()?;
    let views: Vec<View> =
        session.views().into_iter().filter(|view| view.needs != ViewNeeds::TaskLabel).collect();
    if views.is_empty() {
        return Err(Finding::skipped("every view asks for task labels"));
    }
    let (inputs, experiences) = session.questions();
    for view in views {
        let told = [Told::Needs, Told::TaskLabels];
        let [without, with] = told.map(|told| session.logits(&view, &inputs, &experiences, told));
        require(without? == with?, || {
            format!("view `{}` answers otherwise when it is told task labels", view.name)
        })?;
    }
    Ok(())
}

/// A learner at the end of the stream.
pub(super) fn trained(trial: &mut Trial<'_>) -> Result<Session, Finding> {
    let mut session = trial.open()?;
    session.train()?;
    Ok(session)
}
