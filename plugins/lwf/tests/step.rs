//! The loss of LwF and what it does before an experience: by hand, and as `sgd` where all classes
//! are known and nothing is kept; what is saved goes on the same; what is out of range is refused.

use perdura_lwf::{Config, Lwf};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn plain() -> Config {
    Config { lr: 0.5, weight_decay: 0.0, hidden: vec![4], ..Config::default() }
}

/// What the host goes over in `begin_experience`: batches of the warm-up, then all samples.
fn script(driver: &mut Driver<Lwf>, iterations: &[&[Samples]]) {
    driver.script.iterations.extend(iterations.iter().map(|batches| batches.to_vec()));
}

fn tensor(driver: &mut Driver<Lwf>, name: &str, shape: &[usize]) -> Vec<f32> {
    StateReader::from_bytes(&driver.save().unwrap()).unwrap().tensor(name, shape).unwrap()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32]) {
    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
}

/// No hidden layer, four classes, one input that is 0: the biases alone move. All weights 0.
fn by_hand(config: Config) -> Driver<Lwf> {
    let config = Config { hidden: vec![], ..config };
    let mut driver = Driver::<Lwf>::new(config, Setting::new(4, &[1])).unwrap();
    load(&mut driver, [0.0; 4]);
    driver
}

/// A learner that has met nothing yet, with these biases.
fn load(driver: &mut Driver<Lwf>, bias: [f32; 4]) {
    let mut state = StateWriter::new();
    state.tensor("head.weight", &[4, 1], &[0.0; 4]).unwrap();
    state.tensor("head.bias", &[4], &bias).unwrap();
    state.tensor("answers", &[0, 4], &[]).unwrap();
    state.value("answered", &[0u64; 0]).unwrap();
    state.value("seen", &[0u32; 0]).unwrap();
    state.value("old", &[0u32; 0]).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
}

fn zero(label: u32) -> Samples {
    Samples::new(&[0.0], &[label])
}

/// Two classes are known: −log 1/2, and the other two do not move.
#[test]
fn the_softmax_is_over_classes_seen() {
    let mut driver = by_hand(Config { lr: 0.1, ..plain() });
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let asked = driver.script.calls.iter().any(|(name, _)| name == "iterate");
    assert!(!asked, "nothing is gone over before the first experience");
    let report = driver.step(&zero(1), &[]).unwrap();
    assert!((report.scalar("loss").unwrap() - 2.0f64.ln()).abs() < 1e-6);
    assert_eq!(report.scalar("loss_kd"), None, "there are no old answers");
    assert_near(&tensor(&mut driver, "head.bias", &[4]), &[-0.05, 0.05, 0.0, 0.0]);
}

/// Recorded logits (2 log 3, 0) of the old classes are q = (3/4, 1/4) at T = 2. With the biases at 0
/// again p = (1/2, 1/2): L_old = log 2, its gradient (p − q)/T = (−1/8, 1/8), twice that for α = 2.
/// CE over three classes with label 2: log 3, gradient (1/3, 1/3, −2/3).
#[test]
fn old_answers_by_hand() {
    let config = Config { lr: 0.12, alpha: 2.0, warm_up: false, ..plain() };
    let mut driver = by_hand(config);
    load(&mut driver, [2.0 * 3.0f32.ln(), 0.0, 0.0, 0.0]);
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    script(&mut driver, &[&[zero(2)]]);
    driver.begin_experience_of(1, &[2]).unwrap();
    let recorded = driver.save().unwrap();
    let mut reset = StateReader::from_bytes(&recorded).unwrap();
    let answers = reset.tensor("answers", &[1, 4]).unwrap();
    assert_near(&answers, &[2.0 * 3.0f32.ln(), 0.0, 0.0, 0.0]);
    // The same with the biases at 0.
    let mut state = StateWriter::new();
    state.tensor("head.weight", &[4, 1], &[0.0; 4]).unwrap();
    state.tensor("head.bias", &[4], &[0.0; 4]).unwrap();
    state.tensor("answers", &[1, 4], &answers).unwrap();
    state.value("answered", &[0u64]).unwrap();
    state.value("seen", &[0, 1, 2]).unwrap();
    state.value("old", &[0, 1]).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    let report = driver.step(&zero(2), &[]).unwrap();
    let [ce, kd, loss] = ["loss_ce", "loss_kd", "loss"].map(|s| report.scalar(s).unwrap() as f32);
    assert_near(&[ce, kd, loss], &[3.0f32.ln(), 2.0f32.ln(), 3.0f32.ln() + 2.0 * 2.0f32.ln()]);
    assert_near(&tensor(&mut driver, "head.bias", &[4]), &[-0.01, -0.07, 0.08, 0.0]);
}

