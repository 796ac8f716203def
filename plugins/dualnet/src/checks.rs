//! Ranges of the hyper-parameters of plain DualNet. What belongs to groups is checked in `groups.rs`,
//! uses of the correlation matrix in `switches.rs`, anchors in `orthogonal.rs`, what goes together in
//! `config.rs`.

use perdura_sdk::{Error, Result};

use crate::config::Config;

impl Config {
    pub(crate) fn check_ranges(&self) -> Result<()> {
        for (key, value) in [("lr", self.lr), ("lr_ssl", self.lr_ssl), ("tau", self.tau)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number above 0", value));
            }
        }
        let at_least_0 = [
            ("ssl_weight", self.ssl_weight),
            ("lambda_bt", self.lambda_bt),
            ("eps_std", self.eps_std),
            ("lambda_tr", self.lambda_tr),
        ];
        for (key, value) in at_least_0 {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number of at least 0", value));
            }
        }
        if !(0.0..=1.0).contains(&self.beta) {
            return Err(Error::config("beta", "a number from 0 to 1", self.beta));
        }
        if !(0.0..1.0).contains(&self.interaction_dropout) {
            let found = self.interaction_dropout;
            return Err(Error::config("interaction_dropout", "a number from 0 to below 1", found));
        }
        match self.labelled > 0.0 && self.labelled <= 1.0 {
            true => Ok(()),
            false => Err(Error::config("labelled", "a number above 0, up to 1", self.labelled)),
        }
    }

    pub(crate) fn check_counts(&self) -> Result<()> {
        let counts = [
            ("k", self.k),
            ("n_outer", self.n_outer),
            ("every", self.every),
            ("sup_steps", self.sup_steps),
            ("width", self.width),
            ("projector", self.projector),
        ];
        if let Some((key, found)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(key, "at least 1", found));
        }
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            let found = format!("{:?}", self.hidden);
            return Err(Error::config("hidden", "at least one width, each at least 1", found));
        }
        match self.self_supervised() && self.ssl_batch < 2 {
            true => {
                let expected = "at least 2: the loss standardises over the batch";
                Err(Error::config("ssl_batch", expected, self.ssl_batch))
            }
            false => Ok(()),
        }
    }
}
