//! Streams whose experiences show one data set in another way each.

use super::*;
use crate::augment::TrainAugment;
use crate::data::{DataPair, Dataset, ImageShape};

const SIDE: usize = 4;

/// Two classes; pixel `p` of image `i` is `16 * i + p`, so that every pixel of the part tells where
/// it comes from.
fn part(images: u8) -> Dataset {
    Dataset {
        images: (0..images * 16).collect(),
        labels: (0..u32::from(images)).map(|i| i % 2).collect(),
        shape: ImageShape { channels: 1, height: SIDE, width: SIDE },
        classes: 2,
    }
}

fn recipe(construction: Construction) -> Recipe {
    Recipe {
        name: "small",
        about: "",
        data: "small",
        scenario: Scenario::DomainIl,
        construction,
        epochs: 1,
        batch: 2,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment::default(),
        ssl_augment: None,
    }
}

/// Ten training and four test images.
fn small(construction: Construction, seed: u64) -> Result<Benchmark, StreamError> {
    let data = DataPair { name: "small".into(), train: part(10), test: part(4), scale: 255.0 };
    recipe(construction).assemble(data, &StreamOptions::default(), seed)
}

const GROUPS: Construction =
    Construction::Groups { groups: 2, angles: Angles::of(&[0.0, 90.0, 180.0]), train: 6, test: 3 };

