//! CLS-ER with masks of groups (algorithm specification 3.2) and with rates by similarity (3.3), on
//! a small network. One file, because masks and rates are tested through the same stream and readers of state.

use super::*;
use crate::config::Masks;
use perdura_nn::masks::GroupMasks;
use perdura_nn::plasticity::{Ownership, Plasticity, SpeedCurve};
use perdura_nn::similarity::SimilarityGiven;
use perdura_nn::teaching::EmaBn;
use perdura_nn::{BackboneKind, NetShape, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{GrowthEvent, StateReader, rand::SeedableRng, serde_json};

const WIDTH: usize = 6;
const CLASSES: usize = 3;
const STEPS: u64 = 8;

fn config() -> Config {
    Config { lr: 0.2, replay: 8, hidden: vec![10, 8], probe: 30, ..Config::default() }
}

/// Masks of groups that are given: experiences 0, 1, 0, 1.
fn masked() -> Config {
    Config { masks: Masks::Groups, groups: vec![0, 1, 0, 1], ..config() }
}

fn driver(config: Config) -> Driver<ClsEr> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

/// Samples around class means of the task.
fn samples(task: u32, count: usize, salt: u32) -> Samples {
    let number = |i: u32, salt: u32| {
        f32::from((i.wrapping_mul(2654435761).wrapping_add(salt.wrapping_mul(40503)) >> 16) as u8)
            / 255.0
    };
    let mut inputs = Vec::new();
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    for (i, &label) in labels.iter().enumerate() {
        for j in 0..WIDTH as u32 {
            let mean = number(task * 1000 + label * 10 + j, 7);
            inputs.push(mean + 0.1 * number(i as u32 * 10 + j, 100 + salt));
        }
    }
    Samples::new(&inputs, &labels)
}

fn of_group(samples: Samples, group: u32) -> Samples {
    Samples { groups: Some(vec![group; samples.labels.len()]), ..samples }
}

/// Begins an experience; the memory holds samples of the groups `held`.
fn begin(driver: &mut Driver<ClsEr>, index: u32, task: u32, held: &[u32]) {
    driver.script.iterations.push_back(vec![samples(task, 30, 50)]);
    driver.script.draws.extend(held.iter().map(|&g| of_group(samples(g, 30, 60), g)));
    driver.begin_experience(index).unwrap();
    driver.script.draws.clear();
    driver.script.iterations.clear();
}

/// Steps of one epoch on a task; `replay` is the group of what is replayed, if anything.
fn train(driver: &mut Driver<ClsEr>, experience: u32, task: u32, replay: Option<u32>) {
    for step_in_epoch in 0..STEPS {
        let steps_per_epoch = STEPS;
        let at = Position { experience, epoch: 0, epochs: 1, step_in_epoch, steps_per_epoch };
        driver.position = Some(at);
        let salt = 8 * experience + step_in_epoch as u32;
        let replayed = match replay {
            Some(group) => of_group(samples(group, 8, 500 + salt), group),
            None => Samples::new(&[], &[]),
        };
        driver.step(&samples(task, 4, salt), &[("replay", replayed)]).unwrap();
    }
}

fn fresh(config: &Config) -> Net {
    let shape = NetShape { backbone: config.backbone(), input: vec![WIDTH], classes: CLASSES };
    let device = perdura_nn::device("flex", 0).unwrap();
    Net::new(&shape, &mut perdura_sdk::rand::rngs::StdRng::seed_from_u64(1), &device).unwrap()
}

fn network(driver: &mut Driver<ClsEr>, name: &str) -> Net {
    let mut net = fresh(&config());
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut net, &format!("{name}."), &mut saved).unwrap();
    net
}

fn parameters(net: &Net) -> Vec<Vec<f32>> {
    let names = net.names();
    let mut out = perdura_sdk::StateWriter::new();
    state::save(net, "", &mut out).unwrap();
    let mut saved = StateReader::from_bytes(&out.into_bytes().unwrap()).unwrap();
    let shape = |name: &String| saved.shape(name).unwrap().to_vec();
    let shapes: Vec<Vec<usize>> = names.iter().map(shape).collect();
    names.iter().zip(&shapes).map(|(name, shape)| saved.tensor(name, shape).unwrap()).collect()
}

