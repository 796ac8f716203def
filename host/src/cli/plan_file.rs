//! A comparison as a TOML file:
//!
//! ```toml
//! benchmark = "split-digits"
//! memory = 200                # or "64KiB"; `--memory` takes its place
//! seeds = "0..5"              # `--seeds` takes their place
//! equal_compute = "cls-er"    # optional: the other methods once more with its learner's CPU time
//! epochs = 10                 # optional, like batch, drop_last, class_order, eval_head, validation, online,
//!                             # score_every (steps), lock (a file of `benchmarks lock`)
//!
//! [[method]]
//! id = "cls-er"
//! name = "cls-er, slow"        # optional: what these settings are called in tables
//! memory = "+1024"            # optional: a number, or so many samples more than the plan's
//! preset = "none"             # optional, like policy here
//! set = { reg_weight = 2.0 }
//! ```

use serde::Deserialize;
use std::path::{Path, PathBuf};

use super::args::SetupArgs;
use super::compare::Arm;
use super::error::CliError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    benchmark: String,
    memory: Option<Memory>,
    seeds: Option<String>,
    epochs: Option<u32>,
    batch: Option<u32>,
    drop_last: Option<bool>,
    class_order: Option<String>,
    eval_head: Option<String>,
    validation: Option<f64>,
    online: Option<bool>,
    lock: Option<PathBuf>,
    score_every: Option<u64>,
    equal_compute: Option<String>,
    threads: Option<usize>,
    method: Vec<Method>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Method {
    id: String,
    name: Option<String>,
    memory: Option<Memory>,
    policy: Option<String>,
    preset: Option<String>,
    #[serde(default)]
    set: toml::Table,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Memory {
    Samples(u64),
    Text(String),
}

impl Memory {
    fn text(&self) -> String {
        match self {
            Memory::Samples(samples) => samples.to_string(),
            Memory::Text(text) => text.clone(),
        }
    }
}

/// What is to be compared.
pub struct PlannedArms {
    pub arms: Vec<Arm>,
    pub seeds: Option<String>,
    /// The arm whose compute all others are to have once more.
    pub equal_compute: Option<String>,
}

/// What a plan file says. `given` supplies what a file does not say (data folder, plugins,
/// isolation), and a memory in place of the plan's.
pub fn read(path: &Path, given: &SetupArgs) -> Result<PlannedArms, CliError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| CliError::File { path: name.clone(), source })?;
    let file: PlanFile =
        toml::from_str(&text).map_err(|e| CliError::input(format!("{name}: {e}")))?;
    if file.method.is_empty() {
        return Err(CliError::input(format!("{name}: expected at least one [[method]]")));
    }
    let arms = file.method.iter().map(|method| arm(&file, method, given));
    let (arms, equal_compute) = (arms.collect::<Result<_, _>>()?, file.equal_compute.clone());
    Ok(PlannedArms { arms, seeds: file.seeds.clone(), equal_compute })
}

/// The memory of an arm: its own, or the plan's, or so many samples more than that.
fn memory(
    own: Option<&Memory>,
    planned: Option<String>,
    method: &str,
) -> Result<Option<String>, CliError> {
    let Some(own) = own.map(Memory::text) else { return Ok(planned) };
    let Some(more) = own.strip_prefix('+') else { return Ok(Some(own)) };
    let base = planned.as_deref().and_then(|planned| planned.parse::<u64>().ok());
    match (more.parse::<u64>(), base) {
        (Ok(more), Some(base)) if base.checked_add(more).is_some() => {
            Ok(Some((base + more).to_string()))
        }
        _ => Err(CliError::input(format!(
            "{method}: memory = \"{own}\" adds samples to the plan's memory; expected a whole \
             number behind `+` and a plan's memory in samples, found {}",
            planned.as_deref().unwrap_or("none")
        ))),
    }
}

