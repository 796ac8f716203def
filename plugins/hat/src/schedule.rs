//! The learning rate of one task: divided after epochs that brought no better score on held-out
//! samples.

use perdura_sdk::serde::{Deserialize, Serialize};

use crate::config::Config;

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "perdura_sdk::serde")]
pub(crate) struct Schedule {
    pub lr: f64,
    /// Accuracy of the best epoch so far.
    best: Option<f64>,
    /// Epochs left before the learning rate falls.
    left: usize,
    /// The learning rate fell below its minimum: the task is finished.
    pub finished: bool,
}

impl Schedule {
    /// A task begins.
    pub fn new(config: &Config) -> Self {
        Schedule { lr: config.lr, best: None, left: config.patience, finished: false }
    }

    /// After an epoch: true if it was the best so far.
    pub fn after_epoch(&mut self, accuracy: f64, config: &Config) -> bool {
        if self.best.is_none_or(|best| accuracy > best) {
            (self.best, self.left) = (Some(accuracy), config.patience);
            return true;
        }
        if config.patience > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.lr /= config.lr_factor;
                self.left = config.patience;
                self.finished = self.lr < config.lr_min;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patience 2, from 0.9 by thirds, not below 0.2: two epochs that are no better cost a third, a
    /// better one in between starts counting anew, and 0.1 ends the task.
    #[test]
    fn the_schedule_by_hand() {
        let config =
            Config { lr: 0.9, patience: 2, lr_min: 0.2, lr_factor: 3.0, ..Config::default() };
        let mut schedule = Schedule::new(&config);
        let mut after = |accuracy| {
            let better = schedule.after_epoch(accuracy, &config);
            ((schedule.lr * 1000.0).round() / 1000.0, better, schedule.finished)
        };
        assert_eq!(after(0.5), (0.9, true, false));
        assert_eq!(after(0.5), (0.9, false, false), "equal is not better");
        assert_eq!(after(0.6), (0.9, true, false));
        assert_eq!(after(0.4), (0.9, false, false));
        assert_eq!(after(0.6), (0.3, false, false));
        assert_eq!(after(0.1), (0.3, false, false));
        assert_eq!(after(0.1), (0.1, false, true));
    }

    #[test]
    fn without_patience_the_rate_is_constant() {
        let config = Config { restore_best: true, ..Config::default() };
        let mut schedule = Schedule::new(&config);
        assert!(schedule.after_epoch(0.5, &config));
        for _ in 0..20 {
            assert!(!schedule.after_epoch(0.1, &config));
        }
        assert_eq!((schedule.lr, schedule.finished), (0.05, false));
    }
}