/// θ = (1, 0 | …) with both classes of equal logit but for the bias; 2·weight_decay·θ = 0.5 on the
/// first bias, whose cross-entropy gradient is q − 1 with q = e/(1 + e).
#[test]
fn weight_decay_by_hand() {
    let mut driver = by_hand(Config { lr: 0.1, weight_decay: 0.25, ..plain() });
    load(&mut driver, [1.0, 0.0, 0.0, 0.0]);
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let report = driver.step(&zero(0), &[]).unwrap();
    let q = 1.0f32.exp() / (1.0 + 1.0f32.exp());
    assert_near(&[report.scalar("loss").unwrap() as f32], &[-q.ln() + 0.25]);
    let expected = [1.0 - 0.1 * (q - 1.0 + 0.5), -0.1 * (1.0 - q), 0.0, 0.0];
    assert_near(&tensor(&mut driver, "head.bias", &[4]), &expected);
}

/// Classes 2 and 3 are new: their softmax gives 1/2 each, so with label 2 their biases go to ±lr/2;
/// the answers are those of after that.
#[test]
fn the_warm_up_moves_new_rows_alone_and_comes_before_the_answers() {
    let mut driver = by_hand(Config { lr: 0.1, ..plain() });
    load(&mut driver, [0.3, -0.2, 0.0, 0.0]);
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    (driver.epochs, driver.batch) = (Some(3), Some(7));
    script(&mut driver, &[&[zero(2)], &[zero(2), Samples { uids: Some(vec![8]), ..zero(3) }]]);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let expected = [0.3, -0.2, 0.05, -0.05];
    assert_near(&tensor(&mut driver, "head.bias", &[4]), &expected);
    assert_near(&tensor(&mut driver, "answers", &[2, 4]), &[expected, expected].concat());
    let plans: Vec<_> =
        driver.script.calls.iter().filter(|(name, _)| name == "iterate").map(|c| &c.1).collect();
    let of = |i: usize| (&plans[i]["epochs"], &plans[i]["batch"], &plans[i]["profile"]);
    assert!(of(0) == (&3.into(), &7.into(), &"train".into()), "{:?}", plans[0]);
    assert!(of(1) == (&1.into(), &100.into(), &"none".into()), "{:?}", plans[1]);
    assert!(plans[0]["shuffled"] == true && plans[1]["shuffled"] == false);
}

/// The features below the head stay what they are, to the byte.
#[test]
fn the_warm_up_leaves_the_backbone_alone() {
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, ..plain() };
    let mut driver = Driver::<Lwf>::new(config, Setting::new(4, &[1, 8, 8])).unwrap();
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
    let samples = [Samples::new(&inputs, &[2, 3])];
    let bytes = |driver: &mut Driver<Lwf>| {
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        let mut read = |name: &str, shape: &[usize]| saved.tensor(name, shape).unwrap();
        let below = [read("conv1.weight", &[2, 1, 3, 3]), read("bn1.running_mean", &[2])].concat();
        (below, read("head.weight", &[4, 16]))
    };
    let (below, head) = bytes(&mut driver);
    script(&mut driver, &[&samples, &samples]);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let (below_after, head_after) = bytes(&mut driver);
    assert_eq!((below, &head[..32]), (below_after, &head_after[..32]));
    assert_ne!(head[32..], head_after[32..]);
}