fn all(driver: &mut Driver<ClsEr>) -> Vec<Vec<Vec<f32>>> {
    ["working", "plastic", "stable"].map(|name| parameters(&network(driver, name))).into()
}

fn masks(driver: &mut Driver<ClsEr>) -> GroupMasks {
    let net = network(driver, "working");
    let mut masks = GroupMasks::new(&net, 400.0).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    masks.load(net.device(), &mut saved).unwrap();
    masks
}

/// 3.2: masks of 1 and λ_c = 0 are plain CLS-ER, bit for bit, in all three networks.
#[test]
fn masks_of_ones_are_the_plain_method() {
    let one = Config {
        mask_anneal: false,
        mask_mean: 1e9,
        lambda_c: 0.0,
        groups_max: 1,
        groups: vec![],
        ..masked()
    };
    let (mut plain, mut open) = (driver(config()), driver(one));
    for (experience, replay) in [(0, None), (1, Some(0)), (2, Some(0))] {
        for driver in [&mut plain, &mut open] {
            begin(driver, experience, experience, &[0]);
            train(driver, experience, experience, replay);
            driver.end_experience(experience).unwrap();
        }
    }
    assert_eq!(all(&mut open), all(&mut plain));
}

/// 3.3: κ = 1 is the plain method, bit for bit, by either aggregation; and κ below 1 is not.
#[test]
fn a_speed_of_one_is_the_plain_method() {
    let run = |config: Config| {
        let mut driver = driver(config);
        for (experience, replay) in [(0, None), (1, Some(0)), (2, Some(1))] {
            begin(&mut driver, experience, experience, &[0, 1]);
            train(&mut driver, experience, experience, replay);
            driver.end_experience(experience).unwrap();
        }
        all(&mut driver)
    };
    let plain = run(config());
    for plasticity in [Plasticity::Mean, Plasticity::Min] {
        let paced = Config { plasticity, groups: vec![0, 1, 0], ..config() };
        assert_eq!(run(Config { kappa_min: 1.0, ..paced.clone() }), plain, "{plasticity:?}");
        assert_ne!(run(paced), plain, "{plasticity:?}");
    }
}

/// 3.3: `hat` with full speed at similarity 1, none below, and groups that are like none but
/// themselves has HAT's gate: masks without rates, bit for bit, with three groups.
#[test]
fn a_step_at_one_among_unlike_groups_is_masks_alone() {
    let run = |config: Config| {
        let mut driver = driver(config);
        for (experience, replay) in [(0, None), (1, Some(0)), (2, Some(1)), (3, Some(2))] {
            begin(
                &mut driver,
                experience,
                experience % 3,
                &[0, 1, 2][..experience.min(3) as usize],
            );
            train(&mut driver, experience, experience % 3, replay);
            driver.end_experience(experience).unwrap();
        }
        all(&mut driver)
    };
    let hard = Config { groups: vec![0, 1, 2, 0], mask_anneal: false, lambda_c: 0.0, ..masked() };
    let (similarity, oracle_across) = (SimilarityGiven::Oracle, 0.0);
    let (plasticity, speed, tau) = (Plasticity::Hat, SpeedCurve::Step, 1.0);
    let rated = Config { similarity, oracle_across, plasticity, speed, tau, ..hard.clone() };
    assert_eq!(run(rated.clone()), run(hard));
    assert_ne!(run(Config { tau: 0.0, ..rated.clone() }), run(rated), "all at full speed");
}

/// What a closed group owns does not move by the new batch of another; what is replayed moves it.
#[test]
fn the_gate_closes_for_the_new_batch_alone() {
    for replay in [None, Some(0)] {
        let hard = Config { mask_anneal: false, lambda_c: 0.0, reg_weight: 0.5, ..masked() };
        let mut driver = driver(hard);
        begin(&mut driver, 0, 0, &[]);
        train(&mut driver, 0, 0, None);
        driver.end_experience(0).unwrap();
        begin(&mut driver, 1, 1, &[0]);
        let before = network(&mut driver, "working");
        let masks = masks(&mut driver);
        let owned = masks.layers().spread(&before, &masks.units(0).unwrap());
        train(&mut driver, 1, 1, replay);
        let after = parameters(&network(&mut driver, "working"));
        let moved = parameters(&before).into_iter().flatten().zip(after.into_iter().flatten());
        let moved: Vec<bool> = moved.map(|(before, after)| before != after).collect();
        let owned: Vec<f32> = parameters(&owned).into_iter().flatten().collect();
        let count = |owned_as: f32| {
            let of = moved.iter().zip(&owned).filter(|(moved, p)| **moved && **p == owned_as);
            of.count()
        };
        assert!(count(0.0) > 0, "the rest learns");
        assert_eq!(count(1.0) > 0, replay.is_some(), "replay {replay:?}");
    }
}

