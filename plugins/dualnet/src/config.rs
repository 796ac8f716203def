//! Hyper-parameters of DualNet. The defaults are the paper's roles and schedule on the small MLP
//! variant; what the released code, the blog's reading and the journal extension do otherwise are
//! options.

use perdura_nn::plasticity::{Ownership, Plasticity, SpeedCurve};
use perdura_nn::similarity::SimilarityGiven;
use perdura_sdk::{Error, hyper_parameters, prelude::*};

use crate::masked::MaskSite;
use crate::orthogonal::{self, Anchors, BasisKind};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// The network that gives the features h_l.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for the MLP.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for ResNet-18.
        pub width: usize = 64,
        /// Hidden width of the projector, for the MLP; a ResNet's is 4 times `width`.
        pub projector: usize = 256,
        /// False leaves the fast network out: the slow one alone, with the head.
        pub fast: bool = true,
        /// Which network is the backbone.
        pub roles: Roles = Roles::Paper,

        /// When the slow network learns.
        pub slow_schedule: SlowSchedule = SlowSchedule::Lookahead,
        /// Look-ahead: self-supervised steps on the temporary copy, K.
        pub k: usize = 2,
        /// Look-ahead: share of the way to the copy, β; 0 to 1.
        pub beta: f64 = 0.05,
        /// Look-ahead: repetitions per incoming batch.
        pub n_outer: usize = 2,
        /// Every-K: supervised steps per step of the slow network.
        pub every: usize = 5,
        /// Every-K: what becomes of the supervised gradients in between.
        pub between: Between = Between::Drop,

        /// Supervised learning rate; above 0.
        pub lr: f64 = 0.03,
        /// Supervised steps per incoming batch.
        pub sup_steps: usize = 2,
        /// The supervised loss trains the slow network too.
        pub sup_updates_slow: bool = true,
        /// Share of the incoming batches whose labels are used; above 0, up to 1.
        pub labelled: f64 = 1.0,

        /// The self-supervised loss.
        pub ssl_loss: SslLoss = SslLoss::BarlowTwins,
        /// Self-supervised learning rate, ε; above 0.
        pub lr_ssl: f64 = 0.001536,
        /// Weight of the self-supervised loss; 0 turns self-supervision off.
        pub ssl_weight: f64 = 1.0,
        /// Weight of the off-diagonal terms, λ_BT.
        pub lambda_bt: f64 = 0.002,
        /// Added to the standard deviations of the projections.
        pub eps_std: f64 = 1e-6,
        /// Where the samples for self-supervision come from.
        pub ssl_source: SslSource = SslSource::MemoryAll,
        /// Samples of the memory per self-supervised step; at least 2.
        pub ssl_batch: usize = 32,

        /// Over which classes a sample's logits run.
        pub head: HeadKind = HeadKind::TaskFree,
        /// Samples replayed per supervised step.
        pub replay: usize = 10,
        /// How replayed samples keep their old answers.
        pub replay_kd: ReplayKd = ReplayKd::SoftKl,
        /// Over what the soft-label loss is averaged.
        pub kd_reduction: KdReduction = KdReduction::ElementMean,
        /// Weight of the loss on old answers, λ_tr; 0 leaves it out.
        pub lambda_tr: f64 = 10.0,
        /// Temperature of the soft labels, τ; above 0.
        pub tau: f64 = 2.0,
        /// Probability that a channel of a fused layer is dropped in training; 0 up to below 1.
        pub interaction_dropout: f64 = 0.0,

        /// Where gradients are taken that later supervision spares (OGD).
        pub anchors: Anchors = Anchors::None,
        /// Samples of each experience whose gradients are taken, n; at least 1.
        pub ogd_samples: usize = 100,
        /// Most directions kept, K_max, in each basis; at least 1.
        pub capacity: usize = 2000,
        /// What is left of a gradient, as a share of its norm, at which it counts as known; between
        /// 0 and 1.
        pub tau_rank: f64 = 0.1,
        /// One basis for all parameters, or one for each layer.
        pub basis: BasisKind = BasisKind::Network,
        /// Decay of the slow network's moving average φ_EMA per batch; 0 to 1.
        pub alpha_ema: f64 = 0.99,
        /// Samples of earlier experiences, from the memory, on which the coverage is measured at
        /// the end of each epoch; 0 for none.
        pub coverage: usize = 0,

        /// Also trains a linear read-out on the slow network alone and offers it as the view
        /// `slow`.
        pub slow_readout: bool = false,
        /// Slips of the released code: set right, or reproduced.
        pub quirks: Quirks = Quirks::Fixed,

        /// The correlation matrix as information: weight of the distance to the matrix of the last
        /// boundary, μ_C; 0 leaves it out.
        pub relation: f64 = 0.0,
        /// Share of the past in the mean of matrices, ρ; 0 up to below 1.
        pub matrix_rho: f64 = 0.99,
        /// Rates by similarity for the layers around units that other groups' matrices rest on:
        /// `none`, `mean`, `min`.
        pub unit_roles: Plasticity = Plasticity::None,
        /// Rate of a wholly owned unit at similarity 0, κ_min; above 0, up to 1.
        pub unit_kappa: f64 = 0.1,
        /// Which similarities decide those rates: those of the matrices, or a control.
        pub unit_similarity: SimilarityGiven = SimilarityGiven::True,
        /// Similarity between groups for `unit_similarity = "oracle"`; 0 to 1.
        pub unit_across: f64 = 0.2,
        /// Share of the energy of features whose directions the layers that take them may not learn
        /// in after the first boundary; 0 turns it off, up to 1.
        pub project: f64 = 0.0,
        /// Tells how alike the matrices of groups are at every boundary.
        pub matrix_similarity: bool = false,
        /// Whose matrices tell how alike groups are, in `matrix_similarity` and `unit_roles`.
        pub matrix_of: MatrixOf = MatrixOf::Projections,
        /// Similarity from which an experience is told to be of an earlier one's group; 0 to 1.
        pub matrix_tau: f64 = 0.5,
        /// Tells the losses of every group at every boundary, and how a self-supervised step on the
        /// group at hand changes them.
        pub matrix_losses: bool = false,
        /// Groups whose matrices are taken: that of experience i is `matrix_groups[i]`. Empty:
        /// every experience is one.
        pub matrix_groups: Vec<usize> = vec![],
        /// Samples of every group in one draw for its matrices; at least 4.
        pub matrix_batch: usize = 128,
        /// Draws at every boundary; at least 1.
        pub matrix_draws: usize = 16,
        /// Batches of an experience after which `unit_roles` compares it with the groups before it;
        /// at least 1.
        pub matrix_window: u64 = 20,

        /// Masks of groups of similar experiences: whose parameters they protect.
        pub mask_site: MaskSite = MaskSite::None,
        /// Share of every layer that `mask_site = "split"` masks, ρ; 0 to 1.
        pub rho: f64 = 0.5,
        /// Largest scale of the masks' embeddings, s_max; above 0.
        pub s_max: f64 = 400.0,
        /// Weight of the masks' sparsity term, λ_c; 0 or more.
        pub lambda_c: f64 = 0.75,
        /// Mean of the embeddings that a group begins with: above 0 more units are open.
        pub mask_mean: f64 = 0.0,
        /// Learn masks at a scale that rises to s_max; without, they are hard from the start.
        pub mask_anneal: bool = true,
        /// Temperature of the group probabilities at test, T_p; 0 gives all to the nearest group.
        pub temperature: f64 = 0.1,
        /// Also a view that is told the true group of a test sample, for benchmarks that know it.
        pub oracle_view: bool = false,

        /// Rates by similarity for what other groups own.
        pub plasticity: Plasticity = Plasticity::None,
        /// Part of the rate that the slow network heeds, ω: it goes at `1 − ω + ω·μ`; 0 to 1.
        pub omega: f64 = 0.5,
        /// How similarity becomes speed.
        pub speed: SpeedCurve = SpeedCurve::Geometric,
        /// Speed at similarity 0, κ_min; 0 to κ_max.
        pub kappa_min: f64 = 0.1,
        /// Speed at similarity 1, κ_max; above 0.
        pub kappa_max: f64 = 1.0,
        /// Similarity from which `speed = "step"` goes at κ_max; 0 to 1.
        pub tau_speed: f64 = 0.5,
        /// Scale rates to a mean of 1.
        pub budget_neutral: bool = false,
        /// Who owns a parameter where no masks say so.
        pub ownership: Ownership = Ownership::Path,
        /// Which similarities decide the rates: the measured ones, or a control.
        pub similarity: SimilarityGiven = SimilarityGiven::True,
        /// Similarity between groups for `similarity = "oracle"`; 0 to 1.
        pub oracle_across: f64 = 0.2,

        /// Similarity from which an experience joins a group, τ_join; 0 to 1.
        pub tau_join: f64 = 0.5,
        /// Most groups; at least 1.
        pub groups_max: usize = 5,
        /// Groups given instead of found: that of experience i is `groups[i]`. Empty: found.
        pub groups: Vec<usize> = vec![],
        /// Samples of each side that are compared; at least 2.
        pub probe: usize = 200,
        /// Batches in the sliding window, where the experience cannot be looked through; at least
        /// 1.
        pub window: usize = 10,
        /// Windows in a row that must agree on a change of group, where boundaries are hidden; at
        /// least 1.
        pub confirm: usize = 2,
    }
}

