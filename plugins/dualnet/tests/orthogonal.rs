//! OGD on copies of DualNet's slow network (algorithm specification 3.5), through the messages of a
//! host: trajectories, the basis in the saved state, and what is reported. What is refused:
//! `orthogonal_refusals.rs`.

mod support;

use perdura_dualnet::{Anchors, BackboneKind, BasisKind, Config, DualNet, HeadKind};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Position, StateWriter};
use std::collections::BTreeMap;
use support::*;

const NETS: [&str; 4] = ["slow.", "projector.", "fast.", "head."];

/// Nothing replayed or kept but gradients.
fn plain() -> Config {
    Config { lambda_tr: 0.0, replay: 0, ssl_weight: 0.0, ..config() }
}

/// Both copies apart from the slow network, and all directions taken.
fn spared(anchors: Anchors) -> Config {
    let config = Config { lambda_tr: 0.0, replay: 0, beta: 0.3, k: 2, ..config() };
    Config { anchors, ogd_samples: 10, tau_rank: 1e-3, alpha_ema: 0.9, ..config }
}

fn at(driver: &mut Driver<DualNet>, experience: u32, step_in_epoch: u64) {
    let (epoch, epochs, steps_per_epoch) = (0, 1, 6);
    driver.position = Some(Position { experience, epoch, epochs, step_in_epoch, steps_per_epoch });
}

/// Samples of the two classes of an experience.
fn of_experience(count: usize, experience: u32, salt: u32) -> Samples {
    let labels: Vec<u32> = (0..count as u32).map(|i| 2 * experience + (i + salt) % 2).collect();
    let samples = Samples::new(&inputs(count, WIDTH, salt), &labels);
    Samples { experiences: Some(vec![experience; count]), ..samples }
}

/// Six batches of an experience, and its end.
fn learn(driver: &mut Driver<DualNet>, experience: u32) {
    driver.begin_experience_of(experience, &[2 * experience, 2 * experience + 1]).unwrap();
    for step in 0..6 {
        at(driver, experience, step);
        let salt = 10 * experience + step as u32;
        driver.script.draws.push_back(of_experience(4, 0, 70 + salt));
        let replayed = of_experience(4, 0, 300 + salt);
        let answers = inputs(4, CLASSES, salt + 9000);
        let mut draws = vec![("replay", replayed.column("logits", &answers))];
        if driver.declaration.requests.iter().any(|request| request.name == "ssl") {
            draws.push(("ssl", views(8, 100 + salt)));
            draws.push(("ssl", views(8, 500 + salt)));
        }
        driver.step(&of_experience(6, experience, salt), &draws).unwrap();
    }
    end(driver, experience);
}

fn end(driver: &mut Driver<DualNet>, experience: u32) {
    driver.script.iterations.push_back(vec![of_experience(10, experience, 900 + experience)]);
    driver.script.iterations.push_back(vec![]);
    driver.end_experience(experience).unwrap();
    driver.script.iterations.clear();
}

/// Directions held after each experience, as they were told to the host.
fn held(driver: &Driver<DualNet>) -> Vec<u64> {
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    events.map(|(_, event)| event["data"]["held"].as_u64().unwrap()).collect()
}

fn trained(config: Config, experiences: u32) -> Driver<DualNet> {
    let mut driver = driver(config);
    (0..experiences).for_each(|experience| learn(&mut driver, experience));
    driver
}

/// The tensors that supervision trains, one vector in the order of the basis: weights as memory
/// holds them, `[in, out]`.
fn supervised(tensors: &BTreeMap<String, Vec<f32>>) -> Vec<f64> {
    let layers = ["slow.fc1", "slow.fc2", "fast.fc1", "fast.fc2", "head"];
    let mut all = Vec::new();
    for layer in layers {
        let (weight, bias) =
            (&tensors[&format!("{layer}.weight")], &tensors[&format!("{layer}.bias")]);
        let (outputs, width) = (bias.len(), weight.len() / bias.len());
        let entry = |at: usize| f64::from(weight[(at % outputs) * width + at / outputs]);
        all.extend((0..weight.len()).map(entry));
        all.extend(bias.iter().map(|&v| f64::from(v)));
    }
    all
}

