//! Saved states: they hold all that training changed, and what is no state of this learner is refused.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeSet, HashMap};

use super::answers::trained;
use super::chance::answers_difference;
use super::finding::Finding;
use super::trial::Trial;
use super::{Check, Level};
use crate::rng::{below, keyed};
use crate::worker::FaultKind;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "save-load",
        about: "a saved and loaded learner answers the same, and saves the same bytes again",
        level: Level::Basic,
        needs: &["reports", "logits"],
        remedy: "save everything that `predict` uses, and restore all of it",
        run: save_load,
    },
    Check {
        name: "resume",
        about: "a learner that is saved and loaded in mid-stream ends as one that was not",
        level: Level::Standard,
        needs: &["save-load", "same-seed"],
        remedy: "save counters, averages and the optimizer too: all that training changes",
        run: resume,
    },
    Check {
        name: "bad-state",
        about: "empty, random, truncated, foreign and older states are refused with an error",
        level: Level::Standard,
        needs: &["save-load"],
        remedy: "read tensors with `StateReader::tensor` and their shapes, and pass its errors on",
        run: bad_state,
    },
];

fn save_load(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trained(trial)?;
    let state = session.save()?;
    trial.keep("state.safetensors", &state);
    trial.measure("state_bytes", state.len() as f64);
    let answers = session.answers()?;
    session.move_to_new_worker(trial, &state)?;
    let again = session.save()?;
    if let Some(difference) = state_difference(&state, &again) {
        trial.keep("state-again.safetensors", &again);
        return Err(Finding::fail(difference).after("saved again after loading"));
    }
    match answers_difference(&answers, &session.answers()?, 0.0) {
        Some(difference) => Err(Finding::fail(difference).after("after saving and loading")),
        None => Ok(()),
    }
}

fn resume(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let expected = trained(trial)?.save()?;
    let mut session = trial.open()?;
    let moves = session.moves();
    // In the middle of the second experience.
    let (first, second) = moves.split_at(moves.len() * 2 / 3);
    session.follow(first)?;
    let half = session.save()?;
    session.move_to_new_worker(trial, &half)?;
    session.follow(second)?;
    let found = session.save()?;
    trial.keep("state-half-way.safetensors", &half);
    trial.keep("state-uninterrupted.safetensors", &expected);
    trial.keep("state-resumed.safetensors", &found);
    match state_difference(&expected, &found) {
        Some(difference) => Err(Finding::fail(difference).after("trained on after loading")),
        None => Ok(()),
    }
}

fn bad_state(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let state = trained(trial)?.save()?;
    let mut rng = keyed(trial.subject.seed, "check/state", &[]);
    let random: Vec<u8> = (0..4096).map(|_| below(&mut rng, 256) as u8).collect();
    let mut cases = vec![
        ("an empty state", Vec::new()),
        ("random bytes", random),
        ("half a state", state[..state.len() / 2].to_vec()),
        ("a state without its last byte", state[..state.len().saturating_sub(1)].to_vec()),
        ("a state of another learner", foreign()),
    ];
    cases.extend(older(&state));
    let mut session = trial.open()?;
    for (what, bytes) in cases {
        trial.keep("bad-state.safetensors", &bytes);
        match session.load(&bytes) {
            Err(fault) if matches!(fault.kind, FaultKind::Error { .. }) => {}
            Err(fault) => return Err(Finding::from(fault).after(what)),
            Ok(()) => return Err(Finding::fail(format!("{what} was loaded"))),
        }
    }
    session.load(&state).map_err(|f| Finding::from(f).after("a good state after bad ones"))
}

fn foreign() -> Vec<u8> {
    let bytes = [0u8; 8];
    let view = TensorView::new(Dtype::F32, vec![2], &bytes).expect("two numbers have 8 bytes");
    let metadata = HashMap::from([("perdura".to_owned(), "{}".to_owned())]);
    safetensors::serialize([("foreign.weight", view)], Some(metadata)).expect("plain data")
}

