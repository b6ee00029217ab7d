//! An attack that looks through an encoder, or trains a network of its own, through the whole program: completed before the
//! first cell, found again, and refused where there is no encoder to look through.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod program;

use std::fs;
use std::path::Path;

use serde_json::Value;

use program::{error, rows, run};

const SPEC: &str = r#"
title = "A learned patch"
analysis = "none"
[matrix]
dataset = ["emoji"]
encoder = ["tiny-resnet"]
attack = ["none", { name = "badclip", target = "banana", epochs = 1, pictures = 128 }]
defense = ["none"]
seed = [0]
[train]
steps = 2
batch = 64
[init]
steps = 2
batch = 64
"#;

/// Finished stages of a folder with the time at which each was made.
fn stamps(dir: &Path) -> Vec<(std::ffi::OsString, std::time::SystemTime)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let made = folders.map(|e| (e.file_name(), e.metadata().unwrap().modified().unwrap()));
    let mut all: Vec<_> = made.collect();
    all.sort();
    all
}

#[test]
fn a_learned_patch_is_completed_once_and_judged_like_any_other() {
    let place = tempfile::tempdir().unwrap();
    let first = run(place.path(), SPEC, ["cache", "first"], &[]);
    assert!(first.status.success(), "{}", error(&first));
    let searched = stamps(&place.path().join("cache/arm"));
    assert!(!searched.is_empty());
    let again = run(place.path(), SPEC, ["cache", "again"], &[]);
    assert!(again.status.success(), "{}", error(&again));
    assert_eq!(stamps(&place.path().join("cache/arm")), searched, "the search is found again");
    let (rows, repeated) = (rows(&place.path().join("first")), rows(&place.path().join("again")));
    let value = |r: &Value| (r["metric"].clone(), r["value"].clone(), r["poison"].clone());
    assert_eq!(
        rows.iter().map(value).collect::<Vec<_>>(),
        repeated.iter().map(value).collect::<Vec<_>>()
    );
    let asr =
        |attack: &str| rows.iter().any(|r| r["metric"] == "asr" && r["attack"]["name"] == attack);
    assert!(asr("badclip") && asr("none"), "attacked and control");
    let own = rows.iter().find(|r| r["attack"]["name"] == "badclip").unwrap();
    let digest = own["poison"].as_str().unwrap();
    let armed = fs::read_dir(place.path().join("first/armed")).unwrap().next().unwrap().unwrap();
    let name = armed.file_name().into_string().unwrap();
    assert!(digest.contains(name.trim_end_matches(".json")), "{digest}: {name}");
    let armed: Value = serde_json::from_slice(&fs::read(armed.path()).unwrap()).unwrap();
    assert_eq!(armed["trigger"]["learned"]["rgb"].as_array().unwrap().len(), 2 * 2 * 3);
    let dry = run(place.path(), SPEC, ["cache", "dry"], &["--dry-run"]);
    let dry = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.contains("0 to do") && !dry.contains("searches"), "{dry}");
}

#[test]
fn without_a_public_encoder_nothing_is_written() {
    let place = tempfile::tempdir().unwrap();
    let scratch = &SPEC[..SPEC.find("[init]").unwrap()];
    let refused = run(place.path(), scratch, ["cache", "out"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", error(&refused));
    assert!(error(&refused).contains("attack badclip: it looks through the encoder"));
    assert!(!place.path().join("out").exists());
    let dry = run(place.path(), SPEC, ["cache", "out"], &["--dry-run"]);
    let dry = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.contains("searches of attacks to do first: 1"), "{dry}");
}

#[test]
fn a_search_that_fails_is_a_row_and_the_others_go_on() {
    let place = tempfile::tempdir().unwrap();
    // Beyond the largest f32, so that the first loss is infinite.
    let spec = SPEC.replace("epochs = 1", "epochs = 1, weight = 1e39");
    let done = run(place.path(), &spec, ["cache", "out"], &[]);
    assert_eq!(done.status.code(), Some(1), "{}", error(&done));
    let rows = rows(&place.path().join("out"));
    let (failed, others): (Vec<&Value>, Vec<&Value>) =
        rows.iter().partition(|r| r["attack"]["name"] == "badclip");
    assert!(failed.iter().all(|r| r["value"].is_null()), "{failed:?}");
    assert!(failed[0]["error"].as_str().unwrap().contains("the patch's loss"), "{failed:?}");
    assert!(others.iter().any(|r| r["metric"] == "ca" && r["value"].is_number()));
    assert!(others.iter().all(|r| r["against"].is_null()), "nothing to be scored against");
}

#[test]
fn classes_and_rows_are_chosen_through_the_public_encoder() {
    let place = tempfile::tempdir().unwrap();
    let patch = r#"{ name = "badclip", target = "banana", epochs = 1, pictures = 128 }"#;
    let near =
        r#"{ name = "single-label", from = "ewe", to = "nearest", rows = "central", rate = 0.5 }"#;
    let done = run(place.path(), &SPEC.replace(patch, near), ["cache", "out"], &[]);
    assert!(done.status.success(), "{}", error(&done));
    let armed = fs::read_dir(place.path().join("out/armed")).unwrap().next().unwrap().unwrap();
    let armed: Value = serde_json::from_slice(&fs::read(armed.path()).unwrap()).unwrap();
    let goal = &armed["goals"][0];
    assert_eq!(goal["to"].as_array().unwrap().len(), 1, "{goal}");
    assert!(goal["name"].as_str().unwrap().starts_with("ewe2") && goal["to"][0] != goal["from"][0]);
    assert!(!armed["poison"].as_object().unwrap().is_empty());
    let rows = rows(&place.path().join("out"));
    let hit = |attack: &str| {
        rows.iter().any(|r| r["metric"] == "hit@10" && r["attack"]["name"] == attack)
    };
    assert!(hit("single-label") && hit("none"), "attacked and control");
    let own = rows.iter().find(|r| r["attack"]["name"] == "single-label").unwrap();
    assert_eq!(own["attack"]["rows"], "central");
}

#[test]
fn a_network_of_the_attackers_own_needs_no_encoder() {
    let place = tempfile::tempdir().unwrap();
    let patch = r#"{ name = "badclip", target = "banana", epochs = 1, pictures = 128 }"#;
    let hidden = r#"{ name = "issba", target = "banana", steps = 2, batch = 4, pictures = 64 }"#;
    let spec = SPEC.replace(patch, hidden);
    let scratch = &spec[..spec.find("[init]").unwrap()];
    let done = run(place.path(), scratch, ["cache", "out"], &[]);
    assert!(done.status.success(), "{}", error(&done));
    let trained = stamps(&place.path().join("cache/arm"));
    let again = run(place.path(), scratch, ["cache", "again"], &[]);
    assert!(again.status.success(), "{}", error(&again));
    assert_eq!(stamps(&place.path().join("cache/arm")), trained, "the network is found again");
    let rows = rows(&place.path().join("out"));
    let asr =
        |attack: &str| rows.iter().any(|r| r["metric"] == "asr" && r["attack"]["name"] == attack);
    assert!(asr("issba") && asr("none"), "attacked and control");
    let armed = fs::read_dir(place.path().join("out/armed")).unwrap().next().unwrap().unwrap();
    let armed: Value = serde_json::from_slice(&fs::read(armed.path()).unwrap()).unwrap();
    assert_eq!(armed["trigger"]["residual"]["secret"], "Stega!!");
    let dry = run(place.path(), scratch, ["fresh", "dry"], &["--dry-run"]);
    let dry = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.contains("searches of attacks to do first: 1"), "{dry}");
}
