//! What the uses of the correlation matrix (algorithms 3.6) see in the memory, and what follows:
//! rates of units and projections. What is told of groups is the subject of `told.rs`.

mod support;

use perdura_dualnet::{BackboneKind, Config, DualNet, Roles};
use perdura_nn::barlow::cross_correlation;
use perdura_nn::matrix::{RunningMean, importance};
use perdura_nn::plasticity::Plasticity;
use perdura_sdk::testing::{Driver, Samples, Setting};
use support::memory::*;
use support::*;

/// ω from the features of the slow network at the boundary, and μ = 1 − ω (1 − κ(0)) for an
/// experience that nothing is known of yet.
#[test]
fn roles_and_rates_are_those_of_the_features() {
    let mut driver = driver(Config { unit_roles: Plasticity::Min, ..small() });
    begin(&mut driver, 0);
    let drawn = [memory(8, 1, 300), memory(8, 1, 301)];
    driver.script.draws = drawn.clone().into();
    driver.script.iterations = [vec![]].into();
    driver.end_experience(0).unwrap();
    let slow = slow_network(&mut driver);
    let mut mean = RunningMean::new(0.99);
    for drawn in &drawn {
        for half in [0, 1] {
            let rows = |view: usize| -> Vec<f32> {
                let all = drawn.views[view].chunks(WIDTH).skip(half).step_by(2);
                all.flatten().copied().collect()
            };
            let [a, b] = [0, 1].map(|view| slow.features(slow.rows(&[&rows(view)])));
            let c = cross_correlation(a, b, 1e-6).unwrap().into_data();
            mean.add(c.iter::<f32>());
        }
    }
    let expected = importance(mean.values(), 4);
    let roles = tensors(&mut driver, &["matrix.roles."]).remove("matrix.roles.0").unwrap();
    assert!(roles.iter().any(|w| *w > 0.1), "{roles:?}");
    let near = |found: &[f32], expected: &[f32]| {
        let same = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5);
        assert!(same && found.len() == 4, "{found:?}, expected {expected:?}");
    };
    near(&roles, &expected);
    driver.begin_experience(1).unwrap();
    let rates = tensors(&mut driver, &["matrix.rates"]).remove("matrix.rates").unwrap();
    let slowed: Vec<f32> = roles.iter().map(|omega| 1.0 - omega * 0.9).collect();
    near(&rates, &slowed);
}