/// With nothing owned by the other group the gate is 1, and two backward passes are one, to
/// rounding.
#[test]
fn two_passes_are_one_where_nothing_is_closed() {
    let config = Config { mask_anneal: false, lambda_c: 0.0, ..masked() };
    let net = fresh(&config);
    let batch = Batch {
        x: net.rows(&[&samples(0, 4, 1).views[0], &samples(1, 6, 2).views[0]]),
        y: net.labels(&[&samples(0, 4, 1).labels, &samples(1, 6, 2).labels]),
        new: 4,
        old: 6,
    };
    let run = |apart: bool| {
        let mut learner = ClsEr::new(config.clone(), fresh(&config));
        let groups = Groups::new(&config, told(), &learner.working).unwrap();
        let mut masked = groups.unwrap().masked.unwrap();
        let mut rng = perdura_sdk::Rng::seed_from_u64(4);
        masked.lesson.masks.open(0, net.device(), 0.0, &mut rng);
        let rows = GroupRows {
            groups: vec![(0, masked.lesson.masks.hard(0).unwrap())],
            places: vec![0; 10],
        };
        let target = learner.target(&batch, Some((&rows, &mut masked.statistics))).unwrap();
        let learned = match apart {
            false => learner.learn_together(&mut masked, 0, &batch, &rows, target, None).unwrap(),
            true => {
                let (gate, both) = (ones(&net), (&batch, &rows));
                learner.learn_apart(&mut masked, 0, &gate, both, target, None).unwrap()
            }
        };
        (parameters(&learner.working), learned)
    };
    let ((one, of_one), (two, of_two)) = (run(false), run(true));
    for (a, b) in one.into_iter().flatten().zip(two.into_iter().flatten()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    assert!((of_one.loss - of_two.loss).abs() < 1e-5);
    assert!((of_one.loss_ce - of_two.loss_ce).abs() < 1e-5);
    assert!((of_one.loss_cons - of_two.loss_cons).abs() < 1e-6);
}

/// Everything is granted.
fn told() -> perdura_sdk::Grants {
    Setting::new(CLASSES, &[WIDTH]).context.grants
}

fn ones(net: &Net) -> Net {
    let layers = perdura_nn::masks::Layers::of(net).unwrap();
    let units = [layers.widths(), &[CLASSES]].concat();
    layers.spread(net, &units.into_iter().map(|width| vec![1.0; width]).collect())
}

/// Teachers answer for a replayed sample under the masks of its own group: said to be of another
/// group, it gets another Z.
#[test]
fn teachers_use_the_masks_of_the_samples_own_group() {
    let mut learner = ClsEr::new(masked(), fresh(&masked()));
    let groups = Groups::new(&learner.config, told(), &learner.working).unwrap();
    let mut masked = groups.unwrap().masked.unwrap();
    let mut rng = perdura_sdk::Rng::seed_from_u64(4);
    for group in [0, 1] {
        masked.lesson.masks.open(group, learner.working.device(), 0.0, &mut rng);
    }
    let old = samples(0, 4, 1);
    let batch = Batch {
        x: learner.working.rows(&[&old.views[0]]),
        y: learner.working.labels(&[&old.labels]),
        new: 0,
        old: 4,
    };
    let masks = [0, 1].map(|group| (group, masked.lesson.masks.hard(group).unwrap()));
    let mut z = |places: [usize; 4]| {
        let rows = GroupRows { groups: masks.clone().into(), places: places.into() };
        let target = learner.target(&batch, Some((&rows, &mut masked.statistics))).unwrap();
        target.unwrap().logits.into_data().iter::<f32>().collect::<Vec<f32>>()
    };
    let (own, other, swapped) = (z([0; 4]), z([1; 4]), z([0, 1, 0, 1]));
    for row in 0..4 {
        let at = row * CLASSES..(row + 1) * CLASSES;
        let of = if row % 2 == 0 { &own } else { &other };
        let near = swapped[at.clone()].iter().zip(&of[at.clone()]);
        assert!(near.into_iter().all(|(a, b)| (a - b).abs() < 1e-6), "row {row}");
        assert_ne!(own[at.clone()], other[at], "row {row}");
    }
}

/// 1.10.1 under masks: with r = 1 and n ≤ α/(1−α) the stable network is the mean of θ_0 … θ_n.
#[test]
fn averages_are_of_weights_whatever_the_masks() {
    let mut driver = driver(Config { r_stable: 1.0, ..masked() });
    begin(&mut driver, 0, 0, &[]);
    let mut sum: Vec<f64> = parameters(&network(&mut driver, "working"))
        .concat()
        .iter()
        .map(|v| f64::from(*v))
        .collect();
    for experience in [0u32, 1] {
        if experience == 1 {
            driver.end_experience(0).unwrap();
            begin(&mut driver, 1, 1, &[0]);
        }
        for step in 0..6 {
            let replayed = of_group(samples(0, 8, 500 + step), 0);
            driver.step(&samples(experience, 4, step), &[("replay", replayed)]).unwrap();
            let working = parameters(&network(&mut driver, "working")).concat();
            sum.iter_mut().zip(working).for_each(|(sum, v)| *sum += f64::from(v));
        }
    }
    let stable = parameters(&network(&mut driver, "stable")).concat();
    for (sum, stable) in sum.into_iter().zip(stable) {
        assert!((sum / 13.0 - f64::from(stable)).abs() < 1e-6);
    }
}

/// Masks are learned in the experience that opens a group; later ones, of the same group too, leave
/// them.
#[test]
fn masks_of_closed_groups_are_frozen() {
    let mut driver = driver(masked());
    let mut of_zero = Vec::new();
    for (experience, task) in [(0, 0), (1, 1), (2, 0)] {
        begin(&mut driver, experience, task, &[0, 1]);
        let before = masks(&mut driver).units(task as usize);
        train(&mut driver, experience, task, Some(0));
        driver.end_experience(experience).unwrap();
        let after = masks(&mut driver).units(task as usize);
        let masked_layers = |units: Option<perdura_nn::masks::Units>| units.unwrap()[..2].to_vec();
        let learned = masked_layers(before) != masked_layers(after);
        assert_eq!(learned, experience < 2, "experience {experience}");
        of_zero.push(masked_layers(masks(&mut driver).units(0)));
    }
    assert_eq!(of_zero[0], of_zero[1]);
    assert_eq!(of_zero[1], of_zero[2]);
}

/// Where groups are told, a sample is answered under the masks of its group alone; and the
/// inference of the stable view finds the group of samples like those that were learned.
#[test]
fn views_answer_under_the_masks_of_the_group() {
    let mut driver = driver(Config { oracle_view: true, temperature: 0.0, ..masked() });
    let probe = samples(1, 6, 900);
    let untouched = driver.predict("stable", &probe.views[0]).unwrap().unwrap();
    let net = network(&mut driver, "stable");
    let plain = net.forward(net.rows(&[&probe.views[0]])).into_data();
    assert_eq!(untouched, plain.iter::<f32>().collect::<Vec<f32>>(), "before any group");
    for (experience, task) in [(0, 0), (1, 1)] {
        begin(&mut driver, experience, task, &[0]);
        train(&mut driver, experience, task, Some(0));
        driver.end_experience(experience).unwrap();
    }
    let (net, masks) = (network(&mut driver, "stable"), masks(&mut driver));
    for group in [0u32, 1] {
        let mut logits = vec![0.0; 6 * CLASSES];
        let hard = masks.hard(group as usize).unwrap();
        perdura_nn::masks::predict(&net, &hard, &probe.views[0], &mut logits);
        let told = driver.predict_grouped("oracle-stable", &probe.views[0], &[group; 6]);
        let told = told.unwrap().unwrap();
        let log_softmax = |row: &[f32]| {
            let sum: f32 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v - sum.ln()).collect::<Vec<f32>>()
        };
        for (found, row) in told.chunks(CLASSES).zip(logits.chunks(CLASSES)) {
            let near = found.iter().zip(log_softmax(row)).all(|(f, e)| (f - e).abs() < 1e-5);
            assert!(near, "group {group}: {found:?} {row:?}");
        }
        if group == 1 {
            let inferred = driver.predict("stable", &probe.views[0]).unwrap().unwrap();
            assert_eq!(inferred, told, "nearest class mean");
        }
    }
    let untold = driver.predict("oracle-stable", &probe.views[0]).unwrap_err().to_string();
    assert!(untold.contains("the true groups were not told"), "{untold}");
}

