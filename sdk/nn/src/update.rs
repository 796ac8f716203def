//! Gradients in the shape of their network, for methods that gate them, add them up or clip them
//! before the step. A method that does neither calls [`Network::descend`], which is one pass.

use burn::tensor::{Gradients, Tensor};

use crate::network::{Network, Pair, TensorMut, for_each_pair};

/// One number for every parameter of a network: what gradient descent takes away, before the
/// learning rate. Running statistics are those of the tracked network.
///
/// Plain gradient descent has the update u = g, so that scaling it by μ is the step
/// `θ ← θ − lr·μ ⊙ u`.
#[derive(Clone, Debug)]
pub struct Update<N>(N);

impl<N: Network> Update<N> {
    /// The gradients of a loss that was computed with `tracked`, which are taken out of
    /// `gradients`. Zero where the loss does not depend on a parameter.
    pub fn of(tracked: &N, gradients: &mut Gradients) -> Self {
        let mut update = tracked.clone();
        for tensor in update.unnamed_mut() {
            match tensor {
                TensorMut::Vector(t) => *t = gradient(t, gradients),
                TensorMut::Linear(t) => *t = gradient(t, gradients),
                TensorMut::Kernel(t) => *t = gradient(t, gradients),
                TensorMut::Running(_) => {}
            }
        }
        Update(update)
    }

    /// `u ← μ ⊙ u`, μ in the shape of the network. A factor of 1 changes no bit.
    pub fn scale(&mut self, by: &N) {
        multiply(&mut self.0, by);
    }

    /// `u ← u + v`. The running statistics become those of `other`, whose pass came later.
    pub fn add(&mut self, other: Self) {
        sum(&mut self.0, &other.0);
    }

    /// The numbers, in a container of the network's shape.
    pub fn values(&self) -> &N {
        &self.0
    }

    /// `Σ u²` over all parameters.
    pub fn square_norm(&self) -> f64 {
        let mut update = self.0.clone();
        let squares = update.unnamed_mut().into_iter().map(|tensor| match tensor {
            TensorMut::Vector(t) => square(t),
            TensorMut::Linear(t) => square(t),
            TensorMut::Kernel(t) => square(t),
            TensorMut::Running(_) => 0.0,
        });
        squares.sum()
    }

    /// `u ← factor·u`.
    pub fn shrink(&mut self, factor: f64) {
        for tensor in self.0.unnamed_mut() {
            match tensor {
                TensorMut::Vector(t) => *t = t.clone().mul_scalar(factor),
                TensorMut::Linear(t) => *t = t.clone().mul_scalar(factor),
                TensorMut::Kernel(t) => *t = t.clone().mul_scalar(factor),
                TensorMut::Running(_) => {}
            }
        }
    }

    /// `θ ← θ − lr·u`, and the running statistics. Unscaled, this is [`Network::descend`] to the
    /// byte.
    pub fn descend(self, network: &mut N, lr: f64) {
        let Update(mut update) = self;
        for_each_pair(network, &mut update, |pair| match pair {
            Pair::Vector(mine, u) => *mine = mine.clone() - u.clone().mul_scalar(lr),
            Pair::Linear(mine, u) => *mine = mine.clone() - u.clone().mul_scalar(lr),
            Pair::Kernel(mine, u) => *mine = mine.clone() - u.clone().mul_scalar(lr),
            Pair::Running(mine, theirs) => *mine = theirs.clone(),
        });
    }
}

/// `a ← a ⊙ b`, parameters only.
pub(crate) fn multiply<N: Network>(a: &mut N, b: &N) {
    for_each_pair(a, &mut b.clone(), |pair| match pair {
        Pair::Vector(a, b) => *a = a.clone() * b.clone(),
        Pair::Linear(a, b) => *a = a.clone() * b.clone(),
        Pair::Kernel(a, b) => *a = a.clone() * b.clone(),
        Pair::Running(..) => {}
    });
}

/// `a ← a + b`; running statistics become those of b.
pub(crate) fn sum<N: Network>(a: &mut N, b: &N) {
    for_each_pair(a, &mut b.clone(), |pair| match pair {
        Pair::Vector(a, b) => *a = a.clone() + b.clone(),
        Pair::Linear(a, b) => *a = a.clone() + b.clone(),
        Pair::Kernel(a, b) => *a = a.clone() + b.clone(),
        Pair::Running(a, b) => *a = b.clone(),
    });
}

