//! HAT: a network that must be told the task, beside one that must not.

use super::harness::*;
use perdura::run::After;
use perdura::stream::{Angles, Construction, Scenario};
use perdura_sdk::prelude::*;

#[derive(Default)]
struct Hat;

impl Toy for Hat {
    fn declare() -> Declaration {
        let view = |name: &str, needs| View { name: name.into(), needs, until_opened: false };
        Declaration::new()
            .special_view(view("masked", ViewNeeds::TaskLabel))
            .special_view(view("plain", ViewNeeds::Nothing))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        say(query.view, query.task_labels.is_some());
        assert!(query.groups.is_none());
        // The first pixel names the sample, so that its true task is known here.
        for (row, input) in query.inputs.chunks(16).enumerate() {
            let truth = experience_of(input[0] as u64);
            if let Some(labels) = query.task_labels {
                assert_eq!(labels[row], truth);
            }
            let class = 2 * query.task_labels.map_or(0, |labels| labels[row]);
            logits.as_mut_slice()[row * CLASSES as usize + class as usize] = 1.0;
        }
        Ok(())
    }
}

#[test]
fn hat_is_told_the_task_in_its_own_view_alone() {
    let ran = Setup::default().run::<Hat>().unwrap();
    assert_eq!(ran.said("masked"), ["true"; 4]);
    assert_eq!(ran.said("plain"), ["false"; 4]);
    let (_, views) = ran.scores.last().unwrap();
    let [masked, plain] = &views[..] else { panic!("two views") };
    let classes = |p: &Option<perdura::run::Predictions>| p.as_ref().unwrap().class.clone();
    // A view that is told the task has no Class-IL answer.
    assert_eq!(classes(&masked.predictions), [perdura::run::ABSENT_CLASS; 12]);
    assert_eq!(classes(&plain.predictions), [0; 12]);
    let masked = masked.predictions.as_ref().unwrap();
    let first_of_task = masked.experience.iter().map(|e| 2 * e).collect::<Vec<_>>();
    assert_eq!(masked.task_class, first_of_task);
}

/// SG-CLS beside its oracle: a view that is told the true group of each test sample.
#[derive(Default)]
struct Oracle;

impl Toy for Oracle {
    fn declare() -> Declaration {
        let needs = ViewNeeds::TrueGroup;
        let view = View { name: "oracle".into(), needs, until_opened: false };
        let replay = Request::memory("replay", 4);
        Declaration::new().request(replay).special_view(view).view("main")
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let told =
            |rows: &Rows<'_>| rows.groups().is_some_and(|groups| groups.iter().any(|&g| g > 0));
        say("told", (told(&step.current), told(step.draw("replay")?)));
        Ok(StepReport::new())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        assert!(query.task_labels.is_none());
        say(query.view, query.groups.is_some());
        for row in 0..query.inputs.len() / 16 {
            let class = query.groups.map_or(5, |groups| groups[row]);
            logits.as_mut_slice()[row * CLASSES as usize + class as usize] = 1.0;
        }
        Ok(())
    }
}

/// Four experiences: group 0, group 1, and both again a quarter turn on.
fn two_groups() -> Setup {
    let construction =
        Construction::Groups { groups: 2, angles: Angles::of(&[0.0, 90.0]), train: 12, test: 6 };
    Setup { scenario: Scenario::DomainIl, construction, ..Setup::memory(20) }
}

#[test]
fn the_true_group_is_told_to_the_view_that_needs_it_alone() {
    let ran = two_groups().run::<Oracle>().unwrap();
    assert_eq!(ran.said("told"), ["(false, false)"; 12], "training tells no group");
    assert_eq!(ran.said("oracle"), ["true"; 5]);
    assert_eq!(ran.said("main"), ["false"; 5]);
    let (_, views) = ran.scores.last().unwrap();
    // Declared first, it comes last.
    let [main, oracle] = &views[..] else { panic!("two views") };
    let (oracle, main) = (oracle.predictions.as_ref().unwrap(), main.predictions.as_ref().unwrap());
    let group: Vec<u16> = oracle.experience.iter().map(|experience| experience % 2).collect();
    assert_eq!(oracle.class, group);
    assert_eq!(main.class, [5; 24]);
}

#[test]
fn a_view_that_nobody_could_score_is_refused() {
    let error = Setup::memory(20).run::<Oracle>().err().unwrap();
    for part in ["view `oracle` needs the true group", "benchmark `toy`", "`known-similarity`"] {
        assert!(error.contains(part), "{error}");
    }
}

/// One network.
#[derive(Default)]
struct Plain;

impl Toy for Plain {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }
}

#[test]
fn every_stream_is_scored_at_its_beginning_and_after_each_experience() {
    let ran = Setup::default().run::<Plain>().unwrap();
    let after: Vec<_> = ran.scores.iter().map(|(after, _)| *after).collect();
    let ends = (0..3).map(After::Experience);
    assert_eq!(after, [After::Initial].into_iter().chain(ends).collect::<Vec<_>>());
}