hyper_parameters! {
    /// The network that gives the features h_l.
    pub enum BackboneKind {
        /// Hidden layers with ReLU; the other network has the same widths.
        #[default]
        Mlp,
        /// ResNet-18 with a max-pooled stem; the other network is four convolutional blocks.
        Resnet18,
    }
}

hyper_parameters! {
    /// Which network is the backbone.
    pub enum Roles {
        /// The slow network gives the features, the fast one modulates them.
        #[default]
        Paper,
        /// The fast network gives the features, the slow one is attached to it and modulates them.
        Blog,
    }
}

hyper_parameters! {
    /// When the slow network learns.
    pub enum SlowSchedule {
        /// With every incoming batch, `n_outer` times: K steps on a copy, then a share β of the way
        /// there.
        #[default]
        Lookahead,
        /// Once in `every` supervised steps.
        EveryK,
    }
}

hyper_parameters! {
    /// What becomes of the supervised gradients between two steps of the slow network.
    pub enum Between {
        /// They are not computed: only the last one counts.
        #[default]
        Drop,
        /// They are added up.
        Accumulate,
    }
}

hyper_parameters! {
    /// The self-supervised loss.
    pub enum SslLoss {
        /// Views agree, features do not repeat each other.
        #[default]
        BarlowTwins,
    }
}

