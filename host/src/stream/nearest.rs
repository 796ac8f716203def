//! The known name that a wrong one was probably meant to be.

/// The most similar of the known names, by the letter pairs they share: `digits` finds
/// `split-digits`.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let name = name.to_lowercase();
    known
        .max_by(|a, b| strsim::sorensen_dice(&name, a).total_cmp(&strsim::sorensen_dice(&name, b)))
        .unwrap_or_default()
        .to_owned()
}