/// The first steps after a boundary from the same weights, with and without rates: parameters that
/// lead to unit k or take it move μ_k times as far, all others as far as before.
#[test]
fn the_layers_around_a_unit_move_at_its_rate() {
    use BackboneKind::{Mlp, Resnet18};
    let leading = |backbone, roles| match (backbone, roles) {
        (Mlp, _) => "slow.fc2.",
        (Resnet18, Roles::Paper) => "slow.layer4.1.",
        (Resnet18, Roles::Blog) => "slow.block4.",
    };
    for (backbone, roles) in
        [(Mlp, Roles::Paper), (Mlp, Roles::Blog), (Resnet18, Roles::Paper), (Resnet18, Roles::Blog)]
    {
        let input = if backbone == Mlp { vec![WIDTH] } else { vec![1, 16, 16] };
        let width: usize = input.iter().product();
        let of = |count: usize, salt: u32| {
            let labels: Vec<u32> = (0..count as u32).map(|i| i % 4).collect();
            Samples::new(&inputs(count, width, salt), &labels)
        };
        let views = |count, salt| of_memory(alike_views(count, width, salt), 1);
        let moved = |unit_roles, ssl: bool| {
            let labelled = if ssl { 1e-12 } else { 1.0 };
            let config = Config { unit_roles, backbone, roles, labelled, width: 2, ..small() };
            let setting = Setting::new(CLASSES, &input).seed(3);
            let mut driver = Driver::<DualNet>::new(config, setting).unwrap();
            driver.memory_samples_max = Some(100);
            driver.begin_experience(0).unwrap();
            driver.script.draws = [views(12, 1), views(12, 2)].into();
            driver.script.iterations = [vec![]].into();
            driver.end_experience(0).unwrap();
            driver.begin_experience(1).unwrap();
            let before = tensors(&mut driver, &NETS);
            let draws = if ssl { vec![("ssl", views(8, 5))] } else { vec![] };
            driver.step(&of(6, 4), &draws).unwrap();
            let rates = tensors(&mut driver, &["matrix.rates"]).remove("matrix.rates");
            (before, tensors(&mut driver, &NETS), rates)
        };
        for ssl in [false, true] {
            let (before, plain, _) = moved(Plasticity::None, ssl);
            let (same, slowed, rates) = moved(Plasticity::Min, ssl);
            assert_eq!(before, same);
            let rates = rates.unwrap();
            assert!(rates.iter().any(|mu| *mu < 0.9), "{rates:?}");
            let mut around = 0;
            for (name, values) in before.iter().filter(|(name, _)| !name.contains("running")) {
                let leads = name.starts_with(leading(backbone, roles))
                    && !name.contains("conv1")
                    && !name.contains("bn1");
                let takes = ["projector.0.weight", "head.weight"].contains(&name.as_str());
                let each = values.len() / rates.len();
                for (i, value) in values.iter().enumerate() {
                    // Of `[out, in]`: the row leads to a unit, the column takes it.
                    let rate = match (leads, takes) {
                        (true, _) => rates[i / each],
                        (_, true) => rates[i % rates.len()],
                        _ => 1.0,
                    };
                    let (was, is) = (plain[name][i] - value, slowed[name][i] - value);
                    let tolerance = 1e-6 + 1e-5 * was.abs();
                    assert!((is - rate * was).abs() <= tolerance, "{name}[{i}]: {is} {was} {rate}");
                    around += usize::from((leads || takes) && was.abs() > 1e-5);
                }
            }
            assert!(around > 0, "nothing around the units moves: {backbone:?} {roles:?} {ssl}");
        }
    }
}

/// After its first batches the new experience has samples in the memory: where they are like the
/// old ones its rates rise.
#[test]
fn an_experience_is_compared_after_its_first_batches() {
    let mut driver = driver(Config { unit_roles: Plasticity::Mean, ..small() });
    experience(&mut driver, 0, 0..3);
    begin(&mut driver, 1);
    let rates = |driver: &mut Driver<DualNet>| tensors(driver, &["matrix.rates"]);
    let at_first = rates(&mut driver);
    step(&mut driver, 4);
    assert_eq!(rates(&mut driver), at_first);
    // The new experience shows the very samples of the old one.
    let twice = |salt| {
        let one = correlated(40, 0, salt);
        let both = |view: usize| [&one.views[view][..], &one.views[view]].concat();
        of_memory(Samples::new(&both(0), &[0; 80]).view(&both(1)), 2)
    };
    driver.script.draws = [twice(1), twice(2)].into();
    step(&mut driver, 5);
    assert!(driver.script.draws.is_empty());
    let (then, first) = (rates(&mut driver), at_first);
    let (then, first) = (&then["matrix.rates"], &first["matrix.rates"]);
    assert!(then.iter().zip(first).all(|(then, first)| then >= first), "{then:?} {first:?}");
    assert_ne!(then, first);
}

/// The step after a boundary leaves nothing in the spans that were found there; and with all the
/// energy the layers rest, but for the bias.
#[test]
fn nothing_is_learned_within_the_span() {
    for (project, whole) in [(0.5, false), (1.0, true)] {
        let mut driver = driver(Config { project, ..small() });
        experience(&mut driver, 0, 0..3);
        begin(&mut driver, 1);
        let names = ["head.weight", "projector.0.weight"];
        let before = tensors(&mut driver, &NETS);
        step(&mut driver, 5);
        let after = tensors(&mut driver, &NETS);
        let spans = tensors(&mut driver, &["matrix.span."]);
        for (name, span) in names.into_iter().zip(["matrix.span.head", "matrix.span.projector"]) {
            let directions = spans[span].chunks(4);
            assert!(whole || directions.len() < 4, "{span}");
            let (mut within, mut all) = (0.0f64, 0.0f64);
            for (old, new) in before[name].chunks(4).zip(after[name].chunks(4)) {
                let moved: Vec<f64> =
                    old.iter().zip(new).map(|(o, n)| f64::from(*n) - f64::from(*o)).collect();
                all += moved.iter().map(|m| m * m).sum::<f64>();
                for u in directions.clone() {
                    let part: f64 = moved.iter().zip(u).map(|(m, u)| m * f64::from(*u)).sum();
                    within += part * part;
                }
            }
            // Weights near 1 are rounded at 6e-8 each.
            assert!(within.sqrt() <= 1e-6, "{name}: {within}");
            assert_eq!(all.sqrt() > 1e-3, !whole, "{name}: {all}");
        }
        assert_ne!(before["head.bias"], after["head.bias"]);
    }
}

