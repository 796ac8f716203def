//! The stream without boundaries, counted by hand on a small data set and by the published totals on
//! MNIST.

use super::*;
use crate::augment::TrainAugment;
use crate::data::{DataPair, Dataset, ImageShape};

/// Three classes in turn; image `i` is filled with `i`.
fn part(images: u32) -> Dataset {
    Dataset {
        images: (0..images).flat_map(|i| [i as u8; 9]).collect(),
        labels: (0..images).map(|i| i % 3).collect(),
        shape: ImageShape { channels: 1, height: 3, width: 3 },
        classes: 3,
    }
}

fn recipe(classes: usize, rounds: usize) -> Recipe {
    Recipe {
        name: "round",
        about: "",
        data: "round",
        scenario: Scenario::TaskFree,
        construction: Construction::Circle { classes, rounds },
        epochs: 1,
        batch: 4,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment::default(),
        ssl_augment: None,
    }
}

/// Nine training images of each class: segments of 5 and 4; two test images of each.
fn small(options: &StreamOptions, seed: u64) -> Result<Benchmark, StreamError> {
    let data = DataPair { name: "round".into(), train: part(27), test: part(6), scale: 255.0 };
    recipe(3, 1).assemble(data, options, seed)
}

fn drawn(benchmark: &Benchmark) -> &Drawn {
    match &benchmark.samples {
        Samples::Drawn(drawn) => drawn,
        other => panic!("{other:?}"),
    }
}

#[test]
fn phases_and_batches_are_as_counted_by_hand() {
    let benchmark = small(&StreamOptions::default(), 0).unwrap();
    let drawn = drawn(&benchmark);
    // Phase (0, 1): 4 and 4 left, the last segments: 2 + 2, then 2 + 2.
    // Phase (1, 2): 5 (the first segment of 1) and 4 left: round(20/9) = 2 + 2, then 3 and 2 left:
    //   round(12/5) = 2 + 2. One draw of class 1 is never made.
    // Phase (2, 0): 5 and 5 left: 2 + 2, 3 and 3: 2 + 2, 1 and 1: round(2) = 1 of 1, then 1.
    assert_eq!(drawn.batches, [4, 4, 4, 4, 4, 4, 2]);
    assert_eq!(drawn.phases, [0, 8, 16]);
    let labels: Vec<u32> = (0..26).map(|id| benchmark.label(true, id)).collect();
    let pair = |a: u32, b: u32| [a, a, b, b];
    let expected = [pair(0, 1), pair(0, 1), pair(1, 2), pair(1, 2), pair(2, 0), pair(2, 0)];
    assert_eq!(labels[..24], expected.concat());
    assert_eq!(labels[24..], [2, 0]);
    assert_eq!(benchmark.steps_per_epoch(0), 7);
    // The last segment of a class is used first: rows 15 to 26 hold images 5 to 8 of each class.
    assert!(drawn.train[..8].iter().all(|draw| draw.row >= 15));
    // Class 1 starts at 0 degrees and turns by 360 / 9 with each draw, class 0 starts at -60.
    let degrees = |id: usize| drawn.train[id].degrees;
    assert_eq!([degrees(2), degrees(3), degrees(6), degrees(8)], [0.0, 40.0, 80.0, 160.0]);
    assert_eq!([degrees(0), degrees(1), degrees(4)], [300.0, 340.0, 20.0]);
}

#[test]
fn images_are_turned_and_the_test_set_goes_round_once() {
    let benchmark = small(&StreamOptions::default(), 0).unwrap();
    let drawn = drawn(&benchmark);
    assert_eq!(drawn.test.len(), 6);
    let degrees: Vec<f64> = drawn.test.iter().map(|draw| draw.degrees).collect();
    assert_eq!(degrees, [0.0, 180.0, 0.0, 180.0, 0.0, 180.0]);
    let labels: Vec<u32> = (0..6).map(|id| benchmark.label(false, id)).collect();
    assert_eq!(labels, [0, 0, 1, 1, 2, 2]);
    let Draw { row, degrees } = drawn.train[0];
    let turned = transform::rotate(part(27).image(row), part(1).shape, degrees);
    assert_eq!(*benchmark.train_image(0), turned);
    assert_eq!((benchmark.row(true, 0), benchmark.uid(25)), (row, 25));
    let other = small(&StreamOptions::default(), 1).unwrap();
    assert_ne!(other.samples, benchmark.samples, "draws come from the seed");
    assert_ne!(inspect(&other).sha256, inspect(&benchmark).sha256);
}

#[test]
fn the_sequence_is_never_shuffled_and_keeps_its_batches() {
    let benchmark = small(&StreamOptions::default(), 0).unwrap();
    for epoch in 0..2 {
        let order = epoch_order(&benchmark, 0, epoch, 0);
        assert!(order.is_sorted());
        let sizes: Vec<usize> = benchmark.batches(&order).iter().map(|b| b.len()).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 4, 4, 2]);
    }
    let options = StreamOptions { drop_last: Some(true), ..StreamOptions::default() };
    let whole = small(&options, 0).unwrap();
    let order = epoch_order(&whole, 0, 0, 0);
    assert!(whole.batches(&order).iter().all(|batch| batch.len() == 4));
    assert_eq!((whole.batches(&order).len(), whole.steps_per_epoch(0)), (6, 6));
    // An upper bound mixes everything: 26 samples in batches of 4.
    let union = benchmark.union();
    assert!(!epoch_order(&union, 0, 0, 0).is_sorted());
    assert_eq!((union.steps_per_epoch(0), union.score_every), (7, None));
}

