//! What `anchors` and its options refuse: values out of range, contradictions, streams that do not
//! grant what it needs.

mod support;

use perdura_dualnet::{Anchors, Config, DualNet, HeadKind, MaskSite, SlowSchedule};
use perdura_nn::plasticity::Plasticity;
use perdura_sdk::Grants;
use perdura_sdk::testing::{Driver, Samples, Setting};
use support::*;

fn spared() -> Config {
    Config { anchors: Anchors::Segments, ..config() }
}

fn refused(config: Config, setting: Setting) -> String {
    Driver::<DualNet>::new(config, setting).err().expect("it is refused").to_string()
}

#[test]
fn settings_out_of_range_and_contradictions_are_refused() {
    let chords = || Config { anchors: Anchors::Chords, ..config() };
    let aware = HeadKind::TaskAware;
    let heads = Config { fast: false, sup_updates_slow: false, head: aware, ..spared() };
    let cases = [
        (Config { capacity: 0, ..spared() }, "`capacity`: expected at least 1, found 0"),
        (Config { ogd_samples: 0, ..spared() }, "`ogd_samples`: expected at least 1, found 0"),
        (
            Config { tau_rank: 0.0, ..spared() },
            "`tau_rank`: expected a number between 0 and 1, found 0",
        ),
        (
            Config { tau_rank: 1.0, ..spared() },
            "`tau_rank`: expected a number between 0 and 1, found 1",
        ),
        (
            Config { alpha_ema: 1.5, ..spared() },
            "`alpha_ema`: expected a number from 0 to 1, found 1.5",
        ),
        (
            Config { alpha_ema: -0.1, ..spared() },
            "`alpha_ema`: expected a number from 0 to 1, found -0.1",
        ),
        (
            Config { coverage: 5, ..config() },
            "`coverage`: expected 0 without `anchors`: nothing is protected that could be \
             measured, found 5",
        ),
        (
            Config { slow_schedule: SlowSchedule::EveryK, ..spared() },
            "`anchors`: expected none with `slow_schedule = \"every_k\"`",
        ),
        (
            Config { labelled: 0.5, ..spared() },
            "`anchors`: expected none with `labelled` below 1: the gradients are those of labels, \
             found segments",
        ),
        (
            Config { mask_site: MaskSite::Fast, ..spared() },
            "`anchors`: expected none with masks or rates of groups",
        ),
        (
            Config { plasticity: Plasticity::Mean, ..spared() },
            "`anchors`: expected none with masks or rates of groups",
        ),
        (
            Config { project: 0.9, ..spared() },
            "`anchors`: expected none with `project` or `unit_roles`",
        ),
        (
            Config { unit_roles: Plasticity::Mean, ..spared() },
            "`anchors`: expected none with `project` or `unit_roles`",
        ),
        (
            Config { sup_updates_slow: false, ..chords() },
            "`anchors`: expected working or segments with `sup_updates_slow = false`",
        ),
        (heads, "`anchors`: expected none where only task-aware heads learn from labels"),
    ];
    for (config, expected) in cases {
        let message = refused(config, Setting::new(CLASSES, &[WIDTH]));
        assert!(message.starts_with(&format!("hyper-parameter {expected}")), "{message}");
    }
}

/// Streams that pass once, or hide their boundaries, are DualNet's own but not OGD's.
#[test]
fn streams_that_do_not_grant_what_it_needs_are_refused() {
    let all = Grants { boundaries: true, experience_classes: true, second_pass: true };
    let hidden = Grants { boundaries: false, ..all };
    for grants in [Grants { second_pass: false, ..all }, hidden] {
        let mut setting = Setting::new(CLASSES, &[WIDTH]);
        setting.context.grants = grants;
        let message = refused(spared(), setting.clone());
        assert!(message.contains("leave --online or `anchors` out"), "{message}");
        assert!(Driver::<DualNet>::new(config(), setting).is_ok());
    }
}

/// A gradient that is not finite is an error that says so, at the end of the experience.
#[test]
fn a_network_that_has_diverged_is_told() {
    let mut driver = driver(spared());
    let broken = Samples::new(&[f32::MAX; WIDTH], &[0]);
    driver.script.iterations.push_back(vec![broken]);
    let error = driver.end_experience(0).unwrap_err().to_string();
    assert!(error.contains("not finite") && error.contains("lower `lr`"), "{error}");
}

#[test]
fn the_options_are_called_as_in_the_readme() {
    let options = serde_json::json!({
        "anchors": "chords", "ogd_samples": 50, "capacity": 200, "tau_rank": 0.2,
        "alpha_ema": 0.9, "basis": "layers", "coverage": 20,
    });
    let config: Config = serde_json::from_value(options).unwrap();
    assert_eq!((config.anchors, config.ogd_samples), (Anchors::Chords, 50));
}
