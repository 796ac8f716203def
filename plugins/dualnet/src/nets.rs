//! The networks of DualNet and how they meet: a backbone with features h_1 … h_L, a modulator with
//! `m_l = g_l(h'_{l−1})`, `h'_0 = x`, `h'_l = h_l ⊗ m_l`. Which of the two is the slow network and
//! which the fast one is a matter of names: it decides who learns from what, not what is computed.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use perdura_nn::{
    Backbone, BackboneConfig, BatchNorm, Device, Linear, Listing, Mode, Net, Network, Precision,
    images,
};
use perdura_sdk::{Context, Result, Rng};

use crate::config::{BackboneKind, Config, Roles};
use crate::features::Features;
use crate::masked::StageMasks;
use crate::modulator::Modulator;

/// One of the two networks.
#[derive(Clone, Debug)]
pub enum Part {
    Backbone(Backbone),
    Modulator(Modulator),
}

/// φ: the slow network, and the projector that only self-supervision uses. Look-ahead moves both.
#[derive(Clone, Debug)]
pub struct Phi {
    pub slow: Part,
    pub projector: Projector,
}

/// All parameters.
#[derive(Clone, Debug)]
pub struct Nets {
    pub phi: Phi,
    /// θ; `None` leaves the slow network alone.
    pub fast: Option<Part>,
    /// π.
    pub head: Linear,
    /// A head on the slow network alone.
    pub readout: Option<Linear>,
    /// Masks of the rows that are about to pass, where groups have some.
    pub(crate) masks: Option<StageMasks>,
}

/// Drops channels of fused layers.
pub struct Dropout<'a> {
    pub p: f64,
    pub rng: &'a mut Rng,
}

impl Nets {
    /// Fresh networks. Each is drawn from a stream of its own, so that leaving one out changes no
    /// other.
    pub fn new(config: &Config, ctx: &Context, device: &Device) -> Result<Nets> {
        let rng = |name: &str| ctx.call.rng(name);
        let (hidden, width) = (&config.hidden, config.width);
        let kind = match config.backbone {
            BackboneKind::Mlp => perdura_nn::BackboneKind::Mlp,
            BackboneKind::Resnet18 => perdura_nn::BackboneKind::Resnet18Pool,
        };
        let shape = BackboneConfig { kind, hidden: hidden.clone(), width };
        let backbone = Backbone::new(&shape, &ctx.input_shape, &mut rng("backbone"), device)?;
        let head = |name: &str| backbone.head(ctx.classes, &mut rng(name), device);
        let (head, readout) = (head("head"), config.slow_readout.then(|| head("readout")));
        let hidden_projector = match config.backbone {
            BackboneKind::Mlp => config.projector,
            BackboneKind::Resnet18 => 4 * width,
        };
        let projector =
            Projector::new(backbone.outputs(), hidden_projector, &mut rng("projector"), device);
        let modulator = || match config.backbone {
            BackboneKind::Mlp => {
                Modulator::of_units(ctx.input_width(), hidden, &mut rng("modulator"), device)
            }
            BackboneKind::Resnet18 => {
                Modulator::of_maps(ctx.input_shape[0], width, &mut rng("modulator"), device)
            }
        };
        let modulator = config.fast.then(|| Part::Modulator(modulator()));
        let backbone = Part::Backbone(backbone);
        let (slow, fast) = match (config.roles, modulator) {
            (Roles::Blog, Some(modulator)) => (modulator, Some(backbone)),
            (_, modulator) => (backbone, modulator),
        };
        Ok(Nets { phi: Phi { slow, projector }, fast, head, readout, masks: None })
    }

    /// The backbone computes in these numbers from now on; the other networks stay f32.
    pub fn compute_in(&mut self, precision: Precision) -> Result<()> {
        self.parts().0.compute_in(precision)
    }

    /// Networks of units from their parts, for tests.
    #[cfg(test)]
    pub fn of_parts(slow: Part, fast: Option<Part>, head: Linear, device: &Device) -> Nets {
        let mut rng = <perdura_sdk::Rng as perdura_sdk::rand::SeedableRng>::seed_from_u64(0);
        let projector = Projector::new(head.inputs(), 7, &mut rng, device);
        Nets { phi: Phi { slow, projector }, fast, head, readout: None, masks: None }
    }

