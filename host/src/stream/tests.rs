//! Benchmarks on the bundled digits and on small made-up data; streams that transform their images
//! are tested in `domain_tests`.

use super::*;
use crate::augment::TrainAugment;
use crate::data::{DataPair, Dataset, ImageShape};

fn digits(options: &StreamOptions, seed: u64) -> Result<Benchmark, StreamError> {
    build("split-digits", None, options, seed)
}

fn default_digits() -> Benchmark {
    digits(&StreamOptions::default(), 0).unwrap()
}

fn refused(options: StreamOptions) -> String {
    digits(&options, 0).unwrap_err().to_string()
}

/// Four classes, three samples each in training (0,1,2,3,0,1,...) and one in test.
fn small(construction: Construction, options: &StreamOptions) -> Result<Benchmark, StreamError> {
    let part = |rounds: u32| Dataset {
        images: (0..rounds as u8 * 4).collect(),
        labels: (0..rounds * 4).map(|i| i % 4).collect(),
        shape: ImageShape { channels: 1, height: 1, width: 1 },
        classes: 4,
    };
    let data = DataPair { name: "small".into(), train: part(3), test: part(1), scale: 255.0 };
    let recipe = Recipe {
        name: "split-small",
        about: "",
        data: "small",
        scenario: Scenario::ClassIl,
        construction,
        epochs: 1,
        batch: 2,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment::default(),
        ssl_augment: None,
    };
    recipe.assemble(data, options, 0)
}

const HALVES: Construction = Construction::Split { experiences: 2 };

#[test]
fn split_digits_is_as_published_in_the_design() {
    let benchmark = default_digits();
    assert_eq!((benchmark.epochs, benchmark.batch, benchmark.drop_last), (10, 10, false));
    assert_eq!((benchmark.classes, benchmark.scenario), (10, Scenario::ClassIl));
    assert_eq!(benchmark.input_shape(), [1, 8, 8]);
    // Digits per class, counted with another program: 135+136, 134+136, 133+137, 134+134, 133+135.
    let train: Vec<_> = benchmark.experiences.iter().map(|e| e.train.len()).collect();
    assert_eq!(train, [271, 270, 270, 268, 268]);
    let test: Vec<_> = benchmark.experiences.iter().map(|e| e.test.len()).collect();
    assert_eq!(test, [43 + 46, 43 + 47, 48 + 45, 47 + 45, 41 + 45]);
    assert_eq!(benchmark.experiences[1].classes, [2, 3]);
    assert_eq!(benchmark.experiences[1].train[..2], [2, 3]);
    assert_eq!(benchmark.steps_per_epoch(0), 28);
}

#[test]
fn labels_are_positions_in_the_class_order() {
    let order = ClassOrder::List(vec![3, 1, 0, 2]);
    let options = StreamOptions { class_order: order, ..StreamOptions::default() };
    let benchmark = small(HALVES, &options).unwrap();
    // Classes 3 and 1 come first; training rows 1, 3, 5, 7, ... hold them.
    assert_eq!(benchmark.experiences[0].train, [1, 3, 5, 7, 9, 11]);
    assert_eq!(benchmark.experiences[0].classes, [0, 1]);
    let labels: Vec<_> = (0..4).map(|index| benchmark.label(true, index)).collect();
    assert_eq!(labels, [2, 1, 3, 0]);
    assert_eq!(benchmark.label(false, 3), 0);
    assert_eq!(*benchmark.train_image(7), [7]);
    assert_eq!(*benchmark.test_image(3), [3]);
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    for wrong in ["split-digit", "Split_Digits", "splitdigits"] {
        let message = build(wrong, None, &StreamOptions::default(), 0).unwrap_err().to_string();
        assert!(message.contains("did you mean `split-digits`?"), "{message}");
    }
    let message = build("foo", None, &StreamOptions::default(), 0).unwrap_err().to_string();
    assert_eq!(message, "unknown benchmark `foo`; `perdura benchmarks list` shows all");
    assert!(names().iter().any(|recipe| recipe.name == "split-mnist" && !recipe.about.is_empty()));
}

