//! What a step costs with five groups, next to CLS-ER's. CLS-ER is SG-CLS with two fixed groups (to
//! the byte, see `tests/tests/determinism.rs`). Steps of all kinds take turns, so that the machine
//! treats them alike. Two further arms say where the difference comes from: samples of one group
//! ask two memories, like CLS-ER's, and not five; and there is one average more.

use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sg_cls::{Config, Inference, SgCls, SimilarityGiven};
use std::time::Instant;

const WIDTH: usize = 784;
const CLASSES: usize = 10;
const BATCH: usize = 10;
const REPLAY: usize = 32;
const STEPS: usize = 1500;
const GROUPS: usize = 5;

fn samples(count: usize, salt: usize, groups: Option<usize>) -> Samples {
    let pixel = |i: usize| ((i.wrapping_mul(2654435761) ^ salt) >> 7) % 256;
    let inputs: Vec<f32> = (0..count * WIDTH).map(|i| pixel(i) as f32 / 255.0).collect();
    let labels: Vec<u32> = (0..count).map(|i| ((i + salt) % CLASSES) as u32).collect();
    let groups = groups.map(|groups| (0..count).map(|i| (i % groups) as u32).collect());
    Samples { groups, ..Samples::new(&inputs, &labels) }
}

fn driver(config: Config) -> Driver<SgCls> {
    let mut driver = Driver::new(config, Setting::new(CLASSES, &[WIDTH])).expect("good settings");
    driver.begin_experience(0).expect("nothing to look at");
    driver
}

fn main() {
    let base = Config { replay: REPLAY, inference: Inference::Mixture, ..Config::default() };
    let cls_er = Config {
        groups_max: 2,
        open_at_start: 2,
        rates: vec![1.0, 0.9],
        keep_global: false,
        w_similar: 0.0,
        groups: vec![0],
        ..base.clone()
    };
    let sg_cls = Config {
        groups_max: GROUPS,
        open_at_start: GROUPS,
        similarity: SimilarityGiven::Oracle,
        groups: vec![0],
        ..base
    };
    let alone = Config { keep_global: false, ..sg_cls.clone() };
    // Name, learner, groups of the replayed samples.
    let mut arms = [
        ("cls-er (two fixed groups)", driver(cls_er), 1),
        ("sg-cls, 5 groups", driver(sg_cls.clone()), GROUPS),
        ("the same, replay of one group", driver(sg_cls), 1),
        ("the same, and no average over all groups", driver(alone), 1),
    ];
    let mut times: [Vec<f64>; 4] = Default::default();
    for step in 0..STEPS {
        let current = samples(BATCH, step, None);
        for ((_, learner, groups), times) in arms.iter_mut().zip(&mut times) {
            let draws = [("replay", samples(REPLAY, 7 * step, Some(*groups)))];
            let begun = Instant::now();
            learner.step(&current, &draws).expect("a step");
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    println!(
        "median of {STEPS} steps, batch {BATCH}, replay {REPLAY}, MLP 784-100-100-10, 1 thread"
    );
    let medians = times.map(median);
    for ((name, ..), time) in arms.iter().zip(medians) {
        println!("{name:42} {time:7.0} us   {:.2} x", time / medians[0]);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
