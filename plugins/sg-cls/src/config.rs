//! Hyper-parameters of SG-CLS. Symbols are those of the README.

pub use perdura_nn::similarity::SimilarityGiven;
use perdura_nn::similarity::{Control, Leader, LeaderError};
use perdura_nn::teaching::EmaBn;
use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Error, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.1,
        /// Samples replayed per step, m.
        pub replay: usize = 32,
        /// Weight of the consistency loss, λ; 0 or more.
        pub reg_weight: f64 = 1.0,

        /// Similarity from which an experience joins a group, τ_join; 0 to 1.
        pub tau_join: f64 = 0.5,
        /// Most groups at a time, G_max; at least 1.
        pub groups_max: usize = 5,
        /// What happens when there is no room for a new group.
        pub at_capacity: AtCapacity = AtCapacity::Merge,
        /// Groups given instead of found: that of experience i is `groups[i]`. Empty: found.
        pub groups: Vec<usize> = vec![],
        /// Groups that are open from step 0 on, as copies of the first network; 0: they open when
        /// needed.
        pub open_at_start: usize = 0,
        /// What a group that opens begins as.
        pub open_from: OpenFrom = OpenFrom::Working,

        /// How similarity is measured.
        pub estimator: Estimator = Estimator::Proto,
        /// Which features are compared.
        pub features: Features = Features::FirstHidden,
        /// How likeness to the experiences of a group becomes likeness to the group.
        pub link: GroupLink = GroupLink::Pooled,
        /// Samples of each side that are compared; at least 2.
        pub probe: usize = 200,
        /// Batches in the sliding window, where the experience cannot be looked through; at least
        /// 1.
        pub window: usize = 20,
        /// Windows in a row that must agree on a change of group, where boundaries are hidden; at
        /// least 1.
        pub confirm: usize = 2,
        /// Which similarities the method is given: the measured ones, or a control.
        pub similarity: SimilarityGiven = SimilarityGiven::True,
        /// Similarity between groups for `similarity = "oracle"`; 0 to 1.
        pub oracle_across: f64 = 0.2,

        /// Probability that a step updates a memory of similarity 1, r_max.
        pub r_max: f64 = 1.0,
        /// The same at similarity 0, as a share of r_max: `r_min = r_min_share · r_max`.
        pub r_min_share: f64 = 0.02,
        /// Exponent of the similarity in between, q; above 0.
        pub q: f64 = 2.0,
        /// Decay of a memory per update, α_g.
        pub alpha: f64 = 0.99,
        /// Probabilities of groups 0, 1, ... in place of those from similarity. Empty: from
        /// similarity.
        pub rates: Vec<f64> = vec![],
        /// Decays of groups 0, 1, ... in place of `alpha`. Empty: `alpha`.
        pub alphas: Vec<f64> = vec![],
        /// Keep an average over all groups, θ_S.
        pub keep_global: bool = true,
        /// Probability that a step updates θ_S.
        pub r_global: f64 = 1.0,
        /// Decay of θ_S per update.
        pub alpha_global: f64 = 0.999,

        /// How memories teach a replayed sample.
        pub teacher: Teacher = Teacher::Hard,
        /// Weight of being right in the choice of a hard teacher, w_c; 0 or more.
        pub w_correct: f64 = 1.0,
        /// Weight of being similar in the choice of a hard teacher, w_s; 0 or more.
        pub w_similar: f64 = 1.0,
        /// Added to a similarity before its logarithm, ε; above 0.
        pub epsilon: f64 = 0.001,
        /// Similarity of a memory to what.
        pub teacher_sim: TeacherSim = TeacherSim::SampleTask,
        /// Memories asked about a sample with a hard teacher, those most similar first, for
        /// `teacher_sim = "sample_task"`; at least 1.
        pub teachers_max: usize = 2,
        /// Soft teachers together weigh λ, whatever the similarities are.
        pub soft_normalised: bool = true,

        /// What is trained by gradient.
        pub group_update: GroupUpdate = GroupUpdate::Ema,
        /// What networks of other groups do meanwhile, for `group_update = "gradient"`.
        pub others: Others = Others::Rest,
        /// Which view is the result.
        pub inference: Inference = Inference::Global,
        /// Which class prototypes tell the group of a test sample.
        pub prototypes: Prototypes = Prototypes::Pixels,
        /// Temperature of the group probabilities, T_p; 0 gives all to the nearest group.
        pub temperature: f64 = 0.1,
        /// Also a view that is told the true group of a test sample, for benchmarks that know it.
        pub oracle_view: bool = false,

        /// Where the teachers' running statistics come from, for networks that have some.
        pub ema_bn: EmaBn = EmaBn::Code,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