fn transforms(benchmark: &Benchmark) -> &[Transform] {
    match &benchmark.samples {
        Samples::Transformed(transforms) => transforms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_experience_permutes_all_images_its_own_way() {
    let benchmark = small(Construction::Permuted { experiences: 3 }, 7).unwrap();
    assert_eq!(benchmark.experiences[1].train, (10..20).collect::<Vec<u32>>());
    assert_eq!(benchmark.experiences[2].test, (8..12).collect::<Vec<u32>>());
    assert_eq!((benchmark.label(true, 13), benchmark.row(true, 13)), (1, 3));
    assert_eq!((benchmark.uid(13), benchmark.find_uid(1, 13)), (13, Some(13)));
    assert_eq!(benchmark.find_uid(0, 13), None);
    let transforms = transforms(&benchmark);
    let identity: Vec<u32> = (0..16).collect();
    for (number, transform) in transforms.iter().enumerate() {
        let mut sorted = transform.permutation().to_vec();
        assert_ne!(sorted, identity, "the first experience is permuted, too");
        sorted.sort_unstable();
        assert_eq!(sorted, identity);
        assert!(transforms[number + 1..].iter().all(|other| other != transform));
        // Training and test images move alike.
        let moved: Vec<u8> = transform.permutation().iter().map(|&p| 16 * 2 + p as u8).collect();
        assert_eq!(*benchmark.train_image(number as u32 * 10 + 2), moved);
        assert_eq!(*benchmark.test_image(number as u32 * 4 + 2), moved);
    }
    let other = small(Construction::Permuted { experiences: 3 }, 8).unwrap();
    assert_ne!(other.samples, benchmark.samples, "permutations come from the seed");
    assert_ne!(inspect(&other).sha256, inspect(&benchmark).sha256);
}

#[test]
fn angles_are_spread_over_the_range() {
    let construction = Construction::Rotated { experiences: 200, degrees_below: 180.0 };
    let benchmark = small(construction, 0).unwrap();
    let degrees: Vec<f64> = transforms(&benchmark).iter().map(Transform::degrees).collect();
    assert!(degrees.iter().all(|angle| (0.0..180.0).contains(angle)));
    let mean = degrees.iter().sum::<f64>() / 200.0;
    // Expected 90 with a standard deviation of 180 / sqrt(12 * 200) = 3.7.
    assert!((mean - 90.0).abs() < 15.0, "{mean}");
    let image = part(10).image(2).to_vec();
    let shape = part(1).shape;
    let turned = transform::rotate(&image, shape, degrees[5]);
    assert_eq!(*benchmark.train_image(52), turned);
}

#[test]
fn groups_are_interleaved_and_share_a_permutation() {
    let benchmark = small(GROUPS, 3).unwrap();
    let groups: Vec<_> = benchmark.experiences.iter().map(|e| e.group.unwrap()).collect();
    assert_eq!(groups, [0, 1, 0, 1, 0, 1]);
    let transforms = transforms(&benchmark);
    let degrees: Vec<f64> = transforms.iter().map(Transform::degrees).collect();
    assert_eq!(degrees, [0.0, 0.0, 90.0, 90.0, 180.0, 180.0]);
    for number in [0, 2, 4] {
        assert!(transforms[number].permutation().is_empty());
        assert_eq!(transforms[number + 1].permutation(), transforms[1].permutation());
    }
    assert_eq!(transforms[1].permutation().len(), 16);
    // The plain group shows the file; a permuted one moves the pixels of the rotated image.
    let id = benchmark.experiences[0].train[0];
    assert_eq!(*benchmark.train_image(id), *part(10).image(id));
    let id = benchmark.experiences[3].train[0];
    let turned = transform::rotate(part(10).image(id - 30), part(1).shape, 90.0);
    let moved = transforms[1].permutation().iter().map(|&p| turned[p as usize]);
    assert_eq!(*benchmark.train_image(id), moved.collect::<Vec<u8>>());
}

/// Two groups at two angles, with fewer images than the shipped stream; what is not said stays as
/// it was.
#[test]
fn groups_take_parameters() {
    let named = |text: &str| build(text, None, &StreamOptions::default(), 0);
    let benchmark = named("known-similarity-digits:groups=2,angles=0/45,train=50,test=20").unwrap();
    let groups: Vec<_> = benchmark.experiences.iter().map(|e| e.group.unwrap()).collect();
    assert_eq!(groups, [0, 1, 0, 1]);
    let degrees: Vec<f64> = transforms(&benchmark).iter().map(Transform::degrees).collect();
    assert_eq!(degrees, [0.0, 0.0, 45.0, 45.0]);
    assert!(benchmark.experiences.iter().all(|e| (e.train.len(), e.test.len()) == (50, 20)));
    let (one, shipped) =
        (named("known-similarity-digits:groups=1"), named("known-similarity-digits"));
    let (one, shipped) = (one.unwrap(), shipped.unwrap());
    assert_eq!((one.experiences.len(), shipped.experiences.len()), (3, 9));
    assert_eq!(one.experiences[0], shipped.experiences[0]);
    let message = |text: &str| named(text).unwrap_err().to_string();
    let unknown = message("known-similarity-digits:experiences=3");
    assert!(unknown.ends_with("it has: groups, angles, train, test"), "{unknown}");
    let wrong = message("known-similarity-digits:angles=0/x");
    assert!(wrong.ends_with("angles=0/x: expected angles in degrees, as in 0/20/40, found `x`"));
    let none = message("known-similarity-digits:groups=0");
    assert!(none.contains("the number of experiences is 0"), "{none}");
}

#[test]
fn groups_draw_their_samples_from_the_seed() {
    let benchmark = small(GROUPS, 3).unwrap();
    for (number, experience) in benchmark.experiences.iter().enumerate() {
        assert_eq!((experience.train.len(), experience.test.len()), (6, 3));
        assert!(experience.train.is_sorted_by(|a, b| a < b), "no sample twice");
        assert!(experience.train.iter().all(|id| *id as usize / 10 == number));
        assert_eq!(experience.classes, [0, 1]);
    }
    let rows = |benchmark: &Benchmark, number: usize| -> Vec<u32> {
        benchmark.experiences[number].train.iter().map(|id| benchmark.row(true, *id)).collect()
    };
    assert!((1..6).any(|number| rows(&benchmark, number) != rows(&benchmark, 0)));
    let other = small(GROUPS, 4).unwrap();
    assert!((0..6).any(|number| rows(&other, number) != rows(&benchmark, number)));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let message = |construction| small(construction, 0).unwrap_err().to_string();
    let many = Construction::Groups { groups: 2, angles: Angles::of(&[0.0]), train: 11, test: 3 };
    assert!(message(many).contains("11 training images, but `small` has 10"));
    let none = Construction::Groups { groups: 2, angles: Angles::of(&[0.0]), train: 6, test: 0 };
    assert!(message(none).contains("0 test images, but `small` has 4"));
    let zero = "the number of experiences is 0";
    assert!(message(Construction::Permuted { experiences: 0 }).contains(zero));
    assert!(
        message(Construction::Groups { groups: 2, angles: Angles::of(&[]), train: 1, test: 1 })
            .contains(zero)
    );
    let counted = Construction::Permuted { experiences: 1 << 29 };
    assert!(message(counted).contains("536870912 experiences of 10 samples"));
    let data = DataPair { name: "small".into(), train: part(10), test: part(4), scale: 255.0 };
    let construction = Construction::Permuted { experiences: 3 };
    let free = Recipe { scenario: Scenario::TaskFree, ..recipe(construction) };
    let refused = free.assemble(data, &StreamOptions::default(), 0).unwrap_err();
    assert!(refused.to_string().contains("would tell the boundaries"));
}

#[test]
fn one_image_is_held_out_in_every_experience_or_none() {
    let data = DataPair { name: "small".into(), train: part(10), test: part(4), scale: 255.0 };
    let options = StreamOptions { validation: 0.4, ..StreamOptions::default() };
    let construction = Construction::Permuted { experiences: 2 };
    let benchmark = recipe(construction).assemble(data, &options, 0).unwrap();
    let rows = |number: usize| -> Vec<u32> {
        benchmark.validation[number].iter().map(|id| benchmark.row(true, *id)).collect()
    };
    // Two of the five images of each class.
    assert_eq!((rows(0).len(), benchmark.experiences[1].train.len()), (4, 6));
    assert_eq!(rows(0), rows(1));
    assert!(benchmark.validation[1].iter().all(|id| (10..20).contains(id)));
}

#[test]
fn the_union_keeps_both_showings_of_an_image() {
    let benchmark = small(Construction::Permuted { experiences: 2 }, 0).unwrap();
    let union = benchmark.union();
    assert_eq!(union.experiences[0].train, (0..20).collect::<Vec<u32>>());
    assert_eq!(union.train_image(13), benchmark.train_image(13));
}

#[test]
fn known_similarity_on_the_bundled_digits() {
    let benchmark = build("known-similarity-digits", None, &StreamOptions::default(), 0).unwrap();
    assert_eq!((benchmark.experiences.len(), benchmark.scenario), (9, Scenario::DomainIl));
    assert!(benchmark.has_groups());
    assert!(benchmark.experiences.iter().all(|e| e.train.len() == 600 && e.test.len() == 200));
    assert!(!build("split-digits", None, &StreamOptions::default(), 0).unwrap().has_groups());
}

#[test]
fn the_mnist_streams_have_the_published_sizes() {
    let Some(folder) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED the_mnist_streams_have_the_published_sizes: PERDURA_DATA is not set");
        return;
    };
    for name in ["perm-mnist", "rot-mnist"] {
        let benchmark =
            build(name, Some(Path::new(&folder)), &StreamOptions::default(), 0).unwrap();
        assert_eq!((benchmark.experiences.len(), benchmark.batch), (20, 128));
        let sizes = |e: &Experience| (e.train.len(), e.test.len());
        assert!(benchmark.experiences.iter().all(|e| sizes(e) == (60_000, 10_000)));
        assert_eq!(benchmark.steps_per_epoch(19), 469);
    }
    let benchmark =
        build("known-similarity", Some(Path::new(&folder)), &StreamOptions::default(), 0).unwrap();
    assert_eq!((benchmark.experiences.len(), benchmark.steps_per_epoch(8)), (9, 600));
}
