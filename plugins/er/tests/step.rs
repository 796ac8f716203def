//! `er` with nothing to replay is `sgd`; what it replays counts like the current batch.

use perdura_er::{Config, Er};
use perdura_nn::{Mlp, MlpShape, Network, labels, losses, rows, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn driver() -> Driver<Er> {
    let config = Config { lr: 0.5, replay: 2, hidden: vec![4] };
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

#[test]
fn without_replay_it_is_sgd_to_the_byte() {
    let mut driver = driver();
    let device = perdura_nn::device("flex", 0).unwrap();
    let shape = MlpShape { inputs: 3, hidden: vec![4], outputs: 3 };
    let mut network = Mlp::new(&shape, &mut perdura_sdk::rand::rng(), &device);
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    for _ in 0..10 {
        let tracked = network.tracked();
        let y = labels(&[&LABELS], 3, &device);
        let loss = losses::cross_entropy(tracked.forward(rows(&[&INPUTS], 3, &device)), y);
        network.descend(&tracked, loss.backward(), 0.5);
        let nothing = Samples::new(&[], &[]);
        driver.step(&Samples::new(&INPUTS, &LABELS), &[("replay", nothing)]).unwrap();
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    assert_eq!(driver.save().unwrap(), expected.into_bytes().unwrap());
}

#[test]
fn replayed_samples_count_like_current_ones() {
    let (mut split, mut whole) = (driver(), driver());
    let (current, replayed) =
        (Samples::new(&INPUTS[..3], &LABELS[..1]), Samples::new(&INPUTS[3..], &LABELS[1..]));
    split.step(&current, &[("replay", replayed)]).unwrap();
    let nothing = Samples::new(&[], &[]);
    whole.step(&Samples::new(&INPUTS, &LABELS), &[("replay", nothing)]).unwrap();
    assert_eq!(split.save().unwrap(), whole.save().unwrap());
}
