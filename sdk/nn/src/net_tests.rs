//! Networks made from a context, their sizes, and what training does to running statistics.

use perdura_sdk::prelude::*;
use perdura_sdk::testing::{Driver, Setting};

use super::*;
use crate::{BackboneKind, TensorMut, losses, state};

hyper_parameters! {
    /// The three of a backbone.
    struct Config {
        backbone: BackboneKind = BackboneKind::Mlp,
        hidden: Vec<usize> = vec![4],
        width: usize = 2,
    }
}

impl Config {
    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// Checks its network against one made by hand, and answers nothing.
struct Check;

impl ContinualLearner for Check {
    type Config = Config;

    fn about() -> About {
        About::new("checks its network")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        let network = Net::of(ctx, &config.backbone())?;
        let input = ctx.input_shape.clone();
        let shape = NetShape { backbone: config.backbone(), input, classes: 3 };
        let device = crate::device("flex", ctx.call.seed())?;
        let by_hand = Net::new(&shape, &mut ctx.call.rng("init"), &device)?;
        let width = ctx.input_width();
        let inputs = network.rows(&[&vec![1.0; width], &vec![2.0; 2 * width]]);
        assert_eq!((inputs.dims(), network.logits(&[&[0.0; 6]]).dims()), ([3, width], [2, 3]));
        assert_eq!(network.labels(&[&[0], &[2, 1]]).dims(), [3]);
        let logits = |net: &Net| net.forward(inputs.clone()).into_data();
        assert_eq!(logits(&network), logits(&by_hand));
        Ok(Check)
    }

    fn observe(&mut self, _: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        Ok(StepReport::new())
    }

    fn predict(&mut self, _: &Query<'_>, _: &mut Logits<'_>) -> Result<()> {
        Ok(())
    }

