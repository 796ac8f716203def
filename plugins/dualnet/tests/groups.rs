//! DualNet with masks of groups (algorithm specification 3.1), on a small network.

mod support;

use perdura_dualnet::{Config, DualNet, HeadKind, MaskSite, SlowSchedule};
use perdura_nn::plasticity::{Plasticity, SpeedCurve};
use perdura_nn::similarity::SimilarityGiven;
use perdura_sdk::StateReader;
use perdura_sdk::testing::{Driver, Observed, Samples};
use support::groups::*;
use support::*;

const SITES: [MaskSite; 4] = [MaskSite::Fast, MaskSite::Slow, MaskSite::Split, MaskSite::Both];

/// Masks that are as good as 0 and 1, drawn and not learned, for experiences of two groups in turn.
fn hard(mask_site: MaskSite) -> Config {
    let (mask_anneal, s_max, lambda_c) = (false, 1e6, 0.0);
    Config { mask_site, mask_anneal, s_max, lambda_c, groups: vec![0, 1, 0, 1], ..grouped() }
}

/// G = 1 and a = 1 are plain DualNet to the byte, whatever the site, schedule and head; so is a
/// split of which nothing is masked.
#[test]
fn masks_of_ones_are_the_plain_method() {
    let plain = [
        grouped(),
        Config { relation: 0.1, ..grouped() },
        Config { slow_schedule: SlowSchedule::EveryK, every: 2, ..grouped() },
        Config { head: HeadKind::TaskAware, slow_readout: true, ..grouped() },
    ];
    for plain in plain {
        let of = |config: Config| networks(&mut three_experiences(config));
        let expected = of(plain.clone());
        for mask_site in SITES {
            let ones = Config { mask_site, mask_anneal: false, mask_mean: 1e9, ..plain.clone() };
            let ones = Config { lambda_c: 0.0, groups_max: 1, ..ones };
            assert_eq!(of(ones), expected, "{mask_site:?}");
        }
        let split = Config { mask_site: MaskSite::Split, rho: 0.0, groups_max: 1, ..plain };
        assert_eq!(of(split), expected);
    }
}

/// 3.3: rates by `hat` with a step at 1 among groups that are not alike are the gate of masks alone, to
/// the byte, where the slow network heeds them wholly.
#[test]
fn a_step_at_one_among_unlike_groups_is_masks_alone() {
    for mask_site in SITES {
        let of = |config: Config| networks(&mut three_experiences(config));
        let rated = Config {
            plasticity: Plasticity::Hat,
            speed: SpeedCurve::Step,
            tau_speed: 1.0,
            similarity: SimilarityGiven::Oracle,
            oracle_across: 0.0,
            omega: 1.0,
            ..hard(mask_site)
        };
        assert_eq!(of(rated.clone()), of(hard(mask_site)), "{mask_site:?}");
        let full = Config { tau_speed: 0.0, ..rated.clone() };
        assert_ne!(of(full), of(rated), "{mask_site:?}: all at full speed");
    }
}

/// With hard masks and without replay, logits under a group's masks stay what they were while
/// another group is learned, where both networks are protected; where one is not, they move.
#[test]
fn a_closed_group_keeps_its_logits() {
    for (mask_site, stays) in [(MaskSite::Both, true), (MaskSite::Fast, false)] {
        for mask_anneal in [false, true] {
            let config = Config { oracle_view: true, replay: 0, mask_anneal, ..hard(mask_site) };
            let mut driver = driver(config);
            learn(&mut driver, 0, 0, None);
            // Once two groups are open, a group's logits come as its log-probabilities.
            begin(&mut driver, 1, 1);
            let x = task(0, 5, 900).views[0].clone();
            let mut answer = || {
                let told = driver.predict_grouped("oracle-main", &x, &[0; 5]).unwrap().unwrap();
                let moved = tensors(&mut driver, &["slow.", "fast.", "head."]);
                train(&mut driver, 1, 1, None);
                (told, moved)
            };
            let ((before, old), (after, new)) = (answer(), answer());
            assert_ne!(old, new, "something is learned");
            // Differences of the logits of classes that the group has learned.
            let logits = |p: Vec<f32>| -> Vec<f32> {
                let own = |row: &[f32]| [row[1] - row[0], row[2] - row[0]];
                p.chunks(CLASSES).flat_map(own).collect()
            };
            assert_eq!(classes_of(0), [0, 1, 2]);
            let pairs = logits(before).into_iter().zip(logits(after));
            let apart = pairs.map(|(b, a)| (b - a).abs()).fold(0.0, f32::max);
            assert_eq!(apart <= 1e-5, stays, "{mask_site:?}: {apart}");
        }
    }
}

