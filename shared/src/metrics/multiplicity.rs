//! Many comparisons at once: corrected p-values, and the places that they leave open.

use std::ops::RangeInclusive;

/// Holm's step-down correction (1979): the chance of even one false finding among all that are at most α stays
/// below α, whatever the dependence. In the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut floor = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max(p[i] * (p.len() - rank) as f64).min(1.0);
        corrected[i] = floor;
    }
    corrected
}

/// The places, from 1 for the best, that each of `count` models could have: below all that are clearly better than
/// it, above all that it is clearly better than. Where the clear pairs come from corrected tests, all ranges hold
/// at once (Mogstad, Romano, Shaikh and Wilhelm 2024).
pub fn places(count: usize, better: impl Fn(usize, usize) -> bool) -> Vec<RangeInclusive<usize>> {
    let range = |model: usize| {
        let above = (0..count).filter(|other| better(*other, model)).count();
        let below = (0..count).filter(|other| better(model, *other)).count();
        above + 1..=count - below
    };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_values_keep_their_order_and_stay_below_one() {
        assert_eq!(holm(&[0.4, 0.01, 0.04]), [0.4, 0.03, 0.08]);
        assert_eq!(holm(&[0.6, 0.6]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn places_overlap_where_nothing_is_clear() {
        let clear = [(0, 2), (1, 2), (0, 3), (1, 3)];
        let found = places(4, |a, b| clear.contains(&(a, b)));
        assert_eq!(found, [1..=2, 1..=2, 3..=4, 3..=4]);
        assert_eq!(places(2, |_, _| false), [1..=2, 1..=2]);
    }
}
