//! DualNet with rates by similarity (algorithm specification 3.3), on a small network, and what is
//! refused of all that has to do with groups.

mod support;

use perdura_dualnet::{
    BackboneKind, Between, Config, DualNet, HeadKind, MaskSite, Roles, SlowSchedule,
};
use perdura_nn::plasticity::{Ownership, Plasticity};
use perdura_nn::similarity::SimilarityGiven;
use perdura_sdk::testing::{Driver, Samples, Setting};
use support::groups::*;
use support::*;

fn paced(plasticity: Plasticity) -> Config {
    Config { plasticity, groups: vec![0, 1, 0], ..grouped() }
}

/// κ = 1 is plain DualNet to the byte: by either aggregation and ownership, in both roles and
/// schedules; below 1 it is not.
#[test]
fn a_speed_of_one_is_the_plain_method() {
    let schedule = SlowSchedule::EveryK;
    let plain = [
        grouped(),
        Config { relation: 0.1, ..grouped() },
        Config { slow_readout: true, head: HeadKind::TaskAware, ..grouped() },
        Config { slow_schedule: schedule, every: 3, between: Between::Accumulate, ..grouped() },
        Config { roles: Roles::Blog, interaction_dropout: 0.2, ..grouped() },
    ];
    for plain in plain {
        let of = |config: Config| networks(&mut three_experiences(config));
        let expected = of(plain.clone());
        for (plasticity, ownership) in [
            (Plasticity::Mean, Ownership::Path),
            (Plasticity::Min, Ownership::Path),
            (Plasticity::Mean, Ownership::Fisher),
        ] {
            let paced = Config { plasticity, ownership, groups: vec![0, 1, 0], ..plain.clone() };
            assert_eq!(of(Config { kappa_min: 1.0, ..paced.clone() }), expected, "{plasticity:?}");
            assert_ne!(of(paced), expected, "{plasticity:?} {ownership:?}");
        }
    }
}

/// The rates of the second experience: those of the fast network and the head are μ, those of the
/// slow one `1 − ω + ω·μ`, here at ω = 0, 0.5 and 1; the projector, which nobody owns, has none.
#[test]
fn the_slow_network_heeds_a_part_of_the_rate() {
    let rates = |omega: f64| {
        let mut driver = driver(Config { omega, ..paced(Plasticity::Mean) });
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        tensors(&mut driver, &["rates."])
    };
    let (none, half, whole) = (rates(0.0), rates(0.5), rates(1.0));
    assert!(whole.keys().all(|name| !name.contains("projector")));
    let mut slowed = 0;
    for (name, mu) in &whole {
        for ((mu, half), none) in mu.iter().zip(&half[name]).zip(&none[name]) {
            assert!((0.1..=1.0).contains(mu), "{name}: {mu}");
            match name.starts_with("rates.slow.") {
                true => {
                    assert!((half - (0.5 + 0.5 * mu)).abs() < 1e-6 && *none == 1.0, "{name}");
                    slowed += i32::from(*half < 0.99);
                }
                false => assert_eq!((half, none), (mu, mu), "{name}"),
            }
        }
    }
    assert!(slowed > 0 && whole.len() == 10);
}

/// By hand in the learner: with the rate known, a step that would go so far goes μ times as far on
/// the fast network, `1 − ω + ω·μ` times on the slow one.
#[test]
fn the_update_is_multiplied() {
    let second = |config: Config| {
        let mut driver = driver(Config { ssl_weight: 0.0, sup_steps: 1, ..config });
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        let before = networks(&mut driver);
        driver.position = Some(at(1, 0));
        driver.step(&task(1, 6, 9), &[]).unwrap();
        (before, networks(&mut driver), tensors(&mut driver, &["rates."]))
    };
    let (before, plain, _) = second(grouped());
    let (again, paced, rates) = second(Config { omega: 0.25, ..paced(Plasticity::Min) });
    assert_eq!(before, again);
    let mut slower = 0;
    for (name, rates) in rates {
        let name = name.trim_start_matches("rates.");
        for (i, rate) in rates.iter().enumerate() {
            let start = before[name][i];
            let (free, held) = (plain[name][i] - start, paced[name][i] - start);
            assert!((held - rate * free).abs() < 1e-6, "{name}: {held} {rate} {free}");
            slower += i32::from(free.abs() > 1e-3 && *rate < 0.9);
        }
    }
    assert!(slower > 0, "the test would be vacuous");
}

/// Self-supervised steps of the slow network are multiplied too: at κ = 0 and ω = 1 what the first
/// group owns wholly does not move, to the bit, by look-ahead.
#[test]
fn self_supervision_goes_at_the_slow_rate() {
    let still = Config {
        speed: perdura_nn::plasticity::SpeedCurve::Step,
        similarity: SimilarityGiven::Oracle,
        oracle_across: 0.0,
        omega: 1.0,
        ..paced(Plasticity::Min)
    };
    for (omega, held) in [(1.0, true), (0.5, false)] {
        let mut driver = driver(Config { omega, ..still.clone() });
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        let rates = tensors(&mut driver, &["rates."])["rates.slow.fc1.weight"].clone();
        let owned = rates.iter().position(|rate| *rate == 1.0 - omega as f32).unwrap();
        let before = networks(&mut driver);
        train(&mut driver, 1, 1, None);
        let after = networks(&mut driver);
        let of = |of: &Tensors| of["slow.fc1.weight"][owned];
        assert_eq!(of(&before) == of(&after), held, "ω {omega}");
        assert_ne!(before["projector.0.weight"], after["projector.0.weight"]);
    }
}