/// Of a layer the units that group 0 owns, and those that it sees: the common ones too.
fn units(driver: &mut Driver<DualNet>, layer: usize, site: MaskSite) -> (Vec<bool>, Vec<bool>) {
    let name = format!("masks.0.embedding.{layer}");
    let e = &tensors(driver, &[&name])[&name];
    let common = if site == MaskSite::Split { e.len().div_ceil(2) } else { 0 };
    let units = || e.iter().enumerate();
    let owned = units().map(|(unit, e)| unit >= common && *e > 0.0);
    let seen = units().map(|(unit, e)| unit < common || *e > 0.0);
    (owned.collect(), seen.collect())
}

/// Which numbers of a tensor changed.
fn changes(before: &Tensors, after: &Tensors, name: &str) -> Vec<bool> {
    before[name].iter().zip(&after[name]).map(|(b, a)| b != a).collect()
}

/// The parameters that a closed group owns, by hand from its embeddings: a unit is owned where e is
/// above 0 (and it is not common), a weight where its unit is and so is the unit it comes from, of
/// the slow network whatever it comes from unless that is masked too. They do not move by a bit
/// while another group is learned, self-supervision included; of the others some do.
#[test]
fn what_a_closed_group_owns_stays_to_the_bit() {
    for mask_site in SITES {
        // `slow` holds back the supervised gradient alone.
        let ssl_weight = if mask_site == MaskSite::Slow { 0.0 } else { 1.0 };
        let mut driver = driver(Config { replay: 0, ssl_weight, ..hard(mask_site) });
        learn(&mut driver, 0, 0, None);
        let labels = (0..CLASSES as u32).map(|class| classes_of(0).contains(&class)).collect();
        begin(&mut driver, 1, 1);
        let before = networks(&mut driver);
        let ((owned_1, on_1), (owned_2, on_2)) =
            (units(&mut driver, 0, mask_site), units(&mut driver, 1, mask_site));
        train(&mut driver, 1, 1, None);
        let after = networks(&mut driver);
        let within = mask_site == MaskSite::Both;
        // Name, the units it leads to, those it comes from where they count, whether it is kept.
        let (fast, slow) = (mask_site != MaskSite::Slow, mask_site != MaskSite::Fast);
        let stages = |input: bool| (owned_2.clone(), input.then(|| on_1.clone()));
        let cases = [
            ("slow.fc1", (owned_1.clone(), None), slow),
            ("slow.fc2", stages(within), slow),
            ("fast.fc1", (owned_1.clone(), None), fast),
            ("fast.fc2", stages(true), fast),
            ("head", (labels, Some(on_2)), fast),
        ];
        let mut unprotected = 0;
        for (name, (output, input), kept) in cases {
            let moved = |part: &str| changes(&before, &after, &format!("{name}.{part}"));
            let (biases, weights) = (moved("bias"), moved("weight"));
            let inputs = weights.len() / output.len();
            let owned = |o: usize, i: usize| output[o] && input.as_ref().is_none_or(|on| on[i]);
            let (mut free, mut of_group) = (0, 0);
            for o in 0..output.len() {
                assert!(!(kept && output[o] && biases[o]), "{mask_site:?} {name}.bias {o}");
                for i in 0..inputs {
                    let moved = weights[o * inputs + i];
                    of_group += usize::from(moved && owned(o, i));
                    free += usize::from(moved);
                }
            }
            assert!(free > of_group, "{mask_site:?} {name}: the rest moves");
            assert!(!kept || of_group == 0, "{mask_site:?} {name}: {of_group}");
            unprotected += of_group;
        }
        let all = matches!(mask_site, MaskSite::Split | MaskSite::Both);
        assert_eq!(unprotected == 0, all, "{mask_site:?}: {unprotected}");
    }
}

/// `slow` holds back the supervised gradient alone, `split` and `both` the self-supervised one too.
/// Supervision is too slow here to move anything.
#[test]
fn self_supervision_is_held_back_where_the_site_says_so() {
    for (mask_site, held) in [
        (MaskSite::Fast, false),
        (MaskSite::Slow, false),
        (MaskSite::Split, true),
        (MaskSite::Both, true),
    ] {
        let mut driver = driver(Config { lr: 1e-30, replay: 0, rho: 1.0, ..hard(mask_site) });
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        let e = tensors(&mut driver, &["masks.0.embedding.0"]);
        let before = networks(&mut driver);
        (0..4).for_each(|i| drop(step_with_views(&mut driver, i)));
        let after = networks(&mut driver);
        let moved = |unit: usize| {
            let row = |of: &Tensors| of["slow.fc1.weight"][unit * WIDTH..][..WIDTH].to_vec();
            row(&before) != row(&after)
        };
        let owned: Vec<bool> = e["masks.0.embedding.0"].iter().map(|e| *e > 0.0).collect();
        let some_moved = |of: bool| (0..owned.len()).any(|unit| owned[unit] == of && moved(unit));
        assert_eq!(some_moved(true), !held, "{mask_site:?}");
        assert!(some_moved(false), "{mask_site:?}");
        assert_eq!(before["fast.fc1.weight"], after["fast.fc1.weight"]);
    }
}