/// The directions of a saved state, experience after experience.
fn directions(driver: &mut Driver<DualNet>) -> Vec<Vec<f64>> {
    let tensors = tensors(driver, &["basis.network.", "slow.", "fast.", "head."]);
    let width = supervised(&tensors).len();
    let parts = tensors.iter().filter(|(name, _)| name.ends_with(".directions"));
    let rows = parts.flat_map(|(_, values)| values.chunks(width));
    rows.map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A saved state with the networks alone, as a learner without anchors takes it.
fn networks_of(state: &[u8]) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(state).unwrap();
    let mut networks = StateWriter::new();
    for (name, view) in file.tensors() {
        if NETS.iter().any(|net| name.starts_with(net)) {
            let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            let values: Vec<f32> = view.data().chunks_exact(4).map(word).collect();
            networks.tensor(&name, view.shape(), &values).unwrap();
        }
    }
    networks.value("supervised_steps", &0).unwrap();
    networks.value("classes_of_experiences", &BTreeMap::<u32, Vec<u32>>::new()).unwrap();
    networks.into_bytes().unwrap()
}

/// A learner in a saved state; without anchors in what it has of it.
fn loaded(config: Config, state: &[u8]) -> Driver<DualNet> {
    let plain = config.anchors == Anchors::None;
    let mut driver = driver(config);
    match plain {
        true => driver.load(&networks_of(state)).unwrap(),
        false => driver.load(state).unwrap(),
    }
    driver
}

/// `−lr·g` of one supervised step, from a state that is given.
fn supervised_step(config: Config, state: &[u8], lr: f64) -> (Vec<f64>, Driver<DualNet>) {
    let mut driver = loaded(Config { lr, ssl_weight: 0.0, ..config }, state);
    let before = supervised(&tensors(&mut driver, &NETS));
    at(&mut driver, 1, 0);
    driver.step(&of_experience(6, 1, 40), &[]).unwrap();
    let after = supervised(&tensors(&mut driver, &NETS));
    (plus(&after, -1.0, &before), driver)
}

/// Off, there is nothing of it: no scalar, no tensor, no call of the host.
#[test]
fn without_anchors_nothing_is_added() {
    let mut driver = driver(Config { lambda_tr: 0.0, ..config() });
    let names: Vec<&str> = driver.declaration.scalars.iter().map(String::as_str).collect();
    let own = ["loss", "loss_ce", "loss_ce_replay", "loss_kd", "loss_ssl"];
    let moves = ["slow_move_ssl", "slow_move_sup", "slow_move_ratio"];
    assert_eq!(names, [&own[..], &moves].concat());
    let report = step(&mut driver, 0);
    driver.end_experience(0).unwrap();
    assert!(driver.script.calls.is_empty());
    assert_eq!((report.scalar("directions"), report.scalar("gradient_kept")), (None, None));
    let kept = tensors(&mut driver, &[""]);
    assert!(kept.keys().all(|name| NETS.iter().any(|net| name.starts_with(net))), "{kept:?}");
}

/// Without a direction, that is in the first experience, it is DualNet to the byte, and the copies
/// teach nobody.
#[test]
fn the_first_experience_is_plain_dualnet() {
    let mut expected = trained(spared(Anchors::None), 1);
    for anchors in [Anchors::Working, Anchors::Segments, Anchors::Chords] {
        let mut found = trained(spared(anchors), 1);
        assert_eq!(tensors(&mut found, &NETS), tensors(&mut expected, &NETS), "{anchors:?}");
        assert!(held(&found)[0] > 0);
    }
}

