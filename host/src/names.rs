//! Names that were typed wrong: the known one that was probably meant. Every message that refuses a
//! name takes its hint from here.

/// Share of letters below which two names have nothing to do with each other.
const SIMILARITY_MIN: f64 = 0.5;

/// The known name that `found` most resembles, as a whole or behind a `lab/`; `None` where none is
/// similar. Two transposed letters count as one mistake.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    let alike = strsim::normalized_damerau_levenshtein;
    let scored = known.into_iter().map(|name| {
        let whole = alike(&found, name);
        (whole.max(alike(short(&found), short(name))), whole, name)
    });
    // Of several with the same short name the one that is alike as a whole.
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    best.filter(|best| best.0 >= SIMILARITY_MIN).map(|best| best.2)
}

/// ` (did you mean `x`?)`, where a name is near enough.
pub fn did_you_mean<S: AsRef<str>>(found: &str, known: &[S]) -> String {
    match nearest(found, known.iter().map(AsRef::as_ref)) {
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    }
}

/// Names with commas between them.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// `er` of `perdura/er`.
pub fn short(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_similar_name_is_found_and_no_other() {
        let known = ["split-digits", "split-mnist", "perm-mnist"];
        assert_eq!(nearest("splitdigits", known), Some("split-digits"));
        assert_eq!(nearest("Split-Mnits", known), Some("split-mnist"));
        assert_eq!(nearest("zzzzzz", known), None);
        assert_eq!(nearest("clser", ["a/cls-er", "a/er"]), Some("a/cls-er"));
        let rows = ["cls-er/split-mnist/200", "derpp/split-mnist/200"];
        assert_eq!(nearest("clser/split-mnist/200", rows), Some(rows[0]));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn names_in_a_sentence() {
        assert_eq!(did_you_mean("repaly", &["replay", "lr"]), " (did you mean `replay`?)");
        assert_eq!(did_you_mean("repaly", &["momentum"]), "");
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(list::<String>(&[]), "none");
    }
}