/// The more alike the groups are said to be, the further both networks go; with a neutral budget
/// further than without.
#[test]
fn likeness_makes_fast() {
    let moved = |config: Config| {
        let mut driver = driver(Config { ssl_weight: 0.0, ..config });
        learn(&mut driver, 0, 0, None);
        begin(&mut driver, 1, 1);
        let before = networks(&mut driver);
        train(&mut driver, 1, 1, None);
        let after = networks(&mut driver);
        ["slow.", "fast."].map(|part| {
            let of = |all: &Tensors| -> Tensors {
                all.iter()
                    .filter(|(n, _)| n.starts_with(part))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect()
            };
            norm(&displacement(&of(&before), &of(&after)))
        })
    };
    let oracle = |across: f64| Config {
        similarity: SimilarityGiven::Oracle,
        oracle_across: across,
        ..paced(Plasticity::Mean)
    };
    let at = [0.0, 0.5, 1.0].map(|across| moved(oracle(across)));
    for part in 0..2 {
        assert!(at[0][part] < at[1][part] && at[1][part] < at[2][part], "{at:?}");
    }
    let neutral = moved(Config { budget_neutral: true, ..oracle(0.0) });
    assert!(neutral[1] > at[0][1], "{neutral:?} {at:?}");
}

/// A ResNet has rates too.
#[test]
fn rates_work_on_a_resnet() {
    let of = |kappa_min: f64| {
        let config = Config {
            backbone: BackboneKind::Resnet18,
            width: 2,
            kappa_min,
            ..paced(Plasticity::Mean)
        };
        let similarity = SimilarityGiven::Oracle;
        let config = Config { lr: 0.05, lambda_tr: 0.0, similarity, oracle_across: 0.0, ..config };
        let mut driver =
            Driver::<DualNet>::new(config, Setting::new(CLASSES, &[1, 16, 16]).seed(3)).unwrap();
        let pictures = |count: usize, salt: u32| {
            let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
            Samples::new(&inputs(count, 256, salt), &labels).view(&inputs(count, 256, salt + 50))
        };
        for experience in [0, 1] {
            driver.script.iterations.push_back(vec![pictures(12, 1)]);
            driver.script.draws.push_back(of_group(pictures(12, 2), 0));
            driver.begin_experience(experience).unwrap();
            for step in 0..3 {
                driver.position = Some(at(experience, step));
                let draws = [("ssl", pictures(4, 60)), ("replay", of_group(pictures(4, 90), 0))];
                let report = driver.step(&pictures(4, step as u32), &draws).unwrap();
                assert!(report.scalar("loss").unwrap().is_finite());
            }
            driver.end_experience(experience).unwrap();
        }
        networks(&mut driver)
    };
    assert!(of(0.1) != of(1.0), "rates change what is learned");
}