/// The span of the head is that of the fused features of the memory: with as few samples as
/// directions, and all the energy, a step on the head alone leaves their logits, but for the bias.
#[test]
fn the_head_keeps_its_answers_to_the_memory() {
    let config = Config { project: 1.0, hidden: vec![5, 12], ssl_weight: 1.0, ..small() };
    let mut driver = driver(config);
    begin(&mut driver, 0);
    driver.script.draws = [memory(8, 1, 1), memory(8, 1, 2)].into();
    let held = of_memory(samples(3, 9), 1);
    driver.script.iterations = [vec![held.clone()], vec![]].into();
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    let old = tensors(&mut driver, &["head."]);
    let answer =
        |driver: &mut Driver<DualNet>| driver.predict("main", &held.views[0]).unwrap().unwrap();
    let before = answer(&mut driver);
    let state = driver.save().unwrap();
    driver.step(&samples(6, 3), &[]).unwrap();
    let new = tensors(&mut driver, &["head."]);
    driver.load(&with_head(&state, &new)).unwrap();
    let after = answer(&mut driver);
    for (i, (was, is)) in before.iter().zip(&after).enumerate() {
        let bias = new["head.bias"][i % CLASSES] - old["head.bias"][i % CLASSES];
        assert!((is - was - bias).abs() < 1e-4, "{i}: {was} {is} {bias}");
    }
    assert!(displacement(&old, &new).iter().any(|moved| moved.abs() > 1e-2));
}

/// A saved state with another head.
fn with_head(saved: &[u8], head: &std::collections::BTreeMap<String, Vec<f32>>) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(saved).unwrap();
    let metadata = safetensors::SafeTensors::read_metadata(saved).unwrap().1;
    let mut tensors: Vec<(String, Vec<u8>, Vec<usize>)> = Vec::new();
    for (name, view) in file.tensors() {
        let bytes = match head.get(&name) {
            Some(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            None => view.data().to_vec(),
        };
        tensors.push((name, bytes, view.shape().to_vec()));
    }
    let views = tensors.iter().map(|(name, bytes, shape)| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name.clone(), view.unwrap())
    });
    safetensors::serialize(views, metadata.metadata().clone()).unwrap()
}

/// Views that are all alike make every feature constant. Without an addition to the deviations its
/// correlation is no number: then nothing is known, and rates stay numbers.
#[test]
fn constant_features_own_nothing() {
    for eps_std in [0.0, 1e-6] {
        let unit_roles = Plasticity::Min;
        let mut driver = driver(Config { unit_roles, eps_std, ..small() });
        begin(&mut driver, 0);
        let constant = |groups| {
            let values = vec![0.5; 8 * groups as usize * WIDTH];
            let labels = vec![0; 8 * groups as usize];
            of_memory(Samples::new(&values, &labels).view(&values), groups)
        };
        driver.script.draws = [constant(1), constant(1)].into();
        driver.script.iterations = [vec![]].into();
        driver.end_experience(0).unwrap();
        begin(&mut driver, 1);
        driver.script.draws = [constant(2), constant(2)].into();
        let plain = |driver: &mut Driver<DualNet>, salt| {
            driver.step(&samples(6, salt), &[("replay", replay(5, salt))]).unwrap();
        };
        (0..2).for_each(|salt| plain(&mut driver, salt));
        let rates = tensors(&mut driver, &["matrix.rates"]);
        assert_eq!(rates["matrix.rates"], [1.0; 4], "{eps_std}");
    }
}
