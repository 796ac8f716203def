//! Learners that break the contract: each is told what was wrong, and the host stays whole.

use super::harness::*;
use perdura_sdk::prelude::*;
use std::cell::Cell;

type Declare = fn() -> Declaration;
type Change = fn(&mut Iterate);
type Observe = fn(&Step<'_>, &mut Host<'_>) -> Result<StepReport>;

thread_local! {
    static SCRIPT: Cell<(Declare, Observe)> = const { Cell::new((plain, nothing)) };
}

/// Does what the test says.
#[derive(Default)]
struct Scripted;

impl Toy for Scripted {
    fn declare() -> Declaration {
        (SCRIPT.get().0)()
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        (SCRIPT.get().1)(step, host)
    }
}

/// A view, a scalar, a column of two numbers.
fn plain() -> Declaration {
    Declaration::new().view("main").scalar("loss").column("logits", 2)
}

fn wishing(insert: Insert, epoch_source: EpochSource) -> Declaration {
    plain().wishes(Wishes { insert, epoch_source, ..Wishes::default() })
}

fn nothing(_: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
    Ok(StepReport::new())
}

fn run(declare: Declare, observe: Observe) -> Result<Ran, String> {
    SCRIPT.set((declare, observe));
    Setup::memory(8).run::<Scripted>()
}

/// A report that the host refuses, and what it says.
#[track_caller]
fn refused(declare: Declare, observe: Observe, expected: &str) {
    match run(declare, observe) {
        Ok(_) => panic!("not refused: {expected}"),
        Err(message) => assert!(message.contains(expected), "{message}"),
    }
}

#[test]
fn reports_are_checked() {
    assert!(run(plain, |_, _| Ok(StepReport::new().scalar("loss", 1.0))).is_ok());
    let report: [(Observe, &str); 8] = [
        (|_, _| Ok(StepReport::new().scalar("lose", 1.0)), "scalar `lose` was not declared"),
        (
            |_, _| Ok(StepReport::new().scalar("loss", f64::NAN)),
            "scalar `loss` is not a finite number",
        ),
        (
            |_, _| Ok(StepReport::new().column("logit", vec![0.0; 8])),
            "column `logit` was not declared",
        ),
        (
            |_, _| Ok(StepReport::new().column("logits", vec![0.0; 7])),
            "column `logits`: expected 4 x 2 values, found 7",
        ),
        (
            |_, _| Ok(StepReport::new().column("logits", vec![f32::INFINITY; 8])),
            "column `logits` holds inf",
        ),
        (
            |_, _| Ok(StepReport::new().write("soft", &[], &[], vec![])),
            "column `soft` was not declared",
        ),
        (
            |_, _| Ok(StepReport::new().write("logits", &[0], &[0], vec![0.0])),
            "column `logits` of width 2: 1 slots, 1 uids, 1 values",
        ),
        (
            |_, _| Ok(StepReport::new().write("logits", &[70], &[0], vec![0.0; 2])),
            "slot 70 does not exist",
        ),
    ];
    for (observe, expected) in report {
        refused(plain, observe, expected);
    }
}

#[test]
fn placements_are_checked() {
    fn by_learner() -> Declaration {
        wishing(Insert::ByLearner, EpochSource::Experience)
    }
    use Placement::{Skip, Slot};
    let place: [(Observe, &str); 3] = [
        (|_, _| Ok(StepReport::new().place(vec![Skip; 3])), "expected 4 placements, found 3"),
        (
            |_, _| Ok(StepReport::new().place(vec![Slot(0), Slot(2), Skip, Skip])),
            "placement 2: the memory holds 1 samples",
        ),
        (
            |_, _| Ok(StepReport::new().place(vec![Slot(8), Skip, Skip, Skip])),
            "placement 8: the memory holds 0 samples",
        ),
    ];
    for (observe, expected) in place {
        refused(by_learner, observe, expected);
    }
    fn before_draws() -> Declaration {
        wishing(Insert::BeforeDraws, EpochSource::Experience)
    }
    let skip: Observe = |_, _| Ok(StepReport::new().place(vec![Skip; 4]));
    refused(before_draws, skip, "placements come too late");
}