fn gradient<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients) -> Tensor<D> {
    let zeros = || Tensor::zeros(leaf.dims(), &leaf.device().without_autodiff());
    leaf.grad_remove(gradients).unwrap_or_else(zeros)
}

fn square<const D: usize>(t: &Tensor<D>) -> f64 {
    f64::from((t.clone() * t.clone()).sum().into_scalar::<f32>())
}

/// Scales updates that belong together (a network and its masks) so that the norm of all of them
/// is at most `norm_max`, as PyTorch's `clip_grad_norm_` does: the factor is
/// `norm_max/(norm + 1e-6)` where that is below 1, else nothing changes.
pub fn clip_factor(square_norms: &[f64], norm_max: f64) -> Option<f64> {
    let norm = square_norms.iter().sum::<f64>().sqrt();
    let factor = norm_max / (norm + 1e-6);
    (factor < 1.0).then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackboneConfig, BackboneKind, Net, NetShape, losses, state};
    use perdura_sdk::StateWriter;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(kind: BackboneKind, input: &[usize]) -> Net {
        let backbone = BackboneConfig { kind, hidden: vec![4], width: 2 };
        let shape = NetShape { backbone, input: input.to_vec(), classes: 2 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).unwrap()
    }

    fn bytes(net: &Net) -> Vec<u8> {
        let mut state = StateWriter::new();
        state::save(net, "", &mut state).unwrap();
        state.into_bytes().unwrap()
    }

    fn of(net: &Net, inputs: &[f32], labels: &[u32]) -> Update<Net> {
        let mut tracked = net.tracked();
        let logits = tracked.forward_train(net.rows(&[inputs])).unwrap();
        let loss = losses::cross_entropy(logits, net.labels(&[labels]));
        Update::of(&tracked, &mut loss.backward())
    }

    fn inputs(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i * i % 17) as f32 / 17.0).collect()
    }

    /// Factors of 1 included, running statistics too.
    #[test]
    fn an_unscaled_update_is_plain_descent_to_the_byte() {
        for (kind, input) in [(BackboneKind::Mlp, &[6][..]), (BackboneKind::Resnet18, &[1, 8, 8])] {
            let (mut plain, mut mine) = (net(kind, input), net(kind, input));
            let x = inputs(3 * input.iter().product::<usize>());
            let mut tracked = plain.tracked();
            let logits = tracked.forward_train(plain.rows(&[&x])).unwrap();
            let loss = losses::cross_entropy(logits, plain.labels(&[&[0, 1, 1]]));
            plain.descend(&tracked, loss.backward(), 0.1);
            let mut update = of(&mine, &x, &[0, 1, 1]);
            let mut ones = mine.clone();
            for tensor in ones.unnamed_mut() {
                match tensor {
                    TensorMut::Vector(t) => *t = t.ones_like(),
                    TensorMut::Linear(t) => *t = t.ones_like(),
                    TensorMut::Kernel(t) => *t = t.ones_like(),
                    TensorMut::Running(_) => {}
                }
            }
            update.scale(&ones);
            update.descend(&mut mine, 0.1);
            assert_eq!(bytes(&mine), bytes(&plain), "{kind:?}");
        }
    }

    /// The gradient of a sum is the sum of gradients; twice the same, halved, has a quarter of
    /// four times its square.
    #[test]
    fn sums_and_norms() {
        let net = net(BackboneKind::Mlp, &[6]);
        let one = of(&net, &inputs(6), &[1]);
        let mut two = one.clone();
        two.add(one.clone());
        assert!((two.square_norm() / one.square_norm() - 4.0).abs() < 1e-5);
        two.shrink(0.5);
        assert!((two.square_norm() / one.square_norm() - 1.0).abs() < 1e-5);
        let mut stays = net.clone();
        two.shrink(0.0);
        two.descend(&mut stays, 1.0);
        assert_eq!(bytes(&stays), bytes(&net));
    }

    /// Norms 3 and 4 together are 5: to reach 1 they shrink to a fifth. At 5 nothing happens but
    /// PyTorch's millionth.
    #[test]
    fn clipping_by_hand() {
        let factor = clip_factor(&[9.0, 16.0], 1.0).unwrap();
        assert!((factor - 0.2).abs() < 1e-6);
        assert_eq!(clip_factor(&[9.0, 16.0], 6.0), None);
        assert_eq!(clip_factor(&[0.0], 1.0), None);
    }
}
