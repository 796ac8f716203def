//! What makes rows of a comparison unequal, as sentences. A warning never changes a number.

use super::RunRecord;
use super::grid::printable;
use super::record::MethodRuns;
use crate::run::{MemorySize, RunPlan};

/// Sentences about the runs of one method, then about methods against the first.
pub fn warnings(methods: &[MethodRuns<'_>]) -> Vec<String> {
    let mut warnings: Vec<String> = methods.iter().filter_map(mixed_settings).collect();
    warnings.extend(methods.iter().filter_map(repeated_seed));
    warnings.extend(methods.iter().filter_map(small_claim));
    warnings.extend(methods.iter().filter_map(broken_plugin));
    warnings.extend(methods.iter().filter_map(broken_snapshot));
    if let Some((first, others)) = methods.split_first() {
        warnings.extend(others.iter().filter_map(|other| different_streams(first, other)));
        warnings.extend(others.iter().filter_map(|other| different_memory(first, other)));
    }
    warnings
}

/// A method's runs should differ in the seed only, and in what follows from it.
fn mixed_settings(method: &MethodRuns<'_>) -> Option<String> {
    let settings = |run: &RunRecord| {
        let mut plan = run.plan.clone();
        plan.seed = 0;
        plan.stream.class_order.clear();
        plan.stream.sha256.clear();
        plan
    };
    let first = method.runs.first()?;
    let other = method.runs.iter().find(|run| settings(run) != settings(first))?;
    Some(format!(
        "{}: the runs with seeds {} and {} differ in more than the seed, but share a row",
        method.method, first.plan.seed, other.plan.seed
    ))
}

fn repeated_seed(method: &MethodRuns<'_>) -> Option<String> {
    let pair = method.runs.windows(2).find(|pair| pair[0].plan.seed == pair[1].plan.seed)?;
    Some(format!("{}: seed {} occurs more than once", method.method, pair[0].plan.seed))
}

/// Names and shapes in a saved state that hold no numbers.
const STATE_OVERHEAD_BYTES: u64 = 1 << 16;

/// A learner that claims fewer bytes than it saves hides some in a comparison at equal bytes. One that claims
/// nothing at all has not said anything wrong.
fn small_claim(method: &MethodRuns<'_>) -> Option<String> {
    let bytes = |run: &&RunRecord| -> Option<(u64, u64)> {
        let summary = run.finished()?;
        Some((summary.claimed_bytes.values().sum::<u64>(), summary.state_bytes))
    };
    let small = |(claimed, state): &(u64, u64)| {
        *claimed > 0 && claimed.saturating_add(STATE_OVERHEAD_BYTES) < *state
    };
    let (claimed, state) = method.runs.iter().filter_map(bytes).find(small)?;
    Some(format!(
        "{}: it claims to hold {claimed} bytes, but its saved state has {state}",
        method.method
    ))
}

/// What `perdura plugins check` last found of the method's plugin, where that was something broken.
fn broken_plugin(method: &MethodRuns<'_>) -> Option<String> {
    let mut notes = method.runs.iter().filter_map(|run| run.resources.as_ref()?.check.as_ref());
    let note = notes.find(|note| !note.passed)?;
    let (level, broken) = (note.level.name(), note.broken.join(", "));
    let name = method.method;
    Some(format!("{name}: its plugin does not pass `plugins check` at level {level}: {broken}"))
}

/// Scores between boundaries end where a snapshot could not be scored; the run goes on.
fn broken_snapshot(method: &MethodRuns<'_>) -> Option<String> {
    let fault = |run: &&RunRecord| {
        let fault = run.finished()?.anytime.as_ref()?.fault.clone()?;
        Some((run.plan.seed, fault))
    };
    let (seed, fault) = method.runs.iter().find_map(fault)?;
    let step = fault.step.unwrap_or_default();
    Some(printable(&format!(
        "{}: its accuracies between boundaries end before step {step} of seed {seed}, whose \
         snapshot could not be scored: {} in {}: {}",
        method.method, fault.kind, fault.call, fault.message
    )))
}

fn different_streams(a: &MethodRuns<'_>, b: &MethodRuns<'_>) -> Option<String> {
    let mut differences = shared_seeds(a, b).map(|(a, b)| stream_differences(a, b));
    let differences = differences.find(|found| !found.is_empty())?;
    Some(format!("{} and {} saw different streams: {}", a.method, b.method, differences.join(", ")))
}

fn different_memory(a: &MethodRuns<'_>, b: &MethodRuns<'_>) -> Option<String> {
    let differ = |(a, b): &(MemorySize, MemorySize)| a != b;
    let (a_size, b_size) =
        shared_seeds(a, b).filter_map(|(a, b)| Some((a.memory?, b.memory?))).find(differ)?;
    let (a_size, b_size) = (memory_text(a_size), memory_text(b_size));
    Some(format!("{} and {} had different memory: {a_size} and {b_size}", a.method, b.method))
}

/// Plans of both methods with the same seed.
fn shared_seeds<'a>(
    a: &'a MethodRuns<'_>,
    b: &'a MethodRuns<'_>,
) -> impl Iterator<Item = (&'a RunPlan, &'a RunPlan)> {
    let partner = move |run: &'a &RunRecord| {
        let other = b.runs.iter().find(|other| other.plan.seed == run.plan.seed)?;
        Some((&run.plan, &other.plan))
    };
    a.runs.iter().filter_map(partner)
}