/// Self-supervision sees the masks where the slow network itself is masked, and not elsewhere.
#[test]
fn self_supervision_sees_the_masks_of_both() {
    let first = |config: Config| {
        let mut driver = driver(config);
        begin(&mut driver, 0, 0);
        let report: Observed = step_with_views(&mut driver, 1);
        report.scalar("loss_ssl").unwrap()
    };
    let plain = first(grouped());
    for mask_site in SITES {
        assert_eq!(first(hard(mask_site)) != plain, mask_site == MaskSite::Both, "{mask_site:?}");
    }
}

/// The share of units that groups hold never falls, and rises when another group comes.
#[test]
fn capacity_does_not_fall() {
    for mask_site in SITES {
        let mut driver = driver(Config { groups: vec![0, 1, 2], ..hard(mask_site) });
        let mut used = vec![0.0];
        for experience in 0..3 {
            begin(&mut driver, experience, experience);
            for report in train(&mut driver, experience, experience, Some(0)) {
                used.push(report.scalar("capacity").unwrap());
            }
            driver.script.iterations.push_back(vec![]);
            driver.end_experience(experience).unwrap();
        }
        assert!(used.windows(2).all(|pair| pair[0] <= pair[1]), "{mask_site:?}: {used:?}");
        assert!(used[1] > 0.0 && used.last().unwrap() > &used[1] && *used.last().unwrap() <= 1.0);
    }
}

/// Masks are learned in the experience that opens a group; later ones, of the same group too, leave
/// them.
#[test]
fn masks_of_closed_groups_are_frozen() {
    let mut driver = driver(Config { mask_anneal: true, lambda_c: 0.75, ..hard(MaskSite::Both) });
    let of = |driver: &mut Driver<DualNet>, group: u32| {
        tensors(driver, &[&format!("masks.{group}.embedding")])
    };
    for (experience, group) in [(0, 0), (1, 1), (2, 0)] {
        begin(&mut driver, experience, group);
        let before = of(&mut driver, group);
        train(&mut driver, experience, group, Some(0));
        driver.script.iterations.push_back(vec![]);
        driver.end_experience(experience).unwrap();
        assert_eq!(of(&mut driver, group) != before, experience < 2, "experience {experience}");
    }
}

/// A replayed sample passes under the masks of its own group; one that is in the batch at hand too
/// has no group in the memory yet and passes under those of the group at hand.
#[test]
fn replayed_samples_pass_under_their_own_masks() {
    for mask_site in SITES {
        let mut driver = driver(hard(mask_site));
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        let saved = driver.save().unwrap();
        let mut loss = |group: u32, uids: std::ops::Range<u64>| {
            driver.load(&saved).unwrap();
            driver.position = Some(at(1, 0));
            let replay = Samples { uids: Some(uids.collect()), ..of_group(replay(5, 7), group) };
            let report = driver.step(&task(1, 6, 3), &[("replay", replay)]).unwrap();
            report.scalar("loss_ce_replay").unwrap()
        };
        let (own, other) = (loss(0, 100..105), loss(1, 100..105));
        assert_ne!(own, other, "{mask_site:?}");
        assert_eq!(loss(0, 0..5), other, "{mask_site:?}");
    }
}

/// Old answers are kept as a sample's own group gives them.
#[test]
fn old_answers_are_of_the_samples_own_group() {
    let mut driver = driver(Config { oracle_view: true, temperature: 0.0, ..hard(MaskSite::Fast) });
    learn(&mut driver, 0, 0, None);
    begin(&mut driver, 1, 1);
    train(&mut driver, 1, 1, Some(0));
    let mixed = |group: u32| of_group(task(1, 3, 5), group);
    driver.script.iterations.push_back(vec![mixed(0), mixed(1)]);
    driver.end_experience(1).unwrap();
    let written = driver.script.written.pop().unwrap();
    let x = &task(1, 3, 5).views[0];
    for (group, found) in written.chunks(3 * CLASSES).enumerate() {
        let told = driver.predict_grouped("oracle-main", x, &[group as u32; 3]).unwrap().unwrap();
        for (found, told) in found.chunks(CLASSES).zip(told.chunks(CLASSES)) {
            let total = found.iter().map(|z| z.exp()).sum::<f32>().ln();
            assert!(found.iter().zip(told).all(|(z, p)| (z - total - p).abs() < 1e-4), "{group}");
        }
    }
}