#[test]
fn with_all_classes_known_and_nothing_kept_it_is_sgd_to_the_byte() {
    let new = |config| Driver::<Lwf>::new(config, Setting::new(3, &[3]).seed(9)).unwrap();
    let mut first = new(plain());
    let mut off = new(Config { alpha: 0.0, warm_up: false, ..plain() });
    let device = perdura_nn::device("flex", 0).unwrap();
    let shape = NetShape { backbone: BackboneConfig::mlp(&[4]), input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&first.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    first.begin_experience_of(0, &[0, 1, 2]).unwrap();
    off.begin_experience_of(0, &[0, 1, 2]).unwrap();
    for step in 0..10 {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(&tracked, loss.backward(), 0.5);
        first.observe(&INPUTS, &LABELS).unwrap();
        off.observe(&INPUTS, &LABELS).unwrap();
        if step == 4 {
            off.end_experience(0).unwrap();
            script(&mut off, &[&[]]);
            off.begin_experience_of(1, &[0, 2]).unwrap();
        }
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    let mut expected = StateReader::from_bytes(&expected.into_bytes().unwrap()).unwrap();
    for (name, shape) in [("fc1.weight", vec![4, 3]), ("fc1.bias", vec![4]), ("head.bias", vec![3])]
    {
        let expected = expected.tensor(name, &shape).unwrap();
        assert_eq!(tensor(&mut first, name, &shape), expected, "{name}");
        assert_eq!(tensor(&mut off, name, &shape), expected, "{name}");
    }
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    for backbone in [BackboneKind::Mlp, BackboneKind::Resnet18] {
        let config = Config { backbone, width: 2, lr: 0.05, hidden: vec![4], ..Config::default() };
        let new =
            || Driver::<Lwf>::new(config.clone(), Setting::new(4, &[1, 8, 8]).seed(9)).unwrap();
        let (mut first, mut second) = (new(), new());
        let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
        let batch = |labels| Samples::new(&inputs, labels);
        first.begin_experience_of(0, &[0, 1]).unwrap();
        first.step(&batch(&[0, 1]), &[]).unwrap();
        first.end_experience(0).unwrap();
        script(&mut first, &[&[batch(&[3, 2])], &[batch(&[3, 2])]]);
        first.begin_experience_of(1, &[2, 3]).unwrap();
        first.step(&batch(&[3, 2]), &[]).unwrap();
        // In mid-experience, with old answers.
        second.load(&first.save().unwrap()).unwrap();
        for driver in [&mut first, &mut second] {
            let report = driver.step(&batch(&[3, 2]), &[]).unwrap();
            let kept = report.scalar("loss_kd").unwrap();
            assert!(kept.is_finite() && (kept > 0.0 || backbone == BackboneKind::Resnet18));
            driver.end_experience(1).unwrap();
        }
        assert_eq!(first.save().unwrap(), second.save().unwrap(), "{backbone:?}");
        assert!(tensor(&mut first, "answers", &[0, 4]).is_empty(), "they are gone at the end");
    }
}

#[test]
fn samples_that_were_not_announced_are_errors() {
    let mut driver = by_hand(Config { warm_up: false, ..plain() });
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let error = driver.step(&zero(3), &[]).unwrap_err().to_string();
    assert!(error.contains("a sample of class 3, but the experience"), "{error}");
    script(&mut driver, &[&[zero(2)]]);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let stranger = Samples { uids: Some(vec![5]), ..zero(2) };
    let error = driver.step(&stranger, &[]).unwrap_err().to_string();
    assert!(error.contains("sample 5 was not there when the experience began"), "{error}");
}

#[test]
fn what_is_out_of_range_is_refused() {
    let refused = |config, setting| {
        Driver::<Lwf>::new(config, setting).err().expect("it is refused").to_string()
    };
    let of = |config| refused(config, Setting::new(3, &[3]));
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..plain() };
    let cases = [
        (Config { lr: 0.0, ..plain() }, "`lr`: expected a number above 0, found 0"),
        (
            Config { temperature: 0.0, ..plain() },
            "`temperature`: expected a number above 0, found 0",
        ),
        (Config { alpha: -1.0, ..plain() }, "`alpha`: expected a number from 0, found -1"),
        (
            Config { weight_decay: -0.5, ..plain() },
            "`weight_decay`: expected a number from 0, found -0.5",
        ),
        (
            Config { hidden: vec![4, 0], ..plain() },
            "`hidden`: expected widths of at least 1, found 0",
        ),
        (residual(0), "`width`: expected at least 1, found 0"),
        (
            residual(2),
            "`backbone`: expected `mlp`, or inputs of shape [channels, height, width], found a \
             ResNet for inputs of shape [3]",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(of(config), format!("hyper-parameter {expected}"));
    }
    let mut online = Setting::new(3, &[3]);
    online.context.grants.second_pass = false;
    let mut domains = Setting::new(3, &[3]);
    domains.context.grants.experience_classes = false;
    for setting in [online, domains] {
        let error = refused(plain(), setting);
        assert!(error.contains("must know the classes of an experience"), "{error}");
    }
}
