//! Metrics of accuracies that are taken again and again while training goes on, not after
//! experiences alone. With E experiences, k(t) is the one that is being trained in step t, `S_k`
//! the step after which experience k ended, `A_j(t)` the accuracy on experience j after step t.

use super::mean;

/// Steps after a switch in which the stability gap is looked for.
/// Source: algorithms 5.3.
pub const GAP_STEPS: u64 = 100;

/// Accuracies of one view over the steps of a stream with boundaries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccuracyCurve {
    /// Steps between two points of the grid.
    pub every: u64,
    /// `S_k`; those of experiences that did not end are missing.
    pub ends: Vec<u64>,
    /// By step: the points of the grid, and one at each boundary. A boundary that falls on the grid
    /// has one point.
    pub points: Vec<CurvePoint>,
    /// E.
    pub experiences: usize,
}

/// Accuracies at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Steps that were done.
    pub step: u64,
    /// On each experience; `None` where no score was taken or the view was not open.
    pub accuracy: Vec<Option<f64>>,
}

impl CurvePoint {
    /// `A_j(t)`, j counted from 0.
    fn on(&self, experience: usize) -> Option<f64> {
        *self.accuracy.get(experience)?
    }

    /// Mean accuracy on the first so many experiences.
    fn over(&self, experiences: usize) -> Option<f64> {
        mean((0..experiences).map(|experience| self.on(experience)))
    }
}

impl AccuracyCurve {
    /// Experiences that had begun when this step was done: a boundary belongs to the experience
    /// that ends there.
    pub fn begun(&self, step: u64) -> usize {
        (self.ends.iter().filter(|end| **end < step).count() + 1).min(self.experiences)
    }

    /// Mean accuracy over the experiences begun, at each point, where it is defined.
    pub fn over_begun(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        self.points.iter().filter_map(|p| Some((p.step, p.over(self.begun(p.step))?)))
    }

    /// Whether all experiences were trained.
    fn is_whole(&self) -> bool {
        self.experiences > 0 && self.ends.len() == self.experiences
    }

    fn at_end(&self, experience: usize) -> Option<&CurvePoint> {
        let end = *self.ends.get(experience)?;
        self.points.iter().find(|point| point.step == end)
    }
}

/// Mean over the points of the grid of `(1/k(t)) sum_{j<=k(t)} A_j(t)`: what one may count on at
/// any time. Undefined without a point, and where an accuracy is missing. Source: average anytime
/// accuracy, Caccia et al. 2022, "New Insights on Reducing Abrupt Representation Change in Online
/// Continual Learning", with one point every so many steps.
pub fn average_anytime_accuracy(curve: &AccuracyCurve) -> Option<f64> {
    if !curve.is_whole() || curve.every == 0 {
        return None;
    }
    let grid = curve.points.iter().filter(|point| point.step.is_multiple_of(curve.every));
    mean(grid.map(|point| point.over(curve.begun(point.step))))
}

/// `(1/(E-1)) sum_{j<E} min_{t>S_j} A_j(t)`: the worst that ever became of each experience after
/// its training, boundaries included. Undefined for one experience, and where an accuracy is
/// missing.
/// Source: min-ACC, De Lange et al. 2023, "Continual evaluation for lifelong learning: Identifying
/// the stability gap", at the end of the stream; there every step is scored, here one in `every`.
pub fn minimum_accuracy(curve: &AccuracyCurve) -> Option<f64> {
    if !curve.is_whole() {
        return None;
    }
    let worst = |experience: usize| {
        let later = curve.points.iter().filter(|point| point.step > curve.ends[experience]);
        lowest(later.map(|point| point.on(experience)))
    };
    mean((0..curve.experiences - 1).map(worst))
}

/// `(1/E) A_E(S_E) + (1 - 1/E) min-ACC`: what is known of the last experience, and the worst of all
/// earlier ones. Undefined where [`minimum_accuracy`] is.
/// Source: WC-ACC, De Lange et al. 2023, at the end of the stream.
pub fn worst_case_accuracy(curve: &AccuracyCurve) -> Option<f64> {
    let minimum = minimum_accuracy(curve)?;
    let last = curve.experiences - 1;
    let share = 1.0 / curve.experiences as f64;
    Some(share * curve.at_end(last)?.on(last)? + (1.0 - share) * minimum)
}

/// `(1/(E-1)) sum_{k<E} min_t (1/k) sum_{j<=k} A_j(t)` over the points of the first
/// [`GAP_STEPS`] steps after the switch from k to k + 1: how low accuracy on what was known falls.
/// Undefined for one experience, where a switch has no point that soon, and where an accuracy is
/// missing.
/// Source: algorithms 5.3, stability gap.
pub fn accuracy_after_switch(curve: &AccuracyCurve) -> Option<f64> {
    mean(switches(curve)?.map(|(_, lowest)| lowest))
}

/// `(1/(E-1)) sum_{k<E} ((1/k) sum_{j<=k} A_j(S_k) - min_t (1/k) sum_{j<=k} A_j(t))`: by how much
/// it falls, against the accuracy right before the switch. Below 0 where it does not fall.
/// Undefined where [`accuracy_after_switch`] is.
/// Source: algorithms 5.3, as a drop.
pub fn stability_gap(curve: &AccuracyCurve) -> Option<f64> {
    mean(switches(curve)?.map(|(before, lowest)| Some(before? - lowest?)))
}

/// Accuracy on the experiences so far before each switch, and the lowest soon after it.
fn switches(
    curve: &AccuracyCurve,
) -> Option<impl Iterator<Item = (Option<f64>, Option<f64>)> + '_> {
    let of_switch = |known: usize| {
        let (end, next) = (curve.ends[known - 1], curve.ends[known]);
        let soon = end + 1..=next.min(end + GAP_STEPS);
        let points = curve.points.iter().filter(move |point| soon.contains(&point.step));
        let before = curve.at_end(known - 1).and_then(|point| point.over(known));
        (before, lowest(points.map(|point| point.over(known))))
    };
    curve.is_whole().then(|| (1..curve.experiences).map(of_switch))
}

