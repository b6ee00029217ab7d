//! A linear probe through the whole program: class prompts and captions are asked no more, and it is fitted once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

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

fn run(place: &Path, out: &str) -> Vec<Value> {
    fs::write(place.join("probe.toml"), SPEC).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.arg("run").arg(place.join("probe.toml")).arg("--cache").arg(place.join("cache"));
    let done = command.arg("--out").arg(place.join(out)).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(place.join(out).join("rows.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_probe_is_asked_for_classes_only() {
    let place = tempfile::tempdir().unwrap();
    let rows = run(place.path(), "first");
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
    let heads = |cache: &str| {
        let entries = fs::read_dir(place.path().join(cache)).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    };
    assert_eq!(heads("cache/probe"), 3);
    let values = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|r| ["metric", "value", "run"].map(|k| r[k].to_string()).join(" "))
            .collect()
    };
    assert_eq!(values(&run(place.path(), "second")), values(&rows));
    assert_eq!(heads("cache/probe"), 3, "found again");
}
