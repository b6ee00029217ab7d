//! Trigger inversion against PyTorch's autograd (golden/inversion.py), and pixel gradients against slopes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![cfg(feature = "cpu")]

use serde::Deserialize;
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::image::OPENAI;
use toxiclip_shared::inversion::losses::{class_entropy, mean_pairwise_cosine};
use toxiclip_shared::inversion::{Sight, Stamp, anomaly_indices};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

#[derive(Deserialize)]
struct Golden {
    edge: usize,
    width: usize,
    target: usize,
    scale: f32,
    weight: f32,
    lr: f32,
    pictures: Vec<f32>,
    encoder: Vec<f32>,
    classes: Vec<f32>,
    mask: Vec<f32>,
    pattern: Vec<f32>,
    cases: Vec<Case>,
    anomalies: Vec<Anomaly>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    betas: (f32, f32),
    loss: f64,
    mask: Vec<f32>,
    pattern: Vec<f32>,
    mask_after: Vec<f32>,
    pattern_after: Vec<f32>,
}

#[derive(Deserialize)]
struct Anomaly {
    norms: Vec<f64>,
    indices: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/inversion.json")).unwrap()
}

/// (rows, inner) times the transpose of (out, inner).
fn times_transpose(x: &[f32], y: &[f32], inner: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    x.chunks(inner).flat_map(|a| y.chunks(inner).map(move |b| dot(a, b))).collect()
}

fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| x.iter().skip(c).step_by(columns).copied()).collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest deviation of loss, gradients and values after three steps; `spoil` is added to the temperature.
fn deviation(g: &Golden, case: &Case, spoil: f32) -> f32 {
    let mut stamp = Stamp::new(g.edge, &g.mask, &g.pattern).unwrap();
    let mut worst = 0.0f32;
    for step in 0..3 {
        let embeddings =
            times_transpose(&stamp.apply(&g.pictures), &g.encoder, 3 * g.edge * g.edge);
        let (loss, d) = if case.name == "decree" {
            let (cosine, d) = mean_pairwise_cosine(&embeddings, g.width);
            (-cosine, d.iter().map(|d| -d).collect())
        } else {
            let scale = g.scale + spoil;
            let (answer, d) = class_entropy(&embeddings, g.width, &g.classes, g.target, scale);
            (answer.loss, d)
        };
        let d_pictures = times_transpose(&d, &transposed(&g.encoder, 3 * g.edge * g.edge), g.width);
        let gradient = stamp.gradient(&g.pictures, &d_pictures, g.weight);
        if step == 0 {
            worst = worst.max((f64::from(loss) - case.loss).abs() as f32);
            worst = worst.max(furthest(&gradient.mask, &case.mask));
            worst = worst.max(furthest(&gradient.pattern, &case.pattern));
        }
        stamp.step(g.lr, case.betas, &gradient).unwrap();
    }
    worst = worst.max(furthest(&stamp.mask(), &case.mask_after));
    worst.max(furthest(&stamp.pattern(), &case.pattern_after))
}

#[test]
fn inversion_is_pytorchs() {
    let g = golden();
    for case in &g.cases {
        let deviation = deviation(&g, case, 0.0);
        assert!(deviation < 2e-5, "{}: {deviation}", case.name);
    }
    for case in &g.anomalies {
        let ours = anomaly_indices(&case.norms);
        assert!(ours.iter().zip(&case.indices).all(|(a, b)| (a - b).abs() < 1e-9), "{ours:?}");
    }
}

#[test]
fn the_comparison_can_fail() {
    let g = golden();
    assert!(deviation(&g, &g.cases[1], 0.1) > 1e-3, "another temperature");
    let small_first = anomaly_indices(&g.anomalies[0].norms);
    assert!(small_first[4] > 2.0 && small_first.iter().filter(|i| **i > 2.0).count() == 1);
    assert_eq!(anomaly_indices(&[1.0, 1.0, 1.0, 0.1]), [0.0; 4], "half of them are equal");
}

#[test]
fn pixel_gradients_are_the_slopes_of_the_loss() {
    let clip = Clip::build(&library::find("tiny-resnet").unwrap());
    let seed = Seed::new(3);
    let weights = Weights::init(&clip.params(), &seed);
    let mut sight = Sight::new(&clip, &weights, OPENAI);
    let mut stream = seed.child("pictures").stream();
    let pictures: Vec<f32> = (0..4 * 32 * 32 * 3).map(|_| stream.uniform()).collect();
    let width = sight.width();
    let mut look = |pictures: &[f32]| {
        let (cosine, d) = sight.gradient(pictures, |e| mean_pairwise_cosine(e, width));
        (f64::from(cosine), d)
    };
    let (_, gradient) = look(&pictures);
    let norm = gradient.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
    assert!(norm > 1e-6);
    let moved = |by: f64| -> Vec<f32> {
        let along = |(x, d): (&f32, &f32)| x + (by * f64::from(*d) / norm) as f32;
        pictures.iter().zip(&gradient).map(along).collect()
    };
    let h = 0.02;
    let slope = (look(&moved(h)).0 - look(&moved(-h)).0) / (2.0 * h);
    assert!((slope / norm - 1.0).abs() < 0.02, "{slope} or {norm}");
}
