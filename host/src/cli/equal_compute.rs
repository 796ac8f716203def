//! `--equal-compute METHOD`: every other method once more, with as many epochs as its learner gets
//! through in the CPU time of that method's. The time is what the host has measured in the runs
//! themselves, never what a plugin says; the number of epochs is written into the plan, so that the
//! further runs are as repeatable as any.

use perdura_abi::message::StreamShape;

use super::compare::Arm;
use super::error::CliError;
use crate::compare::RunRecord;
use crate::names::{did_you_mean, list};
use crate::stats::mean;
use crate::worker::is_gpu;

/// The arm whose compute the others are to have.
///
/// # Errors
/// None or several of this name; a setting in which CPU time is not measured, or is not the
/// compute.
pub fn reference(arms: &[Arm], name: &str) -> Result<usize, CliError> {
    let wrong = |text: String| Err(CliError::input(format!("--equal-compute {name}: {text}")));
    let is = |arm: &Arm| {
        let known = arm.name.as_deref().unwrap_or(&arm.method);
        known == name || known.ends_with(&format!("/{name}"))
    };
    let found: Vec<usize> = (0..arms.len()).filter(|&arm| is(&arms[arm])).collect();
    let names = || arms.iter().map(|arm| arm.name.clone().unwrap_or_else(|| arm.method.clone()));
    let [found] = found[..] else {
        let names: Vec<String> = names().collect();
        let hint = did_you_mean(name, &names);
        return wrong(format!("expected one arm of this comparison{hint}: {}", list(&names)));
    };
    if let Some(arm) = arms.iter().find(|arm| is_gpu(&arm.setup.device)) {
        let device = &arm.setup.device;
        return wrong(format!("CPU time says little of a learner on `{device}`; choose a CPU"));
    }
    if arms.iter().any(|arm| arm.setup.tier.isolation == Some(super::args::Isolation::InProcess)) {
        return wrong(
            "a learner in the run's process has no time of its own to measure; leave out \
                      --isolation in-process"
                .into(),
        );
    }
    Ok(found)
}

/// The further arms, and what is to be said about each method. `records` are the runs of `arms`,
/// arm by arm, with equally many each.
pub fn arms(arms: &[Arm], reference: usize, records: &[RunRecord]) -> (Vec<Arm>, Vec<String>) {
    let mut further = Vec::new();
    let mut said = Vec::new();
    let runs = |arm: usize| {
        let seeds = records.len() / arms.len().max(1);
        &records[arm * seeds..(arm + 1) * seeds]
    };
    let (wanted, theirs) = (learner_seconds(runs(reference)), short(&runs(reference)[0]));
    for (index, arm) in arms.iter().enumerate().filter(|(index, _)| *index != reference) {
        let first = &runs(index)[0];
        let name = short(first);
        let Some((own, wanted)) = learner_seconds(runs(index)).zip(wanted) else {
            said.push(format!("{name}: no arm of equal compute, because a run did not finish"));
            continue;
        };
        if is_union(first) {
            continue;
        }
        let before = first.plan.stream.epochs;
        let epochs = equal_epochs(before, own, wanted);
        let seconds = format!("{own:.2} s of CPU time, {theirs} {wanted:.2} s");
        if epochs == before {
            said.push(format!(
                "{name}: no arm of equal compute: {seconds}, and no other number of epochs than \
                 {before} comes nearer"
            ));
            continue;
        }
        said.push(format!(
            "{name}: {seconds}: once more with {epochs} epochs in place of {before}"
        ));
        let mut setup = arm.setup.clone();
        setup.stream.epochs = Some(epochs);
        let equal_compute = Some(records_arm(&runs(reference)[0]));
        let name = Some(format!("{name}, equal compute"));
        further.push(Arm { name, method: arm.method.clone(), setup, equal_compute });
    }
    (further, said)
}

/// Epochs with which compute comes nearest, where it grows with them; at least one.
fn equal_epochs(before: u32, own_seconds: f64, wanted_seconds: f64) -> u32 {
    if own_seconds <= 0.0 {
        return before;
    }
    (f64::from(before) * wanted_seconds / own_seconds).round().max(1.0) as u32
}

