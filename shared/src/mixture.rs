//! A mixture of two normal distributions on a line, fitted by expectation maximisation: which of two kinds a number is of.

/// Iterations at most.
const STEPS: usize = 20_000;
/// The mean log-likelihood has settled when it grows by less.
const SETTLED: f64 = 1e-10;
/// Variances are kept above this, as scikit-learn does.
const FLOOR: f64 = 1e-6;

#[derive(Clone, Copy, Debug)]
struct Normal {
    share: f64,
    mean: f64,
    variance: f64,
}

impl Normal {
    fn log_density(&self, x: f64) -> f64 {
        let spread = (2.0 * std::f64::consts::PI * self.variance).ln();
        self.share.ln() - 0.5 * (spread + (x - self.mean).powi(2) / self.variance)
    }
}

/// The logarithm of each value's odds to be of the kind with the larger mean rather than of the other: probabilities near 0
/// and 1 would be equal numbers. Starts from the lower and upper half; all values equal gives 0.
pub(crate) fn log_odds(values: &[f32]) -> Vec<f64> {
    let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut larger = vec![0.0; values.len()];
    order.iter().skip(values.len() / 2).for_each(|&i| larger[i] = 1.0);
    if values.iter().all(|v| Some(v) == values.first()) {
        return vec![0.0; values.len()];
    }
    let (mut before, mut odds) = (f64::NEG_INFINITY, vec![0.0; values.len()]);
    for _ in 0..STEPS {
        let smaller: Vec<f64> = larger.iter().map(|p| 1.0 - p).collect();
        let (low, high) = (fit(&values, &smaller), fit(&values, &larger));
        let mut total = 0.0;
        for ((value, p), odds) in values.iter().zip(&mut larger).zip(&mut odds) {
            let (a, b) = (low.log_density(*value), high.log_density(*value));
            let top = a.max(b);
            let both = top + ((a - top).exp() + (b - top).exp()).ln();
            *p = (b - both).exp();
            *odds = b - a;
            total += both;
        }
        let mean = total / values.len() as f64;
        if mean - before < SETTLED {
            // Which of the two is the larger may have changed on the way.
            if low.mean > high.mean {
                odds.iter_mut().for_each(|odds| *odds = -*odds);
            }
            break;
        }
        before = mean;
    }
    odds
}

fn fit(values: &[f64], weights: &[f64]) -> Normal {
    // A kind that nothing belongs to keeps a place, so that its density is a number.
    let total = weights.iter().sum::<f64>() + 10.0 * f64::EPSILON;
    let mean = values.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / total;
    let squares = values.iter().zip(weights).map(|(v, w)| w * (v - mean).powi(2));
    Normal {
        share: total / values.len() as f64,
        mean,
        variance: squares.sum::<f64>() / total + FLOOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn of_larger(values: &[f32]) -> Vec<f64> {
        log_odds(values).into_iter().map(|odds| 1.0 / (1.0 + (-odds).exp())).collect()
    }

    #[test]
    fn two_kinds_are_told_apart() {
        let mut stream = Seed::new(1).stream();
        let mut draw = |n: usize, mean: f32, spread: f32| {
            (0..n).map(|_| mean + spread * stream.normal()).collect::<Vec<_>>()
        };
        let (low, high) = (draw(60, 0.1, 0.05), draw(900, 0.5, 0.08));
        let p = of_larger(&[low.clone(), high].concat());
        let (of_low, of_high) = p.split_at(low.len());
        assert!(of_low.iter().filter(|p| **p < 0.5).count() >= 57);
        assert!(of_high.iter().filter(|p| **p > 0.9).count() >= 890);
        assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
    }

    #[test]
    fn nothing_to_tell_apart_is_no_panic() {
        assert_eq!(of_larger(&[0.3; 4]), [0.5; 4]);
        assert!(of_larger(&[]).is_empty());
        assert_eq!(of_larger(&[0.1, 0.9]).len(), 2);
        let far = log_odds(&[0.0, 0.2, 5.0, 5.4]);
        assert!(far[2] < far[3] && far[0] < -30.0, "probabilities of 1 would be equal: {far:?}");
    }

    #[derive(serde::Deserialize)]
    struct Case {
        values: Vec<f32>,
        larger: Vec<f64>,
    }

    /// The largest deviation from scikit-learn (`tests/golden/mixture.py`), the values being spoilt by so much.
    fn deviation(case: &Case, spoil: f32) -> f64 {
        let values: Vec<f32> =
            case.values.iter().enumerate().map(|(i, v)| v + spoil * (i % 3) as f32).collect();
        let ours = of_larger(&values);
        ours.iter().zip(&case.larger).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn probabilities_are_scikit_learns() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/golden/mixture.json")).unwrap();
        assert_eq!(cases.len(), 3);
        for (i, case) in cases.iter().enumerate() {
            let (right, wrong) = (deviation(case, 0.0), deviation(case, 0.05));
            assert!(right < 2e-3, "case {i}: {right}");
            assert!(wrong > 2e-2, "case {i}: the comparison cannot fail: {wrong}");
        }
    }
}
