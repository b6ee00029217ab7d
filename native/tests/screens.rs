//! Screens of inputs through the whole program: the victim stays that of `none`, verdicts are found again, whoever has no
//! trigger has nothing stamped, and too few held pictures are refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod program;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use program::{error, rows, run, stages};

const SPEC: &str = r#"
title = "Screens"
analysis = "none"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", { name = "sig", target = "banana" }, { name = "single-label", from = "ewe", to = "airplane" }]
defense = ["none", { name = "strip", overlays = 4 }, "dao-input"]
seed = [0]
[train]
steps = 2
batch = 64
[init]
steps = 2
batch = 64
"#;

/// Metric to value of one model, scored against `against`.
fn values(rows: &[Value], of: [&str; 2], against: Option<&str>) -> BTreeMap<String, f64> {
    let mine = |row: &&Value| {
        [&row["attack"]["name"], &row["defense"]["name"]] == of
            && row["against"]["name"].as_str() == against
    };
    let pair =
        |row: &Value| (row["metric"].as_str().unwrap().to_owned(), row["value"].as_f64().unwrap());
    rows.iter().filter(mine).map(pair).collect()
}

#[test]
fn a_screen_looks_at_every_input_and_changes_no_model() {
    let place = tempfile::tempdir().unwrap();
    let first = run(place.path(), SPEC, ["cache", "first"], &[]);
    assert!(first.status.success(), "{}", error(&first));
    let rows_of = |out: &str| rows(&place.path().join(out));
    let rows = rows_of("first");
    // One victim an attack, whatever looks at its inputs. Both screens score held, clean and, for two models, stamped pictures
    // of three models.
    assert_eq!(stages(place.path(), "train"), 3);
    assert_eq!(stages(place.path(), "screen"), 2 * (3 * 2 + 2));
    let screening = |all: &BTreeMap<String, f64>| -> BTreeSet<String> {
        let mine = |m: &&String| m.starts_with("screen.") || m.ends_with("-passed");
        all.keys().filter(mine).cloned().collect()
    };
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    let clean = names(&["screen.fpr", "ca-passed"]);
    let mut all = names(&["screen.auroc", "screen.tpr@fpr0.01", "screen.tpr", "asr-passed"]);
    all.extend(clean.clone());
    for screen in ["strip", "dao-input"] {
        let attacked = values(&rows, ["sig", screen], None);
        assert_eq!(screening(&attacked), all);
        assert_eq!(screening(&values(&rows, ["none", screen], Some("sig"))), all, "the control");
        assert_eq!(screening(&values(&rows, ["none", screen], None)), clean);
        assert_eq!(screening(&values(&rows, ["single-label", screen], None)), clean);
        let plain = values(&rows, ["sig", "none"], None);
        assert!(screening(&plain).is_empty());
        assert_eq!(attacked["asr"], plain["asr"], "the model is the same");
        assert!(attacked["asr-passed"] <= attacked["asr"] && attacked["ca-passed"] <= plain["ca"]);
    }
    let told = |rows: &[Value], all: bool| -> Vec<(String, String)> {
        let asked =
            |r: &&Value| all || r["attack"]["name"] == "sig" && r["defense"]["name"] == "strip";
        let pair = |r: &Value| (r["metric"].to_string(), r["value"].to_string());
        rows.iter().filter(asked).map(pair).collect()
    };
    let again = run(place.path(), SPEC, ["cache", "again"], &[]);
    assert!(again.status.success(), "{}", error(&again));
    assert_eq!(told(&rows, true), told(&rows_of("again"), true));
    assert_eq!(stages(place.path(), "screen"), 16, "scores are found again");
    let alone = ["--threads", "1", "--only", "attack=sig", "--only", "defense=strip"];
    let alone = run(place.path(), SPEC, ["other", "alone"], &alone);
    assert!(alone.status.success(), "{}", error(&alone));
    assert_eq!(told(&rows, false), told(&rows_of("alone"), false), "threads and company");
}

#[test]
fn what_a_screen_cannot_do_is_said() {
    let place = tempfile::tempdir().unwrap();
    let few = SPEC.replace("overlays = 4", "overlays = 4000");
    let refused = run(place.path(), &few, ["cache", "few"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", error(&refused));
    assert!(error(&refused).contains("at least 4000 are needed to compare with"));
    assert!(!place.path().join("few").exists());
}
