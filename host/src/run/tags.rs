//! Words that people give to runs to find them again. They lie in a file of the run's folder, beside
//! its results and without any influence on them.

use super::folder::RunFolder;
use super::{RunError, files};

const TAGS: &str = "tags.txt";
const LENGTH_MAX: usize = 64;

impl RunFolder {
    /// The tags of the run, in order; none without a file.
    pub fn tags(&self) -> Result<Vec<String>, RunError> {
        let path = self.path().join(TAGS);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
        Ok(text.lines().map(str::to_owned).filter(|tag| check_tag(tag).is_ok()).collect())
    }

    /// Replaces the tags; equal ones are kept once.
    ///
    /// # Errors
    /// [`RunError::Tag`] for a word that is none.
    pub fn set_tags(&self, tags: &[String]) -> Result<(), RunError> {
        tags.iter().try_for_each(|tag| check_tag(tag))?;
        let mut tags = tags.to_vec();
        tags.sort();
        tags.dedup();
        let text: String = tags.iter().map(|tag| format!("{tag}\n")).collect();
        files::write(&self.path().join(TAGS), text.as_bytes())
    }
}

/// Refuses what is no tag.
pub fn check_tag(tag: &str) -> Result<(), RunError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=LENGTH_MAX).contains(&tag.len()) && tag.chars().all(plain) {
        true => Ok(()),
        false => Err(RunError::Tag(tag.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn tags_are_kept_in_order_and_once() {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap();
        assert_eq!(folder.tags().unwrap(), [] as [&str; 0]);
        folder.set_tags(&["v2".into(), "paper".into(), "v2".into()]).unwrap();
        assert_eq!(folder.tags().unwrap(), ["paper", "v2"]);
        // What somebody wrote by hand and is no tag is passed over.
        std::fs::write(folder.path().join(TAGS), "one\ntwo words\n").unwrap();
        assert_eq!(folder.tags().unwrap(), ["one"]);
    }

    #[test]
    fn words_that_are_no_tags_are_refused() {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap();
        for wrong in ["", "two words", "a,b", "é", &"a".repeat(65)] {
            let error = folder.set_tags(&[wrong.into()]).unwrap_err().to_string();
            let expected =
                format!("`{wrong}` is no tag: expected 1 to 64 of a-z, A-Z, 0-9, `-`, `_`, `.`");
            assert_eq!(error, expected);
        }
    }
}
