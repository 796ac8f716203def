//! What `er` refuses of its own hyper-parameters, and of groups that do not reach far enough. Values
//! of `plasticity` that are out of range: `plasticity.rs`.

use perdura_er::{Config, Er};
use perdura_nn::BackboneKind;
use perdura_nn::plasticity::Plasticity;
use perdura_sdk::testing::{Driver, Samples, Setting};

fn config() -> Config {
    Config { lr: 0.5, replay: 2, hidden: vec![4], ..Config::default() }
}

#[test]
fn settings_out_of_range_are_refused() {
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let paced = || Config { plasticity: Plasticity::Min, ..config() };
    let cases = [
        (Config { lr: 0.0, ..config() }, "`lr`: expected a number above 0, found 0"),
        (Config { lr: -0.1, ..config() }, "`lr`: expected a number above 0, found -0.1"),
        (
            Config { hidden: vec![4, 0], ..config() },
            "`hidden`: expected widths of at least 1, found 0",
        ),
        (residual(0), "`width`: expected at least 1, found 0"),
        (
            residual(2),
            "`backbone`: expected `mlp`, or inputs of shape [channels, height, width], found a \
             ResNet for inputs of shape [3]",
        ),
        (
            Config { kappa_min: -0.1, ..paced() },
            "`kappa_min`: expected a number from 0 to kappa_max, found -0.1",
        ),
        (Config { tau: -0.1, ..paced() }, "`tau`: expected a number from 0 to 1, found -0.1"),
        (
            Config { tau_join: 1.1, ..paced() },
            "`tau_join`: expected a number from 0 to 1, found 1.1",
        ),
        (Config { probe: 1, ..paced() }, "`probe`: expected at least 2, found 1"),
    ];
    for (config, expected) in cases {
        let made = Driver::<Er>::new(config, Setting::new(3, &[3]));
        let message = made.err().expect("it is refused").to_string();
        assert_eq!(message, format!("hyper-parameter {expected}"));
    }
}

/// Groups are given for experiences 0 and 1, and experience 2 begins.
#[test]
fn an_experience_without_a_group_is_an_error() {
    let config = Config { plasticity: Plasticity::Mean, groups: vec![0, 1], ..config() };
    let mut driver = Driver::<Er>::new(config, Setting::new(3, &[3])).unwrap();
    driver.script.iterations.push_back(vec![Samples::new(&[0.1; 6], &[0, 1])]);
    let error = driver.begin_experience_of(2, &[0, 1]).unwrap_err().to_string();
    assert!(error.contains("`groups`: expected a group for every experience"), "{error}");
}
