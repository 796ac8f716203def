//! Moving averages: several networks follow one, in a single pass over its parameters. Where
//! tensors lie in main memory the pass goes over their numbers in place: no operation, no temporary
//! tensor, and a tensor of the leader is still in the cache when the next follower needs it.

use burn::tensor::Tensor;

use crate::device::in_main_memory;
use crate::loops;
use crate::network::{Network, TensorMut};

/// Which tensors move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Parameters,
    Buffers,
}

/// `θ_i ← α_i·θ_i + (1 − α_i)·θ` for every follower and its α.
pub fn lead<N: Network>(leader: &mut N, followers: &mut [(&mut N, f64)], part: Part) {
    if followers.is_empty() {
        return;
    }
    let alphas: Vec<f64> = followers.iter().map(|(_, alpha)| *alpha).collect();
    let lists = followers.iter_mut().map(|(network, _)| network.unnamed_mut().into_iter());
    let mut lists: Vec<_> = lists.collect();
    for theirs in leader.unnamed_mut() {
        let next = lists.iter_mut().map(|list| list.next().expect("networks of one shape"));
        let mine: Vec<TensorMut<'_>> = next.collect();
        let moves = match &theirs {
            TensorMut::Running(_) => part == Part::Buffers,
            _ => part == Part::Parameters,
        };
        if moves {
            lead_tensor(theirs, mine, &alphas);
        }
    }
}

fn lead_tensor(theirs: TensorMut<'_>, mine: Vec<TensorMut<'_>>, alphas: &[f64]) {
    let mine = mine.into_iter();
    match theirs {
        TensorMut::Vector(theirs) | TensorMut::Running(theirs) => {
            let mine = mine.map(|mine| match mine {
                TensorMut::Vector(mine) | TensorMut::Running(mine) => mine,
                _ => unreachable!("a network lists its tensors in one order"),
            });
            pass(theirs, mine, alphas);
        }
        TensorMut::Linear(theirs) => {
            let mine = mine.map(|mine| match mine {
                TensorMut::Linear(mine) => mine,
                _ => unreachable!("a network lists its tensors in one order"),
            });
            pass(theirs, mine, alphas);
        }
        TensorMut::Kernel(theirs) => {
            let mine = mine.map(|mine| match mine {
                TensorMut::Kernel(mine) => mine,
                _ => unreachable!("a network lists its tensors in one order"),
            });
            pass(theirs, mine, alphas);
        }
    }
}

fn pass<'a, const D: usize>(
    theirs: &mut Tensor<D>,
    mine: impl Iterator<Item = &'a mut Tensor<D>>,
    alphas: &[f64],
) {
    let device = theirs.device();
    if !in_main_memory(&device) {
        for (mine, &alpha) in mine.zip(alphas) {
            mine.inplace(|mine| mine.mul_scalar(alpha) + theirs.clone().mul_scalar(1.0 - alpha));
        }
        return;
    }
    // A tensor that nobody else holds gives its memory away and gets it back: nothing is copied.
    theirs.inplace(|theirs| {
        let theirs = theirs.into_data();
        let leading = theirs.as_slice::<f32>().expect("networks compute in f32");
        for (mine, &alpha) in mine.zip(alphas) {
            mine.inplace(|mine| {
                let mut mine = mine.into_data();
                let following = mine.as_mut_slice().expect("networks compute in f32");
                // The roundings of three operations on tensors: methods that take the one way and
                // methods that take the other agree to the byte.
                loops::average(following, leading, alpha);
                Tensor::from_data(mine, &device)
            });
        }
        Tensor::from_data(theirs, &device)
    });
}

#[cfg(test)]
mod tests {
    use crate::{BackboneConfig, BackboneKind, Net, NetShape, Network};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(seed: u64, kind: BackboneKind, input: &[usize]) -> Net {
        let backbone = BackboneConfig { kind, hidden: vec![5, 4], width: 2 };
        let shape = NetShape { backbone, input: input.to_vec(), classes: 3 };
        let device = crate::device("flex", 0).unwrap();
        let mut net = Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(seed), &device).unwrap();
        // A pass in training gives the running statistics values of their own.
        let inputs: usize = input.iter().product();
        let x: Vec<f32> = (0..4 * inputs).map(|i| ((i * 37 + seed as usize) % 11) as f32).collect();
        net.forward_train(net.rows(&[&x])).unwrap();
        net
    }

    fn values(net: &Net) -> Vec<Vec<f32>> {
        let mut state = perdura_sdk::StateWriter::new();
        crate::state::save(net, "", &mut state).unwrap();
        let bytes = state.into_bytes().unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let mut names = file.names();
        names.sort_unstable();
        names
            .iter()
            .map(|name| {
                let tensor = file.tensor(name).unwrap();
                tensor.data().chunks_exact(4).map(word).collect()
            })
            .collect()
    }

    /// To the byte what one network after the other gives, by tensors; and the leader stays what it
    /// was, although another network shares its memory.
    #[test]
    fn followers_in_one_pass_are_followers_one_by_one() {
        for (kind, input) in [(BackboneKind::Mlp, &[6][..]), (BackboneKind::Resnet18, &[3, 8, 8])] {
            let mut leader = net(1, kind, input);
            let (before, shared) = (values(&leader), leader.clone());
            let (mut a, mut b) = (net(2, kind, input), net(3, kind, input));
            let (mut one, mut two) = (a.clone(), b.clone());
            one.average(&leader, 0.9);
            two.average(&leader, 0.3);
            leader.lead(&mut [(&mut a, 0.9), (&mut b, 0.3)]);
            assert_eq!((values(&a), values(&b)), (values(&one), values(&two)), "{kind:?}");
            one.average_buffers(&leader, 0.9);
            leader.lead_buffers(&mut [(&mut a, 0.9)]);
            assert_eq!(values(&a), values(&one), "{kind:?}");
            assert_eq!(values(&two), values(&b), "{kind:?}");
            assert_eq!((values(&leader), values(&shared)), (before.clone(), before), "{kind:?}");
        }
    }
}
