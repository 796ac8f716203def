//! What a run cost and where it ran: everything about it that differs from one repetition to the
//! next.

use std::collections::BTreeMap;
use std::fs;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::check::CheckNote;
use crate::worker::FaultTraces;

/// `resources.json`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// [`Resources::FORMAT`].
    pub format: u32,
    /// Wall time from plan to summary, scoring included; of a run that was taken up, of all its
    /// processes as far as what they did was kept.
    pub seconds: f64,
    /// Of all processes of the run.
    pub cpu_seconds: f64,
    /// Of the learner's process while it was trained: steps and boundaries, not saving and scoring. `None`
    /// in the tier `in-process`, where it has none of its own.
    #[serde(default)]
    pub learner_cpu_seconds: Option<f64>,
    /// Largest proportional set size of the run's processes together that was seen: once a second,
    /// and while an instance is scored. `None` where not measured.
    pub peak_pss_bytes: Option<u64>,
    /// `process`, `sandbox` or `in-process`.
    pub tier: String,
    pub machine: Machine,
    /// See [`utc_text`].
    pub started: String,
    /// Seconds per activity.
    pub ledger: BTreeMap<String, f64>,
    /// Per experience; `None` for one that was not finished.
    pub steps_per_second: Vec<Option<f64>>,
    /// How often the run was taken up from a checkpoint.
    #[serde(default)]
    pub resumed: u32,
    /// Wall time of scoring snapshots beside the training, all at a time together; `None` where there
    /// were none. Their CPU time is in `cpu_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_seconds: Option<f64>,
    /// What `perdura plugins check` last found of this plugin file, as far as this machine knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckNote>,
    /// Of a run that failed: what the fault left beside what the summary says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultTraces>,
}

/// The machine of a run.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Model as the kernel names it, or the architecture.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    pub system: String,
}

impl Resources {
    pub const FORMAT: u32 = 1;
}

impl Machine {
    /// The machine this process runs on. What cannot be found out is left general: it is a remark
    /// only.
    pub fn here() -> Machine {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpu: model_name(&cpu_info).unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_owned(),
        }
    }
}

/// The time as `2026-02-28T23:59:59Z`. Times before 1970 are shown as its first second.
pub fn utc_text(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn model_name(cpu_info: &str) -> Option<&str> {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days` for days after 1970): years begin in March, so that the leap day
/// is last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        // `date -u -d @SECONDS +%FT%TZ`
        let text = |seconds| utc_text(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(text(1_772_323_199), "2026-02-28T23:59:59Z");
        assert_eq!(text(1_772_323_200), "2026-03-01T00:00:00Z");
    }

    #[test]
    fn the_cpu_is_read_from_the_kernel() {
        let cpu_info = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(model_name(cpu_info), Some("Some CPU @ 2 GHz"));
        assert_eq!(model_name(""), None);
        assert!(Machine::here().cores > 0);
    }
}
