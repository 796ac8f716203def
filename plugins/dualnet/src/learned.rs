//! What one incoming batch brought, and how the host is told.

use perdura_sdk::StepReport;

/// A mean over the steps in which there was something to measure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    sum: f64,
    steps: u32,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.steps += 1;
    }

    /// `None` where nothing was added.
    pub fn get(self) -> Option<f64> {
        (self.steps > 0).then(|| self.sum / f64::from(self.steps))
    }
}

/// What one incoming batch brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Learned {
    pub loss_ssl: Mean,
    /// Before μ_C.
    pub loss_relation: Mean,
    pub loss: Mean,
    pub loss_ce: Mean,
    pub loss_ce_replay: Mean,
    /// Before λ_tr.
    pub loss_kd: Mean,
    /// Distance the slow network was moved, without its projector.
    pub slow_move_ssl: f64,
    pub slow_move_sup: f64,
    /// With `anchors`: the share of the supervised gradient's norm that is followed.
    pub kept: Mean,
}

impl Learned {
    /// Means over the steps of the batch. What did not happen is left out, not 0: a loss that was not
    /// computed, the ratio where supervision did not move the slow network.
    pub fn report(self) -> StepReport {
        let Learned { slow_move_ssl, slow_move_sup, .. } = self;
        let ratio = (slow_move_sup > 0.0).then(|| slow_move_ssl / slow_move_sup);
        let scalars = [
            ("loss", self.loss.get()),
            ("loss_ce", self.loss_ce.get()),
            ("loss_ce_replay", self.loss_ce_replay.get()),
            ("loss_kd", self.loss_kd.get()),
            ("loss_ssl", self.loss_ssl.get()),
            ("loss_relation", self.loss_relation.get()),
            ("slow_move_ssl", Some(slow_move_ssl)),
            ("slow_move_sup", Some(slow_move_sup)),
            ("slow_move_ratio", ratio),
        ];
        let there = scalars.into_iter().filter_map(|(name, value)| Some((name, value?)));
        there.fold(StepReport::new(), |report, (name, value)| report.scalar(name, value))
    }
}