/// Without self-supervision there is no look-ahead and φ̃_K is φ; with α = 0 the average is φ too:
/// the trajectory is OGD's at (φ, θ), and chords are zero and refused.
#[test]
fn coinciding_anchors_are_plain_ogd() {
    let together = |anchors| Config { ssl_weight: 0.0, alpha_ema: 0.0, ..spared(anchors) };
    let mut plain = trained(together(Anchors::Working), 2);
    for anchors in [Anchors::Segments, Anchors::Chords] {
        let mut other = trained(together(anchors), 2);
        assert_eq!(tensors(&mut other, &NETS), tensors(&mut plain, &NETS), "{anchors:?}");
        assert_eq!(held(&other), held(&plain), "{anchors:?}");
        assert_eq!(
            tensors(&mut other, &["basis."]),
            tensors(&mut plain, &["basis."]),
            "{anchors:?}"
        );
    }
}

/// Copies that lag give other directions, chords at most two more (the third is their difference),
/// and none of it is what happens without anchors.
#[test]
fn anchors_apart_make_a_difference() {
    let of = |anchors| {
        let mut driver = trained(spared(anchors), 2);
        (tensors(&mut driver, &NETS), held(&driver))
    };
    let [none, plain, segments, chords] =
        [Anchors::None, Anchors::Working, Anchors::Segments, Anchors::Chords].map(of);
    assert_ne!(plain.0, none.0);
    assert_ne!(segments.0, plain.0);
    assert_ne!(chords.0, plain.0);
    assert!(chords.1[0] > plain.1[0] && chords.1[0] <= plain.1[0] + 2, "{:?}", chords.1);
}

/// φ̃_K is where the copy stands after its K steps, before β takes it back: where the whole slow
/// network stands with β = 1. Rates of supervision are too small to move anything.
#[test]
fn the_first_copy_is_the_end_of_the_look_ahead() {
    let one_batch = |beta, n_outer| {
        let mut driver = driver(Config { beta, n_outer, lr: 1e-30, ..spared(Anchors::Segments) });
        at(&mut driver, 0, 0);
        let draws: Vec<_> = (0..2 * n_outer as u32).map(|i| ("ssl", views(8, 100 + i))).collect();
        driver.step(&of_experience(6, 0, 0), &draws).unwrap();
        driver
    };
    let slow = |driver: &mut Driver<DualNet>, prefix: &str| {
        let tensors = tensors(driver, &[prefix]);
        tensors.into_iter().map(|(name, v)| (name[prefix.len()..].to_string(), v)).collect()
    };
    let expected: BTreeMap<String, Vec<f32>> = slow(&mut one_batch(1.0, 1), "slow.");
    let mut found = one_batch(0.05, 1);
    assert_eq!(slow(&mut found, "ahead."), expected);
    assert_ne!(slow(&mut found, "slow."), expected);
    // Of several look-aheads it is the last one's.
    assert_ne!(slow(&mut one_batch(0.05, 2), "ahead."), expected);
    // A batch without views has no look-ahead, and φ̃_K is φ.
    found.step(&of_experience(6, 0, 1), &[]).unwrap();
    let now: BTreeMap<String, Vec<f32>> = slow(&mut found, "slow.");
    assert_eq!(slow(&mut found, "ahead."), now);
}

/// With α = 0.6 the first batch counts half by the warm-up (n = 1), the second 0.4 (1 − 1/3 would
/// be more): φ_EMA = 0.6·(φ_0/2 + φ_1/2) + 0.4·φ_2.
#[test]
fn the_second_copy_is_a_moving_average_over_batches() {
    let mut driver = driver(Config { alpha_ema: 0.6, sup_steps: 2, ..spared(Anchors::Segments) });
    let mut stands = vec![tensors(&mut driver, &["slow."])];
    for salt in 0..2 {
        at(&mut driver, 0, u64::from(salt));
        let draws = [("ssl", views(8, salt)), ("ssl", views(8, 50 + salt))];
        driver.step(&of_experience(6, 0, salt), &draws).unwrap();
        stands.push(tensors(&mut driver, &["slow."]));
    }
    for (name, average) in tensors(&mut driver, &["average."]) {
        let name = name.replace("average.", "slow.");
        let [a, b, c] = [0, 1, 2].map(|i: usize| &stands[i][&name]);
        for (at, found) in average.iter().enumerate() {
            let expected = 0.3 * a[at] + 0.3 * b[at] + 0.4 * c[at];
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
        }
        assert_ne!(&average, c, "{name}");
    }
}

