//! Cutting a data set by classes, and holding out samples for validation.

use std::sync::Arc;

use super::{Experience, StreamError};
use crate::data::{DataPair, Dataset};
use crate::rng::{keyed, shuffle};

/// Position of each class in the class order.
pub(super) fn positions(class_order: &[u32]) -> Vec<u32> {
    let mut positions = vec![0; class_order.len()];
    for (position, &class) in class_order.iter().enumerate() {
        positions[class as usize] = position as u32;
    }
    positions
}

/// Runs of the class order, each with its samples in file order.
pub(super) fn split(
    data: &DataPair,
    class_order: &[u32],
    experiences: usize,
) -> Result<Vec<Experience>, StreamError> {
    let classes = class_order.len();
    if experiences == 0 || classes == 0 || !classes.is_multiple_of(experiences) {
        return Err(StreamError::UnevenSplit { data: data.name.clone(), classes, experiences });
    }
    let width = classes / experiences;
    let positions = positions(class_order);
    let cut = |part: &Dataset| {
        let mut cut = vec![Vec::new(); experiences];
        for (index, &class) in part.labels.iter().enumerate() {
            cut[positions[class as usize] as usize / width].push(index as u32);
        }
        cut
    };
    let samples = cut(&data.train).into_iter().zip(cut(&data.test)).enumerate();
    samples
        .map(|(experience, (train, test))| {
            let first = (experience * width) as u32;
            let classes: Vec<u32> = (first..first + width as u32).collect();
            let of_experience = &class_order[experience * width..][..width];
            check_classes(&data.train, "training", experience, of_experience)?;
            check_classes(&data.test, "test", experience, of_experience)?;
            Ok(Experience { train, test, classes, group: None })
        })
        .collect()
}

/// Refuses an experience with a class of which a part has no sample: it would be trained and never
/// scored, or scored and never trained.
fn check_classes(
    part: &Dataset,
    name: &'static str,
    experience: usize,
    classes: &[u32],
) -> Result<(), StreamError> {
    let missing = |class: &u32| !part.labels.contains(class);
    let classes: Vec<u32> = classes.iter().copied().filter(missing).collect();
    match classes.is_empty() {
        true => Ok(()),
        false => Err(StreamError::NoSamples { experience, classes, part: name }),
    }
}

/// Takes a fraction of the training samples out of each experience, class by class.
///
/// Which samples these are depends on the data and the fraction alone, neither on the run seed nor
/// on the class order, so that every run of a comparison is validated on the same ones.
pub(super) fn hold_out(
    data: &DataPair,
    mut experiences: Vec<Experience>,
    fraction: f64,
) -> Result<(Vec<Experience>, Vec<Vec<u32>>), StreamError> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(StreamError::ValidationFraction { fraction });
    }
    if fraction == 0.0 {
        let none = vec![Vec::new(); experiences.len()];
        return Ok((experiences, none));
    }
    let mut validation = Vec::new();
    for (number, experience) in experiences.iter_mut().enumerate() {
        // An id stands for the same row in every experience that shows it.
        let row = |id: &u32| *id % data.train.len() as u32;
        let rows: Vec<u32> = experience.train.iter().map(row).collect();
        let chosen = choose(&data.train, &rows, fraction);
        let (held_out, train) =
            experience.train.iter().partition::<Vec<u32>, _>(|id| chosen[row(id) as usize]);
        if held_out.is_empty() || train.is_empty() {
            return Err(StreamError::ValidationEmpties {
                fraction,
                held_out: held_out.len(),
                samples: experience.train.len(),
                experience: number,
            });
        }
        experience.train = train;
        validation.push(held_out);
    }
    Ok((experiences, validation))
}

/// Puts the held-out samples in place of the test part: the data set that comes back has no other.
pub(super) fn score_held_out(
    data: &DataPair,
    experiences: &mut [Experience],
    held_out: &[Vec<u32>],
) -> Result<Arc<DataPair>, StreamError> {
    for (experience, held_out) in experiences.iter_mut().zip(held_out) {
        if held_out.is_empty() {
            return Err(StreamError::NothingHeldOut);
        }
        experience.test.clone_from(held_out);
    }
    Ok(Arc::new(DataPair { test: data.train.clone(), ..data.clone() }))
}

/// One flag per sample of the data set.
fn choose(part: &Dataset, samples: &[u32], fraction: f64) -> Vec<bool> {
    let mut chosen = vec![false; part.len()];
    for class in 0..part.classes as u32 {
        let of_class = |index: &u32| part.labels[*index as usize] == class;
        let mut samples: Vec<u32> = samples.iter().copied().filter(of_class).collect();
        let count = (samples.len() as f64 * fraction).round() as usize;
        shuffle(&mut keyed(0, "validation", &[u64::from(class)]), &mut samples);
        for &index in &samples[..count] {
            chosen[index as usize] = true;
        }
    }
    chosen
}
