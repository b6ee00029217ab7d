//! Every benchmark of the seed paper in its small form, on one cache, as `cargo xtask test` runs them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn benchmarks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/seed");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

fn rows(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("rows.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a file's rows must hold besides attack success and utility.
fn due(name: &str) -> &'static [&'static str] {
    match name {
        "cosine-filter" => &["auroc", "auprc", "tpr@fpr0.01", "dropped.clean", "dropped.poisoned"],
        "modality" => &["shift.image", "shift.text"],
        _ => &[],
    }
}

#[test]
fn all_small_forms_run_from_one_cache() {
    let place = tempfile::tempdir().unwrap();
    let files = benchmarks();
    assert_eq!(files.len(), 13, "one file per table and figure of the paper");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let out = place.path().join(&name);
        let done = Command::new(env!("CARGO_BIN_EXE_toxiclip"))
            .args(["run", "--tiny", "--cache"])
            .arg(place.path().join("cache"))
            .arg("--out")
            .arg(&out)
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.is_empty(), "{name}: {said}");
        let rows = rows(&out);
        assert!(rows.iter().all(|row| row["error"].is_null()), "{name}");
        let metrics: BTreeSet<&str> = rows.iter().map(|r| r["metric"].as_str().unwrap()).collect();
        for metric in ["hit@10", "min-rank", "ir@10"].iter().chain(due(&name)) {
            assert!(metrics.contains(metric), "{name}: no {metric} in {metrics:?}");
        }
        let extras: Value =
            serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
        let quantities = extras["curves"].as_array().unwrap().iter();
        let over_epochs = quantities.filter(|c| c["quantity"].as_str().unwrap().contains("hit@10"));
        let curves = ["finetune", "modality"].contains(&name.as_str());
        assert_eq!(over_epochs.count() > 0, curves, "{name}: curves over epochs");
    }
    // One clean model for all files, and one more for each other encoder.
    let pretrained = fs::read_dir(place.path().join("cache/pretrain")).unwrap();
    let folders = pretrained.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 3);
}

/// The published setting needs data and a checkpoint; without them one line says which.
#[test]
fn full_forms_say_what_is_missing() {
    let mut full = 0;
    for file in benchmarks() {
        let text = fs::read_to_string(&file).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_toxiclip"))
            .args(["run", "--full", "--cache", "none"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!((done.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        if text.contains("[full.matrix]") {
            full += 1;
            assert!(said.contains("give --data-root DIR with"), "{said}");
        } else {
            assert!(said.contains("has no published setting"), "{said}");
            assert!(text.contains("No published setting"), "{}: say why", file.display());
        }
    }
    assert_eq!(full, 10);
}