/// The least of some values; `None` without any or where one is undefined.
fn lowest(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut least: Option<f64> = None;
    for value in values {
        let value = value?;
        least = Some(least.map_or(value, |least| least.min(value)));
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three experiences that end after 100, 250 and 300 steps, a point every 50 steps.
    fn three() -> AccuracyCurve {
        let points = [
            (50, vec![0.5]),
            (100, vec![1.0, 0.0, 0.0]),
            (150, vec![0.25, 0.5]),
            (200, vec![0.5, 0.75]),
            (250, vec![0.75, 1.0, 0.0]),
            (300, vec![0.5, 0.25, 0.875]),
        ];
        let point = |(step, accuracy): (u64, Vec<f64>)| CurvePoint {
            step,
            accuracy: (0..3).map(|experience| accuracy.get(experience).copied()).collect(),
        };
        let points = points.map(point).to_vec();
        AccuracyCurve { every: 50, ends: vec![100, 250, 300], points, experiences: 3 }
    }

    #[test]
    fn a_boundary_belongs_to_what_ends_there() {
        let curve = three();
        let begun = [0, 50, 100, 101, 250, 251, 300, 301].map(|step| curve.begun(step));
        assert_eq!(begun, [1, 1, 1, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn averages_over_time_by_hand() {
        // 0.5, 1, (0.25 + 0.5)/2, (0.5 + 0.75)/2, (0.75 + 1)/2, (0.5 + 0.25 + 0.875)/3.
        let values = [0.5, 1.0, 0.375, 0.625, 0.875, 1.625 / 3.0];
        let curve = three();
        assert_eq!(curve.over_begun().map(|(_, value)| value).collect::<Vec<_>>(), values);
        let expected = values.iter().sum::<f64>() / 6.0;
        assert_eq!(average_anytime_accuracy(&curve), Some(expected));
        // Points at boundaries that are not on the grid do not count.
        let coarse = AccuracyCurve { every: 200, ..curve };
        assert_eq!(average_anytime_accuracy(&coarse), Some(0.625));
    }

    #[test]
    fn the_worst_case_by_hand() {
        // Of the first after step 100: min(0.25, 0.5, 0.75, 0.5); of the second after 250: 0.25.
        assert_eq!(minimum_accuracy(&three()), Some(0.25));
        // 0.875/3 + (2/3) 0.25.
        let expected = (1.0 / 3.0) * 0.875 + (1.0 - 1.0 / 3.0) * 0.25;
        assert_eq!(worst_case_accuracy(&three()), Some(expected));
    }

    #[test]
    fn the_stability_gap_by_hand() {
        // After 100: min(0.25, 0.5) of 150 and 200; after 250: (0.5 + 0.25)/2 of 300.
        assert_eq!(accuracy_after_switch(&three()), Some((0.25 + 0.375) / 2.0));
        // (1 - 0.25) and ((0.75 + 1)/2 - 0.375).
        assert_eq!(stability_gap(&three()), Some((0.75 + 0.5) / 2.0));
    }

    #[test]
    fn only_the_first_steps_after_a_switch_count() {
        let mut curve = three();
        // 101 steps after the switch: too late for the gap, not for the minimum.
        curve.points[3] = CurvePoint { step: 201, accuracy: vec![Some(0.0), Some(0.0), None] };
        assert_eq!(accuracy_after_switch(&curve), Some((0.25 + 0.375) / 2.0));
        assert_eq!(minimum_accuracy(&curve), Some(0.125));
        curve.points[3].step = 200;
        assert_eq!(accuracy_after_switch(&curve), Some((0.0 + 0.375) / 2.0));
    }

    #[test]
    fn a_drop_that_does_not_happen_is_below_zero() {
        let mut curve = three();
        for point in &mut curve.points[2..] {
            point.accuracy[..2].fill(Some(1.0));
        }
        curve.points[1].accuracy[0] = Some(0.75);
        // 0.75 - 1 and 1 - 1.
        assert_eq!(stability_gap(&curve), Some(-0.125));
    }

    #[test]
    fn what_is_missing_makes_them_undefined() {
        let all = [
            average_anytime_accuracy,
            minimum_accuracy,
            worst_case_accuracy,
            accuracy_after_switch,
            stability_gap,
        ];
        let of = |curve: &AccuracyCurve| all.map(|metric| metric(curve).is_some());
        assert_eq!(of(&three()), [true; 5]);
        assert_eq!(of(&AccuracyCurve::default()), [false; 5]);
        let unfinished = AccuracyCurve { ends: vec![100, 250], ..three() };
        assert_eq!(of(&unfinished), [false; 5]);
        // One that was not open at 150.
        let mut hole = three();
        hole.points[2].accuracy[0] = None;
        assert_eq!(of(&hole), [false; 5]);
        // No point between the switch at 100 and step 200.
        let mut late = three();
        late.points.drain(2..4);
        assert_eq!(of(&late), [true, true, true, false, false]);
    }

    #[test]
    fn one_experience_has_nothing_to_lose() {
        let mut one = three();
        one.points.truncate(2);
        (one.ends, one.experiences) = (vec![100], 1);
        assert_eq!(average_anytime_accuracy(&one), Some(0.75));
        assert_eq!((minimum_accuracy(&one), worst_case_accuracy(&one)), (None, None));
        assert_eq!((accuracy_after_switch(&one), stability_gap(&one)), (None, None));
    }
}
