//! Uses of the correlation matrix (algorithms 3.6) in the life of a small DualNet: the relation, what
//! is off, saved and refused. What they see in the memory is the subject of `looks.rs`, what they
//! tell of `told.rs`; what is computed from a matrix is tested in perdura-nn's `matrix_tests.rs`.

mod support;

use perdura_dualnet::{Config, DualNet, SslSource};
use perdura_nn::plasticity::Plasticity;
use perdura_nn::similarity::SimilarityGiven;
use perdura_sdk::testing::{Driver, Samples, Setting};
use support::memory::*;
use support::*;

/// Everything at once.
fn all_on() -> Config {
    Config {
        relation: 0.1,
        unit_roles: Plasticity::Min,
        project: 0.5,
        matrix_similarity: true,
        matrix_losses: true,
        ..small()
    }
}

/// Values that count only with a switch change nothing without one, and with all switches there is
/// nothing to hold to before the first boundary. What only tells changes nothing at all.
#[test]
fn without_switches_it_is_dualnet_to_the_byte() {
    let trained = |config: Config| {
        let mut driver = driver(config);
        experience(&mut driver, 0, 0..3);
        let first = tensors(&mut driver, &NETS);
        experience(&mut driver, 1, 3..6);
        (first, tensors(&mut driver, &NETS), driver.save().unwrap())
    };
    let plain = trained(config());
    let off = Config { matrix_rho: 0.5, unit_kappa: 0.5, matrix_groups: vec![3, 3], ..small() };
    assert_eq!(trained(off).2, plain.2);
    let on = trained(all_on());
    assert_eq!(on.0, plain.0);
    assert_ne!(on.1, plain.1);
    let told = trained(Config { matrix_similarity: true, matrix_losses: true, ..small() });
    assert_eq!(told.1, plain.1);
    let at_full_rate = Config { unit_roles: Plasticity::Mean, unit_kappa: 1.0, ..small() };
    assert_eq!(trained(at_full_rate).1, plain.1);
    let alike = Config {
        unit_roles: Plasticity::Min,
        unit_similarity: SimilarityGiven::Oracle,
        unit_across: 1.0,
        ..small()
    };
    assert_eq!(trained(alike).1, plain.1);
}

/// One step on known views after a boundary, from the same weights: what the relation adds to the
/// displacement is in proportion to μ_C, and it is told before μ_C.
#[test]
fn the_relation_is_a_term_of_the_slow_loss() {
    let moved = |relation| {
        let mut driver = driver(Config { relation, ..ssl_alone() });
        experience(&mut driver, 0, 0..3);
        let before = tensors(&mut driver, &["slow.", "projector."]);
        let report = driver.step(&samples(6, 9), &[("ssl", views(8, 900))]).unwrap();
        let after = tensors(&mut driver, &["slow.", "projector."]);
        (displacement(&before, &after), report.scalar("loss_relation"), report.scalar("loss_ssl"))
    };
    let (plain, one, three) = (moved(0.0), moved(0.5), moved(1.5));
    assert_eq!((plain.1, plain.2), (None, one.2));
    assert!(one.1.unwrap() > 0.0 && one.1 == three.1, "{:?} {:?}", one.1, three.1);
    let (added, thrice) = (plus(&one.0, -1.0, &plain.0), plus(&three.0, -1.0, &plain.0));
    assert!(norm(&added) > 1e-4 * norm(&plain.0), "{} {}", norm(&added), norm(&plain.0));
    let apart = norm(&plus(&thrice, -3.0, &added));
    assert!(apart <= 1e-3 * norm(&thrice), "{apart} of {}", norm(&thrice));
}

/// C* is the matrix of the only step so far (without learning: β = 0), so that the same views are
/// at no distance from it, and others are.
#[test]
fn the_same_matrix_is_at_no_distance() {
    let mut driver = driver(Config { relation: 0.1, beta: 0.0, ..ssl_alone() });
    begin(&mut driver, 0);
    driver.step(&samples(6, 0), &[("ssl", views(8, 1))]).unwrap();
    end(&mut driver, 0);
    let mut distance = |salt| {
        let report = driver.step(&samples(6, 0), &[("ssl", views(8, salt))]).unwrap();
        report.scalar("loss_relation").unwrap()
    };
    assert_eq!(distance(1), 0.0);
    assert!(distance(2) > 0.01);
}

/// With a weight that counts, the matrix of an earlier boundary is kept better.
#[test]
fn the_relation_keeps_the_matrix() {
    let last = |relation| {
        let mut driver = driver(Config { relation, lambda_bt: 0.5, ..ssl_alone() });
        experience(&mut driver, 0, 0..20);
        let mut learn = |salt: u32| {
            let other = views(8, 500 + salt % 5);
            let report = driver.step(&samples(6, 0), &[("ssl", other)]).unwrap();
            report.scalar("loss_relation").unwrap()
        };
        (0..60).map(&mut learn).skip(50).sum::<f64>() / 10.0
    };
    let (kept, lost) = (last(2.0), last(1e-9));
    assert!(kept < 0.8 * lost, "{kept} {lost}");
}

