//! Triggers against an independent NumPy implementation of the published formulae (golden/triggers.py).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use serde::Deserialize;
use serde_json::Value;
use toxiclip_shared::attacks::{ATTACKS, Armed, Trigger};
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

/// The largest deviation in 8-bit steps from bytes in hexadecimal digits.
fn deviation(bytes: &str, stamped: &Image) -> u8 {
    let want: Vec<u8> = (0..bytes.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).unwrap())
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
        let steps = deviation(&case.bytes, &stamped);
        assert!(steps <= 1, "{} at {}: {steps} steps", case.attack, case.edge);
    }
}

#[test]
fn the_comparison_can_fail() {
    for case in &golden().cases {
        assert!(
            deviation(&case.bytes, &picture(case.edge)) > 1,
            "{} without the trigger",
            case.attack
        );
    }
}

/// Networks with what PyTorch makes of a picture by them (golden/residual.py).
#[derive(Deserialize)]
struct Residuals {
    cases: Vec<Networked>,
}

#[derive(Deserialize)]
struct Networked {
    trigger: Value,
    edge: usize,
    bytes: String,
}

fn residuals() -> Vec<Networked> {
    let golden: Residuals = serde_json::from_str(include_str!("golden/residual.json")).unwrap();
    golden.cases
}

fn stamp(trigger: &Value, edge: usize) -> toxiclip_shared::Result<Image> {
    let trigger: Trigger = serde_json::from_value(trigger.clone()).unwrap();
    trigger.apply(&picture(edge), &PairId("a".into()))
}

#[test]
fn a_networks_residual_is_pytorchs_within_one_step() {
    assert!(residuals().iter().any(|case| case.edge > 16));
    for Networked { mut trigger, edge, bytes } in residuals() {
        let steps = deviation(&bytes, &stamp(&trigger, edge).unwrap());
        assert!(steps <= 1, "at {edge}: {steps} steps");
        trigger["residual"]["message"][3] = Value::from(-2.0);
        let steps = deviation(&bytes, &stamp(&trigger, edge).unwrap());
        assert!(steps > 1, "at {edge}: another message would be seen");
    }
}

#[test]
fn a_network_of_other_sizes_is_one_line() {
    let whole = residuals().remove(0).trigger;
    let wrong = |key: &str, value: Value| {
        let mut trigger = whole.clone();
        trigger["residual"][key] = value;
        let why = stamp(&trigger, 16).unwrap_err().to_string();
        assert!(why.contains("other sizes than its parts") && !why.contains('\n'), "{why}");
    };
    wrong("edge", 0.into());
    wrong("edge", 1_000_000.into());
    wrong("cells", 0.into());
    wrong("cells", 5.into());
    wrong("message", Value::Array(vec![]));
    wrong("look", whole["residual"]["mix"].clone());
    wrong("write", whole["residual"]["look"].clone());
    wrong("strength", Value::from(f64::MAX));
}
