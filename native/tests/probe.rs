//! A linear probe through the whole program: class prompts and captions are asked no more, and it is fitted once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::collections::BTreeSet;

use serde_json::Value;

use program::{error, rows, run, stages};

const SPEC: &str = r#"
title = "A probe"
analysis = "none"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", { name = "badnets", target = "banana" }, { name = "single-label", from = "ewe", to = "airplane" }]
defense = ["none", { name = "linear-probe", share = 0.1, penalty = 0.1 }]
seed = [0]
[train]
steps = 2
batch = 64
[init]
steps = 2
batch = 64
"#;

#[test]
fn a_probe_is_asked_for_classes_only() {
    let place = tempfile::tempdir().unwrap();
    let measured = |out: &str| {
        let done = run(place.path(), SPEC, ["cache", out], &[]);
        assert!(done.status.success(), "{}", error(&done));
        rows(&place.path().join(out))
    };
    let rows = measured("first");
    let metrics = |attack: &str, defense: &str, against: Option<&str>| -> BTreeSet<&str> {
        let fits = |r: &&Value| {
            r["attack"]["name"] == attack
                && r["defense"]["name"] == defense
                && r["against"]["name"].as_str() == against
        };
        rows.iter().filter(fits).map(|r| r["metric"].as_str().unwrap()).collect()
    };
    let probed = metrics("badnets", "linear-probe", None);
    assert!(["ca", "asr", "asr-lift", "ra"].iter().all(|m| probed.contains(m)), "{probed:?}");
    assert!(!probed.iter().any(|m| m.starts_with("ir@") || m.starts_with("tr@")), "{probed:?}");
    assert!(metrics("badnets", "none", None).contains("ir@10"));
    assert!(metrics("none", "linear-probe", Some("badnets")).contains("asr"));
    assert!(metrics("none", "linear-probe", Some("single-label")).is_empty());
    let single = metrics("single-label", "linear-probe", None);
    assert!(single.contains("ca") && !single.contains("hit@10"), "{single:?}");
    // The model is the victim's own.
    let weights = |defense: &str| {
        let of = |r: &&Value| r["attack"]["name"] == "badnets" && r["defense"]["name"] == defense;
        rows.iter().find(of).unwrap()["weights"].clone()
    };
    assert_eq!(weights("linear-probe"), weights("none"));
    assert_eq!(stages(place.path(), "probe"), 3);
    let values = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|r| ["metric", "value", "run"].map(|k| r[k].to_string()).join(" "))
            .collect()
    };
    assert_eq!(values(&measured("second")), values(&rows));
    assert_eq!(stages(place.path(), "probe"), 3, "found again");
}