/// The state as a version before or after this one might have written it; nothing for a state that has no
/// tensors or another format.
fn older(state: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let Ok((_, header)) = SafeTensors::read_metadata(state) else { return Vec::new() };
    let Ok(file) = SafeTensors::deserialize(state) else { return Vec::new() };
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let Some((name, first)) = tensors.first().cloned() else { return Vec::new() };
    let written = |tensors: Vec<(String, TensorView<'_>)>| {
        safetensors::serialize(tensors, header.metadata().clone()).expect("it was read before")
    };
    let bytes = first.data();
    let longer: Vec<u8> = [bytes, &[0; 4]].concat();
    let flat = TensorView::new(Dtype::F32, vec![longer.len() / 4], &longer);
    let new = TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("one number has 4 bytes");
    let mut cases = vec![("a state with one tensor less", written(tensors[1..].to_vec()))];
    let mut more = tensors.clone();
    more.push(("of_another_version".into(), new));
    cases.push(("a state with one tensor more", written(more)));
    if let (Dtype::F32, Ok(flat)) = (first.dtype(), flat) {
        let mut reshaped = tensors.clone();
        reshaped[0] = (name, flat);
        cases.push(("a state with a tensor of another shape", written(reshaped)));
    }
    cases
}

/// In what two states differ, by the first tensor; none where they are the same bytes.
pub(super) fn state_difference(a: &[u8], b: &[u8]) -> Option<String> {
    if a == b {
        return None;
    }
    let sizes = || Some(format!("{} and {} bytes that differ", a.len(), b.len()));
    let (Ok(first), Ok(second)) = (SafeTensors::deserialize(a), SafeTensors::deserialize(b)) else {
        return sizes();
    };
    let names = |file: &SafeTensors<'_>| -> BTreeSet<String> {
        file.names().into_iter().map(ToString::to_string).collect()
    };
    let (in_a, in_b) = (names(&first), names(&second));
    if let Some(name) = in_a.symmetric_difference(&in_b).next() {
        return Some(format!("tensor `{name}` is in one of them alone"));
    }
    let of = |file: &SafeTensors<'_>, name: &str| file.tensor(name).ok().map(|t| t.data().to_vec());
    let differs = |name: &&String| of(&first, name) != of(&second, name);
    match in_a.iter().find(differs) {
        Some(name) => Some(format!("tensor `{name}` differs")),
        None => Some("shapes or values beside the tensors differ".into()),
    }
}

/// Number of distinct numbers in the tensors of a state.
pub(super) fn distinct_values(state: &[u8]) -> usize {
    let Ok(file) = SafeTensors::deserialize(state) else { return 0 };
    let tensors = file.tensors();
    let words = tensors.iter().flat_map(|(_, tensor)| tensor.data().chunks_exact(4));
    words.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, values: [f32; 2]) -> Vec<u8> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![2], &bytes).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    }

    #[test]
    fn the_tensor_that_differs_is_named() {
        let (a, b) = (state("w", [1.0, 2.0]), state("w", [1.0, 3.0]));
        assert_eq!(state_difference(&a, &a), None);
        assert_eq!(state_difference(&a, &b).unwrap(), "tensor `w` differs");
        let other = state("v", [1.0, 2.0]);
        assert_eq!(state_difference(&a, &other).unwrap(), "tensor `v` is in one of them alone");
        assert_eq!(state_difference(b"x", b"yz").unwrap(), "1 and 2 bytes that differ");
        assert_eq!(distinct_values(&a), 2);
        assert_eq!(distinct_values(&state("w", [1.0, 1.0])), 1);
    }

    #[test]
    fn other_versions_differ_in_one_tensor_each() {
        let cases = older(&state("w", [1.0, 2.0]));
        let tensors = |bytes: &[u8]| {
            let file = SafeTensors::deserialize(bytes).unwrap();
            let mut all: Vec<(String, Vec<usize>)> =
                file.tensors().into_iter().map(|(n, t)| (n, t.shape().to_vec())).collect();
            all.sort();
            all
        };
        let found: Vec<_> = cases.iter().map(|(_, bytes)| tensors(bytes)).collect();
        let (w, new) = (("w".to_owned(), vec![2]), ("of_another_version".to_owned(), vec![1]));
        assert_eq!(found, [vec![], vec![new, w], vec![("w".to_owned(), vec![3])]]);
        assert!(older(b"no state").is_empty());
    }
}