/// Groups are found as in `sg-cls`: a task like none opens one, a task seen before joins its own.
#[test]
fn groups_are_found() {
    let mut driver = driver(Config { groups: vec![], ..masked() });
    for (experience, task) in [(0, 0), (1, 1), (2, 0)] {
        begin(&mut driver, experience, task, &[0, 1][..experience as usize]);
        train(&mut driver, experience, task, Some(0));
        driver.end_experience(experience).unwrap();
    }
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    let grouped =
        events.filter_map(|(_, header)| match serde_json::from_value(header.clone()).ok()? {
            GrowthEvent::Grouped { group, .. } => Some(group),
            _ => None,
        });
    assert_eq!(grouped.collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    for config in [
        masked(),
        Config { plasticity: Plasticity::Hat, ..masked() },
        Config { plasticity: Plasticity::Mean, groups: vec![0, 1], ..config() },
    ] {
        let mut first = driver(config.clone());
        begin(&mut first, 0, 0, &[]);
        train(&mut first, 0, 0, Some(0));
        first.end_experience(0).unwrap();
        begin(&mut first, 1, 1, &[0]);
        train(&mut first, 1, 1, Some(0));
        let saved = first.save().unwrap();
        // The same number of calls, so that the next ones have the same seeds.
        let mut second = driver(config);
        begin(&mut second, 0, 0, &[]);
        train(&mut second, 0, 1, Some(0));
        second.end_experience(0).unwrap();
        begin(&mut second, 1, 1, &[0]);
        train(&mut second, 1, 0, Some(0));
        assert_ne!(second.save().unwrap(), saved);
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved);
        train(&mut first, 1, 1, Some(0));
        train(&mut second, 1, 1, Some(0));
        assert_eq!(first.save().unwrap(), second.save().unwrap());
    }
}