#[test]
fn a_batch_of_one_takes_turns() {
    let options = StreamOptions { batch: Some(1), ..StreamOptions::default() };
    let benchmark = small(&options, 0).unwrap();
    assert!(drawn(&benchmark).batches.iter().all(|&batch| batch == 1));
    // 4 and 4 left: round(1/2) = 0 of class 0, then 4/7 = 1 of class 0, and so on.
    let labels: Vec<u32> = (0..7).map(|id| benchmark.label(true, id)).collect();
    assert_eq!(labels[..4], [1, 0, 1, 0]);
}

#[test]
fn scores_come_at_fixed_steps() {
    let every = |options: StreamOptions| small(&options, 0).unwrap().score_every;
    assert_eq!(every(StreamOptions::default()), Some(2000));
    assert_eq!(every(StreamOptions { batch: Some(16), ..StreamOptions::default() }), Some(500));
    let given = StreamOptions { score_every: Some(3), ..StreamOptions::default() };
    assert_eq!(every(given.clone()), Some(3));
    let zero = StreamOptions { score_every: Some(0), ..StreamOptions::default() };
    assert!(small(&zero, 0).unwrap_err().to_string().contains("--score-every is 0"));
    // Where boundaries are told, they come besides those, and only where they are asked for.
    let split = |options: &StreamOptions| build("split-digits", None, options, 0);
    assert_eq!(split(&given).unwrap().score_every, Some(3));
    assert_eq!(split(&StreamOptions::default()).unwrap().score_every, None);
    assert!(split(&zero).unwrap_err().to_string().contains("--score-every is 0"));
}

#[test]
fn classes_seen_by_a_step_are_those_of_its_batches() {
    let benchmark = small(&StreamOptions::default(), 0).unwrap();
    assert_eq!(benchmark.seen_after_steps(0), [false; 3]);
    assert_eq!(benchmark.seen_after_steps(2), [true, true, false]);
    assert_eq!(benchmark.seen_after_steps(3), [true; 3]);
    let split = Recipe { construction: Construction::Split { experiences: 3 }, ..recipe(3, 1) };
    let data = DataPair { name: "round".into(), train: part(27), test: part(6), scale: 255.0 };
    let split = split.assemble(data, &StreamOptions::default(), 0).unwrap();
    // Nine samples of each class: three steps each.
    assert_eq!(split.seen_after_steps(3), [true, false, false]);
    assert_eq!(split.seen_after_steps(4), [true, true, false]);
}

#[test]
fn what_cannot_go_round_is_refused() {
    let data = || DataPair { name: "round".into(), train: part(27), test: part(6), scale: 255.0 };
    let message = |classes, rounds, options: StreamOptions| {
        recipe(classes, rounds).assemble(data(), &options, 0).unwrap_err().to_string()
    };
    let none = StreamOptions::default;
    for (classes, rounds) in [(1, 1), (4, 1), (3, 0)] {
        let message = message(classes, rounds, none());
        assert!(message.contains(&format!("{classes} of 3 classes")), "{message}");
    }
    // Nine images in eight segments of two: four and a half.
    assert!(
        message(3, 4, none()).contains("class 0 has 9 training images, too few for 8 segments")
    );
    let held = StreamOptions { validation: 0.1, ..none() };
    assert!(message(3, 1, held).contains("--validation"));
    let zero = StreamOptions { batch: Some(0), ..none() };
    assert!(message(3, 1, zero).contains("--batch is 0"));
}

#[test]
fn mnist_360_has_the_published_totals() {
    let Some(folder) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED mnist_360_has_the_published_totals: PERDURA_DATA is not set");
        return;
    };
    let built = |batch: Option<u32>| {
        let options = StreamOptions { batch, ..StreamOptions::default() };
        build("mnist-360", Some(Path::new(&folder)), &options, 0).unwrap()
    };
    let benchmark = built(None);
    assert_eq!((benchmark.batch, benchmark.classes), (16, 10));
    assert_eq!(benchmark.experiences[0].train.len(), 54_051);
    assert_eq!(benchmark.steps_per_epoch(0), 3_387);
    assert_eq!(drawn(&benchmark).phases.len(), 27);
    // Test images of digits 0 to 8.
    assert_eq!(benchmark.experiences[0].test.len(), 8_991);
    let one = built(Some(1));
    assert_eq!((one.experiences[0].train.len(), one.steps_per_epoch(0)), (54_024, 54_024));
}

#[test]
fn digits_go_round_too() {
    let benchmark = build("digits-360", None, &StreamOptions::default(), 0).unwrap();
    assert_eq!((benchmark.scenario, benchmark.experiences.len()), (Scenario::TaskFree, 1));
    assert_eq!(drawn(&benchmark).phases.len(), 27);
    assert_eq!(benchmark.experiences[0].classes, (0..9).collect::<Vec<u32>>());
}
