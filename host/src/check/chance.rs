//! Chance comes from the seeds of the host: the same seeds give the same bytes, others give others, and what
//! lies in memory after a call is none of the learner's business.

use super::finding::{Finding, require};
use super::questions::Answers;
use super::saved::{distinct_values, state_difference};
use super::trial::Trial;
use super::{Check, Level};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "same-seed",
        about: "the same seed gives the same state and answers, byte for byte",
        level: Level::Basic,
        needs: &["reports", "logits"],
        remedy: "draw from `call.rng(name)` alone; no order of a HashMap or of threads may decide",
        run: same_seed,
    },
    Check {
        name: "other-seed",
        about: "another seed gives another beginning, where there is chance in it",
        level: Level::Standard,
        needs: &["same-seed"],
        remedy: "draw initial weights from `ctx.call.rng(name)`, not from a seed of your own",
        run: other_seed,
    },
    Check {
        name: "borrowed",
        about: "nothing that the host lent for a call is used after it",
        level: Level::Strict,
        needs: &["same-seed"],
        remedy: "copy what is needed later; keep no pointers into a step or an answer",
        run: borrowed,
    },
];

/// What a learner is after the whole stream: its state half way and at the end, and its answers.
struct Outcome {
    half: Vec<u8>,
    state: Vec<u8>,
    answers: Answers,
}

fn outcome(trial: &mut Trial<'_>, scrubs: bool) -> Result<Outcome, Finding> {
    let mut session = trial.open()?;
    session.scrubs = scrubs;
    let moves = session.moves();
    let (first, second) = moves.split_at(moves.len() / 2);
    session.follow(first)?;
    let half = session.save()?;
    session.follow(second)?;
    Ok(Outcome { half, state: session.save()?, answers: session.answers()? })
}

fn same_seed(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let (first, second) = (outcome(trial, false)?, outcome(trial, false)?);
    agree(trial, &first, &second)
}

fn borrowed(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let (first, second) = (outcome(trial, false)?, outcome(trial, true)?);
    agree(trial, &first, &second)
        .map_err(|f| f.after("with the memory of past calls overwritten it comes out otherwise"))
}

fn agree(trial: &Trial<'_>, first: &Outcome, second: &Outcome) -> Result<(), Finding> {
    for (name, a, b) in
        [("half way", &first.half, &second.half), ("at the end", &first.state, &second.state)]
    {
        if let Some(difference) = state_difference(a, b) {
            trial.keep("state-first.safetensors", a);
            trial.keep("state-second.safetensors", b);
            return Err(Finding::fail(difference).after(format!("the states {name} differ")));
        }
    }
    match answers_difference(&first.answers, &second.answers, 0.0) {
        Some(difference) => Err(Finding::fail(difference)),
        None => Ok(()),
    }
}

/// Distinct numbers above which a state was not written by hand.
const BY_HAND_MAX: usize = 16;

fn other_seed(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let benchmark = trial.stage().benchmark();
    let seed = trial.subject.seed;
    let mut states = Vec::new();
    for seed in [seed, seed ^ 0x5eed] {
        let mut session = trial.open()?;
        session.create = trial.subject.create_message(&benchmark, seed);
        session.restart(trial)?;
        states.push(session.save()?);
    }
    // A learner that begins with zeros or ones has no chance in it.
    let distinct = distinct_values(&states[0]);
    trial.measure("distinct_initial_values", distinct as f64);
    require(states[0] != states[1] || distinct <= BY_HAND_MAX, || {
        format!("the initial state has {distinct} distinct numbers, the same ones for two seeds")
    })
}

/// The first difference of two lists of answers beyond a tolerance relative to the largest logit; none
/// where they agree.
pub(super) fn answers_difference(a: &Answers, b: &Answers, tolerance: f32) -> Option<String> {
    for ((name, a), (_, b)) in a.iter().zip(b) {
        let (a, b) = match (a, b) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => continue,
            _ => return Some(format!("view `{name}` is open in one of them alone")),
        };
        let largest = a.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        let differs = |(x, y): &(&f32, &f32)| match tolerance == 0.0 {
            true => x.to_bits() != y.to_bits(),
            false => (**x - **y).abs() > tolerance * largest,
        };
        let pairs = || a.iter().zip(b);
        if let Some(at) = pairs().position(|pair| differs(&pair)) {
            let count = pairs().filter(differs).count();
            let (x, y) = (a[at], b[at]);
            return Some(format!(
                "view `{name}`: {count} of {} logits differ, the first is {x} in one, {y} in the other",
                a.len()
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_by_bits_or_within_a_tolerance() {
        let answers = |values: &[f32]| vec![("main".to_owned(), Some(values.to_vec()))];
        let (a, b) = (answers(&[100.0, 1.0]), answers(&[100.0, 1.004]));
        assert_eq!(answers_difference(&a, &a, 0.0), None);
        let text = answers_difference(&a, &b, 0.0).unwrap();
        assert!(text.contains("1 of 2 logits") && text.contains("1.004"), "{text}");
        // 0.004 is below 100 * 1e-4.
        assert_eq!(answers_difference(&a, &b, 1e-4), None);
        assert!(answers_difference(&a, &b, 1e-5).is_some());
        let closed = vec![("main".to_owned(), None)];
        assert!(answers_difference(&a, &closed, 0.0).unwrap().contains("open in one"));
        assert!(answers_difference(&answers(&[0.0]), &answers(&[-0.0]), 0.0).is_some());
    }
}
