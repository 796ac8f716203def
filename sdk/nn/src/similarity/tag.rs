//! S-TAG: a task is like a group when a step on the task lowers the loss of the group (Fifty et al.
//! 2021).

use burn::tensor::Tensor;

use crate::network::{Network, TensorMut};

/// `Z = 1 − after/before`: the share of the group's loss that the step took away; below 0 it added
/// some. NaN where there was no loss before.
pub fn affinity(before: f32, after: f32) -> f32 {
    if before > 0.0 { 1.0 - after / before } else { f32::NAN }
}

/// `Z_{t→g} = 1 − L_g(θ_shared − η ∇L_t, θ_own) / L_g(θ)`: one virtual step of plain gradient
/// descent on the task's loss, of the parameters for which `shared` says true of their name. The
/// network itself stays as it is. Average `Z_{t→g}` and `Z_{g→t}` for a symmetric score, and both
/// over many batches.
pub fn lookahead_affinity<N: Network>(
    network: &N,
    learning_rate: f64,
    shared: impl Fn(&str) -> bool,
    task_loss: impl Fn(&N) -> Tensor<1>,
    group_loss: impl Fn(&N) -> Tensor<1>,
) -> f32 {
    let tracked = network.tracked();
    let mut moved = network.clone();
    let gradients = task_loss(&tracked).backward();
    moved.descend(tracked, gradients, learning_rate);
    let mut before = network.clone();
    for ((name, moved), (_, still)) in moved.tensors_mut().into_iter().zip(before.tensors_mut()) {
        match (moved, still) {
            _ if shared(&name) => {}
            (TensorMut::Vector(moved), TensorMut::Vector(still)) => *moved = still.clone(),
            (TensorMut::Linear(moved), TensorMut::Linear(still)) => *moved = still.clone(),
            (TensorMut::Kernel(moved), TensorMut::Kernel(still)) => *moved = still.clone(),
            // Losses in evaluation move no running statistics.
            _ => {}
        }
    }
    affinity(group_loss(network).into_scalar(), group_loss(&moved).into_scalar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::network;
    use crate::{Net, losses};

    fn loss(label: u32) -> impl Fn(&Net) -> Tensor<1> {
        move |network: &Net| {
            let x = network.rows(&[&[1.0, 2.0]]);
            losses::cross_entropy(network.forward(x), network.labels(&[&[label]]))
        }
    }

    #[test]
    fn affinity_by_hand() {
        assert_eq!(affinity(2.0, 1.5), 0.25);
        assert_eq!(affinity(2.0, 3.0), -0.5);
        assert!(affinity(0.0, 0.0).is_nan());
    }

    #[test]
    fn a_step_helps_its_own_task_and_harms_the_contrary_one() {
        let network = network(vec![8]);
        let logits = || network.forward(network.rows(&[&[1.0, 2.0]])).into_data();
        let before = logits();
        let to = |group| lookahead_affinity(&network, 0.05, |_| true, loss(0), loss(group));
        assert!(to(0) > 0.0);
        assert!(to(1) < 0.0);
        assert_eq!(logits(), before);
    }

    #[test]
    fn parameters_that_are_not_shared_do_not_move() {
        let of = |shared: fn(&str) -> bool| {
            lookahead_affinity(&network(vec![8]), 0.05, shared, loss(0), loss(0))
        };
        assert_eq!(of(|_| false), 0.0);
        let trunk = of(|name| !name.starts_with("head"));
        assert!(trunk > 0.0 && trunk < of(|_| true));
    }
}