    fn save(&self, _: &mut StateWriter) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

fn made(config: Config, input: &[usize]) -> std::result::Result<(), String> {
    let learner = Driver::<Check>::new(config, Setting::new(3, input).seed(5));
    learner.map(drop).map_err(|e| e.to_string())
}

#[test]
fn a_network_takes_its_sizes_and_chance_from_the_context() {
    let mlp = |hidden| Config { hidden, ..Config::default() };
    assert_eq!(made(mlp(vec![4]), &[1, 2, 3]), Ok(()));
    assert_eq!(made(mlp(vec![]), &[1, 2, 3]), Ok(()));
    for backbone in [BackboneKind::Resnet18, BackboneKind::Resnet18Pool] {
        assert_eq!(made(Config { backbone, ..Config::default() }, &[3, 8, 8]), Ok(()));
    }
}

#[test]
fn sizes_of_zero_and_networks_that_do_not_fit_are_refused() {
    let refused = |config, input: &[usize]| made(config, input).unwrap_err();
    assert_eq!(
        refused(Config { hidden: vec![4, 0], ..Config::default() }, &[6]),
        "hyper-parameter `hidden`: expected widths of at least 1, found 0"
    );
    let resnet = Config { backbone: BackboneKind::Resnet18, ..Config::default() };
    assert_eq!(
        refused(Config { width: 0, ..resnet.clone() }, &[3, 8, 8]),
        "hyper-parameter `width`: expected at least 1, found 0"
    );
    assert_eq!(
        refused(resnet, &[784]),
        "hyper-parameter `backbone`: expected `mlp`, or inputs of shape [channels, height, width], \
         found a ResNet for inputs of shape [784]"
    );
}

fn net(kind: BackboneKind, width: usize, input: &[usize], classes: usize) -> Net {
    let device = crate::device("flex", 0).unwrap();
    let backbone = BackboneConfig { kind, width, ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: input.to_vec(), classes };
    Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap()
}

/// A small ResNet, four inputs for it and their labels.
fn small() -> (Net, Tensor<2>, Tensor<1, Int>) {
    let net = net(BackboneKind::Resnet18, 2, &[1, 8, 8], 2);
    let pixels: Vec<f32> = (0..256).map(|i| (i * i % 97) as f32 / 97.0).collect();
    let (x, y) = (net.rows(&[&pixels]), net.labels(&[&[0, 1, 1, 0]]));
    (net, x, y)
}

fn saved(net: &Net) -> Vec<u8> {
    let mut state = StateWriter::new();
    state::save(net, "", &mut state).unwrap();
    state.into_bytes().unwrap()
}

fn buffers(net: &Net) -> Vec<f32> {
    let mut net = net.clone();
    let tensors = net.tensors_mut().into_iter();
    let running = tensors.filter_map(|(_, tensor)| match tensor {
        TensorMut::Running(t) => Some(t.to_data().try_to_vec::<f32>().unwrap()),
        _ => None,
    });
    running.flatten().collect()
}

/// The counts of the papers: 784-100-100-10, and the CIFAR ResNet-18 with 10, 100 and 200 classes.
#[test]
fn networks_have_the_published_sizes() {
    let mlp = net(BackboneKind::Mlp, 64, &[1, 28, 28], 10);
    assert_eq!((mlp.parameter_count(), mlp.buffer_count(), mlp.bytes()), (89_610, 0, 358_440));
    for (classes, parameters) in [(10, 11_173_962), (100, 11_220_132), (200, 11_271_432)] {
        let resnet = net(BackboneKind::Resnet18, 64, &[3, 32, 32], classes);
        assert_eq!((resnet.parameter_count(), resnet.buffer_count()), (parameters, 2 * 4_800));
    }
}

#[test]
fn names_are_pytorchs() {
    let names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "head.weight", "head.bias"];
    assert_eq!(net(BackboneKind::Mlp, 64, &[784], 10).names(), names);
    let names = net(BackboneKind::Resnet18, 2, &[3, 8, 8], 10).names();
    assert_eq!((&*names[0], &*names[names.len() - 1]), ("conv1.weight", "head.bias"));
}

/// A step moves parameters and running statistics, and what it leaves carries no gradients.
#[test]
fn descend_takes_over_the_running_statistics() {
    let (mut net, x, y) = small();
    let (before, untouched) = (buffers(&net), saved(&net));
    let mut tracked = net.tracked();
    let loss = losses::cross_entropy(tracked.forward_train(x.clone()).unwrap(), y);
    assert_eq!(saved(&net), untouched);
    let moved = buffers(&tracked);
    net.descend(tracked, loss.backward(), 0.1);
    assert_eq!(buffers(&net), moved);
    assert_ne!(buffers(&net), before);
    assert!(!net.forward(x).is_autodiff());
}

/// In place or not, and whoever else holds the memory: a step is the same step, and no other handle
/// of the parameters sees it.
#[test]
fn a_tracked_copy_may_be_given_or_lent() {
    let (net, x, y) = small();
    let stepped = |lend: bool| {
        let mut net = net.clone();
        let mut tracked = net.tracked();
        let loss = losses::cross_entropy(tracked.forward_train(x.clone()).unwrap(), y.clone());
        match lend {
            true => net.descend(&tracked, loss.backward(), 0.1),
            false => net.descend(tracked, loss.backward(), 0.1),
        }
        saved(&net)
    };
    let before = saved(&net);
    assert_eq!(stepped(true), stepped(false));
    assert_ne!(stepped(false), before);
    assert_eq!(saved(&net), before);
}

/// A pass in training mode without gradients moves the network's own statistics and nothing else.
#[test]
fn a_teacher_keeps_its_own_statistics() {
    let (mut net, x, _) = small();
    let before = net.clone();
    net.forward_train(x).unwrap();
    assert_ne!(buffers(&net), buffers(&before));
    let statistics_apart = |name: &String| !name.contains("running");
    assert_eq!(parameters(&net), parameters(&before));
    assert_eq!(net.names().into_iter().filter(statistics_apart).count(), 62);
}

fn parameters(net: &Net) -> Vec<f32> {
    let mut net = net.clone();
    let values = |(_, tensor)| match tensor {
        TensorMut::Vector(t) => t.to_data().try_to_vec::<f32>().unwrap(),
        TensorMut::Linear(t) => t.to_data().try_to_vec().unwrap(),
        TensorMut::Kernel(t) => t.to_data().try_to_vec().unwrap(),
        TensorMut::Running(_) => Vec::new(),
    };
    net.tensors_mut().into_iter().flat_map(values).collect()
}

/// 0.75·a + 0.25·b, parameters and running statistics each by their own call.
#[test]
fn averages_are_of_parameters_or_of_statistics() {
    let ((mut first, ..), (mut second, x, _)) = (small(), small());
    second.forward_train(x).unwrap();
    let mean = |a: Vec<f32>, b: Vec<f32>| -> Vec<f32> {
        a.into_iter().zip(b).map(|(a, b)| 0.75 * a + 0.25 * b).collect()
    };
    let (theta, running) = (parameters(&first), buffers(&first));
    let expected = mean(theta.clone(), parameters(&second));
    first.average(&second, 0.75);
    assert_eq!((parameters(&first), buffers(&first)), (expected.clone(), running.clone()));
    first.average_buffers(&second, 0.75);
    assert_eq!((parameters(&first), buffers(&first)), (expected, mean(running, buffers(&second))));
}

#[test]
fn running_statistics_are_saved_and_loaded() {
    let (mut net, x, _) = small();
    net.forward_train(x).unwrap();
    let bytes = saved(&net);
    let (mut other, ..) = small();
    state::load(&mut other, "", &mut StateReader::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(saved(&other), bytes);
    let mut reader = StateReader::from_bytes(&bytes).unwrap();
    assert_eq!(reader.tensor("layer1.0.bn1.running_mean", &[2]).unwrap().len(), 2);
}

/// More rows than are answered at once; a row's answer does not depend on its company.
#[test]
fn predict_answers_row_by_row() {
    let (mut net, x, _) = small();
    net.forward_train(x.clone()).unwrap();
    let pixels = x.into_data().try_to_vec::<f32>().unwrap();
    let many = pixels.repeat(2 * ROWS_AT_ONCE);
    let mut out = vec![0.0; 2 * many.len() / 64];
    net.predict(&many, &mut out);
    let mut alone = [0.0; 2];
    net.predict(&pixels[64..128], &mut alone);
    for row in [1, 5, out.len() / 2 - 3] {
        assert!((out[2 * row] - alone[0]).abs() < 1e-6, "row {row}");
        assert!((out[2 * row + 1] - alone[1]).abs() < 1e-6, "row {row}");
    }
    net.predict(&[], &mut []);
}

#[test]
fn stages_end_in_the_features() {
    let (mut net, x, _) = small();
    let stages = net.backbone.stages(x.clone(), Mode::Eval).unwrap();
    let widths: Vec<usize> = stages.iter().map(|stage| stage.dims()[1]).collect();
    assert_eq!(widths, [2, 4, 8, 16]);
    assert_eq!(stages[3].clone().into_data(), net.features(x.clone()).into_data());
    let head = net.head.forward(net.features(x.clone()));
    assert_eq!(head.into_data(), net.forward(x).into_data());
}