/// Mean CPU time of the learner over the runs; `None` where one has none.
fn learner_seconds(runs: &[RunRecord]) -> Option<f64> {
    let seconds = |run: &RunRecord| {
        run.finished().and(run.resources.as_ref()).and_then(|r| r.learner_cpu_seconds)
    };
    mean(&runs.iter().map(seconds).collect::<Option<Vec<f64>>>()?)
}

/// An upper bound is no learner that one would give more time.
fn is_union(run: &RunRecord) -> bool {
    let wishes = run.summary.as_ref().and_then(|summary| summary.wishes);
    wishes.is_some_and(|wishes| wishes.stream == StreamShape::Union)
}

fn records_arm(run: &RunRecord) -> String {
    run.plan.arm().to_owned()
}

/// The name of an arm without the lab.
fn short(run: &RunRecord) -> String {
    run.plan.arm().rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::args::SetupArgs;
    use super::*;
    use crate::run::tests::plan;
    use crate::run::{Outcome, Resources, Summary};

    fn arm(method: &str) -> Arm {
        Arm::of(method, &SetupArgs::of_benchmark("split-digits"))
    }

    fn run(method: &str, seconds: Option<f64>) -> RunRecord {
        let plan = plan(method, 0);
        let summary = Some(Summary::empty(&plan, Outcome::Finished));
        let resources = Some(Resources { learner_cpu_seconds: seconds, ..Resources::default() });
        RunRecord { plan, summary, resources }
    }

    #[test]
    fn epochs_follow_the_measured_time() {
        assert_eq!(equal_epochs(1, 1.0, 3.6), 4);
        assert_eq!(equal_epochs(10, 2.0, 3.05), 15);
        assert_eq!(equal_epochs(10, 3.0, 1.0), 3);
        assert_eq!(equal_epochs(1, 3.0, 1.0), 1, "there is no less than one");
        assert_eq!(equal_epochs(2, 0.0, 1.0), 2, "too short to be measured");
    }

    #[test]
    fn the_others_get_the_compute_of_the_reference() {
        let all = ["er", "cls-er", "sgd", "slow"].map(arm);
        let reference = reference(&all, "cls-er").unwrap();
        let run = |method, seconds| run(method, Some(seconds));
        let records = [
            run("perdura/er", 1.0),
            run("perdura/er", 2.0),
            run("perdura/cls-er", 6.0),
            run("perdura/cls-er", 6.0),
            run("perdura/sgd", 5.9),
            run("perdura/sgd", 6.1),
            run("perdura/slow", 3.0),
            RunRecord { summary: None, ..run("perdura/slow", 3.0) },
        ];
        let epochs = records[0].plan.stream.epochs;
        let (further, said) = arms(&all, reference, &records);
        let found: Vec<_> =
            further.iter().map(|a| (a.name.as_deref(), a.setup.stream.epochs)).collect();
        assert_eq!(found, [(Some("er, equal compute"), Some(4 * epochs))]);
        assert_eq!(further[0].equal_compute.as_deref(), Some("perdura/cls-er"));
        assert!(
            said[0].contains("er: 1.50 s of CPU time, cls-er 6.00 s: once more with"),
            "{said:?}"
        );
        assert!(said[1].contains("sgd: no arm of equal compute: 6.00 s"), "{said:?}");
        assert!(
            said[2].contains("slow: no arm of equal compute, because a run did not"),
            "{said:?}"
        );
    }

    #[test]
    fn a_reference_must_be_one_and_measured() {
        let message = |arms: &[Arm], name| reference(arms, name).err().unwrap().to_string();
        let both = ["er", "lab/cls-er"].map(arm);
        assert_eq!(reference(&both, "cls-er").unwrap(), 1);
        assert!(message(&both, "cls").contains("--equal-compute cls: expected one arm of this"));
        let twice = ["er", "er"].map(arm);
        assert!(message(&twice, "er").contains("expected one arm"));
        let mut gpu = ["er", "sgd"].map(arm);
        gpu[1].setup.device = "libtorch:cuda:0".into();
        assert!(message(&gpu, "er").contains("CPU time says little"));
        let mut inside = ["er", "sgd"].map(arm);
        inside[0].setup.tier.isolation = Some(super::super::args::Isolation::InProcess);
        assert!(message(&inside, "er").contains("no time of its own"));
    }
}
