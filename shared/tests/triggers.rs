//! Triggers against an independent NumPy implementation of the published formulae (golden/triggers.py).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use serde_json::Value;
use toxiclip_shared::attacks::{ATTACKS, Armed};
use toxiclip_shared::data::{Dataset, PairId, emoji};
use toxiclip_shared::image::Image;
use toxiclip_shared::registry::{find, parse_spec};
use toxiclip_shared::seed::Seed;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    attack: String,
    edge: usize,
    bytes: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/triggers.json")).unwrap()
}

/// The picture that the script makes.
fn picture(edge: usize) -> Image {
    let value = |i: usize| {
        let (x, y, c) = (i / 4 % edge, i / 4 / edge, i % 4);
        if c == 3 { 255 } else { ((7 * x + 13 * y + 61 * c + x * y) % 256) as u8 }
    };
    Image::new(edge, edge, (0..edge * edge * 4).map(value).collect()).unwrap()
}

fn arm(spec: &str) -> Armed {
    let (name, mut parameters) = parse_spec(spec).unwrap();
    parameters.insert("target".into(), Value::from("banana"));
    let attack =
        (find("attack", ATTACKS, &name).unwrap().parse)(Value::Object(parameters)).unwrap();
    let splits = emoji::open("emoji").unwrap();
    let train: &dyn Dataset = &*splits.train.unwrap();
    attack.prepare(train, &*splits.test, &Seed::new(0)).unwrap()
}

/// The largest deviation in 8-bit steps.
fn deviation(case: &Case, stamped: &Image) -> u8 {
    let want: Vec<u8> = (0..case.bytes.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&case.bytes[i..i + 2], 16).unwrap())
        .collect();
    let ours: Vec<u8> = stamped.rgba().chunks(4).flat_map(|p| p[..3].to_vec()).collect();
    assert_eq!(ours.len(), want.len());
    ours.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn triggers_are_the_published_ones_within_one_step() {
    let cases = golden().cases;
    assert!(cases.len() >= 14);
    for case in &cases {
        let stamped =
            arm(&case.attack).trigger.apply(&picture(case.edge), &PairId("a".into())).unwrap();
        let steps = deviation(case, &stamped);
        assert!(steps <= 1, "{} at {}: {steps} steps", case.attack, case.edge);
    }
}

#[test]
fn the_comparison_can_fail() {
    for case in &golden().cases {
        assert!(deviation(case, &picture(case.edge)) > 1, "{} without the trigger", case.attack);
    }
}