/// Where groups are told a sample is answered under its group's masks; and the view that is not told
/// finds the group of samples like those that were learned. A strange group, and none, answer too.
#[test]
fn views_answer_under_the_masks_of_the_group() {
    let mut driver = driver(Config { oracle_view: true, temperature: 0.0, ..hard(MaskSite::Both) });
    let x = task(1, 6, 900).views[0].clone();
    let plain = driver_of_plain().predict("main", &x).unwrap();
    assert_eq!(driver.predict("main", &x).unwrap(), plain, "before any group");
    learn(&mut driver, 0, 0, None);
    learn(&mut driver, 1, 1, Some(0));
    let mut told = |group| driver.predict_grouped("oracle-main", &x, &[group; 6]).unwrap().unwrap();
    let (of_0, of_1) = (told(0), told(1));
    assert_ne!(of_0, of_1);
    assert_eq!(told(9), of_1, "the nearest, where the group is unknown");
    assert_eq!(driver.predict("main", &x).unwrap().unwrap(), of_1, "nearest class mean");
    let untold = driver.predict("oracle-main", &x).unwrap_err().to_string();
    assert!(untold.contains("the true groups were not told"), "{untold}");
    let plain = driver_of_plain().predict("oracle-main", &x).unwrap_err().to_string();
    assert!(plain.contains("no view is called `oracle-main`"), "{plain}");
}

fn driver_of_plain() -> Driver<DualNet> {
    driver(grouped())
}

/// With a task-aware head a mixture over groups has the classes of the sample's own experience.
#[test]
fn a_task_aware_head_is_restricted_under_masks() {
    let mut driver = driver(Config { head: HeadKind::TaskAware, ..hard(MaskSite::Both) });
    learn(&mut driver, 0, 0, None);
    learn(&mut driver, 1, 1, Some(0));
    let logits = driver.predict_told("main", &task(1, 2, 4).views[0], &[0, 1]).unwrap().unwrap();
    assert!(logits.iter().all(|z| z.is_finite()));
    let counts: Vec<bool> = logits.iter().map(|z| *z > -1e8).collect();
    let classes = |task: u32| (0..CLASSES as u32).map(move |c| classes_of(task).contains(&c));
    assert_eq!(counts, classes(0).chain(classes(1)).collect::<Vec<bool>>());
}

/// Groups are found as in other methods: a task like none opens one, one seen before joins its own.
#[test]
fn groups_are_found() {
    let config = Config { groups: vec![], mask_site: MaskSite::Fast, ..grouped() };
    let mut driver = driver(config);
    let mut groups = Vec::new();
    for (experience, task) in [(0, 0), (1, 1), (2, 0)] {
        begin(&mut driver, experience, task);
        let report = train(&mut driver, experience, task, Some(0)).pop().unwrap();
        groups.push(report.report.group.unwrap());
        driver.script.iterations.push_back(vec![]);
        driver.end_experience(experience).unwrap();
    }
    assert_eq!(groups, [0, 1, 0]);
}

/// Masks, gates, rates, groups and what is added up for the slow network are all in the saved state.
#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let accumulate = perdura_dualnet::Between::Accumulate;
    let schedule = SlowSchedule::EveryK;
    let mut configs: Vec<Config> =
        SITES.map(|site| Config { mask_anneal: true, ..hard(site) }).into();
    configs.push(Config {
        slow_schedule: schedule,
        every: 3,
        between: accumulate,
        ..configs[3].clone()
    });
    configs.push(Config { plasticity: Plasticity::Hat, ..configs[3].clone() });
    configs.push(Config { plasticity: Plasticity::Mean, groups: vec![0, 1], ..grouped() });
    for config in configs {
        let until_second = |tasks: [u32; 2]| {
            let mut driver = driver(config.clone());
            learn(&mut driver, 0, tasks[0], None);
            begin(&mut driver, 1, tasks[1]);
            train(&mut driver, 1, tasks[1], Some(0));
            driver
        };
        let (mut first, mut second) = (until_second([0, 1]), until_second([1, 0]));
        let saved = first.save().unwrap();
        assert_ne!(second.save().unwrap(), saved);
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved, "{:?}", config.mask_site);
        for driver in [&mut first, &mut second] {
            train(driver, 1, 1, Some(0));
            driver.script.iterations.push_back(vec![]);
            driver.end_experience(1).unwrap();
        }
        assert_eq!(first.save().unwrap(), second.save().unwrap(), "{:?}", config.mask_site);
        let mut reader = StateReader::from_bytes(&saved).unwrap();
        assert!(reader.value::<serde_json::Value>("guide").is_ok());
    }
}
