//! Held-out training data: inputs without labels, and a score for what the learner makes of them.

use super::harness::*;
use perdura::stream::Scenario;
use perdura_sdk::prelude::*;

#[derive(Default)]
struct Validated;

impl Toy for Validated {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }

    fn end(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        let (source, filter, profile) = (Source::Validation, Filter::All, Profile::None);
        let (batch, epochs, shuffled, columns) = (3, 1, false, Vec::new());
        let plan = Iterate { source, filter, profile, batch, epochs, shuffled, columns };
        let mut classes = Vec::new();
        let mut batches = host.iterate(&plan)?;
        while let Some(rows) = batches.next()? {
            assert!(rows.labels().is_empty(), "labels are withheld");
            note("held out", &rows);
            classes.extend(rows.inputs().chunks(16).map(|input| class_of(input[0] as u64)));
        }
        say("right", host.validation_score(&classes)?);
        if let Some(first) = classes.first_mut() {
            *first = 99;
        }
        say("one wrong", host.validation_score(&classes)?);
        classes.push(0);
        say("too many", host.validation_score(&classes).unwrap_err().to_string());
        Ok(())
    }
}

#[test]
fn validation_data_come_without_labels_and_are_scored() {
    let setup = Setup { validation: 0.25, ..Setup::default() };
    let ran = setup.run::<Validated>().unwrap();
    let seen: Vec<u64> = ran.rows("held out").iter().flat_map(|rows| rows.uids.clone()).collect();
    // Two of six samples of each class: 4, then 8, then 12.
    assert_eq!(seen.len(), 4 + 8 + 12);
    let trained = &setup.benchmark().experiences;
    assert!(trained.iter().all(|e| e.train.iter().all(|&i| !seen.contains(&u64::from(i)))));
    assert_eq!(ran.said("right"), ["Some(1.0)"; 3]);
    assert_eq!(ran.said("one wrong")[..2], ["Some(0.75)", "Some(0.875)"]);
    assert!(ran.said("too many")[0].contains("expected 4 predicted classes, found 5"));
}

#[test]
fn without_validation_data_there_is_no_score() {
    let ran = Setup::default().run::<Validated>().unwrap();
    assert!(ran.rows("held out").is_empty());
    assert_eq!(ran.said("right"), ["None"; 3]);
}

/// Looks at validation data in every step.
#[derive(Default)]
struct Peeping;

impl Toy for Peeping {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }

    fn observe(&mut self, _: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        host.validation_score(&[]).map(|_| StepReport::new())
    }
}

#[test]
fn how_much_is_held_out_does_not_tell_of_hidden_boundaries() {
    let setup = Setup { validation: 0.25, scenario: Scenario::TaskFree, ..Setup::default() };
    let error = setup.run::<Peeping>().err().unwrap();
    assert_eq!(error, "validation data are not granted where boundaries are hidden");
}