fn arm(file: &PlanFile, method: &Method, given: &SetupArgs) -> Result<Arm, CliError> {
    let mut setup = given.clone();
    setup.benchmark = file.benchmark.clone();
    let planned = given.memory.clone().or(file.memory.as_ref().map(Memory::text));
    setup.memory = memory(method.memory.as_ref(), planned, &method.id)?;
    setup.policy = method.policy.clone().unwrap_or_else(|| given.policy.clone());
    setup.preset = method.preset.clone().unwrap_or_else(|| "auto".into());
    setup.threads = file.threads.unwrap_or(given.threads);
    setup.lock = file.lock.clone().or(given.lock.clone());
    let stream = &mut setup.stream;
    (stream.epochs, stream.batch, stream.drop_last) = (file.epochs, file.batch, file.drop_last);
    if let Some(order) = &file.class_order {
        stream.class_order = order.clone();
    }
    if let Some(head) = &file.eval_head {
        stream.eval_head = head.clone();
    }
    stream.validation = file.validation.unwrap_or(0.0);
    stream.online = file.online.unwrap_or(false);
    stream.score_every = file.score_every;
    setup.set.clear();
    for (key, value) in &method.set {
        let value = serde_json::to_string(value)
            .map_err(|e| CliError::input(format!("{}: set.{key}: {e}", method.id)))?;
        setup.set.push(format!("{key}={value}"));
    }
    Ok(Arm { name: method.name.clone(), ..Arm::of(&method.id, &setup) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PlannedArms, CliError> {
        with(text, &SetupArgs::of_benchmark("split-digits"))
    }

    fn with(text: &str, given: &SetupArgs) -> Result<PlannedArms, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, given)
    }

    #[test]
    fn a_plan_file_names_arms() {
        let text = "benchmark = \"split-mnist\"\nmemory = \"1MB\"\nlock = \"l.json\"\nseeds = \"0..2\"\nepochs = 2\n\
                    equal_compute = \"sgd\"\nscore_every = 50\n\
                    [[method]]\nid = \"er\"\nname = \"er, fast\"\nset = { lr = 0.5 }\n[[method]]\nid = \"sgd\"\nmemory = 3\n\
                    policy = \"ring\"\n";
        let PlannedArms { arms, seeds, equal_compute } = parse(text).unwrap();
        assert_eq!((seeds.as_deref(), equal_compute.as_deref()), (Some("0..2"), Some("sgd")));
        assert_eq!(arms[1].setup.stream.score_every, Some(50));
        assert_eq!((arms[0].method.as_str(), arms[1].method.as_str()), ("er", "sgd"));
        assert_eq!((arms[0].name.as_deref(), &arms[1].name), (Some("er, fast"), &None));
        assert_eq!(arms[0].setup.set, ["lr=0.5"]);
        assert_eq!(arms[0].setup.memory.as_deref(), Some("1MB"));
        assert_eq!(arms[1].setup.lock.as_deref(), Some(Path::new("l.json")));
        assert_eq!(arms[1].setup.memory.as_deref(), Some("3"));
        assert_eq!(
            (arms[0].setup.policy.as_str(), arms[1].setup.policy.as_str()),
            ("auto", "ring")
        );
        assert_eq!(arms[1].setup.stream.epochs, Some(2));
    }

    #[test]
    fn a_memory_may_be_so_many_samples_more_than_the_plans() {
        let text = |memory: &str| {
            format!(
                "benchmark = \"x\"\n{memory}\n[[method]]\nid = \"er\"\n\
                 [[method]]\nid = \"er\"\nmemory = \"+20\"\n[[method]]\nid = \"er\"\nmemory = 7\n"
            )
        };
        let memories = |arms: Vec<Arm>| {
            let memories = arms.into_iter().map(|arm| arm.setup.memory.unwrap_or_default());
            memories.collect::<Vec<_>>()
        };
        assert_eq!(memories(parse(&text("memory = 100")).unwrap().arms), ["100", "120", "7"]);
        let mut given = SetupArgs::of_benchmark("split-digits");
        given.memory = Some("30".into());
        assert_eq!(memories(with(&text("memory = 100"), &given).unwrap().arms), ["30", "50", "7"]);
        for (memory, found) in [("", "found none"), ("memory = \"1MB\"", "found 1MB")] {
            let message = parse(&text(memory)).err().expect("refused").to_string();
            assert!(message.ends_with(found), "{message}");
        }
        let message = parse(&text("memory = 1").replace("+20", "+a")).err().expect("refused");
        assert!(message.to_string().contains("memory = \"+a\" adds samples"), "{message}");
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| parse(text).err().expect("refused").to_string();
        assert!(message("benchmrk = 1").contains("unknown field `benchmrk`"));
        assert!(message("benchmark = \"x\"\nmethod = []").contains("at least one [[method]]"));
    }
}
