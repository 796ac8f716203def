//! What a stream consists of, with hashes of what is too long to read, and one hash over all of it. Two
//! streams with equal hashes give a learner the same samples, shown in the same way, in experiences or
//! batches of the same kind.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::benchmark::Samples;
use super::{Benchmark, Experience};

/// What a stream consists of. Nothing of a name, a seed or a machine is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamContent {
    /// Data set.
    pub data: String,
    pub class_order: Vec<u32>,
    pub experiences: Vec<ExperienceContent>,
    /// Numbers of samples in the batches of a stream that was drawn in batches.
    pub batches: Option<Listed>,
    /// Numbers of the first sample of each hidden phase.
    pub phases: Option<Vec<u32>>,
}

/// What an experience consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperienceContent {
    pub classes: Vec<u32>,
    pub group: Option<u32>,
    /// Counter-clockwise; a text, because a number would lose its last bit on the way back.
    pub degrees: String,
    /// SHA-256 of the pixel permutation; `None` where pixels stay.
    pub permutation: Option<String>,
    /// Rows of the data set with their labels, and with their angles where each has its own.
    pub train: Listed,
    pub validation: Listed,
    pub test: Listed,
}

/// A list by its length and its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub count: usize,
    pub sha256: String,
}

impl StreamContent {
    /// Takes a benchmark down.
    pub fn of(benchmark: &Benchmark) -> StreamContent {
        let experiences = benchmark.experiences.iter().zip(&benchmark.validation).enumerate();
        let drawn = match &benchmark.samples {
            Samples::Drawn(drawn) => Some(drawn),
            _ => None,
        };
        StreamContent {
            data: benchmark.data.name.clone(),
            class_order: benchmark.class_order.clone(),
            experiences: experiences
                .map(|(number, (experience, held_out))| {
                    experience_content(benchmark, number, experience, held_out)
                })
                .collect(),
            batches: drawn.map(|drawn| listed(drawn.batches.iter().copied())),
            phases: drawn.map(|drawn| drawn.phases.clone()),
        }
    }

    /// The hash of all of it, 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        let text = serde_json::to_vec(self).expect("plain data with string keys");
        let mut hash = Sha256::new_with_prefix(b"perdura-stream/2");
        hash.update(text);
        hex(hash)
    }

    /// In what another stream differs from this one, a sentence each, both values in them; empty for
    /// equal streams.
    pub fn differences(&self, other: &StreamContent) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |what: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{what}: {a} and {b}"));
            }
        };
        note("data", self.data.clone(), other.data.clone());
        note("class order", list(&self.class_order), list(&other.class_order));
        let counts = |content: &StreamContent| content.experiences.len().to_string();
        note("number of experiences", counts(self), counts(other));
        note("batches", optional(&self.batches, counted), optional(&other.batches, counted));
        note(
            "phases begin at",
            optional(&self.phases, |p| list(p)),
            optional(&other.phases, |p| list(p)),
        );
        for (number, (a, b)) in self.experiences.iter().zip(&other.experiences).enumerate() {
            let differences = a.differences(b).into_iter();
            found.extend(differences.map(|text| format!("experience {}: {text}", number + 1)));
        }
        found
    }
}

impl ExperienceContent {
    fn differences(&self, other: &ExperienceContent) -> Vec<String> {
        let group = |e: &ExperienceContent| e.group.map_or("none".into(), |g| g.to_string());
        let permutation = |e: &ExperienceContent| optional(&e.permutation, |p| short(p).to_owned());
        let facts = |e: &ExperienceContent| {
            [
                ("classes", list(&e.classes)),
                ("group", group(e)),
                ("degrees", e.degrees.clone()),
                ("pixel permutation", permutation(e)),
                ("training samples", counted(&e.train)),
                ("held-out samples", counted(&e.validation)),
                ("test samples", counted(&e.test)),
            ]
        };
        let both = facts(self).into_iter().zip(facts(other));
        both.filter(|((_, a), (_, b))| a != b)
            .map(|((what, a), (_, b))| format!("{what}: {a} and {b}"))
            .collect()
    }
}

fn experience_content(
    benchmark: &Benchmark,
    number: usize,
    experience: &Experience,
    held_out: &[u32],
) -> ExperienceContent {
    let samples = |train: bool, ids: &[u32]| {
        let words = ids.iter().flat_map(|&id| {
            let degrees = match &benchmark.samples {
                Samples::Drawn(drawn) => drawn.of(train)[id as usize].degrees,
                _ => 0.0,
            };
            let bits = degrees.to_bits();
            let (row, label) = (benchmark.row(train, id), benchmark.label(train, id));
            [row, label, (bits >> 32) as u32, bits as u32]
        });
        Listed { count: ids.len(), sha256: listed(words).sha256 }
    };
    let (degrees, permutation) = match &benchmark.samples {
        Samples::Transformed(transforms) => {
            let transform = &transforms[number];
            let moved = transform.permutation();
            let hash = (!moved.is_empty()).then(|| listed(moved.iter().copied()).sha256);
            (transform.degrees(), hash)
        }
        _ => (0.0, None),
    };
    ExperienceContent {
        classes: experience.classes.clone(),
        group: experience.group,
        degrees: degrees.to_string(),
        permutation,
        train: samples(true, &experience.train),
        validation: samples(true, held_out),
        test: samples(false, &experience.test),
    }
}