#[test]
fn values_out_of_range_and_contradictions_are_refused() {
    let told = || Setting::new(CLASSES, &[WIDTH]);
    let refused = |key: &str, expected: &str, config: Config, setting: Setting| {
        let message = Driver::<DualNet>::new(config, setting).err().expect("refused").to_string();
        let start = format!("hyper-parameter `{key}`: expected {expected}");
        assert!(message.starts_with(&start), "{message}");
    };
    let masked = || Config { mask_site: MaskSite::Both, ..grouped() };
    let paced = || Config { plasticity: Plasticity::Mean, ..grouped() };
    let share = "a number from 0 to 1";
    for rho in [-0.1, 1.1] {
        refused("rho", share, Config { mask_site: MaskSite::Split, rho, ..grouped() }, told());
    }
    for omega in [-0.1, 1.1] {
        refused("omega", share, Config { omega, ..paced() }, told());
    }
    refused("tau_speed", share, Config { tau_speed: 1.1, ..paced() }, told());
    for tau_join in [-1.0, 1.5] {
        refused("tau_join", share, Config { tau_join, ..masked() }, told());
    }
    refused("s_max", "a number above 0", Config { s_max: 0.0, ..masked() }, told());
    refused("lambda_c", "a number of at least 0", Config { lambda_c: -1.0, ..masked() }, told());
    let cold = Config { temperature: -1.0, ..masked() };
    refused("temperature", "a number of at least 0", cold, told());
    refused("groups_max", "at least 1", Config { groups_max: 0, ..masked() }, told());
    refused("groups", "numbers below groups_max", Config { groups: vec![9], ..masked() }, told());
    refused("probe", "at least 2", Config { probe: 1, ..paced() }, told());
    refused("window", "at least 1", Config { window: 0, ..paced() }, told());
    refused("confirm", "at least 1", Config { confirm: 0, ..paced() }, told());
    refused("kappa_max", "a number above 0", Config { kappa_max: 0.0, ..paced() }, told());
    refused("kappa_min", "a number from 0", Config { kappa_min: 2.0, ..paced() }, told());
    refused("kappa_min", "a number above 0", Config { kappa_min: 0.0, ..paced() }, told());
    refused("oracle_across", share, Config { oracle_across: 2.0, ..paced() }, told());
    refused("oracle_view", "false without masks", Config { oracle_view: true, ..paced() }, told());
    let both_told = Config { oracle_view: true, head: HeadKind::TaskAware, ..masked() };
    refused("oracle_view", "false with a task-aware head", both_told, told());
    let hat = Config { plasticity: Plasticity::Hat, ..grouped() };
    refused("plasticity", "`mean` or `min`: `hat` is about units, and needs masks", hat, told());
    let fisher = Config { ownership: Ownership::Fisher, ..masked() };
    refused("ownership", "`path` with masks", fisher, told());
    let looking = "off with masks or rates of groups";
    refused("project", looking, Config { project: 0.5, ..masked() }, told());
    let roles = Config { unit_roles: Plasticity::Min, relation: 0.1, ..paced() };
    refused("unit_roles", looking, roles, told());
    let alike = Config { matrix_similarity: true, ..paced() };
    refused("matrix_similarity", looking, alike, told());
    refused("labelled", "1 with masks or rates", Config { labelled: 0.5, ..paced() }, told());
    refused("mask_site", "`none` without the fast", Config { fast: false, ..masked() }, told());
    let resnet = Config { backbone: BackboneKind::Resnet18, ..masked() };
    refused("mask_site", "`none` with a ResNet", resnet, told());
    // What is out of range is refused where it has no effect too, and what would change nothing.
    let plain = || Config { groups: vec![], ..grouped() };
    refused("tau_join", share, Config { tau_join: 1.5, ..plain() }, told());
    refused("kappa_min", "a number from 0", Config { kappa_min: 2.0, ..plain() }, told());
    refused("s_max", "a number above 0", Config { s_max: 0.0, ..plain() }, told());
    refused(
        "temperature",
        "a number of at least 0",
        Config { temperature: -1.0, ..plain() },
        told(),
    );
    let idle = "its default without `plasticity`";
    let permuted = SimilarityGiven::Permuted;
    refused("similarity", idle, Config { similarity: permuted, ..masked() }, told());
    refused("budget_neutral", idle, Config { budget_neutral: true, ..masked() }, told());
    let given = Config { groups: vec![0, 1], ..plain() };
    refused("groups", "none without masks or `plasticity`", given, told());
    let unit = Config { unit_similarity: permuted, ..plain() };
    refused("unit_similarity", "`true` without `unit_roles`", unit, told());
}

/// Where experiences are hidden there are no groups of them: masks, given groups and Fisher's
/// ownership are refused, rates of groups that are found on a window are not.
#[test]
fn groups_of_hidden_experiences_are_refused() {
    let made = |config: Config| {
        let mut hidden = Setting::new(CLASSES, &[WIDTH]);
        (hidden.context.grants.boundaries, hidden.context.grants.second_pass) = (false, false);
        Driver::<DualNet>::new(config, hidden)
    };
    let refused = |key: &str, expected: &str, config: Config| {
        let message = made(config).err().expect("refused").to_string();
        let start = format!("hyper-parameter `{key}`: expected {expected}");
        assert!(message.starts_with(&start), "{message}");
    };
    for mask_site in [MaskSite::Fast, MaskSite::Slow, MaskSite::Split, MaskSite::Both] {
        for groups in [vec![], vec![0, 1]] {
            let expected = "`none`, or a stream that tells its experiences";
            refused("mask_site", expected, Config { mask_site, groups, ..grouped() });
        }
    }
    let paced = Config { plasticity: Plasticity::Mean, ..grouped() };
    let given = Config { groups: vec![0, 1], ..paced.clone() };
    refused("groups", "none where boundaries are hidden", given);
    let fisher = Config { ownership: Ownership::Fisher, ..paced.clone() };
    refused("ownership", "`path` where boundaries are hidden", fisher);
    assert!(made(paced).is_ok());
}

/// Fewer groups than experiences: the experience that has none is named.
#[test]
fn a_list_of_groups_that_is_too_short_is_refused_where_it_ends() {
    let mut driver = driver(Config { mask_site: MaskSite::Fast, groups: vec![0], ..grouped() });
    learn(&mut driver, 0, 0, None);
    driver.script.iterations.push_back(vec![task(1, 30, 50)]);
    driver.script.draws.push_back(of_group(task(0, 30, 60), 0));
    let error = driver.begin_experience(1).unwrap_err().to_string();
    let expected = "`groups`: expected a group for every experience, found 1 for experience 1";
    assert!(error.contains(expected), "{error}");
}