/// The settings in which two streams differ, with both values.
fn stream_differences(a: &RunPlan, b: &RunPlan) -> Vec<String> {
    let settings = |plan: &RunPlan| {
        let stream = &plan.stream;
        [
            ("benchmark", plan.benchmark.clone()),
            ("scenario", plan.scenario.clone()),
            ("epochs", stream.epochs.to_string()),
            ("batch", stream.batch.to_string()),
            ("drop-last", stream.drop_last.to_string()),
            ("class order", format!("{:?}", stream.class_order)),
            ("eval-head", stream.eval_head.clone()),
            ("validation", stream.validation.to_string()),
            ("score-on", format!("{:?}", stream.score_on).to_lowercase()),
            ("online", stream.online.to_string()),
            ("samples", plan.stream.sha256.chars().take(8).collect()),
            ("score-every", stream.score_every.map_or("-".into(), |steps| steps.to_string())),
        ]
    };
    // Arms of equal compute differ in their epochs because that is what they are for.
    let meant =
        |name: &str| name == "epochs" && (a.equal_compute.is_some() || b.equal_compute.is_some());
    let both = settings(a).into_iter().zip(settings(b));
    both.filter(|((name, a), (_, b))| a != b && !meant(name))
        .map(|((name, a), (_, b))| format!("{name} {a} and {b}"))
        .collect()
}

fn memory_text(size: MemorySize) -> String {
    match size {
        MemorySize::Samples(samples) => format!("{samples} samples"),
        MemorySize::Bytes(bytes) => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckNote, Level};
    use crate::run::{Resources, tests::plan};

    #[test]
    fn epochs_of_equal_compute_are_no_difference() {
        let (a, mut b) = (plan("a/x", 0), plan("a/x", 0));
        b.stream.epochs += 3;
        assert_eq!(stream_differences(&a, &b).len(), 1);
        b.equal_compute = Some("a/y".into());
        assert!(stream_differences(&a, &b).is_empty());
        b.stream.batch += 1;
        assert_eq!(stream_differences(&b, &a).len(), 1);
    }

    fn checked(passed: bool) -> RunRecord {
        let broken = if passed { vec![] } else { vec!["resume".into(), "soak".into()] };
        let (level, seed, host, started) = (Level::Strict, 0, "0".into(), String::new());
        let check = Some(CheckNote { level, passed, broken, seed, host, started });
        let resources = Some(Resources { check, ..Resources::default() });
        RunRecord { plan: plan("a/x", 0), summary: None, resources }
    }

    #[test]
    fn a_plugin_that_did_not_pass_its_check_is_told() {
        let warning =
            |record: &RunRecord| broken_plugin(&MethodRuns { method: "a/x", runs: vec![record] });
        assert_eq!(warning(&checked(true)), None);
        let unchecked = RunRecord { resources: Some(Resources::default()), ..checked(true) };
        assert_eq!(warning(&unchecked), None);
        let expected =
            "a/x: its plugin does not pass `plugins check` at level strict: resume, soak";
        assert_eq!(warning(&checked(false)).as_deref(), Some(expected));
    }
}
