//! What is not granted does not reach the learner.

use super::harness::*;
use perdura::run::After;
use perdura::stream::{Construction, Scenario};
use perdura_sdk::prelude::*;

/// Asks for everything that could tell a boundary.
#[derive(Default)]
struct Curious;

impl Toy for Curious {
    fn declare() -> Declaration {
        let past = Request::memory("past", 4).source(Source::CurrentOrMemory).filter(Filter::Past);
        let since = Request::memory("since", 100).filter(Filter::SinceBoundary);
        Declaration::new().view("main").request(past).request(since)
    }

    fn begin(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        let Experience { index, classes, samples, epochs, batch, steps_per_epoch, .. } = info;
        say("begin", (index, classes, samples, epochs, batch, steps_per_epoch));
        say("room", info.memory_samples_max);
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        say("position", step.position);
        for rows in [&step.current, step.draw("past")?, step.draw("since")?] {
            note("rows", rows);
        }
        say("past", step.draw("past")?.slots().is_some());
        say("since", step.draw("since")?.len());
        let finished = Request::memory("finished", 9).filter(Filter::Finished);
        say("finished", host.draw(&finished)?[0].len());
        Ok(StepReport::new())
    }

    fn end(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        say("end", info.index);
        Ok(())
    }

    fn finish(&mut self, _: &Call, _: &mut Host<'_>) -> Result<()> {
        say("finish", ());
        Ok(())
    }
}

#[test]
fn a_task_free_stream_is_one_long_experience() {
    let setup = Setup { scenario: Scenario::TaskFree, ..Setup::memory(100) };
    let ran = setup.run::<Curious>().unwrap();
    assert_eq!(ran.said("begin"), ["(None, None, None, None, None, None)"]);
    assert_eq!(ran.said("room"), ["Some(100)"]);
    assert_eq!((ran.said("end").len(), ran.said("finish").len()), (0, 1));
    assert_eq!(ran.said("position"), ["None"; 9]);
    assert!(ran.rows("rows").iter().all(|rows| rows.experiences.is_none()));
    // Neither filter notices that the classes have changed.
    assert_eq!(ran.said("past"), ["false"; 9], "there is no past: always the current batch");
    assert_eq!(ran.said("finished"), ["0"; 9]);
    assert_eq!(ran.said("since"), ["0", "4", "8", "12", "16", "20", "24", "28", "32"]);
}

/// Five of the six classes in pairs; the batches of each pair end where the pair does.
fn circle(score_every: Option<u64>) -> Setup {
    let (scenario, construction) =
        (Scenario::TaskFree, Construction::Circle { classes: 5, rounds: 1 });
    Setup { scenario, construction, score_every, ..Setup::memory(100) }
}

#[test]
fn a_stream_of_hidden_phases_tells_none_of_them() {
    let ran = circle(None).run::<Curious>().unwrap();
    assert_eq!(ran.said("begin"), ["(None, None, None, None, None, None)"]);
    assert_eq!((ran.said("end").len(), ran.said("finish").len()), (0, 1));
    assert_eq!(ran.said("position"), ["None"; 9]);
    assert!(ran.rows("rows").iter().all(|rows| rows.experiences.is_none()));
    assert!(ran.rows("rows").iter().all(|rows| rows.groups.iter().flatten().all(|&g| g == 0)));
    // Each class has segments of 4 and 2, the last used first: 2 + 2, then 4 + 2 three times, where a
    // batch takes 3 + 1 and the next 1 + 1, then 4 + 4.
    let current: Vec<&Seen> = ran.rows("rows").into_iter().step_by(3).collect();
    let sizes: Vec<usize> = current.iter().map(|rows| rows.uids.len()).collect();
    assert_eq!(sizes, [4, 4, 2, 4, 2, 4, 2, 4, 4]);
    let uids: Vec<u64> = current.iter().flat_map(|rows| rows.uids.clone()).collect();
    assert_eq!(uids, (0..30).collect::<Vec<u64>>(), "every draw is a sample of its own");
    let labels: Vec<u32> = current.iter().flat_map(|rows| rows.labels.clone()).collect();
    assert_eq!(labels[..10], [0, 0, 1, 1, 1, 1, 1, 2, 1, 2]);
    assert_eq!(ran.said("past"), ["false"; 9]);
    assert_eq!(ran.said("finished"), ["0"; 9]);
    assert_eq!(ran.said("since"), ["0", "4", "8", "10", "14", "16", "20", "22", "26"]);
}

#[test]
fn scores_come_at_fixed_steps_where_boundaries_are_hidden() {
    let moments = |setup: Setup| -> Vec<After> {
        setup.run::<Curious>().unwrap().scores.iter().map(|(after, _)| *after).collect()
    };
    let steps = |steps: &[u64]| -> Vec<After> {
        [After::Initial].into_iter().chain(steps.iter().map(|&step| After::Step(step))).collect()
    };
    assert_eq!(moments(circle(None)), steps(&[9]));
    assert_eq!(moments(circle(Some(4))), steps(&[4, 8, 9]));
    assert_eq!(moments(circle(Some(3))), steps(&[3, 6, 9]), "the end is scored once");
    // Nor does a stream that is cut by classes tell its boundaries, which lie after 3 and 6 steps.
    let split = Setup { construction: Setup::default().construction, ..circle(Some(4)) };
    assert_eq!(moments(split), steps(&[4, 8, 9]));
}

#[test]
fn a_view_that_needs_task_labels_has_no_place_without_boundaries() {
    #[derive(Default)]
    struct Told;
    impl Toy for Told {
        fn declare() -> Declaration {
            let needs = ViewNeeds::TaskLabel;
            Declaration::new().special_view(View {
                name: "told".into(),
                needs,
                until_opened: false,
            })
        }
    }
    let error = circle(None).run::<Told>().err().unwrap();
    assert_eq!(error, "view `told` needs task labels, which a task-free stream has not");
}

#[test]
fn a_stream_with_boundaries_tells_them() {
    let ran = Setup::memory(100).run::<Curious>().unwrap();
    assert_eq!(ran.said("begin").len(), 3);
    assert_eq!(ran.said("end"), ["Some(0)", "Some(1)", "Some(2)"]);
    assert_eq!(ran.said("finish").len(), 1);
    assert_eq!(ran.said("since"), ["0", "4", "8"].repeat(3));
    let expected: Vec<bool> = (0..9).map(|step| step >= 3).collect();
    assert_eq!(ran.said("past"), expected.iter().map(|p| p.to_string()).collect::<Vec<_>>());
    assert_eq!(ran.said("finished")[3..6], ["9"; 3]);
}

#[test]
fn classes_are_told_where_they_are_what_changes() {
    let classes = |scenario| {
        let ran = Setup { scenario, ..Setup::memory(100) }.run::<Curious>().unwrap();
        ran.said("begin")[1].to_string()
    };
    assert_eq!(
        classes(Scenario::TaskIl),
        "(Some(1), Some([2, 3]), Some(12), Some(1), Some(4), Some(3))"
    );
    assert_eq!(classes(Scenario::DomainIl), "(Some(1), None, Some(12), Some(1), Some(4), Some(3))");
}
