//! The compute of a method: CPU time of the process of the learner in training, by the kernel's
//! count. What a learner says of itself cannot be checked, and forwards and backwards inside it
//! cannot be seen; this can.

use std::sync::Arc;

use crate::worker::{LookingOut, cpu_seconds_of};

/// Counts the CPU time of a learner while it trains, and not while it saves its state for others, nor what its
/// process spends on looking out for the host.
#[derive(Clone, Debug, Default)]
pub struct Compute {
    /// `None` where the learner shares the process of the run.
    pid: Option<u32>,
    looking_out: Option<Arc<LookingOut>>,
    /// Counted before `since`, by earlier processes of the run too.
    spent: f64,
    /// Count of the process when it last went on; `None` while it is not to be counted.
    since: Option<f64>,
}

impl Compute {
    /// Counts from now on, in this process.
    pub fn begin(&mut self, pid: Option<u32>, looking_out: Option<Arc<LookingOut>>) {
        (self.pid, self.looking_out) = (pid, looking_out);
        self.go_on();
    }

    /// What follows is not training.
    pub fn pause(&mut self) {
        self.spent += self.lately();
        self.since = None;
    }

    /// What follows is training.
    pub fn go_on(&mut self) {
        self.since = self.count();
    }

    /// Adds what earlier processes of the run have spent.
    pub fn add(&mut self, earlier: Option<f64>) {
        self.spent += earlier.unwrap_or(0.0);
    }

    /// Seconds so far; `None` where they were not counted.
    pub fn seconds(&self) -> Option<f64> {
        self.pid.map(|_| self.spent + self.lately())
    }

    /// Of a process that has ended, what came after the last pause is lost.
    fn lately(&self) -> f64 {
        let now = self.since.and(self.count());
        now.zip(self.since).map_or(0.0, |(now, since)| (now - since).max(0.0))
    }

    /// Seconds of the process so far, less what was looking out.
    fn count(&self) -> Option<f64> {
        let looking_out = self.looking_out.as_ref().map_or(0.0, |time| time.seconds());
        Some(cpu_seconds_of(self.pid?)? - looking_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Until this process has used so much more CPU time.
    fn work(seconds: f64) {
        let pid = std::process::id();
        let begun = cpu_seconds_of(pid).unwrap();
        let late = Instant::now() + Duration::from_secs(60);
        while cpu_seconds_of(pid).unwrap() < begun + seconds {
            assert!(Instant::now() < late, "no CPU time is counted");
        }
    }

    #[test]
    fn only_what_is_training_counts() {
        let mut compute = Compute::default();
        compute.begin(Some(std::process::id()), None);
        work(0.05);
        compute.pause();
        let paused = compute.seconds().unwrap();
        assert!(paused >= 0.05 - 1e-9, "{paused}");
        work(0.05);
        assert_eq!(compute.seconds(), Some(paused));
        compute.go_on();
        work(0.03);
        assert!(compute.seconds().unwrap() >= paused + 0.03 - 1e-9);
        compute.add(Some(100.0));
        assert!(compute.seconds().unwrap() > 100.0);
    }

    #[test]
    fn without_a_process_of_its_own_nothing_is_known() {
        let mut compute = Compute::default();
        compute.begin(None, None);
        compute.pause();
        assert_eq!(compute.seconds(), None);
        compute.begin(Some(u32::MAX), None);
        assert_eq!(compute.seconds(), Some(0.0), "it has ended");
    }
}
