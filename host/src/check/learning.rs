//! Whether it learns: better than chance where any method is, and in every scenario it says it supports.

use perdura_abi::message::ViewNeeds;

use super::finding::{Finding, require};
use super::questions::Told;
use super::toy::{CLASSES, Stage};
use super::trial::Trial;
use super::{Check, Level};
use crate::stream::Scenario;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "learns",
        about: "four classes that a straight line separates are learned better than by chance",
        level: Level::Standard,
        needs: &["reports", "logits"],
        remedy: "look at the learning rate, the sign of the update, and what `predict` uses",
        run: learns,
    },
    Check {
        name: "scenarios",
        about: "every scenario that the manifest lists can be trained with what is told in it",
        level: Level::Standard,
        needs: &["reports", "logits"],
        remedy: "cope with what is `None` where it is not granted, or list fewer scenarios",
        run: scenarios,
    },
];

/// Passes over the samples, all classes in one experience.
const EPOCHS: u32 = 20;
/// Standard deviations of guessing, above its mean.
const DEVIATIONS: f64 = 2.0;

fn learns(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open_on(Stage { experiences: 1, epochs: EPOCHS, ..trial.stage() })?;
    session.train()?;
    let headline = session.views().into_iter().find(|view| view.needs != ViewNeeds::TrueGroup);
    let Some(view) = headline else { return Err(Finding::skipped("every view is told the group")) };
    let (inputs, experiences) = session.questions();
    let Some(logits) = session.logits(&view, &inputs, &experiences, Told::Needs)? else {
        return Err(Finding::fail(format!("view `{}` is not open after the stream", view.name)));
    };
    let label = |&(_, id): &(u32, u32)| session.benchmark.label(false, id) as usize;
    let labels: Vec<usize> = session.test_samples().iter().map(label).collect();
    let right = logits.chunks(CLASSES).zip(&labels).filter(|(row, label)| class_of(row) == **label);
    let accuracy = right.count() as f64 / labels.len() as f64;
    trial.measure("accuracy", accuracy);
    let bar = better_than_guessing(CLASSES);
    require(accuracy > bar, || {
        let view = &view.name;
        format!(
            "view `{view}`: {accuracy:.3} right, which chance comes near; expected above {bar:.3}"
        )
    })
}

/// The first of the largest logits.
fn class_of(row: &[f32]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, better)
}

/// Accuracy that guessing hardly reaches. The samples of a class are alike, so an untrained network gives all
/// of them one answer: what is guessed are the classes, each right with probability 1/C. The bar is mean and
/// so many deviations of that binomial distribution.
fn better_than_guessing(classes: usize) -> f64 {
    let (n, p) = (classes as f64, 1.0 / classes as f64);
    (n * p + DEVIATIONS * (n * p * (1.0 - p)).sqrt()) / n
}

fn scenarios(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let listed = trial.subject.description()?.scenarios.clone();
    let all = [Scenario::ClassIl, Scenario::TaskIl, Scenario::DomainIl, Scenario::TaskFree];
    for scenario in all.into_iter().filter(|s| listed.contains(&s.to_string())) {
        let stage = Stage { scenario, ..trial.stage() };
        let trained = trial.open_on(stage).and_then(|mut session| {
            session.train()?;
            session.answers()
        });
        trained.map_err(|f| f.after(format!("in {scenario}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_and_ties() {
        // 4 classes, p = 1/4: mean 1, variance 3/4; (1 + 2 * 0.8660) / 4 = 0.6830.
        assert!((better_than_guessing(4) - 0.6830).abs() < 1e-4);
        assert_eq!(class_of(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(class_of(&[0.0; 4]), 0);
    }
}
