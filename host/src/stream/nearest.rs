//! The known name that a wrong one was probably meant to be.

/// Share of letter pairs below which two names have nothing to do with each other.
const SIMILARITY_MIN: f64 = 0.3;

/// The most similar of the known names, by the letter pairs they share: `splitdigits` finds `split-digits`.
/// `None` where no name is similar.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    let scored = known.map(|known| (strsim::sorensen_dice(&name, known), known));
    let (similarity, nearest) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (similarity >= SIMILARITY_MIN).then(|| nearest.to_owned())
}
