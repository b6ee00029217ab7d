//! Screens of inputs through the whole program: the victim stays that of `none`, verdicts are found again, whoever has no
//! trigger has nothing stamped, and what a screen cannot do is a row with its error.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

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

fn toxiclip(place: &Path, spec: &str, [cache, out]: [&str; 2], threads: &str) -> Output {
    fs::write(place.join("screens.toml"), spec).unwrap();
    Command::new(env!("CARGO_BIN_EXE_toxiclip"))
        .arg("run")
        .arg(place.join("screens.toml"))
        .arg("--cache")
        .arg(place.join(cache))
        .arg("--out")
        .arg(place.join(out))
        .args(["--threads", threads])
        .output()
        .unwrap()
}

fn rows(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("rows.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stages(place: &Path, stage: &str) -> usize {
    let entries = fs::read_dir(place.join("cache").join(stage)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

fn error(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

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
    let first = toxiclip(place.path(), SPEC, ["cache", "first"], "2");
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
    let told: Vec<_> = rows.iter().map(|r| (r["metric"].clone(), r["value"].clone())).collect();
    for (cache, threads) in [("cache", "2"), ("other", "1")] {
        let again = toxiclip(place.path(), SPEC, [cache, threads], threads);
        assert!(again.status.success(), "{}", error(&again));
        let again = rows_of(threads);
        let again: Vec<_> =
            again.iter().map(|r| (r["metric"].clone(), r["value"].clone())).collect();
        assert_eq!(told, again, "cache {cache}, threads {threads}");
    }
    assert_eq!(stages(place.path(), "screen"), 16, "scores are found again");
}

#[test]
fn what_a_screen_cannot_do_is_said() {
    let place = tempfile::tempdir().unwrap();
    let few = SPEC.replace("overlays = 4", "overlays = 4000");
    let refused = toxiclip(place.path(), &few, ["cache", "few"], "2");
    assert_eq!(refused.status.code(), Some(2), "{}", error(&refused));
    assert!(error(&refused).contains("at least 4000 are needed to compare with"));
    // After two steps all brightened pictures have one class, or none has its own: SPC is the same for all.
    let equal = SPEC.replace("steps = 2", "steps = 1\nlr = 1e-30").replace(
        r#"{ name = "strip", overlays = 4 }, "dao-input""#,
        r#""scale-up:threshold=null""#,
    );
    let done = toxiclip(place.path(), &equal, ["cache", "equal"], "2");
    let rows = rows(&place.path().join("equal"));
    let failed: Vec<&Value> = rows.iter().filter(|r| r["value"].is_null()).collect();
    let said = |r: &&Value| {
        r["error"].as_str().is_some_and(|e| e.contains("held pictures are equally suspicious"))
    };
    assert!(
        done.status.code() == Some(1) && failed.len() == 3 && failed.iter().all(said),
        "{rows:?}"
    );
}