/// Where experiences are hidden groups are of windows: the second window of another task in a row opens
/// a group, whose masks are learned for so many steps and then stay; what the first group owns does not
/// move any more, since nothing is replayed. What was learned in doubt is relabelled, and all of it is in
/// the saved state, in the middle of a window too.
#[test]
fn masks_of_windows() {
    let config = Config {
        masks: Masks::Window,
        groups: vec![],
        window: 3,
        confirm: 2,
        mask_steps: 5,
        tau_join: 0.5,
        ..masked()
    };
    let hidden = || {
        let mut setting = Setting::new(CLASSES, &[WIDTH]).seed(3);
        (setting.context.grants.boundaries, setting.context.grants.second_pass) = (false, false);
        Driver::<ClsEr>::new(config.clone(), setting).unwrap()
    };
    let step = |driver: &mut Driver<ClsEr>, task: u32, salt: u32| {
        driver.position = None;
        let nothing = Samples::new(&[], &[]);
        let report = driver.step(&samples(task, 4, salt), &[("replay", nothing)]).unwrap().report;
        report.group.expect("it tells its group")
    };
    // What looks at the memory finds samples of group 0; of what waits nothing is in it.
    let looked = |driver: &mut Driver<ClsEr>| {
        driver.script.draws.push_back(of_group(samples(0, 30, 60), 0));
        driver.script.iterations.push_back(vec![]);
    };
    let embeddings = |driver: &mut Driver<ClsEr>, group: usize| {
        masks(driver).units(group).map(|units| units[..2].to_vec())
    };
    let mut driver = hidden();
    driver.begin_experience(0).unwrap();
    // The first window is the first group's; later ones are looked at when they are full.
    (0..3).for_each(|salt| assert_eq!(step(&mut driver, 0, salt), 0));
    looked(&mut driver);
    (3..6).for_each(|salt| assert_eq!(step(&mut driver, 0, salt), 0));
    let of_zero = embeddings(&mut driver, 0);
    // Its masks have been learned for 5 steps: the next ones leave them.
    looked(&mut driver);
    (6..9).for_each(|salt| assert_eq!(step(&mut driver, 0, salt), 0));
    assert_eq!(embeddings(&mut driver, 0), of_zero, "5 steps and no more");
    driver.script.draws.clear();
    driver.script.iterations.clear();
    looked(&mut driver);
    (0..3).for_each(|salt| assert_eq!(step(&mut driver, 1, salt), 0, "one window is not enough"));
    looked(&mut driver);
    let groups: Vec<u32> = (3..6).map(|salt| step(&mut driver, 1, salt)).collect();
    assert_eq!(groups, [0, 0, 1]);
    driver.script.draws.clear();
    driver.script.iterations.clear();

    let before = network(&mut driver, "working");
    let owned = masks(&mut driver).layers().spread(&before, &masks(&mut driver).units(0).unwrap());
    let saved = driver.save().unwrap();
    let mut second = hidden();
    second.begin_experience(0).unwrap();
    // As many calls as the first, so that the next ones have the same seeds.
    for salt in 0..15 {
        if [5, 8, 11, 14].contains(&salt) {
            looked(&mut second);
        }
        step(&mut second, 0, salt);
    }
    second.script.draws.clear();
    second.script.iterations.clear();
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    for driver in [&mut driver, &mut second] {
        (6..8).for_each(|salt| assert_eq!(step(driver, 1, salt), 1));
    }
    assert_eq!(driver.save().unwrap(), second.save().unwrap());
    assert_eq!(embeddings(&mut driver, 0), of_zero);
    let after = parameters(&network(&mut driver, "working"));
    let (before, owned) = (parameters(&before), parameters(&owned));
    let all = before.iter().flatten().zip(after.iter().flatten()).zip(owned.iter().flatten());
    let moved = |of: f32| all.clone().filter(|((b, a), p)| **p == of && b != a).count();
    assert_eq!(moved(1.0), 0, "what group 0 owns");
    assert!(moved(0.0) > 0, "the rest learns");
}

