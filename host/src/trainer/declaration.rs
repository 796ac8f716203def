//! Checks what a learner declared, once, before the first step, and makes the memory it is given.

use perdura_abi::message::{Declaration, InsertionPolicy, Profile, Request, Source, ViewNeeds};
use std::collections::BTreeSet;

use super::world::{World, wants_memory};
use crate::memory::{Capacity, ReplayMemory};
use crate::run::{MemorySize, RunPlan};
use crate::stream::{Benchmark, Scenario};

/// Refuses declarations that the host cannot honour. `memory` says whether the run has one.
pub fn check(declaration: &Declaration, benchmark: &Benchmark, memory: bool) -> Result<(), String> {
    if declaration.views.is_empty() {
        return Err("the learner declares no view: there is nothing to score".into());
    }
    unique("view", declaration.views.iter().map(|v| v.name.as_str()))?;
    unique("request", declaration.requests.iter().map(|r| r.name.as_str()))?;
    unique("column", declaration.columns.iter().map(|c| c.name.as_str()))?;
    unique("scalar", declaration.scalars.iter().map(String::as_str))?;
    if let Some(view) = declaration.views.iter().find(|v| v.needs == ViewNeeds::TrueGroup)
        && !benchmark.has_groups()
    {
        let (view, name) = (&view.name, &benchmark.name);
        return Err(format!(
            "view `{view}` needs the true group, which benchmark `{name}` does not have; choose one \
             with known groups, such as `known-similarity`"
        ));
    }
    if let Some(view) = declaration.views.iter().find(|v| v.needs == ViewNeeds::TaskLabel)
        && benchmark.scenario == Scenario::TaskFree
    {
        let name = &view.name;
        return Err(format!("view `{name}` needs task labels, which a task-free stream has not"));
    }
    let columns: BTreeSet<&str> = declaration.columns.iter().map(|c| c.name.as_str()).collect();
    for request in &declaration.requests {
        let name = &request.name;
        request_is_sound(request, benchmark).map_err(|e| format!("request `{name}`: {e}"))?;
        if let Some(column) = request.columns.iter().find(|c| !columns.contains(c.as_str())) {
            return Err(format!("request `{name}` names column `{column}`, which is not declared"));
        }
        if wants_memory(request.source) && request.count > 0 && !memory {
            return Err(format!(
                "the learner asks for replay (request `{name}`, {} samples per step), but the memory \
                 holds 0 samples; give it room with --memory N",
                request.count
            ));
        }
    }
    Ok(())
}

/// The memory that a learner with this declaration gets, or why a plan's memory is none for it.
pub fn memory_of(
    plan: &RunPlan,
    declaration: &Declaration,
    benchmark: &Benchmark,
) -> Result<Option<ReplayMemory>, String> {
    let capacity = match plan.memory {
        _ if !declaration.uses_the_memory() => return Ok(None),
        None => return Err("the learner uses a replay memory; give it one with --memory N".into()),
        Some(MemorySize::Samples(samples)) => Capacity::Samples(samples as usize),
        Some(MemorySize::Bytes(bytes)) => Capacity::Bytes(bytes),
    };
    let policy = plan.policy.unwrap_or(declaration.wishes.policy);
    if policy == InsertionPolicy::Ring && !benchmark.grants(plan.stream.online).boundaries {
        return Err(
            "policy `ring` gives each experience its share of the memory, but boundaries are \
                    hidden in this scenario; choose another one with --policy"
                .into(),
        );
    }
    let width = benchmark.input_shape().iter().product();
    let memory = ReplayMemory::new(capacity, width, &declaration.columns)
        .and_then(|memory| memory.with_policy(policy, benchmark.experiences.len()));
    memory.map(Some).map_err(|e| e.to_string())
}

fn request_is_sound(request: &Request, benchmark: &Benchmark) -> Result<(), String> {
    if matches!(request.source, Source::CurrentAndMemory | Source::Validation) {
        return Err("this source is for `iterate`, not for draws".into());
    }
    if request.views == 0 || request.repeats == 0 {
        return Err("views and repeats must be at least 1".into());
    }
    profile_is_known(request.profile, benchmark)?;
    // Without replacement a draw is no larger than what it is drawn from.
    let samples = if request.replacement { request.count } else { 1 };
    let rows = samples.saturating_mul(request.views).saturating_mul(request.repeats);
    match rows > ROWS_MAX {
        true => Err(format!("{rows} inputs in one step are more than the limit of {ROWS_MAX}")),
        false => Ok(()),
    }
}

/// Inputs that one request may make in one step, counted before the memory's size is known: keeps a slip of
/// the pen from filling the host's memory.
const ROWS_MAX: usize = 1 << 20;

/// Refuses profiles that the benchmark does not have.
pub fn profile_is_known(profile: Profile, benchmark: &Benchmark) -> Result<(), String> {
    let name = match profile {
        Profile::Train => "train",
        Profile::Ssl => "ssl",
        Profile::SslHalf => "ssl_half",
        Profile::None => "none",
    };
    match benchmark.pixels.supports(profile) {
        true => Ok(()),
        false => Err(format!(
            "augmentation profile `{name}` is not offered by benchmark `{}`; use `train` or `none`",
            benchmark.name
        )),
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!(
                "{what} `{name}`: a name has 1 to 64 letters, digits, `-` and `_`"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{what} `{name}` is declared twice"));
        }
    }
    Ok(())
}

impl World {
    /// Refuses a request that comes in the middle of a run, as [`check`] does at its start.
    pub fn check_request(&self, request: &Request) -> Result<(), String> {
        request_is_sound(request, &self.benchmark)?;
        self.check_columns(&request.columns)?;
        match wants_memory(request.source) && self.memory.is_none() {
            true => Err(super::services::NO_MEMORY.into()),
            false => Ok(()),
        }
    }

    /// Refuses columns that were not declared.
    pub fn check_columns(&self, columns: &[String]) -> Result<(), String> {
        let declared = |name: &String| self.declaration.columns.iter().any(|c| c.name == *name);
        match columns.iter().find(|name| !declared(name)) {
            None => Ok(()),
            Some(name) => Err(format!("column `{name}` was not declared")),
        }
    }
}
