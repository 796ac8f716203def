//! The options of the uses of the correlation matrix: which are on, what they need, what they mean.

use perdura_nn::plasticity::{Pace, Plasticity, Speed, SpeedCurve};
use perdura_nn::similarity::{Leader, SimilarityGiven};
use perdura_sdk::{Error, Grants, Result};

use crate::config::{Config, SslSource};

impl Config {
    /// The switches that are on, by the names of their options.
    pub(crate) fn matrix_switches(&self) -> Vec<&'static str> {
        let switches = [
            ("relation", self.relation != 0.0),
            ("unit_roles", self.unit_roles != Plasticity::None),
            ("project", self.project != 0.0),
            ("matrix_similarity", self.matrix_similarity),
            ("matrix_losses", self.matrix_losses),
        ];
        switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }

    /// Whether the memory is looked at: by all switches but `relation`.
    pub(crate) fn looks(&self) -> bool {
        self.matrix_switches().iter().any(|name| *name != "relation")
    }

    /// The group of an experience.
    pub(crate) fn matrix_group(&self, experience: u32) -> Result<usize> {
        let groups = &self.matrix_groups;
        let found = || format!("{} for experience {experience}", groups.len());
        match groups.is_empty() {
            true => Ok(experience as usize),
            false => groups.get(experience as usize).copied().ok_or_else(|| {
                Error::config("matrix_groups", "a group for every experience", found())
            }),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        let (curve, kappa_min) = (SpeedCurve::Geometric, self.unit_kappa);
        let speed = Speed { curve, kappa_min, kappa_max: 1.0, tau: 0.5 };
        Pace { plasticity: self.unit_roles, speed, budget_neutral: false }
    }

    /// Refuses values outside their range, and switches without what they need.
    pub(crate) fn check_matrix(&self, grants: &Grants) -> Result<()> {
        self.check_matrix_ranges()?;
        let Some(name) = self.matrix_switches().first().copied() else { return Ok(()) };
        if !self.self_supervised() {
            let expected = "off where `ssl_weight` is 0: matrices come from self-supervision";
            return Err(Error::config(name, expected, "on"));
        }
        if !grants.boundaries {
            let expected = "off where boundaries are hidden: matrices are looked at there";
            return Err(Error::config(name, expected, "on"));
        }
        if self.relation > 0.0 && self.ssl_source == SslSource::CurrentAndMemory {
            let expected = "0, or views of the memory alone (`ssl_source = \"memory_all\"`)";
            return Err(Error::config("relation", expected, self.relation));
        }
        Ok(())
    }

    fn check_matrix_ranges(&self) -> Result<()> {
        if !(self.relation >= 0.0 && self.relation.is_finite()) {
            return Err(Error::config("relation", "a number of at least 0", self.relation));
        }
        if !(0.0..1.0).contains(&self.matrix_rho) {
            let expected = "a number from 0 to below 1";
            return Err(Error::config("matrix_rho", expected, self.matrix_rho));
        }
        if !(self.unit_kappa > 0.0 && self.unit_kappa <= 1.0) {
            let expected = "a number above 0, up to 1";
            return Err(Error::config("unit_kappa", expected, self.unit_kappa));
        }
        if self.unit_roles == Plasticity::Hat {
            let expected = "`mean` or `min`: `hat` is about masks on both sides of a parameter";
            return Err(Error::config("unit_roles", expected, "hat"));
        }
        if self.unit_roles == Plasticity::None && self.unit_similarity != SimilarityGiven::True {
            let found = format!("{:?}", self.unit_similarity).to_lowercase();
            let expected = "`true` without `unit_roles`, which alone heed it";
            return Err(Error::config("unit_similarity", expected, found));
        }
        let shares = [
            ("project", self.project),
            ("matrix_tau", self.matrix_tau),
            ("unit_across", self.unit_across),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(key, "a number from 0 to 1", value));
            }
        }
        if self.matrix_batch < 4 {
            let expected = "at least 4: two samples in each half of a group";
            return Err(Error::config("matrix_batch", expected, self.matrix_batch));
        }
        let counts =
            [("matrix_draws", self.matrix_draws as u64), ("matrix_window", self.matrix_window)];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((key, count)) => Err(Error::config(key, "at least 1", count)),
            None => Ok(()),
        }
    }

    /// The rule by which `matrix_similarity` finds groups; as many as it likes.
    pub(crate) fn leader(&self) -> Leader {
        Leader::new(self.matrix_tau as f32, usize::MAX).expect("matrix_tau has been checked")
    }
}