/// A ResNet, whose groups have statistics of their own, learns and answers.
#[test]
fn groups_work_on_a_resnet() {
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, lr: 0.05, ..masked() };
    let mut driver = Driver::<ClsEr>::new(config, Setting::new(CLASSES, &[1, 8, 8])).unwrap();
    let pictures = |count: usize, salt: u32| {
        let pixel = |i: u32| ((i * 37 + salt) % 97) as f32 / 97.0;
        let pixels: Vec<f32> = (0..64 * count as u32).map(pixel).collect();
        let labels: Vec<u32> = (0..count as u32).map(|i| i % CLASSES as u32).collect();
        Samples::new(&pixels, &labels)
    };
    for experience in [0, 1] {
        driver.script.iterations.push_back(vec![pictures(12, 1)]);
        driver.script.draws.push_back(of_group(pictures(12, 2), 0));
        driver.begin_experience(experience).unwrap();
        for step in 0..3 {
            let replayed = of_group(pictures(4, 90 + step), 0);
            let report = driver.step(&pictures(4, step), &[("replay", replayed)]).unwrap();
            assert!(report.scalar("loss").unwrap().is_finite());
            assert!((0.0..=1.0).contains(&report.scalar("capacity").unwrap()));
        }
        driver.end_experience(experience).unwrap();
    }
    let logits = driver.predict("stable", &pictures(5, 7).views[0]).unwrap().unwrap();
    assert!(logits.iter().all(|logit| logit.is_finite()));
    let saved = driver.save().unwrap();
    driver.load(&saved).unwrap();
    assert_eq!(driver.save().unwrap(), saved);
}

