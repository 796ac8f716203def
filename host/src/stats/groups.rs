//! Which of several methods cannot be told apart.

use std::collections::BTreeSet;

/// Groups of methods 0 to `count - 1` such that two methods share a group exactly if they are not
/// among the `separated` pairs. A method may be in several groups. Source: Piepho 2004, "An
/// Algorithm for a Letter-Based Representation of All-Pairwise Comparisons", insert and absorb.
/// Groups come in the order of their first, then their next members.
pub fn groups(count: usize, separated: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<BTreeSet<usize>> = vec![(0..count).collect()];
    for &(a, b) in separated {
        let split = |group: BTreeSet<usize>| match group.contains(&a) && group.contains(&b) {
            false => vec![group],
            true => [a, b].map(|out| group.iter().copied().filter(|m| *m != out).collect()).into(),
        };
        groups = absorb(groups.into_iter().flat_map(split).collect());
    }
    let mut groups: Vec<Vec<usize>> =
        groups.into_iter().map(|group| group.into_iter().collect()).collect();
    groups.retain(|group: &Vec<usize>| !group.is_empty());
    groups.sort();
    groups
}

/// Leaves out groups that lie within another one.
fn absorb(groups: Vec<BTreeSet<usize>>) -> Vec<BTreeSet<usize>> {
    let within = |index: usize| {
        let others = groups.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().any(|(other, group)| {
            groups[index].is_subset(group) && (groups[index] != *group || other < index)
        })
    };
    let kept: Vec<bool> = (0..groups.len()).map(|index| !within(index)).collect();
    groups.into_iter().zip(kept).filter_map(|(group, kept)| kept.then_some(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_separated_shares_a_group() {
        assert_eq!(groups(3, &[]), [[0, 1, 2]]);
        assert_eq!(groups(3, &[(0, 1), (0, 2), (1, 2)]), [[0], [1], [2]]);
        // 0 and 2 differ; 1 cannot be told from either.
        assert_eq!(groups(3, &[(0, 2)]), [[0, 1], [1, 2]]);
        // 1 differs from both neighbours, which do not differ.
        assert_eq!(groups(3, &[(0, 1), (1, 2)]), [vec![0, 2], vec![1]]);
        assert_eq!(groups(0, &[]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn every_pair_shares_a_group_exactly_if_it_is_not_separated() {
        // All 64 relations among four methods.
        let pairs: Vec<(usize, usize)> =
            (0..4).flat_map(|a| (a + 1..4).map(move |b| (a, b))).collect();
        for choice in 0..64 {
            let chosen = pairs.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
            let separated: Vec<(usize, usize)> = chosen.map(|(_, pair)| *pair).collect();
            let groups = groups(4, &separated);
            for pair in &pairs {
                let share = groups.iter().any(|g| g.contains(&pair.0) && g.contains(&pair.1));
                assert_eq!(share, !separated.contains(pair), "{separated:?}: {groups:?}");
            }
        }
    }
}