#[test]
fn the_number_of_experiences_may_stand_in_the_name() {
    let named = |name| build(name, None, &StreamOptions::default(), 0);
    let benchmark = named("split-digits:experiences=2").unwrap();
    assert_eq!(benchmark.name, "split-digits:experiences=2");
    assert_eq!(benchmark.experiences[1].classes, [5, 6, 7, 8, 9]);
    let message = named("split-digits:experiences=3").unwrap_err().to_string();
    assert!(message.contains("10 classes of `digits`"), "{message}");
    let message = named("split-digits:experience=2").unwrap_err().to_string();
    assert!(message.contains("unknown parameter `experience`; it has: experiences"), "{message}");
}

#[test]
fn a_class_without_test_samples_is_refused() {
    let part = |labels: &[u32]| Dataset {
        images: labels.iter().map(|_| 0).collect(),
        labels: labels.to_vec(),
        shape: ImageShape { channels: 1, height: 1, width: 1 },
        classes: 4,
    };
    let assemble = |train: &[u32], test: &[u32]| {
        let (train, test) = (part(train), part(test));
        let data = DataPair { name: "part".into(), train, test, scale: 255.0 };
        let recipe = *names().iter().find(|recipe| recipe.name == "split-mnist").unwrap();
        let recipe = Recipe { construction: HALVES, batch: 1, ..recipe };
        recipe.assemble(data, &StreamOptions::default(), 0)
    };
    assert!(assemble(&[0, 1, 2, 3], &[3, 2, 1, 0]).is_ok());
    let message = assemble(&[0, 1, 2, 3], &[0, 1, 2]).unwrap_err().to_string();
    let expected = "the data set has no test samples of classes [3], which belong to experience 2";
    assert!(message.starts_with(expected), "{message}");
    let message = assemble(&[2, 2, 3], &[0, 1, 2, 3]).unwrap_err().to_string();
    assert!(message.contains("no training samples of classes [0, 1]"), "{message}");
}

#[test]
fn cifar_recipes_follow_their_sources() {
    let recipe = |name| *names().iter().find(|recipe| recipe.name == name).unwrap();
    for (name, experiences) in [("split-cifar10", 5), ("split-cifar100", 10)] {
        let recipe = recipe(name);
        assert_eq!(recipe.construction, Construction::Split { experiences });
        assert_eq!((recipe.epochs, recipe.batch, recipe.drop_last), (50, 32, false));
        assert_eq!(recipe.train_augment, TrainAugment { crop_padding: 4, flip: true });
    }
    assert_eq!(recipe("split-cifar10").statistics[2].deviation, 0.2615);
    assert_eq!(recipe("split-cifar100").statistics[0].mean, 0.5071);
}

#[test]
fn the_cifar_subset_is_read() {
    let Some(folder) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED the_cifar_subset_is_read: PERDURA_DATA is not set");
        return;
    };
    let folder = Some(Path::new(&folder));
    let benchmark = build("split-cifar10-subset", folder, &StreamOptions::default(), 0).unwrap();
    let sum = |f: &dyn Fn(&Experience) -> usize| benchmark.experiences.iter().map(f).sum::<usize>();
    assert_eq!((sum(&|e| e.train.len()), sum(&|e| e.test.len())), (1500, 500));
    assert_eq!(benchmark.input_shape(), [3, 32, 32]);
    let message = build("split-cifar10", folder, &StreamOptions::default(), 0).unwrap_err();
    assert!(message.to_string().contains("no file data_batch_1.bin"), "{message}");
}

