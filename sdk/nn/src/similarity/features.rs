//! Features that estimators compare: samples as a layer of a network sees them.

use crate::batch_norm::Mode;
use crate::copy_out;
use crate::net::Net;
use crate::similarity::Samples;

/// Samples in the first hidden layer (the first stage) of a network; without hidden layers, as they
/// are.
pub fn first_hidden(net: &Net, samples: &Samples) -> Samples {
    if samples.is_empty() {
        return Samples { width: 1, ..Samples::default() };
    }
    let x = net.rows(&[&samples.values]);
    let stages = net.backbone.clone().stages(x.clone(), Mode::Eval);
    let first = stages.expect("evaluation takes batches of any size").into_iter().next();
    let features = first.unwrap_or(x);
    let [rows, width] = features.dims();
    let mut values = vec![0.0; rows * width];
    copy_out(features, &mut values);
    Samples { values, width, labels: samples.labels.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::network;

    #[test]
    fn the_first_layer_after_its_relu() {
        let samples = Samples { values: vec![0.5, -1.0, 2.0, 1.0], width: 2, labels: vec![1, 0] };
        let (two, none) = (network(vec![3, 5]), network(vec![]));
        let found = first_hidden(&two, &samples);
        let stages = two.backbone.clone().stages(two.rows(&[&samples.values]), Mode::Eval);
        let first: Vec<f32> = stages.unwrap()[0].to_data().iter::<f32>().collect();
        assert_eq!((found.values, found.width, found.labels), (first, 3, vec![1, 0]));
        assert_eq!(first_hidden(&none, &samples), samples);
        assert!(first_hidden(&two, &Samples::default()).is_empty());
    }
}
