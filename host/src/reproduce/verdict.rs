//! When a result counts as reproduced. Accuracies are in percent.

use serde::Serialize;

use super::Anchor;

/// Mean over n seeds run here.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Ours {
    pub mean: f64,
    /// `None` for one seed: it then counts as 0.
    pub std: Option<f64>,
    pub n: usize,
}

/// What a result is held against.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    Published,
    AuthorsCode,
}

/// A result and what it is held against.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    pub reproduced: bool,
    pub against: Against,
    /// Ours minus theirs, in points.
    pub difference: f64,
    /// Largest distance that counts as reproduced, in points.
    pub allowed: f64,
}

/// Holds a result against the nearer of the published value and the authors' code run here; a value
/// from memory does not count. `None`: there is nothing to hold it against.
///
/// Reproduced means `|x − μ₀| ≤ max(1 point, 2·√(s₀²/n₀ + s²/n))`, with mean x, standard deviation
/// s over n seeds here, and μ₀, s₀, n₀ there (algorithms section 5.4). An unknown deviation counts
/// as 0, which allows less.
pub fn judge(ours: Ours, anchor: &Anchor) -> Option<Judgement> {
    let published = anchor.published.filter(|published| !published.from_memory);
    let published = published.map(|p| (Against::Published, p.mean, p.std, p.n));
    let measured = anchor.measured.as_ref();
    let measured = measured.map(|m| (Against::AuthorsCode, m.mean, m.std.unwrap_or(0.0), m.n));
    let distance = |mean: f64| (ours.mean - mean).abs();
    let nearest = [published, measured]
        .into_iter()
        .flatten()
        .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
    let (against, mean, std, n) = nearest?;
    let variance = std.powi(2) / n as f64 + ours.std.unwrap_or(0.0).powi(2) / ours.n as f64;
    let allowed = f64::max(1.0, 2.0 * variance.sqrt());
    let reproduced = distance(mean) <= allowed;
    Some(Judgement { reproduced, against, difference: ours.mean - mean, allowed })
}

#[cfg(test)]
mod tests {
    use super::super::{Measured, Published};
    use super::*;

    fn published(mean: f64, std: f64, from_memory: bool) -> Option<Published> {
        Some(Published { mean, std, n: 10, from_memory })
    }

    fn measured(mean: f64, std: Option<f64>, n: usize) -> Option<Measured> {
        Some(Measured { mean, std, n, code: "theirs".into() })
    }

    fn anchor(published: Option<Published>, measured: Option<Measured>) -> Anchor {
        Anchor { view: "main".into(), scenario: "class-il".into(), published, measured }
    }

    fn ours(mean: f64, std: f64, n: usize) -> Ours {
        Ours { mean, std: Some(std), n }
    }

    /// Small deviations: a point is allowed, and no more.
    #[test]
    fn a_point_is_always_allowed() {
        let anchor = anchor(published(90.0, 0.2, false), None);
        let near = judge(ours(91.0, 0.3, 10), &anchor).unwrap();
        assert_eq!((near.reproduced, near.difference, near.allowed), (true, 1.0, 1.0));
        assert!(!judge(ours(91.01, 0.3, 10), &anchor).unwrap().reproduced);
        assert!(!judge(ours(88.99, 0.3, 10), &anchor).unwrap().reproduced);
    }

    /// 2·√(3²/10 + 4²/10) = 2·√2.5 = 3.1623 (10 seeds each); with 4 seeds 2·√(0.9 + 4) = 4.4272.
    #[test]
    fn large_deviations_allow_two_standard_errors_of_the_difference() {
        let anchor = anchor(None, measured(84.0, Some(3.0), 10));
        let ten = judge(ours(87.1, 4.0, 10), &anchor).unwrap();
        assert!((ten.allowed - 3.162_28).abs() < 1e-5 && ten.reproduced, "{ten:?}");
        assert!(!judge(ours(87.2, 4.0, 10), &anchor).unwrap().reproduced);
        let four = judge(ours(80.0, 4.0, 4), &anchor).unwrap();
        assert!((four.allowed - 4.427_19).abs() < 1e-5 && four.reproduced, "{four:?}");
        assert_eq!(four.difference, -4.0);
    }

    #[test]
    fn the_nearer_of_both_counts() {
        let both = anchor(published(89.54, 0.21, false), measured(88.65, Some(0.52), 10));
        let judged = |mean| judge(ours(mean, 0.4, 10), &both).unwrap();
        assert_eq!((judged(88.0).against, judged(88.0).reproduced), (Against::AuthorsCode, true));
        assert_eq!((judged(90.4).against, judged(90.4).reproduced), (Against::Published, true));
        assert!(!judged(87.6).reproduced && !judged(90.6).reproduced);
    }

    #[test]
    fn a_value_from_memory_decides_nothing() {
        let only = anchor(published(80.43, 1.89, true), None);
        assert_eq!(judge(ours(80.43, 1.0, 10), &only), None);
        let both = anchor(published(85.0, 1.4, true), measured(80.0, Some(0.5), 10));
        let judged = judge(ours(85.0, 0.5, 10), &both).unwrap();
        assert_eq!((judged.reproduced, judged.against), (false, Against::AuthorsCode));
    }

    /// Unknown deviations count as 0: 2·√(0 + 2²/4) = 2; with one seed here only the point is left.
    #[test]
    fn unknown_deviations_allow_less() {
        let anchor = anchor(None, measured(50.0, None, 10));
        assert_eq!(judge(ours(51.5, 2.0, 4), &anchor).unwrap().allowed, 2.0);
        let one = Ours { mean: 51.5, std: None, n: 1 };
        assert_eq!(judge(one, &anchor).unwrap().allowed, 1.0);
    }
}
