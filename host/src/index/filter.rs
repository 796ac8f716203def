//! Which runs are wanted.

use super::IndexError;
use crate::memory::Capacity;

/// Conditions that all hold; one that is not given always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Full id, name without the lab, or name of the settings in a comparison.
    pub method: Option<String>,
    /// Full name; without parameters it means the benchmark with any.
    pub benchmark: Option<String>,
    /// As [`super::Entry::memory`] has it.
    pub memory: Option<String>,
    pub tag: Option<String>,
    pub status: Option<String>,
    /// First and last day or moment of the start, as `2026-02-28` or longer.
    pub since: Option<String>,
    pub until: Option<String>,
}

impl Filter {
    /// Checks what was typed.
    ///
    /// # Errors
    /// A memory size, state or date that is none.
    pub fn checked(mut self) -> Result<Filter, IndexError> {
        let wrong = |option, found: &str, expected| {
            Err(IndexError::Filter { option, found: found.to_owned(), expected })
        };
        if let Some(text) = &self.memory {
            self.memory = Some(match text.parse::<Capacity>() {
                Ok(Capacity::Samples(samples)) => samples.to_string(),
                Ok(Capacity::Bytes(bytes)) => format!("{bytes} bytes"),
                Err(_) => {
                    return wrong("memory", text, "samples such as 200 or bytes such as 64KiB");
                }
            });
        }
        let states = ["finished", "failed", "unfinished", "damaged"];
        if let Some(status) = self.status.as_deref().filter(|status| !states.contains(status)) {
            return wrong("status", status, "finished, failed, unfinished or damaged");
        }
        for (option, date) in [("since", &self.since), ("until", &self.until)] {
            if let Some(date) = date.as_deref().filter(|date| !is_date(date)) {
                return wrong(option, date, "a day such as 2026-02-28, or 2026-02-28T12:00:00Z");
            }
        }
        Ok(self)
    }

    /// As SQL, with the values of its numbered parameters.
    pub(super) fn condition(&self) -> (String, Vec<String>) {
        let (mut conditions, mut values) = (vec!["1".to_owned()], Vec::new());
        let mut add = |text: &str, value: &Option<String>| {
            if let Some(value) = value {
                values.push(value.clone());
                conditions.push(text.replace("?", &format!("?{}", values.len())));
            }
        };
        add("(method = ? OR arm = ? OR substr(method, instr(method, '/') + 1) = ?)", &self.method);
        add("(benchmark = ? OR substr(benchmark, 1, length(?) + 1) = ? || ':')", &self.benchmark);
        add("memory = ?", &self.memory);
        add("folder IN (SELECT folder FROM tags WHERE tag = ?)", &self.tag);
        add("status = ?", &self.status);
        add("started >= ?", &self.since);
        // A day holds all of its moments.
        add("substr(started, 1, length(?)) <= ?", &self.until);
        (conditions.join(" AND "), values)
    }
}

/// `2026-02-28`, or longer with a time behind it.
fn is_date(text: &str) -> bool {
    let (day, time) = text.split_at_checked(10).unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = day.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2]
        && parts.iter().all(|part| digits(part))
        && (time.is_empty() || time.starts_with('T'))
}