fn listed(words: impl Iterator<Item = u32>) -> Listed {
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    Listed { count: bytes.len() / 4, sha256: hex(Sha256::new_with_prefix(&bytes)) }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Enough of a hash to tell two apart by eye.
pub(super) fn short(sha256: &str) -> &str {
    sha256.get(..8).unwrap_or(sha256)
}

fn counted(listed: &Listed) -> String {
    format!("{} ({})", listed.count, short(&listed.sha256))
}

fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(",")
}

fn optional<T>(value: &Option<T>, text: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or("none".into(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{ClassOrder, StreamOptions, build};

    fn digits(name: &str, options: &StreamOptions, seed: u64) -> Benchmark {
        build(name, None, options, seed).unwrap()
    }

    fn content(name: &str, options: &StreamOptions, seed: u64) -> StreamContent {
        StreamContent::of(&digits(name, options, seed))
    }

    fn seeded() -> StreamOptions {
        StreamOptions { class_order: ClassOrder::Seeded, ..StreamOptions::default() }
    }

    #[test]
    fn equal_streams_have_equal_hashes_and_no_difference() {
        let options = StreamOptions::default();
        for name in ["split-digits", "known-similarity-digits", "digits-360"] {
            let first = content(name, &options, 3);
            let again = content(name, &options, 3);
            assert_eq!(first.sha256(), again.sha256());
            assert_eq!(first.differences(&again), [""; 0]);
        }
        // A stream that draws nothing is the same for every seed, and for every training setting.
        let settings =
            StreamOptions { epochs: Some(2), batch: Some(5), ..StreamOptions::default() };
        let plain = content("split-digits", &options, 0).sha256();
        assert_eq!(content("split-digits", &settings, 1).sha256(), plain);
    }

    #[test]
    fn differences_say_where_and_what() {
        let options = StreamOptions::default();
        let plain = content("split-digits", &options, 0);
        let held = StreamOptions { validation: 0.1, ..StreamOptions::default() };
        let differences = plain.differences(&content("split-digits", &held, 0));
        assert_eq!(differences.len(), 10);
        assert!(
            differences[0].starts_with("experience 1: training samples: 271 ("),
            "{differences:?}"
        );
        assert!(
            differences[1].starts_with("experience 1: held-out samples: 0 ("),
            "{differences:?}"
        );
        let differences = plain.differences(&content("split-digits", &seeded(), 1));
        assert!(differences[0].starts_with("class order: 0,1,2,3,4,5,6,7,8,9 and "));

        let first = content("known-similarity-digits", &options, 0);
        let second = content("known-similarity-digits", &options, 1);
        assert_ne!(first.sha256(), second.sha256());
        let differences = first.differences(&second);
        assert!(
            differences.iter().any(|text| text.starts_with("experience 2: pixel permutation: "))
        );
        assert!(
            !differences.iter().any(|text| text.starts_with("experience 1: pixel permutation"))
        );
        let differences = plain.differences(&first).join("\n");
        assert!(differences.contains("number of experiences: 5 and 9"), "{differences}");
        assert!(differences.contains("experience 1: group: none and 0"), "{differences}");
        assert!(differences.contains("experience 4: degrees: 0 and 20"), "{differences}");

        let one = StreamOptions { batch: Some(1), ..StreamOptions::default() };
        let drawn = content("digits-360", &options, 0);
        let differences = drawn.differences(&content("digits-360", &one, 0)).join("\n");
        assert!(differences.contains("batches: ") && differences.contains("phases begin at: 0,"));
    }

    #[test]
    fn every_part_counts() {
        let plain = content("digits-360", &StreamOptions::default(), 0);
        let changed = |change: fn(&mut StreamContent)| {
            let mut content = plain.clone();
            change(&mut content);
            content.sha256()
        };
        let hashes = [
            plain.sha256(),
            changed(|c| c.data.push('x')),
            changed(|c| c.class_order.swap(0, 1)),
            changed(|c| c.phases.as_mut().unwrap()[1] += 1),
            changed(|c| c.batches = None),
            changed(|c| c.experiences[0].group = Some(0)),
            changed(|c| c.experiences[0].degrees = "1".into()),
            changed(|c| c.experiences[0].permutation = Some(String::new())),
            changed(|c| c.experiences[0].train.count += 1),
            changed(|c| c.experiences[0].test.sha256.push('0')),
        ];
        for (number, hash) in hashes.iter().enumerate() {
            assert!(!hashes[number + 1..].contains(hash), "{number}");
        }
    }
}