    /// The backbone with the head, as a network of the usual kind: what similarity is measured on.
    pub fn plain(&self, device: &Device) -> Net {
        let backbone = match (&self.phi.slow, &self.fast) {
            (Part::Backbone(backbone), _) | (_, Some(Part::Backbone(backbone))) => backbone,
            _ => unreachable!("one of the two networks is the backbone"),
        };
        Net::of_parts(backbone.clone(), self.head.clone(), device)
    }

    fn parts(&mut self) -> (&mut Backbone, Option<&mut Modulator>) {
        match (&mut self.phi.slow, self.fast.as_mut()) {
            (Part::Backbone(b), Some(Part::Modulator(m)))
            | (Part::Modulator(m), Some(Part::Backbone(b))) => (b, Some(m)),
            (Part::Backbone(b), None) => (b, None),
            _ => unreachable!("one of the two networks is the backbone"),
        }
    }

    /// `pool(h'_L)`, `[n, units]`, of inputs `[n, width]`; `pool(h_L)` without a modulator.
    pub fn features(
        &mut self,
        x: Tensor<2>,
        mode: Mode,
        dropout: Option<&mut Dropout<'_>>,
    ) -> Result<Tensor<2>> {
        let masks = self.masks.clone();
        let (backbone, modulator) = self.parts();
        let stages = stages(backbone, x.clone(), mode, masks.as_ref())?;
        match modulator {
            None => Ok(last(stages).pooled()),
            Some(modulator) => {
                let input = input(backbone, x);
                Ok(fuse(stages, modulator, input, mode, (dropout, masks.as_ref()))?.pooled())
            }
        }
    }

    /// Logits `[n, C]` as in a test.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        // The clone shares all memory, and evaluation moves nothing.
        let features = self.clone().features(x, Mode::Eval, None);
        self.head.forward(features.expect("evaluation takes batches of any size"))
    }

    /// Features of the slow network alone, `[n, units]`. A slow modulator is run as a plain
    /// network.
    pub fn slow_features(&mut self, x: Tensor<2>, mode: Mode) -> Result<Tensor<2>> {
        match (&mut self.phi.slow, self.fast.as_mut()) {
            (Part::Backbone(backbone), _) => {
                Ok(last(stages(backbone, x, mode, self.masks.as_ref())?).pooled())
            }
            (Part::Modulator(modulator), Some(Part::Backbone(backbone))) => {
                let mut m = input(backbone, x);
                for l in 0..modulator.layers() {
                    m = modulator.layer(l, m, mode)?;
                }
                Ok(m.pooled())
            }
            _ => unreachable!("one of the two networks is the backbone"),
        }
    }

    /// Projections of two views of n samples, each `[n, units]`, in training; `[2n, width]` are the
    /// first views, then the second. Only φ may be tracked. Batches are normalised view by view;
    /// without normalisation both views pass the networks together.
    pub fn project(&mut self, views: Tensor<2>) -> Result<[Tensor<2>; 2]> {
        let n = views.dims()[0] / 2;
        let halves = |both: Tensor<2>| [both.clone().narrow(0, 0, n), both.narrow(0, n, n)];
        if self.normalises_batches() {
            let mut one = |x| {
                let features = self.projected_features(x)?;
                self.phi.projector.forward(features)
            };
            let [a, b] = halves(views);
            return Ok([one(a)?, one(b)?]);
        }
        let [a, b] = halves(self.projected_features(views)?);
        Ok([self.phi.projector.forward(a)?, self.phi.projector.forward(b)?])
    }

    /// The same with what is projected, whatever normalises: features and projections, `[n, units]`
    /// each, of the first views, then of the second.
    pub fn see(&mut self, views: Tensor<2>) -> Result<[[Tensor<2>; 2]; 2]> {
        let n = views.dims()[0] / 2;
        let mut one = |first| {
            let features = self.projected_features(views.clone().narrow(0, first, n))?;
            Ok::<_, perdura_sdk::Error>([features.clone(), self.phi.projector.forward(features)?])
        };
        Ok([one(0)?, one(n)?])
    }

    /// What is projected: in the paper's roles the features of the slow backbone. In the blog's
    /// `pool(h'_L)` with h_l held fixed: the slow modulator learns alone, and not even the running
    /// statistics of the backbone move.
    fn projected_features(&mut self, x: Tensor<2>) -> Result<Tensor<2>> {
        let masks = self.masks.as_ref();
        let features = match (&mut self.phi.slow, &self.fast) {
            (Part::Backbone(backbone), _) => last(stages(backbone, x, Mode::Train, masks)?),
            (Part::Modulator(modulator), Some(Part::Backbone(backbone))) => {
                let given = stages(&mut backbone.clone(), x.clone(), Mode::Train, masks)?;
                fuse(given, modulator, input(backbone, x), Mode::Train, (None, masks))?
            }
            _ => unreachable!("one of the two networks is the backbone"),
        };
        Ok(features.pooled())
    }

    /// True where training and evaluation differ, and a pass over two batches is not two passes.
    pub fn normalises_batches(&self) -> bool {
        let is_resnet = |part: &Part| matches!(part, Part::Backbone(Backbone::ResNet18 { .. }));
        is_resnet(&self.phi.slow) || self.fast.as_ref().is_some_and(is_resnet)
    }
}