/// Q is orthonormal to 1e-4 over two experiences, and `‖Qᵀg̃‖ ≤ 1e-4·‖g‖` for what a step goes,
/// where g is the step without anchors.
#[test]
fn nothing_goes_along_an_orthonormal_basis() {
    for anchors in [Anchors::Working, Anchors::Segments, Anchors::Chords] {
        let mut driver = trained(spared(anchors), 2);
        let (q, state) = (directions(&mut driver), driver.save().unwrap());
        assert!(q.len() > 10, "{}", q.len());
        for (i, a) in q.iter().enumerate() {
            for (j, b) in q.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(a, b) - expected).abs() < 1e-4, "{anchors:?}: {i} {j} {}", dot(a, b));
            }
        }
        let (free, _) = supervised_step(spared(Anchors::None), &state, 1.0);
        let (projected, _) = supervised_step(spared(anchors), &state, 1.0);
        let along: Vec<f64> = q.iter().map(|q| dot(q, &projected)).collect();
        assert!(norm(&along) <= 1e-4 * norm(&free), "{anchors:?}: {}", norm(&along));
        let was: Vec<f64> = q.iter().map(|q| dot(q, &free)).collect();
        assert!(norm(&was) > 0.1 * norm(&free), "the test would be vacuous: {}", norm(&was));
        assert!(norm(&projected) > 0.01 * norm(&free), "something is left to learn with");
    }
}

/// At the network where directions were taken the first-order change of a spared logit is 0:
/// halving the rate quarters it. Without the projection it halves.
#[test]
fn spared_logits_change_in_the_second_order_only() {
    let mut driver = trained(Config { tau_rank: 1e-4, ..spared(Anchors::Working) }, 1);
    let (state, spared_samples) = (driver.save().unwrap(), of_experience(10, 0, 900));
    let logits = |driver: &mut Driver<DualNet>| -> Vec<f64> {
        let all = driver.predict("main", &spared_samples.views[0]).unwrap().unwrap();
        let own = spared_samples.labels.iter().enumerate();
        own.map(|(i, label)| f64::from(all[i * CLASSES + *label as usize])).collect()
    };
    let before = logits(&mut driver);
    let change = |anchors, lr| {
        let (_, mut moved) = supervised_step(spared(anchors), &state, lr);
        norm(&plus(&logits(&mut moved), -1.0, &before))
    };
    let (full, half) = (change(Anchors::Working, 0.02), change(Anchors::Working, 0.01));
    let free = change(Anchors::None, 0.02) / change(Anchors::None, 0.01);
    assert!((full / half - 4.0).abs() < 0.8, "{full} {half}");
    assert!((free - 2.0).abs() < 0.3, "{free}");
    assert!(change(Anchors::None, 0.01) > 5.0 * half, "{half}");
}

/// Self-supervision moves the slow network as without anchors, to the byte, and the projector is
/// moved by it alone.
#[test]
fn self_supervision_is_not_projected() {
    let state = trained(spared(Anchors::Working), 1).save().unwrap();
    let after = |anchors| {
        let mut driver = loaded(Config { lr: 1e-30, ..spared(anchors) }, &state);
        let before = tensors(&mut driver, &NETS);
        at(&mut driver, 1, 0);
        let draws = [("ssl", views(8, 1)), ("ssl", views(8, 2))];
        driver.step(&of_experience(6, 1, 40), &draws).unwrap();
        let after = tensors(&mut driver, &NETS);
        assert_ne!(after["slow.fc1.weight"], before["slow.fc1.weight"]);
        after
    };
    assert_eq!(after(Anchors::Working), after(Anchors::None));
    let mut stepped = supervised_step(spared(Anchors::Working), &state, 0.2).1;
    let mut before = loaded(spared(Anchors::Working), &state);
    assert_eq!(tensors(&mut stepped, &["projector."]), tensors(&mut before, &["projector."]));
}

