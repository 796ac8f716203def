//! Presets: settings that a method brings for a benchmark and a memory. Which one is taken, and what the
//! plan says of it.

use perdura_abi::manifest::{Description, Preset};

use super::{PlanError, PresetChoice, PresetFile, Setup};
use crate::names::{did_you_mean, list};
use crate::run::{MemorySize, PresetUsed};

/// Name under which a preset is chosen: `benchmark` or `benchmark-memory`.
pub fn preset_name(preset: &Preset) -> String {
    match preset.memory {
        Some(memory) => format!("{}-{memory}", preset.benchmark),
        None => preset.benchmark.clone(),
    }
}

/// The preset that the setup chooses, if there is one.
pub(super) fn choose_preset(
    description: &Description,
    setup: &Setup,
    memory: Option<MemorySize>,
) -> Result<Option<Preset>, PlanError> {
    let presets = &description.presets;
    match &setup.preset {
        PresetChoice::None => Ok(None),
        PresetChoice::Auto => {
            let samples = match memory {
                Some(MemorySize::Samples(samples)) => Some(samples),
                _ => None,
            };
            let of_benchmark = || presets.iter().filter(|p| p.benchmark == setup.benchmark);
            let exact = of_benchmark().find(|p| p.memory.is_some() && p.memory == samples);
            Ok(exact.or_else(|| of_benchmark().find(|p| p.memory.is_none())).cloned())
        }
        PresetChoice::File(path) => Ok(Some(PresetFile::read(path, &description.id)?.preset)),
        PresetChoice::Named(name) => {
            let names: Vec<String> = presets.iter().map(preset_name).collect();
            match names.iter().position(|n| n == name) {
                Some(index) => Ok(Some(presets[index].clone())),
                None => Err(PlanError::Preset {
                    method: description.id.clone(),
                    found: name.clone(),
                    hint: did_you_mean(name, &names),
                    known: list(&names),
                }),
            }
        }
    }
}

/// Names of the presets for a benchmark, whatever its parameters.
pub(super) fn presets_of(description: &Description, benchmark: &str) -> Vec<String> {
    let base = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    let presets = description.presets.iter();
    presets.filter(|p| base(&p.benchmark) == base(benchmark)).map(preset_name).collect()
}

/// What the plan says of it.
pub(super) fn preset_used(preset: &Preset, choice: &PresetChoice) -> PresetUsed {
    let (benchmark, source) = (preset.benchmark.clone(), preset.source.clone());
    let name = match choice {
        // Without its folder: the plan says what was run, not where somebody keeps files.
        PresetChoice::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into(),
        _ => preset_name(preset),
    };
    PresetUsed { name, benchmark, memory: preset.memory, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_of_a_benchmark_are_found_whatever_its_parameters() {
        let preset = |benchmark: &str, memory| Preset {
            benchmark: benchmark.into(),
            memory,
            ..Preset::default()
        };
        let presets = vec![preset("split-mnist", Some(200)), preset("perm-mnist", None)];
        let description = Description { presets, ..Description::default() };
        assert_eq!(presets_of(&description, "split-mnist:experiences=2"), ["split-mnist-200"]);
        assert_eq!(presets_of(&description, "rot-mnist"), [""; 0]);
    }
}
