//! Objectives of defenses against PyTorch's autograd (golden/objectives.py).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use toxiclip_shared::objectives::{
    Agree, Bank, Flood, Loss, Repel, SelfSupervised, Unimodal, crossed,
};

#[derive(Deserialize)]
struct Golden {
    width: usize,
    scale: f32,
    image: Vec<f32>,
    text: Vec<f32>,
    start_image: Vec<f32>,
    start_text: Vec<f32>,
    bank: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    between: Option<f64>,
    within: Option<f64>,
    limit: Option<f64>,
    weight: Option<f64>,
    level: Option<f32>,
    more: Option<bool>,
    loss: f32,
    d_image: Vec<f32>,
    d_text: Vec<f32>,
    d_scale: f32,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/objectives.json")).unwrap()
}

/// Our loss of a case; `spoil` is added to its first parameter, or to the temperature where it has none, or to the pictures.
fn ours(g: &Golden, case: &Case, spoil: f64) -> Loss {
    let rows = case.d_image.len();
    let (image, text, width) = (&g.image[..rows], &g.text[..rows], g.width);
    match case.name.as_str() {
        "self-supervised" => {
            let between = case.between.unwrap() + spoil;
            let rule = SelfSupervised { between, within: case.within.unwrap() };
            rule.loss(image, text, width, g.scale)
        }
        "repel" => {
            let weight = case.weight.unwrap() + spoil;
            let rule = Repel { limit: case.limit.unwrap(), weight };
            rule.loss(image, text, [&g.start_image, &g.start_text], width, g.scale)
        }
        "flood" => {
            let flood = Flood { level: case.level };
            let mut ours = flood.loss(image, text, width, g.scale + spoil as f32);
            // What is logged is the contrastive loss; what is differentiated, its distance from the level.
            ours.whole.loss = match case.level {
                Some(level) => (ours.whole.loss - level).abs(),
                None => -ours.whole.loss,
            };
            ours
        }
        "unimodal" => {
            let captions = g.bank.chunks_exact(width).rev();
            let pairs = g.bank.chunks_exact(width).zip(captions);
            let bank: Vec<f32> = pairs.flat_map(|(i, t)| [i, t].concat()).collect();
            Unimodal { size: 10 }.loss(image, text, &bank, width, g.scale + spoil as f32)
        }
        "crossed" => crossed(image, text, width, g.scale + spoil as f32),
        "agree" => {
            let moved: Vec<f32> = image.iter().map(|x| x + spoil as f32).collect();
            Agree { more: case.more.unwrap() }.loss(&moved, text, width)
        }
        _ => {
            let rule = Bank { every: 3, size: 10, strong: false };
            rule.loss(image, text, &g.bank, 2, width, g.scale + spoil as f32)
        }
    }
}

fn deviation(case: &Case, ours: &Loss) -> f32 {
    let Loss { whole, .. } = ours;
    assert_eq!((whole.d_image.len(), whole.d_text.len()), (case.d_image.len(), case.d_text.len()));
    let image = whole.d_image.iter().zip(&case.d_image);
    let gradients = image.chain(whole.d_text.iter().zip(&case.d_text));
    let scalars = [(&whole.loss, &case.loss), (&whole.d_logit_scale, &case.d_scale)];
    gradients.chain(scalars).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let g = golden();
    assert_eq!(g.cases.len(), 12);
    for case in &g.cases {
        let deviation = deviation(case, &ours(&g, case, 0.0));
        assert!(deviation < 2e-6, "{}: {deviation}", case.name);
    }
}

#[test]
fn the_comparison_can_fail() {
    let g = golden();
    for case in &g.cases {
        let deviation = deviation(case, &ours(&g, case, 0.1));
        assert!(deviation > 1e-3, "{}: {deviation}", case.name);
    }
}

#[test]
fn the_limit_cuts_a_modality_as_a_whole() {
    let g = golden();
    let [free, cut] = [&g.cases[2], &g.cases[3]].map(|case| ours(&g, case, 0.0));
    assert!(free.terms[1].1 < 1.0 && free.terms[2].1 > 1.0, "{:?}", free.terms);
    assert_eq!(free.terms, cut.terms, "what is logged is the distance, cut or not");
    assert_eq!(free.whole.d_image, cut.whole.d_image);
    assert_ne!(free.whole.d_text, cut.whole.d_text);
}

#[test]
fn a_bank_gives_captions_no_gradient_and_rests_in_between() {
    let g = golden();
    let rule = Bank { every: 3, size: 10, strong: false };
    let rows = 6 * g.width;
    let of = |epoch| {
        let (image, text) = (&g.image[..rows], &g.text[..rows]);
        rule.loss(image, text, &g.bank, epoch, g.width, g.scale).whole
    };
    assert!(of(2).d_text.iter().all(|d| *d == 0.0) && of(1).d_text.iter().any(|d| *d != 0.0));
    assert_eq!(of(0).loss, of(1).loss);
    assert_ne!(of(1).loss, of(2).loss);
}