/// h_1 … h_L, not pooled, under masks that act within the backbone.
fn stages(
    backbone: &mut Backbone,
    x: Tensor<2>,
    mode: Mode,
    masks: Option<&StageMasks>,
) -> Result<Vec<Features>> {
    Ok(match backbone {
        Backbone::Mlp(mlp) => {
            let masked = |l, h| match masks {
                Some(masks) => masks.within(l, h),
                None => h,
            };
            mlp.stages_with(x, masked).into_iter().map(Features::Units).collect()
        }
        Backbone::ResNet18 { network, image } => {
            network.stages(images(x, *image), mode)?.map(Features::Maps).into()
        }
    })
}

/// `h'_0 = x` in the shape that the modulator takes.
fn input(backbone: &Backbone, x: Tensor<2>) -> Features {
    match backbone {
        Backbone::Mlp(_) => Features::Units(x),
        Backbone::ResNet18 { image, .. } => Features::Maps(images(x, *image)),
    }
}

/// `h'_L`.
fn fuse(
    stages: Vec<Features>,
    modulator: &mut Modulator,
    input: Features,
    mode: Mode,
    (mut dropout, masks): (Option<&mut Dropout<'_>>, Option<&StageMasks>),
) -> Result<Features> {
    let mut fused = input;
    for (l, h) in stages.into_iter().enumerate() {
        let m = modulator.layer(l, fused, mode)?;
        fused = h.times(m);
        if let Some(masks) = masks {
            fused = masks.fused(l, fused);
        }
        if let Some(Dropout { p, rng }) = dropout.as_deref_mut()
            && *p > 0.0
        {
            fused = fused.with_channels_dropped(*p, *rng);
        }
    }
    Ok(fused)
}

fn last(mut stages: Vec<Features>) -> Features {
    stages.pop().expect("a backbone has at least one layer")
}

impl Network for Part {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        match self {
            Part::Backbone(backbone) => backbone.list(tensors),
            Part::Modulator(modulator) => modulator.list(tensors),
        }
    }
}

impl Network for Phi {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("slow", &mut self.slow);
        tensors.part("projector", &mut self.projector);
    }
}

impl Network for Nets {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("", &mut self.phi);
        if let Some(fast) = &mut self.fast {
            tensors.part("fast", fast);
        }
        tensors.part("head", &mut self.head);
        if let Some(readout) = &mut self.readout {
            tensors.part("readout", readout);
        }
    }
}

/// Linear, batch normalisation, ReLU, linear; no biases. Back to the width it came from.
#[derive(Clone, Debug)]
pub struct Projector {
    pub first: Linear,
    norm: BatchNorm,
    last: Linear,
}

impl Projector {
    fn new(width: usize, hidden: usize, rng: &mut Rng, device: &Device) -> Self {
        let mut linear = |inputs, outputs| {
            let layer = Linear::pytorch(inputs, outputs, rng, device);
            Linear { bias: None, ..layer }
        };
        let (first, last) = (linear(width, hidden), linear(hidden, width));
        Projector { first, norm: BatchNorm::new(hidden, device), last }
    }

    fn forward(&mut self, features: Tensor<2>) -> Result<Tensor<2>> {
        let hidden = self.norm.forward(self.first.forward(features), Mode::Train)?;
        Ok(self.last.forward(relu(hidden)))
    }
}

impl Network for Projector {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("0", &mut self.first);
        tensors.part("1", &mut self.norm);
        tensors.part("3", &mut self.last);
    }
}