/// Saved in the middle of an experience, between two looks, with everything on.
#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let mut first = driver(all_on());
    experience(&mut first, 0, 0..3);
    begin(&mut first, 1);
    step(&mut first, 3);
    let saved = first.save().unwrap();
    let mut second = driver(all_on());
    experience(&mut second, 0, 10..14);
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    for driver in [&mut first, &mut second] {
        (0..2).for_each(|i| driver.script.draws.push_back(memory(8, 2, 700 + i)));
        step(driver, 4);
        assert!(driver.script.draws.is_empty(), "the probe is due");
        step(driver, 5);
        end(driver, 1);
        experience(driver, 2, 6..9);
    }
    assert_eq!(first.save().unwrap(), second.save().unwrap());
    let events = |driver: &Driver<DualNet>| {
        let last = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
        last.map(|(_, event)| event.to_string()).next_back().unwrap()
    };
    assert_eq!(events(&first), events(&second));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |config: Config, hidden: bool, expected: &str| {
        let mut setting = Setting::new(CLASSES, &[WIDTH]);
        setting.context.grants.boundaries = !hidden;
        let error = Driver::<DualNet>::new(config, setting).err().expect("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let out_of_range = [
        (Config { relation: -0.1, ..config() }, "`relation`: expected a number of at least 0"),
        (
            Config { matrix_rho: 1.0, ..config() },
            "`matrix_rho`: expected a number from 0 to below 1, found 1",
        ),
        (Config { matrix_rho: -0.5, ..config() }, "`matrix_rho`"),
        (Config { project: 1.5, ..config() }, "`project`: expected a number from 0 to 1"),
        (Config { project: -0.1, ..config() }, "`project`"),
        (Config { matrix_tau: 2.0, ..config() }, "`matrix_tau`: expected a number from 0 to 1"),
        (Config { unit_across: -1.0, ..config() }, "`unit_across`: expected a number from 0"),
        (Config { unit_kappa: 0.0, ..config() }, "`unit_kappa`: expected a number above 0, up"),
        (Config { unit_kappa: 1.5, ..config() }, "`unit_kappa`"),
        (Config { unit_roles: Plasticity::Hat, ..config() }, "`unit_roles`: expected `mean` or"),
        (Config { matrix_batch: 3, ..config() }, "`matrix_batch`: expected at least 4"),
        (Config { matrix_draws: 0, ..config() }, "`matrix_draws`: expected at least 1, found 0"),
        (Config { matrix_window: 0, ..config() }, "`matrix_window`: expected at least 1"),
    ];
    for (config, expected) in out_of_range {
        refused(config, false, expected);
    }
    for (name, on) in switches() {
        let without = Config { ssl_weight: 0.0, ..on.clone() };
        refused(without, false, &format!("`{name}`: expected off where `ssl_weight` is 0"));
        refused(on, true, &format!("`{name}`: expected off where boundaries are hidden"));
    }
    let ssl_source = SslSource::CurrentAndMemory;
    let mixed = Config { relation: 0.1, ssl_source, ..config() };
    refused(mixed, false, "`relation`: expected 0, or views of the memory alone");
}

/// Every switch alone.
fn switches() -> [(&'static str, Config); 5] {
    [
        ("relation", Config { relation: 0.1, ..small() }),
        ("unit_roles", Config { unit_roles: Plasticity::Mean, ..small() }),
        ("project", Config { project: 0.95, ..small() }),
        ("matrix_similarity", Config { matrix_similarity: true, ..small() }),
        ("matrix_losses", Config { matrix_losses: true, ..small() }),
    ]
}

/// What looks at the memory needs one, and a group for every experience.
#[test]
fn a_look_needs_a_memory_and_groups() {
    for (name, config) in switches() {
        for room in [None, Some(0)] {
            let mut driver = driver(config.clone());
            driver.memory_samples_max = room;
            let begun = driver.begin_experience(0).map_err(|error| error.to_string());
            match name {
                "relation" => begun.unwrap(),
                _ => {
                    let expected = format!("`{name}`: expected off in a run without a memory");
                    assert!(begun.unwrap_err().contains(&expected));
                }
            }
        }
    }
    let mut driver = driver(Config { matrix_groups: vec![0], ..all_on() });
    experience(&mut driver, 0, 0..3);
    let error = driver.begin_experience(1).unwrap_err().to_string();
    let expected = "`matrix_groups`: expected a group for every experience, found 1 for experience";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_look_needs_the_experience_of_every_sample() {
    let mut driver = driver(Config { matrix_similarity: true, ..small() });
    begin(&mut driver, 0);
    driver.script.draws.push_back(views(8, 1));
    let error = driver.end_experience(0).unwrap_err().to_string();
    assert!(error.contains("matrices of groups need the experience of every sample"), "{error}");
}

/// Nothing in the memory yet, or too little of a group: nothing is known of it, and nothing fails.
#[test]
fn too_little_to_look_at_is_nothing() {
    let mut driver = driver(all_on());
    begin(&mut driver, 0);
    let nothing = || Samples { experiences: Some(vec![]), ..Samples::new(&[], &[]).view(&[]) };
    // Three samples: only one in the second half.
    driver.script.draws = [nothing(), memory(3, 1, 1)].into();
    driver.script.iterations = [vec![], vec![]].into();
    driver.end_experience(0).unwrap();
    let held = |driver: &mut Driver<DualNet>, prefix| tensors(driver, &[prefix]).len();
    assert_eq!(held(&mut driver, "matrix.roles."), 0);
    assert_eq!(held(&mut driver, "matrix.span."), 0);
    experience(&mut driver, 1, 0..3);
    assert_eq!(held(&mut driver, "matrix.roles."), 2);
}
