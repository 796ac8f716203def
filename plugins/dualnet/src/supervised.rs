//! What the supervised loss trains: the slow network without its projector, the fast one and the
//! head. Gates, rates and ownership of groups are of this shape.

use burn::tensor::Tensor;
use perdura_nn::masks::Ends;
use perdura_nn::{Linear, Listing, Network, TensorMut, Update};

use crate::method::DualNet;
use crate::nets::{Nets, Part, Phi};

/// The slow network, θ and π; what is trained beside them (projector, read-out) is not in it.
#[derive(Clone, Debug)]
pub struct Supervised {
    pub slow: Part,
    pub fast: Option<Part>,
    pub head: Linear,
}

impl Supervised {
    /// Those of `nets`, whose memory they share.
    pub fn of(nets: &Nets) -> Self {
        let (slow, fast) = (nets.phi.slow.clone(), nets.fast.clone());
        Supervised { slow, fast, head: nets.head.clone() }
    }

    /// For every parameter the layers that it connects, both networks stage by stage: `h_l` and
    /// `m_l` end in layer l. `slow_inputs` says whether the slow network sees masked layers, so that
    /// a weight of it counts by both of its ends; else it counts by its output alone.
    pub fn ends(&self, layers: usize, slow_inputs: bool) -> Vec<Ends> {
        let stages = |masked: bool| {
            (0..layers).flat_map(move |output| {
                let input = output.checked_sub(1).filter(|_| masked);
                [Ends { output, input }, Ends { output, input: None }]
            })
        };
        let fast = self.fast.iter().flat_map(|_| stages(true));
        let head = [Ends { output: layers, input: Some(layers - 1) }];
        let bias = [Ends { output: layers, input: None }];
        stages(slow_inputs).chain(fast).chain(head).chain(bias).collect()
    }
}

impl Network for Supervised {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("slow", &mut self.slow);
        if let Some(fast) = &mut self.fast {
            tensors.part("fast", fast);
        }
        tensors.part("head", &mut self.head);
    }
}

impl DualNet {
    /// `θ ← θ − lr·u` for all of it. Where gradients of the slow network are added up, it is its
    /// successor that moves, and running statistics move in both.
    pub(crate) fn step_supervised(&mut self, update: Update<Supervised>, lr: f64) {
        let mut trained = Supervised::of(&self.nets);
        let pending = self.pending.take();
        if let Some(pending) = &pending {
            trained.slow = pending.slow.clone();
        }
        update.descend(&mut trained, lr);
        let Supervised { slow, fast, head } = trained;
        match pending {
            None => self.nets.phi.slow = slow,
            Some(pending) => {
                self.nets.phi.slow.average_buffers(&slow, 0.0);
                self.pending = Some(Phi { slow, ..pending });
            }
        }
        (self.nets.fast, self.nets.head) = (fast, head);
    }
}

/// `μ ← 1 − ω·(1 − μ)`, every parameter: `1 − ω + ω·μ` written so that 1 stays 1 to the bit.
pub fn at_the_slow_rate(rates: &mut Part, omega: f64) {
    for tensor in rates.unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => *t = slow(t, omega),
            TensorMut::Linear(t) => *t = slow(t, omega),
            TensorMut::Kernel(t) => *t = slow(t, omega),
            TensorMut::Running(_) => {}
        }
    }
}

fn slow<const D: usize>(mu: &Tensor<D>, omega: f64) -> Tensor<D> {
    mu.clone().neg().add_scalar(1.0).mul_scalar(-omega).add_scalar(1.0)
}

/// Every parameter becomes 1.
pub fn open(gate: &mut impl Network) {
    for tensor in gate.unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => *t = t.ones_like(),
            TensorMut::Linear(t) => *t = t.ones_like(),
            TensorMut::Kernel(t) => *t = t.ones_like(),
            TensorMut::Running(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ω = 0.5: rates 1, 0.1 and 0 become 1, 0.55 and 0.5; ω = 0 leaves all at 1, ω = 1 all as they
    /// are. 1 is 1 to the bit.
    #[test]
    fn the_slow_rate_by_hand() {
        let device = perdura_nn::device("flex", 0).unwrap();
        let mu = Tensor::<1>::from_data([1.0, 0.1, 0.0], &device);
        for (omega, expected) in [(0.5, [1.0, 0.55, 0.5]), (0.0, [1.0; 3]), (1.0, [1.0, 0.1, 0.0])]
        {
            let found: Vec<f32> = slow(&mu, omega).into_data().iter::<f32>().collect();
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-7), "{found:?}");
            assert_eq!(found[0], 1.0);
        }
    }
}
