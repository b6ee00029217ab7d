use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    weight: f32,
    logit_scale: f32,
    stamped: Vec<f32>,
    captions: Vec<f32>,
    positives: Vec<f32>,
    negatives: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    margin: f32,
    loss: f32,
    gradient: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/badclip.json")).unwrap()
}

/// Largest deviation of loss and gradient from PyTorch's, relative to the loss and to the largest slope.
fn deviation(golden: &Golden, case: &Case, weight: f32, margin: f32) -> f32 {
    let loss = DualEmbedding {
        captions: vec![],
        clean: vec![],
        positives: vec![],
        width: golden.width,
        logit_scale: golden.logit_scale,
        weight,
        margin,
    };
    let (value, gradient) =
        loss.of_batch(&golden.stamped, &golden.captions, &golden.positives, &golden.negatives);
    let largest = case.gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
    let off = gradient.iter().zip(&case.gradient).map(|(a, b)| (a - b).abs() / largest);
    off.fold((value - case.loss).abs() / case.loss, f32::max)
}

#[test]
fn loss_and_gradient_are_pytorchs() {
    let golden = golden();
    for case in &golden.cases {
        let off = deviation(&golden, case, golden.weight, case.margin);
        assert!(off < 1e-5, "margin {}: {off}", case.margin);
        let other = deviation(&golden, case, golden.weight, case.margin + 0.01);
        assert!(other > 1e-3, "another margin would be seen: {other}");
        let other = deviation(&golden, case, golden.weight * 1.01, case.margin);
        assert!(other > 1e-3, "another weight would be seen: {other}");
    }
}

#[test]
fn positives_and_negatives_are_functions_of_the_steps_seed() {
    let g = golden();
    let loss = DualEmbedding {
        captions: g.captions,
        clean: g.negatives,
        positives: g.positives[..2 * g.width].to_vec(),
        width: g.width,
        logit_scale: g.logit_scale,
        weight: g.weight,
        margin: 1.0,
    };
    let rows: Vec<usize> = (0..6).collect();
    let at = |step: u32| loss.loss(&rows, &g.stamped, &Seed::new(0).child(step)).0;
    assert_eq!(at(0).to_bits(), at(0).to_bits());
    assert_ne!(at(0).to_bits(), at(1).to_bits());
}