/// The first samples are placed; of the next experience, each that comes from the memory is placed again.
#[test]
fn a_sample_of_the_memory_is_not_placed_again() {
    fn over_memory() -> Declaration {
        wishing(Insert::ByLearner, EpochSource::ExperienceAndMemory)
    }
    let observe: Observe = |step, _| {
        let first = step.index as u32 * 4;
        let place = |row| if first < 8 { Placement::Slot(first + row) } else { Placement::Slot(0) };
        Ok(StepReport::new().place((0..4).map(place).collect()))
    };
    refused(over_memory, observe, "the sample comes from the memory and stays where it is");
}

#[test]
fn a_memory_replaced_within_a_step_takes_no_columns_of_it() {
    fn before_draws() -> Declaration {
        wishing(Insert::BeforeDraws, EpochSource::Experience)
    }
    let observe: Observe = |step, host| {
        let keep = &step.current.uids()[..1];
        host.replace(keep)?;
        Ok(StepReport::new().column("logits", vec![1.0; 8]))
    };
    let ran = run(before_draws, observe).unwrap();
    assert_eq!(ran.held().len(), 1);
    assert_eq!(ran.memory.unwrap().column("logits", 0), None);
}

#[test]
fn declarations_are_checked() {
    let none: Observe = nothing;
    let declare: [(Declare, &str); 8] = [
        (Declaration::new, "declares no view"),
        (|| plain().view("main"), "view `main` is declared twice"),
        (|| plain().scalar("a b"), "scalar `a b`: a name has"),
        (|| plain().request(Request::memory("r", 1).column("soft")), "names column `soft`"),
        (|| plain().request(Request::memory("r", 1).views(0)), "at least 1"),
        (|| plain().request(Request::memory("r", 1).source(Source::Validation)), "for `iterate`"),
        (|| plain().request(Request::memory("r", 1).repeats(1 << 40)), "more than the limit"),
        (
            || plain().request(Request::memory("r", usize::MAX).views(9).with_replacement()),
            "more than the limit",
        ),
    ];
    for (declare, expected) in declare {
        refused(declare, none, expected);
    }
    SCRIPT.set((|| plain().request(Request::memory("r", 1)), nothing));
    let error = Setup::default().run::<Scripted>().err().unwrap();
    assert!(
        error.contains("asks for replay (request `r`") && error.contains("--memory"),
        "{error}"
    );
}

#[test]
fn calls_to_the_host_are_checked() {
    let iterate = |change: Change| {
        let (source, filter, profile) = (Source::Memory, Filter::All, Profile::None);
        let (batch, epochs, shuffled, columns) = (4, 1, false, Vec::new());
        let mut plan = Iterate { source, filter, profile, batch, epochs, shuffled, columns };
        change(&mut plan);
        plan
    };
    thread_local!(static PLAN: std::cell::RefCell<Option<Iterate>> = const { std::cell::RefCell::new(None) });
    let plans: [(Change, &str); 5] = [
        (|p| p.batch = 0, "at least one"),
        (|p| p.epochs = 0, "at least one epoch"),
        (|p| p.profile = Profile::Ssl, "profile `ssl` is not offered"),
        (|p| p.columns = vec!["soft".into()], "column `soft` was not declared"),
        (|p| (p.epochs, p.batch) = (usize::MAX, 1), "epochs"),
    ];
    for (change, expected) in plans {
        PLAN.set(Some(iterate(change)));
        let observe: Observe = |step, host| {
            // The memory is empty in the first step.
            if step.index > 0 {
                host.iterate(PLAN.with_borrow(|p| p.clone()).as_ref().unwrap())?;
            }
            Ok(StepReport::new())
        };
        refused(plain, observe, expected);
    }
    let calls: [(Observe, &str); 5] = [
        (|_, host| host.replace(&[35]).map(|()| StepReport::new()), "sample 35 is neither"),
        (
            |_, host| host.relabel(&[9], &[0], &[1]).map(|()| StepReport::new()),
            "slot 9 does not exist",
        ),
        (|_, host| host.relabel(&[], &[0], &[1]).map(|()| StepReport::new()), "equally many"),
        (
            |_, host| host.write_column("soft", &[], &[], &[]).map(|()| StepReport::new()),
            "column `soft` was not declared",
        ),
        (
            |_, host| {
                host.draw(&Request::memory("r", 1).repeats(usize::MAX)).map(|_| StepReport::new())
            },
            "more than the limit",
        ),
    ];
    for (observe, expected) in calls {
        refused(plain, observe, expected);
    }
}
