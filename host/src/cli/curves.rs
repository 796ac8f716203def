//! What events have to show to programs that draw curves: names and values.

use std::collections::BTreeMap;

use crate::run::EventKind;

/// Accuracies of a score as `<scenario>/<view>/experience-<n>`, experiences counted from 1, and their
/// mean as `.../accuracy`: over what has been learned; at points in time over everything.
pub fn scores(what: &EventKind) -> Option<Vec<(String, f64)>> {
    let EventKind::Scored { after, step, view, scenario, accuracy } = what else { return None };
    // Of experiences, those that have been learned; of points in time, all; before training, none.
    let learned = match (after, step) {
        (Some(after), _) => *after as usize + 1,
        (None, Some(_)) => accuracy.len(),
        (None, None) => 0,
    };
    let learned = &accuracy[..learned.min(accuracy.len())];
    let values: Vec<f64> = learned.iter().flatten().copied().collect();
    let mean = crate::stats::mean(&values).filter(|_| values.len() == learned.len());
    let place = format!("{scenario}/{view}");
    let each = accuracy.iter().enumerate().filter_map(|(i, a)| Some((i, (*a)?)));
    let each = each.map(|(i, a)| (format!("{place}/experience-{}", i + 1), a));
    Some(each.chain(mean.map(|mean| (format!("{place}/accuracy"), mean))).collect())
}

/// Means of scalars, those that are numbers, as `<place>/<name>`.
pub fn scalars(place: &str, scalars: &BTreeMap<String, Option<f64>>) -> Vec<(String, f64)> {
    let known = scalars.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    known.map(|(name, value)| (format!("{place}/{name}"), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(after: Option<u32>, step: Option<u64>) -> Vec<(String, f64)> {
        let (view, scenario) = ("main".into(), "class-il".into());
        let accuracy = vec![Some(0.5), Some(0.25)];
        scores(&EventKind::Scored { after, step, view, scenario, accuracy }).unwrap()
    }

    #[test]
    fn scores_are_over_what_was_learned() {
        let tag = |name: &str, value| (format!("class-il/main/{name}"), value);
        let each = [tag("experience-1", 0.5), tag("experience-2", 0.25)];
        assert_eq!(scored(Some(0), None), [each.as_slice(), &[tag("accuracy", 0.5)]].concat());
        assert_eq!(scored(None, Some(40)), [each.as_slice(), &[tag("accuracy", 0.375)]].concat());
        assert_eq!(scored(None, None), each, "before training nothing was learned");
        assert_eq!(scores(&EventKind::RunBegun), None);
    }

    #[test]
    fn scalars_that_are_no_numbers_are_left_out() {
        let means = [("a".to_owned(), Some(0.5)), ("b".to_owned(), None)].into();
        assert_eq!(scalars("training", &means), [("training/a".to_owned(), 0.5)]);
    }
}
