//! The classifiers of linear probes against scikit-learn's (`golden/logistic.py`) and CLIP_benchmark's
//! (`golden/linear_probe.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::probe::{ClipBenchmark, Fitted, Logistic};

/// Largest difference of a weight or bias, relative to the largest of them.
const TOLERANCE: f64 = 1e-3;

#[derive(Clone, Deserialize)]
struct Case {
    penalty: f64,
    width: usize,
    unit: Vec<f32>,
    labels: Vec<usize>,
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

fn golden() -> Vec<Case> {
    serde_json::from_str(include_str!("golden/logistic.json")).unwrap()
}

fn fit(case: &Case, penalty: f64) -> Fitted {
    let logistic = Logistic { penalty, steps: 1000 };
    let labels = (&case.labels[..], case.bias.len());
    logistic.fit(&case.unit, case.width, labels, &|_| Ok(())).unwrap()
}

/// Of weights and centred biases, relative to the largest of them.
fn deviation(got: &Fitted, case: &Case) -> f64 {
    let rows: Vec<&[f32]> = got.head.rows.chunks_exact(case.width + 1).collect();
    let mean = rows.iter().map(|row| f64::from(row[case.width])).sum::<f64>() / rows.len() as f64;
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for ((row, weights), bias) in rows.iter().zip(&case.weights).zip(&case.bias) {
        let wanted = weights.iter().copied().chain([bias + mean]);
        for (got, wanted) in row.iter().zip(wanted) {
            worst = worst.max((f64::from(*got) - wanted).abs());
            largest = largest.max(wanted.abs());
        }
    }
    worst / largest
}

#[test]
fn the_minimum_is_scikit_learns() {
    for case in golden() {
        let got = fit(&case, case.penalty);
        assert!(deviation(&got, &case) < TOLERANCE, "{}", deviation(&got, &case));
        assert!(got.losses.windows(2).all(|w| w[1] <= w[0]), "{:?}", got.losses);
        assert_eq!(got, fit(&case, case.penalty));
    }
}

/// What evaluation ranks by are the logits, so that differences of cosines are those of log-probabilities on one scale.
#[test]
fn cosines_of_the_head_are_log_probabilities() {
    for case in golden() {
        let head = fit(&case, case.penalty).head;
        let (pictures, classes) = (head.pictures(&case.unit), head.classes());
        let square = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
        let rows = head.rows.chunks_exact(case.width + 1);
        let scale = (2.0 * rows.map(square).fold(0.0, f32::max)).sqrt();
        for (picture, wanted) in pictures.chunks_exact(case.width + 2).zip(&case.probabilities) {
            let cosine = |class: &[f32]| picture.iter().zip(class).map(|(a, b)| a * b).sum::<f32>();
            let all: Vec<f32> = classes.chunks_exact(case.width + 2).map(cosine).collect();
            for (got, p) in all.iter().zip(wanted) {
                let (got, wanted) = (f64::from((got - all[0]) * scale), (p / wanted[0]).ln());
                assert!((got - wanted).abs() < 2e-2 * wanted.abs().max(1.0), "{got} or {wanted}");
            }
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    for case in golden() {
        assert!(deviation(&fit(&case, case.penalty * 1.05), &case) > TOLERANCE);
        let mut swapped = case.clone();
        swapped.weights.swap(0, 1);
        assert!(deviation(&fit(&case, case.penalty), &swapped) > TOLERANCE);
    }
}

#[test]
fn what_cannot_be_fitted_is_one_line() {
    let case = &golden()[0];
    let logistic = Logistic { penalty: case.penalty, steps: 1 };
    let labels = (&case.labels[..], case.bias.len());
    let error = logistic.fit(&case.unit, case.width, labels, &|_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("did not settle in 1 steps"), "{error}");
    let mut broken = case.unit.clone();
    broken[3] = f32::NAN;
    let error = logistic.fit(&broken, case.width, labels, &|_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("not finite"), "{error}");
}

/// Of what CLIP_benchmark's own steps end with, in single precision there.
const STEPS: f32 = 1e-5;

#[derive(Deserialize)]
struct Descent {
    width: usize,
    unit: Vec<f32>,
    labels: Vec<usize>,
    seed: u64,
    epochs: usize,
    batch: usize,
    lr: f64,
    weights: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl Descent {
    fn golden() -> Vec<Self> {
        serde_json::from_str(include_str!("golden/linear_probe.json")).unwrap()
    }

    fn probe(&self) -> ClipBenchmark {
        ClipBenchmark { lr: self.lr, epochs: self.epochs, batch: self.batch, seed: self.seed }
    }

    /// Largest difference of a weight or bias, relative to the largest of them.
    fn deviation(&self, probe: ClipBenchmark) -> f32 {
        let labels = (&self.labels[..], self.bias.len());
        let head = probe.fit(&self.unit, self.width, labels, &|_| Ok(())).unwrap();
        let wanted = self.weights.iter().zip(&self.bias);
        let wanted: Vec<f32> =
            wanted.flat_map(|(row, bias)| row.iter().copied().chain([*bias])).collect();
        assert_eq!(head.rows.len(), wanted.len());
        let largest = wanted.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let apart = head.rows.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        apart.fold(0.0, f32::max) / largest
    }
}

#[test]
fn steps_begin_shuffle_and_end_as_clip_benchmarks() {
    for case in Descent::golden() {
        let deviation = case.deviation(case.probe());
        println!("CLIP_benchmark's probe, seed {}: {deviation:.1e}", case.seed);
        assert!(deviation < STEPS, "{deviation}");
    }
}

#[test]
fn steps_of_another_seed_rate_or_batch_are_seen() {
    for case in Descent::golden() {
        let probe = case.probe();
        for other in [
            ClipBenchmark { seed: probe.seed + 1, ..probe },
            ClipBenchmark { lr: probe.lr * 1.001, ..probe },
            ClipBenchmark { epochs: probe.epochs + 1, ..probe },
            ClipBenchmark { batch: case.labels.len() / 2, ..probe },
        ] {
            let deviation = case.deviation(other);
            assert!(deviation > STEPS, "{other:?}: {deviation}");
        }
    }
}