hyper_parameters! {
    /// What happens when an experience is like no group and there is no room for a new one.
    pub enum AtCapacity {
        /// The two most similar groups become one, and a new one opens.
        #[default]
        Merge,
        /// It joins the most similar group.
        Join,
    }
}

hyper_parameters! {
    /// What a group that opens begins as.
    pub enum OpenFrom {
        /// A copy of the working network.
        #[default]
        Working,
        /// A copy of the memory most similar to the experience, if there is one.
        MostSimilar,
    }
}

hyper_parameters! {
    /// Measures of similarity (perdura-nn, `similarity`).
    pub enum Estimator {
        /// Class prototypes.
        #[default]
        Proto,
        /// Covariances, without labels.
        Cov,
        /// Features of the same samples in the working network and in the group's own.
        Cka,
        /// Cosine of gradients.
        Gcos,
        /// Look-ahead affinity.
        Tag,
        /// Diagonal Fisher information.
        T2v,
        /// Cross-correlation of features, without labels.
        Bt,
    }
}

hyper_parameters! {
    /// Features that are compared.
    pub enum Features {
        /// First hidden layer (first stage) of the stable network: θ_S, without it θ_W.
        #[default]
        FirstHidden,
        /// The same layer with the weights that training began with.
        Initial,
        /// Last hidden layer of the stable network.
        Penultimate,
        /// The inputs.
        Pixels,
        /// First hidden layer of the group's own memory.
        Own,
    }
}

hyper_parameters! {
    /// How likeness to the experiences of a group becomes likeness to the group.
    pub enum GroupLink {
        /// The group's samples are one set.
        #[default]
        Pooled,
        /// The mean over experiences.
        Mean,
        /// The highest of all experiences.
        Max,
    }
}

hyper_parameters! {
    /// How memories teach a replayed sample.
    pub enum Teacher {
        /// One memory for each sample.
        #[default]
        Hard,
        /// All memories, weighted by similarity.
        Soft,
    }
}

hyper_parameters! {
    /// What a teacher should be similar to.
    pub enum TeacherSim {
        /// The group of the replayed sample: retention.
        #[default]
        SampleTask,
        /// The group that is being learned: transfer.
        CurrentTask,
        /// Both: the product.
        Product,
    }
}

hyper_parameters! {
    /// What is trained by gradient.
    pub enum GroupUpdate {
        /// One working network; memories are its averages.
        #[default]
        Ema,
        /// One network per group, on its own experiences and its own replay; memories are their
        /// averages.
        Gradient,
    }
}

hyper_parameters! {
    /// What networks of other groups do while one is trained.
    pub enum Others {
        /// Nothing.
        #[default]
        Rest,
        /// With the probability that follows from similarity they take a step of their own, on the
        /// batch and on their own replay.
        Follow,
    }
}

hyper_parameters! {
    /// Which view is the result.
    pub enum Inference {
        /// θ_S.
        #[default]
        Global,
        /// The memories, weighted by the probability of their groups.
        Mixture,
        /// The mean of both.
        Mean,
    }
}

hyper_parameters! {
    /// Class prototypes of groups.
    pub enum Prototypes {
        /// Of inputs.
        #[default]
        Pixels,
        /// Of the first hidden layer with the weights that training began with.
        Initial,
    }
}