#[test]
fn missing_data_is_an_error() {
    let error = build("split-mnist", None, &StreamOptions::default(), 0).unwrap_err();
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

#[test]
fn options_override_the_recipe() {
    let benchmark = digits(
        &StreamOptions {
            epochs: Some(2),
            batch: Some(20),
            drop_last: Some(true),
            eval_head: EvalHead::Seen,
            ..StreamOptions::default()
        },
        0,
    )
    .unwrap();
    assert_eq!((benchmark.epochs, benchmark.batch, benchmark.drop_last), (2, 20, true));
    assert_eq!((benchmark.default_epochs, benchmark.default_batch), (10, 10));
    assert_eq!(benchmark.eval_head, EvalHead::Seen);
    // 271 samples: 13 whole batches of 20.
    assert_eq!(benchmark.steps_per_epoch(0), 13);
    let order = epoch_order(&benchmark, 0, 0, 0);
    assert!(benchmark.batches(&order).iter().all(|batch| batch.len() == 20));
    assert_eq!(benchmark.batches(&order).len(), 13);
}

#[test]
fn the_last_batch_is_kept_by_default() {
    let benchmark = default_digits();
    let order = epoch_order(&benchmark, 0, 0, 0);
    let sizes: Vec<_> = benchmark.batches(&order).iter().map(|b| b.len()).collect();
    assert_eq!(sizes.len() as u64, benchmark.steps_per_epoch(0));
    assert_eq!((sizes[0], sizes[27]), (10, 1));
}

#[test]
fn a_batch_larger_than_an_experience_is_refused() {
    let options = |batch, drop_last| StreamOptions {
        batch: Some(batch),
        drop_last: Some(drop_last),
        ..StreamOptions::default()
    };
    assert!(digits(&options(268, true), 0).is_ok());
    let message = refused(options(269, true));
    for part in ["batch of 269", "experience 4, which has 268", "no step", "--batch 268"] {
        assert!(message.contains(part), "{message}");
    }
    let message = refused(options(269, false));
    assert!(message.contains("experience 4") && !message.contains("no step"), "{message}");
}

#[test]
fn zero_epochs_or_batch_are_refused() {
    let options = StreamOptions { epochs: Some(0), ..StreamOptions::default() };
    assert_eq!(refused(options), "--epochs is 0; it must be at least 1");
    let options = StreamOptions { batch: Some(0), ..StreamOptions::default() };
    assert_eq!(refused(options), "--batch is 0; it must be at least 1");
}

#[test]
fn classes_that_cannot_be_split_are_refused() {
    let uneven = Construction::Split { experiences: 3 };
    let message = small(uneven, &StreamOptions::default()).unwrap_err().to_string();
    assert!(message.contains("4 classes of `small`") && message.contains("3 experiences"));
    let none = Construction::Split { experiences: 0 };
    assert!(small(none, &StreamOptions::default()).is_err());
}

#[test]
fn validation_holds_out_a_fraction_that_no_seed_moves() {
    let options = StreamOptions { validation: 0.1, ..StreamOptions::default() };
    let benchmark = digits(&options, 0).unwrap();
    // 135 and 136 samples: 13.5 rounds to 14, 13.6 to 14.
    assert_eq!(benchmark.validation[0].len(), 28);
    assert_eq!(benchmark.experiences[0].train.len(), 271 - 28);
    let held_out = &benchmark.validation[0];
    assert!(held_out.iter().all(|index| !benchmark.experiences[0].train.contains(index)));

    let seeded = StreamOptions { class_order: ClassOrder::Seeded, ..options };
    let other = digits(&seeded, 7).unwrap();
    let all = |benchmark: &Benchmark| {
        let mut all: Vec<u32> = benchmark.validation.concat();
        all.sort_unstable();
        all
    };
    assert_ne!(other.class_order, benchmark.class_order);
    assert_eq!(all(&other), all(&benchmark));
}

#[test]
fn held_out_samples_can_stand_in_for_the_test_part() {
    for name in ["split-digits", "known-similarity-digits"] {
        let options = StreamOptions { validation: 0.1, ..StreamOptions::default() };
        let tested = build(name, None, &options, 0).unwrap();
        let options = StreamOptions { score_on: ScoreOn::Validation, ..options };
        let held_out = build(name, None, &options, 0).unwrap();
        for (number, experience) in held_out.experiences.iter().enumerate() {
            assert_eq!(experience.test, held_out.validation[number]);
            assert_eq!(experience.train, tested.experiences[number].train, "training is the same");
            for &id in &experience.test {
                assert!(experience.train.binary_search(&id).is_err());
                assert_eq!(held_out.test_image(id), tested.train_image(id));
                assert_eq!(held_out.label(false, id), tested.label(true, id));
            }
        }
        assert_ne!(StreamContent::of(&held_out).sha256(), StreamContent::of(&tested).sha256());
    }
}

#[test]
fn scoring_on_held_out_samples_needs_some() {
    let options = StreamOptions { score_on: ScoreOn::Validation, ..StreamOptions::default() };
    let message = build("split-digits", None, &options, 0).unwrap_err().to_string();
    assert_eq!(message, "--score-on validation: nothing is held out; choose --validation above 0");
}

#[test]
fn a_validation_fraction_that_leaves_nothing_is_refused() {
    let options = |validation| StreamOptions { validation, ..StreamOptions::default() };
    for wrong in [-0.1, 1.0, 1.5, f64::NAN] {
        assert!(refused(options(wrong)).contains("at least 0 and less than 1"));
    }
    assert!(refused(options(0.001)).contains("holds out 0 of the 271"));
    assert!(refused(options(0.999)).contains("holds out 271 of the 271"));
}

#[test]
fn grants_are_the_table_of_the_design() {
    let row = |scenario, online| {
        let grants = Benchmark { scenario, ..default_digits() }.grants(online);
        (grants.boundaries, grants.experience_classes, grants.second_pass)
    };
    assert_eq!(row(Scenario::ClassIl, false), (true, true, true));
    assert_eq!(row(Scenario::TaskIl, false), (true, true, true));
    assert_eq!(row(Scenario::DomainIl, false), (true, false, true));
    assert_eq!(row(Scenario::TaskFree, false), (false, false, false));
    assert_eq!(row(Scenario::ClassIl, true), (true, true, false));
    assert_eq!(row(Scenario::TaskFree, true), (false, false, false));
}

#[test]
fn epochs_are_permutations_that_differ() {
    let benchmark = default_digits();
    let first = epoch_order(&benchmark, 1, 0, 3);
    assert_eq!(first, epoch_order(&benchmark, 1, 0, 3));
    assert_ne!(first, epoch_order(&benchmark, 1, 1, 3));
    assert_ne!(first, epoch_order(&benchmark, 1, 0, 4));
    let mut sorted = first;
    sorted.sort_unstable();
    assert_eq!(sorted, benchmark.experiences[1].train);
}

#[test]
fn the_union_holds_every_training_sample() {
    let options = StreamOptions { validation: 0.1, ..StreamOptions::default() };
    let benchmark = digits(&options, 0).unwrap();
    let union = benchmark.union();
    assert_eq!(union.experiences.len(), 1);
    let held_out: usize = benchmark.validation.iter().map(Vec::len).sum();
    assert_eq!(union.experiences[0].train.len(), 1347 - held_out);
    assert_eq!(union.experiences[0].classes, (0..10).collect::<Vec<u32>>());
    assert!(union.experiences[0].test.is_empty());
    assert_eq!(union.validation[0].len(), held_out);
    assert_eq!(union.find_uid(0, 0).is_some(), !union.validation[0].contains(&0));
}

#[test]
fn samples_are_found_by_their_identity() {
    let benchmark = default_digits();
    assert_eq!(benchmark.uid(1), 1);
    assert_eq!(benchmark.find_uid(0, 1), Some(1));
    assert_eq!(benchmark.find_uid(1, 1), None);
    assert_eq!(benchmark.find_uid(0, u64::MAX), None);
}

#[test]
fn seen_classes_grow() {
    let benchmark = small(HALVES, &StreamOptions::default()).unwrap();
    assert_eq!(benchmark.seen_classes(0), [true, true, false, false]);
    assert_eq!(benchmark.seen_classes(1), [true; 4]);
}

#[test]
fn an_inspection_tells_streams_apart() {
    let inspection = inspect(&default_digits());
    assert_eq!(inspection.experiences[0].first_train, [0, 1, 10, 11, 20]);
    assert_eq!(inspection.experiences[0].test, 89);
    assert_eq!(inspection.sha256.len(), 64);
    assert_eq!(inspection.sha256, inspect(&default_digits()).sha256);
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["scenario"], "class-il");
    let hash = |options| inspect(&digits(&options, 1).unwrap()).sha256;
    let seeded = StreamOptions { class_order: ClassOrder::Seeded, ..StreamOptions::default() };
    let held_out = StreamOptions { validation: 0.1, ..StreamOptions::default() };
    assert_ne!(hash(seeded), inspection.sha256);
    assert_ne!(hash(held_out), inspection.sha256);
}

#[test]
fn split_mnist_has_the_published_sizes() {
    let Some(folder) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED split_mnist_has_the_published_sizes: PERDURA_DATA is not set");
        return;
    };
    let options = StreamOptions { drop_last: Some(true), ..StreamOptions::default() };
    let benchmark = build("split-mnist", Some(Path::new(&folder)), &options, 0).unwrap();
    let sizes: Vec<_> = benchmark.experiences.iter().map(|e| e.train.len()).collect();
    assert_eq!(sizes, [12_665, 12_089, 11_263, 12_183, 11_800]);
    let steps: Vec<_> = (0..5).map(|e| benchmark.steps_per_epoch(e)).collect();
    assert_eq!(steps, [1266, 1208, 1126, 1218, 1180]);
}