/// What supervision does not train is not part of the basis and stays where it is: the slow network
/// with `sup_updates_slow = false`, the projector always, heads of their own.
#[test]
fn the_basis_is_about_what_supervision_trains() {
    let width = |config: Config| {
        let mut driver = trained(config, 2);
        let energy = tensors(&mut driver, &["basis.network.0.energy"]);
        let count = energy.values().next().unwrap().len().isqrt();
        let all = tensors(&mut driver, &["basis.network.0.directions"]);
        all.values().next().unwrap().len() / count
    };
    // 6 inputs, 5 and 4 units: 35 + 24 numbers in either network, 4·4 + 4 in the head.
    let segments = || spared(Anchors::Segments);
    assert_eq!(width(segments()), 59 + 59 + 20);
    assert_eq!(width(Config { head: HeadKind::TaskAware, ..segments() }), 59 + 59);
    assert_eq!(width(Config { fast: false, ..segments() }), 59 + 20);
    let apart = || Config { sup_updates_slow: false, ..segments() };
    assert_eq!(width(apart()), 59 + 20);
    let state = trained(apart(), 1).save().unwrap();
    let mut stepped = supervised_step(apart(), &state, 0.2).1;
    let mut before = loaded(apart(), &state);
    assert_eq!(tensors(&mut stepped, &["slow."]), tensors(&mut before, &["slow."]));
    assert_ne!(tensors(&mut stepped, &["fast."]), tensors(&mut before, &["fast."]));
}

/// The capacity holds over a life, and directions do not become fewer.
#[test]
fn a_small_capacity_is_shared_between_experiences() {
    let held = held(&trained(Config { capacity: 12, ..spared(Anchors::Segments) }, 2));
    assert_eq!(held, [10, 12]);
    let one = self::held(&trained(Config { capacity: 1, ..spared(Anchors::Working) }, 2));
    assert_eq!(one, [1, 1]);
}

/// Samples are gone over once, as in a test, and their number is told; old answers are kept beside.
#[test]
fn an_experience_that_ends_is_gone_over_once() {
    let mut driver = driver(Config { lambda_tr: 10.0, replay: 5, ..spared(Anchors::Working) });
    at(&mut driver, 0, 0);
    driver.script.iterations.push_back(vec![of_experience(10, 0, 900)]);
    driver.script.iterations.push_back(vec![of_experience(3, 0, 5)]);
    driver.end_experience(0).unwrap();
    let asked: Vec<_> = driver.script.calls.iter().filter(|(name, _)| name == "iterate").collect();
    assert_eq!(
        (&asked[0].1["source"], &asked[0].1["profile"]),
        (&"current".into(), &"none".into())
    );
    assert_eq!((&asked[0].1["batch"], &asked[0].1["shuffled"]), (&10.into(), &true.into()));
    assert_eq!(asked[1].1["filter"], "finished");
    assert_eq!(driver.script.written.len(), 1, "old answers are written");
    let told = driver.script.calls.iter().find(|(name, _)| name == "report_event").unwrap();
    assert_eq!((&told.1["kind"], &told.1["data"]["taken"]), (&"directions".into(), &10.into()));
}