hyper_parameters! {
    /// Where the samples for self-supervision come from.
    pub enum SslSource {
        /// The memory of experiences before the current one; the current batch in the first.
        PastOnly,
        /// The whole memory.
        #[default]
        MemoryAll,
        /// The current batch and the whole memory.
        CurrentAndMemory,
    }
}

hyper_parameters! {
    /// Over which classes a sample's logits run.
    pub enum HeadKind {
        /// The classes of its own experience, in training and when it is scored.
        TaskAware,
        /// All classes.
        #[default]
        TaskFree,
    }
}

hyper_parameters! {
    /// How replayed samples keep their old answers.
    pub enum ReplayKd {
        /// Kullback-Leibler divergence to the softened answer at the end of its experience.
        #[default]
        SoftKl,
        /// Squared distance to the logits at the end of its experience.
        LogitMse,
    }
}

hyper_parameters! {
    /// Over what the loss on old answers is averaged.
    pub enum KdReduction {
        /// Samples and classes: the task-aware file.
        #[default]
        ElementMean,
        /// Samples: the textbook's divergence.
        BatchMean,
        /// Classes, summed over samples: the task-free file.
        ClassMean,
    }
}

hyper_parameters! {
    /// Whose cross-correlation matrices are compared.
    pub enum MatrixOf {
        /// Those of the projections, of which the loss is made.
        #[default]
        Projections,
        /// Those of the slow network's features.
        Features,
    }
}

hyper_parameters! {
    /// Slips of the released code.
    pub enum Quirks {
        /// Set right.
        #[default]
        Fixed,
        /// Reproduced, as far as they lie on the learner's side.
        #[serde(rename = "released-code")]
        ReleasedCode,
    }
}

impl Config {
    pub(crate) fn self_supervised(&self) -> bool {
        self.ssl_weight > 0.0
    }

    pub(crate) fn uses_memory(&self) -> bool {
        self.replay > 0 || self.self_supervised()
    }

    pub(crate) fn distils(&self) -> bool {
        self.lambda_tr > 0.0 && self.replay > 0
    }

    /// Gradients of the slow network are added up between its steps.
    pub(crate) fn accumulates(&self) -> bool {
        let summed = self.slow_schedule == SlowSchedule::EveryK;
        summed && self.between == Between::Accumulate && self.sup_updates_slow
    }

    /// Self-supervised steps that one incoming batch can bring.
    pub(crate) fn ssl_steps_max(&self) -> usize {
        match self.slow_schedule {
            SlowSchedule::Lookahead => self.k * self.n_outer,
            SlowSchedule::EveryK => self.sup_steps.div_ceil(self.every.max(1)),
        }
    }

    /// Refuses values outside their range, and options that contradict each other or the stream.
    pub(crate) fn check(&self, ctx: &Context) -> Result<()> {
        self.check_ranges()?;
        self.check_counts()?;
        orthogonal::check(self, ctx)?;
        if self.roles == Roles::Blog && !self.fast {
            let expected = "true where `roles` is `blog`: the fast network is the backbone";
            return Err(Error::config("fast", expected, self.fast));
        }
        let told = ctx.grants.boundaries && ctx.grants.experience_classes;
        if self.head == HeadKind::TaskAware && !told {
            let found = "task_aware in a stream without them";
            let expected = "task_free, or a stream that tells experiences and their classes";
            return Err(Error::config("head", expected, found));
        }
        self.check_matrix(&ctx.grants)?;
        self.check_groups(&ctx.grants)
    }
}
