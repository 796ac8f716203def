//! Look-ahead on a layer with running statistics, and the distance of networks.

use burn::tensor::Tensor;
use perdura_nn::{BatchNorm, Linear, Listing, Mode, Network, distance, look_ahead, losses, rows};

#[derive(Clone)]
struct Net {
    linear: Linear,
    norm: BatchNorm,
}

impl Network for Net {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("linear", &mut self.linear);
        tensors.part("norm", &mut self.norm);
    }
}

fn net() -> Net {
    let device = perdura_nn::device("flex", 0).unwrap();
    let weight = Tensor::from_data([[1.0, -2.0], [0.5, 3.0]], &device);
    Net { linear: Linear { weight, bias: None }, norm: BatchNorm::new(2, &device) }
}

/// A step of gradient descent on the distance of the outputs to 1.
fn step(net: &mut Net, lr: f64) {
    let device = perdura_nn::device("flex", 0).unwrap();
    let x = rows(&[&[1.0, 2.0, -1.0, 0.5, 3.0, 1.0]], 2, &device);
    let mut tracked = net.tracked();
    let hidden = tracked.linear.forward(x);
    let out = tracked.norm.forward(hidden, Mode::Train).unwrap();
    let loss = losses::mean_squared_error(out, Tensor::ones([3, 2], &device));
    net.descend(tracked, loss.backward(), lr);
}

fn values(net: &Net) -> Vec<f32> {
    let Net { linear, norm } = net.clone();
    let vectors = [norm.weight, norm.bias, norm.running_mean, norm.running_var];
    let all = [vec![linear.weight.reshape([-1])], vectors.to_vec()].concat();
    Tensor::<1>::cat(all, 0).into_data().try_to_vec().unwrap()
}

#[test]
fn the_share_decides_how_far_a_network_goes() {
    let (start, mut copy) = (net(), net());
    (0..3).for_each(|_| step(&mut copy, 0.5));
    assert!(distance(&start, &copy) > 0.1);
    let gone = |beta| {
        let mut net = copy.clone();
        look_ahead(&mut net, &start, beta);
        values(&net)
    };
    assert_eq!(gone(1.0), values(&copy));
    assert_eq!(gone(0.0), values(&start));
    let quarter = values(&start).into_iter().zip(values(&copy)).map(|(a, b)| a + 0.25 * (b - a));
    for (found, expected) in gone(0.25).into_iter().zip(quarter) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

#[test]
fn one_step_is_a_smaller_step() {
    let (mut looked, mut stepped) = (net(), net());
    step(&mut looked, 0.5);
    look_ahead(&mut looked, &net(), 0.3);
    step(&mut stepped, 0.15);
    let size = distance(&net(), &stepped);
    assert!(size > 0.01 && distance(&looked, &stepped) <= 1e-5 * size, "{size}");
}

/// √(3² + 4²); the running mean moved too, and does not count.
#[test]
fn distance_by_hand() {
    let (a, mut b) = (net(), net());
    let device = perdura_nn::device("flex", 0).unwrap();
    b.linear.weight =
        a.linear.weight.clone() + Tensor::from_data([[3.0, 0.0], [0.0, 0.0]], &device);
    b.norm.bias = Tensor::from_data([0.0, 4.0], &device);
    b.norm.running_mean = Tensor::from_data([7.0, 7.0], &device);
    assert_eq!(distance(&a, &b), 5.0);
}
