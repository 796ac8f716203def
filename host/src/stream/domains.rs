//! Experiences that show one data set in another way each: pixels permuted, images rotated, or both in
//! known groups. Everything is drawn from the run seed.

use super::benchmark::Samples;
use super::transform::{Transform, draw_permutation};
use super::{Experience, StreamError};
use crate::data::{DataPair, Dataset};
use crate::rng::{keyed, shuffle_front, unit};
use std::sync::Arc;

/// Experiences and how they show their samples.
pub(super) type Cut = (Vec<Experience>, Samples);

/// Every experience is the whole data set under a pixel permutation of its own, the first too.
pub(super) fn permuted(data: &DataPair, experiences: usize, seed: u64) -> Result<Cut, StreamError> {
    let shape = data.train.shape;
    let transform = |experience: usize| {
        let mut rng = keyed(seed, "permutation", &[experience as u64]);
        Transform::new(shape, 0.0, draw_permutation(shape, &mut rng))
    };
    whole(data, experiences, transform)
}

/// Every experience is the whole data set, rotated by an angle drawn from `[0, degrees_below)`.
pub(super) fn rotated(
    data: &DataPair,
    experiences: usize,
    degrees_below: f64,
    seed: u64,
) -> Result<Cut, StreamError> {
    let transform = |experience: usize| {
        let degrees = degrees_below * unit(&mut keyed(seed, "rotation", &[experience as u64]));
        Transform::new(data.train.shape, degrees, Arc::default())
    };
    whole(data, experiences, transform)
}

fn whole(
    data: &DataPair,
    experiences: usize,
    transform: impl Fn(usize) -> Transform,
) -> Result<Cut, StreamError> {
    check_count(data, experiences)?;
    let every = |part: &Dataset| (0..part.len() as u32).collect::<Vec<u32>>();
    let (train, test) = (every(&data.train), every(&data.test));
    let experience = |number| domain(data, number, (&train, &test), None);
    let samples = Samples::Transformed((0..experiences).map(transform).collect());
    Ok(((0..experiences).map(experience).collect(), samples))
}

/// Groups of experiences that are similar by construction: group 0 shows the images as they are, each
/// other one under a permutation of its own; within a group the experiences differ by a rotation,
/// which comes first. They are interleaved: the first angle of every group, then the next angle.
/// Each has `train` and `test` samples of its own, drawn without replacement.
pub(super) fn groups(
    data: &DataPair,
    groups: usize,
    angles: &[f64],
    (train, test): (usize, usize),
    seed: u64,
) -> Result<Cut, StreamError> {
    let experiences = groups * angles.len();
    check_count(data, experiences)?;
    for (part, name, wanted) in [(&data.train, "training", train), (&data.test, "test", test)] {
        if wanted == 0 || wanted > part.len() {
            let (data, available) = (data.name.clone(), part.len());
            return Err(StreamError::TooFewImages { data, part: name, wanted, available });
        }
    }
    let shape = data.train.shape;
    let permutation = |group: usize| match group {
        0 => Arc::default(),
        _ => draw_permutation(shape, &mut keyed(seed, "permutation", &[group as u64])),
    };
    let permutations: Vec<Arc<[u32]>> = (0..groups).map(permutation).collect();
    let draw = |part: &Dataset, count: usize, key: [u64; 2]| {
        let mut rows: Vec<u32> = (0..part.len() as u32).collect();
        shuffle_front(&mut keyed(seed, "experience-samples", &key), &mut rows, count);
        rows.truncate(count);
        rows.sort_unstable();
        rows
    };
    let (mut list, mut transforms) = (Vec::new(), Vec::new());
    for number in 0..experiences {
        let (group, angle) = (number % groups, angles[number / groups]);
        transforms.push(Transform::new(shape, angle, permutations[group].clone()));
        let train = draw(&data.train, train, [number as u64, 0]);
        let test = draw(&data.test, test, [number as u64, 1]);
        list.push(domain(data, number, (&train, &test), Some(group as u32)));
    }
    Ok((list, Samples::Transformed(transforms)))
}

/// An experience of these rows; ids count the rows of all experiences through.
fn domain(
    data: &DataPair,
    number: usize,
    (train, test): (&[u32], &[u32]),
    group: Option<u32>,
) -> Experience {
    let ids = |part: &Dataset, rows: &[u32]| {
        let first = number as u32 * part.len() as u32;
        rows.iter().map(|row| first + row).collect()
    };
    Experience {
        train: ids(&data.train, train),
        test: ids(&data.test, test),
        classes: (0..data.train.classes as u32).collect(),
        group,
    }
}

/// Ids are u32.
fn check_count(data: &DataPair, experiences: usize) -> Result<(), StreamError> {
    let rows = data.train.len().max(data.test.len());
    let ids = experiences.checked_mul(rows).filter(|&ids| u32::try_from(ids).is_ok());
    match experiences {
        0 => Err(StreamError::Zero { option: "the number of experiences" }),
        _ if ids.is_none() => Err(StreamError::TooManySamples { experiences, rows }),
        _ => Ok(()),
    }
}
