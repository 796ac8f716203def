//! SG-CLS on a small ResNet, whose memories have running statistics of their own.

use perdura_nn::BackboneKind;
use perdura_nn::teaching::EmaBn;
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{GrowthEvent, StateReader};

use crate::config::Features;
use crate::support::{CLASSES, growth, of_group};
use crate::{Config, Inference, SgCls};

/// Pictures of a task: stripes of its own for each class, and a little more.
fn pictures(task: u32, count: usize, salt: u32) -> Samples {
    let labels: Vec<u32> = (0..count as u32).map(|i| i % CLASSES as u32).collect();
    let pixels = labels.iter().enumerate().flat_map(|(i, &label)| {
        (0..64u32).map(move |at| {
            let stripe = (at * (task * 7 + label * 3 + 2)) % 11;
            stripe as f32 / 10.0 + ((at * 37 + i as u32 * 5 + salt) % 97) as f32 / 970.0
        })
    });
    Samples::new(&pixels.collect::<Vec<f32>>(), &labels)
}

fn begin(driver: &mut Driver<SgCls>, experience: u32) {
    let held = |group| of_group(pictures(group, 30, 60), group);
    driver.script.iterations.push_back(vec![pictures(experience, 30, 1)]);
    // Merging looks through the samples of both groups.
    driver.script.iterations.extend([0, 1].map(|group| vec![held(group)]));
    driver.script.draws.extend((0..experience.min(2)).map(held));
    driver.begin_experience(experience).unwrap();
    driver.script.iterations.clear();
    driver.script.draws.clear();
}

fn train(driver: &mut Driver<SgCls>, experience: u32) {
    for step in 0..3 {
        let replayed = of_group(pictures(0, 6, 90 + step), 0);
        let batch = pictures(experience, 6, step);
        let report = driver.step(&batch, &[("replay", replayed)]).unwrap();
        assert!(report.scalar("loss").unwrap().is_finite());
    }
}

/// Running means of a network's first normalisation.
fn running(driver: &mut Driver<SgCls>, network: &str) -> Vec<f32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    saved.tensor(&format!("{network}.bn1.running_mean"), &[2]).unwrap()
}

/// Memories open, follow, teach and are merged with the statistics of each, by both rules; every view answers;
/// and a saved learner goes on as if nothing had happened.
#[test]
fn memories_have_statistics_of_their_own() {
    for ema_bn in [EmaBn::Code, EmaBn::Average] {
        let make = || {
            let config = Config {
                backbone: BackboneKind::Resnet18,
                width: 2,
                lr: 0.05,
                replay: 6,
                probe: 30,
                features: Features::Pixels,
                groups_max: 2,
                inference: Inference::Mean,
                ema_bn,
                ..Config::default()
            };
            Driver::<SgCls>::new(config, Setting::new(CLASSES, &[1, 8, 8]).seed(3)).unwrap()
        };
        let mut first = make();
        for experience in 0..3 {
            begin(&mut first, experience);
            train(&mut first, experience);
        }
        // The same calls of both so far, so that the next ones have the same seeds.
        let saved = first.save().unwrap();
        let mut second = make();
        for experience in 0..3 {
            begin(&mut second, experience);
            train(&mut second, 0);
        }
        second.load(&saved).unwrap();
        assert!(second.save().unwrap() == saved, "{ema_bn:?}");
        train(&mut first, 2);
        train(&mut second, 2);
        assert!(first.save().unwrap() == second.save().unwrap(), "{ema_bn:?}");
        let merged = |event: &GrowthEvent| matches!(event, GrowthEvent::Merged { .. });
        assert_eq!(growth(&first).iter().filter(|event| merged(event)).count(), 1, "{ema_bn:?}");
        let of = ["working", "group-0", "group-1"].map(|name| running(&mut first, name));
        assert!(of[0] != of[1] && of[1] != of[2] && of[0] != of[2], "{ema_bn:?}: {of:?}");
        assert!(of.iter().flatten().all(|mean| mean.is_finite() && *mean != 0.0), "{of:?}");
        for view in ["mean", "global", "mixture"] {
            let logits = first.predict(view, &pictures(0, 5, 7).views[0]).unwrap().unwrap();
            assert!(logits.iter().all(|logit| logit.is_finite()), "{ema_bn:?} {view}");
        }
    }
}