/// `directions` and `gradient_kept` in every batch; `coverage` at the end of an epoch once the
/// memory has samples of earlier experiences.
#[test]
fn coverage_is_reported_at_the_end_of_an_epoch() {
    let mut driver = driver(Config { coverage: 4, ..spared(Anchors::Segments) });
    let mut step = |experience, step_in_epoch, past: usize| {
        at(&mut driver, experience, step_in_epoch);
        driver.script.draws.push_back(of_experience(past, 0, 900));
        let salt = step_in_epoch as u32;
        let draws = [("ssl", views(8, salt)), ("ssl", views(8, 50 + salt))];
        let report = driver.step(&of_experience(6, experience, salt), &draws).unwrap();
        driver.script.draws.clear();
        if step_in_epoch == 5 {
            end(&mut driver, experience);
        }
        let of = |name: &str| report.scalar(name);
        (of("coverage"), of("directions").unwrap(), of("gradient_kept").unwrap())
    };
    assert_eq!(step(0, 5, 0), (None, 0.0, 1.0));
    let (coverage, directions, kept) = step(1, 4, 4);
    assert_eq!((coverage, directions), (None, 10.0));
    assert!(kept > 0.0 && kept < 0.999, "{kept}");
    // Samples whose gradients were taken, a few steps later.
    let coverage = step(1, 5, 4).0.unwrap();
    assert!(coverage > 0.5 && coverage < 1.0, "{coverage}");
    let asked = driver.script.calls.iter().filter(|(name, _)| name == "draw");
    let filters: Vec<_> = asked.map(|(_, request)| request["filter"].clone()).collect();
    assert_eq!(filters, ["past", "past"]);
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let settings = [
        spared(Anchors::Working),
        Config { capacity: 7, ..spared(Anchors::Segments) },
        Config { basis: BasisKind::Layers, ..spared(Anchors::Segments) },
        Config { replay: 4, lambda_tr: 10.0, slow_readout: true, ..spared(Anchors::Chords) },
        Config { head: HeadKind::TaskAware, replay: 4, ..spared(Anchors::Chords) },
    ];
    for config in settings {
        let mut first = trained(config.clone(), 1);
        let saved = first.save().unwrap();
        // Calls carry seeds that count up.
        let mut second = trained(config.clone(), 1);
        at(&mut second, 1, 0);
        second
            .step(&of_experience(6, 1, 77), &[("ssl", views(8, 1)), ("ssl", views(8, 2))])
            .unwrap();
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved);
        learn(&mut first, 1);
        learn(&mut second, 1);
        assert_eq!(first.save().unwrap(), second.save().unwrap(), "{config:?}");
        assert_ne!(first.save().unwrap(), saved);
    }
}

/// On a ResNet layers have bases of their own; what was taken is covered, and running statistics go
/// on as they would.
#[test]
fn layers_of_a_resnet_have_bases_of_their_own() {
    let input = [1, 16, 16];
    let images = |count: usize, salt| {
        let labels: Vec<u32> = (0..count as u32).map(|i| i % 2).collect();
        Samples::new(&inputs(count, 256, salt), &labels)
    };
    let config = Config {
        anchors: Anchors::Segments,
        basis: BasisKind::Layers,
        backbone: BackboneKind::Resnet18,
        width: 2,
        ogd_samples: 5,
        coverage: 5,
        lr: 1e-6,
        ..plain()
    };
    let mut driver = Driver::<DualNet>::new(config, Setting::new(CLASSES, &input).seed(3)).unwrap();
    at(&mut driver, 0, 0);
    driver.step(&images(6, 0), &[]).unwrap();
    driver.script.iterations.push_back(vec![images(5, 900)]);
    driver.end_experience(0).unwrap();
    let running = tensors(&mut driver, &["slow.bn1.running_mean"]);
    at(&mut driver, 1, 5);
    driver.script.draws.push_back(images(5, 900));
    let report = driver.step(&images(6, 1), &[]).unwrap();
    assert!(report.scalar("coverage").unwrap() > 0.9, "{:?}", report.scalar("coverage"));
    assert!(report.scalar("gradient_kept").unwrap() < 0.999);
    assert_ne!(tensors(&mut driver, &["slow.bn1.running_mean"]), running);
    let kernel = tensors(&mut driver, &["basis.slow.conv1.weight.0.directions"]);
    assert_eq!(kernel.values().next().unwrap().len() % 9, 0);
}
