//! What is not granted does not reach the learner.

use super::harness::*;
use perdura::stream::Scenario;
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
        let Experience { index, classes, samples, epochs, steps_per_epoch, .. } = info;
        say("begin", (index, classes, samples, epochs, steps_per_epoch));
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
    assert_eq!(ran.said("begin"), ["(None, None, None, None, None)"]);
    assert_eq!(ran.said("room"), ["Some(100)"]);
    assert_eq!((ran.said("end").len(), ran.said("finish").len()), (0, 1));
    assert_eq!(ran.said("position"), ["None"; 9]);
    assert!(ran.rows("rows").iter().all(|rows| rows.experiences.is_none()));
    // Neither filter notices that the classes have changed.
    assert_eq!(ran.said("past"), ["false"; 9], "there is no past: always the current batch");
    assert_eq!(ran.said("finished"), ["0"; 9]);
    assert_eq!(ran.said("since"), ["0", "4", "8", "12", "16", "20", "24", "28", "32"]);
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
    assert_eq!(classes(Scenario::TaskIl), "(Some(1), Some([2, 3]), Some(12), Some(1), Some(3))");
    assert_eq!(classes(Scenario::DomainIl), "(Some(1), None, Some(12), Some(1), Some(3))");
}
