//! Masks of groups where the two networks of DualNet meet (algorithms 3.1): which layers they are
//! over, whose parameters they protect, and how a batch is seen under them. The step is in
//! `guided.rs`.

use burn::tensor::Tensor;
use perdura_nn::Network;
use perdura_nn::masks::{GroupMasks, Layers, MaskLearning, RowMasks};
use perdura_sdk::{Result, hyper_parameters};

use crate::config::Config;
use crate::features::Features;
use crate::nets::Nets;
use crate::supervised::{Supervised, open};

hyper_parameters! {
    /// Whose parameters the masks of groups protect. What is computed in the supervised path is the
    /// same for `fast` and `slow`: `h'_l = h_l ⊗ m_l ⊗ a_l`.
    pub enum MaskSite {
        /// No masks.
        #[default]
        None,
        /// The fast network's and the head's; the slow one is shared and free.
        Fast,
        /// The slow network's, by the unit that a parameter leads to, from the supervised gradient
        /// alone.
        Slow,
        /// Both networks' and the head's in a share ρ of every layer; the rest is common to all
        /// groups.
        Split,
        /// Both networks' and the head's. The slow network itself is masked, in self-supervision by
        /// the largest mask of all groups.
        Both,
    }
}

/// What masks add to a learner with groups.
pub(crate) struct Masked {
    pub lesson: MaskLearning,
    /// What the update of the new batch is scaled by.
    pub gate: Option<Supervised>,
    /// s of the batch at hand, where the group at hand learns its masks.
    pub scale: Option<f64>,
}

/// The masks of a batch, layer by layer, and where they act.
#[derive(Clone, Debug)]
pub(crate) struct StageMasks {
    layers: Vec<Tensor<2>>,
    /// The backbone's next layer sees `h_l ⊗ a_l`; else only the product with m_l does.
    within: bool,
}

impl Masked {
    /// For networks of this shape; no group yet.
    pub fn new(config: &Config, classes: usize, nets: &Nets) -> Result<Masked> {
        let widths = config.hidden.clone();
        let ends = Supervised::of(nets).ends(widths.len(), config.mask_site.is_within());
        let layers = match config.mask_site {
            MaskSite::Split => {
                let common = |width: &usize| ((1.0 - config.rho) * *width as f64).ceil() as usize;
                let common = widths.iter().map(common).collect();
                Layers::over(widths, ends).with_common(common)
            }
            _ => Layers::over(widths, ends),
        };
        let masks = GroupMasks::over(layers, classes, config.s_max)?;
        let lesson = MaskLearning::new(config.mask_options(), masks);
        Ok(Masked { lesson, gate: None, scale: None })
    }

    /// Bytes held (f32).
    pub fn bytes(&self) -> u64 {
        self.lesson.masks.bytes() + self.gate.as_ref().map_or(0, Network::bytes)
    }

    /// The largest mask of all groups, as the batch at hand sees them.
    pub fn of_all(&self, here: usize, site: MaskSite) -> StageMasks {
        let of_here = self.lesson.answering(here, self.scale);
        site.stages(RowMasks::same(self.lesson.union(here, of_here)))
    }
}

impl MaskSite {
    /// Whether the chain of the backbone is masked.
    pub(crate) fn is_within(self) -> bool {
        self == MaskSite::Both
    }

    /// Whether self-supervision is held back as supervision is.
    pub(crate) fn gates_self_supervision(self) -> bool {
        matches!(self, MaskSite::Split | MaskSite::Both)
    }

    /// The masks of some rows, acting where this site has them act.
    pub(crate) fn stages(self, rows: RowMasks) -> StageMasks {
        StageMasks { layers: rows.layers().to_vec(), within: self.is_within() }
    }

    /// Opens the gate for what this site does not protect.
    pub(crate) fn leave_open(self, gate: &mut Supervised) {
        match self {
            MaskSite::Fast => open(&mut gate.slow),
            MaskSite::Slow => {
                gate.fast.iter_mut().for_each(open);
                open(&mut gate.head);
            }
            MaskSite::None | MaskSite::Split | MaskSite::Both => {}
        }
    }
}

impl StageMasks {
    /// `h_l` of hidden units, as the next layer of the backbone is to see it.
    pub fn within(&self, l: usize, h: Tensor<2>) -> Tensor<2> {
        if self.within { h * self.layers[l].clone() } else { h }
    }

    /// `h'_l` from `h_l ⊗ m_l`.
    pub fn fused(&self, l: usize, h: Features) -> Features {
        match h {
            h if self.within => h,
            Features::Units(h) => Features::Units(h * self.layers[l].clone()),
            Features::Maps(_) => unreachable!("masks are refused for a ResNet"),
        }
    }
}