impl Config {
    /// Refuses values outside their range, and those that do not go together.
    pub(crate) fn check(&self) -> Result<()> {
        self.leader()?;
        let positive = [("lr", self.lr), ("q", self.q), ("epsilon", self.epsilon)];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number above 0", value));
            }
        }
        let not_negative = [
            ("reg_weight", self.reg_weight),
            ("w_correct", self.w_correct),
            ("w_similar", self.w_similar),
            ("temperature", self.temperature),
        ];
        for (key, value) in not_negative {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number of at least 0", value));
            }
        }
        let shares = [
            ("r_max", self.r_max),
            ("r_min_share", self.r_min_share),
            ("alpha", self.alpha),
            ("r_global", self.r_global),
            ("alpha_global", self.alpha_global),
            ("oracle_across", self.oracle_across),
        ];
        let lists = self.rates.iter().map(|r| ("rates", *r));
        let lists = lists.chain(self.alphas.iter().map(|a| ("alphas", *a)));
        for (key, value) in shares.into_iter().chain(lists) {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(key, "a number from 0 to 1", value));
            }
        }
        self.check_counts()?;
        self.check_together()
    }

    fn check_counts(&self) -> Result<()> {
        let at_least_one = [
            ("window", self.window),
            ("confirm", self.confirm),
            ("teachers_max", self.teachers_max),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(Error::config(key, "at least 1", value));
            }
        }
        if self.probe < 2 {
            return Err(Error::config("probe", "at least 2", self.probe));
        }
        if self.open_at_start > self.groups_max {
            return Err(Error::config("open_at_start", "at most groups_max", self.open_at_start));
        }
        if let Some(group) = self.groups.iter().find(|group| **group >= self.groups_max) {
            return Err(Error::config("groups", "numbers below groups_max", group));
        }
        for (key, list) in [("rates", &self.rates), ("alphas", &self.alphas)] {
            if !list.is_empty() && list.len() < self.groups_max {
                let expected = "nothing, or one number for each of groups_max groups";
                return Err(Error::config(key, expected, format!("{} numbers", list.len())));
            }
        }
        Ok(())
    }

    fn check_together(&self) -> Result<()> {
        let whole = self.has_global() || self.inference == Inference::Mixture;
        if !whole {
            let expected = "`mixture` where there is no network for all groups (`keep_global` is \
                            false or `group_update` is `gradient`)";
            return Err(Error::config("inference", expected, format!("{:?}", self.inference)));
        }
        if self.group_update == GroupUpdate::Gradient && self.open_at_start > 1 {
            let expected = "0 or 1 with `group_update = \"gradient\"`";
            return Err(Error::config("open_at_start", expected, self.open_at_start));
        }
        Ok(())
    }

    /// Probability that a step updates a memory of similarity 0.
    pub(crate) fn r_min(&self) -> f64 {
        self.r_min_share * self.r_max
    }

    /// Decay of the memory of a group.
    pub(crate) fn alpha_of(&self, group: usize) -> f64 {
        self.alphas.get(group).copied().unwrap_or(self.alpha)
    }

    pub(crate) fn leader(&self) -> Result<Leader> {
        Leader::new(self.tau_join as f32, self.groups_max).map_err(|error| match error {
            LeaderError::TauJoin(_) => {
                Error::config("tau_join", "a number from 0 to 1", self.tau_join)
            }
            LeaderError::NoGroups => Error::config("groups_max", "at least 1", 0),
        })
    }

    /// Whether θ_S exists: with one trained network per group there is nothing for it to average.
    pub(crate) fn has_global(&self) -> bool {
        self.keep_global && self.group_update == GroupUpdate::Ema
    }

    /// Whether the network as it began is needed later.
    pub(crate) fn keeps_initial(&self) -> bool {
        self.features == Features::Initial || self.prototypes == Prototypes::Initial
    }

    pub(crate) fn control(&self) -> Control {
        self.similarity.control(self.oracle_across)
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
