//! Streams without boundaries after MNIST-360: classes come in pairs, each pair for a while, and every
//! class turns slowly as long as it is there. One hidden sequence of draws, with batches of uneven size
//! where a pair ends.
//! Source: Buzzega et al. 2020, "Dark Experience for General Continual Learning"; CLS-ER,
//! `datasets/mnist_360.py`. What differs: a test image is drawn alone and not in batches without
//! repetition, so that the test set does not depend on the batch of the learner.

use super::benchmark::Samples;
use super::domains::Cut;
use super::{Experience, StreamError};
use crate::data::{DataPair, Dataset};
use crate::rng::{Rng, below, keyed};

/// One image at one angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Of the data set.
    pub row: u32,
    /// Counter-clockwise, 0 to below 360.
    pub degrees: f64,
}

/// A stream drawn sample by sample; the id of a sample is its number in the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    pub train: Vec<Draw>,
    pub test: Vec<Draw>,
    /// Sizes of the batches, which cut `train` as it was drawn; empty where any batch will do.
    pub batches: Vec<u32>,
    /// Number of the first sample of each phase. Never told.
    pub phases: Vec<u32>,
}

impl Drawn {
    /// Training or test draws.
    pub(super) fn of(&self, train: bool) -> &[Draw] {
        if train { &self.train } else { &self.test }
    }
}

/// What a circle is made of.
#[derive(Clone, Copy)]
pub(super) struct Circle<'a> {
    /// Class of the data set at each position; the first `classes` positions take part.
    pub class_order: &'a [u32],
    pub classes: usize,
    pub rounds: usize,
    pub batch: u32,
    pub seed: u64,
}

/// Draws the stream. Position `j` of `n_j` training images is cut into two segments a round, in file
/// order, and used up from the last segment to the first: in each round once beside the position
/// before it and once beside the one after. Every draw takes any image of the segment, with
/// replacement, at `(j - 1) * 60 + k * 360 / n_j` degrees, `k` counting the draws of `j`. Test images
/// are drawn from all of a position's, as many as there are, and start at 0 degrees.
pub(super) fn circle(data: &DataPair, circle: Circle<'_>) -> Result<Cut, StreamError> {
    let Circle { class_order, classes, rounds, batch, seed } = circle;
    if classes < 2 || classes > class_order.len() || rounds == 0 {
        let (data, available) = (data.name.clone(), class_order.len());
        return Err(StreamError::NoCircle { data, classes, rounds, available });
    }
    let part = || class_order[..classes].iter().enumerate();
    let mut train = part()
        .map(|(position, &class)| Turning::of_training(data, position, class, rounds, seed))
        .collect::<Result<Vec<_>, _>>()?;
    let mut drawn = Drawn::default();
    for phase in 0..rounds * classes {
        let (first, second) = (phase % classes, (phase + 1) % classes);
        drawn.phases.push(drawn.train.len() as u32);
        draw_phase(&mut train, (first, second), batch, &mut drawn);
    }
    for (position, &class) in part() {
        drawn.test.extend(draw_test(data, position, class, seed)?);
    }
    let experience = Experience {
        train: (0..drawn.train.len() as u32).collect(),
        test: (0..drawn.test.len() as u32).collect(),
        classes: (0..classes as u32).collect(),
        group: None,
    };
    Ok((vec![experience], Samples::Drawn(drawn)))
}

/// Batches of two positions until one of them has no draw left in its segment; each gives draws in
/// proportion to what it has left, halves rounded to even numbers.
fn draw_phase(
    train: &mut [Turning],
    (first, second): (usize, usize),
    batch: u32,
    drawn: &mut Drawn,
) {
    let segments = [train[first].next_segment(), train[second].next_segment()];
    let mut left = segments.clone().map(|segment| segment.len());
    let batch = batch as usize;
    while left[0] > 0 && left[1] > 0 {
        let share = left[0] as f64 / (left[0] + left[1]) as f64 * batch as f64;
        let of_first = (share.round_ties_even() as usize).min(left[0]);
        let of_second = (batch - of_first).min(left[1]);
        for (position, count, segment) in
            [(first, of_first, &segments[0]), (second, of_second, &segments[1])]
        {
            drawn.train.extend((0..count).map(|_| train[position].draw(segment.clone())));
        }
        left = [left[0] - of_first, left[1] - of_second];
        drawn.batches.push((of_first + of_second) as u32);
    }
}

/// As many draws as there are test images, once round.
fn draw_test(
    data: &DataPair,
    position: usize,
    class: u32,
    seed: u64,
) -> Result<Vec<Draw>, StreamError> {
    let rows = rows_of(&data.test, class);
    if rows.is_empty() {
        return Err(StreamError::NoSamples { experience: 0, classes: vec![class], part: "test" });
    }
    let (count, rng) = (rows.len(), keyed(seed, "circle/test", &[position as u64]));
    let (segment_len, segments) = (count, 1);
    let mut turning = Turning { rows, segment_len, segments, start: 0.0, drawn: 0, rng };
    let segment = turning.next_segment();
    Ok((0..count).map(|_| turning.draw(segment.clone())).collect())
}

fn rows_of(part: &Dataset, class: u32) -> Vec<u32> {
    let rows = part.labels.iter().enumerate().filter(|(_, label)| **label == class);
    rows.map(|(row, _)| row as u32).collect()
}

/// The images of one class on their way round.
struct Turning {
    /// In file order.
    rows: Vec<u32>,
    segment_len: usize,
    /// Not used yet.
    segments: usize,
    /// Degrees of the first draw.
    start: f64,
    drawn: u64,
    rng: Rng,
}

impl Turning {
    fn of_training(
        data: &DataPair,
        position: usize,
        class: u32,
        rounds: usize,
        seed: u64,
    ) -> Result<Turning, StreamError> {
        let rows = rows_of(&data.train, class);
        let segments = 2 * rounds;
        let segment_len = rows.len() / segments + 1;
        // The last segment is shorter than the others; it must not be empty.
        if (segments - 1) * segment_len >= rows.len() {
            return Err(StreamError::SegmentEmpty { class, images: rows.len(), segments });
        }
        let start = (position as f64 - 1.0) * 60.0;
        let rng = keyed(seed, "circle/train", &[position as u64]);
        Ok(Turning { rows, segment_len, segments, start, drawn: 0, rng })
    }

    /// Places in `rows` of the last segment that was not used yet.
    fn next_segment(&mut self) -> std::ops::Range<usize> {
        self.segments -= 1;
        let start = self.segments * self.segment_len;
        start..self.rows.len().min(start + self.segment_len)
    }

    fn draw(&mut self, segment: std::ops::Range<usize>) -> Draw {
        let place = segment.start + below(&mut self.rng, segment.len() as u64) as usize;
        let turned = self.drawn as f64 * (360.0 / self.rows.len() as f64);
        self.drawn += 1;
        Draw { row: self.rows[place], degrees: (self.start + turned).rem_euclid(360.0) }
    }
}