#[test]
fn values_out_of_range_and_contradictions_are_refused() {
    let of = |config: Config| {
        let made = Driver::<ClsEr>::new(config, Setting::new(CLASSES, &[WIDTH]));
        made.err().expect("it is refused").to_string()
    };
    let refused = |key: &str, expected: &str, config: Config| {
        let message = of(config);
        let start = format!("hyper-parameter `{key}`: expected {expected}");
        assert!(message.starts_with(&start), "{message}");
    };
    refused("s_max", "a number above 0", Config { s_max: 0.0, ..masked() });
    refused("lambda_c", "a number of at least 0", Config { lambda_c: -1.0, ..masked() });
    refused("temperature", "a number of at least 0", Config { temperature: -1.0, ..masked() });
    refused("mask_steps", "at least 1", Config { mask_steps: 0, ..masked() });
    refused("tau_join", "a number from 0 to 1", Config { tau_join: 2.0, ..masked() });
    refused("groups_max", "at least 1", Config { groups_max: 0, groups: vec![], ..masked() });
    refused("groups", "numbers below groups_max", Config { groups: vec![9], ..masked() });
    refused("probe", "at least 2", Config { probe: 1, ..masked() });
    refused("window", "at least 1", Config { window: 0, ..masked() });
    refused("confirm", "at least 1", Config { confirm: 0, ..masked() });
    refused("ema_bn", "`code` with masks", Config { ema_bn: EmaBn::Average, ..masked() });
    refused("hidden", "at least one hidden layer", Config { hidden: vec![], ..masked() });
    refused("oracle_view", "false without", Config { oracle_view: true, ..config() });
    let paced = Config { plasticity: Plasticity::Mean, ..config() };
    refused("kappa_max", "a number above 0", Config { kappa_max: 0.0, ..paced.clone() });
    refused("kappa_min", "a number from 0", Config { kappa_min: 2.0, ..paced.clone() });
    refused("tau", "a number from 0 to 1", Config { tau: -0.1, ..paced.clone() });
    let oracle = SimilarityGiven::Oracle;
    let across = Config { similarity: oracle, oracle_across: 2.0, ..paced.clone() };
    refused("oracle_across", "a number from 0 to 1", across);
    let hat = Config { plasticity: Plasticity::Hat, speed: SpeedCurve::Step, ..config() };
    refused("plasticity", "`mean` or `min`", hat);
    let window = Config { masks: Masks::Window, groups: vec![], ..masked() };
    refused("masks", "`none`, or `groups` in a stream that tells", window.clone());
    let fisher = Config { ownership: Ownership::Fisher, ..masked() };
    refused("ownership", "`path` with masks", fisher.clone());
    // What is out of range is refused where it has no effect too, and what would change nothing.
    refused("tau_join", "a number from 0 to 1", Config { tau_join: 2.0, ..config() });
    refused("kappa_max", "a number above 0", Config { kappa_max: 0.0, ..config() });
    refused("mask_steps", "at least 1", Config { mask_steps: 0, ..config() });
    refused("temperature", "a number of at least 0", Config { temperature: -1.0, ..config() });
    let idle = "its default without `plasticity`";
    let permuted = SimilarityGiven::Permuted;
    refused("similarity", idle, Config { similarity: permuted, ..masked() });
    refused("budget_neutral", idle, Config { budget_neutral: true, ..masked() });
    refused("ownership", idle, Config { ownership: Ownership::Fisher, ..config() });
    refused("groups", "none without masks", Config { groups: vec![0, 1], ..config() });
    // Groups are of experiences, or else of windows, and are not given where they are hidden.
    let hidden = |config: Config| {
        let mut setting = Setting::new(CLASSES, &[WIDTH]);
        (setting.context.grants.boundaries, setting.context.grants.second_pass) = (false, false);
        Driver::<ClsEr>::new(config, setting)
    };
    let refused = |expected: &str, config: Config| {
        let message = hidden(config).err().expect("it is refused").to_string();
        let start = format!("hyper-parameter {expected}");
        assert!(message.starts_with(&start), "{message}");
    };
    let found = Config { groups: vec![], ..masked() };
    refused("`masks`: expected `none`, `window` (groups found on a sliding window)", found);
    let given = Config { groups: vec![0, 1], ..window.clone() };
    refused("`groups`: expected none where boundaries are hidden", given);
    let fisher = Config { masks: Masks::None, plasticity: Plasticity::Mean, ..fisher };
    let found = Config { groups: vec![], ..fisher };
    refused("`ownership`: expected `path` where boundaries are hidden", found);
    assert!(hidden(window).is_ok());
}
